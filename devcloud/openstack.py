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
"""Keystone, Placement, Neutron and zun-api: configuration and servers.

zun-compute, one for each host, is in zun_hosts.py.
"""

import configparser
from pathlib import Path
import shlex

from devcloud import commands
from devcloud import infrastructure
from devcloud import paths
from devcloud import servers
from devcloud import settings
from devcloud import web

DRIVERS = paths.CHECKOUT / 'devcloud' / 'drivers'
# Seconds between a zun-compute's reports, and after which it counts as down
ZUN_REPORT = 10
ZUN_DOWN = 35


def credentials(where: paths.Paths, user: str) -> dict[str, str]:
    """keystoneauth's options of a service user."""
    return {
        'auth_type': 'password',
        'auth_url': settings.KEYSTONE,
        'username': user,
        'password': settings.passwords(where)[user],
        'project_name': 'service',
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
        'region_name': settings.REGION,
    }


def middleware(where: paths.Paths, user: str) -> dict[str, str]:
    return {**credentials(where, user),
            'www_authenticate_uri': settings.KEYSTONE,
            'service_token_roles_required': 'true'}


def keystone(where: paths.Paths) -> dict[str, dict]:
    return {
        'database': {'connection':
                     infrastructure.database_url(where, 'keystone')},
        'token': {'provider': 'fernet'},
        # The passwords are random and long: slow hashes would only cost
        # every service a quarter of a second at each login
        'identity': {'password_hash_rounds': 4},
        'cache': {'enabled': 'true', 'backend': 'oslo_cache.dict'},
        'fernet_tokens': {'key_repository': where.etc / 'fernet-keys'},
        'credential': {'key_repository': where.etc / 'credential-keys'},
    }


def placement(where: paths.Paths) -> dict[str, dict]:
    return {
        'api': {'auth_strategy': 'keystone'},
        'placement_database': {
            'connection': infrastructure.database_url(where, 'placement')},
        'keystone_authtoken': middleware(where, 'placement'),
    }


def neutron(where: paths.Paths, venv: Path) -> dict[str, dict]:
    return {
        'DEFAULT': {
            'state_path': where.data / 'neutron',
            'core_plugin': 'ml2',
            'service_plugins': '',
            'auth_strategy': 'keystone',
            # API and address management only: there is no agent to talk to
            'transport_url': 'fake://',
            'api_paste_config': venv / 'etc/neutron/api-paste.ini',
            'dhcp_agent_notification': 'false',
            'notify_nova_on_port_status_changes': 'false',
            'notify_nova_on_port_data_changes': 'false',
            'rpc_workers': 0,
        },
        'oslo_concurrency': {'lock_path': where.data / 'neutron/lock'},
        'database': {'connection':
                     infrastructure.database_url(where, 'neutron')},
        'keystone_authtoken': middleware(where, 'neutron'),
        'ml2': {
            'type_drivers': 'local',
            'project_network_types': 'local',
            'mechanism_drivers': 'devcloud',
            'extension_drivers': 'port_security',
        },
        'securitygroup': {'enable_security_group': 'true'},
    }


def zun(where: paths.Paths, venv: Path) -> dict[str, dict]:
    """What zun-api and every zun-compute share."""
    return {
        'DEFAULT': {
            'state_path': where.data / 'zun',
            'my_ip': settings.HOST,
            'transport_url': infrastructure.transport_url(where),
            'container_driver': 'docker',
            'image_driver_list': 'docker',
            'default_image_driver': 'docker',
            'sandbox_image': 'zun-vk-devcloud/pause:latest',
            'sandbox_image_driver': 'docker',
            'sync_container_state_interval': 10,
            'periodic_interval_max': ZUN_REPORT,
            'service_down_time': ZUN_DOWN,
            # Eventlet services wait for their green threads this long
            'graceful_shutdown_timeout': 3,
        },
        'api': {
            'host_ip': settings.HOST,
            'port': settings.PORTS['zun-api'],
            'api_paste_config': venv / 'etc/zun/api-paste.ini',
        },
        'database': {'connection':
                     infrastructure.database_url(where, 'zun')},
        # A capsule takes a whole VCPU however little it asks for
        'compute': {'host_shared_with_nova': 'false',
                    'initial_cpu_allocation_ratio': 50,
                    # What a host tells Placement is refused once a claim
                    # has come since it last asked, and tried again only when
                    # it has asked anew: with 300 s, as by default, a host
                    # that is enabled again may get no capsules for as long
                    'resource_provider_association_refresh': 1},
        'network': {'driver': 'devcloud', 'driver_name': 'bridge'},
        'oslo_concurrency': {'lock_path': where.data / 'zun/lock'},
        'oslo_messaging_rabbit': infrastructure.QUEUES,
        'oslo_policy': {'policy_file': where.etc / 'zun-policy.yaml'},
        'keystone_authtoken': middleware(where, 'zun'),
        'keystone_auth': credentials(where, 'zun'),
    }


def entry_points(setup: Path, group: str) -> str:
    """The entry points of a group that a setup.cfg declares, as lines."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(setup)
    return parser.get('entry_points', group, fallback='').strip()


def write_configuration(where: paths.Paths, venv: Path) -> None:
    """The configuration files of the API servers."""
    for name in ('neutron', 'zun'):
        (where.data / name / 'lock').mkdir(parents=True, exist_ok=True)
    for name, sections in (('keystone', keystone(where)),
                           ('placement', placement(where)),
                           ('neutron', neutron(where, venv)),
                           ('zun', zun(where, venv))):
        paths.write_private(where.etc / f'{name}.conf',
                            settings.ini(sections))
    # By Zun's own policy only admins choose a pull policy, everybody else
    # always pulls: images that `devcloud image` puts on the hosts under the
    # name of a foreign registry could never be used.
    paths.write_private(where.etc / 'zun-policy.yaml',
                        '"container:create:image_pull_policy": ""\n')


def initialisations(
        where: paths.Paths, venv: Path,
        runner: commands.Commands) -> dict[str, list[tuple]]:
    """The programs that make each server's tables, as (command, env)."""
    def program(name: str, *words: str) -> tuple:
        return ((venv / 'bin' / name, *words), {'PYTHONPATH': str(DRIVERS)})

    def configuration(name: str) -> str:
        return f'--config-file={where.etc / name}.conf'

    manage = ('keystone-manage', configuration('keystone'))
    admin = settings.passwords(where)['admin']
    bootstrap, env = program(
        *manage, 'bootstrap', '--bootstrap-region-id', settings.REGION,
        '--bootstrap-admin-url', settings.KEYSTONE,
        '--bootstrap-internal-url', settings.KEYSTONE,
        '--bootstrap-public-url', settings.KEYSTONE)
    owner = ('--keystone-user', 'root', '--keystone-group', 'root')
    return {
        'keystone': [
            program(*manage, 'db_sync'),
            program(*manage, 'fernet_setup', *owner),
            program(*manage, 'credential_setup', *owner),
            (bootstrap, {**env, 'OS_BOOTSTRAP_PASSWORD': admin})],
        'placement': [program(
            'placement-manage', configuration('placement'), 'db', 'sync')],
        'neutron': [program(
            'neutron-db-manage', configuration('neutron'),
            'upgrade', 'heads')],
        'zun': [program(
            'zun-db-manage', configuration('zun'), 'upgrade')],
    }


def initialise(where: paths.Paths, venv: Path, runner: commands.Commands,
               name: str) -> None:
    """Make or migrate a server's tables, once for each set of pins."""
    marker = where.done / f'{name}-{venv.name}'
    if marker.exists():
        return
    for folder in ('fernet-keys', 'credential-keys'):
        (where.etc / folder).mkdir(mode=0o700, exist_ok=True)
    for command, env in initialisations(where, venv, runner)[name]:
        runner.run(command, where.log(f'{name}-database'), env=env)
    marker.touch()


def table(where: paths.Paths, venv: Path) -> list[servers.Server]:
    """The four API servers."""
    return [
        _api(where, venv, 'keystone', 'keystone.wsgi.api', 'keystone',
             {'OS_KEYSTONE_CONFIG_FILES': str(where.etc / 'keystone.conf')},
             path='/v3', after=('keystone tables',)),
        _api(where, venv, 'placement', 'placement.wsgi.api', 'placement',
             {'OS_PLACEMENT_CONFIG_DIR': str(where.etc)},
             after=('keystone', 'placement tables')),
        _api(where, venv, 'neutron', 'neutron.wsgi.api', 'neutron',
             {'OS_NEUTRON_CONFIG_DIR': str(where.etc),
              'OS_NEUTRON_CONFIG_FILES': 'neutron.conf',
              'ASGI_WORKERS': '1'},
             after=('keystone', 'neutron tables'),
             policies=('neutron.policy', 'neutron_lib.policy._engine')),
        _api(where, venv, 'zun-api', 'zun.wsgi.api',
             f'zun-api --config-file {shlex.quote(str(where.etc))}/zun.conf',
             {}, after=('keystone', 'rabbitmq', 'zun tables'),
             policies=('zun.common.policy',)),
    ]


def _api(where, venv, name, module, argv, env, after,
         path='/', policies=()) -> servers.Server:
    port = settings.PORTS[name]
    return servers.Server(
        name,
        (str(venv / 'bin' / 'gunicorn'), '--name', name,
         '--bind', f'{settings.HOST}:{port}', '--workers', '1',
         '--worker-class', 'gthread', '--threads', '12',
         '--timeout', '180', '--graceful-timeout', '2',
         # Longer than clients keep idle connections: who closes first loses
         # no request
         '--keep-alive', '75', '--worker-tmp-dir', str(where.run),
         '--no-control-socket', 'devcloud_drivers.wsgi:application'),
        servers.http_health(
            web.Peer(settings.url(name)), path, range(200, 301)),
        after=after, ports=(name,),
        env={'PYTHONPATH': str(DRIVERS), 'DEVCLOUD_WSGI_MODULE': module,
             'DEVCLOUD_WSGI_ARGV': argv,
             'DEVCLOUD_WSGI_POLICIES': ' '.join(policies), **env})
