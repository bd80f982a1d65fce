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

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk.pods import environment
from zun_vk.pods import hostsupport
from zun_vk.pods import tokens
from zun_vk.pods.resolved import volumes
from zun_vk.rpc import payload
from zun_vk.tests.unit.pods import strategies

_SECRET, _CONFIG_MAP = environment.SECRET, environment.CONFIG_MAP
_OBJECTS = {
    (_SECRET, 'db'): {'user': b'joe', 'password': b's3cr3t'},
    (_CONFIG_MAP, 'app'): {'mode': b'fast', 'blob': b'\xff\0'},
    (_SECRET, 'gone'): None, (_CONFIG_MAP, 'gone'): None,
    (_SECRET, 'hidden'): exceptions.NotYetResolvable(
        'Failed', 'secrets "hidden" is forbidden')}
_TOKEN = tokens.Token('t0k3n', 100.0, 200.0)


def _field(path, field, **fields):
    return {'path': path, 'fieldRef': {'fieldPath': field}, **fields}


def _resource(path, resource, container='main', **fields):
    return {'path': path, 'resourceFieldRef': {
        'containerName': container, 'resource': resource, **fields}}


class VolumesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pod = strategies.pod(strategies.container(
            resources={'limits': {'memory': '64Mi'}}), volumes=[])
        self.material = volumes.Material(
            _OBJECTS, {volumes.TokenNeed('', 3600): _TOKEN,
                       volumes.TokenNeed('vault', 600): _TOKEN},
            {'cpu': '7'})

    def _make(self, **volume):
        """Return the files of a volume as (path, data, mode)."""
        self.pod['spec']['volumes'] = [{'name': 'v', **volume}]
        self.assertEqual([], hostsupport.refused(self.pod))
        before = copy.deepcopy(self.pod)
        made = volumes.make(self.pod, self.pod['spec']['volumes'][0],
                            self.material)
        self.assertEqual(before, self.pod)
        return [(file.path, file.data, file.mode) for file in made]

    def _projected(self, *sources, **fields):
        return self._make(projected={'sources': list(sources), **fields})

    def _error(self, **volume):
        error = self.assertRaises(exceptions.NotYetResolvable, self._make,
                                  **volume)
        self.assertEqual('FailedMount', error.reason)
        return error.message


class ObjectsTestCase(VolumesTestCase):

    def test_a_whole_secret_or_configmap_is_there(self):
        self.assertEqual(
            [('password', b's3cr3t', 0o644), ('user', b'joe', 0o644)],
            self._make(secret={'secretName': 'db'}))
        self.assertEqual(
            [('blob', b'\xff\0', 0o400), ('mode', b'fast', 0o400)],
            self._make(configMap={'name': 'app', 'defaultMode': 0o400}))

    def test_no_mode_at_all_is_a_mode_too(self):
        for mode, expected in ((0, 0), (None, 0o644), (0o7777, 0o777)):
            self.assertEqual(
                {expected}, {mode for _, _, mode in self._make(secret={
                    'secretName': 'db', 'defaultMode': mode})})

    def test_items_choose_keys_names_and_modes(self):
        items = [{'key': 'user', 'path': 'a/b/name', 'mode': 0},
                 {'key': 'password', 'path': './a//word'}]
        self.assertEqual(
            [('a/b/name', b'joe', 0), ('a/word', b's3cr3t', 0o600)],
            self._make(secret={'secretName': 'db', 'items': items,
                               'defaultMode': 0o600}))

    def test_what_is_missing_is_said_as_kubernetes_says_it(self):
        items = [{'key': 'x', 'path': 'x'}]
        for volume, message in (
                ({'secret': {'secretName': 'gone'}},
                 'secret "gone" not found'),
                ({'configMap': {'name': 'gone'}},
                 'configmap "gone" not found'),
                ({'secret': {'secretName': 'db', 'items': items}},
                 'references non-existent secret key: x'),
                ({'configMap': {'name': 'app', 'items': items}},
                 'configmap references non-existent config key: x')):
            self.assertEqual(message, self._error(**volume))

    def test_what_is_optional_may_be_missing(self):
        items = [{'key': 'x', 'path': 'x'}, {'key': 'user', 'path': 'u'}]
        for expected, volume in (
                ([], {'secret': {'secretName': 'gone', 'optional': True}}),
                ([], {'configMap': {'name': 'gone', 'optional': True,
                                    'items': items}}),
                ([('u', b'joe', 0o644)], {'secret': {
                    'secretName': 'db', 'optional': True,
                    'items': items}})):
            self.assertEqual(expected, self._make(**volume))

    def test_what_may_not_be_read_is_an_error_even_if_optional(self):
        self.assertEqual(
            'secrets "hidden" is forbidden',
            self.assertRaises(
                exceptions.NotYetResolvable, self._make, secret={
                    'secretName': 'hidden', 'optional': True}).message)

    def test_paths_that_lead_out_are_refused(self):
        for path in ('/etc', '..', '../x', 'a/../../x', 'a/..', '..x', '.',
                     './', 'a\0b', 'x' * 256, 'x/' * 2049 + 'x'):
            self.assertIn('invalid path', self._error(secret={
                'secretName': 'db',
                'items': [{'key': 'user', 'path': path}]}), path)
        self.assertEqual([('a/..x', b'joe', 0o644)], self._make(secret={
            'secretName': 'db', 'items': [
                {'key': 'user', 'path': 'a/..x'}]}))

    def test_a_file_cannot_be_a_directory_too(self):
        items = [{'key': 'user', 'path': 'a'},
                 {'key': 'password', 'path': 'a/b/c'}]
        self.assertEqual('a is a file and a directory', self._error(
            secret={'secretName': 'db', 'items': items}))

    def test_files_are_bounded_in_number(self):
        self.material = volumes.Material({(_CONFIG_MAP, 'app'): {
            f'k{number}': b'' for number in range(payload.MAX_FILES + 1)}})
        self.assertIn('more than', self._error(configMap={'name': 'app'}))


class DownwardTestCase(VolumesTestCase):

    def test_fields_of_the_pod(self):
        self.pod['metadata']['labels'] = {'b': '"x"\n', 'a': 'y'}
        self.assertEqual(
            [('labels', b'a="y"\nb="\\"x\\"\\n"', 0o440),
             ('name', b'web', 0o644), ('notes', b'', 0o644),
             ('one', b'y', 0o644)],
            self._make(downwardAPI={'items': [
                _field('labels', 'metadata.labels', mode=0o440),
                _field('notes', 'metadata.annotations'),
                _field('one', "metadata.labels['a']"),
                _field('name', 'metadata.name')]}))

    def test_resources_of_a_container(self):
        self.assertEqual(
            [('cpu', b'7', 0o600), ('memory', b'64', 0o600)],
            self._make(downwardAPI={'defaultMode': 0o600, 'items': [
                _resource('memory', 'limits.memory', divisor='1Mi'),
                _resource('cpu', 'limits.cpu')]}))


class ProjectedTestCase(VolumesTestCase):

    def test_all_sources_go_into_one_and_the_last_wins(self):
        self.assertEqual(
            [('mode', b'joe', 0o400), ('token', b't0k3n', 0o400),
             ('user', b'web', 0o400)],
            self._projected(
                {'secret': {'name': 'db', 'items': [
                    {'key': 'user', 'path': 'user'}]}},
                {'configMap': {'name': 'app', 'items': [
                    {'key': 'mode', 'path': 'mode'}]}},
                {'downwardAPI': {'items': [
                    _field('user', 'metadata.name')]}},
                {'serviceAccountToken': {'path': 'token'}},
                {'secret': {'name': 'db', 'items': [
                    {'key': 'user', 'path': 'mode'}]}},
                defaultMode=0o400))

    def test_no_sources_make_an_empty_volume(self):
        self.assertEqual([], self._make(projected={}))
        self.assertEqual(1, len(volumes.with_files(self.pod)))

    def test_a_token_is_for_the_owner_where_the_host_sets_a_group(self):
        source = {'serviceAccountToken': {
            'path': 't', 'audience': 'vault', 'expirationSeconds': 600}}
        self.assertEqual([('t', b't0k3n', 0o644)], self._projected(source))
        self.pod['spec']['securityContext'] = {'fsGroup': 0}
        self.assertEqual([('t', b't0k3n', 0o600)], self._projected(source))

    def test_every_source_that_is_missing_is_named(self):
        sources = [{'secret': {'name': 'gone'}},
                   {'configMap': {'name': 'app'}},
                   {'configMap': {'name': 'gone'}}]
        self.assertEqual(
            '[secret "gone" not found, configmap "gone" not found]',
            self._error(projected={'sources': sources}))

    def test_a_token_that_cannot_be_had_is_named(self):
        self.material = volumes.Material(tokens={
            volumes.TokenNeed('', 3600): exceptions.NotYetResolvable(
                'FailedMount', 'failed to fetch token: no such account')})
        self.assertEqual(
            'failed to fetch token: no such account',
            self._error(projected={'sources': [
                {'serviceAccountToken': {'path': 't'}}]}))


class NeedsTestCase(VolumesTestCase):

    def test_what_must_be_read_is_known_beforehand(self):
        self.pod['spec']['volumes'] = [
            {'name': 'a', 'secret': {'secretName': 'db'}},
            {'name': 'b', 'emptyDir': {}},
            {'name': 'c', 'projected': {'sources': [
                {'configMap': {'name': 'app'}},
                {'serviceAccountToken': {'path': 't', 'audience': 'x',
                                         'expirationSeconds': 7200}},
                {'serviceAccountToken': {'path': 'u'}}]}}]
        needs = volumes.needs(self.pod)
        self.assertEqual({(_SECRET, 'db'), (_CONFIG_MAP, 'app')},
                         needs.objects)
        self.assertEqual({('x', 7200), ('', 3600)}, needs.tokens)
        self.assertFalse(needs.allocatable)
        for resource, expected in (('limits.cpu', True),
                                   ('limits.memory', False),
                                   ('requests.cpu', False)):
            self.pod['spec']['volumes'] = [{'name': 'a', 'downwardAPI': {
                'items': [_resource('x', resource)]}}]
            self.assertIs(expected, volumes.needs(self.pod).allocatable)

    def test_no_repr_has_a_value(self):
        self.assertNotIn('s3cr3t', repr(self.material))
        self.assertNotIn('t0k3n', repr(self.material))


class AnyVolumeTestCase(base.BaseTestCase):

    @hypothesis.given(st.dictionaries(
        st.text(st.sampled_from('ab./\0\u00e9'), max_size=8),
        st.binary(max_size=4), max_size=6))
    def test_any_keys_make_files_that_a_host_takes_or_are_refused(
            self, data):
        pod = strategies.pod(volumes=[
            {'name': 'v', 'secret': {'secretName': 's'}}])
        try:
            made = volumes.make(pod, pod['spec']['volumes'][0],
                                volumes.Material({(_SECRET, 's'): data}))
        except exceptions.NotYetResolvable as error:
            self.assertTrue(error.message)
            return
        sent = payload.PodPayload('g', pod, volumes={'v': made})
        self.assertEqual(sent, payload.from_wire(sent.to_wire()))
        self.assertTrue(all(file.data in data.values() for file in made))
