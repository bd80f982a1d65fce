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
"""What the bus may ask of this host; each message is checked here.

No call waits for a container: what takes longer is begun, and the answer
says that it is not done yet.
"""

from collections.abc import Callable
import typing

from oslo_log import log as logging

from zun_vk.compute import pods as pods_module
from zun_vk.compute import store
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import fields
from zun_vk.rpc import payload as payload_module
from zun_vk.rpc import streams

LOG = logging.getLogger(__name__)

_MAX_GRACE = 10.0 * 365 * 24 * 3600


class Endpoint:
    """The methods of topic ``zun-vk-compute``.

    :param stats: measures the pods of a node, as of a kind
    :param clear: has what the runtime has of a capsule without a record
        removed, given the seconds of its grace; tells whether there is
        nothing (more)
    :param report: tells the agent of a node all about its pods here
    :param forget: has the remnants of a pod removed
    :param opened: answers a request for a stream
    """

    def __init__(self, pods: pods_module.Pods,
                 stats: Callable[[str, str], list[dict]],
                 clear: Callable[[str, float | None], bool],
                 report: Callable[[str], None],
                 forget: Callable[[str], None],
                 opened: Callable[[object], streams.Opened
                                  | streams.Declined]):
        self._pods = pods
        self._stats = stats
        self._clear = clear
        self._report = report
        self._forget = forget
        self._opened = opened

    def run_capsule(self, context: dict, capsule: dict) -> dict:
        """Run a capsule; again is no error."""
        wire = fields.whole(capsule)
        run_described(self._pods, wire)
        return {}

    def delete_capsule(self, context: dict, uuid: str,
                       grace: float | None = None) -> dict:
        """Have a capsule end and go; to be repeated until it is gone."""
        seconds = None if grace is None else _grace({'grace': grace})
        gone = self._pods.delete(_identity({'uuid': uuid}, 'uuid'), seconds)
        return {'gone': gone and self._clear(uuid, seconds)}

    def stats(self, context: dict, node: str, kind: str) -> dict:
        """Return what the pods of a node use here."""
        asked = {'node': node, 'kind': kind}
        return {'pods': self._stats(fields.text(asked, 'node', 256),
                                    fields.text(asked, 'kind', 256))}

    def end_pod(self, context: dict, uid: str, grace: float,
                reason: str = '', message: str = '') -> None:
        """Have a pod end; its capsule stays."""
        told = {'uid': uid, 'grace': grace, 'reason': reason,
                'message': message}
        self._pods.end(_identity(told, 'uid'), _grace(told),
                       fields.text(told, 'reason', 256),
                       fields.text(told, 'message', 4096))

    def pod_changed(self, context: dict, uid: str) -> None:
        """Take note that a Pod object changed."""
        self._pods.changed(_identity({'uid': uid}, 'uid'))

    def report(self, context: dict, node: str) -> None:
        """Tell the agent of a node all that there is of it."""
        self._report(fields.text({'node': node}, 'node', 256))

    def forget_pod(self, context: dict, uid: str) -> None:
        """Remove the logs of a pod that is gone."""
        self._forget(_identity({'uid': uid}, 'uid'))

    def open_stream(self, context: dict, request: dict) -> dict:
        """Tell how a stream into a pod is had, or why it is not."""
        return self._opened(request).to_wire()


def run_described(pods: pods_module.Pods, wire: dict) -> None:
    """Run a capsule as zun-compute describes it.

    :raises Malformed: it does not
    """
    payload = wire.get('payload')
    described = pod_module.capsule_from_wire(wire)
    if payload is None and not described.node:
        raise fields.Malformed('payload of a capsule without a node')
    if payload is not None and described.node:
        raise fields.Malformed('payload of a capsule that an agent made')
    pods.run(described, None if payload is None
             else payload_module.from_wire(payload))


def _identity(told: dict[str, typing.Any], name: str) -> str:
    if not store.valid(told[name]):
        raise fields.Malformed(f'{name} is no identity')
    return told[name]


def _grace(told: dict[str, typing.Any]) -> float:
    return min(fields.number(told, 'grace'), _MAX_GRACE)
