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
import json

from oslotest import base

from zun_vk import exceptions
from zun_vk.pods import amounts
from zun_vk.pods import request
from zun_vk.rpc import marks
from zun_vk.tests.fixtures.openstack import zun_schema
from zun_vk.tests.unit.pods import strategies


def _container(name='main', cpu=None, memory=None, **fields):
    asked = {resource: amount for resource, amount in
             (('cpu', cpu), ('memory', memory)) if amount}
    return strategies.container(
        name, resources={'requests': asked} if asked else {}, **fields)


class AmountsTestCase(base.BaseTestCase):
    """Kubernetes: init containers, sidecars and overhead."""

    def _cpu(self, *containers, **spec):
        return amounts.pod(strategies.pod(*containers, **spec), 'cpu')

    def test_containers_run_side_by_side(self):
        self.assertEqual(300, self._cpu(_container('a', '100m'),
                                        _container('b', '200m')))

    def test_the_largest_init_container_counts_if_it_is_more(self):
        init = [_container('i', '500m'), _container('j', '400m')]
        self.assertEqual(500, self._cpu(
            _container('a', '100m'), initContainers=init))
        self.assertEqual(600, self._cpu(
            _container('a', '600m'), initContainers=init))

    def test_sidecars_count_with_what_runs_beside_them(self):
        sidecar = _container('s', '100m', restartPolicy='Always')
        init = _container('i', '500m')
        main = _container('a', '100m')
        self.assertEqual(200, self._cpu(main, initContainers=[sidecar]))
        self.assertEqual(600, self._cpu(main,
                                        initContainers=[sidecar, init]))
        self.assertEqual(500, self._cpu(main,
                                        initContainers=[init, sidecar]))

    def test_overhead_and_the_pods_own_request(self):
        main = _container('a', '100m')
        self.assertEqual(350, self._cpu(main, overhead={'cpu': '250m'}))
        self.assertEqual(1250, self._cpu(
            main, overhead={'cpu': '250m'},
            resources={'requests': {'cpu': '1'}}))


class RequestTestCase(base.BaseTestCase):

    def _template(self, *containers, **spec):
        pod = strategies.pod(*containers, **spec)
        made = request.translate(pod, strategies.OWNER).template
        zun_schema.check({'template': made})
        return made

    def test_zun_is_told_nothing_that_may_be_a_secret(self):
        made = self._template(
            _container(command=['sh', '-c', 'hunter2'], args=['hunter2'],
                       env=[{'name': 'A', 'value': 'hunter2'}],
                       workingDir='/hunter2'),
            initContainers=[_container('i', command=['hunter2'])])
        self.assertNotIn('hunter2', json.dumps(made))
        self.assertEqual([{'image': 'busybox'}], made['spec']['containers'])

    def test_the_capsule_requests_what_the_pod_does(self):
        made = self._template(
            _container('a', '100m', '64Mi'), _container('b', '200m', '64Mi'),
            initContainers=[_container('i', '1', '32Mi')])
        first, second = (each['resources']['requests']
                         for each in made['spec']['containers'])
        self.assertEqual(1.0, round(first['cpu'] + second['cpu'], 3))
        self.assertEqual({'cpu': 0.2, 'memory': 64}, second)
        self.assertEqual(64, first['memory'])

    def test_ports_are_shown_but_those_that_zun_does_not_know(self):
        made = self._template(_container(ports=[
            {'containerPort': 80}, {'containerPort': 5, 'protocol': 'SCTP'}]))
        self.assertEqual([{'containerPort': 80, 'protocol': 'TCP'}],
                         made['spec']['containers'][0]['ports'])

    def test_it_carries_whose_it_is_and_what_the_driver_reads(self):
        pod = strategies.pod()
        pod['metadata']['annotations'] = {
            f'{marks.PREFIX}/network': 'blue',
            f'{marks.PREFIX}/uid': 'forged', 'other': 'x'}
        metadata = request.translate(pod, strategies.OWNER).template[
            'metadata']
        self.assertEqual(strategies.OWNER.labels(pod), metadata['labels'])
        self.assertEqual({marks.CONTAINERS: '["main"]',
                          f'{marks.PREFIX}/network': 'blue'},
                         metadata['annotations'])

    def test_a_pod_of_another_system_is_refused_as_by_a_kubelet(self):
        error = self.assertRaises(
            exceptions.NotAdmitted, request.check,
            strategies.pod(os={'name': 'windows'}))
        self.assertEqual('PodOSNotSupported', error.reason)

    def test_what_no_host_can_run_is_refused_by_its_path(self):
        error = self.assertRaises(exceptions.UnsupportedPod, request.check,
                                  strategies.pod(hostNetwork=True))
        self.assertEqual(['spec.hostNetwork'], error.fields)
