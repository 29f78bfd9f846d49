"""Metrics: numbers that the field reports of maps, measured and not judged, one family a file.

A metric is `(bound, maps, seed) -> float64 [samples]`, nan where it has no answer. `better` in its tags says which way is
held to be good: "high", "low", or nothing where that depends on what is wanted.
"""

import importlib
import pkgutil

from lab.registry import Registry

metrics = Registry("metric")

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"sanity.metrics.{_module.name}")
