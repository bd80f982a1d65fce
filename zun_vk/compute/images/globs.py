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
r"""Matches one part of a host name against a pattern.

``*`` stands for any characters, ``[a-z]`` and ``[^a-z]`` for one of a set,
``\`` makes the next character plain. The time it takes grows with the
product of both lengths and no faster, whoever wrote the pattern.
"""

from collections.abc import Callable

_Token = Callable[[str], bool] | None


def matches(pattern: str, text: str) -> bool:
    """Tell whether all of the text is as the pattern says.

    A pattern that makes no sense matches nothing.
    """
    try:
        tokens = _tokens(pattern)
    except IndexError:
        return False
    return _matches(tokens, text)


def _matches(tokens: list[_Token], text: str) -> bool:
    at = position = 0
    # Where to go on when what follows the last star does not fit.
    star, resume = -1, 0
    while position < len(text):
        token = tokens[at] if at < len(tokens) else _nothing
        if token is None:
            star, resume = at, position
            at += 1
        elif token(text[position]):
            at += 1
            position += 1
        elif star >= 0:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return all(token is None for token in tokens[at:])


def _nothing(_character: str) -> bool:
    return False


def _tokens(pattern: str) -> list[_Token]:
    """Return what each part of the pattern takes; None for a star.

    :raises IndexError: something of it is not finished
    """
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == '*':
            tokens.append(None)
        elif character == '[':
            token, at = _set(pattern, at)
            tokens.append(token)
        else:
            if character == '\\':
                character, at = pattern[at], at + 1
            tokens.append(character.__eq__)
    return tokens


def _set(pattern: str, at: int) -> tuple[_Token, int]:
    """Return what a set takes, and where the pattern goes on after it."""
    negated = pattern[at] == '^'
    at += negated
    ranges: list[tuple[str, str]] = []
    while not ranges or pattern[at] != ']':
        low, at = _character(pattern, at)
        high = low
        if pattern[at] == '-':
            high, at = _character(pattern, at + 1)
        ranges.append((low, high))

    def takes(character: str) -> bool:
        return negated != any(low <= character <= high
                              for low, high in ranges)

    return takes, at + 1


def _character(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] in '-]':
        raise IndexError
    if pattern[at] == '\\':
        at += 1
    return pattern[at], at + 1
