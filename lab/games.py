"""Games: an input's parts as players, whose coalitions a network scores while the other parts are replaced.

explain_by(estimate, network, inputs, ...) -> maps   what an estimate finds for every player, laid over the inputs
"""

from dataclasses import dataclass

import numpy as np

from lab import chunks
from lab.embeddings import Embedded
from lab.environment import tf
from lab.masking import coalition_scores
from lab.players import players_of


@dataclass(frozen=True)
class Game:
    """Some samples whose inputs consist of as many players.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`, with one entry a sample.
        members: list over the leaves of the inputs of int32 [batch, ...], the player of every position; -1 for none.
        references: arrays [batch, references, ...], what stands in the place of players.
        players: int.
    """

    network: object
    inputs: object
    objective: object
    members: list
    references: object
    players: int

    def scores(self, coalitions):
        """The score of each sample of which a coalition is left: bool [coalitions, players] -> float64 [batch, coalitions]."""
        parts = (self.network, self.inputs, self.objective, self.members, coalitions, self.references)
        return coalition_scores(*parts).astype("float64")


def explain_by(estimate, network, inputs, objective, references, *, players=None, count=49, share=True):
    """What an estimate finds for every player, laid over the positions of the players.

    Samples of equally many players are asked together, so that no sample's map depends on the others'.

    Args:
        estimate: function `(Game) -> float64 [batch, players]`.
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        references: arrays [batch, references, ...] in the structure of the inputs.
        players: as of `lab.players.players_of`.
        count: int, about how many players.
        share: whether the numbers of a player's positions add up to its value; else each position has it whole, as the sum of
            its channels.

    Returns:
        float32 in the structure and shape of the inputs.
    """
    members, totals = _number_players(network, inputs, players, count)
    leaves = [np.zeros(leaf.shape, "float32") for leaf in tf.nest.flatten(inputs)]
    for total in np.unique(totals):
        rows = np.flatnonzero(totals == total)
        game = Game(
            network,
            chunks.take(inputs, rows),
            objective.rows(rows),
            chunks.take(members, rows),
            chunks.take(references, rows),
            int(total),
        )
        values = estimate(game)
        for leaf, places in zip(leaves, game.members):
            leaf[rows] = lay_out(values, places, leaf.shape[1:], share)
    return tf.nest.pack_sequence_as(inputs, leaves)


def lay_out(values, members, shape, share):
    """The values of players at their positions.

    Args:
        values: float [batch, players].
        members: int [batch, ...], the player of every position; -1 for none, which has 0.
        shape: tuple, of one sample.
        share: as of `explain_by`.

    Returns:
        float32 [batch, *shape].
    """
    numbers = members.reshape(len(members), -1)
    sizes = np.prod(shape) // max(1, numbers.shape[1])
    if share:
        counts = np.stack([np.bincount(row[row >= 0], minlength=values.shape[1]) for row in numbers])
        sizes = sizes * np.maximum(counts, 1)
    whole = np.concatenate([values / sizes, np.zeros((len(values), 1))], axis=1)
    laid = np.take_along_axis(whole, np.where(numbers < 0, values.shape[1], numbers), axis=1)
    laid = laid.reshape(members.shape + (1,) * (1 + len(shape) - members.ndim))
    return np.broadcast_to(laid, (len(values), *shape)).astype("float32")


def _number_players(network, inputs, which, count):
    """The player of every position, numbered over all leaves: list of int32 arrays, and how many there are in each sample."""
    members, total = [], np.zeros(len(tf.nest.flatten(inputs)[0]), int)
    for leaf in tf.nest.flatten(inputs):
        if isinstance(network, Embedded) and leaf.dtype.kind != "f":
            # Ids are there beside their vectors, which are the players.
            members.append(np.full(len(leaf), -1, "int32"))
            continue
        numbers = players_of(
            leaf, which if which is not None else ("positions" if isinstance(network, Embedded) else None), count
        )
        offset = total.reshape(-1, *[1] * (numbers.ndim - 1))
        members.append(np.where(numbers < 0, -1, numbers + offset).astype("int32"))
        total = np.maximum(total, members[-1].reshape(len(leaf), -1).max(axis=1) + 1)
    return members, total
