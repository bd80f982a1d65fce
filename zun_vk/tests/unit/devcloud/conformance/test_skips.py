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
from devcloud import errors
from devcloud.conformance import listing
from devcloud.conformance import skips
from zun_vk.tests.unit.devcloud.conformance import base


def test(name):
    return listing.Test(name, 'Area', 'file:1')


RULES = '''
[[skip]]
pattern = 'HostPath '
reason = """files of
the host"""
[[skip]]
pattern = 'host network'
reason = 'hostNetwork'
'''


class SkipsTestCase(base.TestCase):

    def test_each_test_has_the_reason_of_its_first_rule(self):
        found = skips.reasons(
            [test('HostPath on a host network'), test('Pods run'),
             test('if a pod uses host network')], skips.parse(RULES))
        self.assertEqual(
            {'HostPath on a host network': 'files of the host',
             'if a pod uses host network': 'hostNetwork'}, found)

    def test_a_rule_that_matches_nothing_is_an_error(self):
        error = self.assertRaises(
            errors.DevcloudError, skips.reasons, [test('HostPath x')],
            skips.parse(RULES))
        self.assertEqual("skip rules match no test: 'host network'",
                         str(error))

    def test_a_rule_behind_another_is_not_idle(self):
        skips.reasons([test('HostPath host network')], skips.parse(RULES))

    def test_a_rule_without_a_reason_is_an_error(self):
        for text in ('[[skip]]\npattern = "x"',
                     '[[skip]]\npattern = "x"\nreason = " "',
                     '[[skip]]\npattern = "("\nreason = "y"',
                     '[[skip]]\npattern = 1\nreason = "y"',
                     '[[skip]]\npattern = "x"\nreason = "y"\nmore = 1',
                     'skip = 1', 'skip = [1]', '['):
            error = self.assertRaises(errors.DevcloudError, skips.parse,
                                      text)
            self.assertIn('skip file: ', str(error))

    def test_the_rules_of_the_checkout_are_well_formed(self):
        rules = skips.parse(skips.FILE.read_text())
        self.assertTrue(rules)
        for rule in rules:
            self.assertNotIn('\n', rule.reason)
