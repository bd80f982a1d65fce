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
"""Options of the virtual node."""

from oslo_config import cfg
from oslo_config import types
from oslo_utils import netutils

GROUP = 'node'

# Kubernetes: a node's name is a DNS subdomain.
_NAME = types.String(
    max_length=253, ignore_case=False,
    regex=r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')
# Kubernetes: key=value:Effect, or nothing for no taint at all.
_TAINT = types.String(
    regex=r'^([A-Za-z0-9][-A-Za-z0-9_./]*(=[-A-Za-z0-9_.]*)?'
          r':(NoSchedule|PreferNoSchedule|NoExecute))?$')

OPTS: list[cfg.Opt] = [
    cfg.Opt(
        'name',
        type=_NAME, default='zun-vk', sample_default='zun-vk',
        help='Name of the Node object that stands for the cloud. With '
             'per_availability_zone the name of each is this one, a hyphen '
             'and the zone.'),
    cfg.BoolOpt(
        'per_availability_zone',
        default=False,
        help="Whether there is one node for each availability zone of Zun's "
             'hosts, or one for all. A node whose zone vanishes is cordoned '
             'and stays until a cluster admin deletes it.'),
    cfg.HostAddressOpt(
        'address',
        default=netutils.get_my_ipv4(),
        sample_default='<IPv4 address of this host>',
        help='Address of the node as other parts of the cluster reach the '
             'agent; also the hostIP of its pods.'),
    cfg.FloatOpt(
        'capacity_interval',
        default=10, min=1, max=300,
        help="Seconds between two looks at the cloud's capacity and health."),
    cfg.IntOpt(
        'pods_per_host',
        default=110, min=1,
        help='Pods the node offers for each Zun host that is up and '
             'enabled.'),
    cfg.Opt(
        'taint',
        type=_TAINT, default='virtual-kubelet.io/provider=zun:NoSchedule',
        help='Taint, as key=value:Effect, that keeps pods away which do not '
             'tolerate it. Empty: none. Other taints on the node are left '
             'alone.'),
    cfg.DictOpt(
        'labels',
        default={},
        help='Labels to set on the node beside its own, as key:value pairs. '
             'Other labels on the node are left alone.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
