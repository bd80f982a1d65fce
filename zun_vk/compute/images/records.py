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
"""Who may use the images that are on the host.

Kubernetes: Ensure secret pulled images. An image that was pulled with
credentials is only for pods that have credentials which pulled it, else one
project could run another's private image for its being there. What was
pulled without is for everyone, and so is what the operator put there.

The file outlives the service as images do, and should outlive a reboot. It
holds no credential: of each only a salted and slow hash.
"""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import threading
import typing

from oslo_log import log as logging

from zun_vk.compute.images import names
from zun_vk.rpc import payload as rpc

LOG = logging.getLogger(__name__)

_FILE = 'images.json'
_ROUNDS = 20000
# Of credentials for one repository; who rotates them more often pulls again.
_MAX_PROOFS = 64


class PullRecords:
    """What was pulled, and with what; any thread may ask.

    :param directory: where the file is; made with mode 0700
    """

    def __init__(self, directory: pathlib.Path):
        self._path = directory / _FILE
        # Guards all below and the file.
        self._lock = threading.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = self._load()
        self._salt: str = state.get('salt') or secrets.token_hex(16)
        # By image, by repository: proofs of credentials; None: anyone's.
        self._pulled: dict[str, dict[str, list[str] | None]] = (
            state.get('pulled') or {})
        # Images that were pulled since ``prune`` began last.
        self._fresh: set[str] = set()
        # Names of images, as are those in doubt: of these nobody knows
        # whether they came, and for whom.
        self._pulling: list[str] = []
        self._doubted = {*(state.get('doubted') or ()),
                         *(state.get('pulling') or ())}
        # The file was unreadable: all that is here may be somebody's.
        self._lost = bool(state.get('lost'))

    def begin(self, name: str) -> None:
        """Note that an image is about to be pulled.

        :raises OSError: it cannot be written, so nothing must be pulled
        """
        with self._lock:
            self._pulling.append(name)
            try:
                self._save()
            except OSError:
                self._pulling.remove(name)
                raise

    def finish(self, name: str, image: str,
               credential: rpc.Credential | None) -> None:
        """Note that an image was pulled.

        :param image: its identity in the runtime
        :param credential: what it was pulled with
        """
        with self._lock:
            self._pulling.remove(name)
            self._add(name, image, credential)
            self._save_later()

    def fail(self, name: str, certain: bool) -> None:
        """Note that nothing was pulled.

        :param certain: else it may have been
        """
        with self._lock:
            self._pulling.remove(name)
            if not certain:
                self._doubted.add(name)
            self._save_later()

    def doubted(self) -> list[str]:
        """Return the names of images that ``settle`` is to be told of."""
        with self._lock:
            return sorted(self._doubted)

    def settle(self, name: str, image: str | None) -> None:
        """Take note of what became of an image in doubt.

        :param image: its identity in the runtime; None where it has none
        """
        with self._lock:
            self._doubted.discard(name)
            if image is not None:
                # Nobody's, until somebody's credentials have pulled it.
                self._pulled.setdefault(image, {}).setdefault(
                    _repository(name), [])
            self._save_later()

    def may_use(self, name: str, image: str,
                credentials: Iterable[rpc.Credential]) -> bool:
        """Tell whether a pod may use an image that is on the host.

        :param image: its identity in the runtime
        :param credentials: of the pod, for that repository
        """
        repository = _repository(name)
        with self._lock:
            known = self._pulled.get(image)
            if known is None:
                # It may have come a moment ago, by another tag.
                unsure = {_repository(other) for other in (
                    *self._pulling, *self._doubted)}
                return not self._lost and repository not in unsure
            proofs = known.get(repository, [])
        if proofs is None:
            return True
        return bool(proofs) and any(self._proof(credential) in proofs
                                    for credential in credentials)

    def prune(self, present: Callable[[], Iterable[str]]) -> None:
        """Forget the images that are not on the host any more.

        For one thread.

        :param present: returns the identities of those that are
        """
        with self._lock:
            self._fresh.clear()
        here = set(present())
        with self._lock:
            # What came while they were listed may be missing there; without
            # a record it would be anyone's.
            here |= self._fresh
            gone = [image for image in self._pulled if image not in here]
            for image in gone:
                del self._pulled[image]
            if gone:
                self._save_later()

    def _add(self, name: str, image: str,
             credential: rpc.Credential | None) -> None:
        repository = _repository(name)
        self._fresh.add(image)
        known = self._pulled.setdefault(image, {})
        if credential is None:
            known[repository] = None
            return
        proofs = known.setdefault(repository, [])
        if proofs is None:
            return
        proof = self._proof(credential)
        if proof not in proofs:
            known[repository] = [*proofs, proof][-_MAX_PROOFS:]

    def _proof(self, credential: rpc.Credential) -> str:
        """Return what shows that a credential is the same as another one."""
        fields = (credential.username, credential.password,
                  credential.identity_token, credential.registry_token)
        return hashlib.pbkdf2_hmac(
            'sha256', json.dumps(fields).encode(), self._salt.encode(),
            _ROUNDS).hex()

    def _load(self) -> dict[str, typing.Any]:
        try:
            state = json.loads(self._path.read_text())
            if isinstance(state, dict) and isinstance(
                    state.get('pulled', {}), dict):
                return state
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            pass
        LOG.error('%s is unreadable: every image has to be pulled again '
                  'before it is used. Without the file, every image that is '
                  'here is for everyone', self._path)
        return {'lost': True}

    def _save_later(self) -> None:
        """Write what is known; the next time where it cannot be now.

        Until then the file has the pull as begun, which is the safe side.
        """
        try:
            self._save()
        except OSError as error:
            LOG.error('%s cannot be written: %s', self._path, error.strerror)

    def _save(self) -> None:
        state = {'salt': self._salt, 'pulled': self._pulled,
                 'pulling': self._pulling, 'doubted': sorted(self._doubted),
                 'lost': self._lost}
        partial = self._path.with_suffix('.new')
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                              0o600), 'w') as file:
                json.dump(state, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def _repository(name: str) -> str:
    return names.parse(name).repository
