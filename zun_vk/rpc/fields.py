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
"""Reads what came over the bus: nothing of it is believed to be well formed.

Each function takes one field of a message and returns it, or says which
field of it is not what it must be.
"""

from collections.abc import Mapping
import typing

MAX_TEXT = 1024 ** 2


class Malformed(ValueError):
    """A message is not what it must be; names the field, shows no value."""


def text(fields: Mapping, name: str, bound: int = MAX_TEXT) -> str:
    """Return a string; '' where it is missing."""
    return _bounded(_of(fields, name, str, ''), name, bound)


def number(fields: Mapping, name: str) -> float:
    """Return a number that is not negative; 0 where it is missing."""
    found = fields.get(name, 0)
    if (isinstance(found, bool) or not isinstance(found, int | float)
            or not 0 <= found < float('inf')):
        raise Malformed(f'{name} is not a number')
    return found


def integer(fields: Mapping, name: str) -> int:
    found = number(fields, name)
    if not isinstance(found, int):
        raise Malformed(f'{name} is not a whole number')
    return found


def flag(fields: Mapping, name: str) -> bool:
    return _of(fields, name, bool, False)


def mapping(fields: Mapping, name: str) -> dict[str, typing.Any]:
    """Return an object, whose keys are strings; {} where it is missing."""
    found = _of(fields, name, dict, {})
    if not all(isinstance(key, str) for key in found):
        raise Malformed(f'{name} has keys that are no strings')
    return found


def items(fields: Mapping, name: str, bound: int) -> list:
    """Return a list of at most ``bound`` items; [] where it is missing."""
    return _bounded(_of(fields, name, list, []), name, bound)


def texts(fields: Mapping, name: str, bound: int) -> tuple[str, ...]:
    found = items(fields, name, bound)
    if not all(isinstance(each, str) and len(each) <= MAX_TEXT
               for each in found):
        raise Malformed(f'{name} has items that are no strings')
    return tuple(found)


def mappings(fields: Mapping, name: str, bound: int) -> list[dict]:
    found = items(fields, name, bound)
    if not all(isinstance(each, dict) for each in found):
        raise Malformed(f'{name} has items that are no objects')
    return found


def whole(message: object) -> dict:
    """Return the message itself, which must be an object."""
    if not isinstance(message, dict):
        raise Malformed('the message is no object')
    return message


def _of(fields: Mapping, name: str, kind: type,
        missing: typing.Any) -> typing.Any:
    found = fields.get(name)
    if found is None:
        return missing
    if not isinstance(found, kind):
        raise Malformed(f'{name} is not of type {kind.__name__}')
    return found


def _bounded(found: typing.Any, name: str, bound: int) -> typing.Any:
    if len(found) > bound:
        raise Malformed(f'{name} is longer than {bound}')
    return found
