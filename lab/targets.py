"""Targets: what is explained, named as users name it: each sample's top class, a class, or an objective."""

import numpy as np

from lab import routines
from lab.environment import tf
from lab.objectives import Objective, class_score, logit, refuse_no_objective
from lab.refusal import Refused


def as_objective(network, inputs, target="top"):
    """The objective that a target stands for.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        target: "top", each sample's own highest class; the name or index of a class, or a list with one per sample; or an
            `Objective`. A network with one number for an output is asked about that number.
    Returns:
        `Objective`, of the network's first output where the target is none.
    Raises:
        Refused: for an unknown class, a list of another length, and an output with positions, which needs an objective.
    """
    if not isinstance(target, (str, int, np.integer, list, tuple, np.ndarray)):
        refuse_no_objective(target)
    if isinstance(target, Objective):
        return target
    _refuse_positions(network)
    if _is_number(network) and isinstance(target, (str, int, np.integer)) and str(target) in ("top", "0"):
        return logit(0)
    batch = len(tf.nest.flatten(inputs)[0])
    return class_score(_indices(network, inputs, target, batch))


def _refuse_positions(network):
    name, shape = next(iter(network.outputs.items()))
    if len(shape) > 2:
        raise Refused(
            f"An output with positions is explained by an objective. Received: {name!r} of {network.name}, of shape {shape}, and a class. Give lab.region(index) or lab.token(index, position)."
        )


def _is_number(network):
    """Whether the first output is one number that tells no classes apart."""
    return network.classes_in() == 1


def _indices(network, inputs, target, batch):
    if isinstance(target, str) and target == "top":
        return [int(index) for index in routines.class_logits(network, inputs).argmax(axis=1)]
    if isinstance(target, (str, int, np.integer)):
        return network.class_index(target if isinstance(target, str) else int(target))
    if len(target) != batch:
        raise Refused(f"Classes are one, or one per sample. Received: {len(target)} classes for {batch} samples.")
    return [network.class_index(name if isinstance(name, str) else int(name)) for name in target]


def captions(network, inputs, objective, scores, flags, *, computed=None):
    """What each sample was explained for, in words.

    Args:
        scores: float32 [batch].
        flags: per sample, a tuple of words.
        computed: as of `lab.routines.class_logits`.
    Returns:
        list of str: the target, its score, its probability and the highest other class where there are classes, the flags.
    """
    return [
        ", ".join(filter(None, [f"{words}, score {score:.3g}", *sample_flags]))
        for words, score, sample_flags in zip(
            _in_words(network, inputs, objective, len(scores), computed), scores, flags
        )
    ]


def class_names(network, objective, batch):
    """The name of the class that each sample is asked about.

    Args:
        network: a `Network`.
        objective: an `Objective`.
        batch: int, samples.

    Returns:
        list of str, or None for an objective that is no class.
    """
    indices = _class_indices(network, objective, batch)
    where = objective.terms[0][1].where
    return None if indices is None else [network.class_name(int(index), where) for index in indices]


def _class_indices(network, objective, batch):
    """The class that each sample is asked about: int [batch], or None for an objective that is no class."""
    (weight, term), *others = objective.terms
    if (
        others
        or weight != 1
        or term.kind not in ("logit", "class_score")
        or network.classes_in(term.where) in (None, 1)
    ):
        return None
    if term.kind == "logit" and network.two_classes(term.where):
        # logit(0) of one unit is the unit itself, which speaks for the second class.
        return np.ones(batch, int)
    return np.broadcast_to(objective.numbers(batch)[0][0], batch)


def _in_words(network, inputs, objective, batch, computed):
    """One str a sample: a class with its probability and the runner-up; any other objective in its own words."""
    indices, where = _class_indices(network, objective, batch), objective.terms[0][1].where
    if indices is None:
        return [str(objective)] * batch
    probabilities = routines.probabilities(network, inputs, where, computed=computed)
    return [_class_words(network, row, int(index), where) for row, index in zip(probabilities, indices)]


def _class_words(network, probabilities, index, output):
    others = np.where(np.arange(len(probabilities)) == index, -1, probabilities)
    runner_up = int(others.argmax())
    name, other = (network.class_name(place, output) for place in (index, runner_up))
    return f"{name} ({probabilities[index]:.0%}; {other} {probabilities[runner_up]:.0%})"
