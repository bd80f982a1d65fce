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
"""What a request says of the protocol that it wants to change to.

Flows in: the headers of a request. A browser that opens a WebSocket cannot
set a header of its own: it has its bearer token among the subprotocols
(Kubernetes: authentication/request/websocket), from where it must go no
further than to who asks whose it is.
"""

import base64
import binascii
import email.message
import re

PROTOCOLS = 'sec-websocket-protocol'
_BEARER = 'base64url.bearer.authorization.k8s.io.'
# Without padding; Python would skip what is no base64.
_BASE64 = re.compile(r'[A-Za-z0-9_-]+')


def is_upgrade(headers: email.message.Message) -> bool:
    """Tell whether another protocol is wanted on the connection."""
    tokens = ','.join(headers.get_all('Connection', ()))
    return bool(headers.get('Upgrade')) and any(
        token.strip().lower() == 'upgrade' for token in tokens.split(','))


def is_websocket(headers: email.message.Message) -> bool:
    """Tell whether that protocol is WebSocket."""
    return is_upgrade(headers) and headers['Upgrade'].lower() == 'websocket'


def bearer_token(headers: email.message.Message) -> str | None:
    """Return the one token among the subprotocols of a WebSocket.

    None: there is no such, or what there is may not be one. Another
    subprotocol has to be left, for the server to choose.
    """
    if not is_websocket(headers):
        return None
    every = [each for value in headers.get_all(PROTOCOLS, ())
             for each in _split(value)]
    tokens = [each for each in every if each.startswith(_BEARER)]
    if len(tokens) != 1 or len(every) < 2:
        return None
    return _decoded(tokens[0].removeprefix(_BEARER))


def without_token(protocols: str) -> str:
    """Return the subprotocols of one header that are such."""
    return ', '.join(each for each in _split(protocols)
                     if not each.startswith(_BEARER))


def _split(protocols: str) -> list[str]:
    return [each for each in map(str.strip, protocols.split(',')) if each]


def _decoded(encoded: str) -> str | None:
    if not _BASE64.fullmatch(encoded):
        return None
    try:
        return base64.urlsafe_b64decode(
            encoded + '=' * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
