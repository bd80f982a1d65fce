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

from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.configs import security
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import cri_pb2
from zun_vk.tests.fixtures import pods as plain
from zun_vk.tests.unit.compute.configs import pods

_PRIVILEGED = configs.Settings(allow_privileged=True)


class SecurityTestCase(base.BaseTestCase):

    def _of(self, own=None, shared=None, image=None, settings=pods.SETTINGS,
            target='', **spec):
        made = pods.container_of(
            plain.container(securityContext=own or {}), image=image,
            settings=settings, target=target, securityContext=shared or {},
            **spec)
        return made.linux.security_context

    def _refusal(self, *args, **kwargs):
        return self.assertRaises(exceptions.ConfigRefused, self._of, *args,
                                 **kwargs)


class UserTestCase(SecurityTestCase):

    def test_the_containers_user_comes_before_the_pods(self):
        made = self._of({'runAsUser': 5}, {'runAsUser': 6, 'runAsGroup': 7})
        self.assertEqual((5, 7), (made.run_as_user.value,
                                  made.run_as_group.value))
        self.assertEqual(6, self._of({}, {'runAsUser': 6}).run_as_user.value)

    def test_user_0_is_a_user(self):
        made = self._of({'runAsUser': 0}, {'runAsUser': 6})
        self.assertTrue(made.HasField('run_as_user'))
        self.assertEqual(0, made.run_as_user.value)

    def test_else_it_is_the_images_number_or_name(self):
        made = self._of(image=pods.Image(uid=8))
        self.assertEqual((8, ''), (made.run_as_user.value,
                                   made.run_as_username))
        made = self._of({'runAsGroup': 9}, image=pods.Image(username='www'))
        self.assertFalse(made.HasField('run_as_user'))
        self.assertEqual(('www', 9), (made.run_as_username,
                                      made.run_as_group.value))

    def test_an_image_that_says_nothing_runs_as_root(self):
        made = self._of()
        self.assertTrue(made.HasField('run_as_user'))
        self.assertEqual(0, made.run_as_user.value)

    def test_groups_of_the_pod(self):
        made = self._of(shared={'fsGroup': 0, 'supplementalGroups': [3, 4]})
        self.assertEqual([0, 3, 4], list(made.supplemental_groups))
        self.assertEqual(cri_pb2.Merge, made.supplemental_groups_policy)


class NonRootTestCase(SecurityTestCase):

    _NOT_ROOT = {'runAsNonRoot': True}
    _WHERE = f' (pod: "web_shop({pods.UID})", container: main)'

    def test_it_is_refused_in_the_kubelets_words(self):
        for user, image, words in (
                (0, pods.Image(uid=7),
                 "container's runAsUser breaks non-root policy"),
                (None, pods.Image(), 'container has runAsNonRoot and image '
                 'will run as root'),
                (None, pods.Image(uid=0), 'container has runAsNonRoot and '
                 'image will run as root'),
                (None, pods.Image(username='www'), 'container has '
                 'runAsNonRoot and image has non-numeric user (www), cannot '
                 'verify user is non-root')):
            refusal = self._refusal({'runAsUser': user}, self._NOT_ROOT,
                                    image)
            self.assertEqual(words + self._WHERE, refusal.message)
            self.assertEqual('CreateContainerConfigError', refusal.reason)

    def test_an_images_user_out_of_range_is_refused(self):
        for uid in (-1, 2 ** 31):
            self.assertIn('invalid user id', self._refusal(
                {}, self._NOT_ROOT, pods.Image(uid=uid)).message)

    def test_another_user_than_root_may_run(self):
        self._of({'runAsUser': 7}, self._NOT_ROOT)
        self._of({}, self._NOT_ROOT, pods.Image(uid=7))
        self._of({'runAsUser': 7}, self._NOT_ROOT,
                 pods.Image(username='www'))

    def test_a_container_may_take_it_back(self):
        self._of({'runAsNonRoot': False}, self._NOT_ROOT)


class HostRightsTestCase(SecurityTestCase):

    def test_what_takes_over_the_host_is_refused_with_field_and_option(self):
        for own, field in (
                ({'privileged': True}, 'securityContext.privileged'),
                ({'procMount': 'Unmasked'}, 'procMount: Unmasked'),
                ({'capabilities': {'add': ['CHOWN', 'ALL']}},
                 'capabilities.add: ALL'),
                ({'capabilities': {'add': ['cap_sys_admin']}},
                 'capabilities.add: SYS_ADMIN')):
            refusal = self._refusal(own)
            self.assertEqual('CreateContainerConfigError', refusal.reason)
            self.assertIn(field, refusal.message)
            self.assertIn('[compute] allow_privileged', refusal.message)
            self._of(own, settings=_PRIVILEGED)

    def test_privileged_where_it_is_allowed(self):
        self.assertTrue(self._of({'privileged': True},
                                 settings=_PRIVILEGED).privileged)
        self.assertFalse(self._of({'privileged': False}).privileged)

    def test_capabilities(self):
        made = self._of({'capabilities': {
            'add': ['NET_ADMIN', 'CAP_KILL'], 'drop': ['ALL']}}).capabilities
        self.assertEqual((['NET_ADMIN', 'KILL'], ['ALL']), (
            list(made.add_capabilities), list(made.drop_capabilities)))
        self.assertFalse(self._of().HasField('capabilities'))

    def test_proc_is_masked_unless_asked_not_to_be(self):
        made = self._of()
        self.assertIn('/proc/kcore', made.masked_paths)
        self.assertIn('/proc/sys', made.readonly_paths)
        made = self._of({'procMount': 'Unmasked'}, settings=_PRIVILEGED)
        self.assertEqual(([], []), (list(made.masked_paths),
                                    list(made.readonly_paths)))
        self.assertEqual(list(security.MASKED), list(
            self._of({'procMount': 'Default'}).masked_paths))

    def test_privileges_are_not_gained_only_where_that_is_said(self):
        self.assertTrue(self._of(
            {'allowPrivilegeEscalation': False}).no_new_privs)
        self.assertFalse(self._of(
            {'allowPrivilegeEscalation': True}).no_new_privs)
        self.assertFalse(self._of().no_new_privs)

    def test_read_only_root(self):
        self.assertTrue(self._of(
            {'readOnlyRootFilesystem': True}).readonly_rootfs)
        self.assertFalse(self._of().readonly_rootfs)

    def test_selinux_options_of_the_container_replace_the_pods(self):
        made = self._of({'seLinuxOptions': {'type': 'mine'}},
                        {'seLinuxOptions': {'type': 'x', 'level': 's0'}})
        self.assertEqual(('mine', ''), (made.selinux_options.type,
                                        made.selinux_options.level))

    def test_process_namespace(self):
        made = self._of(target='other').namespace_options
        self.assertEqual((cri_pb2.TARGET, 'other'), (made.pid,
                                                     made.target_id))
        made = self._of(target='other',
                        shareProcessNamespace=True).namespace_options
        self.assertEqual((cri_pb2.POD, ''), (made.pid, made.target_id))


class ProfilesTestCase(SecurityTestCase):

    def test_the_containers_seccomp_profile_comes_before_the_pods(self):
        default = {'seccompProfile': {'type': 'RuntimeDefault'}}
        none = {'seccompProfile': {'type': 'Unconfined'}}
        types = cri_pb2.SecurityProfile
        for own, shared, expected in (
                ({}, {}, types.RuntimeDefault),
                ({}, none, types.Unconfined),
                (default, none, types.RuntimeDefault),
                (none, default, types.Unconfined)):
            self.assertEqual(expected,
                             self._of(own, shared).seccomp.profile_type)

    def test_a_seccomp_profile_of_the_host_is_refused(self):
        for kind in ('Localhost', 'Mine'):
            profile = {'type': kind, 'localhostProfile': 'a.json'}
            for own, shared in (({'seccompProfile': profile}, {}),
                                ({}, {'seccompProfile': profile})):
                self.assertIn('seccompProfile',
                              self._refusal(own, shared).message)

    def test_apparmor(self):
        types = cri_pb2.SecurityProfile
        local = {'type': 'Localhost', 'localhostProfile': 'web'}
        made = self._of({'appArmorProfile': local},
                        {'appArmorProfile': {'type': 'Unconfined'}}).apparmor
        self.assertEqual((types.Localhost, 'web'), (made.profile_type,
                                                    made.localhost_ref))
        made = self._of({}, {'appArmorProfile': {'type': 'Unconfined'}})
        self.assertEqual(types.Unconfined, made.apparmor.profile_type)
        self.assertFalse(self._of().HasField('apparmor'))

    def test_apparmor_that_makes_no_sense_is_refused(self):
        for profile in ({'type': 'Localhost'}, {'type': 'Mine'}):
            self._refusal({'appArmorProfile': profile})

    def test_apparmor_as_an_annotation(self):
        types = cri_pb2.SecurityProfile
        for text, expected in (
                ('runtime/default', (types.RuntimeDefault, '')),
                ('unconfined', (types.Unconfined, '')),
                ('localhost/web', (types.Localhost, 'web'))):
            pod = pods.pod()
            pod['metadata']['annotations'] = {
                'container.apparmor.security.beta.kubernetes.io/main': text}
            made = security.of_container(
                pod, pod['spec']['containers'][0], pods.Image(),
                pods.SETTINGS).apparmor
            self.assertEqual(expected, (made.profile_type,
                                        made.localhost_ref))
