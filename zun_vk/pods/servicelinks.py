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
"""The variables that tell a container where Services are.

Kubernetes: ``<NAME>_SERVICE_HOST`` and ``_PORT``, one more for each named
port, and those of Docker's container links. Pure.
"""

from collections.abc import Iterable
import functools
import ipaddress
import typing

from zun_vk.kube import objects

MASTER = 'kubernetes'


def variables(services: Iterable[objects.Service]) -> dict[str, str]:
    """Return the variables of all services, in order of their names."""
    result: dict[str, str] = {}
    for service in sorted(services):
        if service.ports:
            result.update(_pairs(service))
    return result


def master(service: objects.Service | None, host: str | None,
           port: int) -> objects.Service | None:
    """Return the API server's Service as pods shall see it.

    :param service: as the cluster has it
    :param host: where pods outside the cluster network reach the API server
        instead; None: nowhere else
    :param port: the port there
    """
    if not host:
        return service
    return objects.Service(MASTER, host,
                           (objects.Port('https', port, 'TCP'),))


# The same for every pod of a namespace, again and again.
@functools.lru_cache(maxsize=1024)
def _pairs(service: objects.Service) -> tuple[tuple[str, str], ...]:
    return tuple(_of_service(service))


def _of_service(service: objects.Service
                ) -> typing.Iterator[tuple[str, str]]:
    prefix = _variable(service.name)
    yield f'{prefix}_SERVICE_HOST', service.address
    yield f'{prefix}_SERVICE_PORT', str(service.ports[0].number)
    for port in service.ports:
        if port.name:
            yield (f'{prefix}_SERVICE_PORT_{_variable(port.name)}',
                   str(port.number))
    yield f'{prefix}_PORT', _url(service, service.ports[0])
    for port in service.ports:
        link = f'{prefix}_PORT_{port.number}_{port.protocol.upper()}'
        yield link, _url(service, port)
        yield f'{link}_PROTO', port.protocol.lower()
        yield f'{link}_PORT', str(port.number)
        yield f'{link}_ADDR', service.address


def _variable(name: str) -> str:
    return name.replace('-', '_').upper()


def _url(service: objects.Service, port: objects.Port) -> str:
    host = service.address
    if _is_ipv6(host):
        host = f'[{host}]'
    return f'{port.protocol.lower()}://{host}:{port.number}'


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False  # a name
