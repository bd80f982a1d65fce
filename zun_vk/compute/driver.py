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
"""The capsule driver ``zun_vk``, loaded by zun-compute.

It makes the Neutron port and the CNI metadata as Zun's own CRI driver does
and hands the capsule over to zun-vk-compute on the same host, which runs it.
What that tells of it goes into Zun's records here, for only zun-compute may
write them.

zun-compute is patched by eventlet: everything here uses plain threads and
waits, imports nothing heavy, and blocks in nothing but remote calls.
Capsules of the agent and of any other user of Zun are handled alike.
"""

import threading
import time

from oslo_log import log as logging
from zun import objects
from zun.common import consts
from zun.common import context as zun_context
from zun.common import exception
from zun.common import utils
import zun.conf
from zun.container.cri import driver as cri_driver
from zun.network import neutron
from zun.network import os_vif_util

from zun_vk import exceptions
from zun_vk.compute import zunrecord
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import fields
from zun_vk.rpc import marks
from zun_vk.rpc import states as states_module

CONF = zun.conf.CONF
LOG = logging.getLogger(__name__)

# Seconds: how long a host's service may be away before a capsule fails or
# its deletion is given back to whoever asked for it.
_PATIENCE = 60.0
_LOOK_AGAIN = 0.5
_SERVE_AGAIN = 5.0
# Seconds for which capsules share what Neutron showed of a network: a change
# of it reaches those that are made later.
_KNOWN_FOR, _MOST_KNOWN = 30.0, 1000
# Neutron: a port through which traffic passes.
_WIRED = 'ACTIVE'
# A pod may take this long to end, beyond its own grace.
_DELETE_PATIENCE = 600.0
_INTERRUPTED = 'zun-compute was started again while it made this capsule'


class ZunVkDriver(cri_driver.CriDriver):
    """Hands capsules over to zun-vk-compute on this host."""

    def __init__(self):
        # Without what CriDriver adds: a gRPC channel, whose threads abort
        # some of the programs that zun-compute starts.
        super(cri_driver.CriDriver, self).__init__()
        self._bus = bus_module.Bus(CONF)
        self._host = self._bus.peer(bus_module.COMPUTE, CONF.host)
        self._admin_neutron = None
        # By ID, networks and subnets, and the time they are good until.
        self._known = {}
        # Never set: what waits on it waits for time to pass, and lets
        # other greenthreads run.
        self._never = threading.Event()
        threading.Thread(target=self._serve, daemon=True,
                         name='zun-vk-driver').start()

    def create_capsule(self, context, capsule, image, requested_networks,
                       requested_volumes):
        """Make the port of a capsule and have its host run it.

        A capsule that fails here is given back in error rather than by an
        exception: after one, Zun forgets the host and with it what the
        capsule holds there, in Neutron and in Placement.
        """
        try:
            self._make_port(context, capsule, requested_networks)
            self._hand_over(self._described(context, capsule,
                                            requested_volumes))
        except Exception as error:
            LOG.exception('Capsule %s could not be made', capsule.uuid)
            self._fail(context, capsule, str(error)[:1024])
        return capsule

    def _fail(self, context, capsule, reason):
        try:
            # It may have heard of the capsule though its answer was lost.
            self._host.cast('delete_capsule', uuid=capsule.uuid, grace=0)
            self._give_back(context, capsule)
            capsule.addresses = {}
        except Exception:
            # Its deletion will try again.
            LOG.exception('Ports of capsule %s stay', capsule.uuid)
        capsule.status = consts.ERROR
        capsule.status_reason = reason
        for container in capsule.containers:
            container.status = consts.ERROR
            container.save(context)
        capsule.save(context)

    def delete_capsule(self, context, capsule, force):
        """End a capsule and give back all that it has; again if need be.

        :raises ZunException: it is not known to be gone; call again
        """
        deadline = time.monotonic() + _DELETE_PATIENCE
        silent_since = None
        while True:
            try:
                if self._host.call('delete_capsule', uuid=capsule.uuid,
                                   grace=None).get('gone') is True:
                    break
                silent_since = None
            except exceptions.RemoteError as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() > silent_since + _PATIENCE:
                    raise exception.ZunException(
                        f'capsule {capsule.uuid} was not deleted: {error}'
                    ) from error
            if time.monotonic() > deadline:
                raise exception.ZunException(
                    f'capsule {capsule.uuid} does not end')
            self._never.wait(_LOOK_AGAIN)
        self._give_back(context, capsule)

    def _make_port(self, context, capsule, requested_networks):
        annotations = capsule.annotations or {}
        network = annotations.get(marks.NETWORK)
        if network:
            # As the user, who may not name a network of somebody else's.
            requested_networks = utils.build_requested_networks(
                context, [{'network': network}])
        groups = annotations.get(marks.SECURITY_GROUPS)
        if groups:
            capsule.security_groups = [
                group.strip() for group in groups.split(',')
                if group.strip()]
        self._bind(context, capsule, requested_networks[0])

    def _bind(self, context, capsule, requested):
        """Make a capsule's port, and note down how it is plugged.

        As CriDriver does, in the same place of the record, but with one
        session for all capsules: it takes a token for each, by password.
        """
        admin = self._neutron()
        user = neutron.NeutronAPI(context)
        user.admin_client = admin.client
        addresses, port = user.create_or_update_port(
            capsule, requested['network'], requested,
            consts.DEVICE_OWNER_ZUN,
            utils.get_security_group_ids(context, capsule.security_groups),
            set_binding_host=True)
        capsule.addresses = {requested['network']: addresses}
        network = self._shown('network', port['network_id'])
        subnets = {
            identity: self._shown('subnet', identity) for identity in
            {fixed['subnet_id'] for fixed in port['fixed_ips']}}
        vif = os_vif_util.neutron_to_osvif_vif(
            port.get('binding:vif_type'), port, network, subnets)
        capsule.cni_metadata = {
            consts.CNI_METADATA_VIF:
                objects.vif.VIFState(default_vif=vif).obj_to_primitive()}
        capsule.save(context)

    def _shown(self, kind, identity):
        """Return a network or a subnet as Neutron showed it lately."""
        known, until = self._known.get(identity, (None, 0))
        if time.monotonic() < until:
            return known
        show = getattr(self._neutron(), f'show_{kind}')
        known = show(identity)[kind]
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known[identity] = (known, time.monotonic() + _KNOWN_FOR)
        return known

    def _neutron(self):
        if self._admin_neutron is None:
            self._admin_neutron = neutron.NeutronAPI(
                zun_context.get_admin_context())
        return self._admin_neutron

    def _described(self, context, capsule, requested_volumes):
        volumes = {}
        for uuid, mappings in (requested_volumes or {}).items():
            volumes[uuid] = [
                zunrecord.Mounted(*self._get_volume_driver(
                    mapping).bind_mount(context, mapping))
                for mapping in mappings]
        return zunrecord.capsule(capsule, _runtime(capsule), volumes)

    def port_active(self, uuid):
        """Tell whether Neutron has wired the ports of a capsule."""
        return all(port.get('status') == _WIRED for port in
                   self._neutron().list_ports(device_id=uuid)['ports'])

    def _hand_over(self, described):
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._host.call('run_capsule', capsule=described)
                return
            except exceptions.RemoteError:
                if time.monotonic() > deadline:
                    raise
                self._never.wait(_LOOK_AGAIN)

    def _give_back(self, context, capsule):
        """Delete the ports that Zun made for a capsule, known or not."""
        self._delete_neutron_ports(context, capsule)
        known = {port for ports in (capsule.addresses or {}).values()
                 for port in (each['port'] for each in ports)}
        admin = self._neutron()
        for port in admin.list_ports(device_id=capsule.uuid)['ports']:
            if (port['id'] not in known and port.get('device_owner')
                    == consts.DEVICE_OWNER_ZUN):
                admin.delete_or_unbind_ports({port['id']}, {port['id']})

    def _serve(self):
        """Take what zun-vk-compute tells; restore what a restart broke."""
        try:
            _restore()
        except Exception:  # the top of a thread
            LOG.exception('What a restart broke stays as it is')
        while True:
            try:
                self._bus.start(self._bus.server(
                    bus_module.DRIVER, CONF.host, Endpoint(self)))
                break
            except exceptions.Unreachable as error:
                LOG.warning('Not told of capsules yet: %s', error)
                self._never.wait(_SERVE_AGAIN)

    def capsules(self):
        """Return what of this host is to run, as ``run_capsule`` takes it."""
        context = _admin()
        found = []
        for capsule in _capsules_here():
            if capsule.status == consts.DELETED or not capsule.addresses:
                continue
            if capsule.status == consts.ERROR:
                if capsule.container_id:
                    # It failed there. Until it is deleted the host keeps
                    # what it came to.
                    found.append(_named(capsule, consts.ERROR))
                continue
            try:
                volumes = {} if zunrecord.is_pod(capsule) else {
                    container.uuid: objects.VolumeMapping.list_by_container(
                        context, container.uuid)
                    for container in (*(capsule.init_containers or ()),
                                      *capsule.containers)}
                found.append(self._described(context, capsule, volumes))
            except Exception:
                # Named all the same: what is not, Zun has forgotten.
                LOG.exception('Capsule %s cannot be told', capsule.uuid)
                found.append(_named(capsule, 'Unknown'))
        return found


class Endpoint:
    """What zun-vk-compute of this host may call."""

    def __init__(self, driver):
        self._driver = driver

    def capsules(self, context):
        """Return all capsules that Zun has on this host."""
        return {'capsules': self._driver.capsules()}

    def port_active(self, context, uuid):
        """Tell whether traffic of a capsule's ports passes."""
        return {'active': self._driver.port_active(uuid)}

    def capsule_states(self, context, states):
        """Write states of this host's capsules to Zun's records."""
        for message in states:
            try:
                _write(states_module.from_wire(message))
            except fields.Malformed as error:
                LOG.error('A state from zun-vk-compute makes no sense: %s',
                          error)
            except exception.ObjectNotFound:
                LOG.debug('A state of a capsule that is gone')
            except Exception:
                # One that breaks must not hide the others.
                LOG.exception('A state could not be written')


def _named(capsule, status):
    return {'uuid': capsule.uuid, 'status': status}


def _write(state):
    capsule = objects.Capsule.get_by_uuid(_admin(), state.capsule)
    if capsule.host != CONF.host or capsule.status in (
            consts.DELETING, consts.DELETED):
        return
    _set(capsule, zunrecord.capsule_fields(state))
    names = zunrecord.container_names(capsule)
    by_name = dict(zip(names, capsule.containers, strict=False))
    by_name.update((each.uuid, each) for each in capsule.init_containers)
    for status in (*state.init_containers, *state.containers):
        if status['name'] in by_name:
            _set(by_name[status['name']],
                 zunrecord.container_fields(status))


def _set(record, wanted):
    """Write what differs, and nothing where nothing does."""
    changed = False
    for name, value in vars(wanted).items():
        if value is not None and getattr(record, name) != value:
            setattr(record, name, value)
            changed = True
    if changed:
        record.save()


def _restore():
    """Give up the capsules that nobody makes any more.

    At once: later, others are being made that look the same.
    """
    for capsule in _capsules_here():
        if capsule.status == consts.CREATING and not capsule.addresses:
            capsule.status = consts.ERROR
            capsule.status_reason = _INTERRUPTED
            capsule.task_state = None
            capsule.save()


def _admin():
    return zun_context.get_admin_context(all_projects=True)


def _capsules_here():
    return objects.Capsule.list_by_host(_admin(), CONF.host)


def _runtime(capsule):
    runtime = capsule.runtime or CONF.container_runtime
    # Zun's word for what is the runtime's default.
    return '' if runtime == 'runc' else runtime
