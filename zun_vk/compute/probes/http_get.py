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
"""HTTP GET as the kubelet's probes and hooks do it.

Certificates are not verified, redirects are followed within a host, and what
comes back is bounded in size and in time.
"""

from collections.abc import Sequence
import dataclasses
import http.client
import ipaddress
import socket
import ssl
import typing
import urllib.parse

from zun_vk.compute.probes import dial
from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import spec

#: Kubernetes 1.36
PROBE_AGENT = 'kube-probe/1.36'
MAX_REDIRECTS = 10
_SAFE = "%/:?#[]@!$&'()*+,;=~-._"
_REDIRECTS = (301, 302, 303, 307, 308)


class Failed(Exception):
    """There was no answer; says so in Kubernetes' words.

    :param plain_http: the server does not speak TLS
    """

    def __init__(self, words: str, plain_http: bool = False):
        super().__init__(words)
        self.plain_http = plain_http


@dataclasses.dataclass(frozen=True)
class Answer:
    """:param body: its beginning"""

    status: int
    body: bytes
    location: str


@dataclasses.dataclass(frozen=True)
class Request:
    """A GET.

    :param host: override of the Host header, '' for none
    """

    url: str
    headers: tuple[tuple[str, str], ...]
    host: str = ''


def request(action: spec.HttpGet, address: str, port: int,
            agent: str) -> Request:
    """Return what a probe or hook asks for.

    :param address: of the pod
    """
    netloc = dial.joined(action.host or address, port)
    path = action.path if action.path.startswith('/') else '/' + action.path
    url = f'{action.scheme}://{netloc}' + urllib.parse.quote(path, _SAFE)
    host = next((value for name, value in action.headers
                 if name.lower() == 'host'), '')
    return Request(url, _headers(action.headers, agent), host)


def probe(connect: dial.Connect, asked: Request,
          timeout: float) -> outcome.Outcome:
    """Ask once; return what a probe makes of it."""
    deadline = dial.Deadline.after(timeout)
    try:
        answer = get(connect, asked, deadline)
    except Failed as error:
        return outcome.failure(str(error))
    body = answer.body.decode('utf-8', 'replace')
    if 300 <= answer.status < 400:
        return outcome.Outcome(
            outcome.Verdict.WARNING,
            f'Probe terminated redirects, Response body: {body}')
    if 200 <= answer.status < 300:
        return outcome.success(body)
    # Not the body: it may hold what is not for those who read events.
    return outcome.failure(
        f'HTTP probe failed with statuscode: {answer.status}')


def get(connect: dial.Connect, asked: Request,
        deadline: dial.Deadline) -> Answer:
    """Return the answer, after redirects within the host.

    :raises Failed: there is none
    """
    first = asked.url
    for _ in range(MAX_REDIRECTS):
        answer = _get_once(connect, asked, first, deadline)
        if answer.status not in _REDIRECTS or not answer.location:
            return answer
        url = urllib.parse.urljoin(asked.url, answer.location)
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ('http', 'https') or (
                parts.hostname != urllib.parse.urlsplit(first).hostname):
            return answer
        # A Host header is for the server that it was given for.
        relative = not urllib.parse.urlsplit(answer.location).netloc
        asked = Request(url, asked.headers, asked.host if relative else '')
    raise Failed(f'Get "{asked.url}": stopped after '
                 f'{MAX_REDIRECTS} redirects')


def _get_once(connect: dial.Connect, asked: Request, first: str,
              deadline: dial.Deadline) -> Answer:
    try:
        return _exchange(connect, asked, deadline)
    except dial.DialFailed as error:
        raise Failed(f'Get "{first}": {error}') from None
    except TimeoutError:
        raise Failed(
            f'Get "{first}": context deadline exceeded '
            '(Client.Timeout exceeded while awaiting headers)') from None
    except ssl.SSLError as error:
        plain = error.reason in ('WRONG_VERSION_NUMBER', 'HTTP_REQUEST')
        words = ('http: server gave HTTP response to HTTPS client'
                 if plain else f'tls: {error.reason or "handshake failure"}')
        raise Failed(f'Get "{first}": {words}', plain) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        words = getattr(error, 'strerror', None) or (
            'EOF' if isinstance(error, http.client.BadStatusLine)
            else type(error).__name__)
        raise Failed(f'Get "{first}": {words.lower()}') from None


def _exchange(connect: dial.Connect, asked: Request,
              deadline: dial.Deadline) -> Answer:
    parts = urllib.parse.urlsplit(asked.url)
    host = parts.hostname or ''
    secure = parts.scheme == 'https'
    port = parts.port or (443 if secure else 80)
    plain = dial.dial(connect, host, port, deadline)
    try:
        used = _secured(plain, host, deadline) if secure else plain
    except BaseException:
        plain.close()
        raise
    with used:
        client = http.client.HTTPConnection(host, port)
        client.sock = typing.cast(
            socket.socket, dial.TimedSocket(used, deadline))
        _send(client, asked, parts)
        return _answer(client.getresponse())


def _send(client: http.client.HTTPConnection, asked: Request,
          parts: urllib.parse.SplitResult) -> None:
    target = (parts.path or '/') + (f'?{parts.query}' if parts.query else '')
    client.putrequest('GET', target, skip_host=True,
                      skip_accept_encoding=True)
    client.putheader('Host', asked.host or parts.netloc)
    for name, value in asked.headers:
        client.putheader(name, value)
    client.putheader('Connection', 'close')
    client.endheaders()


def _answer(response: http.client.HTTPResponse) -> Answer:
    body = response.read(outcome.MAX_OUTPUT)
    return Answer(response.status, body, response.getheader('Location') or '')


def _secured(plain: socket.socket, host: str,
             deadline: dial.Deadline) -> ssl.SSLSocket:
    # Kubernetes: HTTPS probes skip the verification of certificates.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain.settimeout(deadline.left())
    return context.wrap_socket(
        plain, server_hostname=None if _is_address(host) else host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _headers(given: Sequence[tuple[str, str]],
             agent: str) -> tuple[tuple[str, str], ...]:
    """Return the headers; an empty User-Agent or Accept takes it away."""
    names = {name.lower() for name, _ in given}
    made = [(name, value) for name, value in given
            if name.lower() not in ('host', 'connection')
            and (value or name.lower() not in ('user-agent', 'accept'))]
    for name, value in (('User-Agent', agent), ('Accept', '*/*')):
        if name.lower() not in names:
            made.append((name, value))
    return tuple(made)
