"""Loaded: what a caller in Python has in memory already, in the place of what the tables of a recipe name."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Loaded:
    """Objects that a session does not load again.

    Args:
        network: `Network` in the place of the [model] table, or None.
        data: `lab.data.Data` in the place of [images] or [data], or None.
        replicates: dict of name to `Network`, in the place of files of the [training] table.
        methods: dict of name to explainer.
    """

    network: object = None
    data: object = None
    replicates: dict = field(default_factory=dict)
    methods: dict = field(default_factory=dict)
