"""Explainers: (network, inputs, objective, *, seed, options) -> maps, one family a file.

Maps are signed float32 arrays in the structure and shape of the inputs, or [batch, ...] over positions without channels (CAM,
at a layer's own resolution), or in the shape of a layer's output. No absolute values, no normalization, no colour.
"""

from lab.registry import Registry

explainers = Registry("method")

from lab import adapters  # noqa: E402, F401  (registering)
from lab.attribution import (  # noqa: E402, F401  (registering)
    cam,
    controls,
    eigen,
    filters,
    fullgrad,
    gradients,
    inside,
    noise,
    paths,
    regions,
)
