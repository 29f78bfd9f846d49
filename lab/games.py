"""Games: an input's parts as players, whose coalitions a network scores while the other parts are replaced.

explain_by(estimate, network, inputs, ...) -> maps        what an estimate finds for every player, laid over the inputs
estimate_by(estimate, network, inputs, ...) -> Estimate   the same with standard errors
games_of(network, inputs, ...) -> (rows, Game) ...        samples of equally many players
expected_players(network, players, count) -> int          how many there are about, before any input is there
"""

from dataclasses import dataclass, replace

import numpy as np

from lab import chunks
from lab.embeddings import Embedded
from lab.environment import tf
from lab.estimates import Estimate
from lab.fills import nearness
from lab.masking import coalition_scores
from lab.players import extent_of, players_of, without_gaps
from lab.refusal import Refused


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
        fill: str, how parts are filled: "values" of the references; "inpaint", from what is left; "conditional", references that
            count by their nearness.
    """

    network: object
    inputs: object
    objective: object
    members: list
    references: object
    players: int
    fill: str = "values"

    def take(self, rows):
        """The same game of some samples, by indices: `Game`."""
        inputs, members, references = chunks.take((self.inputs, self.members, self.references), rows)
        return replace(self, inputs=inputs, members=members, references=references, objective=self.objective.rows(rows))

    def scores(self, coalitions, rows=None):
        """The score of each sample of which a coalition is left.

        Args:
            coalitions: bool [coalitions, players].
            rows: indices of the samples; None: all.

        Returns:
            float64 [batch, coalitions].

        Raises:
            Refused: for scores that are not finite.
        """
        if rows is not None:
            return self.take(rows).scores(coalitions)
        parts = (self.network, self.inputs, self.objective, self.members, coalitions, self.references)
        scores = coalition_scores(*parts, self.fill).astype("float64")
        if not np.isfinite(scores).all():
            raise Refused(
                "Scores are numbers, whatever parts are taken away. Received: NaN or infinity, as where baseline= is the value that marks masked steps. Give another baseline."
            )
        if self.fill != "conditional":
            return scores.mean(axis=2)
        return np.einsum("bcr,bcr->bc", scores, self._nearness(coalitions))

    def _nearness(self, coalitions):
        """How much each reference counts for each coalition: float64 [batch, coalitions, references]."""
        (rows,), (references,) = tf.nest.flatten(self.inputs), tf.nest.flatten(self.references)
        weights = np.empty((len(rows), len(coalitions), references.shape[1]))
        # Samples whose parts are the same columns.
        kinds, numbers = np.unique(self.members[0], axis=0, return_inverse=True)
        for kind, members in enumerate(kinds):
            alike = np.flatnonzero(numbers.ravel() == kind)
            there = [nearness(rows[alike], references[0], coalition[members]) for coalition in coalitions]
            weights[alike] = np.stack(there, axis=1)
        return weights


def games_of(network, inputs, objective, references, *, players=None, count=49, usual=None, fill="values"):
    """Samples of equally many players as one game.

    Args:
        network: as of `explain_by`.
        inputs: as of `explain_by`.
        objective: as of `explain_by`.
        references: as of `explain_by`.
        players: as of `explain_by`.
        count: as of `explain_by`.
        usual: as of `explain_by`.
        fill: as of `Game`.

    Returns:
        iterator of pairs: indices of the samples, and their `Game`. Samples without any player are in none.
    """
    sources = sources_of(network, inputs, references)
    members, totals = _number_players(network, inputs, sources, players, count, usual)
    if fill != "values" and any((leaf < 0).any() for leaf in members):
        raise Refused(
            f"baseline={fill!r} takes inputs all of whose positions are parts. Received: positions of no part, -1. Give them a part, or a number or an array as baseline."
        )
    whole = Game(network, inputs, objective, members, references, 0, fill)
    for total in np.unique(totals[totals > 0]):
        rows = np.flatnonzero(totals == total)
        yield rows, replace(whole.take(rows), players=int(total))


def explain_by(
    estimate, network, inputs, objective, references, *, players=None, count=49, share=True, usual=None, fill="values"
):
    """What an estimate finds for every player, laid over the positions of the players.

    Samples of equally many players are asked together, so that no sample's map depends on the others'. What the network masks
    is no player. A sample without any player has a map of zeros.

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
        usual: str, the kind of players of images where none is named; None: patches.
        fill: str, as of `Game`.

    Returns:
        float32 in the structure and shape of the inputs.
    """

    def without_errors(game):
        values = estimate(game)
        return Estimate(values, None, np.zeros(len(values), int), np.zeros(len(values)))

    options = {"players": players, "count": count, "share": share, "usual": usual, "fill": fill}
    return estimate_by(without_errors, network, inputs, objective, references, **options).values


def estimate_by(
    estimate, network, inputs, objective, references, *, players=None, count=49, share=True, usual=None, fill="values"
):
    """As `explain_by`, of an estimate with errors, which are laid out as its values are.

    Args:
        estimate: function `(Game) -> Estimate` of values [batch, players].
        network: as of `explain_by`.
        inputs: as of `explain_by`.
        objective: as of `explain_by`.
        references: as of `explain_by`.
        players: as of `explain_by`.
        count: as of `explain_by`.
        share: as of `explain_by`.
        usual: as of `explain_by`.
        fill: as of `explain_by`.

    Returns:
        `Estimate` of maps, float32 in the structure and shape of the inputs.
    """
    sources = sources_of(network, inputs, references)
    maps, errors = ([np.zeros(leaf.shape, "float32") for leaf in tf.nest.flatten(inputs)] for _ in range(2))
    samples, largest, fits = np.zeros(len(maps[0]), int), np.zeros(len(maps[0])), np.full(len(maps[0]), np.nan)
    options = {"players": players, "count": count, "usual": usual, "fill": fill}
    for rows, game in games_of(network, inputs, objective, references, **options):
        drawn = estimate(game)
        samples[rows], largest[rows] = drawn.samples, drawn.largest
        fits[rows] = np.nan if drawn.fits is None else drawn.fits
        for place, (numbers, source) in enumerate(zip(game.members, sources)):
            # Several Embedding layers may look one input up. Their maps are added for each token.
            parts = max(1, sources.count(source))
            known = ((maps, drawn.values), *(() if drawn.errors is None else ((errors, drawn.errors),)))
            for leaves, values in known:
                leaves[place][rows] = lay_out(values / parts, numbers, leaves[place].shape[1:], share)
    fits = None if np.isnan(fits).all() else fits
    return Estimate(*(tf.nest.pack_sequence_as(inputs, leaves) for leaves in (maps, errors)), samples, largest, fits)


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


def masked_positions(network, inputs):
    """Which positions the network masks.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.

    Returns:
        list over leaves of bool [batch, ...], or False where it masks nothing.
    """
    kept = network.kept_mask(inputs)
    if kept is None:
        return [False] * len(tf.nest.flatten(inputs))
    return [leaf.any(axis=-1) if leaf.ndim > 2 else leaf for leaf in tf.nest.flatten(kept)]


def sources_of(network, inputs, references):
    """What the positions of each leaf belong to: equal where several Embedding layers look one input up.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        references: arrays [batch, references, ...] in their structure.

    Returns:
        list over leaves of int or str; None for ids of which nothing is replaced.
    """
    leaves = tf.nest.flatten(inputs)
    vectors = sorted(network.sources) if isinstance(network, Embedded) else []
    sources = list(range(len(leaves)))
    for place, address in enumerate(vectors, len(leaves) - len(vectors)):
        sources[place] = f"ids {network.sources[address]}"
    for place, (leaf, reference) in enumerate(zip(leaves, tf.nest.flatten(references))):
        if leaf.dtype.kind != "f" and (
            vectors or np.array_equal(np.broadcast_to(leaf[:, None], reference.shape), reference)
        ):
            sources[place] = None
    return sources


def _number_players(network, inputs, sources, which, count, usual):
    """The player of every position, numbered over all sources: list of int32 arrays, and how many there are in each sample."""
    leaves, masked = tf.nest.flatten(inputs), masked_positions(network, inputs)
    members, total = {None: np.full(len(leaves[0]), -1, "int32")}, np.zeros(len(leaves[0]), int)
    names, maps = set(sources) - {None}, _maps_of_leaves(leaves, which)
    for leaf, source, mask, numbers in zip(leaves, sources, masked, maps):
        if source in members:
            continue
        numbers = players_of(leaf, _kind_of_players(leaf, source, numbers, usual, len(names)), count)
        numbers = without_gaps(np.where(mask, -1, numbers))
        offset = total.reshape(-1, *[1] * (numbers.ndim - 1))
        members[source] = np.where(numbers < 0, -1, numbers + offset).astype("int32")
        total = np.maximum(total, members[source].reshape(len(leaf), -1).max(axis=1) + 1)
    return [members[source] for source in sources], total


def _maps_of_leaves(leaves, which):
    """The players of each leaf: one kind for all, or a map for each: list."""
    if which is None or isinstance(which, str) or len(leaves) == 1:
        return [which] * len(leaves)
    maps = tf.nest.flatten(which)
    if len(maps) != len(leaves):
        raise Refused(
            f"A network of {len(leaves)} inputs takes a map of players for each, in their structure. Received: {len(maps)}."
        )
    return maps


def _kind_of_players(leaf, source, which, usual, inputs):
    """The players of one leaf: what is named, tokens, or what is usual for images."""
    if isinstance(which, str) and which == "superpixels" and leaf.ndim != 4 and inputs > 1:
        return None
    if which is None and isinstance(source, str):
        return "positions"
    return usual if which is None and leaf.ndim == 4 else which


def expected_players(network, players, count):
    """About how many players a sample has, for estimates of the work.

    Args:
        network: a `Network`; None in a world before training, where nothing is known of the inputs.
        players: as of `lab.players.players_of`.
        count: int.

    Returns:
        int of 1 or more.
    """
    if network is None:
        return max(1, count)
    if players is not None and not isinstance(players, str):
        return sum(len(np.unique(numbers)) for numbers in _maps_of_leaves(tf.nest.flatten(network.spec), players))
    total = 0
    for leaf in tf.nest.flatten(network.spec):
        every = int(np.prod([side or 1 for side in extent_of(leaf.shape)]))
        total += every if players == "positions" or (players is None and len(leaf.shape) < 3) else min(every, count)
    return max(1, total)
