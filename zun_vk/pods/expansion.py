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
"""Kubernetes' ``$(NAME)`` in commands, arguments and variables."""

import re
import typing

# "$$" is a literal dollar sign, so "$$(NAME)" is not a reference.
_TOKEN = re.compile(r'\$(\$|\(([^)]*)\))')


class TooLong(ValueError):
    """The text would be longer than it may be."""


def expand(text: str, variables: typing.Mapping[str, str],
           limit: int) -> str:
    """Replace every reference to a known variable by its value.

    Kubernetes: a reference to an unknown variable stays as it is; ``$$``
    becomes ``$``.

    :param limit: characters that the values may add
    :raises TooLong: they add more; it is not made first
    """
    added = 0

    def value(match: re.Match) -> str:
        nonlocal added
        if match.group(1) == '$':
            return '$'
        result = variables.get(match.group(2), match.group(0))
        added += len(result)
        if added > limit:
            raise TooLong
        return result

    return _TOKEN.sub(value, text)


def references(text: str) -> set[str]:
    """Return the names that ``text`` refers to."""
    return {match[2] for match in _TOKEN.finditer(text) if match[1] != '$'}
