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
"""Options of the pods bound to the virtual node."""

from oslo_config import cfg
from oslo_config import types

GROUP = 'pods'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'capsule_runtime',
        default='compute',
        help='How pods become capsules: a name in the entry point namespace '
             'zun_vk.capsule_runtime. "compute" has zun-vk-compute run them '
             'on the hosts of Zun, with all that a pod may ask for: each '
             'host needs capsule_driver = zun_vk in zun.conf, and this '
             'agent [DEFAULT] transport_url. "rest" uses stock Zun through '
             'its REST API and refuses what that cannot carry. A change '
             'concerns pods that run as well: they must end before.'),
    cfg.IntOpt(
        'workers',
        default=16, min=1, max=256,
        help='Pods that are worked on at the same time.'),
    cfg.StrOpt(
        'daemonsets',
        default='ignore',
        choices=[
            ('ignore', 'they stay Pending, with one event'),
            ('run', 'they run as capsules, as other pods do'),
            ('fail', 'they fail, and their controller makes new ones with '
                     'growing pauses')],
        help='What becomes of pods of DaemonSets that tolerate the taint of '
             'the node: they are made to look after a host, and here is '
             'none. One that runs already is not touched.'),
    cfg.FloatOpt(
        'placement_deadline',
        default=300, min=0, max=31536000,
        help='Seconds that a pod for which Zun finds no room stays Pending '
             'before it fails with OutOfcpu, OutOfmemory or OutOfpods, so '
             'that its controller makes another, which may go elsewhere. 0: '
             'it waits for ever. Time in which something else held the pod '
             'up before, such as a missing Secret, does not count. The '
             'default is the time after which Kubernetes gives up pods on a '
             'node that is out of order.'),
    cfg.HostAddressOpt(
        'kubernetes_service_host',
        help='Where containers reach the API server, for capsules outside '
             "the cluster's network: KUBERNETES_SERVICE_HOST and the "
             'variables that go with it. Unset: the cluster IP of Service '
             'kubernetes.'),
    cfg.PortOpt(
        'kubernetes_service_port',
        default=443, min=1,
        help='The port there: KUBERNETES_SERVICE_PORT. Used only where '
             'kubernetes_service_host is set.'),
    cfg.ListOpt(
        'cluster_dns',
        default=[], item_type=types.IPAddress(),
        help="Addresses of the cluster's DNS servers, as containers reach "
             'them. Empty: pods resolve names as their host does, also those '
             'with dnsPolicy ClusterFirst; an event says so. Three at most '
             'are used.'),
    cfg.HostnameOpt(
        'cluster_domain',
        default='cluster.local',
        help='The domain of the cluster, for search paths and for the full '
             'names of pods that have a subdomain.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
