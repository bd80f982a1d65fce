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
"""How the servers are, as a table."""

from collections.abc import Sequence
from concurrent import futures

from devcloud import cloud as clouds
from devcloud import settings

TITLES = ('SERVER', 'PID', 'PORT', 'HEALTH', 'LOG')


def rows(cloud: clouds.Cloud) -> tuple[list[tuple[str, ...]], bool]:
    """A row for each server, and whether all of the cloud are well.

    The agent is listed, too, but whether it runs is the user's choice.
    """
    listed = [*cloud.all_servers(), cloud.agent.server()]
    with futures.ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(lambda server: row(cloud, server), listed))
    return found, all(line[3] == 'well' for line in found[:-1])


def row(cloud: clouds.Cloud, server) -> tuple[str, ...]:
    pid = cloud.supervisor.processes.pid(server.name)
    health = (server.health() or 'well') if pid else 'not running'
    port = str(settings.PORTS[server.ports[0]]) if server.ports else '-'
    log = cloud.where.log(server.name)
    return (server.name, str(pid or '-'), port, health, str(log))


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be; no blanks at the ends."""
    widths = [max(len(line[i]) for line in [titles, *lines])
              for i in range(len(titles))]
    return '\n'.join(
        '  '.join(cell.ljust(width)
                  for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [titles, *lines])
