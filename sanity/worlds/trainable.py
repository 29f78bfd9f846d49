"""Trainable: what of a network is trained, and from which weights: all of it anew, or from a layer on from those that it has."""

import numpy as np

from lab import routines
from lab.environment import tf
from lab.refusal import Refused
from sanity.randomization import draw, layers_in_order

# Relative difference of logits at which something leads around a layer.
AROUND = 1e-3
# The length of a side that the network leaves free, where something is tried.
FREE = 32
# Where classes beside the two variants begin, so that none of them is ever an answer.
UNLIKELY = -20.0


class WholeNetwork:
    """All of a network, trained from weights that its initializers draw.

    Args:
        network: `Network` whose outputs are logits.
    """

    # What decides trained weights beside architecture, initial weights and data.
    origin = ""

    def __init__(self, network):
        self.network, self.names = network, None

    @property
    def variables(self):
        """The Keras variables that are trained: list."""
        return self.network.model.trainable_variables

    def start(self, seed):
        """Initial weights.

        Args:
            seed: int.

        Returns:
            dict of variable name to array.
        """
        return draw(self.network, layers_in_order(self.network), [seed])[0].state

    def features(self, inputs):
        """What is trained on: the inputs themselves."""
        return inputs

    def logits(self, features):
        """The outputs as they are in training: tensor [batch, classes]."""
        return self.network.model(features, training=True)

    def predict(self, features):
        """The highest class of each sample: int [batch]."""
        return self.network.model(features).numpy().argmax(1)


class UpperPart:
    """The part of a network from a layer on. Activations of the layer are computed once, and the part is trained on them.

    Args:
        network: `Network` of one output [batch, classes], as it is before anything is trained.
        layer: str, the address of the layer; None: the whole network.
        replaced: dict of an address, as of attention weights, to a function of the tensor there, in training and afterwards.

    Raises:
        Refused: for an unknown layer, one that something leads around, and one behind which nothing is trained, or that depends on
            what is trained.
    """

    def __init__(self, network, layer=None, replaced=None):
        self.network, self.layer, self.replaced = network, layer, replaced or {}
        if layer is not None:
            network.refuse_unknown(layer)
        self.names = self._trained_names()
        if not self.names:
            raise Refused(
                f"A network is trained from a layer on that weights to train follow. Received: {layer or network.name!r}, and none behind it. Name an earlier layer, as lab list layers has them."
            )
        if layer is not None and not self.replaced:
            self._refuse_way_around()
            self._refuse_shared_weights()
        self.given = network.state(self.names)
        self.origin = f"{layer} {network.fingerprint()}"

    @property
    def scope(self):
        """What of the network was trained, in words: str."""
        return f"training from {self.layer} on" if self.layer else "training of the whole network"

    @property
    def layers(self):
        """Paths of the layers that are trained, in the order in which they run: list of str."""
        owners = {name.rpartition("/")[0] for name in self.names}
        return [path for path in layers_in_order(self.network) if path in owners]

    @property
    def variables(self):
        """The Keras variables that are trained: list."""
        return [self.network.variables[name] for name in self.names]

    def start(self, seed):
        """Initial weights: those of the network, but for its head, which is drawn.

        Args:
            seed: int.

        Returns:
            dict of variable name to array.
        """
        drawn = draw(self.network, self.layers[-1:], [seed])[0].state
        drawn = {name: value for name, value in drawn.items() if name in self.given}
        biases = {name: _without_others(value) for name, value in drawn.items() if name.endswith("/bias")}
        return {**self.given, **drawn, **biases}

    def features(self, inputs):
        """What the part is trained on: activations of the layer, or the inputs themselves.

        Args:
            inputs: array [samples, ...], as the network takes it.

        Returns:
            float32 [samples, ...].
        """
        return inputs if self.layer is None else routines.activations(self.network, inputs, self.layer)

    def logits(self, features):
        """Logits of the classes; only inside a tf.function.

        Args:
            features: tensor [batch, ...], as of `features`.

        Returns:
            tensor [batch, classes], two columns for one unit.
        """
        if self.layer is None:
            trace = self.network.trace(features, interceptors=[], replaced=self.replaced)
        else:
            shape = [side or FREE for side in self.network.spec.shape[1:]]
            blank = tf.zeros([tf.shape(features)[0], *shape], self.network.spec.dtype)
            trace = self.network.trace(blank, interceptors=[], replaced={**self.replaced, self.layer: features})
        logits = tf.cast(trace.logits(), tf.float32)
        return tf.concat([tf.zeros_like(logits), logits], axis=1) if logits.shape[1] == 1 else logits

    def class_logits(self, features):
        """Logits of the classes, as the network's weights are now.

        Args:
            features: float32 [samples, ...], as of `features`.

        Returns:
            float32 [samples, classes], two columns for one unit.
        """

        def body(batched, _):
            return self.logits(batched[0])

        key = ("upper part", self.layer, *self.replaced.items())
        return routines.run(self.network, key, body, (np.asarray(features),), ())

    def predict(self, features):
        """The highest class of each sample: int [batch]."""
        return self.class_logits(features).argmax(1)

    def _sample(self):
        """Two inputs at random: numbers, or ids that the network has."""
        spec, rng = self.network.spec, np.random.default_rng(0)
        shape = (2, *(side or FREE for side in spec.shape[1:]))
        if spec.dtype.is_integer:
            # Id 0 may be padding, behind which nothing is computed.
            known = self.network.accepted.known.get(0, 2)
            return rng.integers(min(1, known - 1), known, shape).astype(spec.dtype.as_numpy_dtype)
        return rng.uniform(-1, 1, shape).astype(spec.dtype.as_numpy_dtype)

    def _refuse_way_around(self):
        """Raise Refused where the logits depend on the inputs in another way than through the layer."""
        inputs = self._sample()
        expected = routines.class_logits(self.network, inputs)
        logits = self.class_logits(self.features(inputs))
        if np.abs(logits - expected).max() > AROUND * np.ptp(expected):
            raise Refused(
                f"A network is trained from a layer on that all of it goes through. Received: {self.layer!r}, which something leads around. Name the end of a block, such as the layer that adds both ways."
            )

    def _trained_names(self):
        """Names of the trainable variables that the logits depend on: list of str."""
        names = {id(variable): name for name, variable in self.network.variables.items()}
        variables = [variable for variable in self.network.model.trainable_variables if id(variable) in names]
        reached = self._reached(self.logits, self.features(self._sample()), variables)
        return [names[id(variable)] for variable in reached]

    def _refuse_shared_weights(self):
        """Raise Refused where the layer itself depends on what is trained behind it, such as weights that both share."""
        owners = {name.rpartition("/")[0] for name in self.names}
        called_twice = any(row.calls > 1 for row in self.network.layers() if row.path in owners)
        if not called_twice:
            return

        def activation(inputs):
            return self.network.trace(inputs, [self.layer], interceptors=[]).activations[self.layer]

        shared = self._reached(activation, self._sample(), self.variables)
        if shared:
            raise Refused(
                f"A network is trained from a layer on that shares no weights with what follows. Received: {self.layer!r}, which depends on {shared[0].path}. Name an earlier layer."
            )

    def _reached(self, compute, inputs, variables):
        """The variables that something depends on.

        Args:
            compute: tensor [batch, ...] -> tensor [batch, ...].
            inputs: float32 [batch, ...].
            variables: list of Keras variables.

        Returns:
            list of Keras variables.
        """
        reached = []

        def trace(tensor):
            with tf.GradientTape() as tape:
                values = compute(tensor)
            slopes = tape.gradient(values, [variable.value for variable in variables])
            reached.extend(variable for variable, slope in zip(variables, slopes) if slope is not None)
            return values

        tf.function(trace, autograph=False).get_concrete_function(tf.constant(inputs))
        return reached


def _without_others(bias):
    """The bias of a head whose classes beside the two variants are never an answer."""
    bias = np.array(bias)
    bias[2:] = UNLIKELY
    return bias
