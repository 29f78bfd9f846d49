"""Manifold: rows that a method makes are told from real ones where columns go together, and not where they do not."""

import functools

import numpy as np
import pytest

import lab
from lab.attribution import explainers
from sanity.manifold import off_manifold

RNG = np.random.default_rng(0)
COMMON = RNG.normal(size=(300, 1))
# Columns that all follow one number, and columns that follow nothing.
TOGETHER = (COMMON + 0.2 * RNG.normal(size=(300, 6))).astype("float32")
APART = RNG.normal(size=(300, 6)).astype("float32")


def total(rows):
    return rows.sum(axis=1)


@functools.cache
def by_the_mean(method):
    """How well rows are told that a method makes of the mean, where columns go together."""
    return off_manifold(lab.function(total, TOGETHER), method=method)


def test_independent_columns_from_other_rows_make_rows_like_any(recwarn):
    told = off_manifold(lab.function(total, APART), method="kernel_shap", baselines=APART[:40])
    assert told.low < 0.5 < told.high + 0.1 and told.share - told.false < 0.3 and not told.is_warned_of
    assert told.rows == 100 and "rows that do not occur" not in str(told)


def test_one_column_at_a_time_comes_closer():
    separation = off_manifold(lab.function(total, TOGETHER), method="feature_ablation")
    assert separation.false + 0.3 < separation.share < 0.9


@pytest.mark.parametrize("method", ["kernel_shap", "permutation_shap", "lime"])
def test_the_mean_in_columns_that_go_together_is_told_from_every_row(method):
    told = by_the_mean(method)
    assert told.low > 0.7 and told.false < 0.2 and told.is_warned_of and "rows that do not occur" in str(told)


def test_rows_of_the_data_come_closer_than_their_mean():
    network = lab.function(total, TOGETHER)
    near = off_manifold(network, method="kernel_shap", baselines=TOGETHER[:40])
    assert near.share < by_the_mean("kernel_shap").share - 0.1


def test_a_function_that_hides_its_column_where_no_row_lies_is_warned_of():
    """The scaffolding of Slack et al.: the first column decides on real rows, the second everywhere else."""

    def hides(rows):
        far = np.abs(rows - np.median(rows, axis=1, keepdims=True)).max(axis=1) > 0.75
        return np.where(far, rows[:, 1], rows[:, 0])

    network = lab.function(hides, TOGETHER)
    apart = np.abs(COMMON[:, 0]) > 1.5
    maps = np.abs(lab.explain(network, TOGETHER[apart], lab.logit(0), method="kernel_shap").maps)
    assert maps[:, 1].mean() > maps[:, 0].mean(), "the map shows the column that hides the other"
    assert off_manifold(network, method="kernel_shap").is_warned_of


def test_the_same_seed_gives_the_same_share():
    network = lab.function(total, TOGETHER)
    assert off_manifold(network, method="lime", seed=0) == by_the_mean("lime")


def test_what_makes_no_rows_or_has_too_few_is_refused(small):
    network = lab.function(total, APART)
    with pytest.raises(lab.Refused, match="asks for scores alone. Received: gradient"):
        off_manifold(network, method="gradient")
    with pytest.raises(lab.Refused, match="count alike. Received: baseline='conditional'"):
        off_manifold(network, method="kernel_shap", baseline="conditional")
    one_part = {"method": "kernel_shap", "players": np.zeros(6, int)}
    with pytest.raises(lab.Refused, match="25 or more that differ. Received: 1 by kernel_shap"):
        off_manifold(network, **one_part)
    with pytest.raises(lab.Refused, match="50 rows or more. Received: 20"):
        off_manifold(network, method="lime", rows=APART[:20])
    with pytest.raises(lab.Refused, match="known by the background"):
        off_manifold(small, method="lime")
    with pytest.raises(lab.Refused, match="25 or more that differ. Received: 0 by noise"):
        off_manifold(
            network, method=next(explainers.get(name) for name in explainers.names(control=True) if name == "noise")
        )
