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
"""Options of zun-vk-compute, which runs the pods of one host."""

import socket

from oslo_config import cfg

GROUP = 'compute'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'host',
        default=socket.gethostname(), sample_default='<your_hostname>',
        help='Name of this host, the same as [DEFAULT] host in zun.conf.'),
    cfg.StrOpt(
        'runtime_endpoint',
        default='unix:///run/containerd/containerd.sock',
        regex='^unix:///.+',
        help='Socket of the container runtime. It must serve CRI v1: '
             'containerd 1.6 or later, CRI-O 1.20 or later '
             '(unix:///run/crio/crio.sock).'),
    cfg.StrOpt(
        'pod_root',
        default='/var/lib/zun-vk-compute/pods', regex='^/.+',
        help='Where emptyDir volumes on disk and the files of pods are '
             'kept, a directory for each pod.'),
    cfg.StrOpt(
        'log_root',
        default='/var/log/zun-vk-compute/pods', regex='^/.+',
        help='Where the runtime writes the logs of containers. What is in '
             'there belongs to zun-vk-compute: no other kubelet of the host '
             'may use it.'),
    cfg.StrOpt(
        'run_root',
        default='/run/zun-vk', regex='^/.+',
        help='Where the records of pods and the files of Secrets are kept. '
             'It must be on a tmpfs: it holds secrets, and a reboot of the '
             'host has to empty it.'),
    cfg.StrOpt(
        'cgroup_parent',
        default='/zun-vk', regex='^(/.+)?$',
        help='Above the cgroups of all pods. Empty: pods get no cgroup of '
             'their own, only their containers do.'),
    cfg.IntOpt(
        'workers',
        default=32, min=1, max=512,
        help='Pods that are worked on at the same time.'),
    cfg.BoolOpt(
        'allow_privileged',
        default=False,
        help='Whether containers may be privileged. Such a container can '
             'take over the host, and with it what Nova runs there.'),
    cfg.IntOpt(
        'pids_limit',
        default=0, min=0,
        help='Processes and threads that a pod may have; 0: as many as the '
             'host allows.'),
    cfg.IntOpt(
        'container_log_max_size',
        default=10 * 1024 ** 2, min=65536,
        help='Bytes after which the log of a container is rotated.'),
    cfg.IntOpt(
        'container_log_max_files',
        default=5, min=2, max=100,
        help='Log files kept of a container.'),
    cfg.IntOpt(
        'image_gc_high_percent',
        default=85, min=1, max=100,
        help='How full the file system of images may be before images that '
             'nothing uses are removed. 100: they never are.'),
    cfg.IntOpt(
        'image_gc_low_percent',
        default=80, min=0, max=100,
        help='How full it may still be after that.'),
    cfg.StrOpt(
        'resolv_conf',
        default='/etc/resolv.conf', regex='^/.+',
        help="The host's resolver configuration, for pods whose dnsPolicy "
             'is Default.'),
    cfg.StrOpt(
        'stream_address',
        default='',
        help='Address of this host at which agents reach it for exec, '
             'attach, port-forward and logs: it is listened on, and told '
             'to them. Empty: the address of the default route.'),
    cfg.PortOpt(
        'stream_port',
        default=10260,
        help='Port for that; 0: any that is free. Only agents need to '
             'reach it, all of them: let the firewall say so.'),
    cfg.StrOpt(
        'stream_cert_file',
        default='',
        help='Certificate of that port (PEM), with those above it. Agents '
             'are told which one to expect with every stream, whoever '
             'signed it. Read again when it changes. Empty: one is made at '
             'every start.'),
    cfg.StrOpt(
        'stream_key_file',
        default='',
        help='Its key (PEM), readable by root only. Empty: it is in '
             'stream_cert_file.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
