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
"""What the kernel lets one of our processes have."""

import resource

# As many as the units of systemd allow. Far more would only make programs
# slow that close all they might have.
_DESCRIPTORS = 65536


def raise_descriptors() -> None:
    """Allow as many open files and connections as may be had without asking.

    The limit that a process begins with, 1024, is there for programs that
    use select(). Ours have a socket or two for each stream and each client
    that waits, and must not lack the one by which a lease is renewed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = (_DESCRIPTORS if hard == resource.RLIM_INFINITY
              else min(hard, _DESCRIPTORS))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
