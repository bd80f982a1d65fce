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
"""The events of probes, in the kubelet's words."""

from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import prober
from zun_vk.compute.probes import spec
from zun_vk.rpc import states

UNHEALTHY = 'Unhealthy'
WARNING = 'ProbeWarning'
#: What the bus carries of an event.
_MAX_CHARACTERS = 8000
_WORDS = {outcome.Verdict.FAILURE: (UNHEALTHY, 'failed'),
          outcome.Verdict.ERROR: (
              UNHEALTHY, 'errored and resulted in unknown state'),
          outcome.Verdict.WARNING: (WARNING, 'warning')}


def event(target: prober.Target, probe: spec.Probe, ended: outcome.Outcome,
          at: float) -> states.PodEvent | None:
    """Return what a run is worth telling of; None for nothing.

    :param at: seconds since the epoch
    """
    if ended.verdict not in _WORDS:
        return None
    reason, words = _WORDS[ended.verdict]
    message = f'{probe.kind.capitalize()} probe {words}: {ended.output}'
    return states.PodEvent(
        target.uid, target.namespace, target.pod, 'Warning', reason,
        message[:_MAX_CHARACTERS],
        target.path or f'spec.containers{{{target.container["name"]}}}', at)
