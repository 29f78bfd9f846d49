"""User networks: networks trained like the user's own, by the user's function or read from files, as replicates of it."""

import hashlib
from dataclasses import replace

import numpy as np

from lab import routines
from lab.environment import keras
from lab.refusal import Refused
from sanity.seeds import derive_seed
from sanity.worlds.training import no_cache

# On true labels, and on labels that were permuted.
KINDS = ("replicate", "permuted_label_networks")


class UserNetworks:
    """Trains networks by a user's function. Which seed and labels a network has depends on its kind and index alone.

    Args:
        network: the user's `Network`, whose architecture all share. It counts as the first replicate.
        function: (inputs, labels, *, seed) -> `keras.Model` of this architecture, or its weights as of `get_weights`.
        inputs: arrays, as the model takes them.
        labels: int [samples].
        seed: int.
        key: str, a hash of all that the function depends on.
        cache: where trained weights are kept: (key, make) -> weights.
    """

    def __init__(self, network, function, inputs, labels, *, seed, key, cache=no_cache):
        self.network, self.function, self.inputs, self.true_labels = network, function, inputs, np.asarray(labels)
        self.seed, self.key, self.cache = seed, key, cache

    def train(self, kind, index):
        """The weights of one network.

        Args:
            kind: one of `KINDS`.
            index: int; the replicate 0 is the user's network.

        Returns:
            dict of variable name to array.

        Raises:
            Refused: where the function returns something else than weights of this architecture.
        """
        if (kind, index) == ("replicate", 0):
            return self.network.state()
        key = hashlib.sha256(f"{self.key} {self.seed} {kind} {index}".encode()).hexdigest()
        return self.cache(key, lambda: self._train(kind, index))

    def labels(self, kind, index):
        """The labels that a network is trained on: int [samples]. Each network has its own permutation.

        Args:
            kind: one of `KINDS`.
            index: int.

        Returns:
            int [samples].
        """
        if kind == "replicate":
            return self.true_labels.copy()
        return np.random.default_rng([self.seed, 4, index]).permutation(self.true_labels)

    def accuracy(self, kind, index):
        """The share of samples that a network answers as it was trained to.

        Args:
            kind: one of `KINDS`.
            index: int.

        Returns:
            float.
        """
        with self.network.weights(self.train(kind, index)):
            scores = routines.class_logits(self.network, self.inputs)
        # One unit stands for two classes.
        predicted = scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > 0
        return float(np.mean(predicted == self.labels(kind, index)))

    def _train(self, kind, index):
        # What a function does to its arguments is its own affair.
        inputs = keras.tree.map_structure(np.array, self.inputs)
        seed = derive_seed(self.seed, kind, index) % (1 << 31)
        return weights_by_name(self.network, self.function(inputs, self.labels(kind, index), seed=seed))


class FileNetworks:
    """Networks trained like a user's own, from files.

    Args:
        network: the user's `Network`, which counts as the first replicate.
        others: list of `Network`.
        files: list of str, where each of them lies.

    Raises:
        Refused: for another architecture, other classes, and equal weights.
    """

    def __init__(self, network, others, files):
        self.network = network
        for other, file in zip(others, files):
            if other.classes != network.classes:
                raise Refused(f"Replicates have the classes of the model. Received: {file} with others.")
        self.states = [network.state(), *(weights_by_name(network, other.model.get_weights()) for other in others)]
        refuse_equal(self.states, ["the model", *files])

    def train(self, kind, index):
        """The weights of one network.

        Args:
            kind: "replicate".
            index: int; 0 is the user's network.

        Returns:
            dict of variable name to array.
        """
        del kind
        return self.states[index]

    def accuracy(self, kind, index):
        """Not known: what the networks were trained on is not at hand.

        Args:
            kind: "replicate".
            index: int.
        """
        del kind, index


def with_networks(subject, networks, counts):
    """A subject with networks that were trained like its own.

    Args:
        subject: the `Subject` of the user's network.
        networks: `UserNetworks` or `FileNetworks`.
        counts: list of (kind, int), how many there are of each of `KINDS`.

    Returns:
        `Subject`.

    Raises:
        Refused: where two networks have the same weights.
    """
    states, accuracies, names = {}, {}, []
    for kind, count in counts:
        states[kind] = [networks.train(kind, index) for index in range(count)]
        accuracies[kind] = [networks.accuracy(kind, index) for index in range(count)]
        names += [f"{kind.replace('_', ' ')} {index + 1}" for index in range(count)]
    refuse_equal([state for kind, _ in counts for state in states[kind]], names)
    return replace(
        subject,
        replicates=tuple(states["replicate"]),
        replicate_accuracy=tuple(accuracies["replicate"]),
        permuted_label_networks=tuple(states["permuted_label_networks"]),
        train_accuracy=tuple(accuracies["permuted_label_networks"]),
    )


def weights_by_name(network, trained):
    """The weights of a model of the same architecture, under the names of a network's variables.

    Args:
        network: `Network`.
        trained: `keras.Model`, or a list of arrays as of `get_weights`.

    Returns:
        dict of variable name to array.

    Raises:
        Refused: for anything else, and for weights of another number or other shapes.
    """
    weights = trained.get_weights() if isinstance(trained, keras.Model) else trained
    if not isinstance(weights, (list, tuple)):
        raise Refused(
            f"A training function returns a keras.Model, or its weights as of get_weights(). Received: {type(weights).__name__}."
        )
    names = {id(variable): name for name, variable in network.variables.items()}
    order = [names[id(variable)] for variable in network.model.weights if id(variable) in names]
    shapes = [tuple(network.variables[name].shape) for name in order]
    received = [np.shape(value) for value in weights]
    if received != shapes:
        raise Refused(
            f"Replicates have the architecture of the model. Received: {_difference(received, shapes, order)}."
        )
    return dict(zip(order, map(np.asarray, weights)))


def _difference(received, shapes, order):
    """Where two lists of shapes differ first, in words."""
    if len(received) != len(shapes):
        return f"{len(received)} weights in place of {len(shapes)}"
    place = next(place for place, pair in enumerate(zip(received, shapes)) if pair[0] != pair[1])
    return f"{order[place]} of shape {received[place]} in place of {shapes[place]}"


def refuse_equal(states, named):
    """Raise Refused where two networks have the same weights.

    Args:
        states: list of dict of variable name to array.
        named: list of str, what each is called.

    Raises:
        Refused: for the first two that are equal.
    """
    places = {}
    for place, state in enumerate(states):
        other = places.setdefault(_digest(state), place)
        if other != place:
            raise Refused(
                f"Replicates are trained from other seeds, so that no two have the same weights. Received: the same ones for {named[other]} and {named[place]}. A training function takes its initial weights and its order of samples from seed=."
            )


def _digest(state):
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + np.ascontiguousarray(state[name]).tobytes())
    return digest.hexdigest()
