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
"""A pod as its host gets it, unresolved: to be replaced."""

import hashlib
import json

from zun_vk.rpc import payload


def make(pod: dict, addresses: list[str]) -> payload.PodPayload:
    """Return the payload of a pod."""
    shown = {name: pod[name] for name in ('metadata', 'spec')}
    return payload.PodPayload(hashlib.sha256(json.dumps(
        shown['spec'], sort_keys=True).encode()).hexdigest(), shown)
