"""Sparse autoencoder: a dictionary of more atoms than channels, of which few are active in each row.

begin(rows, settings) -> state        advance(state, rows, settings, steps) -> state        finish(state, settings) -> Dictionary

A state is a dict of arrays. Training that goes on from one gives the bytes of training that was never stopped.
"""

from dataclasses import dataclass

import numpy as np

from lab.concepts.dictionaries import Dictionary, check_rows, learners
from lab.environment import tf
from lab.refusal import Refused

ACTIVATIONS = ("top_k", "jump_relu")
# An atom is dead that no row of so many steps activated. Its revival counts so much in the loss (Gao et al. 2024).
DEAD, REVIVAL = 100, 1 / 32
# Width of the kernel around thresholds, their first value, and what the number of active atoms counts in the loss.
BANDWIDTH, THRESHOLD, SPARSITY = 0.05, 0.05, 0.1
# The share of steps after which the rate falls to zero.
FALL = 0.8


@dataclass(frozen=True)
class Settings:
    """How a sparse autoencoder is trained.

    Args:
        atoms: int.
        seed: int.
        active: int, atoms of each row: exactly so many with top_k, on average with jump_relu; None: one in eight, 16 at most.
        activation: "top_k" or "jump_relu".
        steps: int, of Adam.
        batch: int, rows of a step.
        rate: float, of Adam.

    Raises:
        Refused: for an unknown activation, and for more active atoms than there are.
    """

    atoms: int
    seed: int
    active: int | None = None
    activation: str = "top_k"
    steps: int = 4000
    batch: int = 512
    rate: float = 1e-3

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise Refused(
                f"A sparse autoencoder has the activation {' or '.join(ACTIVATIONS)}. Received: {self.activation!r}."
            )
        if self.active is None:
            object.__setattr__(self, "active", max(1, min(16, self.atoms // 8)))
        if not 1 <= self.active <= self.atoms:
            raise Refused(
                f"Active atoms are one or more, and no more than atoms. Received: active={self.active} for {self.atoms} atoms."
            )


@tf.custom_gradient
def jump_relu(values, threshold):
    """Values above their threshold, zero below it.

    The gradient for the threshold is that of a kernel estimate (Rajamanoharan et al. 2024, https://arxiv.org/abs/2407.14435).

    Args:
        values: float32 tensor [rows, atoms].
        threshold: float32 tensor [atoms].

    Returns:
        float32 tensor [rows, atoms].
    """
    is_active = tf.cast(values > threshold, tf.float32)

    def gradient(slope):
        return slope * is_active, tf.reduce_sum(-slope * threshold * _kernel(values, threshold), axis=0)

    return values * is_active, gradient


@tf.custom_gradient
def active_count(values, threshold):
    """How many values of each row lie above their threshold, with a gradient for the threshold as of `jump_relu`.

    Args:
        values: float32 tensor [rows, atoms].
        threshold: float32 tensor [atoms].

    Returns:
        float32 tensor [rows].
    """

    def gradient(slope):
        return tf.zeros_like(values), tf.reduce_sum(-slope[:, None] * _kernel(values, threshold), axis=0)

    return tf.reduce_sum(tf.cast(values > threshold, tf.float32), axis=1), gradient


def _kernel(values, threshold):
    """A box of area one around the threshold."""
    return tf.cast(tf.abs(values - threshold) < BANDWIDTH / 2, tf.float32) / BANDWIDTH


def begin(rows, settings):
    """The state before the first step: random unit atoms, which the encoder begins with too.

    Args:
        rows: float [rows, channels].
        settings: `Settings`.

    Returns:
        dict of name to array.

    Raises:
        Refused: for more atoms than rows, and for activations that are not finite or all the same.
    """
    rows = check_rows(rows, settings.atoms)
    mean = rows.mean(axis=0, dtype="float64").astype("float32")
    scale = np.sqrt(np.mean(np.sum((rows - mean) ** 2, axis=1, dtype="float64")))
    generator = np.random.default_rng(settings.seed)
    decoder = generator.normal(size=(settings.atoms, rows.shape[1])).astype("float32")
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    weights = {
        "encoder": decoder.T.copy(),
        "bias": np.zeros(settings.atoms, "float32"),
        "decoder": decoder,
        "centre": np.zeros(rows.shape[1], "float32"),
        "threshold": np.full(settings.atoms, np.log(THRESHOLD), "float32"),
    }
    moments = {
        f"{name}/{part}": np.zeros_like(value) for name, value in weights.items() for part in ("first", "second")
    }
    counts = {"step": np.int64(0), "fired": np.zeros(settings.atoms, "int64")}
    return {**weights, **moments, **counts, "mean": mean, "scale": np.float32(scale)}


def advance(state, rows, settings, steps):
    """The state after some more steps. The rows of a step depend on its number and the seed alone.

    Args:
        state: dict of name to array, which is left as it is.
        rows: float [rows, channels], the same as at the beginning.
        settings: `Settings`.
        steps: int, no more than remain.

    Returns:
        dict of name to array.
    """
    trainer, rows = _Trainer(state, settings), np.asarray(rows, "float32")
    for step in range(int(state["step"]), int(state["step"]) + steps):
        places = np.random.default_rng((settings.seed, step)).integers(len(rows), size=settings.batch)
        trainer.step((rows[places] - state["mean"]) / state["scale"])
    return trainer.state(state)


def finish(state, settings):
    """The dictionary of a state, in the units of the activations.

    Args:
        state: dict of name to array.
        settings: `Settings`.

    Returns:
        `Dictionary`.
    """
    encoder = {name: state[name] for name in ("encoder", "bias", "scale")}
    encoder |= {"threshold": np.exp(state["threshold"])} if settings.activation == "jump_relu" else {}
    encoder |= {"active": np.int64(settings.active)} if settings.activation == "top_k" else {}
    origin = state["mean"] + state["scale"] * state["centre"]
    return Dictionary(state["decoder"], origin, "sparse_autoencoder", vars(settings).copy(), encoder)


def _encode(dictionary, rows):
    parts = dictionary.encoder
    values = (rows - dictionary.origin) / parts["scale"] @ parts["encoder"] + parts["bias"]
    if "threshold" in parts:
        return parts["scale"] * np.where(values > parts["threshold"], values, 0)
    least = np.partition(values, -int(parts["active"]), axis=1)[:, -int(parts["active"]), None]
    return parts["scale"] * np.where(values >= least, np.maximum(values, 0), 0)


@learners.register(encode=_encode, resumable=True)
def sparse_autoencoder(rows, *, atoms, seed, active=None, activation="top_k", steps=4000, batch=512, rate=1e-3):
    """A sparse autoencoder: k active atoms a row (Gao et al. 2024, https://arxiv.org/abs/2406.04093), or thresholds (JumpReLU).

    Args:
        rows: float [rows, channels].
        atoms: int.
        seed: int, of the first atoms and the order of rows.
        active: int, as of `Settings`, like those that follow.
        activation: "top_k" or "jump_relu".
        steps: int.
        batch: int.
        rate: float.

    Returns:
        `Dictionary` of unit atoms, whose codes are 0 or more.

    Raises:
        Refused: for more atoms than rows, and for activations that are not finite or all the same.

    JumpReLU: Rajamanoharan et al. 2024, https://arxiv.org/abs/2407.14435
    """
    settings = Settings(atoms, seed, active, activation, steps, batch, rate)
    return finish(advance(begin(rows, settings), rows, settings, steps), settings)


WEIGHTS = ("encoder", "bias", "decoder", "centre", "threshold")


class _Trainer:
    """Variables of an autoencoder and one compiled step of Adam."""

    def __init__(self, state, settings):
        self.settings = settings
        self.values = {name: tf.Variable(state[name]) for name in WEIGHTS}
        self.moments = {
            (name, part): tf.Variable(state[f"{name}/{part}"]) for name in WEIGHTS for part in ("first", "second")
        }
        self.fired, self.number = tf.Variable(state["fired"]), tf.Variable(state["step"])
        self._compiled = tf.function(self._step, autograph=False)

    def step(self, rows):
        """One step on a batch of rows, in units of their deviation."""
        self._compiled(tf.constant(rows))

    def state(self, before):
        """The state after the steps: dict of name to array."""
        moments = {f"{name}/{part}": moment.numpy() for (name, part), moment in self.moments.items()}
        counts = {"fired": self.fired.numpy(), "step": self.number.numpy()}
        return {**before, **{name: value.numpy() for name, value in self.values.items()}, **moments, **counts}

    def _step(self, rows):
        with tf.GradientTape() as tape:
            loss, is_active = self._loss(rows)
        for name, slope in tape.gradient(loss, self.values, unconnected_gradients="zero").items():
            self._move(name, slope)
        decoder = self.values["decoder"]
        decoder.assign(decoder / tf.norm(decoder, axis=1, keepdims=True))
        self.fired.assign(tf.where(tf.reduce_any(is_active, axis=0), self.number, self.fired))
        self.number.assign_add(1)

    def _loss(self, rows):
        """The share of the variance that is left, with what makes codes sparse and revives dead atoms."""
        centred = rows - self.values["centre"]
        values = centred @ self.values["encoder"] + self.values["bias"]
        if self.settings.activation == "jump_relu":
            threshold = tf.exp(self.values["threshold"])
            codes = jump_relu(tf.nn.relu(values), threshold)
            excess = tf.reduce_mean(active_count(tf.nn.relu(values), threshold)) / self.settings.active - 1
            penalty = SPARSITY * excess**2
        else:
            codes, penalty = _largest(values, self.settings.active), 0.0
        error = centred - codes @ self.values["decoder"]
        return _energy(error) + penalty + self._revival(values, tf.stop_gradient(error)), codes > 0

    def _revival(self, values, error):
        """How badly dead atoms alone rebuild what the others left: they learn from it, and come back."""
        is_dead = self.number - self.fired > DEAD
        return tf.cond(tf.reduce_any(is_dead), lambda: self._missed(values, error, is_dead), lambda: 0.0)

    def _missed(self, values, error, is_dead):
        """The share of the error that dead atoms leave, by its weight in the loss."""
        count = min(self.settings.atoms, max(self.settings.active, error.shape[1] // 2))
        codes = _largest(tf.where(is_dead, values, tf.reduce_min(values) - 1), count)
        rebuilt = tf.where(is_dead, codes, 0.0) @ self.values["decoder"]
        return REVIVAL * _energy(error - rebuilt) / (_energy(error) + 1e-12)

    def _move(self, name, slope):
        """One step of Adam (Kingma, Ba 2014, https://arxiv.org/abs/1412.6980)."""
        first, second = self.moments[name, "first"], self.moments[name, "second"]
        first.assign(0.9 * first + 0.1 * slope)
        second.assign(0.999 * second + 0.001 * slope**2)
        count = tf.cast(self.number + 1, tf.float32)
        step = (first / (1 - 0.9**count)) / (tf.sqrt(second / (1 - 0.999**count)) + 1e-8)
        self.values[name].assign_sub(self._rate() * step)

    def _rate(self):
        steps = self.settings.steps
        remaining = (steps - tf.cast(self.number, tf.float32)) / max(1.0, steps * (1 - FALL))
        return self.settings.rate * tf.minimum(remaining, 1.0)


def _largest(values, count):
    """The largest values of each row where they are above zero; zero elsewhere."""
    least = tf.math.top_k(values, count).values[:, -1:]
    return tf.where(values >= least, tf.nn.relu(values), 0.0)


def _energy(rows):
    return tf.reduce_mean(tf.reduce_sum(rows**2, axis=1))
