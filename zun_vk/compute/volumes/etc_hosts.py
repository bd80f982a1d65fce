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
"""The /etc/hosts of a pod's containers.

Kubernetes: the kubelet manages it, unless a container mounts one itself.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import ipaddress
import os
import re

PATH = '/etc/hosts'
_HEAD = (
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters')
_NAME = re.compile(r'[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?')


def content(addresses: Sequence[str], hostname: str, domain: str,
            aliases: Sequence[Mapping]) -> str:
    """Return the file.

    :param addresses: of the pod
    :param domain: that the hostname is in, '' for none
    :param aliases: ``spec.hostAliases``; what is no address or no name in
        them is left out, for it would make lines of its own
    """
    names = [hostname] if not domain else [f'{hostname}.{domain}', hostname]
    lines = [*_HEAD, *('\t'.join([address, *names]) for address in addresses)]
    extra = [f'{alias["ip"]}\t' + '\t'.join(found)
             for alias in aliases if (found := _names(alias))]
    if extra:
        lines += ['', '# Entries added by HostAliases.', *extra]
    return '\n'.join(lines) + '\n'


def write(path: str, text: str) -> None:
    """Let the file say this, without a moment of saying less if it does.

    It stays the same file, for containers that run have it mounted.

    :raises OSError: it cannot be written
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with open(descriptor, 'r+', encoding='utf-8',
              errors='replace') as file:
        os.fchmod(descriptor, 0o644)
        # Containers may write to it too: it is read no further than needed.
        if file.read(len(text) + 1) != text:
            file.seek(0)
            file.truncate()
            file.write(text)


def _names(alias: Mapping) -> list[str]:
    try:
        ipaddress.ip_address(alias.get('ip') or '')
    except ValueError:
        return []
    return [name for name in alias.get('hostnames') or ()
            if isinstance(name, str) and _NAME.fullmatch(name)]
