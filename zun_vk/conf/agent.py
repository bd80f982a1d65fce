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
"""Options of the agent as one of several."""

from oslo_config import cfg
from oslo_config import types

GROUP = 'agent'

_NAMESPACE = types.String(max_length=63,
                          regex=r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'state_path',
        default='/var/lib/zun-vk',
        help="Directory of the agent's own, which it must be able to write "
             'and nobody else may use (mode 0700): it holds what names this '
             'agent over its restarts, and the keys and certificates of its '
             'nodes. No two agents can share it.'),
    cfg.Opt(
        'namespace',
        type=_NAMESPACE, default='zun-vk',
        help='Kubernetes namespace in which agents show one another that '
             'they are alive, each by a Lease.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
