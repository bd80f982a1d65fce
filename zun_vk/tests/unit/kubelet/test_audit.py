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
"""That every refusal and every stream is told of, and nothing else is."""

import fixtures
import hypothesis
from hypothesis import strategies
from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk.kubelet import audit
from zun_vk.kubelet import context

ALICE = context.User('alice')


def sample(name, **labels):
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0


class AuditTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.time = 1000.0
        self.log = self.useFixture(fixtures.FakeLogger(
            'zun_vk.kubelet.audit', format='%(levelname)s %(message)s'))
        self.audit = audit.Audit('n1', clock=lambda: self.time)

    @property
    def lines(self):
        return self.log.output.splitlines()

    def refuse(self, status=403, user=ALICE, root='/exec', method='GET',
               peer='192.0.2.1:5'):
        self.audit.refused(status, peer, method, root, user)


class RefusedTestCase(AuditTestCase):

    def test_who_and_what_is_told(self):
        self.refuse()
        self.refuse(401, None, '')
        self.assertEqual(
            ['WARNING refused: status=403 user="alice" peer="192.0.2.1:5" '
             'node=n1 method="GET" route=exec',
             'WARNING refused: status=401 user=- peer="192.0.2.1:5" '
             'node=n1 method="GET" route=other'], self.lines)

    def test_it_is_counted_by_route_and_status(self):
        before = sample('zun_vk_kubelet_refusals_total', code='403',
                        route='metrics')
        self.refuse(root='/metrics/cadvisor')
        self.assertEqual(before + 1, sample(
            'zun_vk_kubelet_refusals_total', code='403', route='metrics'))

    def test_nothing_else_becomes_a_label(self):
        for root in ('/../exec', '/EXEC', 'x' * 999, '/', '', '/etc/passwd'):
            self.assertEqual('other', audit.route_of(root))

    def test_a_flood_is_counted_and_does_not_fill_the_disk(self):
        before = sample('zun_vk_kubelet_refusals_total', code='401',
                        route='exec')
        for _ in range(1000):
            self.refuse(401, None)
        self.assertEqual(10, len(self.lines))
        self.assertEqual(before + 1000, sample(
            'zun_vk_kubelet_refusals_total', code='401', route='exec'))
        self.time += 1
        self.refuse(401, None)
        self.refuse(401, None)
        self.assertEqual(['route=exec not_shown=990', 'route=exec'],
                         [line.partition('"GET" ')[2]
                          for line in self.lines[10:]])

    def test_a_flood_of_nobody_hides_no_user(self):
        for _ in range(100):
            self.refuse(401, None)
        self.refuse()
        self.assertIn('user="alice"', self.lines[-1])

    def test_names_cannot_make_lines(self):
        eve = context.User('eve\nWARNING refused: "x"\x1b[2J\u2028')
        self.refuse(user=eve, method='GET\r\n')
        self.assertEqual(1, len(self.lines))
        self.assertIn(r'user="eve\nWARNING refused: \"x\"\u001b[2J\u2028"',
                      self.lines[0])
        self.assertIn(r'method="GET\r\n"', self.lines[0])

    @hypothesis.given(strategies.text(max_size=400))
    def test_what_is_quoted_is_one_bounded_printable_word(self, text):
        shown = audit.quoted(text)
        self.assertRegex(shown, r'\A"[ -~]*"\Z')
        self.assertLessEqual(len(shown), 12 * 256 + 5)
        self.assertNotRegex(shown[1:-1], r'(?<!\\)(\\\\)*"')


class StreamTestCase(AuditTestCase):

    def stream(self, kind='exec', container='c'):
        return self.audit.stream(kind, ALICE, '192.0.2.1:5', 'ns', 'p',
                                 container)

    def test_begin_and_end_are_told(self):
        with self.stream() as stream:
            self.assertEqual(1, len(self.lines))
            self.time += 2.5
            stream.sent, stream.received, stream.why = 7, 9, 'closed'
        what = ('user="alice" peer="192.0.2.1:5" node=n1 pod="ns/p" '
                'container="c"')
        self.assertEqual(
            [f'INFO exec begins: {what}',
             f'INFO exec ends: {what} seconds=2.500 sent=7 received=9 '
             'why="closed"'], self.lines)

    def test_an_error_tells_its_kind_and_no_more(self):
        for error, why in ((OSError('secret'), '"OSError"'),
                           (exceptions.Refused(404, 'secret'),
                            '"refused 404"')):
            def fail(error=error):
                with self.stream():
                    raise error
            self.assertRaises(type(error), fail)
            self.assertTrue(self.lines[-1].endswith(f'why={why}'))
        self.assertNotIn('secret', self.log.output)

    def test_streams_are_counted(self):
        def seen():
            return [sample('zun_vk_kubelet_streams_total', kind='attach'),
                    sample('zun_vk_kubelet_streams_open', kind='attach'),
                    sample('zun_vk_kubelet_stream_bytes_total',
                           kind='attach', direction='sent'),
                    sample('zun_vk_kubelet_stream_bytes_total',
                           kind='attach', direction='received')]
        total, is_open, sent, received = seen()
        with self.stream('attach') as stream:
            self.assertEqual([total + 1, is_open + 1, sent, received],
                             seen())
            stream.sent, stream.received = 5, 6
        self.assertEqual([total + 1, is_open, sent + 5, received + 6],
                         seen())

    def test_all_streams_are_told_however_many(self):
        for _ in range(30):
            with self.stream('portForward', ''):
                pass
        self.assertEqual(60, len(self.lines))
