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
import datetime
import os
import types

import oslotest.base

from zun_vk.compute import logs
from zun_vk.compute import zunrecord
from zun_vk.rpc import marks
from zun_vk.rpc import payload
from zun_vk.rpc import states


def container(**fields):
    return types.SimpleNamespace(**{
        'uuid': 'c-1', 'image': 'busybox', 'command': None,
        'environment': None, 'workdir': None, 'tty': False,
        'interactive': False, 'image_pull_policy': None, 'cpu': None,
        'memory': None, 'privileged': False, **fields})


def capsule(**fields):
    return types.SimpleNamespace(**{
        'uuid': 'cap-1', 'name': 'mine', 'status': 'Creating',
        'project_id': 'p', 'labels': {}, 'annotations': {}, 'hostname': None,
        'addresses': {'net': [{'addr': '10.0.0.5'}]}, 'cni_metadata': None,
        'restart_policy': {'Name': 'never'}, 'containers': [container()],
        'init_containers': [], **fields})


class CapsuleTestCase(oslotest.base.BaseTestCase):

    def pod(self, **fields):
        made = zunrecord.capsule(capsule(**fields), '', {})
        return payload.from_wire(made['payload']).pod

    def test_a_capsule_of_the_agent_has_no_payload(self):
        made = zunrecord.capsule(capsule(labels={
            marks.NODE: 'node', marks.UID: 'u',
            marks.NAMESPACE: 'ns', marks.POD: 'web'}), 'kata', {})
        self.assertIsNone(made['payload'])
        self.assertEqual(
            ('cap-1', 'u', 'node', 'ns', 'web', ['10.0.0.5'], 'kata'),
            tuple(made[name] for name in (
                'uuid', 'uid', 'node', 'namespace', 'pod', 'addresses',
                'runtime')))

    def test_a_vif_is_found_where_zun_notes_it_down(self):
        def noted(default):
            return {'vif': {'versioned_object.data': {
                'default_vif': default}}}
        self.assertEqual({'a': 1}, zunrecord.vif(noted({'a': 1})))
        for nothing in (None, {}, {'vif': None}, {'vif': 'x'}, [],
                        noted(None), noted('x')):
            self.assertEqual({}, zunrecord.vif(nothing))

    def test_the_command_of_a_user_of_zun_leaves_the_entry_point(self):
        pod = self.pod(containers=[container(command=['sh', '-c', 'x'])])
        only = pod['spec']['containers'][0]
        self.assertEqual(['sh', '-c', 'x'], only['args'])
        self.assertNotIn('command', only)

    def test_zuns_amounts_become_a_request_and_a_limit(self):
        pod = self.pod(containers=[container(cpu=0.5, memory='64')])
        self.assertEqual(
            {'requests': {'cpu': '500m'}, 'limits': {'memory': '64Mi'}},
            pod['spec']['containers'][0]['resources'])

    def test_restart_policies_are_zuns(self):
        for zun, kubernetes in (('always', 'Always'),
                                ('on-failure', 'OnFailure'),
                                ('never', 'Never'), ('no', 'Never')):
            self.assertEqual(kubernetes, self.pod(
                restart_policy={'Name': zun})['spec']['restartPolicy'])

    def test_attached_volumes_are_mounted(self):
        made = zunrecord.capsule(capsule(), '', {
            'c-1': [zunrecord.Mounted('/mnt/a', '/data')]})
        whole = payload.from_wire(made['payload'])
        mount = whole.pod['spec']['containers'][0]['volumeMounts'][0]
        self.assertEqual('/data', mount['mountPath'])
        self.assertEqual('/mnt/a', whole.host_paths[mount['name']])

    def test_any_name_of_zuns_can_be_the_name_of_a_pod(self):
        # Zun: letters, digits, "_", "." and "-", up to 255 of them.
        for name in ('my_web', 'A.b_c-', 'x' * 255):
            made = zunrecord.capsule(capsule(name=name), '', {})
            directory = logs.pod_dir(
                '/log', made['namespace'], made['pod'], made['uid'])
            self.assertLess(len(os.path.basename(directory)), 255)
            self.assertEqual(
                made['pod'], made['payload']['pod']['metadata']['name'])
        made = zunrecord.capsule(capsule(project_id='my_project'), '', {})
        self.assertEqual('my-project', made['namespace'])

    def test_names_come_from_the_annotation_or_are_the_uuids(self):
        for annotation, names in (('["web"]', ['web']), ('{', ['c-1']),
                                  ('[1]', ['c-1']), (None, ['c-1'])):
            record = capsule(annotations={marks.CONTAINERS: annotation})
            self.assertEqual(names, zunrecord.container_names(record))


class FieldsTestCase(oslotest.base.BaseTestCase):

    def state(self, **fields):
        return states.PodState('u', 'cap-1', '', 1, **fields)

    def status_with(self, *containers):
        return zunrecord.capsule_fields(self.state(
            sandbox='s', sandbox_ready=True, containers=containers)).status

    def test_a_capsule_runs_once_all_its_containers_were_started(self):
        waits = {'name': 'w', 'state': {'waiting': {'reason': 'x'}},
                 'lastState': {}}
        runs = {'name': 'r', 'state': {'running': {}}, 'lastState': {}}
        ended = {'name': 'e', 'state': {'terminated': {'exitCode': 1}}}
        loops = waits | {'lastState': ended['state']}
        self.assertIsNone(zunrecord.capsule_fields(self.state()).status)
        self.assertIsNone(self.status_with())
        self.assertIsNone(self.status_with(waits))
        self.assertIsNone(self.status_with(runs, waits))
        for containers in ((runs,), (runs, ended), (runs, loops)):
            self.assertEqual('Running', self.status_with(*containers))

    def test_a_capsule_that_ended_is_stopped(self):
        self.assertEqual('Stopped', zunrecord.capsule_fields(
            self.state(ended=True)).status)

    def test_a_capsule_that_was_given_up_says_why(self):
        found = zunrecord.capsule_fields(self.state(
            reason='Evicted', message='too much', ended=True))
        self.assertEqual(('Error', 'Evicted: too much'),
                         (found.status, found.status_reason))

    def test_what_a_capsule_waits_for_is_shown(self):
        waiting = {'name': 'c', 'state': {'waiting': {
            'reason': 'ErrImagePull', 'message': 'no such image'}}}
        self.assertEqual('ErrImagePull: no such image',
                         zunrecord.capsule_fields(self.state(
                             sandbox='s', sandbox_ready=True,
                             containers=(waiting,))).status_reason)

    def test_an_exit_shows_its_code(self):
        found = zunrecord.container_fields({
            'name': 'c', 'containerID': 'containerd://abc', 'state': {
                'terminated': {'exitCode': 3, 'reason': 'Error',
                               'startedAt': '2026-01-31T12:00:00Z',
                               'finishedAt': '2026-01-31T12:00:05Z'}}})
        self.assertEqual(('Stopped', 'Error', 'abc'), (
            found.status, found.status_reason, found.container_id))
        self.assertIn('Exited(3)', found.status_detail)
        self.assertEqual(datetime.datetime(2026, 1, 31, 12),
                         found.started_at)

    def test_restarts_are_counted(self):
        found = zunrecord.container_fields({
            'name': 'c', 'restartCount': 2, 'state': {'running': {}}})
        self.assertEqual(('Running', 'Restarted 2 times'),
                         (found.status, found.status_detail))
