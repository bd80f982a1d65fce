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
"""keystoneauth options that the sections of OpenStack services share."""

import copy

from keystoneauth1 import loading as ks_loading
from oslo_config import cfg

# Version negotiation is the code's business, not the operator's.
_NOT_OFFERED = ('min_version', 'max_version', 'service_name', 'version')
# Plugins the documentation lists beside the common options.
_PLUGINS = ('password', 'v3password', 'v3applicationcredential')

# Seconds. Zun answers the making of a capsule only after scheduling it,
# which takes several seconds when many are made at once.
DEFAULT_TIMEOUT = 60


def register_opts(conf: cfg.ConfigOpts, group: str,
                  service_type: str) -> None:
    """Register session, auth and adapter options in ``group``."""
    ks_loading.register_session_conf_options(conf, group)
    ks_loading.register_auth_conf_options(conf, group)
    conf.register_opts(_adapter_opts(), group=group)
    conf.set_default('service_type', service_type, group=group)
    conf.set_default('valid_interfaces', ['internal', 'public'], group=group)
    conf.set_default('timeout', DEFAULT_TIMEOUT, group=group)


def list_opts(service_type: str) -> list[cfg.Opt]:
    """Return the same options, for the sample and the documentation."""
    opts = (copy.deepcopy(ks_loading.get_session_conf_options())
            + copy.deepcopy(ks_loading.get_auth_common_conf_options())
            + _adapter_opts())
    for plugin in _PLUGINS:
        known = {opt.dest for opt in opts}
        opts += [opt for opt in ks_loading.get_auth_plugin_conf_options(plugin)
                 if opt.dest not in known]
    cfg.set_defaults(opts, service_type=service_type,
                     valid_interfaces=['internal', 'public'],
                     timeout=DEFAULT_TIMEOUT)
    return sorted(opts, key=lambda opt: opt.name)


def _adapter_opts() -> list[cfg.Opt]:
    opts = ks_loading.get_adapter_conf_options(include_deprecated=False)
    return copy.deepcopy([o for o in opts if o.dest not in _NOT_OFFERED])
