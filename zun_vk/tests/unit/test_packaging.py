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
"""What is shipped beside the code agrees with the code."""

import ast
import configparser
from importlib import metadata
import pathlib
import re
import subprocess
import sys
import tempfile

from oslo_service import _options as service_options
from oslotest import base
import yaml

from zun_vk import version
from zun_vk.conf import opts

ROOT = pathlib.Path(__file__).parents[3]
PACKAGE = ROOT / 'zun_vk'
# Distributions whose name is not that of what they let import.
DISTRIBUTIONS = {'google': 'protobuf', 'grpc': 'grpcio', 'os_vif': 'os-vif',
                 'vif_plug_ovs': 'os-vif', 'yaml': 'PyYAML',
                 'zunclient': 'python-zunclient'}


def requirements():
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    return {re.match(r'[A-Za-z0-9._-]+', line).group()
            for line in lines if line and not line.startswith('#')}


def imported():
    """Return the top names that zun_vk imports, tests left out."""
    found = set()
    for path in PACKAGE.rglob('*.py'):
        if 'tests' in path.relative_to(PACKAGE).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module)
    # Of Zun only the capsule driver imports, which Zun itself loads.
    return {name.split('.')[0] for name in found} - {'zun', 'zun_vk'}


class TestRequirements(base.BaseTestCase):

    def test_whatever_is_imported_is_required(self):
        # Zun loads the capsule driver, and so is there already.
        foreign = imported() - set(sys.stdlib_module_names) - {'zun'}
        names = {DISTRIBUTIONS.get(name, name.replace('oslo_', 'oslo.'))
                 for name in foreign}
        self.assertEqual(set(), names - requirements())

    def test_every_requirement_has_its_reason_in_the_documentation(self):
        page = (ROOT / 'doc/source/contributor/dependencies.rst').read_text()
        for name in requirements():
            self.assertRegex(page, f'``{re.escape(name)}(\\[|``)')

    def test_every_requirement_is_pinned_for_tests(self):
        pins = (ROOT / 'tools/constraints.txt').read_text().lower()
        for name in requirements():
            self.assertIn(f'\n{name.lower()}==', pins)


class TestEntryPoints(base.BaseTestCase):

    def test_every_entry_point_can_be_loaded(self):
        # The console scripts of services choose a backend of oslo.service
        # for the whole process: they are tried in processes of their own.
        # The capsule driver is loaded where Zun is installed.
        points = [point for point in
                  metadata.distribution('zun-vk').entry_points
                  if point.group != 'zun.capsule.driver' and point.value
                  not in ('zun_vk.cmd.agent:main', 'zun_vk.cmd.compute:main')]
        self.assertIn('rest', {point.name for point in points})
        for point in points:
            self.assertTrue(callable(point.load()), point)

    def test_the_version_is_known(self):
        self.assertRegex(version.version_string(), r'^\d+\.\d+')


class TestSample(base.BaseTestCase):

    def test_the_sample_is_generated_and_names_every_option(self):
        recipe = ROOT / 'etc/zun-vk/zun-vk-config-generator.conf'
        with tempfile.NamedTemporaryFile('r') as sample:
            # In a process of its own: it loads whatever names options.
            subprocess.run(
                [pathlib.Path(sys.executable).with_name(
                    'oslo-config-generator'),
                 '--config-file', recipe, '--output-file', sample.name],
                check=True, capture_output=True, timeout=60)
            lines = set(re.findall(r'^\[\w+\]|^#\w+ =', sample.read(), re.M))
        expected = {f'[{section}]' for section, _options in opts.list_opts()}
        expected |= {f'#{option.dest} =' for _section, options in
                     opts.list_opts() for option in options}
        self.assertEqual(set(), expected - lines)


class TestUnit(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.unit = configparser.ConfigParser(
            interpolation=None, strict=False)
        self.unit.optionxform = str
        self.unit.read(ROOT / 'etc/systemd/zun-vk-agent.service')

    def test_systemd_waits_longer_than_a_graceful_stop(self):
        graceful = next(
            option.default for option in service_options.service_opts
            if option.name == 'graceful_shutdown_timeout')
        self.assertGreater(int(self.unit['Service']['TimeoutStopSec']),
                           graceful)

    def test_the_agent_runs_as_its_own_user_and_tells_when_ready(self):
        service = self.unit['Service']
        self.assertEqual('zun-vk', service['User'])
        self.assertEqual('notify', service['Type'])
        self.assertEqual('on-failure', service['Restart'])

    def test_its_keys_have_a_place_that_nobody_else_reads(self):
        service = self.unit['Service']
        self.assertEqual(('zun-vk', '0700', '0077'), (
            service['StateDirectory'], service['StateDirectoryMode'],
            service['UMask']))

    def test_the_unit_starts_an_installed_program(self):
        program = self.unit['Service']['ExecStart'].split()[0]
        scripts = {point.name for point in
                   metadata.distribution('zun-vk').entry_points.select(
                       group='console_scripts')}
        self.assertIn(program, scripts)


class TestRights(base.BaseTestCase):
    """etc/kubernetes/rbac.yaml."""

    def setUp(self):
        super().setUp()
        text = (ROOT / 'etc/kubernetes/rbac.yaml').read_text()
        self.objects = list(yaml.safe_load_all(text))
        self.rules = [(one['kind'], rule) for one in self.objects
                      for rule in one.get('rules', ())]

    def test_no_rule_is_a_wildcard(self):
        for _kind, rule in self.rules:
            self.assertNotIn('*', rule['verbs'] + rule['resources']
                             + rule['apiGroups'])

    def test_nothing_of_a_node_or_a_pod_is_written(self):
        verbs = {name: set(rule['verbs']) for _kind, rule in self.rules
                 for name in rule['resources']}
        self.assertEqual(
            {'nodes': {'list'}, 'namespaces': {'get'},
             'certificatesigningrequests': {'create', 'get'},
             'leases': {'create', 'list', 'patch'}}, verbs)

    def test_of_namespaces_only_the_clusters_own_can_be_read(self):
        rule, = [rule for _kind, rule in self.rules
                 if rule['resources'] == ['namespaces']]
        self.assertEqual((['kube-system'], ['get']),
                         (rule['resourceNames'], rule['verbs']))

    def test_leases_are_those_of_agents(self):
        kinds = {kind for kind, rule in self.rules
                 if 'leases' in rule['resources']}
        self.assertEqual({'Role'}, kinds)
        role, = [one for one in self.objects if one['kind'] == 'Role']
        self.assertEqual('zun-vk', role['metadata']['namespace'])

    def test_of_the_roles_of_others_only_those_of_certificates_are_given(
            self):
        roles = {one['roleRef']['name'] for one in self.objects
                 if 'roleRef' in one}
        prefix = 'system:certificates.k8s.io:certificatesigningrequests:'
        self.assertEqual({'zun-vk-agent', f'{prefix}nodeclient',
                          f'{prefix}selfnodeclient'}, roles)
