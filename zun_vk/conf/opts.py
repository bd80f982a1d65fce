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
"""Every option of zun_vk, one module per section.

The configuration object is made in ``zun_vk.cmd`` and handed down as an
argument: nothing here or below keeps a global one.
"""

from oslo_config import cfg

from zun_vk.conf import agent
from zun_vk.conf import compute
from zun_vk.conf import kubelet_api
from zun_vk.conf import kubernetes
from zun_vk.conf import metrics
from zun_vk.conf import neutron
from zun_vk.conf import node
from zun_vk.conf import placement
from zun_vk.conf import pods
from zun_vk.conf import tenants
from zun_vk.conf import zun

SECTIONS = (agent, compute, kubelet_api, kubernetes, metrics, neutron, node,
            placement, pods, tenants, zun)


def register_all(conf: cfg.ConfigOpts) -> None:
    """Register the options of every section on ``conf``."""
    for section in SECTIONS:
        section.register_opts(conf)


def read_all(conf: cfg.ConfigOpts) -> None:
    """Read every option once: oslo.config checks a value when it is read.

    :raises cfg.Error, ValueError: an option has a wrong value
    """
    for group, options in list_opts():
        for option in options:
            # Options of other auth plugins are listed, not registered.
            if option.dest in conf[group]:
                conf[group][option.dest]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (section, options) pairs for oslo-config-generator."""
    return [pair for section in SECTIONS for pair in section.list_opts()]
