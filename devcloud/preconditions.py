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
"""What a machine must have for a devcloud to run on it."""

import os
import shutil
import subprocess


def missing() -> str:
    """What this machine lacks, in a few words; '' if nothing."""
    if os.geteuid() != 0:
        return 'the devcloud has to run as root'
    if not shutil.which('apt-get') or not shutil.which('dpkg-query'):
        return 'the devcloud installs Debian packages: there is no apt here'
    if not can_run_containers():
        return ('this machine cannot run containers: it does not let root '
                'make namespaces, mounts and cgroups')
    return ''


def can_run_containers() -> bool:
    """Whether root may do here what dockerd does for a container."""
    script = 'mount -t tmpfs none /mnt && ip link add devcloud-try type bridge'
    if not shutil.which('ip'):      # comes with our packages
        script = 'mount -t tmpfs none /mnt'
    try:
        done = subprocess.run(
            ['unshare', '--mount', '--net', '--pid', '--fork', 'sh', '-c',
             script], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    cgroups = subprocess.run(
        ['sh', '-c', 'for f in /sys/fs/cgroup /sys/fs/cgroup/memory; do '
         'test ! -d $f/. || test -w $f/. || exit 1; done'])
    return done.returncode == 0 and cgroups.returncode == 0
