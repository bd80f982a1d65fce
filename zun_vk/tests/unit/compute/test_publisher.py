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
import dataclasses
import threading
from unittest import mock

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.compute import publisher
from zun_vk.rpc import bus
from zun_vk.rpc import states
from zun_vk.tests.fixtures import wait


class FakeBus:
    """Keeps what is cast to each server; a server may be down."""

    def __init__(self):
        self.told = []
        self.down = set()

    def peer(self, topic, server):
        peer = mock.create_autospec(bus.Peer, instance=True)

        def cast(method, **arguments):
            if topic in self.down:
                raise exceptions.Unreachable('bus', 'down')
            self.told.append((topic, server, method, arguments))
        peer.cast.side_effect = cast
        return peer

    def to(self, topic, method):
        return [arguments for sent, _, called, arguments in self.told
                if (sent, called) == (topic, method)]


def state(uid='u', node='node', generation=1):
    return states.PodState(uid, f'cap-{uid}', node, generation)


def event(message='words', count=1):
    return states.PodEvent('u', 'ns', 'web', 'Normal', 'Pulled', message,
                           at=5.0, count=count)


class PublisherTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.bus = FakeBus()
        self.publisher = publisher.Publisher(self.bus, 'host-1')
        self.stop = threading.Event()

    def start(self):
        for run in (self.publisher.run_states, self.publisher.run_events):
            thread = threading.Thread(target=run, args=(self.stop,),
                                      daemon=True)
            thread.start()
            self.addCleanup(thread.join, 5)
        self.addCleanup(self.publisher.wake)
        self.addCleanup(self.stop.set)

    def generations(self, topic, method):
        return [wire['generation'] for told in self.bus.to(topic, method)
                for wire in told['states']]

    def test_the_agent_and_zun_compute_are_told(self):
        self.start()
        self.publisher.state(state())
        wait.wait_for(lambda: len(self.bus.told) == 2, 'both are told')
        self.assertEqual({(bus.AGENT, 'node'), (bus.DRIVER, 'host-1')},
                         {told[:2] for told in self.bus.told})

    def test_a_capsule_of_no_agent_is_told_to_zun_compute_alone(self):
        self.start()
        self.publisher.state(state(node=''))
        wait.wait_for(lambda: self.bus.told, 'zun-compute is told')
        self.assertEqual([], self.bus.to(bus.AGENT, 'pod_states'))

    def test_of_a_pod_only_the_newest_waits_while_the_bus_is_down(self):
        self.bus.down = {bus.AGENT}
        for generation in range(5):
            self.publisher.state(state(generation=generation))
        self.start()
        wait.wait_for(lambda: self.bus.told, 'zun-compute is told')
        self.bus.down = set()
        wait.wait_for(lambda: self.generations(bus.AGENT, 'pod_states'),
                      'the agent is told')
        self.assertEqual([4], self.generations(bus.AGENT, 'pod_states'))
        self.assertEqual([4],
                         self.generations(bus.DRIVER, 'capsule_states'))

    def test_what_happened_to_a_pod_is_told_before_its_end(self):
        thread = threading.Thread(target=self.publisher.run_states,
                                  args=(self.stop,), daemon=True)
        self.publisher.event('node', event())
        self.publisher.state(dataclasses.replace(state(), ended=True))
        thread.start()
        self.addCleanup(thread.join, 5)
        self.addCleanup(self.publisher.wake)
        self.addCleanup(self.stop.set)
        wait.wait_for(lambda: self.bus.to(bus.AGENT, 'pod_states'),
                      'the agent is told')
        self.assertEqual(['pod_events', 'pod_states'], [
            method for topic, _, method, _ in self.bus.told
            if topic == bus.AGENT])

    def test_a_report_says_whether_it_is_all(self):
        self.publisher.report('node', [state()], full=False)
        told, = self.bus.to(bus.AGENT, 'pod_states')
        self.assertFalse(told['full'])
        self.bus.told.clear()
        self.publisher.report('node', [state(), state('v')], full=True)
        told, = self.bus.to(bus.AGENT, 'pod_states')
        self.assertTrue(told['full'])
        self.assertEqual(['u', 'v'], [w['uid'] for w in told['states']])

    def test_events_that_repeat_are_counted(self):
        for _ in range(3):
            self.publisher.event('node', event())
        self.publisher.event('node', event('others'))
        self.start()
        wait.wait_for(lambda: self.bus.to(bus.AGENT, 'pod_events'),
                      'events are told')
        told, = self.bus.to(bus.AGENT, 'pod_events')
        self.assertEqual(
            [('words', 3), ('others', 1)],
            [(wire['message'], wire['count']) for wire in told['events']])

    def test_every_node_hears_that_the_host_lives(self):
        self.useFixture(fixtures.MockPatchObject(publisher, '_BEAT', 0.01))
        thread = threading.Thread(
            target=self.publisher.run_beats,
            args=(lambda: {'one', 'two'}, self.stop), daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5)
        self.addCleanup(self.stop.set)
        wait.wait_for(lambda: {'one', 'two'} == {
            server for _, server, _, told in self.bus.told
            if told['states'] == []}, 'both heard it')

    def test_a_storm_of_events_is_bounded(self):
        for number in range(5000):
            self.publisher.event('node', event(str(number)))
        self.start()
        wait.wait_for(lambda: self.bus.to(bus.AGENT, 'pod_events'),
                      'events are told')
        told, = self.bus.to(bus.AGENT, 'pod_events')
        self.assertEqual(2000, len(told['events']))
        self.assertEqual('4999', told['events'][-1]['message'])
