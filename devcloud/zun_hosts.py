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
"""What runs on each Zun host: its servers and their configuration."""

from pathlib import Path

from devcloud import capsule_driver
from devcloud import containerd
from devcloud import errors
from devcloud import hosts
from devcloud import identity
from devcloud import openstack
from devcloud import paths
from devcloud import servers
from devcloud import settings
from devcloud import web
from devcloud import worker
from devcloud import zun_cni

# As Zun knows the capsule drivers
ENTRY_POINTS = {'zun_vk': 'zun_vk', 'cri': 'devcloud_cri', 'docker': 'docker'}


def zun_conf(where: paths.Paths, host: str) -> Path:
    return where.etc / f'zun-compute-{host}.conf'


def write_configuration(where: paths.Paths, venv: Path) -> None:
    """The configuration of every server on every host."""
    paths.write_private(where.etc / 'dockerd.json', '{}\n')
    zun_cni.link_programs(where, venv)
    zun_vk_path(where)
    for host in hosts.names(where):
        containerd.write_configuration(where, host)
        zun_cni.write_configuration(where, host, zun_conf(where, host))
        worker.write_configuration(where, host)
        _write_zun_conf(where, venv, host)


def _write_zun_conf(where: paths.Paths, venv: Path, host: str) -> None:
    own = where.data / f'zun-{host}'
    (own / 'lock').mkdir(parents=True, exist_ok=True)
    path = zun_conf(where, host)
    sections = openstack.zun(where, venv)
    sections['DEFAULT'].update(
        host=host, state_path=own,
        capsule_driver=ENTRY_POINTS[capsule_driver.on(where, host)])
    zone = hosts.zones(where).get(host)
    if zone:
        sections['DEFAULT']['default_availability_zone'] = zone
    sections['oslo_concurrency']['lock_path'] = own / 'lock'
    sections['docker'] = {
        'api_url': f'unix://{where.run / f"docker-{host}.sock"}',
        'docker_remote_api_version': '1.40',
    }
    sections['cni_daemon'] = zun_cni.options(where, host)
    # Without sudo, which a minimal Debian has not; we are root
    sections['privsep'] = {
        'helper_command':
            f'{venv}/bin/privsep-helper --config-file {path}'}
    paths.write_private(path, settings.ini(sections))


def zun_vk_path(where: paths.Paths) -> Path:
    """A folder with the checkout's zun_vk alone, for zun-compute's path.

    What else is in the checkout must not be in its way, and the entry
    points are those that an installation would have.
    """
    folder = where.etc / 'python'
    described = folder / 'zun_vk-0.dist-info'
    described.mkdir(parents=True, exist_ok=True)
    paths.link(folder / 'zun_vk', where.checkout / 'zun_vk')
    (described / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: zun_vk\nVersion: 0\n')
    declared = openstack.entry_points(
        where.checkout / 'setup.cfg', 'zun.capsule.driver')
    (described / 'entry_points.txt').write_text(
        f'[zun.capsule.driver]\n{declared}\n')
    return folder


def folders(where: paths.Paths, host: str) -> list[Path]:
    """What a host keeps over a reboot."""
    return [where.data / f'docker-{host}', containerd.data(where, host),
            where.data / f'zun-{host}', *worker.kept(where, host)]


def table(where: paths.Paths, venv: Path) -> list[servers.Server]:
    """The servers of all hosts."""
    admin = identity.OpenStack(where, 'admin')
    return [server for host in hosts.names(where)
            for server in on_host(where, venv, host, admin)]


def on_host(where: paths.Paths, venv: Path, host: str,
            admin: identity.OpenStack) -> list[servers.Server]:
    """The servers of one host, each after those that it uses."""
    found = [dockerd(where, host)]
    if capsule_driver.has_containerd(where, host):
        found.append(containerd.server(where, host))
    if capsule_driver.on(where, host) == 'cri':
        found.append(zun_cni.daemon(where, venv, host,
                                    zun_conf(where, host)))
    if capsule_driver.on(where, host) == 'zun_vk':
        found.append(worker.server(where, host))
    uses = tuple(server.name for server in found)
    return [*found, _zun_compute(where, venv, host, admin, uses)]


def dockerd(where: paths.Paths, host: str) -> servers.Server:
    command = (
        'dockerd', f'--config-file={where.etc / "dockerd.json"}',
        f'--data-root={where.data / f"docker-{host}"}',
        f'--exec-root={where.run / f"docker-{host}"}',
        f'--pidfile={where.run / f"docker-{host}-own"}',
        f'--host=unix://{where.run / f"docker-{host}.sock"}', '--group=0',
        # Several dockerds would fight over docker0, and the FORWARD policy
        # that dockerd sets would cut the bridges off
        '--bridge=none', '--iptables=false', '--userland-proxy=false',
        f'--registry-mirror={settings.url("registry")}',
        # Knows every machine, and shows whose the containers are
        '--exec-opt=native.cgroupdriver=cgroupfs',
        f'--cgroup-parent=/{hosts.cgroup(where)}', '--shutdown-timeout=5')
    return servers.Server(
        hosts.named('dockerd', host), (*hosts.machine(host), *command),
        servers.http_health(hosts.docker(where, host), '/_ping'),
        after=('configuration',), stop_seconds=12)


def _zun_compute(where, venv, host, admin, uses) -> servers.Server:
    name = hosts.named('zun-compute', host)
    log = where.run / f'{name}.pid'

    def check() -> str:
        if capsule_driver.has_containerd(where, host):
            problem = containerd.health(where, host)
            if problem:
                return f'containerd: {problem}'
        try:
            return hosts.well(admin, host, log.stat().st_mtime)
        except (*web.UNREACHABLE, errors.DevcloudError) as error:
            return f'no answer ({type(error).__name__})'

    return servers.Server(
        name,
        (str(venv / 'bin' / 'python'), '-m', 'devcloud_drivers.compute',
         f'--config-file={zun_conf(where, host)}'),
        check,
        after=('zun-api', 'placement', 'neutron', 'accounts', *uses),
        env={'PYTHONPATH':
             f'{openstack.DRIVERS}:{where.etc / "python"}',
             'DEVCLOUD_BRIDGE_PREFIX': hosts.bridge_prefix(where.ident),
             'DEVCLOUD_CRI_ENDPOINT': containerd.endpoint(where, host),
             'DEVCLOUD_ZUN_REPORT': str(openstack.ZUN_REPORT)},
        stop_seconds=8)
