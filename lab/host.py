"""Host: a Keras model without layers or weights, whose outputs are what a Python function returns."""

import threading

import numpy as np

from lab.environment import keras, tf
from lab.refusal import Refused, describe


class HostModel(keras.Model):
    """A model that asks a Python function for the scores of its inputs.

    Args:
        score: function of arrays [rows, ...], one for each input in flattened order, -> numbers [rows] or [rows, units].
        answers: float [rows, units], what it returned for some rows. They tell one function from another.
        title: str, the function in errors.
        batch: int, rows of a call at most.
        timeout: float, seconds that a call may take; None: any number.
        owner: the object that the function is a method of, such as a forest; None: it is none.
        are_probabilities: whether its scores are probabilities.
        texts: sequence of str, those of the data, whose words are all that the function is asked about; None for other inputs.
    """

    def __init__(self, score, answers, *, title, batch, timeout=None, owner=None, are_probabilities=False, texts=None):
        super().__init__()
        self.title, self.owner = title, owner
        # In a tuple, because Keras would make a layer that is an attribute a part of this model.
        self.host = (score,)
        self.answers, self.are_probabilities = answers, are_probabilities
        self.batch, self.timeout = batch, timeout
        words = [text.split() for text in texts or ()]
        self.vocabulary, self.longest = frozenset().union(*words), max(map(len, words), default=0)
        self.fault = None

    @property
    def units(self):
        """How many numbers a row has: int."""
        return self.answers.shape[1]

    @property
    def padding(self):
        """The value of masked steps by the place of an input, as of `lab.inputs.AcceptedInputs`: dict."""
        return {0: 0} if self.vocabulary else {}

    @property
    def capabilities(self):
        """What a network can be asked for that runs this model: tuple of str."""
        return ("scores",) if self.owner is None else ("scores", "trees")

    def call(self, inputs, training=False):
        """The function's scores.

        Args:
            inputs: tensors [rows, ...] in the structure that the function takes.
            training: not used.

        Returns:
            float32 [rows, units].
        """
        leaves = tf.nest.flatten(inputs)

        @tf.custom_gradient
        def ask(*arrays):
            scores = tf.numpy_function(self._keep_fault, arrays, tf.float32)
            scores.set_shape([arrays[0].shape[0], self.units])
            return scores, self._refuse_gradient

        return ask(*leaves)

    def _refuse_gradient(self, *_, **__):
        raise Refused(
            f"A gradient needs a Keras network. Received: {self.title}, a Python function, which can be asked for scores alone. Use a method that needs no gradient, such as kernel_shap, lime or occlusion."
        )

    def _keep_fault(self, *arrays):
        """`scores`, whose exception is kept, because TensorFlow raises its own in its place."""
        try:
            return self.scores(*arrays)
        except Exception as error:
            self.fault = error
            raise

    def scores(self, *arrays):
        """The function's scores of some rows, asked in batches.

        Args:
            arrays: one [rows, ...] for each input.

        Returns:
            float32 [rows, units].

        Raises:
            Refused: for a function that raises, takes too long, or returns something else than finite numbers for every row.
        """
        starts = range(0, len(arrays[0]), self.batch)
        return np.concatenate([self._ask([array[start : start + self.batch] for array in arrays]) for start in starts])

    def _ask(self, arrays):
        returned = answer_within(self.timeout, self.host[0], arrays, self.title)
        return as_float32(finite_scores(returned, len(arrays[0]), self.units, self.title), self.title)

    def refuse_texts(self, texts):
        """Raise Refused for texts that cannot be given to the function as they are.

        Args:
            texts: list of str.
        """
        for text in texts:
            words = text.split()
            unknown = [word for word in words if word not in self.vocabulary]
            if unknown or not words or len(words) > self.longest:
                problem = (
                    f"{unknown[0]!r}" if unknown else f"{len(words)} words, and {self.longest} at most in the data"
                )
                raise Refused(
                    f"A function of texts is asked about words of its data. Received: {problem}. Give lab.function these texts too, in data."
                )

    def take_fault(self):
        """The last exception of the function, which is forgotten: Exception, or None."""
        fault, self.fault = self.fault, None
        return fault


def answer_within(seconds, function, arrays, name):
    """What a function returns, asked in a thread of its own where it may take only so long.

    Args:
        seconds: float; None: as long as it takes.
        function: function of arrays.
        arrays: its arguments.
        name: str, the function in errors.

    Returns:
        what it returns.

    Raises:
        Refused: where it raises, or takes longer.
    """
    answer = []

    def ask():
        try:
            answer.append((function(*arrays), None))
        except (Exception, SystemExit) as error:
            answer.append((None, error))

    if seconds is None:
        ask()
    else:
        # A thread cannot be ended. As a daemon it does not keep the process alive.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(seconds)
    if not answer:
        raise Refused(
            f"A function answers within timeout={seconds:g} seconds. Received: no answer of {name} for {len(arrays[0])} rows. Give a longer timeout, or a smaller batch."
        )
    value, error = answer[0]
    if error is not None:
        raise Refused(
            f"A function returns numbers for every row. Received: {describe(error)} from {name} for {len(arrays[0])} rows."
        ) from error
    return value


def finite_scores(returned, rows, units, name):
    """What a function returned as scores.

    Args:
        returned: numbers [rows] or [rows, units].
        rows: int, how many it was asked about.
        units: int, how many numbers a row has; None: any number.
        name: str, the function in errors.

    Returns:
        float64 [rows, units].

    Raises:
        Refused: for another shape, and for what is no finite number.
    """
    try:
        scores = np.asarray(returned)
        if scores.dtype.kind in "USc":
            raise TypeError(scores.dtype)
        scores = scores.astype("float64")
    except (TypeError, ValueError) as error:
        raise Refused(
            f"A function returns numbers for every row. Received: {type(returned).__name__} from {name}. Return an array [rows, units]."
        ) from error
    known = scores.reshape(len(scores), 1) if scores.ndim == 1 else scores
    if known.ndim != 2 or len(known) != rows or not known.shape[1] or units not in (None, known.shape[1]):
        wanted = f"({rows}, {'units' if units is None else units})"
        raise Refused(
            f"A function returns numbers for every row, {wanted}. Received: an array {scores.shape} from {name}."
        )
    bad = np.flatnonzero(~np.isfinite(known).all(axis=1))
    if len(bad):
        raise Refused(
            f"Scores are finite numbers. Received: NaN or infinity from {name} for {len(bad)} of the {rows} rows of a call, the first at {bad[0]}."
        )
    return known


def as_float32(scores, name):
    """Scores as the lab keeps them.

    Args:
        scores: float64 [rows, units].
        name: str, the function in errors.

    Returns:
        float32 [rows, units].

    Raises:
        Refused: for scores that float32 does not hold.
    """
    with np.errstate(over="ignore"):
        kept = scores.astype("float32")
    if not np.isfinite(kept).all():
        raise Refused(
            f"Scores are kept as float32, up to 3e38. Received: {np.abs(scores).max():.3g} from {name}. Return a logarithm, or scale them."
        )
    return kept


def raise_fault(model, error):
    """Raise what a function raised in place of the error that TensorFlow made of it.

    Args:
        model: the Keras model that was run.
        error: the `tf.errors.OpError`.

    Raises:
        Exception: the function's own, or else the error.
    """
    fault = model.take_fault() if isinstance(model, HostModel) else None
    if fault is None:
        raise error
    raise fault from fault.__cause__
