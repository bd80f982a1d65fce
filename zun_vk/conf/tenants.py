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
"""Options that say which Keystone project a pod runs in."""

from oslo_config import cfg

GROUP = 'tenants'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'default_project',
        help='ID of the Keystone project the capsules are made in. The user '
             'of section [zun] needs a role there. Unset: the project of '
             'section [zun].'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
