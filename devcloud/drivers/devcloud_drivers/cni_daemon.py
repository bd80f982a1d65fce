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
"""zun-cni-daemon without a helper process for what only root may do.

It is root here. Each request is served by a process of its own, and each
would start a privsep helper of its own: 1.5 s of a processor.
"""

import sys

from zun.cni.cmd import cni_daemon
from zun.common import privileged

if __name__ == '__main__':
    privileged.cni.set_client_mode(False)
    sys.exit(cni_daemon.main())
