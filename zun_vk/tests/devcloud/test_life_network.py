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
"""Addresses, names and services of pods: features 26 to 29."""

import urllib.request

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import kube

LOOKS = {'name': 'hostname', 'fqdn': 'hostname -f',
         'hosts': 'cat /etc/hosts', 'dns': 'cat /etc/resolv.conf',
         'env': 'env'}
PORT = 8080


class TestAddresses(life.LifeCase):

    def test_a_pod_is_reached_at_the_address_of_its_neutron_port(self):
        namespace = self.namespace()
        servers = [self.run_pod(
            life.agnhost('main', 'netexec', f'--http-port={PORT}',
                         '--udp-port=-1', readinessProbe={
                             'httpGet': {'path': '/', 'port': PORT},
                             'periodSeconds': 1}),
            hosted.shell(life.UNTIL_TOLD.format(code=0), 'beside'),
            name=name, namespace=namespace) for name in ('one', 'two')]
        one, two = (self.wait_ready(pod) for pod in servers)

        for pod in (one, two):
            status = pod['status']
            address = status['podIP']
            self.assertEqual([{'ip': address}], status['podIPs'])
            port, = map(self.cloud.port,
                        self.cloud.port_ids(self.capsule(pod)))
            self.assertEqual([address], [
                each['ip_address'] for each in port['fixed_ips']])
            self.assertIn(address, self.call(
                pod, 'ip', 'addr', container='beside').stdout.decode())
            url = f'http://{address}:{PORT}/hostname'
            with urllib.request.urlopen(url, timeout=10) as answer:
                self.assertEqual(pod['metadata']['name'],
                                 answer.read().decode())
            other = two if pod is one else one
            self.assertEqual(pod['metadata']['name'], self.get(other, url))
            # Containers of a pod share it.
            self.assertEqual(pod['metadata']['name'], self.get(
                pod, f'http://127.0.0.1:{PORT}/hostname'))

    def get(self, pod, url):
        """Return what a pod gets from a server."""
        said = self.call(pod, 'timeout', '5', 'wget', '-q', '-O-', url,
                         container='beside')
        return (said.stdout + said.stderr).decode()


class TestNames(life.LifeCase):

    def test_pods_have_the_names_they_are_given(self):
        namespace = self.namespace()
        domain = f'sub.{namespace}.svc.cluster.local'

        def look(name, **fields):
            return self.run_pod(hosted.telling(LOOKS), name=name,
                                namespace=namespace, **fields)
        plain = look('plain')
        named = look('named', hostname='custom', subdomain='sub')
        full = look('full', subdomain='sub', setHostnameAsFQDN=True)
        aliased = look('aliased', hostAliases=[
            {'ip': '192.0.2.7', 'hostnames': ['foo', 'bar.test']},
            {'ip': '2001:db8::7', 'hostnames': ['six.test']}])

        said = self.said(plain)
        self.assertEqual(('plain', 'plain'), (said['name'], said['fqdn']))
        self.assertTrue(said['hosts'].startswith(
            '# Kubernetes-managed hosts file'), said['hosts'])
        said = self.said(named)
        self.assertEqual(('custom', f'custom.{domain}'),
                         (said['name'], said['fqdn']))
        self.assertIn(f'{self.address(named)}\tcustom.{domain}\tcustom',
                      said['hosts'])
        said = self.said(full)
        self.assertEqual((f'full.{domain}', f'full.{domain}'),
                         (said['name'], said['fqdn']))
        said = self.said(aliased)
        self.assertIn('192.0.2.7\tfoo\tbar.test', said['hosts'])
        self.assertIn('2001:db8::7\tsix.test', said['hosts'])

    def test_pods_resolve_names_as_they_ask_to(self):
        namespace = self.namespace()

        def look(name, **fields):
            return self.run_pod(hosted.telling(LOOKS), name=name,
                                namespace=namespace, **fields)
        alone = look('none', dnsPolicy='None', dnsConfig={
            'nameservers': ['192.0.2.53', '192.0.2.54'],
            'searches': ['one.test', 'two.test'],
            'options': [{'name': 'ndots', 'value': '2'},
                        {'name': 'edns0'}]})
        added = look('added', dnsPolicy='Default', dnsConfig={
            'nameservers': ['192.0.2.55'], 'searches': ['three.test']})
        first = look('first', dnsPolicy='ClusterFirst')

        self.assertEqual(
            {'nameserver 192.0.2.53', 'nameserver 192.0.2.54',
             'search one.test two.test', 'options ndots:2 edns0'},
            {line.strip() for line in self.said(alone)['dns'].splitlines()})
        said = self.said(added)['dns']
        self.assertIn('nameserver 192.0.2.55', said)
        self.assertIn('three.test', said)
        with open('/etc/resolv.conf') as file:
            own = [line.split()[1] for line in file
                   if line.startswith('nameserver')]
        for server in own[:2]:
            self.assertIn(f'nameserver {server}', said)
        self.succeeded(first)
        # The devcloud has no cluster DNS.
        self.wait_event(first, 'MissingClusterDNS', 5)

    def said(self, pod):
        self.succeeded(pod)
        return self.told(pod)

    def address(self, pod):
        return self.now(pod)['status']['podIP']


class TestServices(life.LifeCase):

    def test_pods_know_the_services_of_their_namespace(self):
        namespace = self.namespace()
        service = self.api.create_service(namespace, 'foo-svc', 8765)
        address = service['spec']['clusterIP']

        linked = self.run_pod(hosted.telling({'env': 'env'}), name='linked',
                              namespace=namespace)
        apart = self.run_pod(hosted.telling({'env': 'env'}), name='apart',
                             namespace=namespace, enableServiceLinks=False)

        lines = self.variables(linked)
        for wanted in (f'FOO_SVC_SERVICE_HOST={address}',
                       'FOO_SVC_SERVICE_PORT=8765',
                       f'FOO_SVC_PORT=tcp://{address}:8765',
                       f'FOO_SVC_PORT_8765_TCP_ADDR={address}',
                       'FOO_SVC_PORT_8765_TCP_PROTO=tcp'):
            self.assertIn(wanted, lines)
        lines = self.variables(apart)
        self.assertFalse(any(line.startswith('FOO_SVC') for line in lines))
        kubernetes = kube.call(self.api.core.read_namespaced_service,
                               'kubernetes', 'default')
        self.assertIn('KUBERNETES_SERVICE_HOST='
                      f'{kubernetes["spec"]["clusterIP"]}', lines)

    def variables(self, pod):
        self.succeeded(pod)
        return self.told(pod)['env'].splitlines()
