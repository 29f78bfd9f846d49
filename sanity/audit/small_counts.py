"""Small counts: numbers of few people are not shown, nor numbers that would tell them."""

import numpy as np

# Rows or units below which no number is shown.
FEWEST = 10


def hidden_counts(counts):
    """Which counts of groups are left out: those that are small, and the next smallest where the sum would tell them.

    Args:
        counts: int [groups].

    Returns:
        bool [groups].
    """
    hidden = counts < FEWEST
    if hidden.any() and counts[hidden].sum() < FEWEST and not hidden.all():
        hidden[np.flatnonzero(~hidden)[counts[~hidden].argmin()]] = True
    return hidden
