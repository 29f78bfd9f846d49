"""Agreement of maps between baselines, beside scipy's and on networks where it is known."""

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

import lab
from tests import networks


@pytest.fixture(scope="module")
def table():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(12, "tanh"), keras.layers.Dense(2)])
    return lab.load(networks.filled(model)), np.random.default_rng(0).normal(size=(3, 5)).astype("float32")


def test_agreement_is_the_rank_correlation_of_single_baselines(table):
    network, rows = table
    baselines = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")
    agreement = lab.baseline_agreement(network, rows, lab.logit(1), method="exact_shapley", baselines=baselines)
    maps = [lab.exact_shapley(network, rows, lab.logit(1), baseline=baseline) for baseline in baselines]
    for row in range(3):
        np.testing.assert_allclose(agreement[row], spearmanr(np.stack(maps)[:, row].T).statistic, atol=1e-12)
    assert agreement.min() < 0.9


def test_baselines_that_are_nearly_one_agree_and_a_constant_map_agrees_with_none(table):
    network, rows = table
    options = {"method": "integrated_gradients", "steps": 20}
    alike = lab.baseline_agreement(network, rows, lab.logit(1), baselines=[0.0, 1e-4], **options)
    np.testing.assert_allclose(alike, 1, atol=1e-12)
    # From the input itself nothing is left to explain.
    same = lab.baseline_agreement(
        network, rows[:1], lab.logit(1), baselines=np.stack([rows[0], 0 * rows[0]]), **options
    )
    assert np.isnan(same[0, 0]).all() and same[0, 1, 1] == pytest.approx(1)


def test_bad_baselines_are_refused(table):
    network, rows = table
    with pytest.raises(lab.Refused, match="two or more. Received: 1"):
        lab.baseline_agreement(network, rows, 1, method="exact_shapley", baselines=[0.0])
    with pytest.raises(lab.Refused, match="Unknown option of gradient. Received: 'baselines'"):
        lab.baseline_agreement(network, rows, 1, method="gradient", baselines=[0.0, 1.0])
    with pytest.raises(lab.Refused, match="input"):
        lab.baseline_agreement(network, rows, 1, method="exact_shapley", baselines=np.zeros((2, 3), "float32"))
