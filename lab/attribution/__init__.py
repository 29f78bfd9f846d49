"""Explainers: (network, inputs, objective, *, seed, options) -> maps, one family a file.

Maps are signed float32 arrays in the structure and shape of the inputs, or [batch, ...] over positions without channels (CAM,
at a layer's own resolution), or in the shape of a layer's output. No absolute values, no normalization, no colour.
"""

import importlib

from lab.registry import Registry

explainers = Registry("method")

# Imported to register, in the order in which methods are listed: other libraries' after ours, controls last.
_FAMILIES = ("gradients", "paths", "noise", "regions", "cam", "eigen", "fullgrad", "filters", "inside")

for _module in (*(f"lab.attribution.{each}" for each in _FAMILIES), "lab.adapters", "lab.attribution.controls"):
    importlib.import_module(_module)
