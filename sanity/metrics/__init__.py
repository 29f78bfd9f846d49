"""Metrics: numbers that the field reports of maps, measured and not judged, one family a file.

A metric is `(bound, maps, seed) -> float64 [samples]`, nan where it is undefined. Its tag `better` says which direction
is considered good: "high", "low", or none where that depends on the purpose.
"""

import importlib
import pkgutil

from lab.registry import Registry

metrics = Registry("metric")

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"sanity.metrics.{_module.name}")
