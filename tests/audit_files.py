"""What the pages on audits name: a table to test, one that a network was trained on, a later window, and their sheet."""

import csv

import keras
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_breast_cancer

from tests import own_data

# Share of labels that are turned where errors are planted.
TURNED = 0.4
SHEET = """\
title = "loans"
rows_are_units = true

[decision]
favourable = "good"
threshold = 0.5

[columns.mean_radius]
roles = ["input", "legitimate"]
[columns.worst_texture]
roles = ["input"]
[columns.area_error]
roles = ["input"]
[columns.site]
roles = ["protected"]
[columns.default]
roles = ["label"]
levels = ["bad", "good"]
"""


def loans(start, step=3):
    """Some rows of a table that scikit-learn brings, with a column of sites: `pandas.DataFrame`."""
    data = load_breast_cancer(as_frame=True).frame.rename(columns=lambda name: name.replace(" ", "_"))
    frame = data[[*own_data.WEIGHTS, "target"]].rename(columns={"target": "default"})[start::step]
    frame["default"] = np.where(frame["default"], "good", "bad")
    frame["site"] = np.where(np.arange(len(frame)) % 2, "north", "south")
    return frame.reset_index(drop=True)


def lender():
    """A linear network of the three columns, with one sigmoid."""
    frame = loans(0)
    mean, spread = (frame[list(own_data.WEIGHTS)].agg(word).to_numpy() for word in ("mean", "std"))
    weights = -np.array(list(own_data.WEIGHTS.values())) / spread
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    model.layers[-1].set_weights([weights[:, None], np.array([-weights @ mean])])
    return model


def write(folder):
    """All files of the examples into a folder.

    Returns:
        the folder.
    """
    for start, name in enumerate(("test", "train", "march")):
        loans(start).to_csv(folder / f"{name}.csv", index=False)
    (folder / "lending.toml").write_text(SHEET)
    lender().save(folder / "lender.keras")
    with_activations().save(folder / "net.keras")
    with_activations([1, 2, 0]).save(folder / "second.keras")
    deep().save(folder / "deep.keras")
    rows = [(number, text, ("bad", "good")[number % 2]) for number, text in enumerate(own_data.reviews(60))]
    with open(folder / "reviews.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("number", "text", "mood"), *rows])
    (folder / "reviews.toml").write_text(
        'rows_are_units = true\n[columns.number]\nroles = ["id"]\n[columns.text]\nkind = "text"\nroles = ["input"]\n'
        '[columns.mood]\nroles = ["label"]\nlevels = ["bad", "good"]\n'
    )
    return folder


def worse(frame, share=0.3, column="site", level="south"):
    """The frame with labels turned where a column has a level, so that the network errs more there: `pandas.DataFrame`."""
    turned = (frame[column] == level) & (np.random.default_rng(0).random(len(frame)) < share)
    other = frame["default"].map({"good": "bad", "bad": "good"})
    return frame.assign(default=frame["default"].where(~turned, other))


def many(count, seed=0):
    """Many rows like those of the table, drawn column by column: `pandas.DataFrame`."""
    rng, frame = np.random.default_rng(seed), loans(0, 1)
    columns = {name: rng.normal(frame[name].mean(), frame[name].std(), count) for name in own_data.WEIGHTS}
    drawn = pd.DataFrame(columns).assign(site=rng.choice(["north", "south"], count))
    mean, spread = (loans(0)[list(own_data.WEIGHTS)].agg(word) for word in ("mean", "std"))
    score = ((drawn[list(own_data.WEIGHTS)] - mean) / spread) @ np.array(list(own_data.WEIGHTS.values()))
    return drawn.assign(default=np.where(score + rng.logistic(size=count) < 0, "good", "bad"))


# All questions --------------------------------------------------------------------------------------------------------------

# The same columns with a branch, where the network's own threshold decides.
APPLICATIONS = SHEET.replace('"loans"', '"applications"').replace("threshold = 0.5\n", "")
APPLICATIONS += '[columns.branch]\nroles = ["metadata"]\n'


def with_activations(order=(0, 1, 2), sign=1):
    """The lender's network with its inputs, less their mean, in a layer before the output, by which it knows no more.

    With another order of this layer it decides the same by other weights, as one trained from another seed may; with the sign -1 it
    decides the opposite.
    """
    frame = loans(0)[list(own_data.WEIGHTS)]
    mean, spread = frame.mean().to_numpy(), frame.std().to_numpy()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), keras.layers.Dense(1, "sigmoid")])
    weights = -np.array(list(own_data.WEIGHTS.values()))
    order = list(order)
    model.layers[0].set_weights([np.diag(1 / spread)[:, order], (-mean / spread)[order]])
    model.layers[1].set_weights([sign * weights[order][:, None], np.zeros(1)])
    return model


def deep():
    """The same network with a layer more, which bends large activations: its first layer is "dense"."""
    first, output = (layer.get_weights() for layer in with_activations().layers)
    layers = [keras.layers.Dense(3, name="dense"), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    for layer, weights in zip(layers, (first, [0.5 * np.eye(3), np.zeros(3)], output)):
        layer.set_weights(weights)
    return model


def applications(count, seed=0):
    """Rows whose site goes with a column that the network reads, and a branch that it errs in.

    The rows of that branch are a cloud of their own, in which the score is the same.
    """
    frame, rng = many(count, seed), np.random.default_rng([seed, 1])
    spread, texture = frame[list(own_data.WEIGHTS)].std(), frame["worst_texture"]
    frame["branch"] = rng.choice(["city", "coast", "inland"], count)
    is_inland = frame["branch"] == "inland"
    frame["area_error"] += 6 * spread["area_error"] * is_inland
    frame["mean_radius"] -= 2 * spread["mean_radius"] * is_inland
    above = texture + spread["worst_texture"] * rng.normal(size=count) > texture.mean()
    frame["site"] = np.where(above, "south", "north")
    return worse(frame, 0.5, "branch", "inland")


def write_applications(folder):
    """A network and its audit of a table in which each check has something to find: files of a recipe.

    Returns:
        the path of the recipe.
    """
    with_activations().save(folder / "net.keras")
    test, train, current = (applications(count, seed) for seed, count in enumerate((1500, 800, 800)))
    current["mean_radius"] += 0.5 * current["mean_radius"].std()
    current.loc[:39, "area_error"] *= 20
    current = worse(current, 0.3, "branch", "city")
    test.loc[:2, "branch"] = RARE
    test.loc[3, "mean_radius"], test.loc[4, "worst_texture"] = EXACT
    for name, frame in (("test", test), ("train", train), ("current", current)):
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "applications.toml").write_text(APPLICATIONS)
    (folder / "audit.toml").write_text(RECIPE)
    return folder / "audit.toml"


# A level of three rows, and numbers of one row each, of which the second is the largest of its column.
RARE, EXACT = "zyx-hamlet", (12.3456789, 61.7283945)
RECIPE = """\
name = "audit"
[model]
source = "net.keras"
[audit]
test = "test.csv"
train = "train.csv"
current = "current.csv"
sheet = "applications.toml"
draws = 199
[audit.settings]
budget = 1
margin = 0.05
"""


# Other data -----------------------------------------------------------------------------------------------------------------


def _turn(labels, members, other, seed=0):
    """Labels of which some of the members have another one: list."""
    turned = members & (np.random.default_rng(seed).random(len(labels)) < TURNED)
    return [other[label] if is_turned else label for label, is_turned in zip(labels, turned)]


def write_reviews(path, count=300):
    """Texts with their moods, of which those of eight words or more are often wrong."""
    texts = own_data.reviews(count)
    moods = [("bad", "good")[number % 2] for number in range(count)]
    is_long = np.array([len(text.split()) >= 8 for text in texts])
    moods = _turn(moods, is_long, {"bad": "good", "good": "bad"})
    pd.DataFrame({"number": range(count), "text": texts, "mood": moods}).to_csv(path, index=False)


def write_beats(path, count=300):
    """Series with their classes, of which those with much sway are often wrong."""
    inputs, labels = own_data.series(count)
    sways = np.random.default_rng(1).random(count) < 0.3
    inputs[sways, :, 1] *= 8
    np.savez(path, x=inputs, y=_turn(labels.tolist(), sways, {0: 1, 1: 0}), channels=["lead", "sway"])


def write_pictures(folder, count=300, seed=0):
    """Reddish (1) and bluish (0) pictures in folders of their class, of which dark ones are often wrong; and their cameras.

    Returns:
        the path of the metadata, beside the folder.
    """
    rng, labels = np.random.default_rng(seed), [number % 2 for number in range(count)]
    is_dark = rng.random(count) < 0.3
    rows = ["path,camera"]
    for number, label in enumerate(_turn(labels, is_dark, {0: 1, 1: 0})):
        pixels = rng.integers(0, 60, (8, 8, 3)) + np.where(is_dark[number], 0, 120)
        pixels[..., 0 if labels[number] else 2] += 60
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype("uint8")).save(path)
        rows.append(f"{label}/{path.name},{'xy'[number % 3 == 0]}")
    (folder.parent / "cameras.csv").write_text("\n".join(rows))
    return folder.parent / "cameras.csv"


def write_counterparts(folder):
    """Metadata of the photographs of a folder, with an edited one of each, and their sheet."""
    names = sorted(path.relative_to(folder / "photos").as_posix() for path in (folder / "photos").rglob("*.jpg"))
    rows = [f"{name},{('f', 'm')[number % 2]},photo.jpg" for number, name in enumerate(names)]
    (folder / "photos.csv").write_text("\n".join(["path,sex,edited", *rows]))
    text = 'rows_are_units = true\n[columns.sex]\nroles = ["protected"]\n[columns.edited]\ncounterpart_of = "sex"\n'
    (folder / "photos.toml").write_text(text)


def reds():
    """A network of pictures: the mean of red less that of blue."""
    layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(layers)
    model.layers[-1].set_weights([np.array([[-8.0, 8], [0, 0], [8, -8]]), np.zeros(2)])
    return model
