"""Fine-tuning: networks that are trained again from a layer on, on the labels of a user, without a function of the user.

What lies before the layer stays as it is. What lies behind is drawn anew, from another seed for each network, and trained.
"""

import functools
import hashlib
from dataclasses import dataclass, replace

import numpy as np

from lab.refusal import Refused
from sanity.randomization import STATISTICS_IMAGES, draw, reestimate_batchnorm
from sanity.seeds import derive_seed
from sanity.statistics import number_groups
from sanity.streamed import Streamed
from sanity.world_networks import permute
from sanity.worlds.trainable import UpperPart
from sanity.worlds.training import Trainer, code_digest, no_cache
from sanity.worlds.world import Training

TRAINING = Training(goal=0.99, passes=200, rate=1e-3)
# One part of so many is held out, with all samples of the same sources.
PARTS = 3
FEWEST_CLASSES = 2


@dataclass(frozen=True)
class Labelled:
    """Samples with their classes.

    Args:
        inputs: `Streamed`.
        labels: int [samples], from 0 on.
        groups: sequence, the source of each sample; None: each is its own.
    """

    inputs: Streamed
    labels: np.ndarray
    groups: object = None

    @property
    def sources(self):
        """The source of each sample, numbered: int [samples]."""
        return number_groups(range(len(self.labels)) if self.groups is None else self.groups)


class FinetunedNetworks:
    """Trains a network again from a layer on. Which seed and labels a network has depends on its kind and index alone.

    Args:
        network: `Network` of one input and one output of classes, as it is before. Its weights stay.
        layer: str, the address of the layer; None: the whole network.
        trained: `Labelled`, the samples that networks are trained on.
        held_out: `Labelled`, samples of other sources.
        seed: int.
        key: str, a hash of the network, the layer and the samples.
        cache: where trained weights are kept: (key, make) -> weights.

    Raises:
        Refused: for a network or a layer that cannot be trained so.
    """

    def __init__(self, network, layer, trained, held_out, *, seed, key, cache=no_cache):
        _refuse_network(network)
        self.part = UpperPart(network, layer)
        self.network, self.trained, self.held_out, self.seed, self.cache = network, trained, held_out, seed, cache
        self.true_labels = trained.labels
        self.key, self.classes = key, len(np.unique(trained.labels))
        self._states, self._trainers = {}, {}

    def train(self, kind, index, part=None):
        """The weights of one network, of what is trained and not of the rest.

        Args:
            kind: "replicate" or "permuted_label_networks".
            index: int.
            part: `UpperPart` of the same network and layer that is trained from the same initial weights; None: `self.part`.

        Returns:
            dict of variable name to array.
        """
        replaced = tuple(sorted(part.replaced)) if part else ()
        place = (kind, index, replaced)
        if place not in self._states:
            # Computed activations are no part of the key: their last digits may differ between two processes.
            words = f"{self.key} {TRAINING} {code_digest(__file__)} {self.seed} {kind} {index}{replaced or ''}"
            key = hashlib.sha256(words.encode()).hexdigest()
            self._states[place] = self.cache(key, lambda: self._train(kind, index, part or self.part))
        return self._states[place]

    def _train(self, kind, index, part):
        seed = derive_seed(self.seed, f"finetuned {kind}", index)
        start = self._start(seed)
        return {**start, **self._trainer_of(part).fit(start, self._features, self.labels(kind, index), seed)}

    def labels(self, kind, index):
        """The labels that a network is trained on.

        Args:
            kind: "replicate" or "permuted_label_networks".
            index: int.

        Returns:
            int [samples].
        """
        return self.true_labels if kind == "replicate" else permute(self.true_labels, self.seed, index)

    def accuracy(self, kind, index):
        """How often a network is right: on samples held out, or on the permuted labels that it was trained on.

        Args:
            kind: "replicate" or "permuted_label_networks".
            index: int.

        Returns:
            float.
        """
        if kind == "replicate":
            return float(np.mean(self.correct(index)))
        right = self._predict(kind, index, self._features) == self.labels(kind, index)
        return float(np.mean(right))

    def correct(self, index, part=None):
        """Whether a network on true labels is right on each sample held out.

        Args:
            index: int.
            part: as of `train`.

        Returns:
            bool [samples].
        """
        return self._predict("replicate", index, self._held_out_features, part) == self.held_out.labels

    def _predict(self, kind, index, features, part=None):
        with self.network.weights(self.train(kind, index, part)):
            return (part or self.part).predict(features)

    def _trainer_of(self, part):
        place = tuple(sorted(part.replaced))
        if place not in self._trainers:
            self._trainers[place] = Trainer(self.network, TRAINING, part)
        return self._trainers[place]

    @functools.cached_property
    def _features(self):
        return self.trained.inputs.compute(self.part.features)

    @functools.cached_property
    def _held_out_features(self):
        return self.held_out.inputs.compute(self.part.features)

    def _start(self, seed):
        """Initial weights: all that is trained is drawn, as that of untrained networks is, so that signals do not vanish."""
        drawn = draw(self.network, self.part.layers, [seed])[0]
        return reestimate_batchnorm(self.network, drawn, self._some_inputs, "estimate")[0]

    @functools.cached_property
    def _some_inputs(self):
        count = len(self.trained.inputs)
        places = np.linspace(0, count - 1, min(count, STATISTICS_IMAGES)).round().astype(int)
        return self.trained.inputs.read(places.tolist())


def _refuse_network(network):
    shape = next(iter(network.outputs.values()))
    if len(network.places()) > 1 or len(network.outputs) > 1 or len(shape) != 2:
        raise Refused(
            f"A network is trained from a layer on where it has one input and one output of classes. Received: {network.name}, with {len(network.places())} inputs and {len(network.outputs)} outputs, the first of shape {shape}. Give a function of your own that trains it."
        )


def chance_of(held_out, classes):
    """How often a guess is right on samples held out: float. Where one class is common, always to say it is right as often.

    Args:
        held_out: `Labelled`.
        classes: int, how many classes there are.

    Returns:
        float.
    """
    commonest = np.bincount(held_out.labels).max() / len(held_out.labels)
    return max(1 / classes, float(commonest))


def about_finetuned(subject, networks):
    """A subject that is asked about networks that were trained from a layer on.

    Args:
        subject: the `Subject` of the first of these networks, on samples held out.
        networks: `FinetunedNetworks`.

    Returns:
        `Subject` whose verdicts speak of training from the layer on.
    """
    chance = chance_of(networks.held_out, networks.classes)
    return replace(subject, correct=networks.correct(0), chance=chance, part=networks.part, networks=networks)


def hold_out(labels, groups, seed):
    """Which samples networks are trained on, and which are held out: a third of each class, whole sources.

    Args:
        labels: int [samples].
        groups: sequence, the source of each sample.
        seed: int.

    Returns:
        (int [samples], int [samples]), places of those trained on and of those held out, in order.

    Raises:
        Refused: for fewer than two classes, and for a class of too few sources.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    numbers = number_groups(groups)
    counts = {label: len(np.unique(numbers[labels == label])) for label in np.unique(labels)}
    if len(counts) < FEWEST_CLASSES or min(counts.values()) < PARTS:
        least = min(counts, key=counts.get)
        raise Refused(
            f"Networks are trained on samples of {FEWEST_CLASSES} classes or more, {PARTS} samples of different sources of each at the least. Received: {len(counts)} classes, one with {counts[least]} sources."
        )
    folds = StratifiedGroupKFold(PARTS, shuffle=True, random_state=derive_seed(seed, "held out") % (1 << 32))
    # A large source may make one part much larger than the others.
    splits = list(folds.split(labels, labels, numbers))
    trained, held_out = min(splits, key=lambda split: abs(len(split[1]) / len(labels) - 1 / PARTS))
    return trained, held_out
