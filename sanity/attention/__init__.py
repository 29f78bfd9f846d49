"""Attention: checks of what a network's attention does. `(subject, *, seed, options) -> list of Evidence`, one check a file.

A row of evidence is about a head, about all heads of a layer, or about a control. The rule of a check stands below it, under
its name, and its verdicts are those of every other check.
"""

from lab.registry import Registry

attention_checks = Registry("attention check")

from sanity.attention import needed, order, use  # noqa: E402, F401  (registering)
