"""Estimates: what a method has drawn, with the standard error of every number, how many scores it took, and how well it fits.

@estimator makes an explainer of a function `(network, inputs, objective, **options) -> Estimate`.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

# A normal interval of 95 % reaches so many standard errors to each side.
REACH = stats.norm.ppf(0.975)
# Two draws may agree by chance.
FEWEST = 3


@dataclass(frozen=True)
class Estimate:
    """Numbers with their standard errors.

    Args:
        values: float64 [batch, players], or maps.
        errors: the standard errors, in the structure and shape of the values: 0 where a value is exact, NaN where too little was
            drawn to know.
        samples: int [batch], scores that were computed for each sample, beside those of the whole and of nothing.
        largest: float64 [batch], the largest standard error of a player of each sample. On a map a player's error is spread
            over its positions, as its value is.
        fits: float64 [batch], the share of the score's variance around each sample that the values explain (R2), NaN for a
            sample without parts. None for a method that fits no model.

    Errors, samples and largest are None where no error is stated.
    """

    values: object
    errors: object = None
    samples: np.ndarray | None = None
    largest: np.ndarray | None = None
    fits: np.ndarray | None = None

    def convert(self, function):
        """The same estimate with a function applied to its values and to its errors.

        Args:
            function: one that scales numbers or lays them out, and so treats errors as it treats values.

        Returns:
            `Estimate`.
        """
        errors = None if self.errors is None else function(self.errors)
        return replace(self, values=function(self.values), errors=errors)


def estimator(function):
    """Decorator that makes an explainer of a function that returns an `Estimate`.

    Called, the explainer returns the maps alone, as all do. `lab.explain` has the errors too.

    Args:
        function: `(network, inputs, objective, **options) -> Estimate`.

    Returns:
        an explainer `(network, inputs, objective, **options) -> maps`.
    """

    @functools.wraps(function)
    def explain(network, inputs, objective, **options):
        return function(network, inputs, objective, **options).values

    # With its owner, because `functools.wraps` around the explainer copies this attribute to another function.
    explain.estimate = (explain, function)
    return explain


def estimate_of(explainer):
    """What states the errors of an explainer: the function below `estimator`, or the explainer itself where it states none.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.

    Returns:
        callable.
    """
    match getattr(explainer, "estimate", None):
        case (owner, function) if owner is explainer:
            return function
    return explainer


def errors_of_means(variances, count):
    """Standard errors of means of independent draws.

    They are widened as Student's t is wider than the normal distribution, so that 1.96 of them make an interval of 95 %.

    Args:
        variances: float64 array, of the draws around their mean.
        count: int, draws.

    Returns:
        float64 array; NaN for fewer than `FEWEST` draws.
    """
    if count < FEWEST:
        return np.full(np.shape(variances), np.nan)
    return stats.t.ppf(0.975, count - 1) / REACH * np.sqrt(variances / (count - 1))
