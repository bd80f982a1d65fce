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
"""What processes use and what servers were asked.

Read from outside: /proc for processor time and memory, the API server's own
/metrics for requests. Nothing here changes what it looks at.
"""

import collections
import os
import pathlib
import re
import urllib.request

_TICKS = os.sysconf('SC_CLK_TCK')
_SAMPLE = re.compile(r'(\w+)\{(.*)\} (\S+)$')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Usage:
    """One process: processor time in seconds, memory in MiB."""

    def __init__(self, pid: int):
        self.pid = pid
        self._folder = pathlib.Path(f'/proc/{pid}')

    def cpu(self) -> float:
        """Return the seconds of all its threads, ended ones too."""
        # The name, in brackets, may hold blanks.
        fields = (self._folder / 'stat').read_text().rpartition(')')[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / _TICKS

    def memory(self) -> float:
        """Return the resident set now."""
        return self._field('VmRSS')

    def peak(self) -> float:
        """Return the largest resident set since the last forget_peak()."""
        return self._field('VmHWM')

    def forget_peak(self) -> None:
        """Let the peak begin anew (Linux: clear_refs)."""
        (self._folder / 'clear_refs').write_text('5')

    def _field(self, name: str) -> float:
        for line in (self._folder / 'status').read_text().splitlines():
            if line.startswith(f'{name}:'):
                return round(int(line.split()[1]) / 1024, 1)
        raise KeyError(name)


def samples(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each sample of one Prometheus metric."""
    found = []
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match and match[1] == name:
            found.append((dict(_LABEL.findall(match[2])), float(match[3])))
    return found


def served(metrics: str) -> collections.Counter:
    """Return what an API server has answered, by verb and resource."""
    counts: collections.Counter = collections.Counter()
    for labels, value in samples(metrics, 'apiserver_request_total'):
        resource = '/'.join(filter(None, (labels['resource'],
                                          labels['subresource'])))
        counts[f'{labels["verb"]} {resource}'] += int(value)
    return counts


def called(metrics: str) -> collections.Counter:
    """Return what an agent has called, by service and call."""
    counts: collections.Counter = collections.Counter()
    for labels, value in samples(metrics, 'zun_vk_api_calls_total'):
        counts[f'{labels["service"]}: {labels["call"]}'] += int(value)
    return counts


def fetched(url: str) -> str:
    """Return the text at a URL of this machine."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()
