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
"""Asks many hosts at the same time, and waits for none of them for long.

Flows in: the hosts and what to ask each. Flows out: what those told that
answered in time; the others are logged, and absent.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import queue
import threading

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import metrics
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import fields
from zun_vk.rpc import stats

LOG = logging.getLogger(__name__)

# Hosts that are asked at the same time.
_THREADS = 32
_METHOD = 'stats'
#: Asks a host, for so many seconds; raises Malformed or RemoteError.
Ask = Callable[[str, float], list[stats.Pod]]


def ask_all(node: str, hosts: Sequence[str], ask: Ask, patience: float,
            clock: Callable[[], float]) -> dict[str, list[stats.Pod]]:
    """Return what each host told that answered in time.

    :param node: on whose behalf, for the names of threads
    :param hosts: in the order in which they are asked
    :param patience: seconds for all of them together
    :param clock: monotonic seconds
    """
    until = clock() + patience
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for host in hosts:
        todo.put(host)
    answers: queue.SimpleQueue[
        tuple[str, list[stats.Pod] | None]] = queue.SimpleQueue()

    def work() -> None:
        """Ask until nobody is left; ends with the patience."""
        while (left := until - clock()) > 0:
            try:
                host = todo.get_nowait()
            except queue.Empty:
                return
            answers.put((host, _answer(host, left, ask)))

    for number in range(min(_THREADS, len(hosts))):
        threading.Thread(target=work, daemon=True,
                         name=f'stats-{number}:{node}').start()
    return _collected(answers, len(hosts), until, clock)


def told(bus: bus_module.Bus, host: str, node: str, kind: str,
         seconds: float) -> Iterator[stats.Pod]:
    """Give what a host tells of the pods of a node.

    :raises Malformed: its answer is none; a pod that is none is dropped
    :raises RemoteError: it does not answer
    """
    reply = bus.peer(bus_module.COMPUTE, host).call(
        _METHOD, timeout=seconds, node=node, kind=kind)
    for wire in fields.mappings(reply, 'pods', stats.MAX_PODS):
        try:
            yield stats.from_wire(wire)
        except fields.Malformed as error:
            _dropped(host, error)


def _collected(answers: queue.SimpleQueue, number: int, until: float,
               clock: Callable[[], float]) -> dict[str, list[stats.Pod]]:
    found = {}
    for _ in range(number):
        try:
            host, answer = answers.get(timeout=max(0.0, until - clock()))
        except queue.Empty:
            break
        if answer is not None:
            found[host] = answer
    return found


def _answer(host: str, seconds: float, ask: Ask) -> list[stats.Pod] | None:
    """Return what a host told; None where it did not."""
    try:
        return ask(host, seconds)
    except fields.Malformed as error:
        _dropped(host, error)
    except exceptions.RemoteError as error:
        LOG.info('Host %s does not tell what its pods use: %s', host, error)
    except Exception:  # the top of a thread
        metrics.CRASHES.labels(_METHOD).inc()
        LOG.exception('Host %s could not be asked', host)
    return None


def _dropped(host: str, error: fields.Malformed) -> None:
    metrics.HOST_MESSAGES_DROPPED.labels(_METHOD).inc()
    LOG.warning('%s: a message of host %s is dropped: %s', _METHOD, host,
                error)
