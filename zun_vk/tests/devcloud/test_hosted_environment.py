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
"""Commands and variables of containers: features 5 to 8."""

from devcloud import own_images
from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import hosted

ARGUMENTS = 'entrypoint-tester'
# What the shell itself would show lacks what is no name to it.
ENVIRONMENT = 'tr "\\0" "\\n" < /proc/1/environ; true'
REQUESTS = {'requests': {'cpu': '250m', 'memory': '32Mi'},
            'limits': {'cpu': '1250m', 'memory': '64Mi'}}


def agnhost(name, **fields):
    """Return a container of an image with ENTRYPOINT and CMD."""
    return {'name': name, 'image': own_images.AGNHOST, **fields}


def of_field(name, path):
    return {'name': name, 'valueFrom': {'fieldRef': {'fieldPath': path}}}


def of_resource(name, resource, divisor='0', container='main'):
    return {'name': name, 'valueFrom': {'resourceFieldRef': {
        'resource': resource, 'divisor': divisor,
        'containerName': container}}}


def of_key(name, kind, source, key, **fields):
    return {'name': name, 'valueFrom': {
        f'{kind}KeyRef': {'name': source, 'key': key, **fields}}}


class TestCommands(hosted.HostedCase):

    def test_command_replaces_entrypoint_and_args_replace_cmd(self):
        pod = self.run_pod(
            agnhost('neither'),
            agnhost('args', args=[ARGUMENTS, 'one', '$(TWO)', '$$(TWO)',
                                  '$(NONE)'],
                    env=[{'name': 'TWO', 'value': 'b c'}]),
            agnhost('command', command=['/agnhost-2', ARGUMENTS]),
            agnhost('both', command=['/agnhost-2', ARGUMENTS],
                    args=['last']),
            hosted.shell('pwd', 'place', workingDir='/made/for/it'))
        said = {
            'args': f'[/agnhost {ARGUMENTS} one b c $(TWO) $(NONE)]\n',
            'command': f'[/agnhost-2 {ARGUMENTS}]\n',
            'both': f'[/agnhost-2 {ARGUMENTS} last]\n',
            'place': '/made/for/it\n'}

        self.wait_pod(pod, lambda seen: all(
            hosted.ended(seen, name) for name in said), 'has ended')

        self.assertEqual(said, {name: self.output(pod, name)
                                for name in said})
        self.assertEqual('/agnhost\0pause\0', self.cat(
            pod, '/proc/1/cmdline', 'neither'))


class TestVariables(hosted.HostedCase):

    def test_variables_are_those_that_kubernetes_would_make(self):
        namespace = self.namespace()
        self.api.create_secret(namespace, 'db', password='p$(A)w"\'ß',
                               user='me')
        self.api.create_config_map(namespace, 'app', {
            'mode': 'fast', 'text': 'two\nlines', 'my.key': 'dotted'})
        late = self.run_pod(hosted.shell('echo $LATE', env=[
            of_key('LATE', 'configMap', 'late', 'key')]),
            name='late', namespace=namespace)
        pod = self.run_pod(
            base.container(args=[
                'sh', '-c', f'{ENVIRONMENT}; echo "ARGUMENT=$0"',
                '$(ORDER) $(NODE)'],
                env=self.own(), envFrom=[
                    {'configMapRef': {'name': 'app'}},
                    {'prefix': 'S_', 'secretRef': {'name': 'db'}},
                    {'configMapRef': {'name': 'nope', 'optional': True}},
                    {'secretRef': {'name': 'nope', 'optional': True}}],
                resources=REQUESTS),
            hosted.shell(ENVIRONMENT, 'free', env=[
                of_resource('CPU', 'limits.cpu', '1m', 'free'),
                of_resource('MEMORY', 'limits.memory', '1Mi', 'free'),
                of_resource('OTHERS', 'limits.memory', '1Mi', 'main')]),
            namespace=namespace, labels={'app': 'shop'},
            annotations={'zun.test/note': 'a "note"'})

        stuck = self.wait_why(late, 'main', 'CreateContainerConfigError')
        self.assertEqual('configmap "late" not found',
                         hosted.waiting(stuck)['message'])
        self.api.create_config_map(namespace, 'late', {'key': 'came'})
        done = self.succeeded(pod)
        self.compare(done)
        self.succeeded(late)
        self.assertEqual('came\n', self.output(late))

    @staticmethod
    def own():
        """The variables of the container itself."""
        return [
            {'name': 'FIRST', 'value': 'one'},
            {'name': 'ORDER', 'value': '$(FIRST) $(LAST) $$(FIRST) $(mode)'},
            {'name': 'LAST', 'value': '$(ORDER)'},
            {'name': 'mode', 'value': 'own'},
            of_key('PASSWORD', 'secret', 'db', 'password'),
            of_key('NO_KEY', 'secret', 'db', 'none', optional=True),
            of_key('NO_MAP', 'configMap', 'none', 'none', optional=True),
            of_field('NAME', 'metadata.name'),
            of_field('NAMESPACE', 'metadata.namespace'),
            of_field('UID', 'metadata.uid'),
            of_field('LABEL', "metadata.labels['app']"),
            of_field('NOTE', "metadata.annotations['zun.test/note']"),
            of_field('NODE', 'spec.nodeName'),
            of_field('ACCOUNT', 'spec.serviceAccountName'),
            of_field('IP', 'status.podIP'),
            of_field('IPS', 'status.podIPs'),
            of_field('HOST_IP', 'status.hostIP'),
            of_resource('CPU', 'limits.cpu'),
            of_resource('CPU_MILLI', 'requests.cpu', '1m'),
            of_resource('MEMORY', 'limits.memory'),
            of_resource('MEMORY_MI', 'requests.memory', '1Mi')]

    def compare(self, pod):
        metadata, status = pod['metadata'], pod['status']
        seen = self.variables(pod, 'main')
        wanted = {
            'FIRST': 'one', 'ORDER': 'one $(LAST) $(FIRST) fast',
            'LAST': 'one $(LAST) $(FIRST) fast', 'mode': 'own',
            'my.key': 'dotted', 'S_user': 'me', 'PASSWORD': 'p$(A)w"\'ß',
            'S_password': 'p$(A)w"\'ß', 'NAME': metadata['name'],
            'NAMESPACE': metadata['namespace'], 'UID': metadata['uid'],
            'LABEL': 'shop', 'NOTE': 'a "note"', 'NODE': self.node_name,
            'ACCOUNT': 'default', 'IP': status['podIP'],
            'IPS': ','.join(each['ip'] for each in status['podIPs']),
            'HOST_IP': status['hostIP'], 'CPU': '2', 'CPU_MILLI': '250',
            'MEMORY': str(64 * 2 ** 20), 'MEMORY_MI': '32',
            'ARGUMENT': f'one $(LAST) $(FIRST) fast {self.node_name}'}
        self.assertEqual(wanted, {name: seen.get(name) for name in wanted})
        self.assertTrue({'NO_KEY', 'NO_MAP'}.isdisjoint(seen))
        self.assertIn('KUBERNETES_SERVICE_HOST', seen)
        free = self.variables(pod, 'free')
        self.assertEqual('64', free['OTHERS'])
        # Without a limit: what the node has.
        self.assertGreater(int(free['CPU']), 1250)
        self.assertGreater(int(free['MEMORY']), 64)

    def variables(self, pod, container):
        """Return what a container has told of its environment."""
        return dict(line.split('=', 1)
                    for line in self.output(pod, container).splitlines()
                    if '=' in line)
