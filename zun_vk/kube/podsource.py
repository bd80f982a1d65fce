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
"""The pods bound to one node, as the reflector wants them.

Lists and watches with a field selector on ``spec.nodeName``: a node
identity may see no other pods, and the agent needs none.
"""

import contextlib
import json
import logging
import sys
import threading
import typing

import urllib3

from zun_vk import exceptions
from zun_vk.kube import client as kube_client

LOG = logging.getLogger(__name__)

_PAGE = 500


class PodSource:
    """Source of the pods of node ``node`` for a reflector."""

    def __init__(self, client: kube_client.KubeClient, node: str):
        self._client = client
        self._selector = f'spec.nodeName={node}'

    def list(self, resource_version: str) -> dict:
        """Return a PodList with the items of all pages.

        :param resource_version: see Kubernetes, "The resourceVersion
            parameter": '' the most recent
        :raises Expired: the version, or the continuation, is too old
        """
        first = self._page(resource_version=resource_version)
        items = list(first['items'])
        token = first['metadata'].get('continue')
        while token:
            page = self._page(**{'continue': token})
            items += page['items']
            token = page['metadata'].get('continue')
        return {'metadata': first['metadata'], 'items': items}

    def watch(self, resource_version: str,
              timeout_seconds: int) -> 'PodWatch':
        return PodWatch(self._client.open_watch(
            timeout_seconds, field_selector=self._selector,
            resource_version=resource_version, allow_watch_bookmarks=True))

    def _page(self, **params) -> dict:
        page = self._client.list_pods(field_selector=self._selector,
                                      limit=_PAGE, **params)
        if not (isinstance(page.get('items'), list)
                and isinstance(page.get('metadata'), dict)):
            raise exceptions.Unavailable(
                kube_client.SERVICE, 'list pods: an answer that is no list')
        page['items'] = [_kept(pod) for pod in page['items']]
        return page


class PodWatch:
    """The events of one watch: iterate in one thread, close in any."""

    def __init__(self, response: urllib3.BaseHTTPResponse):
        self._response = response
        self._closed = threading.Event()

    def __iter__(self) -> typing.Iterator[dict]:
        """Yield watch events until the server ends the watch.

        A watch that has been silent for too long ends as well: only a new
        one can tell a quiet server from one that is out of reach.

        :raises Unreachable: the connection broke
        """
        try:
            for line in _lines(self._response):
                yield _decode(line)
        except urllib3.exceptions.ReadTimeoutError:
            LOG.debug('A watch was silent for too long, opening another')
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._closed.is_set():
                raise exceptions.Unreachable(
                    kube_client.SERVICE, f'watch pods: {error}') from error
        finally:
            self._response.close()

    def close(self) -> None:
        """End the watch; a thread blocked in it is woken."""
        self._closed.set()
        # Refused where the stream has ended: then there is nobody to wake.
        with contextlib.suppress(RuntimeError, ValueError, OSError):
            self._response.shutdown()


def _lines(response: urllib3.BaseHTTPResponse) -> typing.Iterator[bytes]:
    rest = b''
    for chunk in response.stream(65536):
        *whole, rest = (rest + chunk).split(b'\n')
        yield from filter(None, whole)
    if rest:
        yield rest


def _decode(line: bytes) -> dict:
    try:
        event = json.loads(line)
    except ValueError:
        return {'type': 'MALFORMED', 'object': None}
    if not isinstance(event, dict):
        return {'type': 'MALFORMED'}
    if 'object' in event:
        event['object'] = _kept(event['object'])
    return event


def _kept(pod: typing.Any) -> typing.Any:
    """Return a pod as it takes the least room.

    Pods have most of their words in common: they share them.
    """
    return _shared(kube_client.slimmed(pod))


def _shared(value: typing.Any) -> typing.Any:
    if isinstance(value, dict):
        return {sys.intern(key): _shared(item)
                for key, item in value.items()}
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, list):
        return [_shared(item) for item in value]
    return value
