"""Predictions: what the network answers to each photograph, beside the true class, as the table of a run's photographs."""

import numpy as np

from lab import routines

# The columns of the table; `about.json` of the photographs has one list for each of them.
COLUMNS = ("names", "true", "predicted", "probability", "runner_up", "runner_up_probability", "correct")


def predictions(subject):
    """The table of photographs: true class, predicted class, runner-up, and their probabilities.

    Args:
        subject: `sanity.subject.Subject`.

    Returns:
        dict of each of `COLUMNS` to a list with one entry a photograph. An entry is None where it is not known: the true
        class without labels, and all but the name for an output that tells no classes apart.
    """
    unknown = [None] * len(subject.names)
    table = {**dict.fromkeys(COLUMNS, unknown), "names": list(subject.names)}
    if not len(subject.names) or not subject.tells_classes_apart:
        return table
    probabilities = routines.probabilities(subject.network, subject.inputs, subject.output)
    rows = np.arange(len(probabilities))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    for place, prefix in enumerate(("predicted", "runner_up")):
        name_of = subject.network.class_name
        table[prefix] = [name_of(int(index), subject.output) for index in order[:, place]]
        key = "probability" if prefix == "predicted" else "runner_up_probability"
        table[key] = probabilities[rows, order[:, place]].tolist()
    if subject.true is not None:
        table["true"] = [_class_names(subject, row) for row in subject.true]
        table["correct"] = subject.true[rows, order[:, 0]].tolist()
    return table


def _class_names(subject, row):
    """The names of the true classes of one photograph: str."""
    return ", ".join(subject.network.class_name(int(index), subject.output) for index in np.flatnonzero(row))


def table_rows(table):
    """The table as rows of text for a CSV file, the first with the names of the columns: list of tuple."""
    header = ("image", *COLUMNS[1:])
    return [header, *(tuple(_cell(value) for value in row) for row in zip(*(table[name] for name in COLUMNS)))]


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else value
