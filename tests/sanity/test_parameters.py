"""The parameters check is itself checked: it must fail the blind, pass over the dead, and see those who look."""

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.attribution import explainers
from sanity.checks import checks
from sanity.checks.parameters import prepare
from sanity.controls import EXPECTED, audit
from sanity.evidence import Evidence, Gate
from sanity.randomization import blocks, changes, draw, forget, layers_in_order, stages
from sanity.statistics import Interval
from sanity.subject import Subject, subject
from sanity.verdict import CANNOT, FINDINGS, FORBIDDEN, OUTCOMES, Margins, _decide, judge
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
    moved = changes(network, drawn.state)
    assert all(moved[name] > 0 for name, way in drawn.ways.items() if way != "reset")


def test_permutation_moves_one_by_one_kernels_and_keeps_values(network):
    drawn = draw(network, ["last", "logits"], [0], "permutation")[0]
    trained = network.state()
    for name in ("last/kernel", "logits/kernel"):
        assert changes(network, drawn.state)[name] > 0.3
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
    cascade = stages(lite0, "cascade")
    assert cascade[0][1] == ["logits"] and len(cascade[-1][1]) == 99 and set(cascade[0][1]) <= set(cascade[1][1])


def test_random_networks_are_alive_and_plain_reset_is_dead(lite0, photos):
    """Fresh initializers under reset statistics starve a deep network; estimated statistics keep its signals of order one."""
    inputs, _ = photos
    steps = stages(lite0)
    alive, dead = (forget(lite0, inputs, steps, [0], statistics=each)[0][-1] for each in ("estimate", "reset"))
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
    found = {}
    for name in ("gradient", "gradcam", "edges"):
        found[name] = judge([PARAMETERS(explainers.get(name), on, seed=0, seeds=2, prepared=prepared)])[0]
        traces = lite0.traces if name == "gradcam" else traces
    assert found["gradient"].finding == "RESPONDED" and found["gradcam"].finding == "RESPONDED"
    assert found["edges"].outcome == "FAIL" and found["gradient"].outcome == "INCONCLUSIVE"
    assert lite0.traces == traces


def test_a_cascade_goes_down_and_ends_where_full_ends(on):
    network = on.network
    before = network.fingerprint()
    cascade = PARAMETERS(explainers.get("gradient"), on, seed=0, mode="cascade", unit="layer")
    traces = network.traces
    full = PARAMETERS(explainers.get("gradient"), on, seed=0)
    assert network.traces == traces and network.fingerprint() == before
    rows = cascade.samples["cascade/joint_abs_spearman"]
    assert rows.shape == (3, 6, 6) and [stage["stage"] for stage in cascade.stages][:2] == ["logits", "last"]
    np.testing.assert_allclose(
        cascade.samples["between/signed_spearman"], full.samples["between/signed_spearman"], atol=1e-6
    )
    shares = [stage["parameters"] for stage in cascade.stages]
    assert shares == sorted(shares) and shares[-1] == 1


def test_the_target_is_frozen_and_draws_are_fresh(on):
    seen = []

    def spy(network, inputs, objective, *, seed):
        seen.append((objective, seed))
        return lab.gradient(network, inputs, objective)

    PARAMETERS(spy, on, seed=3)
    assert {goal for goal, _ in seen} == {on.objective} and len({seed for _, seed in seen}) == len(seen) == 6


def test_another_seed_draws_other_networks_and_options_reach_the_method(on):
    a, b, c = (
        PARAMETERS(explainers.get("smoothgrad"), on, seed=seed, samples=samples)
        for seed, samples in ((0, 2), (1, 2), (0, 9))
    )
    assert not np.array_equal(a.samples["between/signed_spearman"], b.samples["between/signed_spearman"])
    assert np.nanmean(c.samples["ceiling/signed_spearman"]) > np.nanmean(a.samples["ceiling/signed_spearman"])


@pytest.mark.parametrize(
    "options",
    [{"mode": "sideways"}, {"seeds": 1}, {"statistics": "guess"}, {"unit": "brick"}, {"initialization": "zeros"}],
)
def test_bad_options_are_refused(on, options):
    with pytest.raises(ValueError, match="Received"):
        PARAMETERS(explainers.get("gradient"), on, seed=0, **options)


def test_prepared_networks_of_other_options_are_refused(on):
    with pytest.raises(ValueError, match="prepared= was made"):
        PARAMETERS(explainers.get("gradient"), on, seed=1, prepared=prepare(on, seed=0))


def test_weights_survive_an_explainer_that_breaks_mid_cascade(on):
    before, calls = on.network.fingerprint(), []

    def breaks(network, inputs, objective):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("mid cascade")
        return lab.gradient(network, inputs, objective)

    with pytest.raises(RuntimeError, match="mid cascade"):
        PARAMETERS(breaks, on, seed=0, mode="cascade")
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
        assert PARAMETERS(explainers.get("gradient"), on, seed=0, seeds=2).gates[0].status == status


CASES = [
    ((0.1, 0.05, 0.15), (0.8, 0.7, 0.9), (0.1, 0.0, 0.2), ("INCONCLUSIVE", "RESPONDED")),
    ((0.9, 0.8, 1.0), (0.8, 0.7, 0.9), (0.75, 0.7, 0.8), ("FAIL", "DID NOT RESPOND")),
    ((0.2, 0.1, 0.3), (0.56, 0.5, 0.6), (0.70, 0.6, 0.8), ("FAIL", "INPUT-DOMINATED")),
    ((0.0, -0.1, 0.1), (0.05, 0.0, 0.1), (0.0, -0.1, 0.1), ("INVALID", "NO REPRODUCIBLE SIGNAL")),
    ((0.5, 0.3, 0.7), (0.8, 0.7, 0.9), (0.1, 0.0, 0.2), ("INCONCLUSIVE", "UNDECIDED")),
]


def evidence_of(gates=()):
    return Evidence("parameters", "any", "net", {"images": 4, "networks": 3}, {}, tuple(gates))


@pytest.mark.parametrize("effect, ceiling, null, expected", CASES)
def test_the_rule(effect, ceiling, null, expected):
    unsigned = tuple(Interval(*each) for each in (effect, ceiling, null))
    signed = (Interval(0.6, 0.5, 0.7), Interval(0.8, 0.7, 0.9), Interval(0, 0, 0))
    assert _decide(evidence_of(), unsigned, signed, Margins())[:2] == expected
    failed = evidence_of([Gate("any", "failed", "seen")])
    assert _decide(failed, unsigned, signed, Margins())[0] == "INVALID"
    if expected[1] == "UNDECIDED":
        low = (Interval(0.0, -0.1, 0.1), Interval(0.8, 0.7, 0.9), Interval(0, 0, 0))
        assert _decide(evidence_of(), unsigned, low, Margins())[1] == "SIGN RESPONDS"


def test_no_pass_from_one_network_and_no_forbidden_word(on):
    from sanity import verdict

    for finding in FINDINGS:
        sentence = verdict._sentence(evidence_of(), finding, *[Interval(0.5, 0.4, 0.6)] * 3, "why")
        assert not any(word in sentence.lower() for word in FORBIDDEN), sentence
    made = judge([PARAMETERS(explainers.get(name), on, seed=0) for name in ("gradient", "edges", "constant")])
    assert {each.outcome for each in made} <= set(OUTCOMES) - {"PASS"}
    for each in made:
        assert each.cannot == CANNOT and each.sizes["networks"] == 3
        assert not any(word in each.sentence.lower() for word in FORBIDDEN)
        assert each.as_dict()["effect"]["mean"] == pytest.approx(each.effect.mean, nan_ok=True)
