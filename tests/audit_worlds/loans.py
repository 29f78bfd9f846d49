"""Loans: a table as large as one likes, with persons of several rows, categories, months, two protected columns, and a network."""

import pathlib

import keras
import numpy as np
import pandas as pd

NUMBERS = 36
LEVELS = {f"kind{place}": count for place, count in enumerate((3, 4, 5, 6, 8, 10, 12, 4))}
LEGITIMATE = ("x00", "x01", "x02", "x03")
AGES = np.array(["18-29", "30-39", "40-49", "50-64", "65+"])


def loans(rows, seed, *, start=0, days=365, shift=0.0):
    """A table of 50 columns: 36 numbers, 8 categories, sex, age, branch, day, person and whether the loan was paid.

    Args:
        rows: int.
        seed: int.
        start: int, the first day.
        days: int.
        shift: float, by which one column lies higher.

    Returns:
        `pandas.DataFrame`.
    """
    law, rng = np.random.default_rng(7), np.random.default_rng(seed)
    loads, weights = 0.6 * law.normal(size=(6, NUMBERS)), 0.35 * law.normal(size=NUMBERS)
    persons = max(rows // 2, 1)
    person = rng.integers(persons, size=rows)
    factors = 0.8 * rng.normal(size=(persons, 6))[person] + 0.6 * rng.normal(size=(rows, 6))
    is_female, age = (rng.random(persons) < 0.45)[person], rng.integers(len(AGES), size=persons)[person]
    values = factors @ loads + rng.normal(size=(rows, NUMBERS))
    values[:, 20] += 0.8 * is_female
    places = {name: np.minimum(rng.geometric(0.3, rows) - 1, count - 1) for name, count in LEVELS.items()}
    score = values @ weights + 0.3 * values[:, 0] * values[:, 1] + rng.logistic(size=rows)
    score = score + sum(0.3 * law.normal(size=count)[places[name]] for name, count in LEVELS.items())
    branch = rng.integers(9, size=rows)
    paid = (score > 0) ^ ((branch == 4) & (places["kind0"] == 1) & (rng.random(rows) < 0.35))
    values[:, 2] += shift
    numbers = {f"x{place:02}": _as_measured(values[:, place], place, rng) for place in range(NUMBERS)}
    words = {name: np.char.add("v", place.astype(str)) for name, place in places.items()}
    return pd.DataFrame(
        numbers
        | words
        | {
            "sex": np.where(is_female, "f", "m"),
            "age": AGES[age],
            "branch": np.char.add("b", branch.astype(str)),
            "day": start + rng.integers(days, size=rows),
            "person": np.char.add(f"{seed}-", person.astype(str)),
            "paid": np.where(paid, "yes", "no"),
        }
    )


def _as_measured(values, place, rng):
    """Numbers as tables have them: skewed, whole, cut off at zero, or with missing cells."""
    kind = place % 9
    values = {3: 1000 * np.exp(values / 2), 5: np.round(3 * values), 7: np.maximum(values, 0)}.get(kind, values)
    return np.where(rng.random(len(values)) < 0.1, np.nan, values) if place in (30, 31) else np.round(values, 4)


def sheet():
    """The sheet of these tables: str."""
    lines = ['title = "loans"', "[decision]", 'favourable = "yes"', "threshold = 0.5"]
    for place in range(NUMBERS):
        name = f"x{place:02}"
        roles = '"input", "legitimate"' if name in LEGITIMATE else '"input"'
        lines += [f"[columns.{name}]", f"roles = [{roles}]"]
        lines += ["fill = 0.0"] if place in (30, 31) else []
        lines += ['actionable = "any"'] if name in LEGITIMATE else []
    for name, count in LEVELS.items():
        levels = ", ".join(f'"v{place}"' for place in range(count))
        lines += [f"[columns.{name}]", 'roles = ["input"]', f"levels = [{levels}]", 'encoding = "one-hot"']
    roles = {"sex": "protected", "age": "protected", "branch": "metadata", "day": "time", "person": "unit"}
    for name, role in roles.items():
        lines += [f"[columns.{name}]", f'roles = ["{role}"]']
    return "\n".join([*lines, "[columns.paid]", 'roles = ["label"]', 'levels = ["no", "yes"]', ""])


def network(frame):
    """A network of two layers that was trained on a table: a Keras model."""
    numbers = frame[[f"x{place:02}" for place in range(NUMBERS)]].fillna(0).to_numpy("float32")
    levels = [
        frame[name].to_numpy()[:, None] == [f"v{place}" for place in range(count)] for name, count in LEVELS.items()
    ]
    inputs = np.concatenate([numbers, *levels], axis=1).astype("float32")
    keras.utils.set_random_seed(0)
    first = keras.layers.Normalization()
    first.adapt(inputs)
    layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(32, "relu"), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input(inputs.shape[1:]), first, *layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(inputs, (frame["paid"] == "yes").to_numpy().astype(int), epochs=3, batch_size=256, verbose=0)
    return model


def write(folder, test, train, current):
    """The tables, the sheet and the network: files of an audit.

    Args:
        folder: path.
        test: int, rows.
        train: int, rows.
        current: int, rows.

    Returns:
        list of str, the words of `lab audit` that name them.
    """
    folder = pathlib.Path(folder)
    frames = {"train": loans(train, 1), "test": loans(test, 2, start=365)}
    frames["current"] = loans(current, 3, start=730, days=31, shift=0.3)
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "sheet.toml").write_text(sheet())
    network(frames["train"]).save(folder / "loans.keras")
    words = ["--model", str(folder / "loans.keras"), "--sheet", str(folder / "sheet.toml")]
    return words + [word for name in frames for word in (f"--{name}", str(folder / f"{name}.csv"))]
