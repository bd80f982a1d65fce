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

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.compute.configs import dns
from zun_vk.rpc import payload as rpc
from zun_vk.tests.unit.compute.configs import pods

_DOMAINS = st.lists(st.text('abc.', min_size=1, max_size=300), max_size=64)


class ParseTestCase(base.BaseTestCase):

    def test_a_resolv_conf(self):
        self.assertEqual(
            rpc.Dns(('192.0.2.1', '2001:db8::1'), ('b.example', 'c.example'),
                    ('ndots:3', 'rotate')),
            dns.parse('# made by hand\n'
                      'nameserver 192.0.2.1\n'
                      ';nameserver 192.0.2.9\n'
                      'search a.example\n'
                      '  nameserver\t2001:db8::1 # here\n'
                      'domain d.example\n'
                      'search b.example c.example .\n'
                      'options ndots:2 rotate\n'
                      'options ndots:3\n'
                      'nameserver\nsortlist 192.0.2.0\n'))

    def test_nothing_is_nothing(self):
        self.assertEqual(rpc.Dns(), dns.parse(''))

    @hypothesis.given(st.text())
    def test_no_text_is_too_strange(self, text):
        dns.parse(text)


class OfPodTestCase(base.BaseTestCase):

    def _of(self, **parts):
        return dns.of_pod(
            pods.payload(pods.pod(), dns=rpc.Dns(**parts)), rpc.Dns())

    def test_more_than_three_servers_are_cut(self):
        servers = tuple(f'192.0.2.{number}' for number in range(5))
        self.assertEqual(servers[:3],
                         tuple(self._of(servers=servers).servers))

    @hypothesis.given(_DOMAINS)
    def test_searches_are_what_resolvers_bear(self, domains):
        made = list(self._of(searches=tuple(domains)).searches)
        self.assertLessEqual(len(made), 32)
        self.assertLessEqual(len(' '.join(made)), 2048)
        self.assertTrue(all(len(domain) <= 253 for domain in made))
        self.assertEqual(len(set(made)), len(made))

    def test_as_many_searches_as_fit_are_kept(self):
        domains = tuple(f'{number:02}' + 'a' * 126 for number in range(20))
        # 15 of 128 with 14 spaces are 1934; a 16th would make 2063.
        self.assertEqual(domains[:15],
                         tuple(self._of(searches=domains).searches))
        self.assertEqual(32, len(self._of(searches=tuple(
            map(str, range(40)))).searches))
