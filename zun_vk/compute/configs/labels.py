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
"""How sandboxes and containers say whose they are.

Labels are what the host's service finds its own by after a restart;
annotations are what it needs to know of a container that outlived it.
"""

from collections.abc import Mapping

POD_UID = 'io.kubernetes.pod.uid'
POD_NAME = 'io.kubernetes.pod.name'
POD_NAMESPACE = 'io.kubernetes.pod.namespace'
CONTAINER_NAME = 'io.kubernetes.container.name'
CAPSULE = 'zun.openstack.org/capsule'
MANAGED_BY = 'zun.openstack.org/managed-by'
MANAGER = 'zun-vk-compute'

RESTART_COUNT = 'io.kubernetes.container.restartCount'
TERMINATION_PATH = 'io.kubernetes.container.terminationMessagePath'
TERMINATION_POLICY = 'io.kubernetes.container.terminationMessagePolicy'
SPEC_HASH = 'zun.openstack.org/spec-hash'


def of_pod(pod: Mapping, capsule: str) -> dict[str, str]:
    """Return the labels of all that belongs to a pod.

    :param capsule: UUID of its capsule
    """
    metadata = pod['metadata']
    return {POD_UID: metadata['uid'], POD_NAME: metadata['name'],
            POD_NAMESPACE: metadata['namespace'], CAPSULE: capsule,
            MANAGED_BY: MANAGER}
