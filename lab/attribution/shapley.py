"""Shapley values: what each part of an input adds to the score, over all coalitions of the others."""

import warnings

import numpy as np

from lab import hierarchy, owen, shapley
from lab.attribution import explainers
from lab.attribution.options import check_above, positive_integer, whole_seed
from lab.attribution.references import as_references, fill_of, kept_baselines, passes_of
from lab.embeddings import at_embeddings
from lab.environment import tf
from lab.estimates import Estimate, estimator
from lab.games import estimate_by
from lab.kinds import TABLE, kind_of
from lab.refusal import Refused


@explainers.register(
    resolution="parts",
    needs="scores",
    complete=kept_baselines,
    cost=lambda network, options: _cost(2.0 ** min(16, passes_of(network, options)[0]), network, options),
)
@estimator
@at_embeddings
def exact_shapley(network, inputs, objective, *, players=None, count=9, baseline=0.0, baselines=None):
    """Exact Shapley values of at most 16 parts of each input, from the scores of all their coalitions (Shapley 1953, https://doi.org/10.1515/9781400881970-018).

    Args:
        players: the parts: "positions", "patches", "superpixels", or a whole number for every position, -1 for what is always
            there; None: columns, tokens, or patches.
        count: about how many patches or superpixels.
        baseline: a number in units of the input, or an array (structure) that broadcasts against the inputs, in whose values
            parts that are not there lie. For token ids: ids, or the number in every embedding vector. "mean" or "blur" of each
            sample of images, volumes and series; "inpaint", smoothly from what is left of an image or series; "conditional", for
            columns of a table: rows of its background, which count by how near they are in the columns that are there. "mask", for
            texts: the mask token, which is the default where the tokenizer has one, else padding.
        baselines: several in its place, a list of numbers or arrays [baselines, ...]; the scores are averaged.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. The numbers of a part add up to its
        value, and all of them to score(inputs) - score(what is left when all parts are taken away).

    Raises:
        Refused: for more than 16 parts.
    """

    def estimate(game):
        values = shapley.exact_values(game.scores, game.players)
        return Estimate(values, np.zeros_like(values), np.full(len(values), 2**game.players - 2), np.zeros(len(values)))

    return _explain(network, inputs, objective, estimate, players, count, baseline, baselines)


@explainers.register(
    resolution="parts",
    needs="scores",
    complete=kept_baselines,
    cost=lambda network, options: _cost(_most(options, "samples"), network, options),
)
@estimator
@at_embeddings
def kernel_shap(
    network,
    inputs,
    objective,
    *,
    samples=512,
    error=None,
    most=None,
    players=None,
    count=49,
    baseline=0.0,
    baselines=None,
    seed,
):
    """KernelSHAP, Shapley values by a weighted regression on coalitions (Lundberg, Lee 2017, https://arxiv.org/abs/1705.07874).

    Coalitions are drawn by their leverage, beside their complements and without repetition (Musco, Witter 2025,
    https://arxiv.org/abs/2410.01917). Where the samples hold all of them, the values are exact. Standard errors: `lab.shapley`.

    Args:
        samples: coalitions, at least twice the parts; with `error`, those of the first round.
        error: a standard error in units of the score. The number of coalitions is doubled until no part of a sample has a
            larger one, and what was computed is kept; None: `samples` are drawn.
        most: with `error`, coalitions at most; there sampling ends with a warning; None: 32 times `samples`.
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
    _check_stop("samples", samples, error, most)

    def estimate(game):
        rng = np.random.default_rng(rng_seed)
        return shapley.kernel_values(game.scores, game.players, samples, rng, error, most)

    drawn = _explain(network, inputs, objective, estimate, players, count, baseline, baselines)
    return _warn_of_error("kernel_shap", drawn, error)


@explainers.register(
    resolution="parts",
    needs="scores",
    complete=kept_baselines,
    cost=lambda network, options: _cost(
        _most(options, "permutations") * passes_of(network, options)[0] * (1 + options["paired"]), network, options
    ),
)
@estimator
@at_embeddings
def permutation_shap(
    network,
    inputs,
    objective,
    *,
    permutations=5,
    error=None,
    most=None,
    paired=True,
    players=None,
    count=49,
    baseline=0.0,
    baselines=None,
    seed,
):
    """Shapley values along random orders of the parts (Castro, Gomez, Tejada 2009, https://doi.org/10.1016/j.cor.2008.04.004).

    Each order is also gone backwards (Mitchell, Cooper, Frank, Holmes 2022, https://arxiv.org/abs/2104.12199). With
    `paired=False` this is the ApproShapley of the first paper, which captum calls ShapleyValueSampling.

    Args:
        permutations: how many orders; with `error`, those of the first round.
        error: a standard error in units of the score, as of `kernel_shap`.
        most: with `error`, orders at most; None: 32 times `permutations`.
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
    _check_stop("permutations", permutations, error, most)

    def estimate(game):
        rng = np.random.default_rng(rng_seed)
        return shapley.permutation_values(game.scores, game.players, permutations, rng, paired, error, most)

    drawn = _explain(network, inputs, objective, estimate, players, count, baseline, baselines)
    return _warn_of_error("permutation_shap", drawn, error)


@explainers.register(
    resolution="parts",
    needs="scores",
    complete=kept_baselines,
    cost=lambda network, options: _cost(options["samples"], network, options),
)
@estimator
@at_embeddings
def owen_values(
    network, inputs, objective, *, samples=500, groups=None, players=None, count=196, baseline=0.0, baselines=None
):
    """Owen values, Shapley values where parts lie in groups that join a coalition together (Owen 1977, https://doi.org/10.1007/978-3-642-45494-3_7).

    Patches, superpixels and tokens are halved again and again by where they lie. The groups that add most are split first, as
    far as the samples reach, as the Partition explainer of shap does. Parts of a group that was not split share evenly. Several
    levels: Winter 1989, https://doi.org/10.1007/BF01268161.

    Args:
        samples: scores of coalitions for each input at most.
        groups: the number of the group of each part, or several rows of them, the largest groups first; each group has at most
            16 parts. None: halves, but the columns of a table are one group, which gives Shapley values.
        players: as of `exact_shapley`.
        count: about how many patches or superpixels.
        baseline: as of `exact_shapley`.
        baselines: as of `exact_shapley`.

    Returns:
        signed float32 in the structure and shape of the inputs, as of `exact_shapley`. In `lab.explain` the standard error is 0
        for parts whose value is exact, and NaN for those of a group that was not split.

    Raises:
        Refused: for groups that fit no part, and for a group of more than 16 parts.
    """
    samples = positive_integer("samples", samples)

    def estimate(game):
        answers = [_owen_values(game.take([row]), groups, samples) for row in range(len(game.members[0]))]
        values, exact, counts = (np.stack(column) for column in zip(*answers))
        errors = np.where(exact, 0.0, np.nan)
        return Estimate(values, errors, counts, errors.max(axis=1))

    return _explain(network, inputs, objective, estimate, players, count, baseline, baselines)


def _owen_values(game, groups, samples):
    """Values, which are exact, and the number of scores, of the one sample of a game."""
    if groups is not None:
        tree = hierarchy.from_levels(groups, list(range(game.players)))
    else:
        # Several Embedding layers may look one input up.
        leaves = {
            members.tobytes(): (members[0], leaf) for members, leaf in zip(game.members, tf.nest.flatten(game.inputs))
        }
        trees = [_by_place(*pair) for pair in leaves.values() if (pair[0] >= 0).any()]
        tree = trees[0] if len(trees) == 1 else tuple(trees)
    return owen.owen_values(lambda coalitions: game.scores(coalitions)[0], tree, samples)


def _by_place(members, leaf):
    """Halves of where players lie, or one group where places have no order, as the columns of a table: hierarchy."""
    if kind_of(leaf) is not TABLE:
        return hierarchy.halved(members)
    columns = members[members >= 0].ravel()
    return hierarchy.from_levels(np.zeros(len(columns), int), columns.tolist())


def _explain(network, inputs, objective, estimate, players, count, baseline, baselines):
    arrays = network.inputs(inputs)
    fill, references = fill_of(arrays, baseline, baselines), as_references(network, arrays, baseline, baselines)
    options = {"players": players, "count": positive_integer("count", count), "fill": fill}
    return estimate_by(estimate, network, arrays, objective, references, **options)


def _check_stop(name, number, error, most):
    """Refuse an error that no sampling reaches, and a most that goes with none or is below the first round."""
    if error is not None:
        check_above("error", error, 0)
    if most is not None and error is None:
        raise Refused(
            f"most goes with error, at which sampling stops. Received: most={most!r} alone. Give error=, or {name}= alone."
        )
    if most is not None and positive_integer("most", most) < number:
        raise Refused(
            f"most is at least {name}, those of the first round. Received: most={most!r} and {name}={number}."
        )


def _warn_of_error(name, drawn, error):
    """Warn of samples whose error was not reached; the estimate as it is."""
    short = np.flatnonzero(~(drawn.largest <= (np.inf if error is None else error)))
    if error is not None and len(short):
        largest = drawn.largest[short]
        reached = "not known" if np.isnan(largest).any() else f"{largest.max():.3g}"
        warnings.warn(
            f"{name} stopped after {drawn.samples[short].max()} scores for {len(short)} of {len(drawn.largest)} samples, with a standard error of {reached} in the place of {error:.3g}: give a larger most=",
            stacklevel=3,
        )
    return drawn


def _most(options, name):
    """Samples at most, where an error is to be reached, else the samples."""
    return shapley.rounds_of(options[name], options["error"], options["most"])[-1]


def _cost(coalitions, network, options):
    """A forward pass is about a third of a gradient."""
    return coalitions * passes_of(network, options)[1] / 3
