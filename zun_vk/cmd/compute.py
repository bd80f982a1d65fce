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
"""zun-vk-compute: runs the pods of one Zun host over CRI."""

# ruff: noqa: I001

import os
import sys

# What is not there cannot be used by mistake.
sys.modules.setdefault('eventlet', None)  # type: ignore[arg-type]

# Its core writes to standard error what our own errors say as well.
os.environ.setdefault('GRPC_VERBOSITY', 'NONE')

from oslo_service import backend  # noqa: E402

backend.init_backend(backend.BackendType.THREADING)

from oslo_config import cfg  # noqa: E402

from zun_vk.cmd import program  # noqa: E402
from zun_vk.compute import service  # noqa: E402
from zun_vk.conf import compute as options  # noqa: E402

_NAME = 'zun-vk-compute'
_QUIET = ('oslo.messaging=INFO', 'oslo_messaging=INFO', 'amqp=WARNING',
          'stevedore=WARNING')


def main(argv: list[str] | None = None) -> int:
    """Run the service until a signal ends it.

    :returns: 1 where an option is wrong
    """
    return program.run(_NAME, argv, configure, service.Compute)


def configure(conf: cfg.ConfigOpts, argv: list[str]) -> None:
    """Register the options, parse files and ``argv``, set up logging.

    :raises cfg.Error, ValueError: an option has a wrong value
    """
    options.register_opts(conf)
    program.parse(conf, argv, _NAME, _QUIET)
    for option in options.OPTS:
        conf.compute[option.dest]
    # os-vif's plugins take theirs, such as [os_vif_ovs] ovsdb_connection, from
    # the global configuration.
    cfg.CONF([], project=program.PROJECT, prog=_NAME,
             default_config_files=conf.config_file,
             default_config_dirs=conf.config_dir)


if __name__ == '__main__':
    sys.exit(main())
