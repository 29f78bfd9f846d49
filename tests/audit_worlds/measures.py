"""Measures: the p of a check alone, without its copies, and what a naive version of the check would have said."""

from dataclasses import replace

import numpy as np
from scipy import stats
from sklearn.mixture import GaussianMixture

from lab.concepts import erase_targets, leace
from sanity.audit import calibration, clusters, slices
from sanity.audit.counterparts import Counterparts
from sanity.audit.decoding import Problem, probe_auc
from sanity.audit.encoding import encode_inputs
from sanity.audit.exchange import group_codes, searched_errors
from sanity.audit.eyes import Eyes
from sanity.audit.groups import list_groupings, list_metrics, measure_gaps
from sanity.audit.legitimate import design, list_contrasts
from sanity.audit.mechanism import Mechanism
from sanity.audit.permutation import min_p
from sanity.audit.search import search_slices
from sanity.audit.swaps import Swap
from sanity.statistics import exchange_p
from tests.audit_worlds import mechanisms, proxies

# Where does it fail? ------------------------------------------------------------------------------------------------------


def slices_p(subject, seed, draws=99):
    """The smallest p of a search over groups of rows."""
    return _search_p(slices.list_slices(subject.test), subject.test, seed, draws)


def clusters_p(subject, seed, draws=99):
    """The smallest p of a search over clusters of activations."""
    members, _ = clusters.fit_clusters(subject.test, seed=seed)
    return _search_p(clusters.list_clusters(members, subject.test.units), subject.test, seed, draws)


def _search_p(listed, rows, seed, draws):
    groups = group_codes(rows)
    errors = searched_errors(rows, groups)
    return search_slices(listed, errors, rows.units, groups, draws=draws, seed=seed).p.min()


def naive_slices_p(subject):
    """Fisher's p of the slice with the most excess, on the rows that chose it."""
    listed, errors = slices.list_slices(subject.test), subject.test.errors
    holds = listed.masks(np.arange(len(listed)))
    inside = holds @ errors
    table = [inside, holds.sum(1) - inside, errors.sum() - inside, (~holds).sum(1) - errors.sum() + inside]
    excess = table[0] / holds.sum(1) - table[2] / (~holds).sum(1)
    best = (excess / np.sqrt(1 / holds.sum(1) + 1 / (~holds).sum(1))).argmax()
    return stats.fisher_exact(np.array([row[best] for row in table]).reshape(2, 2), "greater").pvalue


def naive_clusters_p(subject, seed, weight=1.0):
    """Fisher's p, corrected for five, of clusters whose members on the other half are told by label and prediction too."""
    rows, first = subject.test, np.random.default_rng(seed).random(len(subject.test)) < 0.5
    known = np.hstack([rows.features, weight * np.eye(3)[rows.labels], weight * np.eye(3)[rows.predicted]])
    mixture = GaussianMixture(14, covariance_type="diag", reg_covar=1e-2, random_state=seed).fit(known[first])
    members, errors = mixture.predict(known), rows.errors
    excess = [
        errors[first & (members == place)].mean() if (first & (members == place)).sum() >= 15 else -1
        for place in range(14)
    ]
    smallest = 1.0
    for place in np.argsort(excess)[-5:]:
        inside, other = errors[~first & (members == place)], errors[~first & (members != place)]
        table = [[inside.sum(), len(inside) - inside.sum()], [other.sum(), len(other) - other.sum()]]
        smallest = min(smallest, 5 * stats.fisher_exact(table, "greater").pvalue)
    return smallest


def calibration_p(subject, seed, draws=99):
    """The smallest p over views of the probabilities."""
    rows = subject.test
    levels = calibration.list_levels(rows, seed=seed)[0] if rows.unit_count < len(rows) else ()
    sampler = calibration.LabelSampler(rows.probabilities, levels)
    return calibration.compare_with_draws(calibration.list_views(rows), rows, sampler, draws=draws, seed=seed).p.min()


def naive_calibration_error(subject, bins=15):
    """The expected calibration error of the top label over bins of equal width."""
    top, right = subject.test.probabilities.max(1), 1 - subject.test.errors
    place = np.minimum((top * bins).astype(int), bins - 1)
    return np.abs(np.bincount(place, right - top, minlength=bins)).sum() / len(top)


# Have the inputs changed? -------------------------------------------------------------------------------------------------


def eyes_of(subject, seed=0, encode=encode_inputs):
    """The eyes on a subject: `Eyes`."""
    return Eyes(encode(subject.test, subject.current), seed=seed)


def shift_p(subject, seed=0, draws=99, encode=encode_inputs):
    """The smallest p of all eyes."""
    return min_p(eyes_of(subject, seed, encode).look(draws).statistics).min()


def naive_shift_p(subject):
    """p of Kolmogorov and Smirnov for each column, rows as units: float64 [columns]."""
    both = zip(subject.test.columns, subject.current.columns)
    return np.array([stats.ks_2samp(first.values, second.values).pvalue for first, second in both])


# Groups and proxies -------------------------------------------------------------------------------------------------------


def gaps_of(subject, seed=0, draws=99):
    """What was measured of a subject's groups, without copies: list of `Gaps`."""
    rows, costs = subject.test, subject.sheet.decision.costs
    metrics, (groupings, _) = list_metrics(rows, 1, costs=costs), list_groupings(rows)
    return measure_gaps(rows, metrics, groupings, draws=draws, seed=seed, tries=0, delta=0.05, alpha=0.05)[0]


def gaps_p(subject, seed=0, draws=99):
    """The smallest p over groups and rates."""
    return min(gaps.p.min() for gaps in gaps_of(subject, seed, draws))


def naive_gaps_p(subject):
    """The smallest p of Fisher's test of decisions among rows of each label, each group against the rest."""
    rows, groups = subject.test, subject.test.protected[0].values
    tables = [
        np.bincount(2 * (groups == group)[rows.labels == label] + rows.predicted[rows.labels == label], minlength=4)
        for group in np.unique(groups)
        for label in (0, 1)
    ]
    return min(stats.fisher_exact(table.reshape(2, 2)).pvalue for table in tables)


def problem_of(subject, seed=0):
    """Whether the one contrast of a subject can be read from its activations: `Problem`."""
    (contrast,), _ = list_contrasts(subject.test.protected[0])
    return Problem(contrast, subject.test, design(subject.test, [proxies.LEGITIMATE]), seed=seed)


def decoded_p(subject, seed=0, draws=39):
    """p of what a layer says beyond the legitimate column."""
    return exchange_p(problem_of(subject, seed).decode(draws).areas[None])[0]


def is_above_chance(subject, seed=0):
    """Whether a probe ranks better than chance: a naive sign of something beyond the legitimate column."""
    problem = problem_of(subject, seed)
    held = problem.contrast.members[~problem.fitted]
    spread = np.sqrt((len(held) + 1) / (12 * held.sum() * (len(held) - held.sum())))
    return probe_auc(problem.plain, problem.contrast.members[None], problem.fitted)[0] > 0.5 + 1.645 * spread


def swap_of(subject, seed=0):
    """Swaps of the stand-in, of the noise and of both: `Swap`."""
    (contrast,), _ = list_contrasts(subject.test.protected[0])
    places = {proxies.PROXY: (1,), proxies.NOISE: (2,), "all of them": (1, 2)}
    return Swap(contrast, subject.test, [proxies.LEGITIMATE], places, subject.predict, log_odds, seed=seed)


def log_odds(logits):
    return logits[:, 1] - logits[:, 0]


# What one layer does --------------------------------------------------------------------------------------------------------


def mechanism_of(subject, seed=0):
    """Erasures from the first hidden layer: `Mechanism`."""
    (contrast,), _ = list_contrasts(subject.test.protected[0])
    return Mechanism(contrast, subject.test, list(mechanisms.LEGITIMATE), subject.layers[0], log_odds, seed=seed)


def naive_erasure_p(subject, seed=0, draws=99):
    """p of the mean change of the score when the column itself is erased, among directions drawn evenly that move as far."""
    mechanism = mechanism_of(subject, seed)
    fitted, held = mechanism.first, ~mechanism.first
    erasure = leace(mechanism.hidden[fitted], mechanism.members[fitted])
    drawn = np.random.default_rng(seed).normal(size=(draws, len(erasure.write), 1))
    drawn *= np.linalg.norm(erasure.write) / np.linalg.norm(drawn, axis=1, keepdims=True)
    others = [replace(erasure, write=write) for write in drawn]
    inputs = mechanism.rows.inputs[held]
    moved = [
        np.abs(log_odds(mechanism.layer.resume(inputs, change(mechanism.hidden[held]))) - mechanism.scores[held]).mean()
        for change in (erasure, *others)
    ]
    return np.mean(np.array(moved) >= moved[0] - 1e-12)


def scaled_direction_p(subject, seed=0, draws=99):
    """p of the change of the slope by the column's direction, among directions that are lengthened until they move as far."""
    mechanism = mechanism_of(subject, seed)
    fitted, held = mechanism.first, ~mechanism.first
    surplus, hidden, inputs = (
        mechanism.members - mechanism.odds.chance,
        mechanism.hidden[held],
        mechanism.rows.inputs[held],
    )
    targets = np.random.default_rng(seed).normal(size=(fitted.sum(), draws))
    first, *others = erase_targets(mechanism.hidden[fitted], np.column_stack([surplus[fitted], targets]))
    far = np.linalg.norm(first(hidden) - hidden, axis=1).mean()
    others = [_lengthened(erasure, hidden, far) for erasure in others]
    moved = np.array(
        [
            mechanism.scores[held] - log_odds(mechanism.layer.resume(inputs, change(hidden)))
            for change in (first, *others)
        ]
    )
    features = mechanism.features[held]
    moved = moved.T - features @ np.linalg.lstsq(features, moved.T, rcond=None)[0]
    changes = np.abs(surplus[held] @ moved)
    return np.mean(changes >= changes[0] - 1e-12)


def _lengthened(erasure, hidden, far):
    factor = far / np.linalg.norm(erasure(hidden) - hidden, axis=1).mean()
    return replace(erasure, write=factor * erasure.write)


def counterparts_of(subject, seed=0):
    """What a network does with counterparts: `Counterparts`."""
    (contrast,), _ = list_contrasts(subject.test.protected[0])
    return Counterparts(contrast, subject.test, ["age"], log_odds, seed=seed)
