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
import pathlib

import fixtures
import hypothesis
from hypothesis import strategies
import oslotest.base

from zun_vk.compute import netdev
from zun_vk.rpc import stats

HEAD = ('Inter-|   Receive                          |  Transmit\n'
        ' face |bytes packets errs drop fifo frame compressed multicast|'
        'bytes packets errs drop fifo colls carrier compressed\n')
LO = '    lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n'
ETH = '  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n'
NET = '  net1:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n'


class NetDevTestCase(oslotest.base.BaseTestCase):

    def test_it_reads_what_the_kernel_shows(self):
        self.assertEqual(
            stats.Network(7.0, 'eth0', (
                stats.Interface('net1', 5, 0, 6, 0),
                stats.Interface('eth0', 1000, 1, 2000, 3))),
            netdev.parsed(HEAD + LO + NET + ETH, 7.0))

    def test_a_loopback_alone_is_no_network(self):
        self.assertIsNone(netdev.parsed(HEAD + LO, 7.0))

    def test_the_first_one_is_the_default_where_none_is_called_so(self):
        self.assertEqual('net1', netdev.parsed(HEAD + NET, 7.0).default)

    @hypothesis.given(strategies.text())
    def test_no_text_breaks_it(self, text):
        netdev.parsed(text, 1.0)
        netdev.parsed(HEAD + text, 1.0)

    def test_the_network_of_the_host_is_no_pods(self):
        self.assertIsNone(netdev.of_process(os.getpid(), 1.0))

    def test_a_process_that_is_gone_has_none(self):
        self.assertIsNone(netdev.of_process(2 ** 30, 1.0))

    def test_another_network_is_read(self):
        proc = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name in ('self', '42'):
            (proc / name / 'ns').mkdir(parents=True)
            (proc / name / 'ns' / 'net').touch()
        (proc / '42' / 'net').mkdir()
        (proc / '42' / 'net' / 'dev').write_text(HEAD + ETH)
        self.assertEqual('eth0', netdev.of_process(42, 1.0, proc).default)
