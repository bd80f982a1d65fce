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
"""Zun's stock CRI driver, on the containerd of its own host.

The socket that it speaks to is written into its code.
"""

import os

import grpc
from zun.container.cri import driver
from zun.criapi import api_pb2_grpc


class CriDriver(driver.CriDriver):
    """Like its parent, with another socket."""

    def __init__(self):
        super().__init__()
        channel = grpc.insecure_channel(os.environ['DEVCLOUD_CRI_ENDPOINT'])
        self.runtime_stub = api_pb2_grpc.RuntimeServiceStub(channel)
        self.image_stub = api_pb2_grpc.ImageServiceStub(channel)
