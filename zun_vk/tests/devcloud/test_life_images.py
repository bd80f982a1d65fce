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
"""Images: policies, what is wrong with them, secrets: feature 30."""

import json
import uuid

from devcloud import own_images
from zun_vk.tests.devcloud import door
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

PULL = ('ErrImagePull', 'ImagePullBackOff')
NONE = 'zun-vk-tests/none:1'


class TestImages(life.LifeCase):

    def test_what_is_wrong_with_an_image_is_said(self):
        namespace = self.namespace()

        def start(name, image, policy):
            return self.run_pod(
                {'name': 'main', 'image': image, 'imagePullPolicy': policy},
                name=name, namespace=namespace)
        missing = start('missing', NONE, 'IfNotPresent')
        never = start('never', NONE, 'Never')
        invalid = start('invalid', 'zun-vk-tests/None:1', 'IfNotPresent')

        seen = self.wait_why(never, 'main', 'ErrImageNeverPull')
        self.assertEqual('Pending', seen['status']['phase'])
        self.assertEqual(
            f'Container image "{NONE}" is not present with pull policy of '
            'Never', hosted.waiting(seen)['message'])
        self.wait_event(never, 'ErrImageNeverPull', 5)
        seen = self.wait_why(invalid, 'main', 'InvalidImageName')
        self.assertEqual('Pending', seen['status']['phase'])
        self.wait_event(invalid, 'InspectFailed', 5)
        self.wait_why(missing, 'main', 'ErrImagePull')
        seen = self.wait_why(missing, 'main', 'ImagePullBackOff')
        self.assertIn(f'Back-off pulling image "{NONE}"',
                      hosted.waiting(seen)['message'])
        self.wait_event(missing, 'BackOff', 5)
        self.wait_message(missing, 'Failed', f'Failed to pull image "{NONE}"')

    def pulled(self, pod, containers):
        """Return what Pulled events say, by container, once all have one."""
        said = {event['involvedObject']['fieldPath']: event['message']
                for event in self.events(pod, 'Pulled')}
        return said if len(said) == containers else None

    def test_images_are_pulled_by_policy(self):
        def look(name, policy):
            return hosted.shell('echo ran', name, imagePullPolicy=policy)
        pod = self.run_pod(
            look('present', 'IfNotPresent'), look('never', 'Never'),
            initContainers=[look('always', 'Always')])

        self.succeeded(pod)

        # Events are written apart from the status.
        pulled = wait_for(lambda: self.pulled(pod, 3),
                          'an event for each container',
                          seen=lambda: self.events(pod))
        self.assertRegex(
            pulled['spec.initContainers{always}'],
            'Successfully pulled image "busybox" in .* Image size: [1-9]')
        for name in ('present', 'never'):
            self.assertIn(
                'Container image "busybox" already present on machine',
                pulled[f'spec.containers{{{name}}}'])

    def test_a_pull_secret_opens_a_registry_that_asks_for_one(self):
        password = uuid.uuid4().hex
        registry = self.useFixture(door.Door(password)).address
        namespace = self.namespace()
        self.secret(namespace, registry, 'right', password)
        self.secret(namespace, registry, 'wrong', 'guessed')
        image = f'{registry}/library/busybox:latest'

        def start(name, *secrets):
            return self.run_pod(
                hosted.shell('echo ran', image=image,
                             imagePullPolicy='Always'),
                name=name, namespace=namespace,
                imagePullSecrets=[{'name': each} for each in secrets])
        without = start('without')
        wrong = start('wrong', 'wrong')
        right = start('right', 'wrong', 'right')

        self.succeeded(right)
        self.assertEqual('ran\n', self.output(right))
        for pod in (without, wrong):
            self.wait_why(pod, 'main', *PULL)
        shown = json.dumps([self.about(pod) for pod in (
            without, wrong, right)])
        self.assertNotIn(password, shown)
        self.assertNotIn('guessed', shown)

    def secret(self, namespace, registry, name, password):
        body = {'auths': {registry: {'username': door.USER,
                                     'password': password}}}
        kube.call(self.api.core.create_namespaced_secret, namespace, {
            'metadata': {'name': name},
            'type': 'kubernetes.io/dockerconfigjson',
            'stringData': {'.dockerconfigjson': json.dumps(body)}})


class TestEvents(life.LifeCase):
    """What a pod's events tell of its life: feature 35."""

    def test_the_life_of_a_pod_is_told_in_events(self):
        pod = self.running_pod(
            hosted.shell(life.UNTIL_TOLD.format(code=0)),
            {'name': 'other', 'image': own_images.AGNHOST},
            initContainers=[hosted.shell('exit 0', 'first',
                                         imagePullPolicy='Always')])
        self.delete(pod)
        self.wait_pod(pod, lambda seen: seen is None, 'gone')

        def told():
            return {(event['reason'],
                     event['involvedObject'].get('fieldPath', ''))
                    for event in self.events(pod)}
        first, main = 'spec.initContainers{first}', 'spec.containers{main}'
        other = 'spec.containers{other}'
        wanted = {('Pulling', first), ('Pulled', first),
                  ('Created', first), ('Started', first),
                  ('Pulled', main), ('Created', main),
                  ('Started', main), ('Killing', main),
                  ('Started', other), ('Killing', other)}
        wait_for(lambda: wanted <= told(), 'all is told', 20, seen=told)
        self.assertNotIn(('Killing', first), told())
        for event in self.events(pod):
            self.assertEqual(
                ('Pod', 'web', pod['metadata']['uid']), tuple(
                    event['involvedObject'][key]
                    for key in ('kind', 'name', 'uid')))
