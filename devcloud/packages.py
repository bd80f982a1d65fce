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
"""Debian packages: installed if missing, with none of their services.

Debian starts and enables what it installs. The devcloud runs its own copies
on its own ports, so during the installation a policy-rc.d says no, and what
came newly is disabled; services that were there before are left alone.
"""

from collections.abc import Iterable
import fcntl
import os
from pathlib import Path
import shutil
import subprocess

from devcloud import commands
from devcloud import errors

# Package: the units that Debian would start now and at every boot
PACKAGES = {
    'busybox-static': (),
    'ca-certificates': (),
    'containerd': ('containerd.service',),
    'containernetworking-plugins': (),      # the CNI plugin loopback
    'docker-registry': ('docker-registry.service',),
    'docker.io': ('docker.service', 'docker.socket'),
    'iproute2': (),
    'iptables': (),
    'mariadb-server': ('mariadb.service',),
    'openssl': (),
    'pciutils': (),         # zun-compute runs lspci
    'procps': (),
    'python3-venv': (),
    'rabbitmq-server': ('rabbitmq-server.service', 'epmd.service',
                        'epmd.socket'),
}
LISTS = Path('/var/lib/apt/lists/lock')
UNITS = Path('/usr/lib/systemd/system')
POLICY = Path('/usr/sbin/policy-rc.d')
POLICY_TEXT = """#!/bin/sh
# zun-vk devcloud: only while it installs packages
exit 101
"""


def missing(names: Iterable[str] = PACKAGES) -> list[str]:
    """The packages among these that are not installed.

    :raises errors.DevcloudError: not a Debian
    """
    names = list(names)
    try:
        done = subprocess.run(
            ['dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\n',
             *names], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise errors.DevcloudError(
            'the devcloud installs Debian packages: this machine has no '
            'dpkg') from error
    installed = {line.split()[0] for line in done.stdout.splitlines()
                 if line.endswith(' installed')}
    return [name for name in names if name not in installed]


def install(runner: commands.Commands, log: Path,
            names: Iterable[str] = PACKAGES) -> None:
    """Install what is missing of these.

    :raises errors.LoggedFailure: apt failed
    """
    wanted = missing(names)
    if not wanted:
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    quiet = {'DEBIAN_FRONTEND': 'noninteractive'}
    options = ('-q', '-o', 'DPkg::Lock::Timeout=300')
    wait_for_lists()
    runner.run(('apt-get', *options, 'update'), log, env=quiet)
    guarded = _forbid_services()
    try:
        runner.run(
            ('apt-get', *options, 'install', '-y', '--no-install-recommends',
             *wanted), log, env=quiet)
    finally:
        if guarded:
            POLICY.unlink(missing_ok=True)
    units = [unit for name in wanted for unit in PACKAGES[name]
             if (UNITS / unit).exists()]
    if units and shutil.which('systemctl'):
        runner.run(('systemctl', 'disable', '--quiet', *units), log)


def wait_for_lists() -> None:
    """Wait while another apt updates: apt itself would fail at once."""
    if not LISTS.exists():
        return
    with open(LISTS, 'r+') as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)


def _forbid_services() -> bool:
    """Put the policy in place; False if the machine has its own."""
    if POLICY.exists() and POLICY.read_text() != POLICY_TEXT:
        return False
    POLICY.write_text(POLICY_TEXT)
    os.chmod(POLICY, 0o755)
    return True
