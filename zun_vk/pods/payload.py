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
"""Makes what the hosts get of pods: reads all that a pod refers to.

Flows in: a pod and the addresses that it has got. Flows out: its payload.
Only objects that the pod names are read, each by its name, with the rights
of the node. What is missing does not fail the whole: the payload says it.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib
import hmac
import json
import os
import pickle
import threading

from oslo_config import cfg

from zun_vk import exceptions
from zun_vk.kube import objects as objects_module
from zun_vk.pods import environment
from zun_vk.pods import hostsupport
from zun_vk.pods import resolver
from zun_vk.pods import tokens as tokens_module
from zun_vk.pods.resolved import assembly
from zun_vk.pods.resolved import naming
from zun_vk.pods.resolved import volumes
from zun_vk.rpc import payload

# What changes without a change for the pod.
_UNSEEN = ('generation', 'refresh_after')
# Pods of which it is kept what their payloads were made of.
_MOST = 10000
Tell = Callable[[dict, Iterable[environment.Note]], None]


def _untold(pod: dict, notes: Iterable[environment.Note]) -> None:
    """Tell nobody."""


class PayloadMaker:
    """Makes the payloads of one node's pods; safe to share by threads.

    :param conf: options of the section ``[pods]``
    :param objects: reads objects with the rights of the node
    :param node: its name
    :param host_ip: its address
    :param tokens: of service accounts
    :param tell: takes what the pod's author should know, again each time
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 objects: objects_module.ObjectCache, node: str,
                 host_ip: str, tokens: tokens_module.Tokens,
                 tell: Tell = _untold):
        self._resolver = resolver.Resolver(conf, objects, node, host_ip)
        self._cluster = naming.Cluster(
            tuple(map(str, conf.pods.cluster_dns)), conf.pods.cluster_domain)
        self._objects = objects
        self._node = node
        self._host_ip = host_ip
        self._tokens = tokens
        self._tell = tell
        # A digest that can be compared but tells nothing of what it is of.
        self._key = os.urandom(32)
        self._lock = threading.Lock()  # guards what is below
        # By UID, digests: of what the last payload was made of, and its
        # generation.
        self._made: collections.OrderedDict[str, tuple[bytes, str]] = (
            collections.OrderedDict())

    def make(self, pod: dict, addresses: Sequence[str], not_before: float,
             known: str = '') -> payload.PodPayload | None:
        """Return the payload of ``pod``, None where the known one is it.

        :param addresses: of its port
        :param not_before: monotonic time; what was there then is seen
        :param known: generation of the payload that its host has
        :raises UnsupportedPod: a host cannot run it
        :raises RemoteError: the API server does not answer
        """
        refused = hostsupport.refused(pod)
        if refused:
            raise exceptions.UnsupportedPod(refused)
        material = self._read(pod, addresses, not_before)
        digest = self._digest(pod, material)
        if known and self._same(pod, digest, known):
            return None
        made, notes = assembly.assemble(pod, material, self._cluster)
        if notes:
            self._tell(pod, notes)
        generation = self._generation(made)
        self._keep(pod, digest, generation)
        return None if known == generation else dataclasses.replace(
            made, generation=generation)

    def _digest(self, pod: dict, material: assembly.Material) -> bytes:
        """Return what two payloads that are made of the same share.

        Hosts ask for each pod every minute, and it takes a seventh of the
        time that a payload does. Equal material may have different digests;
        then a payload is made for nothing.
        """
        # The version of a pod changes with all that it has.
        whole = pod['metadata'].get('resourceVersion'), material
        return hmac.digest(self._key, pickle.dumps(whole), 'sha256')

    def _same(self, pod: dict, digest: bytes, known: str) -> bool:
        with self._lock:
            return self._made.get(pod['metadata']['uid']) == (digest, known)

    def _keep(self, pod: dict, digest: bytes, generation: str) -> None:
        uid = pod['metadata']['uid']
        with self._lock:
            self._made[uid] = digest, generation
            self._made.move_to_end(uid)
            if len(self._made) > _MOST:
                self._made.popitem(last=False)

    def _generation(self, made: payload.PodPayload) -> str:
        wire = {name: value for name, value in made.to_wire().items()
                if name not in _UNSEEN}
        text = json.dumps(wire, sort_keys=True, separators=(',', ':'))
        return hmac.new(self._key, text.encode(),
                        hashlib.sha256).hexdigest()

    def _read(self, pod: dict, addresses: Sequence[str],
              not_before: float) -> assembly.Material:
        handler, error = self._handler(pod, not_before)
        return assembly.Material(
            self._resolver.read(pod, environment.needs(pod), not_before,
                                _ordered(addresses, self._host_ip)),
            self._volumes(pod, not_before),
            self._pull_secrets(pod, not_before), handler, error)

    def _volumes(self, pod: dict, not_before: float) -> volumes.Material:
        needs = volumes.needs(pod)
        namespace = pod['metadata']['namespace']
        return volumes.Material(
            {(kind, name): resolver.shown(self._files, kind, namespace, name,
                                          not_before)
             for kind, name in sorted(needs.objects)},
            {need: resolver.shown(self._token, pod, need)
             for need in sorted(needs.tokens)},
            self._objects.allocatable(self._node)
            if needs.allocatable else {})

    def _files(self, kind: str, namespace: str, name: str,
               not_before: float) -> Mapping[str, bytes] | None:
        if kind == environment.SECRET:
            return self._objects.secret(namespace, name, not_before)
        found = self._objects.whole_config_map(namespace, name, not_before)
        if found is None:
            return None
        return {key: text.encode(errors='replace')
                for key, text in found.data.items()} | dict(found.binary)

    def _token(self, pod: dict, need: volumes.TokenNeed
               ) -> tokens_module.Token | exceptions.NotYetResolvable:
        try:
            return self._tokens.get(pod, *need)
        except (exceptions.NotFound, exceptions.Rejected,
                exceptions.Conflict) as error:
            return exceptions.NotYetResolvable(
                volumes.REASON, f'failed to fetch token: {error.message}')

    def _pull_secrets(self, pod: dict, not_before: float
                      ) -> dict[str, objects_module.Secret | None]:
        namespace = pod['metadata']['namespace']
        names = [reference.get('name') for reference
                 in pod['spec'].get('imagePullSecrets') or []]
        found = {name: resolver.shown(self._objects.whole_secret,
                                      namespace, name, not_before)
                 for name in names if name}
        return {name: secret if isinstance(secret, objects_module.Secret)
                else None for name, secret in found.items()}

    def _handler(self, pod: dict, not_before: float) -> tuple[str, str]:
        """Return the runtime handler of ``pod``, or why there is none."""
        name = pod['spec'].get('runtimeClassName')
        if not name:
            return '', ''
        prefix = 'failed to get sandbox runtime: '
        found = resolver.shown(self._objects.runtime_handler, name, not_before)
        if isinstance(found, exceptions.NotYetResolvable):
            return '', (f'{prefix}failed to lookup RuntimeClass {name}: '
                        f'{found.message}')
        if found is None:
            return '', f'{prefix}RuntimeClass.node.k8s.io "{name}" not found'
        return found, ''


def _ordered(addresses: Sequence[str], host_ip: str) -> tuple[str, ...]:
    """Return addresses with those of the node's family first."""
    return tuple(sorted(
        addresses, key=lambda each: (':' in each) != (':' in host_ip)))
