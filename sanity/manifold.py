"""Manifold: whether the rows that a method makes of a table, by taking columns away, look like rows of the data.

off_manifold(network, method=...) -> OffManifold
"""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier

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
# The classifier is asked about rows that it did not learn, in so many parts.
PARTS = 5
# From this share on the network is asked about rows that do not occur.
WARNED = 0.75


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
        """Whether at least three quarters of the rows that the method asks about are told from real ones: bool."""
        return self.share >= WARNED

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
        Refused: for a method that asks for more than scores, for inputs that are no table, and for fewer than 50 rows.
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
    pairs = [(part, _perturbed_rows(explainer, network, part, settings, seed)) for part in parts]
    if not all(len(perturbed) for _, perturbed in pairs):
        raise Refused(
            f"Perturbed rows come from a method that changes rows. Received: {explainers.name(explainer)}, which asks for rows as they are."
        )
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


def _perturbed_rows(explainer, network, rows, settings, seed):
    """As many of the rows that a method asks about as it explains, none of them a row that it explains: float32 [rows, columns]."""
    noted = []

    def note(batch):
        noted.append(np.array(batch))
        return batch.sum(axis=1)

    probe = function(note, network.background if network.background is not None else rows, name="rows")
    # What it was tried on is no question of the method.
    noted[:] = [rows]
    attribute(explainer, probe, rows, logit(0), **settings)
    rng, kept = np.random.default_rng(seed), {row.tobytes() for row in rows}
    perturbed = [row for row in np.unique(np.concatenate(noted), axis=0) if row.tobytes() not in kept]
    return np.array(perturbed)[rng.permutation(len(perturbed))[: len(rows)]]


def _taken_for_perturbed(pairs, place, seed):
    """Which rows of one part a forest that learned from the others takes for perturbed ones: bool of real rows, and of perturbed ones."""
    learned = [rows for turn, pair in enumerate(pairs) if turn != place for rows in pair]
    labels = np.concatenate([np.full(len(rows), turn % 2) for turn, rows in enumerate(learned)])
    forest = RandomForestClassifier(50, min_samples_leaf=3, class_weight="balanced", random_state=seed % (1 << 32))
    forest.fit(np.concatenate(learned), labels)
    return tuple(forest.predict(rows).astype(bool) for rows in pairs[place])
