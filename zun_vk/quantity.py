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
"""Kubernetes quantities as whole numbers: milli-CPU and bytes.

In flows the text of a pod's requests and limits, out flow integers, rounded
up (away from zero) as the kubelet rounds them. The grammar is that of
``resource.Quantity``, nothing looser. Arithmetic is exact and bounded: no
float, and no text, however absurd, costs more than a few hundred digits.
"""

import re

from zun_vk import exceptions

# What an API server writes is under 30 characters.
MAX_LENGTH = 64
# Larger ones count as this: in Kubernetes too these numbers are int64.
MAX_VALUE = 2 ** 63 - 1

# With at most MAX_LENGTH digits, an exponent beyond this one gives the same
# result as this one: the largest value, or the smallest step.
_MAX_EXPONENT = 2 * MAX_LENGTH

_GRAMMAR = re.compile(
    r'(?P<sign>[+-]?)'
    r'(?=\.?[0-9])(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?'
    r'(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[KMGTPE]i|[numkMGTPE]?))')

_DECIMAL = {'n': -9, 'u': -6, 'm': -3, '': 0, 'k': 3, 'M': 6, 'G': 9,
            'T': 12, 'P': 15, 'E': 18}
_BINARY = {'Ki': 10, 'Mi': 20, 'Gi': 30, 'Ti': 40, 'Pi': 50, 'Ei': 60}


def parse_cpu(text: str) -> int:
    """Return a CPU quantity in milli-CPU, rounded up.

    :raises exceptions.InvalidQuantity: the text is not a quantity
    """
    return _parse(text, 1000)


def parse_bytes(text: str) -> int:
    """Return a quantity of memory or storage in bytes, rounded up.

    :raises exceptions.InvalidQuantity: the text is not a quantity
    """
    return _parse(text, 1)


def format_cpu(milli: int) -> str:
    """Return milli-CPU as Kubernetes writes them: ``2`` or ``1500m``."""
    whole, rest = divmod(milli, 1000)
    return f'{milli}m' if rest else str(whole)


def format_bytes(count: int) -> str:
    """Return bytes with the largest binary suffix that divides exactly."""
    for suffix, shift in reversed(_BINARY.items()):
        if count and count % (1 << shift) == 0:
            return f'{count >> shift}{suffix}'
    return str(count)


def _parse(text: str, units: int) -> int:
    """Return how many ``1/units`` the text is, rounded away from zero."""
    match = None
    if isinstance(text, str) and len(text) <= MAX_LENGTH:
        match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise exceptions.InvalidQuantity(
            f'not a quantity: {_excerpt(text)}')
    fraction = match['fraction'] or ''
    numerator = int(match['whole'] + fraction) * units
    denominator = 10 ** len(fraction)
    exponent = _exponent(match)
    if exponent < 0:
        denominator *= 10 ** -exponent
    else:
        numerator *= 10 ** exponent
    numerator <<= _BINARY.get(match['suffix'] or '', 0)
    size = min(-(-numerator // denominator), MAX_VALUE)
    return -size if match['sign'] == '-' else size


def _exponent(match: re.Match[str]) -> int:
    if match['exponent'] is None:
        return _DECIMAL.get(match['suffix'], 0)
    return max(-_MAX_EXPONENT, min(_MAX_EXPONENT, int(match['exponent'])))


def _excerpt(text: object) -> str:
    """Return what to show of a bad quantity: short and on one line."""
    if not isinstance(text, str):
        return type(text).__name__
    return repr(text if len(text) <= 40 else text[:40] + '...')
