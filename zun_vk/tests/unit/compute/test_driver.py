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
import importlib
import threading
import types
from unittest import mock

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.rpc import bus
from zun_vk.rpc import marks
from zun_vk.rpc import states
from zun_vk.tests.fixtures import zunmodules


class Record(types.SimpleNamespace):
    """An object of Zun's that counts how often it was saved."""

    saved = 0

    def save(self, context=None):
        self.saved += 1


def capsule(**fields):
    return Record(**{
        'uuid': 'cap-1', 'name': 'mine', 'host': 'host-1',
        'status': 'Creating', 'status_reason': None, 'status_detail': None,
        'container_id': None, 'started_at': None, 'task_state': None,
        'project_id': 'p', 'labels': {}, 'annotations': {},
        'addresses': None, 'cni_metadata': None, 'security_groups': None,
        'hostname': None,
        'runtime': None, 'restart_policy': {'Name': 'always'},
        'init_containers': [], 'containers': [Record(
            uuid='c-1', image='busybox', command=None, environment=None,
            workdir=None, tty=False, interactive=False, cpu=None,
            memory=None, image_pull_policy=None, privileged=False,
            status='Creating', status_reason=None, status_detail=None,
            container_id=None, started_at=None)],
        **fields})


def record_calls(made, contexts):
    """Return ``made``, an initializer, which notes its context down."""
    def initialize(self, context):
        contexts.append(context)
        made(self, context)
    return initialize


class DriverTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.zun = self.useFixture(zunmodules.ZunModules())
        self.driver_module = importlib.import_module(
            'zun_vk.compute.driver')
        self.host = mock.create_autospec(bus.Peer, instance=True)
        made = mock.create_autospec(bus.Bus, instance=True)
        made.peer.return_value = self.host
        self.patch(self.driver_module.bus_module, 'Bus', lambda conf: made)
        self.patch(self.driver_module, '_LOOK_AGAIN', 0.01)
        self.patch(self.driver_module, '_PATIENCE', 0.1)
        self.driver = self.driver_module.ZunVkDriver()
        for thread in threading.enumerate():
            if thread.name == 'zun-vk-driver':
                # It has nothing to restore yet, and a bus that is there.
                thread.join(10)
        self.ports = zunmodules.NeutronAPI.ports = {}
        self.capsules = zunmodules.Capsules.kept

    def patch(self, where, name, value):
        self.useFixture(fixtures.MockPatchObject(where, name, value))

    def create(self, record):
        return self.driver.create_capsule(
            'context', record, None, [{'network': 'first'}], {})

    def test_a_capsule_gets_its_port_and_is_handed_over(self):
        record = self.create(capsule())
        self.assertEqual('Creating', record.status)
        self.assertEqual(1, len(self.ports))
        call = self.host.call.call_args
        self.assertEqual(('run_capsule',), call.args)
        described = call.kwargs['capsule']
        self.assertEqual(['10.0.0.5'], described['addresses'])
        self.assertIsNotNone(described['payload'])

    def test_how_the_port_is_plugged_is_noted_down_and_handed_over(self):
        record = self.create(capsule())
        vif = {'type': 'ovs', 'port': 'port-0', 'network': 'first',
               'subnets': ['subnet-1']}
        self.assertEqual(
            {'vif': {'versioned_object.data': {'default_vif': vif}}},
            record.cni_metadata)
        self.assertEqual(
            vif, self.host.call.call_args.kwargs['capsule']['vif'])

    def test_one_session_serves_all_capsules(self):
        made = []
        self.patch(zunmodules.NeutronAPI, '__init__', record_calls(
            zunmodules.NeutronAPI.__init__, made))
        for number in range(3):
            self.create(capsule(uuid=f'cap-{number}'))
        self.assertEqual(1, made.count('admin'))

    def test_what_neutron_shows_of_a_network_serves_others_for_a_while(self):
        shown = []
        self.patch(zunmodules.NeutronAPI, 'show_network',
                   lambda _, network: shown.append(network)
                   or {'network': {'id': network}})
        now = [0.0]
        self.patch(self.driver_module.time, 'monotonic', lambda: now[0])
        for _ in range(3):
            self.create(capsule())
        self.assertEqual(['first'], shown)
        now[0] += 31
        self.create(capsule())
        self.assertEqual(['first', 'first'], shown)

    def test_a_port_is_active_when_neutron_has_wired_it(self):
        endpoint = self.driver_module.Endpoint(self.driver)
        self.create(capsule())
        self.assertEqual({'active': False},
                         endpoint.port_active({}, 'cap-1'))
        self.ports['port-0']['status'] = 'ACTIVE'
        self.assertEqual({'active': True},
                         endpoint.port_active({}, 'cap-1'))

    def test_network_and_security_groups_are_the_users_wish(self):
        self.create(capsule(annotations={
            marks.NETWORK: 'mine',
            marks.SECURITY_GROUPS: 'web, ssh'}))
        self.zun.utils.build_requested_networks.assert_called_once_with(
            'context', [{'network': 'mine'}])
        port, = self.ports.values()
        self.assertEqual(('theirs', ['web', 'ssh']),
                         (port['network_id'], port['security_groups']))

    def test_a_host_that_does_not_answer_fails_the_capsule_whole(self):
        self.host.call.side_effect = exceptions.Unreachable('bus', 'silent')
        record = self.create(capsule())
        self.assertEqual(('Error', 'bus: silent', 'host-1'),
                         (record.status, record.status_reason, record.host))
        self.assertEqual('Error', record.containers[0].status)
        self.assertEqual({}, self.ports)
        # What was not answered may have been heard.
        self.host.cast.assert_called_once_with(
            'delete_capsule', uuid='cap-1', grace=0)

    def test_a_network_that_is_not_the_users_fails_the_capsule(self):
        self.zun.utils.build_requested_networks.side_effect = (
            zunmodules.ZunException('no such network'))
        record = self.create(capsule(
            annotations={marks.NETWORK: 'theirs'}))
        self.assertEqual('Error', record.status)
        self.assertIn('no such network', record.status_reason)
        self.host.call.assert_not_called()

    def test_a_deletion_waits_until_the_host_says_gone(self):
        record = self.create(capsule())
        self.host.call.side_effect = [
            {'gone': False}, exceptions.Unreachable('bus', 'blink'),
            {'gone': True}]
        self.driver.delete_capsule('context', record, False)
        self.assertEqual({}, self.ports)
        self.assertEqual(4, self.host.call.call_count)

    def test_a_deletion_keeps_the_port_while_the_host_is_silent(self):
        record = self.create(capsule())
        self.host.call.side_effect = exceptions.Unreachable('bus', 'silent')
        self.assertRaises(zunmodules.ZunException,
                          self.driver.delete_capsule, 'context', record,
                          False)
        self.assertEqual(1, len(self.ports))

    def test_a_port_that_the_record_does_not_know_is_deleted_too(self):
        for owner in ('compute:zun', 'somebody'):
            self.ports[owner] = {'id': owner, 'device_id': 'cap-1',
                                 'device_owner': owner}
        self.host.call.return_value = {'gone': True}
        self.driver.delete_capsule('context', capsule(), False)
        self.assertEqual(['somebody'], list(self.ports))

    def state(self, uuid='cap-1', **fields):
        return states.PodState('u', uuid, '', 1, sandbox='s',
                               sandbox_ready=True, containers=({
                                   'name': 'c-1', 'restartCount': 0,
                                   'state': {'running': {}},
                                   'containerID': 'containerd://abc'},),
                               **fields).to_wire()

    def told(self, *wires):
        self.driver_module.Endpoint(self.driver).capsule_states({}, wires)

    def test_what_a_host_tells_is_in_zuns_records(self):
        record = self.capsules['cap-1'] = capsule()
        self.told(self.state())
        self.assertEqual(('Running', 's'),
                         (record.status, record.container_id))
        only = record.containers[0]
        self.assertEqual(('Running', 'abc'),
                         (only.status, only.container_id))

    def test_what_is_no_news_is_not_written(self):
        record = self.capsules['cap-1'] = capsule()
        self.told(self.state())
        saved = record.saved, record.containers[0].saved
        self.told(self.state())
        self.assertEqual(saved, (record.saved, record.containers[0].saved))

    def test_a_state_is_for_a_capsule_of_this_host_that_is_to_stay(self):
        for fields in ({'host': 'host-2'}, {'status': 'Deleting'}):
            record = self.capsules['cap-1'] = capsule(**fields)
            self.told(self.state())
            self.assertEqual(0, record.saved)

    def test_one_bad_state_does_not_hide_the_others(self):
        record = self.capsules['cap-1'] = capsule()
        self.told({'odd': 1}, self.state('gone'), self.state())
        self.assertEqual('Running', record.status)

    def test_capsules_with_an_address_are_told_again(self):
        self.capsules['cap-1'] = capsule(
            addresses={'net': [{'addr': '10.0.0.5'}]}, status='Running')
        self.capsules['new'] = capsule(uuid='new')
        self.capsules['far'] = capsule(uuid='far', host='host-2')
        found = self.driver_module.Endpoint(self.driver).capsules({})
        self.assertEqual([('cap-1', 'Running')], [
            (each['uuid'], each['status']) for each in found['capsules']])

    def test_a_pod_that_failed_on_its_host_is_not_forgotten(self):
        # Else the host would remove it before an agent that is away has
        # heard of its end.
        where = {'net': [{'addr': '10.0.0.5'}]}
        for uuid, sandbox in (('evicted', 's'), ('never-run', None)):
            self.capsules[uuid] = capsule(
                uuid=uuid, addresses=where, status='Error',
                container_id=sandbox)
        found = self.driver_module.Endpoint(self.driver).capsules({})
        self.assertEqual([{'uuid': 'evicted', 'status': 'Error'}],
                         found['capsules'])

    def test_volumes_are_looked_up_of_capsules_that_may_have_some(self):
        # A host has a thousand others: they must be told in ten seconds.
        where = {'net': [{'addr': '10.0.0.5'}]}
        for uuid, labels in (('cap-1', {}), ('pod', {
                marks.NODE: 'zun-vk', marks.UID: 'u',
                marks.NAMESPACE: 'ns', marks.POD: 'web'})):
            self.capsules[uuid] = capsule(
                uuid=uuid, addresses=where, status='Running', labels=labels)
        found = self.driver_module.Endpoint(self.driver).capsules({})
        self.assertEqual(['', 'zun-vk'], [
            each['node'] for each in found['capsules']])
        looked = self.driver_module.objects.VolumeMapping.list_by_container
        self.assertEqual(1, looked.call_count)

    def test_volumes_of_init_containers_are_told_again_too(self):
        record = capsule(addresses={'net': [{'addr': '10.0.0.5'}]},
                         status='Running')
        record.init_containers = [Record(**vars(record.containers[0])
                                         | {'uuid': 'i-1'})]
        self.capsules['cap-1'] = record
        volumes = self.driver_module.objects.VolumeMapping
        volumes.list_by_container.side_effect = lambda context, uuid: [uuid]
        found, = self.driver_module.Endpoint(
            self.driver).capsules({})['capsules']
        spec = found['payload']['pod']['spec']
        for kind in ('initContainers', 'containers'):
            self.assertEqual('/target', spec[kind][0]['volumeMounts'][0][
                'mountPath'])

    def test_a_capsule_that_cannot_be_described_hides_no_other(self):
        where = {'net': [{'addr': '10.0.0.5'}]}
        self.capsules['cap-1'] = capsule(addresses=where, status='Running')
        self.capsules['bad'] = capsule(uuid='bad', addresses=where,
                                       status='Running', containers=None)
        found = self.driver_module.Endpoint(self.driver).capsules({})
        # It is named, or its pod would be taken for one that Zun forgot,
        # but not to be run.
        self.assertEqual({'cap-1': 'Running', 'bad': 'Unknown'}, {
            each['uuid']: each['status'] for each in found['capsules']})

    def test_a_state_that_breaks_something_does_not_hide_the_others(self):
        record = self.capsules['cap-1'] = capsule()
        broken = self.capsules['bad'] = capsule(uuid='bad')
        broken.save = mock.Mock(side_effect=RuntimeError('no database'))
        self.told(self.state('bad'), self.state())
        self.assertEqual('Running', record.status)

    def test_a_bus_that_is_away_at_the_start_is_served_later(self):
        made = self.driver._bus
        made.start.side_effect = [
            exceptions.Unreachable('bus', 'down'), None]
        self.capsules['half'] = capsule(uuid='half')
        self.patch(self.driver_module, '_SERVE_AGAIN', 0.01)
        self.driver._serve()
        self.assertEqual('Error', self.capsules['half'].status)

    def test_what_is_made_since_the_start_is_not_what_a_restart_broke(self):
        # zun-compute takes orders while the driver waits for the bus.
        made = self.driver._bus
        self.capsules['half'] = capsule(uuid='half')

        def start(server):
            self.capsules['new'] = capsule(uuid='new')

        made.start.side_effect = start
        self.driver._serve()
        self.assertEqual(['Error', 'Creating'], [
            self.capsules[uuid].status for uuid in ('half', 'new')])

    def test_records_that_cannot_be_read_keep_the_driver_from_nothing(self):
        self.patch(zunmodules.Capsules, 'list_by_host',
                   mock.Mock(side_effect=RuntimeError('no database')))
        self.driver._bus.start.reset_mock()
        self.driver._serve()
        self.driver._bus.start.assert_called_once()
