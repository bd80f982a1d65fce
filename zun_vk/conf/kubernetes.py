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
"""Options of the Kubernetes cluster the virtual node joins."""

from oslo_config import cfg

GROUP = 'kubernetes'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'kubeconfig',
        default='/etc/zun-vk/kubeconfig',
        help='Path of the kubeconfig file with the address of the API server '
             'and the credentials of the agent. Its keys must be readable by '
             "the agent's user only."),
    cfg.StrOpt(
        'node_identity',
        default='csr',
        choices=[
            ('csr', 'every node is the user system:node:<name> of the group '
             'system:nodes, by a client certificate that the agent requests '
             'from the cluster and renews'),
            ('kubeconfig', 'the credentials of the kubeconfig file act as '
             'the node; they need the rights of the node and those of the '
             'agent')],
        help='Who the API server is talked to as, on behalf of a node.'),
    cfg.StrOpt(
        'context',
        help="Context of the kubeconfig file to use. Unset: the file's "
             'current context.'),
    cfg.FloatOpt(
        'timeout',
        default=30, min=1, max=300,
        help='Seconds to wait for an answer of the API server, watches '
             'excepted.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
