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
"""A Kubernetes probe as a value, with Kubernetes' defaults: pure reading."""

from collections.abc import Mapping
import dataclasses

LIVENESS = 'liveness'
READINESS = 'readiness'
STARTUP = 'startup'
KINDS = (STARTUP, LIVENESS, READINESS)
#: A probe that takes longer would only hold up others.
MAX_TIMEOUT = 300.0


@dataclasses.dataclass(frozen=True)
class Exec:
    """:param command: that has to end with 0"""

    command: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class HttpGet:
    """A URL that has to answer with 200 to 399.

    :param host: '' for the pod's address
    :param port: a number or a name
    :param headers: names and values
    """

    scheme: str
    host: str
    port: int | str
    path: str
    headers: tuple[tuple[str, str], ...] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class TcpSocket:
    """A port that has to accept connections.

    :param host: '' for the pod's address
    """

    host: str
    port: int | str


@dataclasses.dataclass(frozen=True)
class Grpc:
    """A gRPC health service that has to say SERVING.

    :param service: whose health is asked for
    """

    port: int
    service: str


Handler = Exec | HttpGet | TcpSocket | Grpc


@dataclasses.dataclass(frozen=True)
class Probe:
    """One probe of a container; times are in seconds.

    :param kind: liveness, readiness or startup
    :param grace: terminationGracePeriodSeconds of the probe's own
    """

    kind: str
    handler: Handler
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: int | None = None


def probes_of(container: Mapping) -> tuple[Probe, ...]:
    """Return the probes of a container; one that asks nothing is none."""
    found = (_probe(kind, container.get(f'{kind}Probe'))
             for kind in KINDS)
    return tuple(probe for probe in found if probe is not None)


def port_of(port: int | str, container: Mapping) -> int:
    """Return a port by its number or its name in the container.

    :raises ValueError: there is none such
    """
    found = port
    if isinstance(port, str):
        found = next((each.get('containerPort') or 0
                      for each in container.get('ports') or ()
                      if each.get('name') == port), port)
    if isinstance(found, str):
        if not (found.isascii() and found.isdigit()):
            raise ValueError(f'the container has no port {found!r}')
        found = int(found)
    if not 0 < found < 65536:
        raise ValueError(f'invalid port number: {found}')
    return found


def http_get(action: Mapping) -> HttpGet:
    """Return an ``httpGet`` of a probe or a hook."""
    return HttpGet(
        (action.get('scheme') or 'HTTP').lower(), action.get('host') or '',
        action.get('port') or 0, action.get('path') or '/',
        tuple((header['name'], header.get('value') or '')
              for header in action.get('httpHeaders') or ()))


def _probe(kind: str, spec: Mapping | None) -> Probe | None:
    handler = _handler(spec or {})
    if spec is None or handler is None:
        return None
    return Probe(
        kind, handler, initial_delay=spec.get('initialDelaySeconds') or 0,
        period=spec.get('periodSeconds') or 10,
        timeout=min(spec.get('timeoutSeconds') or 1, MAX_TIMEOUT),
        success_threshold=spec.get('successThreshold') or 1,
        failure_threshold=spec.get('failureThreshold') or 3,
        grace=spec.get('terminationGracePeriodSeconds'))


def _handler(spec: Mapping) -> Handler | None:
    if spec.get('exec') is not None:
        return Exec(tuple(spec['exec'].get('command') or ()))
    if spec.get('httpGet') is not None:
        return http_get(spec['httpGet'])
    if spec.get('tcpSocket') is not None:
        action = spec['tcpSocket']
        return TcpSocket(action.get('host') or '', action.get('port') or 0)
    if spec.get('grpc') is not None:
        action = spec['grpc']
        return Grpc(action.get('port') or 0, action.get('service') or '')
    return None
