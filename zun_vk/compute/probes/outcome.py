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
"""How one run of a probe went."""

import dataclasses
import enum

#: Kubernetes: of what a probe printed or a server answered.
MAX_OUTPUT = 10 * 1024


class Verdict(enum.Enum):
    """What Kubernetes takes a run for; a warning is a success."""

    SUCCESS = 'success'
    WARNING = 'warning'
    FAILURE = 'failure'
    #: The probe itself went wrong: nothing is known of the container.
    ERROR = 'error'


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of a run.

    :param output: for the event, in words
    """

    verdict: Verdict
    output: str = ''


def success(output: str = '') -> Outcome:
    return Outcome(Verdict.SUCCESS, output)


def failure(output: str) -> Outcome:
    return Outcome(Verdict.FAILURE, output)


def error(output: str) -> Outcome:
    return Outcome(Verdict.ERROR, output)
