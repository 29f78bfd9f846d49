"""Explainers: (network, inputs, objective, *, seed, options) -> maps, one family a file.

Maps are signed float32 arrays in the structure and shape of the inputs, or [batch, rows, columns] at a layer's own
resolution. No absolute values, no normalization, no colour.
"""

from lab.registry import Registry

explainers = Registry("method")

from lab import adapters  # noqa: E402, F401  (registering)
from lab.attribution import cam, controls, gradients  # noqa: E402, F401  (registering)
