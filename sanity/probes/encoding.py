"""Encoding: what one layer holds of one label set, in numbers that a rule can judge.

All fits share folds by group. Of every probe the hits are kept by group and class, so that groups can be drawn anew.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from lab.concepts import calibration, cross_validate, online_code, predict
from sanity.probes.control_tasks import control_labels
from sanity.seeds import derive_seed
from sanity.shortcuts import classifier
from sanity.shortcuts.exchange import Exchange
from sanity.statistics import DRAWS

# Control tasks that are drawn, exchanges of the labels, and rows that are looked at for p.
CONTROLS, EXCHANGES, MOST_ROWS = 3, 199, 1500


def tally(labels, predicted, groups, classes):
    """How many rows of each group and class there are, and how many of them were told.

    Args:
        labels: int [rows].
        predicted: int [rows].
        groups: int [rows], from 0 on.
        classes: int.

    Returns:
        int [2, groups, classes], rows and hits.
    """
    counts = np.zeros((2, groups.max() + 1, classes), int)
    np.add.at(counts[0], (groups, labels), 1)
    np.add.at(counts[1], (groups, labels), labels == predicted)
    return counts


def balanced_accuracies(tallies, *, seed, draws=DRAWS):
    """Balanced accuracies of the groups as they are, and of groups drawn anew, the same draws for equally many groups.

    Args:
        tallies: int [..., 2, groups, classes], as of `tally`.
        seed: int.
        draws: int.

    Returns:
        float64 [1 + draws, ...], the observed ones first.
    """
    count = tallies.shape[-2]
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
    weights = np.concatenate([np.ones((1, count)), weights])
    sums = np.tensordot(weights, tallies.astype("float64"), axes=(1, tallies.ndim - 2))
    rows, hits = np.moveaxis(sums, -2, 0)
    shares = np.divide(hits, rows, out=np.zeros_like(hits), where=rows > 0)
    return shares.sum(axis=-1) / np.maximum((rows > 0).sum(axis=-1), 1)


def fit_and_tally(rows, label_set, seed, *, labels=None, estimator=None):
    """What a probe tells of labels by cross-validation over groups.

    Args:
        rows: float [rows, channels], of the rows of the label set.
        label_set: `LabelSet`.
        seed: int, of the folds.
        labels: int [rows], others in the place of the label set's own; None: its own.
        estimator: a scikit-learn classifier; None: `lab.concepts.linear_probe`.

    Returns:
        int [2, groups, classes], as of `tally`, and float64 [rows, classes], probabilities.
    """
    labels = label_set.labels if labels is None else labels
    probabilities = cross_validate(rows, labels, folds_of(label_set, seed), estimator=estimator)
    predicted = predict(probabilities, labels)
    return tally(labels, predicted, label_set.groups, len(label_set.classes)), probabilities


def folds_of(label_set, seed):
    """The fold of each row; rows of a group are in one: int [rows].

    Args:
        label_set: `LabelSet`.
        seed: int.

    Returns:
        int [rows].
    """
    return classifier.draw_folds(label_set.groups, np.random.default_rng(derive_seed(seed, "folds")))


# Many small products: several threads would mostly wait for each other, and give other last digits.
@threadpool_limits.wrap(limits=1)
def measure_layer(rows, random_rows, inputs_tally, types, label_set, *, seed, estimator=None, exchanges=EXCHANGES):
    """What one layer holds of one label set.

    Args:
        rows: float [rows, channels], activations of the rows of the label set.
        random_rows: list of float [rows, channels], of untrained networks.
        inputs_tally: int [2, groups, classes], what the same probe tells from the inputs themselves.
        types: int [rows], of the control task.
        label_set: `LabelSet`.
        seed: int.
        estimator: a scikit-learn classifier; None: `lab.concepts.linear_probe`.
        exchanges: int, how often labels are exchanged between groups.

    Returns:
        dict of name to array, the samples of an `Evidence`.
    """
    options = {"estimator": estimator}
    probe, probabilities = fit_and_tally(rows, label_set, seed, **options)
    code_seed = derive_seed(seed, "order of groups")
    codes = {
        name: online_code(values, label_set.labels, label_set.groups, seed=code_seed, **options)
        for name, values in (("code", rows), ("code/random", random_rows[0]))
    }
    reliability = calibration(probabilities, label_set.labels, seed=derive_seed(seed, "calibration"))
    return {
        "probe": probe,
        "control": _tally_controls(rows, label_set, types, seed, estimator),
        "random": np.stack([fit_and_tally(values, label_set, seed, **options)[0] for values in random_rows]),
        "inputs": inputs_tally,
        "exchanged": exchanged_accuracies(rows, label_set, seed, exchanges),
        **{name: np.stack([code.fitted, code.rows, code.bits, code.accuracy], axis=1) for name, code in codes.items()},
        "calibration": np.array([reliability["error"], *reliability["expected"]]),
        "reliability": reliability["bins"],
    }


def _tally_controls(rows, label_set, types, seed, estimator):
    """What the probe learns of labels without a meaning, over all control tasks: int [2, groups, classes]."""
    tasks = [
        control_labels(types, label_set.labels, seed=derive_seed(seed, "control task", place))
        for place in range(CONTROLS)
    ]
    several = [labels for labels in tasks if len(set(labels)) > 1]
    tallies = [fit_and_tally(rows, label_set, seed, labels=labels, estimator=estimator)[0] for labels in several]
    return (
        np.sum(tallies, axis=0) if tallies else tally(tasks[0], 0 * tasks[0], label_set.groups, len(label_set.classes))
    )


@threadpool_limits.wrap(limits=1)
def exchanged_accuracies(rows, label_set, seed, exchanges):
    """Balanced accuracy of the labels, and of labels that were exchanged between groups: float64 [1 + exchanges].

    It is that of kernel least squares, which is fitted to all exchanges at the price of one.

    Args:
        rows: float [rows, channels].
        label_set: `LabelSet`.
        seed: int.
        exchanges: int.

    Returns:
        float64 [1 + exchanges].
    """
    generator = np.random.default_rng(derive_seed(seed, f"exchange of {label_set.name}"))
    kept = _some_rows(label_set.groups, generator)
    groups = np.unique(label_set.groups[kept], return_inverse=True)[1]
    exchange, classes = Exchange(label_set.labels[kept], groups), len(label_set.classes)
    draws = np.stack([exchange.labels, *(exchange.draw(generator) for _ in range(exchanges))])
    predicted = classifier.predict(
        rows[kept].astype("float64"), draws, classifier.draw_folds(groups, generator), classes
    )
    return classifier.recalls(predicted, draws, classes).mean(axis=1)


def _some_rows(groups, generator):
    """Rows of as many whole groups as are looked at: int [rows]."""
    sizes = np.bincount(groups)
    order = generator.permutation(len(sizes))
    few = order[np.cumsum(sizes[order]) <= MOST_ROWS]
    return np.flatnonzero(np.isin(groups, few if len(few) > 1 else order))
