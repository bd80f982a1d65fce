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
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.images import names

_HEX = 'a' * 64
_DIGEST = f'sha256:{_HEX}'
_PATHS = st.from_regex(r'[a-z0-9]+(([._]|__|-+)[a-z0-9]+){0,2}',
                       fullmatch=True).filter(lambda path: len(path) < 60)
_DOMAINS = st.sampled_from(
    ['', 'docker.io/', 'localhost/', 'registry.example/', 'Hub/',
     'registry:5000/', '[2001:db8::1]:5000/', '192.0.2.1/'])
_TAGS = st.one_of(st.just(''), st.from_regex(
    r':[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}', fullmatch=True))


class ParseTestCase(base.BaseTestCase):

    def test_names_as_docker_reads_them(self):
        for image, expected in (
                ('busybox', ('docker.io/library/busybox', 'latest', '')),
                ('busybox:1.36', ('docker.io/library/busybox', '1.36', '')),
                ('user/app', ('docker.io/user/app', 'latest', '')),
                ('docker.io/busybox',
                 ('docker.io/library/busybox', 'latest', '')),
                ('index.docker.io/busybox',
                 ('docker.io/library/busybox', 'latest', '')),
                ('docker.io/user/app', ('docker.io/user/app', 'latest', '')),
                ('localhost/app', ('localhost/app', 'latest', '')),
                ('localhost:5000/app:x', ('localhost:5000/app', 'x', '')),
                ('registry/app', ('docker.io/registry/app', 'latest', '')),
                ('registry:5000/app', ('registry:5000/app', 'latest', '')),
                ('Registry/app', ('Registry/app', 'latest', '')),
                ('registry.example/a/b__c/d--e.f:T_1',
                 ('registry.example/a/b__c/d--e.f', 'T_1', '')),
                ('[2001:db8::1]:5000/app',
                 ('[2001:db8::1]:5000/app', 'latest', '')),
                (f'app@{_DIGEST}',
                 ('docker.io/library/app', '', _DIGEST)),
                (f'registry.example/app:x@{_DIGEST}',
                 ('registry.example/app', 'x', _DIGEST)),
                (f'sha256:{_HEX}', ('docker.io/library/sha256', _HEX, '')),
                ('a' * 63, (f'docker.io/library/{"a" * 63}', 'latest', ''))):
            name = names.parse(image)
            self.assertEqual(
                expected, (name.repository, name.tag, name.digest), image)

    def test_what_is_no_name_is_refused_in_the_kubelets_words(self):
        for image, why in (
                ('', 'invalid reference format'),
                ('FAILED', 'invalid reference format: repository name '
                 '(library/FAILED) must be lowercase'),
                ('docker.io/A:b', 'invalid reference format: repository '
                 'name (library/A) must be lowercase'),
                ('a b', 'invalid reference format'),
                ('app:', 'invalid reference format'),
                ('app:' + 't' * 129, 'invalid reference format'),
                ('app@sha256:abc', 'invalid reference format'),
                ('-app', 'invalid reference format'),
                ('a//b', 'invalid reference format'),
                ('http://registry.example/app', 'invalid reference format'),
                ('app\n', 'invalid reference format'),
                ('app:ü', 'invalid reference format'),
                (f'app@md5:{_HEX}', 'unsupported digest algorithm'),
                ('app@sha256:' + 'a' * 63,
                 'invalid checksum digest length'),
                ('app@sha256:' + 'A' * 64,
                 'invalid checksum digest format'),
                (_HEX, f'invalid repository name ({_HEX}), cannot specify '
                 '64-byte hexadecimal strings'),
                ('registry.example/' + 'a/' * 130 + 'a', 'repository name '
                 'must not be more than 255 characters')):
            problem = self.assertRaises(exceptions.ImageProblem, names.parse,
                                        image)
            shown = image[:255]
            self.assertEqual('InvalidImageName', problem.reason)
            self.assertEqual(
                f'Failed to apply default image tag "{shown}": '
                f"couldn't parse image name \"{shown}\": {why}",
                problem.message)

    @hypothesis.given(st.text())
    def test_no_text_is_too_strange(self, image):
        try:
            names.parse(image)
        except exceptions.ImageProblem as problem:
            self.assertEqual('InvalidImageName', problem.reason)

    def test_no_text_takes_long(self):
        for image in ('a' * 10 ** 6, 'a.' * 500 + '/', 'a-' * 500 + '!',
                      '1' * 1000 + '/' + 'a_' * 10 + '!'):
            self.assertRaises(exceptions.ImageProblem, names.parse, image)

    @hypothesis.given(_DOMAINS, _PATHS, _TAGS)
    def test_the_parts_make_the_same_name_again(self, domain, path, tag):
        name = names.parse(domain + path + tag)
        self.assertEqual(tag[1:] or 'latest', name.tag)
        self.assertEqual(name, names.parse(f'{name.repository}:{name.tag}'))


class TaggedTestCase(base.BaseTestCase):

    def test_only_a_missing_tag_is_added(self):
        for image, expected in (
                ('busybox', 'busybox:latest'),
                ('busybox:1', 'busybox:1'),
                ('registry:5000/app', 'registry:5000/app:latest'),
                (f'app@{_DIGEST}', f'app@{_DIGEST}'),
                (f'app:x@{_DIGEST}', f'app:x@{_DIGEST}')):
            self.assertEqual(expected, names.tagged(image))


class PolicyTestCase(base.BaseTestCase):

    def test_the_tag_decides_where_the_container_does_not(self):
        for image, expected in (
                ('busybox', 'Always'), ('busybox:latest', 'Always'),
                ('busybox:1', 'IfNotPresent'),
                (f'busybox@{_DIGEST}', 'IfNotPresent')):
            self.assertEqual(expected, names.policy({'image': image}))

    def test_the_container_decides_where_it_does(self):
        for policy in ('Always', 'IfNotPresent', 'Never'):
            self.assertEqual(policy, names.policy(
                {'image': 'busybox', 'imagePullPolicy': policy}))
