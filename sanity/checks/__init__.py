"""Checks: (explainer, subject, *, seed, options) -> Evidence, one check a file. A check never knows which method it measures."""

from lab.registry import Registry

checks = Registry("check")

from sanity.checks import parameters  # noqa: E402, F401  (registering)
