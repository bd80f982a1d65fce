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
import os
import signal
from unittest import mock

import hypothesis
from hypothesis import strategies as st

from devcloud import demo
from devcloud import demo_view
from devcloud import preconditions
from zun_vk.tests.unit.devcloud import base


def pod(name, uid, address):
    return {'metadata': {'name': name, 'uid': uid},
            'status': {'podIP': address} if address else {}}


def capsule(*ports):
    return {'addresses': {'net': [{'addr': f'10.0.0.{port}',
                                   'port': f'port-{port}'}
                                  for port in ports]}}


PORTS = {f'port-{i}': {'fixed_ips': [{'ip_address': f'10.0.0.{i}'}]}
         for i in (1, 2)}


class AddressesTestCase(base.TestCase):

    def test_a_pod_with_its_ports_address_is_right(self):
        self.assertEqual([], demo.wrong_addresses(
            [pod('a', 'u', '10.0.0.1')], {'u': capsule(1)}, PORTS))

    def test_another_address_is_named(self):
        problem, = demo.wrong_addresses(
            [pod('a', 'u', '10.0.0.2')], {'u': capsule(1)}, PORTS)
        self.assertIn('pod a', problem)
        self.assertIn('10.0.0.2', problem)
        self.assertIn('10.0.0.1', problem)

    def test_zuns_own_word_for_the_address_is_not_enough(self):
        problem, = demo.wrong_addresses(
            [pod('a', 'u', '10.0.0.7')], {'u': capsule(7)}, PORTS)
        self.assertIn('none', problem)

    def test_a_pod_without_a_capsule_or_an_address_is_named(self):
        self.assertEqual(2, len(demo.wrong_addresses(
            [pod('a', 'u', '10.0.0.1'), pod('b', 'v', None)],
            {'v': capsule(2)}, PORTS)))


class FiguresTestCase(base.TestCase):

    @hypothesis.given(st.integers(0, 999), st.integers(0, 9),
                      st.sampled_from([1.0, 1.5, 50.0]))
    def test_free_is_what_the_ratio_makes_of_the_unreserved(
            self, total, reserved, ratio):
        stock = {'total': total, 'reserved': reserved,
                 'allocation_ratio': ratio}
        free = int(demo_view.figures(stock, 3)[-1])
        self.assertEqual(int((total - reserved) * ratio) - 3, free)

    def test_the_time_to_ready_is_the_clusters_own(self):
        ready = {'type': 'Ready', 'status': 'True',
                 'lastTransitionTime': '2026-11-23T09:00:05Z'}
        row = {'metadata': {'creationTimestamp': '2026-11-23T09:00:01Z'},
               'status': {'conditions': [ready]}}
        self.assertEqual('4 s', demo_view.started_after(row))
        ready['status'] = 'False'
        self.assertEqual('-', demo_view.started_after(row))


class PreconditionsTestCase(base.TestCase):

    def test_who_is_not_root_is_told_in_one_line(self):
        with mock.patch.object(os, 'geteuid', autospec=True,
                               return_value=1000):
            self.assertIn('root', preconditions.missing())

    def test_a_machine_that_is_no_debian_is_told(self):
        with mock.patch.object(os, 'geteuid', autospec=True,
                               return_value=0), \
                mock.patch.object(preconditions.shutil, 'which',
                                  autospec=True, return_value=None):
            self.assertIn('apt', preconditions.missing())

    def test_main_says_what_is_missing_and_exits_2(self):
        self.addCleanup(os.umask, os.umask(0o022))
        self.addCleanup(signal.signal, signal.SIGTERM,
                        signal.getsignal(signal.SIGTERM))
        with mock.patch.object(preconditions, 'missing', autospec=True,
                               return_value='it lacks a thing'):
            self.assertEqual(2, demo.main())
