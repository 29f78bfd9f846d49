"""Shapley values: what each part of an input adds to the score, over all coalitions of the others."""

import numpy as np

from lab import shapley
from lab.attribution import explainers
from lab.attribution.options import positive_integer, whole_seed
from lab.attribution.references import as_references, kept_baselines, passes_of
from lab.embeddings import at_embeddings
from lab.games import explain_by


@explainers.register(
    resolution="parts",
    needs="scores",
    complete=kept_baselines,
    cost=lambda network, options: _cost(2.0 ** min(16, passes_of(network, options)[0]), network, options),
)
@at_embeddings
def exact_shapley(network, inputs, objective, *, players=None, count=9, baseline=0.0, baselines=None):
    """Exact Shapley values of at most 16 parts of each input, from the scores of all their coalitions (Shapley 1953, https://doi.org/10.1515/9781400881970-018).

    Args:
        players: the parts: "positions", "patches", "superpixels", or a whole number for every position, -1 for what is always
            there; None: columns, tokens, or patches.
        count: about how many patches or superpixels.
        baseline: a number in units of the input, or an array (structure) that broadcasts against the inputs, in whose values
            parts that are not there lie. For token ids: ids, or the number in every embedding vector.
        baselines: several in its place, a list of numbers or arrays [baselines, ...]; the scores are averaged.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. The numbers of a part add up to its
        value, and all of them to score(inputs) - score(what is left when all parts are taken away).

    Raises:
        Refused: for more than 16 parts.
    """

    def estimate(game):
        return shapley.exact_values(game.scores, game.players)

    return _explain(network, inputs, objective, estimate, players, count, baseline, baselines)


@explainers.register(
    resolution="parts",
    needs="scores",
    complete=kept_baselines,
    cost=lambda network, options: _cost(options["samples"], network, options),
)
@at_embeddings
def kernel_shap(network, inputs, objective, *, samples=512, players=None, count=49, baseline=0.0, baselines=None, seed):
    """KernelSHAP, Shapley values by a weighted regression on coalitions (Lundberg, Lee 2017, https://arxiv.org/abs/1705.07874).

    Coalitions are drawn by their leverage, beside their complements and without repetition (Musco, Witter 2025,
    https://arxiv.org/abs/2410.01917). Where the samples hold all of them, the values are exact.

    Args:
        samples: coalitions, at least twice the parts.
        players: as of `exact_shapley`.
        count: about how many patches or superpixels.
        baseline: as of `exact_shapley`.
        baselines: as of `exact_shapley`.
        seed: a whole number.

    Returns:
        signed float32 in the structure and shape of the inputs, as of `exact_shapley`.

    Raises:
        Refused: for too few samples.
    """
    samples, rng_seed = positive_integer("samples", samples), whole_seed(seed)

    def estimate(game):
        return shapley.kernel_values(game.scores, game.players, samples, np.random.default_rng(rng_seed))

    return _explain(network, inputs, objective, estimate, players, count, baseline, baselines)


@explainers.register(
    resolution="parts",
    needs="scores",
    complete=kept_baselines,
    cost=lambda network, options: _cost(
        options["permutations"] * passes_of(network, options)[0] * (1 + options["paired"]), network, options
    ),
)
@at_embeddings
def permutation_shap(
    network,
    inputs,
    objective,
    *,
    permutations=5,
    paired=True,
    players=None,
    count=49,
    baseline=0.0,
    baselines=None,
    seed,
):
    """Shapley values along random orders of the parts (Castro, Gomez, Tejada 2009, https://doi.org/10.1016/j.cor.2008.04.004).

    Each order is also gone backwards (Mitchell, Cooper, Frank, Holmes 2022, https://arxiv.org/abs/2104.12199).

    Args:
        permutations: how many orders.
        paired: whether each is also gone backwards.
        players: as of `exact_shapley`.
        count: about how many patches or superpixels.
        baseline: as of `exact_shapley`.
        baselines: as of `exact_shapley`.
        seed: a whole number.

    Returns:
        signed float32 in the structure and shape of the inputs, as of `exact_shapley`.
    """
    permutations, rng_seed = positive_integer("permutations", permutations), whole_seed(seed)

    def estimate(game):
        rng = np.random.default_rng(rng_seed)
        return shapley.permutation_values(game.scores, game.players, permutations, rng, paired)

    return _explain(network, inputs, objective, estimate, players, count, baseline, baselines)


def _explain(network, inputs, objective, estimate, players, count, baseline, baselines):
    arrays = network.inputs(inputs)
    references = as_references(network, arrays, baseline, baselines)
    options = {"players": players, "count": positive_integer("count", count)}
    return explain_by(estimate, network, arrays, objective, references, **options)


def _cost(coalitions, network, options):
    """A forward pass is about a third of a gradient."""
    return coalitions * passes_of(network, options)[1] / 3
