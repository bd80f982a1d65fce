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
"""From a pod to the capsule template that stock Zun accepts.

Pure: a pod as the API server has it and its environment go in, a template
(Zun's capsule schema) comes out, with a list of what Zun will understand
differently. Nothing is looked up and nothing is sent. No repr shows a value
of a variable.
"""

from collections.abc import Mapping
import dataclasses
import json
import math
import re

from zun_vk import exceptions
from zun_vk.pods import amounts
from zun_vk.pods import discretion
from zun_vk.pods import environment
from zun_vk.pods import expansion
from zun_vk.pods import identity
from zun_vk.pods import support

# Zun's defaults of minimum_cpus and minimum_memory: a smaller request is
# rounded up to them. Their upper bounds are the operator's to set, so what
# is above is left to Zun to refuse.
MINIMUM_CPUS = 0.1
MINIMUM_MEMORY_MIB = 4
# Zun keeps variables, commands and ports as JSON in columns of this many
# bytes (TEXT), and a working directory in one of so many characters. It
# answers 500 to what is longer.
MAX_JSON_BYTES = 65535
MAX_DIRECTORY = 255
# Zun's schema of an image: its length, and what must be somewhere in it.
IMAGE_LENGTHS = range(2, 256)
_IMAGE = re.compile('[a-zA-Z0-9][a-zA-Z0-9_.-]')
_MIB = 1024 ** 2
_MILLI = 1000
# Kubernetes: the API server's default.
_GRACE_PERIOD = 30


@dataclasses.dataclass(frozen=True)
class Translation:
    """A capsule for a pod.

    :param template: body of Zun's ``POST /v1/capsules``, under "template"
    :param differences: sentences on fields to which Zun gives another
        meaning than a kubelet
    :param token_volume: the pod has a service account token volume, which
        is not mounted
    :param sensitive: names of variables that hold a Secret's value
    """

    template: dict = dataclasses.field(repr=False)
    differences: list[str]
    token_volume: bool
    sensitive: frozenset[str] = frozenset()

    @property
    def secrets(self) -> discretion.Secrets:
        """What the capsule is given of Secrets."""
        return discretion.Secrets(
            (name, value)
            for container in self.template['spec']['containers']
            for name, value in container.get('env', {}).items()
            if name in self.sensitive)


def check(pod: dict) -> None:
    """Look whether Zun can carry ``pod``, whatever its variables are.

    :raises UnsupportedPod: it cannot
    """
    refused = support.refused(pod) + unreadable(pod) + _unfit(pod)
    if refused:
        raise exceptions.UnsupportedPod(refused)


def translate(pod: dict, owner: identity.Owner,
              variables: environment.Environment) -> Translation:
    """Return the capsule of ``pod``.

    :raises UnsupportedPod: the pod asks for what Zun cannot carry
    :raises NotYetResolvable: its variables are more than Zun can carry
    """
    check(pod)
    spec = pod['spec']
    template = {
        'kind': 'capsule',
        'metadata': {
            'name': identity.capsule_name(pod),
            'labels': owner.labels(pod),
            'annotations': identity.annotations(pod),
        },
        'spec': {
            'restartPolicy': spec.get('restartPolicy', 'Always'),
            'containers': [
                _container(c, variables.variables.get(c['name'], {}))
                for c in spec['containers']],
        },
    }
    if owner.zone:
        template['availabilityZone'] = owner.zone
    return Translation(template, differences(pod),
                       bool(support.token_volumes(pod)),
                       variables.sensitive)


def differences(pod: dict) -> list[str]:
    """Return what Zun does otherwise than a kubelet with this pod."""
    spec = pod['spec']
    found = []
    grace = spec.get('terminationGracePeriodSeconds', _GRACE_PERIOD)
    if grace != _GRACE_PERIOD:
        found.append("spec.terminationGracePeriodSeconds: containers are "
                     "stopped with Zun's own time-out")
    for index, container in enumerate(spec['containers']):
        path = f'spec.containers[{index}]'
        found += _container_differences(container, path)
        found += [f'{path}.{field}: Zun keeps the value in its database'
                  for field, kind, _ in environment.references(container)
                  if kind == environment.SECRET]
    return found


def requests(pod: dict) -> tuple[int, int]:
    """Return what the scheduler counts for ``pod``: milli-CPU and bytes."""
    return (amounts.pod(pod, amounts.CPU), amounts.pod(pod, amounts.MEMORY))


def _container(container: dict, variables: Mapping[str, str]) -> dict:
    result = {'image': container['image'], **_words(container, variables)}
    if variables:
        result['env'] = dict(variables)
        if len(json.dumps(result['env'])) > MAX_JSON_BYTES:
            raise _too_much(container, 'variables', (
                '; enableServiceLinks: false leaves out those of Services'))
    if container.get('ports'):
        result['ports'] = ports(container)
    requested = _resources(container)
    if requested:
        result['resources'] = {'requests': requested}
    for field, zun_field in (('workingDir', 'workDir'), ('tty', 'tty'),
                             ('imagePullPolicy', 'imagePullPolicy'),
                             ('stdin', 'stdin')):
        if container.get(field):
            result[zun_field] = container[field]
    return result


def ports(container: dict) -> list[dict]:
    """Return a container's ports as Zun takes them."""
    return [{'containerPort': port['containerPort'],
             'protocol': port.get('protocol', 'TCP')}
            for port in container.get('ports') or []]


def _words(container: dict,
           variables: Mapping[str, str]) -> dict[str, list[str]]:
    """Return command and args with their references expanded."""
    room = MAX_JSON_BYTES
    found: dict[str, list[str]] = {}
    for field in ('command', 'args'):
        for word in container.get(field) or []:
            try:
                expanded = expansion.expand(word, variables, room)
            except expansion.TooLong:
                raise _too_much(container, 'command and args') from None
            room -= len(json.dumps([expanded]))
            if room < 0:
                raise _too_much(container, 'command and args')
            found.setdefault(field, []).append(expanded)
    return found


def _too_much(container: dict, what: str,
              hint: str = '') -> exceptions.NotYetResolvable:
    return exceptions.NotYetResolvable(
        environment.FAILED, f'the {what} of container {container["name"]} '
        f'take more than the {MAX_JSON_BYTES} bytes that Zun keeps{hint}')


def _resources(container: dict) -> dict:
    """Return Zun's one number for each resource.

    Zun makes CPU a share, as Kubernetes does with a request, and memory a
    hard limit, as Kubernetes does with a limit.
    """
    requests: dict = {}
    # A request of 0 asks for nothing of Zun either: it knows no such share.
    cpu = next(filter(None, amounts.of_resources(
        container, amounts.CPU, amounts.REQUEST_FIRST)), 0)
    if cpu:
        requests['cpu'] = max(MINIMUM_CPUS, cpu / _MILLI)
    memory = next(filter(None, amounts.of_resources(
        container, amounts.MEMORY, amounts.LIMIT_FIRST)), 0)
    if memory:
        requests['memory'] = max(MINIMUM_MEMORY_MIB,
                                 math.ceil(memory / _MIB))
    return requests


def unreadable(pod: dict) -> list[str]:
    """Return the paths of resource amounts that are not quantities."""
    paths = []
    for index, container in enumerate(pod['spec'].get('containers') or []):
        for kind in ('limits', 'requests'):
            given = (container.get('resources') or {}).get(kind) or {}
            paths += [f'spec.containers[{index}].resources.{kind}.{name}'
                      for name in (amounts.CPU, amounts.MEMORY)
                      if name in given
                      and amounts.parse(name, given[name]) is None]
    return paths


def _unfit(pod: dict) -> list[str]:
    """Return the paths of fields that no setting of Zun's lets through.

    They are longer than its columns, or than its schema allows.
    """
    paths = []
    for index, container in enumerate(pod['spec'].get('containers') or []):
        image = container['image']
        if not is_image(image):
            paths.append(f'spec.containers[{index}].image')
        if len(container.get('workingDir') or '') > MAX_DIRECTORY:
            paths.append(f'spec.containers[{index}].workingDir')
        if len(json.dumps(ports(container))) > MAX_JSON_BYTES:
            paths.append(f'spec.containers[{index}].ports')
    return paths


def is_image(name: str) -> bool:
    """Tell whether Zun's schema lets an image have this name."""
    return len(name) in IMAGE_LENGTHS and bool(_IMAGE.search(name))


def _container_differences(container: dict, path: str) -> list[str]:
    found = []
    resources = container.get('resources') or {}
    requests, limits = (resources.get(kind) or {}
                        for kind in ('requests', 'limits'))
    if container.get('command'):
        found.append(f"{path}.command: the image's ENTRYPOINT stays and gets "
                     'the command as its arguments')
    if container.get('imagePullPolicy', 'Always') != 'Always':
        found.append(f'{path}.imagePullPolicy: Zun always pulls, unless its '
                     'policy lets the user choose')
    if 'cpu' in limits:
        found.append(f'{path}.resources.limits.cpu: not enforced, the '
                     'request is a share')
    if 'memory' in requests and 'memory' not in limits:
        found.append(f'{path}.resources.requests.memory: enforced as the '
                     'limit')
    return found
