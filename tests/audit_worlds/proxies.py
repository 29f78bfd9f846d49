"""Proxies: a column that stands in for a protected one, and networks of hand-set weights that use it or not.

There is one legitimate column, which goes with the protected one; a stand-in, which does so beyond it; and a column of noise.
"""

import numpy as np

from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import ColumnSheet, Decision, Sheet

LEGITIMATE, PROXY, NOISE = "income", "district", "shoe size"
HIDDEN = 12
CLASSES = ("denied", "granted")
SHEET = Sheet(
    decision=Decision(favourable="granted"),
    rows_are_units=True,
    columns={LEGITIMATE: ColumnSheet(roles=("input", "legitimate")), "sex": ColumnSheet(roles=("protected",))},
)


class Network:
    """A network of one hidden layer whose logit is a weighted sum of its inputs, which its channels mix.

    Args:
        weights: float [inputs], of the logit.
        encoded: bool [inputs], which inputs reach the hidden layer.
    """

    def __init__(self, weights, encoded):
        rng = np.random.default_rng(7)
        self.weights = np.array(weights, "float64")
        self.mixing = rng.normal(size=(len(weights), HIDDEN)) * np.array(encoded)[:, None]

    def hidden(self, inputs):
        """Activations before the output: float32 [rows, channels]."""
        return np.tanh(0.5 * np.asarray(inputs, "float64") @ self.mixing).astype("float32")

    def predict(self, inputs):
        """Logits of both classes: float64 [rows, 2]."""
        logit = np.asarray(inputs, "float64") @ self.weights
        return np.stack([-logit / 2, logit / 2], axis=1)


def world(seed, arm, rows=2000, *, use=1.0, persons=None, groups=2, scale=1.0):
    """A subject of one of the arms.

    Args:
        seed: int.
        arm: "none", no stand-in exists; "encoded", it reaches the layer and not the decision; "used", it moves decisions;
            "input", the protected column is an input and moves them.
        rows: int.
        use: float, the weight of the stand-in where it is used.
        persons: int, rows of each person, with the same columns; None: one.
        groups: int, of the protected column.
        scale: float, of all inputs.

    Returns:
        `AuditSubject`.
    """
    rng = np.random.default_rng(seed)
    each = persons or 1
    protected = rng.integers(groups, size=rows // each)
    upper = protected - (groups - 1) / 2
    legitimate = 0.9 * upper + rng.normal(size=len(protected))
    proxy = rng.normal(size=len(protected)) + (0 if arm in ("none", "input") else 1.5 * upper)
    inputs = np.stack([legitimate, proxy, rng.normal(size=len(protected))], axis=1)
    weights, encoded = [1.0, use if arm == "used" else 0.0, 0.3], [1, arm != "none", 1]
    if arm == "input":
        inputs = np.column_stack([inputs, upper])
        weights, encoded = [*weights, use], [*encoded, 1]
    inputs, protected = np.repeat(inputs, each, axis=0), np.repeat(protected, each)
    names = (LEGITIMATE, PROXY, NOISE) + (("sex",) if arm == "input" else ())
    return subject_of(inputs * scale, names, protected, Network(np.array(weights) / scale, encoded), each, scale, rng)


def subject_of(inputs, names, protected, network, each, scale, rng):
    """A subject of inputs, a protected column and a network: `AuditSubject`."""
    columns = tuple(Column(name, values) for name, values in zip(names, inputs.T) if name != "sex")
    logits = network.predict(inputs)
    labels = (rng.random(len(inputs)) < 1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0])))).astype(int)
    rows = Rows(
        columns,
        np.arange(len(inputs)) // each,
        True,
        labels,
        logits,
        network.hidden(inputs / scale),
        protected=(Column("sex", protected.astype("float64"), tuple("fmx"[: protected.max() + 1])),),
        inputs=inputs.astype("float32"),
    )
    places = {name: (place,) for place, name in enumerate(names)}
    return AuditSubject("net", rows, sheet=SHEET, classes=CLASSES, input_places=places, predict=network.predict)
