"""Permutation importance: how much worse a network becomes when one part of the inputs is exchanged between samples.

permutation_importance(network, inputs, labels, ...) -> Importance
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lab import displays, routines
from lab.attribution.options import positive_integer, whole_seed
from lab.environment import tf
from lab.labels import correct_classes
from lab.network import refuse_no_network
from lab.players import players_of
from lab.refusal import Refused

# Parts that a text shows.
SHOWN = 12


def accuracy(correct, logits):
    """Whether the highest class of each sample is a correct one.

    Args:
        correct: bool [samples, classes].
        logits: float32 [samples, classes].

    Returns:
        float64 [samples], 1 or 0.
    """
    return np.take_along_axis(correct, logits.argmax(axis=1)[:, None], axis=1)[:, 0].astype("float64")


def log_likelihood(correct, logits):
    """The log of the probability of the correct classes.

    Args:
        correct: bool [samples, classes].
        logits: float32 [samples, classes].

    Returns:
        float64 [samples].
    """
    logits = logits.astype("float64")
    inside = np.logaddexp.reduce(np.where(correct, logits, -np.inf), axis=1)
    return inside - np.logaddexp.reduce(logits, axis=1)


METRICS = {"accuracy": accuracy, "log_likelihood": log_likelihood}


@dataclass(frozen=True)
class Importance:
    """How much a metric falls when each part is exchanged between samples.

    Args:
        values: float64 [parts], mean falls; about 0 where the network does not use a part.
        errors: float64 [parts], standard errors, with samples (or their groups) as the units; NaN for fewer than six of them.
        intervals: float64 [parts, 2], of 95 %, by Student's t.
        falls: float64 [parts, repeats], the fall in each repeat.
        score: float, the mean of the metric on the samples as they are.
        metric: str, its name.
        names: tuple of str, of the parts.
    """

    values: np.ndarray
    errors: np.ndarray
    intervals: np.ndarray
    falls: np.ndarray
    score: float
    metric: str
    names: tuple

    def __repr__(self):
        order = np.argsort(-self.values, kind="stable")
        rows = [(self.names[part], self._words(part)) for part in order[:SHOWN]]
        more = [("...", f"and {len(order) - SHOWN} more")] if len(order) > SHOWN else []
        return displays.as_text(f"Fall of {self.metric} from {self.score:.3f} by permuting", [*rows, *more])

    def _words(self, part):
        low, high = self.intervals[part]
        interval = "(too few samples or groups for an interval)" if np.isnan(low) else f"[{low:.3f}, {high:.3f}]"
        return f"{self.values[part]:.3f} {interval}"


def permutation_importance(
    network, inputs, labels, *, metric="accuracy", repeats=5, groups=None, players=None, count=49, names=(), seed=0
):
    """Permutation importance of each part for all samples together (Breiman 2001, https://doi.org/10.1023/A:1010933404324; Fisher, Rudin, Dominici 2019, https://arxiv.org/abs/1801.01489).

    A part of each sample is replaced by that of another one, and the fall of the metric is measured. A sample is never given a
    part of its own group: one customer's rows, which are alike, would otherwise hide what the network uses. Parts that say the
    same hide each other, because the other one is still there.

    Errors are those of a mean over pairs of samples (Hoeffding 1948), each of which counts as receiver and as giver. They speak
    of other samples, and not of networks that are trained again.

    Args:
        network: a `Network`.
        inputs: arrays that it takes, of which labels are known. Inputs that it was not trained on say what generalizes.
        labels: as of `lab.labels.correct_classes`: names, indices, or rows of 0 and 1.
        metric: "accuracy", "log_likelihood", or a function (correct, logits) -> float [samples] of bool and float32 arrays
            [samples, classes], higher for better.
        repeats: how often each part is exchanged.
        groups: the source of each sample, such as a customer; None: every sample is its own.
        players: the parts, the same for all samples: "positions", "patches", or a map of whole numbers; None: columns, tokens,
            or patches.
        count: about how many patches.
        names: list of str, of the parts, such as a table's columns; else their numbers.
        seed: a whole number.

    Returns:
        `Importance`.

    Raises:
        Refused: for labels, groups or names of another number, a group of more than half the samples, parts that differ between
            samples, and a metric that is none.
    """
    refuse_no_network(network)
    arrays, repeats = network.inputs(inputs), positive_integer("repeats", repeats)
    leaves = tf.nest.flatten(arrays)
    correct = correct_classes(labels, network.classes_in(), network.names_in())
    sources = _sources(groups, len(leaves[0]), len(correct))
    members, parts = _shared_players(leaves, players, positive_integer("count", count))
    measure = _metric(metric)
    before = measure(correct, routines.class_logits(network, arrays))
    rng, rows = np.random.default_rng(whole_seed(seed)), []
    for part in range(parts):
        givers = [_givers(sources, rng) for _ in range(repeats)]
        after = [
            measure(correct, routines.class_logits(network, _exchange(arrays, members, part, order)))
            for order in givers
        ]
        rows.append(_fall(before, np.stack(after), np.stack(givers), sources))
    values, errors, falls = (np.array(column) for column in zip(*rows))
    reach = stats.t.ppf(0.975, sources.max()) * errors
    intervals = np.stack([values - reach, values + reach], axis=1)
    described = metric if isinstance(metric, str) else getattr(metric, "__name__", "the metric")
    return Importance(values, errors, intervals, falls, float(before.mean()), described, _part_names(names, parts))


def _sources(groups, samples, labels):
    """The group of each sample, numbered from 0: int [samples]."""
    if labels != samples:
        raise Refused(f"Labels are one a sample. Received: {labels} labels for {samples} samples.")
    groups = range(samples) if groups is None else groups
    if len(groups) != samples:
        raise Refused(f"Groups are one a sample. Received: {len(groups)} groups for {samples} samples.")
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    largest = int(np.bincount(numbers).max())
    if 2 * largest > samples:
        raise Refused(
            f"Samples are exchanged between groups, of which none has more than half of all. Received: {largest} of {samples} samples in one group. Give more samples, or other groups."
        )
    return numbers


def _shared_players(leaves, which, count):
    """The part of every position of one sample, numbered over all inputs: list of int arrays, and how many there are."""
    if isinstance(which, str) and which == "superpixels":
        raise Refused(
            "Parts are exchanged between samples, and are the same for all. Received: players='superpixels'. Use players='patches'."
        )
    maps = [which] * len(leaves) if which is None or isinstance(which, str) else tf.nest.flatten(which)
    maps = [which] if len(leaves) == 1 else maps
    if len(maps) != len(leaves):
        raise Refused(f"A network of {len(leaves)} inputs takes a map of players for each. Received: {len(maps)}.")
    members, total = [], 0
    for leaf, numbers in zip(leaves, maps):
        numbers = players_of(leaf[:1], numbers, count)[0]
        members.append(np.where(numbers < 0, -1, numbers + total))
        total += int(numbers.max()) + 1
    return members, total


def _givers(sources, rng):
    """Which sample each one gets a part from, each of which gives once, and never to its own group: int [samples]."""
    # Samples of a group stand together, in a random order of groups and of the samples in them.
    order = np.lexsort((rng.random(len(sources)), rng.permutation(sources.max() + 1)[sources]))
    largest = int(np.bincount(sources).max())
    step = int(rng.integers(largest, len(order) - largest + 1))
    givers = np.empty_like(order)
    givers[order] = np.roll(order, step)
    return givers


def _exchange(arrays, members, part, givers):
    """Inputs of which one part comes from other samples."""
    mixed = []
    for leaf, numbers in zip(tf.nest.flatten(arrays), members):
        inside = (numbers == part).reshape(numbers.shape + (1,) * (leaf.ndim - 1 - numbers.ndim))
        mixed.append(np.where(inside, leaf[givers], leaf))
    return tf.nest.pack_sequence_as(arrays, mixed)


# Sources below which the deviation between them is not known.
FEWEST = 6


def _fall(before, after, givers, sources):
    """The mean fall of the metric, its standard error (NaN for few sources), and the fall of each repeat."""
    falls, samples = before[None] - after, len(before)
    # A sample counts by its own fall, and by that of the sample that it gave to.
    passed_on = np.take_along_axis(falls, np.argsort(givers, axis=1), axis=1)
    sums = np.bincount(sources, (falls + passed_on).mean(axis=0) - 2 * falls.mean())
    if len(sums) < FEWEST:
        return falls.mean(), np.nan, falls.mean(axis=1)
    variance = (sums**2).sum() * len(sums) / (len(sums) - 1)
    # Few repeats spread these means more than they spread the whole, of which each exchange is a part twice.
    variance = max(variance - samples * falls.var() / len(falls), variance / 4)
    return falls.mean(), np.sqrt(variance) / samples, falls.mean(axis=1)


def _metric(metric):
    """A metric by name or a function, whose answers are checked: callable."""
    if not callable(metric) and metric not in METRICS:
        raise Refused(f"metric is one of {', '.join(METRICS)}, or a function (correct, logits). Received: {metric!r}.")
    function = metric if callable(metric) else METRICS[metric]

    def measure(correct, logits):
        values = np.asarray(function(correct, logits), "float64")
        if values.shape != (len(correct),) or not np.isfinite(values).all():
            raise Refused(
                f"A metric is one finite number a sample, [{len(correct)}], so that its error can be stated. Received: shape {values.shape}{'' if np.isfinite(values).all() else ' with NaN or infinity'}."
            )
        return values

    return measure


def _part_names(names, parts):
    names = tuple(map(str, names)) or tuple(str(part) for part in range(parts))
    if len(names) != parts:
        raise Refused(f"Names are one a part. Received: {len(names)} names for {parts} parts.")
    return names
