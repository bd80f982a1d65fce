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
import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.volumes import kinds

MIB = 1024 ** 2


def _container(memory=None, **fields):
    if memory:
        fields['resources'] = {'limits': {'memory': memory}}
    return {'name': 'c', **fields}


class KindsTestCase(base.BaseTestCase):

    def test_each_kind_is_told_apart(self):
        spec = {'volumes': [
            {'name': 'a', 'emptyDir': {}},
            {'name': 'b', 'emptyDir': {'medium': 'Memory',
                                       'sizeLimit': '1Mi'}},
            {'name': 'c', 'secret': {'secretName': 's'}},
            {'name': 'd', 'configMap': {}},
            {'name': 'e', 'downwardAPI': {}},
            {'name': 'f', 'projected': {'sources': [
                {'serviceAccountToken': {'path': 'token'}},
                {'configMap': {'name': 'x'}}]}},
            {'name': 'g'}, {'name': 'h', 'emptyDir': None}]}
        self.assertEqual([
            kinds.Volume('a', 'disk'), kinds.Volume('b', 'memory', MIB),
            kinds.Volume('c', 'secret'), kinds.Volume('d', 'configMap'),
            kinds.Volume('e', 'downwardAPI'),
            kinds.Volume('f', 'projected', tokens=frozenset({'token'})),
            kinds.Volume('g', 'disk'), kinds.Volume('h', 'disk'),
        ], kinds.volumes(spec))

    def _refused(self, *volumes):
        error = self.assertRaises(
            exceptions.VolumeRefused, kinds.volumes, {'volumes': volumes})
        return error.field

    def test_what_cannot_be_had_is_named(self):
        for kind in ('hostPath', 'persistentVolumeClaim', 'csi', 'ephemeral',
                     'nfs', 'image', 'whatever'):
            self.assertEqual(f'spec.volumes[1].{kind}', self._refused(
                {'name': 'a'}, {'name': 'b', kind: {'path': '/'}}))

    def test_bad_fields_are_named(self):
        for volume, field in (
                ({'name': '../x'}, 'name'), ({'name': ''}, 'name'),
                ({}, 'name'),
                ({'name': 'a', 'emptyDir': {'medium': 'HugePages'}},
                 'emptyDir.medium'),
                ({'name': 'a', 'emptyDir': {'sizeLimit': 'much'}},
                 'emptyDir.sizeLimit')):
            self.assertEqual(f'spec.volumes[0].{field}',
                             self._refused(volume))

    def test_a_memory_volume_is_no_larger_than_the_pod(self):
        volume = kinds.Volume('a', 'memory', limit=64 * MIB)
        for expected, limits in (
                (64 * MIB, []), (64 * MIB, [None]),
                (64 * MIB, ['100Mi', None]), (30 * MIB, ['10Mi', '20Mi']),
                (64 * MIB, ['100Mi'])):
            spec = {'containers': [_container(each) for each in limits]}
            self.assertEqual(expected, kinds.size(volume, spec))
        self.assertIsNone(kinds.size(kinds.Volume('a', 'memory'),
                                     {'containers': [_container()]}))

    def test_init_containers_and_sidecars_count_as_kubernetes_says(self):
        spec = {'containers': [_container('10Mi')], 'initContainers': [
            _container('15Mi'), _container('20Mi', restartPolicy='Always')]}
        self.assertEqual(30 * MIB, kinds.memory_limit(spec))
        # Beside the sidecar that was started before it.
        spec['initContainers'].append(_container('50Mi'))
        self.assertEqual(70 * MIB, kinds.memory_limit(spec))
        spec['overhead'] = {'memory': '1Mi'}
        self.assertEqual(71 * MIB, kinds.memory_limit(spec))

    def test_a_limit_of_nothing_is_no_limit(self):
        spec = {'containers': [_container('10Mi'), _container('0')]}
        self.assertIsNone(kinds.memory_limit(spec))

    def test_tokens_are_known_by_the_paths_that_their_files_have(self):
        for path in ('a/token', './a//token', 'a/./token/'):
            volume, = kinds.volumes({'volumes': [{
                'name': 'v', 'projected': {'sources': [
                    {'serviceAccountToken': {'path': path}}]}}]})
            self.assertEqual({'a/token'}, volume.tokens)

    def test_the_user_of_tokens_is_the_one_of_all_containers(self):
        for expected, pod, users in (
                (None, None, [None]), (7, 7, [None]), (7, None, [7]),
                (None, 7, [None, 8]), (8, 7, [8, 8]), (None, None, [8, None])):
            spec = {'containers': [
                {'name': 'c', 'securityContext': user and {'runAsUser': user}}
                for user in users], 'securityContext': {'runAsUser': pod}
                if pod else {}}
            self.assertEqual(expected, kinds.only_user(spec), (pod, users))

    @hypothesis.given(strategies.lists(strategies.one_of(
        strategies.none(), strategies.integers(1, 100)), max_size=4),
        strategies.lists(strategies.integers(1, 100), max_size=3))
    def test_the_limit_of_a_pod_is_that_of_its_largest_moment(
            self, running, alone):
        spec = {
            'containers': [_container(each and str(each))
                           for each in running],
            'initContainers': [_container(str(each)) for each in alone]}
        expected = None
        if None not in running and (running or alone):
            expected = max([sum(running), *alone])
        self.assertEqual(expected, kinds.memory_limit(spec))
