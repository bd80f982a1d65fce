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
import concurrent.futures
import itertools
import os
import socket
import threading

import grpc
import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.compute.probes import grpc_health
from zun_vk.compute.probes import outcome


def _connect(address, port, timeout):
    return socket.create_connection((address, port), timeout)


class _Health(grpc.GenericRpcHandler):
    """Answers with the bytes, or the error, that the test gave it."""

    def __init__(self):
        self.answer = b'\x08\x01'
        self.asked = []
        self.gate = None

    def service(self, call):
        if call.method != '/grpc.health.v1.Health/Check':
            return None
        return grpc.unary_unary_rpc_method_handler(self._check)

    def _check(self, request, context):
        self.asked.append((request, dict(context.invocation_metadata())))
        if self.gate:
            self.gate.wait(10)
        if isinstance(self.answer, grpc.StatusCode):
            context.abort(self.answer, 'no such service')
        return self.answer


class GrpcHealthTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.health = _Health()
        pool = concurrent.futures.ThreadPoolExecutor(2)
        self.addCleanup(pool.shutdown)
        self.server = grpc.server(pool, handlers=[self.health])
        self.port = self.server.add_insecure_port('127.0.0.1:0')
        self.server.start()
        self.addCleanup(lambda: self.server.stop(None).wait())
        self.name = f'127.0.0.1:{self.port}'

    def _probe(self, service='', timeout=5.0, port=None):
        return grpc_health.probe(
            _connect, '127.0.0.1', port or self.port, service, timeout)

    def test_a_service_that_serves_is_healthy(self):
        self.assertEqual(outcome.success('service healthy'),
                         self._probe('my'))
        (request, metadata), = self.health.asked
        self.assertEqual(b'\x0a\x02my', request)
        self.assertTrue(
            metadata['user-agent'].startswith('kube-probe/1.36'), metadata)

    def test_a_service_that_does_not_is_not(self):
        for answer, words in ((b'\x08\x02', 'NOT_SERVING'), (b'', 'UNKNOWN'),
                              (b'\x08\x03', 'SERVICE_UNKNOWN'),
                              (b'\x08\x09', '9')):
            self.health.answer = answer
            self.assertEqual(outcome.failure(
                f'service unhealthy (responded with "{words}")'),
                self._probe())

    def test_an_unknown_service_is_a_failure(self):
        self.health.answer = grpc.StatusCode.NOT_FOUND
        self.assertEqual(outcome.failure(
            'error: health rpc probe failed: rpc error: code = NOT_FOUND '
            'desc = no such service'), self._probe())

    def test_a_server_without_health_is_told_apart(self):
        self.health.answer = grpc.StatusCode.UNIMPLEMENTED
        self.assertEqual(outcome.failure(
            'error: this server does not implement the grpc health protocol '
            '(grpc.health.v1.Health): no such service'), self._probe())

    def test_no_answer_in_time_is_a_failure(self):
        self.health.gate = threading.Event()
        self.addCleanup(self.health.gate.set)
        self.assertEqual(outcome.failure(
            'timeout: health rpc did not complete within 0.5s'),
            self._probe(timeout=0.5))

    def test_nobody_there_is_a_failure(self):
        with socket.create_server(('127.0.0.1', 0)) as gone:
            port = gone.getsockname()[1]
        self.assertEqual(outcome.failure(
            f'error: failed to connect service at "127.0.0.1:{port}": dial '
            f'tcp 127.0.0.1:{port}: connect: connection refused'),
            self._probe(port=port))

    def test_what_is_no_grpc_is_a_failure(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            def answer():
                accepted, _ = listener.accept()
                with accepted:
                    accepted.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
                    accepted.recv(4096)
            thread = threading.Thread(target=answer, name='server')
            thread.start()
            found = self._probe(port=listener.getsockname()[1], timeout=2)
            thread.join()
        self.assertIs(outcome.Verdict.FAILURE, found.verdict)

    def test_nothing_is_left_of_a_probe(self):
        self._probe()
        before = len(os.listdir('/proc/self/fd'))
        for _ in range(5):
            self._probe()
        self.assertLessEqual(len(os.listdir('/proc/self/fd')), before + 2)
        self.assertFalse([thread.name for thread in threading.enumerate()
                          if thread.name == 'probe-relay'])


class CodecTestCase(base.BaseTestCase):

    @hypothesis.given(strategies.one_of(
        strategies.text(max_size=9),
        strategies.integers(120, 20_000).map(lambda size: 'x' * size)))
    def test_a_service_is_encoded_as_protobuf_does(self, service):
        raw = service.encode()
        found = grpc_health.encode(service)
        if not raw:
            self.assertEqual(b'', found)
            return
        self.assertEqual(0x0a, found[0])
        varint = list(itertools.takewhile(lambda byte: byte > 0x7f,
                                          found[1:]))
        varint.append(found[1 + len(varint)])
        length = sum((byte & 0x7f) << 7 * index
                     for index, byte in enumerate(varint))
        self.assertEqual((len(raw), raw), (length, found[1 + len(varint):]))

    @hypothesis.given(strategies.binary(max_size=20))
    def test_no_bytes_whatsoever_are_an_error(self, message):
        grpc_health.decode(message)
