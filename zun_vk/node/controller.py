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
"""Keeps the Node object true: registration, capacity and conditions.

Flows in: Observations and the process's health. Flows out: the Node's
registration, and its status when it changed or is five minutes old. Never
writes what others own.
"""

import threading
import time
import typing

from oslo_config import cfg

from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import quantity
from zun_vk.kube import client as kube_client
from zun_vk.kube import events
from zun_vk.kube import times
from zun_vk.node import capacity
from zun_vk.node import conditions
from zun_vk.node import cordon
from zun_vk.node import observer as observer_module
from zun_vk.node import registration
from zun_vk.node import zones

# Kubernetes: nodeStatusReportFrequency of the kubelet, seconds.
_REPORT_INTERVAL = 300.0
# Seconds between looks while something fails.
_HURRY = 2.0
_CLOUD_CHECK = 'look at the cloud'
_NODE_CHECK = 'write the node'
_TAINT_NOT_SET = 'TaintNotSet'
Claims = typing.Callable[[], dict[str, tuple[int, int]]]


class NodeController:
    """Owns one Node object.

    :param which: the node
    :param claims: returns the requests of our pods that hold a claim
    :param grew: called when the cloud has more to give than before
    :param kubelet_port: returns that of the kubelet's API, 0: not served
    """

    def __init__(self, conf: cfg.ConfigOpts, which: zones.VirtualNode,
                 client: kube_client.KubeClient,
                 observer: observer_module.CloudObserver,
                 health: health_module.Health,
                 recorder: events.EventRecorder, claims: Claims,
                 grew: typing.Callable[[], None],
                 kubelet_port: typing.Callable[[], int] = lambda: 0):
        self._conf = conf
        self._which = which
        self._client = client
        self._observer = observer
        self._health = health
        self._recorder = recorder
        self._claims = claims
        self._grew = grew
        self._kubelet_port = kubelet_port
        # Owned by run().
        self._node: dict = {}
        self._seen: observer_module.Observation | None = None
        self._deserted = conditions.Lasting()
        self._zone_gone = conditions.Lasting()
        self._claimed = capacity.Amounts()
        self._static: dict | None = None
        self._registered_with: str | None = None
        self._reported_at = float('-inf')
        # The API server asked not to be called before, monotonic seconds.
        self._not_before = float('-inf')

    def register(self) -> dict:
        """Create or adopt the node and return it.

        :raises RemoteError: the API server is out of reach or refuses
        """
        architecture = self._architecture()
        self._static = registration.static_status(
            self._conf, self._which.name, self._client.server_version(),
            architecture, self._kubelet_port())
        wanted = registration.node_object(self._conf, self._which,
                                          architecture)
        node = registration.register(self._client, wanted)
        self._registered_with = architecture
        if registration.lacks_taint(node, wanted):
            # NodeRestriction: only an admin can.
            self._recorder.node(
                node, events.WARNING, _TAINT_NOT_SET,
                f'run: kubectl taint nodes {node["metadata"]["name"]} '
                f'{self._conf.node.taint}')
        return node

    def run(self, stop: threading.Event,
            on_registered: typing.Callable[[dict], None]) -> None:
        """Keep the node true until ``stop`` is set.

        :param on_registered: called with the node when it exists, and
            again when it was made anew
        """
        registered = ''
        while not stop.is_set():
            if self.look() and registered != self._node['metadata']['uid']:
                registered = self._node['metadata']['uid']
                on_registered(self._node)
            stop.wait(_HURRY if self._health.problems() or self._in_doubt
                      else self._conf.node.capacity_interval)

    @property
    def _in_doubt(self) -> bool:
        return self._deserted.doubtful or self._zone_gone.doubtful

    def look(self) -> bool:
        """Look at the cloud and the node once, write what has changed.

        :returns: the node is as it should be
        """
        self._health.attempt(_CLOUD_CHECK, self._observe)
        if time.monotonic() < self._not_before:
            return False
        error = self._health.outcome(_NODE_CHECK, self._write)
        if error is not None:
            self._not_before = time.monotonic() + error.retry_after
        return error is None

    def providers(self) -> tuple[capacity.Provider, ...]:
        """Return the hosts' providers as they were last seen."""
        return self._seen.providers if self._seen else ()

    def hosts(self) -> tuple[str, ...]:
        """Return the hosts that were up when last looked at.

        Disabled ones too: they have the logs of pods that ended.
        """
        return self._seen.up if self._seen else ()

    def _observe(self) -> None:
        """Look at the cloud; what was seen before stays where that fails."""
        before = self._claims()
        seen = self._observer.observe()
        after = self._claims()
        # A pod whose claim came or went while Placement was read is left
        # out: better too little for one interval than room promised twice.
        self._claimed = sum(
            (capacity.Amounts(*after[uid]) for uid in before.keys() & after),
            capacity.Amounts())
        more = self._seen is None or _has_more(seen, self._seen)
        self._seen = seen
        now = time.monotonic()
        self._deserted.see(not seen.hosts, now)
        self._zone_gone.see(not seen.zone_exists, now)
        if more:
            self._grew()

    def _write(self) -> None:
        found = self._get_or_register()
        if found is None:
            return
        self._node = self._cordoned(found)
        status = self._status(self._node)
        if status is None:
            return
        now = time.monotonic()
        if (same_status(self._node.get('status') or {}, status)
                and now - self._reported_at < _REPORT_INTERVAL):
            return
        written = self._client.patch_node_status(
            self._which.name, {'status': status})
        self._reported_at = now
        self._tell(self._node, written)

    def _architecture(self) -> str:
        return self._seen.architecture if self._seen else ''

    def _get_or_register(self) -> dict | None:
        """Return the node, None where an admin deleted that of a lost zone.

        The keeper will let go of that one.
        """
        if self._registered_with != self._architecture():
            return self.register()
        try:
            return self._client.get_node(self._which.name)
        except exceptions.NotFound:
            if self._seen and not self._seen.zone_exists:
                return None
            return self.register()

    def _cordoned(self, node: dict) -> dict:
        """Cordon or uncordon the node where its zone came or went."""
        if self._seen is None or self._zone_gone.doubtful:
            return node
        patch = cordon.patch(node, self._seen.zone_exists)
        if patch is None:
            return node
        node = self._client.patch_node(self._which.name, patch)
        if self._seen.zone_exists:
            self._recorder.node(node, events.NORMAL, 'NodeSchedulable',
                                'the availability zone is back')
        else:
            self._recorder.node(
                node, events.WARNING, 'NodeNotSchedulable',
                'the availability zone has no Zun hosts any more')
        return node

    def _status(self, node: dict) -> dict | None:
        """Return the node's status as it should be, None: too early."""
        hosts = None if self._seen is None else len(self._seen.hosts)
        ready = conditions.ready(self._health.problems(), hosts,
                                 time.monotonic(), self._deserted.sure)
        if ready is None:
            return None
        providers = self.providers()
        offered = capacity.allocatable(providers, self._claimed)
        pods = (hosts or 0) * self._conf.node.pods_per_host
        status = dict(self._static or {})
        status['allocatable'] = capacity.resources(offered, pods)
        status['capacity'] = capacity.resources(
            capacity.capacity(providers, offered), pods)
        status['conditions'] = conditions.conditions(
            ready, (node.get('status') or {}).get('conditions') or [],
            times.now())
        return status

    def _tell(self, before: dict, after: dict) -> None:
        was, now = _ready_condition(before), _ready_condition(after)
        if was.get('status') == now.get('status'):
            return
        ready = now.get('status') == 'True'
        self._recorder.node(
            after, events.NORMAL if ready else events.WARNING,
            'NodeReady' if ready else 'NodeNotReady',
            f'{now.get("reason")}: {now.get("message")}')


def same_status(current: dict, wanted: dict) -> bool:
    """Tell whether the node's status says all of ``wanted`` already.

    What others put there beside it, it may say too.
    """
    addresses = current.get('addresses') or []
    return (conditions.same(current.get('conditions') or [],
                            wanted['conditions'])
            and all(address in addresses
                    for address in wanted.get('addresses', []))
            and all(_has(_amounts(current.get(name)), _amounts(wanted[name]))
                    for name in ('capacity', 'allocatable'))
            and _kubelet_port(current) == _kubelet_port(wanted)
            and _has(current.get('nodeInfo') or {},
                     wanted.get('nodeInfo', {})))


def _kubelet_port(status: dict) -> int:
    endpoints = status.get('daemonEndpoints') or {}
    return (endpoints.get('kubeletEndpoint') or {}).get('Port', 0)


def _has(current: dict, wanted: dict) -> bool:
    return all(current.get(key) == value for key, value in wanted.items())


def _amounts(resources: dict[str, str] | None) -> dict[str, int]:
    """Return resources as numbers.

    The API server has words of its own for amounts: 10000 is read as 10k.
    """
    return {name: (quantity.parse_cpu if name == 'cpu'
                   else quantity.parse_bytes)(amount)
            for name, amount in (resources or {}).items()}


def _has_more(now: observer_module.Observation,
              before: observer_module.Observation) -> bool:
    """Tell whether any host has more to give: a capsule needs but one."""
    was = {provider.uuid: provider.free() for provider in before.providers}
    return any(_is_more(provider.free(), was.get(provider.uuid))
               for provider in now.providers)


def _is_more(free: capacity.Amounts, was: capacity.Amounts | None) -> bool:
    return (was is None or free.milli_cpu > was.milli_cpu
            or free.memory > was.memory)


def _ready_condition(node: dict) -> dict:
    return next((condition for condition in
                 (node.get('status') or {}).get('conditions') or []
                 if condition['type'] == 'Ready'), {})
