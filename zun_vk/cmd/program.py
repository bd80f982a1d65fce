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
"""Runs a service of ours as a program; to be imported with a back end chosen.

Flows in: a command line. Flows out: the service until a signal ends it, or
one line on standard error that names what is wrong.
"""

from collections.abc import Callable
from collections.abc import Iterable
import sys
import typing

from oslo_config import cfg
from oslo_log import log as logging
from oslo_reports import guru_meditation_report as gmr
from oslo_reports import opts as gmr_opts
from oslo_service import service

from zun_vk import exceptions
from zun_vk import version
from zun_vk.cmd import limits

LOG = logging.getLogger(__name__)

PROJECT = 'zun-vk'


def run(name: str, argv: list[str] | None,
        configure: Callable[[cfg.ConfigOpts, list[str]], None],
        build: Callable[[cfg.ConfigOpts], typing.Any]) -> int:
    """Run a service until a signal ends it.

    :param name: of the program
    :param argv: None: that of the process
    :param configure: raises cfg.Error or ValueError
    :param build: makes the service; its ``preflight`` tries what it is given
    :returns: 1 where an option or a credential is wrong
    """
    limits.raise_descriptors()
    conf = cfg.ConfigOpts()
    try:
        configure(conf, sys.argv[1:] if argv is None else argv)
        built = build(conf)
        built.preflight()
    except (cfg.Error, ValueError, exceptions.ConfigError) as error:
        print(f'{name}: {error}', file=sys.stderr)
        return 1
    gmr.TextGuruMeditation.setup_autorun(version, conf=conf)
    conf.log_opt_values(LOG, logging.DEBUG)
    service.launch(conf, built, workers=1, no_fork=True).wait()
    return 0


def parse(conf: cfg.ConfigOpts, argv: list[str], name: str,
          quiet: Iterable[str]) -> None:
    """Parse files and ``argv``, and set up logging.

    :param conf: with the program's options registered
    :param quiet: levels of libraries that say too much, ``amqp=WARNING``
    :raises cfg.Error, ValueError: an option has a wrong value
    """
    logging.register_options(conf)
    gmr_opts.set_defaults(conf)
    logging.set_defaults(
        default_log_levels=logging.get_default_log_levels() + list(quiet))
    conf(argv, project=PROJECT, prog=name, version=version.version_string())
    logging.setup(conf, PROJECT)
