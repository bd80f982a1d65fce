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
"""Lifecycle hooks of containers: postStart and preStop.

What a hook printed or a server answered never gets into an event, as in
Kubernetes: it may hold secrets. It is for whoever reads the pod's status.
"""

from collections.abc import Mapping
import dataclasses
import functools
import threading

from zun_vk import exceptions
from zun_vk.compute import netns
from zun_vk.compute.probes import command
from zun_vk.compute.probes import dial
from zun_vk.compute.probes import http_get
from zun_vk.compute.probes import prober
from zun_vk.compute.probes import spec

POST_START_FAILED = 'FailedPostStartHook'
PRE_STOP_FAILED = 'FailedPreStopHook'
POST_START_WORDS = 'PostStartHook failed'
PRE_STOP_WORDS = 'PreStopHook failed'
#: Kubernetes 1.36
_AGENT = 'kube-lifecycle/1.36'
_DEFAULT_PORT = 80
_MAX_WORDS = 4096


@dataclasses.dataclass(frozen=True)
class Hook:
    """The container whose hook it is.

    :param container: as the pod's spec has it
    :param address: of the pod
    """

    uid: str
    namespace: str
    pod: str
    container: Mapping = dataclasses.field(repr=False)
    container_id: str
    address: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a hook ended.

    :param message: why it failed, in the kubelet's words
    """

    ok: bool
    message: str = ''


def run(handler: Mapping, hook: Hook, seconds: float,
        exec_sync: command.ExecSync, netns_pid: prober.NetnsPid,
        stop: threading.Event | None = None) -> Outcome:
    """Run a handler to its end; whatever goes wrong is an outcome.

    :param handler: ``lifecycle.postStart`` or ``lifecycle.preStop``
    :param seconds: that it may take
    :param stop: set it, and a hook that sleeps ends at once, well
    """
    if handler.get('exec') is not None:
        return _exec(handler['exec'].get('command') or [], hook, seconds,
                     exec_sync)
    if handler.get('httpGet') is not None:
        return _http(handler['httpGet'], hook, seconds, netns_pid)
    if handler.get('sleep') is not None:
        asked = handler['sleep'].get('seconds') or 0
        (stop or threading.Event()).wait(min(asked, seconds))
        return Outcome(True)
    # tcpSocket is deprecated, and the kubelet has never run it.
    return Outcome(False, 'Cannot run handler: invalid handler')


def _exec(words: list[str], hook: Hook, seconds: float,
          exec_sync: command.ExecSync) -> Outcome:
    said = ''
    try:
        stdout, stderr, code = exec_sync(hook.container_id, words, seconds)
        if code == 0:
            return Outcome(True)
        why = f'command \'{" ".join(words)}\' exited with {code}'
        said = command.text(stdout, stderr)
    except exceptions.CommandTimedOut:
        why = f'command timed out after {seconds:g}s'
    except exceptions.ZunVkError as error:
        why = str(error)
    return _failed('Exec', f'[{" ".join(words)}]', hook,
                   f'{why}, message: "{said}"')


def _http(action: Mapping, hook: Hook, seconds: float,
          netns_pid: prober.NetnsPid) -> Outcome:
    asked = spec.http_get(action)
    try:
        pid = netns_pid(hook.uid)
        if not pid:
            raise ValueError('the pod has no network')
        # Kubernetes: of hooks, unlike of probes, a port may be missing.
        port = spec.port_of(asked.port or _DEFAULT_PORT, hook.container)
        _get(functools.partial(netns.socket_in, pid), asked, hook.address,
             port, dial.Deadline.after(seconds))
    except (ValueError, exceptions.ZunVkError, http_get.Failed) as error:
        return _failed('HTTP', asked.path, hook, str(error))
    return Outcome(True)


def _get(connect: dial.Connect, asked: spec.HttpGet, address: str, port: int,
         deadline: dial.Deadline) -> None:
    """Ask; any answer is a good one."""
    request = http_get.request(asked, address, port, _AGENT)
    try:
        http_get.get(connect, request, deadline)
    except http_get.Failed as error:
        if not error.plain_http:
            raise
        # Kubernetes: hooks once ignored the scheme, so a server that speaks
        # no TLS is asked without; credentials are not for that.
        plain = dataclasses.replace(asked, scheme='http', headers=tuple(
            header for header in asked.headers
            if header[0].lower() != 'authorization'))
        http_get.get(connect, http_get.request(plain, address, port, _AGENT),
                     deadline)


def _failed(kind: str, what: str, hook: Hook, why: str) -> Outcome:
    return Outcome(False, (
        f'{kind} lifecycle hook ({what}) for Container '
        f'"{hook.container["name"]}" in Pod "{hook.pod}_{hook.namespace}'
        f'({hook.uid})" failed - error: {why}')[:_MAX_WORDS])
