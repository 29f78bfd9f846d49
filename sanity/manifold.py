"""Manifold: whether the rows that a method makes of a table, by taking columns away, look like rows of the data.

off_manifold(network, method=...) -> OffManifold
"""

from dataclasses import dataclass

import numpy as np

from lab.attribution import explainers
from lab.attribution.calls import attribute, needed_capability, resolve_options
from lab.attribution.options import whole_seed
from lab.callables import function
from lab.network import refuse_no_network
from lab.objectives import logit
from lab.refusal import Refused
from sanity.statistics import wilson_interval

# Rows of the background that are perturbed, at most, and at the least.
MOST, FEWEST = 100, 50
# Rows that a method may ask about of one part of the data, and how many of these are kept.
MOST_QUESTIONS, KEPT = 20_000, 1000
# The classifier is asked about rows that it did not learn, in so many parts.
PARTS = 5
# Where even the lower end of the share is larger, the network is asked about rows that do not occur.
WARNED = 0.7


@dataclass(frozen=True)
class OffManifold:
    """How well a classifier tells a method's perturbed rows from rows of the data.

    Args:
        share: float, of the perturbed rows, those that it takes for perturbed ones; about one half where it cannot tell.
        low: float, lower end of the share's interval of 95 % (Wilson).
        high: float, upper end.
        false: float, the same share of rows of the data.
        rows: int, perturbed rows that it was asked about.
    """

    share: float
    low: float
    high: float
    false: float
    rows: int

    @property
    def is_warned_of(self):
        """Whether the lower end of the interval says that more than .7 of the perturbed rows are told from real ones: bool."""
        return self.low > WARNED

    def __str__(self):
        words = f"{self.share:.0%} [{self.low:.0%}, {self.high:.0%}] of {self.rows} perturbed rows are told from rows of the data, and {self.false:.0%} of these from others"
        return f"{words}: the score is asked for rows that do not occur" if self.is_warned_of else words


def off_manifold(network, *, method, rows=None, seed=0, **options):
    """Which share of a method's perturbed rows a classifier tells from rows of the data (Slack et al. 2020, https://arxiv.org/abs/1911.02508).

    What a network answers where no row lies decides the maps of methods that take columns away, and can be made to hide what
    it does elsewhere. The method runs as it would, on another function that notes what it is asked. A random forest learns to
    tell these rows from real ones, and is asked about rows of which it learned nothing.

    Args:
        network: a `Network` of one table, whose background is known.
        method: a registered name, or a callable, that asks for scores alone.
        rows: float32 [rows, columns], the data; None: the background of the network.
        seed: a whole number, of the method and the forest.
        options: options of the method, such as `baselines`.

    Returns:
        `OffManifold`.

    Raises:
        Refused: for a method that asks for more than scores, for inputs that are no table, for fewer than 50 rows of the data, and
            for fewer than 25 perturbed rows that differ.
    """
    refuse_no_network(network)
    explainer, seed = explainers.get(method), whole_seed(seed)
    _refuse_gradients(explainer)
    real = _real_rows(network, rows, seed)
    settings = resolve_options(explainer, network, seed, options)
    if isinstance(settings.get("baseline"), str) and settings["baseline"] == "conditional":
        raise Refused(
            "Rows are told apart that count alike. Received: baseline='conditional', where near rows count most. Give baseline= or baselines= as an array."
        )
    parts = np.array_split(np.random.default_rng(seed).permutation(real), PARTS)
    # An error is one of the score, in whose place the sum of a row is asked for.
    settings |= {name: None for name in ("error", "most") if name in settings}
    pairs = list(zip(parts, _perturbed_rows(explainer, network, parts, settings, seed)))
    flags = [_taken_for_perturbed(pairs, place, seed) for place in range(PARTS)]
    false, hits = (np.concatenate(group) for group in zip(*flags))
    interval = wilson_interval(hits.sum(), len(hits))
    return OffManifold(interval.mean, interval.low, interval.high, float(false.mean()), len(hits))


def _refuse_gradients(explainer):
    if needed_capability(explainer) != "scores":
        raise Refused(
            f"Perturbed rows come from a method that asks for scores alone. Received: {explainers.name(explainer)}, which needs more. Give one such as kernel_shap."
        )


def _real_rows(network, rows, seed):
    """Rows of the data, at most `MOST` of them: float32 [rows, columns]."""
    rows = network.background if rows is None else network.check_background(rows)
    if rows is None:
        raise Refused(
            f"Rows of the data are known by the background of a network. Received: {network.name}, which has none. Give rows=, or set network.background."
        )
    if len(rows) < FEWEST:
        raise Refused(f"A classifier learns from {FEWEST} rows or more. Received: {len(rows)}. Give more rows.")
    places = np.random.default_rng(seed).permutation(len(rows))[:MOST]
    return np.asarray(rows, "float32")[np.sort(places)]


def _perturbed_rows(explainer, network, parts, settings, seed):
    """Rows that a method asks about, none of them a row that it explains, and none in two parts: list of float32 [rows, columns]."""
    known = {row.tobytes() for part in parts for row in part}
    perturbed = []
    for place, part in enumerate(parts):
        questions = _questions(explainer, network, part, settings, [seed, place])
        fresh = [row for row in np.unique(questions, axis=0) if row.tobytes() not in known]
        known |= {row.tobytes() for row in fresh}
        order = np.random.default_rng([seed, place]).permutation(len(fresh))[: len(part)]
        perturbed.append(np.array(fresh, "float32").reshape(-1, part.shape[1])[order])
    if sum(map(len, perturbed)) < FEWEST // 2 or not all(map(len, perturbed)):
        raise Refused(
            f"Perturbed rows are {FEWEST // 2} or more that differ. Received: {sum(map(len, perturbed))} by {explainers.name(explainer)} of {sum(map(len, parts))} rows."
        )
    return perturbed


def _questions(explainer, network, rows, settings, seed):
    """Some of the rows that a method asks about when it explains some of these: float32 [rows, columns]."""
    first = _Notes(seed, rows.shape[1])
    _ask(explainer, network, rows[:1], settings, first)
    explained = rows[: MOST_QUESTIONS // max(1, first.count)]
    if len(explained) < 2:
        return first.rows
    notes = _Notes(seed, rows.shape[1])
    _ask(explainer, network, explained, settings, notes)
    return notes.rows


def _ask(explainer, network, rows, settings, notes):
    background = rows if network.background is None else network.background
    probe = function(lambda batch: notes.add(batch).sum(axis=1), background, name="rows")
    # What it was tried on is no question of the method.
    notes.begin()
    attribute(explainer, probe, rows, logit(0), **settings)


class _Notes:
    """A random sample of the rows that a function was asked about.

    Args:
        seed: list of int.
        columns: int.

    Attributes:
        rows: float32 [rows, columns].
        count: int, rows that it was asked about in all.
    """

    def __init__(self, seed, columns):
        self.rng, self.columns = np.random.default_rng(seed), columns
        self.begin()

    def begin(self):
        """Begin anew."""
        self.rows, self.priorities, self.count = np.zeros((0, self.columns), "float32"), np.zeros(0), 0

    def add(self, batch):
        """Note a batch; the batch as it is."""
        self.count += len(batch)
        priorities = np.concatenate([self.priorities, self.rng.random(len(batch))])
        kept = np.argsort(priorities, kind="stable")[:KEPT]
        self.rows, self.priorities = np.concatenate([self.rows, batch])[kept], priorities[kept]
        return batch


def _taken_for_perturbed(pairs, place, seed):
    """Which rows of one part a forest that learned from the others takes for perturbed ones: bool of real rows, and of perturbed ones."""
    from sklearn.ensemble import RandomForestClassifier

    learned = [rows for turn, pair in enumerate(pairs) if turn != place for rows in pair]
    labels = np.concatenate([np.full(len(rows), turn % 2) for turn, rows in enumerate(learned)])
    forest = RandomForestClassifier(50, min_samples_leaf=3, class_weight="balanced", random_state=seed % (1 << 32))
    forest.fit(np.concatenate(learned), labels)
    return tuple(forest.predict(rows).astype(bool) for rows in pairs[place])
