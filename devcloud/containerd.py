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
"""A host's containerd: configuration, server, images.

It serves CRI to whoever runs capsules. The registry of the devcloud stands
in for every registry whose images it has: for docker.io, of which it is the
mirror, and for those under whose names ``devcloud image`` keeps something.
"""

import contextlib
import json
from pathlib import Path
import shutil
import subprocess

from devcloud import errors
from devcloud import hosts
from devcloud import own_images
from devcloud import paths
from devcloud import servers
from devcloud import settings

# A second runtime handler, for pods that name a RuntimeClass
ALTERNATIVE = 'devcloud-alt'
SECONDS = 5
CGROUPS = Path('/sys/fs/cgroup')


def state(where: paths.Paths, host: str) -> Path:
    """What does not outlive a reboot, nor the containers: sockets, mounts.

    Shims are told a path in here, by which they are known.
    """
    return where.run / f'containerd-{host}'


def data(where: paths.Paths, host: str) -> Path:
    """Images, snapshots, and what CRI knows of its containers."""
    return where.data / f'containerd-{host}'


def socket(where: paths.Paths, host: str) -> Path:
    return state(where, host) / 'containerd.sock'


def endpoint(where: paths.Paths, host: str) -> str:
    """Where CRI is served, as gRPC writes it."""
    return f'unix://{socket(where, host)}'


def cni(where: paths.Paths, host: str = '') -> Path:
    """The CNI programs of all hosts, or one host's configuration."""
    return where.etc / 'cni' / (host or 'bin')


def registries(where: paths.Paths) -> Path:
    """Where containerd is to look for images, by registry."""
    return where.etc / 'registries'


def write_configuration(where: paths.Paths, host: str) -> None:
    """One host's containerd.toml, and the registry that all know."""
    stand_in(where, 'docker.io')
    paths.write_private(where.etc / f'containerd-{host}.toml',
                        configuration(where, host))


def configuration(where: paths.Paths, host: str) -> str:
    """containerd.toml, which version 1.6 and newer ones read."""
    def path(value: Path) -> str:
        return json.dumps(str(value))

    def handler(name: str) -> str:
        table = ('plugins."io.containerd.grpc.v1.cri".containerd.runtimes.'
                 f'{name}')
        return (f'[{table}.options]\n'
                f'Root = {path(state(where, host) / name)}\n\n'
                f'[{table}]\nruntime_type = "io.containerd.runc.v2"\n')

    return f'''version = 2
root = {path(data(where, host))}
state = {path(state(where, host) / 'state')}

[grpc]
address = {path(socket(where, host))}

[plugins."io.containerd.internal.v1.opt"]
path = {path(data(where, host) / 'opt')}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{own_images.PAUSE}"
# Else runc fails on machines without CAP_SYS_RESOURCE
restrict_oom_score_adj = true
# In our folder they are known as ours
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {path(cni(where))}
conf_dir = {path(cni(where, host))}

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = {path(registries(where))}

{handler("runc")}
{handler(ALTERNATIVE)}pod_annotations = ["devcloud.zun-vk/*"]
'''


def stand_in(where: paths.Paths, registry: str, prefix: str = '') -> None:
    """Have every containerd ask the devcloud's registry for another's.

    :param prefix: below which the devcloud's keeps the other's images
    """
    folder = registries(where) / registry
    folder.mkdir(parents=True, exist_ok=True)
    mirror = settings.url('registry', f'/v2/{prefix}'.rstrip('/'))
    paths.write_private(
        folder / 'hosts.toml',
        f'[host.{json.dumps(mirror)}]\n'
        'capabilities = ["pull", "resolve"]\noverride_path = true\n')


def server(where: paths.Paths, host: str) -> servers.Server:
    return servers.Server(
        hosts.named('containerd', host),
        (*hosts.machine(host), 'containerd',
         f'--config={where.etc / f"containerd-{host}.toml"}'),
        lambda: health(where, host), after=('configuration', 'registry'),
        # The root directory of every container is made with it.
        outlived=True, umask=0o022)


def health(where: paths.Paths, host: str) -> str:
    """'' when containerd answers."""
    try:
        done = run(where, host, 'version', seconds=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f'no answer ({type(error).__name__})'
    return '' if done.returncode == 0 else 'no answer'


def pull(where: paths.Paths, host: str, name: str) -> None:
    """Have an image on a host, under its own name.

    :param name: complete: registry, path and tag
    :raises errors.DevcloudError: it could not be pulled
    """
    done = run(where, host, '--namespace=k8s.io', 'images', 'pull',
               f'--hosts-dir={registries(where)}', name, seconds=300)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise errors.DevcloudError(
            f'{host}: {name}: {words[-1] if words else "ctr failed"}')


def images(where: paths.Paths, host: str) -> set[str]:
    """The names of the images that are on a host.

    :raises errors.DevcloudError: containerd does not say
    """
    done = run(where, host, '--namespace=k8s.io', 'images', 'list',
               '--quiet', seconds=30)
    if done.returncode:
        raise errors.DevcloudError(
            f'{host}: no list of images: {done.stderr.strip()}')
    return set(done.stdout.split())


def containers(where: paths.Paths, host: str) -> list[dict[str, str]]:
    """The labels of each container and sandbox on a host.

    :raises errors.DevcloudError: containerd does not say
    """
    listed = run(where, host, '--namespace=k8s.io', 'containers', 'list',
                 '--quiet', seconds=SECONDS)
    if listed.returncode:
        raise errors.DevcloudError(
            f'{host}: no list of containers: {listed.stderr.strip()}')
    shown = [run(where, host, '--namespace=k8s.io', 'containers', 'info',
                 ident, seconds=SECONDS) for ident in listed.stdout.split()]
    # Others are gone since
    return [json.loads(each.stdout)['Labels'] for each in shown
            if each.returncode == 0]


def run(where: paths.Paths, host: str, *words: str,
        seconds: float) -> subprocess.CompletedProcess:
    """Run containerd's own client."""
    return subprocess.run(
        ['ctr', f'--address={socket(where, host)}', *words],
        env=servers.base_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=seconds)


def forget(folder: Path) -> None:
    """Remove the state of a containerd that has ended, and its shims, too.

    The shims' own sockets are where those of every containerd are; each
    has noted down its one. So are the cgroups of containers for which
    nobody has named a parent.

    :param folder: what state() gave
    """
    for task in (folder / 'state' / 'io.containerd.runtime.v2.task').glob(
            '*/*'):
        address = task / 'address'
        if address.exists():
            Path(address.read_text().removeprefix('unix://')).unlink(
                missing_ok=True)
        for group in CGROUPS.glob(f'*/{task.parent.name}/{task.name}'):
            with contextlib.suppress(OSError):
                group.rmdir()
    shutil.rmtree(folder, ignore_errors=True)
