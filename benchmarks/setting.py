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
"""What is measured, and what it is measured against, as real processes.

A real etcd (that syncs to disk) and API server, the fake OpenStack in a
process of its own, the agent as an operator runs it, and kwok.
"""

import contextlib
import functools
import os
import pathlib
import shutil
import socket
import subprocess
import types
import typing

from benchmarks import accounting
from benchmarks import children
from benchmarks import common
from devcloud import binaries
from devcloud import commands
from devcloud import paths
from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import process
from zun_vk.tests.fixtures import wait

KWOK = 'sigs.k8s.io/kwok/cmd/kwok@v0.7.0'
_BUILD_MINUTES = 15


@functools.cache
def find_programs() -> None:
    """Let the fixtures find etcd and kube-apiserver; build them if need be.

    Nothing to do where $KUBEBUILDER_ASSETS or PATH has them.
    """
    try:
        kubernetes.program('kube-apiserver')
    except kubernetes.ProgramMissing:
        where = paths.Paths.from_environment()
        found = binaries.Binaries(where, commands.Commands()).ensure()
        os.environ['KUBEBUILDER_ASSETS'] = str(found)


def kwok_program() -> pathlib.Path:
    """Return kwok, built by Go into the cache of the devcloud if need be."""
    folder = paths.Paths.from_environment().cache / 'kwok' / KWOK.split('@')[1]
    program = folder / 'kwok'
    if not os.access(program, os.X_OK):
        common.say('building kwok, once')
        go = shutil.which('go') or '/usr/local/go/bin/go'
        subprocess.run([go, 'install', KWOK], check=True,
                       timeout=_BUILD_MINUTES * 60, stdout=subprocess.DEVNULL,
                       env={**os.environ, 'GOBIN': str(folder)})
    return program


@contextlib.contextmanager
def control_plane() -> typing.Iterator[kubernetes.Kubernetes]:
    """An etcd and an API server of their own."""
    find_programs()
    with kubernetes.Kubernetes(fsync=True) as kube:
        yield kube


@contextlib.contextmanager
def cloud(log: pathlib.Path) -> typing.Iterator[children.Child]:
    """The fake OpenStack."""
    with children.Child('benchmarks.cloud', log=log) as child:
        yield child


@contextlib.contextmanager
def agent(kube: kubernetes.Kubernetes, openstack: children.Child, node: str,
          options: agent_module.Options) -> typing.Iterator['Node']:
    """The agent, registered, with the options an operator starts from."""
    address = openstack.ask('address')
    fake = types.SimpleNamespace(
        keystone=types.SimpleNamespace(url=address['keystone']),
        project=address['project'])
    port = free_port()
    defaults: agent_module.Options = {
        'DEFAULT': {'debug': False},
        'metrics': {'port': port},
        'kubernetes': {'timeout': 30},
        'node': {'capacity_interval': 10, 'pods_per_host': 10000},
        # The bound on requests protects a Zun that is slower than this one.
        'zun': {'poll_interval': 10, 'timeout': 60,
                'requests_per_second': 10000}}
    for section, values in options.items():
        defaults.setdefault(section, {}).update(values)
    with agent_module.Agent(kube, fake, node, defaults) as running:
        running.start_ready()
        yield Node(node, accounting.Usage(running.pid),
                   f'http://127.0.0.1:{port}/metrics', running.text)


@contextlib.contextmanager
def kwok(kube: kubernetes.Kubernetes, node: str) -> typing.Iterator['Node']:
    """A kwok that manages one node."""
    program = kwok_program()
    kube.api.create_node({'metadata': {'name': node}})
    log = kube.directory / 'kwok.log'
    child = process.Process(
        [str(program), f'--kubeconfig={kube.kubeconfig}',
         f'--manage-single-node={node}', '--node-lease-duration-seconds=40'],
        log)
    try:
        wait.wait_for(lambda: _is_ready(kube, node), 'kwok ready', 60,
                      seen=child.tail)
        yield Node(node, accounting.Usage(child.pid), None, child.text)
    finally:
        child.end()
        kube.api.delete_node(node)


class Node(typing.NamedTuple):
    """What runs the pods of one node.

    :param metrics: URL of its own metrics, where it has them
    :param log: returns what it has logged
    """

    name: str
    usage: accounting.Usage
    metrics: str | None
    log: typing.Callable[[], str]


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as held:
        return held.getsockname()[1]


def _is_ready(kube: kubernetes.Kubernetes, node: str) -> bool:
    conditions = kube.api.node(node)['status'].get('conditions') or []
    return any(c['type'] == 'Ready' and c['status'] == 'True'
               for c in conditions)
