"""Predictions: what a network says of every photograph, for the report: its classes with probabilities, and the label."""

import numpy as np

from lab import routines


def predictions(subject):
    """What the network says of each sample.

    Args:
        subject: `sanity.subject.Subject`.

    Returns:
        list of dict, one a sample. name: of the sample. predicted, runner_up: [class name, probability], or None where
        the output tells no classes apart. label: name of its labelled class, or None where it is not known.
    """
    labels = _label_names(subject)
    rows = _probabilities(subject)
    return [
        {"name": name, "label": label, **_two_highest(subject, row)} for name, label, row in zip(subject.names, labels, rows)
    ]


def _label_names(subject):
    if subject.labels is None:
        return [None] * len(subject.names)
    return [subject.network.class_name(int(label), subject.output) for label in subject.labels]


def _probabilities(subject):
    """The probability of every class: float [samples, classes]; None for each sample of an output without classes."""
    network = subject.network
    name = network.output_name(subject.output)
    if len(network.outputs[name]) > 2 or network.classes_in(subject.output) in (None, 1):
        return [None] * len(subject.names)
    return routines.probabilities(network, subject.inputs, subject.output)


def _two_highest(subject, row):
    """The two classes with the highest probabilities, each as [name, probability]."""
    if row is None:
        return {"predicted": None, "runner_up": None}
    first, second = np.argsort(-row, kind="stable")[:2]
    named = [[subject.network.class_name(int(index), subject.output), float(row[index])] for index in (first, second)]
    return dict(zip(("predicted", "runner_up"), named))
