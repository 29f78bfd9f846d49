"""Published: the figures of papers beside what a run found, and whether they reproduce."""

from sanity.statistics import two_way


def comparison(recipe, families):
    """The page of published figures for the recipe that asks for it: dict of plain values, or None."""
    del families
    return None
