"""User networks: networks trained like the user's own, by the user's function or read from files, as replicates of it."""

import hashlib
import inspect
from dataclasses import replace

import numpy as np

from lab import routines
from lab.columns import join_columns
from lab.environment import keras
from lab.lookup import split_lookup
from lab.refusal import Refused
from sanity.seeds import derive_seed
from sanity.streamed import Streamed, from_arrays
from sanity.world_networks import permute
from sanity.worlds.training import no_cache

# On true labels, and on labels that were permuted.
KINDS = ("replicate", "permuted_label_networks")
# Samples on which accuracy is measured at most.
MEASURED = 2000


class UserNetworks:
    """Trains networks by a user's function. Which seed and labels a network has depends on its kind and index alone.

    Args:
        network: the user's `Network`, whose architecture all share. It counts as the first replicate.
        function: (inputs, labels, *, seed) -> `keras.Model` of this architecture, or its weights as of `get_weights`; or
            (dataset, *, seed), see `takes_dataset`.
        inputs: arrays, as the network takes them: ids in the place of texts, and one table in the place of inputs by column;
            or `Streamed` samples, which are read piece by piece.
        labels: int [samples].
        seed: int.
        key: str, a hash of all that the function depends on.
        cache: where trained weights are kept: (key, make) -> weights.
        output: str, the output that tells the classes of the labels; None for the only one.

    Raises:
        Refused: for a function that takes other arguments.
    """

    def __init__(self, network, function, inputs, labels, *, seed, key, cache=no_cache, output=None):
        self.network, self.function, self.true_labels = network, function, np.asarray(labels)
        self.inputs = inputs if isinstance(inputs, Streamed) else from_arrays(inputs)
        self.takes_dataset = takes_dataset(function)
        self.seed, self.key, self.cache, self.output = seed, key, cache, output

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
        """The labels that a network is trained on.

        Args:
            kind: one of `KINDS`.
            index: int.

        Returns:
            int [samples].
        """
        if kind == "replicate":
            return self.true_labels.copy()
        return permute(self.true_labels, self.seed, index)

    def accuracy(self, kind, index):
        """The share of samples that a network answers as it was trained to, of at most `MEASURED` at equal distances.

        Args:
            kind: one of `KINDS`.
            index: int.

        Returns:
            float.
        """
        count = len(self.inputs)
        places = np.linspace(0, count - 1, min(MEASURED, count)).round().astype(int)
        with self.network.weights(self.train(kind, index)):
            predicted = self.inputs.compute(self._predict, places)
        return float(np.mean(predicted == self.labels(kind, index)[places]))

    def _predict(self, inputs):
        return _predicted_classes(self.network, inputs, self.output)

    def _train(self, kind, index):
        seed = derive_seed(self.seed, kind, index) % (1 << 31)
        train = self._train_on_dataset if self.takes_dataset else self._train_on_arrays
        return weights_by_name(self.network, train(self.labels(kind, index), seed))

    def _train_on_arrays(self, labels, seed):
        # What a function does to its arguments is its own affair.
        return self.function(self.inputs.load(), labels, seed=seed)

    def _train_on_dataset(self, labels, seed):
        dataset, raised = self.inputs.dataset(labels, seed)
        try:
            return self.function(dataset, seed=seed)
        except Exception:
            # Of a picture that cannot be read TensorFlow tells in words of its own.
            if raised() is not None:
                raise raised() from None
            raise


# What a training function may take.
FORMS = "train(inputs, labels, *, seed), or train(dataset, *, seed) for data that do not fit in memory"


def takes_dataset(function):
    """Whether a training function takes a `tf.data.Dataset` in the place of inputs and labels, as its signature says.

    Args:
        function: (inputs, labels, *, seed) or (dataset, *, seed). Further arguments have values of their own.

    Returns:
        bool.

    Raises:
        Refused: for a function that takes neither.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # What is written in C may not say what it takes.
        return False
    two, one = _fits(signature, 2), _fits(signature, 1)
    if not (one or two):
        name = getattr(function, "__name__", type(function).__name__)
        raise Refused(f"A training function is {FORMS}. Received: {name}{signature}.")
    return one and not (two and _takes_any_number(signature))


def _fits(signature, count):
    """Whether a function can be called with so many positional arguments and a seed: bool."""
    try:
        signature.bind(*range(count), seed=0)
    except TypeError:
        return False
    return True


def _takes_any_number(signature):
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in signature.parameters.values())


class FileNetworks:
    """Networks trained like a user's own, from files. Their accuracy is that on the images that are explained.

    Args:
        network: the user's `Network`, which counts as the first replicate.
        others: list of `Network`.
        files: list of str, where each of them lies.

    Raises:
        Refused: for another architecture, other classes, columns or words, and equal weights.
    """

    def __init__(self, network, others, files):
        self.network = network
        for other, file in zip(others, files):
            if other.classes != network.classes:
                raise Refused(f"Replicates have the classes of the model. Received: {file} with others.")
            if other.columns != network.columns:
                raise Refused(
                    f"Replicates have the columns of the model, in its order. Received: {file} with {', '.join(other.columns or ['none'])} in place of {', '.join(network.columns or ['none'])}."
                )
            if _words(other) != _words(network):
                raise Refused(f"Replicates have the words of the model, in its order. Received: {file} with others.")
        self.states = [network.state(), *(weights_by_name(network, other.model) for other in others)]
        remedy = "Name a network that was trained again, from another seed."
        refuse_equal(self.states, ["the model", *files], remedy)

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
        """Not known: what the networks were trained on is not at hand. -> None.

        Args:
            kind: "replicate".
            index: int.

        Returns:
            None.
        """
        del kind, index


def refuse_replicates(network, others, files):
    """Refuse networks that were not trained like another one.

    Args:
        network: the user's `Network`.
        others: list of `Network`.
        files: list of str, where each of them lies, or what it is called.

    Raises:
        Refused: for another architecture, other classes, columns or words, and equal weights.
    """
    if others:
        FileNetworks(network, others, files)


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
        accuracies[kind] = [
            _known_accuracy(subject, state, networks.accuracy(kind, index)) for index, state in enumerate(states[kind])
        ]
        names += [f"{kind.replace('_', ' ')} {index + 1}" for index in range(count)]
    refuse_equal([state for kind, _ in counts for state in states[kind]], names)
    return replace(
        subject,
        replicates=tuple(states["replicate"]),
        replicate_accuracy=tuple(accuracies["replicate"]),
        permuted_label_networks=tuple(states["permuted_label_networks"]),
        train_accuracy=tuple(accuracies["permuted_label_networks"]),
    )


def _known_accuracy(subject, state, accuracy):
    """The accuracy of a network; where it is not known, that on the subject's own inputs, or None without labels."""
    if accuracy is not None or subject.true is None or not subject.tells_classes_apart:
        return accuracy
    with subject.network.weights(state):
        predicted = _predicted_classes(subject.network, subject.inputs, subject.output)
    return float(np.mean(subject.true[np.arange(len(predicted)), predicted]))


def _predicted_classes(network, inputs, output):
    """The highest class of each sample: int [samples]. One unit stands for two classes."""
    scores = routines.class_logits(network, inputs, output)
    return scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)


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
    if isinstance(trained, keras.Model):
        trained = _as_loaded(network, trained)
        _refuse_other_layers(network.model, trained)
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


def _words(network):
    return None if network.tokenizer is None else network.tokenizer.pieces


def _as_loaded(network, model):
    """A model as the network was loaded: behind its TextVectorization, or with its columns as one table."""
    parts = split_lookup(model) if network.tokenizer else join_columns(model) if network.columns else None
    return model if parts is None else parts[0]


def _refuse_other_layers(model, trained):
    """Raise Refused where two models have layers of other types or settings, whatever they are called."""
    expected, received = _layer_settings(model), _layer_settings(trained)
    if len(expected) != len(received):
        raise Refused(
            f"Replicates have the architecture of the model. Received: {len(received)} layers in place of {len(expected)}."
        )
    for first, second in zip(expected, received):
        if first != second:
            raise Refused(
                f"Replicates have the architecture of the model. Received: {second[0]} {second[1]} in place of {first[0]} {first[1]}."
            )


# What the configuration of a layer says of how it is called, begun and trained, and not of what it computes.
_NOT_COMPUTED = ("name", "trainable", "dtype", "seed", "batch_shape", "sparse", "ragged", "optional", "build_config")


def _layer_settings(model):
    """Type and settings of every layer of a model, those of inner models in their place: list of (str, dict)."""
    rows = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            rows += _layer_settings(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            rows.append((type(layer).__name__, _settings(layer)))
    return rows


def _settings(layer):
    """What the configuration of a layer says in plain values: dict, empty where it does not say."""
    try:
        config = layer.get_config()
    except Exception:
        # A layer of a user may raise any exception.
        return {}
    return {
        name: value
        for name, value in config.items()
        if name not in _NOT_COMPUTED and isinstance(value, (str, int, float, bool, tuple, list, type(None)))
    }


def _difference(received, shapes, order):
    """Where two lists of shapes differ first, in words."""
    if len(received) != len(shapes):
        return f"{len(received)} weights in place of {len(shapes)}"
    place = next(place for place, pair in enumerate(zip(received, shapes)) if pair[0] != pair[1])
    return f"{order[place]} of shape {received[place]} in place of {shapes[place]}"


# Correlation of the kernels of two networks at or above which one began where the other did.
NEARLY_EQUAL = 0.9
SEEDED = "A training function takes its initial weights and its order of samples from seed=."


def refuse_equal(states, names, remedy=SEEDED):
    """Raise Refused where two networks have the same weights, or nearly: copies are no replicates.

    Args:
        states: list of dict of variable name to array.
        names: list of str, what each is called.
        remedy: str, what to do instead.

    Raises:
        Refused: for the first two that are.
    """
    directions = [_kernel_direction(state) for state in states]
    for second in range(len(states)):
        for first in range(second):
            likeness = float(directions[first] @ directions[second])
            if likeness >= NEARLY_EQUAL:
                raise Refused(
                    f"Replicates are trained from other seeds, each from initial weights of its own. Received: {'the same weights' if likeness > 1 - 1e-6 else f'weights that correlate at {likeness:.2f}'} for {names[first]} and {names[second]}. {remedy}"
                )


def _kernel_direction(state):
    """All kernels of a network as one vector of length 1: float32 [weights]. Of one without kernels, all weights."""
    kernels = [value for _, value in sorted(state.items()) if np.ndim(value) > 1] or [
        np.ravel(v) for v in state.values()
    ]
    flat = np.concatenate([np.ravel(value) for value in kernels]).astype("float32")
    centred = flat - flat.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-12)
