"""Random sets: disjoint sets of inputs from a pool, which stand beside a set that is said to show a concept."""

from dataclasses import dataclass

import numpy as np

from lab.refusal import Refused

# Fewer random sets allow no p of .05, and fewer inputs show no concept.
FEWEST_SETS, FEWEST_INPUTS, FEWEST_PANELS = 30, 10, 5


@dataclass(frozen=True)
class RandomSets:
    """Sets of places in a pool, all of one size.

    Args:
        panel: int [panels, size], negative sets that every vector is fitted against, those of concepts and of random sets alike.
        sets: dict of concept to int [sets, size], disjoint random sets in its place. Every concept has its own, or several
            concepts would be ranked against the same few.
    """

    panel: np.ndarray
    sets: dict

    @property
    def size(self):
        """Inputs of a set: int."""
        return self.panel.shape[1]


def refuse_few(fewest, size=None):
    """Refuse a concept of too few inputs, whatever is asked about it.

    Args:
        fewest: int, how many inputs the smallest concept has.
        size: int, inputs of a set; None: not said.

    Raises:
        Refused: for fewer than ten, for fewer than a set has, and for sets of fewer than ten.
    """
    smallest = min(fewest, size or FEWEST_INPUTS)
    if smallest < FEWEST_INPUTS or (size or 0) > fewest:
        raise Refused(
            f"A concept needs {FEWEST_INPUTS} inputs of different sources or more, and as many as a set has. Received: {fewest}{f', and sets of {size}' if size else ''}."
        )


def draw_sets(pool, concepts, fewest, *, seed, sets=FEWEST_SETS, panel=FEWEST_PANELS, size=None):
    """Draw disjoint random sets and negative sets from a pool.

    Args:
        pool: int, how many inputs the pool has.
        concepts: names of the concepts.
        fewest: int, how many inputs the smallest concept has.
        seed: int.
        sets: int, random sets, 30 or more.
        panel: int, negative sets, 5 or more.
        size: int, inputs of a set; None: as many as the smallest concept has, or as the pool allows.

    Returns:
        `RandomSets`.

    Raises:
        Refused: for a concept or a pool that is too small; the message says how many inputs are needed.
    """
    if sets < FEWEST_SETS or panel < FEWEST_PANELS:
        raise Refused(
            f"A test needs {FEWEST_SETS} random sets and {FEWEST_PANELS} negative sets or more. Received: {sets} and {panel}."
        )
    refuse_few(fewest, size)
    count = sets + panel
    size = size or min(fewest, pool // count)
    if size < FEWEST_INPUTS or size * count > pool:
        needed = max(size, FEWEST_INPUTS) * count
        raise Refused(
            f"{count} disjoint sets of {max(size, FEWEST_INPUTS)} inputs need a pool of {needed} inputs of different sources, {fewest * count} for sets as large as the smallest concept. Received: {pool}. Name a larger pool{', or fewer inputs a set' if size > FEWEST_INPUTS else ''}."
        )
    generator = np.random.default_rng(seed)
    places = generator.permutation(pool)
    drawn = {
        name: generator.permutation(places[panel * size :])[: sets * size].reshape(sets, size) for name in concepts
    }
    return RandomSets(places[: panel * size].reshape(panel, size), drawn)
