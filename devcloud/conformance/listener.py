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
"""Hears each result when it is there: what e2e.test posts after a test.

Ginkgo writes its report at the end only; this is for the eyes, and for what
is known where a run was cut short.
"""

from collections.abc import Callable
from http import server
import json
import threading

LONGEST = 1 << 20


class _Handler(server.BaseHTTPRequestHandler):
    server: 'Listener'
    timeout = 10

    def do_POST(self) -> None:
        try:
            size = min(int(self.headers.get('Content-Length', 0)), LONGEST)
            message = json.loads(self.rfile.read(size)).get('msg')
        except (ValueError, AttributeError):
            self.send_error(400)
            return
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
        result, _, name = str(message).partition(' ')
        if result in ('PASSED', 'FAILED') and name:
            self.server.heard(name, result == 'PASSED')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: each request is told by what it says."""


class Listener(server.ThreadingHTTPServer):
    """Listens on a port of the loopback address until it is left.

    :param heard: called with a test's name and whether it passed, from any
        thread, one at a time
    """

    daemon_threads = True

    def __init__(self, heard: Callable[[str, bool], None]):
        super().__init__(('127.0.0.1', 0), _Handler)
        self._heard = heard
        # Guards the callback
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever,
                                        name='listener', daemon=True)

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server_address[1]}/'

    def heard(self, name: str, passed: bool) -> None:
        with self._lock:
            self._heard(name, passed)

    def __enter__(self) -> 'Listener':
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
