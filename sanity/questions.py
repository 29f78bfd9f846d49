"""Questions: what a subject can be asked besides its own target: another class for every sample, and the partner that gives it."""

from dataclasses import replace

import numpy as np

from lab import routines
from lab.kinds import TOKENS, kind_of
from sanity.effects import cell_counts, occupied_positions
from sanity.evidence import Gate


def class_scores(subject):
    """Every class's score of the explained output, its mean over positions.

    Returns:
        float64 [samples, classes], two columns for one unit.
    """
    values = routines.outputs(subject.network, subject.inputs)[_output_name(subject)]
    values = values.reshape(len(values), -1, values.shape[-1]).mean(axis=1)
    return np.concatenate([-values, values], axis=1) if values.shape[1] == 1 else values


def _output_name(subject):
    """The name of the explained output."""
    where = subject.objective.terms[0][1].where
    return subject.network.output_name(where if where in subject.network.outputs else subject.output)


def target_classes(subject):
    """The class that each sample is explained for: int [samples]."""
    return np.broadcast_to(subject.objective.numbers(len(subject.names))[0][0], len(subject.names))


def partners(subject):
    """Each sample's partner.

    Neighbours in order are partners where their classes differ. The others are paired among themselves, of
    different classes as far as there are any. So images sorted by class have partners of another class too.

    Returns:
        int [samples], -1 for the one left of an odd number.
    """
    targets, rows = target_classes(subject), np.arange(len(subject.names))
    partner_rows = np.where(rows ^ 1 < len(rows), rows ^ 1, -1)
    alike = rows[~classes_differ(targets, partner_rows)]
    partner_rows[alike] = -1
    alike = alike[np.argsort(targets[alike], kind="stable")]
    half = len(alike) // 2
    first, second = alike[:half], alike[half : 2 * half]
    partner_rows[first], partner_rows[second] = second, first
    return partner_rows


def other_classes(subject):
    """Another class for each sample: its partner's, or where that is the same, the highest of its other ones.

    Returns:
        int [samples].
    """
    targets, partner_rows, values = target_classes(subject), partners(subject), class_scores(subject).copy()
    values[np.arange(len(targets)), targets] = -np.inf
    return np.where(classes_differ(targets, partner_rows), targets[partner_rows], values.argmax(axis=1))


def classes_differ(targets, partner_rows):
    """Whether partners have different classes.

    Args:
        targets: int [samples].
        partner_rows: int [samples], -1 for none.

    Returns:
        bool [samples].
    """
    return (partner_rows >= 0) & (targets[partner_rows] != targets)


def other_question(subject, classes):
    """The subject's objective for other classes; for one unit of two classes, the same with the sign turned.

    Args:
        subject: the `Subject`.
        classes: int [samples].

    Returns:
        `Objective`.
    """
    ((_, term),) = subject.objective.terms
    shape = subject.network.outputs[_output_name(subject)]
    if (len(shape) < 2 or shape[-1] == 1) and term.kind != "class_score":
        return -subject.objective
    return subject.objective.for_classes([int(index) for index in classes])


def questions(subject):
    """The subject's own objective, and where there are two classes, the one for another class: list of `Objective`."""
    objectives = [subject.objective]
    return objectives if subject.classes < 2 else [*objectives, other_question(subject, other_classes(subject))]


def conditions(subject):
    """Whether the cells of a subject's inputs can be asked about: list of `Gate`."""
    single = len(subject.objective.terms) == 1
    words = f"{subject.objective}{'' if single else ': ask about one class at a time'}"
    return [
        _one_input(subject.inputs),
        Gate("one class is asked about", status(single), words),
        *_several_words(subject),
    ]


def _several_words(subject):
    """Whether texts differ, and have words that can be compared with each other: list of `Gate`, none for other inputs."""
    if not _are_texts(subject.inputs):
        return []
    longest = int(occupied_positions(subject.network, subject.inputs).sum(axis=1).max())
    different, count = len(_crossed_rows(subject)), len(subject.names)
    words = f"{different} of {count} texts differ and have two cells or more; needed: 2. Give other texts"
    return [
        Gate("several words in a text", status(longest > 1), f"{longest} at most; needed: 2"),
        *([Gate("texts differ", "failed", words)] if longest > 1 and different < 2 else []),
    ]


def crossed_texts(subject):
    """The subject without texts that it has already, and without those of fewer than two cells, which say nothing.

    Equal texts are of one source, and one unit.

    Args:
        subject: the `Subject`.

    Returns:
        `Subject`, the same for other inputs and for texts that all count.
    """
    rows = _crossed_rows(subject) if _are_texts(subject.inputs) else range(len(subject.names))
    if len(rows) == len(subject.names):
        return subject
    arrays = {name: getattr(subject, name) for name in ("inputs", "targets", "labels", "true")}
    return replace(
        subject,
        names=tuple(subject.names[row] for row in rows),
        objective=subject.objective.rows(rows),
        **{name: None if values is None else values[rows] for name, values in arrays.items()},
    )


def _are_texts(inputs):
    return isinstance(inputs, np.ndarray) and kind_of(inputs) is TOKENS


def _crossed_rows(subject):
    """The places of texts that count, the first of equal ones: list of int."""
    ids = subject.inputs
    rows = sorted({row.tobytes(): place for place, row in reversed(list(enumerate(ids)))}.values())
    counts = cell_counts(subject.network, ids[rows])
    return [row for row, count in zip(rows, counts) if count > 1]


def _one_input(inputs):
    """Whether the inputs are one array of floats, or of token ids: `Gate`."""
    if not isinstance(inputs, np.ndarray):
        words = "several inputs: wrap the model into one that takes a single input and holds the others fixed"
        return Gate("one input", status(False), words)
    usable = inputs.dtype.kind == "f" or kind_of(inputs) is TOKENS
    words = "floats or token ids" if usable else f"whole numbers of shape {inputs.shape}: give them as floats"
    return Gate("one input", status(usable), words)


def two_classes(subject):
    """Whether there is another class to ask about: `Gate`."""
    words = f"{subject.classes} outputs; needed: 2"
    if subject.classes < 2:
        words = "one output, so that there is no other class: image_crossing and place need no other"
    return Gate("more than one class", status(subject.classes > 1), words)


def status(holds):
    """The status of a gate about the subject, "passed" or "not applicable": str."""
    return "passed" if holds else "not applicable"
