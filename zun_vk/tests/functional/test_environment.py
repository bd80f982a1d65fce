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

from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.functional import base

_VALUE = 'correct horse battery staple'


def variable(name, source, /, **reference):
    """Return an entry of env whose value comes from elsewhere."""
    return {'name': name, 'valueFrom': {source: reference}}


class EnvironmentTestCase(base.AgentTestCase):

    def setUp(self):
        super().setUp()
        self.home = self.namespace()

    def run_with(self, *env, name='web', env_from=(), **fields):
        return self.run_pod(
            pods.container(env=list(env), envFrom=list(env_from)),
            name=name, namespace=self.home, **fields)

    def variables(self, pod):
        """Return the variables of the pod's one container in Zun."""
        self.wait_ready(pod)
        container, = self.capsule(pod).template['spec']['containers']
        return container['env']

    def own(self, pod):
        """Return the variables but for those of the API server."""
        return {name: value for name, value in self.variables(pod).items()
                if not name.startswith('KUBERNETES_')}

    def wait_waiting(self, pod, words):
        """Wait until the pod says that it waits for this."""
        def waits(seen):
            entries = seen['status'].get('containerStatuses') or [{}]
            waiting = entries[0].get('state', {}).get('waiting') or {}
            return (waiting.get('reason') == 'CreateContainerConfigError'
                    and words in waiting.get('message', ''))
        self.wait_pod(pod, waits, f'waits: {words}')
        self.assertEqual('Pending', self.now(pod)['status']['phase'])
        self.assertIsNone(self.capsule(pod))


class TestSources(EnvironmentTestCase):

    def test_variables_come_from_all_that_a_pod_may_name(self):
        self.api.create_secret(self.home, 'db', user='joe', password=_VALUE)
        self.api.create_config_map(
            self.home, 'app', {'mode': 'fast', '1st.key': 'kept'})
        pod = self.run_pod(
            pods.container(
                env=[variable('PASSWORD', 'secretKeyRef', name='db',
                              key='password'),
                     variable('MODE', 'configMapKeyRef', name='app',
                              key='mode'),
                     variable('NAME', 'fieldRef', fieldPath='metadata.name'),
                     variable('APP', 'fieldRef',
                              fieldPath="metadata.labels['app/name']"),
                     variable('NODE', 'fieldRef', fieldPath='spec.nodeName'),
                     variable('HOST', 'fieldRef', fieldPath='status.hostIP'),
                     variable('ACCOUNT', 'fieldRef',
                              fieldPath='spec.serviceAccountName'),
                     variable('MEMORY', 'resourceFieldRef',
                              resource='limits.memory', divisor='1Mi'),
                     {'name': 'URL', 'value': '$(P_user):$(PASSWORD)@$$(X)'}],
                envFrom=[{'secretRef': {'name': 'db'}, 'prefix': 'P_'},
                         {'configMapRef': {'name': 'app'}}],
                resources={'limits': {'memory': '96Mi'}}),
            namespace=self.home, labels={'app/name': 'shop'})

        self.assertEqual({
            'PASSWORD': _VALUE, 'MODE': 'fast', 'NAME': 'web',
            'APP': 'shop', 'NODE': self.agent.node, 'HOST': '127.0.0.1',
            'ACCOUNT': 'default', 'MEMORY': '96', 'P_user': 'joe',
            'P_password': _VALUE, 'mode': 'fast', '1st.key': 'kept',
            'URL': f'joe:{_VALUE}@$(X)'}, self.own(pod))
        event = self.wait_event(pod, 'ZunMeaningDiffers')
        self.assertIn('spec.containers[0].env[0].valueFrom.secretKeyRef',
                      event['message'])
        self.assertIn('spec.containers[0].envFrom[0].secretRef',
                      event['message'])
        self.assertEqual([], [
            event for event in self.events(pod) if _VALUE in str(event)])
        self.assertNotIn(_VALUE, self.agent.text())

    def test_a_missing_limit_is_what_the_node_has(self):
        pod = self.run_with(variable(
            'CPUS', 'resourceFieldRef', resource='limits.cpu',
            divisor='1m'))

        cpus = int(self.own(pod)['CPUS'])
        self.assertGreater(cpus, 0)
        self.assertEqual(0, cpus % 1000)

    def test_services_of_the_namespace_are_there_if_wanted(self):
        service = self.api.create_service(self.home, 'shop-db', 5432)
        address = service['spec']['clusterIP']
        linked = self.run_with()
        alone = self.run_with(name='alone', enableServiceLinks=False)

        made = self.variables(linked)
        self.assertEqual(address, made['SHOP_DB_SERVICE_HOST'])
        self.assertEqual('5432', made['SHOP_DB_SERVICE_PORT'])
        self.assertEqual(f'tcp://{address}:5432',
                         made['SHOP_DB_PORT_5432_TCP'])
        self.assertEqual('10.96.0.1', made['KUBERNETES_SERVICE_HOST'])
        self.assertEqual('443', made['KUBERNETES_SERVICE_PORT_HTTPS'])
        made = self.variables(alone)
        self.assertEqual('10.96.0.1', made['KUBERNETES_SERVICE_HOST'])
        self.assertNotIn('SHOP_DB_SERVICE_HOST', made)

    def test_a_pod_sees_the_service_made_just_before_it(self):
        for name in ('one', 'two', 'three'):
            self.api.create_service(self.home, name, 80)
            pod = self.run_with(name=name)
            self.assertIn(f'{name.upper()}_SERVICE_HOST',
                          self.variables(pod))

    def test_a_pod_does_not_get_what_another_namespace_has(self):
        self.api.create_secret(self.home, 'db', user='joe')
        self.variables(self.run_with(
            variable('A', 'secretKeyRef', name='db', key='user')))
        self.home = self.namespace()

        pod = self.run_with(
            variable('A', 'secretKeyRef', name='db', key='user'))

        self.wait_waiting(pod, 'secret "db" not found')


class TestMissing(EnvironmentTestCase):

    def test_a_pod_waits_for_its_secret_and_starts_when_it_comes(self):
        pod = self.run_with(
            variable('A', 'secretKeyRef', name='late', key='k'))

        self.wait_waiting(pod, 'secret "late" not found')
        event = self.wait_event(pod, 'MandatorySecretNotFound')
        self.assertEqual('Warning', event['type'])
        self.assertEqual([], self.events(pod, 'FailedCreatePodSandBox'))
        self.api.create_secret(self.home, 'late', k='v')
        self.assertEqual({'A': 'v'}, self.own(pod))

    def test_a_pod_waits_for_a_key_of_what_is_there(self):
        self.api.create_config_map(self.home, 'app', {'other': 'x'})
        pod = self.run_with(
            variable('A', 'configMapKeyRef', name='app', key='k'))

        self.wait_waiting(pod, f"couldn't find key k in ConfigMap "
                          f'{self.home}/app')
        self.wait_event(pod, 'MandatoryConfigMapNotFound')
        self.api.patch_config_map(self.home, 'app', {'k': 'v'})
        self.assertEqual({'A': 'v'}, self.own(pod))

    def test_what_is_optional_is_left_out_and_that_is_said_once(self):
        pod = self.run_with(
            variable('A', 'secretKeyRef', name='gone', key='k',
                     optional=True),
            variable('B', 'configMapKeyRef', name='gone', key='k',
                     optional=True),
            env_from=[{'secretRef': {'name': 'gone', 'optional': True}}])

        self.assertEqual({}, self.own(pod))
        for reason in ('OptionalSecretNotFound',
                       'OptionalConfigMapNotFound'):
            event = self.wait_event(pod, reason)
            self.assertEqual(1, event['count'])
            self.assertIn('"gone" not found', event['message'])

    def test_what_does_not_fit_into_zun_is_said_and_others_go_on(self):
        self.api.create_config_map(self.home, 'big', {'k': 'x' * 70_000})
        pod = self.run_with(
            variable('A', 'configMapKeyRef', name='big', key='k'))
        other = self.run_with(name='other')

        self.wait_waiting(pod, '65535 bytes')
        self.wait_ready(other)

    def test_a_waiting_pod_is_not_written_again_and_again(self):
        pod = self.run_with(env_from=[{'configMapRef': {'name': 'gone'}}])
        self.wait_waiting(pod, 'configmap "gone" not found')
        self.wait_event(pod, 'MandatoryConfigMapNotFound')
        version = self.now(pod)['metadata']['resourceVersion']

        hold_for(lambda: self.now(pod)['metadata'][
            'resourceVersion'] == version, 'the pod is not written', 4)
        self.assertEqual([1], [event['count'] for event in self.events(
            pod, 'MandatoryConfigMapNotFound')])

    def test_a_waiting_pod_can_be_deleted(self):
        pod = self.run_with(env_from=[{'secretRef': {'name': 'gone'}}])
        self.wait_waiting(pod, 'secret "gone" not found')

        self.delete(pod)

        self.wait_gone(pod)


class TestOutage(base.OwnAgentTestCase):

    def make_kube(self):
        return self.useFixture(kubernetes.Kubernetes())

    def test_a_pod_that_waits_gets_one_capsule_after_an_outage(self):
        self.agent.start_ready()
        home = self.namespace()
        pod = self.run_pod(
            pods.container(envFrom=[{'secretRef': {'name': 'late'}}]),
            namespace=home)
        self.wait_event(pod, 'MandatorySecretNotFound')

        self.kube.stop_server()
        hold_for(lambda: not self.capsule(pod), 'nothing is made', 12)
        self.kube.start_server()
        self.api.create_secret(home, 'late', k='v')

        self.wait_ready(pod, 40)
        self.assertEqual('v', self.capsule(pod).template['spec'][
            'containers'][0]['env']['k'])


class TestAPIServerElsewhere(base.AgentTestCase):

    OPTIONS = {'pods': {'kubernetes_service_host': 'api.example.org',
                        'kubernetes_service_port': 6443}}

    def test_pods_are_told_where_they_reach_it(self):
        pod = self.running_pod()

        container, = self.capsule(pod).template['spec']['containers']
        self.assertEqual('api.example.org',
                         container['env']['KUBERNETES_SERVICE_HOST'])
        self.assertEqual('tcp://api.example.org:6443',
                         container['env']['KUBERNETES_PORT'])
