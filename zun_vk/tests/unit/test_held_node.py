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
"""All parts of one node, against services that keep what they are asked."""

import collections
import http.client
import pathlib
import socket
import ssl
from unittest import mock

import fixtures
import yaml

from zun_vk import health
from zun_vk import held_node
from zun_vk import workqueue
from zun_vk.cloud import sessions
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.kube import lease
from zun_vk.kube import node_identity
from zun_vk.node import zones
from zun_vk.pods import controller
from zun_vk.pods import creation
from zun_vk.pods.runtimes import rest
from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures.openstack import http as fake_http
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.unit.cloud import base
from zun_vk.tests.unit.kube import api
from zun_vk.tests.unit.pods import strategies

_NODE = 'zun-vk'
_NOW = '2026-01-31T12:00:00Z'
_READS = ('GET', 'HEAD')


class _Cluster(api.Api):
    """An API server whose pods stay as they are, and that has no node."""

    def __init__(self, lock):
        super().__init__(lock)
        self.pods = []

    def answer(self, request):
        with self.lock:
            self.seen.append(request)
        if request.method not in _READS:
            return fake_http.Response(200, _taken(request.json))
        if request.path == '/version':
            return fake_http.Response(200, {'gitVersion': 'v1.36.3'})
        if request.path == '/api/v1/pods' and 'watch' not in request.query:
            return fake_http.Response(200, {
                'items': self.pods, 'metadata': {'resourceVersion': '9'}})
        if request.path.endswith('/pods'):
            return fake_http.Response(200, {'items': []})
        return fake_http.Response(404, {'message': 'no'})

    def sent(self):
        """Return method and last part of the path of each request."""
        with self.lock:
            return [(request.method, request.path.rsplit('/', 1)[-1])
                    for request in self.seen]


def _taken(body):
    metadata = {'name': 'x', 'uid': 'x', 'resourceVersion': '7'}
    return {**body, 'metadata': {**metadata, **body.get('metadata', {})}}


class FenceTestCase(base.CloudTestCase):
    """A node with work of every kind in hand."""

    # How often each is tried for sure: the first is left to the writer.
    PODS = {'new': 0, 'to-make': 2, 'gone': 2, 'going': 2, 'failed': 2}

    def setUp(self):
        super().setUp()
        # What is missing in Zun's first list is missing.
        for module, name, seconds in ((creation, 'SETTLE', 0),
                                      (controller, '_LOOK_AGAIN', 0.05)):
            self.useFixture(fixtures.MockPatchObject(
                module, name, seconds))
        self.handled = collections.Counter()
        done = workqueue.WorkQueue.done

        def count(queue, uid):
            self.handled[uid] += 1
            done(queue, uid)

        self.useFixture(fixtures.MockPatchObject(
            workqueue.WorkQueue, 'done', count))
        self.cluster = _Cluster(self.cloud.lock)
        self.cluster.start()
        self.addCleanup(self.cluster.stop)
        self.make_work()

    def make_work(self):
        taken_up = {'phase': 'Pending', 'startTime': _NOW}
        self.add_pod('new')
        self.add_pod('to-make', taken_up)
        self.add_pod('gone', taken_up)['metadata'][
            'deletionTimestamp'] = _NOW
        going = self.add_pod('going', taken_up)
        going['metadata']['deletionTimestamp'] = _NOW
        self.add_capsule(going)
        failed = self.add_capsule(self.add_pod('failed', taken_up))
        self.cloud.change(failed, 'Error', 'no such image')

    def add_pod(self, name, status=None):
        pod = strategies.pod(name=name, uid=f'uid-of-{name}', status=status)
        self.cluster.pods.append(pod)
        return pod

    def add_capsule(self, pod):
        return self.cloud.add_capsule(strategies.OWNER.labels(pod))

    def start(self, fence):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        config = folder / 'kubeconfig'
        config.write_text(yaml.safe_dump(
            api.kubeconfig(server=self.cluster.url)))
        self.authority = pki.Authority(folder)
        pair = self.authority.issue('kubelet', 'system:node:zun-vk',
                                    addresses=('127.0.0.1',))
        conf = self.conf
        for section, name, value in (
                ('agent', 'state_path', str(folder / 'state')),
                ('kubelet_api', 'address', '127.0.0.1'),
                ('kubelet_api', 'port', 21350),
                ('kubelet_api', 'cert_file', str(pair[0])),
                ('kubelet_api', 'key_file', str(pair[1])),
                ('kubernetes', 'kubeconfig', str(config)),
                ('kubernetes', 'node_identity', 'kubeconfig'),
                ('node', 'capacity_interval', 1),
                ('zun', 'poll_interval', 1),
                ('tenants', 'default_project', self.cloud.project)):
            conf.set_override(name, value, group=section)
        well = health.Health()
        gates = throttle.Throttles('zun', 1000)
        held = held_node.HeldNode(
            conf, zones.VirtualNode(_NODE), strategies.OWNER,
            node_identity.NodeIdentity(conf, mock.Mock(), _NODE, well),
            fence, well,
            zun.SharedZunClient(sessions.ServiceAccess(conf, 'zun'), gates),
            gates, rest.RestRuntime, lambda node: None)
        self.addCleanup(held.join, 10)
        self.addCleanup(held.stop)
        held.start()
        return held

    def changes(self):
        """Return what was sent that changes anything, each once."""
        requests = self.cluster.sent()
        for service in (self.cloud.zun, self.cloud.placement):
            with self.cloud.lock:
                requests += service.requests
        return {request for request in requests if request[0] not in _READS}

    def is_tried(self):
        """All was begun: some again and again, for it could not be done."""
        return (all(self.handled[f'uid-of-{name}'] > tries
                    for name, tries in self.PODS.items())
                and self.cluster.sent().count(('GET', _NODE)) > 1)

    def test_behind_a_closed_fence_nothing_is_changed_anywhere(self):
        fence = lease.Fence(_NODE)
        held = self.start(fence)
        wait_for(lambda: self.changes() or self.is_tried(), 'all tried', 30,
                 seen=lambda: (self.handled, self.cluster.sent()))
        self.assertEqual(set(), self.changes())

        fence.open_until(float('inf'))

        # So all that was due. A pod's status and the node's end alike.
        held.resync()
        due = {('POST', '/v1/capsules'), ('DELETE', '/v1/capsules/{ident}'),
               ('DELETE', '/allocations/{consumer}'), ('POST', 'nodes'),
               ('POST', 'events'), ('PATCH', 'status'), ('DELETE', 'gone')}
        wait_for(lambda: due <= self.changes(), 'all done', 30,
                 seen=self.changes)

    def port(self):
        """Return the port that the Node was last written to have."""
        with self.cluster.lock:
            written = [request.json['status'] for request in self.cluster.seen
                       if request.method == 'PATCH'
                       and request.path == f'/api/v1/nodes/{_NODE}/status']
        return written and written[-1]['daemonEndpoints']['kubeletEndpoint'][
            'Port']

    def test_its_kubelet_api_is_served_where_the_node_says_until_a_stop(self):
        fence = lease.Fence(_NODE)
        fence.open_until(float('inf'))
        held = self.start(fence)
        wait_for(self.port, 'a port in the status', 30)
        port = self.port()
        connection = http.client.HTTPSConnection(
            '127.0.0.1', port, timeout=10, context=ssl.create_default_context(
                cafile=str(self.authority.certificate)))
        connection.request('GET', '/healthz')

        self.assertEqual(401, connection.getresponse().status)

        connection.close()
        held.stop()
        self.assertEqual([], held.join(20))
        self.assertRaises(ConnectionRefusedError, socket.create_connection,
                          ('127.0.0.1', port), 5)
