"""Explainers against oracles: analytic networks, the papers' slow formulas, and laws between methods."""

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.attribution.paths import path_nodes
from lab.environment import tf
from tests import networks
from tests.networks import distance

GOAL = lab.logit([0, 3, 4, 1])


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 3)).astype("float32"), rng.normal(size=3).astype("float32")


@pytest.fixture(scope="module")
def line(weights):
    return networks.network(networks.linear(*weights))


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(4).normal(size=(4, 6)).astype("float32")


def test_a_linear_model_is_explained_exactly(line, weights, points):
    w = weights[0][:, [2, 0, 1, 2]].T
    goal, start = lab.logit([2, 0, 1, 2]), np.full(6, 0.3, "float32")
    np.testing.assert_allclose(lab.gradient(line, points, goal), w, rtol=1e-5)
    np.testing.assert_allclose(lab.gradient_x_input(line, points, goal), w * points, rtol=1e-5)
    np.testing.assert_allclose(
        lab.integrated_gradients(line, points, goal, steps=3, baseline=start),
        w * (points - start),
        rtol=1e-4,
        atol=1e-6,
    )
    line.background = line.check_background(points)
    np.testing.assert_allclose(lab.smoothgrad(line, points, goal, samples=5, noise=0.5, seed=1), w, rtol=1e-5)


def test_objectives_add_up(small):
    inputs = networks.images()
    a, b = lab.logit([0, 1, 2, 3]), lab.channel("last", 5)
    assert a + a == 2 * a and a - a == 0 * a and -1 * (-a) == a
    maps = {
        name: lab.gradient(small, inputs, goal)
        for name, goal in {"a": a, "b": b, "minus": a - b, "plus": a + 2 * b, "twice": a + a}.items()
    }
    assert distance(maps["minus"], maps["a"] - maps["b"]) < 1e-5
    assert distance(maps["plus"], maps["a"] + 2 * maps["b"]) < 1e-5
    assert distance(maps["twice"], 2 * maps["a"]) < 1e-6
    before = (a, b)
    a + b, 3 * a, a - b
    assert (a, b) == before


def test_every_kind_of_objective_by_hand(small):
    inputs = networks.images()
    activations = routines.activations(small, inputs, "last")
    mean = activations.mean((1, 2))
    vector = np.random.default_rng(0).normal(size=12)
    expected = {
        lab.channel("last", [1, 2, 3, 4]): mean[range(4), [1, 2, 3, 4]],
        lab.neuron("last", 5): activations[:, 4, 4, 5],
        lab.neuron("last", 5, 1, [0, 1, 2, 3]): activations[range(4), 1, range(4), 5],
        lab.neuron("pool", 5): mean[:, 5],
        lab.layer("last"): (activations**2).mean((1, 2, 3)),
        lab.direction("last", vector): mean @ vector,
        lab.cosine("last", vector): mean @ vector / np.linalg.norm(mean, axis=1) / np.linalg.norm(vector),
    }
    for goal, scores in expected.items():
        np.testing.assert_allclose(
            routines.scores(small, inputs, goal), scores, rtol=2e-4, atol=1e-5, err_msg=str(goal)
        )
    linear = lab.channel("last", 5).linear
    assert (routines.scores(small, inputs, linear) < routines.scores(small, inputs, lab.channel("last", 5))).any()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: lab.logit(-1),
        lambda: lab.logit(1.5),
        lambda: lab.logit([]),
        lambda: lab.direction("x", [np.nan]),
        lambda: lab.logit(0) * "2",
        lambda: lab.logit(0) + 1,
    ],
)
def test_bad_objectives_are_refused(bad):
    with pytest.raises((ValueError, TypeError)):
        bad()


def test_integrated_gradients_is_the_paper_sum(small, reference):
    inputs, steps = networks.images(), 7
    start = np.full(inputs.shape[1:], 0.2, "float32")
    where = (np.arange(steps) + 0.5) / steps
    slow = np.mean(
        [reference(small.model, (start + place * (inputs - start)).astype("float32"), [0, 3, 4, 1]) for place in where],
        axis=0,
    ) * (inputs - start)
    fast = lab.integrated_gradients(small, inputs, GOAL, steps=steps, baseline=start, nodes="midpoint")
    assert distance(fast, slow) < 1e-4


def test_integrated_gradients_of_a_cubic_path():
    inputs = keras.Input((3,))
    cubic = networks.network(keras.Model(inputs, keras.layers.Activation(lambda x: x**3)(inputs)))
    inputs = np.array([[1.0, -2.0, 0.5]], "float32")
    maps = lab.integrated_gradients(cubic, inputs, lab.logit(1), steps=2)
    np.testing.assert_allclose(maps, [[0, -8, 0]], rtol=1e-5, atol=1e-6)
    midpoint = lab.integrated_gradients(cubic, inputs, lab.logit(1), steps=2, nodes="midpoint")
    assert abs(midpoint[0, 1] + 8) > 0.1


def test_nodes_integrate_polynomials():
    where, weights = path_nodes(5, "gauss")
    assert abs((weights * where**9).sum() - 0.1) < 1e-6
    assert abs(path_nodes(5, "midpoint")[1].sum() - 1) < 1e-6


def test_completeness_and_the_reported_gap(small):
    inputs = networks.images()
    record = lab.explain(small, inputs, GOAL, method="integrated_gradients", steps=100)
    assert np.abs(record.gap).max() < 1e-2 * np.abs(record.scores).max()
    base = networks.images(seed=9)
    record = lab.explain(small, inputs, GOAL, method="integrated_gradients", steps=3, baseline=base)
    by_hand = record.maps.sum((1, 2, 3)) - (routines.scores(small, inputs, GOAL) - routines.scores(small, base, GOAL))
    np.testing.assert_allclose(record.gap, by_hand, atol=1e-5)
    assert lab.explain(small, inputs, GOAL, method="gradient").gap is None


def test_smoothgrad_is_the_paper_mean(small, reference):
    """The same noise drawn by hand, sample by sample."""
    inputs, samples, seed = networks.images(), 5, 11
    spread = 0.2 * (inputs.max((1, 2, 3), keepdims=True) - inputs.min((1, 2, 3), keepdims=True))
    slopes = []
    for index in range(samples):
        folded = tf.random.experimental.stateless_fold_in(
            tf.random.experimental.stateless_fold_in(tf.constant([seed, 0]), index), 0
        )
        noise = tf.random.stateless_normal(inputs.shape[1:], folded).numpy()
        slopes.append(reference(small.model, inputs + spread * noise, [0, 3, 4, 1]))
    options = {"samples": samples, "noise": 0.2, "seed": seed}
    assert distance(lab.smoothgrad(small, inputs, GOAL, **options), np.mean(slopes, 0)) < 1e-4
    assert (
        distance(lab.smoothgrad(small, inputs, GOAL, variant="squared", **options), np.mean(np.square(slopes), 0))
        < 1e-4
    )
    assert distance(lab.smoothgrad(small, inputs, GOAL, variant="variance", **options), np.var(slopes, 0)) < 1e-4


def test_smoothgrad_of_one_noiseless_sample_is_the_gradient(small):
    inputs = networks.images()
    assert (
        distance(lab.smoothgrad(small, inputs, GOAL, samples=1, noise=0.0, seed=0), lab.gradient(small, inputs, GOAL))
        < 1e-6
    )


def test_gradcam_is_the_paper_formula(small):
    inputs = networks.images()
    cut = keras.Model(small.model.inputs[0], [small.model.get_layer("last").output, small.model.output])
    with tf.GradientTape() as tape:
        activation, scores = cut(inputs)
        picked = tf.gather(scores, [0, 3, 4, 1], axis=1, batch_dims=1)
    slope = tape.gradient(picked, activation).numpy()
    signed = (slope.mean((1, 2), keepdims=True) * activation.numpy()).sum(-1)
    assert distance(lab.gradcam(small, inputs, GOAL, relu=False), signed) < 1e-5
    assert distance(lab.gradcam(small, inputs, GOAL), np.maximum(signed, 0)) < 1e-5
    assert lab.explain(small, inputs, GOAL, method="gradcam").layer == "last"


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 2.5}, {"nodes": "left"}, {"baseline": np.zeros((2, 2))}])
def test_integrated_gradients_refuses(small, options):
    with pytest.raises(ValueError, match="Received"):
        lab.integrated_gradients(small, networks.images(), GOAL, **options)


@pytest.mark.parametrize("options", [{"samples": 0}, {"noise": -1.0}, {"variant": "median"}, {"noise": float("nan")}])
def test_smoothgrad_refuses(small, options):
    with pytest.raises(ValueError, match="Received"):
        lab.smoothgrad(small, networks.images(), GOAL, seed=0, **options)


def test_explain_says_what_is_wrong(small):
    inputs = networks.images()
    with pytest.raises(ValueError, match="Unknown method.*'gradcm'.*gradcam"):
        lab.explain(small, inputs, GOAL, method="gradcm")
    with pytest.raises(ValueError, match="Unknown option of smoothgrad.*'sample'.*samples"):
        lab.explain(small, inputs, GOAL, method="smoothgrad", sample=3)
    with pytest.raises(lab.MethodFault, match="structure and shape"):
        lab.explain(small, inputs, GOAL, method=lambda network, inputs, objective: inputs[0])
    flagged = lab.explain(
        small, inputs, GOAL, method=lambda network, inputs, objective: np.zeros(inputs.shape, "float32")
    )
    assert flagged.flags == (("all zero",),) * 4
    assert "all zero" in flagged._repr_mimebundle_()[0]["text/plain"]


def test_photographs_are_explained_sensibly(lite0, photos):
    """The cat's face and the cup hold more of Grad-CAM's mass than their area."""
    inputs, classes = photos
    maps = lab.gradcam(lite0, inputs, lab.logit(classes))
    mass = maps / maps.sum((1, 2), keepdims=True)
    assert mass[0, 1:6, 1:6].sum() > 0.75  # chelsea: the face fills the middle
    assert mass[1, 0:4, 2:6].sum() > 0.65  # coffee: the cup is above the middle


@pytest.mark.parametrize("shape", [(64, 1), (12,), (5, 3)])
def test_sums_over_samples_are_right_for_inputs_of_every_rank(shape):
    """A product of matrices in their place wrote beyond its memory for series and tables."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)])
    network = networks.network(networks.filled(model))
    inputs = np.random.default_rng(0).normal(size=(12, *shape)).astype("float32")
    network.background = inputs if len(shape) == 1 else None
    slopes = np.tile(model.layers[-1].kernel.numpy()[:, 1].reshape(1, *shape), (12, *[1] * len(shape)))
    for _ in range(3):
        maps = lab.integrated_gradients(network, inputs, lab.logit(1), steps=50)
        assert distance(maps, slopes * inputs) < 1e-5
        assert distance(lab.smoothgrad(network, inputs, lab.logit(1), samples=50, seed=0), slopes) < 1e-5
