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
"""Zun's REST API, through python-zunclient, as plain dicts.

Facts this stands on (Zun 18.0.0): a GET is answered from Zun's database; a
POST answers after scheduling; a list is cut at the server's max_limit, and
says so by a link to what is next. python-zunclient fails at every error with
a Retry-After header but 413: the header is taken from it and read here.
"""

from concurrent import futures
import contextlib
import json
import threading
import time
import typing

from keystoneauth1 import adapter as ks_adapter
from zunclient import client as zun_client
from zunclient import exceptions as zun_exceptions

from zun_vk import exceptions
from zun_vk import remote
from zun_vk.cloud import sessions
from zun_vk.cloud import throttle

SERVICE = 'zun'
# 1.38 brings annotations on capsules; every later one is compatible.
API_VERSION = '1.38'
_PAGE = 500
_NEWEST = 50
# Seconds for an answer that somebody waits for, who gives up after ten.
_SOON = 8.0
# Seconds a call waits for its turn; longer, and its caller does better to
# look at something else meanwhile.
_PATIENCE = 10.0
# Where Retry-After is kept from python-zunclient.
_WAIT_HEADER = 'X-Zun-VK-Retry-After'
# Seconds a list of services is shared; no more than the shortest
# [node] capacity_interval.
_SHARED_FOR = 1.0
# Capsules to name as the end of a page before a list is given up: the last
# ones may have been deleted since.
_MARKERS = 20
T = typing.TypeVar('T')


class ZunClient:
    """Zun as one project sees it; safe to share by threads.

    :param access: session of the project
    :param throttles: the gates before Zun's endpoints, shared by all clients
    :param guard: called before anything is changed; what it raises stops
        that
    :param everywhere: capsules of all projects are listed, with their
        hosts; needs the admin role

    Every call may raise Throttled without having sent anything.
    """

    def __init__(self, access: sessions.ServiceAccess,
                 throttles: throttle.Throttles,
                 guard: typing.Callable[[], None] = lambda: None,
                 everywhere: bool = False):
        self._access = access
        self._throttles = throttles
        self._guard = guard
        self._everywhere = '&all_projects=1' if everywhere else ''
        # By endpoint; there is one as long as the catalog stays as it is.
        self._clients: dict[str, _Client] = {}

    def list_capsules(self, read: typing.Callable[[dict], T | None]
                      ) -> list[T]:
        """Return all capsules of the project, the oldest first.

        :param read: makes of each capsule what is kept of it; None: nothing.
            As Zun sends them there is never more than a page of them
        """
        uuids: list[typing.Any] = []
        kept: list[T | None] = []
        more = True
        while more:
            end, page, more = self._next_page(uuids)
            uuids[end:] = [capsule.get('uuid') for capsule in page]
            kept[end:] = map(read, page)
        return [item for item in kept if item is not None]

    def newest_capsules(self) -> list[dict]:
        """Return those that were made last, the newest first.

        Somebody waits for the answer: a host, or kubectl.
        """
        with self._client('list capsules') as client:
            return _page(client, 'sort_dir=desc' + self._everywhere,
                         _NEWEST, timeout=_SOON)[0]

    def get_capsule(self, uuid: str) -> dict:
        with self._client('get capsule') as client:
            return client.capsules.get(uuid).to_dict()

    def create_capsule(self, template: dict) -> dict:
        """Make a capsule and return it, scheduled or in status Error.

        :raises Rejected: Zun refuses the template, with its words
        :raises Unreachable, Unavailable: it may have been made all the same
        """
        with self._client('create capsule') as client:
            self._guard()
            return client.capsules.create(template=template).to_dict()

    def delete_capsule(self, uuid: str) -> None:
        """Ask Zun to delete a capsule; it is gone some seconds later."""
        with self._client('delete capsule') as client:
            self._guard()
            client.capsules.delete(uuid)

    def list_services(self) -> list[dict]:
        """Return Zun's services; needs the admin role."""
        with self._client('list services') as client:
            return [item.to_dict() for item in client.services.list()]

    def list_hosts(self) -> list[dict]:
        """Return what Zun knows of its hosts; needs the admin role."""
        with self._client('list hosts') as client:
            return [item.to_dict() for item in client.hosts.list()]

    def _next_page(self, uuids: list[typing.Any]
                   ) -> tuple[int, list[dict], bool]:
        """Return the page that follows these capsules.

        A capsule that is gone cannot be a marker: then the one before it is.

        :returns: how many of ``uuids`` come before the page, the page, and
            whether there are more
        """
        refusal: exceptions.RemoteError | None = None
        for end in range(len(uuids), 0, -1)[:_MARKERS] or (0,):
            marker = uuids[end - 1] if end else None
            if end and not isinstance(marker, str):
                continue
            try:
                after = f'&marker={marker}' if marker else ''
                with self._client('list capsules') as client:
                    page, more = _page(client, 'sort_dir=asc' + after
                                       + self._everywhere)
                return end, page, more and bool(page)
            except exceptions.NotFound as error:
                refusal = error
        raise exceptions.Unavailable(
            SERVICE, f'list capsules: no page after the first: {refusal}')

    @contextlib.contextmanager
    def _client(self, call: str) -> typing.Iterator[typing.Any]:
        access = self._access.adapter()
        endpoint = access.endpoint_override or ''
        gate = self._throttles.at(endpoint)
        client = self._clients.get(endpoint) or self._connect(access)
        with (gate.turn(_PATIENCE), remote.measured(SERVICE, call) as measured,
              _translated(call)):
            yield client.client
            measured.status = client.session.status()

    def _connect(self, access: ks_adapter.Adapter) -> '_Client':
        """Return a client for one endpoint, kept for the calls to come.

        python-zunclient lists its own files whenever one is made.
        """
        session = _Session(access.session)
        made = _Client(zun_client.Client(
            API_VERSION, session=session, service_type=access.service_type,
            endpoint_override=access.endpoint_override), session)
        self._clients[access.endpoint_override or ''] = made
        return made


class SharedZunClient(ZunClient):
    """A client for all nodes of an agent, which share lists of services.

    A list serves whoever asks within a second after it was asked for, even
    if it has not come yet. A failure is for those only who waited for it.

    :param clock: monotonic seconds
    """

    def __init__(self, access: sessions.ServiceAccess,
                 throttles: throttle.Throttles,
                 clock: typing.Callable[[], float] = time.monotonic):
        super().__init__(access, throttles)
        self._clock = clock
        self._lock = threading.Lock()  # guards what is below
        self._services: futures.Future[list[dict]] = futures.Future()
        self._asked_at = float('-inf')

    def list_services(self) -> list[dict]:
        """Do what ZunClient does; the answer must not be changed."""
        with self._lock:
            now = self._clock()
            ask = now - self._asked_at > _SHARED_FOR
            if ask:
                self._services, self._asked_at = futures.Future(), now
            services = self._services
        if ask:
            self._ask(services)
        return services.result()

    def _ask(self, services: futures.Future[list[dict]]) -> None:
        try:
            services.set_result(super().list_services())
        except BaseException as error:  # or others would wait for ever
            with self._lock:
                if services is self._services:
                    self._asked_at = float('-inf')
            services.set_exception(error)


class _Session:
    """A session whose answers python-zunclient can read."""

    def __init__(self, session: typing.Any):
        self._session = session
        self._seen = threading.local()

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self._session, name)

    def request(self, *args, **kwargs) -> typing.Any:
        response = self._session.request(*args, **kwargs)
        self._seen.status = response.status_code
        if 'Retry-After' in response.headers:
            response.headers[_WAIT_HEADER] = response.headers.pop(
                'Retry-After')
        return response

    def status(self) -> int:
        """Return the HTTP status of the last answer to this thread."""
        return self._seen.status


class _Client(typing.NamedTuple):
    client: typing.Any
    session: _Session


def _page(client: typing.Any, query: str, limit: int = _PAGE,
          **options: float) -> tuple[list[dict], bool]:
    """Return a page of capsules, and whether there is another.

    :param options: of the session's request

    Read as plain JSON: the client would copy every capsule deeply, and take
    an answer without capsules for an empty list.
    """
    _, answer = client.http_client.json_request(
        'GET', f'/capsules/?limit={limit}&sort_key=id&{query}', **options)
    page = answer['capsules']
    if not (isinstance(page, list)
            and all(isinstance(capsule, dict) for capsule in page)):
        raise ValueError('capsules that are no list of objects')
    return page, bool(answer.get('next'))


@contextlib.contextmanager
def _translated(call: str) -> typing.Iterator[None]:
    try:
        with sessions.translated(SERVICE):
            yield
    except zun_exceptions.HttpError as error:
        if error.http_status == 404 and not _by_zun_itself(error):
            raise exceptions.Unavailable(
                SERVICE, f'{call}: not found, and not in the words of Zun',
                error.http_status) from error
        raise remote.from_status(
            SERVICE, error.http_status, _words(error),
            remote.seconds_to_wait(
                error.response.headers.get(_WAIT_HEADER))) from error
    except zun_exceptions.ClientException as error:
        raise exceptions.Unreachable(SERVICE, str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # What python-zunclient makes of an answer that is not JSON, or
        # JSON of another shape.
        raise exceptions.Unavailable(
            SERVICE, f'{call}: an answer that makes no sense: '
            f'{type(error).__name__}: {error}') from error


def _by_zun_itself(error: zun_exceptions.HttpError) -> bool:
    """Tell Zun's answer from that of a proxy before it: it lists errors."""
    try:
        return bool(json.loads(error.response.content)['errors'])
    except (AttributeError, TypeError, ValueError, KeyError):
        return False


def _words(error: zun_exceptions.HttpError) -> str:
    """Return Zun's own words: the title and, where given, the detail."""
    return str(error.message or error.details or error)
