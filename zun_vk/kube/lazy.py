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
"""The ``kubernetes`` library with classes that are loaded when used.

The agent reads a kubeconfig with it and takes its pool of connections. To
import it (36; later versions are lazy themselves) loads every class of every
Kubernetes API, 800 modules that take 30 MiB and that the agent never uses.
"""

from collections.abc import Sequence
import functools
from importlib import metadata
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import typing

# The version from which on the library does this.
_LAZY_ITSELF = 37
_CLASSES = ('kubernetes.client.models', 'kubernetes.client.api')


def load_classes_late() -> None:
    """Let the modules of these classes be loaded when they are first used.

    To be called before anything imports the library.
    """
    if int(metadata.version('kubernetes').partition('.')[0]) < _LAZY_ITSELF:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module of one class, and puts a stand-in for it there."""

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: types.ModuleType | None = None
                  ) -> importlib.machinery.ModuleSpec | None:
        if fullname.rpartition('.')[0] not in _CLASSES:
            return None
        return importlib.machinery.ModuleSpec(
            fullname, self, loader_state=path)

    def exec_module(self, module: types.ModuleType) -> None:
        # Whoever imports such a module takes the class out by its name.
        def stand_in(name: str) -> '_Late':
            if name.startswith('__'):
                raise AttributeError(name)
            return _Late(module.__spec__, name)
        module.__getattr__ = stand_in  # type: ignore[method-assign]


class _Late:
    """Stands for a class: to call it or to look into it loads it."""

    def __init__(self, spec: typing.Any, name: str):
        self._spec = spec
        self._name = name

    def __call__(self, *args: typing.Any, **fields: typing.Any) -> typing.Any:
        return self._class(*args, **fields)

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self._class, name)

    @functools.cached_property
    def _class(self) -> typing.Any:
        found: typing.Any = importlib.machinery.PathFinder.find_spec(
            self._spec.name, self._spec.loader_state)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return getattr(module, self._name)
