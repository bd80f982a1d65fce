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
import json

from oslotest import base

from benchmarks import overhead
from benchmarks import records

_LOG = """\
2026-11-24 08:18:26.091 177 INFO zun_vk.pods [-] Pod a/one: capsule x
2026-11-24 08:18:27.115 177 INFO zun_vk.pods [-] Pod a/on: capsule y
"""
_SECONDS = 'zun_vk_api_call_seconds'


class SpansTestCase(base.BaseTestCase):

    def test_a_pod_is_the_sum_of_its_spans(self):
        spans = overhead.spans(asked=100.0, made=101.5, answering=1.0,
                               running=104.5, ready=104.75)
        self.assertEqual((0.5, 4.0, 0.25), spans)
        self.assertEqual((0.75, 4.75), (spans.agent, spans.pod))

    def test_the_log_tells_when_there_was_a_capsule(self):
        one, other = (overhead.made_at(_LOG, pod)
                      for pod in ('a/one', 'a/on'))
        self.assertAlmostEqual(1.024, other - one, places=3)
        self.assertRaises(RuntimeError, overhead.made_at, _LOG, 'a/o')

    def test_only_requests_for_capsules_count(self):
        text = '\n'.join(
            f'{_SECONDS}_{what}{{call="{call}",service="{service}"}} {value}'
            for what, call, service, value in (
                ('count', 'create capsule', 'zun', '3.0'),
                ('sum', 'create capsule', 'zun', '1.25'),
                ('count', 'get capsule', 'zun', '9.0'),
                ('sum', 'create capsule', 'other', '9.0')))
        self.assertEqual((3, 1.25), overhead.answering(text))
        self.assertEqual((0, 0), overhead.answering(''))


class ResultTestCase(base.BaseTestCase):

    def test_the_agent_is_compared_with_zun_pod_by_pod(self):
        found = overhead.result([
            overhead.Spans(0.125, 4.0, 0.375),
            overhead.Spans(0.0, 2.0, 0.5),
            overhead.Spans(0.0, 8.0, 0.5)], [4.0, 2.0, 8.0])
        self.assertEqual({'measured': 0.125, 'bound': 0.05, 'met': False},
                         found['budget'])
        self.assertEqual({'median': 4.0, 'min': 2.0, 'max': 8.0},
                         found['seconds']['zun'])
        self.assertEqual(1.125, found['pod_to_zun_without_agent'])

    def test_an_agent_that_adds_little_meets_the_budget(self):
        found = overhead.result([overhead.Spans(0.0, 4.0, 0.125)], [4.0])
        self.assertTrue(found['budget']['met'])


class _Watch:
    def __init__(self, *chunks):
        self._chunks = chunks

    def stream(self, _size):
        return iter(self._chunks)


def _event(name, phase, ready='False'):
    return json.dumps({'type': 'MODIFIED', 'object': {
        'metadata': {'name': name}, 'status': {
            'phase': phase, 'conditions': [
                {'type': 'Ready', 'status': ready}]}}}).encode() + b'\n'


class ReadyAtTestCase(base.BaseTestCase):

    def test_events_in_pieces_and_of_other_pods(self):
        text = b''.join((_event('other', 'Running', 'True'),
                         _event('mine', 'Pending'),
                         _event('mine', 'Running', 'True')))
        self.assertLess(0, overhead.ready_at(
            _Watch(text[:50], text[50:-20], text[-20:]), 'mine'))

    def test_a_pod_that_fails_or_never_comes_is_an_error(self):
        for event in (_event('mine', 'Failed'),
                      _event('other', 'Running', 'True')):
            self.assertRaises(RuntimeError, overhead.ready_at,
                              _Watch(event), 'mine')


class ReadTestCase(base.BaseTestCase):

    def test_a_line_has_all_capsules_or_none(self):
        self.assertEqual({}, records.read('-\n'))
        self.assertEqual({'ns_p_1': 'Running', 'ns_q_2': 'None'},
                         records.read('-ns_p_1=Running ns_q_2=None\n'))
