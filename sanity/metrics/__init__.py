"""Metrics: numbers that the field reports of maps, measured and not judged, one family a file.

A metric is `(bound, maps, seed) -> float64 [samples]`, nan where it has no answer. `better` in its tags says which way is
held to be good: "high", "low", or nothing where that depends on what is wanted.
"""

from lab.registry import Registry

metrics = Registry("metric")

from sanity.metrics import axioms, complexity, locality, perturbation, robustness  # noqa: E402, F401  (registering)
