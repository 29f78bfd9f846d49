"""The check atom_effect: atoms that a head reads and does not read, random ones, and its rule on simulated changes."""

import numpy as np
import pytest

from lab import routines
from lab.concepts import Dictionary, learn
from lab.refusal import Refused
from sanity.checks.atom_effect import CHANGE, ORACLE, RANDOM, adjusted_p, atom_effect, judge_atom_effect
from sanity.evidence import Evidence
from sanity.examination import examine
from sanity.ruling import Margins
from sanity.verdict import judge
from tests.bench.dictionaries import (
    CHANNELS,
    findings_of,
    head_network,
    planted_subject,
    simulated_family,
    wrong_by_chance,
)


@pytest.fixture(scope="module")
def subject():
    return planted_subject(head_network(), images=16, seed=0)


def units(*places):
    """A dictionary whose atoms are single channels, which the network's layer has 0 or more of."""
    return Dictionary(np.eye(CHANNELS, dtype="float32")[list(places)], np.zeros(CHANNELS, "float32"), "pca")


def findings(evidence):
    return [verdict.finding for verdict in judge(evidence)]


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_atoms_that_the_head_reads_have_an_effect_and_others_have_none(kind):
    assert findings_of("read", kind, 16, 0) == ["EFFECT"] * 8
    assert findings_of("unread", kind, 16, 0) == ["NO MORE THAN RANDOM"] * 8


def test_the_change_is_that_of_the_score_without_the_atom(subject):
    dictionary = learn(
        routines.activations(subject.network, subject.inputs, "features").reshape(-1, CHANNELS), "pca", atoms=3, seed=0
    )
    evidence = atom_effect(subject, seed=0, layer="features", dictionary=dictionary, which=[1], draws=19)[0]
    rows = routines.activations(subject.network, subject.inputs, "features")
    changed = rows - dictionary.encode(rows)[..., [1]] * dictionary.atoms[1]
    after = routines.replace_activations(subject.network, subject.inputs, subject.objective, "features", changed)
    before = routines.scores(subject.network, subject.inputs, subject.objective)
    np.testing.assert_allclose(evidence.samples[CHANGE], after - before, atol=1e-5)
    assert evidence.samples[RANDOM].shape == (19, 16) and evidence.method == "atom 1"
    # The head is linear: nothing changes the score more than its own direction.
    assert (evidence.samples[ORACLE] >= evidence.samples[RANDOM].max(axis=0) - 1e-6).all()


def test_random_directions_are_taken_out_with_the_same_energy(subject, monkeypatch):
    import sys

    removed = []
    module = sys.modules["sanity.checks.atom_effect"]
    ask = module.scores_after_removal
    monkeypatch.setattr(module, "scores_after_removal", lambda *words: removed.append(words[-1]) or ask(*words))
    dictionary = Dictionary(3 * units(0).atoms, units(0).origin, "pca")
    atom_effect(subject, seed=0, layer="features", dictionary=dictionary, draws=19)
    np.testing.assert_allclose(np.linalg.norm(removed[0].vectors, axis=1), 3, atol=1e-5)


def test_an_atom_that_is_never_active_is_no_verdict(subject):
    zero = Dictionary(np.zeros((1, CHANNELS), "float32"), units(0).origin, "pca")
    (verdict,) = judge(atom_effect(subject, seed=0, layer="features", dictionary=zero))
    assert verdict.finding == "GATE FAILED" and "atom is active (in 0 of 16 images)" in verdict.sentence


def test_any_subject_can_be_asked_through_the_examination(subject):
    judged = examine("atom_effect", {}, subject, seed=0, settings={"draws": 19, "layer": "features"})
    assert [verdict.method for verdict in judged.verdicts] == [f"atom {number}" for number in range(8)]
    with pytest.raises(Refused, match="Unknown key of the check atom_effect. Received: 'layers'. Nearest: layer"):
        examine("atom_effect", {}, subject, seed=0, settings={"layers": "features"})


def test_what_cannot_be_asked_is_refused(subject):
    with pytest.raises(Refused, match="from 0 to 1. Received: 2"):
        atom_effect(subject, seed=0, layer="features", dictionary=units(0, 1), which=[2])
    with pytest.raises(Refused, match="19 random directions or more"):
        atom_effect(subject, seed=0, layer="features", dictionary=units(0), draws=10)
    with pytest.raises(Refused, match="Unknown layer. Received: 'feature'"):
        atom_effect(subject, seed=0, layer="feature", dictionary=units(0))


# The rule -----------------------------------------------------------------------------------------------------------------


def simulated(changes, seed, oracle=9.0, draws=39):
    rng = np.random.default_rng(seed)
    samples = {
        CHANGE: changes,
        RANDOM: np.abs(rng.normal(size=(draws, 1)) + 0.1 * rng.normal(size=(draws, len(changes)))),
    }
    samples[ORACLE] = np.full(len(changes), oracle)
    return Evidence("atom_effect", f"atom {seed}", "net", {"images": len(changes), "draws": draws}, samples, ())


def test_p_is_the_place_of_an_atom_among_random_dictionaries():
    family = [simulated(np.full(12, size), seed) for seed, size in enumerate((9.0, 0.1))]
    rows = np.stack(
        [np.concatenate([[np.abs(row.samples[CHANGE]).mean()], row.samples[RANDOM].mean(axis=1)]) for row in family]
    )
    scaled = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    expected = [np.mean([max(scaled[:, way]) >= scaled[atom, 0] for way in range(40)]) for atom in range(2)]
    np.testing.assert_allclose(adjusted_p(family, CHANGE), expected)
    assert adjusted_p(family, CHANGE)[0] == 1 / 40


def test_nothing_is_said_where_the_gradient_does_not_stand_out():
    assert findings([simulated(np.full(12, 9.0), 0, oracle=0.5)]) == ["ORACLE DOES NOT PASS"]
    assert judge_atom_effect([simulated(np.full(4, 9.0), 0)], Margins(), 0)[0].finding == "UNDECIDED"


def test_random_atoms_seldom_have_an_effect():
    """Two hundred dictionaries of random directions: at most as many small p as chance allows at .05."""
    wrong = sum(adjusted_p(simulated_family(seed, 8, 12), CHANGE).min() < 0.05 for seed in range(200))
    assert wrong <= wrong_by_chance(200)
    planted = [simulated_family(seed, 8, 12) for seed in range(50)]
    all_small = [adjusted_p(family, ORACLE).max() < 0.05 for family in planted]
    assert np.mean(all_small) >= 0.9
