#!/usr/bin/env bash
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
# standins.sh DIRECTORY PHASE...: run the plugin as devstack's stack.sh,
# unstack.sh and clean.sh do, against stand-ins for devstack's functions.
#
# A PHASE is written mode:phase, such as stack:install or unstack. The
# stand-ins keep what devstack documents: iniset really writes ini files,
# run_process and stop_process do nothing for a disabled service,
# is_service_enabled goes by ENABLED_SERVICES, die ends the run, stack.sh
# runs with errexit and xtrace, unstack.sh and clean.sh without errexit. What
# is asked of them is written, a line a call, to DIRECTORY/calls.

WORK=$1
shift

# What stackrc and local.conf define before a plugin's settings are sourced.
DEST=$WORK/dest
DATA_DIR=$WORK/data
STACK_USER=$(id -un)
HOST_IP=192.0.2.10
SERVICE_HOST=${SERVICE_HOST:-$HOST_IP}
KEYSTONE_SERVICE_URI=http://192.0.2.10/identity
REGION_NAME=RegionOne
SERVICE_PASSWORD='s3cr%t=$1 [x]'
SERVICE_PROJECT_NAME=service
SERVICE_DOMAIN_NAME=Default
SSL_BUNDLE_FILE=$WORK/ca-bundle.pem
ENABLE_DEBUG_LOG_LEVEL=True
ENABLED_SERVICES=${ENABLED_SERVICES-key,placement-api,zun-api,zun-compute}
ZUN_CONF=$WORK/zun.conf
ZUN_VK_CONF_DIR=$WORK/etc/zun-vk
ZUN_VK_RUN_DIR=$WORK/run
ZUN_VK_CNI_BIN_DIR=$WORK/cni/bin
ZUN_VK_CNI_CONF=$WORK/cni/net.d/10-zun-cni.conf
ZUN_VK_CAPSULE_RUNTIME=${ZUN_VK_CAPSULE_RUNTIME:-}
ZUN_VK_ADMIN_KUBECONFIG=$WORK/admin.conf
ZUN_VK_KUBECONFIG=${ZUN_VK_KUBECONFIG:-}
PATH=$WORK/bin:$PATH

function called {
    local xtrace
    xtrace=$(set +o | grep xtrace)
    set +o xtrace
    echo "$*" >> "$WORK/calls"
    $xtrace
}

function define_plugin {
    called define_plugin "$@"
}

function plugin_requires {
    called plugin_requires "$@"
}

function echo_summary {
    echo "$@"
}

function die {
    shift
    echo "[ERROR] $*" >&2
    exit 1
}

function enable_service {
    local service
    for service in "$@"; do
        if [[ ,$ENABLED_SERVICES, != *,$service,* &&
                ,$ENABLED_SERVICES, != *,-$service,* ]]; then
            ENABLED_SERVICES+=,$service
        fi
    done
}

function is_service_enabled {
    local service
    for service in "$@"; do
        [[ ,$ENABLED_SERVICES, == *,$service,* ]] && return 0
    done
    return 1
}

function sudo {
    "$@"
}

function get_python_exec_prefix {
    echo "$WORK/local/bin"
}

# iniset FILE SECTION OPTION VALUE
function iniset {
    local xtrace
    xtrace=$(set +o | grep xtrace)
    set +o xtrace
    touch "$1"
    # The value goes by the environment: awk would read its backslashes.
    VALUE=$4 awk -v "header=[$2]" -v "option=$3" '
        function put() { print option " = " ENVIRON["VALUE"]; done = 1 }
        $0 == header { print; put(); inside = 1; next }
        /^\[/ { inside = 0 }
        inside && $1 == option { next }
        { print }
        END { if (!done) { print "\n" header; put() } }
    ' "$1" > "$WORK/ini.new"
    cat "$WORK/ini.new" > "$1"
    $xtrace
}

# iniget FILE SECTION OPTION
function iniget {
    awk -v "header=[$2]" -v "option=$3" '
        /^\[/ { inside = $0 == header }
        inside && $1 == option { sub(/^[^=]*= */, ""); print }
    ' "$1"
}

function iniset_rpc_backend {
    called iniset_rpc_backend "$1"
    iniset "$2" DEFAULT transport_url "rabbit://stackrabbit:s3cr-bus@$HOST_IP/"
}

function setup_logging {
    iniset "$1" DEFAULT use_journal True
}

function setup_develop {
    [[ -f $1/setup.cfg ]] || die $LINENO "$1 is no project"
    called setup_develop "$1"
}

function create_service_user {
    called create_service_user "$@"
}

function get_or_create_project {
    called get_or_create_project "$@"
    echo "id-of-$1"
}

function get_or_add_user_project_role {
    called get_or_add_user_project_role "$@"
}

function run_process {
    if is_service_enabled "$1"; then
        called run_process "$@"
        echo "$2" > "$WORK/devstack@$1.service"
    fi
}

function stop_process {
    if is_service_enabled "$1"; then
        called stop_process "$@"
        rm -f "$WORK/devstack@$1.service"
    fi
}

exec {BASH_XTRACEFD}>>"$WORK/trace"
source "$DEST/zun-vk/devstack/settings"
set -o xtrace
for step in "$@"; do
    called "== $step"
    if [[ $step == stack:* ]]; then
        set -o errexit
    else
        set +o errexit
    fi
    # As devstack does: an absent phase is an absent parameter.
    # shellcheck disable=SC2086
    source "$DEST/zun-vk/devstack/plugin.sh" ${step/:/ }
done
