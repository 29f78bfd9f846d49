"""Belonging: tables of rows that were drawn alike, and shuffled tables of persons with rows that are near each other."""

import numpy as np

from sanity.audit.rows import Column, Rows


def rows_of(values):
    """Rows whose units nobody named."""
    return Rows(tuple(Column(f"c{place}", column) for place, column in enumerate(values.T)), np.arange(len(values)))


def alone(kind, seed, count):
    """Columns of rows that were drawn alike: float64 [rows, columns]."""
    return KINDS[kind](np.random.default_rng(seed), count).astype("float64")


def _factors(rng, count):
    return rng.normal(size=(count, 3)) @ rng.normal(size=(3, 20)) + 0.01 * rng.normal(size=(count, 20))


def _curve(rng, count):
    place = rng.normal(size=count)
    return np.stack([place, place**2, place**3, np.sin(3 * place)], axis=1) + 0.01 * rng.normal(size=(count, 4))


def _clusters(rng, count):
    """Eight kinds of rows, some of them close together."""
    kind = rng.integers(8, size=count)
    spread = rng.uniform(0.05, 1, 8)[kind, None]
    return 3 * rng.normal(size=(8, 10))[kind] + spread * rng.normal(size=(count, 10))


def _ties(rng, count):
    """Ages, prices in hundreds and counts."""
    prices = np.exp(rng.normal(8, 1, count)).round(-2)
    return np.stack([rng.integers(18, 90, count), prices, rng.integers(40, size=count), rng.poisson(30, count)], axis=1)


KINDS = {
    "normal, 10 columns": lambda rng, count: rng.normal(size=(count, 10)),
    "normal, 1 column": lambda rng, count: rng.normal(size=(count, 1)),
    "heavy tails, 8 columns": lambda rng, count: rng.standard_t(2, size=(count, 8)),
    "20 columns of three factors": _factors,
    "a curve in 4 columns": _curve,
    "eight clusters, 10 columns": _clusters,
    "6 columns of three categories": lambda rng, count: rng.integers(3, size=(count, 6)),
    "numbers and categories": lambda rng, count: np.hstack(
        [rng.normal(size=(count, 4)), rng.integers(4, size=(count, 6))]
    ),
    "ties": _ties,
    "half zeros, 6 columns": lambda rng, count: np.exp(rng.normal(size=(count, 6))) * (rng.random((count, 6)) < 0.5),
}


def _answers(rng, count, columns, levels):
    """Answers that go with one factor, of so many levels."""
    values = rng.normal(size=(count, 1)) + rng.normal(size=(count, columns))
    return np.digitize(values, np.linspace(-2, 2, levels - 1))


def _cars(rng, count):
    """Makers, models that go by the maker in no order, fuels that go by the model, and two columns by themselves."""
    maker = rng.integers(5, size=count)
    model = np.where(rng.random(count) < 0.8, 3 * maker % 5, rng.integers(5, size=count))
    fuel = np.where(rng.random(count) < 0.8, 2 * model % 5, rng.integers(5, size=count))
    return np.stack([maker, model, fuel, rng.integers(3, size=count), rng.integers(2, size=count)], axis=1)


SURVEYS = {
    "makers and models": _cars,
    "8 answers of one factor": lambda rng, count: _answers(rng, count, 8, 5),
    "15 symptoms": lambda rng, count: rng.normal(size=(count, 15)) + rng.normal(size=(count, 1)) > 1.2,
    "whole numbers": lambda rng, count: _answers(rng, count, 6, 7),
}


def persons(seed, count, *, columns=10, noise=0.2, fewest=4, most=8):
    """A shuffled table of persons of a few rows each, that differ by a little: values, and the person of each row."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(count), rng.integers(fewest, most + 1, count))[:count]
    owner = rng.permutation(owner)
    return rng.normal(size=(count, columns))[owner] + noise * rng.normal(size=(count, columns)), owner


def naive_share(values, seed=0):
    """The share of rows nearer to their neighbour than .99 of rows whose columns are drawn independently."""
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    drawn = np.random.default_rng(seed).permuted(scaled, axis=0)
    return np.mean(_nearest(scaled) < np.quantile(_nearest(drawn), 0.01))


def _nearest(values):
    squares = (values**2).sum(axis=1)
    squared = squares[:, None] + squares - 2 * values @ values.T
    np.fill_diagonal(squared, np.inf)
    return np.sqrt(np.maximum(squared.min(axis=1), 0))
