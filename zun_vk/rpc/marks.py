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
"""Labels and annotations by which agent and hosts know whose a capsule is."""

PREFIX = 'zun.openstack.org'
CLUSTER = f'{PREFIX}/cluster'
NODE = f'{PREFIX}/node'
NAMESPACE = f'{PREFIX}/namespace'
POD = f'{PREFIX}/pod'
UID = f'{PREFIX}/uid'
#: Annotation: names of the pod's containers, in order, for Zun changes them.
CONTAINERS = f'{PREFIX}/containers'
#: Annotations of users.
NETWORK = f'{PREFIX}/network'
SECURITY_GROUPS = f'{PREFIX}/security-groups'
