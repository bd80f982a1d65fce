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
import json
import math

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk import quantity
from zun_vk.pods import environment
from zun_vk.pods import expansion
from zun_vk.pods import identity
from zun_vk.pods import translate
from zun_vk.tests.fixtures.openstack import zun_schema
from zun_vk.tests.unit.pods import strategies

_CPUS = st.integers(0, 16000).map('{}m'.format)
_MEMORY = st.integers(0, 8192 * 2 ** 20).map(str)
_AMOUNTS = st.fixed_dictionaries(
    {}, optional={'cpu': _CPUS, 'memory': _MEMORY})
_RESOURCES = st.fixed_dictionaries(
    {}, optional={'requests': _AMOUNTS, 'limits': _AMOUNTS})


def _translate(*containers, **spec):
    return strategies.translation(strategies.pod(*containers, **spec))


def _container(**fields):
    """Return the capsule's one container."""
    template = _translate(strategies.container(**fields)).template
    return template['spec']['containers'][0]


def _resources(requests=None, limits=None):
    return _container(resources={'requests': requests or {},
                                 'limits': limits or {}}).get('resources')


class TranslateTestCase(base.BaseTestCase):

    def test_a_plain_pod(self):
        template = _translate().template
        self.assertEqual({
            'kind': 'capsule',
            'metadata': {
                'name': 'shop_web_0a1b2c3d',
                'labels': strategies.OWNER.labels(strategies.pod()),
                'annotations': {'zun.openstack.org/containers': '["main"]'}},
            'spec': {'restartPolicy': 'Always', 'containers': [
                {'image': 'busybox', 'imagePullPolicy': 'Always'}]},
        }, template)
        zun_schema.check({'template': template})

    def test_every_carried_field_reaches_the_capsule(self):
        self.assertEqual({
            'image': 'nginx:1.27', 'command': ['/bin/web'],
            'args': ['--port', '80'], 'env': {'PORT': '80', 'URL': 'x:80'},
            'ports': [{'containerPort': 80, 'protocol': 'TCP'},
                      {'containerPort': 53, 'protocol': 'UDP'}],
            'resources': {'requests': {'cpu': 0.5, 'memory': 64}},
            'workDir': '/srv', 'tty': True, 'stdin': True,
            'imagePullPolicy': 'IfNotPresent',
        }, _container(
            image='nginx:1.27', command=['/bin/web'],
            args=['--port', '$(PORT)'],
            env=[{'name': 'PORT', 'value': '80'},
                 {'name': 'URL', 'value': 'x:$(PORT)'}],
            ports=[{'containerPort': 80, 'name': 'http'},
                   {'containerPort': 53, 'protocol': 'UDP'}],
            resources={'requests': {'cpu': '500m', 'memory': '64Mi'}},
            workingDir='/srv', tty=True, stdin=True,
            imagePullPolicy='IfNotPresent'))

    def test_restart_policies_are_carried(self):
        for policy in ('Always', 'OnFailure', 'Never'):
            template = _translate(restartPolicy=policy).template
            self.assertEqual(policy, template['spec']['restartPolicy'])

    def test_what_cannot_be_carried_is_refused_by_path(self):
        error = self.assertRaises(
            exceptions.UnsupportedPod, _translate,
            strategies.container(), strategies.container(
                'b', livenessProbe={'tcpSocket': {'port': 1}}),
            hostNetwork=True)
        self.assertEqual({'spec.hostNetwork',
                          'spec.containers[1].livenessProbe'},
                         set(error.fields))
        self.assertIn('spec.containers[1].livenessProbe', str(error))

    def test_amounts_that_cannot_be_read_are_refused_by_path(self):
        error = self.assertRaises(
            exceptions.UnsupportedPod, _translate,
            strategies.container(resources={
                'limits': {'cpu': 'lots', 'memory': '1K'}}))
        self.assertEqual(['spec.containers[0].resources.limits.cpu',
                          'spec.containers[0].resources.limits.memory'],
                         error.fields)

    def test_the_token_volume_is_left_out_and_told(self):
        self.assertTrue(_translate().token_volume)
        translation = _translate(strategies.container(volumeMounts=[]),
                                 volumes=[])
        self.assertFalse(translation.token_volume)
        self.assertNotIn('volumes', _translate().template['spec'])

    @hypothesis.given(strategies.pods(), strategies.materials())
    def test_any_pod_is_carried_whole_or_refused(self, pod, material):
        before = copy.deepcopy(pod)
        try:
            translation = strategies.translation(pod, material)
        except exceptions.UnsupportedPod as error:
            self.assertTrue(error.fields)
            self.assertTrue(all(_exists(pod, path) for path in error.fields),
                            error.fields)
            return
        except exceptions.NotYetResolvable:
            return
        finally:
            self.assertEqual(before, pod)
        self.assertEqual(translation, strategies.translation(pod, material))
        self._check_whole(pod, translation.template)

    @hypothesis.given(strategies.pods_that_fit())
    def test_a_pod_that_fits_is_carried_whole(self, pod):
        self._check_whole(pod, strategies.translation(pod).template)

    @hypothesis.given(strategies.pods_with_variables(),
                      strategies.materials())
    def test_variables_reach_the_capsule_as_they_were_made(
            self, pod, material):
        try:
            variables = environment.resolve(pod, material)
        except exceptions.NotYetResolvable:
            return
        template = strategies.translation(pod, material).template
        zun_schema.check({'template': template})
        for asked, got in zip(pod['spec']['containers'],
                              template['spec']['containers'], strict=True):
            made = variables.variables[asked['name']]
            self.assertEqual(list(made.items()),
                             list(got.get('env', {}).items()))

    def test_amounts_over_zuns_bounds_are_left_to_zun(self):
        pod = strategies.pod(strategies.container(resources={
            'requests': {'cpu': '64Mi', 'memory': '1Ei'}}))
        self._check_whole(pod, strategies.translation(pod).template)

    def _check_whole(self, pod, template):
        zun_schema.check({'template': _within_zuns_bounds(template)})
        json.dumps(template, allow_nan=False)
        wanted = pod['spec']['containers']
        made = template['spec']['containers']
        self.assertEqual(
            [container['name'] for container in wanted],
            identity.container_names(template['metadata']['annotations']))
        self.assertEqual([container['image'] for container in wanted],
                         [container['image'] for container in made])
        self.assertEqual(pod['spec'].get('restartPolicy', 'Always'),
                         template['spec']['restartPolicy'])
        for asked, got in zip(wanted, made, strict=True):
            self._check_container(asked, got)

    def _check_container(self, asked, got):
        """Each field is as it was asked for, whatever code put it there."""
        env = got.get('env') or {}
        self.assertLessEqual(
            {entry['name'] for entry in asked.get('env') or []
             if not _may_be_missing(entry)}, set(env))
        for field in ('command', 'args'):
            self.assertEqual([
                expansion.expand(word, env, translate.MAX_JSON_BYTES)
                for word in asked.get(field) or []], got.get(field) or [])
        self.assertEqual(
            [(port['containerPort'], port.get('protocol', 'TCP'))
             for port in asked.get('ports') or []],
            [(port['containerPort'], port['protocol'])
             for port in got.get('ports') or []])
        for field, zun_field in (
                ('tty', 'tty'), ('stdin', 'stdin'), ('workingDir', 'workDir'),
                ('imagePullPolicy', 'imagePullPolicy')):
            self.assertEqual(asked.get(field) or None,
                             got.get(zun_field) or None, field)
        self._check_amounts(asked.get('resources') or {}, (
            got.get('resources') or {}).get('requests') or {})

    def _check_amounts(self, asked, got):
        """CPUs are a share by the request, MiB a bound by the limit."""
        requests, limits = (asked.get(kind) or {}
                            for kind in ('requests', 'limits'))
        cpu = next(filter(None, (quantity.parse_cpu(each.get('cpu', '0'))
                                 for each in (requests, limits))), 0)
        memory = next(filter(None, (
            quantity.parse_bytes(each.get('memory', '0'))
            for each in (limits, requests))), 0)
        wanted = {}
        if cpu:
            wanted['cpu'] = max(0.1, cpu / 1000)
        if memory:
            wanted['memory'] = max(4, math.ceil(memory / 2 ** 20))
        self.assertEqual(wanted, got)


class ResourcesTestCase(base.BaseTestCase):

    def test_without_resources_zuns_defaults_hold(self):
        self.assertIsNone(_resources())

    def test_cpu_is_the_request_for_zun_makes_it_a_share(self):
        self.assertEqual({'requests': {'cpu': 0.25}},
                         _resources({'cpu': '250m'}, {'cpu': '4'}))
        self.assertEqual({'requests': {'cpu': 4}}, _resources({},
                                                              {'cpu': '4'}))

    def test_memory_is_the_limit_for_zun_enforces_it(self):
        self.assertEqual(
            {'requests': {'memory': 256}},
            _resources({'memory': '64Mi'}, {'memory': '256Mi'}))
        self.assertEqual({'requests': {'memory': 64}},
                         _resources({'memory': '64Mi'}))

    def test_amounts_are_rounded_up_to_zuns_units_and_minimum(self):
        for text, cpu in (('1m', 0.1), ('100m', 0.1), ('101m', 0.101),
                          ('1n', 0.1), ('2', 2)):
            self.assertEqual({'requests': {'cpu': cpu}},
                             _resources({'cpu': text}), text)
        for text, memory in (('1', 4), ('4Mi', 4), ('5M', 5), ('1Gi', 1024),
                             (str(64 * 2 ** 20 + 1), 65)):
            self.assertEqual({'requests': {'memory': memory}},
                             _resources({'memory': text}), text)

    @hypothesis.given(_RESOURCES)
    def test_zun_takes_every_amount_within_its_bounds(self, resources):
        template = _translate(
            strategies.container(resources=resources)).template
        zun_schema.check({'template': template})

    @hypothesis.given(_RESOURCES)
    def test_a_container_gets_at_least_what_it_asked_for(self, resources):
        got = _container(resources=resources).get('resources', {})
        got = got.get('requests', {})
        asked = resources.get('requests', {})
        self.assertGreaterEqual(got.get('cpu', 0) * 1000 + 1e-6,
                                int(asked.get('cpu', '0m')[:-1]))
        self.assertGreaterEqual(got.get('memory', 0) * 2 ** 20,
                                int(asked.get('memory', 0)
                                    if 'memory' not in
                                    resources.get('limits', {}) else 0))


class RequestsTestCase(base.BaseTestCase):
    """What the scheduler takes off the node's allocatable."""

    def _requests(self, *resources):
        return translate.requests(strategies.pod(*(
            strategies.container(f'c{index}', resources=each)
            for index, each in enumerate(resources))))

    def test_the_requests_of_all_containers_are_summed(self):
        self.assertEqual(
            (1750, 96 * 2 ** 20), self._requests(
                {'requests': {'cpu': '250m', 'memory': '64Mi'}},
                {'requests': {'cpu': '1.5', 'memory': '32Mi'}}, {}))

    def test_a_missing_request_is_the_limit(self):
        self.assertEqual(
            (2000, 2 ** 30), self._requests(
                {'limits': {'cpu': '2', 'memory': '1Gi'}}))

    def test_a_request_of_zero_is_not_missing(self):
        self.assertEqual((0, 0), self._requests(
            {'requests': {'cpu': '0', 'memory': '0'},
             'limits': {'cpu': '2', 'memory': '1Gi'}}))

    def test_no_resources_count_as_nothing(self):
        self.assertEqual((0, 0), self._requests({}))
        self.assertEqual((0, 0), translate.requests(
            {'spec': {'containers': [{'name': 'x', 'resources': None}]}}))

    def test_unreadable_amounts_count_as_nothing(self):
        self.assertEqual((1000, 0), self._requests(
            {'requests': {'cpu': '1', 'memory': 'x'}}))


class BoundsTestCase(base.BaseTestCase):

    MOST = translate.MAX_JSON_BYTES

    def _variables(self, **variables):
        return environment.Environment({'main': variables})

    def _translate(self, variables=None, **fields):
        return translate.translate(
            strategies.pod(strategies.container(**fields)),
            strategies.OWNER, variables or self._variables())

    def _too_much(self, *args, **fields):
        error = self.assertRaises(exceptions.NotYetResolvable,
                                  self._translate, *args, **fields)
        self.assertIn('container main', str(error))
        return str(error)

    def test_variables_are_what_zuns_column_holds(self):
        room = self.MOST - len(json.dumps({'A': ''}))
        self._translate(self._variables(A='x' * room))
        self.assertIn('enableServiceLinks', self._too_much(
            self._variables(A='x' * (room + 1))))
        # Six characters each in JSON.
        self._too_much(self._variables(A='\u00e9' * (room // 6 + 1)))

    def test_command_and_args_are_what_zuns_column_holds(self):
        half = self.MOST // 2 - 10
        self._translate(command=['x' * half], args=['x' * half])
        self._too_much(command=['x' * half], args=['x' * half, 'x' * 20])
        self._too_much(args=['x'] * self.MOST)

    def test_what_fits_into_no_column_of_zuns_is_refused_by_path(self):
        ports = [{'containerPort': number, 'protocol': 'TCP'}
                 for number in range(2000)]
        self._translate(workingDir='/' + 'x' * 254, ports=ports[:1000])
        error = self.assertRaises(
            exceptions.UnsupportedPod, self._translate,
            workingDir='/' + 'x' * 255, ports=ports)
        self.assertEqual(['spec.containers[0].workingDir',
                          'spec.containers[0].ports'], error.fields)

    def test_an_image_that_zuns_schema_refuses_is_refused_by_path(self):
        long = 'registry.example.com/' + 'x' * 234
        for image in (long, 'ab', 'a/bc'):
            template = self._translate(image=image).template
            zun_schema.check({'template': template})
        for image in (long + 'x', 'a', 'a/b'):
            error = self.assertRaises(
                exceptions.UnsupportedPod, self._translate, image=image)
            self.assertEqual(['spec.containers[0].image'], error.fields)

    def test_what_references_would_grow_to_is_not_made(self):
        variables = self._variables(A='x' * 30000)
        self._translate(variables, args=['$(A)$(A)'])
        self._too_much(variables, args=['$(A)'] * 3)
        self._too_much(variables, args=['$(A)' * 2 ** 18])
        self._too_much(variables, command=['$(A)$(A)'], args=['$(A)'])


class SecrecyTestCase(base.BaseTestCase):

    def _repeats(self, words, value='s3cr3t'):
        translation = translate.translate(
            strategies.pod(strategies.container()), strategies.OWNER,
            environment.Environment(
                {'main': {'PASSWORD': value, 'MODE': 'fast'}},
                frozenset({'PASSWORD'})))
        return translation.secrets.repeated_in(words)

    def test_words_with_a_secret_or_its_quoted_name_are_known(self):
        for words in ("... {'env': {'PASSWORD': 's3cr...", 'x s3cr3t y',
                      '{"PASSWORD": "'):
            self.assertTrue(self._repeats(words), words)
        for words in ('There are not enough hosts available.',
                      "'x' is too short", "{'MODE': 'fast'}", '',
                      'the PASSWORD of the registry'):
            self.assertFalse(self._repeats(words), words)

    def test_a_value_is_known_however_it_is_quoted(self):
        value = 'one "line\'s\n\\end\u00e9'
        for words in (repr([value]), json.dumps(value), 'cut: one "l'):
            self.assertTrue(self._repeats(words, value), words)

    def test_a_short_value_does_not_silence_everything(self):
        self.assertFalse(self._repeats('There are no hosts', 'a'))
        self.assertFalse(self._repeats('There are no hosts', ''))
        self.assertTrue(self._repeats("{'PASSWORD': 'a'}", 'a'))

    def test_no_repr_has_a_template(self):
        translation = translate.translate(
            strategies.pod(strategies.container()), strategies.OWNER,
            environment.Environment({'main': {'A': 's3cr3t'}}))
        self.assertNotIn('s3cr3t', repr(translation))


class DifferencesTestCase(base.BaseTestCase):

    def _differences(self, *containers, **spec):
        return _translate(*containers, **spec).differences

    def test_a_plain_pod_means_the_same_to_zun(self):
        self.assertEqual([], self._differences())
        self.assertEqual([], self._differences(strategies.container(
            args=['a'], env=[{'name': 'A', 'value': 'b'}], tty=True,
            resources={'requests': {'cpu': '1', 'memory': '64Mi'},
                       'limits': {'memory': '64Mi'}})))

    def test_each_field_zun_takes_otherwise_is_named(self):
        for fields, path in (
                ({'command': ['x']}, 'spec.containers[1].command'),
                ({'imagePullPolicy': 'Never'},
                 'spec.containers[1].imagePullPolicy'),
                ({'imagePullPolicy': 'IfNotPresent'},
                 'spec.containers[1].imagePullPolicy'),
                ({'resources': {'limits': {'cpu': '1'}}},
                 'spec.containers[1].resources.limits.cpu'),
                ({'resources': {'requests': {'memory': '64Mi'}}},
                 'spec.containers[1].resources.requests.memory')):
            found = self._differences(
                strategies.container(), strategies.container('b', **fields))
            self.assertEqual(1, len(found), found)
            self.assertTrue(found[0].startswith(path), found)

    def test_each_variable_whose_secret_zun_keeps_is_named(self):
        env = [{'name': 'A', 'valueFrom': {'configMapKeyRef': {
            'name': 'c', 'key': 'k'}}},
               {'name': 'B', 'valueFrom': {'secretKeyRef': {
                   'name': 's', 'key': 'k'}}}]
        found = translate.differences(strategies.pod(
            strategies.container(), strategies.container(
                'b', env=env, envFrom=[{'configMapRef': {'name': 'c'}},
                                       {'secretRef': {'name': 's'}}])))
        self.assertEqual(
            ['spec.containers[1].envFrom[1].secretRef',
             'spec.containers[1].env[1].valueFrom.secretKeyRef'],
            [sentence.split(':')[0] for sentence in found])

    def test_another_grace_period_is_named(self):
        found = self._differences(terminationGracePeriodSeconds=5)
        self.assertEqual(1, len(found))
        self.assertIn('spec.terminationGracePeriodSeconds', found[0])


def _within_zuns_bounds(template):
    """Return a template without amounts that are the operator's to bound."""
    template = copy.deepcopy(template)
    for container in template['spec']['containers']:
        amounts = container.get('resources', {}).get('requests', {})
        for name, most in (('cpu', 16), ('memory', 8192)):
            if amounts.get(name, 0) > most:
                del amounts[name]
    return template


def _may_be_missing(entry):
    return any(source.get('optional') for source in
               (entry.get('valueFrom') or {}).values())


def _exists(pod, path):
    """Return whether a path such as spec.containers[0].tty is in the pod."""
    here = pod
    for part in path.replace('nvidia.com', 'nvidia\0com').split('.'):
        name, _, index = part.replace('\0', '.').partition('[')
        if not isinstance(here, dict) or name not in here:
            return False
        here = here[name]
        if index:
            here = here[int(index[:-1])]
    return True
