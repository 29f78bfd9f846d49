"""Checks of concepts, on studies in which it is known by construction whether a concept is encoded, and whether it is used."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy import stats

import lab
from lab.concepts import cav, leace
from lab.opening import open_data
from sanity.checks import checks
from sanity.checks.tcav import standardized
from sanity.concepts import Study, draw_sets, measure_study
from sanity.cue_networks import uses
from sanity.examination import measure_rows
from sanity.verdict import judge
from sanity.world_networks import WorldNetworks
from tests import concept_worlds
from tests.sanity.concept_studies import CHANNELS, IMAGES, simulate


def verdicts(study, check="tcav", seed=0, **settings):
    return judge(checks.get(check)(study, seed=seed, **settings))


def test_sets_are_disjoint_and_every_concept_has_sets_of_its_own():
    drawn = draw_sets(500, ["stripes", "dots"], 14, seed=0)
    assert drawn.size == 14 and drawn.panel.shape == (5, 14)
    for sets in drawn.sets.values():
        places = np.concatenate([sets.ravel(), drawn.panel.ravel()])
        assert sets.shape == (30, 14) and len(set(places.tolist())) == 35 * 14
    assert (drawn.sets["stripes"] != drawn.sets["dots"]).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pool": 300, "fewest": 20}, "need a pool of 350 inputs of different sources, 700 for sets"),
        ({"pool": 1000, "fewest": 9}, "10 inputs of different sources or more"),
        ({"pool": 1000, "fewest": 40, "size": 41}, "as many as a set has. Received: 40, and sets of 41"),
        ({"pool": 1000, "fewest": 40, "size": 30}, "need a pool of 1050 inputs"),
        ({"pool": 1000, "fewest": 40, "sets": 20}, "30 random sets and 5 negative sets"),
    ],
)
def test_sets_that_are_too_small_are_refused_with_the_number_that_is_needed(arguments, words):
    with pytest.raises(lab.Refused, match=words):
        draw_sets(concepts=["stripes"], seed=0, **arguments)


def test_a_concept_that_gradients_have_is_supported_with_its_sign():
    study = simulate(1, "used", strength=1.0, layers=("first",))
    assert {verdict.finding for verdict in verdicts(study)} == {"SUPPORTED"}
    assert all("rises" in verdict.sentence for verdict in verdicts(study))
    negative = {target: {"first": -layers["first"]} for target, layers in study.targets.items()}
    assert all("falls" in verdict.sentence for verdict in verdicts(replace(study, targets=negative)))


def test_a_concept_that_is_encoded_and_not_used_is_not_supported():
    found = [verdict for seed in range(8) for verdict in verdicts(simulate(seed, "unused", layers=("first",)))]
    assert all(gate["status"] == "passed" for verdict in found for gate in verdict.gates)
    assert {verdict.finding for verdict in found} == {"NOT SUPPORTED"}


def test_random_sets_are_rarely_learnable_and_never_supported_more_often_than_the_level():
    families = [verdicts(simulate(seed, "random", concepts=2, layers=("first",)), seed=seed) for seed in range(40)]
    supported = sum(any(verdict.passed for verdict in family) for family in families)
    assert stats.binomtest(supported, 40, 0.05, alternative="greater").pvalue > 0.05
    invalid = [verdict.outcome == "INVALID" for family in families for verdict in family]
    assert np.mean(invalid) > 0.9


def test_the_shipped_t_test_rejects_sets_that_are_no_concept():
    """Runs that share one concept set are no samples: SCIENCE's figure is .3 to .6."""
    rejected = 0
    for seed in range(60):
        evidence = checks.get("tcav")(simulate(seed, "random", layers=("first",), targets=("zebra",)), seed=seed)[0]
        rejected += evidence.samples["shared t test"] < 0.05
    assert rejected / 60 > 0.15


def test_a_concept_that_stands_out_in_untrained_networks_too_is_not_supported():
    study = simulate(1, "used", strength=1.0, layers=("first",), targets=("zebra",))
    blind = simulate(1, "random", layers=("first",), targets=("zebra",))
    (verdict,) = verdicts(replace(study, untrained=(study,)))
    assert verdict.finding == "NOT SUPPORTED" and "random weights" in verdict.sentence
    unlike = replace(blind, concepts=study.concepts, pool=study.pool)
    assert verdicts(replace(study, untrained=(unlike,)))[0].finding == "SUPPORTED"


def test_the_number_is_the_mean_cosine_by_hand():
    study = simulate(3, "used", strength=0.5, layers=("first",), targets=("zebra",))
    (evidence,) = checks.get("tcav")(study, seed=0, fit="mean_difference")
    sizes = evidence.sizes
    assert sizes == {"pictures": 11, "sets": 30, "panel": 5, "images": IMAGES}
    by_image = evidence.samples["by image"]
    assert evidence.samples["sensitivity"][0] == pytest.approx(by_image.mean())
    np.testing.assert_allclose(standardized(np.array([3.0, 1, 1, 1])), [np.sqrt(3), *[1 / np.sqrt(3)] * 3])


def test_a_direction_of_ones_own_needs_no_examples():
    study = simulate(2, "used", strength=1.0, layers=("first",), targets=("zebra",))
    unit = np.mean(study.concepts["concept-0"]["first"], axis=0) - study.pool["first"].mean(axis=0)
    (verdict,) = verdicts(replace(study, concepts={}, vectors={"mine": {"first": unit}}))
    assert verdict.finding == "SUPPORTED" and verdict.method == "mine at first for zebra"


@pytest.mark.parametrize("kind", ["gaussian", "vector of random sets"])
def test_directions_that_are_no_concept_are_not_supported_more_often_than_the_level(kind):
    passed = 0
    for seed in range(60):
        study, rng = simulate(seed, "random", layers=("first",)), np.random.default_rng(seed)
        rows = rng.permutation(study.pool["first"])
        vector = rng.normal(size=CHANNELS) if kind == "gaussian" else cav(rows[:20], rows[20:40])
        given = replace(study, concepts={}, vectors={"mine": {"first": vector}})
        passed += any(verdict.passed for verdict in verdicts(given, seed=seed))
    assert stats.binomtest(passed, 60, 0.05, alternative="greater").pvalue > 0.01


def test_a_clear_concept_of_a_wide_layer_is_learnable():
    """Where vectors have more channels than inputs, random sets are told at 1.00 now and then, too."""
    rng = np.random.default_rng(0)
    pool, concept = rng.normal(size=(400, 1280)), rng.normal(size=(10, 1280))
    concept[:, 0] += 12
    slopes = {"zebra": {"wide": rng.normal(size=(20, 1280))}}
    study = Study("wide", {"clear": {"wide": concept}}, {"wide": pool}, slopes, {"wide": pool[:20]}, np.arange(20))
    (evidence,) = checks.get("tcav")(study, seed=0, size=10)
    assert not evidence.failed


def test_a_dead_gradient_is_invalid():
    study = simulate(0, "used", strength=1.0, layers=("first",), targets=("zebra",))
    dead = replace(study, targets={"zebra": {"first": np.zeros_like(study.targets["zebra"]["first"])}})
    (verdict,) = verdicts(dead)
    assert verdict.outcome == "INVALID" and "gradient" in verdict.sentence


def open_data_of(rows):
    return open_data(np.asarray(rows, "float32"))


# Erasure ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted():
    """A network whose layer holds its inputs, and whose score reads the first of them alone; and studies of two concepts."""
    entry = keras.Input([20])
    hidden = keras.layers.Dense(20, name="hidden")(entry)
    model = keras.Model(entry, keras.layers.Dense(2, name="logits")(hidden))
    kernel = np.zeros([20, 2], "float32")
    kernel[0] = 1, -1
    model.get_layer("hidden").set_weights([np.eye(20, dtype="float32"), np.zeros(20, "float32")])
    model.get_layer("logits").set_weights([kernel, np.zeros(2, "float32")])
    network = lab.load(model)
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(200, 20))

    def concept(column):
        rows = rng.normal(size=(40, 20))
        rows[:, column] += 3
        return open_data_of(rows)

    return measure_study(
        network,
        {"read": concept(0), "unread": concept(3)},
        open_data_of(pool),
        open_data_of(rng.normal(size=(30, 20)) + 1),
        {"first": lab.logit(0)},
        ["hidden"],
    )


def test_only_the_concept_that_the_score_reads_is_used(planted):
    read, unread = verdicts(planted, "erasure")
    assert (read.finding, unread.finding) == ("USED", "NOT SHOWN TO BE USED")
    assert "falls" in read.sentence and abs(unread.effect.mean) < 0.3 * read.effect.mean


def test_the_loss_is_that_of_the_erased_activations(planted):
    evidence = checks.get("erasure")(planted, seed=0)[0]
    rows, pool = planted.concepts["read"]["hidden"], planted.pool["hidden"]
    erased = leace(np.concatenate([rows, pool]), np.repeat([1, 0], [len(rows), len(pool)]))
    images = planted.images["hidden"]
    np.testing.assert_allclose(evidence.samples["loss"], images[:, 0] - erased(images)[:, 0], atol=1e-4)
    np.testing.assert_allclose(evidence.samples["gain"], erased.to(rows)(images)[:, 0] - images[:, 0], atol=1e-4)


def test_a_dead_layer_costs_its_own_rows_alone(planted):
    dead = {name: {**layers, "dead": np.zeros_like(layers["hidden"])} for name, layers in planted.concepts.items()}
    zeros = {name: np.zeros_like(getattr(planted, name)["hidden"]) for name in ("pool", "images")}
    study = replace(
        planted,
        concepts=dead,
        pool={**planted.pool, "dead": zeros["pool"]},
        images={**planted.images, "dead": zeros["images"]},
        targets={name: {**layers, "dead": layers["hidden"]} for name, layers in planted.targets.items()},
    )
    found = {verdict.method: verdict.finding for verdict in verdicts(study, "erasure")}
    assert found["read at hidden for first"] == "USED" and found["read at dead for first"] == "GATE FAILED"


def test_random_directions_are_rarely_used(planted):
    """Directions drawn at random in the place of a concept."""
    rng, used = np.random.default_rng(5), 0
    for turn in range(30):
        vector = {"drawn": {"hidden": rng.normal(size=20)}}
        (verdict,) = verdicts(replace(planted, concepts={}, vectors=vector), "erasure", seed=turn)
        used += verdict.passed
    assert stats.binomtest(used, 30, 0.05, alternative="greater").pvalue > 0.05


# A world of two planted concepts ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learners():
    """Networks of one architecture, one trained on the first concept and one on the second."""
    networks = WorldNetworks(concept_worlds.planted_concepts(), 0)
    return networks, {"first": networks.train("replicate", 0), "second": networks.train("rival", 0)}


@pytest.mark.parametrize("own, other", [("first", "second"), ("second", "first")])
def test_verdicts_follow_what_a_trained_network_learned(learners, own, other):
    """Both concepts are in every picture that is explained, and both are told from the layer. Swaps say which of them is used."""
    networks, states = learners
    world = networks.world if own == "first" else networks.world.rival
    (proof,) = uses(world, world.factors(np.random.default_rng(5), 200), networks.network, [states[own]])
    assert proof["cue_flip_rate"] > 0.95 and proof[f"unchanged/{other}"] > 0.95
    with networks.network.weights(states[own]):
        study = concept_worlds.study(networks.network, ["hidden"], seed=0)
        sensitive = {row.settings["concept"]: row for row in verdicts(study, "tcav")}
        used = {row.settings["concept"]: row for row in verdicts(study, "erasure", directions=99)}
    assert (sensitive[own].finding, sensitive[other].finding) == ("SUPPORTED", "NOT SUPPORTED")
    assert all(gate["status"] == "passed" for row in sensitive.values() for gate in row.gates)
    assert (used[own].finding, used[other].finding) == ("USED", "NOT SHOWN TO BE USED")
    assert "it falls" in used[own].sentence and abs(used[other].effect.mean) < used[own].effect.mean / 3


def test_what_cannot_be_measured_is_a_gate_and_no_crash(planted):
    rows, trace = measure_rows("tcav", planted, seed=0, settings={"size": 60})
    assert trace is None and rows[0].failed[0].status == "not applicable"


def test_a_study_without_gradients_at_a_layer_is_refused(planted):
    with pytest.raises(lab.Refused, match="Nearest: hidden"):
        measure_study(
            planted.network, {}, open_data_of(np.ones([3, 20])), open_data_of(np.ones([3, 20])), {}, ["hiden"]
        )
    assert isinstance(planted, Study)


def test_the_command_has_as_many_random_directions_as_the_check():
    from recipes.sections.concept import Concept
    from sanity.checks.erasure import DIRECTIONS

    assert Concept.model_fields["directions"].default == DIRECTIONS
    # One of them may stand above a concept that is used.
    assert 2 / (1 + DIRECTIONS) <= 0.05 < 3 / (1 + DIRECTIONS)
