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
"""Keystone sessions and what their errors mean.

Flows in: the keystoneauth options of one section. Flows out: a session with
a token of the right project, and errors of ``zun_vk.exceptions`` that tell
a failing Keystone from a failing service. Never logs a credential.
"""

import contextlib
import time
import typing
import urllib.parse

from keystoneauth1 import adapter as ks_adapter
from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import loading as ks_loading
from keystoneauth1 import session as ks_session
from oslo_config import cfg
import requests
import urllib3

from zun_vk import exceptions
from zun_vk import remote

KEYSTONE = 'keystone'
# Seconds for which a token and an endpoint are taken to be good without
# looking. keystoneauth renews a token two minutes before it ends.
_GOOD_FOR = 5.0


class ServiceAccess:
    """A session for one service, and the endpoint it is found at.

    :param conf: options, those of section ``group`` among them
    :param group: section with keystoneauth options
    :param project_id: project of the token; None: the section's own
    :raises ConfigError: an option of the section is missing or wrong
    """

    def __init__(self, conf: cfg.ConfigOpts, group: str,
                 project_id: str | None = None):
        self.group = group
        self._section = conf[group]
        self.session = _session(conf, group, project_id)
        # The last adapter and the monotonic time it is good until; replaced
        # whole, by any thread.
        self._known: tuple[ks_adapter.Adapter, float] | None = None

    def adapter(self) -> ks_adapter.Adapter:
        """Return an adapter whose endpoint the catalog has named.

        :raises AccessDenied: Keystone refuses the credentials
        :raises Unreachable: Keystone does not answer
        :raises Rejected: the catalog has no such endpoint
        """
        known = self._known
        if known and time.monotonic() < known[1]:
            return known[0]
        section = self._section
        with remote.measured(KEYSTONE, 'authenticate'), _never_not_found():
            endpoint = section.endpoint_override or self._endpoint()
            self.session.get_token()
        adapter = ks_adapter.Adapter(
            self.session, service_type=section.service_type,
            region_name=section.region_name, endpoint_override=endpoint)
        self._known = adapter, time.monotonic() + _GOOD_FOR
        return adapter

    def _endpoint(self) -> str:
        section = self._section
        endpoint = self.session.get_endpoint(
            service_type=section.service_type,
            region_name=section.region_name,
            interface=section.valid_interfaces)
        if not endpoint:
            raise exceptions.Rejected(
                KEYSTONE, f'the catalog has no endpoint of type '
                f'{section.service_type} in region {section.region_name} '
                f'(section [{self.group}])')
        return endpoint


def check(access: ServiceAccess) -> None:
    """Try the credentials of a section once.

    :raises ConfigError: Keystone refuses them or knows no endpoint
    :raises Unreachable: Keystone does not answer: try again later
    """
    try:
        access.adapter()
    except exceptions.AccessDenied as error:
        raise exceptions.ConfigError(
            f'[{access.group}] username, password, project_name or other '
            'credentials', error.message) from error
    except exceptions.Rejected as error:
        raise exceptions.ConfigError(
            f'[{access.group}] auth_url, region_name, service_type or '
            'valid_interfaces', error.message) from error


@contextlib.contextmanager
def translated(service: str) -> typing.Iterator[None]:
    """Turn keystoneauth's errors into those of ``zun_vk.exceptions``."""
    try:
        yield
    except ks_exceptions.HttpError as error:
        raise remote.from_status(
            service, error.http_status, _words(error),
            remote.seconds_to_wait(
                getattr(error, 'retry_after', 0))) from error
    except ks_exceptions.ConnectionError as error:
        kind = (exceptions.NotSent if _never_connected(error)
                else exceptions.Unreachable)
        raise kind(service, str(error)) from error
    except ks_exceptions.ClientException as error:
        raise exceptions.Rejected(service, str(error)) from error


def _never_connected(error: BaseException) -> bool:
    """Tell a connection that was refused from one that was cut."""
    seen = error.__cause__ or error.__context__
    reason = getattr(seen.args[0], 'reason', None) if (
        seen and seen.args) else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


@contextlib.contextmanager
def _never_not_found() -> typing.Iterator[None]:
    """Translate Keystone's errors; a 404 of its is no object's absence."""
    try:
        with translated(KEYSTONE):
            yield
    except exceptions.NotFound as error:
        raise exceptions.Rejected(
            KEYSTONE, error.message, error.status) from error


def _words(error: ks_exceptions.HttpError) -> str:
    return str(_neutron_words(error) or error.details or error.message
               or error)


def _neutron_words(error: ks_exceptions.HttpError) -> str:
    """Return what Neutron says: keystoneauth does not know its schema."""
    if error.response is None:
        return ''
    try:
        return str(error.response.json()['NeutronError']['message'])
    except (ValueError, TypeError, KeyError):
        return ''


def _session(conf: cfg.ConfigOpts, group: str,
             project_id: str | None) -> ks_session.Session:
    if not conf[group].auth_type and not conf[group].auth_section:
        raise exceptions.ConfigError(f'[{group}] auth_type', 'is not set')
    override = _project_override(project_id)
    try:
        auth = ks_loading.load_auth_from_conf_options(conf, group, **override)
        return ks_loading.load_session_from_conf_options(
            conf, group, auth=auth, session=_transport(conf))
    except ks_exceptions.MissingRequiredOptions as error:
        names = ', '.join(option.dest for option in error.options)
        raise exceptions.ConfigError(
            f'[{group}] {names}', 'is not set') from error
    except (ks_exceptions.AuthPluginException,
            ks_exceptions.ClientException) as error:
        raise exceptions.ConfigError(
            f'[{group}] auth_type', str(error)) from error


def _project_override(project_id: str | None) -> dict:
    if project_id is None:
        return {}
    return {'project_id': project_id, 'project_name': None,
            'project_domain_id': None, 'project_domain_name': None}


def _transport(conf: cfg.ConfigOpts) -> requests.Session:
    """Return a requests session with a connection for every worker."""
    transport = _Transport()
    for scheme in ('http://', 'https://'):
        transport.mount(scheme, ks_session.TCPKeepAliveAdapter(
            pool_maxsize=conf.pods.workers + 4))
    return transport


class _Transport(requests.Session):
    """A session that looks for proxies once for each server.

    For each request the whole environment would be searched; it does not
    change while the agent runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple, typing.Any] = {}

    def merge_environment_settings(
            self, url: typing.Any, proxies: typing.Any, stream: typing.Any,
            verify: typing.Any, cert: typing.Any) -> typing.Any:
        if proxies:
            return super().merge_environment_settings(
                url, proxies, stream, verify, cert)
        parts = urllib.parse.urlsplit(url)
        key = parts.scheme, parts.netloc, stream, verify, cert
        if key not in self._known:
            self._known[key] = super().merge_environment_settings(
                url, proxies, stream, verify, cert)
        return self._known[key]
