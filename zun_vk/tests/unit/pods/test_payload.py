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

import copy
from unittest import mock

from oslo_config import cfg
from oslotest import base

from zun_vk import exceptions
from zun_vk.conf import pods as pods_conf
from zun_vk.kube import objects
from zun_vk.pods import payload
from zun_vk.pods import tokens
from zun_vk.tests.unit.pods import strategies

_FORBIDDEN = exceptions.AccessDenied('kubernetes', 'forbidden: x', 403)
_DOWN = exceptions.Unreachable('kubernetes', 'down')


class PayloadTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        pods_conf.register_opts(self.conf)
        self.conf([])
        self.objects = mock.create_autospec(
            objects.ObjectCache, instance=True)
        self.objects.master_service.return_value = None
        self.objects.services.return_value = ()
        self.objects.secret.return_value = {'k': b's3cr3t'}
        self.objects.config_map.return_value = {'k': 'v'}
        self.objects.whole_config_map.return_value = objects.ConfigMap(
            {'ca.crt': 'c\u00e9rt'}, {'bin': b'\xff'})
        self.objects.runtime_handler.return_value = 'kata'
        self.tokens = mock.create_autospec(tokens.Tokens, instance=True)
        self.tokens.get.return_value = tokens.Token('t0k3n', 100.0, 200.0)
        self.told = []

    def _maker(self):
        return payload.PayloadMaker(
            self.conf, self.objects, 'zun-vk', '192.0.2.1', self.tokens,
            lambda pod, notes: self.told.extend(notes))

    def _make(self, *containers, addresses=('10.0.0.5',), **spec):
        self.pod = strategies.pod(*containers, **spec)
        return self._maker().make(self.pod, addresses, 5.0)

    def _with_volume(self, **volume):
        return self._make(volumes=[{'name': 'v', **volume}])


class ReadTestCase(PayloadTestCase):

    def test_only_what_is_named_is_read_as_of_the_time_given(self):
        self._make(strategies.container(envFrom=[
            {'secretRef': {'name': 's'}}]), imagePullSecrets=[
                {'name': 'p'}, {}, {'name': ''}], runtimeClassName='sandbox')
        self.objects.secret.assert_called_once_with('shop', 's', 5.0)
        self.objects.whole_config_map.assert_called_once_with(
            'shop', 'kube-root-ca.crt', 5.0)
        self.objects.whole_secret.assert_called_once_with('shop', 'p', 5.0)
        self.objects.runtime_handler.assert_called_once_with('sandbox', 5.0)
        self.tokens.get.assert_called_once_with(self.pod, '', 3607)
        self.objects.config_map.assert_not_called()
        self.objects.allocatable.assert_not_called()

    def test_the_token_of_every_pod_is_there(self):
        made = self._make()
        volume = strategies.TOKEN_VOLUME['name']
        self.assertEqual(
            {'token': b't0k3n', 'ca.crt': 'c\u00e9rt'.encode(),
             'namespace': b'shop'},
            {file.path: file.data for file in made.volumes[volume]})
        self.assertEqual(100.0, made.refresh_after)

    def test_text_and_other_data_of_a_configmap_are_files(self):
        made = self._with_volume(configMap={'name': 'c'})
        self.assertEqual(
            [('bin', b'\xff'), ('ca.crt', 'c\u00e9rt'.encode())],
            [(file.path, file.data) for file in made.volumes['v']])
        self.objects.whole_config_map.return_value = None
        self.assertIn('configmap "c" not found', self._with_volume(
            configMap={'name': 'c'}).volume_errors[0])

    def test_addresses_of_the_nodes_family_come_first(self):
        made = self._make(strategies.container(env=[
            {'name': 'IP', 'valueFrom': {'fieldRef': {
                'fieldPath': 'status.podIP'}}}]),
            addresses=('fd00::5', '10.0.0.5'))
        self.assertIn({'name': 'IP', 'value': '10.0.0.5'},
                      made.pod['spec']['containers'][0]['env'])

    def test_the_clusters_dns_is_as_configured(self):
        self.assertIsNone(self._make().dns)
        self.assertEqual(['MissingClusterDNS'],
                         [note.reason for note in self.told])
        self.conf.set_override('cluster_dns', ['10.96.0.10'], 'pods')
        self.conf.set_override('cluster_domain', 'example.org', 'pods')
        made = self._make(subdomain='db')
        self.assertEqual(('10.96.0.10',), made.dns.servers)
        self.assertEqual('db.shop.svc.example.org', made.domain)


class KnownTestCase(PayloadTestCase):

    def setUp(self):
        super().setUp()
        self.maker = self._maker()
        self.pod = strategies.pod(strategies.container(envFrom=[
            {'secretRef': {'name': 's'}}]))
        self.pod['metadata']['resourceVersion'] = '7'
        self.known = self._again(known='').generation

    def _again(self, known=None, addresses=('10.0.0.5',)):
        return self.maker.make(copy.deepcopy(self.pod), addresses, 5.0,
                               self.known if known is None else known)

    def test_what_is_known_is_not_made_again(self):
        with mock.patch.object(payload.assembly, 'assemble',
                               autospec=True) as assemble:
            self.assertIsNone(self._again())
        assemble.assert_not_called()

    def test_who_knows_another_one_or_none_is_given_it(self):
        for known in ('', 'x'):
            self.assertEqual(self.known, self._again(known).generation)

    def test_whatever_it_is_made_of_is_looked_at(self):
        changed = [lambda: self.objects.secret.configure_mock(
            return_value={'k': b'other'}),
            lambda: self.objects.whole_config_map.configure_mock(
                return_value=objects.ConfigMap({'ca.crt': 'd'}, {})),
            lambda: self.tokens.get.configure_mock(
                return_value=tokens.Token('n3w', 300.0, 400.0)),
            lambda: self.pod['metadata'].update(
                resourceVersion='8', labels={'a': 'b'})]
        for change in changed:
            change()
            made = self._again()
            self.assertNotEqual(self.known, made.generation)
            self.known = made.generation
            self.assertIsNone(self._again())

    def test_a_change_that_is_none_for_the_host_gives_it_nothing_new(self):
        self.pod['metadata']['resourceVersion'] = '8'
        self.tokens.get.return_value = tokens.Token('t0k3n', 150.0, 200.0)
        self.assertIsNone(self._again())

    def test_of_no_more_pods_than_that_anything_is_kept(self):
        with mock.patch.object(payload, '_MOST', 3):
            for number in range(9):
                self.pod['metadata']['uid'] = str(number)
                self._again('')
        self.assertEqual(3, len(self.maker._made))


class RefusalTestCase(PayloadTestCase):

    def test_a_pod_that_no_host_can_run_is_refused(self):
        error = self.assertRaises(exceptions.UnsupportedPod, self._make,
                                  hostNetwork=True)
        self.assertEqual(['spec.hostNetwork'], error.fields)

    def test_what_may_not_be_read_yet_holds_up_only_what_needs_it(self):
        self.objects.secret.side_effect = _FORBIDDEN
        self.objects.whole_secret.side_effect = _FORBIDDEN
        self.objects.runtime_handler.side_effect = _FORBIDDEN
        self.tokens.get.side_effect = _FORBIDDEN
        made = self._make(
            strategies.container('a', envFrom=[
                {'secretRef': {'name': 's'}}]),
            strategies.container('b'), runtimeClassName='sandbox',
            imagePullSecrets=[{'name': 'p'}])
        self.assertEqual({'a': 'forbidden: x'}, made.container_errors)
        self.assertIn('forbidden: x', made.volume_errors[0])
        self.assertEqual(
            'failed to get sandbox runtime: failed to lookup RuntimeClass '
            'sandbox: forbidden: x', made.runtime_error)
        self.assertIn('(p)', self.told[-1].message)

    def test_a_runtime_class_that_is_not_there_is_named(self):
        self.assertEqual('kata', self._make(
            runtimeClassName='x').runtime_handler)
        self.objects.runtime_handler.return_value = None
        made = self._make(runtimeClassName='x')
        self.assertEqual(
            'failed to get sandbox runtime: RuntimeClass.node.k8s.io "x" '
            'not found', made.runtime_error)
        self.assertEqual('', made.runtime_handler)

    def test_an_account_that_is_not_there_is_named(self):
        self.tokens.get.side_effect = exceptions.NotFound(
            'kubernetes', 'serviceaccounts "default" not found', 404)
        self.assertEqual((
            'MountVolume.SetUp failed for volume "kube-api-access-x7k2p" : '
            'failed to fetch token: serviceaccounts "default" not found',),
            self._make().volume_errors)

    def test_an_api_server_that_is_away_makes_no_payload(self):
        unknown = exceptions.AccessDenied('kubernetes', 'who?', 401)
        for error in (_DOWN, unknown):
            for source in (self.objects.whole_config_map, self.tokens.get):
                source.side_effect = error
                self.assertRaises(type(error), self._make)
                source.side_effect = None


class GenerationTestCase(PayloadTestCase):

    def setUp(self):
        super().setUp()
        self.maker = self._maker()
        self.pod = strategies.pod(strategies.container(
            envFrom=[{'secretRef': {'name': 's'}}]))

    def _generation(self):
        return self.maker.make(self.pod, ('10.0.0.5',), 0).generation

    def test_it_stays_while_nothing_changes_for_the_pod(self):
        first = self._generation()
        self.pod = copy.deepcopy(self.pod)
        self.pod['metadata']['resourceVersion'] = '8'
        self.pod['status'] = {'phase': 'Running'}
        self.tokens.get.return_value = tokens.Token('t0k3n', 150.0, 200.0)
        self.assertEqual(first, self._generation())

    def test_it_changes_with_anything_that_does(self):
        seen = {self._generation()}
        changes = (
            lambda: self.pod['metadata'].update(labels={'a': 'b'}),
            lambda: self.pod['spec']['containers'][0].update(image='new'),
            lambda: setattr(self.objects.secret, 'return_value',
                            {'k': b'other'}),
            lambda: setattr(self.objects.whole_config_map, 'return_value',
                            objects.ConfigMap({'ca.crt': 'new'}, {})),
            lambda: setattr(self.tokens.get, 'return_value',
                            tokens.Token('new', 100.0, 200.0)),
            lambda: setattr(self.objects.whole_config_map, 'return_value',
                            None))
        for count, change in enumerate(changes, 2):
            change()
            seen.add(self._generation())
            self.assertEqual(count, len(seen))

    def test_it_tells_nothing_of_what_it_is_of(self):
        self.assertNotEqual(self._generation(), self._maker().make(
            self.pod, ('10.0.0.5',), 0).generation)
