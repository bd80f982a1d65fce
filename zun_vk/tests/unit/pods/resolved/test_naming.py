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

from oslotest import base

from zun_vk.pods.resolved import naming
from zun_vk.rpc import payload
from zun_vk.tests.unit.pods import strategies

_CLUSTER = naming.Cluster(('10.96.0.10',), 'cluster.local')
_NO_DNS = naming.Cluster((), 'cluster.local')
_SEARCHES = ('shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local')


class HostnameTestCase(base.BaseTestCase):

    def _hostname(self, name='web', **spec):
        made = naming.hostname(strategies.pod(name=name, **spec), _CLUSTER)
        return made.name, made.domain

    def test_a_pod_is_called_by_its_name_unless_it_says_otherwise(self):
        for spec, expected in (
                ({}, ('web', '')), ({'hostname': 'db-0'}, ('db-0', '')),
                ({'subdomain': 'db'}, ('web', 'db.shop.svc.cluster.local')),
                ({'hostname': 'db-0', 'subdomain': 'db'},
                 ('db-0', 'db.shop.svc.cluster.local')),
                ({'hostnameOverride': 'a.example.org', 'hostname': 'x',
                  'subdomain': 'y'}, ('a.example.org', ''))):
            self.assertEqual(expected, self._hostname(**spec))

    def test_a_long_name_is_cut_where_a_hostname_may_end(self):
        self.assertEqual('a' * 63, self._hostname('a' * 70)[0])
        self.assertEqual('a' * 60, self._hostname('a' * 60 + '-.-bbbb')[0])


class ResolvingTestCase(base.BaseTestCase):

    def _resolving(self, cluster=_CLUSTER, **spec):
        return naming.resolving(strategies.pod(**spec), cluster)

    def test_a_pod_asks_the_cluster_first(self):
        for policy in ('ClusterFirst', 'ClusterFirstWithHostNet'):
            made = self._resolving(dnsPolicy=policy)
            self.assertEqual(
                payload.Dns(('10.96.0.10',), _SEARCHES, ('ndots:5',)),
                made.dns)
            self.assertEqual((payload.Dns(), ()), (made.extra, made.notes))

    def test_its_own_configuration_is_added(self):
        config = {'nameservers': ['192.0.2.1', '10.96.0.10'],
                  'searches': ['example.org', 'cluster.local'],
                  'options': [{'name': 'ndots', 'value': '2'},
                              {'name': 'edns0'}]}
        made = self._resolving(dnsConfig=config)
        self.assertEqual(payload.Dns(
            ('10.96.0.10', '192.0.2.1'), (*_SEARCHES, 'example.org'),
            ('ndots:2', 'edns0')), made.dns)

    def test_the_hosts_servers_are_used_where_they_are_wanted(self):
        config = {'searches': ['example.org']}
        made = self._resolving(dnsPolicy='Default', dnsConfig=config)
        self.assertIsNone(made.dns)
        self.assertEqual(payload.Dns(searches=('example.org',)), made.extra)
        self.assertEqual((), made.notes)

    def test_none_is_what_the_pod_says_and_no_more(self):
        made = self._resolving(dnsPolicy='None', dnsConfig={
            'nameservers': ['192.0.2.1']})
        self.assertEqual(payload.Dns(('192.0.2.1',)), made.dns)

    def test_without_dns_of_the_cluster_the_hosts_is_used_and_told(self):
        made = self._resolving(_NO_DNS)
        self.assertIsNone(made.dns)
        note, = made.notes
        self.assertEqual('MissingClusterDNS', note.reason)
        self.assertIn('ClusterFirst', note.message)
        self.assertEqual((), self._resolving(
            _NO_DNS, dnsPolicy='Default').notes)

    def test_what_a_resolver_does_not_take_is_left_out_and_told(self):
        config = {
            'nameservers': [f'192.0.2.{number}' for number in range(5)],
            'searches': ['x' * 254, *(
                f'{number}.{"a" * 100}' for number in range(40))]}
        made = self._resolving(dnsPolicy='None', dnsConfig=config)
        self.assertEqual(3, len(made.dns.servers))
        self.assertLessEqual(len(' '.join(made.dns.searches)), 2048)
        self.assertEqual(f'0.{"a" * 100}', made.dns.searches[0])
        self.assertEqual(2, len(made.notes))
        self.assertEqual({'DNSConfigForming'},
                         {note.reason for note in made.notes})
        self.assertIn('192.0.2.0 192.0.2.1 192.0.2.2',
                      made.notes[0].message)

    def test_any_number_of_options_is_what_a_host_takes(self):
        made = self._resolving(dnsConfig={'options': [
            {'name': f'o{number}'} for number in range(100)]})
        sent = payload.PodPayload('g', strategies.pod(), dns=made.dns)
        self.assertEqual(sent, payload.from_wire(sent.to_wire()))
