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
"""Options of Neutron: how the agent finds the ports of failed capsules."""

from oslo_config import cfg

from zun_vk.conf import keystone

GROUP = 'neutron'
SERVICE_TYPE = 'network'


def register_opts(conf: cfg.ConfigOpts) -> None:
    keystone.register_opts(conf, GROUP, SERVICE_TYPE)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, keystone.list_opts(SERVICE_TYPE))]
