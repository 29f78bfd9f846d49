"""Separability: how well labels are told from each view alone, against labels that were exchanged between groups.

All views share the same exchanges, and are adjusted by the largest statistic (max-T). Controls are run on the same data: relations
that are planted into the labels, which have to be noticed, and views of noise, which must not be.
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from sanity.seeds import derive_seed
from sanity.shortcuts.classifier import draw_folds, predict, recalls
from sanity.shortcuts.exchange import Exchange, mixed_groups
from sanity.statistics import DRAWS, Interval

# A class in fewer groups is left out, and no exchange of fewer can be rare.
FEWEST_GROUPS = 6
ALPHA = 0.05
# Correlations of planted relations, and how many are planted of each.
STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PLANTED = 20
# Of so many views of noise, so many alarms come with a probability of .003.
NOISE_VIEWS, MOST_ALARMS, NOISE_FEATURES = 20, 4, 5


@dataclass(frozen=True)
class Separability:
    """What was measured of one view.

    Args:
        view: str.
        accuracy: `Interval` of the balanced accuracy, the mean over classes, from a bootstrap over groups.
        chance: float, its mean over exchanged labels.
        p: float, adjusted over all views.
        planted: tuple of (correlation, how many of `PLANTED` were noticed).
        right: bool [rows compared], whether the label was told.
        constant: bool, whether the view is the same of all rows.
        fault: str, why there is no number, or "".
    """

    view: str
    accuracy: Interval
    chance: float
    p: float
    planted: tuple
    right: np.ndarray
    constant: bool = False
    fault: str = ""


@dataclass(frozen=True)
class Sizes:
    """What was compared.

    Args:
        rows: int, those that were compared.
        groups: int, their groups.
        units: int, groups that can exchange labels.
        classes: tuple of (class, groups with it).
        left_out: tuple of classes with too few groups.
        straddling: int, groups with several labels.
        permutations: int.
        alarms: int, views of noise with p at most .05, of `NOISE_VIEWS`.
    """

    rows: int
    groups: int
    units: int
    classes: tuple
    left_out: tuple
    straddling: int
    permutations: int
    alarms: int = 0

    @property
    def is_enough(self):
        """Whether there are two classes with enough groups, and enough that can exchange labels: bool."""
        return len(self.classes) > 1 and self.units >= 2 * FEWEST_GROUPS


# Many small products: several threads would mostly wait for each other, and give other last digits.
@threadpool_limits.wrap(limits=1)
def measure(views, labels, groups, *, seed, permutations=999):
    """How well labels are told from each of several views.

    Args:
        views: dict of name to float [rows, features]; a text in the place of features says why there are none.
        labels: sequence of class names, one a row.
        groups: sequence of hashable, one a row.
        seed: int.
        permutations: int, how often labels are exchanged.

    Returns:
        list of `Separability` in the order of the views, `Sizes`, and int [rows kept], which rows were compared.
    """
    rows, codes, names, sizes = _select(labels, groups, permutations)
    if not sizes.is_enough:
        faults = {name: values if isinstance(values, str) else "" for name, values in views.items()}
        return [_unmeasured(name, fault) for name, fault in faults.items()], sizes, rows
    exchange = Exchange(codes, np.unique([str(groups[row]) for row in rows], return_inverse=True)[1])
    rng = np.random.default_rng(derive_seed(seed, "exchange", 0))
    folds = draw_folds(exchange.groups, rng)
    draws = np.stack([codes, *(exchange.draw(rng) for _ in range(permutations))])
    usable = {name: values[rows] for name, values in views.items() if not isinstance(values, str)}
    results = {
        name: _score(values, exchange, draws, folds, len(names), derive_seed(seed, name, 0))
        for name, values in usable.items()
    }
    largest = _largest(results.values())
    alarms = _count_alarms(exchange, draws, folds, len(names), seed)
    measured = {name: _summarize(name, result, exchange, largest, seed) for name, result in results.items()}
    rows_of_views = [measured.get(name) or _unmeasured(name, values) for name, values in views.items()]
    return rows_of_views, Sizes(**{**vars(sizes), "alarms": alarms}), rows


@dataclass(frozen=True)
class _Scores:
    """Balanced accuracies of a view: of the observed and exchanged labels, and of planted ones; its predictions."""

    means: np.ndarray
    planted: np.ndarray
    predicted: np.ndarray
    classes: int

    def scaled(self, values):
        """Accuracies in units of their deviation over exchanges; minus infinity where they do not vary."""
        spread = self.means.std()
        return (values - self.means.mean()) / spread if spread > 1e-12 else np.full_like(values, -np.inf)


def _select(labels, groups, permutations):
    """-> rows that are compared, their classes as numbers, the classes' names, and the sizes."""
    labels, groups = np.array([str(label) for label in labels]), np.array([str(group) for group in groups])
    pairs = {(label, group) for label, group in zip(labels, groups)}
    counts = {name: sum(label == name for label, _ in pairs) for name in sorted(set(labels))}
    names = [name for name, count in counts.items() if count >= FEWEST_GROUPS]
    rows = np.flatnonzero(np.isin(labels, names))
    codes, straddling, units = rows, 0, 0
    if len(rows):
        codes, group_codes = (np.unique(values[rows], return_inverse=True)[1] for values in (labels, groups))
        straddling, units = int(mixed_groups(codes, group_codes).sum()), Exchange(codes, group_codes).units
    left_out = tuple(name for name in counts if name not in names)
    classes = tuple((name, counts[name]) for name in names)
    sizes = Sizes(len(rows), len(set(groups[rows])), units, classes, left_out, straddling, permutations)
    return rows, codes, names, sizes


def _unmeasured(name, fault):
    undefined = Interval(float("nan"), float("nan"), float("nan"))
    return Separability(name, undefined, float("nan"), 1.0, (), np.array([]), fault=fault)


def _score(features, exchange, draws, folds, classes, seed):
    """The balanced accuracies of a view -> `_Scores`."""
    planted = _plant(features, exchange, classes, np.random.default_rng(seed))
    label_sets = np.concatenate([draws, planted]) if len(planted) else draws
    predicted = predict(features, label_sets, folds, classes)
    means = recalls(predicted, label_sets, classes).mean(axis=1)
    return _Scores(means[: len(draws)], means[len(draws) :].reshape(-1, PLANTED), predicted[0], classes)


def _plant(features, exchange, classes, rng):
    """Labels with a planted relation to a view, of every strength: int [strengths * PLANTED, rows]; none for a constant view.

    A random direction of the view's features is the relation. Labels are exchanged so that they follow it, with noise.
    """
    deviation = features.std(axis=0)
    varies = deviation > 1e-9 * (np.abs(features.mean(axis=0)) + 1e-300)
    if not varies.any():
        return np.zeros((0, len(exchange.groups)), exchange.labels.dtype)
    scaled = (features[:, varies] - features[:, varies].mean(axis=0)) / deviation[varies]
    return np.stack(
        [_planted_labels(scaled, exchange, classes, strength, rng) for strength in STRENGTHS for _ in range(PLANTED)]
    )


def _planted_labels(scaled, exchange, classes, strength, rng):
    direction = scaled @ rng.standard_normal(scaled.shape[1])
    means = np.bincount(exchange.blocks, direction) / np.bincount(exchange.blocks)
    keys = strength * _unit(means) + np.sqrt(1 - strength**2) * rng.standard_normal(len(means))
    return exchange.arrange(keys, rng.permutation(classes))


def _unit(values):
    return (values - values.mean()) / (values.std() or 1.0)


def _largest(results):
    """The largest scaled accuracy over views, for the observed labels and every exchange: float64 [1 + exchanges]."""
    scaled = [result.scaled(result.means) for result in results if result.means.std() > 1e-12]
    return np.max(scaled, axis=0) if scaled else np.full(1, np.inf)


def _p(values, result, largest):
    """Adjusted p of accuracies: the share of exchanges, the observed labels among them, whose largest statistic reaches them."""
    beyond = largest[1:] >= result.scaled(values)[..., None] - 1e-9
    return (1 + beyond.sum(axis=-1)) / len(largest)


def _summarize(name, result, exchange, largest, seed):
    codes = exchange.labels
    constant = not len(result.planted)
    noticed = (_p(result.planted, result, largest) <= ALPHA).sum(axis=1)
    return Separability(
        name,
        _interval(result.predicted, codes, exchange.groups, result.classes, derive_seed(seed, name, 1)),
        float(result.means[1:].mean()),
        1.0 if constant else float(_p(result.means[0], result, largest)),
        tuple(zip(STRENGTHS, noticed.tolist())),
        result.predicted == codes,
        constant,
    )


def _interval(predicted, codes, groups, classes, seed):
    """Bootstrap interval of the balanced accuracy over groups, for the classifiers at hand: `Interval`."""
    members = codes[:, None] == np.arange(classes)
    counts = np.zeros((2, groups.max() + 1, classes))
    np.add.at(counts[0], groups, members)
    np.add.at(counts[1], groups, members & (predicted == codes)[:, None])
    number = counts.shape[1]
    weights = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), DRAWS)
    with np.errstate(invalid="ignore"):
        shares = np.nanmean((weights @ counts[1]) / (weights @ counts[0]), axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return Interval(float((counts[1].sum(axis=0) / counts[0].sum(axis=0)).mean()), float(low), float(high))


def _count_alarms(exchange, draws, folds, classes, seed):
    """How many views of noise tell the labels by chance: int. Half of the noise is that of the group."""
    rng = np.random.default_rng(derive_seed(seed, "noise views", 0))
    groups, alarms = exchange.groups, 0
    for _ in range(NOISE_VIEWS):
        shared = rng.standard_normal((groups.max() + 1, NOISE_FEATURES))[groups]
        features = shared + rng.standard_normal(shared.shape)
        means = recalls(predict(features, draws, folds, classes), draws, classes).mean(axis=1)
        alarms += (means >= means[0] - 1e-12).mean() <= ALPHA
    return int(alarms)
