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

import base64
import copy

import hypothesis
from oslotest import base

from zun_vk import exceptions
from zun_vk.pods import environment
from zun_vk.pods import support
from zun_vk.tests.unit.pods import strategies

_SECRET, _CONFIG_MAP = environment.SECRET, environment.CONFIG_MAP
_OBJECTS = {
    (_SECRET, 'db'): {'user': b'joe', 'password': b's3cr3t'},
    (_CONFIG_MAP, 'app'): {'mode': 'fast', 'user': 'app'},
    (_SECRET, 'gone'): None, (_CONFIG_MAP, 'gone'): None}


def _secret(key, name='db', **fields):
    return {'secretKeyRef': {'name': name, 'key': key, **fields}}


def _config(key, name='app', **fields):
    return {'configMapKeyRef': {'name': name, 'key': key, **fields}}


def _field(path):
    return {'fieldRef': {'apiVersion': 'v1', 'fieldPath': path}}


def _variable(name, value):
    return {'name': name,
            'valueFrom' if isinstance(value, dict) else 'value': value}


class EnvironmentTestCase(base.BaseTestCase):

    def _resolve(self, *containers, services=None, objects=None):
        """Return the environment of a pod with these containers."""
        pod = strategies.pod(*containers)
        self.assertEqual([], support.refused(pod))
        return environment.resolve(pod, environment.Material(
            _OBJECTS if objects is None else objects, services or {},
            {'cpu': '4', 'memory': '1Gi'}, ('192.0.2.1',)))

    def _made(self, *env, env_from=(), **material):
        """Return the variables of a container."""
        container = strategies.container(
            env=[_variable(*each) for each in env], envFrom=list(env_from))
        return self._resolve(container, **material).variables['main']

    def _error(self, *env, **more):
        return self.assertRaises(exceptions.NotYetResolvable, self._made,
                                 *env, **more)


class PrecedenceTestCase(EnvironmentTestCase):

    def test_a_variable_sees_those_before_it_only(self):
        self.assertEqual(
            {'A': '$(B)', 'B': '1', 'C': '$(B)1'},
            self._made(('A', '$(B)'), ('B', '1'), ('C', '$(A)$(B)')))

    def test_of_two_with_one_name_the_last_wins(self):
        self.assertEqual({'A': '12'},
                         self._made(('A', '1'), ('A', '$(A)2')))

    def test_a_variable_without_a_value_is_empty(self):
        self.assertEqual({'A': ''}, self._resolve(strategies.container(
            env=[{'name': 'A'}])).variables['main'])

    def test_services_come_before_env_from_and_that_before_env(self):
        made = self._made(
            ('mode', 'env'), ('SEEN', '$(X_HOST) $(user) $(Y_HOST)'),
            env_from=[{'configMapRef': {'name': 'app'}},
                      {'secretRef': {'name': 'db'}}],
            services={'X_HOST': 'service', 'Y_HOST': '$(user)',
                      'user': 'service', 'mode': 'service'})
        self.assertEqual(
            {'mode': 'env', 'user': 'joe', 'password': 's3cr3t',
             'SEEN': 'service joe $(user)', 'X_HOST': 'service',
             'Y_HOST': '$(user)'}, made)

    def test_only_plain_values_are_expanded(self):
        objects = {(_CONFIG_MAP, 'app'): {'k': '$(A)$$'}}
        self.assertEqual(
            {'A': 'a', 'B': '$(A)$$', 'k': '$(A)$$', 'C': 'a$'},
            self._made(('A', 'a'), ('B', _config('k')), ('C', '$(A)$$'),
                       env_from=[{'configMapRef': {'name': 'app'}}],
                       objects=objects))

    def test_a_prefix_is_put_before_every_key(self):
        self.assertEqual(
            {'P_mode': 'fast', 'P_user': 'app', 'mode': 'fast',
             'user': 'app'},
            self._made(env_from=[
                {'prefix': 'P_', 'configMapRef': {'name': 'app'}},
                {'configMapRef': {'name': 'app'}}]))

    def test_containers_do_not_see_one_another(self):
        made = self._resolve(
            strategies.container('a', env=[_variable('A', '1')]),
            strategies.container('b', env=[_variable('B', '$(A)')]))
        self.assertEqual({'a': {'A': '1'}, 'b': {'B': '$(A)'}},
                         made.variables)

    def test_own_variables_stand_in_the_order_they_were_declared(self):
        self.assertEqual(
            ['mode', 'user', 'Z', 'A', 'S'], list(self._made(
                ('Z', ''), ('A', ''), env_from=[
                    {'configMapRef': {'name': 'app'}}],
                services={'S': '', 'A': 'other'})))


class SourcesTestCase(EnvironmentTestCase):

    def test_each_source_gives_its_value(self):
        self.assertEqual(
            {'A': 's3cr3t', 'B': 'fast', 'C': 'web', 'D': '4', 'E': '64'},
            self._resolve(strategies.container(
                resources={'requests': {'memory': '64Mi'}}, env=[
                    _variable('A', _secret('password')),
                    _variable('B', _config('mode')),
                    _variable('C', _field('metadata.name')),
                    _variable('D', {'resourceFieldRef': {
                        'resource': 'limits.cpu'}}),
                    _variable('E', {'resourceFieldRef': {
                        'resource': 'requests.memory',
                        'divisor': '1Mi'}})])).variables['main'])

    def test_another_containers_resources_can_be_asked_for(self):
        made = self._resolve(
            strategies.container('a', resources={'limits': {'cpu': '2'}}),
            strategies.container('b', env=[_variable('X', {
                'resourceFieldRef': {'containerName': 'a',
                                     'resource': 'limits.cpu'}})]))
        self.assertEqual({'X': '2'}, made.variables['b'])

    def test_what_must_be_there_and_is_not_is_named(self):
        for source, reason, message in (
                (_secret('x', 'gone'), 'MandatorySecretNotFound',
                 'secret "gone" not found'),
                (_config('x', 'gone'), 'MandatoryConfigMapNotFound',
                 'configmap "gone" not found'),
                (_secret('x'), 'MandatorySecretNotFound',
                 "couldn't find key x in Secret shop/db"),
                (_config('x', optional=False), 'MandatoryConfigMapNotFound',
                 "couldn't find key x in ConfigMap shop/app")):
            error = self._error(('A', source))
            self.assertEqual((reason, message), (error.reason, str(error)))
        for field, reason in (
                ('secretRef', 'MandatorySecretNotFound'),
                ('configMapRef', 'MandatoryConfigMapNotFound')):
            error = self._error(env_from=[{field: {'name': 'gone'}}])
            self.assertEqual(reason, error.reason)

    def test_what_may_be_missing_is_left_out_and_told_once(self):
        env = [_variable('A', _secret('x', 'gone', optional=True)),
               _variable('B', _config('x', 'gone', optional=True)),
               _variable('C', _secret('x', optional=True)),
               _variable('D', _config('x', optional=True)),
               _variable('mode', _config('x', optional=True)),
               _variable('E', 'e')]
        sources = [{'secretRef': {'name': 'gone', 'optional': True}},
                   {'configMapRef': {'name': 'gone', 'optional': True}},
                   {'configMapRef': {'name': 'app'}}]
        made = self._resolve(
            strategies.container('a', env=env, envFrom=sources),
            strategies.container('b', env=env))
        # What was there before an optional source stays.
        self.assertEqual({'mode': 'fast', 'user': 'app', 'E': 'e'},
                         made.variables['a'])
        self.assertEqual({
            ('OptionalSecretNotFound', 'secret "gone" not found'),
            ('OptionalConfigMapNotFound', 'configmap "gone" not found'),
            ('OptionalSecretNotFound',
             "couldn't find key x in Secret shop/db"),
            ('OptionalConfigMapNotFound',
             "couldn't find key x in ConfigMap shop/app")}, set(made.notes))
        self.assertEqual(4, len(made.notes))

    def test_what_must_be_read_is_known_beforehand(self):
        def needs(*containers, **spec):
            return environment.needs(strategies.pod(*containers, **spec))

        self.assertEqual((frozenset(), True, False), (
            needs().objects, needs().services, needs().allocatable))
        self.assertFalse(needs(enableServiceLinks=False).services)
        self.assertEqual(
            set(_OBJECTS), needs(strategies.container(
                env=[_variable('A', _secret('x', optional=True)),
                     _variable('B', _config('x'))],
                envFrom=[{'secretRef': {'name': 'gone'}},
                         {'configMapRef': {'name': 'gone'}}])).objects)
        limited = strategies.container(
            'a', resources={'limits': {'cpu': '1'}})
        for resource, about, expected in (
                ('limits.cpu', 'a', False), ('limits.memory', 'a', True),
                ('limits.cpu', '', True), ('requests.memory', 'a', False)):
            self.assertIs(expected, needs(limited, strategies.container(
                env=[_variable('A', {'resourceFieldRef': {
                    'resource': resource, 'containerName': about}})]
            )).allocatable, (resource, about))

    def test_init_containers_have_variables_too(self):
        pod = strategies.pod(
            strategies.container('a', env=[_variable('B', {
                'resourceFieldRef': {'containerName': 'i',
                                     'resource': 'limits.cpu'}})]),
            initContainers=[strategies.container(
                'i', resources={'limits': {'cpu': '2'}},
                env=[_variable('A', _secret('user'))])])
        self.assertEqual({(_SECRET, 'db')}, environment.needs(pod).objects)
        made = environment.resolve(pod, environment.Material(_OBJECTS))
        self.assertEqual({'i': {'A': 'joe'}, 'a': {'B': '2'}},
                         made.variables)
        self.assertEqual({'A'}, made.sensitive)

    def test_each_container_can_have_its_own_reason(self):
        hidden = exceptions.NotYetResolvable('Failed', 'forbidden')
        material = environment.Material(
            {**_OBJECTS, (_SECRET, 'hidden'): hidden},
            addresses=('10.0.0.5', 'fd00::5'))
        made = environment.resolve_each(strategies.pod(
            strategies.container('a', env=[_variable(
                'A', _secret('x', 'gone'))]),
            strategies.container('b', env=[_variable(
                'B', _field('status.podIPs'))]),
            strategies.container('c', envFrom=[{'secretRef': {
                'name': 'hidden', 'optional': True}}])), material)
        self.assertEqual({'b': {'B': '10.0.0.5,fd00::5'}}, made.variables)
        self.assertEqual(
            {'a': 'secret "gone" not found', 'c': 'forbidden'},
            {name: str(error) for name, error in made.errors.items()})


class BoundsTestCase(EnvironmentTestCase):

    def test_keys_that_cannot_be_names_are_skipped_and_told(self):
        objects = {(_CONFIG_MAP, 'app'): {
            '1.st': 'kept', 'a b': 'kept', 'a=b': 'no', 'a\u00e9': 'no',
            'a\tb': 'no', '': 'no'}}
        container = strategies.container(
            envFrom=[{'configMapRef': {'name': 'app'}}])
        made = self._resolve(container, objects=objects)
        self.assertEqual({'1.st': 'kept', 'a b': 'kept'},
                         made.variables['main'])
        note, = made.notes
        self.assertEqual('InvalidEnvironmentVariableNames', note.reason)
        self.assertIn('ConfigMap shop/app', note.message)
        self.assertIn('a=b', note.message)

    def test_values_that_no_variable_can_have_are_told_without_them(self):
        for value in (b'\xff\xfevalue', b'va\0lue'):
            objects = {(_SECRET, 'db'): {'k': value}}
            for error in (
                    self._error(('A', _secret('k')), objects=objects),
                    self._error(env_from=[{'secretRef': {'name': 'db'}}],
                                objects=objects)):
                self.assertEqual('Failed', error.reason)
                self.assertNotIn('lue', str(error))
                self.assertIsNone(error.__cause__)

    def test_a_megabyte_is_the_most_and_more_is_not_even_made(self):
        half = 'x' * (environment.MAX_BYTES // 2)
        objects = {(_CONFIG_MAP, 'app'): {'k': half[:-1]}}
        self._made(('A', _config('k')), ('B', half[:-1]), objects=objects)
        error = self._error(('A', _config('k')), ('B', half + 'x'),
                            objects=objects)
        self.assertEqual('Failed', error.reason)
        self.assertIn('container main', str(error))
        # Each of these is ten times the one before.
        self._error(('A0', 'x'), *(
            (f'A{number}', f'$(A{number - 1})' * 10)
            for number in range(1, 30)))
        self._error(('A', half), ('B', '$(A)' * 2 ** 18))

    def test_the_same_variable_set_again_counts_once(self):
        half = 'x' * (environment.MAX_BYTES // 2)
        self.assertEqual({'A': half}, self._made(*[('A', half)] * 5))


class SecrecyTestCase(EnvironmentTestCase):

    def test_what_holds_a_secret_is_known(self):
        made = self._resolve(
            strategies.container('a', env=[
                _variable('A', _secret('password')),
                _variable('B', 'x$(A)'), _variable('C', 'y$(B)'),
                _variable('D', '$$(A)'), _variable('E', _config('mode')),
                _variable('F', _secret('user')), _variable('F', 'plain')]),
            strategies.container('b', envFrom=[
                {'prefix': 'P_', 'secretRef': {'name': 'db'}}]))
        self.assertEqual({'A', 'B', 'C', 'P_user', 'P_password'},
                         made.sensitive)

    def test_no_repr_has_a_value(self):
        pod = strategies.pod(strategies.container(
            env=[_variable('A', _secret('password'))]))
        material = environment.Material(_OBJECTS)
        for thing in (material, environment.resolve(pod, material),
                      strategies.translation(pod, material)):
            self.assertNotIn('s3cr3t', repr(thing))
            self.assertNotIn(base64.b64encode(b's3cr3t').decode(),
                             repr(thing))

    def test_no_error_has_a_value(self):
        for env in ([('A', _secret('password')), ('B', _secret('gone'))],
                    [('A', _secret('password')),
                     ('B', '$(A)' * environment.MAX_BYTES)]):
            self.assertNotIn('s3cr3t', str(self._error(*env)))


class AnyPodTestCase(base.BaseTestCase):

    @hypothesis.given(strategies.pods_with_variables(),
                      strategies.materials())
    def test_any_pod_has_its_variables_or_a_reason(self, pod, material):
        self.assertEqual([], support.refused(pod))
        before = copy.deepcopy((pod, material))
        try:
            made = environment.resolve(pod, material)
        except exceptions.NotYetResolvable as error:
            self.assertTrue(error.reason and error.message)
            return
        finally:
            self.assertEqual(before, (pod, material))
        again = environment.resolve(pod, material)
        self.assertEqual(made, again)
        for container in pod['spec']['containers']:
            variables = made.variables[container['name']]
            self.assertEqual(list(variables.items()), list(
                again.variables[container['name']].items()))
            self._check(container, material, variables)

    def _check(self, container, material, variables):
        """Every variable is there that was asked for, and no other."""
        whole, single = self._asked(container, material)
        skipped = {name for name in whole
                   if not environment.valid_name(name)}
        self.assertEqual(
            (whole - skipped) | single | set(material.services),
            set(variables))
        for name in material.services.keys() - whole - single:
            self.assertEqual(material.services[name], variables[name])

    def _asked(self, container, material):
        whole = {
            source.get('prefix', '') + key
            for source in container['envFrom']
            for field, kind in (('secretRef', _SECRET),
                                ('configMapRef', _CONFIG_MAP))
            if field in source
            for key in material.objects[kind, source[field]['name']] or {}}
        single = set()
        for entry in container['env']:
            (field, reference), = (
                entry.get('valueFrom') or {'': {}}).items()
            if 'KeyRef' in field:
                kind = _SECRET if 'secret' in field else _CONFIG_MAP
                data = material.objects[kind, reference['name']] or {}
                if reference['key'] not in data:
                    self.assertTrue(reference['optional'])
                    continue
            single.add(entry['name'])
        return whole, single
