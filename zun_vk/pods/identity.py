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
"""Whose a capsule is.

A capsule carries labels that name the cluster, the node and the pod it
stands for. One without this cluster's and this node's labels is foreign
and never touched.
"""

import dataclasses
import json

from zun_vk.rpc import marks

# Zun names a capsule's containers after it, "capsule-<name>-<word>-<n>-
# container", in a column of 255 characters: a longer name makes it fail.
_NAME_LENGTH = 220


@dataclasses.dataclass(frozen=True)
class Owner:
    """The virtual node a capsule belongs to.

    :param cluster: marks.UID of the cluster's namespace kube-system
    :param node: name of the virtual node
    :param zone: availability zone its capsules are made in; None: any
    """

    cluster: str
    node: str
    zone: str | None = None

    def owns(self, labels: object) -> bool:
        """Tell whether a capsule with these labels is this node's."""
        return (isinstance(labels, dict)
                and labels.get(marks.CLUSTER) == self.cluster
                and labels.get(marks.NODE) == self.node
                and isinstance(labels.get(marks.UID), str)
                and bool(labels[marks.UID]))

    def labels(self, pod: dict) -> dict[str, str]:
        """Return the labels of the capsule of ``pod``."""
        metadata = pod['metadata']
        return {marks.CLUSTER: self.cluster, marks.NODE: self.node,
                marks.NAMESPACE: metadata['namespace'],
                marks.POD: metadata['name'], marks.UID: metadata['uid']}


def annotations(pod: dict) -> dict[str, str]:
    """Return the annotations of the capsule of ``pod``.

    The names of its containers in order: Zun overwrites container names.
    """
    names = [container['name'] for container in pod['spec']['containers']]
    return {marks.CONTAINERS: json.dumps(names)}


def container_names(capsule_annotations: dict | None) -> list[str]:
    """Return the pod's container names in the capsule's order."""
    try:
        names = json.loads((capsule_annotations or {}).get(
            marks.CONTAINERS, '[]'))
    except (AttributeError, TypeError, ValueError, RecursionError):
        return []
    known = isinstance(names, list) and all(
        isinstance(name, str) for name in names)
    return names if known else []


def capsule_name(pod: dict) -> str:
    """Return ``<namespace>_<pod>_<8 of uid>``, for people to read.

    An underscore can occur in neither name, so no two pods share a name.
    """
    metadata = pod['metadata']
    name = f'{metadata["namespace"]}_{metadata["name"]}'
    suffix = f'_{metadata["uid"][:8]}'
    return name[:_NAME_LENGTH - len(suffix)] + suffix
