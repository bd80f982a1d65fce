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
"""Pods that mean no good, or know no better: each has a clear outcome.

What fork bombs and paths that lead astray come to is with the limits and
the volumes.
"""

import hashlib
import io
import json
import pathlib
import tarfile
import tempfile
import time

from devcloud import images
from devcloud import own_images
from devcloud import references
from zun_vk.tests.devcloud import hosted

# Near the 1 MiB that the API server takes.
HUGE = 1040000
LINE = 10 * 10 ** 6
NOISE = 300000
SCRIPTS = {
    'line': f'head -c {LINE} /dev/zero | tr "\\0" x; echo; echo after',
    # Runtimes take CR LF for the end of a line.
    'noise': f'head -c {NOISE} /dev/urandom | tr -d "\\r" > /tmp/noise; '
             'cat /tmp/noise; echo; sha256sum < /tmp/noise | cut -c1-64 | '
             'tr -d "\\n" > /dev/termination-log',
}
# Volumes of that size that fit into one message, and some that do not.
MOST, OVER = 6, 9
BROKEN = {'layer': 'zun-vk-tests/no-layer', 'config': 'zun-vk-tests/no-config'}
PULL = ('ErrImagePull', 'ImagePullBackOff')
STUBBORN = 'trap "" TERM; while :; do sleep 0.2; done'


def archive(layer: bytes, config: bytes) -> bytes:
    """Return an archive of one image, whatever its parts are."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as tar:
        for name, data in (
                ('config.json', config), ('layer.tar', layer),
                ('manifest.json', json.dumps([{
                    'Config': 'config.json',
                    'Layers': ['layer.tar']}]).encode())):
            own_images.add(tar, name, own_images.File(data))
    return made.getvalue()


class TestOutput(hosted.HostedCase):

    def test_whatever_containers_say_is_in_their_logs(self):
        pod = self.run_pod(*(hosted.shell(script, name)
                             for name, script in SCRIPTS.items()))

        done = self.succeeded(pod)

        said = self.output(pod, 'line')
        self.assertTrue(said == 'x' * LINE + '\nafter\n', len(said))
        noise = hosted.content(self.log(pod, 'noise'))
        self.assertGreater(len(noise), NOISE // 2)
        self.assertEqual(hosted.ended(done, 'noise')['message'],
                         hashlib.sha256(noise[:-1]).hexdigest())

    def test_files_are_whole_or_there_is_a_word_why_not(self):
        namespace = self.namespace()
        text = ''.join(f'{number:09}\n' for number in range(HUGE // 10))
        self.api.create_config_map(namespace, 'huge', {'text': text})

        def start(name, count):
            return self.run_pod(
                hosted.shell('cat /huge*/text | sha256sum', volumeMounts=[
                    {'name': f'huge{number}', 'mountPath': f'/huge{number}'}
                    for number in range(count)]), name=name,
                namespace=namespace, volumes=[
                    {'name': f'huge{number}', 'configMap': {'name': 'huge'}}
                    for number in range(count)])
        most, over = start('most', MOST), start('over', OVER)

        self.succeeded(most)
        digest = hashlib.sha256((text * MOST).encode()).hexdigest()
        self.assertEqual(f'{digest}  -\n', self.output(most))
        self.assertIn("the pod's files and variables take more than",
                      self.wait_event(over, 'FailedMount')['message'])
        self.assertEqual('ContainerCreating',
                         hosted.waiting(self.now(over))['reason'])


class TestImages(hosted.HostedCase):

    def test_what_is_no_image_or_program_says_so(self):
        garbage = b'\x1f\x8b' + b'no layer at all' * 100
        self.push(BROKEN['layer'], archive(garbage, json.dumps({
            'architecture': 'amd64', 'os': 'linux', 'config': {},
            'rootfs': {'type': 'layers', 'diff_ids': [
                own_images.digest(garbage)]}}).encode()))
        self.push(BROKEN['config'], archive(
            own_images.layer({}), b'this is no configuration'))
        namespace = self.namespace()
        broken = [self.run_pod(
            {'name': 'main', 'image': image}, name=name, namespace=namespace)
            for name, image in BROKEN.items()]
        good = self.run_pod(
            hosted.shell('echo good'), name='good', namespace=namespace)
        missing = self.run_pod(
            {'name': 'main', 'image': 'busybox', 'command': ['/no/such']},
            {'name': 'data', 'image': 'busybox', 'command': ['/etc/passwd']},
            name='missing', namespace=namespace)

        for pod in broken:
            seen = self.wait_why(pod, 'main', *PULL)
            self.assertEqual('Pending', seen['status']['phase'])
            image = pod['spec']['containers'][0]['image']
            self.wait_message(pod, 'Failed',
                              f'Failed to pull image "{image}"')
        self.succeeded(good)
        failed = self.finished(missing)
        self.assertEqual('Failed', failed['status']['phase'])
        for name in ('main', 'data'):
            state = hosted.ended(failed, name)
            self.assertEqual((name, 'StartError', 128), (
                name, state['reason'], state['exitCode']))
            self.assertIn('exec', state['message'])

    def push(self, name, data):
        """Put an archive into the registry, which looks into nothing."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / 'image.tar'
            path.write_bytes(data)
            images.Images(self.devcloud.paths).push(
                references.parse(name), path)


class TestTermination(hosted.HostedCase):

    def test_who_ignores_sigterm_is_killed_when_its_time_is_over(self):
        namespace = self.namespace()
        pod = self.running_pod(hosted.shell(STUBBORN), namespace=namespace,
                               terminationGracePeriodSeconds=3)
        other = self.running_pod(name='other', namespace=namespace)

        begun = time.monotonic()
        self.delete(pod)
        self.wait_pod(pod, lambda seen: seen is None, 'gone', 30)
        took = time.monotonic() - begun

        self.assertGreaterEqual(took, 2.5)
        # Well before what Kubernetes gives where nobody says how much.
        self.assertLess(took, 25)
        self.wait_nothing_left(pod)
        self.assertEqual(hosted.status_of(other),
                         hosted.status_of(self.now(other)))
