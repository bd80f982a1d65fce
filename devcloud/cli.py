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
"""The command line: parse, call, say in one line what went wrong."""

import argparse
from collections.abc import Sequence
import os
from pathlib import Path
import shutil
import signal
import sys

from devcloud import api
from devcloud import binaries
from devcloud import capsule_driver
from devcloud import cloud as clouds
from devcloud import commands
from devcloud import errors
from devcloud import hosts
from devcloud import paths
from devcloud import progress
from devcloud import status


def parser() -> argparse.ArgumentParser:
    """The commands and what they take."""
    top = argparse.ArgumentParser(
        prog='devcloud', description='A one-machine cloud of real Kubernetes '
        'and OpenStack servers, to run and test zun-vk on.')
    parts = top.add_subparsers(dest='command', required=True,
                               metavar='COMMAND')

    def add(name: str, words: str) -> argparse.ArgumentParser:
        return parts.add_parser(name, help=words, description=words)

    bring = add('up', 'install what is missing, start everything (not the '
                'agent), wait until it is healthy; may be repeated')
    bring.add_argument('--capsule-driver', choices=capsule_driver.NAMES,
                       default='', help='what runs capsules on the hosts, '
                       'from now on; at first '
                       f'{capsule_driver.DEFAULT}')
    add('down', 'stop everything; data stay')
    add('wipe', 'stop everything and delete its data')
    add('status', 'a table of the servers')
    env = add('env', 'print export lines for a shell: '
              'eval "$(devcloud env)"')
    env.add_argument('user', nargs='?', choices=('admin', 'demo'),
                     default='admin', help='whose OS_ variables')
    image = add('image', 'make an image archive known to every host')
    image.add_argument('name', help='as pods will name it')
    image.add_argument('tar', type=Path, help='as `docker save` writes it')
    host = add('add-host', 'have one more Zun host here')
    host.add_argument('name')
    host.add_argument('--zone', default='', metavar='ZONE',
                      help='its availability zone, if not the one that Zun '
                      'gives')
    host.add_argument('--capsule-driver', choices=capsule_driver.NAMES,
                      default='', help="what runs capsules on it, if not "
                      "the cloud's")
    for name, words in (('remove-host', 'have an added host no more'),
                        ('logs', "print a server's log"),
                        ('start', 'start one server'),
                        ('stop', 'stop one server'),
                        ('kill', 'end one server with SIGKILL')):
        add(name, words).add_argument('name')
    agent = add('agent', 'the zun-vk agent, with a generated configuration')
    agent.add_argument('action', choices=('start', 'stop', 'restart'))
    agent.add_argument('--config-file', type=Path, action='append',
                       default=[], metavar='EXTRA',
                       help='read after the generated one')
    add('binaries', 'have the Kubernetes programs, print their folder')
    return top


def up(cloud: clouds.Cloud, args) -> None:
    cloud.up(args.capsule_driver)
    cloud.screen.say('the cloud is up; next: devcloud/devcloud status, '
                     'eval "$(devcloud/devcloud env)"')


def down(cloud: clouds.Cloud, args) -> None:
    cloud.down()
    cloud.screen.say('the cloud is down')


def wipe(cloud: clouds.Cloud, args) -> None:
    cloud.wipe()
    cloud.screen.say('the cloud is gone')


def image(cloud: clouds.Cloud, args) -> None:
    cloud.images.add(args.name, args.tar)


def add_host(cloud: clouds.Cloud, args) -> None:
    cloud.add_host(args.name, args.zone, args.capsule_driver)


def remove_host(cloud: clouds.Cloud, args) -> None:
    cloud.remove_host(args.name)


def start(cloud: clouds.Cloud, args) -> None:
    cloud.start(args.name)


def stop(cloud: clouds.Cloud, args) -> None:
    cloud.stop(args.name)


def kill(cloud: clouds.Cloud, args) -> None:
    cloud.kill(args.name)


def agent(cloud: clouds.Cloud, args) -> None:
    if args.action != 'start':
        cloud.agent.stop()
    if args.action != 'stop':
        extra = [path.absolute() for path in args.config_file]
        if not cloud.agent.start(extra):
            cloud.screen.say('the agent runs already')


CHANGING = {'up': up, 'down': down, 'wipe': wipe, 'image': image,
            'add-host': add_host, 'remove-host': remove_host,
            'start': start, 'stop': stop, 'kill': kill, 'agent': agent}


def show_status(where: paths.Paths, args) -> int:
    rows, well = status.rows(clouds.Cloud(where, progress.Screen()))
    print(status.table(status.TITLES, rows))
    print(f'\ncapsule driver: {capsule_driver.chosen(where)}')
    for host, driver in hosts.drivers(where).items():
        print(f'capsule driver on {host}: {driver}')
    return 0 if well else 1


def show_env(where: paths.Paths, args) -> int:
    if not (where.state / 'passwords.json').exists():
        raise errors.DevcloudError(
            f'no cloud in {where.state}: devcloud/devcloud up makes one')
    print(api.exports(where, args.user))
    return 0


def show_log(where: paths.Paths, args) -> int:
    log = where.log(args.name)
    if not log.exists():
        known = sorted(path.stem for path in where.logs.glob('*.log'))
        raise errors.DevcloudError(
            f'no log of {args.name} (there are: {", ".join(known)})')
    with open(log, errors='replace') as stream:
        shutil.copyfileobj(stream, sys.stdout)
    return 0


def have_binaries(where: paths.Paths, args) -> int:
    running = commands.Commands()
    programs = binaries.Binaries(where, running)
    found: list[Path] = []
    if not programs.find():
        screen = progress.Screen()
        runner = progress.Runner(screen, running.abort)
        runner.run([progress.Step(
            clouds.KUBERNETES, lambda: found.append(programs.ensure()),
            log=programs.log)])
    print(programs.find())
    return 0


SHOWING = {'status': show_status, 'env': show_env, 'logs': show_log,
           'binaries': have_binaries}


def run(args: argparse.Namespace, where: paths.Paths) -> int:
    """Do what the command line says; the exit code."""
    if args.command in SHOWING:
        return SHOWING[args.command](where, args)
    clouds.need_root()
    cloud = clouds.Cloud(where, progress.Screen())
    with cloud.locked():
        CHANGING[args.command](cloud, args)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The program.

    :returns: 0; 1 when something went wrong, 130 on Ctrl-C
    """
    os.umask(0o077)
    # What was started must not go on when we are told to end
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    args = parser().parse_args(argv)
    try:
        return run(args, paths.Paths.from_environment())
    except errors.LoggedFailure as error:
        print(f'devcloud: {error.report()}', file=sys.stderr)
    except errors.DevcloudError as error:
        print(f'devcloud: {error}', file=sys.stderr)
    except BrokenPipeError:
        # Whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print('devcloud: interrupted', file=sys.stderr)
        return 130
    return 1
