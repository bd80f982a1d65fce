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

from zun_vk import exceptions
from zun_vk.compute.configs import sandbox
from zun_vk.compute.cri import cri_pb2
from zun_vk.rpc import payload as rpc
from zun_vk.tests.fixtures import pods as plain
from zun_vk.tests.unit.compute.configs import pods


class SandboxTestCase(base.BaseTestCase):

    def _refusal(self, pod, **fields):
        return self.assertRaises(exceptions.ConfigRefused, pods.sandbox_of,
                                 pod, **fields)

    def test_zun_cni_finds_the_capsule_by_the_sandboxs_name(self):
        metadata = pods.sandbox_of(pods.pod(), attempt=2).metadata
        self.assertEqual(
            (pods.CAPSULE, 'shop', pods.UID, 2),
            (metadata.name, metadata.namespace, metadata.uid,
             metadata.attempt))

    def test_labels_say_whose_it_is_whatever_the_pods_own_say(self):
        pod = pods.pod()
        pod['metadata']['labels'] = {
            'app': 'web', 'io.kubernetes.pod.uid': 'another',
            'zun.openstack.org/capsule': 'another'}
        pod['metadata']['annotations'] = {'note': 'x'}
        made = pods.sandbox_of(pod)
        self.assertEqual({
            'app': 'web', 'io.kubernetes.pod.uid': pods.UID,
            'io.kubernetes.pod.name': 'web',
            'io.kubernetes.pod.namespace': 'shop',
            'zun.openstack.org/capsule': pods.CAPSULE,
            'zun.openstack.org/managed-by': 'zun-vk-compute'},
            dict(made.labels))
        self.assertEqual({'note': 'x'}, dict(made.annotations))

    def test_ports_are_told_but_none_is_opened_on_the_host(self):
        made = pods.sandbox_of(pods.pod(plain.container(ports=[
            {'containerPort': 80, 'hostPort': 8080, 'hostIP': '192.0.2.9'},
            {'containerPort': 53, 'protocol': 'UDP'}])))
        self.assertEqual(
            [(cri_pb2.TCP, 80, 0, ''), (cri_pb2.UDP, 53, 0, '')],
            [(port.protocol, port.container_port, port.host_port,
              port.host_ip) for port in made.port_mappings])

    def test_each_pod_has_a_cgroup_of_its_own(self):
        self.assertEqual('/zun-vk/pod' + pods.UID,
                         pods.sandbox_of(pods.pod()).linux.cgroup_parent)

    def test_an_uid_that_leads_elsewhere_is_refused(self):
        for uid in ('../../x', 'a/b', '', '.', 'x' * 129, 'a\n'):
            pod = pods.pod()
            pod['metadata']['uid'] = uid
            self.assertEqual('FailedCreatePodSandBox',
                             self._refusal(pod).reason, uid)

    def test_network_is_the_pods_and_processes_each_containers(self):
        options = pods.sandbox_of(
            pods.pod()).linux.security_context.namespace_options
        self.assertEqual(
            (cri_pb2.POD, cri_pb2.CONTAINER, cri_pb2.POD),
            (options.network, options.pid, options.ipc))

    def test_processes_are_shared_where_the_pod_says_so(self):
        options = pods.sandbox_of(pods.pod(
            shareProcessNamespace=True)).linux.security_context
        self.assertEqual(cri_pb2.POD, options.namespace_options.pid)

    def test_namespaces_of_the_host_are_refused(self):
        for field, value in (('hostNetwork', True), ('hostPID', True),
                             ('hostIPC', True), ('hostUsers', False)):
            refusal = self._refusal(pods.pod(**{field: value}))
            self.assertEqual('FailedCreatePodSandBox', refusal.reason)
            self.assertIn(f'spec.{field}', refusal.message)
        pods.sandbox_of(pods.pod(hostNetwork=False, hostUsers=True))

    def test_security_context_of_the_pod(self):
        security = pods.sandbox_of(pods.pod(securityContext={
            'runAsUser': 0, 'runAsGroup': 7, 'fsGroup': 10,
            'supplementalGroups': [11, 12],
            'seccompProfile': {'type': 'Unconfined'},
            'seLinuxOptions': {'level': 's0:c1', 'type': 't'},
        })).linux.security_context
        self.assertTrue(security.HasField('run_as_user'))
        self.assertEqual(7, security.run_as_group.value)
        self.assertEqual([10, 11, 12], list(security.supplemental_groups))
        self.assertEqual(('s0:c1', 't'), (security.selinux_options.level,
                                          security.selinux_options.type))
        self.assertEqual(cri_pb2.SecurityProfile.RuntimeDefault,
                         security.seccomp.profile_type)

    def test_a_group_is_told_only_beside_a_user(self):
        security = pods.sandbox_of(pods.pod(securityContext={
            'runAsGroup': 7})).linux.security_context
        self.assertFalse(security.HasField('run_as_group'))

    def test_it_is_privileged_only_for_a_container_that_may_be(self):
        pod = pods.pod(plain.container(
            securityContext={'privileged': True}))
        for allowed in (False, True):
            settings = pods.configs.Settings(allow_privileged=allowed)
            made = pods.sandbox_of(pod, settings)
            self.assertIs(allowed, made.linux.security_context.privileged)
        self.assertFalse(pods.sandbox_of(pods.pod(), settings)
                         .linux.security_context.privileged)

    def test_safe_sysctls_are_set(self):
        made = pods.sandbox_of(pods.pod(securityContext={'sysctls': [
            {'name': 'kernel.shm_rmid_forced', 'value': '1'},
            {'name': 'net/ipv4/tcp_syncookies', 'value': '0'}]}))
        self.assertEqual({'kernel.shm_rmid_forced': '1',
                          'net.ipv4.tcp_syncookies': '0'},
                         dict(made.linux.sysctls))

    def test_other_sysctls_are_refused_in_the_kubelets_words(self):
        for name in ('kernel.msgmax', 'net.ipv4.ip_forward', 'vm.swappiness',
                     'net/ipv4.tcp_syncookies', 'net.ipv4/tcp_syncookies',
                     '/kernel.shm_rmid_forced', ''):
            refusal = self._refusal(pods.pod(securityContext={'sysctls': [
                {'name': name, 'value': '1'}]}))
            self.assertEqual(
                ('SysctlForbidden',
                 f'forbidden sysctl: "{name}" not allowlisted'),
                (refusal.reason, refusal.message))

    def test_strict_groups_need_a_runtime_that_knows_them(self):
        pod = pods.pod(securityContext={'supplementalGroupsPolicy': 'Strict'})
        self.assertEqual('SupplementalGroupsPolicyNotSupported',
                         self._refusal(pod).reason)
        made = pods.sandbox_of(pod, pods.configs.Settings(strict_groups=True))
        self.assertEqual(
            cri_pb2.Strict,
            made.linux.security_context.supplemental_groups_policy)

    def test_resources_and_overhead_are_told_apart(self):
        made = pods.sandbox_of(pods.pod(
            plain.container('a', resources=plain.requests('1', '1Gi')),
            plain.container('b', resources={'limits': {'memory': '1Gi'}}),
            overhead={'cpu': '250m', 'memory': '64Mi'})).linux
        self.assertEqual((1024, 100000, 2 * 1024 ** 3), (
            made.resources.cpu_shares, made.resources.cpu_quota,
            made.resources.memory_limit_in_bytes))
        self.assertEqual((256, 25000, 64 * 1024 ** 2), (
            made.overhead.cpu_shares, made.overhead.cpu_quota,
            made.overhead.memory_limit_in_bytes))

    def test_a_malformed_pod_gets_an_error_without_its_values(self):
        for spec in ({'securityContext': {'runAsUser': 'secret'}},
                     {'securityContext': 'secret'},
                     {'securityContext': {'sysctls': ['secret']}},
                     {'overhead': {'cpu': ['secret']}}):
            refusal = self._refusal(pods.pod(**spec))
            self.assertEqual('FailedCreatePodSandBox', refusal.reason)
            self.assertNotIn('secret', refusal.message)


class HostnameTestCase(base.BaseTestCase):

    def _name(self, name='web', domain='', **spec):
        return sandbox.hostname(pods.payload(
            pods.pod(**spec), hostname=name, domain=domain))

    def test_it_is_what_the_agent_says_or_the_pods_name(self):
        self.assertEqual('front', self._name('front'))
        self.assertEqual('web', self._name(''))

    def test_a_long_one_is_cut_and_ends_in_a_letter(self):
        self.assertEqual('a' * 63, self._name('a' * 64))
        self.assertEqual('a' * 61, self._name('a' * 61 + '-.b'))

    def test_it_is_fully_qualified_only_on_demand(self):
        domain = 'sub.shop.svc.cluster.local'
        self.assertEqual('web', self._name(domain=domain))
        self.assertEqual('web.' + domain, self._name(
            domain=domain, setHostnameAsFQDN=True))
        self.assertEqual('web', self._name(setHostnameAsFQDN=True))

    def test_a_fully_qualified_one_that_is_too_long_is_refused(self):
        self._name('a' * 30, 'b' * 33, setHostnameAsFQDN=True)
        refusal = self.assertRaises(
            exceptions.ConfigRefused, self._name, 'a' * 30, 'b' * 34,
            setHostnameAsFQDN=True)
        self.assertIn('failed to construct FQDN from pod hostname and cluster '
                      'domain', refusal.message)


class SandboxDnsTestCase(base.BaseTestCase):

    def test_servers_of_the_agent_replace_the_hosts(self):
        made = pods.sandbox_of(pods.pod(), dns=rpc.Dns(
            ('10.96.0.10',), ('cluster.local',), ('ndots:5',))).dns_config
        self.assertEqual(
            (['10.96.0.10'], ['cluster.local'], ['ndots:5']),
            (list(made.servers), list(made.searches), list(made.options)))

    def test_a_pod_with_default_policy_gets_the_hosts_and_its_own(self):
        made = pods.sandbox_of(pods.pod(), dns_extra=rpc.Dns(
            ('192.0.2.1', '192.0.2.2'), ('mine.example',),
            ('timeout:9', 'rotate'))).dns_config
        self.assertEqual(
            (['192.0.2.1', '192.0.2.2'], ['host.example', 'mine.example'],
             ['timeout:9', 'rotate']),
            (list(made.servers), list(made.searches), list(made.options)))
