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
import contextlib

import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.compute.probes import spec


class SpecTestCase(base.BaseTestCase):

    def test_defaults_are_kubernetes(self):
        found, = spec.probes_of({'livenessProbe': {
            'exec': {'command': ['true']}}})
        self.assertEqual(
            spec.Probe('liveness', spec.Exec(('true',)), 0, 10, 1, 1, 3,
                       None), found)

    def test_everything_is_read(self):
        found, = spec.probes_of({'startupProbe': {
            'grpc': {'port': 5000, 'service': 's'},
            'initialDelaySeconds': 1, 'periodSeconds': 2,
            'timeoutSeconds': 3, 'successThreshold': 4,
            'failureThreshold': 5, 'terminationGracePeriodSeconds': 6}})
        self.assertEqual(spec.Probe(
            'startup', spec.Grpc(5000, 's'), 1, 2, 3, 4, 5, 6), found)

    def test_each_handler_is_told_apart(self):
        container = {
            'startupProbe': {'tcpSocket': {'port': 'web'}},
            'livenessProbe': {'httpGet': {
                'port': 80, 'scheme': 'HTTPS', 'path': '/x', 'host': 'h',
                'httpHeaders': [{'name': 'A', 'value': 'b'},
                                {'name': 'C'}]}},
            'readinessProbe': {'httpGet': {'port': 'web'}}}
        self.assertEqual([
            spec.TcpSocket('', 'web'),
            spec.HttpGet('https', 'h', 80, '/x', (('A', 'b'), ('C', ''))),
            spec.HttpGet('http', '', 'web', '/', ())],
            [probe.handler for probe in spec.probes_of(container)])

    def test_a_probe_that_asks_nothing_is_none(self):
        self.assertEqual((), spec.probes_of({
            'livenessProbe': {}, 'readinessProbe': None}))

    def test_a_timeout_is_bounded(self):
        found, = spec.probes_of({'livenessProbe': {
            'exec': {}, 'timeoutSeconds': 10 ** 6}})
        self.assertEqual(spec.MAX_TIMEOUT, found.timeout)

    def test_ports_are_found_by_name(self):
        container = {'ports': [{'name': 'web', 'containerPort': 8080}, {}]}
        for expected, port in ((8080, 'web'), (81, 81), (82, '82')):
            self.assertEqual(expected, spec.port_of(port, container))

    def test_a_port_that_there_is_not_is_an_error(self):
        for port in ('none', 0, 65536, '0', '-1', '', '٣'):
            self.assertRaises(ValueError, spec.port_of, port, {})

    @hypothesis.given(strategies.one_of(
        strategies.integers(), strategies.text(max_size=8)))
    def test_what_is_found_is_a_port(self, port):
        with contextlib.suppress(ValueError):
            self.assertIn(spec.port_of(port, {}), range(1, 65536))
