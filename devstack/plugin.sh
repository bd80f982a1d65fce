# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
#
# devstack/plugin.sh: what devstack runs of zun-vk, phase by phase.

source "$ZUN_VK_DIR/devstack/lib/zun-vk"

if is_service_enabled zun-vk-agent zun-vk-compute; then
    case "$1:${2:-}" in
        stack:pre-install)
            # System packages: devstack installs files/bindep.txt itself.
            :
            ;;
        stack:install)
            echo_summary "Installing zun-vk"
            install_zun_vk
            ;;
        stack:post-config)
            # zun.conf has been made in this phase too, and before: the
            # plugin requires Zun's. zun-compute starts in a later one.
            echo_summary "Configuring zun-vk"
            configure_zun_vk
            ;;
        stack:extra)
            # Zun starts in this phase too, and before.
            echo_summary "Starting zun-vk"
            start_zun_vk
            ;;
        stack:test-config)
            # Tempest has nothing to know of a virtual node.
            :
            ;;
        unstack:*)
            stop_zun_vk
            ;;
        clean:*)
            cleanup_zun_vk
            ;;
    esac
fi
