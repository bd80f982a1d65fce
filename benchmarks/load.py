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
"""The load: pods made and deleted by several threads, and watched.

A process of its own, so that what it needs is not taken from what is
measured. ``create`` answers once every pod is Ready, ``delete`` once every
pod is gone; both with how long it took and the latency of each pod: from
the request that made (or deleted) it to the watch event that showed it.
"""

import argparse
import concurrent.futures
import json
import pathlib
import ssl
import threading
import time
import typing

import urllib3

from benchmarks import children
from benchmarks import common

_THREADS = 8


class Load:
    """N pods, bound to one node.

    :param kubeconfig: file as the tests' fixtures write it, JSON
    """

    def __init__(self, kubeconfig: str, namespace: str, node: str,
                 deadline: float):
        self._http, self._server = _pool(kubeconfig)
        self._path = f'{self._server}/api/v1/namespaces/{namespace}/pods'
        self._node = node
        self._deadline = deadline
        self._changed = threading.Condition()  # guards the three below
        self._known: set[str] = set()
        self._ready: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        self._watching = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        self._watching.wait(30)

    def run(self, command: str) -> dict:
        """Carry out ``create PREFIX NUMBER`` or ``delete PREFIX NUMBER``."""
        verb, prefix, number = command.split()
        names = [f'{prefix}-{index}' for index in range(int(number))]
        act, seen = ((self._create, self._ready) if verb == 'create'
                     else (self._delete, self._gone))
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
            asked = dict(zip(names, threads.map(act, names), strict=True))
        sent = time.monotonic() - started
        self._wait(names, seen)
        with self._changed:
            took = [seen[name] - asked[name] for name in names]
            last = max(seen[name] for name in names)
        return {'seconds': round(last - started, 3),
                'asking_seconds': round(sent, 3),
                'p50': round(common.percentile(took, 0.5), 3),
                'p99': round(common.percentile(took, 0.99), 3)}

    def _create(self, name: str) -> float:
        at = time.monotonic()
        self._request('POST', self._path, pod(name, self._node))
        return at

    def _delete(self, name: str) -> float:
        at = time.monotonic()
        self._request('DELETE', f'{self._path}/{name}')
        return at

    def _request(self, method: str, url: str,
                 body: dict | None = None) -> None:
        answer = self._http.request(
            method, url, body=json.dumps(body) if body else None,
            headers={'Content-Type': 'application/json'})
        if answer.status >= 300:
            raise RuntimeError(f'{method} {url}: {answer.status} '
                               f'{answer.data[:300]!r}')

    def _wait(self, names: list[str], seen: dict[str, float]) -> None:
        wanted = set(names)
        with self._changed:
            if not self._changed.wait_for(lambda: wanted <= seen.keys(),
                                          self._deadline):
                missing = len(wanted - seen.keys())
                raise RuntimeError(f'{missing} of {len(names)} pods did not '
                                   f'get there in {self._deadline:.0f} s')

    def _watch(self) -> None:
        """Follow the pods for ever: a server may end a watch at any time."""
        while True:
            version = self._list()
            self._watching.set()
            self._follow(version)

    def _list(self) -> str:
        """Note all pods as they are now; return the version of that."""
        answer = self._http.request('GET', self._path)
        listed = json.loads(answer.data)
        at = time.monotonic()
        found = {item['metadata']['name']: item for item in listed['items']}
        with self._changed:
            for item in found.values():
                self._note('MODIFIED', item, at)
            for name in self._known - found.keys():
                self._note('DELETED', {'metadata': {'name': name}}, at)
            self._changed.notify_all()
        return listed['metadata']['resourceVersion']

    def _follow(self, version: str) -> None:
        """Note what changes after a version, until the watch ends."""
        answer = self._http.request(
            'GET', self._path, preload_content=False,
            fields={'watch': '1', 'resourceVersion': version},
            timeout=urllib3.Timeout(connect=10, read=None))
        rest = b''
        for chunk in answer.stream(1 << 16):
            *lines, rest = (rest + chunk).split(b'\n')
            at = time.monotonic()
            with self._changed:
                for line in lines:
                    event = json.loads(line)
                    if event['type'] == 'ERROR':
                        return
                    self._note(event['type'], event['object'], at)
                self._changed.notify_all()

    def _note(self, kind: str, seen: dict[str, typing.Any],
              at: float) -> None:
        """Note one pod; the caller holds the lock."""
        name = seen['metadata']['name']
        if kind == 'DELETED':
            self._known.discard(name)
            self._gone[name] = at
            return
        self._known.add(name)
        if name not in self._ready and _is_ready(seen):
            self._ready[name] = at


def pod(name: str, node: str) -> dict:
    """Return a pod that both kwok and Zun take as it is."""
    amounts = {'memory': '64Mi'}
    return {
        'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name},
        'spec': {
            'nodeName': node, 'automountServiceAccountToken': False,
            'tolerations': [{'operator': 'Exists'}],
            'containers': [{
                'name': 'main', 'image': 'registry.example/app:1.0',
                'imagePullPolicy': 'Always', 'args': ['serve'],
                'env': [{'name': 'MODE', 'value': 'fast'}],
                'resources': {'requests': {'cpu': '100m', **amounts},
                              'limits': amounts}}]}}


def _is_ready(thing: dict) -> bool:
    return any(condition['type'] == 'Ready' and condition['status'] == 'True'
               for condition in thing['status'].get('conditions') or [])


def _pool(kubeconfig: str) -> tuple[urllib3.PoolManager, str]:
    content = json.loads(pathlib.Path(kubeconfig).read_text())
    cluster = content['clusters'][0]['cluster']
    user = content['users'][0]['user']
    tls = ssl.create_default_context(cafile=cluster['certificate-authority'])
    tls.load_cert_chain(user['client-certificate'], user['client-key'])
    return urllib3.PoolManager(
        maxsize=_THREADS + 1, ssl_context=tls, retries=False,
        timeout=60), cluster['server']


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('kubeconfig')
    parser.add_argument('namespace')
    parser.add_argument('node')
    parser.add_argument('--deadline', type=float, default=600)
    given = parser.parse_args()
    children.serve(Load(**vars(given)).run)


if __name__ == '__main__':
    main()
