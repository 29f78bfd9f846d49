"""Interactions: how much more two parts of an input add to the score together than each of them alone.

shapley_interactions(network, inputs, objective, ...) -> float32 [batch, players, players]
"""

import itertools

import numpy as np

from lab.attribution.calls import baseline_options
from lab.attribution.options import positive_integer, whole_seed
from lab.attribution.references import as_references, fill_of
from lab.embeddings import options_to_embeddings, to_embeddings
from lab.environment import tf
from lab.estimates import errors_of_means
from lab.games import games_of
from lab.network import refuse_no_network
from lab.refusal import Refused
from lab.shapley import MOST_EXACT, all_coalitions, chances
from lab.targets import as_objective


def shapley_interactions(
    network,
    inputs,
    objective="top",
    *,
    draws=None,
    players=None,
    count=9,
    baseline=None,
    baselines=None,
    seed=0,
    errors=False,
):
    """Shapley interactions of every two parts of each input (Grabisch, Roubens 1999, https://doi.org/10.1007/s001820050125).

    An interaction is the mean of score(S and both) - score(S and one) - score(S and the other) + score(S). S are the parts that
    come before the two in a random order in which they stand together. Above 0 the two add more together than alone; where the
    score is a sum of what parts add, it is 0.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: as of `lab.explain`.
        draws: how many S are drawn for every two parts; each takes about parts ** 2 scores. None: all, for at most 16 parts.
        players: as of `lab.exact_shapley`.
        count: about how many patches or superpixels.
        baseline: as of `lab.exact_shapley`; None: the mean row of a table whose background is known, else 0.
        baselines: as of `lab.exact_shapley`.
        seed: a whole number, of the draws.
        errors: whether to return standard errors too.

    Returns:
        float32 [batch, players, players], symmetric, in units of the score; NaN on the diagonal, and for parts that only other
        samples have. With `errors` a pair of such arrays, the second of standard errors: 0 where all S were scored, NaN for
        fewer than three draws.

    Raises:
        Refused: for more than 16 parts without `draws`, and for inputs of one part.
    """
    refuse_no_network(network)
    arrays = network.inputs(inputs)
    objective = as_objective(network, arrays, objective)
    draws, rng_seed = None if draws is None else positive_integer("draws", draws), whole_seed(seed)
    options = {"baseline": baseline, "baselines": baselines}
    options = {name: value for name, value in options.items() if value is not None}
    options = options_to_embeddings(network, baseline_options(network, options))
    embedded, arrays = to_embeddings(network, arrays)
    references = as_references(embedded, arrays, **options)
    parts = {"players": players, "count": positive_integer("count", count), "fill": fill_of(arrays, **options)}
    games = list(games_of(embedded, arrays, objective, references, **parts))
    most = max([game.players for _, game in games], default=0)
    if most < 2:
        raise Refused(
            f"Interactions are those of two parts or more. Received: {most}. Give a larger count=, or players=."
        )
    results = np.full((2, len(tf.nest.flatten(arrays)[0]), most, most), np.nan, "float32")
    for rows, game in games:
        places = np.ix_((0, 1), rows, range(game.players), range(game.players))
        results[places] = _interactions(game, draws, rng_seed)
    return tuple(results) if errors else results[0]


def _interactions(game, draws, seed):
    if draws is None:
        values = exact_interactions(game.scores, game.players)
        return values, values * 0
    return drawn_interactions(game.scores, game.players, draws, np.random.default_rng(seed))


def exact_interactions(scores, players):
    """Shapley interactions from the scores of all coalitions.

    Args:
        scores: a game, as of `lab.shapley`.
        players: int, at most 16.

    Returns:
        float64 [samples, players, players]; NaN on the diagonal.

    Raises:
        Refused: for more players.
    """
    if players > MOST_EXACT:
        raise Refused(
            f"Exact interactions ask all coalitions of at most {MOST_EXACT} players. Received: {players}. Use fewer, by count= or players=, or draw some of them: draws=10."
        )
    coalitions = all_coalitions(players)
    answers, sizes = scores(coalitions), coalitions.sum(axis=1)
    values = np.full((len(answers), players, players), np.nan)
    for one, other in itertools.combinations(range(players), 2):
        without = np.flatnonzero(~coalitions[:, one] & ~coalitions[:, other])
        first, second = 1 << one, 1 << other
        more = answers[:, without + first + second] - answers[:, without + first]
        more -= answers[:, without + second] - answers[:, without]
        # The two are one of the players that S comes before.
        values[:, one, other] = values[:, other, one] = more @ chances(sizes[without], players - 1)
    return values


def drawn_interactions(scores, players, draws, rng):
    """Shapley interactions from random orders in which each two players stand together once.

    Args:
        scores: a game, as of `lab.shapley`.
        players: int of 2 or more.
        draws: int, for every two players.
        rng: `numpy.random.Generator`.

    Returns:
        float64 [samples, players, players], and the standard errors alike; NaN on the diagonals.
    """
    drawn = np.stack([_draw(scores, players, rng) for _ in range(draws)])
    return drawn.mean(axis=0), errors_of_means(drawn.var(axis=0), draws)


def _draw(scores, players, rng):
    """One draw for every two players: float64 [samples, players, players]."""
    names = rng.permutation(players + players % 2)
    # Of an odd number of players one more takes part, and its places are left out.
    orders = names[_paths(len(names))]
    places = [(order, place) for order in orders for place in range(len(order) - 1)]
    places = [(order, place) for order, place in places if max(order[place : place + 2]) < players]
    answers = scores(np.concatenate([_around(order, place, players) for order, place in places]))
    more = answers.reshape(len(answers), -1, 4) @ np.array([1.0, -1.0, -1.0, 1.0])
    first, second = (np.array([order[place + step] for order, place in places]) for step in (0, 1))
    values = np.full((len(answers), players, players), np.nan)
    values[:, first, second] = values[:, second, first] = more
    return values


def _paths(size):
    """Orders of an even number of players in which each two stand together once (Walecki, in Lucas 1892): int [size / 2, size]."""
    zigzag = np.array([step // 2 if step % 2 == 0 else -(step + 1) // 2 for step in range(size)])
    return (zigzag[None] + np.arange(size // 2)[:, None]) % size


def _around(order, place, players):
    """What comes before two neighbours with both, with either, and alone: bool [4, players]."""
    one, other = order[place : place + 2]
    rows = np.zeros((4, players + 1), bool)
    rows[:, order[:place]] = True
    rows[:2, one] = rows[[0, 2], other] = True
    return rows[:, :players]
