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
"""Answers of the kubelet's API that need no host.

Flows in: the pods of the node. Flows out: their list, the node's settings,
and that it lives.
"""

from zun_vk.kubelet import context


def healthz(services: context.Services, exchange: context.Exchange,
            parts: tuple[str, ...]) -> None:
    """Answer that the server works."""
    exchange.send(200, b'ok')


def not_yet(services: context.Services, exchange: context.Exchange,
            parts: tuple[str, ...]) -> None:
    """Refuse what is not served."""
    raise context.Refused(501, 'not implemented')


pods = running_pods = configz = not_yet
