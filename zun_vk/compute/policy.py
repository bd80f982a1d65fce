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
"""What a pod's spec says of when its containers start, and start again.

Pure readers of the Kubernetes object. What is missing in it counts as the
API server's default, so that a pod from elsewhere is read the same.
"""

from zun_vk.compute import model

ALWAYS, ON_FAILURE, NEVER = 'Always', 'OnFailure', 'Never'
_GRACE = 30.0


def regulars(pod: dict) -> list[dict]:
    return pod['spec'].get('containers') or []


def initials(pod: dict) -> list[dict]:
    """Return the init containers, sidecars among them, in their order."""
    return pod['spec'].get('initContainers') or []


def is_sidecar(container: dict) -> bool:
    """Tell whether an *init* container is one that goes on running."""
    return container.get('restartPolicy') == ALWAYS


def kind_of(pod: dict, name: str) -> model.Kind:
    for container in initials(pod):
        if container['name'] == name:
            return (model.Kind.SIDECAR if is_sidecar(container)
                    else model.Kind.INIT)
    return model.Kind.REGULAR


def find(pod: dict, name: str) -> dict:
    """Return the spec of that container; {} where it has none."""
    return next((container for container in initials(pod) + regulars(pod)
                 if container['name'] == name), {})


def restart_policy(pod: dict) -> str:
    return pod['spec'].get('restartPolicy') or ALWAYS


def starts_again(pod: dict, container: dict, exit_code: int) -> bool:
    """Tell whether a container that exited is to be started again.

    Kubernetes: container restart rules. The rules of the container come
    first, then its own policy, then that of the pod.
    """
    own = container.get('restartPolicy')
    if own and any(_matches(rule, exit_code)
                   for rule in container.get('restartPolicyRules') or ()):
        return True
    return _allows(own or restart_policy(pod), exit_code)


def survives_failure(pod: dict, container: dict) -> bool:
    """Tell whether one that must be killed is to be started again.

    Its rules do not count: they are about exit codes, and it has none yet.
    """
    return (container.get('restartPolicy') or restart_policy(pod)) != NEVER


def grace_of(pod: dict) -> float:
    """Return the seconds that containers of the pod get to end."""
    grace = pod['spec'].get('terminationGracePeriodSeconds')
    return _GRACE if grace is None else float(grace)


def probe_grace(pod: dict, container: dict, kind: str) -> float:
    """Return them for one that a probe of that kind has failed."""
    probe = container.get(f'{kind.lower()}Probe') or {}
    grace = probe.get('terminationGracePeriodSeconds')
    return grace_of(pod) if grace is None else float(grace)


def has_hook(container: dict, name: str) -> bool:
    """Tell whether the container has a ``postStart`` or ``preStop``."""
    return bool((container.get('lifecycle') or {}).get(name))


def _allows(policy: str, exit_code: int) -> bool:
    return policy == ALWAYS or (policy == ON_FAILURE and exit_code != 0)


def _matches(rule: dict, exit_code: int) -> bool:
    """Tell whether the rule restarts a container with that exit code.

    RestartAllContainers counts as the restart of this one.
    """
    codes = rule.get('exitCodes') or {}
    among = exit_code in (codes.get('values') or ())
    return {'In': among, 'NotIn': not among}.get(
        codes.get('operator', ''), False)
