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
"""The interface in use is the published one, and the code is made of it."""

import json

from google.protobuf import descriptor_pb2
from oslotest import base

from zun_vk.compute.cri import cri_pb2
from zun_vk.tests.fixtures import cri_published

ROOT = cri_published.ROOT


class ProtoTestCase(base.BaseTestCase):

    def test_the_generated_code_is_that_of_the_proto(self):
        generated = descriptor_pb2.FileDescriptorProto()
        cri_pb2.DESCRIPTOR.CopyToProto(generated)
        compiled = cri_published.compiled(cri_published.OURS, ROOT)
        # Only the compiler fills these in, and only some versions of it.
        for message in (generated, compiled):
            _forget_json_names(message.message_type)
        self.assertEqual(compiled, generated)

    def test_whatever_is_in_use_is_as_published(self):
        published = json.loads(cri_published.EXTRACT.read_text())
        ours = cri_published.described(
            cri_published.compiled(cri_published.OURS, ROOT))
        for name, parts in ours.items():
            self.assertEqual(
                {part: published.get(name, {}).get(part) for part in parts},
                parts, name)

    def test_an_enum_is_there_with_all_its_values(self):
        published = json.loads(cri_published.EXTRACT.read_text())
        for enum in cri_pb2.DESCRIPTOR.enum_types_by_name.values():
            self.assertEqual(published[enum.name], {
                value.name: value.number for value in enum.values})

    def test_nothing_is_there_that_no_call_leads_to(self):
        seen = set()
        ahead = [side for service in
                 cri_pb2.DESCRIPTOR.services_by_name.values()
                 for call in service.methods
                 for side in (call.input_type, call.output_type)]
        while ahead:
            message = ahead.pop()
            if message.name not in seen:
                seen.add(message.name)
                ahead += [field.message_type for field in message.fields
                          if field.message_type]
        self.assertEqual(
            set(), set(cri_pb2.DESCRIPTOR.message_types_by_name) - seen)

    def test_the_code_takes_every_protobuf_that_is_allowed(self):
        """That of newer compilers refuses an older runtime, or a newer."""
        code = (ROOT / 'zun_vk/compute/cri/cri_pb2.py').read_text()
        self.assertNotIn('import runtime_version', code)


def _forget_json_names(messages):
    for message in messages:
        for field in message.field:
            field.ClearField('json_name')
        _forget_json_names(message.nested_type)
