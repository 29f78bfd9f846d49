"""Ascent: steps along a gradient, by Adam with a falling rate, or by any Keras optimizer.

begin(parameters) -> state; step(count, parameters, slope, state, rate) -> parameters, state; structures of tensors.
"""

from dataclasses import dataclass

import numpy as np

from lab.environment import keras, tf
from lab.refusal import Refused

# Adam's usual constants.
BETA1, BETA2, TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma, Ba 2014, https://arxiv.org/abs/1412.6980); the rate at each step is the caller's."""

    rows = None

    def begin(self, parameters):
        """Mean and mean square of the slopes: zeros."""
        zeros = tf.nest.map_structure(tf.zeros_like, parameters)
        return zeros, zeros

    def step(self, count, parameters, slope, state, rate):
        """One step upward.

        Args:
            count: int32 tensor, the number of the step, from 0.
            parameters: structure of float32 tensors.
            slope: the objective's gradient, in the structure of the parameters.
            state: (mean, mean square) of the slopes, each in the structure of the parameters.
            rate: float32 tensor, the rate of this step.

        Returns:
            the moved parameters and the next state, in their structures.
        """
        moved = [
            _adam(count, *leaves, rate)
            for leaves in zip(*map(tf.nest.flatten, (parameters, slope, state[0], state[1])))
        ]
        parameters, mean, square = (tf.nest.pack_sequence_as(parameters, list(leaves)) for leaves in zip(*moved))
        return parameters, (mean, square)


class OfKeras:
    """A copy of a Keras optimizer with its own rate or schedule, on variables that hold `rows` pictures at once.

    Some optimizers look at all parameters together (Lamb, Adafactor, Muon, clipping by norms). They get one picture at a
    time, so that no picture depends on the others in its batch.
    """

    together = ("Lamb", "Adafactor", "Muon")

    def __init__(self, optimizer, rows):
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise Refused(f"optimizer= is a Keras optimizer. Received: {optimizer!r}.")
        norms = optimizer.clipnorm is not None or optimizer.global_clipnorm is not None
        self.kind, self.config = type(optimizer), optimizer.get_config()
        self.alone = norms or self.kind.__name__ in self.together
        self.rows = 1 if self.alone else rows
        self.held = None

    def __hash__(self):
        return hash((self.kind, str(self.config), self.rows))

    def __eq__(self, other):
        return isinstance(other, OfKeras) and hash(self) == hash(other)

    def __repr__(self):
        return f"{self.kind.__name__}({self.config})"

    def begin(self, parameters):
        """An empty state: the optimizer's variables hold it, and are set back to their first values."""
        if self.held is None:
            with tf.init_scope():
                self._make([leaf.shape for leaf in tf.nest.flatten(parameters)])
        for variable, value in zip(self.optimizer.variables, self.first):
            variable._value.assign(value)
        return ()

    def _make(self, shapes):
        self.optimizer = self.kind.from_config(self.config)
        self.held = [keras.Variable(np.zeros(shape, "float32")) for shape in shapes]
        self.optimizer.build(self.held)
        self.first = [variable.numpy() for variable in self.optimizer.variables]

    def step(self, count, parameters, slope, state, rate):
        """One step upward: the optimizer descends on the negative gradient.

        Args:
            count: not used.
            parameters: structure of float32 tensors.
            slope: the objective's gradient, in the structure of the parameters.
            state: returned as it is, since the optimizer's variables hold the state.
            rate: not used, since the optimizer has its own.

        Returns:
            the moved parameters, in their structure, and the state.
        """
        del count, rate
        for variable, value in zip(self.held, tf.nest.flatten(parameters)):
            variable._value.assign(value)
        self.optimizer.apply([-leaf for leaf in tf.nest.flatten(slope)], self.held)
        return tf.nest.pack_sequence_as(parameters, [variable._value.read_value() for variable in self.held]), state


def _adam(step, parameters, slope, mean, square, rate):
    count = tf.cast(step + 1, tf.float32)
    mean = BETA1 * mean + (1 - BETA1) * slope
    square = BETA2 * square + (1 - BETA2) * tf.square(slope)
    unbiased = rate * tf.sqrt(1 - BETA2**count) / (1 - BETA1**count)
    return parameters + unbiased * mean / (tf.sqrt(square) + TINY), mean, square
