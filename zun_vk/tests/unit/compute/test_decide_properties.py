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
"""Whatever happens to whatever pod, these hold."""

from hypothesis import stateful
from hypothesis import strategies as st

from zun_vk.compute import decide
from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.tests.unit.compute import tinyruntime as tiny

_STATE = model.ContainerState
_NAMES = ('r0', 'r1', 'r2', 'i0', 'i1', 'i2')
_FIELDS = st.fixed_dictionaries({}, optional={
    'startupProbe': st.just({}), 'readinessProbe': st.just({}),
    'lifecycle': st.sampled_from([
        {'postStart': {'exec': {}}}, {'preStop': {'exec': {}}},
        {'postStart': {'exec': {}}, 'preStop': {'exec': {}}}])})


@st.composite
def pods(draw):
    regulars = [tiny.container(f'r{index}', **draw(_FIELDS))
                for index in range(draw(st.integers(1, 3)))]
    inits = [tiny.sidecar(f'i{index}', **draw(_FIELDS))
             if draw(st.booleans()) else tiny.container(f'i{index}')
             for index in range(draw(st.integers(0, 3)))]
    return tiny.pod(*regulars, inits=inits, policy=draw(
        st.sampled_from(['Always', 'OnFailure', 'Never'])))


class PodLife(stateful.RuleBasedStateMachine):
    @stateful.initialize(pod=pods())
    def begin(self, pod):
        self.host = tiny.Host(pod)
        self.ran = {}
        self.done = set()
        self.changed = False

    # What happens ------------------------------------------------------

    @stateful.rule()
    def look(self):
        before = len(self.host.log)
        told_to_end = self.host.memory.ending is not None
        had_ended = self.host.memory.ended
        running = self.host.running()
        plan = self.host.look()
        starts = [action for action in self.host.log[before:] if isinstance(
            action, model.StartContainer | model.NewSandbox)]
        if told_to_end or had_ended:
            assert not starts, 'something starts after the end'
        assert plan.ended or not had_ended, 'what ended does no more'
        if plan.ended:
            assert not running
        for start in starts:
            if isinstance(start, model.StartContainer):
                self._check(start, running)

    @stateful.rule(name=st.sampled_from(_NAMES), code=st.sampled_from([0, 1]))
    def exit(self, name, code):
        self.host.exit(name, code)

    @stateful.rule(seconds=st.sampled_from([1, 10, 31, 700]))
    def wait(self, seconds):
        self.host.wait(seconds)

    @stateful.rule()
    def obey(self):
        self.host.obey()

    @stateful.rule(state=st.sampled_from([_STATE.EXITED, _STATE.UNKNOWN]))
    def lose_sandbox(self, state):
        self.host.lose_sandbox(state)

    @stateful.rule(name=st.sampled_from(_NAMES))
    def lose_sight(self, name):
        self.host.exit(name, 0, _STATE.UNKNOWN)

    @stateful.rule()
    def begin_anew(self):
        self.host.begin_anew()

    @stateful.rule(grace=st.sampled_from([0, 5, 60]))
    def end(self, grace):
        self.host.end(grace)

    @stateful.rule(fate=st.sampled_from(['created', 'none']))
    def fail_next_start(self, fate):
        self.host.fates.append(fate)

    @stateful.rule(name=st.sampled_from(_NAMES),
                   kind=st.sampled_from(['Liveness', 'Startup', '']))
    def probe(self, name, kind):
        if name in self.host.running():
            self.host.probe(name, started=not kind, ready=not kind,
                            failed=model.Failure(kind) if kind else None)

    @stateful.rule(name=st.sampled_from(_NAMES),
                   failed=st.sampled_from(['', 'it failed']))
    def hook(self, name, failed):
        if name in self.host.running():
            self.host.hook(name, failed)

    @stateful.rule(index=st.integers(0, 2))
    def change_image(self, index):
        containers = self.host.pod['spec']['containers']
        containers[index % len(containers)]['image'] += '2'
        self.changed = True

    @stateful.rule()
    def collect(self):
        """Remove what a collector may: all dead but the newest two."""
        host, kept = self.host, {}
        for each in reversed(host.containers):
            same = kept.setdefault(each.name, [])
            if each.state == _STATE.RUNNING or len(same) < 2:
                same.append(each)
        host.containers = [each for each in host.containers
                           if each in kept[each.name]]

    # What holds --------------------------------------------------------

    @stateful.invariant()
    def of_each_name_one_runs(self):
        running = self.host.running()
        assert len(running) == len(set(running)), running

    def _check(self, start, running):
        """Check that this was the moment to start it."""
        host, sandbox = self.host, self.host.sandboxes[-1]
        assert sandbox.ready
        assert start.name not in running
        names = [each['name'] for each in policy.initials(host.pod)]
        before = (names[:names.index(start.name)] if start.name in names
                  else names)
        for name in before:
            assert (name, sandbox.id) in self.done or self._passed(
                policy.find(host.pod, name)), f'{start} before {name}'
            self.done.add((name, sandbox.id))
        if start.kind != model.Kind.SIDECAR:
            self._check_policy(start)

    def _check_policy(self, start):
        made = self.host.newest(start.name)
        if made is None or made.state != _STATE.RUNNING:
            return
        times = self.ran[start.name] = self.ran.get(start.name, 0) + 1
        if policy.restart_policy(self.host.pod) == 'Never':
            assert times == 1 or self.changed, 'it never restarts'

    def _passed(self, container):
        """Tell whether those after this init container may start."""
        host = self.host
        sandbox = host.sandboxes[-1]
        here = [each for each in host.containers
                if each.name == container['name']
                and each.sandbox_id == sandbox.id]
        if not policy.is_sidecar(container):
            return any(each.state == _STATE.EXITED and not each.exit_code
                       for each in here)
        hook = host.memory.hooks.get(here[-1].id) if here else None
        probed = host.memory.probes.get(here[-1].id) if here else None
        return bool(here) and (hook is None or hook.finished) and (
            'startupProbe' not in container
            or (probed is not None and probed.started)
            or host.memory.reported[container['name']]['started'])

    def teardown(self):
        """Let nothing more happen: the pod comes to rest as it should."""
        if not hasattr(self, 'host'):
            return
        host = self.host
        host.fates.clear()
        for _ in range(60):
            if not self._calm_down():
                break
        else:
            raise AssertionError('it never comes to rest')
        if host.plan.ended:
            assert not host.running()
            assert not any(each.ready for each in host.sandboxes)
            return
        assert host.memory.ending is None
        self._check_rest()
        host.begin_anew()
        assert decide.what_to_do(host.pod, host.seen(), host.memory,
                                 host.now) == model.Plan()

    def _calm_down(self):
        """Let all that is under way come about; tell if anything was."""
        host, before = self.host, len(self.host.log)
        host.settle()
        for each in host.containers:
            host.memory.probes[each.id] = model.Probed(True, True)
            host.memory.hooks[each.id] = model.PostStart(True)
        under_way = bool(host.memory.killing)
        host.obey()
        for each in policy.initials(host.pod):
            if not policy.is_sidecar(each):
                host.exit(each['name'], 0)
        host.settle()
        if host.plan.look_at is not None:
            assert host.plan.look_at > host.now
            host.wait(host.plan.look_at - host.now)
            under_way = True
        return under_way or len(host.log) > before

    def _check_rest(self):
        host, running = self.host, self.host.running()
        for container in policy.regulars(host.pod):
            last = host.newest(container['name'])
            assert container['name'] in running or not policy.starts_again(
                host.pod, container, last.exit_code)
        for container in policy.initials(host.pod):
            if policy.is_sidecar(container):
                assert container['name'] in running


TestPodLife = PodLife.TestCase
