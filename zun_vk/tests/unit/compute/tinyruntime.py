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
"""A host for one pod: a runtime without processes, and a worker.

It takes the actions of a plan as the worker does, and keeps what CRI shows
of them; what happens besides (exits, probes, time) is the test's to say.
"""

import copy
import dataclasses

from zun_vk.compute import decide
from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import report

_STATE = model.ContainerState


def container(name, **fields):
    return {'name': name, 'image': 'busybox', **fields}


def pod(*regulars, inits=(), policy='Always', grace=30):
    return {'metadata': {'name': 'pod', 'namespace': 'default',
                         'uid': 'uid'},
            'spec': {'restartPolicy': policy,
                     'terminationGracePeriodSeconds': grace,
                     'containers': list(regulars),
                     'initContainers': list(inits)}}


def sidecar(name, **fields):
    return container(name, restartPolicy='Always', **fields)


def hooked(name, hook='postStart', **fields):
    return container(name, lifecycle={hook: {'exec': {}}}, **fields)


class Host:
    """One pod, its sandboxes and containers, and the worker's memory.

    :param now: seconds since the epoch
    """

    def __init__(self, spec, now=1000.0):
        self.pod = spec
        self.now = now
        self.sandboxes = []
        self.containers = []
        self.memory = model.PodMemory(volumes_ready=True)
        self.plan = model.Plan()
        self.log = []
        #: What becomes of the next starts: ``ok`` when there is no more.
        self.fates = []
        self._made = 0

    # What the test says ------------------------------------------------

    def look(self):
        """Look once and do what there is to do; return the plan."""
        before = copy.deepcopy((self.pod, self.seen(), self.memory))
        self.plan = decide.what_to_do(
            self.pod, self.seen(), self.memory, self.now)
        assert before == (self.pod, self.seen(), self.memory)
        if self.plan.finishing:
            self.memory.finishing = self.plan.finishing
        self.memory.ended = self.memory.ended or self.plan.ended
        for action in self.plan.actions:
            self.log.append(action)
            getattr(self, f'_{type(action).__name__.lower()}')(action)
        self.report()
        return self.plan

    def report(self):
        """Report the containers, by name, as the worker does."""
        ordinary, initial = report.container_statuses(
            self.pod, self.seen(), self.memory, self.now)
        self.memory.reported = {
            status['name']: status for status in initial + ordinary}
        return self.memory.reported

    def settle(self, bound=100):
        """Look until there is nothing to do now."""
        for _ in range(bound):
            if not self.look().actions:
                return self.plan
        raise AssertionError('it never comes to rest')

    def seen(self):
        return model.Seen(tuple(reversed(self.sandboxes)),
                          tuple(reversed(self.containers)))

    def newest(self, name):
        return self.seen().newest(name)

    def running(self):
        return [each.name for each in self.containers
                if each.state == _STATE.RUNNING]

    def started(self):
        """Return the names of what was told to start, in order."""
        return [action.name for action in self.log
                if isinstance(action, model.StartContainer)]

    def exit(self, name, code=0, state=_STATE.EXITED):
        """Let the running container of that name end."""
        for index, each in enumerate(self.containers):
            if each.name == name and each.state in (
                    _STATE.RUNNING, _STATE.UNKNOWN):
                self._end(index, code, state)

    def wait(self, seconds):
        """Let time pass, and kill what had its time."""
        self.now += seconds
        for index, each in enumerate(self.containers):
            killing = self.memory.killing.get(each.id)
            if killing and not killing.held and killing.deadline <= self.now:
                self._end(index, 137)

    def obey(self):
        """Let all that was told to end do so."""
        for index, each in enumerate(self.containers):
            killing = self.memory.killing.get(each.id)
            if killing and not killing.held:
                self._end(index, 143)

    def lose_sandbox(self, state=_STATE.EXITED):
        """Let the sandbox die, and all that is in it."""
        self.sandboxes[-1:] = [dataclasses.replace(each, ready=False)
                               for each in self.sandboxes[-1:]]
        for each in list(self.containers):
            if each.state == _STATE.RUNNING:
                self.exit(each.name, 255, state)

    def begin_anew(self):
        """Let the service restart: what is not recorded is lost."""
        kept = ('ending', 'finishing', 'ended', 'backoff', 'reported')
        self.memory = model.PodMemory(volumes_ready=True, **{
            name: getattr(self.memory, name) for name in kept})

    def end(self, grace, reason=''):
        ending = self.memory.ending
        deadline = self.now + grace
        if ending is None or deadline < ending.deadline:
            self.memory.ending = model.Ending(deadline, grace, reason)

    def probe(self, name, **found):
        self.memory.probes[self.newest(name).id] = model.Probed(**found)

    def hook(self, name, failed=''):
        self.memory.hooks[self.newest(name).id] = model.PostStart(
            True, failed)

    # What the worker does ----------------------------------------------

    def _newsandbox(self, action):
        self._made += 1
        self.sandboxes.append(model.SeenSandbox(
            f's{self._made}', action.attempt,
            created_at=int(self.now * 1e9)))

    def _stopsandbox(self, action):
        self.memory.stopped.add(action.id)
        self.sandboxes = [
            dataclasses.replace(each, ready=False)
            if each.id == action.id else each for each in self.sandboxes]

    def _startcontainer(self, action):
        if action.backoff:
            self.memory.backoff[action.name] = action.backoff
        fate = self.fates.pop(0) if self.fates else 'ok'
        if fate != 'ok':
            self.memory.retry_at[action.name] = self.now + 10
        if fate == 'none':
            return
        spec = policy.find(self.pod, action.name)
        self._made += 1
        made = model.SeenContainer(
            f'c{self._made}', action.name, action.attempt,
            _STATE.RUNNING if fate == 'ok' else _STATE.CREATED,
            created_at=int(self.now * 1e9), started_at=int(self.now * 1e9),
            sandbox_id=self.sandboxes[-1].id, spec_hash=model.hash_of(spec))
        self.containers.append(made)
        if fate == 'ok' and policy.has_hook(spec, 'postStart'):
            self.memory.hooks[made.id] = model.PostStart(False)

    def _killcontainer(self, action):
        self.memory.killing[action.id] = model.Killing(
            self.now + max(action.grace, model.MIN_GRACE), action.hold)
        if action.restart:
            self.memory.again.add(action.id)

    def _end(self, index, code, state=_STATE.EXITED):
        found = self.containers[index]
        if found.state not in (_STATE.RUNNING, _STATE.UNKNOWN):
            return
        self.containers[index] = dataclasses.replace(
            found, state=state, exit_code=code,
            finished_at=int(self.now * 1e9))
        self.memory.killing.pop(found.id, None)
