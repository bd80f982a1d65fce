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
"""What each request takes, beside what the kubelet asks for."""

import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.kubelet import attributes

METHODS = ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'get',
           'CONNECT', '')


def asked(method, root, *parts):
    return [(each.verb, each.subresource)
            for each in attributes.wanted(method, root, parts, 'n1')]


class WantedTestCase(base.BaseTestCase):

    def test_methods_have_the_verbs_of_the_kubelet(self):
        for method, verb in (('GET', 'get'), ('POST', 'create'),
                             ('PUT', 'update'), ('PATCH', 'patch'),
                             ('DELETE', 'delete')):
            self.assertEqual([(verb, 'stats')],
                             asked(method, '/stats/summary'))

    def test_methods_without_a_verb_take_all_verbs(self):
        # Kubernetes: RBAC: '' is matched by '*' alone.
        for method in ('HEAD', 'OPTIONS', 'get', 'CONNECT', ''):
            self.assertEqual([('', 'metrics')], asked(method, '/metrics'))

    def test_paths_have_the_subresources_of_the_kubelet(self):
        for root, subresources in (
                ('/stats/summary', ['stats']),
                ('/metrics', ['metrics']),
                ('/metrics/cadvisor', ['metrics']),
                ('/metrics/resource', ['metrics']),
                ('/metrics/probes', ['metrics']),
                ('/logs', ['log']),
                ('/checkpoint', ['checkpoint']),
                ('/pods', ['pods', 'proxy']),
                ('/runningpods', ['pods', 'proxy']),
                ('/healthz', ['healthz', 'proxy']),
                ('/healthz/ping', ['healthz', 'proxy']),
                ('/configz', ['configz', 'proxy']),
                ('/containerLogs', ['proxy'])):
            self.assertEqual([('get', each) for each in subresources],
                             asked('GET', root))

    def test_whatever_reaches_into_a_container_takes_create(self):
        for root in ('/exec', '/attach', '/run', '/portForward'):
            for method in METHODS:
                self.assertEqual([('create', 'proxy')],
                                 asked(method, root, 'ns', 'pod', 'c'))

    def test_a_path_that_nothing_serves_takes_the_proxy(self):
        self.assertEqual([('get', 'proxy')], asked('GET', ''))
        self.assertEqual([('get', 'proxy')], asked('GET', '/else'))

    def test_roots_are_told_apart_to_the_letter(self):
        for root in ('/Stats', '/stats2', '/metrics%2f', '/POD', '/podsx'):
            self.assertEqual([('get', 'proxy')], asked('GET', root))

    def test_the_node_and_the_routed_path_are_named(self):
        one, = attributes.wanted('GET', '/exec', ('ns', 'p', 'c'), 'n1')
        self.assertEqual(('n1', '/exec/ns/p/c'), (one.name, one.path))

    @hypothesis.given(strategies.sampled_from(METHODS), strategies.lists(
        strategies.sampled_from(('stats', 'metrics', '..', '', 'pods', '.',
                                 '%2e%2e', 'healthz', 'c'))))
    def test_no_parts_of_a_path_make_an_exec_anything_else(self, method,
                                                           parts):
        self.assertEqual([('create', 'proxy')],
                         asked(method, '/exec', *parts))
