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
"""Objects that nobody would write: none may hurt another pod."""

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.functional import base


class TestHostile(base.AgentTestCase):
    """Whatever the API server lets in must not hurt other pods."""

    def survives(self, body):
        """Submit a body; check that another pod runs beside it."""
        namespace = self.namespace()
        hostile = self.submit(body, namespace)
        self.running_pod(name='bystander', namespace=namespace)
        self.assertTrue(self.agent.alive)
        return hostile

    def pod(self, *containers, **fields):
        return pods.pod('hostile', *containers, node=self.agent.node,
                        **fields)

    def test_strange_quantities(self):
        self.survives(self.pod(pods.container(resources={
            'requests': {'cpu': '1n', 'memory': '1'},
            'limits': {'cpu': '9999999999', 'memory': '12e100'}})))

    def test_a_quantity_of_many_digits(self):
        self.survives(self.pod(pods.container(resources=pods.requests(
            '0.' + '1' * 300, '1' * 300))))

    def test_annotations_of_a_quarter_of_a_megabyte(self):
        pod = self.survives(self.pod(
            annotations={'big': 'x' * 250_000, 'zun.openstack.org/uid': '1',
                         'zun.openstack.org/containers': '{"not": "a list"}'
                         }))

        self.wait_ready(pod)

    def test_labels_that_look_like_ours(self):
        pod = self.survives(self.pod(labels={
            'zun.openstack.org/uid': 'forged',
            'zun.openstack.org/node': 'another'}))

        self.wait_ready(pod)
        self.assertIsNotNone(self.capsule(pod))

    def test_every_kind_of_character(self):
        words = 'naïve \u202e\u0001 \U0001f4a5 "quoted" $(X) %s {0}\n'
        pod = self.survives(self.pod(pods.container(
            args=[words], env=[{'name': 'W', 'value': words}],
            workingDir=words)))

        self.wait_ready(pod)
        sent = self.capsule(pod).template['spec']['containers'][0]
        self.assertEqual(words, sent['env']['W'])

    def test_references_that_go_round(self):
        pod = self.survives(self.pod(pods.container(env=[
            {'name': 'A', 'value': '$(B)$(A)'},
            {'name': 'B', 'value': '$(A)$(B)$$(A)$(' * 50}])))

        self.wait_ready(pod)

    def test_variables_that_would_grow_without_end(self):
        doubling = [{'name': 'V0', 'value': 'x' * 1000}] + [
            {'name': f'V{number}', 'value': f'$(V{number - 1})' * 100}
            for number in range(1, 20)]
        args = ['$(V)' * 10_000]

        self.survives(self.pod(pods.container(env=doubling)))
        pod = self.survives(self.pod(pods.container(
            env=[{'name': 'V', 'value': 'x' * 50_000}], args=args)))

        event = self.wait_event(pod, 'Failed')
        self.assertIn('command and args', event['message'])

    def test_a_name_as_long_as_names_get(self):
        body = self.pod()
        body['metadata']['name'] = 'n' * 253
        pod = self.survives(body)

        self.wait_ready(pod)
        self.assertLessEqual(len(self.capsule(pod).name), 220)

    def test_a_hundred_containers(self):
        pod = self.survives(self.pod(*[
            pods.container(f'c-{number}') for number in range(100)]))

        seen = self.wait_ready(pod)
        self.assertEqual(100, len(seen['status']['containerStatuses']))

    def test_a_status_of_somebody_elses_invention(self):
        namespace = self.namespace()
        pod = self.running_pod(namespace=namespace)
        kube.call(self.api.core.patch_namespaced_pod_status, 'web',
                  namespace, {'status': {
                      'phase': 'Pending', 'podIP': '1.2.3.4',
                      'podIPs': [{'ip': '1.2.3.4'}],
                      'containerStatuses': None}}, _content_type=kube.MERGE)

        self.wait_pod(pod, lambda seen: seen['status'][
            'podIP'].startswith('10.42.'), 'put right')
        self.wait_ready(pod)


class TestCrowd(base.AgentTestCase):
    """Many of them, mixed into as many that are well."""

    EACH = 40       # pods of either kind
    PATIENCE = 90   # seconds

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cloud.add_host('big', 10_000, 1 << 24)

    def bad(self, number):
        """Return a pod that the API server takes and nobody can run."""
        host = {'hostPath': {'path': '/etc'}}
        kinds = (
            {'hostPID': True},
            {'hostNetwork': True},
            {'hostIPC': True},
            {'volumes': [{'name': 'host', **host}]},
            {'shareProcessNamespace': True},
            {'initContainers': [pods.container('first')]},
            {'containers': pods.container(image='x')},
            {'containers': pods.container(resources=pods.requests(
                '9999999999', '1'))},
            {'containers': pods.container(resources=pods.requests(
                '1', '12e15'))},
            {'containers': pods.container(securityContext={
                'capabilities': {'add': ['NET_ADMIN']}})},
        )
        kind = dict(kinds[number % len(kinds)])
        containers = [kind.pop('containers', pods.container())]
        return pods.pod(f'bad-{number}', *containers, node=self.agent.node,
                        **kind)

    def good(self, number):
        """Return a pod that runs, though nobody would write it so."""
        words = '\U0001f4a5 "$(X)" $$(Y) %s {0}\n' * (number % 7)
        return pods.pod(f'good-{number}', pods.container(
            args=['sleep', words], env=[{'name': 'W', 'value': words}]),
            node=self.agent.node, labels={'zun.openstack.org/uid': 'forged'})

    def test_each_good_one_runs_and_each_bad_one_is_told_why(self):
        namespace = self.namespace()
        good, bad = [], []
        for number in range(self.EACH):
            bad.append(self.submit(self.bad(number), namespace))
            good.append(self.submit(self.good(number), namespace))

        for pod in good:
            self.wait_ready(pod, self.PATIENCE)
        for pod in bad:
            self.wait_pod(pod, lambda seen, pod=pod: any(
                event['type'] == 'Warning' for event in self.events(pod)),
                'told why', self.PATIENCE)
            self.assertFalse(kube.is_ready(self.now(pod)))
        self.assertTrue(self.agent.alive)
        self.assertNotIn('could not be handled', self.agent.text())
