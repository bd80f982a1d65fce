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
"""Turns what is wrong with a pod into one error, whatever it is."""

from collections.abc import Iterator
import contextlib

from zun_vk import exceptions

SANDBOX = 'FailedCreatePodSandBox'
CONTAINER = 'CreateContainerConfigError'


@contextlib.contextmanager
def reading(reason: str) -> Iterator[None]:
    """Refuse a pod whose fields are not what the API says they are.

    The API server has checked each pod; this is for what came from
    elsewhere. The error shows no value: it may be a secret.

    :param reason: of the error
    :raises ConfigRefused: a field is malformed
    """
    try:
        yield
    except exceptions.InvalidQuantity as error:
        raise exceptions.ConfigRefused(reason, str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise exceptions.ConfigRefused(
            reason, 'the pod is not as the Kubernetes API describes pods '
            f'({type(error).__name__})') from None
