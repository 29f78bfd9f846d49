"""Explainers: (network, inputs, objective, *, seed, options) -> maps, one family a file.

Maps are signed float32 arrays, without absolute values, normalization or colour. They have the structure and shape of the
inputs, or are [batch, ...] over positions (CAM, at a layer's own resolution), or have the shape of a layer's output.
"""

import importlib

from lab.method_modules import method_modules
from lab.registry import Registry

explainers = Registry("method")

for _module in method_modules():
    importlib.import_module(_module)
