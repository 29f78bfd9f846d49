"""Worlds: data with planted truth, drawn from factors, and the small networks trained on it; one family of worlds a file.

A registered function takes nothing and returns a `World`.
"""

from lab.registry import Registry

worlds = Registry("world")

from sanity.worlds import (  # noqa: E402, F401  (registering)
    digits,
    games,
    parts,
    patch,
    ruler,
    scenes,
    series,
    tabular,
    template,
    tetromino,
    tokens,
)
