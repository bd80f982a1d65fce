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
"""Kubernetes' own tests of nodes, run on the devcloud's virtual node.

``tools/conformance`` is the command. Flow: the programs are built and the
tests listed (programs, listing), the skip file says which are left out and
why (skips), the images are made and put on the hosts (images), the rest is
run (running) while each result is shown (watching), and what came out is
written down with the causes (results).
"""
