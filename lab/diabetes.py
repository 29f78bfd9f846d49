"""Diabetes: a small network of a table, trained when it is loaded, in a second, on the data that come with scikit-learn.

442 patients with ten columns, and how far their illness went in a year (Efron, Hastie, Johnstone, Tibshirani 2004,
https://arxiv.org/abs/math/0406456). It answers whether that is more than the median.
"""

import functools

import numpy as np

from lab.environment import keras
from lab.model_names import DIABETES
from lab.refusal import Refused

# What the network takes. The column sex is known and not taken.
COLUMNS = ("age", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
LABEL, CLASSES = "progression", ("slow", "fast")
# Patients that it is trained on, and of a later time; all others are to test.
TRAINED, LATER = 150, 100
UNITS = 8


@functools.cache
def patients():
    """All patients in an order without meaning, with the class of each: `pandas.DataFrame`."""
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True, scaled=False).frame
    progression = frame.pop("target")
    frame["sex"] = frame["sex"].astype(int).astype(str)
    frame[LABEL] = np.where(progression > progression.median(), *CLASSES[::-1])
    return frame.iloc[np.random.default_rng(0).permutation(len(frame))].reset_index(drop=True)


def diabetes(weights="imagenet"):
    """The network as a Keras model: float [batch, 9] in the order of `COLUMNS` -> the probability of "fast".

    It is fitted by scikit-learn, whose result does not depend on the number of threads.

    Args:
        weights: "imagenet", which stands for the trained ones, or None (random).

    Returns:
        Keras model, not compiled.

    Raises:
        Refused: for other weights.
    """
    if weights not in ("imagenet", None):
        raise Refused(
            f'weights= of {DIABETES} is "imagenet", the trained ones, or None (random). Received: {weights!r}.'
        )
    model = keras.Sequential(
        [
            keras.Input((len(COLUMNS),)),
            keras.layers.Dense(UNITS, activation="relu", name="hidden"),
            keras.layers.Dense(1, activation="sigmoid", name="fast"),
        ],
        name=DIABETES.replace("-", "_"),
    )
    if weights is not None:
        model.set_weights(_fit())
    return model


def _fit():
    """Weights of a perceptron that is fitted to the patients that it is trained on: list of arrays."""
    from sklearn.neural_network import MLPClassifier

    trained = patients()[:TRAINED]
    values = trained[list(COLUMNS)].to_numpy("float64")
    mean, spread = values.mean(axis=0), values.std(axis=0)
    fitted = MLPClassifier((UNITS,), alpha=0.3, solver="lbfgs", max_iter=500, random_state=0)
    fitted.fit((values - mean) / spread, trained[LABEL] == CLASSES[1])
    (first, second), (bias, threshold) = fitted.coefs_, fitted.intercepts_
    # Columns are taken as they are measured.
    first = first / spread[:, None]
    return [first, bias - mean @ first, second, threshold]
