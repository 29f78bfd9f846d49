"""Datasets: tables that come with installed packages, with a sheet each, to see an audit on."""

from lab import diabetes
from lab.refusal import Refused
from lab.registry import nearest
from sanity.audit.sheet import Sheet

# What the later patients of the table weigh more, in kilograms by square metre: it is planted.
HEAVIER = 4.0


def open_dataset(name):
    """The sets of an audit that come with an installed package.

    Args:
        name: str, of DATASETS.

    Returns:
        dict of "test", "train" and "current" to `pandas.DataFrame`, and `Sheet`.

    Raises:
        Refused: for an unknown one.
    """
    if name not in DATASETS:
        raise Refused(f"Unknown dataset of an audit. Received: {name!r}. {nearest(name, DATASETS)}")
    return DATASETS[name]()


def _diabetes():
    """Patients whose network is `lab.diabetes`. The later ones are heavier than they were, and no label of them is known."""
    patients = diabetes.patients()
    train, later = patients[: diabetes.TRAINED], patients[diabetes.TRAINED : diabetes.TRAINED + diabetes.LATER]
    current = later.drop(columns=diabetes.LABEL).assign(bmi=later["bmi"] + HEAVIER)
    return {
        "test": patients[diabetes.TRAINED + diabetes.LATER :],
        "train": train,
        "current": current,
    }, _diabetes_sheet()


def _diabetes_sheet():
    legitimate = ("bmi", "bp", "s5")
    columns = {name: {"kind": "number", "roles": ["input"]} for name in diabetes.COLUMNS}
    for name in legitimate:
        columns[name]["roles"].append("legitimate")
    columns["bmi"]["actionable"] = "down"
    columns |= {name: {**columns[name], "factor": "serum lipids"} for name in ("s1", "s2", "s3", "s4")}
    columns["sex"] = {"kind": "category", "roles": ["protected"]}
    columns[diabetes.LABEL] = {"roles": ["label"], "levels": diabetes.CLASSES}
    decision = {"favourable": diabetes.CLASSES[0], "threshold": 0.5}
    return Sheet(title="diabetes patients", rows_are_units=True, decision=decision, columns=columns)


DATASETS = {"diabetes": _diabetes}
