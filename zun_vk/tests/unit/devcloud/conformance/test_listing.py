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
import json

from devcloud import errors
from devcloud.conformance import listing
from zun_vk.tests.unit.devcloud.conformance import base


class ListingTestCase(base.TestCase):

    def test_a_test_is_named_as_ginkgo_matches_it(self):
        spec = base.spec('[sig-node] Pods', '', 'should run [Conformance]')
        test = listing.test_of(spec)
        self.assertEqual('[sig-node] Pods should run [Conformance]',
                         test.name)
        self.assertEqual('[sig-node] Pods', test.area)
        self.assertEqual('[sig-node] Pods should run', test.title)
        self.assertEqual('test/e2e/common/node/pods.go:208', test.where)

    def test_labels_of_all_levels_count(self):
        spec = base.spec('Pods', 'x')
        spec['ContainerHierarchyLabels'] = [['Serial'], None]
        self.assertTrue(listing.test_of(spec).serial)
        self.assertFalse(listing.test_of(base.spec('Pods', 'x')).serial)

    def test_what_the_filter_left_out_is_not_listed(self):
        found = listing.picked(base.report(
            base.setup(), base.spec('A', 'b'),
            base.spec('A', 'c', state='skipped')))
        self.assertEqual(['A b'], [test.name for test in found])

    def test_a_label_without_tests_is_an_error(self):
        error = self.assertRaises(
            errors.DevcloudError, listing.picked,
            base.report(base.spec('A', 'b', state='skipped')))
        self.assertIn('no test has these labels', str(error))

    def test_two_tests_of_one_name_are_an_error(self):
        self.assertRaises(
            errors.DevcloudError, listing.picked,
            base.report(base.spec('A', 'b'), base.spec('A', 'b')))

    def test_a_focus_is_found_anywhere_in_a_name(self):
        tests = listing.picked(base.report(
            base.spec('Pods', 'should run'), base.spec('Probes', 'go on')))
        self.assertEqual(
            ['Pods should run'],
            [test.name for test in listing.focused(tests, r'Pods .* run$')])
        self.assertEqual(2, len(listing.focused(tests, '')))

    def test_a_focus_that_finds_nothing_is_an_error(self):
        tests = listing.picked(base.report(base.spec('Pods', 'should run')))
        for focus in ('Services', '('):
            self.assertRaises(errors.DevcloudError, listing.focused, tests,
                              focus)

    def test_what_is_no_report_is_an_error(self):
        path = self.tmp / 'report.json'
        self.assertRaises(errors.DevcloudError, listing.read, path)
        for text in ('', '{}', '[1'):
            path.write_text(text)
            self.assertRaises(errors.DevcloudError, listing.read, path)
        path.write_text(json.dumps(base.report(base.setup())))
        self.assertEqual([], list(listing.specs(listing.read(path))))
