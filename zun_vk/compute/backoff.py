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
"""How long a container that ended waits before it is started again.

As the kubelet: at once the first time, then 10 seconds after its end,
doubled with each start up to 5 minutes, and from the beginning again once it
has run for 10 minutes. A new image begins anew as well.
"""

from zun_vk.compute import model
from zun_vk.compute import view as views

FIRST = 10.0
LONGEST = 300.0
#: Seconds of running after which it counts as stable.
STABLE = 2 * LONGEST


def next_backoff(previous: model.Backoff | None, finished_at: float,
                 now: float, spec_hash: str = '') -> model.Backoff:
    """Return what holds for the container that is started now.

    :param previous: what held for the one that ended; None for the first
    :param finished_at: seconds since the epoch, when that one ended
    :param spec_hash: ``model.hash_of`` what is started
    """
    if previous is None or _is_over(previous, finished_at, spec_hash):
        return model.Backoff(FIRST, now, spec_hash)
    return model.Backoff(min(previous.delay * 2, LONGEST), now, spec_hash)


def until(backoff: model.Backoff | None, finished_at: float,
          spec_hash: str = '') -> float:
    """Return until when one that ended waits; 0: it does not.

    :returns: seconds since the epoch
    """
    if backoff is None or _is_over(backoff, finished_at, spec_hash):
        return 0
    return finished_at + backoff.delay


def waits_until(view: views.View, container: dict) -> float:
    """Return until when the container waits after its end; 0."""
    ended = _ended(view, container)
    if ended is None:
        return 0
    return until(view.memory.backoff.get(container['name']),
                 _finished(ended), model.hash_of(container))


def following(view: views.View, container: dict) -> model.Backoff | None:
    """Return what is to be remembered as the container is started.

    None where none of its name has ended yet.
    """
    ended = _ended(view, container)
    if ended is None:
        return None
    return next_backoff(view.memory.backoff.get(container['name']),
                        _finished(ended), view.now, model.hash_of(container))


def _ended(view: views.View, container: dict) -> model.SeenContainer | None:
    """Return the container since whose end there is to be waited.

    One that was killed to be replaced is replaced at once, if the wait
    since the one before it was over by then.
    """
    name = container['name']
    exits = view.exits(name)
    if len(exits) > 1 and exits[0].id in view.memory.again:
        waited = until(view.memory.backoff.get(name), _finished(exits[1]),
                       model.hash_of(container))
        if waited <= _finished(exits[0]):
            return exits[1]
    return exits[0] if exits else view.vanished(name)


def _is_over(backoff: model.Backoff, finished_at: float,
             spec_hash: str) -> bool:
    return (finished_at - backoff.at > STABLE
            or bool(spec_hash and backoff.spec_hash
                    and spec_hash != backoff.spec_hash))


def _finished(container: model.SeenContainer) -> float:
    return container.finished_at / 1e9
