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
"""The TLS of the kubelet's API: which certificate, and whose clients.

Flows in: files, which may change at any time. Flows out: the SSLContext of
the next connection. One that runs keeps what it began with. A file that
cannot be used changes nothing: what was good stays in use.
"""

import ssl
import threading
import time

from oslo_config import cfg
from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import tls

LOG = logging.getLogger(__name__)

# Seconds between two looks at the files.
_LOOK_INTERVAL = 1.0


class Contexts:
    """Makes the contexts of one server; any thread may ask.

    :param client_ca_file: whose clients are believed; '': nobody's
    """

    def __init__(self, client_ca_file: str = ''):
        self._client_ca_file = client_ca_file
        self._lock = threading.Lock()  # guards all below
        self._pair: tuple[str, str] | None = None
        self._context: ssl.SSLContext | None = None
        self._version: tls.Version = ()
        # Of what could not be used, and was said.
        self._failed: tls.Version | None = None
        self._look_at = float('-inf')

    def use(self, cert_file: str, key_file: str = '') -> None:
        """Serve with this certificate from now on.

        :param key_file: '': the key is in ``cert_file``
        """
        with self._lock:
            self._pair = (cert_file, key_file or cert_file)
            self._look_at = float('-inf')

    def current(self) -> ssl.SSLContext | None:
        """Return the context for a new connection; None: not yet any."""
        with self._lock:
            now = time.monotonic()
            if self._pair and now >= self._look_at:
                self._look_at = now + _LOOK_INTERVAL
                self._look(*self._pair)
            return self._context

    def _look(self, cert_file: str, key_file: str) -> None:
        files = [cert_file, key_file]
        if self._client_ca_file:
            files.append(self._client_ca_file)
        # Before they are read: a change while they are is seen next time.
        version = tls.version(*files)
        if version == self._version:
            return
        try:
            self._context = make(cert_file, key_file, self._client_ca_file)
        except exceptions.ConfigError as error:
            # Tried again: whoever may read it now may change without it.
            if version != self._failed:
                LOG.error('The kubelet API goes on as before: %s', error)
            self._failed = version
        else:
            self._version, self._failed = version, None


def check(conf: cfg.ConfigOpts) -> None:
    """Try the files that the options name.

    :raises ConfigError: one cannot be used
    """
    options = conf.kubelet_api
    if options.key_file and not options.cert_file:
        raise exceptions.ConfigError('[kubelet_api] cert_file',
                                     'is not set, though key_file is')
    if options.port and (options.cert_file or options.client_ca_file):
        make(options.cert_file, options.key_file or options.cert_file,
             options.client_ca_file)


def make(cert_file: str, key_file: str,
         client_ca_file: str) -> ssl.SSLContext:
    """Return a context of a server.

    :param cert_file: '': without a certificate, only to try the authority
    :param client_ca_file: '': no client certificate is asked for
    :raises ConfigError: a file cannot be used
    """
    # The time of a client's certificate is looked at with each request.
    context = tls.server_context()
    context.set_alpn_protocols(['http/1.1'])
    if cert_file:
        # A password is not asked for on a terminal.
        _load('[kubelet_api] cert_file, key_file', context.load_cert_chain,
              cert_file, key_file, lambda: b'')
    if client_ca_file:
        _load('[kubelet_api] client_ca_file', context.load_verify_locations,
              client_ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        # As for a kubelet every one of them is an anchor: an authority of a
        # cluster may itself be signed by another, which is not in the file.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _load(option: str, load, *arguments) -> None:
    try:
        load(*arguments)
    except ssl.SSLError as error:
        # Without what the parser says: it may quote the file.
        raise exceptions.ConfigError(
            option, f'cannot be used: {error.reason or "no PEM"}') from None
    except OSError as error:
        raise exceptions.ConfigError(
            option, f'{error.filename or arguments[0]}: {error.strerror}'
        ) from None
