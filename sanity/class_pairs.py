"""Class pairs: which two classes the network's own answer separates, as advice on what to ask about."""

import numpy as np
from scipy import sparse

from sanity.effects import measured_effects
from sanity.questions import other_classes, target_classes

SHOWN = 2


def class_pairs(subject):
    """The two classes that each sample is crossed by.

    Returns:
        list of (own, other), by name where the network has one, else by index as text.
    """
    names = subject.network.names_in(subject.output) or []
    classes = zip(target_classes(subject).tolist(), other_classes(subject).tolist())
    return [(_label(names, target), _label(names, other)) for target, other in classes]


def class_groups(pairs):
    """The group of each pair. Classes that are crossed with each other, directly or through others, are one group.

    Args:
        pairs: list of (class, class), one a sample.

    Returns:
        int [samples].
    """
    places = {}
    ends = np.array([[places.setdefault(label, len(places)) for label in pair] for pair in pairs]).T
    graph = sparse.coo_matrix((np.ones(len(pairs)), ends), (len(places),) * 2)
    _, groups = sparse.csgraph.connected_components(graph, directed=False)
    return groups[ends[0]]


def advice(crossing, evidence, margins):
    """The pairs of classes with the largest crossing of the oracle, and how to ask about them.

    Args:
        crossing: a `sanity.crossing.Crossing`.
        evidence: `Evidence` of it.
        margins: `Margins`.

    Returns:
        str.
    """
    pairs = _pair_crossings(crossing, evidence)
    separated = sorted((pair for pair in pairs if pair[1] >= margins.known), key=lambda pair: -pair[1])[:SHOWN]
    if not separated:
        return (
            f"of {len(pairs)} pairs of classes none reaches {margins.known}: "
            "give --images of classes that show in different places"
        )
    words = ", ".join(
        f"{' and '.join(pair)} ({mean:.2f} by {effect}, {count} image{'s' * (count > 1)})"
        for pair, mean, effect, count in separated
    )
    return (
        f"it separates these classes best: {words}. Give a folder of other images of two such classes with --images, "
        "and leave --target at top"
    )


def _pair_crossings(crossing, evidence):
    """The oracle's crossing of every pair of classes, of its larger effect: list of (pair, mean, effect, images)."""
    values = {name: crossing.statistic(evidence.samples[f"oracle/{name}"]) for name in measured_effects(evidence)}
    groups = {}
    for row, pair in enumerate(evidence.settings["class_pairs"]):
        groups.setdefault(tuple(sorted(pair)), []).append(row)
    return [(pair, *_largest_effect(values, rows), len(rows)) for pair, rows in groups.items()]


def _largest_effect(values, rows):
    """-> mean, effect; a sample whose crossing is undefined counts as nothing."""
    means = {name: float(np.nan_to_num(numbers[rows]).mean()) for name, numbers in values.items()}
    effect = max(means, key=means.get)
    return means[effect], effect


def _label(names, index):
    """A class as `--target` takes it: its name, or its index where it has no name of its own."""
    name = names[index] if index < len(names) else ""
    return name if name and names.count(name) == 1 else str(index)
