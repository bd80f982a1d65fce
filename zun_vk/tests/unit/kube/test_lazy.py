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

import json
import subprocess
import sys

from oslotest import base

# Modules of classes that were really executed have a __file__.
_LOADED = """
import json, sys
def loaded():
    return sorted(
        name for name, module in sys.modules.items()
        if name.startswith(('kubernetes.client.models.',
                            'kubernetes.client.api.'))
        and getattr(module, '__file__', None))
"""


def run(program: str) -> object:
    """Return what a program prints, in a process of its own, as JSON."""
    done = subprocess.run([sys.executable, '-c', _LOADED + program],
                          check=True, capture_output=True, text=True,
                          timeout=120)
    return json.loads(done.stdout)


class LazyTestCase(base.BaseTestCase):

    def test_the_agent_loads_no_classes_of_objects(self):
        self.assertEqual([], run(
            'import zun_vk.cmd.agent\n'
            'print(json.dumps(loaded()))'))

    def test_the_library_loads_them_without_this(self):
        # Else the test above would show nothing.
        self.assertNotEqual([], run(
            'from kubernetes import client\n'
            'client.CoreV1Api, client.V1Pod\n'
            'print(json.dumps(loaded()))'))

    def test_a_class_that_is_used_all_the_same_is_there(self):
        self.assertEqual(['v1', 'metadata'], run(
            'import zun_vk.cmd.agent\n'
            'from kubernetes import client\n'
            'pod = client.V1Pod(api_version="v1")\n'
            'client.CoreV1Api(client.ApiClient())\n'
            'print(json.dumps([pod.api_version,\n'
            '                  client.V1Pod.attribute_map["metadata"]]))'))
