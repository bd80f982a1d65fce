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
"""Pods run as capsules: what is made, what is shown, what is refused."""

import json

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

PREFIX = 'zun.openstack.org/'


class TestRunning(base.AgentTestCase):

    def test_a_pod_runs_as_one_capsule_that_is_known_as_its_own(self):
        pod = self.running_pod(name='web')

        capsule = self.capsule(pod)
        metadata = pod['metadata']
        cluster = kube.call(self.api.core.read_namespace,
                            'kube-system')['metadata']['uid']
        self.assertEqual(
            {PREFIX + 'cluster': cluster, PREFIX + 'node': self.agent.node,
             PREFIX + 'namespace': metadata['namespace'],
             PREFIX + 'pod': 'web', PREFIX + 'uid': metadata['uid']},
            capsule.labels)
        self.assertEqual(
            f'{metadata["namespace"]}_web_{metadata["uid"][:8]}',
            capsule.name)
        self.assertEqual(self.cloud.project, capsule.project_id)

    def test_the_status_is_that_of_a_kubelet(self):
        pod = self.running_pod()

        status = pod['status']
        self.assertEqual('Running', status['phase'])
        self.assertTrue(status['startTime'])
        self.assertEqual('127.0.0.1', status['hostIP'])
        for kind in ('PodScheduled', 'Initialized', 'ContainersReady',
                     'Ready'):
            found = kube.condition(pod, kind)
            self.assertEqual('True', found['status'], kind)
            self.assertTrue(found['lastTransitionTime'], kind)

    def test_the_pods_address_is_its_neutron_ports(self):
        pod = self.running_pod()

        port, = [port for port in self.cloud.neutron.ports.values()
                 if port['device_id'] == self.capsule(pod).uuid]
        address = port['fixed_ips'][0]['ip_address']
        self.assertEqual(address, pod['status']['podIP'])
        self.assertEqual([{'ip': address}], pod['status']['podIPs'])

    def test_containers_are_mapped_back_in_order(self):
        pod = self.running_pod(pods.container('zebra', image='img-zebra'),
                               pods.container('ant', image='img-ant'))

        found = {one['name']: one
                 for one in pod['status']['containerStatuses']}
        by_image = {one['image']: one['uuid']
                    for one in self.capsule(pod).containers}
        for name in ('zebra', 'ant'):
            one = found[name]
            self.assertEqual(f'img-{name}', one['image'])
            self.assertIn(by_image[f'img-{name}'], one['containerID'])
            self.assertTrue(one['ready'] and one['started'])
            self.assertTrue(one['state']['running']['startedAt'])
        self.assertEqual(['zebra', 'ant'], json.loads(
            self.capsule(pod).annotations[PREFIX + 'containers']))

    def test_what_zun_can_carry_reaches_the_capsule(self):
        pod = self.running_pod(pods.container(
            command=['sh', '-c'], args=['echo $(WORD); sleep 9'],
            workingDir='/srv', tty=True, stdin=True,
            env=[{'name': 'WORD', 'value': 'hi'},
                 {'name': 'SAY', 'value': '$(WORD) you'}],
            ports=[{'containerPort': 8080, 'name': 'w'}],
            resources={'requests': {'cpu': '250m', 'memory': '64Mi'},
                       'limits': {'cpu': '1500m', 'memory': '100000001'}}),
            restartPolicy='OnFailure')

        sent = self.capsule(pod).template['spec']
        container, = sent['containers']
        self.assertEqual('OnFailure', sent['restartPolicy'])
        self.assertEqual(['sh', '-c'], container['command'])
        self.assertEqual(['echo hi; sleep 9'], container['args'])
        self.assertEqual({'WORD': 'hi', 'SAY': 'hi you'}, {
            name: value for name, value in container['env'].items()
            if not name.startswith('KUBERNETES_')})
        self.assertEqual('/srv', container['workDir'])
        self.assertEqual([8080], [int(port['containerPort'])
                                  for port in container['ports']])
        self.assertTrue(container['tty'] and container['stdin'])
        # a CPU share is the request, a memory bound is the limit
        self.assertEqual({'cpu': 0.25, 'memory': 96}, {
            name: float(value) for name, value
            in container['resources']['requests'].items()})

    def test_the_token_volume_is_not_mounted_and_that_is_said_once(self):
        pod = self.running_pod()
        self.assertTrue(pod['spec']['volumes'][0]['name'].startswith(
            'kube-api-access-'))

        event = self.wait_event(pod, 'ServiceAccountTokenNotMounted')

        self.assertEqual('Normal', event['type'])
        self.assertEqual(1, event['count'])
        self.assertFalse(self.capsule(pod).template['spec'].get('volumes'))

    def test_a_command_means_something_else_and_that_is_said_once(self):
        pod = self.running_pod(pods.container(command=['sleep'],
                                              args=['60']))

        event = self.wait_event(pod, 'ZunMeaningDiffers')

        self.assertEqual('Warning', event['type'])
        self.assertIn('spec.containers[0].command', event['message'])
        self.assertEqual(1, event['count'])
        self.assertEqual(1, len(self.events(pod, 'ZunMeaningDiffers')))

    def test_a_pod_without_a_command_gets_no_warning(self):
        pod = self.running_pod()
        self.wait_event(pod, 'ServiceAccountTokenNotMounted')

        self.assertEqual([], self.events(pod, 'ZunMeaningDiffers'))

    def test_while_zun_creates_the_pod_is_pending(self):
        self.addCleanup(setattr, self.cloud.zun, 'start_delay', 0.05)
        self.cloud.zun.start_delay = 3

        pod = self.run_pod()

        self.wait_pod(pod, lambda seen: seen['status'].get('startTime'),
                      'taken note of')
        status = self.now(pod)['status']
        self.assertEqual('Pending', status['phase'])
        self.wait_pod(pod, lambda seen: seen['status'].get(
            'containerStatuses'), 'with containers')
        waiting = self.now(pod)['status']['containerStatuses'][0]['state']
        self.assertEqual('ContainerCreating', waiting['waiting']['reason'])
        self.wait_ready(pod)

    def test_a_finished_pod_says_how_it_ended(self):
        for code, phase in ((0, 'Succeeded'), (3, 'Failed')):
            pod = self.running_pod(restartPolicy='Never')
            self.stop_containers(pod, code)

            seen = self.wait_phase(pod, phase)

            ended = seen['status']['containerStatuses'][0]['state']
            self.assertEqual(code, ended['terminated']['exitCode'])
            self.assertEqual('False',
                             kube.condition(seen, 'Ready')['status'])

    def test_a_running_pod_is_not_written_again_and_again(self):
        pod = self.running_pod()
        version = self.now(pod)['metadata']['resourceVersion']

        hold_for(lambda: self.now(pod)['metadata'][
            'resourceVersion'] == version, 'the pod is not written', 3)

    def test_changes_without_effect_are_said_once_each(self):
        pod = self.running_pod()
        name, namespace = (pod['metadata'][field]
                           for field in ('name', 'namespace'))
        self.api.patch_pod(namespace, name, {'spec': {'containers': [
            {**pod['spec']['containers'][0], 'image': 'busybox:2'}]}})
        event = self.wait_event(pod, 'PodChangeIgnored')
        self.assertIn('spec.containers[0].image (busybox:2)',
                      event['message'])

        kube.call(self.api.core.patch_namespaced_pod_ephemeralcontainers,
                  name, namespace, {'spec': {'ephemeralContainers': [
                      {'name': 'debugger', 'image': 'busybox'}]}})

        wait_for(lambda: len(self.events(pod, 'PodChangeIgnored')) == 2,
                 'another event')
        self.assertEqual([1, 1], [
            each['count'] for each in self.events(pod, 'PodChangeIgnored')])
        self.assertEqual('busybox', self.capsule(pod).images[0])

    def test_the_number_of_lists_does_not_depend_on_the_pods(self):
        namespace = self.namespace()
        for number in range(12):
            self.run_pod(name=f'web-{number}', namespace=namespace)
        for number in range(12):
            pod = self.api.pod(namespace, f'web-{number}')
            self.wait_ready(pod)
        # Those of the tests before this one may still be going.
        wait_for(lambda: len(self.cloud.capsules()) == 12, 'no others', 60)
        settled = self.lists() + 3
        wait_for(lambda: self.lists() >= settled, 'the agent knows it', 15)
        before, single = self.lists(), self.singles()

        wait_for(lambda: self.lists() >= before + 3, 'three more lists', 15)

        # what a poll costs must not grow: no capsule is in transition
        self.assertEqual(single, self.singles())

    def lists(self):
        return self.cloud.zun.count('GET', '/v1/capsules')

    def singles(self):
        return self.cloud.zun.count('GET', '/v1/capsules/{ident}')

    def stop_containers(self, pod, code):
        with self.cloud.lock:
            capsule = self.capsule(pod)
            for container in capsule.containers:
                container.update(
                    status='Stopped',
                    status_detail=f'Exited({code}) 1 second ago ')
            capsule.become('Stopped')


class TestRefused(base.AgentTestCase):

    def refused(self, *containers, **fields):
        """Run a pod that must be refused; return the event's message."""
        pod = self.run_pod(*containers, **fields)
        event = self.wait_event(pod, 'UnsupportedPodSpec')
        seen = self.wait_phase(pod, 'Failed')
        self.assertEqual('Warning', event['type'])
        self.assertEqual('UnsupportedPodSpec', seen['status']['reason'])
        self.assertIsNone(self.capsule(pod))
        return event['message']

    def test_every_field_is_named(self):
        message = self.refused(
            pods.container(
                livenessProbe={'exec': {'command': ['true']}},
                securityContext={'runAsUser': 1000}),
            pods.container(
                'side', env=[{'name': 'NODE', 'valueFrom': {
                    'fieldRef': {'fieldPath': 'status.podIP'}}}],
                volumeMounts=[{'name': 'tmp', 'mountPath': '/tmp'}]),
            hostname='named', hostNetwork=True,
            initContainers=[pods.container('first')],
            volumes=[{'name': 'tmp', 'emptyDir': {}}])

        for path in ('spec.containers[0].livenessProbe',
                     'spec.containers[0].securityContext.runAsUser',
                     'spec.containers[1].env[0].valueFrom.fieldRef',
                     'spec.containers[1].volumeMounts[0]',
                     'spec.hostname', 'spec.hostNetwork',
                     'spec.initContainers', 'spec.volumes[0]'):
            self.assertIn(path, message)

    def test_fields_that_can_be_carried_are_not_named(self):
        message = self.refused(pods.container(
            env=[{'name': 'A', 'value': 'b'}],
            lifecycle={'preStop': {'exec': {'command': ['true']}}}))

        self.assertIn('spec.containers[0].lifecycle', message)
        for path in ('.env', '.image', '.args', 'kube-api-access',
                     'tolerations'):
            self.assertNotIn(path, message)

    def test_other_resources_are_refused(self):
        message = self.refused(pods.container(resources={
            'limits': {'example.com/gpu': '1'}}))

        self.assertIn('example.com/gpu', message)

    def test_a_secret_volume_is_refused(self):
        message = self.refused(volumes=[
            {'name': 'key', 'secret': {'secretName': 'key'}}])

        self.assertIn('spec.volumes[0]', message)

    def test_a_refused_pod_stays_refused_and_is_said_once(self):
        pod = self.run_pod(hostPID=True)
        self.wait_phase(pod, 'Failed')
        namespace = pod['metadata']['namespace']
        self.api.patch_pod(namespace, 'web',
                           {'metadata': {'labels': {'touched': 'yes'}}})
        other = self.running_pod(namespace=namespace, name='other')

        self.assertEqual(
            [1], [event['count'] for event
                  in self.events(pod, 'UnsupportedPodSpec')])
        self.assertIsNotNone(other)

    def test_a_refused_pod_can_be_deleted(self):
        pod = self.run_pod(hostIPC=True)
        self.wait_phase(pod, 'Failed')

        self.delete(pod)

        self.wait_gone(pod)


class TestZunRefuses(base.AgentTestCase):

    @staticmethod
    def greedy():
        """Return a container with more CPUs than Zun's configuration has."""
        return pods.container(resources={'requests': {'cpu': '64'}})

    def test_zuns_own_words_are_in_an_event_and_others_go_on(self):
        bad = self.run_pod(self.greedy(), name='bad')
        good = self.running_pod(name='good')

        event = self.wait_event(bad, 'FailedCreatePodSandBox')

        self.assertEqual('Warning', event['type'])
        self.assertIn('64', event['message'])
        self.assertIn('maximum', event['message'])
        self.assertEqual('Pending', self.now(bad)['status']['phase'])
        self.assertIsNotNone(good)

    def test_a_rejected_pod_is_tried_again_ever_more_slowly(self):
        pod = self.run_pod(self.greedy())
        self.wait_event(pod, 'FailedCreatePodSandBox')
        before = self.posts()

        wait_for(lambda: self.posts() > before, 'another try', 20)

        hold_for(lambda: self.posts() - before < 8, 'no storm of POSTs', 3)

    def test_once_zun_takes_it_the_pod_runs(self):
        fault = self.cloud.zun.fail_next(
            'POST', 'capsules', containing='late-image', times=2, status=403,
            body={'errors': [{
                'status': 403, 'code': 'container.quota-exceeded',
                'title': 'Quota exceeded', 'links': [], 'request_id': '',
                'detail': 'Quota exceeded for containers.'}]})
        self.addCleanup(self.cloud.zun.forgive)

        pod = self.run_pod(pods.container(image='late-image'))

        event = self.wait_event(pod, 'FailedCreatePodSandBox')
        self.assertIn('Quota exceeded', event['message'])
        self.wait_ready(pod)
        self.assertEqual(0, fault.times)

    def test_a_pod_that_zun_refuses_can_be_deleted(self):
        pod = self.run_pod(self.greedy())
        self.wait_event(pod, 'FailedCreatePodSandBox')

        self.delete(pod)

        self.wait_gone(pod)

    def test_an_image_that_cannot_be_had_is_said_with_zuns_reason(self):
        self.cloud.zun.bad_images['ghost'] = 'Image ghost was not found.'
        pod = self.run_pod(pods.container(image='ghost'))

        event = self.wait_event(pod, 'FailedCreatePodSandBox')

        self.assertIn('Image ghost was not found.', event['message'])
        self.assertNotEqual('Running', self.now(pod)['status']['phase'])

    def test_a_capsule_that_failed_leaves_nothing_behind(self):
        # Zun forgets the host of such a capsule, and then what it holds
        self.cloud.zun.bad_images['spectre'] = 'Image spectre was not found.'
        self.cloud.add_claim('nova', {'VCPU': 1, 'MEMORY_MB': 64})
        self.addCleanup(self.cloud.remove_claim, 'nova')
        made = self.cloud.zun.created
        pod = self.run_pod(pods.container(image='spectre'))
        wait_for(lambda: self.cloud.zun.created > made + 1, 'another try')

        self.delete(pod)
        self.wait_gone(pod)

        with self.cloud.lock:
            self.assertEqual({'nova', *self.cloud.zun.capsules},
                             set(self.cloud.placement.allocations))
            self.assertLessEqual(
                {port['device_id']
                 for port in self.cloud.neutron.ports.values()},
                set(self.cloud.zun.capsules))

    def test_only_the_port_of_a_failed_capsule_goes(self):
        self.cloud.zun.bad_images['wraith'] = 'Image wraith was not found.'
        self.addCleanup(self.cloud.neutron.forgive)
        self.cloud.neutron.fail_next('GET', '/v2.0/ports', status=503,
                                     times=10_000)
        pod = self.run_pod(pods.container(image='wraith'))
        capsule = wait_for(lambda: self.capsule(pod), 'a capsule')
        wait_for(lambda: capsule.status == 'Error', 'its failure')
        neutron = self.cloud.neutron
        kept = [neutron.make_port(project, device, 'host-0', owner)['id']
                for project, device, owner in (
                    (self.cloud.project, capsule.uuid, ''),
                    (self.cloud.project, capsule.uuid, 'compute:nova'),
                    (self.cloud.project, 'another', 'compute:zun'),
                    (self.cloud.service_project, capsule.uuid,
                     'compute:zun'))]
        self.addCleanup(lambda: [neutron.drop_port(port) for port in kept])
        (address,), = capsule.addresses.values()

        self.cloud.neutron.forgive()

        wait_for(lambda: address['port'] not in neutron.ports,
                 'its port to go')
        wait_for(lambda: capsule.uuid not in self.cloud.zun.capsules,
                 'its record to go')
        self.assertLessEqual(set(kept), set(neutron.ports))
        self.delete(pod)
        self.wait_gone(pod)

    def test_without_room_a_pod_waits_with_zuns_reason(self):
        self.addCleanup(self.cloud.disable_host, 'host-0', False)
        self.cloud.disable_host('host-0')
        pod = self.run_pod()

        event = self.wait_event(pod, 'FailedCreatePodSandBox')
        self.assertIn('There are not enough hosts available.',
                      event['message'])
        self.assertEqual('Pending', self.now(pod)['status']['phase'])

        self.cloud.disable_host('host-0', False)
        self.wait_ready(pod, 40)
        self.assertEqual(1, len(self.cloud.capsules(
            uid=pod['metadata']['uid'])))

    def test_room_ends_the_wait_of_a_pod(self):
        self.addCleanup(self.cloud.disable_host, 'host-0', False)
        self.cloud.disable_host('host-0')
        made = self.cloud.zun.created
        pod = self.run_pod()
        # After the sixth try the next one is 16 to 32 s away.
        wait_for(lambda: self.cloud.zun.created >= made + 6, 'six tries', 60)
        wait_for(lambda: not self.capsule(pod), 'the last one discarded')

        self.cloud.disable_host('host-0', False)

        self.wait_ready(pod, 8)

    def posts(self):
        return self.cloud.zun.count('POST', '/v1/capsules')
