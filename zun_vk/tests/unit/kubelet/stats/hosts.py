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
"""Hosts that tell what their pods use, and a node with pods on them."""

import threading
import types

from oslo_config import cfg

from zun_vk import exceptions
from zun_vk.kubelet import context
from zun_vk.kubelet.stats import gather
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import stats

NANO = 10 ** 9


def pod_object(uid, name=None, namespace='ns', **status):
    return {'metadata': {'uid': uid, 'name': name or f'pod-{uid}',
                         'namespace': namespace}, 'status': status}


def measured(uid, cores=1, sandbox='', at=100.0, started=50.0):
    """A pod with one container, as its host tells."""
    return stats.Pod(uid, sandbox or f's-{uid}', started, (
        stats.Container('web', f'k-{uid}', started, 'i:1',
                        stats.Cpu(at, int(cores * NANO), NANO // 2),
                        stats.Memory(at, 3000, 2000, 1000)),))


class Hosts:
    """The bus, and what each host answers.

    :ivar told: by host, what it tells: pods, wires, an error to raise, or
        an event to wait for first
    :ivar asked: (host, kind) of each question
    """

    def __init__(self):
        self.told = {}
        self.asked = []
        self.nodes = set()

    def peer(self, topic, host):
        assert topic == bus_module.COMPUTE

        def call(method, timeout, node, kind):
            assert method == 'stats'
            self.asked.append((host, kind))
            self.nodes.add(node)
            found = self.told[host]
            if isinstance(found, threading.Event):
                if not found.wait(timeout):
                    raise exceptions.Unreachable('bus', 'late')
                found = []
            if isinstance(found, Exception):
                raise found
            return {'pods': [each.to_wire() if isinstance(each, stats.Pod)
                             else each for each in found]}
        return types.SimpleNamespace(call=call)


class NodePods:
    """The pods of a node.

    :ivar on: by uid, the host
    """

    def __init__(self, *pods, **on):
        self.pods = list(pods)
        self.on = on

    def all(self):
        return self.pods

    def find(self, namespace, name, uid=''):
        raise NotImplementedError

    def host_of(self, uid):
        return self.on.get(uid)

    def hosts(self):
        return set(self.on.values())


class Exchange:
    """A request; what is answered is kept."""

    method, path = 'GET', '/'

    def __init__(self, **query):
        self.query = {name: [value] for name, value in query.items()}
        self.status, self.body, self.type = 0, b'', ''

    def send(self, status, body=b'', content_type=context.TEXT,
             headers=None):
        self.status, self.body, self.type = status, body, content_type


def services(pods, hosts, on_hosts=True, guard=lambda: None):
    return context.Services(
        conf=cfg.ConfigOpts(), node='zun', node_address='10.0.0.1',
        pods=pods, bus=hosts, on_hosts=on_hosts, guard=guard,
        gatherer=gather.Gatherer())
