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

import hypothesis
from hypothesis import strategies as st
from oslo_config import cfg
from oslotest import base

from zun_vk import exceptions
from zun_vk.conf import opts
from zun_vk.kube import client as kube_client
from zun_vk.node import registration
from zun_vk.node import zones

_TAINT = {'key': 'virtual-kubelet.io/provider', 'value': 'zun',
          'effect': 'NoSchedule'}
_FOREIGN = {'key': 'node.kubernetes.io/not-ready', 'effect': 'NoExecute'}


def make_conf(**node):
    """Return options; those given are of section [node]."""
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf([], project='zun-vk', default_config_files=[])
    conf.set_override('region_name', 'RegionOne', group='zun')
    conf.set_override('address', '192.0.2.10', group='node')
    for name, value in node.items():
        conf.set_override(name, value, group='node')
    return conf


def _wanted(zone=None, **node):
    return registration.node_object(
        make_conf(**node), zones.VirtualNode('zun-vk', zone), 'amd64')


class NodeObjectTestCase(base.BaseTestCase):

    def test_the_node_is_what_a_cluster_expects_of_a_virtual_one(self):
        node = _wanted()
        self.assertEqual({
            'type': 'virtual-kubelet', 'kubernetes.io/os': 'linux',
            'kubernetes.io/arch': 'amd64',
            'kubernetes.io/hostname': 'zun-vk',
            'topology.kubernetes.io/region': 'RegionOne',
            'zun.openstack.org/virtual-node': 'zun-vk',
            'node.kubernetes.io/exclude-from-external-load-balancers':
                'true'}, node['metadata']['labels'])
        self.assertEqual({'providerID': 'zun-vk://RegionOne/zun-vk',
                          'taints': [_TAINT]}, node['spec'])

    def test_the_node_of_a_zone_says_which(self):
        metadata = _wanted(zone='Rack 7/b')['metadata']
        self.assertEqual(
            {'zun.openstack.org/availability-zone': 'Rack 7/b'},
            metadata['annotations'])
        self.assertRegex(metadata['labels']['topology.kubernetes.io/zone'],
                         '^Rack-7-b-[0-9a-f]{8}$')

    def test_labels_are_added_and_may_replace_ours(self):
        labels = _wanted(labels={'a': 'b', 'type': 'c'})[
            'metadata']['labels']
        self.assertEqual(('b', 'c'), (labels['a'], labels['type']))

    def test_no_taint_when_none_is_wanted(self):
        self.assertNotIn('taints', _wanted(taint='')['spec'])

    def test_what_is_not_known_is_left_out(self):
        conf = make_conf()
        conf.set_override('region_name', None, group='zun')
        node = registration.node_object(
            conf, zones.VirtualNode('zun-vk'), '')
        self.assertNotIn('kubernetes.io/arch', node['metadata']['labels'])
        self.assertNotIn('topology.kubernetes.io/region',
                         node['metadata']['labels'])
        self.assertEqual('zun-vk:///zun-vk', node['spec']['providerID'])

    def test_taints_are_read_as_kubectl_writes_them(self):
        for text, expected in (
                ('a=b:NoSchedule', {'key': 'a', 'value': 'b',
                                    'effect': 'NoSchedule'}),
                ('a:NoExecute', {'key': 'a', 'effect': 'NoExecute'}),
                ('a=:NoExecute', {'key': 'a', 'effect': 'NoExecute'}),
                ('x.io/a=b.c:PreferNoSchedule',
                 {'key': 'x.io/a', 'value': 'b.c',
                  'effect': 'PreferNoSchedule'})):
            self.assertEqual(expected, registration.taint(text), text)


class AdoptionTestCase(base.BaseTestCase):

    def _found(self, **changes):
        node = copy.deepcopy(_wanted())
        node['metadata'].update(resourceVersion='7', uid='u')
        for section, fields in changes.items():
            node[section].update(fields)
        return node

    def test_a_node_that_is_ours_is_left_alone(self):
        self.assertIsNone(registration.adoption(self._found(), _wanted()))

    def test_foreign_labels_taints_and_annotations_are_kept(self):
        found = self._found(
            metadata={'labels': {**_wanted()['metadata']['labels'],
                                 'team': 'x'}, 'annotations': {'a': 'b'}},
            spec={'taints': [_FOREIGN, _TAINT], 'unschedulable': True})
        self.assertIsNone(registration.adoption(found, _wanted()))

    def test_what_is_missing_is_added_beside_what_others_put(self):
        found = self._found(metadata={'labels': {'team': 'x'}},
                            spec={'taints': [_FOREIGN]})
        patch = registration.adoption(found, _wanted())
        self.assertEqual(_wanted()['metadata']['labels'],
                         patch['metadata']['labels'])
        self.assertEqual([_FOREIGN, _TAINT], patch['spec']['taints'])

    def test_taints_are_written_only_to_the_node_that_was_read(self):
        patch = registration.adoption(self._found(spec={'taints': []}),
                                      _wanted())
        self.assertEqual('7', patch['metadata']['resourceVersion'])

    def test_a_value_of_ours_that_changed_is_put_right(self):
        found = self._found(spec={'taints': [{**_TAINT, 'value': 'old'}]})
        patch = registration.adoption(found, _wanted())
        self.assertEqual([_TAINT], patch['spec']['taints'])

    def test_a_taint_without_a_value_is_put_on_once(self):
        wanted = _wanted(taint='a:NoSchedule')
        found = self._found(spec={'taints': []})
        patch = registration.adoption(found, wanted)
        found['spec']['taints'] = patch['spec']['taints']
        self.assertIsNone(registration.adoption(found, wanted))

    def test_a_provider_id_once_set_is_never_changed(self):
        found = self._found(spec={'providerID': 'other://x'})
        self.assertIsNone(registration.adoption(found, _wanted()))
        del found['spec']['providerID']
        self.assertEqual(
            {'providerID': 'zun-vk://RegionOne/zun-vk'},
            registration.adoption(found, _wanted())['spec'])

    def test_a_node_without_labels_and_taints_is_adopted(self):
        patch = registration.adoption(
            {'metadata': {'name': 'zun-vk', 'resourceVersion': '1'},
             'spec': {}}, _wanted())
        self.assertEqual([_TAINT], patch['spec']['taints'])

    @hypothesis.given(
        st.dictionaries(st.sampled_from(['type', 'team', 'a']),
                        st.sampled_from(['virtual-kubelet', 'x'])),
        st.lists(st.sampled_from(
            [_TAINT, _FOREIGN, {**_TAINT, 'value': 'old'},
             {**_TAINT, 'effect': 'NoExecute'}]), max_size=3,
            unique_by=lambda each: (each['key'], each['effect'])),
        st.sampled_from(['zun=a:NoSchedule', '', 'b:NoExecute',
                         'virtual-kubelet.io/provider=zun:NoSchedule']))
    def test_adopting_is_done_once_and_takes_nothing_away(
            self, labels, taints, taint):
        wanted = _wanted(taint=taint)
        found = self._found(metadata={'labels': dict(labels)},
                            spec={'taints': list(taints)})
        before = copy.deepcopy(found)
        patch = registration.adoption(found, wanted)
        self.assertEqual(before, found)
        patch = patch or {'metadata': {}, 'spec': {}}
        found['metadata']['labels'].update(
            patch['metadata'].get('labels', {}))
        found['spec'].update(patch['spec'])
        self.assertIsNone(registration.adoption(found, wanted))
        self.assertLessEqual(set(labels), set(found['metadata']['labels']))
        ours = {(each['key'], each['effect'])
                for each in wanted['spec'].get('taints', [])}
        for each in taints:
            if (each['key'], each['effect']) not in ours:
                self.assertIn(each, found['spec']['taints'])


class RegisterTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.missing = exceptions.NotFound('kubernetes', 'no', 404)
        self.refused = exceptions.AccessDenied('kubernetes', 'no', 403)
        self.conflict = exceptions.Conflict('kubernetes', 'changed', 409)

    def _register(self):
        return registration.register(self.client, _wanted())

    def _found(self):
        return {'metadata': {'name': 'zun-vk', 'resourceVersion': '7'},
                'spec': {}}

    def test_a_node_that_is_not_there_is_created(self):
        self.client.get_node.side_effect = self.missing
        self.assertIs(self.client.create_node.return_value,
                      self._register())

    def test_a_node_that_is_there_is_adopted(self):
        self.client.get_node.return_value = self._found()
        self.assertIs(self.client.patch_node.return_value, self._register())
        self.client.create_node.assert_not_called()

    def test_a_node_created_meanwhile_is_adopted(self):
        self.client.get_node.side_effect = [self.missing, self._found()]
        self.client.create_node.side_effect = self.conflict
        self.assertIs(self.client.patch_node.return_value, self._register())

    def test_a_node_changed_meanwhile_is_read_again(self):
        self.client.get_node.return_value = self._found()
        done = {'metadata': {}}
        self.client.patch_node.side_effect = [self.conflict, done]
        self.assertIs(done, self._register())

    def test_a_node_that_never_stands_still_is_given_up_for_now(self):
        self.client.get_node.return_value = self._found()
        self.client.patch_node.side_effect = self.conflict
        self.assertRaises(exceptions.Unavailable, self._register)

    def test_a_node_that_may_not_change_its_taints_goes_on_without(self):
        self.client.get_node.return_value = self._found()
        done = {'metadata': {}, 'spec': {}}
        self.client.patch_node.side_effect = [self.refused, done]
        self.assertIs(done, self._register())
        name, patch = self.client.patch_node.call_args.args
        self.assertEqual({'providerID': 'zun-vk://RegionOne/zun-vk'},
                         patch['spec'])
        self.assertIn('labels', patch['metadata'])
        self.assertTrue(registration.lacks_taint(self._found(), _wanted()))
        self.assertFalse(registration.lacks_taint(_wanted(), _wanted()))

    def test_a_node_that_may_not_set_its_labels_is_not_adopted(self):
        self.client.get_node.return_value = self._found() | {
            'spec': {'taints': [_TAINT]}}
        self.client.patch_node.side_effect = self.refused
        self.assertRaises(exceptions.AccessDenied, self._register)
        self.client.patch_node.assert_called_once()

    def test_other_failures_are_the_callers(self):
        self.client.get_node.side_effect = exceptions.AccessDenied(
            'kubernetes', 'no', 403)
        self.assertRaises(exceptions.AccessDenied, self._register)


class StaticStatusTestCase(base.BaseTestCase):

    def test_it_says_where_and_what_the_node_is(self):
        status = registration.static_status(
            make_conf(), 'zun-vk', 'v1.36.3', 'amd64')
        self.assertEqual(
            [{'type': 'InternalIP', 'address': '192.0.2.10'},
             {'type': 'Hostname', 'address': 'zun-vk'}],
            status['addresses'])
        self.assertEqual({'kubeletEndpoint': {'Port': 0}},
                         status['daemonEndpoints'])
        info = status['nodeInfo']
        self.assertEqual(('linux', 'amd64'), (
            info['operatingSystem'], info['architecture']))
        self.assertTrue(info['kubeletVersion'].startswith('v1.36.3-zun-vk-'))

    def test_every_field_kubernetes_requires_is_there(self):
        info = registration.static_status(
            make_conf(), 'zun-vk', 'v1.36.3+k3s1', '')['nodeInfo']
        self.assertLessEqual(
            {'machineID', 'systemUUID', 'bootID', 'kernelVersion', 'osImage',
             'containerRuntimeVersion', 'kubeletVersion',
             'kubeProxyVersion', 'operatingSystem', 'architecture'},
            set(info))
        self.assertTrue(all(isinstance(value, str)
                            for value in info.values()))
        self.assertNotIn('+', info['kubeletVersion'])
