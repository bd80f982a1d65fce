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
"""Answers with metrics in the text format of Prometheus.

Its library writes the format and escapes what is in it; here it gets the
figures of one request.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import typing

import prometheus_client
from prometheus_client import core
from prometheus_client import registry

from zun_vk.kubelet import context


class Family:
    """All series of one name, of which each has the same labels.

    :param kind: GaugeMetricFamily or CounterMetricFamily
    """

    def __init__(self, kind: type, name: str, words: str,
                 labels: Iterable[str] = ()):
        self._labels = tuple(labels)
        self.metric = kind(name, words, labels=self._labels)

    def add(self, labels: Mapping[str, str], value: float | None,
            at: float | None = None) -> None:
        """Add a series; None is no value, and adds none.

        :param at: seconds since the epoch at which it was so
        """
        if value is not None:
            self.metric.add_metric(
                [labels[name] for name in self._labels], value, timestamp=at)


def gauge(name: str, words: str, labels: Iterable[str] = ()) -> Family:
    return Family(core.GaugeMetricFamily, name, words, labels)


def counter(name: str, words: str, labels: Iterable[str] = ()) -> Family:
    """Return a family of counters.

    :param name: it has to end in ``_total``
    """
    return Family(core.CounterMetricFamily, name, words, labels)


class _Collected(registry.Collector):
    def __init__(self, families: Iterable[core.Metric]):
        self._families = families

    def collect(self) -> Iterable[core.Metric]:
        return self._families


def send(exchange: context.Exchange,
         families: Iterable[core.Metric]) -> None:
    """Answer a request with what has at least one series."""
    made = typing.cast(registry.CollectorRegistry, _Collected(
        [each for each in families if each.samples]))
    exchange.send(200, prometheus_client.generate_latest(made),
                  prometheus_client.CONTENT_TYPE_LATEST)
