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
"""How one container is started, kept, or replaced.

The same for regular containers and sidecars. A start that has to wait asks
for a look when it need not; a kill is planned once, and what runs of it is
the worker's.
"""

from zun_vk.compute import backoff
from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import view as views

# The kubelet's words for why it kills a container.
LIVENESS = 'LivenessProbe'
STARTUP = 'StartupProbe'
HOOK = 'FailedPostStartHook'
UNKNOWN = 'Unknown'


def start(view: views.View, draft: views.Draft, container: dict) -> bool:
    """Plan the start of a container that should run and does not.

    :returns: whether it is being started, now or already
    """
    name = container['name']
    if name in view.memory.starting:
        return True
    if not view.memory.volumes_ready or stop_leftovers(
            view, draft, container):
        return False
    at = max(view.memory.retry_at.get(name, 0),
             backoff.waits_until(view, container))
    if at > view.now:
        draft.look(at)
        return False
    draft.do(model.StartContainer(
        name, view.next_attempt(name), policy.kind_of(view.pod, name),
        backoff.following(view, container)))
    return True


def keep(view: views.View, draft: views.Draft, container: dict,
         running: model.SeenContainer) -> None:
    """Plan the kill of a running container that something is wrong with."""
    hook = view.memory.hooks.get(running.id)
    probed = view.memory.probes.get(running.id)
    survives = policy.survives_failure(view.pod, container)
    kind = 'Init container' if (
        policy.kind_of(view.pod, running.name) == model.Kind.SIDECAR
    ) else 'Container'
    if running.spec_hash not in ('', model.hash_of(container)):
        _kill(view, draft, running, f'{kind} {running.name} definition '
              'changed', '', restart=True)
    elif probed is not None and probed.failed is not None:
        _kill(view, draft, running, f'{kind} {running.name} failed '
              f'{probed.failed.kind.lower()} probe',
              f'{probed.failed.kind}Probe', restart=survives)
    elif hook is not None and hook.failed:
        _kill(view, draft, running, f'The postStart hook of {kind.lower()} '
              f'{running.name} failed', HOOK)


def kill_unknown(view: views.View, draft: views.Draft, container: dict,
                 found: model.SeenContainer) -> None:
    """Plan the kill of one of which nobody knows whether it runs."""
    _kill(view, draft, found, f'{found.name} is in an unknown state: '
          'it is killed before it is restarted', UNKNOWN,
          restart=policy.survives_failure(view.pod, container))


def stop_leftovers(view: views.View, draft: views.Draft,
                   container: dict) -> bool:
    """Plan the kill of what still runs under the name; tell if any does."""
    left = [each for each in view.live if each.name == container['name']]
    for each in left:
        kill_unknown(view, draft, container, each)
    return bool(left)


def _kill(view: views.View, draft: views.Draft,
          running: model.SeenContainer, message: str, reason: str,
          restart: bool = False) -> None:
    if running.id in view.memory.killing or not draft.try_again(
            view, running.id):
        return
    container = policy.find(view.pod, running.name)
    grace = policy.grace_of(view.pod)
    if reason in (LIVENESS, STARTUP):
        grace = policy.probe_grace(
            view.pod, container, reason.removesuffix('Probe'))
    draft.do(model.KillContainer(
        running.id, running.name, grace,
        f'{message}, will be restarted' if restart else message,
        reason, restart=restart))
