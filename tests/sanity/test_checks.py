"""The checks are checked: each fails the blind and the broken, passes the seeing, and refuses what it cannot judge."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.attribution import explainers
from lab.data import Data
from lab.environment import tf
from lab.refusal import Refused
from sanity.checks import CLAIMS, checks, claim_of, names_of, prepare_shared, retraining
from sanity.checks.faithfulness import METRICS, _segment_ranks
from sanity.controls import EXPECTED, audit
from sanity.evidence import Evidence, Gate
from sanity.examination import examine, measure
from sanity.metrics import metrics
from sanity.removal import orders
from sanity.ruling import rules
from sanity.subject import Subject, subject, world_subject
from sanity.verdict import judge
from sanity.worlds import worlds
from sanity.worlds.canvas import SIDE, convolutional_network
from sanity.worlds.training import Trainer
from sanity.worlds.world import Training
from tests import networks
from tests.sanity.trained import kept

JUDGED = [name for name in names_of("maps") if checks.tag(checks.get(name), "judged", True)]
# Orders to compare with, for tests that every number of them serves.
FEW = {"faithfulness": {"metrics": ("deletion_mean", "insertion_blur"), "draws": 3}}
SEEING = {"integrated_gradients": {"steps": 8}, "smoothgrad": {"samples": 4}}


def quick():
    """The patch world with a network that learns in a second: its best match anywhere decides."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="conv_0")(inputs)
    x = keras.layers.Conv2D(24, 3, 2, padding="same", activation="relu", name="conv_1")(x)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="conv_2")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="logits")(keras.layers.GlobalMaxPooling2D()(x)))


@pytest.fixture(scope="module")
def patch():
    return world_subject(
        dataclasses.replace(worlds.get("patch")(), build=quick, training=Training(samples=200, batch=20, rate=6e-3)),
        seed=0,
        replicates=4,
        permuted_label_networks=4,
        images=16,
        cache=kept,
    )


@pytest.fixture(scope="module")
def shared(patch):
    """What each check shares among methods, made once."""
    kept = {}

    def once(key, make):
        if key not in kept:
            kept[key] = make()
        return kept[key]

    # What retraining shares are twelve networks, and no test here asks for it by this fixture.
    names = [name for name in names_of("maps") if name != "retraining"]
    return {name: prepare_shared(checks.get(name), patch, 0, {}, once).get("prepared") for name in names}


@pytest.fixture(scope="module")
def judge_method(patch, shared):
    """(check, explainer, options) -> the verdict of one method."""

    def ask(check, explainer, **options):
        prepared = {"prepared": shared[check]} if shared.get(check) is not None else {}
        return judge([checks.get(check)(explainers.get(explainer), patch, seed=0, **prepared, **options)])[0]

    return ask


CONTROLS = [(check, control) for check in JUDGED for control in EXPECTED[check] if check not in ("cue", "retraining")]


@pytest.mark.parametrize("check, control", CONTROLS)
def test_controls_come_out_as_they_must(judge_method, check, control):
    verdict = judge_method(check, control)
    assert all(control_audit.held for control_audit in audit([verdict])), verdict.sentence
    assert {verdict.outcome, verdict.finding} & set(EXPECTED[check][control]), verdict.sentence


def test_every_check_judges_a_known_claim_and_has_its_rule_beside_it():
    assert {claim_of(name) for name in checks} <= set(CLAIMS)
    for name in checks:
        judged = checks.tag(checks.get(name), "judged", True)
        assert (name in rules) == judged, name
        assert not judged or rules.get(name).__module__ == checks.get(name).__module__, name


def test_every_judged_check_knows_what_its_controls_must_be():
    for check in JUDGED:
        assert check in EXPECTED and "constant" in EXPECTED[check]
        assert rules.tag(rules.get(check), "about").question


SEEN = [
    # Global max pooling leaves most of a gradient at zero: the trap that signed maps alone get through.
    ("parameters", "gradient", "SIGN RESPONDS", "INCONCLUSIVE"),
    ("labels", "gradient", "RESPONDED", "PASS"),
    ("classes", "gradient", "RESPONDED", "PASS"),
    ("truth", "gradcam", "FOLLOWS THE CUE", "PASS"),
    ("truth", "integrated_gradients", "FOLLOWS THE CUE", "PASS"),
    ("truth", "gradient", "FOLLOWS THE CUE", "PASS"),
    ("class_crossing", "gradient_x_input", "CLASS-SPECIFIC", "PASS"),
    ("class_crossing", "gradcam", "CLASS-SPECIFIC", "PASS"),
    ("image_crossing", "gradient_x_input", "IMAGE-SPECIFIC", "PASS"),
    ("place", "gradient_x_input", "IN PLACE", "PASS"),
    ("completeness", "integrated_gradients", "COMPLETE", "PASS"),
    ("completeness", "gradient", "NOT COMPLETE", "INCONCLUSIVE"),
    ("sensitivity", "gradcam", "STABLE", "PASS"),
    ("invariance", "gradient", "INVARIANT", "PASS"),
    ("invariance", "integrated_gradients", "INVARIANT", "PASS"),
    ("invariance", "gradient_x_input", "NOT INVARIANT", "FAIL"),
    ("implementation", "gradient", "AGREES", "PASS"),
    ("implementation", "tf_explain.gradcam", "AGREES", "PASS"),
    ("implementation", "smoothgrad", "NOT APPLICABLE", "INVALID"),
    ("faithfulness", "integrated_gradients", "BEATS RANDOM ORDER", "INCONCLUSIVE"),
    ("contract", "smoothgrad", "KEPT", "PASS"),
    ("derivative", "gradient", "FORETELLS", "PASS"),
    ("derivative", "gradient_x_input", "FORETELLS", "PASS"),
    ("derivative", "smoothgrad", "NOT APPLICABLE", "INVALID"),
]


@pytest.mark.parametrize("check, method, finding, outcome", SEEN)
def test_those_who_see_are_told_from_the_blind(judge_method, check, method, finding, outcome):
    verdict = judge_method(check, method, **SEEING.get(method, {}))
    assert (verdict.finding, verdict.outcome) == (finding, outcome), verdict.sentence
    assert verdict.sentence.startswith(finding) and verdict.cannot and verdict.settings["seed"] == 0


def test_guided_backprop_is_input_dominated_and_the_gradient_responds():
    """The method that the randomization test was invented to expose, where an exact p tells nothing: both have the smallest."""
    # With wide kernels alone does it agree among random networks as it does among trained ones.
    world = dataclasses.replace(
        worlds.get("patch")(), build=lambda: convolutional_network(4, (24, 24, 32), kernels=(7, 3, 3))
    )
    subject = world_subject(world, seed=0, replicates=4, images=24)
    family = [
        checks.get("parameters")(explainers.get(name), subject, seed=0) for name in ("gradient", "guided_backprop")
    ]
    gradient, guided = judge(family)
    assert (gradient.finding, gradient.outcome) == ("RESPONDED", "PASS"), gradient.sentence
    assert (guided.finding, guided.outcome) == ("INPUT-DOMINATED", "FAIL"), guided.sentence
    assert guided.p == gradient.p == pytest.approx(2 / 70)


# Broken explainers, each caught by a named check --------------------------------------------------------------------------


def blended(network, inputs, objective):
    maps = np.abs(lab.gradient(network, inputs, objective))
    return (maps / maps.max() + 3 * np.abs(inputs)).astype("float32")


def transposed(network, inputs, objective):
    return np.ascontiguousarray(lab.gradient_x_input(network, inputs, objective).transpose(0, 2, 1, 3))


def batch_scaled(network, inputs, objective):
    maps = lab.gradient(network, inputs, objective)
    return maps / np.abs(maps).max()


def of_softmax(network, inputs, objective):
    index, x = objective.numbers(len(inputs))[0][0], tf.convert_to_tensor(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = tf.gather(tf.nn.softmax(network.model(x, training=False)), index, axis=1, batch_dims=1)
    return tape.gradient(scores, x).numpy()


def stale(patch):
    """An explainer that keeps the first weights it saw, as a library does that caches a copy of the model."""
    first_state = patch.network.state()

    def explain(network, inputs, objective):
        with network.weights(first_state):
            return lab.gradient(network, inputs, objective)

    return explain


def test_stale_weights_are_caught_by_parameters(judge_method, patch):
    verdict = judge_method("parameters", stale(patch))
    assert verdict.outcome == "FAIL" and verdict.effect.mean == pytest.approx(1)


def test_a_blended_image_is_caught_by_parameters(judge_method):
    assert judge_method("parameters", blended).finding == "INPUT-DOMINATED"


def test_a_transposed_map_is_caught_by_truth(judge_method):
    assert (
        judge_method("truth", lab.gradient_x_input).outcome == "PASS"
        and judge_method("truth", transposed).outcome != "PASS"
    )


def halved_by_sample(network, inputs, objective):
    maps = lab.gradient(network, inputs, objective)
    return maps * np.linspace(0.5, 3, len(maps), dtype="float32").reshape(-1, 1, 1, 1)


def turned(network, inputs, objective):
    """The gradient of a loss: what speaks for the class is negative."""
    return -2 * lab.gradient(network, inputs, objective)


def test_no_factor_makes_a_map_of_zeros_the_others(judge_method):
    def emptied(network, inputs, objective):
        maps = lab.gradient(network, inputs, objective)
        maps[: len(maps) // 6] = 0
        return maps

    verdict = judge_method("implementation", emptied, against="gradient")
    assert verdict.outcome != "PASS" and verdict.finding != "AGREES"


def test_softmax_instead_of_logit_is_caught_by_implementation_and_a_factor_is_not(judge_method):
    assert judge_method("implementation", of_softmax, against="gradient").outcome == "FAIL"
    assert judge_method("implementation", of_softmax, against="gradient").finding == "DISAGREES"
    for explainer, factor in ((batch_scaled, "up to a factor of"), (halved_by_sample, "factors of 0.5 to 3")):
        scaled = judge_method("implementation", explainer, against="gradient")
        assert (scaled.outcome, scaled.finding) == ("PASS", "AGREES") and factor in scaled.sentence
    sign = judge_method("implementation", turned, against="gradient")
    assert (sign.outcome, sign.finding) == ("INCONCLUSIVE", "OTHER SIGN") and "factor of -2" in sign.sentence


# Completeness and invariance of strangers ---------------------------------------------------------------------------------


def without_the_input(network, inputs, objective):
    """Integrated gradients whose last factor was forgotten, as in a library that we know."""
    return lab.gradient(network, inputs, objective)


def claims(network, inputs, objective):
    return lab.gradient(network, inputs, objective)


claims.complete = True


def test_completeness_fails_whoever_claims_it(judge_method):
    assert judge_method("completeness", without_the_input).outcome == "INCONCLUSIVE"
    assert judge_method("completeness", without_the_input, claimed=True).outcome == "FAIL"
    assert judge_method("completeness", claims).outcome == "FAIL"
    assert judge_method("completeness", "tf_explain.integrated_gradients").outcome == "FAIL"
    assert judge_method("completeness", lab.integrated_gradients, claimed=True, steps=8).outcome == "PASS"


def test_a_baseline_of_none_may_be_made_of_the_inputs(judge_method):
    def from_the_mean(network, inputs, objective, *, baseline=None):
        start = inputs.mean(axis=(1, 2, 3), keepdims=True) if baseline is None else baseline
        return lab.gradient(network, inputs, objective) * (inputs - start)

    def from_zero(network, inputs, objective, *, baseline=None):
        return lab.gradient(network, inputs, objective) * (inputs - (0.0 if baseline is None else baseline))

    def from_zero_all_the_same(network, inputs, objective, *, baseline=None):
        return lab.gradient(network, inputs, objective) * inputs

    assert judge_method("invariance", from_the_mean).outcome == "PASS"
    assert judge_method("invariance", from_zero).outcome == "PASS"
    assert judge_method("invariance", from_zero_all_the_same).outcome == "FAIL"


@pytest.mark.parametrize("draws", [1, 0, 2.5])
def test_one_draw_has_no_error_and_is_no_estimate(patch, draws):
    with pytest.raises(lab.Refused, match="draws"):
        checks.get("completeness")(explainers.get("gradient_shap"), patch, seed=0, draws=draws, samples=2)


def test_what_adds_up_in_expectation_is_judged_within_its_own_error(judge_method, patch):
    """Integrated gradients and noise of mean zero: few draws cannot tell, many can, and a bias of a third fails."""

    def noisy(bias, noise):
        def explain(network, inputs, objective, *, seed):
            maps = lab.integrated_gradients(network, inputs, objective, steps=8)
            rng = np.random.default_rng(seed)
            drawn = noise * np.abs(maps).mean() * np.sqrt(maps[0].size) * rng.standard_normal((len(maps), 1, 1, 1))
            return (maps * (1 + bias) + drawn / maps[0].size).astype("float32")

        explain.complete = True
        return explain

    assert judge_method("completeness", noisy(0, 0)).outcome == "PASS"
    assert judge_method("completeness", noisy(0, 5), draws=3).outcome == "INCONCLUSIVE"
    assert judge_method("completeness", noisy(0, 5), draws=3).finding == "UNDECIDED"
    assert judge_method("completeness", noisy(-1 / 3, 0)).outcome == "FAIL"
    shap = checks.get("completeness")(explainers.get("gradient_shap"), patch, seed=0, samples=5)
    assert shap.sizes["draws"] == 8 and (shap.samples["error"] > 0).all()
    assert judge([shap])[0].outcome != "FAIL", "which draws, and so has no gap that one draw could show"


def relative_to(name, default):
    """Gradient times the distance from a baseline, under whatever name a stranger gives it: invariant where it is told."""

    def explain(network, inputs, objective, **options):
        start = options.get(name, default)
        start = 0.0 if start is None else np.mean(start, axis=0) if isinstance(start, list) else start
        return (lab.gradient(network, inputs, objective) * (inputs - start)).astype("float32")

    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
    first = [
        inspect.Parameter(parameter_name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for parameter_name in ("network", "inputs", "objective")
    ]
    explain.__signature__ = inspect.Signature([*first, parameter])
    return explain


@pytest.mark.parametrize(
    "name, default",
    [
        ("baseline", 0.0),
        ("baselines", [0.0, 0.5]),
        ("reference", None),
        ("references", np.zeros((SIDE, SIDE, 1), "float32")),
        ("background", [np.zeros((SIDE, SIDE, 1)), np.ones((SIDE, SIDE, 1))]),
    ],
)
def test_a_stranger_is_told_of_the_shift_by_the_option_it_has(judge_method, name, default):
    verdict = judge_method("invariance", relative_to(name, default))
    assert (verdict.finding, verdict.outcome) == ("INVARIANT", "PASS"), verdict.sentence


def test_a_stranger_that_cannot_be_told_is_judged_and_the_words_say_so(judge_method):
    for explainer in (relative_to("start", 0.0), lab.gradient_x_input):
        verdict = judge_method("invariance", explainer)
        assert verdict.outcome == "FAIL" and "could not be told" in verdict.sentence
    assert judge_method("invariance", "integrated_gradients", steps=8, baselines=[0.0, 0.5]).outcome == "PASS"


def test_a_fault_is_no_refusal(judge_method):
    """A rewritten network may be refused; a ValueError of the method's own is a fault and is not passed over."""

    def breaks(network, inputs, objective):
        if network.name and network.model.name == "shifted":
            raise ValueError("broken inside. Received: nothing that the lab refuses")
        return lab.gradient(network, inputs, objective)

    def refuses(network, inputs, objective):
        if network.model.name == "shifted":
            raise Refused("No shifted networks. Received: one.")
        return lab.gradient(network, inputs, objective)

    with pytest.raises(ValueError, match="broken inside"):
        judge_method("invariance", breaks)
    verdict = judge_method("invariance", refuses)
    assert verdict.outcome == "PASS" and "input_shift refused" in verdict.gates[0]["words"]


def test_batch_dependent_normalization_is_caught_by_contract(judge_method):
    verdict = judge_method("contract", batch_scaled)
    assert verdict.outcome == "FAIL" and "alone as in a batch" in verdict.why


# What cannot be judged ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    """A network without replicates, truth or labels."""
    network = networks.network(networks.flat())
    return Subject(network, networks.images(6), lab.logit([0, 1, 2, 3, 4, 0]), tuple("abcdef"), classes=5)


@pytest.mark.parametrize("check", ["labels", "truth", "cue", "retraining"])
def test_what_needs_a_world_is_not_applicable_elsewhere(plain, check):
    prepare = checks.tag(checks.get(check), "prepare")
    prepared = {"prepared": prepare(plain, seed=0)} if prepare else {}
    verdict = judge([checks.get(check)(explainers.get("gradient"), plain, seed=0, **prepared)])[0]
    assert (verdict.outcome, verdict.finding) == (
        "INVALID",
        "NOT APPLICABLE",
    ) and verdict.effect.mean != verdict.effect.mean


@pytest.mark.parametrize(
    "check", ["classes", "completeness", "sensitivity", "invariance", "implementation", "contract", "faithfulness"]
)
def test_what_needs_none_is_judged_on_any_model(plain, check):
    verdict = judge([checks.get(check)(explainers.get("gradient"), plain, seed=0, **FEW.get(check, {}))])[0]
    assert verdict.finding != "NOT APPLICABLE", verdict.sentence


def test_two_classes_are_refused_by_classes():
    subject = world_subject(worlds.get("tetromino_linear")(), seed=0, images=8, cache=lambda key, make: {})
    assert subject.classes == 2
    assert judge([checks.get("classes")(explainers.get("gradient"), subject, seed=0)])[0].finding == "NOT APPLICABLE"


def test_labels_that_were_not_memorized_gate_labels(patch):
    on = dataclasses.replace(patch, train_accuracy=(0.99, 0.99, 0.5, 0.99))
    verdict = judge([checks.get("labels")(explainers.get("gradient"), on, seed=0)])[0]
    assert verdict.finding == "GATE FAILED" and "memorized" in verdict.why


def test_competence_is_above_chance_by_its_lower_bound(patch):
    by_chance = dataclasses.replace(patch, correct=np.arange(40) % 4 == 0)
    verdict = judge([checks.get("classes")(explainers.get("gradient"), by_chance, seed=0)])[0]
    assert verdict.finding == "GATE FAILED" and "network competent" in verdict.why


def test_classes_of_the_same_evidence_fail_no_method():
    """The last layer tells classes apart by a factor alone: the right map of another class is this one's, times a number."""
    inputs = keras.Input((14, 14, 1))
    hidden = keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=(196, 1)), np.array([[1.0, 2.0, 3.0]]), np.zeros(3)])
    samples = rng.normal(size=(12, 14, 14, 1)).astype("float32")
    on = Subject(lab.load(model), samples, lab.logit([0, 1, 2] * 4), tuple(map(str, range(12))), classes=3)
    verdict = judge([checks.get("classes")(explainers.get("gradient"), on, seed=0)])[0]
    assert (verdict.outcome, verdict.finding) == ("INVALID", "ORACLE DOES NOT PASS"), verdict.sentence
    assert "two classes agree at 1.00" in verdict.sentence


@pytest.fixture(scope="module")
def turned_signs():
    """A linear network of three classes whose weights are of the same size everywhere and differ in sign alone."""
    inputs = keras.Input((14, 14, 1))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(inputs)))
    rng = np.random.default_rng(0)
    # The sign of a class is one for each cell of two by two, so that it is not lost in the cell's sum.
    signs = np.kron(rng.choice([-1.0, 1.0], (3, 7, 7)), np.ones((1, 2, 2)))
    weights = rng.uniform(0.5, 1.5, (14, 14)) * signs
    model.set_weights([weights.reshape(3, 196).T, np.zeros(3)])
    samples = np.abs(rng.normal(size=(12, 14, 14, 1))).astype("float32")
    return Subject(lab.load(model), samples, lab.logit([0, 1, 2] * 4), tuple(map(str, range(12))), classes=3)


def _gradient_squared(network, inputs, objective):
    return lab.gradient(network, inputs, objective) ** 2


def _input_itself(network, inputs, objective):
    return np.array(inputs) - 0.8


@pytest.mark.parametrize(
    ("method", "finding"),
    [
        (lab.gradient, "RESPONDED"),
        # Right, and the same for every class: sizes do not tell these classes apart.
        (_gradient_squared, "ORACLE DOES NOT PASS"),
        # Blind, with a sign: by small changes a right map would be the same, too.
        (_input_itself, "ANSWERS ALIKE"),
    ],
    ids=["gradient", "gradient squared", "input"],
)
def test_maps_without_a_sign_are_held_to_magnitudes(turned_signs, method, finding):
    verdict = judge([checks.get("classes")(method, turned_signs, seed=0)])[0]
    assert verdict.finding == finding, verdict.sentence
    if finding != "RESPONDED":
        assert "two classes agree at 1.00" in verdict.sentence


def test_another_class_is_asked_of_the_same_output(patch):
    """A network of two heads, asked about its second: what is asked about other classes is asked there too."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3, activation="relu")(inputs))
    heads = {"kind": keras.layers.Dense(3, name="kind")(x), "make": keras.layers.Dense(4, name="make")(x)}
    network = networks.network(networks.filled(keras.Model(inputs, heads)))
    objectives = []

    def spy(network, inputs, objective):
        objectives.append(objective)
        return lab.gradient(network, inputs, objective)

    on = Subject(network, networks.images(6), lab.logit([0, 1, 2, 3, 0, 1], output="make"), tuple("abcdef"), classes=4)
    checks.get("classes")(spy, on, seed=0, draws=2)
    assert {objective.terms[0][1].where for objective in objectives} == {"make"}
    classes = np.array([objective.numbers(6)[0][0] for objective in objectives])
    assert (classes[0] == classes[-1]).all() and (classes[1:-1] != classes[0]).all() and classes.max() == 3


def test_a_metric_that_cannot_be_had_costs_the_others_nothing():
    """An output with positions has no predicted class: the metrics that need one are nan, and it is said why."""
    inputs = keras.Input((8, 8, 1))
    model = networks.filled(keras.Model(inputs, keras.layers.Conv2D(3, 3, padding="same", activation=None)(inputs)))
    network = networks.network(model)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    on = Subject(network, images, lab.region([0, 1, 2, 0]), tuple("abcd"), classes=3)
    names = ("sparseness", "relative_input_stability")
    evidence = checks.get("measurements")(lab.gradient, on, seed=0, chosen=names)
    assert (
        np.isfinite(evidence.samples["sparseness"]).all()
        and np.isnan(evidence.samples["relative_input_stability"]).all()
    )
    assert list(evidence.settings["refused"]) == ["relative_input_stability"]

    def broken(bound, maps, seed):
        raise ValueError("a fault. Received: nothing")

    with pytest.MonkeyPatch.context() as patched, pytest.raises(ValueError, match="a fault"):
        patched.setitem(metrics._functions, "sparseness", broken)
        checks.get("measurements")(lab.gradient, on, seed=0, chosen=names)


# Options do something -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check, option",
    [
        ("classes", {"draws": 1}),
        ("sensitivity", {"noise": 0.2}),
        ("sensitivity", {"repeats": 1}),
        ("implementation", {"against": "gradient_x_input"}),
    ],
)
def test_options_of_checks_change_what_is_measured(patch, check, option):
    usual, other = (
        checks.get(check)(explainers.get("gradient"), patch, seed=0, **settings) for settings in ({}, option)
    )
    same = set(usual.samples) == set(other.samples) and all(
        np.array_equal(usual.samples[name], other.samples[name], equal_nan=True) for name in usual.samples
    )
    assert not same


def test_every_perturbation_metric_runs_and_unreliable_ones_rank_nothing(patch):
    check = checks.get("faithfulness")
    prepared = checks.tag(check, "prepare")(patch, seed=0, metrics=tuple(METRICS), draws=3)
    evidence = check(explainers.get("gradcam"), patch, seed=0, metrics=tuple(METRICS), draws=3, prepared=prepared)
    areas = [evidence.samples[f"area/{name}"] for name in METRICS]
    assert len({tuple(np.round(area, 5)) for area in areas}) == len(METRICS)
    assert judge([evidence])[0].finding != "METRIC UNRELIABLE"
    scrambled = {name: np.random.default_rng(len(name)).permutation(value) for name, value in evidence.samples.items()}
    turned = {name: value * np.resize([1, -1], len(value)) for name, value in scrambled.items()}
    oracle = {name: value for name, value in evidence.samples.items() if name.startswith("oracle")}
    noisy = dataclasses.replace(evidence, samples=turned | oracle)
    assert judge([noisy])[0].finding != "BEATS RANDOM ORDER"
    other = dataclasses.replace(noisy, method="other", samples=scrambled)
    assert judge([noisy, other])[0].finding != "BEATS RANDOM ORDER"
    one_fill = [name for name in METRICS if METRICS[name][0] != "mean"]
    kept = {name: value for name, value in evidence.samples.items() if name.partition("/")[2] not in one_fill}
    assert judge([dataclasses.replace(evidence, samples=kept)])[0].finding == "METRIC UNRELIABLE"
    with pytest.raises(ValueError, match="Unknown metric.*deletion_mean"):
        check(explainers.get("gradient"), patch, seed=0, metrics=("deletion_men",))


def test_where_the_brightest_order_is_the_networks_own_perturbation_is_invalid():
    """The score is the sum of the input: the input's magnitude is as good an order as the network's own answer."""
    inputs = keras.Input((12, 12, 1))
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(inputs)))
    model.set_weights([np.tile([[1.0, -1.0]], (144, 1)), np.zeros(2)])
    bright = np.random.default_rng(0).random((12, 12, 12, 1)).astype("float32")
    subject = Subject(lab.load(model), bright, lab.logit([0] * 12), tuple(map(str, range(12))), classes=2)
    verdict = judge([checks.get("faithfulness")(explainers.get("gradient_x_input"), subject, seed=0, draws=4)])[0]
    assert (verdict.outcome, verdict.finding) == ("INVALID", "ORACLE DOES NOT PASS"), verdict.sentence


def test_the_networks_own_answer_is_found_by_another_fill_than_the_metrics(patch, monkeypatch):
    from sanity.checks import faithfulness

    fills = {}
    monkeypatch.setattr(faithfulness, "occlusion", lambda subject, fill: fill)
    monkeypatch.setattr(faithfulness, "area", lambda subject, answer, name, *rest: fills.setdefault(name, answer))
    faithfulness.oracle_areas(patch, tuple(METRICS), None, 0)
    assert set(fills) == set(METRICS) and all(METRICS[name][0] != fill for name, fill in fills.items())


def test_segments_go_whole_and_tied_ones_in_any_order():
    segments = np.repeat(np.arange(6), 4).reshape(1, 4, 6)
    relevance = np.where(segments == 2, 1.0, 0.0) + 0.1 * np.random.default_rng(0).random(segments.shape) * (
        segments == 2
    )
    firsts = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        places = orders(_segment_ranks(relevance, segments, rng), rng)[0]
        went = segments.ravel()[places].reshape(6, 4)
        assert (went == went[:, :1]).all() and went[0, 0] == 2
        firsts.add(int(went[1, 0]))
    assert firsts == {0, 1, 3, 4, 5}


@pytest.fixture(scope="module")
def series():
    """A world whose networks are trained in a second, also on samples in which too little is left to learn."""
    world = dataclasses.replace(worlds.get("series")(), training=Training(samples=240, batch=24, rate=8e-3))
    return world_subject(world, seed=0, replicates=1, images=16, cache=kept)


def test_retraining_measures_what_is_lost_what_is_kept_and_what_leaks(series, monkeypatch):
    monkeypatch.setattr(retraining, "PASSES", 20)
    check, few = checks.get("retraining"), {"shares": (0.25,), "repeats": 1}
    lost, kept = (check(explainers.get("gradient_x_input"), series, seed=0, keep=keep, **few) for keep in (False, True))
    assert lost.samples["accuracy/map"].mean() < kept.samples["accuracy/map"].mean() > 0.8
    assert set(lost.samples) == {f"accuracy/{name}" for name in ("map", "random", "leak", "oracle")}
    assert lost.samples["accuracy/oracle"] < lost.samples["accuracy/random"]
    assert kept.samples["accuracy/oracle"] > kept.samples["accuracy/random"]
    # One pair of networks decides nothing, however large its difference.
    assert judge([kept])[0].finding in ("UNDECIDED", "GATE FAILED")
    assert kept.samples["accuracy/map"].shape == (1, 1)
    six = {name: np.repeat(value, 6, axis=1) for name, value in kept.samples.items()}
    gates = tuple(gate for gate in kept.gates if gate.status == "passed")
    assert judge([dataclasses.replace(kept, samples=six, gates=gates)])[0].outcome == "PASS"
    noise = check(explainers.get("noise"), series, seed=0, prepared=lost.samples["accuracy/oracle"], **few)
    assert audit(judge([noise]))[0].held


def test_every_repeat_of_retraining_has_data_order_and_draw_of_its_own(series, monkeypatch):
    """Nothing is trained: the inputs that would have been are looked at."""
    explained, trained = [], []

    def spy(network, inputs, objective, *, seed):
        explained.append((seed, inputs.tobytes()))
        return np.ones_like(inputs)

    def note(trainer, inputs, labels, seed, cache):
        trained.append((seed, inputs.tobytes()))
        return {}

    monkeypatch.setattr(Trainer, "train", note)
    checks.get("retraining")(spy, series, seed=0, shares=(0.2, 0.4), repeats=3, prepared=np.zeros((2, 3)))
    del explained[-1]  # The subject's own samples, for the gate.
    assert len({seed for seed, _ in explained}) == len({data for _, data in explained}) == 6
    # Two shares of two orders in each of three repeats, and the masks alone in two of these; tied maps fall anew each time.
    assert len(trained) == 3 * 2 * 2 + 2 * 2 and len({data for _, data in trained}) == len(trained)
    assert len({seed for seed, _ in trained}) == 6


def test_maps_weights_and_subject_are_left_alone(patch):
    before, inputs = patch.network.fingerprint(), patch.inputs.copy()
    for name in ("labels", "invariance", "faithfulness"):
        checks.get(name)(explainers.get("gradient"), patch, seed=0, **FEW.get(name, {}))
    assert patch.network.fingerprint() == before and np.array_equal(patch.inputs, inputs)


def test_logits_are_what_a_world_explains(patch):
    logits = routines.outputs(patch.network, patch.inputs)["logits"]
    assert np.array_equal(logits.argmax(1), patch.labels)
    np.testing.assert_allclose(routines.scores(patch.network, patch.inputs, patch.objective), logits.max(1), rtol=1e-5)


def test_an_option_that_the_check_would_take_for_its_own_is_refused(patch):
    evidence, trace = measure("sensitivity", lab.smoothgrad, patch, seed=0, options={"noise": 0.2})
    assert trace is None and "'noise', which sensitivity has too" in evidence.gates[0].words


def test_a_wrapper_is_checked_with_what_it_wraps(patch):
    options = {"explainer": "gradient", "samples": 2}
    evidence, trace = measure("contract", lab.noise_tunnel, patch, seed=0, options=options)
    assert trace is None and all(gate.status == "passed" for gate in evidence.gates)


@pytest.mark.parametrize("check", ["parameters", "sensitivity", "classes"])
def test_a_table_of_few_columns_is_not_ranked_and_breaks_no_check(check):
    """Of five columns a rank correlation says nothing. Controls came out INVALID, and the check was called broken."""
    keras.utils.set_random_seed(0)
    rows = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)])
    data = Data(tuple(map(str, range(12))), rows, kind="table", columns=tuple("abcde"))
    table = subject(lab.load(model, background=rows), data)
    judged = examine(check, {"gradient": lab.gradient}, table, seed=0)
    gradient = judged.verdicts[0]
    assert gradient.finding == "NOT APPLICABLE" and "5 columns; needed: 8" in gradient.sentence
    assert all(control.held is not False for control in judged.controls)


@pytest.mark.parametrize("check", ["parameters", "sensitivity"])
def test_a_table_of_flags_has_as_many_values_as_flags_that_are_on(check):
    """Three of twelve flags are on: no signal was found in maps that multiply by them, and the check was called broken."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    rows = rng.permuted(np.tile(np.arange(12) < 3, (24, 1)), axis=1).astype("float32")
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)])
    data = Data(tuple(map(str, range(24))), rows, kind="table", columns=tuple("abcdefghijkl"))
    flags = subject(lab.load(model, background=rows), data)
    judged = examine(check, {"multiplied": lab.gradient_x_input, "gradient": lab.gradient}, flags, seed=0)
    multiplied, gradient = judged.verdicts[:2]
    assert multiplied.finding == "NOT APPLICABLE", multiplied.sentence
    assert "zero but for 3 of 12 values; needed: 8" in multiplied.sentence
    assert gradient.outcome == "PASS", gradient.sentence
    assert all(control.held is not False for control in judged.controls)


def largest_three(network, inputs, objective):
    """Looks at no network, and gives zero for all but three columns."""
    sizes = np.abs(np.asarray(inputs, "float32"))
    return np.where(sizes >= np.sort(sizes, axis=1)[:, -3:-2], sizes, 0)


@pytest.mark.parametrize("check", ["parameters", "sensitivity"])
def test_maps_that_are_sparse_by_themselves_fail_their_gate(check):
    """Columns hold numbers everywhere: the zeros are the method's, which does not excuse it from the check."""
    keras.utils.set_random_seed(0)
    rows = np.random.default_rng(0).normal(size=(24, 12)).astype("float32")
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(3)])
    data = Data(tuple(map(str, range(24))), rows, kind="table", columns=tuple("abcdefghijkl"))
    table = subject(lab.load(model, background=rows), data)
    verdict = judge([checks.get(check)(largest_three, table, seed=0)])[0]
    assert (verdict.outcome, verdict.finding) == ("INVALID", "GATE FAILED"), verdict.sentence
    assert "zero but for 3 of 12 values; needed: 8" in verdict.sentence
    assert "The inputs have 12 columns that are not zero" in verdict.sentence


def test_a_gate_that_failed_is_said_before_one_that_does_not_apply():
    sparse, incompetent = Gate("a", "not applicable", "few"), Gate("b", "failed", "wrong")
    evidence = Evidence("parameters", "m", "s", {}, {}, (sparse, incompetent))
    assert [gate.name for gate in evidence.failed] == ["b", "a"]
    assert judge([evidence])[0].finding == "GATE FAILED"
