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


def expand(text: str, variables: typing.Mapping[str, str]) -> str:
    """Replace every reference to a known variable by its value.

    Kubernetes: a reference to an unknown variable stays as it is; ``$$``
    becomes ``$``.
    """
    def value(match: re.Match) -> str:
        if match.group(1) == '$':
            return '$'
        return variables.get(match.group(2), match.group(0))

    return _TOKEN.sub(value, text)


def environment(env: list[dict]) -> dict[str, str]:
    """Return a container's variables, each expanded with those before it.

    :param env: the container's plain ``env`` entries, in order
    """
    variables: dict[str, str] = {}
    for entry in env:
        variables[entry['name']] = expand(entry.get('value', ''), variables)
    return variables
