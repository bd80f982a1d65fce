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
"""What of a pod was changed after its capsule was made. Pure.

Kubernetes: of a pod that runs the images can be changed, the resources be
resized, and ephemeral containers be added. Zun changes no capsule: all of
that is without effect here, which has to be said.
"""

from collections.abc import Mapping
import json


def as_made(pod: dict) -> dict[str, str]:
    """Return what a capsule is made of and may change later, by path."""
    found = {}
    for index, container in enumerate(pod['spec']['containers']):
        path = f'spec.containers[{index}]'
        found[f'{path}.image'] = container['image']
        found[f'{path}.resources'] = json.dumps(
            container.get('resources') or {}, sort_keys=True)
    return found


def concerns_host(before: dict, pod: dict) -> bool:
    """Tell whether something was changed that its host has to know.

    Not what is of the node's making: the status, and who manages fields.
    """
    return any(before['metadata'].get(name) != pod['metadata'].get(name)
               for name in ('labels', 'annotations')) or (
        before['spec'] != pod['spec'])


def ignored(made: Mapping[str, str], pod: dict) -> list[str]:
    """Return the changes that have no effect, each by path and new value.

    :param made: from ``as_made``, when the capsule was made or first seen
    """
    now = as_made(pod)
    # No pod is made with one, so any is a change.
    for index, container in enumerate(
            pod['spec'].get('ephemeralContainers') or []):
        now[f'spec.ephemeralContainers[{index}]'] = container['name']
    return [f'{path} ({value})' for path, value in now.items()
            if made.get(path) != value]
