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
"""Volumes as containers see them: features 10, 11 and 15."""

import base64

from kubernetes.client import exceptions

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

BINARY = bytes(range(256))
MODES = 'stat -L -c %a'
REFUSED = 'Read-only file system'


def downward(path, field, **fields):
    return {'path': path, 'fieldRef': {'fieldPath': field}, **fields}


VOLUMES = {
    'disk': {'emptyDir': {}},
    'memory': {'emptyDir': {'medium': 'Memory', 'sizeLimit': '10Mi'}},
    'secret': {'secret': {'secretName': 'db'}},
    'private': {'secret': {'secretName': 'db', 'defaultMode': 0o400,
                           'items': [
                               {'key': 'user', 'path': 'deep/er/name'},
                               {'key': 'password', 'path': 'word',
                                'mode': 0o640}]}},
    'config': {'configMap': {'name': 'app', 'defaultMode': 0o755}},
    'absent': {'configMap': {'name': 'nope', 'optional': True}},
    'partly': {'secret': {'secretName': 'db', 'optional': True, 'items': [
        {'key': 'nope', 'path': 'nope'}, {'key': 'user', 'path': 'user'}]}},
    'about': {'downwardAPI': {'items': [
        downward('labels', 'metadata.labels', mode=0o444),
        downward('notes', 'metadata.annotations'),
        downward('name', 'metadata.name'),
        {'path': 'cpu', 'resourceFieldRef': {
            'containerName': 'main', 'resource': 'limits.cpu'}},
        {'path': 'memory', 'resourceFieldRef': {
            'containerName': 'main', 'resource': 'limits.memory',
            'divisor': '1Mi'}}]}},
    'all': {'projected': {'defaultMode': 0o440, 'sources': [
        {'secret': {'name': 'db', 'items': [
            {'key': 'user', 'path': 'who/user'}]}},
        {'configMap': {'name': 'app', 'items': [
            {'key': 'script', 'path': 'who/script', 'mode': 0o555}]}},
        {'configMap': {'name': 'nope', 'optional': True}},
        {'downwardAPI': {'items': [downward('uid', 'metadata.uid')]}},
        {'serviceAccountToken': {'path': 'token', 'audience': 'vault'}}]}},
}
# What a container says of them: command, and what comes out.
SEEN = {
    'disk': (f'{MODES} /disk; echo x > /disk/x; {MODES} /disk/x',
             '777\n644'),
    'memory': ('awk \'$2 == "/memory" {print $3}\' /proc/mounts; df -k '
               '/memory | awk \'END {print $2}\'', 'tmpfs\n10240'),
    'too-much': ('dd if=/dev/zero of=/memory/x bs=1M count=11 2>&1 | '
                 'head -1; rm /memory/x',
                 "dd: error writing '/memory/x': No space left on device"),
    'secret': (f'cd /secret; ls; cat user; echo; {MODES} user',
               'password\nuser\nme\n644'),
    'secret-disk': ('awk \'$2 == "/secret" {print $3}\' /proc/mounts',
                    'tmpfs'),
    'private': (f'cd /private; ls; {MODES} word deep/er/name; '
                'cat deep/er/name; echo; cat word',
                'deep\nword\n640\n400\nme\ns3cr3t'),
    'config': (f'cd /config; ls; {MODES} script; ./script',
               'bytes\nscript\n755\nI run'),
    'bytes': ('base64 -w0 /config/bytes', base64.b64encode(
        BINARY).decode()),
    'absent': ('ls -d /absent; ls /absent', '/absent'),
    'partly': ('cd /partly; ls', 'user'),
    'labels': (f'cd /about; grep -v topology labels; {MODES} labels',
               'app="shop"\ntier="one"\n444'),
    'notes': ('cat /about/notes', 'zun.test/note="a \\"note\\"\\n"'),
    'about': ('cd /about; cat name; for i in cpu memory; do echo; '
              'cat $i; done', 'web\n2\n64'),
    'all': (f'cd /all; ls . who; {MODES} uid who/user who/script',
            '.:\ntoken\nuid\nwho\n\nwho:\nscript\nuser\n440\n440\n555'),
    'token': ('[ $(wc -c < /all/token) -gt 100 ] && echo long', 'long'),
    'no-write': ('for i in secret config about all; do '
                 'touch /$i/new || :; done', '\n'.join(
                     f'touch: /{name}/new: {REFUSED}'
                     for name in ('secret', 'config', 'about', 'all'))),
    'read-only': ('touch /bare/new || touch /disk/new',
                  f'touch: /bare/new: {REFUSED}'),
}
LINKS = ('cd /data; mkdir real; echo here > real/file; ln -s real inside; '
         'ln -s /etc outside; ln -s ../../../../../etc above; '
         'ln -s outside/passwd twice; ln -s loop loop')
# Where the kernel has it from, and what is there.
LOOK = ('cut -d" " -f4-5 /proc/self/mountinfo | sed "s/$/ /" | grep /part; '
        'find /part -type f | xargs cat')
PLACES = {'file': ('real/file', 'here\n'), 'inside': ('real', 'here\n'),
          'made': ('new/one', ''), 'named': ('by/web', '')}
# Name of a container: what of the volume it has; those that may be.
PARTS = {
    'file': {'subPath': 'real/file'},
    'inside': {'subPath': 'inside'},
    'made': {'subPath': 'new/one'},
    'named': {'subPathExpr': 'by/$(NAME)'},
}
# Those that must not, as they lead out of it.
ASTRAY = {
    'outside': {'subPath': 'outside'},
    'above': {'subPath': 'above'},
    'below': {'subPath': 'outside/ssh'},
    'twice': {'subPath': 'twice'},
    'loop': {'subPath': 'loop'},
    'dots': {'subPathExpr': '$(DOTS)/etc'},
    'absolute': {'subPathExpr': '$(ROOT)'},
    'nothing': {'subPathExpr': '$(UNSET)'},
}
NAMES = [{'name': 'DOTS', 'value': '..'}, {'name': 'ROOT', 'value': '/etc'},
         {'name': 'NAME', 'valueFrom': {
             'fieldRef': {'fieldPath': 'metadata.name'}}}]


# One container has a part of a volume, which another one then makes a link.
VICTIM = 'ls /part; until [ -L /data/dir ]; do sleep 0.1; done; exit 1'
SWAP = ('until [ -e /data/dir ]; do sleep 0.1; done; sleep 0.5; '
        'rmdir /data/dir; ln -s /etc /data/dir; sleep 60')


def mount(name, path='', **fields):
    return {'name': name, 'mountPath': path or f'/{name}', **fields}


class TestVolumes(hosted.HostedCase):

    def sources(self):
        """Return a namespace with what the volumes are made of."""
        namespace = self.namespace()
        self.api.create_secret(namespace, 'db', user='me',
                               password='s3cr3t')
        kube.call(self.api.core.create_namespaced_config_map, namespace, {
            'metadata': {'name': 'app'},
            'data': {'script': '#!/bin/sh\necho I run\n'},
            'binaryData': {'bytes': base64.b64encode(BINARY).decode()}})
        return namespace

    def test_volumes_hold_what_they_are_made_of(self):
        namespace = self.sources()
        pod = self.run_pod(
            hosted.telling(
                {name: command for name, (command, _out) in SEEN.items()},
                volumeMounts=[*map(mount, VOLUMES),
                              mount('disk', '/bare', readOnly=True)],
                resources={'limits': {'cpu': '1250m', 'memory': '64Mi'}}),
            namespace=namespace, labels={'tier': 'one', 'app': 'shop'},
            annotations={'zun.test/note': 'a "note"\n'},
            volumes=[{'name': name, **body}
                     for name, body in VOLUMES.items()])

        self.succeeded(pod)

        told = self.told(pod)
        for name, (_command, output) in SEEN.items():
            self.assertEqual((name, output), (name, told[name]))
        self.delete(pod, 0)
        self.wait_nothing_left(pod)

    def test_parts_of_volumes_never_lead_out_of_them(self):
        namespace = self.sources()
        pod = self.run_pod(
            *(hosted.shell(LOOK, name, env=NAMES, volumeMounts=[
                mount('data', '/part', **part)])
              for name, part in {**PARTS, **ASTRAY}.items()),
            hosted.shell('cat /word; touch /word', 'word', volumeMounts=[
                mount('db', '/word', subPath='password')]),
            namespace=namespace, volumes=[
                {'name': 'data', 'emptyDir': {}},
                {'name': 'db', 'secret': {'secretName': 'db'}}],
            initContainers=[hosted.shell(LINKS, 'links', volumeMounts=[
                mount('data', '/data')])])
        for name in (*PARTS, 'word'):
            self.wait_pod(pod, lambda seen, name=name: hosted.ended(
                seen, name), f'{name} has ended')

        for name, (path, said) in PLACES.items():
            output = self.output(pod, name)
            self.assertIn(f'/{path} /part ', output)
            self.assertTrue(output.endswith(said), output)
        self.assertIn('s3cr3t', self.output(pod, 'word'))
        self.assertIn(REFUSED, self.output(pod, 'word'))
        wait_for(lambda: all(
            hosted.waiting(self.now(pod), name).get('reason')
            == 'CreateContainerConfigError' for name in ASTRAY),
            'what leads astray not to run', 20,
            seen=lambda: self.about(pod))
        seen = self.now(pod)
        for name in ASTRAY:
            self.assertTrue(hosted.waiting(seen, name).get('message'), name)
            self.assertNotIn('containerID', hosted.status_of(seen, name))

    def test_a_part_that_became_a_link_is_not_mounted_again(self):
        whole = mount('data', '/data')
        pod = self.run_pod(
            hosted.shell(VICTIM, 'victim', volumeMounts=[
                whole, mount('data', '/part', subPath='dir')]),
            hosted.shell(SWAP, 'swap', volumeMounts=[whole]),
            restartPolicy='OnFailure',
            volumes=[{'name': 'data', 'emptyDir': {}}])

        seen = self.wait_why(pod, 'victim', 'CreateContainerConfigError')

        status = hosted.status_of(seen, 'victim')
        self.assertEqual(1, status['lastState']['terminated']['exitCode'])
        self.assertEqual('', self.output(pod, 'victim'))
        self.assertIn('running', hosted.status_of(seen, 'swap')['state'])

    def test_kubernetes_refuses_paths_that_lead_out(self):
        namespace = self.namespace()

        def refused(volume, **part):
            error = self.assertRaises(
                exceptions.ApiException, self.run_pod, hosted.shell(
                    'cat', volumeMounts=[mount('data', **part)]),
                namespace=namespace, volumes=[{'name': 'data', **volume}])
            self.assertEqual(422, error.status)
        refused({'emptyDir': {}}, subPath='../other')
        refused({'emptyDir': {}}, subPath='/etc')
        for path in ('../etc/passwd', '/etc/passwd', 'a/../../b', '..x'):
            refused({'configMap': {'name': 'app', 'items': [
                {'key': 'script', 'path': path}]}})


class TestLimits(hosted.HostedCase):

    def test_a_volume_over_its_limit_ends_its_pod_and_no_other(self):
        namespace = self.namespace()
        script = 'head -c {} /dev/zero > /cache/file; echo wrote; sleep 60'

        def start(name, size):
            return self.run_pod(
                hosted.shell(script.format(size), volumeMounts=[
                    mount('cache')]), name=name, namespace=namespace,
                volumes=[{'name': 'cache', 'emptyDir': {
                    'sizeLimit': '1Mi'}}])
        large, small = start('large', 3000000), start('small', 500000)

        failed = self.finished(large)

        status = failed['status']
        self.assertEqual(('Failed', 'Evicted'),
                         (status['phase'], status['reason']))
        self.assertEqual('Usage of EmptyDir volume "cache" exceeds the limit '
                         '"1Mi". ', status['message'])
        self.assertEqual('wrote\n', self.output(large))
        self.wait_phase(small, 'Running')
        self.assertEqual('wrote\n', self.output(small))
