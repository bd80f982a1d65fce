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
"""MariaDB, RabbitMQ and the image registry: what the OpenStack servers use."""

from pathlib import Path
import shutil

from devcloud import commands
from devcloud import errors
from devcloud import paths
from devcloud import servers
from devcloud import settings
from devcloud import web

DATABASES = ('keystone', 'placement', 'neutron', 'zun')
REGISTRY = web.Peer(settings.url('registry'))


def mariadb(where: paths.Paths) -> servers.Server:
    return servers.Server(
        'mariadb',
        ('mariadbd', '--no-defaults', '--user=root',
         f'--datadir={where.data / "mariadb"}',
         f'--socket={where.run / "mariadb.sock"}',
         f'--pid-file={where.run / "mariadb-own"}',
         f'--bind-address={settings.HOST}',
         f'--port={settings.PORTS["mariadb"]}', '--skip-name-resolve',
         '--max-connections=400', '--innodb-buffer-pool-size=64M',
         # A commit reaches the kernel at once and the disk within a second:
         # nothing is lost when the server is killed
         '--innodb-flush-log-at-trx-commit=2', '--performance-schema=OFF'),
        servers.port_health(settings.PORTS['mariadb']),
        after=('database files',), ports=('mariadb',), stop_seconds=10)


def make_database_files(where: paths.Paths,
                        runner: commands.Commands) -> None:
    """MariaDB's own tables, on first use; interrupted work is redone."""
    folder = where.data / 'mariadb'
    if folder.exists():
        return
    new = where.data / 'mariadb.new'
    shutil.rmtree(new, ignore_errors=True)
    runner.run(
        ('mariadb-install-db', '--no-defaults', '--user=root',
         f'--datadir={new}', '--auth-root-authentication-method=socket',
         '--skip-test-db'), where.log('mariadb-install'))
    new.rename(folder)


def make_databases(where: paths.Paths, runner: commands.Commands) -> None:
    """The databases and the one account the servers share."""
    password = settings.passwords(where)['database']
    account = "'devcloud'@'%'"
    sql = [f"CREATE USER IF NOT EXISTS {account};",
           f"ALTER USER {account} IDENTIFIED BY '{password}';"]
    for name in DATABASES:
        sql += [f'CREATE DATABASE IF NOT EXISTS {name} '
                'CHARACTER SET utf8mb3;',
                f'GRANT ALL ON {name}.* TO {account};']
    # Root is who connects to the socket as root; SQL comes by standard input
    runner.run(('mariadb', '--no-defaults', '--user=root',
                f'--socket={where.run / "mariadb.sock"}'),
               where.log('mariadb-install'), text='\n'.join(sql))


def database_url(where: paths.Paths, name: str) -> str:
    password = settings.passwords(where)['database']
    return (f'mysql+pymysql://devcloud:{password}@{settings.HOST}:'
            f'{settings.PORTS["mariadb"]}/{name}')


def rabbit(where: paths.Paths) -> list[servers.Server]:
    """RabbitMQ, and the name server of Erlang that it needs.

    Erlang would start epmd itself, as a daemon that outlives everything;
    run by the devcloud it ends with it.
    """
    home = where.data / 'rabbitmq'
    epmd_port = settings.PORTS['epmd']
    node = {
        'HOME': str(home),
        'ERL_EPMD_PORT': str(epmd_port),
        'ERL_EPMD_ADDRESS': settings.HOST,
        'RABBITMQ_NODENAME': 'devcloud@localhost',
        'RABBITMQ_NODE_IP_ADDRESS': settings.HOST,
        'RABBITMQ_NODE_PORT': str(settings.PORTS['rabbitmq']),
        'RABBITMQ_DIST_PORT': str(settings.PORTS['rabbitmq-distribution']),
        'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
        'RABBITMQ_LOG_BASE': str(where.logs / 'rabbitmq'),
        'RABBITMQ_LOGS': '-',
        'RABBITMQ_PID_FILE': str(where.run / 'rabbitmq-own'),
        'RABBITMQ_CONFIG_FILE': str(where.etc / 'rabbitmq.conf'),
        'RABBITMQ_ENABLED_PLUGINS_FILE': str(where.etc / 'rabbitmq-plugins'),
        'RABBITMQ_CONF_ENV_FILE': '/dev/null',
        # The wrapper then becomes the server instead of watching over it,
        # so the recorded pid is the one to signal
        'RUNNING_UNDER_SYSTEMD': '1',
        # No busy waiting: the two cores have other work
        'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS':
            '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none '
            '-kernel inet_dist_use_interface {127,0,0,1}',
    }
    return [
        servers.Server(
            'epmd', ('epmd', '-port', str(epmd_port),
                     '-address', settings.HOST),
            servers.port_health(epmd_port), after=('configuration',),
            ports=('epmd',), stop_seconds=2),
        servers.Server(
            'rabbitmq', ('/usr/lib/rabbitmq/bin/rabbitmq-server',),
            servers.port_health(settings.PORTS['rabbitmq'],
                                b'AMQP\x00\x00\x09\x01'),
            after=('epmd',), env=node,
            ports=('rabbitmq', 'rabbitmq-distribution'), stop_seconds=12),
    ]


def registry(where: paths.Paths) -> servers.Server:
    return servers.Server(
        'registry',
        ('docker-registry', 'serve', str(where.etc / 'registry.yml')),
        servers.http_health(REGISTRY, '/v2/'), after=('configuration',),
        ports=('registry',), stop_seconds=3)


def write_configuration(where: paths.Paths) -> None:
    """The configuration files of RabbitMQ and the registry."""
    (where.data / 'rabbitmq').mkdir(mode=0o700, exist_ok=True)
    (where.logs / 'rabbitmq').mkdir(exist_ok=True)
    password = settings.passwords(where)['rabbitmq']
    paths.write_private(where.etc / 'rabbitmq-plugins', '[].\n')
    # Used when the node's database is made; loopback_users is for guest
    paths.write_private(
        where.etc / 'rabbitmq.conf',
        f'default_user = devcloud\ndefault_pass = {password}\n'
        'log.console.level = warning\n')
    paths.write_private(
        where.etc / 'registry.yml',
        'version: 0.1\nlog: {level: warn}\n'
        'storage: {filesystem: {rootdirectory: '
        f'"{where.data / "registry"}"}}, delete: {{enabled: true}}}}\n'
        'http: {addr: '
        f'"{settings.HOST}:{settings.PORTS["registry"]}"}}\n')


#: Section oslo_messaging_rabbit, the same for all. A capsule's creation and
#: deletion are sent once: where queues go with the bus, what is sent after it
#: came back and before its receivers did is lost, and Zun never knows.
QUEUES = {'amqp_durable_queues': 'true'}


def transport_url(where: paths.Paths) -> str:
    password = settings.passwords(where)['rabbitmq']
    return (f'rabbit://devcloud:{password}@{settings.HOST}:'
            f'{settings.PORTS["rabbitmq"]}//')


def need_programs() -> None:
    """Name the programs that the packages should have brought.

    :raises errors.DevcloudError: one is missing
    """
    folders = '/usr/sbin:/usr/bin:/sbin:/bin'
    gone = [name for name in ('mariadbd', 'mariadb-install-db', 'epmd',
                              'docker-registry', 'dockerd', 'containerd',
                              'ctr', 'runc', 'lspci', 'unshare', 'ip',
                              'openssl')
            if not shutil.which(name, path=folders)]
    if not Path('/usr/lib/rabbitmq/bin/rabbitmq-server').exists():
        gone.append('rabbitmq-server')
    if gone:
        raise errors.DevcloudError(f'not on this machine: {", ".join(gone)}')
