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
from hypothesis import strategies
from oslotest import base

from zun_vk.compute.volumes import etc_hosts


class EtcHostsTestCase(base.BaseTestCase):

    def test_it_is_what_the_kubelet_writes(self):
        self.assertEqual(
            '# Kubernetes-managed hosts file.\n'
            '127.0.0.1\tlocalhost\n'
            '::1\tlocalhost ip6-localhost ip6-loopback\n'
            'fe00::0\tip6-localnet\n'
            'fe00::0\tip6-mcastprefix\n'
            'fe00::1\tip6-allnodes\n'
            'fe00::2\tip6-allrouters\n'
            '10.0.0.5\tweb-0.sub.ns.svc.cluster.local\tweb-0\n'
            'fd00::5\tweb-0.sub.ns.svc.cluster.local\tweb-0\n'
            '\n# Entries added by HostAliases.\n'
            '127.0.0.1\tfoo.local\tbar.local\n',
            etc_hosts.content(
                ['10.0.0.5', 'fd00::5'], 'web-0',
                'sub.ns.svc.cluster.local',
                [{'ip': '127.0.0.1',
                  'hostnames': ['foo.local', 'bar.local']}]))

    def test_a_name_without_a_domain_stands_alone(self):
        text = etc_hosts.content(['10.0.0.5'], 'web', '', [])
        self.assertTrue(text.endswith('ip6-allrouters\n10.0.0.5\tweb\n'))

    @hypothesis.given(strategies.text(max_size=20), strategies.text(
        max_size=20))
    def test_no_alias_makes_another_line(self, ip, name):
        plain = etc_hosts.content(['10.0.0.5'], 'web', '', [])
        text = etc_hosts.content(['10.0.0.5'], 'web', '', [
            {'ip': ip, 'hostnames': [name]}])
        self.assertTrue(text.startswith(plain))
        self.assertIn(text[len(plain):].count('\n'), (0, 3))
