"""Registered: every benchmark, in the order of the tables of BENCHMARKS.md."""

import importlib

from tests.bench.table import benchmarks

MODULES = (
    "startup",
    "sampling",
    "attribution",
    "masking",
    "shapley",
    "attention",
    "relevance",
    "activations",
    "cascades",
    "audits",
    "pictures",
    "engines",
    "memory",
    "beside_xplique",
    "gpu",
)
for _module in MODULES:
    importlib.import_module(f"tests.bench.{_module}")

__all__ = ["MODULES", "benchmarks"]
