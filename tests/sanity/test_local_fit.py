"""Local fit: whatever a check asks, a method whose model does not fit the score around a sample decides nothing."""

import numpy as np
import pytest

import lab
from lab.estimates import Estimate, estimator
from sanity.examination import measure
from sanity.gates import local_fit
from sanity.subject import subject
from sanity.verdict import judge


def fitting(share):
    @estimator
    def fitted(network, inputs, objective):
        maps = lab.gradient(network, inputs, objective)
        return Estimate(maps, fits=np.full(len(maps), share))

    return fitted


@pytest.fixture(scope="module")
def images(small):
    names = tuple("abcdefgh")
    return subject(
        small, lab.Data(names, tuple((255 * np.random.default_rng(0).random((8, 16, 16, 3))).astype("uint8")))
    )


@pytest.mark.parametrize("check", ["parameters", "image_crossing", "sensitivity", "completeness"])
def test_a_poor_fit_is_invalid_under_every_check_that_judges_maps(images, check):
    for share, status in ((0.9, "passed"), (0.3, "failed")):
        evidence, trace = measure(check, fitting(share), images, seed=0)
        assert trace is None and [gate.status for gate in evidence.gates if gate.name == "local fit"] == [status]
        verdict = judge([evidence], seed=0)[0]
        assert (verdict.finding == "GATE FAILED" and "the fit explains 30% of the score" in verdict.why) == (
            share < 0.5
        )


def test_untrained_networks_need_no_fit_and_samples_without_parts_do_not_count():
    assert local_fit([]) == [] and local_fit([(("random network", 1), np.zeros(3))]) == []
    assert local_fit([("smoothing of ('random network', 1)", np.zeros(3))]) == []
    (gate,) = local_fit([("own", np.array([0.8, np.nan, 0.7])), (("random network", 0), np.zeros(9))])
    assert gate.status == "passed" and "of 2 maps" in gate.words
