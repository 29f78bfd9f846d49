"""Mechanisms: networks of two hidden layers that were trained where a column stands in for a protected one, and is of use or not."""

import functools
import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier

from sanity.audit.layers import Layer
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import ColumnSheet, Decision, Sheet

LEGITIMATE, PROXY = ("income", "debt"), "district"
CLASSES = ("denied", "granted")
SHEET = Sheet(
    decision=Decision(favourable="granted"),
    rows_are_units=True,
    columns={name: ColumnSheet(roles=("input", "legitimate")) for name in LEGITIMATE}
    | {"sex": ColumnSheet(roles=("protected",))},
)
WIDTH = 32


class Network:
    """Two hidden layers of rectifiers and one logit.

    Args:
        weights: list of float [inputs, outputs], of the three layers.
        biases: list of float [outputs].
    """

    def __init__(self, weights, biases):
        self.weights, self.biases = weights, biases

    def first(self, inputs):
        """Activations of the first hidden layer: float32 [rows, channels]."""
        return np.maximum(np.asarray(inputs, "float64") @ self.weights[0] + self.biases[0], 0).astype("float32")

    def last(self, inputs):
        """Activations of the last hidden layer: float32 [rows, channels]."""
        return self._second(self.first(inputs)).astype("float32")

    def _second(self, hidden):
        return np.maximum(np.asarray(hidden, "float64") @ self.weights[1] + self.biases[1], 0)

    def after_first(self, _, hidden):
        """Logits of both classes from the activations of the first layer: float64 [rows, 2]."""
        return _both(self._second(hidden) @ self.weights[2] + self.biases[2])

    def after_last(self, _, hidden):
        """The same from those of the last: float64 [rows, 2]."""
        return _both(np.asarray(hidden, "float64") @ self.weights[2] + self.biases[2])

    def predict(self, inputs):
        """Logits of both classes: float64 [rows, 2]."""
        return self.after_first(None, self.first(inputs))

    @property
    def layers(self):
        """Both hidden layers: tuple of `Layer`."""
        return (
            Layer("first", True, self.first, self.after_first),
            Layer("last", True, self.last, self.after_last),
        )


def _both(logit):
    return np.column_stack([-logit[:, 0] / 2, logit[:, 0] / 2])


def people(rng, rows, arm, use):
    """People of two groups: inputs float64 [rows, 4], members float64 [rows], labels int [rows].

    The first two columns are legitimate and go with the group, the third stands in for it, the fourth is noise.
    """
    legitimate = rng.normal(size=(rows, 2))
    members = (rng.random(rows) < 1 / (1 + np.exp(-1.2 * legitimate[:, 0]))).astype("float64")
    # Without a stand-in the column is drawn without the group.
    proxy = rng.normal(size=rows) + (0 if arm == "none" else 1.5 * (members - 0.5))
    score = 1.5 * legitimate[:, 0] - legitimate[:, 1] + (use * (2 * members - 1) if arm == "used" else 0)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(int)
    return np.column_stack([legitimate, proxy, rng.normal(size=rows)]), members, labels


@functools.cache
def trained(seed, arm, use=1.0, rows=6000):
    """A network that was trained on people of an arm: `Network`."""
    inputs, _, labels = people(np.random.default_rng([seed, 1]), rows, arm, use)
    model = MLPClassifier(
        (WIDTH, WIDTH), alpha=1e-2, batch_size=100, max_iter=10, random_state=seed, tol=0, n_iter_no_change=99
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(inputs, labels)
    return Network(model.coefs_, model.intercepts_)


def world(seed, arm, rows=2000, *, use=1.0, persons=None):
    """A subject whose network learned one of the arms.

    Args:
        seed: int.
        arm: "none", no column stands in; "encoded", one does, and labels ignore it; "used", labels depend on the group.
        rows: int, that are tested.
        use: float, half of the log odds by which labels differ between groups where they do.
        persons: int, rows of each person, with the same columns; None: one.

    Returns:
        `AuditSubject`.
    """
    rng, each = np.random.default_rng([seed, 2]), persons or 1
    network = trained(seed, arm, use)
    inputs, members, labels = (np.repeat(part, each, axis=0) for part in people(rng, rows // each, arm, use))
    return subject_of(network, inputs, members, labels, np.arange(len(inputs)) // each)


class Skipping(Network):
    """A network that takes the third input around its hidden layers."""

    def after_first(self, inputs, hidden):
        """Logits of both classes, of which the third input is a part: float64 [rows, 2]."""
        return super().after_first(None, hidden) + _both(2 * np.asarray(inputs, "float64")[:, 2:3])

    def predict(self, inputs):
        """Logits of both classes: float64 [rows, 2]."""
        return self.after_first(inputs, self.first(inputs))


def skipping(seed, rows):
    """A subject whose first layer knows nothing of a stand-in that its answers use: `AuditSubject`."""
    network = trained(seed, "none")
    inputs, members, labels = people(np.random.default_rng([seed, 2]), rows, "encoded", 0.0)
    weights = [network.weights[0] * [[1], [1], [0], [1]], *network.weights[1:]]
    return subject_of(Skipping(weights, network.biases), inputs, members, labels, np.arange(rows))


def folding(seed, rows, noise=40):
    """A subject whose layer holds the group as the size of one channel, of which groups have the same mean: `AuditSubject`."""
    rng = np.random.default_rng(seed)
    inputs, members, labels = people(rng, rows, "none", 0.0)
    inputs[:, 2] = rng.choice([-1, 1], rows) * (1 + 2 * members)
    first = np.zeros((4, 4 + noise))
    first[:, :4] = np.eye(4)
    first[[0, 1, 3], 4:] = rng.normal(size=(3, noise))
    biases = np.r_[np.full(4, 20.0), rng.uniform(-2, 2, noise)]
    # The second layer folds the third channel around 0: |x| = relu(x) + relu(-x).
    second = np.zeros((4 + noise, 4))
    second[[2, 2, 0, 1], range(4)] = 1, -1, 1, 1
    weights = [first, second, np.array([[1.0], [1.0], [1.5], [-1.0]])]
    network = Network(weights, [biases, np.array([-20.0, 20, 0, 0]), np.array([-12.0])])
    return subject_of(network, inputs, members, labels, np.arange(rows))


def subject_of(network, inputs, members, labels, units):
    """A subject of a network and people: `AuditSubject`."""
    names = (*LEGITIMATE, PROXY, "shoe size")
    rows = Rows(
        tuple(Column(name, values) for name, values in zip(names, inputs.T)),
        units,
        True,
        labels,
        network.predict(inputs),
        network.last(inputs),
        protected=(Column("sex", members, ("f", "m")),),
        inputs=inputs.astype("float32"),
    )
    places = {name: (place,) for place, name in enumerate(names)}
    return AuditSubject(
        "net",
        rows,
        sheet=SHEET,
        classes=CLASSES,
        input_places=places,
        predict=network.predict,
        layers=network.layers,
    )
