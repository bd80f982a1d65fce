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
"""The devstack plugin, run through all phases against stand-ins."""

import base64
import configparser
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from oslo_config import cfg
from oslo_log import log as logging
from oslo_messaging import opts as messaging_opts
from oslotest import base
import yaml

from zun_vk.cloud import sessions
from zun_vk.compute import cni
from zun_vk.conf import opts
from zun_vk.rpc import bus

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[3]
STACK = ['stack:pre-install', 'stack:install', 'stack:post-config',
         'stack:extra', 'stack:test-config']
PASSWORD = 's3cr%t=$1 [x]'

KUBECTL = r'''#!/bin/bash
echo "kubectl $*" >> "$WORK/calls"
case "$*" in
    *"create -f -") cat > "$WORK/request.yaml" ;;
    *config*.server*) echo -n https://192.0.2.1:6443 ;;
    *certificate-authority-data*) echo -n QVVUSE9SSVRZ ;;
    *"get certificatesigningrequest"*) echo -n Q0VSVElGSUNBVEU= ;;
esac
exit ${KUBECTL_EXIT:-0}
'''
CRICTL = r'''#!/bin/bash
echo "crictl $*" >> "$WORK/calls"
case "$*" in
    *" pods "*) printf '%s\n' sandbox-1 sandbox-2 ;;
esac
exit ${CRICTL_EXIT:-0}
'''
OPENSSL = r'''#!/bin/bash
while [ $# -gt 0 ]; do
    case "$1" in
        -keyout) echo -n KEY > "$2" ;;
        -out) echo -n REQUEST > "$2" ;;
    esac
    shift
done
'''


class PluginTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.work = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.work)
        (self.work / 'dest').mkdir()
        (self.work / 'dest' / 'zun-vk').symlink_to(ROOT)
        (self.work / 'admin.conf').write_text('the admin of the cluster')
        self.program('openssl', OPENSSL)
        self.program('kubectl', KUBECTL)
        plugin = self.work / 'local' / 'bin' / 'zun-vk-cni'
        plugin.parent.mkdir(parents=True)
        plugin.write_text('the CNI plugin')
        self.zun_conf = self.work / 'zun.conf'
        self.zun_conf.write_text('[DEFAULT]\ncapsule_driver = cri\n')
        self.conf = self.work / 'etc' / 'zun-vk' / 'zun-vk.conf'
        self.kubeconfig = self.work / 'etc' / 'zun-vk' / 'kubeconfig'
        self.unit = self.work / 'devstack@zun-vk-agent.service'
        self.host_unit = self.work / 'devstack@zun-vk-compute.service'

    def program(self, name, text):
        path = self.work / 'bin' / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run_phases(self, *phases, **environment):
        """Run phases in one shell, as one run of stack.sh does."""
        return subprocess.run(
            ['bash', HERE / 'standins.sh', self.work, *phases],
            env=dict(os.environ, WORK=str(self.work), **environment),
            capture_output=True, text=True, timeout=60, check=False)

    def stack(self, *phases, **environment):
        result = self.run_phases(*(phases or STACK), **environment)
        self.assertEqual(0, result.returncode, result.stderr)
        return result

    def calls(self, prefix=''):
        lines = (self.work / 'calls').read_text().splitlines()
        return [line for line in lines if line.startswith(prefix)]

    def options(self, path=None):
        # [DEFAULT] is a section like the others to oslo.config.
        parser = configparser.ConfigParser(interpolation=None,
                                           default_section='none')
        parser.read(path or self.conf)
        return parser

    def capsule_driver(self):
        return self.options(self.zun_conf)['DEFAULT']['capsule_driver']

    def parsed(self):
        """Return the configuration as the services read it."""
        conf = cfg.ConfigOpts()
        for group, options in messaging_opts.list_opts():
            conf.register_opts(options, group=group)
        opts.register_all(conf)
        logging.register_options(conf)
        conf(['--config-file', str(self.conf)])
        return conf

    def mode(self, path):
        return stat.S_IMODE(path.stat().st_mode)


class TestStack(PluginTestCase):

    def test_the_plugin_comes_after_zun(self):
        self.stack('stack:pre-install')
        self.assertEqual(['define_plugin zun-vk'],
                         self.calls('define_plugin'))
        self.assertEqual(['plugin_requires zun-vk zun'],
                         self.calls('plugin_requires'))

    def test_each_phase_does_its_part_and_in_order(self):
        self.stack()
        starts = [line for line in self.calls() if line.startswith(
            ('==', 'setup_develop', 'create_service_user', 'run_process'))]
        programs, file = f'{self.work}/local/bin', f'--config-file {self.conf}'
        self.assertEqual(
            ['== stack:pre-install',
             '== stack:install',
             f'setup_develop {self.work}/dest/zun-vk',
             '== stack:post-config',
             'create_service_user zun-vk admin',
             '== stack:extra',
             f'run_process zun-vk-compute {programs}/zun-vk-compute {file} '
             'root root',
             f'run_process zun-vk-agent {programs}/zun-vk-agent {file}',
             '== stack:test-config'],
            starts)

    def test_the_configuration_names_cloud_and_cluster(self):
        self.stack()
        options = self.options()
        self.assertEqual('True', options['DEFAULT']['debug'])
        self.assertEqual('True', options['DEFAULT']['use_journal'])
        self.assertEqual(str(self.kubeconfig),
                         options['kubernetes']['kubeconfig'])
        self.assertEqual('zun-vk', options['node']['name'])
        self.assertEqual('192.0.2.10', options['node']['address'])
        self.assertEqual('id-of-demo', options['tenants']['default_project'])

    def test_all_clients_log_in_as_the_service_user(self):
        self.stack()
        conf = self.parsed()
        expected = {
            'auth_type': 'password',
            'auth_url': 'http://192.0.2.10/identity',
            'username': 'zun-vk', 'password': PASSWORD,
            'user_domain_name': 'Default', 'project_name': 'service',
            'project_domain_name': 'Default', 'region_name': 'RegionOne',
            'cafile': None}
        for section in ('zun', 'placement', 'neutron'):
            sessions.ServiceAccess(conf, section)
            self.assertEqual(
                expected, {key: conf[section][key] for key in expected})

    def test_every_option_is_one_of_ours(self):
        self.stack(ENABLED_SERVICES='key,zun-api,zun-compute,tls-proxy')
        conf = self.parsed()
        for section in ('zun', 'placement', 'neutron'):
            sessions.ServiceAccess(conf, section)
        written = self.options()
        for section in written.sections():
            known = conf if section == 'DEFAULT' else conf[section]
            for option in written.options(section):
                self.assertIn(option, known, section)

    def test_tls_is_verified_with_devstacks_bundle(self):
        self.stack(ENABLED_SERVICES='key,zun-api,tls-proxy')
        for section in ('zun', 'placement', 'neutron'):
            self.assertEqual(f'{self.work}/ca-bundle.pem',
                             self.options()[section]['cafile'])

    def test_the_user_may_make_capsules_in_the_project_of_the_pods(self):
        self.stack(ZUN_VK_PROJECT_NAME='pods')
        self.assertIn(
            'get_or_add_user_project_role member zun-vk pods Default Default',
            self.calls())
        self.assertEqual('id-of-pods',
                         self.options()['tenants']['default_project'])

    def test_the_password_is_in_no_trace_and_in_one_private_file(self):
        self.stack()
        self.assertIn('zun-vk', (self.work / 'trace').read_text())
        self.assertNotIn('s3cr', (self.work / 'trace').read_text())
        self.assertEqual(0o600, self.mode(self.conf))
        self.assertEqual(0o750, self.mode(self.conf.parent))

    def test_a_second_stack_changes_nothing(self):
        self.stack()
        first = self.conf.read_text(), self.kubeconfig.read_text()
        self.stack()
        self.assertEqual(
            first, (self.conf.read_text(), self.kubeconfig.read_text()))

    def test_a_second_stack_keeps_nothing_of_the_first(self):
        self.stack()
        with self.conf.open('a') as file:
            file.write('[node]\ntaint = stale=yes:NoSchedule\n')
        self.stack()
        self.assertNotIn('stale', self.conf.read_text())

    def test_what_is_disabled_is_left_alone(self):
        self.stack(*STACK, 'unstack', 'clean', ENABLED_SERVICES=(
            'key,zun-compute,-zun-vk-agent,-zun-vk-compute'))
        self.assertEqual([], self.calls('setup_develop'))
        self.assertEqual([], self.calls('kubectl'))
        self.assertFalse(self.conf.exists())
        self.assertEqual('cri', self.capsule_driver())


class TestHost(PluginTestCase):

    SUBNODE = {'SERVICE_HOST': '192.0.2.1', 'ENABLED_SERVICES': 'zun-compute',
               'ZUN_VK_KUBECONFIG': '/nonexistent/kubeconfig'}

    def test_the_driver_is_set_before_zun_compute_starts(self):
        self.stack('stack:pre-install', 'stack:install', 'stack:post-config')
        self.assertEqual('zun_vk', self.capsule_driver())

    def test_a_host_says_where_its_runtime_and_its_files_are(self):
        self.stack(ZUN_VK_RUNTIME_ENDPOINT='unix:///run/crio/crio.sock')
        options = self.options()
        self.assertEqual('unix:///run/crio/crio.sock',
                         options['compute']['runtime_endpoint'])
        kept = f'{self.work}/data/zun-vk-compute'
        self.assertEqual(f'{kept}/pods', options['compute']['pod_root'])
        self.assertEqual(f'{kept}/logs', options['compute']['log_root'])
        self.assertEqual(f'{self.work}/run', options['compute']['run_root'])

    def test_a_host_has_the_name_that_zun_gives_it(self):
        self.stack()
        self.assertNotIn('host', self.options()['compute'])
        self.zun_conf.write_text(
            '[compute]\nhost = other\n[DEFAULT]\nhost = host-7\n')
        self.stack()
        self.assertEqual('host-7', self.options()['compute']['host'])

    def test_the_runtime_gets_our_cni_plugin(self):
        program = self.work / 'cni' / 'bin' / 'zun-vk-cni'
        network = self.work / 'cni' / 'net.d' / '10-zun-cni.conf'
        self.stack()
        self.assertEqual(0o555, self.mode(program))
        described = json.loads(network.read_text())
        self.assertEqual(program.name, described['type'])
        self.assertEqual(cni.VERSION, described['cniVersion'])
        self.stack('unstack', 'clean')
        self.assertFalse(program.exists())
        self.assertFalse(network.exists())

    def test_agent_and_host_have_zuns_message_bus(self):
        self.stack()
        self.assertEqual(['iniset_rpc_backend zun-vk'],
                         self.calls('iniset_rpc_backend'))
        self.assertTrue(bus.Bus(self.parsed()))
        self.assertEqual('compute', self.options()['pods']['capsule_runtime'])

    def test_a_subnode_runs_a_host_and_no_agent(self):
        self.stack(**self.SUBNODE)
        self.assertTrue(self.host_unit.exists())
        self.assertFalse(self.unit.exists())
        self.assertEqual([], self.calls('create_service_user'))
        self.assertEqual([], self.calls('get_or_create_project'))
        self.assertEqual([], self.calls('kubectl'))
        self.assertEqual('zun_vk', self.capsule_driver())
        self.assertEqual({'DEFAULT', 'compute'},
                         set(self.options().sections()))

    def test_a_host_without_zun_is_an_error(self):
        self.zun_conf.unlink()
        result = self.run_phases(*STACK, **self.SUBNODE)
        self.assertEqual(1, result.returncode)
        self.assertIn('zun.conf is missing', result.stderr)
        self.assertFalse(self.host_unit.exists())

    def test_without_hosts_the_runtime_is_rest(self):
        self.stack(ENABLED_SERVICES='key,zun-api')
        self.assert_rest()

    def test_a_disabled_host_service_leaves_zun_as_it_is(self):
        self.stack(ENABLED_SERVICES='key,zun-compute,-zun-vk-compute')
        self.assert_rest()

    def test_the_runtime_rest_needs_no_host_service(self):
        self.stack(ZUN_VK_CAPSULE_RUNTIME='rest')
        self.assert_rest()

    def assert_rest(self):
        self.assertEqual('rest', self.options()['pods']['capsule_runtime'])
        self.assertNotIn('transport_url', self.options()['DEFAULT'])
        self.assertEqual([], self.calls('run_process zun-vk-compute'))
        self.assertEqual('cri', self.capsule_driver())

    def test_a_controller_can_be_told_that_its_hosts_are_elsewhere(self):
        self.stack(ENABLED_SERVICES='key,zun-api',
                   ZUN_VK_CAPSULE_RUNTIME='compute')
        self.assertEqual('compute', self.options()['pods']['capsule_runtime'])
        self.assertIn('transport_url', self.options()['DEFAULT'])
        self.assertFalse(self.host_unit.exists())

    def test_unstack_leaves_the_containers_running(self):
        self.program('crictl', CRICTL)
        self.stack(**self.SUBNODE)
        self.stack('unstack', **self.SUBNODE)
        self.assertFalse(self.host_unit.exists())
        self.assertEqual([], self.calls('crictl'))

    def test_clean_removes_our_pods_and_what_they_have(self):
        self.program('crictl', CRICTL)
        kept = self.work / 'data' / 'zun-vk-compute' / 'pods'
        secret = self.work / 'run' / 'volumes'
        for failing in ('0', '1'):
            self.stack(**self.SUBNODE)
            kept.mkdir(parents=True)
            secret.mkdir(parents=True)
            self.stack('unstack', 'clean', CRICTL_EXIT=failing,
                       **self.SUBNODE)
            self.assertFalse(kept.parent.exists())
            self.assertFalse(secret.parent.exists())
            self.assertFalse(self.conf.exists())
        crictl = 'crictl --runtime-endpoint unix:///run/containerd/'
        self.assertEqual(
            [f'{crictl}containerd.sock {rest}' for rest in (
                'pods --quiet --label '
                'zun.openstack.org/managed-by=zun-vk-compute',
                'rmp --force sandbox-1', 'rmp --force sandbox-2')] * 2,
            self.calls('crictl'))


class TestCluster(PluginTestCase):

    def test_the_agent_gets_its_rights_before_it_starts(self):
        self.stack()
        calls = self.calls()
        apply = (f'kubectl --kubeconfig {self.work}/admin.conf apply -f '
                 f'{self.work}/dest/zun-vk/etc/kubernetes/rbac.yaml')
        self.assertIn(apply, calls)
        self.assertLess(calls.index(apply),
                        calls.index(self.calls('run_process')[0]))

    def test_the_cluster_signs_the_agents_certificate(self):
        self.stack()
        request = yaml.safe_load((self.work / 'request.yaml').read_text())
        self.assertEqual('kubernetes.io/kube-apiserver-client',
                         request['spec']['signerName'])
        self.assertEqual(b'REQUEST',
                         base64.b64decode(request['spec']['request']))
        config = yaml.safe_load(self.kubeconfig.read_text())
        user = config['users'][0]['user']
        self.assertEqual(b'KEY', base64.b64decode(user['client-key-data']))
        self.assertEqual(
            b'CERTIFICATE', base64.b64decode(user['client-certificate-data']))
        self.assertEqual(
            {'server': 'https://192.0.2.1:6443',
             'certificate-authority-data': 'QVVUSE9SSVRZ'},
            config['clusters'][0]['cluster'])
        self.assertEqual(0o600, self.mode(self.kubeconfig))

    def test_a_given_kubeconfig_is_used_and_kept(self):
        given = self.work / 'given'
        given.write_text('as it is')
        self.stack(*STACK, ZUN_VK_KUBECONFIG=str(given))
        self.assertEqual(str(given),
                         self.options()['kubernetes']['kubeconfig'])
        self.run_phases('unstack', 'clean', ZUN_VK_KUBECONFIG=str(given))
        self.assertEqual('as it is', given.read_text())

    def test_a_cluster_of_others_needs_a_given_kubeconfig(self):
        (self.work / 'admin.conf').unlink()
        result = self.run_phases(*STACK)
        self.assertEqual(1, result.returncode)
        self.assertIn(f'{self.kubeconfig} is missing', result.stderr)
        self.assertFalse(self.unit.exists())

    def test_a_cluster_of_others_is_told_what_to_apply(self):
        (self.work / 'admin.conf').unlink()
        given = self.work / 'given'
        given.write_text('as it is')
        result = self.stack(ZUN_VK_KUBECONFIG=str(given))
        self.assertIn('rbac.yaml yourself', result.stdout)
        self.assertEqual([], self.calls('kubectl'))
        self.assertTrue(self.unit.exists())

    def test_a_refusal_of_the_cluster_ends_the_stack(self):
        result = self.run_phases(*STACK, KUBECTL_EXIT='1')
        self.assertNotEqual(0, result.returncode)
        self.assertFalse(self.unit.exists())


class TestUnstackAndClean(PluginTestCase):

    def test_unstack_stops_the_agent_and_keeps_its_files(self):
        self.stack()
        self.stack('unstack')
        self.assertFalse(self.unit.exists())
        self.assertTrue(self.conf.exists())
        self.assertEqual([], self.calls('kubectl delete'))

    def test_clean_removes_what_the_plugin_made(self):
        self.stack()
        keys = self.work / 'data' / 'zun-vk' / 'pki'
        self.assertEqual(str(keys.parent),
                         self.options()['agent']['state_path'])
        keys.mkdir(parents=True)
        self.stack('unstack', 'clean')
        self.assertFalse(self.conf.parent.exists())
        self.assertFalse(keys.parent.exists())
        self.assertFalse(self.host_unit.exists())
        kubectl = f'kubectl --kubeconfig {self.work}/admin.conf'
        delete = f'{kubectl} --request-timeout 10s delete --ignore-not-found'
        rbac = f'{self.work}/dest/zun-vk/etc/kubernetes/rbac.yaml'
        for what in ('node zun-vk', 'certificatesigningrequest zun-vk-agent',
                     f'-f {rbac}'):
            self.assertIn(f'{delete} {what}', self.calls())

    def test_clean_goes_on_where_the_cluster_is_gone(self):
        self.stack()
        self.stack('unstack', 'clean', KUBECTL_EXIT='1')
        self.assertFalse(self.conf.parent.exists())

    def test_clean_of_nothing_is_no_error(self):
        self.stack('unstack', 'clean')
        self.assertFalse(self.conf.parent.exists())

    def test_stack_after_clean_starts_anew(self):
        self.stack()
        self.stack('unstack', 'clean')
        self.stack()
        self.assertTrue(self.unit.exists())
        self.assertTrue(self.kubeconfig.exists())


class TestShellStyle(base.BaseTestCase):

    def test_every_file_is_valid_bash(self):
        for name in ('settings', 'plugin.sh', 'lib/zun-vk',
                     'local.conf.sample'):
            result = subprocess.run(
                ['bash', '-n', ROOT / 'devstack' / name],
                capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual('', result.stderr)
