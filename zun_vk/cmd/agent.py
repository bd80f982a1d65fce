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
"""zun-vk-agent: shows an OpenStack cloud to Kubernetes as a virtual node."""

import sys

# Native threads only: no library may switch to eventlet, nor even load it,
# because it happens to be installed.
sys.modules.setdefault('eventlet', None)  # type: ignore[arg-type]

# The service module binds to a back end when it is imported.
from oslo_service import backend  # noqa: E402

backend.init_backend(backend.BackendType.THREADING)

from zun_vk.kube import lazy  # noqa: E402

lazy.load_classes_late()

from oslo_config import cfg  # noqa: E402

from zun_vk import agent  # noqa: E402
from zun_vk.cmd import program  # noqa: E402
from zun_vk.conf import opts  # noqa: E402

_NAME = 'zun-vk-agent'
# Libraries that log every connection or request.
_QUIET = ('kubernetes=INFO', 'urllib3=INFO', 'keystoneauth=ERROR',
          'zunclient=WARNING', 'stevedore=WARNING')


def main(argv: list[str] | None = None) -> int:
    """Run the agent until a signal ends it.

    :returns: 1 where an option or a credential is wrong
    """
    return program.run(_NAME, argv, configure, agent.Agent)


def configure(conf: cfg.ConfigOpts, argv: list[str]) -> None:
    """Register every option, parse files and ``argv``, set up logging.

    :raises cfg.Error, ValueError: an option has a wrong value
    """
    opts.register_all(conf)
    program.parse(conf, argv, _NAME, _QUIET)
    opts.read_all(conf)


if __name__ == '__main__':
    sys.exit(main())
