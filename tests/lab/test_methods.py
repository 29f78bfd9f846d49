"""The gradient and CAM families against their papers' slow formulas, written out with cut Keras models and numpy."""

import keras
import numpy as np
import pytest
from scipy import ndimage
from sklearn.decomposition import PCA

import lab
from lab import routines
from lab.attribution import explainers, xrai
from lab.attribution.forgrad import low_pass
from lab.attribution.fullgrad import decompose, left_out_share, map_warnings
from lab.attribution.paths import path_nodes
from lab.environment import tf
from lab.maps import resized
from tests import networks
from tests.networks import distance

INDEX = [0, 3, 4, 1]
GOAL = lab.logit(INDEX)
LAYERS = ("last", "first_relu")


@pytest.fixture(scope="module")
def inside(small):
    """Activation and gradient at a layer, by a cut model and a tape: float64 [4, rows, columns, channels] each."""

    def look(layer, inputs, index=INDEX):
        cut = keras.Model(small.model.inputs[0], [small.model.get_layer(layer).output, small.model.output])
        with tf.GradientTape() as tape:
            activation, scores = cut(inputs)
            picked = tf.gather(scores, index, axis=1, batch_dims=1)
        return activation.numpy().astype("float64"), tape.gradient(picked, activation).numpy().astype("float64")

    return look


@pytest.fixture(scope="module")
def onward(small):
    """The scores when an activation goes on from a layer, by the layers after it."""

    def run(layer, activation):
        names = [following.name for following in small.model.layers]
        for following in small.model.layers[names.index(layer) + 1 :]:
            activation = following(activation)
        return np.asarray(activation)

    return run


def by_rule(rule, a, g):
    mean = {"axis": (1, 2), "keepdims": True}
    if rule == "gradcam":
        return g.mean(**mean) * a
    if rule == "gradcam_plus_plus":
        below = 2 * g**2 + a.sum(**mean) * g**3
        share = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
        return (share * np.maximum(g, 0)).sum(**mean) * a
    if rule == "layercam":
        return np.maximum(g, 0) * a
    if rule == "hirescam":
        return g * a
    if rule == "elementwise_gradcam":
        return np.maximum(g * a, 0)
    total = a.sum(**mean)
    return np.divide((a * g).sum(**mean), total, out=np.zeros_like(total), where=total != 0) * a


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "method", ["gradcam", "gradcam_plus_plus", "layercam", "hirescam", "elementwise_gradcam", "xgradcam"]
)
def test_each_cam_is_its_formula(small, inside, method, layer):
    inputs = networks.images()
    signed = by_rule(method, *inside(layer, inputs)).sum(-1)
    options = {} if method == "elementwise_gradcam" else {"relu": False}
    maps = explainers.get(method)(small, inputs, GOAL, layer=layer, **options)
    assert distance(maps, signed) < 1e-4
    if options:
        assert distance(explainers.get(method)(small, inputs, GOAL, layer=layer), np.maximum(signed, 0)) < 1e-4
        assert signed.min() < 0 or method in ("gradcam_plus_plus", "layercam")


def test_cams_of_one_network_are_not_each_other(small):
    """Before a GELU, where values of both signs matter: around a ReLU some are the same by their formulas."""
    inputs = networks.images()
    maps = {
        name: explainers.get(name)(
            small, inputs, GOAL, layer="depthwise_bn", **({"seed": 0} if "smooth" in name else {})
        )
        for name in explainers.names(resolution="layer")
        if "." not in name
    }
    names = list(maps)
    for place, name in enumerate(names):
        for other in names[:place]:
            assert distance(maps[name] / np.abs(maps[name]).max(), maps[other] / np.abs(maps[other]).max()) > 1e-3, (
                name,
                other,
            )


def test_smooth_gradcam_plus_plus_averages_the_three_powers(small, inside):
    inputs, samples, seed, layer = networks.images(), 4, 5, "first_relu"
    slopes = [inside(layer, noisy)[1] for noisy in noisy_copies(inputs, samples, 0.2, seed)]
    first, second, third = (np.mean([slope**power for slope in slopes], axis=0) for power in (1, 2, 3))
    a = inside(layer, inputs)[0]
    below = 2 * second + a.sum((1, 2), keepdims=True) * third
    share = np.divide(second, below, out=np.zeros_like(second), where=below != 0)
    slow = ((share * np.maximum(first, 0)).sum((1, 2), keepdims=True) * a).sum(-1)
    fast = lab.smooth_gradcam_plus_plus(
        small, inputs, GOAL, layer=layer, relu=False, samples=samples, noise=0.2, seed=seed
    )
    assert distance(fast, slow) < 1e-3


def noisy_copies(inputs, samples, noise, seed):
    fold = tf.random.experimental.stateless_fold_in
    spread = noise * (inputs.max((1, 2, 3), keepdims=True) - inputs.min((1, 2, 3), keepdims=True))
    for index in range(samples):
        drawn = tf.random.stateless_normal(inputs.shape[1:], fold(fold(tf.constant([seed, 0]), index), 0)).numpy()
        yield inputs + spread * drawn


def test_scorecam_looks_through_every_channel(small, inside):
    inputs = networks.images(2)
    a = inside("last", inputs, [0, 3])[0]
    slow = []
    for image, planes, index in zip(inputs, a, [0, 3]):
        scores = []
        for channel in range(planes.shape[-1]):
            mask = resized(planes[None, ..., channel].astype("float32"), 16, 16)[0]
            mask = (mask - mask.min()) / (mask.max() - mask.min()) if mask.max() > mask.min() else None
            scores.append(
                -np.inf if mask is None else small.model(image[None] * mask[None, ..., None])[0, index].numpy()
            )
        weights = np.exp(np.array(scores) - max(scores))
        slow.append((weights / weights.sum() * planes).sum(-1))
    assert distance(lab.scorecam(small, inputs, lab.logit([0, 3]), relu=False), slow) < 1e-4
    few = lab.scorecam(small, inputs, lab.logit([0, 3]), relu=False, channels=3)
    assert distance(few, slow) > 1e-3 and np.isfinite(few).all()


def test_ablationcam_switches_channels_off(small, inside, onward):
    inputs = networks.images()
    a = inside("last", inputs)[0].astype("float32")
    intact = onward("last", a)[range(4), INDEX]
    weights = []
    for channel in range(a.shape[-1]):
        less = a.copy()
        less[..., channel] = 0
        weights.append((intact - onward("last", less)[range(4), INDEX]) / np.abs(intact))
    slow = (np.array(weights).T[:, None, None, :] * a).sum(-1)
    assert distance(lab.ablationcam(small, inputs, GOAL, relu=False), slow) < 1e-4


def test_eigencams_are_principal_components(small, inside):
    inputs = networks.images()
    for method, values in (
        ("eigencam", inside("last", inputs)[0]),
        ("eigengradcam", np.prod(inside("last", inputs), axis=0)),
    ):
        maps = explainers.get(method)(small, inputs, GOAL)
        for map_, activation in zip(maps, values):
            flat = activation.reshape(-1, activation.shape[-1])
            along = PCA(1, svd_solver="full").fit_transform(flat)[:, 0]
            assert min(distance(map_.ravel(), along), distance(map_.ravel(), -along)) < 1e-4
            assert abs(map_.mean()) < 1e-6 * np.abs(map_).max()
            assert np.corrcoef(map_.ravel(), flat.sum(1))[0, 1] > 0
    assert np.array_equal(lab.eigencam(small, inputs, GOAL), lab.eigencam(small, inputs, lab.logit(2)))
    linear = lab.kpca_cam(small, inputs, GOAL, kernel="linear")
    plain = lab.eigencam(small, inputs, GOAL)
    assert distance(linear, plain) < 1e-3
    assert distance(lab.kpca_cam(small, inputs, GOAL), linear) > 1e-2


def test_several_layers_are_fused(small):
    inputs = networks.images()
    maps_of_layers = [lab.gradcam(small, inputs, GOAL, layer=layer) for layer in LAYERS]
    scaled = [resized(maps / np.maximum(maps.max((1, 2), keepdims=True), 1e-30), 16, 16) for maps in maps_of_layers]
    record = lab.explain(small, inputs, GOAL, method="gradcam", layer=list(LAYERS))
    assert record.maps.shape == (4, 16, 16) and distance(record.maps, np.mean(scaled, axis=0)) < 1e-5
    assert record.layer == list(LAYERS)
    with pytest.raises(ValueError, match="Unknown layer.*'lost'"):
        lab.gradcam(small, inputs, GOAL, layer=["last", "lost"])


def relu_network():
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for width in (6, 8):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Dense(7, activation="relu")(keras.layers.GlobalAveragePooling2D()(x))
    return networks.network(networks.filled(keras.Model(inputs, keras.layers.Dense(5, name="logits")(x))))


def test_fullgrad_adds_up_and_is_its_formula():
    network, inputs = relu_network(), networks.images()
    parts, gap = decompose(network, inputs, GOAL)
    scores = routines.scores(network, inputs, GOAL)
    assert np.abs(gap).max() < 1e-4 * np.abs(scores).max() and len(parts) == 7
    by_hand = np.sum([part.reshape(4, -1).sum(1) for part in parts.values()], axis=0)
    np.testing.assert_allclose(by_hand + gap, scores, rtol=1e-4, atol=1e-5)
    slow = 0
    for part in parts.values():
        if part.ndim == 4:
            size = np.abs(part)
            low, high = (pick(size, axis=(1, 2, 3), keepdims=True) for pick in (np.min, np.max))
            slow = slow + resized(((size - low) / (high - low)).sum(-1), 16, 16)
    assert distance(lab.fullgrad(network, inputs, GOAL), slow) < 1e-5
    assert distance(parts[""], lab.gradient_x_input(network, inputs, GOAL)) < 1e-4
    smooth = networks.network(networks.flat())
    assert np.abs(decompose(smooth, inputs, GOAL)[1]).max() > 1e-3  # GELU is not piecewise linear.


class Shifted(keras.layers.Layer):
    """Adds a number that no list of Keras's layers knows of."""

    def call(self, x):
        return x + 3.0


def test_fullgrad_says_what_it_leaves_out():
    network, inputs = relu_network(), networks.images()
    hidden, last = network.model.layers[-2:]
    awake = routines.activations(network, inputs, hidden.name) > 0
    rest = (
        np.asarray(last.bias)[INDEX]
        + ((awake * np.asarray(hidden.bias)) @ np.asarray(last.kernel))[np.arange(4), INDEX]
    )
    scores = routines.scores(network, inputs, GOAL)
    expected = np.abs(rest) / np.maximum(np.abs(scores), np.abs(scores - rest))
    np.testing.assert_allclose(left_out_share(network, inputs, GOAL), expected, rtol=1e-3, atol=1e-4)
    for dense in (hidden, last):
        dense.bias.assign(np.zeros(dense.bias.shape))
    assert left_out_share(network, inputs, GOAL).max() < 1e-3 and map_warnings(network, inputs, GOAL) == ((),) * 4
    hidden = keras.layers.GlobalAveragePooling2D()(Shifted()(network.model.inputs[0]))
    net = networks.network(networks.filled(keras.Model(network.model.inputs, keras.layers.Dense(5)(hidden))))
    scores, dense = routines.scores(net, inputs, GOAL), net.model.layers[-1]
    rest = 3 * np.asarray(dense.kernel).sum(0)[INDEX] + np.asarray(dense.bias)[INDEX]
    expected = np.abs(rest) / np.maximum(np.abs(scores), np.abs(scores - rest))
    np.testing.assert_allclose(left_out_share(net, inputs, GOAL), expected, rtol=1e-3)
    assert map_warnings(net, inputs, GOAL)[0] == (f"{expected[0]:.0%} of the score left out",)
    assert explainers.tag(lab.fullgrad, "map_warnings") is map_warnings


def test_wrappers_are_explained_by_name(small):
    inputs = networks.images()
    record = lab.explain(
        small, inputs, GOAL, method="noise_tunnel", explainer="gradcam", samples=2, options={"relu": False}
    )
    assert record.maps.shape == (4, 8, 8) and record.options["explainer"] == "gradcam"
    filtered = lab.explain(small, inputs, GOAL, method="forgrad", explainer="gradient_x_input", cutoff=4)
    assert distance(filtered.maps, low_pass(lab.gradient_x_input(small, inputs, GOAL), 4)) < 1e-6


# Paths --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def line():
    rng = np.random.default_rng(3)
    w, b = rng.normal(size=(6, 3)).astype("float32"), rng.normal(size=3).astype("float32")
    return networks.network(networks.linear(w, b)), w[:, 1], rng.normal(size=(4, 6)).astype("float32")


def test_path_methods_explain_a_linear_network_exactly(line):
    network, w, points = line
    goal, start = lab.logit(1), np.full(6, 0.3, "float32")
    straight = w * (points - start)
    for maps in (
        lab.guided_integrated_gradients(network, points, goal, steps=7, baseline=start),
        lab.integrated_gradients(network, points, goal, steps=3, baselines=start[None]),
        lab.gradient_shap(network, points, goal, samples=3, references=start[None], seed=0),
    ):
        np.testing.assert_allclose(maps, straight, rtol=1e-3, atol=1e-5)
    several = np.stack([start, start - 1, 2 * start])
    mean = w * (points - several.mean(0))
    np.testing.assert_allclose(
        lab.integrated_gradients(network, points, goal, baselines=several), mean, rtol=1e-3, atol=1e-5
    )
    drawn = lab.gradient_shap(network, points, goal, samples=4000, references=several, seed=0)
    assert distance(drawn, mean) < 0.05
    np.testing.assert_allclose(
        lab.integrated_gradients(network, points, goal, baselines=[0.0, 1.0]), w * (points - 0.5), rtol=1e-3, atol=1e-5
    )


def test_several_baselines_are_averaged_and_the_gap_knows_them(small):
    inputs = networks.images()
    alone = [lab.integrated_gradients(small, inputs, GOAL, baseline=baseline) for baseline in (-1.0, 0.5)]
    record = lab.explain(small, inputs, GOAL, method="integrated_gradients", baselines=[-1.0, 0.5])
    assert distance(record.maps, np.mean(alone, axis=0)) < 1e-4
    assert np.abs(record.gap).max() < 2e-2 * np.abs(record.scores).max()


def test_expected_gradients_are_their_sum(small, reference):
    inputs, samples = networks.images(), 6
    others = networks.images(3, seed=8)
    rng = np.random.default_rng(4)
    which, where = rng.integers(0, 3, samples), rng.random(samples)
    slow = np.mean(
        [
            reference(small.model, (others[i] + a * (inputs - others[i])).astype("float32"), INDEX)
            * (inputs - others[i])
            for i, a in zip(which, where)
        ],
        axis=0,
    )
    fast = lab.gradient_shap(small, inputs, GOAL, samples=samples, references=others, seed=4)
    assert distance(fast, slow) < 1e-3
    noisy = lab.gradient_shap(small, inputs, GOAL, samples=samples, references=others, noise=0.1, seed=4)
    assert distance(noisy, fast) > 1e-3


def test_guided_paths_are_the_papers_walk(small, reference):
    """One feature at a time, by sorting, for one image."""
    image, steps, fraction, reach = networks.images(1), 8, 0.25, 0.2
    x0, x1 = np.zeros(image.size), image.ravel().astype("float64")
    x, attributions = x0.copy(), np.zeros(image.size)
    for step in range(1, steps + 1):
        g = reference(small.model, x.reshape(image.shape).astype("float32"), [2]).ravel()
        low, high = max(step / steps - reach, 0), min(step / steps + reach, 1)
        before = x.copy()
        lag = np.abs(x - x0) < low * np.abs(x1 - x0)
        x[lag] = (x0 + low * (x1 - x0))[lag]
        edge, target = x0 + high * (x1 - x0), np.abs(x1 - x0).sum() * (1 - step / steps)
        while np.abs(x1 - x).sum() - target > 1e-9 * np.abs(x1 - x0).sum():
            size = np.where(x == edge, np.inf, np.abs(g))
            bound = np.sort(size)[int(np.floor(fraction * (len(size) - 1)))]
            lowest = (size <= bound) & (x != edge)
            if not lowest.any():
                break
            need, can = np.abs(x1 - x).sum() - target, np.abs(edge - x)[lowest].sum()
            x[lowest] = (x + need / can * (edge - x))[lowest] if need < can else edge[lowest]
        attributions += (x - before) * g
    # Folding moves gradients by rounding alone, but which one is smaller decides the whole path.
    plain = networks.network(small.model, fold=False)
    fast = lab.guided_integrated_gradients(plain, image, lab.logit(2), steps=steps, fraction=fraction, max_dist=reach)
    assert np.allclose(x, x1) and distance(fast.ravel(), attributions) < 1e-3
    straight = lab.integrated_gradients(small, image, lab.logit(2))
    assert distance(fast, straight) > 1e-2


def test_guided_and_blurred_paths_add_up(small):
    inputs = networks.images()
    for method, options in (
        ("guided_integrated_gradients", {"steps": 200}),
        ("blur_integrated_gradients", {"steps": 60, "max_sigma": 8}),
    ):
        record = lab.explain(small, inputs, GOAL, method=method, **options)
        assert np.abs(record.gap).max() < 3e-2 * np.abs(record.scores).max(), method


def test_blurred_paths_are_the_papers_sum(small, reference):
    inputs, steps, top = networks.images(), 80, 5.0
    sigmas = top * (1 - (np.arange(steps) + 0.5) / steps)

    def blur(sigma):
        return ndimage.gaussian_filter(inputs.astype("float64"), (0, sigma, sigma, 0), mode="reflect", truncate=8)

    slow = 0
    for sigma in sigmas:
        low, high = blur(max(sigma - 0.01, 0)), blur(sigma + 0.01)
        slow = slow + reference(small.model, blur(sigma).astype("float32"), INDEX) * (low - high) / 0.02 * top / steps
    fast = lab.blur_integrated_gradients(small, inputs, GOAL, steps=50, max_sigma=top)
    # Below a pixel scipy's sampled kernel is no Gaussian any more.
    assert distance(fast, slow) < 0.1
    assert distance(fast, lab.blur_integrated_gradients(small, inputs, GOAL, steps=50, max_sigma=1.0)) > 0.05


def test_a_cubic_path_and_dead_inputs():
    inputs = keras.Input((3,))
    cubic = networks.network(keras.Model(inputs, keras.layers.Activation(lambda x: x**3)(inputs)))
    inputs = np.array([[1.0, -2.0, 0.5]], "float32")
    maps = lab.guided_integrated_gradients(cubic, inputs, lab.logit(1), steps=400)
    np.testing.assert_allclose(maps, [[0, -8, 0]], rtol=1e-2, atol=1e-6)
    record = lab.explain(
        cubic, inputs, lab.logit(0), method="gradient_shap", references=[-1.0, 1.0], samples=2000, seed=1
    )
    np.testing.assert_allclose(record.maps[0], [1, 0, 0], atol=0.05)  # 1 - mean(-1, 1)


def test_a_product_game_is_shared_by_paths():
    """x * y from zero: each gets half; from several references, expected gradients follow the integral."""
    inputs = keras.Input((2,))
    product = keras.layers.Lambda(lambda x: tf.reduce_prod(x, axis=1, keepdims=True), output_shape=(1,))
    game = networks.network(keras.Model(inputs, product(inputs)))
    inputs = np.array([[3.0, 2.0]], "float32")
    np.testing.assert_allclose(lab.integrated_gradients(game, inputs, lab.logit(0), steps=2), [[3, 3]], rtol=1e-5)
    drawn = lab.gradient_shap(game, inputs, lab.logit(0), samples=4000, seed=0)
    np.testing.assert_allclose(drawn, [[3, 3]], rtol=0.05)


# Noise, regions, filters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["mean", "squared", "variance"])
def test_a_noise_tunnel_of_gradients_is_smoothgrad(small, variant):
    inputs, options = networks.images(), {"samples": 9, "noise": 0.2, "variant": variant, "seed": 3}
    assert (
        distance(lab.noise_tunnel(small, inputs, GOAL, **options), lab.smoothgrad(small, inputs, GOAL, **options))
        < 1e-5
    )


def test_a_noise_tunnel_takes_any_method(small):
    inputs = networks.images()
    by_hand = [
        lab.gradcam(small, noisy, GOAL, layer="first_relu", relu=False) for noisy in noisy_copies(inputs, 3, 0.15, 7)
    ]
    options = {"explainer": "gradcam", "options": {"layer": "first_relu", "relu": False}, "samples": 3, "seed": 7}
    assert distance(lab.noise_tunnel(small, inputs, GOAL, **options), np.mean(by_hand, axis=0)) < 1e-4
    assert (
        distance(lab.noise_tunnel(small, inputs, GOAL, variant="variance", **options), np.var(by_hand, axis=0)) < 1e-3
    )

    def identity(network, inputs, objective):
        return (2 * inputs).astype("float32")

    flat = lab.noise_tunnel(small, inputs, GOAL, explainer=identity, samples=400, seed=0)
    assert distance(flat, 2 * inputs) < 0.1
    with pytest.raises(ValueError, match="Unknown option of gradcam.*'sample'"):
        lab.noise_tunnel(small, inputs, GOAL, explainer="gradcam", options={"sample": 1}, seed=0)


def test_xrai_adds_the_best_region_over_and_over():
    rng = np.random.default_rng(0)
    plane, masks = rng.normal(size=(12, 10)), rng.random((9, 120)) < 0.3
    slow, left = np.zeros(120), np.ones(120, bool)
    values = plane.ravel()
    while True:
        gains = [values[mask & left].mean() if (mask & left).any() else -np.inf for mask in masks]
        best = int(np.argmax(gains))
        if not np.isfinite(gains[best]):
            break
        slow[masks[best] & left] = gains[best]
        left &= ~masks[best]
    np.testing.assert_allclose(xrai._rank_segments(plane, masks).ravel(), slow, rtol=1e-4, atol=1e-6)


def test_xrai_shows_the_half_that_counts():
    inputs = keras.Input((40, 40, 1))
    left = keras.layers.Cropping2D(((0, 0), (0, 20)))(inputs)
    network = networks.network(keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(left))))
    network.model.layers[-1].kernel.assign(np.ones((800, 1)))
    image = np.concatenate([np.ones((40, 20, 1)), -np.ones((40, 20, 1))], axis=1)[None].astype("float32")
    image[0, :, :20] += np.random.default_rng(0).uniform(0, 0.1, (40, 20, 1))
    maps = lab.xrai(network, image, lab.logit(0), steps=4)
    assert maps.shape == (1, 40, 40) and maps[0, :, :14].min() > maps[0, :, 26:].max()
    assert xrai.segments(image[0]).shape[1] == 1600


def test_guided_gradcam_is_the_product(small):
    inputs = networks.images()
    coarse = resized(lab.gradcam(small, inputs, GOAL, layer="last"), 16, 16)
    assert (
        distance(lab.guided_gradcam(small, inputs, GOAL), lab.guided_backprop(small, inputs, GOAL) * coarse[..., None])
        < 1e-5
    )


def test_forgrad_takes_high_frequencies_off(small):
    rows = np.arange(32)
    low, high = np.cos(2 * np.pi * 3 * rows / 32), np.cos(2 * np.pi * 11 * rows / 32)
    both = (low + high)[None, :, None, None] * np.ones((1, 32, 32, 1))
    assert distance(low_pass(both, 5), low[None, :, None, None] * np.ones((1, 32, 32, 1))) < 1e-6
    assert distance(low_pass(both, 100), both) < 1e-6
    inputs = networks.images()
    maps = lab.forgrad(small, inputs, GOAL, cutoff=4)
    assert distance(maps, low_pass(lab.gradient(small, inputs, GOAL), 4)) < 1e-6
    assert distance(maps, lab.gradient(small, inputs, GOAL)) > 0.1
    cams = lab.forgrad(small, inputs, GOAL, explainer="gradcam", cutoff=2, options={"layer": "first_relu"})
    assert cams.shape == (4, 16, 16)
    options = {"layer": "first_relu", "steps": 4}
    inside = lab.layer_conductance(small, inputs, GOAL, **options)
    kept = lab.forgrad(small, inputs, GOAL, explainer="layer_conductance", cutoff=3, options=options)
    assert distance(kept, np.stack([low_pass(inside[..., channel], 3, False) for channel in range(8)], axis=-1)) < 1e-6
    with pytest.raises(ValueError, match="needs a seed"):
        lab.forgrad(small, inputs, GOAL, explainer="smoothgrad")


# At a layer ---------------------------------------------------------------------------------------------------------------


def test_gradient_times_activation_at_a_layer(small, inside):
    inputs = networks.images()
    for layer in (*LAYERS, "pool"):
        a, g = inside(layer, inputs)
        assert distance(lab.layer_gradient_x_activation(small, inputs, GOAL, layer=layer), a * g) < 1e-4


def test_layer_methods_add_up_to_the_score(small):
    inputs = networks.images()
    for method in ("layer_integrated_gradients", "layer_conductance"):
        for layer in (*LAYERS, "pool"):
            record = lab.explain(small, inputs, GOAL, method=method, layer=layer, steps=60)
            assert record.maps.shape[1:] == small.shapes[layer][1:]
            assert np.abs(record.gap).max() < 2e-2 * np.abs(record.scores).max(), (method, layer)


def test_conductance_is_its_definition(small):
    """The derivative at the layer times the layer's own derivative along the path, by forward accumulation."""
    inputs, layer = networks.images(), "first_relu"
    cut = keras.Model(small.model.inputs[0], [small.model.get_layer(layer).output, small.model.output])
    where, weights = path_nodes(50, "midpoint")
    slow = 0
    for place, weight in zip(where, weights):
        x = tf.constant(place * inputs)
        with tf.GradientTape() as tape, tf.autodiff.ForwardAccumulator(x, tf.constant(inputs)) as moving:
            activation, scores = cut(x)
            picked = tf.gather(scores, INDEX, axis=1, batch_dims=1)
        slow = slow + weight * (tape.gradient(picked, activation) * moving.jvp(activation)).numpy()
    assert distance(lab.layer_conductance(small, inputs, GOAL, layer=layer, steps=50), slow) < 3e-2


def test_internal_influence_is_the_mean_gradient(small, inside):
    inputs, layer, steps = networks.images(), "first_relu", 6
    where, weights = path_nodes(steps, "gauss")
    slow = sum(weight * inside(layer, (place * inputs).astype("float32"))[1] for place, weight in zip(where, weights))
    assert distance(lab.internal_influence(small, inputs, GOAL, layer=layer, steps=steps), slow) < 1e-3


# What is refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, options",
    [
        ("guided_integrated_gradients", {"fraction": 0.0}),
        ("guided_integrated_gradients", {"max_dist": 2.0}),
        ("guided_integrated_gradients", {"steps": -3}),
        ("blur_integrated_gradients", {"max_sigma": -1.0}),
        ("gradient_shap", {"samples": 0}),
        ("gradient_shap", {"references": []}),
        ("gradient_shap", {"references": np.zeros((3, 4, 4, 3))}),
        ("integrated_gradients", {"baselines": np.zeros((2, 5))}),
        ("xrai", {"steps": 0}),
        ("forgrad", {"cutoff": -1}),
        ("noise_tunnel", {"samples": -1}),
        ("kpca_cam", {"kernel": "square"}),
        ("scorecam", {"channels": 0}),
        ("gradcam", {"layer": "pool"}),
        ("layer_conductance", {"layer": "nowhere"}),
    ],
)
def test_what_does_not_fit_is_refused(small, method, options):
    with pytest.raises(ValueError, match="Received"):
        lab.explain(small, networks.images(), GOAL, method=method, **options)


def test_methods_of_positions_refuse_a_table(line):
    network, _, points = line
    for method in ("xrai", "blur_integrated_gradients", "fullgrad", "scorecam", "gradcam", "guided_gradcam", "forgrad"):
        with pytest.raises(ValueError, match="Received"):
            lab.explain(network, points, lab.logit(1), method=method)


def test_doubts_are_told():
    inputs = networks.images(2)
    softmax = networks.flat(head="softmax")
    softmax.get_layer("logits").kernel.assign(30 * softmax.get_layer("logits").kernel)
    network = networks.network(softmax)
    top = routines.logits(network, inputs).argmax(1)
    assert all(
        "saturated softmax" in words for words in lab.explain(network, inputs, lab.logit(top), method="gradient").flags
    )
    low = routines.logits(network, inputs).argmin(1)
    assert lab.explain(network, inputs, lab.logit(low), method="gradient").flags == ((), ())
    squashed = networks.network(networks.flat(head="tanh"))
    assert lab.explain(squashed, inputs, lab.logit(0), method="gradient").flags == (("head not linear: Tanh",),) * 2
    assert (
        lab.explain(networks.network(networks.flat()), inputs, lab.logit(0), method="guided_backprop").flags
        == (("plain through gelu",),) * 2
    )


def test_a_network_of_zeros_has_maps_of_zeros_and_flat_pictures():
    model = networks.flat()
    for variable in model.weights:
        variable.assign(variable * 0)
    network, inputs = networks.network(model), networks.images(2)
    for method in (
        "gradient",
        "ablationcam",
        "scorecam",
        "eigencam",
        "kpca_cam",
        "fullgrad",
        "xrai",
        "gradcam_plus_plus",
    ):
        record = lab.explain(network, inputs, lab.logit(1), method=method)
        assert not record.maps.any() and record.flags == (("all zero",),) * 2, method
    assert lab.maximize(network, lab.logit([0, 1]), steps=3, seed=0).flags == (("flat",),) * 2


def test_a_picture_that_climbs_is_not_flat(small):
    assert lab.maximize(small, lab.logit(1), steps=3, seed=0).flags == ((),)


@pytest.mark.parametrize("layer", [[], 3, "", "last@x", "last@4", "@1"])
def test_what_names_no_layer_is_refused(small, layer):
    for method in ("gradcam", "layer_conductance"):
        with pytest.raises(lab.Refused, match="Received"):
            lab.explain(small, networks.images(2), GOAL, method=method, layer=layer)
