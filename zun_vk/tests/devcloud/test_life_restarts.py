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
"""Restarts of servers touch no container: kill them and look."""

import os
import signal

from devcloud import api
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.devcloud import onehost
from zun_vk.tests.fixtures.wait import hold_for


class TestRestarts(onehost.OneHostCase):

    def test_killed_host_services_touch_no_container(self):
        self.outlive('zun-vk-compute')

    def test_a_killed_zun_compute_touches_no_container(self):
        self.outlive('zun-compute')

    def test_a_killed_containerd_touches_no_container(self):
        self.outlive('containerd')

    def test_a_killed_message_bus_touches_no_container(self):
        self.outlive('rabbitmq')

    def test_a_killed_agent_touches_no_container(self):
        self.outlive(api.AGENT)

    def outlive(self, server):
        """Kill a server among pods, some of which end meanwhile."""
        namespace = self.namespace()
        script = life.UNTIL_TOLD.format(code=0)
        steady = self.run_pod(
            hosted.shell(script), hosted.shell(script, 'other'),
            name='steady', namespace=namespace, restartPolicy='Always')
        ends = self.until_told('ends', namespace, 5)
        again = self.until_told('again', namespace, 6,
                                restartPolicy='Always')
        goes = self.until_told('goes', namespace)
        for pod in (steady, ends, again, goes):
            self.wait_ready(pod)
        was, there = self.seen_of(steady), self.in_runtime(steady)
        pids = [*self.pids(ends), *self.pids(again)]
        self.assertEqual(2, len(pids))

        self.kill(server)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        late = self.until_told('late', namespace)
        self.delete(goes)
        self.start(server)

        status = self.finished(ends, 90)['status']
        self.assertEqual('Failed', status['phase'])
        self.assertEqual(5, hosted.ended(self.now(ends))['exitCode'])
        self.wait_pod(again, lambda seen: hosted.status_of(seen).get(
            'restartCount') == 1 and hosted.status_of(seen)['ready'],
            'restarted', 90)
        self.assertEqual(6, hosted.status_of(self.now(again))[
            'lastState']['terminated']['exitCode'])
        self.wait_ready(late, 120)
        self.wait_pod(goes, lambda seen: seen is None, 'gone', 90)
        self.wait_same(steady, was)
        self.assertEqual(there, self.in_runtime(steady))
        hold_for(lambda: self.seen_of(steady) == was, 'untouched', 2)
