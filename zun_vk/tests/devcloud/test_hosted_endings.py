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
"""What containers say of their end: feature 19."""

from zun_vk.tests.devcloud import hosted

LOGS = 'FallbackToLogsOnError'
LOG = '/dev/termination-log'
LINES = ('i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done; '
         'exit 1')
# Container: script, fields, exit code, message.
ENDINGS = {
    'file': (f'echo -n DONE > {LOG}', {}, 0, 'DONE'),
    'custom': ('echo -n mine > /tmp/end', {
        'terminationMessagePath': '/tmp/end',
        'securityContext': {'runAsUser': 10000}}, 0, 'mine'),
    'failed': (f'echo why > {LOG}; exit 3', {}, 3, 'why\n'),
    'silent': ('echo said; exit 4', {}, 4, ''),
    'fallback': ('echo -n said; exit 5', {
        'terminationMessagePolicy': LOGS}, 5, 'said'),
    'clean': ('echo said', {'terminationMessagePolicy': LOGS}, 0, ''),
    'both': (f'echo log; echo -n file > {LOG}; exit 6', {
        'terminationMessagePolicy': LOGS}, 6, 'file'),
    'many': (LINES, {'terminationMessagePolicy': LOGS}, 1, ''.join(
        f'line {number}\n' for number in range(120, 200))),
    'gone': (f'rm -f {LOG} 2>/dev/null; ln -s /etc/passwd {LOG}; exit 7',
             {}, 7, ''),
    'binary': (f'printf "a\\377b\\0c" > {LOG}; exit 8', {}, 8, None),
}
# All containers of a pod share 12 KiB, and none has more than 4.
LONG = f'yes 0123456789abcde | head -c 6000 > {LOG}'


class TestMessages(hosted.HostedCase):

    def test_containers_say_how_they_ended(self):
        namespace = self.namespace()
        pod = self.run_pod(*(
            hosted.shell(script, name, **fields) for name,
            (script, fields, _code, _message) in ENDINGS.items()),
            namespace=namespace)
        long = self.run_pod(hosted.shell(LONG), name='long',
                            namespace=namespace)

        done = self.finished(pod)

        self.assertEqual('Failed', done['status']['phase'])
        found = {name: (hosted.ended(done, name)['exitCode'],
                        hosted.ended(done, name).get('message', ''))
                 for name in ENDINGS}
        lossy = found.pop('binary')
        self.assertEqual(
            {name: (code, message)
             for name, (_script, _fields, code, message) in ENDINGS.items()
             if message is not None}, found)
        self.assertEqual(8, lossy[0])
        self.assertIn('a', lossy[1])
        self.assertIn('c', lossy[1])
        message = hosted.ended(self.succeeded(long))['message']
        self.assertEqual(4096, len(message))
        self.assertEqual('0123456789abcde\n' * 256, message)
