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
"""The CNI plugin: has zun-vk-compute plug a sandbox into its network.

It only carries: environment and configuration go to the service's socket,
what that answers goes to the container runtime. Nothing but the standard
library, and little of that: it is started twice for every pod. CNI's version
is 0.3.1. The configuration names the socket where it is not the default:
``"socket": "/run/zun-vk/cni.sock"``.
"""

from collections.abc import Mapping
import json
import socket

VERSION = '0.3.1'
SOCKET = '/run/zun-vk/cni.sock'
# Bytes of a configuration, and of an answer
MOST = 1 << 20
# More than the service waits for Neutron to have the port active
SECONDS = 90.0
# Kinds of errors, as the CNI specification numbers them
INVALID_ENVIRONMENT = 4
UNDECODABLE = 6
INVALID_CONFIGURATION = 7
TRY_AGAIN = 11
COMMANDS = ('ADD', 'DEL')


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
        return command(environ, text)
    except Failed as failed:
        return error(failed.code, str(failed)), 1


def error(code: int, words: str) -> str:
    """Return an error as CNI wants it on standard output."""
    return json.dumps({'cniVersion': VERSION, 'code': code, 'msg': words})


def command(environ: Mapping[str, str], text: str) -> tuple[str, int]:
    name = environ.get('CNI_COMMAND', '')
    if name == 'VERSION':
        return json.dumps({'cniVersion': VERSION,
                           'supportedVersions': [VERSION]}), 0
    if name not in COMMANDS:
        raise Failed(INVALID_ENVIRONMENT, f'CNI_COMMAND is {name!r}')
    path = read(text).get('socket', SOCKET)
    answer = ask(str(path), json.dumps({
        key: value for key, value in environ.items()
        if key.startswith('CNI_')}).encode())
    try:
        found = json.loads(answer)
        return str(found['output']), int(found['code'])
    except (ValueError, KeyError, TypeError) as failed:
        raise Failed(TRY_AGAIN, 'zun-vk-compute gave no answer: '
                     f'{failed!r}') from failed


def read(text: str) -> dict:
    """Return the configuration, if it is one."""
    if len(text) > MOST:
        raise Failed(INVALID_CONFIGURATION, 'the configuration is too long')
    try:
        found = json.loads(text)
    except ValueError as failed:
        raise Failed(UNDECODABLE, 'the configuration is not JSON: '
                     f'{failed}') from failed
    if not isinstance(found, dict):
        raise Failed(INVALID_CONFIGURATION, 'the configuration is no object')
    return found


def ask(path: str, question: bytes) -> bytes:
    """Return what the service answers."""
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(SECONDS)
            peer.connect(path)
            peer.sendall(question)
            peer.shutdown(socket.SHUT_WR)
            blocks, size = [], 0
            while size <= MOST and (block := peer.recv(65536)):
                blocks.append(block)
                size += len(block)
    except OSError as failed:
        raise Failed(TRY_AGAIN, f'zun-vk-compute at {path} does not answer: '
                     f'{failed!r}') from failed
    return b''.join(blocks)
