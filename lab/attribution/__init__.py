"""Explainers: (network, inputs, objective, *, seed, options) -> maps, one family a file.

Maps are signed float32 arrays, without absolute values, normalization or colour. They have the structure and shape of the
inputs, or are [batch, ...] over positions (CAM, at a layer's own resolution), or have the shape of a layer's output.
"""

import importlib
import pkgutil

from lab.registry import Registry

explainers = Registry("method")

# Imported to register: other libraries' after ours, controls last.
_OURS = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "controls")

for _module in (*(f"lab.attribution.{name}" for name in _OURS), "lab.adapters", "lab.attribution.controls"):
    importlib.import_module(_module)
