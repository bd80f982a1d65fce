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
"""The controller, the runtime and the writer against a cloud and a cluster
that do as they please: crashes, lost answers, late answers, lagging watches.
"""

import base64
import copy
import datetime
import itertools
import threading
import types
from unittest import mock

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st

from zun_vk import exceptions
from zun_vk import health
from zun_vk import workqueue
from zun_vk.cloud import neutron
from zun_vk.cloud import throttle
from zun_vk.kube import objects
from zun_vk.kube import times
from zun_vk.pods import admission
from zun_vk.pods import controller
from zun_vk.pods import creation
from zun_vk.pods import hosted
from zun_vk.pods import lifecycle
from zun_vk.pods import memory
from zun_vk.pods import removal
from zun_vk.pods import resolver
from zun_vk.pods import writer
from zun_vk.pods.runtimes import following
from zun_vk.pods.runtimes import rest
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_HOST = '192.0.2.10'
# Seconds within which Zun has dealt with a request whose sender is gone.
_LATEST = creation.SETTLE - 1
_POLICY = memory.Policy(placement_deadline=90)
_NO_ROOM = 'There are not enough hosts available.'
_DAEMONSET = {'apiVersion': 'apps/v1', 'kind': 'DaemonSet', 'name': 'd',
              'uid': 'd', 'controller': True}
_SECRET = {'name': 'SECRET', 'valueFrom': {
    'secretKeyRef': {'name': 's', 'key': 'key'}}}


class _Crash(BaseException):
    """The agent is killed here."""


class _World:
    """The API server and Zun: what is true, whoever knows it."""

    def __init__(self):
        self.now = 1000.0
        self.numbers = itertools.count(1)
        self.pods = {}
        self.capsules = {}
        self.shown_running = set()
        # Exit codes that Zun showed of pods that had not ended, by UID.
        self.ended = {}
        self.allocations = {'a consumer of Nova'}
        self.ports = {'a port of Nova': _port('a port of Nova', 'server')}
        self.under_way = []
        # The value of the Secret that pods may ask for, None: it is gone.
        self.secret = None
        # What goes wrong with the next calls: the creation of capsules, and
        # any other.
        self.creation_faults = []
        self.faults = []

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def rfc3339(self):
        return datetime.datetime.fromtimestamp(
            self.now, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')

    def overdue(self, pod):
        started = (pod.get('status') or {}).get('startTime')
        allowed = pod['spec'].get('activeDeadlineSeconds')
        return started and allowed and (
            self.now >= times.seconds(started) + allowed)

    def pass_time(self, seconds):
        until = self.now + seconds
        for due, make in sorted(self.under_way, key=lambda each: each[0]):
            if due <= until:
                self.now = max(self.now, due)
                make()
        self.under_way = [each for each in self.under_way
                          if each[0] > until]
        self.now = until

    def of_pod(self, uid):
        return [each for each in self.capsules.values()
                if each['labels']['zun.openstack.org/uid'] == uid]

    def running(self):
        return sorted(uuid for uuid, each in self.capsules.items()
                      if each['status'] == 'Running')

    def end(self, uuid, code):
        """Let the container of a capsule exit, and Zun notice."""
        capsule = self.capsules[uuid]
        capsule['status'] = 'Stopped'
        capsule['containers'] = [capsules.container(
            status='Stopped', status_detail=f'Exited({code}) now')]
        uid = capsule['labels']['zun.openstack.org/uid']
        phase = (self.pods.get(uid, {}).get('status') or {}).get('phase')
        if phase in ('Pending', 'Running'):
            self.ended[uid] = code

    # Kubernetes, as the agent's client has it.

    def patch_pod_status(self, namespace, name, patch):
        return self._call(lambda: self._patch(name, patch))

    def _patch(self, name, patch):
        pod = next((each for each in self.pods.values()
                    if each['metadata']['name'] == name), None)
        if pod is None:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        if pod['metadata']['uid'] != patch['metadata']['uid']:
            raise exceptions.Conflict('kubernetes', 'uid', 409)
        status = {key: value for key, value in patch['status'].items()
                  if value is not None}
        for key in ('podIPs', 'hostIPs'):
            if key in status:
                status[key] = [each for each in status[key]
                               if '$patch' not in each]
        before = (pod.get('status') or {}).get('phase')
        assert before not in ('Succeeded', 'Failed') or (
            status['phase'] == before), 'an end was undone'
        assert not lifecycle.from_daemonset(pod), 'a pod was not ignored'
        pod['status'] = copy.deepcopy(status)
        if status['phase'] == 'Running':
            self.shown_running.add(pod['metadata']['uid'])
        pod['metadata']['resourceVersion'] = str(next(self.numbers))
        return copy.deepcopy(pod)

    def remove_pod(self, namespace, name, uid):
        return self._call(lambda: self._remove(uid))

    def _remove(self, uid):
        assert not self.of_pod(uid), 'a pod went before its capsule'
        assert not [make for _, make in self.under_way
                    if make.keywords['uid'] == uid], (
            'a pod went while its capsule was under way')
        if self.pods.pop(uid, None) is None:
            raise exceptions.NotFound('kubernetes', 'no', 404)

    def get_pod(self, namespace, name):
        return self._call(lambda: self._get_pod(name))

    def _get_pod(self, name):
        for pod in self.pods.values():
            if pod['metadata']['name'] == name:
                return copy.deepcopy(pod)
        raise exceptions.NotFound('kubernetes', 'no', 404)

    def get_secret(self, namespace, name):
        return self._call(self._get_secret)

    def _get_secret(self):
        if self.secret is None:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        return {'data': {'key': base64.b64encode(
            self.secret.encode()).decode()}}

    def get_service(self, namespace, name):
        return self._call(lambda: {
            'metadata': {'name': name}, 'spec': {
                'clusterIP': '10.96.0.1', 'ports': [{'port': 443}]}})

    def list_services(self, namespace):
        return self._call(lambda: {'items': []})

    # Zun, as the agent's client has it.

    def create_capsule(self, template):
        fault = _next(self.creation_faults)
        uid = template['metadata']['labels']['zun.openstack.org/uid']
        make = _Make(self, template, uid)
        if fault in ('late', 'late crash'):
            self.under_way.append((self.now + _LATEST, make))
        elif fault not in ('refused', 'crash before'):
            made = make()
        self._fail(fault)
        return copy.deepcopy(made)

    def list_capsules(self, read):
        listed = self._call(
            lambda: copy.deepcopy(list(self.capsules.values())))
        return [kept for kept in map(read, listed) if kept is not None]

    def get_capsule(self, uuid):
        return self._call(lambda: self._get(uuid))

    def _get(self, uuid):
        if uuid not in self.capsules:
            raise exceptions.NotFound('zun', 'no', 404)
        return copy.deepcopy(self.capsules[uuid])

    def delete_capsule(self, uuid):
        return self._call(lambda: self._delete(uuid))

    def _delete(self, uuid):
        capsule = self._get(uuid)
        uid = capsule['labels']['zun.openstack.org/uid']
        pod = self.pods.get(uid)
        assert (pod is None or pod['metadata'].get('deletionTimestamp')
                or (pod.get('status') or {}).get('phase') in (
                    'Succeeded', 'Failed')
                or capsule['status'] == 'Error' or self.overdue(pod)), (
            'the capsule of a living pod was deleted')
        self.capsules[uuid]['deleting'] = True

    # Placement, as the agent's client has it.

    def delete_allocations(self, consumer):
        return self._call(lambda: self._release(consumer))

    def _release(self, consumer):
        assert self.capsules[consumer]['status'] == 'Error', (
            'a capsule that may run lost its allocation')
        held = consumer in self.allocations
        self.allocations.discard(consumer)
        return held

    # Neutron, as the agent's client has it.

    def ports_of(self, device):
        return self._call(lambda: [port for port in self.ports.values()
                                   if port.device_id == device])

    def delete_port(self, uuid):
        return self._call(lambda: self._unplug(uuid))

    def _unplug(self, uuid):
        port = self.ports.pop(uuid, None)
        assert port is None or (
            self.capsules[port.device_id]['status'] == 'Error'), (
            'a capsule that may run lost its port')
        return port is not None

    def _call(self, effect):
        fault = _next(self.faults)
        if fault in ('refused', 'crash before'):
            self._fail(fault)
        result = effect()
        self._fail(fault)
        return result

    def _fail(self, fault):
        if fault in ('crash before', 'crash after', 'late crash'):
            raise _Crash
        if fault in ('refused', 'lost', 'late'):
            raise exceptions.Unreachable('x', fault)


def _port(uuid, device):
    return neutron.Port(uuid, device, 'compute:zun', capsules.PROJECT)


def _next(faults):
    return faults.pop(0) if faults else None


class _Make:
    """A request to make a capsule, which may be done later."""

    def __init__(self, world, template, uid):
        self.world = world
        self.template = template
        self.keywords = {'uid': uid}

    def __call__(self):
        world, uid = self.world, self.keywords['uid']
        living = [each for each in world.of_pod(uid)
                  if each['status'] != 'Error' and not each.get('deleting')]
        assert not living, 'a pod got a second capsule'
        pod = world.pods.get(uid)
        assert pod is None or (pod.get('status') or {}).get('startTime'), (
            'a capsule was made for a pod nobody took up')
        assert uid not in world.shown_running, 'a pod that ran was made anew'
        variables = self.template['spec']['containers'][0]['env']
        assert variables['KUBERNETES_SERVICE_HOST'] == '10.96.0.1'
        assert pod is None or 'SECRET' in variables or (
            pod['metadata']['name'] != 'b'), 'a variable was left out'
        number = next(world.numbers)
        metadata = self.template['metadata']
        capsule = {
            **capsules.raw(), **copy.deepcopy(metadata),
            'uuid': f'capsule-{number:04}', 'status': 'Creating',
            'addresses': None}
        world.capsules[capsule['uuid']] = capsule
        world.allocations.add(capsule['uuid'])
        world.ports[capsule['uuid']] = _port(capsule['uuid'],
                                             capsule['uuid'])
        return capsule


class _Agent:
    """The agent's parts, run step by step in one thread."""

    def __init__(self, world):
        self.world = world
        self.mirror = {}
        self.synced = threading.Event()
        self.health = mock.create_autospec(health.Health, instance=True)
        self.queue = workqueue.WorkQueue(clock=world.monotonic,
                                         chance=lambda: 0.0)
        conf = types.SimpleNamespace(
            zun=types.SimpleNamespace(poll_interval=10),
            tenants=types.SimpleNamespace(default_project=None),
            pods=types.SimpleNamespace(kubernetes_service_host=None,
                                       kubernetes_service_port=443))
        self.runtime = rest.RestRuntime(
            conf, strategies.OWNER, self.health,
            throttle.Throttles('zun', 1000))
        self.writer = writer.StatusWriter(world, self.health,
                                          self.queue.add)
        self.controller = controller.PodController(
            world, self.runtime, removal.Removal(self.runtime, world, world),
            mock.Mock(spec=['pod']), self.queue, self.writer, _HOST,
            _POLICY, lambda: admission.Room((), 0),
            resolver.Resolver(conf, objects.ObjectCache(
                world, world.monotonic), 'zun-vk', _HOST),
            hosted.NoHosts(_HOST),
            world.monotonic, world.time)
        self.controller.follow(self)

    # The reflector, as the controller reads it.

    def get(self, uid):
        return self.mirror.get(uid)

    def snapshot(self):
        return dict(self.mirror)

    def watch(self):
        """See everything that happened to the pods."""
        before, self.mirror = self.mirror, copy.deepcopy(self.world.pods)
        self.synced.set()
        for uid, pod in self.mirror.items():
            if before.get(uid) != pod:
                self.controller.pod_changed(before.get(uid), pod)
        for uid in before.keys() - self.mirror.keys():
            self.controller.pod_gone(before[uid])

    def poll(self):
        try:
            self.runtime._round(self.queue.add)
        except exceptions.RemoteError:
            self.runtime._list_due = 0.0

    def write(self):
        """Write one status, as the writer's thread does."""
        if not self.writer._wanted:
            return
        # After a failure, as if the pause were over.
        self.writer._not_before = float('-inf')
        self.writer._due.clear()
        taken = self.writer._take(threading.Event())
        try:
            self.writer._write(*taken)
        except exceptions.RemoteError as error:
            self.writer._give_back(taken, error)
        else:
            self.writer._give_back(taken, None)

    def work(self):
        """Handle one pod, as a worker does."""
        uid = self.queue.get(0)
        if uid is None:
            return
        try:
            self.controller._sync(uid)
        except exceptions.RemoteError:
            self.queue.retry(uid)
        finally:
            self.queue.done(uid)


class _Machine(stateful.RuleBasedStateMachine):

    # Mostly none, or no agent would live long enough to err.
    FAULTS = st.sampled_from([False, False, False, True]).flatmap(
        lambda any_: st.lists(st.sampled_from(
            [None, None, None, 'refused', 'lost', 'crash before',
             'crash after']), max_size=6 if any_ else 0))
    CREATION_FAULT = st.sampled_from(
        [None, None, 'refused', 'lost', 'late', 'crash before',
         'crash after', 'late crash'])
    NAMES = st.sampled_from('ab')

    def __init__(self):
        super().__init__()
        self.world = _World()
        self.patches = [
            mock.patch.object(following, 'time', self.world),
            mock.patch.object(following.sessions, 'ServiceAccess',
                              autospec=True),
            mock.patch.object(following.zun, 'ZunClient', autospec=True,
                              return_value=self.world),
            mock.patch.object(times, 'now', self.world.rfc3339)]
        for patch in self.patches:
            patch.start()
        self.agent = _Agent(self.world)

    def _do(self, step, faults=(), creation_fault=None):
        self.world.faults = list(faults)
        self.world.creation_faults = [creation_fault]
        try:
            step()
        except _Crash:
            self.agent = _Agent(self.world)
        self.world.faults = []
        self.world.creation_faults = []

    # The users

    @stateful.rule(name=NAMES, deadline=st.sampled_from([None, None, 40]),
                   owners=st.sampled_from([[], [], [_DAEMONSET]]),
                   policy=st.sampled_from(['Always', 'Never', 'OnFailure']))
    def add_pod(self, name, deadline, owners, policy):
        if any(pod['metadata']['name'] == name
               for pod in self.world.pods.values()):
            return
        uid = f'{name}-{next(self.world.numbers)}'
        fields = {'env': [_SECRET]} if name == 'b' else {}
        limits = {'activeDeadlineSeconds': deadline} if deadline else {}
        pod = strategies.pod(strategies.container(**fields), name=name,
                             uid=uid, restartPolicy=policy, **limits)
        pod['metadata']['ownerReferences'] = owners
        pod['metadata']['resourceVersion'] = str(next(self.world.numbers))
        self.world.pods[uid] = pod

    @stateful.rule(value=st.sampled_from([None, 'one', 'two']))
    def change_the_secret(self, value):
        self.world.secret = value

    @stateful.precondition(lambda self: self.world.pods)
    @stateful.rule(data=st.data())
    def delete_pod_by_force(self, data):
        del self.world.pods[self._any_pod(data)]

    @stateful.precondition(lambda self: self.world.pods)
    @stateful.rule(data=st.data())
    def delete_pod(self, data):
        uid = self._any_pod(data)
        metadata = self.world.pods[uid]['metadata']
        metadata['deletionTimestamp'] = '2026-01-31T13:00:00Z'
        metadata['resourceVersion'] = str(next(self.world.numbers))

    def _any_pod(self, data):
        return data.draw(st.sampled_from(sorted(self.world.pods)))

    # Zun

    @stateful.precondition(lambda self: self.world.capsules)
    @stateful.rule(data=st.data(), bad=st.sampled_from(
        [None, None, 'Image x was not found.', _NO_ROOM]))
    def zun_goes_on(self, data, bad):
        self._go_on(self.world.capsules[data.draw(
            st.sampled_from(sorted(self.world.capsules)))], bad)

    def _go_on(self, capsule, bad=None):
        if capsule.get('deleting'):
            self.world.capsules.pop(capsule['uuid'], None)
            if capsule['status'] != 'Error':
                # Of one that failed it drops the record alone.
                self.world.allocations.discard(capsule['uuid'])
                self.world.ports.pop(capsule['uuid'], None)
        elif capsule['status'] == 'Creating':
            capsule['status'] = 'Error' if bad else 'Running'
            capsule['status_reason'] = bad
            capsule['containers'] = [] if bad else [capsules.container()]

    @stateful.precondition(lambda self: self.world.running())
    @stateful.rule(data=st.data())
    def zun_loses_a_capsule(self, data):
        lost = data.draw(st.sampled_from(self.world.running()))
        del self.world.capsules[lost]
        self.world.allocations.remove(lost)
        del self.world.ports[lost]

    @stateful.precondition(lambda self: self.world.running())
    @stateful.rule(data=st.data(), code=st.sampled_from([0, 3]))
    def a_container_ends(self, data, code):
        self.world.end(data.draw(st.sampled_from(self.world.running())),
                       code)

    # The agent

    @stateful.rule(faults=FAULTS, creation_fault=CREATION_FAULT)
    def work(self, faults, creation_fault):
        self._do(self.agent.work, faults, creation_fault)

    @stateful.rule(faults=FAULTS)
    def poll(self, faults):
        self._do(self.agent.poll, faults)

    @stateful.rule(faults=FAULTS)
    def write(self, faults):
        self._do(self.agent.write, faults)

    @stateful.rule()
    def watch(self):
        self._do(self.agent.watch)

    @stateful.rule(faults=FAULTS, creation_fault=CREATION_FAULT,
                   seconds=st.sampled_from([0, 1, 10]))
    def a_while(self, faults, creation_fault, seconds):
        """All parts get a turn, with what goes wrong in between."""
        self._do(self._turns, faults, creation_fault)
        self.world.pass_time(seconds)

    def _turns(self):
        self.agent.watch()
        self.agent.poll()
        self._work_off()
        for _ in range(len(self.agent.writer._wanted)):
            self.agent.write()
        self._work_off()

    def _work_off(self):
        for _ in range(100):
            if not len(self.agent.queue):
                return
            self.agent.work()
        raise AssertionError('the queue is never empty')

    @stateful.rule()
    def resync(self):
        self._do(self.agent.controller.resync)

    @stateful.rule()
    def kill(self):
        self.agent = _Agent(self.world)

    @stateful.rule(seconds=st.sampled_from([1, 10, 31, 61]))
    def time_passes(self, seconds):
        self.world.pass_time(seconds)

    def teardown(self):
        """With nothing more in its way, the agent puts all in order."""
        self.world.secret = 'there'
        try:
            for _ in range(60):
                self._settle()
            self._check_order()
        finally:
            for patch in self.patches:
                patch.stop()

    def _settle(self):
        for capsule in list(self.world.capsules.values()):
            self._go_on(capsule)
        self.world.pass_time(11)
        self.agent.controller.resync()
        self._turns()

    def _check_order(self):
        for uid, pod in self.world.pods.items():
            assert not pod['metadata'].get('deletionTimestamp'), uid
            if lifecycle.from_daemonset(pod):
                assert not pod.get('status'), uid
                continue
            phase = pod['status']['phase']
            assert phase in self._ends(pod), (uid, pod['status'])
            wanted = 1 if phase == 'Running' else 0
            assert len(self.world.of_pod(uid)) == wanted, uid
        assert self.world.allocations == {
            'a consumer of Nova', *self.world.capsules}, 'a claim leaked'
        assert self.world.ports.keys() == {
            'a port of Nova', *self.world.capsules}, 'a port leaked'
        for capsule in self.world.capsules.values():
            uid = capsule['labels']['zun.openstack.org/uid']
            assert uid in self.world.pods, f'{uid} left a capsule behind'

    def _ends(self, pod):
        """Return the phases in which the pod may be in the end."""
        code = self.world.ended.get(pod['metadata']['uid'])
        policy = pod['spec']['restartPolicy']
        over = code is not None and (
            policy == 'Never' or policy == 'OnFailure' and code == 0)
        if over:
            found = {'Failed' if code else 'Succeeded'}
        else:
            found = {'Running', 'Failed'}
        if not self.world.overdue(pod):
            return found
        # Whichever came first.
        return found - {'Running'} | {'Failed'}


class _RunningMachine(_Machine):
    """Begins with pods that run: else few would come to an end."""

    @stateful.initialize(policy=st.sampled_from(['Never', 'OnFailure']))
    def pods_run(self, policy):
        self.world.secret = 'there'
        for name in 'ab':
            self.add_pod(name, None, [], policy)
        for _ in range(5):
            self._settle()
        assert len(self.world.running()) == 2


class ModelTestCase(_Machine.TestCase):
    settings = hypothesis.settings(
        max_examples=40, stateful_step_count=50)


class RunningModelTestCase(_RunningMachine.TestCase):
    settings = hypothesis.settings(
        max_examples=40, stateful_step_count=30)
