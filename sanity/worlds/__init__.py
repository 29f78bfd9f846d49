"""Worlds: data with planted truth, drawn from factors, and the small networks trained on it; one family of worlds a file.

A registered function takes nothing and returns a `World`.
"""

import importlib
import pkgutil

from lab.registry import Registry

worlds = Registry("world")

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"sanity.worlds.{_module.name}")
