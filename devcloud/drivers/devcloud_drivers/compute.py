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
"""zun-compute with two quirks healed before it reads its own modules.

- Its service report has no period of its own and so takes oslo.service's
  default of a minute: a dead host would count as up for longer than that.
  The period is fixed when Zun's classes are made, hence before the import.
- Zun 18 calls tenacity.Retrying.call for init containers, which newer
  tenacity has no longer; calling the object is the same.
"""

import os

# First of all: Zun patches the standard library with eventlet here
import zun.cmd  # noqa: F401

from oslo_service import periodic_task
import tenacity

periodic_task.DEFAULT_INTERVAL = float(os.environ['DEVCLOUD_ZUN_REPORT'])
if not hasattr(tenacity.Retrying, 'call'):
    tenacity.Retrying.call = tenacity.Retrying.__call__

from zun.cmd import compute  # noqa: E402

if __name__ == '__main__':
    compute.main()
