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
"""zun-vk-status: says whether this host is ready for the installed version.

Reads the configuration and the files it names, and asks no service: it can
run before an upgrade, beside an agent of the old version. It is for the
machines of agents; one that is a host only has nothing to say for most of
it, and zun-vk-compute checks its own options when it starts. Exit codes are
those of oslo.upgradecheck: 0 success, 1 warning, 2 failure, 255 where it
could not check.
"""

import os
import stat
import sys
import typing

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from zun_vk import exceptions
from zun_vk.cloud import sessions
from zun_vk.conf import opts
from zun_vk.kube import client as kube_client
from zun_vk.kubelet import tls
from zun_vk.pods.runtimes import base
from zun_vk.rpc import bus

PROJECT = 'zun-vk'
_GOOD = upgradecheck.Result(upgradecheck.Code.SUCCESS)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Checks(upgradecheck.UpgradeCommands):
    """The checks, in the order they are shown.

    :param conf: every section registered; parsed before a check runs
    """

    def __init__(self, conf: cfg.ConfigOpts):
        super().__init__()
        self._conf = conf

    def _options(self) -> upgradecheck.Result:
        """Every option has a value of its type."""
        return _tried(lambda: opts.read_all(self._conf))

    def _kubernetes(self) -> upgradecheck.Result:
        """The kubeconfig file can be used."""
        return _tried(lambda: kube_client.KubeClient(self._conf))

    def _privacy(self) -> upgradecheck.Result:
        """The kubeconfig file can be used by its owner only."""
        path = self._conf.kubernetes.kubeconfig
        if os.path.exists(path) and os.stat(path).st_mode & _OTHERS:
            return upgradecheck.Result(
                upgradecheck.Code.WARNING,
                f'{path} holds credentials and others than its owner may '
                'use it: chmod 0600')
        return _GOOD

    def _openstack(self) -> upgradecheck.Result:
        """The sections say how to log in to Keystone."""
        def log_in() -> None:
            for group in ('zun', 'placement', 'neutron'):
                sessions.ServiceAccess(self._conf, group)
        return _tried(log_in)

    def _runtime(self) -> upgradecheck.Result:
        """The capsule runtime is installed."""
        return _tried(lambda: base.find(self._conf))

    def _bus(self) -> upgradecheck.Result:
        """The message bus is named, where the runtime needs one.

        Nothing connects to it.
        """
        try:
            if not base.find(self._conf).on_hosts:
                return _GOOD
        except exceptions.ConfigError:
            # Told by the check of the runtime.
            return _GOOD
        result = _tried(lambda: bus.Bus(self._conf).close())
        if result is _GOOD and not bus.is_named(self._conf):
            return upgradecheck.Result(
                upgradecheck.Code.FAILURE,
                '[DEFAULT] transport_url is not set: the agent will not '
                'start without the bus of Zun')
        return result

    def _kubelet(self) -> upgradecheck.Result:
        """The files of the kubelet API can be used."""
        options = self._conf.kubelet_api
        result = _tried(lambda: tls.check(self._conf))
        if result is _GOOD and options.port and not options.client_ca_file:
            return upgradecheck.Result(
                upgradecheck.Code.WARNING,
                '[kubelet_api] client_ca_file is not set: the API server '
                'will not be let in, so that kubectl logs and exec fail')
        return result

    _upgrade_checks = (
        ('Options', _options),
        ('Kubernetes credentials', _kubernetes),
        ('Kubernetes credentials are private', _privacy),
        ('OpenStack credentials', _openstack),
        ('Capsule runtime', _runtime),
        ('Message bus', _bus),
        ('Kubelet API', _kubelet),
    )


def _tried(call: typing.Callable[[], object]) -> upgradecheck.Result:
    """Return success, or a failure with the words of the error."""
    try:
        call()
    except (cfg.Error, exceptions.ConfigError, OSError, ValueError) as error:
        return upgradecheck.Result(upgradecheck.Code.FAILURE, str(error))
    return _GOOD


def main(argv: list[str] | None = None) -> int:
    """Run ``zun-vk-status upgrade check``."""
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    try:
        return upgradecheck.main(
            conf, PROJECT, Checks(conf),
            sys.argv[1:] if argv is None else argv)
    except cfg.Error as error:
        print(f'zun-vk-status: {error}', file=sys.stderr)
        return 255


if __name__ == '__main__':
    sys.exit(main())
