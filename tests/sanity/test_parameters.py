"""The parameters check is itself checked: it must fail the blind, pass over the dead, and see those who look."""

import dataclasses
import re
import zlib

import keras
import numpy as np
import pytest
from scipy import stats

import lab
from lab import routines
from lab.attribution import explainers
from sanity import gates, randomization
from sanity.bound_explainer import BoundExplainer, add_noise, pooled_maps
from sanity.checks import checks
from sanity.checks.parameters import prepare
from sanity.comparison import similarities
from sanity.controls import EXPECTED, audit
from sanity.evidence import Evidence, Gate
from sanity.randomization import blocks, changes, draw, layers_in_order, randomize, stages
from sanity.ruling import MEASURE, OUTCOMES, SIGNED, Margins, Ruling, rules
from sanity.seeds import derive_seed
from sanity.subject import Subject, subject
from sanity.verdict import FORBIDDEN, judge
from tests import networks

PARAMETERS = checks.get("parameters")


@pytest.fixture(scope="module")
def network():
    return networks.network(networks.flat())


@pytest.fixture(scope="module")
def on(network):
    inputs = networks.images(6, seed=5)
    return Subject(network, inputs, lab.logit([0, 1, 2, 3, 4, 0]), tuple("abcdef"))


def test_every_tensor_is_drawn_by_its_own_initializer(network):
    paths = layers_in_order(network)
    first, other = draw(network, paths, [1, 2])
    assert set(first.state) == set(network.variables)
    kinds = first.ways
    assert kinds["first/kernel"] == "redrawn" and kinds["first_bn/gamma"] == "reset" and kinds["logits/bias"] == "reset"
    again = draw(network, paths, [1])[0]
    for name in first.state:
        assert np.array_equal(first.state[name], again.state[name])
        if kinds[name] == "redrawn":
            assert not np.array_equal(first.state[name], other.state[name])
    limit = np.sqrt(6 / (3 * 3 * 3 + 3 * 3 * 8))
    kernel = first.state["first/kernel"]
    assert np.abs(kernel).max() <= limit and kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.15)
    assert not np.allclose(first.state["last/kernel"].ravel()[:50], kernel.ravel()[:50])


@pytest.mark.parametrize("build", [networks.nested, networks.sequential, networks.subclassed, networks.shared])
def test_randomization_reaches_into_every_build(build):
    network = networks.network(build())
    drawn = draw(network, layers_in_order(network), [0])[0]
    assert set(drawn.state) == set(network.variables)
    (moved,) = changes(network, [drawn.state])
    assert all(moved[name] > 0 for name, way in drawn.ways.items() if way != "reset")


@pytest.mark.parametrize("first", ["number", "classes"])
def test_a_network_that_returns_one_number_for_all_samples_can_be_randomized(first):
    inputs = keras.Input((16, 16, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3)(inputs))
    classes = keras.layers.Dense(4, activation="softmax")(features)
    outputs = [classes, keras.ops.mean(classes)]
    network = networks.network(keras.Model(inputs, outputs if first == "classes" else outputs[::-1]))
    drawn = Subject(network, networks.images(3), lab.channel(layers_in_order(network)[0], 0), ("a", "b", "c"))
    (run,) = randomize(drawn, stages(network), [3])
    assert ("same_top" in run[0].done) == (first == "classes") and run[0].done["parameters"] == 1


def test_permutation_moves_one_by_one_kernels_and_keeps_values(network):
    drawn = draw(network, ["last", "logits"], [0], "permutation")[0]
    trained = network.state()
    for name in ("last/kernel", "logits/kernel"):
        assert changes(network, [drawn.state])[0][name] > 0.3
        np.testing.assert_array_equal(np.sort(drawn.state[name].ravel()), np.sort(trained[name].ravel()))
    normal = draw(network, ["last"], [0], "normal")[0].state["last/kernel"]
    assert normal.std() == pytest.approx(trained["last/kernel"].std(), rel=0.3)


def test_layers_that_cannot_be_rebuilt_are_shuffled_and_it_is_said():
    class Own(keras.layers.Layer):
        def __init__(self, table):
            super().__init__()
            self.table = table

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 3), initializer="ones")

        def call(self, x):
            return x @ self.kernel

        def get_config(self):
            raise NotImplementedError

    inputs = keras.Input((16, 16, 3))
    network = networks.network(
        networks.filled(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(Own({})(inputs))))
    )
    assert set(draw(network, layers_in_order(network), [0])[0].ways.values()) == {"permuted"}


def test_blocks_follow_the_network(lite0):
    names = [name for name, _ in blocks(lite0)]
    assert names == ["stem", *(f"block_{index}" for index in range(16)), "head", "logits"]
    assert len(blocks(lite0, "layer")) == 99
    cascade = stages(lite0, "top_down")
    assert cascade[0][1] == ["logits"] and len(cascade[-1][1]) == 99 and set(cascade[0][1]) <= set(cascade[1][1])


def test_random_networks_are_alive_and_plain_reset_is_dead(lite0, photos):
    """Fresh initializers under reset statistics starve a deep network; estimated statistics keep its signals of order one."""
    inputs, _ = photos
    steps = stages(lite0)
    on = Subject(lite0, inputs, lab.logit(0), ("a", "b", "c"))
    alive, dead = (randomize(on, steps, [0], statistics=statistics)[0][-1] for statistics in ("estimate", "reset"))
    sizes = {}
    for name, stage in (("alive", alive), ("dead", dead)):
        with lite0.weights(stage.state):
            sizes[name] = np.abs(routines.outputs(lite0, inputs)["logits"]).max()
            norm = routines.activations(lite0, inputs, "block_8_expand_bn")
        if name == "alive":
            assert np.abs(norm.mean((0, 1, 2))).max() < 0.05 and np.abs(norm.std((0, 1, 2)) - 1).max() < 0.1
    assert sizes["alive"] > 1e3 * sizes["dead"]
    assert alive.done["parameters"] == 1 and alive.done["unchanged"] == [] and alive.done["ways"]["re-estimated"] == 98


@pytest.mark.parametrize("control", list(EXPECTED["parameters"]))
def test_controls_come_out_as_they_must(on, control):
    verdict = judge([PARAMETERS(explainers.get(control), on, seed=0)])[0]
    assert verdict.outcome in EXPECTED["parameters"][control], verdict.sentence
    assert audit([verdict])[0].held


def test_a_check_that_missed_a_blind_one_is_seen(on):
    verdict = judge([PARAMETERS(explainers.get("gradient"), on, seed=0)])[0]
    from dataclasses import replace

    assert not audit([replace(verdict, method="edges")])[0].held


def test_the_gradient_responds_on_the_real_network_and_edges_do_not(lite0):
    on = subject(lite0, lab.photographs(["chelsea", "coffee", "rocket", "grace_hopper"]))
    prepared = prepare(on, seed=0, seeds=2)
    traces = None
    verdicts = {}
    for name in ("gradient", "gradcam", "edges"):
        verdicts[name] = judge([PARAMETERS(explainers.get(name), on, seed=0, seeds=2, prepared=prepared)])[0]
        traces = lite0.traces if name == "gradcam" else traces
    assert verdicts["gradient"].finding == "RESPONDED" and verdicts["gradcam"].finding == "RESPONDED"
    assert verdicts["edges"].finding == "INPUT-DOMINATED"
    # Four images decide nothing.
    assert {verdict.outcome for verdict in verdicts.values()} == {"INCONCLUSIVE"}
    assert lite0.traces == traces


def test_a_cascade_goes_down_and_ends_where_full_ends(on):
    network = on.network
    before = network.fingerprint()
    cascade = PARAMETERS(explainers.get("gradient"), on, seed=0, mode="top_down", unit="layer", seeds=3)
    traces = network.traces
    full = PARAMETERS(explainers.get("gradient"), on, seed=0, seeds=3)
    assert network.traces == traces and network.fingerprint() == before
    rows = cascade.samples["cascade/joint_abs_spearman"]
    assert rows.shape == (3, 6, 6) and [stage["stage"] for stage in cascade.stages][:2] == ["logits", "last"]
    np.testing.assert_allclose(
        cascade.samples["between/signed_spearman"], full.samples["between/signed_spearman"], atol=1e-6
    )
    shares = [stage["parameters"] for stage in cascade.stages]
    assert shares == sorted(shares) and shares[-1] == 1


def test_the_target_is_frozen_and_draws_are_fresh(on):
    calls = []

    def spy(network, inputs, objective, *, seed):
        calls.append((objective, seed))
        return lab.gradient(network, inputs, objective)

    PARAMETERS(spy, on, seed=3, seeds=3)
    assert {goal for goal, _ in calls} == {on.objective} and len({seed for _, seed in calls}) == len(calls) == 6


def test_another_seed_draws_other_networks_and_options_reach_the_method(on):
    a, b, c = (
        PARAMETERS(explainers.get("smoothgrad"), on, seed=seed, samples=samples)
        for seed, samples in ((0, 2), (1, 2), (0, 9))
    )
    assert not np.array_equal(a.samples["between/signed_spearman"], b.samples["between/signed_spearman"])
    assert np.nanmean(c.samples["itself/signed_spearman"]) > np.nanmean(a.samples["itself/signed_spearman"])


@pytest.mark.parametrize(
    "options",
    [{"mode": "sideways"}, {"seeds": 1}, {"statistics": "guess"}, {"unit": "brick"}, {"initialization": "zeros"}],
)
def test_bad_options_are_refused(on, options):
    with pytest.raises(ValueError, match="Received"):
        PARAMETERS(explainers.get("gradient"), on, seed=0, **options)


def test_prepared_networks_of_other_options_are_refused(on):
    with pytest.raises(ValueError, match="prepared= needs the options"):
        PARAMETERS(explainers.get("gradient"), on, seed=1, prepared=prepare(on, seed=0))


def test_weights_survive_an_explainer_that_breaks_mid_cascade(on):
    before, calls = on.network.fingerprint(), []

    def breaks(network, inputs, objective):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("mid cascade")
        return lab.gradient(network, inputs, objective)

    with pytest.raises(RuntimeError, match="mid cascade"):
        PARAMETERS(breaks, on, seed=0, mode="top_down")
    assert on.network.fingerprint() == before


def test_a_constant_reinitialization_is_caught():
    """A network whose initializers are all constants cannot be randomized: the gate must say so, not the maps."""
    inputs = keras.Input((16, 16, 3))
    network = networks.network(
        networks.filled(
            keras.Model(
                inputs, keras.layers.Dense(3, kernel_initializer="ones")(keras.layers.GlobalAveragePooling2D()(inputs))
            )
        )
    )
    on = Subject(network, networks.images(3), lab.logit(0), tuple("abc"))
    evidence = PARAMETERS(explainers.get("gradient"), on, seed=0)
    assert evidence.stages[0]["ways"] == {"reset": 2}
    assert "nothing was drawn" in judge([evidence])[0].why


def test_competence_is_a_gate_only_with_labels(network):
    images = tuple(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(4))
    unlabelled = subject(network, lab.Data(tuple("abcd"), images))
    top = [str(index) for index in routines.outputs(network, unlabelled.inputs)["logits"].argmax(1)]
    wrong = [str((int(index) + 1) % 5) for index in top]
    for labels, status in ((None, "not measured"), (top, "passed"), (wrong, "failed")):
        on = subject(network, lab.Data(tuple("abcd"), images, tuple(labels) if labels else None))
        gates_of = PARAMETERS(explainers.get("gradient"), on, seed=0, seeds=2).gates
        assert [gate.status for gate in gates_of if gate.name == "network competent"] == [status]


@pytest.mark.parametrize("mode, first", [("top_down", "logits"), ("bottom_up", "first"), ("independent", "first")])
def test_a_stage_forgets_its_own_layers_and_no_others(on, mode, first):
    """The fault of a tool that clones without weights: after one stage every layer was random."""
    steps = stages(on.network, mode, "layer")
    run = randomize(on, steps, [3], statistics="reset")[0]
    assert run[0].name == first and {name.rpartition("/")[0] for name in run[0].state} == {first}
    last = {name.rpartition("/")[0] for name in run[-1].state}
    assert last == set(layers_in_order(on.network)) and run[-1].name == (
        "all" if mode == "independent" else steps[-1][0]
    )
    with on.network.weights(run[0].state):
        now = on.network.state()
    trained = on.network.state()
    assert {name for name in trained if not np.array_equal(trained[name], now[name])} <= set(run[0].state)


def test_evidence_of_each_stage_says_what_moved(on):
    evidence = PARAMETERS(explainers.get("gradient"), on, seed=0, mode="top_down", unit="layer", seeds=2)
    named = [name for stage in evidence.stages for name in stage["changes"]]
    assert sorted(named) == sorted(on.network.variables)
    assert evidence.stages[0]["kl"] > 0 and evidence.stages[0]["changes"]["logits/kernel"] > 0.1


def smooth_mean(on, seed, inputs, turns=5):
    """Smooth MPRT by its slow definition: the mean gradient over noisy copies."""
    copies = [add_noise(inputs, derive_seed(seed, "smoothing noise", turn), 0.1) for turn in range(turns)]
    return np.mean([lab.gradient(on.network, copy, on.objective) for copy in copies], axis=0)


def test_smoothing_averages_over_noisy_inputs(on):
    bound = BoundExplainer(explainers.get("gradient"), on, 0, {})
    mean = smooth_mean(on, derive_seed(0, "own"), on.inputs)
    for pooled_map, expected in zip(bound.smoothed_maps(5, 0.1), mean):
        np.testing.assert_allclose(pooled_map.signed, expected.sum(-1), rtol=1e-4, atol=1e-7)
    smooth = PARAMETERS(explainers.get("gradient"), on, seed=0, seeds=2, smooth=5)
    plain = PARAMETERS(explainers.get("gradient"), on, seed=0, seeds=2)
    assert not np.allclose(smooth.samples[f"between/{SIGNED}"], plain.samples[f"between/{SIGNED}"])


def test_the_ceiling_of_smoothed_maps_is_of_smoothed_maps(on):
    """Both sides by the slow definition, each with noise of its own."""
    similarity = PARAMETERS(explainers.get("gradient"), on, seed=0, seeds=2, smooth=5).samples[f"itself/{SIGNED}"]
    smoothed = pooled_maps(smooth_mean(on, derive_seed(0, "own"), on.inputs))
    for turn in range(2):
        moved = add_noise(on.inputs, derive_seed(0, "rounding noise", turn))
        other = pooled_maps(smooth_mean(on, derive_seed(0, "itself", turn), moved))
        np.testing.assert_allclose(similarity[turn], similarities(smoothed, other)[SIGNED], atol=1e-5)


def test_smoothing_raises_the_ceiling_of_a_method_that_draws_and_replicates_do_not_stop_it(on):
    """Map = gradient's rank order plus three times as much noise: alone it agrees with itself at .1, the mean of fifty at .85."""

    def loud(network, inputs, objective, *, seed):
        signal = stats.zscore(lab.gradient(network, on.inputs, objective).reshape(len(inputs), -1), axis=1)
        drawn = np.random.default_rng([seed, zlib.crc32(inputs.tobytes())]).standard_normal(signal.shape)
        return (signal + 3 * drawn).reshape(inputs.shape).astype("float32")

    replicates = dataclasses.replace(on, replicates=tuple(on.network.state() for _ in range(3)))
    ceiling = {}
    for smooth in (0, 50):
        samples = PARAMETERS(loud, replicates, seed=0, seeds=2, smooth=smooth).samples
        ceiling[smooth] = np.nanmean(samples[f"itself/{SIGNED}"]), np.nanmean(samples[f"ceiling/{SIGNED}"])
    np.testing.assert_allclose(ceiling[0], 1 / 10, atol=0.05)
    np.testing.assert_allclose(ceiling[50], 1 / (1 + 9 / 50), atol=0.06)


def test_seeds_of_different_purposes_never_meet():
    drawn = {derive_seed(seed, kind, index) for seed in range(3) for kind in "ab" for index in range(200)}
    assert len(drawn) == 1200 and all(0 <= seed < 2**31 for seed in drawn)


def test_a_check_that_asks_for_another_target_on_another_network_fails_its_gate(on):
    """What Adebayo's own code does: each network is asked about the class that it prefers itself."""
    bound = BoundExplainer(explainers.get("gradient"), on, 0, {})
    bound.maps()
    assert gates.frozen_target(on, bound).status == "passed"
    for turn, drawn in enumerate(draw(on.network, layers_in_order(on.network), [1, 2, 3])):
        with on.network.weights(drawn.state):
            top = routines.logits(on.network, on.inputs).argmax(axis=1)
            bound.maps(state=("random network", turn), objective=lab.logit([int(index) for index in top]))
    gate = gates.frozen_target(on, bound)
    assert gate.status == "failed" and "random network" in gate.words


def samples_of(between, ceiling, null, signed=0.0, replicates=False, networks=4, images=12):
    """Samples that scatter a little around given similarities."""
    rng = np.random.default_rng(0)

    def scatter(mean, *shape):
        return mean + 0.02 * rng.standard_normal(shape)

    samples = {}
    for measure, shift in ((MEASURE, 0.0), (SIGNED, None)):
        middle = between if shift is not None else signed
        samples[f"between/{measure}"] = scatter(middle, networks if replicates else 1, networks, images)
        pair = scatter(null, networks, networks, images)
        samples[f"random/{measure}"] = (pair + pair.transpose(1, 0, 2)) / 2
        if replicates:
            pair = scatter(ceiling, networks, networks, images)
            samples[f"ceiling/{measure}"] = (pair + pair.transpose(1, 0, 2)) / 2
        else:
            samples[f"itself/{measure}"] = scatter(ceiling, 2, images)
    return samples


CASES = [
    ((0.1, 0.8, 0.1, 0.1), "RESPONDED", "PASS"),
    ((0.9, 0.8, 0.75, 0.9), "DID NOT RESPOND", "FAIL"),
    ((0.2, 0.56, 0.70, 0.2), "INPUT-DOMINATED", "FAIL"),
    ((0.0, 0.05, 0.0, 0.0), "NO REPRODUCIBLE SIGNAL", "INVALID"),
    ((0.5, 0.8, 0.1, 0.5), "UNDECIDED", "INCONCLUSIVE"),
    ((0.5, 0.8, 0.1, 0.0), "SIGN RESPONDS", "INCONCLUSIVE"),
]


@pytest.mark.parametrize("replicates, networks", [(False, 5), (False, 6), (True, 4)])
@pytest.mark.parametrize("numbers, finding, outcome", CASES)
def test_the_rule(numbers, finding, outcome, replicates, networks):
    between, ceiling, null, signed = numbers
    samples = samples_of(*numbers, replicates=replicates, networks=networks)
    evidence = Evidence("parameters", "any", "net", {"images": 12, "networks": networks}, samples, ())
    verdict = judge([evidence])[0]
    assert verdict.finding == finding, verdict
    too_few = outcome == "PASS" and networks == 5
    assert verdict.outcome == ("INCONCLUSIVE" if too_few else outcome)
    assert ("seeds=6" in verdict.remedy) == too_few
    if outcome != "INVALID":
        scope = "networks trained like this" if replicates else "this network alone"
        assert verdict.scope == scope and f"on net, {scope}: " in verdict.sentence
    assert (verdict.p is not None) == replicates and verdict.effect.mean == pytest.approx(between, abs=0.02)
    failed = Evidence("parameters", "any", "net", {"images": 12}, evidence.samples, (Gate("any", "failed", "seen"),))
    assert judge([failed])[0].outcome == "INVALID"


def test_a_pass_needs_the_exact_test_and_three_replicates_cannot_pass():
    """Of three and three networks the smallest exact p is .1: whatever the maps, no PASS."""
    evidence = Evidence("parameters", "any", "net", {}, samples_of(0.1, 0.8, 0.1, 0.1, replicates=True, networks=3), ())
    verdict = judge([evidence])[0]
    assert verdict.p == pytest.approx(0.1) and verdict.outcome == "INCONCLUSIVE" and "p = 0.1" in verdict.why
    assert "3 against 3 networks allow no less than 0.1" in verdict.why
    wide = samples_of(0.35, 0.8, 0.1, 0.35, replicates=True)
    wide[f"between/{MEASURE}"] += np.linspace(-0.3, 0.3, 4)[None, :, None]
    undecided = judge([Evidence("parameters", "any", "net", {}, wide, ())])[0]
    assert re.match(r"Compare about (\d+) trained networks with \1 untrained", undecided.remedy), undecided.remedy
    assert undecided.remedy in undecided.sentence


def test_the_smallest_p_is_that_of_the_networks_there_are():
    """Two against four networks have 15 ways, and none is another's mirror image."""
    samples = samples_of(0.1, 0.8, 0.1, 0.1, replicates=True)
    samples = {name: values[:2] if "between" in name else values for name, values in samples.items()}
    samples = {name: values[:2, :2] if "ceiling" in name else values for name, values in samples.items()}
    verdict = judge([Evidence("parameters", "any", "net", {}, samples, ())])[0]
    assert verdict.p == pytest.approx(1 / 15) and "2 against 4 networks allow no less than 0.067" in verdict.why


def test_networks_are_no_remedy_for_what_images_or_one_trained_network_leave_open():
    wide = samples_of(0.35, 0.8, 0.1, 0.35, replicates=True, images=8)
    wide[f"between/{MEASURE}"] += np.linspace(-0.3, 0.3, 8)
    of_images = judge([Evidence("parameters", "any", "net", {}, wide, ())])[0]
    assert of_images.outcome == "INCONCLUSIVE" and of_images.remedy.startswith("Give more images"), of_images.sentence
    alone = samples_of(0.35, 0.8, 0.1, 0.35)
    alone[f"between/{MEASURE}"] += np.linspace(-0.3, 0.3, 4)[None, :, None]
    one_network = judge([Evidence("parameters", "any", "net", {}, alone, ())])[0]
    assert one_network.outcome == "INCONCLUSIVE", one_network.sentence
    assert re.match(r"Compare with about \d+ untrained networks: seeds=\d+ might", one_network.remedy)


def test_untrained_networks_without_a_similarity_are_not_counted():
    alone = samples_of(0.1, 0.8, 0.1, 0.1, networks=6)
    alone[f"between/{MEASURE}"][:, 2:] = np.nan
    verdict = judge([Evidence("parameters", "any", "net", {"images": 12}, alone, ())])[0]
    assert verdict.outcome == "INCONCLUSIVE" and "2 measured untrained networks" in verdict.why


def _weights_alone(network, inputs, objective):
    """A field that the weights seed, the same for every image."""
    seed = int(network.fingerprint()[:8], 16)
    return np.broadcast_to(np.random.default_rng(seed).normal(size=inputs.shape[1:]), inputs.shape).astype("float32")


def test_a_map_of_the_weights_alone_does_not_pass_for_one_network(on):
    alone = dataclasses.replace(on, replicates=on.replicates[:1])
    fields, gradient = judge([PARAMETERS(method, alone, seed=0, seeds=6) for method in (_weights_alone, lab.gradient)])
    assert fields.outcome == "INCONCLUSIVE" and "maps of different images agree" in fields.why, fields.sentence
    assert "different images" not in gradient.why
    assert "1 trained network," in gradient.sentence and "trained with itself under noise" in gradient.sentence


def test_a_verdict_about_one_network_is_settled_by_as_many_untrained_networks_as_it_asks_for():
    def draw(networks, seed):
        alone = samples_of(0.3, 0.8, 0.1, 0.3, networks=networks, images=40)
        alone[f"between/{MEASURE}"] += np.random.default_rng(seed).normal(0, 0.2, networks)[None, :, None]
        return judge([Evidence("parameters", "any", "net", {"images": 40}, alone, ())])[0]

    for verdict in (draw(6, seed) for seed in range(20)):
        asked = re.search(r"seeds=(\d+)", verdict.remedy)
        if verdict.outcome == "INCONCLUSIVE" and asked:
            count = int(asked[1])
            settled = [draw(count, seed).outcome == "PASS" for seed in range(100, 120)]
            assert count > 6 and np.mean(settled) > 0.5, (count, np.mean(settled))
            return
    raise AssertionError("no draw left the question open")


def test_margins_are_what_decides():
    evidence = Evidence("parameters", "any", "net", {}, samples_of(0.3, 0.8, 0.4, 0.3, replicates=True), ())
    assert judge([evidence])[0].outcome == "PASS"
    assert judge([evidence], margins=Margins(low=0.2))[0].outcome == "INCONCLUSIVE"
    assert judge([evidence], margins=Margins(high=0.3))[0].outcome != "PASS"


def test_no_sentence_holds_a_forbidden_word(on):
    """Linted in every sentence that any rule can say, and in those it did say."""
    verdicts = judge(
        [PARAMETERS(explainers.get(name), on, seed=0, seeds=2) for name in ("gradient", "edges", "constant")]
    )
    assert {verdict.outcome for verdict in verdicts} <= set(OUTCOMES) - {"PASS"}
    sentences = [verdict.sentence for verdict in verdicts] + [verdict.cannot for verdict in verdicts]
    for name in rules:
        about = rules.tag(rules.get(name), "about")
        blank = Evidence(name, "any", "net", {"images": 4, "networks": 3, "replicates": 3}, {}, ())
        sentences += [about.sentence(blank, Ruling("FAIL", finding, why="why")) for finding in about.findings]
    for sentence in sentences:
        assert not any(word in sentence.lower().split() for word in FORBIDDEN), sentence
    assert all(
        verdict.as_dict()["effect"]["mean"] == pytest.approx(verdict.effect.mean, nan_ok=True) for verdict in verdicts
    )


def test_several_checks_are_not_one_family(on):
    family = [Evidence(name, "any", "net", {}, {}, (Gate("g", "failed", ""),)) for name in ("parameters", "truth")]
    with pytest.raises(ValueError, match="one check.*parameters, truth"):
        judge(family)


class Assigning(keras.layers.Dense):
    """Assigns its kernel while it is built, as few layers do."""

    def build(self, shape):
        super().build(shape)
        self.kernel.assign(self.kernel * 0.5)


@pytest.mark.parametrize(
    "layer", [keras.layers.Dense(3, bias_initializer="ones"), Assigning(3, bias_initializer="ones")]
)
def test_draws_of_several_seeds_are_those_of_single_ones(layer):
    net = networks.network(networks.filled(keras.Sequential([keras.Input((4,)), layer])))
    together, single = draw(net, [layer.name], [5, 6]), [draw(net, [layer.name], [seed])[0] for seed in (5, 6)]
    for one, other in zip(together, single):
        assert one.ways == other.ways and set(one.ways.values()) == {"redrawn", "reset"}
        assert all(one.state[name].tobytes() == other.state[name].tobytes() for name in other.state)
    kernel = next(name for name in together[0].state if name.endswith("kernel"))
    seed = derive_seed(5, layer.name, 0)
    assert np.array_equal(together[0].state[kernel], keras.initializers.GlorotUniform(seed)((4, 3)))
    assert not np.array_equal(together[0].state[kernel], together[1].state[kernel])
    assert not any(np.shares_memory(together[0].state[name], value) for name, value in together[1].state.items())
    # Keras is left as it was: the method is inherited.
    assert "_initialize_with_initializer" not in vars(keras.Variable)


class RandomConstant(keras.initializers.Constant):
    """Draws, though it is a constant by its class."""

    def __init__(self, value=1.0, seed=None):
        super().__init__(value)
        self.seed = seed

    def __call__(self, shape, dtype=None):
        return self.value * keras.random.uniform(shape, dtype=dtype, seed=self.seed)

    def get_config(self):
        return {"value": self.value, "seed": self.seed}


def test_an_initializer_that_inherits_from_a_constant_is_drawn_for_each_seed():
    kernel = keras.layers.Dense(3, kernel_initializer=RandomConstant(), use_bias=False, name="dense")
    net = networks.network(networks.filled(keras.Sequential([keras.Input((4,)), kernel])))
    first, second, again = (values.state["dense/kernel"] for values in draw(net, ["dense"], [5, 6, 5]))
    assert np.array_equal(first, again) and not np.array_equal(first, second)


def test_layers_of_one_configuration_are_rebuilt_once_and_layers_of_others_have_their_own(monkeypatch):
    rebuilt, from_config = [], keras.layers.Dense.from_config.__func__

    def note(kind, config):
        rebuilt.append(config)
        return from_config(kind, config)

    monkeypatch.setattr(keras.layers.Dense, "from_config", classmethod(note))
    inputs = keras.Input((4,))
    randomization._initializers_of_blueprint.cache_clear()

    def dense(name, kernel):
        return keras.layers.Dense(7, kernel_initializer=kernel, name=name)

    first, second, third = dense("first", "he_normal"), dense("second", "he_normal"), dense("third", "he_uniform")
    network = networks.network(keras.Model(inputs, third(second(first(inputs)))))
    rebuilt.clear()
    state = draw(network, layers_in_order(network), [5])[0].state
    assert len(rebuilt) == 2
    for path, initializer, rows in (
        ("first", keras.initializers.HeNormal, 4),
        ("second", keras.initializers.HeNormal, 7),
        ("third", keras.initializers.HeUniform, 7),
    ):
        expected = initializer(derive_seed(5, path, 0))((rows, 7))
        assert np.array_equal(state[f"{path}/kernel"], expected)


def test_an_initializer_that_is_written_anew_under_its_name_is_the_one_that_draws():
    def build(value):
        @keras.saving.register_keras_serializable("tests", "Rewritten")
        class Rewritten(keras.initializers.Initializer):
            def __call__(self, shape, dtype=None):
                return keras.ops.full(shape, value, dtype)

        return networks.network(
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer=Rewritten(), name="dense")])
        )

    assert all((draw(build(value), ["dense"], [0])[0].state["dense/kernel"] == value).all() for value in (2.0, 3.0))


def test_changes_are_relative_distances_of_every_state(network):
    trained = network.state()
    states = [{name: value * factor for name, value in trained.items()} for factor in (1, 3, -1)]
    for factor, moved in zip((0, 2, 2), changes(network, states)):
        expected = {name: factor if value.any() else 0 for name, value in trained.items()}
        assert moved == pytest.approx(expected, rel=1e-6)
    zero = {name: np.zeros_like(value) for name, value in trained.items()}
    with network.weights(zero):
        expected = {name: np.inf if value.any() else 0.0 for name, value in trained.items()}
        assert changes(network, [trained])[0] == expected
    assert changes(network, []) == []


class ByWidth(keras.layers.Layer):
    """A layer of a user whose initializer depends on the shape, which its configuration does not tell."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 3), initializer="ones" if shape[-1] < 5 else "he_normal")

    def call(self, inputs):
        return inputs @ self.kernel


class Halved(keras.layers.Wrapper):
    """It assigns while it is built, and Keras takes the inner layer out of the configuration that it builds from."""

    def build(self, shape):
        super().build(shape)
        self.gain = self.add_weight(shape=(shape[-1], 4), initializer="he_normal", name="gain")
        self.gain.assign(self.gain * 0.5)

    def call(self, inputs):
        return self.layer(inputs)


def test_layers_of_a_user_are_rebuilt_each_for_itself():
    widths = [networks.network(keras.Sequential([keras.Input((width,)), ByWidth(name="own")])) for width in (4, 8)]
    assert [draw(network, ["own"], [0])[0].ways for network in widths] == [
        {next(iter(network.variables)): way} for network, way in zip(widths, ("reset", "redrawn"))
    ]
    inner = keras.layers.TimeDistributed(keras.layers.Dense(3))
    wrapped = networks.network(keras.Sequential([keras.Input((5, 4)), Halved(inner, name="halved")]))
    assert draw(wrapped, ["halved"], [0])[0].ways == {"halved/gain": "redrawn"}
