"""The laws of the house, on small networks and on the real one."""

import sys
from importlib import util

import numpy as np
import pytest
from sklearn import ensemble

import lab
from lab import chunks, routines
from lab.attribution import explainers
from lab.attribution.calls import attribute, needed_capability
from lab.environment import tf
from lab.registry import options
from sanity.contract import violations
from tests import attention_networks, networks
from tests.networks import distance

GOAL = lab.logit([0, 3, 4, 1])
QUICK = {name: {"steps": 6} for name in explainers if "steps" in options(explainers.get(name))}
QUICK |= {name: {"samples": 6} for name in explainers if "samples" in options(explainers.get(name))}
# A regression needs more samples than there are parts.
QUICK |= {"kernel_shap": {"samples": 100}, "lime": {"samples": 200}}
# At the last layer of the small network the gradient is the same whatever the noise.
QUICK["smooth_gradcam_plus_plus"] |= {"layer": "first_relu"}


@pytest.fixture(scope="module")
def forest():
    """The method of an ensemble of trees as a network, and four rows of its table."""
    rows = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")
    model = ensemble.RandomForestClassifier(4, random_state=0).fit(rows, np.arange(60) % 5)
    return lab.function(model.predict_proba, rows), rows[:4]


@pytest.fixture(scope="module")
def encoder():
    """A network of attention, and four series as it takes them."""
    return attention_networks.encoder(), attention_networks.series(4, 5)


@pytest.mark.parametrize("name", list(explainers))
def test_every_registered_explainer_keeps_the_contract(small, forest, encoder, name):
    explainer = explainers.get(name)
    needing = {"trees": (*forest, GOAL), "attention": (*encoder, lab.logit([0, 2, 1, 1]))}
    plain = small, networks.images(2), lab.logit([0, 3])
    network, inputs, goal = needing.get(needed_capability(explainer), plain)
    assert violations(explainer, network, inputs, goal, **QUICK.get(name, {})) == []


def test_maps_that_a_method_keeps_are_copied(small):
    kept = np.zeros(networks.images().shape, "float32")

    def hoarding(network, inputs, objective):
        kept[...] += 1
        return kept

    def echo(network, inputs, objective):
        return inputs

    inputs = networks.images()
    first, second = (attribute(hoarding, small, inputs, GOAL) for _ in range(2))
    assert (first == 1).all() and (second == 2).all()
    own = attribute(echo, small, inputs, GOAL)
    assert not np.shares_memory(own, inputs) and np.array_equal(own, inputs)


def test_the_contract_catches_those_who_break_it(small):
    def transposed(network, inputs, objective):
        return lab.gradient(network, inputs, objective).transpose(0, 3, 1, 2)

    def restless(network, inputs, objective):
        return np.random.default_rng().normal(size=inputs.shape).astype("float32")

    def batch_scaled(network, inputs, objective):
        maps = lab.gradient(network, inputs, objective)
        return maps / np.abs(maps).max()

    def vandal(network, inputs, objective):
        next(iter(network.variables.values())).assign_add(np.ones(next(iter(network.variables.values())).shape))
        inputs[0] = 0
        return lab.gradient(network, inputs, objective)

    def deaf(network, inputs, objective, *, seed):
        return lab.smoothgrad(network, inputs, objective, samples=2, seed=0)

    def picture(network, inputs, objective):
        return np.zeros(inputs.shape, "uint8")

    expected = {
        transposed: "structure and shape",
        restless: "same seed",
        batch_scaled: "alone as in a batch",
        picture: "float32",
    }
    for explainer, words in expected.items():
        assert any(words in each for each in violations(explainer, small, networks.images(), GOAL)), explainer.__name__
    (broken,) = violations(vandal, networks.network(networks.flat()), networks.images(), GOAL)
    assert "changed first/kernel" in broken and "wrote into its inputs" in broken
    # A seed may be taken and not needed; that those of ours who draw draw anew is a law of its own.
    assert violations(deaf, small, networks.images(), GOAL) == []


DRAWING = [
    name
    for name in explainers
    if "seed" in options(explainers.get(name)) and name not in explainers.names(control=True)
]


@pytest.mark.parametrize("name", DRAWING)
def test_another_seed_is_another_draw(small, name):
    inputs, given = networks.images(), {"references": [0.0, 0.5]} if name == "gradient_shap" else {}
    given = {**QUICK.get(name, {}), **given}
    first, again, other = (lab.explain(small, inputs, GOAL, method=name, seed=seed, **given).maps for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_no_retrace_across_class_unit_weights_seed_and_count():
    small = networks.network(networks.flat())
    inputs = networks.images(5)

    def ask(count, index, seed):
        some = inputs[:count]
        lab.gradient(small, some, lab.logit(index))
        lab.gradient(small, some, 2 * lab.channel("last", index) - lab.logit(index))
        lab.smoothgrad(small, some, lab.logit(index), samples=2 + seed, noise=0.1 * seed, seed=seed)
        lab.integrated_gradients(small, some, lab.logit(index), steps=2 + seed)
        lab.gradcam(small, some, lab.logit(index))

    ask(3, 0, 1)
    before = small.traces
    with small.weights({name: 0.5 * value for name, value in small.state().items()}):
        for count, index, seed in ((3, 1, 2), (1, 2, 3), (5, 3, 4), (2, 4, 9)):
            ask(count, index, seed)
    assert small.traces == before
    lab.gradcam(small, inputs, lab.logit(0), layer="first_relu")
    assert small.traces == before + 1


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "smoothgrad", "gradcam"])
def test_chunking_changes_nothing(method):
    network, goal = networks.network(networks.flat()), lab.logit([0, 1, 2, 3, 4, 0, 1])
    maps = []
    for memory in (1, 300_000, 1 << 30):
        network.memory = memory
        maps.append(lab.explain(network, networks.images(7), goal, method=method, **QUICK.get(method, {})).maps)
    assert distance(maps[0], maps[2]) < 1e-6 and distance(maps[1], maps[2]) < 1e-6


def test_memory_decides_the_chunk():
    network = networks.network(networks.flat())
    sizes = [
        chunks.size(networks.network(networks.flat(), memory=memory))
        for memory in (1, 4 * network.sample_bytes(), 1 << 40)
    ]
    assert sizes == [1, 4, chunks.MOST]


def test_samples_that_fit_are_taken_at_once_and_few_are_drawn_in_vain():
    roomy, inputs = networks.network(networks.flat()), networks.images(4)
    assert chunks.size(roomy) == chunks.MOST == 64
    widths = {samples: routines.sample_width(roomy, inputs, samples) for samples in (1, 3, 7, 16, 50, 400)}
    # 16 samples of 4 rows fill a chunk, and two turns are under way at once.
    assert roomy.turns_at_once == 2 and widths == {1: 1, 3: 3, 7: 7, 16: 8, 50: 5, 400: 8}
    assert routines.sample_width(roomy, networks.images(8), 100) == 4 and 4 * 25 == 100
    # One sample of 51 is drawn in vain, which costs less than turns of two thirds.
    assert routines.sample_width(roomy, networks.images(10), 50) == 3


@pytest.mark.parametrize("method", ["smoothgrad", "integrated_gradients", "kernel_shap", "rise"])
def test_all_methods_that_draw_share_one_loop(small, method, monkeypatch):
    turns, loop = [], routines.over_samples
    monkeypatch.setattr(routines, "over_samples", lambda *arguments: turns.append(1) or loop(*arguments))
    fresh = networks.network(networks.flat())
    lab.explain(fresh, networks.images(1), method=method)
    assert turns


def test_out_of_memory_halves_the_chunk_and_goes_on():
    def greedy(part, _):
        if len(part) > 2:
            raise tf.errors.ResourceExhaustedError(None, None, "too much")
        return tf.constant(part * 2)

    halved = []
    rows = np.arange(11.0)
    np.testing.assert_array_equal(chunks.map_rows(greedy, rows, (), 8, halved=halved), rows * 2)
    # 11 rows in parts of at most 8 are parts of 6, which are halved to 3 and then to 1.
    assert halved == [3, 1]
    with pytest.raises(tf.errors.ResourceExhaustedError):
        chunks.map_rows(lambda part, _: greedy(np.zeros(9), None), rows, (), 8)


def test_the_last_chunk_is_padded_for_compilers_that_specialize():
    seen = []

    def shaped(part, _):
        seen.append(len(part))
        return tf.constant(part)

    rows = np.arange(11.0)
    np.testing.assert_array_equal(chunks.map_rows(shaped, rows, (), 4, pad=True), rows)
    assert set(seen) == {4}
    seen.clear()
    chunks.map_rows(shaped, rows[:3], (), 8, pad=True)
    assert seen == [4]


def test_xla_gives_the_same_maps_without_retracing(small):
    compiled = networks.network(networks.flat(), jit=True)
    inputs = networks.images(4)
    for method in ("gradient", "integrated_gradients", "gradcam"):
        fast, slow = (
            getattr(lab, method)(network, inputs, GOAL, **QUICK.get(method, {})) for network in (compiled, small)
        )
        assert distance(fast, slow) < 1e-3, method
    # XLA draws its own numbers, so many samples are needed to agree.
    many = {"samples": 400, "noise": 0.05, "seed": 5}
    assert distance(lab.smoothgrad(compiled, inputs, GOAL, **many), lab.smoothgrad(small, inputs, GOAL, **many)) < 0.1
    before = compiled.traces
    lab.smoothgrad(compiled, inputs[:3], lab.logit(2), samples=6, seed=5)
    assert compiled.traces == before


def test_folded_or_unfolded_on_the_real_network(lite0, photos):
    """float32, 49 folded layers, ReLU6 kinks: 2e-2 and rank correlation above .999."""
    from scipy.stats import spearmanr

    from lab.network import Network

    inputs, classes = photos
    plain = Network(lite0.model, preprocessing=lite0.preprocessing, fold=False)
    for method in (lab.gradient, lab.gradcam):
        a, b = (method(network, inputs, lab.logit(classes)) for network in (lite0, plain))
        assert distance(a, b) < 2e-2
        assert spearmanr(a.ravel(), b.ravel()).statistic > 0.999


def test_same_seed_same_bytes_on_the_real_network(lite0, photos):
    inputs, classes = photos
    first, again, other = (
        lab.smoothgrad(lite0, inputs, lab.logit(classes), samples=4, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and distance(first, other) > 0.1


def test_outputs_are_logits_or_what_the_model_gives(small):
    network = networks.network(networks.flat(head="softmax"))
    inputs = networks.images()
    raw = routines.outputs(network, inputs, logits=False)["head"]
    np.testing.assert_allclose(raw.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(tf.nn.softmax(routines.outputs(network, inputs)["head"]), raw, rtol=1e-4)


@pytest.mark.gpu
def test_a_gpu_agrees_with_itself(lite0, photos):
    inputs, classes = photos
    assert lite0.jit
    first, again = (lab.smoothgrad(lite0, inputs, lab.logit(classes), samples=8, seed=1) for _ in range(2))
    assert distance(first, again) < 1e-2


def test_a_method_is_added_by_one_file(tmp_path, monkeypatch):
    (tmp_path / "brightness.py").write_text(
        "from lab.attribution import explainers\n"
        "@explainers.register\n"
        "def brightness(network, inputs, objective):\n"
        "    'The input itself.'\n"
        "    return network.inputs(inputs)\n"
    )
    package = sys.modules["lab.attribution"]
    spec = util.spec_from_file_location(
        package.__name__, package.__file__, submodule_search_locations=[*package.__path__, str(tmp_path)]
    )
    # The package as it is imported where the file lies beside its own.
    anew = util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, package.__name__, anew)
    spec.loader.exec_module(anew)
    try:
        assert lab.brightness.__module__ == "lab.attribution.brightness" and "brightness" in dir(lab)
    finally:
        del sys.modules["lab.attribution.brightness"]
        vars(lab).pop("brightness", None)
