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
import pkgutil
import subprocess
import sys

from oslotest import base

import zun_vk

# The service module binds to its back end on import, so the agent's program
# comes first, as it does in life.
_PROGRAM = '''
import importlib, sys
sys.modules['eventlet'] = None
import zun_vk.cmd.agent
for name in sys.argv[1:]:
    importlib.import_module(name)
'''


def _modules():
    """Return the names of all modules but the tests.

    Nor the capsule driver: it lives in zun-compute, which needs eventlet.
    """
    return [module.name for module in pkgutil.walk_packages(
        zun_vk.__path__, 'zun_vk.', onerror=_fail)
        if not module.name.startswith('zun_vk.tests')
        and module.name != 'zun_vk.compute.driver']


def _fail(name):
    raise AssertionError(f'{name} cannot be imported')


class NoEventletTestCase(base.BaseTestCase):

    def test_every_module_works_without_eventlet(self):
        modules = _modules()
        self.assertIn('zun_vk.agent', modules)
        self.assertIn('zun_vk.kube.reflector', modules)
        result = subprocess.run(
            [sys.executable, '-c', _PROGRAM, *modules], timeout=60,
            capture_output=True, text=True, check=False)
        self.assertEqual(0, result.returncode, result.stderr)
