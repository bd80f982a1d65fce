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
"""Options of Zun: how the agent reaches it and how often it looks."""

from oslo_config import cfg

from zun_vk.conf import keystone

GROUP = 'zun'
SERVICE_TYPE = 'container'

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'poll_interval',
        default=10, min=1, max=300,
        help='Seconds between two lists of all capsules. Capsules that are '
             'being made or deleted are looked at more often.'),
    cfg.FloatOpt(
        'requests_per_second',
        default=200, min=0.1, max=10000,
        help='Most requests a second to one endpoint of Zun, over all '
             'threads; as many may follow one another at once. It protects '
             'Zun from an agent that runs away and is far above what normal '
             'work needs. What Zun asks for itself, by answers 429 or 503 '
             'with Retry-After, is obeyed beside it.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)
    keystone.register_opts(conf, GROUP, SERVICE_TYPE)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS + keystone.list_opts(SERVICE_TYPE))]
