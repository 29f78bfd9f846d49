"""Training: small networks from seeds, deterministic on one machine, without any global seed."""

import ast
import functools
import hashlib
import pathlib
import re

import numpy as np

from lab.environment import keras, tf
from sanity import randomization
from sanity.worlds import trainable
from sanity.worlds.trainable import WholeNetwork

# Passes over the data between two looks at the accuracy.
STRIDE = 5


def no_cache(key, make):
    """A cache that keeps nothing: (content key, () -> dict of arrays) -> dict of arrays.

    Args:
        key: not used.
        make: function without arguments -> dict of arrays.

    Returns:
        what `make()` returns.
    """
    del key  # Nothing is kept.
    return make()


class Trainer:
    """Trains a network's weights from many seeds with one compiled loop. The network's own weights are restored.

    Args:
        network: a `Network`.
        training: a `Training`.
        part: what of the network is trained, see `sanity.worlds.trainable`; None: all of it, anew.
    """

    def __init__(self, network, training, part=None):
        self.network, self.training = network, training
        self.part, self._features = part or WholeNetwork(network), (None, None)
        self.optimizer = keras.optimizers.Adam(training.rate)
        self.optimizer.build(self.part.variables)
        self.fresh = [variable.numpy() for variable in self.optimizer.variables]
        self.steps = tf.function(self._steps, autograph=False, reduce_retracing=True)

    def train(self, inputs, labels, seed, cache=no_cache):
        """Train weights from a seed.

        Args:
            inputs: float32 [samples, ...].
            labels: int [samples].
            seed: int.
            cache: (key, make) -> weights, looked up by the hash of everything that they depend on.

        Returns:
            dict of variable name to array, of what is trained and not of the rest.
        """
        start = self.part.start(seed)
        key = self._key(start, inputs, labels, seed)
        return cache(key, lambda: self.fit(start, self._features_of(inputs), labels, seed))

    def fit(self, start, features, labels, seed):
        """Train from initial weights.

        Args:
            start: dict of variable name to array.
            features: float32 [samples, ...], what the part is trained on.
            labels: int [samples].
            seed: int, of the order of samples.

        Returns:
            dict of variable name to array, of what is trained and not of the rest.
        """
        rng = np.random.default_rng([seed, 3])
        for variable, value in zip(self.optimizer.variables, self.fresh):
            variable.assign(value)
        features, labels = tf.constant(features), tf.constant(labels.astype("int32"))
        with self.network.weights({**self.network.state(), **start}):
            for _ in range(self.training.passes // STRIDE):
                self.steps(features, labels, tf.constant(self._order(rng, len(labels))))
                if self._accuracy(features, labels) >= self.training.goal:
                    break
            return self.network.state(self.part.names)

    def _features_of(self, inputs):
        """What is trained on, computed once for networks that are trained on the same array."""
        if self._features[0] is not inputs:
            self._features = (inputs, self.part.features(inputs))
        return self._features[1]

    def _order(self, rng, count):
        """Rows of every step of `STRIDE` passes: int32 [steps, batch]."""
        batch = min(self.training.batch, count)
        passes = [rng.permutation(count)[: count // batch * batch] for _ in range(STRIDE)]
        return np.concatenate(passes).reshape(-1, batch).astype("int32")

    def _steps(self, features, labels, order):
        variables = self.part.variables

        def step(position):
            rows = order[position]
            with tf.GradientTape() as tape:
                logits = self.part.logits(tf.gather(features, rows))
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, rows), logits)
                loss = tf.reduce_mean(losses)
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            return position + 1

        tf.while_loop(lambda position: position < tf.shape(order)[0], step, [tf.constant(0)], parallel_iterations=1)

    def _accuracy(self, features, labels):
        parts = range(0, len(labels), 500)
        right = [self.part.predict(features[at : at + 500]) == labels[at : at + 500].numpy() for at in parts]
        return float(np.mean(np.concatenate(right)))

    def _key(self, start, inputs, labels, seed):
        digest = hashlib.sha256(
            f"{self.training}{seed}{architecture(self.network.model)}{self.part.origin}{code_digest()}".encode()
        )
        for name, value in start.items():
            digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
        for array in (inputs, labels):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def architecture(model):
    """How a model is built: str. Numbers of unnamed inputs, which Keras counts over the whole process, are left out."""
    return re.sub(r'"input_layer(_\d+)?"', '"input_layer"', model.to_json())


@functools.cache
def code_digest(*more):
    """What decides trained weights beside settings and data: this code, that of randomization, and the libraries' versions.

    Args:
        more: paths of further files of code.

    Returns:
        str.
    """
    files = (__file__, trainable.__file__, randomization.__file__, *more)
    code = [_statements(pathlib.Path(file).read_text(encoding="utf-8")) for file in files]
    return f"{hashlib.sha256(''.join(code).encode()).hexdigest()}{tf.__version__}{keras.__version__}"


def _statements(code):
    """A module's code without comments and docstrings, so that new words train no network again: str."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
