"""World networks: the networks of a world, each trained from a seed of its own, so that they can be trained apart."""

import numpy as np

from lab import routines
from lab.refusal import Refused
from sanity.seeds import derive_seed
from sanity.worlds.training import Trainer, no_cache

# On true labels; on labels that were permuted; on the labels of the rival cue, for the checks that cross networks.
KINDS = ("replicate", "permuted_label_networks", "rival")


def permute(labels, seed, index):
    """The labels that a network on permuted labels is trained on.

    Each network has its own permutation. With one in common, networks would agree by it and not by what they learned.

    Args:
        labels: int [samples].
        seed: int.
        index: int, which of these networks it is.

    Returns:
        int [samples].
    """
    return np.random.default_rng([seed, 4, index]).permutation(labels)


def logits_of_networks(network, states, inputs, part=None):
    """What several networks answer. What all of them have in common is computed once.

    Args:
        network: `Network`.
        states: list of weights.
        inputs: arrays that it takes.
        part: `sanity.worlds.trainable.UpperPart`, what alone differs between them; None: everything does.

    Returns:
        float32 [networks, samples, classes], two columns for one unit.
    """
    features = inputs if part is None else part.features(inputs)
    answers = []
    for state in states:
        with network.weights(state):
            answers.append(routines.class_logits(network, inputs) if part is None else part.class_logits(features))
    return np.stack(answers)


class WorldNetworks:
    """Trains the networks of a world. Which weights a network has depends on its kind and index alone.

    Args:
        world: a `World`.
        seed: int, of the networks and their data.
        network: `Network` whose architecture and compiled loop they share; None: built anew.
        cache: where trained weights are kept, see `Trainer.train`.
    """

    def __init__(self, world, seed, network=None, cache=no_cache):
        self.world, self.seed, self.cache = world, seed, cache
        self.network = network or world.network()
        self._trainers, self._samples = {}, {}

    def train(self, kind, index):
        """The weights of one network.

        Args:
            kind: one of `KINDS`.
            index: int.

        Returns:
            dict of variable name to array.

        Raises:
            Refused: for a world whose weights are set by hand.
        """
        trainer, data = self._trainer(kind == "rival"), self._data(kind == "rival")
        return trainer.train(data.inputs, self.labels(kind, index), self._network_seed(kind, index), self.cache)

    def labels(self, kind, index):
        """The labels that a network was trained on.

        Args:
            kind: one of `KINDS`.
            index: int.

        Returns:
            int [samples].
        """
        labels = self._data(kind == "rival").labels
        return permute(labels, self.seed, index) if kind == "permuted_label_networks" else labels

    def inputs(self):
        """The samples that networks on true and on permuted labels are trained on: float32 [samples, ...]."""
        return self._data(False).inputs

    def _trainer(self, rival):
        if rival not in self._trainers:
            world = self._world(rival)
            self._trainers[rival] = Trainer(self.network, world.training, world.part)
        return self._trainers[rival]

    def _data(self, rival):
        if rival not in self._samples:
            self._samples[rival] = self._world(rival).training_data(self.seed)
        return self._samples[rival]

    def _world(self, rival):
        world = self.world.rival if rival else self.world
        if world.training is None:
            raise Refused(
                f"Replicates are trained from other seeds. Received: {world.name}, whose weights are set by hand."
            )
        return world

    def _network_seed(self, kind, index):
        if kind == "rival":
            return derive_seed(self.seed, "network that learns the rival cue", index)
        number = {"replicate": 5, "permuted_label_networks": 6}[kind]
        return int(np.random.SeedSequence([self.seed, number, index]).generate_state(1)[0] >> 1)


class StoredNetworks:
    """The networks of a world that were trained before.

    Args:
        world: the `World`.
        seed: int, of the networks and their data.
        network: `Network` whose weights they replace.
        read: (kind, index) -> dict of variable name to array.
    """

    def __init__(self, world, seed, network, read):
        self.world, self.seed, self.network, self.read = world, seed, network, read

    def train(self, kind, index):
        """The weights of one network, as they were stored.

        Args:
            kind: "replicate" or "rival".
            index: int.

        Returns:
            dict of variable name to array.
        """
        return self.read(kind, index)
