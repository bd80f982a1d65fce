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
"""Containers with every reference replaced by what it refers to.

Pure. Kubernetes: ``$(NAME)`` in command, arguments and ``subPathExpr`` is
expanded with the container's whole environment.
"""

from collections.abc import Mapping
import json

from zun_vk import exceptions
from zun_vk.pods import environment
from zun_vk.pods import expansion

# Beside name and value, what a variable takes.
_BESIDE = len(json.dumps({'name': '', 'value': ''}))
# Of longer texts it counts how many of their characters are escaped.
_SHORT = 1024


def resolved(container: dict, variables: Mapping[str, str]) -> dict:
    """Return a container that needs nothing more; the one given stays.

    :param variables: its environment
    :raises NotYetResolvable: a path or an argument cannot be made of it
    """
    made = _bare(container)
    made['env'] = [{'name': name, 'value': value}
                   for name, value in variables.items()]
    for field in ('command', 'args'):
        if container.get(field):
            made[field] = _expanded(container, field, variables)
    if container.get('volumeMounts'):
        made['volumeMounts'] = [_mount(mount, variables)
                                for mount in container['volumeMounts']]
    return made


def unresolved(container: dict) -> dict:
    """Return a container that cannot be made, without what it refers to."""
    return _bare(container) | {'env': []}


def size(container: dict) -> int:
    """Return how many bytes one without references takes, about."""
    rest = {name: value for name, value in container.items()
            if name != 'env'}
    return len(json.dumps(rest)) + sum(
        _BESIDE + len(entry['name']) + _length(entry['value'])
        for entry in container['env'])


def _length(text: str) -> int:
    return len(text) if len(text) < _SHORT else len(json.dumps(text))


def _bare(container: dict) -> dict:
    return {name: value for name, value in container.items()
            if name not in ('env', 'envFrom')}


def _expanded(container: dict, field: str,
              variables: Mapping[str, str]) -> list[str]:
    made, left = [], environment.MAX_BYTES
    for text in container[field]:
        try:
            made.append(expansion.expand(text, variables, left))
        except expansion.TooLong:
            raise _failed(f'the {field} of container {container["name"]} '
                          f'take more than {environment.MAX_BYTES} bytes'
                          ) from None
        left -= max(0, len(made[-1]) - len(text))
    return made


def _mount(mount: dict, variables: Mapping[str, str]) -> dict:
    text = mount.get('subPathExpr')
    if not text:
        return mount
    missing = sorted(name for name in expansion.references(text)
                     if not variables.get(name))
    if missing:
        raise _failed(f'missing value for {", ".join(missing)}')
    try:
        path = expansion.expand(text, variables, environment.MAX_BYTES)
    except expansion.TooLong:
        raise _failed('unable to provision SubPath: it is too long') from None
    _check(path)
    return {name: value for name, value in mount.items()
            if name != 'subPathExpr'} | {'subPath': path}


def _check(path: str) -> None:
    # The path is not shown: a Secret may be in it.
    if path.startswith('/'):
        raise _failed('SubPath must not be an absolute path')
    if '..' in path.split('/'):
        raise _failed("unable to provision SubPath: must not contain '..'")


def _failed(message: str) -> exceptions.NotYetResolvable:
    return exceptions.NotYetResolvable(environment.FAILED, message)
