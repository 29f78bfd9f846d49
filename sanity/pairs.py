"""Pairs: networks that a user's function trains twice from the same seed, with attention as it is and with uniform attention."""

import functools
import hashlib

from lab.attention import outputs_under, select, uniform
from lab.attention.training import replaced_in_graphs
from sanity.user_networks import UserNetworks
from sanity.worlds.training import no_cache


class NotUniform(Exception):
    """A training function whose attention could not be made uniform; the words say why."""


class UserPairs:
    """Trains networks in pairs by a user's function, on samples of some sources, and asks them about samples of others.

    Args:
        network: the user's `Network`.
        function: as of `UserNetworks`.
        trained: `sanity.finetuning.Labelled`, the samples that networks are trained on.
        held_out: `sanity.finetuning.Labelled`, samples of other sources.
        seed: int.
        key: str, as of `UserNetworks`.
        cache: as of `UserNetworks`.
        output: as of `UserNetworks`.
    """

    def __init__(self, network, function, trained, held_out, *, seed, key, cache=no_cache, output=None):
        self.network, self.held_out, self.output = network, held_out, output
        functions = {"attention": function, "uniform": _uniformly(function, network)}
        sources = hashlib.sha256(held_out.labels.tobytes() + held_out.sources.tobytes()).hexdigest()
        self._networks = {
            name: UserNetworks(
                network,
                train,
                trained.inputs,
                trained.labels,
                seed=seed,
                key=f"{key} {sources} {name}",
                cache=cache,
                output=output,
            )
            for name, train in functions.items()
        }

    def correct(self, turn, name):
        """Whether a network of a pair is right on each sample held out.

        Args:
            turn: int, the pair, whose networks have the same seed.
            name: "attention" or "uniform".

        Returns:
            bool [samples].

        Raises:
            NotUniform: for a function in whose training attention could not be made uniform.
        """
        # The replicate 0 is the user's own network, which was trained on samples held out.
        state = self._networks[name].train("replicate", 1 + turn)
        with self.network.weights(state):
            predicted = self.held_out.inputs.compute(functools.partial(self._predict, name))
        return predicted == self.held_out.labels

    def _predict(self, name, inputs):
        """The highest class of each sample, under the attention that the network was trained with: int [samples]."""
        heads = select(self.network)
        selection = heads if name == "uniform" else {address: ~every for address, every in heads.items()}
        outputs = outputs_under(self.network, inputs, uniform, selection, seed=0)
        scores = outputs[self.network.output_name(self.output)]
        scores = scores.reshape(len(scores), -1)
        return scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)


def _uniformly(function, network):
    """A training function whose attention is uniform while it runs."""
    needed = len(network.attentions)

    @functools.wraps(function)
    def train(*args, **kwargs):
        with replaced_in_graphs(network, _uniform) as attention:
            trained = function(*args, **kwargs)
        if attention.count < needed:
            raise NotUniform(
                f"uniform in {attention.count} of {needed} layers while the function trains; needed: all, in a graph as keras.Model.fit traces it: or give --finetune all in its place"
            )
        return trained

    return train


def _uniform(weights):
    """Uniform weights, whose gradient is zero and not missing, which a training loop might not expect."""
    return uniform(weights, None) + 0 * weights
