"""A user's own table, series and texts, with networks whose weights are written down, so that the right maps are known."""

import csv

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer

# Weights of the columns in units of their deviation; the others have none.
WEIGHTS = {"mean_radius": 3.0, "worst_texture": -2.0, "area_error": 1.0}
GOOD, BAD = ("wonderful", "great"), ("terrible", "dull")
TEXTS = [
    "a wonderful film with a great cast",
    "dull and far too long",
    "great music, and wonderful light",
    "a terrible waste of time",
    "the plot was dull",
    "great fun",
    "a terrible ending to a dull story",
    "wonderful from start to end",
]


def reviews(count=32):
    """Texts of 3 to 10 words in turn good and bad, with one or two words that say so."""
    rng = np.random.default_rng(0)
    neutral = sorted({word for text in TEXTS for word in text.replace(",", "").split()} - {*GOOD, *BAD})
    texts = []
    for number in range(count):
        words = rng.choice(neutral, rng.integers(3, 11)).tolist()
        for place in rng.choice(len(words), rng.integers(1, 3), replace=False):
            words[place] = str(rng.choice(GOOD if number % 2 else BAD))
        texts.append(" ".join(words))
    return texts


def mood(texts):
    """A function of texts: how many of their words are good, and how many bad, their difference as two scores."""
    words = [text.split() for text in texts]
    score = np.array([sum(word in GOOD for word in row) - sum(word in BAD for word in row) for row in words], "float64")
    return np.stack([-score, score], axis=1)


def table():
    """Rows of a table that scikit-learn brings, the names of the columns, and the classes."""
    data = load_breast_cancer()
    return data.data[::8].astype("float32"), [name.replace(" ", "_") for name in data.feature_names], data.target[::8]


def slopes():
    """The gradient of the logit of `credit` to each column: float64 [columns]."""
    rows, names, _ = table()
    return np.array([WEIGHTS.get(name, 0.0) for name in names]) / rows.std(axis=0, dtype="float64")


def credit():
    """A linear network of a table, with one sigmoid."""
    rows, _, _ = table()
    model = keras.Sequential([keras.Input((rows.shape[1],)), keras.layers.Dense(1, "sigmoid")])
    model.layers[-1].set_weights([-slopes()[:, None], np.array([slopes() @ rows.mean(axis=0)])])
    return model


def named(names):
    """A linear network with an input for each of some columns, in an order of its own, its weights 1, 2, 3 and so on."""
    inputs = {name: keras.Input((1,), name=name) for name in names}
    joined = keras.layers.Concatenate()([inputs[name] for name in names])
    dense = keras.layers.Dense(1, "sigmoid")
    model = keras.Model(inputs, dense(joined))
    dense.set_weights([np.arange(1.0, len(names) + 1)[:, None], np.zeros(1)])
    return model


def sentiment():
    """A network of strings: one weight a word."""
    lookup = keras.layers.TextVectorization(output_sequence_length=10)
    lookup.adapt(TEXTS)
    words = lookup.get_vocabulary()
    vectors = np.zeros((len(words), 2))
    for word in (*GOOD, *BAD):
        vectors[words.index(word)] = [-1, 1] if word in GOOD else [1, -1]
    embedding = keras.layers.Embedding(len(words), 2, mask_zero=True)
    layers = [keras.Input((1,), dtype="string"), lookup, embedding, keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, "softmax")])
    embedding.set_weights([vectors])
    model.layers[-1].set_weights([4 * np.eye(2), np.zeros(2)])
    return model


def series(count=24):
    """Series of two channels, of which the first has a bump up (1) or down (0), and their classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    inputs = rng.normal(0, 0.2, (count, 32, 2))
    for row, label in enumerate(labels):
        place = rng.integers(4, 26)
        inputs[row, place : place + 4, 0] += 3 if label else -3
    return inputs.astype("float32"), labels


def ecg():
    """A network of series: the mean of four steps of the first channel, at its largest size."""
    inputs = keras.Input((32, 2))
    mean = keras.layers.Conv1D(2, 4, name="mean")
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(keras.layers.GlobalMaxPooling1D()(mean(inputs))))
    kernel = np.zeros((4, 2, 2))
    kernel[:, 0] = [-0.25, 0.25]
    mean.set_weights([kernel, np.zeros(2)])
    model.layers[-1].set_weights([2 * np.eye(2), np.zeros(2)])
    return model


def write_table(path, rows, names, labels=None, label="default"):
    """A CSV file with a header."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *([] if labels is None else [label])])
        writer.writerows(
            [*map(float, row), *([] if labels is None else [int(labels[place])])] for place, row in enumerate(rows)
        )


def write(folder):
    """All files of the examples into a folder."""
    rows, names, labels = table()
    write_table(folder / "loans.csv", rows, names, labels)
    (folder / "reviews.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    inputs, classes = series()
    np.savez(folder / "beats.npz", x=inputs, y=classes, channels=["lead", "sway"])
    credit().save(folder / "credit.keras")
    sentiment().save(folder / "sentiment.keras")
    ecg().save(folder / "ecg.keras")
    return folder
