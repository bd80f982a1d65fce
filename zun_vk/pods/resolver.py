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
"""Reads what the variables of a pod refer to.

Flows in: a pod. Flows out: its environment, or the reason why there is none
yet. Only objects that the pod names are read, each by its name; of Services,
those of the pod's namespace.
"""

from collections.abc import Callable
from collections.abc import Sequence
import typing

from oslo_config import cfg

from zun_vk import exceptions
from zun_vk.kube import client as kube_client
from zun_vk.kube import objects as objects_module
from zun_vk.pods import environment
from zun_vk.pods import servicelinks

_T = typing.TypeVar('_T')


class Nothing:
    """Where a capsule is made without variables."""

    def resolve(self, pod: dict,
                not_before: float) -> environment.Environment:
        return environment.Environment()


class Resolver:
    """Makes the environments of one node's pods.

    :param conf: options of the section ``[pods]``
    :param objects: reads objects with the rights of the node
    :param node: its name
    :param host_ip: its address
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 objects: objects_module.ObjectCache, node: str,
                 host_ip: str):
        self._host = conf.pods.kubernetes_service_host
        self._port = conf.pods.kubernetes_service_port
        self._objects = objects
        self._node = node
        self._host_ip = host_ip

    def resolve(self, pod: dict,
                not_before: float) -> environment.Environment:
        """Return the environment of ``pod``.

        :param not_before: monotonic time; what was there then is seen
        :raises NotYetResolvable: something it refers to is missing
        :raises RemoteError: the API server does not answer
        """
        needs = environment.needs(pod)
        try:
            return environment.resolve(
                pod, self.read(pod, needs, not_before))
        except exceptions.AccessDenied as error:
            if error.status != 403:
                raise
            raise refusal(error) from error

    def read(self, pod: dict, needs: environment.Needs, not_before: float,
             addresses: Sequence[str] = ()) -> environment.Material:
        """Return what the environment of ``pod`` is made of.

        :param needs: from ``environment.needs``
        :param addresses: of the pod, where it has some already
        :raises RemoteError: the API server does not answer
        """
        namespace = pod['metadata']['namespace']
        getters = {environment.SECRET: self._objects.secret,
                   environment.CONFIG_MAP: self._objects.config_map}
        return environment.Material(
            objects={(kind, name): shown(
                getters[kind], namespace, name, not_before)
                for kind, name in sorted(needs.objects)},
            services=self._services(namespace, needs.services, not_before),
            allocatable=self._objects.allocatable(self._node)
            if needs.allocatable else {},
            host_ips=(self._host_ip,), addresses=tuple(addresses))

    def _services(self, namespace: str, links: bool,
                  not_before: float) -> dict[str, str]:
        """Return the variables of Services, those of the API server always.

        Kubernetes: a Service of that name in the pod's own namespace goes
        before it.
        """
        master = None if self._host else self._objects.master_service()
        master = servicelinks.master(master, self._host, self._port)
        seen = {} if master is None else {servicelinks.MASTER: master}
        if links:
            for service in self._objects.services(namespace, not_before):
                if (namespace, service.name) != kube_client.MASTER_SERVICE:
                    seen[service.name] = service
        return servicelinks.variables(seen.values())


def shown(read: Callable[..., _T], *arguments: typing.Any
          ) -> _T | exceptions.NotYetResolvable:
    """Return what ``read`` returns, or that it is not shown to us (yet).

    :raises RemoteError: the API server does not answer
    """
    try:
        return read(*arguments)
    except exceptions.AccessDenied as error:
        if error.status != 403:
            raise
        return refusal(error)


def refusal(error: exceptions.AccessDenied) -> exceptions.NotYetResolvable:
    """Return why a pod waits for what we may not read.

    Kubernetes: the Node authorizer may not know yet that the pod is bound
    here; other causes are for an admin to see.
    """
    return exceptions.NotYetResolvable(environment.FAILED, error.message)
