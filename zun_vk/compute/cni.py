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
"""The CNI plugin: asks zun-cni-daemon to plug a sandbox into its network.

As Zun's own plugin does, with the standard library alone: that one imports
all of Zun, 1.7 s of a processor for each sandbox that comes and twice as
much for each that goes. In: the environment and the configuration that CNI
gives (version 0.3.1). Out: CNI's result or error, as JSON.

The configuration names the daemon: ``"daemon": "127.0.0.1:9036"``.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import http.client
import json
from typing import Any

VERSION = '0.3.1'
DAEMON = '127.0.0.1:9036'
# Bytes of a configuration, and of a daemon's answer
MOST = 1 << 20
# More than the daemon waits for Neutron to have the port active
SECONDS = 90.0
# Kinds of errors, as the CNI specification numbers them
INVALID_ENVIRONMENT = 4
UNDECODABLE = 6
INVALID_CONFIGURATION = 7
TRY_AGAIN = 11
REFUSED = 100
# What the daemon answers when all is done
PATHS = {'ADD': ('/addNetwork', 202), 'DEL': ('/delNetwork', 204)}

Data = dict[str, Any]


class Failed(Exception):
    """What CNI is told: a kind of error and words."""

    def __init__(self, code: int, words: str):
        super().__init__(words)
        self.code = code


def run(environ: Mapping[str, str], text: str) -> tuple[str, int]:
    """Do one command of CNI.

    :param text: the network's configuration
    :returns: what goes to standard output, and the exit code
    """
    try:
        return command(environ, text), 0
    except Failed as error:
        return json.dumps({'cniVersion': VERSION, 'code': error.code,
                           'msg': str(error)}), 1


def command(environ: Mapping[str, str], text: str) -> str:
    name = environ.get('CNI_COMMAND', '')
    if name == 'VERSION':
        return json.dumps({'cniVersion': VERSION,
                           'supportedVersions': [VERSION]})
    if name not in PATHS:
        raise Failed(INVALID_ENVIRONMENT, f'CNI_COMMAND is {name!r}')
    configuration = read(text)
    request = {key: value for key, value in environ.items()
               if key.startswith('CNI_')}
    body = ask(str(configuration.get('daemon', DAEMON)), *PATHS[name],
               json.dumps({**request, 'config_zun': configuration}))
    if name == 'DEL':
        return ''
    try:
        return json.dumps(result(json.loads(body), environ))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failed(UNDECODABLE, 'zun-cni-daemon answered what is not '
                     f'a VIF: {error!r}') from error


def read(text: str) -> Data:
    """The configuration, if it is one."""
    if len(text) > MOST:
        raise Failed(INVALID_CONFIGURATION, 'the configuration is too long')
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Failed(UNDECODABLE,
                     f'the configuration is not JSON: {error}') from error
    if not isinstance(found, dict):
        raise Failed(INVALID_CONFIGURATION, 'the configuration is no object')
    return found


def ask(daemon: str, path: str, wanted: int, body: str) -> bytes:
    """POST to the daemon and return its answer."""
    try:
        peer = http.client.HTTPConnection(daemon, timeout=SECONDS)
        peer.request('POST', path, body,
                     {'Content-Type': 'application/json',
                      'Connection': 'close'})
        reply = peer.getresponse()
        content = reply.read(MOST)
    except (OSError, http.client.HTTPException) as error:
        raise Failed(TRY_AGAIN, f'zun-cni-daemon at {daemon} does not '
                     f'answer: {error!r}') from error
    if reply.status != wanted:
        raise Failed(REFUSED, f'zun-cni-daemon at {daemon} answered POST '
                     f'{path} with HTTP {reply.status}')
    return content


def result(vif: Data, environ: Mapping[str, str]) -> Data:
    """What CNI is told about an interface that is plugged.

    :param vif: os-vif's VIF, as oslo.versionedobjects writes it
    """
    fields = bare(vif)
    addresses: list[Data] = []
    routes: list[Data] = []
    servers: list[str] = []
    for subnet in listed(bare(fields['network'])['subnets']):
        servers += subnet.get('dns') or []
        routes += [{'dst': route['cidr'], 'gw': route['gateway']}
                   for route in listed(subnet['routes'])]
        addresses += described(subnet)
    return {
        'cniVersion': VERSION,
        'interfaces': [{'name': environ.get('CNI_IFNAME', ''),
                        'mac': fields['address'],
                        'sandbox': environ.get('CNI_NETNS', '')}],
        'ips': addresses, 'routes': routes,
        **({'dns': {'nameservers': servers}} if servers else {}),
    }


def described(subnet: Data) -> Iterator[Data]:
    """The addresses in a subnet, as CNI writes them."""
    length = subnet['cidr'].partition('/')[2]
    gateway = subnet.get('gateway')
    for fixed in listed(subnet['ips']):
        address = fixed['address']
        yield {'version': '6' if ':' in address else '4',
               'address': f'{address}/{length}', 'interface': 0,
               **({'gateway': gateway} if gateway else {})}


def bare(item: Data) -> Data:
    """The fields of a versioned object."""
    found = item['versioned_object.data']
    if not isinstance(found, dict):
        raise TypeError('an object without fields')
    return found


def listed(item: Data) -> list[Data]:
    """The fields of each object in a list of versioned objects."""
    return [bare(each) for each in bare(item)['objects']]
