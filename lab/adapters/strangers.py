"""Strangers: the former name of `lab.adapters.external`."""

import warnings

from lab.adapters import external

FORMER_NAMES = {"one_by_one": "per_sample", "Question": "ScoreFunction"}


def __getattr__(name):
    if name not in FORMER_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    now = FORMER_NAMES[name]
    warnings.warn(f"lab.adapters.strangers.{name} is now called lab.adapters.external.{now}", DeprecationWarning, 2)
    return getattr(external, now)
