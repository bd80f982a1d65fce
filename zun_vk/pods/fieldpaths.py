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
"""The values of a pod's own fields: the downward API.

Pure. The pod's own addresses are known only once it has a port: what is
resolved before then cannot have them.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import re

from zun_vk import exceptions
from zun_vk import quantity

_VERSION = 'v1'
# Kubernetes: the key of a label or annotation may stand in brackets.
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]",
                        re.DOTALL)
_METADATA = ('metadata.name', 'metadata.namespace', 'metadata.uid')
_SPEC = ('spec.nodeName', 'spec.serviceAccountName')
_STATUS = ('status.hostIP', 'status.hostIPs')
_ADDRESSES = ('status.podIP', 'status.podIPs')
# Whole maps: for files only.
_MAPS = ('metadata.labels', 'metadata.annotations')
# Go's strconv.Quote.
_ESCAPES = {'"': '\\"', '\\': '\\\\', '\a': '\\a', '\b': '\\b',
            '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v'}
_RESOURCES = frozenset(
    f'{kind}.{name}' for kind in ('limits', 'requests')
    for name in ('cpu', 'memory', 'ephemeral-storage'))


def has_field(reference: dict, addressed: bool = False) -> bool:
    """Tell whether the ``fieldRef`` of a variable has a value.

    :param addressed: whether the pod's own addresses are known then
    """
    known = _METADATA + _SPEC + _STATUS + (_ADDRESSES if addressed else ())
    return _is_one_of(known, reference)


def has_file_field(reference: dict) -> bool:
    """Tell whether the ``fieldRef`` of a file has a value."""
    return _is_one_of(_METADATA + _MAPS, reference)


def _is_one_of(paths: Sequence[str], reference: dict) -> bool:
    path = reference.get('fieldPath', '')
    return (reference.get('apiVersion') or _VERSION) == _VERSION and (
        path in paths or _SUBSCRIPT.fullmatch(path) is not None)


def field(pod: dict, reference: dict, host_ips: Sequence[str],
          addresses: Sequence[str] = ()) -> str:
    """Return what a ``fieldRef`` refers to; '' where it is not set.

    :param reference: one of which ``has_field`` is true
    :param host_ips: addresses of the node, the first is the main one
    :param addresses: of the pod, likewise
    """
    path = reference['fieldPath']
    for (one, every), found in ((_STATUS, host_ips),
                                (_ADDRESSES, addresses)):
        if path in (one, every):
            return ','.join(found[:1] if path == one else found)
    if path in _MAPS:
        return _lines(pod['metadata'].get(path.partition('.')[2]) or {})
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        values = pod['metadata'].get(subscript[1]) or {}
        return str(values.get(subscript[2], ''))
    part, name = path.split('.')
    return str(pod[part].get(name) or '')


def _lines(values: Mapping[str, str]) -> str:
    """Return labels or annotations as a file has them.

    Kubernetes: sorted, one on a line, the values quoted as Go quotes.
    """
    return '\n'.join(f'{key}="{"".join(map(_quoted, str(values[key])))}"'
                     for key in sorted(values))


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x20 or number == 0x7f:
        return f'\\x{number:02x}'
    return f'\\u{number:04x}' if number < 0x10000 else f'\\U{number:08x}'


def has_resource(reference: dict) -> bool:
    """Tell whether a ``resourceFieldRef`` can be read by this node."""
    try:
        return (reference.get('resource') in _RESOURCES
                and _divisor(reference) > 0)
    except exceptions.InvalidQuantity:
        return False


def needs_allocatable(container: dict, reference: dict) -> bool:
    """Tell whether a limit is asked for that the container does not have."""
    kind, _, name = reference['resource'].partition('.')
    return kind == 'limits' and not _amount(container, kind, name)


def resource(container: dict, reference: dict,
             allocatable: Mapping[str, str]) -> str:
    """Return what a ``resourceFieldRef`` refers to.

    Kubernetes: in units of the divisor, rounded up; a missing limit is what
    the node has for pods.

    :param container: the one the reference is about
    :param reference: one of which ``has_resource`` is true
    """
    kind, _, name = reference['resource'].partition('.')
    amount = _amount(container, kind, name)
    if not amount and kind == 'limits':
        amount = _parse(name, allocatable.get(name, '0'))
    return str(-(-amount // _divisor(reference)))


def _amount(container: dict, kind: str, name: str) -> int:
    amounts = (container.get('resources') or {}).get(kind) or {}
    return _parse(name, amounts.get(name, '0'))


def _divisor(reference: dict) -> int:
    name = reference['resource'].partition('.')[2]
    return _parse(name, reference.get('divisor') or '0') or _parse(name, '1')


def _parse(name: str, text: str) -> int:
    """Return milli-CPU or bytes."""
    if name == 'cpu':
        return quantity.parse_cpu(text)
    return quantity.parse_bytes(text)
