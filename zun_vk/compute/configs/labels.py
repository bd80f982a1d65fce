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

The host's service finds its own by these after a restart.
"""

from collections.abc import Mapping

from zun_vk.compute import model


def of_pod(pod: Mapping, capsule: str) -> dict[str, str]:
    """Return the labels of all that belongs to a pod.

    :param capsule: UUID of its capsule
    """
    metadata = pod['metadata']
    return {model.LABEL_UID: metadata['uid'],
            model.LABEL_POD: metadata['name'],
            model.LABEL_NAMESPACE: metadata['namespace'],
            model.LABEL_CAPSULE: capsule,
            model.LABEL_MANAGED_BY: model.MANAGED_BY}
