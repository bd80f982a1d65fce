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
"""Secrets stay secret, and Zun's records tell the truth: features 52, 53."""

import base64
import json
import pathlib
import subprocess
import uuid

from zun_vk.compute import model
from zun_vk.rpc import marks
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

MOUNT = [{'name': 'keys', 'mountPath': '/keys'}]


class TestSecrets(life.LifeCase):

    def test_secret_values_are_in_no_record_log_or_process_list(self):
        value, pulled = (f'zvk{uuid.uuid4().hex}' for _ in range(2))
        namespace = self.namespace()
        self.api.create_secret(namespace, 'keys', key=value)
        kube.call(self.api.core.create_namespaced_secret, namespace, {
            'metadata': {'name': 'pull'},
            'type': 'kubernetes.io/dockerconfigjson',
            'stringData': {'.dockerconfigjson': json.dumps({'auths': {
                'docker.io': {'username': 'me', 'password': pulled}}})}})
        fields = {
            'namespace': namespace, 'imagePullSecrets': [{'name': 'pull'}],
            'volumes': [{'name': 'keys', 'secret': {'secretName': 'keys'}}]}
        variable = {'name': 'KEY', 'valueFrom': {'secretKeyRef': {
            'name': 'keys', 'key': 'key'}}}
        pod = self.run_pod(
            hosted.shell('cat /keys/key > /dev/null; '
                         + life.UNTIL_TOLD.format(code=0),
                         env=[variable], volumeMounts=MOUNT),
            name='good', **fields)
        # What goes wrong is told with many words.
        bad = self.run_pod(
            {'name': 'main', 'image': 'busybox', 'env': [variable],
             'command': ['/no/such'], 'volumeMounts': MOUNT,
             'lifecycle': {'postStart': {'exec': {'command': ['false']}}}},
            name='bad', **fields)
        self.wait_ready(pod)
        self.finished(bad)
        self.assertEqual(value, self.cat(pod, '/keys/key'))

        words = [form for each in (value, pulled) for form in (
            each, base64.b64encode(each.encode()).decode().rstrip('=')[:40])]
        places = self.places()
        self.assertIn(self.capsule(pod)['uuid'],
                      places['database'].decode(errors='replace'))
        self.assertEqual([], [
            (place, number) for place, text in places.items()
            for number, word in enumerate(words) if word.encode() in text])
        shown = json.dumps([self.about(pod), self.about(bad)])
        self.assertEqual([], [word for word in words if word in shown])

    def places(self):
        """Return the content of all places where no secret may be."""
        where = self.devcloud.paths
        found = {'database': subprocess.run(
            ['mariadb-dump', '--no-defaults', '--user=root',
             f'--socket={where.run / "mariadb.sock"}', 'zun'],
            capture_output=True, check=True, timeout=60).stdout}
        for folder in (where.log('x').parent, *where.data.glob('pods-*'),
                       *where.data.glob('pod-logs-*'),
                       *where.data.glob('zun*')):
            for path in folder.rglob('*'):
                if path.is_file():
                    found[str(path)] = content(path)
        for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
            found[str(path)] = content(path)
        return found


class TestRecords(life.LifeCase):

    def test_zun_shows_what_the_containers_of_a_pod_do(self):
        pod = self.run_pod(
            hosted.shell('exit 7', 'ends'),
            hosted.shell(life.UNTIL_TOLD.format(code=0), 'runs'),
            hosted.shell('[ -e /data/again ] || { touch /data/again; '
                         'exit 3; }; ' + life.UNTIL_TOLD.format(code=0),
                         'again', volumeMounts=[
                             {'name': 'data', 'mountPath': '/data'}]),
            volumes=[{'name': 'data', 'emptyDir': {}}],
            restartPolicy='Always')
        self.wait_pod(pod, lambda seen: hosted.status_of(
            seen, 'again').get('ready') and hosted.status_of(
                seen, 'again')['restartCount'] == 1, 'restarted')

        def shown():
            capsule = self.capsule(pod)
            names = json.loads(capsule['annotations'][marks.CONTAINERS])
            return capsule, dict(zip(names, capsule['containers'],
                                     strict=False))

        def settled():
            capsule, containers = shown()
            self.assertEqual('Running', capsule['status'])
            self.assertEqual('Running', containers['runs']['status'])
            self.assertEqual(
                ('Running', 'Restarted 1 times'), tuple(
                    containers['again'][key]
                    for key in ('status', 'status_detail')))
            return True
        wait_for(settled, 'records that tell the truth', 15, 0.5,
                 seen=shown)

    def test_a_plain_users_capsule_runs_and_goes_whole(self):
        template = {
            'kind': 'capsule', 'capsuleVersion': 'beta',
            'metadata': {'name': f'plain-{uuid.uuid4().hex[:6]}',
                         'labels': {'app': 'plain'}},
            'spec': {
                'restartPolicy': 'Never',
                'initContainers': [zun_container('exit 0')],
                'containers': [
                    zun_container(life.UNTIL_TOLD.format(code=0)),
                    zun_container('sleep 1; exit 7')]}}
        made = self.cloud.demo.zun.must(
            'POST', '/capsules/', {'template': template}).json()
        capsule = made['uuid']
        path = f'/capsules/{capsule}'
        self.addCleanup(self.cloud.demo.zun.call, 'DELETE', path)

        def now():
            return self.cloud.demo.zun.must('GET', path).json()

        def settled():
            seen = now()
            self.assertEqual('Running', seen['status'])
            runs, ends = seen['containers']
            self.assertEqual('Running', runs['status'])
            self.assertEqual('Stopped', ends['status'])
            self.assertIn('Exited(7)', ends['status_detail'])
            return seen
        seen = wait_for(settled, 'the capsule to run', 60, 0.5, seen=now)

        self.assertTrue(self.cloud.allocation(capsule))
        ports = self.cloud.port_ids(seen)
        self.assertEqual([True], [self.cloud.port_exists(port)
                                  for port in ports])
        self.assertEqual(3, len(self.sandboxes_containers(capsule)))
        self.cloud.demo.zun.must('DELETE', path)
        wait_for(lambda: not self.cloud.exists(made), 'capsule gone', 40,
                 0.5)
        self.assertEqual({}, self.cloud.allocation(capsule))
        self.assertFalse(any(map(self.cloud.port_exists, ports)))
        self.assertEqual([], self.sandboxes_containers(capsule))

    def sandboxes_containers(self, capsule):
        """Return the containers of a capsule that a runtime has."""
        found = []
        for host in self.devcloud.hosts():
            with self.runtime(host) as runtime:
                found += runtime.containers({model.LABEL_CAPSULE: capsule})
        return found


def zun_container(script):
    return {'image': 'busybox', 'command': ['sh', '-c', script],
            'imagePullPolicy': 'ifnotpresent',
            'resources': {'requests': {'cpu': 0.1, 'memory': 64}}}


def content(path):
    try:
        return path.read_bytes()
    except OSError:
        # It has ended, or has gone.
        return b''
