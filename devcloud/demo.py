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
"""tools/demo: pods on the virtual node, shown from every side.

Brings the cloud and the agent up, runs a Deployment of two replicas and one
bare pod, and believes nothing that it has not compared: pods with Neutron's
ports, the node with Placement. Leaves all of it running.
"""

from collections.abc import Callable
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any
import urllib.parse

from devcloud import api
from devcloud import commands
from devcloud import demo_view
from devcloud import errors
from devcloud import preconditions
from devcloud import progress
from devcloud import web

NAMESPACE = 'default'
LABEL = 'app.kubernetes.io/part-of=zun-vk-demo'
REPLICAS = 2
PODS = REPLICAS + 1
READY_SECONDS = 60
# The agent looks at Placement every 10 s
CAPACITY_SECONDS = 15
SERVE = ('mkdir /www; echo "hello from $0" >/www/index.html; '
         'trap exit TERM; httpd -f -p 8080 -h /www & wait')


def pod_spec(name: str) -> dict[str, Any]:
    """A web server that ends when told to, for the virtual node only."""
    return {
        'nodeSelector': {'type': 'virtual-kubelet'},
        'tolerations': [{
            'key': 'virtual-kubelet.io/provider', 'operator': 'Equal',
            'value': 'zun', 'effect': 'NoSchedule'}],
        'containers': [{
            'name': 'web', 'image': 'busybox',
            'command': ['sh', '-c', SERVE, name],
            'ports': [{'name': 'http', 'containerPort': 8080}],
            'resources': {'requests': {'cpu': '1', 'memory': '64Mi'}},
        }],
    }


def manifests() -> dict[str, Any]:
    """The Deployment and the bare pod."""
    key, _, value = LABEL.partition('=')
    labels = {key: value}
    return {'apiVersion': 'v1', 'kind': 'List', 'items': [
        {'apiVersion': 'apps/v1', 'kind': 'Deployment',
         'metadata': {'name': 'demo-web', 'namespace': NAMESPACE,
                      'labels': labels},
         'spec': {'replicas': REPLICAS,
                  'selector': {'matchLabels': {'app': 'demo-web'}},
                  'template': {
                      'metadata': {'labels': {'app': 'demo-web', **labels}},
                      'spec': pod_spec('demo-web')}}},
        {'apiVersion': 'v1', 'kind': 'Pod',
         'metadata': {'name': 'demo-pod', 'namespace': NAMESPACE,
                      'labels': labels},
         'spec': pod_spec('demo-pod')},
    ]}


def wrong_addresses(pods: list[dict], capsules: dict[str, dict],
                    ports: dict[str, dict]) -> list[str]:
    """What does not fit between pods, capsules and ports, in words.

    :param capsules: by the UID of their pod
    :param ports: by ID
    """
    problems = []
    for pod in pods:
        name, uid = pod['metadata']['name'], pod['metadata']['uid']
        address = pod['status'].get('podIP')
        if uid not in capsules:
            problems.append(f'pod {name}: Zun has no capsule of it')
            continue
        fixed = {entry['ip_address']
                 for _, port in demo_view.addresses(capsules[uid])
                 for entry in ports.get(port, {}).get('fixed_ips', [])}
        if address not in fixed:
            problems.append(
                f'pod {name}: its IP {address} is not its Neutron port\'s '
                f'({", ".join(sorted(fixed)) or "none"})')
    return problems


class Demo:
    """One run.

    :param cloud: the devcloud, not necessarily up yet
    """

    def __init__(self, cloud: api.Devcloud, screen: progress.Screen):
        self._cloud = cloud
        self._screen = screen
        self._view = demo_view.View(cloud)
        self._wake = threading.Event()

    def run(self) -> list[str]:
        """Do everything.

        :returns: what is wrong, in words; empty if all is well
        """
        self._cloud.up()
        self._project_environment()
        if not self._cloud.start_agent():
            self._screen.say('the agent runs already')
        if problem := self._wait('node', 60, self._cloud.node_problem):
            return [problem]
        self._remove_earlier()
        pods, problems = self._run_pods()
        self._wait('node', CAPACITY_SECONDS, lambda: self._behind(pods))
        self._view.show(pods)
        return problems or self._compare(pods)

    def _project_environment(self) -> None:
        where = self._cloud.paths
        log = where.log('project-venv')
        progress.Runner(self._screen, lambda: None).run([progress.Step(
            'environment of the project', lambda: commands.Commands().run(
                (where.checkout / 'tools' / 'venv',), log), log=log)])

    def _wait(self, what: str, seconds: float,
              problem: Callable[[], str]) -> str:
        """Wait until there is no problem; what the last one was."""
        deadline = time.monotonic() + seconds
        while words := problem():
            if time.monotonic() > deadline:
                return f'{what}: {words} after {seconds:.0f} s'
            self._wake.wait(0.2)
        return ''

    def _get(self, path: str) -> dict[str, Any]:
        return self._cloud.kubernetes().must('GET', path).json()

    def _pods(self) -> list[dict[str, Any]]:
        selector = urllib.parse.quote(LABEL)
        return self._get(f'/api/v1/namespaces/{NAMESPACE}/pods'
                         f'?labelSelector={selector}')['items']

    def _kubectl(self, *words: str, text: str = '') -> None:
        done = subprocess.run(
            [self._cloud.kubectl, '--namespace', NAMESPACE, *words],
            env={**os.environ, **self._cloud.environment()}, input=text,
            text=True, capture_output=True)
        if done.returncode:
            raise errors.DevcloudError(
                f'kubectl {" ".join(words)}: {done.stderr.strip()}')

    def _remove_earlier(self) -> None:
        """Start anew: pods of an earlier run prove nothing."""
        if not self._pods():
            return
        self._screen.say('removing the pods of an earlier run')
        self._kubectl('delete', 'deployment,pod', '--selector', LABEL,
                      '--wait=false')
        problem = self._wait('earlier pods', 60, lambda: ', '.join(
            pod['metadata']['name'] for pod in self._pods()))
        if problem:
            raise errors.DevcloudError(f'not removed: {problem}')

    def _run_pods(self) -> tuple[list[dict], list[str]]:
        self._screen.say(f'creating a Deployment of {REPLICAS} replicas and '
                         'a bare pod')
        begin = time.monotonic()
        self._kubectl('apply', '-f', '-', text=json.dumps(manifests()))
        problem = self._wait('pods', READY_SECONDS, self._not_ready)
        if problem:
            return self._pods(), [problem, *self._complaints()]
        self._screen.say(f'{PODS} pods are Ready after '
                         f'{time.monotonic() - begin:.1f} s')
        return self._pods(), []

    def _not_ready(self) -> str:
        pods = self._pods()
        late = [pod['metadata']['name'] for pod in pods
                if not demo_view.is_ready(pod)]
        if len(pods) < PODS:
            late.append(f'{PODS - len(pods)} not created')
        return f'not Ready: {", ".join(late)}' if late else ''

    def _complaints(self) -> list[str]:
        """What the cluster's events say about our pods."""
        events = self._get(f'/api/v1/namespaces/{NAMESPACE}/events'
                           '?fieldSelector=type%3DWarning')['items']
        late = {pod['metadata']['name'] for pod in self._pods()
                if not demo_view.is_ready(pod)}
        return [f'{row["involvedObject"]["name"]}: {row["reason"]}: '
                f'{row["message"]}' for row in events
                if row['involvedObject'].get('name') in late][-6:]

    def _compare(self, pods: list[dict]) -> list[str]:
        problems = wrong_addresses(pods, self._view.capsules(),
                                   self._view.ports())
        for pod in [] if problems else pods:
            peer = web.Peer(f'http://{pod["status"]["podIP"]}:8080')
            problems += filter(None, [self._wait(
                f'pod {pod["metadata"]["name"]}', 10,
                functools.partial(self._no_greeting, peer))])
        if not problems:
            self._screen.say("every pod's IP is its Neutron port's, and its "
                             'web server answers there')
        return problems

    @staticmethod
    def _no_greeting(peer: web.Peer) -> str:
        try:
            reply = peer.call('GET', '/', timeout=3)
        except web.UNREACHABLE as error:
            return f'no answer at {peer.url} ({error})'
        return '' if b'hello' in reply.body else f'HTTP {reply.status}'

    def _behind(self, pods: list[dict]) -> str:
        """'' once the node shows Placement's figures of after our pods."""
        offered = self._get(f'/api/v1/nodes/{api.NODE}')['status']
        free = sum(demo_view.free_vcpus(self._cloud.openstack('admin'), host)
                   for host in self._cloud.hosts())
        wanted = str(free + len(pods))
        return '' if offered['allocatable'].get('cpu') == wanted else 'behind'


NEXT = """
What to type next:
  eval "$(devcloud/devcloud env)"         kubectl get nodes,pods -o wide
                                          kubectl scale deploy demo-web \
--replicas=5
  eval "$(devcloud/devcloud env demo)"    openstack capsule list
  devcloud/devcloud status                devcloud/devcloud logs agent
How to stop:
  devcloud/devcloud down                  (tools/demo brings it back)
  devcloud/devcloud wipe                  (forgets everything)"""


def main() -> int:
    """The program.

    :returns: 0; 1 if something is wrong, 2 if the machine lacks something
    """
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if lack := preconditions.missing():
        print(f'tools/demo: {lack}', file=sys.stderr)
        return 2
    screen = progress.Screen()
    try:
        problems = Demo(api.Devcloud(), screen).run()
    except errors.LoggedFailure as error:
        problems = [error.report()]
    except errors.DevcloudError as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        print('tools/demo: interrupted', file=sys.stderr)
        return 130
    for problem in problems:
        print(f'tools/demo: {problem}', file=sys.stderr)
    if problems:
        return 1
    print(NEXT)
    return 0


if __name__ == '__main__':
    sys.exit(main())
