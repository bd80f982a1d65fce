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
"""What the user of a request to the kubelet's API may do.

Flows in: a user and what the request takes. Flows out: nothing, or a
refusal. The API server is asked (SubjectAccessReview) as the node. Whatever
is not clearly allowed is refused: an API server that does not answer, too.
"""

from collections.abc import Callable
from collections.abc import Sequence
import hashlib
import json
import time

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import pace
from zun_vk.kube import client as kube_client
from zun_vk.kubelet import attributes
from zun_vk.kubelet import context
from zun_vk.kubelet import decisions

LOG = logging.getLogger(__name__)

# kubelet: authorization.webhook.cacheAuthorizedTTL, cacheUnauthorizedTTL.
_ALLOWED_SECONDS = 300.0
_DENIED_SECONDS = 30.0


class Authorizer:
    """Lets requests pass or not; safe to share by threads.

    :param client: asks as the node, with ``decisions.TIMEOUT``
    :param clock: monotonic seconds
    """

    def __init__(self, client: kube_client.KubeClient, *,
                 clock: Callable[[], float] = time.monotonic):
        self._client = client
        self._clock = clock
        self._ask = decisions.Asking(clock=clock)
        self._pace = pace.Pace(clock)
        self._decisions: decisions.Decisions[bool] = (
            decisions.Decisions(clock))

    def authorize(self, user: context.User,
                  wanted: Sequence[attributes.Attributes]) -> None:
        """Return if the user may do one of these, in this order.

        :raises Refused: 403, as the kubelet words it; 500: not known
        """
        if not any(self._allowed(user, each) for each in wanted):
            raise exceptions.Refused(403, _forbidden(user, wanted))

    def _allowed(self, user: context.User,
                 wanted: attributes.Attributes) -> bool:
        review = _review(user, wanted)
        key = hashlib.sha256(json.dumps(
            review, sort_keys=True).encode()).digest()
        known = self._decisions.get(key)
        if known is not None:
            return known
        # What is kept counts from when it was asked, not answered.
        asked = self._clock()
        try:
            allowed = reviewed(self._ask(
                self._client.create_subject_access_review, review))
        except exceptions.RemoteError as error:
            if self._pace.may_pass() is not None:
                LOG.warning('Access could not be reviewed: %s', error)
            raise exceptions.Refused(500, _unknown(user, wanted)) from error
        self._decisions.put(key, allowed, asked + (
            _ALLOWED_SECONDS if allowed else _DENIED_SECONDS))
        return allowed


def reviewed(review: dict) -> bool:
    """Return whether an answered SubjectAccessReview allows it.

    :raises Unavailable: it is no answer, or says both
    """
    status = review.get('status')
    if not isinstance(status, dict) or not isinstance(
            status.get('allowed'), bool):
        raise exceptions.Unavailable(
            kube_client.SERVICE, 'an access review without a decision')
    allowed: bool = status['allowed']
    if allowed and status.get('denied'):
        raise exceptions.Unavailable(
            kube_client.SERVICE, 'an access review that allows and denies')
    return allowed


def _review(user: context.User, wanted: attributes.Attributes) -> dict:
    spec: dict = {
        'user': user.name,
        'groups': list(user.groups),
        'resourceAttributes': {
            'verb': wanted.verb, 'version': 'v1', 'resource': 'nodes',
            'subresource': wanted.subresource, 'name': wanted.name}}
    if user.uid:
        spec['uid'] = user.uid
    if user.extra:
        spec['extra'] = {name: list(values)
                         for name, values in user.extra.items()}
    return {'apiVersion': 'authorization.k8s.io/v1',
            'kind': 'SubjectAccessReview', 'spec': spec}


def _forbidden(user: context.User,
               wanted: Sequence[attributes.Attributes]) -> str:
    if not wanted:
        return ('Authorization error: could not determine attributes for '
                'request')
    subresources = ' '.join(each.subresource for each in wanted)
    return (f'Forbidden (user={user.name}, verb={wanted[0].verb}, '
            f'resource=nodes, subresource(s)=[{subresources}])\n')


def _unknown(user: context.User, wanted: attributes.Attributes) -> str:
    return (f'Authorization error (user={user.name}, verb={wanted.verb}, '
            f'resource=nodes, subresource={wanted.subresource})')
