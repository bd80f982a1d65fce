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
"""Options of the kubelet's API, which the agent serves for its nodes."""

from oslo_config import cfg

GROUP = 'kubelet_api'

OPTS: list[cfg.Opt] = [
    cfg.PortOpt(
        'port',
        default=10250,
        help="Port of the kubelet's API of the first node that this agent "
             'holds; each further node, and each further agent on this '
             'host, has the next port that is free. 0: kubectl logs, exec, '
             'attach, cp, port-forward and top do not work.'),
    cfg.StrOpt(
        'address',
        default='',
        help='Address it listens on. The API server connects to [node] '
             'address. Empty: all addresses of this host.'),
    cfg.StrOpt(
        'client_ca_file',
        default='',
        help='File with the certificates, PEM, of the authorities whose '
             'client certificates are believed: those of the cluster that '
             "the API server's --kubelet-client-certificate is signed by "
             '(kubeadm: /etc/kubernetes/pki/ca.crt). Read again when it '
             'changes. Empty: bearer tokens only.'),
    cfg.StrOpt(
        'cert_file',
        default='',
        help='File with the certificate, PEM, and those between it and its '
             'root, that the API is served with. Read again when it '
             'changes. Empty: each node requests one from the cluster '
             '(signer kubernetes.io/kubelet-serving), which an admin or an '
             'approver has to approve.'),
    cfg.StrOpt(
        'key_file',
        default='',
        help="File with the certificate's private key, PEM, readable by the "
             "agent's user only. Empty: it is in cert_file."),
    cfg.IntOpt(
        'max_connections',
        default=1000, min=10, max=10000,
        help='Connections that are open at once for each node. At the limit '
             'a new one takes the place of one that has shown no right to '
             'anything; without such it is closed.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
