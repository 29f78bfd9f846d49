"""Shifts: data in which what changed between two times is known."""

import numpy as np

from sanity.audit.rows import AuditSubject, Column, Rows


def rows_of(values, units=None, **known):
    """Rows of columns c0, c1, ...; each is a unit where none are given."""
    columns = tuple(Column(f"c{place}", column) for place, column in enumerate(values.T))
    units = np.arange(len(values)) if units is None else units
    return Rows(columns, units, has_units=True, **known)


def subject_of(reference, current):
    return AuditSubject("net", reference, current=current)


def gaussian(kind, seed, sizes=(500, 300), columns=30, amount=0.3):
    """Nothing, a shift of two means, a correlation of one pair, or the spread of two columns: (reference, current) values."""
    values = np.random.default_rng(seed).standard_normal((sum(sizes), columns))
    reference, current = values[: sizes[0]], values[sizes[0] :]
    if kind == "means":
        current[:, :2] += amount
    if kind == "correlation":
        current[:, 1] = 0.8 * current[:, 0] + 0.6 * current[:, 1]
    if kind == "spread":
        current[:, :2] *= np.sqrt(2)
    return reference, current


def pair(kind, seed, sizes=(500, 300), **options):
    """The values of `gaussian` as rows: `AuditSubject`."""
    return subject_of(*map(rows_of, gaussian(kind, seed, sizes, **options)))


def days(seed, *, days=60, current=20, rows=25, columns=6, between=0.05, are_units=True):
    """Days with effects of their own and no shift; without units each row counts by itself: `AuditSubject`."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    values = np.sqrt(between) * rng.standard_normal((days, columns))[day]
    values += np.sqrt(1 - between) * rng.standard_normal((len(day), columns))
    later = day >= days - current
    parts = [
        rows_of(values[side], day[side] if are_units else None, times=day[side].astype(float))
        for side in (~later, later)
    ]
    return subject_of(*parts)


def of_sizes(seed, sizes, moved=0.0, *, between=0.0, columns=3):
    """Forty days of the reference and twenty current ones, each set with days of its own size: `AuditSubject`."""
    rng = np.random.default_rng(seed)
    day = [np.repeat(np.arange(count), size) for count, size in zip((40, 20), sizes)]
    parts = []
    for units, amount in zip(day, (0.0, moved)):
        values = np.sqrt(between) * rng.standard_normal((units.max() + 1, columns))[units]
        values += np.sqrt(1 - between) * rng.standard_normal((len(units), columns))
        parts.append(rows_of(values + amount, units))
    return subject_of(*parts)


def answered(kind, seed, sizes=(1500, 1000), columns=10, labelled=True):
    """A network that reads columns 1 and 2: `AuditSubject`.

    kind: "none"; "ignored", a column that it ignores moves; "noisy", inputs move to where labels are noisy; "flipped", half of
    the labels of a region are flipped; "thinned", class 1 becomes rare.
    """
    rng, count = np.random.default_rng(seed), sum(sizes)
    values, later = rng.standard_normal((4 * count, columns)), np.arange(4 * count) >= 4 * sizes[0]
    values[later, 9] += 0.5 * (kind == "ignored")
    values[later, 0] += 0.7 * (kind == "noisy")
    truth = (values[:, 1] + values[:, 2] > 0).astype(int)
    noise = np.where(values[:, 0] > 1, 0.5, 0.08) if kind == "noisy" else np.full(len(values), 0.1)
    labels = np.where(rng.random(len(values)) < noise, 1 - truth, truth)
    if kind == "flipped":
        labels = np.where(later & (values[:, 3] > 0.5) & (rng.random(len(values)) < 0.5), 1 - labels, labels)
    kept = (
        ~(later & (labels == 1) & (rng.random(len(values)) < 0.6)) if kind == "thinned" else np.full(len(values), True)
    )
    sets = [np.flatnonzero(side & kept)[:size] for side, size in zip((~later, later), sizes)]
    score = 3 * (values[:, 1] + values[:, 2])
    logits = np.stack([-score / 2, score / 2], axis=1)
    parts = [
        rows_of(
            values[rows],
            labels=labels[rows] if labelled or number == 0 else None,
            logits=logits[rows],
            features=values[rows][:, 1:4].astype("float32"),
        )
        for number, rows in enumerate(sets)
    ]
    return subject_of(*parts)


def brightness(seed, sizes=(400, 200), amount=0.1):
    """Statistics of pictures of which the later ones are brighter: `AuditSubject`."""
    rng = np.random.default_rng(seed)
    names = ("brightness", "contrast", "sharpness", "colourfulness")
    parts = []
    for number, size in enumerate(sizes):
        values = rng.beta(4, 4, (size, 4)) * 0.5 + 0.2
        values[:, 0] = np.clip(values[:, 0] + amount * number, 0, 1)
        columns = tuple(Column(name, column, kind="statistic") for name, column in zip(names, values.T))
        parts.append(Rows(columns, np.arange(size), has_units=True))
    return subject_of(*parts)
