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
"""One look at a pod: its spec, what the runtime shows, what is remembered.

What every part of the decision and of the report asks of them is here, so
that all of them answer alike. Nothing here changes any of it.
"""

import dataclasses
import functools

from zun_vk.compute import model
from zun_vk.compute import policy

#: What a container counts as to have exited with where nobody can tell.
LOST = 137
_LIVE = (model.ContainerState.RUNNING, model.ContainerState.UNKNOWN)


@dataclasses.dataclass(frozen=True)
class View:
    """A pod at a moment.

    :param now: seconds since the epoch
    """

    pod: dict
    seen: model.Seen
    memory: model.PodMemory
    now: float

    @functools.cached_property
    def sandbox(self) -> model.SeenSandbox | None:
        """The newest one, ready or not."""
        return next(iter(self.seen.sandboxes), None)

    @functools.cached_property
    def sound(self) -> bool:
        """Whether the newest sandbox, and no other, is ready."""
        return (self.sandbox is not None and self.sandbox.ready
                and sum(each.ready for each in self.seen.sandboxes) == 1)

    @functools.cached_property
    def live(self) -> tuple[model.SeenContainer, ...]:
        """The containers that run, or may: what must be killed to end."""
        return tuple(container for container in self.seen.containers
                     if container.state in _LIVE)

    def here(self, name: str) -> model.SeenContainer | None:
        """Return the newest of that name in the newest sandbox."""
        return next((container for container in self.seen.all_of(name)
                     if self.sandbox is not None
                     and container.sandbox_id == self.sandbox.id), None)

    def last(self, name: str) -> model.SeenContainer | None:
        """Return the newest of that name, though the runtime lost it."""
        return self.seen.newest(name) or self.vanished(name)

    def vanished(self, name: str) -> model.SeenContainer | None:
        """Return what must have become of one that was reported.

        None where none was, or the runtime still shows some of that name.
        """
        status = self.memory.reported.get(name) or {}
        state = status.get('state') or {}
        if self.seen.newest(name) or not (
                status.get('containerID') or status.get('lastState')):
            return None
        ended = (state.get('terminated')
                 or (status.get('lastState') or {}).get('terminated') or {})
        if not ended and 'running' not in state:
            return None
        code = LOST if 'running' in state else ended.get('exitCode', LOST)
        return model.SeenContainer(
            id='', name=name, state=model.ContainerState.EXITED,
            attempt=status.get('restartCount', 0), exit_code=code)

    def exits(self, name: str) -> list[model.SeenContainer]:
        """Return those of that name that have exited, newest first."""
        return [container for container in self.seen.all_of(name)
                if container.state == model.ContainerState.EXITED]

    def next_attempt(self, name: str) -> int:
        """Return the restart count of the next one of that name."""
        attempts = [container.attempt for container in self.seen.all_of(name)]
        vanished = self.vanished(name)
        if vanished is not None:
            attempts.append(vanished.attempt)
        return max(attempts, default=-1) + 1

    def started(self, container: dict, running: model.SeenContainer) -> bool:
        """Tell whether the startup probe lets the others go on.

        What was reported before the service began anew holds until the
        probe has said otherwise.
        """
        return self._passes(container, running, 'startupProbe', 'started')

    def ready(self, container: dict, running: model.SeenContainer) -> bool:
        """Tell whether a started container is ready; likewise."""
        return self._passes(container, running, 'readinessProbe', 'ready')

    def _passes(self, container: dict, running: model.SeenContainer,
                probe: str, found: str) -> bool:
        """Tell what a probe says, or said.

        :param found: what it is called in ``Probed`` and in a status
        """
        if running.state != model.ContainerState.RUNNING:
            return False
        if container.get(probe) is None:
            return True
        said = getattr(self.memory.probes.get(running.id), found, None)
        return self.reported(running, found) if said is None else said

    def hook_runs(self, container: dict,
                  running: model.SeenContainer) -> bool:
        """Tell whether its postStart hook has not ended, or not begun."""
        hook = self.memory.hooks.get(running.id)
        if hook is not None:
            return not hook.finished
        return (running.name in self.memory.starting
                and policy.has_hook(container, 'postStart'))

    def reported(self, running: model.SeenContainer, field: str) -> bool:
        """Return a flag that was last reported of this very container."""
        status = self.memory.reported.get(running.name) or {}
        return (status.get('containerID') == self.full_id(running)
                and bool(status.get(field)))

    def full_id(self, container: model.SeenContainer) -> str:
        return f'{self.memory.runtime}://{container.id}'


class Draft:
    """A plan that is being made, in one thread."""

    def __init__(self) -> None:
        self.actions: list[model.Action] = []
        self._look_at: float | None = None

    def do(self, *actions: model.Action) -> None:
        self.actions.extend(actions)

    def look(self, at: float) -> None:
        """Say that there is something to do at ``at``."""
        self._look_at = at if self._look_at is None else min(
            at, self._look_at)

    def try_again(self, view: View, identity: str) -> bool:
        """Tell whether a stop need not wait since it failed; else look."""
        at = view.memory.retry_at.get(identity, 0)
        if at > view.now:
            self.look(at)
        return at <= view.now

    def plan(self) -> model.Plan:
        return model.Plan(tuple(self.actions), self._look_at)
