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
"""Zun's network driver of the devcloud: a plain bridge for each network.

Neutron decides every address: the docker network only gets the subnet's
CIDR, and what is inherited gives each container the fixed IP and the MAC of
its Neutron port. Hosts of the same machine share the bridge, whose name
says which devcloud it belongs to.
"""

from oslo_log import log as logging
from zun import conf as zun_conf
from zun import objects
from zun.common import exception
from zun.network import kuryr_network

from devcloud_drivers import vif

CONF = zun_conf.CONF
LOG = logging.getLogger(__name__)


class BridgeNetwork(kuryr_network.KuryrNetwork):
    """KuryrNetwork without Kuryr's docker plugin."""

    def create_network(self, neutron_net_id):
        subnet = self._ipv4_subnet(neutron_net_id)
        pool = {'Subnet': subnet['cidr']}
        if subnet.get('gateway_ip'):
            pool['Gateway'] = subnet['gateway_ip']
        found = self._zun_network(neutron_net_id)
        bridge = vif.bridge_name(neutron_net_id)
        docker_network = self._docker_network(neutron_net_id, bridge, pool)
        found.network_id = docker_network['Id']
        found.save()
        return found

    def _ipv4_subnet(self, neutron_net_id):
        subnets = self.neutron_api.list_subnets(network_id=neutron_net_id)
        subnet = self._get_subnet(subnets.get('subnets', []), ip_version=4)
        if subnet is None:
            raise exception.ZunException(
                f'The network {neutron_net_id} has no IPv4 subnet')
        return subnet

    def _zun_network(self, neutron_net_id):
        """Zun's record of the network on this host, made if need be.

        Two capsules may be the first on a network at the same time: the
        database lets one make the record, the other takes that.
        """
        record = objects.ZunNetwork(
            self.context, project_id=self.context.project_id,
            user_id=self.context.user_id, name=neutron_net_id,
            neutron_net_id=neutron_net_id, host=CONF.host)
        try:
            record.create(self.context)
            return record
        except exception.NetworkAlreadyExists:
            return objects.ZunNetwork.list(
                self.context, filters={'neutron_net_id': neutron_net_id,
                                       'host': CONF.host})[0]

    def _docker_network(self, name, bridge, pool):
        try:
            return self.docker.create_network(
                name=name, driver='bridge', check_duplicate=True,
                options={'com.docker.network.bridge.name': bridge},
                ipam={'Driver': 'default', 'Config': [pool]})
        except Exception:
            # Whoever came first has made it
            networks = [network for network in
                        self.docker.networks(names=[name])
                        if network['Name'] == name]
            if not networks:
                raise
            LOG.debug('network %s was there already', name)
            return networks[0]
