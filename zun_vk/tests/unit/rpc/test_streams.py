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
import contextlib

import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.rpc import fields
from zun_vk.rpc import streams

TOKEN = 'a' * 43
ANYTHING = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers()
    | strategies.floats() | strategies.text(max_size=20),
    lambda inner: strategies.lists(inner, max_size=4)
    | strategies.dictionaries(strategies.text(max_size=9), inner,
                              max_size=4))


def logs():
    return streams.StreamRequest(
        streams.LOGS, 'uid-1', 'main', logs=streams.LogOptions(
            2, True, True, 10, 12.5, 4096, streams.STDERR))


def execution(**fields):
    return streams.StreamRequest(
        **{'kind': streams.EXEC, 'uid': 'uid-1', 'container': 'main',
           'container_id': 'c1', 'command': ('sh', '-c', ''), 'stdin': True,
           'tty': True} | fields)


class RequestTestCase(base.BaseTestCase):

    def test_requests_survive_the_bus(self):
        for request in (
                logs(), execution(),
                streams.StreamRequest(streams.ATTACH, 'u', 'c', stdout=True),
                streams.StreamRequest(streams.PORT_FORWARD, 'u',
                                      ports=(80, 443)),
                streams.StreamRequest(streams.RUN, 'u', 'c', command=('id',),
                                      seconds=3)):
            with self.subTest(kind=request.kind):
                self.assertEqual(request,
                                 streams.from_wire(request.to_wire()))

    def test_what_makes_no_sense_is_refused(self):
        for wrong in (
                execution(kind='shell'), execution(uid='../etc'),
                execution(uid=''), execution(container=''),
                execution(command=()), execution(stdin=False),
                execution(command=('x',) * 4097),
                execution(command=('x' * 1024,) * 1025),
                execution(kind=streams.ATTACH),
                execution(logs=streams.LogOptions()),
                execution(ports=(0,)), execution(ports=(65536,)),
                execution(ports=(True,)),
                streams.StreamRequest(streams.LOGS, 'u', 'c')):
            with self.subTest(wrong=wrong):
                self.assertRaises(fields.Malformed, streams.from_wire,
                                  wrong.to_wire())

    @hypothesis.given(strategies.sampled_from(sorted(
        execution().to_wire())), ANYTHING)
    def test_no_field_crashes_it(self, name, value):
        for request in (execution(), logs()):
            with contextlib.suppress(fields.Malformed):
                streams.from_wire(request.to_wire() | {name: value})

    @hypothesis.given(strategies.sampled_from(sorted(vars(
        streams.LogOptions()))), ANYTHING)
    def test_no_log_option_crashes_it(self, name, value):
        wire = logs().to_wire()
        wire['logs'][name] = value
        with contextlib.suppress(fields.Malformed):
            streams.from_wire(wire)

    def test_a_command_is_not_shown(self):
        self.assertNotIn('secret', repr(execution(command=('secret',))))


class ReplyTestCase(base.BaseTestCase):

    def opened(self, **fields):
        return streams.Opened(**{
            'address': '10.0.0.1', 'port': 10260, 'fingerprint': 'ab' * 32,
            'token': TOKEN} | fields)

    def test_replies_survive_the_bus(self):
        for reply in (self.opened(), self.opened(address='fd00::1'),
                      streams.Declined('no', 404)):
            self.assertEqual(reply,
                             streams.reply_from_wire(reply.to_wire()))

    def test_what_makes_no_sense_is_refused(self):
        for wrong in (
                self.opened(address='host.example'), self.opened(port=0),
                self.opened(fingerprint='AB' * 32), self.opened(token='x'),
                self.opened(token=TOKEN + '\n'),
                streams.Declined('no', 200)):
            with self.subTest(wrong=wrong):
                self.assertRaises(fields.Malformed, streams.reply_from_wire,
                                  wrong.to_wire())

    @hypothesis.given(ANYTHING)
    def test_nothing_crashes_it(self, message):
        self.assertRaises(fields.Malformed, streams.reply_from_wire, message)

    def test_a_token_is_not_shown(self):
        self.assertNotIn(TOKEN, repr(self.opened()))
