"""LIME: a linear model of the score around each input."""

from dataclasses import replace

import numpy as np
from scipy.spatial.distance import cdist

from lab.attribution import explainers
from lab.attribution.options import check_at_least, positive_integer, whole_seed
from lab.attribution.references import as_references, fill_of, passes_of
from lab.embeddings import at_embeddings
from lab.estimates import Estimate, estimator
from lab.games import estimate_by


@explainers.register(
    resolution="parts",
    needs="scores",
    cost=lambda network, options: options["samples"] * passes_of(network, options)[1] / 3,
)
@estimator
@at_embeddings
def lime(
    network,
    inputs,
    objective,
    *,
    samples=1000,
    players=None,
    count=49,
    kernel_width=0.25,
    ridge=1.0,
    baseline=0.0,
    baselines=None,
    seed,
):
    """LIME, the weights of a ridge regression on which parts are there (Ribeiro, Singh, Guestrin 2016, https://arxiv.org/abs/1602.04938).

    Each part is there with probability 1/2. Coalitions count by their cosine distance to the whole input. Parts of images are
    superpixels. Where the linear model explains less than half of the weighted variance (R2, of scores that it did not learn), the
    record flags the sample, and no check decides.

    Args:
        samples: coalitions, the whole input among them.
        players: as of `exact_shapley`; None: superpixels of images.
        count: about how many patches or superpixels.
        kernel_width: how far a coalition may be from the whole and count, in cosine distance.
        ridge: penalty of the regression.
        baseline: as of `exact_shapley`.
        baselines: as of `exact_shapley`.
        seed: a whole number.

    Returns:
        signed float32 in the structure and shape of the inputs. The channels of a position add up to the weight of its part.
        `lab.explain` also has the R2 of each sample.

    Raises:
        Refused: for an option out of range.
    """
    samples, rng_seed = positive_integer("samples", samples), whole_seed(seed)
    check_at_least("kernel_width", kernel_width, 1e-6)
    check_at_least("ridge", ridge, 0)

    def estimate(game):
        coalitions = np.random.default_rng(rng_seed).random((samples, game.players)) < 0.5
        coalitions[0] = True
        values, fits = local_weights(coalitions, game.scores(coalitions), kernel_width, ridge)
        return Estimate(values, None, np.full(len(values), samples), np.zeros(len(values)), fits)

    arrays = network.inputs(inputs)
    fill, references = fill_of(arrays, baseline, baselines), as_references(network, arrays, baseline, baselines)
    options = {
        "players": players,
        "count": positive_integer("count", count),
        "share": False,
        "usual": "superpixels",
        "fill": fill,
    }
    fitted = estimate_by(estimate, network, arrays, objective, references, **options)
    # Its weights carry no standard errors.
    return replace(fitted, errors=None, samples=None, largest=None)


def local_weights(coalitions, scores, kernel_width, ridge):
    """Weights of a ridge regression of scores on coalitions near the whole, and how well it fits.

    Args:
        coalitions: bool [coalitions, players].
        scores: float64 [samples, coalitions].
        kernel_width: float, in cosine distance.
        ridge: float, penalty.

    Returns:
        float64 [samples, players]; float64 [samples], the share of the weighted variance that is explained, each score predicted
        without itself (leave-one-out, in closed form); 1 where there is no variance.
    """
    from sklearn.linear_model import Ridge

    whole = np.ones((1, coalitions.shape[1]))
    # The empty coalition has no angle, and is as far as can be.
    distances = np.nan_to_num(cdist(coalitions.astype("float64"), whole, "cosine")[:, 0], nan=1.0)
    weights = np.exp(-(distances**2) / kernel_width**2)
    there = coalitions.astype("float64")
    model = Ridge(alpha=ridge).fit(there, scores.T, sample_weight=weights)
    residuals = scores - model.predict(there).T.reshape(scores.shape)
    rest = (residuals / (1 - _leverages(there, weights, ridge))) ** 2 @ weights
    means = scores @ weights / weights.sum()
    deviations = (scores - means[:, None]) / (1 - weights / weights.sum())
    variance = deviations**2 @ weights
    # Below this a score is constant up to the rounding of float32.
    rounding = (np.finfo("float32").eps * np.abs(means)) ** 2 * weights.sum()
    fit = 1 - np.divide(rest, variance, out=np.zeros_like(rest), where=variance > rounding)
    return model.coef_.reshape(len(scores), -1), fit


def _leverages(there, weights, ridge):
    """How much each score decides its own prediction by the regression, at most almost 1: float64 [coalitions]."""
    means = weights @ there / weights.sum()
    centred = (there - means) * np.sqrt(weights)[:, None]
    inverse = np.linalg.pinv(centred.T @ centred + ridge * np.eye(there.shape[1]), hermitian=True)
    shares = weights / weights.sum() + np.einsum("cp,pq,cq->c", centred, inverse, centred, optimize=True)
    return np.minimum(shares, 1 - 1e-9)
