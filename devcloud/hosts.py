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
"""The Zun hosts of the machine: which there are and how they are.

The first host bears the machine's name. Others are the same machine under
another name: Zun knows a host by the name that dockerd reports, so theirs
runs in a UTS namespace of its own. All share the network's bridge.
zun_hosts.py has what runs on each.
"""

from collections.abc import Mapping
import datetime
import json
import re
import socket

from devcloud import errors
from devcloud import identity
from devcloud import paths
from devcloud import web

NAME = re.compile(r'[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?')
ZONE = re.compile(r'[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?')


def first() -> str:
    """The name of the machine, which dockerd reports."""
    return socket.gethostname()


def names(where: paths.Paths) -> list[str]:
    """All hosts, the machine's own first."""
    return [first(), *_stored(where, 'hosts', [])]


def zones(where: paths.Paths) -> dict[str, str]:
    """The availability zone of each host that was given one."""
    return dict(_stored(where, 'zones', {}))


def drivers(where: paths.Paths) -> dict[str, str]:
    """The capsule driver of each host that was given one of its own."""
    return dict(_stored(where, 'drivers', {}))


def add(where: paths.Paths, name: str, zone: str = '',
        driver: str = '') -> None:
    """Remember one more host.

    :param zone: its availability zone; '' for the one that Zun gives
    :param driver: its capsule driver; '' for the cloud's, whatever that is
    :raises errors.DevcloudError: not a host name or a zone's, or there
        already in another zone or with another driver
    """
    if not NAME.fullmatch(name):
        raise errors.DevcloudError(f'{name!r} is not a host name')
    if zone and not ZONE.fullmatch(zone):
        raise errors.DevcloudError(
            f'{zone!r} is not the name of an availability zone')
    if name == first():
        raise errors.DevcloudError(f'{name} is the machine itself')
    known, zoned, driven = names(where)[1:], zones(where), drivers(where)
    if name not in known:
        _store(where, [*known, name], {**zoned, name: zone},
               {**driven, name: driver})
        return
    for given, before, what in (
            (zone, zoned.get(name), 'in another availability zone'),
            (driver, driven.get(name), 'without that capsule driver')):
        if given and given != before:
            raise errors.DevcloudError(
                f'{name} is there {what}; remove-host {name} first')


def _stored(where, what, nothing):
    store = where.state / f'{what}.json'
    return json.loads(store.read_text()) if store.exists() else nothing


def _store(where: paths.Paths, added: list[str],
           zoned: Mapping[str, str], driven: Mapping[str, str]) -> None:
    for what, given in (('zones', zoned), ('drivers', driven)):
        kept = {name: value for name, value in given.items()
                if value and name in added}
        paths.write_private(where.state / f'{what}.json', json.dumps(kept))
    paths.write_private(where.state / 'hosts.json', json.dumps(added))


def forget(where: paths.Paths, name: str) -> None:
    """Take an added host out of Zun and Placement; its servers are down.

    :raises errors.DevcloudError: not an added host, or capsules are on it
    """
    known = names(where)[1:]
    if name not in known:
        raise errors.DevcloudError(f'{name} is not an added host')
    admin = identity.OpenStack(where, 'admin')
    rows = admin.placement.must(
        'GET', f'/resource_providers?name={name}').json()
    for row in rows['resource_providers']:
        admin.placement.must('DELETE', f'/resource_providers/{row["uuid"]}')
    services = admin.zun.must('GET', '/services').json()['services']
    if any(row['host'] == name for row in services):
        admin.zun.must(
            'DELETE', f'/services?host={name}&binary=zun-compute')
    known.remove(name)
    _store(where, known, zones(where), drivers(where))


def named(server: str, host: str) -> str:
    """A server's name on a host: the first host's are the plain ones."""
    return server if host == first() else f'{server}-{host}'


def docker(where: paths.Paths, host: str) -> web.Peer:
    """The host's dockerd."""
    return web.Peer(f'unix:{where.run / f"docker-{host}.sock"}')


def cgroup(where: paths.Paths) -> str:
    """Above the cgroups of all containers of this cloud."""
    return f'zun-vk-devcloud-{where.ident}'


def bridge_prefix(ident: str = '') -> str:
    """How names of bridges begin (of this cloud; of any devcloud).

    With eight digits of the network's ID they fill the 15 characters that
    the kernel allows.
    """
    return f'zvk{ident}'


def machine(host: str) -> tuple[str, ...]:
    """What goes before a command that has to bear the host's name."""
    if host == first():
        return ()
    return ('unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"',
            host)


def revive(where: paths.Paths, host: str) -> None:
    """Start the containers of capsules that a restarted dockerd left dead.

    dockerd brings back what is to run always, but in any order: a container
    whose capsule's sandbox came after it has failed by then, while Zun and
    Kubernetes show it as running.
    """
    peer = docker(where, host)
    for row in peer.must('GET', '/containers/json?all=1').json():
        sandbox = row['HostConfig'].get('NetworkMode', '')
        if row['State'] != 'exited' or not sandbox.startswith('container:'):
            continue
        found = peer.must('GET', f'/containers/{row["Id"]}/json').json()
        if found['HostConfig']['RestartPolicy']['Name'] == 'always':
            peer.call('POST', f'/containers/{row["Id"]}/start')


def well(admin: identity.OpenStack, host: str, since: float) -> str:
    """'' once capsules can be placed on the host.

    :param since: Zun believes a service for a while after its death; only
        reports after this time (seconds since the epoch) count
    """
    services = admin.zun.must('GET', '/services').json()['services']
    mine = [row for row in services if row['host'] == host]
    if not mine or mine[0]['state'] != 'up':
        return 'not up in Zun'
    if reported(mine[0]['last_seen_up']) < since - 1:
        return 'no report to Zun yet'
    return '' if provider(admin, host) else 'no provider in Placement'


def reported(text: str | None) -> float:
    """A timestamp of Zun (UTC) in seconds since the epoch.

    :param text: None for a service that is registered and has not reported
        yet: Zun calls it up all the same
    """
    if text is None:
        return float('-inf')
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return found.timestamp()


def provider(admin: identity.OpenStack, host: str) -> dict | None:
    """The host's resource provider once it has an inventory."""
    rows = admin.placement.must(
        'GET', f'/resource_providers?name={host}').json()
    for row in rows['resource_providers']:
        inventories = admin.placement.must(
            'GET', f'/resource_providers/{row["uuid"]}/inventories').json()
        if 'VCPU' in inventories['inventories']:
            return row
    return None
