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
"""Reports of Ginkgo as its JSON has them, made by hand."""

from typing import Any

from zun_vk.tests.unit.devcloud import base

TREE = 'k8s.io/kubernetes@v1.36.3/test/e2e/common/node/pods.go'


def spec(*texts: str, state: str = 'passed', **kwargs: Any) -> dict:
    """One test of a report; the last text is its own."""
    return {
        'ContainerHierarchyTexts': list(texts[:-1]),
        'ContainerHierarchyLabels': [['sig-node'] for _ in texts[:-1]],
        'LeafNodeType': 'It', 'LeafNodeText': texts[-1],
        'LeafNodeLabels': ['NodeConformance'],
        'LeafNodeLocation': {'FileName': TREE, 'LineNumber': 208},
        'State': state, 'RunTime': 1_250_000_000, **kwargs}


def setup(**kwargs: Any) -> dict:
    """The suite's set-up, which is no test."""
    return {'LeafNodeType': 'SynchronizedBeforeSuite', 'LeafNodeText': '',
            'State': 'passed', 'RunTime': 1, **kwargs}


def report(*specs: dict) -> list[dict]:
    return [{'SuiteDescription': 'Kubernetes e2e suite',
             'SpecReports': list(specs)}]


class TestCase(base.TestCase):
    pass
