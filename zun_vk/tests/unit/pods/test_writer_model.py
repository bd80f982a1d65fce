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
"""The writer against an API server that does as it pleases.

What must hold, whatever fails and in whatever order: the first end that was
published is what the API server has at last, else the newest status; nothing
older follows something newer; nobody else's pod is ever written.
"""

import copy
import itertools
import threading
from unittest import mock

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st

from zun_vk import exceptions
from zun_vk import health
from zun_vk.pods import writer
from zun_vk.tests.unit.pods import strategies

_ENDS = ('Succeeded', 'Failed')
_PHASES = st.sampled_from(['Pending', 'Running', *_ENDS])


class _ApiServer:
    """The pods, and what goes wrong with the next patch."""

    def __init__(self):
        self.numbers = itertools.count(10)
        self.pods = {}  # by name
        self.applied = {}  # by UID: the marks written, in order
        self.patches = 0
        self.outcome = 'ok'
        self.meanwhile = None
        self.violations = []

    def patch_pod_status(self, namespace, name, patch):
        try:
            return self._patch(name, patch)
        except AssertionError as error:
            # The writer tries again whatever it cannot explain.
            self.violations.append(error)
            raise

    def _patch(self, name, patch):
        assert set(patch['metadata']) == {'uid'}, 'a version was sent'
        self.patches += 1
        if self.meanwhile:
            self.meanwhile()
        if self.outcome == 'refused':
            raise exceptions.Unreachable('kubernetes', 'refused')
        if self.outcome == 'denied':
            raise exceptions.AccessDenied('kubernetes', 'webhook', 403)
        pod = self._find(name)
        if self.outcome == 'contended' or (
                pod['metadata']['uid'] != patch['metadata']['uid']):
            raise exceptions.Conflict('kubernetes', 'changed', 409)
        written = self._apply(pod, patch['status'])
        if self.outcome == 'lost':
            raise exceptions.Unreachable('kubernetes', 'reset')
        if self.outcome == 'bug':
            raise KeyError('bug')
        return written

    def get_pod(self, namespace, name):
        return copy.deepcopy(self._find(name))

    def _find(self, name):
        if name not in self.pods:
            raise exceptions.NotFound('kubernetes', 'gone', 404)
        return self.pods[name]

    def _apply(self, pod, status):
        uid = pod['metadata']['uid']
        before = pod.get('status') or {}
        assert before.get('phase') not in _ENDS or status == before, (
            'an end was overwritten')
        if status != before:
            pod['status'] = copy.deepcopy(status)
            pod['metadata']['resourceVersion'] = str(next(self.numbers))
            self.applied.setdefault(uid, []).append(status['mark'])
        return copy.deepcopy(pod)


class _Machine(stateful.RuleBasedStateMachine):

    NAMES = st.sampled_from('ab')

    def __init__(self):
        super().__init__()
        self.api = _ApiServer()
        self.health = health.Health()
        self.writer = writer.StatusWriter(
            self.api, self.health, lambda uid: None)
        self.seen = {}  # by UID: pods as the watch showed them
        self.marks = itertools.count(1)
        self.published = {}  # by UID: statuses in order
        self.patch = mock.patch.object(writer.backoff.Backoff, 'next',
                                       autospec=True, return_value=0.0)
        self.patch.start()

    # The users and the watch

    @stateful.rule(name=NAMES)
    def make_pod(self, name):
        if name in self.api.pods:
            return
        uid = f'{name}-{next(self.api.numbers)}'
        pod = strategies.pod(name=name, uid=uid)
        pod['metadata']['resourceVersion'] = str(next(self.api.numbers))
        self.api.pods[name] = pod
        self.seen[uid] = copy.deepcopy(pod)

    @stateful.rule(name=NAMES)
    def remove_pod(self, name):
        self.api.pods.pop(name, None)

    @stateful.rule(name=NAMES)
    def touch_pod(self, name):
        """Somebody else changes the pod."""
        if name in self.api.pods:
            self.api.pods[name]['metadata']['resourceVersion'] = str(
                next(self.api.numbers))

    @stateful.rule()
    def watch(self):
        alive = {pod['metadata']['uid']: copy.deepcopy(pod)
                 for pod in self.api.pods.values()}
        for uid in self.seen.keys() - alive.keys():
            self.writer.forget(uid)
        self.seen = alive

    # The controller

    @stateful.precondition(lambda self: self.seen)
    @stateful.rule(data=st.data(), phase=_PHASES)
    def publish(self, data, phase):
        uid = data.draw(st.sampled_from(sorted(self.seen)))
        self._publish(uid, {'phase': phase, 'mark': next(self.marks)})

    @stateful.precondition(lambda self: self.seen)
    @stateful.rule(data=st.data())
    def publish_what_the_pod_has(self, data):
        uid = data.draw(st.sampled_from(sorted(self.seen)))
        has = self.writer.newest(self.seen[uid]).get('status')
        if has:
            self._publish(uid, copy.deepcopy(has))

    def _publish(self, uid, status):
        pod = self.writer.newest(self.seen[uid])
        if (pod.get('status') or {}).get('phase') not in _ENDS:
            self.published.setdefault(uid, []).append(status)
        self.writer.publish(pod, status)

    # The writer's thread

    @stateful.rule(outcome=st.sampled_from(
        ['ok', 'ok', 'refused', 'denied', 'contended', 'lost', 'bug']))
    def write(self, outcome):
        self._write(outcome)

    @stateful.precondition(lambda self: self.seen)
    @stateful.rule(data=st.data(), phase=_PHASES | st.none(),
                   outcome=st.sampled_from(['ok', 'refused', 'lost', 'bug']))
    def write_while_another_is_published(self, data, phase, outcome):
        uid = data.draw(st.sampled_from(sorted(self.seen)))
        status = {'phase': phase, 'mark': next(self.marks)}
        has = self.writer.newest(self.seen[uid]).get('status') or status
        self._write(outcome, lambda: self._publish(
            uid, status if phase else copy.deepcopy(has)))

    @stateful.rule(outcome=st.sampled_from(['ok', 'refused', 'lost', 'bug']),
                   name=NAMES)
    def write_while_the_pod_goes(self, outcome, name):
        def go():
            self.remove_pod(name)
            self.watch()
        self._write(outcome, go)

    def _write(self, outcome, meanwhile=None):
        if not self.writer._wanted:
            return
        self.api.outcome, self.api.meanwhile = outcome, meanwhile
        taken = self.writer._take(threading.Event())
        self.writer._try(*taken)
        self.api.outcome, self.api.meanwhile = 'ok', None

    # What must hold

    @stateful.invariant()
    def whatever_waits_has_a_time_since_when(self):
        assert (self.writer._wanted.keys()
                == self.writer._waiting_since.keys())

    @stateful.invariant()
    def the_api_server_saw_nothing_wrong(self):
        assert not self.api.violations, self.api.violations

    @stateful.invariant()
    def nothing_older_follows_something_newer(self):
        for uid, marks in self.api.applied.items():
            order = [status['mark'] for status in self.published[uid]]
            assert _in_order(marks, order), (marks, order)

    def teardown(self):
        try:
            self._settle()
            self.the_api_server_saw_nothing_wrong()
            for pod in self.api.pods.values():
                self._check(pod)
            self.api.pods.clear()
            self.watch()
            assert not self.writer._written and not self.writer._wanted
            assert not self.writer._writing and not self.writer._unsure
            assert not self.writer._ending
            assert not self.writer._pauses and not self.writer._due
        finally:
            self.patch.stop()

    def _settle(self):
        self.watch()
        for _ in range(10):
            self._write('ok')
        assert not self.writer._wanted, 'the writer is never done'

    def _check(self, pod):
        uid = pod['metadata']['uid']
        wanted = self.published.get(uid)
        if not wanted:
            assert not pod.get('status'), 'written without a reason'
            return
        end = next((status for status in wanted
                    if status['phase'] in _ENDS), None)
        assert pod.get('status') == (end or wanted[-1]), (
            pod.get('status'), wanted)


def _in_order(marks, order):
    """Tell whether ``marks`` come in ``order``, others left out."""
    rest = iter(order)
    return all(mark in rest for mark in marks)


class WriterModelTestCase(_Machine.TestCase):
    settings = hypothesis.settings(
        max_examples=100, stateful_step_count=40)
