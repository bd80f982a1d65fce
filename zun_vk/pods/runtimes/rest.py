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
"""Capsule runtime ``rest``: stock Zun, nothing on the hosts.

Zun never refreshes a capsule's state after its creation, so neither does
this runtime: a container that exits later still shows as running.
"""

from zun_vk.pods import environment
from zun_vk.pods import translate as translation_module
from zun_vk.pods.runtimes import following


class RestRuntime(following.FollowingRuntime):
    """Stock Zun through its REST API."""

    def check(self, pod: dict) -> None:
        translation_module.check(pod)

    def translate(self, pod: dict, variables: environment.Environment
                  ) -> translation_module.Translation:
        return translation_module.translate(pod, self._owner, variables)
