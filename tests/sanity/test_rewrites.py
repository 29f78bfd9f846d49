"""Rewrites: the function stays, the weights or the network do not; each is found where there is occasion and only there."""

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.attribution import explainers
from lab.registry import options as known
from sanity.checks import checks
from sanity.checks.invariance import prepare
from sanity.rewrites import output_difference, rewrites
from sanity.subject import Subject
from sanity.verdict import judge
from tests import networks
from tests.networks import distance


def on(model, count=5):
    network = networks.network(model)
    inputs = networks.images(count)
    return Subject(network, inputs, lab.logit([0, 1, 2, 3, 4]), tuple("abcde"), classes=5)


def relus():
    """Convolutions, BatchNormalizations and dense layers with ReLUs between them, in every order that scales through."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="a")(inputs)
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="b")(x)
    x = keras.layers.BatchNormalization(name="b_bn")(x)
    x = keras.layers.ReLU(name="b_relu")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, activation="relu", name="c")(x)
    x = keras.layers.Dense(7, activation="relu", name="d")(keras.layers.Flatten(name="flat")(x))
    return networks.filled(keras.Model(inputs, keras.layers.Dense(5, name="logits")(x), name="relus"))


@pytest.mark.parametrize("name", list(rewrites))
@pytest.mark.parametrize("build", [relus, networks.flat])
def test_the_function_stays_and_something_else_does_not(name, build):
    subject = on(build())
    before = subject.network.fingerprint()
    rewrite = rewrites.get(name)(subject)
    assert rewrite is not None and output_difference(subject, rewrite) < 1e-4
    assert rewrite.state or rewrite.network is not subject.network
    trained = subject.network.state()
    assert all(distance(trained[key], value) > 0.05 for key, value in rewrite.state.items() if key.endswith("kernel"))
    assert subject.network.fingerprint() == before


def test_relu_rescale_reaches_every_pair_that_scales_through():
    state = rewrites.get("relu_rescale")(on(relus())).state
    assert {
        "a/kernel",
        "a/bias",
        "b/kernel",
        "b_bn/gamma",
        "b_bn/beta",
        "c/kernel",
        "c/bias",
        "d/kernel",
        "logits/kernel",
    } <= set(state)


def test_a_saturating_activation_allows_no_rescaling():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, name="a")(keras.layers.Rescaling(30.0)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(5, 3, name="b")(keras.layers.ReLU(6.0)(x)))
    subject = on(networks.filled(keras.Model(inputs, x)))
    rewrite = rewrites.get("relu_rescale")(subject)
    assert rewrite is None or "a/kernel" not in rewrite.state
    assert rewrites.get("dense_as_convolution")(subject) is None and rewrites.get("batchnorm_folding")(subject) is None


@pytest.mark.parametrize("name", list(rewrites))
def test_the_gradient_is_invariant(name):
    subject = on(relus())
    rewrite = rewrites.get(name)(subject)
    maps = lab.gradient(subject.network, subject.inputs, subject.objective)
    with rewrite.network.weights(rewrite.state):
        assert distance(lab.gradient(rewrite.network, rewrite.inputs, subject.objective), maps) < 1e-3


def test_cam_finds_its_layer_in_a_network_that_was_wrapped_and_strangers_may_refuse():
    verdict = judge(
        [checks.get("invariance")(explainers.get("gradcam"), on(relus()), seed=0, layer="b_relu", relu=False)]
    )[0]
    assert "input_shift" in verdict.also, verdict.sentence
    stranger = checks.get("invariance")(explainers.get("tf_explain.gradcam"), on(networks.flat()), seed=0)
    assert "input_shift refused" in stranger.gates[0].words and "distance/input_shift" not in stranger.samples


# Which methods do not keep their map under which rewrite, and theory says so: they look at the size of activations or of inputs,
# or have another rule for a convolution than for a product with a matrix.
NOT_KEPT = {
    "relu_rescale": {"scorecam", "ablationcam", "eigencam", "kpca_cam", "internal_influence"},
    "batchnorm_folding": set(),
    "dense_as_convolution": {"lrp"},
    "input_shift": {"gradient_x_input", "fullgrad", "scorecam", "lrp", "excitation_backprop"},
}
OWN = [name for name in explainers if "." not in name and name not in explainers.names(control=True)]


def attentive():
    """Patches whose tokens attend to each other, with something for each rewrite before and behind them."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 4, 4, activation="relu", name="a")(inputs)
    x = keras.layers.Conv2D(8, 1, use_bias=False, name="b")(x)
    x = keras.layers.ReLU(name="b_relu")(keras.layers.BatchNormalization(name="b_bn")(x))
    x = keras.layers.Reshape((16, 8), name="tokens")(x)
    x = keras.layers.Add(name="sum")([x, keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    x = keras.layers.Dense(7, activation="relu", name="d")(keras.layers.Flatten(name="flat")(x))
    return networks.filled(keras.Model(inputs, keras.layers.Dense(5, name="logits")(x), name="attentive"))


@pytest.fixture(scope="module")
def rewritten():
    """Subjects with their rewrites, by whether they have attention."""
    subjects = {False: on(networks.flat()), True: on(attentive())}
    return {attends: (subject, prepare(subject, seed=0)) for attends, subject in subjects.items()}


@pytest.mark.parametrize("name", OWN)
def test_every_method_keeps_its_map_or_stands_in_the_table(rewritten, name):
    subject, prepared = rewritten[name in explainers.names(needs="attention")]
    options = {key: 6 for key in ("steps", "samples") if key in known(explainers.get(name))}
    # A regression needs more samples than there are parts.
    options |= {"samples": 100} if name in ("kernel_shap", "lime") else {}
    evidence = checks.get("invariance")(explainers.get(name), subject, seed=0, prepared=prepared, **options)
    distances = {key.partition("/")[2]: np.median(values) for key, values in evidence.samples.items()}
    assert set(distances) == set(NOT_KEPT)
    for rewrite, moved in distances.items():
        assert (moved > 1e-4) == (name in NOT_KEPT[rewrite]), (rewrite, moved)


def test_a_method_that_reads_weights_is_caught():
    """Gradient times the size of the first kernel: the same function, another map."""

    def reads(network, inputs, objective):
        kernel = next(value for name, value in network.variables.items() if name.endswith("a/kernel"))
        scale = np.linalg.norm(kernel.numpy())
        return lab.gradient(network, inputs, objective) * np.float32(scale)

    verdict = judge([checks.get("invariance")(reads, on(relus()), seed=0)])[0]
    assert verdict.outcome == "FAIL" and "relu_rescale" in verdict.why and "input_shift" not in verdict.why


def test_rewritten_networks_give_the_same_logits_at_the_shifted_inputs():
    subject = on(networks.flat())
    rewrite = rewrites.get("input_shift")(subject)
    np.testing.assert_allclose(rewrite.inputs, subject.inputs + rewrite.shift, rtol=1e-6)
    before, after = (routines.outputs(version.network, version.inputs) for version in (subject, rewrite))
    assert distance(next(iter(before.values())), next(iter(after.values()))) < 1e-5
