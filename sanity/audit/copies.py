"""Copies: every question is asked again of copies of the user's own data in which nothing is there, or an effect was planted.

A null that alarms too often breaks the check on these data. Planted effects say what would have been found.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sanity.evidence import Gate
from sanity.seeds import derive_seed

# Copies of a kind, and sizes of planted effects in margins.
TRIES, SIZES = 20, (0.5, 1.0, 2.0)
# How often chance gives so many alarms among null copies that a check counts as broken: 5 of 20. Finds at the margin, of twenty
# tries, that a PASS needs.
BROKEN, NEEDED = 0.003, 16


@dataclass(frozen=True)
class Tries:
    """What a question said of copies.

    Args:
        null: bool [tries], whether it alarmed on each null copy.
        planted: bool [sizes, tries], whether it found the planted effect of each size in SIZES.
    """

    null: np.ndarray
    planted: np.ndarray

    @property
    def gate(self):
        """Whether the question is silent where nothing is: `Gate`."""
        alarms = int(self.null.sum())
        words = f"{alarms} alarms in {len(self.null)} copies of these data in which nothing is there"
        return Gate("null copies stay silent", "failed" if alarms >= most_alarms(len(self.null)) else "passed", words)

    def words(self, what):
        """What would have been found, in words.

        Args:
            what: str, an effect of the margin's size.

        Returns:
            str.
        """
        count = int(self.planted[SIZES.index(1.0)].sum())
        return f"{what} would have been found in {count} of {self.planted.shape[1]} tries on these data"


def list_copies(make_null, plant, *, seed, tries=TRIES):
    """Null copies, and planted ones of each size, for a question that asks all of them at once.

    Args:
        make_null: (seed) -> a copy in which nothing is there.
        plant: (size, seed) -> a copy with an effect of so many margins.
        seed: int.
        tries: int, copies of a kind.

    Returns:
        list of copies, the null ones first.
    """
    copies = [make_null(derive_seed(seed, "null", number)) for number in range(tries)]
    for size in SIZES:
        copies += [plant(size, derive_seed(seed, f"planted {size}", number)) for number in range(tries)]
    return copies


def read_copies(alarms, tries=TRIES):
    """What was said of the copies of `list_copies`.

    Args:
        alarms: bool [copies].
        tries: int, copies of a kind.

    Returns:
        `Tries`.
    """
    alarms = np.asarray(alarms, bool)
    return Tries(alarms[:tries], alarms[tries:].reshape(len(SIZES), tries))


def would_find(planted):
    """Whether an effect of the margin's size was found in four of five tries: bool.

    Args:
        planted: bool [sizes, tries].
    """
    return bool(planted[SIZES.index(1.0)].sum() >= bar(planted.shape[1], NEEDED))


def most_alarms(tries, level=0.05):
    """The fewest alarms of null copies that chance gives in three of a thousand audits at most: 5 of 20, 3 of 4.

    Args:
        tries: int.
        level: float, how often a check alarms on one copy.

    Returns:
        int.
    """
    return next(count for count in range(1, tries + 2) if stats.binom.sf(count - 1, tries, level) <= BROKEN)


def bar(tries, of_twenty):
    """A number of twenty tries as one of other tries, rounded up: int."""
    return int(np.ceil(of_twenty * tries / TRIES - 1e-9))
