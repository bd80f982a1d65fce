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
"""Capsules for tests, as Zun's API shows them and as the code reads them."""

import json

from zun_vk.pods import capsule
from zun_vk.rpc import marks
from zun_vk.tests.unit.pods import strategies

UUID = 'c0ffee00-0000-4000-8000-000000000001'
PROJECT = '0123456789abcdef0123456789abcdef'


def raw(pod=None, uuid=UUID, status='Running', **fields):
    """Return the API's object of the capsule of ``pod``."""
    pod = pod or strategies.pod()
    names = [each['name'] for each in pod['spec']['containers']]
    return {
        'uuid': uuid, 'project_id': PROJECT,
        'status': status, 'status_reason': None,
        'labels': strategies.OWNER.labels(pod),
        'annotations': {marks.CONTAINERS: json.dumps(names)},
        'addresses': {'net': [{'addr': '10.0.0.7', 'version': 4}]},
        'created_at': '2026-01-31 12:00:00+00:00',
        'updated_at': '2026-01-31 12:00:05+00:00',
        'containers': [container(index, status)
                       for index, _ in enumerate(names)], **fields}


def container(index=0, status='Running', **fields):
    """Return the API's object of one container."""
    return {
        'uuid': f'c0ffee00-0000-4000-9000-00000000000{index}',
        'name': f'capsule-shop_web_0a1b2c3d-alpha-{index}-container',
        'status': status, 'status_reason': None, 'status_detail': None,
        'image': 'busybox', 'created_at': '2026-01-31 12:00:00+00:00',
        'updated_at': '2026-01-31 12:00:04+00:00', **fields}


def read(pod=None, **fields):
    """Return the Capsule that ``raw`` describes."""
    return capsule.from_zun(raw(pod, **fields))
