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
"""Which of Zun's words on a pod's capsule may be shown.

Zun has the variables of a capsule, those from Secrets too, and its words may
quote them: in the answer to a POST, and later as the reason why a capsule or
a container is as it is. Events, statuses and logs are for people who may not
read the Secret.
"""

import dataclasses
import re
import typing

from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import environment

WITHHELD = "Zun's words may repeat a Secret: they can be read in Zun only"
# A shorter value of a Secret is found in any text.
_TELLING_LENGTH = 4
# What stays as it is where a value is quoted, as JSON or as Python does.
_PLAIN = re.compile(rf'[ !#-&(-\[\]-~]{{{_TELLING_LENGTH},}}')


class Secrets:
    """What the variables of a pod hold of Secrets. Its repr has none of it.

    :param variables: (name, value) pairs
    """

    def __init__(self, variables: typing.Iterable[tuple[str, str]]):
        self._telling: set[str] = set()
        for name, value in variables:
            # Who quotes a capsule quotes its values: the name is enough.
            self._telling |= {f"'{name}'", f'"{name}"',
                              *_PLAIN.findall(value)}
            if len(value) >= _TELLING_LENGTH:
                self._telling.add(value)

    def repeated_in(self, words: str) -> bool:
        """Tell whether ``words`` may show a value, or a part of one."""
        return any(telling in words for telling in self._telling)


def shown(pod: dict, secrets: Secrets | None,
          capsule: capsule_module.Capsule) -> capsule_module.Capsule:
    """Return the capsule of ``pod`` with such words only as may be shown.

    :param secrets: None: not known, such as after a restart. Then only what
        Zun says in fixed words is shown of a pod that refers to Secrets.
    """
    if not capsule.has_words or (secrets is None
                                 and not _refers_to_secrets(pod)):
        return capsule

    def fit(words: str) -> str:
        if not words or (secrets is not None
                         and not secrets.repeated_in(words)):
            return words
        return capsule_module.fixed_words(words) or WITHHELD

    return dataclasses.replace(
        capsule, reason=fit(capsule.reason), containers=tuple(
            dataclasses.replace(container, reason=fit(container.reason))
            for container in capsule.containers))


def _refers_to_secrets(pod: dict) -> bool:
    return any(kind == environment.SECRET
               for container in pod['spec']['containers']
               for _, kind, _ in environment.references(container))
