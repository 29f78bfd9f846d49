"""Shortcuts: is the data itself suspicious? What tells the labels that should not, before and beside any network.

    picture -> dict of feature to number, text or None      a view: what it sees of one picture, `views`
    (views, labels, groups) -> [Separability]                how well labels are told from each view alone
    Separability -> Answer                                   in words

A view that tells labels is a candidate, and no proof: sky is in the border of every picture of a bird.
"""

from lab.registry import Registry

views = Registry("view")

from sanity.shortcuts import file_views, pixel_views  # noqa: E402, F401  (registering)
