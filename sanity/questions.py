"""Questions: what a subject can be asked beside its own: another class for every sample, and a partner that gives it."""

import numpy as np

from lab import routines
from sanity.evidence import Gate


def class_scores(subject):
    """Every class's score of the asked output, mean over positions, two columns for one unit: float64 [samples, classes]."""
    values = routines.outputs(subject.network, subject.inputs)[_output_name(subject)]
    values = values.reshape(len(values), -1, values.shape[-1]).mean(axis=1)
    return np.concatenate([-values, values], axis=1) if values.shape[1] == 1 else values


def _output_name(subject):
    """The output that is asked, by name."""
    where = subject.objective.terms[0][1].where
    return subject.network.output_name(where if where in subject.network.outputs else subject.output)


def target_classes(subject):
    """The class that each sample is asked about: int [samples]."""
    return np.broadcast_to(subject.objective.numbers(len(subject.names))[0][0], len(subject.names))


def partners(subject):
    """Each sample's partner, -1 for the one that is left of an odd number: int [samples].

    Two by two in order where these are asked about different classes; the others among themselves, of different classes as far as
    there are any, so that images sorted by class have partners of another class too.
    """
    own, rows = target_classes(subject), np.arange(len(subject.names))
    mates = np.where(rows ^ 1 < len(rows), rows ^ 1, -1)
    alike = rows[~classes_differ(own, mates)]
    mates[alike] = -1
    alike = alike[np.argsort(own[alike], kind="stable")]
    half = len(alike) // 2
    first, second = alike[:half], alike[half : 2 * half]
    mates[first], mates[second] = second, first
    return mates


def other_classes(subject):
    """Another class for each sample: its partner's, or where that is the same, the highest of its other ones: int [samples]."""
    own, mates, values = target_classes(subject), partners(subject), class_scores(subject).copy()
    values[np.arange(len(own)), own] = -np.inf
    return np.where(classes_differ(own, mates), own[mates], values.argmax(axis=1))


def classes_differ(own, mates):
    """Whether partners are asked about different classes: bool [samples]."""
    return (mates >= 0) & (own[mates] != own)


def other_question(subject, classes):
    """The subject's question about other classes; of one unit that tells two classes apart, the same with the sign turned: `Objective`."""
    ((_, term),) = subject.objective.terms
    shape = subject.network.outputs[_output_name(subject)]
    if (len(shape) < 2 or shape[-1] == 1) and term.kind != "class_score":
        return -subject.objective
    return subject.objective.for_classes([int(index) for index in classes])


def questions(subject):
    """The subject's own question, and where there are two classes, the one about another class: list of `Objective`."""
    own = [subject.objective]
    return own if subject.classes < 2 else [*own, other_question(subject, other_classes(subject))]


def conditions(subject):
    """Whether a subject can be asked about cells of its inputs: list of `Gate`."""
    single = len(subject.objective.terms) == 1
    words = f"{subject.objective}{'' if single else ': ask about one class at a time'}"
    return [_one_floating_input(subject.inputs), Gate("one class is asked about", status(single), words)]


def _one_floating_input(inputs):
    floating = isinstance(inputs, np.ndarray) and inputs.dtype.kind == "f"
    words = "an array of floats"
    if not isinstance(inputs, np.ndarray):
        words = "several inputs: wrap the model into one that takes a single input and holds the others fixed"
    elif not floating:
        words = "whole numbers, which cannot move a little: give a model that starts behind its Embedding layer"
    return Gate("one floating input", status(floating), words)


def two_classes(subject):
    """Whether there is another class to ask about: `Gate`."""
    words = f"{subject.classes} outputs; needed: 2"
    if subject.classes < 2:
        words = "one output, so that there is no other class: image_crossing and place need no other"
    return Gate("more than one class", status(subject.classes > 1), words)


def status(holds):
    """The status of a gate about the subject: str."""
    return "passed" if holds else "not applicable"
