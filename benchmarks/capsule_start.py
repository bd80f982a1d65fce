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
"""How long a capsule takes to run: this driver and Zun's own two.

Three hosts of the devcloud, alike but for their capsule drivers, each in an
availability zone of its own. In each round every one of them is given the
same capsule, one after the other, as a user of Zun would who has never heard
of Kubernetes; it is deleted before the next is made. The time goes from the
request to Running in Zun's records, and to the moment at which the runtime
says that it started the container.
"""

import argparse
import collections
from collections.abc import Iterator
import contextlib
import statistics
import time
import typing
import uuid

from benchmarks import began as began_module
from benchmarks import common
from benchmarks import records as records_module
from devcloud import api
from devcloud import capsule_driver

OURS = 'zun_vk'
_GOAL = 3.0
# Named in full, for CRI knows no other way; heeds SIGTERM.
_CONTAINER = {
    'image': 'docker.io/library/busybox:latest',
    'command': ['sh', '-c',
                'trap "exit 0" TERM; while :; do sleep 0.2; done'],
    'resources': {'requests': {'cpu': 0.1, 'memory': 64}}}


class Start(typing.NamedTuple):
    """What passed since a capsule was asked for, seconds."""

    answered: float     # Zun's API had taken it, and chosen its host
    sandbox: float      # the runtime had noted the sandbox down
    container: float    # the container was started, says the runtime
    running: float      # Zun's records said Running


def host_of(driver: str) -> str:
    """Return the name of the host with a driver, and of its zone."""
    return f'start-{driver.replace("_", "-")}'


def template(name: str, driver: str) -> dict:
    """Return what is asked of Zun."""
    return {'kind': 'capsule', 'capsuleVersion': 'beta',
            'metadata': {'name': name},
            'spec': {'restartPolicy': 'Never', 'containers': [_CONTAINER]},
            'availabilityZone': host_of(driver)}


class Rounds:
    """Starts capsules with each driver.

    :param deadline: seconds for each step
    """

    def __init__(self, devcloud: api.Devcloud,
                 records: records_module.Records, deadline: float):
        self._where = devcloud.paths
        self._zun = devcloud.openstack('demo').zun
        self._records = records
        self._deadline = deadline

    def start(self, driver: str) -> Start:
        """Have one capsule run, and delete it."""
        name = f'c-{uuid.uuid4().hex[:8]}'
        asked = time.time()
        path = '/capsules/' + self._zun.must(
            'POST', '/capsules/',
            {'template': template(name, driver)}).json()['uuid']
        answered = time.time()
        try:
            running = self._records.wait(name, 'Running', self._deadline)
            began = began_module.began(
                self._where, host_of(driver), driver,
                self._zun.must('GET', path).json())
        finally:
            self._zun.call('DELETE', path)
            self._records.wait_gone(name, self._deadline)
        return Start(*(at - asked for at in (answered, *began, running)))

    def all(self, rounds: int) -> dict[str, list[Start]]:
        """Return what was measured, by driver."""
        for driver in capsule_driver.NAMES:
            self.start(driver)      # has images, networks and connections
        measured = collections.defaultdict(list)
        for number in range(rounds):
            for driver in turn(number):
                measured[driver].append(self.start(driver))
            common.say(f'round {number + 1} of {rounds}: ' + ', '.join(
                f'{driver} ' + ' '.join(
                    f'{part:.2f}' for part in measured[driver][-1])
                for driver in capsule_driver.NAMES) + ' s')
        return measured


def turn(number: int) -> list[str]:
    """Return the drivers in the order of a round; none is always first."""
    names = capsule_driver.NAMES
    first = number % len(names)
    return [*names[first:], *names[:first]]


def result(measured: dict[str, list[Start]]) -> dict:
    """Return medians, and how many times faster this driver is."""
    seconds = {
        driver: {what: _figures([getattr(one, what) for one in starts])
                 for what in Start._fields}
        for driver, starts in measured.items()}
    faster = {driver: {what: common.ratio(
        figures[what]['median'], seconds[OURS][what]['median'])
        for what in ('container', 'running')}
        for driver, figures in seconds.items() if driver != OURS}
    to_cri = faster['cri']['running'] or 0.0
    return {'seconds': seconds, 'times_faster': faster,
            'goal': {'measured': to_cri, 'bound': _GOAL,
                     'met': to_cri >= _GOAL}}


def _figures(values: list[float]) -> dict[str, float]:
    return {'median': round(statistics.median(values), 3),
            'min': round(min(values), 3), 'max': round(max(values), 3)}


@contextlib.contextmanager
def _hosts(devcloud: api.Devcloud) -> Iterator[None]:
    """Have a host for each driver."""
    with contextlib.ExitStack() as stack:
        for driver in capsule_driver.NAMES:
            host = host_of(driver)
            stack.callback(devcloud.remove_host, host)
            devcloud.add_host(host, host, driver)
        yield


def run(rounds: int, deadline: float) -> dict:
    """Return the result; an agent that runs is stopped for it."""
    devcloud = api.Devcloud()
    with contextlib.ExitStack() as stack:
        if devcloud.pid(api.AGENT):
            # It would place pods on these hosts, and look at them.
            stack.callback(devcloud.start_agent)
            devcloud.stop_agent()
        stack.enter_context(_hosts(devcloud))
        records = stack.enter_context(records_module.Records(
            devcloud.paths.run / 'mariadb.sock'))
        return result(Rounds(devcloud, records, deadline).all(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='benchmarks/capsule_start', description=__doc__)
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--deadline', type=float, default=120,
                        help='seconds for each step')
    given = parser.parse_args()
    common.report({'benchmark': 'capsule_start', 'rounds': given.rounds,
                   **run(given.rounds, given.deadline)})


if __name__ == '__main__':
    main()
