"""Decisions: the score that a network decides by, who was refused, and who just passed."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

# Those who just passed lie between the threshold and the quantile so much above it.
JUST_ABOVE = 0.1


@dataclass(frozen=True)
class DecisionRule:
    """The log odds of the favourable class, and the value from which on a decision is favourable.

    Args:
        place: int, the favourable class.
        threshold: float, in log odds.
    """

    place: int
    threshold: float

    def scores(self, logits):
        """Log odds of the favourable class against all others.

        Args:
            logits: float [rows, classes].

        Returns:
            float64 [rows].
        """
        logits = np.asarray(logits, "float64")
        return logits[:, self.place] - logsumexp(np.delete(logits, self.place, axis=1), axis=1)

    def scorer(self, predict):
        """The score of other inputs by a network.

        Args:
            predict: float32 [rows, inputs] -> float64 [rows, classes].

        Returns:
            float32 [rows, inputs] -> float64 [rows].
        """
        return lambda inputs: self.scores(predict(np.asarray(inputs, "float32")))


def decision_rule(subject):
    """The decision that the sheet states.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.

    Returns:
        `DecisionRule`.

    Raises:
        Refused: where the sheet states none, or a class that the network does not have.
    """
    place, share = subject.favourable(), subject.sheet.decision.threshold
    return DecisionRule(place, float(np.log(share / (1 - share))))


def just_passed(scores, threshold):
    """Who passed by little: from the threshold up to the quantile ten points above it.

    Official comment 9(b)(2)-5 to Regulation B names those who just passed, and all applicants, as references.

    Args:
        scores: float64 [rows].
        threshold: float.

    Returns:
        bool [rows].
    """
    share = min(1.0, float((scores < threshold).mean()) + JUST_ABOVE)
    return (scores >= threshold) & (scores <= np.quantile(scores, share))


def draw_units(units, candidates, most, *, seed):
    """Some rows, one of each unit, of units drawn by lot.

    Args:
        units: int [rows].
        candidates: bool [rows], the rows that may be drawn.
        most: int, rows at most.
        seed: int.

    Returns:
        int [drawn], in the order of the rows.
    """
    rng, places = np.random.default_rng(seed), np.flatnonzero(candidates)
    shuffled = rng.permutation(places)
    _, first = np.unique(np.asarray(units)[shuffled], return_index=True)
    return np.sort(rng.permutation(shuffled[np.sort(first)])[:most])


def draw_rows(units, candidates, most, *, seed):
    """Some rows of units drawn by lot, with all rows of a unit as far as there is room.

    Args:
        units: int [rows].
        candidates: bool [rows], the rows that may be drawn.
        most: int, rows at most.
        seed: int.

    Returns:
        int [drawn], in the order of the rows.
    """
    rng, places = np.random.default_rng(seed), np.flatnonzero(candidates)
    names, inverse = np.unique(np.asarray(units)[places], return_inverse=True)
    order = np.argsort(rng.permutation(len(names))[inverse], kind="stable")
    return np.sort(places[order[:most]])
