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
"""Security contexts and runtime classes: features 31 and 32."""

from kubernetes import client

from devcloud import containerd
from devcloud import own_images
from zun_vk.compute import model
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import kube

LOOKS = {'user': 'id -u', 'group': 'id -g', 'groups': 'id -G',
         'write': 'echo x > /made && echo written',
         'caps': 'grep CapEff /proc/self/status',
         'privs': 'grep NoNewPrivs /proc/self/status',
         'seccomp': 'grep ^Seccomp: /proc/self/status',
         'link': 'ip link add type dummy', 'end': 'true'}
# Of each user another one: nobody may write to that of somebody else.
VOLUME = {'file': 'echo x > /data/$(id -u); '
                  'stat -c "%u %g %a" /data/$(id -u)',
          'folder': 'stat -c "%g %A" /data'}
MOUNT = [{'name': 'data', 'mountPath': '/data'}]
SYSCTLS = {'shared': 'cat /proc/sys/kernel/shm_rmid_forced',
           'ports': 'cat /proc/sys/net/ipv4/ip_local_port_range'}
NET_ADMIN = 12
NONROOT = f'{own_images.E2E}/nonroot:1.5'


def told(name, **security):
    return hosted.telling(LOOKS, name, securityContext=security)


class TestSecurity(life.LifeCase):

    def test_containers_have_the_rights_they_ask_for(self):
        namespace = self.namespace()
        rooted = self.run_pod(
            told('plain'), told('less', capabilities={'drop': ['ALL']}),
            told('more', capabilities={'drop': ['ALL'],
                                       'add': ['NET_ADMIN']}),
            told('fixed', readOnlyRootFilesystem=True),
            told('strict', allowPrivilegeEscalation=False,
                 seccompProfile={'type': 'RuntimeDefault'}),
            told('own', runAsUser=1234, runAsGroup=4321),
            told('open', seccompProfile={'type': 'Unconfined'}),
            name='rooted', namespace=namespace)
        shared = self.run_pod(
            hosted.telling({**LOOKS, **VOLUME}, 'inherits',
                           volumeMounts=MOUNT),
            hosted.telling({**LOOKS, **VOLUME}, 'differs',
                           volumeMounts=MOUNT,
                           securityContext={'runAsUser': 1001}),
            name='shared', namespace=namespace,
            volumes=[{'name': 'data', 'emptyDir': {}}],
            securityContext={'runAsUser': 1000, 'runAsGroup': 3000,
                             'fsGroup': 2000, 'supplementalGroups': [4000]})
        tuned = self.run_pod(
            hosted.telling(SYSCTLS), name='tuned', namespace=namespace,
            securityContext={'sysctls': [
                {'name': 'kernel/shm_rmid_forced', 'value': '1'},
                {'name': 'net.ipv4.ip_local_port_range',
                 'value': '20000 30000'}]})

        self.succeeded(rooted, 120)
        self.ranks({each['name']: self.told(rooted, each['name'])
                    for each in rooted['spec']['containers']})
        self.succeeded(shared)
        self.shares(shared)
        self.succeeded(tuned)
        said = self.told(tuned)
        self.assertEqual('1', said['shared'])
        self.assertEqual(['20000', '30000'], said['ports'].split())

    def ranks(self, said):
        """Check the rights of single containers."""
        plain = said['plain']
        self.assertEqual(('0', 'written'), (plain['user'], plain['write']))
        self.assertEqual('0', plain['privs'].split()[1])
        self.assertIn('not permitted', plain['link'])
        self.assertEqual(0, capabilities(said['less']))
        self.assertEqual(1 << NET_ADMIN, capabilities(said['more']))
        self.assertNotIn('not permitted', said['more']['link'])
        self.assertFalse(capabilities(plain) & 1 << NET_ADMIN)
        self.assertIn('Read-only file system', said['fixed']['write'])
        self.assertEqual('1', said['strict']['privs'].split()[1])
        self.assertEqual('2', said['strict']['seccomp'].split()[1])
        # As of a kubelet with seccompDefault.
        self.assertEqual('2', plain['seccomp'].split()[1])
        self.assertEqual('0', said['open']['seccomp'].split()[1])
        self.assertEqual(('1234', '4321'), (said['own']['user'],
                                            said['own']['group']))

    def shares(self, pod):
        """Check what containers have of their pod."""
        for name, user in (('inherits', '1000'), ('differs', '1001')):
            said = self.told(pod, name)
            self.assertEqual((user, '3000', {'3000', '2000', '4000'}), (
                said['user'], said['group'], set(said['groups'].split())))
            self.assertTrue(said['folder'].startswith('2000 '))
            self.assertIn('s', said['folder'])
        self.assertEqual(['1000', '2000'],
                         self.told(pod, 'inherits')['file'].split()[:2])

    def test_what_a_container_may_not_have_is_refused(self):
        namespace = self.namespace()

        def start(name, *, image='busybox', pod=None, **security):
            return self.run_pod(
                hosted.shell('id -u', image=image, securityContext=security),
                name=name, namespace=namespace, securityContext=pod)
        named = start('named', runAsNonRoot=True)
        zero = start('zero', runAsNonRoot=True, runAsUser=0)
        privileged = start('privileged', privileged=True)
        host = start('host', capabilities={'add': ['SYS_ADMIN']})
        unsafe = start('unsafe', pod={'sysctls': [
            {'name': 'kernel.msgmax', 'value': '65536'}]})
        good = start('good', image=NONROOT, runAsNonRoot=True)

        for pod, words in (
                (named, 'container has runAsNonRoot and image will run as '
                        'root'),
                (zero, "container's runAsUser breaks non-root policy"),
                (privileged, 'privileged is not allowed'),
                (host, 'SYS_ADMIN is not allowed')):
            seen = self.wait_why(pod, 'main', 'CreateContainerConfigError')
            self.assertEqual('Pending', seen['status']['phase'])
            self.assertIn(words, hosted.waiting(seen)['message'])
            self.assertIn(words, self.wait_event(pod, 'Failed')['message'])
            self.assertEqual([], self.events(pod, 'Started'))
        status = self.finished(unsafe)['status']
        self.assertEqual(('Failed', 'SysctlForbidden'),
                         (status['phase'], status['reason']))
        self.assertIn('forbidden sysctl: "kernel.msgmax" not allowlisted',
                      status['message'])
        self.succeeded(good)
        self.assertEqual('1234\n', self.output(good))


class TestRuntimeClasses(life.LifeCase):

    def test_a_runtime_class_chooses_the_handler(self):
        namespace = self.namespace()
        pods = {}
        for handler in (containerd.ALTERNATIVE, 'nobody-has-it'):
            name = f'{namespace}-{handler}'
            self.runtime_class(name, handler)
            pods[handler] = self.run_pod(
                name=f'by-{handler}', namespace=namespace,
                runtimeClassName=name)
        plain = self.run_pod(name='plain', namespace=namespace)

        good = self.wait_ready(pods[containerd.ALTERNATIVE])
        self.assertEqual({containerd.ALTERNATIVE}, self.handlers(good))
        self.assertNotIn(containerd.ALTERNATIVE,
                         self.handlers(self.wait_ready(plain)))
        bad = pods['nobody-has-it']
        event = self.wait_event(bad, 'FailedCreatePodSandBox')
        self.assertIn('nobody-has-it', event['message'])
        self.assertEqual('Pending', self.now(bad)['status']['phase'])

    def runtime_class(self, name, handler):
        api = client.NodeV1Api(self.api.core.api_client)
        kube.call(api.create_runtime_class, {
            'metadata': {'name': name}, 'handler': handler})
        self.addCleanup(kube.call, api.delete_runtime_class, name)

    def handlers(self, pod):
        """Return what a pod's sandboxes are run by."""
        labels = {model.LABEL_UID: pod['metadata']['uid']}
        found = set()
        for host in self.devcloud.hosts():
            with self.runtime(host) as runtime:
                found |= {runtime.sandbox_status(each.id).status
                          .runtime_handler
                          for each in runtime.sandboxes(labels)}
        return found


def capabilities(said):
    return int(said['caps'].split()[1], 16)
