"""What the pages on audits name: a table to test, one that a network was trained on, a later window, and their sheet."""

import csv

import keras
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from tests import own_data

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
    rows = [(number, text, ("bad", "good")[number % 2]) for number, text in enumerate(own_data.reviews(60))]
    with open(folder / "reviews.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("number", "text", "mood"), *rows])
    (folder / "reviews.toml").write_text(
        'rows_are_units = true\n[columns.number]\nroles = ["id"]\n[columns.text]\nkind = "text"\nroles = ["input"]\n'
        '[columns.mood]\nroles = ["label"]\nlevels = ["bad", "good"]\n'
    )
    return folder


def worse(frame, share=0.3):
    """The frame with labels turned where the site is south, so that the network errs more there: `pandas.DataFrame`."""
    turned = (frame["site"] == "south") & (np.random.default_rng(0).random(len(frame)) < share)
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
