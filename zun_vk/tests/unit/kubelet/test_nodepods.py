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
"""The pods of a node as its kubelet API sees them."""

import json
import threading
from unittest import mock

from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import reflector
from zun_vk.kubelet import context
from zun_vk.kubelet import nodepods
from zun_vk.kubelet import simple
from zun_vk.pods import hosted
from zun_vk.pods import writer
from zun_vk.pods.runtimes import base as runtime_base
from zun_vk.tests.unit.kube import api
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_RUNNING = {'phase': 'Running', 'containerStatuses': [
    {'name': 'main', 'image': 'busybox', 'state': {'running': {}}},
    {'name': 'other', 'image': 'busybox', 'state': {'waiting': {}}}]}


class NodePodsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.mirror = mock.create_autospec(reflector.Reflector, instance=True)
        self.mirror.synced = threading.Event()
        self.mirror.synced.set()
        self.writer = mock.create_autospec(writer.StatusWriter, instance=True)
        self.writer.newest.side_effect = lambda pod: pod
        self.runtime = mock.create_autospec(
            runtime_base.CapsuleRuntime, instance=True)
        self.runtime.of_pod.return_value = []
        self.runtime.listed_at.return_value = 1.0
        self.hosts = mock.create_autospec(hosted.Hosts, instance=True)
        self.hosts.status.return_value = None
        self.hosts.hosts_of.return_value = set()
        self.pods = nodepods.NodePods(self.mirror, self.writer, self.runtime,
                                      self.hosts, lambda: ('h7',))

    def show(self, *pods):
        self.mirror.snapshot.return_value = {
            pod['metadata']['uid']: pod for pod in pods}

    def capsule(self, **fields):
        made = capsules.read(**fields)
        self.runtime.of_pod.return_value = [made]
        self.runtime.uids.return_value = {made.uid}
        return made


class TestNodePods(NodePodsTestCase):

    def test_a_pod_is_found_by_its_namespace_and_name(self):
        pod = strategies.pod(name='web', namespace='shop', uid='u1')
        self.show(strategies.pod(name='web', namespace='other', uid='u2'),
                  pod, strategies.pod(name='db', namespace='shop', uid='u3'))

        self.assertEqual(pod, self.pods.find('shop', 'web'))
        self.assertEqual(pod, self.pods.find('shop', 'web', 'u1'))
        self.assertIsNone(self.pods.find('shop', 'web', 'u2'))
        self.assertIsNone(self.pods.find('shop', 'none'))

    def test_no_pod_is_gone_before_they_were_listed(self):
        # Just after the node was taken over.
        self.mirror.synced.clear()
        self.show()
        for ask in (lambda: self.pods.find('shop', 'web'), self.pods.all):
            with mock.patch.object(nodepods, '_SYNC_SECONDS', 0.01):
                refused = self.assertRaises(exceptions.Refused, ask)
            self.assertEqual(503, refused.status)

        threading.Timer(0.1, self.mirror.synced.set).start()
        self.assertEqual([], self.pods.all())

    def test_its_status_is_what_its_host_told_last(self):
        pod = strategies.pod(status={'phase': 'Pending'})
        self.show(pod)
        made = self.capsule()
        self.hosts.status.return_value = _RUNNING

        self.assertEqual([{**pod, 'status': _RUNNING}], self.pods.all())

        self.hosts.status.assert_called_once_with(pod, made)
        self.assertEqual({'phase': 'Pending'}, pod['status'])

    def test_its_status_is_that_last_written_where_its_host_is_silent(self):
        pod = strategies.pod(status={'phase': 'Pending'})
        self.show(pod)
        self.capsule()
        written = {**pod, 'status': _RUNNING}
        self.writer.newest.side_effect = lambda pod: written

        self.assertEqual([written], self.pods.all())

    def test_an_end_that_is_written_stays(self):
        pod = strategies.pod(status={'phase': 'Succeeded'})
        self.show(pod)
        self.capsule()
        self.hosts.status.return_value = _RUNNING

        self.assertEqual([pod], self.pods.all())

    def test_the_host_of_a_pod(self):
        self.assertIsNone(self.pods.host_of('u1'))
        self.capsule(host='h1')

        self.assertEqual('h1', self.pods.host_of('u1'))

        self.assertEqual({'h1'}, self.pods.hosts())
        self.runtime.located.assert_not_called()

    def test_the_host_of_a_capsule_just_made_is_asked_for(self):
        made = self.capsule(host='')
        self.runtime.located.return_value = capsules.read(host='h1')

        self.assertEqual('h1', self.pods.host_of('u1'))

        self.runtime.located.assert_called_once_with(made.uuid)
        self.assertEqual(set(), self.pods.hosts())

    def test_a_pod_that_ended_had_the_host_that_told_of_it(self):
        self.hosts.hosts_of.return_value = {'h2'}

        self.assertEqual('h2', self.pods.host_of('u1'))

        self.assertEqual(set(), self.pods.hosts())

    def test_a_node_has_no_hosts_only_once_its_capsules_were_listed(self):
        self.runtime.uids.return_value = set()
        self.runtime.listed_at.return_value = float('-inf')

        for ask in (self.pods.hosts, lambda: self.pods.host_of('u1')):
            refused = self.assertRaises(exceptions.Refused, ask)
            self.assertEqual(503, refused.status)
        self.assertEqual({'h7'}, self.pods.all_hosts())
        self.hosts.hosts_of.return_value = {'h2'}
        self.assertEqual('h2', self.pods.host_of('u1'))

    def test_a_pod_may_have_had_any_host_of_the_node(self):
        self.capsule(host='h1')

        self.assertEqual({'h1', 'h7'}, self.pods.all_hosts())

    def test_one_that_nobody_knows_is_none(self):
        self.capsule(host='')
        for answer in ({'return_value': None},
                       {'return_value': capsules.read(host='')},
                       {'side_effect': exceptions.Unreachable('zun', 'no')}):
            self.runtime.located.configure_mock(**answer)

            self.assertIsNone(self.pods.host_of('u1'))


class TestAnswers(NodePodsTestCase):

    def setUp(self):
        super().setUp()
        self.show(strategies.pod(uid='u1', status=_RUNNING),
                  strategies.pod(uid='u2', name='new'))
        self.services = context.Services(
            api.make_conf('kubeconfig'), 'n1', '192.0.2.1', self.pods, None,
            False, lambda: None, None)

    def ask(self, handler):
        exchange = mock.create_autospec(context.Exchange, instance=True)
        handler(self.services, exchange, ())
        status, body, *rest = exchange.send.call_args.args
        self.assertEqual(200, status)
        return body, rest

    def ask_json(self, handler):
        body, rest = self.ask(handler)
        self.assertEqual(['application/json'], rest)
        return json.loads(body)

    def test_health(self):
        self.assertEqual((b'ok', []), self.ask(simple.healthz))

    def test_pods(self):
        answer = self.ask_json(simple.pods)

        self.assertEqual(('PodList', 'v1'),
                         (answer['kind'], answer['apiVersion']))
        self.assertEqual(['u1', 'u2'], [
            one['metadata']['uid'] for one in answer['items']])
        self.assertEqual({'metadata', 'spec', 'status'},
                         set(answer['items'][0]))

    def test_a_node_without_pods_has_a_list_of_none(self):
        self.show()

        self.assertEqual([], self.ask_json(simple.pods)['items'])

    def test_running_pods(self):
        self.assertEqual(
            [{'metadata': {'name': 'web', 'namespace': 'shop', 'uid': 'u1'},
              'spec': {'containers': [{'name': 'main', 'image': 'busybox',
                                       'resources': {}}]},
              'status': {}}],
            self.ask_json(simple.running_pods)['items'])

    def test_settings(self):
        settings = self.ask_json(simple.configz)['kubeletconfig']

        self.assertEqual({'enabled': False},
                         settings['authentication']['anonymous'])
        self.assertEqual('Webhook', settings['authorization']['mode'])
        self.assertEqual(10250, settings['port'])

    def test_without_hosts_it_is_said_what_to_enable(self):
        refusal = self.assertRaises(exceptions.Refused,
                                    self.services.need_hosts)

        self.assertEqual(501, refusal.status)
        self.assertIn('[pods] capsule_runtime = compute', refusal.words)
