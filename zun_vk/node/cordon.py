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
"""A node whose zone has left the cloud takes no pods. Pure.

What a cluster admin set is kept: a cordon of theirs is neither taken over
nor lifted. An annotation marks ours.
"""

MARK = 'zun.openstack.org/cordoned'
_REASON = 'availability-zone-gone'


def patch(node: dict, zone_exists: bool) -> dict | None:
    """Return the patch that cordons or uncordons ``node``, None for neither.

    :param node: as the API server has it; its resourceVersion goes into the
        patch, so that nobody's change in between is overwritten
    :param zone_exists: Zun knows hosts of the node's zone, up or not
    """
    metadata = node['metadata']
    ours = MARK in (metadata.get('annotations') or {})
    cordoned = bool(node['spec'].get('unschedulable'))
    version = {'resourceVersion': metadata['resourceVersion']}
    if not zone_exists and not cordoned:
        return {'metadata': version | {'annotations': {MARK: _REASON}},
                'spec': {'unschedulable': True}}
    if zone_exists and ours:
        return {'metadata': version | {'annotations': {MARK: None}},
                'spec': {'unschedulable': None}}
    return None
