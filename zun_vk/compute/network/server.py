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
"""What the CNI plugin of this host asks, answered on a socket of root's.

One connection is one command of CNI: a JSON object with the plugin's
environment and configuration comes in, one with its output and exit code
goes out.
"""

from collections.abc import Callable
import contextlib
import json
import os
import select
import socket
import socketserver
import threading

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.compute import cni
from zun_vk.compute import store
from zun_vk.compute.network import binding as binding_module
from zun_vk.compute.network import vif as vif_module
from zun_vk.rpc import fields

LOG = logging.getLogger(__name__)

# Seconds for a plugin to say what it wants: it has all of it.
_PATIENCE = 10.0
# Seconds between two looks whether to stop
_LOOK = 0.5


class CniServer:
    """Answers the plugin.

    :param path: of the socket
    :param find: returns the VIF of a capsule by its UUID; {} where it has
        no network, or is not of this host
    :param wait_active: waits for Neutron to have the port of a capsule
        active; raises RemoteError where it does not come to that
    :param plugged: how each sandbox was plugged, to be undone when nothing
        is known of its capsule any more
    """

    def __init__(self, path: str, find: Callable[[str], dict],
                 wait_active: Callable[[str], None],
                 binding: binding_module.Binding,
                 plugged: store.RecordStore):
        self._path = path
        self._find = find
        self._wait_active = wait_active
        self._binding = binding
        self._plugged = plugged
        self._server: socketserver.ThreadingUnixStreamServer | None = None

    def open(self) -> None:
        """Listen: nobody but root may connect.

        :raises OSError: it cannot
        """
        self._plugged.open()
        if os.path.lexists(self._path):
            os.unlink(self._path)
        answer = self._answer

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    answer(self.request)
                except Exception:  # the top of a thread
                    LOG.exception('A question of the CNI plugin')

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        mask = os.umask(0o177)
        try:
            self._server = Server(self._path, Handler)
        finally:
            os.umask(mask)

    def run(self, stop: threading.Event) -> None:
        """Answer until ``stop`` is set; what is asked by then is answered."""
        server = self._server
        if server is None:
            raise RuntimeError('open() comes first')
        server.timeout = _LOOK
        while not stop.is_set():
            server.handle_request()
        server.server_close()

    def _answer(self, peer: socket.socket) -> None:
        peer.settimeout(_PATIENCE)
        try:
            said, code = self._do(_read(peer), lambda: _waits(peer)), 0
        except exceptions.Unavailable as error:
            LOG.warning('A sandbox is not plugged: %s', error)
            said, code = cni.error(cni.TRY_AGAIN, str(error)), 1
        except exceptions.RemoteError as error:
            said, code = cni.error(cni.TRY_AGAIN, str(error)), 1
        except (fields.Malformed, ValueError) as error:
            LOG.error('What the CNI plugin asks makes no sense: %s', error)
            said, code = cni.error(cni.INVALID_ENVIRONMENT, str(error)), 1
        except OSError:
            # It went away before it had asked.
            return
        peer.settimeout(_PATIENCE)
        # Who gave it up needs no answer.
        with contextlib.suppress(OSError):
            peer.sendall(json.dumps({'output': said, 'code': code}).encode())

    def _do(self, asked: dict, waits: Callable[[], bool]) -> str:
        environ = {name: fields.text(asked, name, 4096) for name in (
            'CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME',
            'CNI_ARGS')}
        capsule = _arguments(environ['CNI_ARGS']).get('K8S_POD_NAME', '')
        sandbox = environ['CNI_CONTAINERID']
        vif = self._find(capsule)
        if environ['CNI_COMMAND'] == 'DEL':
            self._unplug(vif, capsule, sandbox)
            return ''
        if not vif:
            raise exceptions.Unavailable(
                binding_module.SERVICE, f'capsule {capsule} has no network')
        self._note_down(vif, sandbox)
        made = self._binding.plug(vif, capsule, sandbox,
                                  environ['CNI_IFNAME'],
                                  environ['CNI_NETNS'], waits)
        if not made.active:
            self._wait_active(capsule)
        return json.dumps(vif_module.result(made, environ))

    def _unplug(self, vif: dict, capsule: str, sandbox: str) -> None:
        """Undo what was done for a sandbox; nothing of it is fine."""
        vif = vif or (self._plugged.record(sandbox) or {}).get('vif') or {}
        try:
            if vif:
                self._binding.unplug(vif, capsule, sandbox)
        except fields.Malformed as error:
            # So it never was plugged. Nothing else would let it go.
            LOG.error('The VIF of capsule %s makes no sense: %s', capsule,
                      error)
        self._plugged.remove(sandbox)

    def _note_down(self, vif: dict, sandbox: str) -> None:
        try:
            self._plugged.save(sandbox, {'vif': vif})
        except OSError as error:
            # Its capsule tells it, most likely.
            LOG.warning('How sandbox %s is plugged cannot be recorded: %s',
                        sandbox, error.strerror)


def _read(peer: socket.socket) -> dict:
    """Return the object that the plugin sends, to the end of it."""
    blocks, size = [], 0
    while block := peer.recv(65536):
        blocks.append(block)
        size += len(block)
        if size > cni.MOST:
            raise ValueError('it is too long')
    return fields.whole(json.loads(b''.join(blocks)))


def _waits(peer: socket.socket) -> bool:
    """Tell whether the plugin is there; it says no more than it has said."""
    poll = select.poll()
    poll.register(peer, 0)
    return not poll.poll(0)


def _arguments(text: str) -> dict[str, str]:
    """Return CNI_ARGS: ``A=1;B=2``."""
    return dict(item.split('=', 1) for item in text.split(';')
                if '=' in item)
