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
"""The WSGI application that gunicorn serves: one of the OpenStack APIs.

They read sys.argv as their own command line, where gunicorn's is; so the
arguments come by the environment.

Neutron and Zun load their policies with the first request that asks them.
While that goes on in one thread, others find an engine without rules, and are
refused as users without rights are (403). Here the policies are loaded before
the first request.
"""

import importlib
import os
import shlex
import sys

sys.argv = shlex.split(os.environ['DEVCLOUD_WSGI_ARGV'])
application = importlib.import_module(
    os.environ['DEVCLOUD_WSGI_MODULE']).application
for name in os.environ['DEVCLOUD_WSGI_POLICIES'].split():
    enforcer = importlib.import_module(name).init()
    if enforcer:
        # Zun's init makes it only, Neutron's loads the rules as well
        enforcer.load_rules()
