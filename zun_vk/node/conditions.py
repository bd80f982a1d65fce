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
"""The node's conditions, from what is known of the cloud. Pure."""

import typing

from zun_vk import health as health_module

# Seconds a check may fail before the node says so: one lost answer must not
# take the endpoints of every pod away.
PATIENCE = 5.0
_REASONS = {
    'keystone': 'KeystoneUnavailable',
    'zun': 'ZunUnavailable',
    'placement': 'PlacementUnavailable',
}
# Kubernetes: conditions the scheduler and the controllers look at. Pressure
# on a Zun host shows in Placement, never here.
_PRESSURES = (
    ('MemoryPressure', 'CloudHasSufficientMemory'),
    ('DiskPressure', 'CloudHasNoDiskPressure'),
    ('PIDPressure', 'CloudHasSufficientPID'),
    ('NetworkUnavailable', 'NeutronProvidesNetwork'),
)


class Lasting:
    """Something that must be seen for a while before it is believed."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0

    def see(self, present: bool, now: float) -> None:
        """Take in one look, at ``now`` in monotonic seconds."""
        self._last = now
        if not present:
            self._first = None
        elif self._first is None:
            self._first = now

    @property
    def sure(self) -> bool:
        """All looks of PATIENCE seconds, and the last one, showed it."""
        return (self._first is not None
                and self._last - self._first >= PATIENCE)

    @property
    def doubtful(self) -> bool:
        """The last look showed it, but not yet for long enough."""
        return self._first is not None and not self.sure


def ready(problems: list[health_module.Problem], hosts: int | None,
          now: float, deserted: bool = True
          ) -> tuple[bool, str, str] | None:
    """Return the Ready condition: its value, reason and message.

    :param problems: failing checks, the oldest first
    :param hosts: Zun hosts that are up and enabled; None: never seen
    :param now: monotonic seconds
    :param deserted: that there is no host is sure
    :returns: None while it is too early to tell
    """
    lasting = [p for p in problems
               if p.service in _REASONS and now - p.since >= PATIENCE]
    if lasting:
        worst = lasting[0]
        return False, _REASONS[worst.service], (
            f'{worst.service}: {worst.message}')
    if hosts is None or (hosts == 0 and not deserted):
        return None
    if hosts == 0:
        return False, 'NoZunHost', 'no Zun host is up and enabled'
    return True, 'CloudReady', f'{hosts} Zun hosts are up and enabled'


def conditions(node_ready: tuple[bool, str, str], before: list[dict],
               at: str) -> list[dict]:
    """Return the conditions this node owns.

    :param before: the node's conditions now: what did not change keeps its
        transition time
    :param at: the present, RFC 3339
    """
    value, reason, message = node_ready
    wanted = [('Ready', 'True' if value else 'False', reason, message)]
    wanted += [(kind, 'False', why, '') for kind, why in _PRESSURES]
    known = {condition['type']: condition for condition in before}
    return [_condition(known.get(kind), kind, word, why, words, at)
            for kind, word, why, words in wanted]


def same(one: typing.Iterable[dict], other: typing.Iterable[dict]) -> bool:
    """Tell whether two lists of our conditions say the same."""
    return _said(one) == _said(other)


def _said(conditions: typing.Iterable[dict]) -> dict:
    own = {'Ready'} | {kind for kind, _ in _PRESSURES}
    return {c['type']: (c['status'], c.get('reason'), c.get('message', ''))
            for c in conditions if c['type'] in own}


def _condition(before: dict | None, kind: str, word: str, reason: str,
               message: str, at: str) -> dict:
    since = at
    if before and before.get('status') == word:
        since = before.get('lastTransitionTime') or at
    return {'type': kind, 'status': word, 'reason': reason,
            'message': message, 'lastTransitionTime': since,
            'lastHeartbeatTime': at}
