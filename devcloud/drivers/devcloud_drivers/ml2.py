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
"""A mechanism driver for a Neutron that has no agents.

Every port that asks for a host is bound at once and ACTIVE: on this one
machine the network driver of Zun plugs the container, nobody else has work.
"""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class DevcloudMechanismDriver(api.MechanismDriver):
    """Binds a port to the first segment offered."""

    def initialize(self):
        pass

    def bind_port(self, context):
        if context.segments_to_bind:
            context.set_binding(
                context.segments_to_bind[0][api.ID],
                portbindings.VIF_TYPE_BRIDGE,
                {portbindings.CAP_PORT_FILTER: False},
                status=constants.PORT_STATUS_ACTIVE)
