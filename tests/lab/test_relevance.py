"""Relevance and differences: completeness and conservation, each rule beside its slow formula, and what is refused."""

import cProfile
import functools
import pstats
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import lab
from lab import routines
from lab.attribution import explainers
from lab.composites import COMPOSITES, Composite
from lab.environment import tf
from lab.kernels import Kernel
from lab.propagation import bottlenecks
from lab.refusal import Refused
from lab.relevance import conservation, relevance
from lab.relevance_rules import Rule

rng = np.random.default_rng(0)
FIRST = lab.logit(0)


def dense_network(units=(6, 5, 4), *, bias=True, activation="relu", inputs=7):
    keras.utils.set_random_seed(1)
    stack = [keras.Input((inputs,))]
    for count in units[:-1]:
        stack.append(layers.Dense(count, activation=activation, use_bias=bias, bias_initializer="random_normal"))
    return lab.load(keras.Sequential([*stack, layers.Dense(units[-1], use_bias=bias)]))


def convolutional():
    keras.utils.set_random_seed(2)
    pixels = keras.Input((12, 10, 3))
    values = layers.Conv2D(6, 3, use_bias=False)(pixels)
    values = layers.ReLU(6.0)(layers.BatchNormalization()(values))
    values = layers.MaxPooling2D()(values)
    gate = layers.Dense(6, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(values))
    values = layers.DepthwiseConv2D(3, activation="silu")(values * gate)
    values = layers.GlobalMaxPooling2D()(layers.GroupNormalization(3)(values))
    return keras.Model(pixels, layers.Dense(3, activation="softmax")(values))


def transformer():
    keras.utils.set_random_seed(3)
    steps = keras.Input((8, 5))
    values = layers.Dense(12)(steps)
    values = layers.LayerNormalization()(values + layers.MultiHeadAttention(2, 6)(values, values))
    values = layers.RMSNormalization()(values + layers.Dense(12)(layers.Dense(20, activation="gelu")(values)))
    return keras.Model(steps, layers.Dense(3)(layers.GlobalAveragePooling1D()(values)))


def recurrent():
    keras.utils.set_random_seed(4)
    steps = keras.Input((2, 5))
    values = layers.Bidirectional(layers.GRU(3, return_sequences=True))(steps)
    return keras.Model(steps, layers.Dense(3)(layers.LSTM(3)(values)))


KINDS = {"convolutional": convolutional, "transformer": transformer, "recurrent": recurrent}


@pytest.fixture(scope="module")
def kinds():
    return {
        name: lab.load(make(), input_range=(-1, 1)) if name == "convolutional" else lab.load(make())
        for name, make in KINDS.items()
    }


def drawn(network, rows=2, seed=0):
    shape = network.spec.shape[1:]
    return np.random.default_rng(seed).uniform(-1, 1, (rows, *shape)).astype("float32")


def sums(maps):
    return maps.reshape(len(maps), -1).sum(axis=1)


# Differences --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_contributions_add_up_to_the_difference(kinds, name):
    network = kinds[name]
    inputs, base = drawn(network), drawn(network, seed=1)
    maps = explainers.get("deeplift")(network, inputs, FIRST, baseline=base)
    difference = routines.scores(network, inputs, FIRST) - routines.scores(network, base, FIRST)
    assert np.abs(sums(maps) - difference).max() < 1e-4 * np.abs(difference).max()


def test_many_references_are_the_mean_over_each(kinds):
    network = kinds["convolutional"]
    inputs, bases = drawn(network), drawn(network, 3, seed=1)
    mean = np.mean(
        [explainers.get("deeplift")(network, inputs, FIRST, baseline=bases[place][None]) for place in range(3)], axis=0
    )
    assert np.allclose(explainers.get("deep_shap")(network, inputs, FIRST, references=bases), mean, atol=1e-6)


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", KINDS)
def test_a_reference_of_all_rows_is_computed_once_and_says_the_same(kinds, name, rule):
    network = kinds[name]
    inputs, classes = drawn(network, rows=3), lab.logit([0, 2, 1])
    base = drawn(network, rows=1, seed=5)[0]
    # The last row has another reference, so that each row has one of its own.
    by_row = np.stack([base, base, 2 * base])
    shared = explainers.get("deeplift")(network, inputs, classes, baseline=base, rule=rule)
    apart = explainers.get("deeplift")(network, inputs, classes, baseline=by_row, rule=rule)
    np.testing.assert_allclose(shared[:2], apart[:2], rtol=1e-3, atol=1e-5)
    assert np.abs(shared[2] - apart[2]).max() > 1e-3


def test_rows_that_are_joined_with_steps_have_references_of_their_own():
    keras.utils.set_random_seed(6)
    steps = keras.Input((4, 5))
    joined = layers.Lambda(lambda values: tf.reshape(tf.nn.relu(tf.reshape(values, [-1, 5]) - 0.2), [-1, 20]))(steps)
    network = lab.load(keras.Model(steps, layers.Dense(3)(joined)))
    inputs, base = drawn(network, rows=3), drawn(network, rows=1, seed=5)[0]
    maps = explainers.get("deeplift")(network, inputs, FIRST, baseline=base)
    rise = routines.scores(network, inputs, FIRST) - routines.scores(network, base[None], FIRST)
    np.testing.assert_allclose(sums(maps), rise, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("joined", ["max", "min"])
def test_extremes_share_the_reference_of_all_rows(joined):
    keras.utils.set_random_seed(6)
    images = keras.Input((4, 4, 2))
    x = layers.Conv2D(6, 2, activation="tanh")(images)
    functions = {
        "max": layers.GlobalMaxPooling2D(),
        "min": layers.Lambda(lambda values: tf.reduce_min(values, axis=[1, 2])),
    }
    network = lab.load(keras.Model(images, layers.Dense(3)(functions[joined](x))))
    inputs, base = drawn(network, rows=3), drawn(network, rows=1, seed=5)[0]
    shared = explainers.get("deeplift")(network, inputs, FIRST, baseline=base)
    apart = explainers.get("deeplift")(network, inputs, FIRST, baseline=np.stack([base, base, 2 * base]))
    np.testing.assert_allclose(shared[:2], apart[:2], rtol=1e-3, atol=1e-5)
    rise = routines.scores(network, inputs, FIRST) - routines.scores(network, base[None], FIRST)
    np.testing.assert_allclose(sums(shared), rise, rtol=1e-3, atol=1e-5)


def test_rescale_is_its_slow_formula():
    network = dense_network()
    inputs, base = drawn(network), drawn(network, seed=1)
    weights = network.model.get_weights()
    values, others, ratios = inputs, base, []
    for kernel, bias in zip(weights[0:4:2], weights[1:4:2]):
        before, other = values @ kernel + bias, others @ kernel + bias
        values, others = np.maximum(before, 0), np.maximum(other, 0)
        ratios.append((values - others) / (before - other))
    multipliers = np.repeat(weights[4][:, :1].T, len(inputs), axis=0)
    for kernel, ratio in zip((weights[2], weights[0]), ratios[::-1]):
        multipliers = (multipliers * ratio) @ kernel.T
    maps = explainers.get("deeplift")(network, inputs, FIRST, baseline=base)
    assert np.allclose(maps, multipliers * (inputs - base), atol=1e-5)


def slow_reveal_cancel(layer_weights, inputs, base, target):
    """Contributions of one row, unit by unit and weight by weight, as section 3.5.3 writes them."""
    values, others = [inputs], [base]
    for kernel, bias in layer_weights[:-1]:
        values.append(np.maximum(values[-1] @ kernel + bias, 0))
        others.append(np.maximum(others[-1] @ kernel + bias, 0))
    multipliers = layer_weights[-1][0][:, target]
    for (kernel, bias), value, other in reversed(list(zip(layer_weights, values, others))[:-1]):
        before, change, result = other @ kernel + bias, value - other, np.zeros(len(value))
        for unit in range(kernel.shape[1]):
            parts = kernel[:, unit] * change
            up, down = parts[parts > 0].sum(), parts[parts < 0].sum()

            def relu(shift, start=before[unit]):
                return max(start + shift, 0)

            rise = (relu(up) - relu(0) + relu(up + down) - relu(down)) / 2
            fall = (relu(down) - relu(0) + relu(up + down) - relu(up)) / 2
            for place, part in enumerate(parts):
                ratio = rise / up if part > 0 else fall / down if part < 0 else 0
                result[place] += kernel[place, unit] * ratio * multipliers[unit]
        multipliers = result
    return multipliers * (inputs - base)


@pytest.mark.parametrize("rule", ["reveal_cancel", "reveal_cancel_dense"])
def test_reveal_cancel_is_its_slow_formula(rule):
    network = dense_network()
    inputs, base = drawn(network, 1), drawn(network, 1, seed=1)
    weights = network.model.get_weights()
    expected = slow_reveal_cancel(list(zip(weights[::2], weights[1::2])), inputs[0], base[0], 0)
    maps = explainers.get("deeplift")(network, inputs, FIRST, baseline=base, rule=rule)
    assert np.allclose(maps[0], expected, atol=1e-5)
    assert not np.allclose(maps, explainers.get("deeplift")(network, inputs, FIRST, baseline=base), atol=1e-3)


def test_what_cancels_in_a_minimum_is_revealed():
    """min(a, b) = a - ReLU(a - b): rescale gives all to the smaller one, and reveal-cancel half to each."""
    pair = keras.Input((2,))
    rest = layers.Dense(1, activation="relu", use_bias=False)(pair)
    model = keras.Model(pair, layers.Dense(1, use_bias=False)(layers.Concatenate()([pair, rest])))
    model.set_weights([np.float32([[1], [-1]]), np.float32([[1], [0], [-1]])])
    network, inputs = lab.load(model), np.float32([[5, 3]])
    by_rule = {
        rule: explainers.get("deeplift")(network, inputs, FIRST, rule=rule)[0] for rule in ("rescale", "reveal_cancel")
    }
    assert np.allclose(by_rule["rescale"], [0, 3], atol=1e-6)
    assert np.allclose(by_rule["reveal_cancel"], [1.5, 1.5], atol=1e-6)


def test_reveal_cancel_behind_dense_layers_leaves_convolutions(kinds):
    network = kinds["convolutional"]
    inputs, base = drawn(network), drawn(network, seed=1)
    maps = {
        rule: explainers.get("deeplift")(network, inputs, FIRST, baseline=base, rule=rule)
        for rule in ("rescale", "reveal_cancel", "reveal_cancel_dense")
    }
    difference = routines.scores(network, inputs, FIRST) - routines.scores(network, base, FIRST)
    for values in maps.values():
        assert np.abs(sums(values) - difference).max() < 1e-4 * np.abs(difference).max()
    assert np.abs(maps["rescale"] - maps["reveal_cancel"]).max() > 1e-4
    assert np.abs(maps["reveal_cancel_dense"] - maps["reveal_cancel"]).max() > 1e-4


def test_an_unknown_rule_of_deeplift_is_refused(kinds):
    network = kinds["convolutional"]
    with pytest.raises(Refused, match="rescale, reveal_cancel.*'reveal'.*reveal_cancel"):
        explainers.get("deeplift")(network, drawn(network), FIRST, rule="reveal")


def test_on_a_linear_network_differences_are_integrated_gradients():
    network = dense_network(activation=None)
    inputs = drawn(network)
    one, two = (explainers.get(name)(network, inputs, FIRST) for name in ("deeplift", "integrated_gradients"))
    assert np.allclose(one, two, atol=1e-5)


def test_a_product_is_shared_half_and_half():
    numbers = keras.Input((2,))
    network = lab.load(keras.Model(numbers, numbers[:, :1] * numbers[:, 1:]))
    maps = explainers.get("deeplift")(
        network, np.array([[3.0, 5.0]], "float32"), FIRST, baseline=np.array([[1.0, 2.0]])
    )
    # Of 15 - 2: 2 (5 + 2) / 2 and 3 (3 + 1) / 2.
    assert np.allclose(maps, [[7, 6]])


def gap(network, inputs, base):
    """How far DeepLIFT's maps are from the difference of scores, as a share of it."""
    maps = explainers.get("deeplift")(network, inputs, FIRST, baseline=base)
    difference = routines.scores(network, inputs, FIRST) - routines.scores(network, base, FIRST)
    return np.abs(sums(maps) - difference).max() / np.abs(difference).max()


@pytest.mark.parametrize("activation", ["softmax", "log_softmax"])
def test_what_is_added_to_all_of_a_softmax_contributes_nothing(activation):
    numbers = keras.Input((4,))
    network = lab.load(keras.Model(numbers, layers.Activation(activation)(numbers)[:, :1] * 3.0))
    inputs = np.array([[1.0, 2.0, 0.5, -1.0]], "float32")
    base = np.array([[0.25, 0.5, 1.5, 1.0]], "float32")
    maps, far = (explainers.get("deeplift")(network, inputs + by, FIRST, baseline=base) for by in (0, 200))
    assert np.isfinite(far).all() and np.abs(far).max() < 1000 * np.abs(maps).max()
    same = explainers.get("deeplift")(network, base + 200, FIRST, baseline=base)
    # All four rose by 200, so that every share of the total is its probability.
    chances = np.exp(base) / np.exp(base).sum()
    first = np.array([[1.0, 0, 0, 0]]) - chances
    expected = 3 * 200 * first * (chances[0, 0] if activation == "softmax" else 1)
    assert np.allclose(same, expected, rtol=1e-3) and gap(network, inputs, base) < 1e-5


def test_softmax_is_its_slow_formula():
    numbers = keras.Input((3,))
    network = lab.load(keras.Model(numbers, layers.Softmax()(numbers)[:, :1] * 1.0))
    inputs, base = np.array([[1.0, 3.0, -2.0]]), np.array([[0.5, -1.0, 2.0]])
    chances, others = (np.exp(row) / np.exp(row).sum() for row in (inputs, base))
    totals = [np.log(np.exp(row).sum()) for row in (inputs, base)]
    to_logarithm = (chances - others)[0, 0] / (np.log(chances) - np.log(others))[0, 0]
    shares = (np.exp(inputs) - np.exp(base)) / (inputs - base)
    shares = shares * (totals[0] - totals[1]) / (np.exp(totals[0]) - np.exp(totals[1]))
    expected = to_logarithm * (np.array([[1.0, 0, 0]]) - shares) * (inputs - base)
    maps = explainers.get("deeplift")(network, np.float32(inputs), FIRST, baseline=base)
    assert np.allclose(maps, expected, atol=1e-6)


def test_a_network_that_standardizes_its_inputs_has_differences():
    numbers = keras.Input((3,))
    standard = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 2.0])(numbers)
    network = lab.load(keras.Model(numbers, layers.Dense(2)(layers.Dense(4, activation="relu")(standard))))
    assert gap(network, drawn(network), drawn(network, seed=1)) < 1e-4


def test_what_stops_gradients_counts_in_a_difference():
    network = custom(Stopped())
    assert gap(network, drawn(network), drawn(network, seed=1)) < 1e-4


def calls(length):
    """Python calls that DeepLIFT of a series takes with its trace: int."""
    steps = keras.Input((length, 3))
    network = lab.load(keras.Model(steps, layers.Dense(2)(layers.LSTM(4)(steps))))
    profile = cProfile.Profile()
    profile.runcall(explainers.get("deeplift"), network, drawn(network), FIRST)
    return pstats.Stats(profile).total_calls


def test_long_series_take_time_that_grows_with_their_length():
    calls(2)
    two, three, four = map(calls, (2, 3, 4))
    # Where each rule goes through the whole graph, every step costs a sixth more than the one before.
    assert four - three < 1.02 * (three - two)


# Relevance ----------------------------------------------------------------------------------------------------------------


def slow(inputs, weights, share):
    """Relevance through ReLU layers, layer by layer, by the shares that each input has in each output."""
    values = [inputs]
    for kernel, bias in zip(weights[0:-2:2], weights[1:-2:2]):
        values.append(np.maximum(values[-1] @ kernel + bias, 0))
    scores = values[-1] @ weights[-2] + weights[-1]
    relevances = scores * np.eye(scores.shape[1])[0]
    for place in reversed(range(len(values))):
        kernel, bias = weights[2 * place], weights[2 * place + 1]
        relevances = np.einsum("nij,nj->ni", share(values[place], kernel, bias, place), relevances)
    return relevances


def epsilon_share(values, kernel, bias, _):
    parts = values[:, :, None] * kernel
    total = parts.sum(axis=1, keepdims=True) + bias
    return parts / (total + np.where(total < 0, -1e-6, 1e-6))


def alpha_beta_share(alpha):
    def share(values, kernel, bias, _):
        parts = values[:, :, None] * kernel
        above, below = np.maximum(parts, 0), np.minimum(parts, 0)
        up = above.sum(axis=1, keepdims=True) + np.maximum(bias, 0) + 1e-6
        down = below.sum(axis=1, keepdims=True) + np.minimum(bias, 0) - 1e-6
        return alpha * above / up - (alpha - 1) * below / down

    return share


def gamma_share(values, kernel, bias, _):
    parts = values[:, :, None] * kernel
    total = parts.sum(axis=1, keepdims=True) + bias
    same = np.where(total > 0, np.maximum(parts, 0), np.minimum(parts, 0))
    favoured = parts + 0.25 * same
    whole = (
        favoured.sum(axis=1, keepdims=True)
        + bias
        + 0.25 * np.where(total > 0, np.maximum(bias, 0), np.minimum(bias, 0))
    )
    return favoured / (whole + np.where(whole < 0, -1e-6, 1e-6))


def first_share(rule):
    def share(values, kernel, bias, place):
        if place:
            return epsilon_share(values, kernel, bias, place)
        parts = {
            "flat": np.ones((len(values), *kernel.shape)),
            "w_square": np.repeat(kernel[None] ** 2, len(values), axis=0),
            "z_box": values[:, :, None] * kernel + 2 * np.maximum(kernel, 0) - 3 * np.minimum(kernel, 0),
        }[rule]
        total = parts.sum(axis=1, keepdims=True)
        return parts / (total + np.where(total < 0, -1e-6, 1e-6))

    return share


RULES = {
    "epsilon": ("epsilon", epsilon_share),
    "z_plus": ("z_plus", alpha_beta_share(1.0)),
    "alpha2_beta1": (Composite(Rule("alpha_beta", 2.0), Rule("alpha_beta", 2.0)), alpha_beta_share(2.0)),
    "gamma": ("gamma", gamma_share),
    **{name: (Composite(first=name), first_share(name)) for name in ("flat", "w_square", "z_box")},
}


@pytest.mark.parametrize("name", RULES)
def test_each_rule_is_its_slow_formula(name):
    network = dense_network()
    inputs, (composite, share) = drawn(network, 4), RULES[name]
    bounds = (-2.0, 3.0) if name == "z_box" else None
    maps = relevance(network, inputs, FIRST, composite, bounds=bounds)
    expected = slow(inputs.astype("float64"), [np.float64(row) for row in network.model.get_weights()], share)
    assert np.linalg.norm(maps - expected) < 1e-3 * np.linalg.norm(expected)


def rectified_network():
    """Two layers whose sums a ReLU reads, of inputs of either sign and of none below zero."""
    source = keras.Input((6, 6, 3))
    values = keras.layers.Conv2D(16, 3, activation="relu", bias_initializer="random_normal")(source)
    values = keras.layers.Conv2D(16, 3, activation="relu", bias_initializer="random_normal")(values)
    return lab.load(keras.Model(source, keras.layers.Dense(3)(keras.layers.Flatten()(values))))


@pytest.mark.parametrize("rule, fewer", [(("alpha_beta", 1.0), 1), (("alpha_beta", 2.0), 3), (("gamma",), 1)], ids=str)
def test_what_a_relu_cuts_off_is_left_out_and_nothing_changes(rule, fewer, monkeypatch):
    network, forward = rectified_network(), Kernel.forward
    calls, inputs = [], drawn(network, 16)

    def counted(kernel, *arguments):
        calls.append(kernel.op.name)
        return forward(kernel, *arguments)

    monkeypatch.setattr(Kernel, "forward", counted)
    shorter = relevance(network, inputs, FIRST, Composite(Rule(*rule), Rule(*rule)))
    count = len(calls)
    monkeypatch.setattr("lab.kernels._is_rectified", lambda *arguments: False)
    network.compiled.clear()
    longer = relevance(network, inputs, FIRST, Composite(Rule(*rule), Rule(*rule)))
    assert len(calls) - count - count == fewer
    np.testing.assert_allclose(shorter, longer, rtol=0, atol=2e-6 * np.abs(longer).max())


def halved_network(policy, bias=True):
    """Layers read by a ReLU and layers that are not, whose numbers are of a policy of precision."""
    keras.utils.set_random_seed(5)
    source, options = keras.Input((6, 6, 3)), {"bias_initializer": "random_normal"} if bias else {"use_bias": False}
    values = layers.Conv2D(6, 3, activation="relu", dtype=policy, **options)(source)
    values = layers.Conv2D(6, 2, activation="tanh", dtype=policy, **options)(values)
    values = layers.Conv2D(6, 2, activation="relu", dtype=policy, **options)(values)
    return lab.load(keras.Model(source, layers.Dense(3, dtype="float32")(layers.GlobalAveragePooling2D()(values))))


@pytest.fixture(scope="module")
def halved():
    return functools.cache(halved_network)


@pytest.mark.parametrize("policy, most", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.2)])
@pytest.mark.parametrize("name", ["epsilon", "z_plus", "gamma", "epsilon_alpha2_beta1"])
def test_half_precision_says_what_full_precision_says(halved, name, policy, most):
    half, full = halved(policy), halved("float32")
    inputs = drawn(full)
    maps, expected = (relevance(network, inputs, FIRST, name) for network in (half, full))
    assert np.linalg.norm(maps - expected) < most * np.linalg.norm(expected)


@pytest.mark.parametrize("rule", [("epsilon", 1e-12), ("gamma", 1000.0), ("alpha_beta", 2.0)], ids=str)
def test_units_of_zero_get_no_relevance_in_half_precision(halved, rule):
    network = halved("mixed_float16", bias=False)
    maps = relevance(network, np.zeros_like(drawn(network)), FIRST, Composite(Rule(*rule), Rule(*rule)))
    np.testing.assert_array_equal(maps, 0)


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("gamma", [0.25, 10.0])
def test_gamma_keeps_sums_as_far_from_zero_as_the_other_rules(gamma, activation):
    source = keras.Input((2,))
    model = keras.Model(source, layers.Dense(1, use_bias=False)(layers.Dense(1, activation, use_bias=False)(source)))
    model.set_weights([np.float32([[1.0], [1.0]]), np.float32([[1.0]])])
    rule, inputs = Rule("gamma", gamma), np.float32([[3e-6, -1e-6]])
    maps = relevance(lab.load(model), inputs, FIRST, Composite(dense=rule))
    # The second layer, of one number, and the first, of two of either sign.
    arriving = 2e-6 * (1 + gamma) * 2e-6 / ((1 + gamma) * 2e-6 + 1e-6)
    parts = np.array([(1 + gamma) * 3e-6, -1e-6])
    np.testing.assert_allclose(maps[0], arriving * parts / (parts.sum() + 1e-6), rtol=1e-4)


def test_without_biases_epsilon_is_gradient_times_input():
    network = dense_network(bias=False)
    inputs = drawn(network, 4)
    maps = relevance(network, inputs, FIRST, Composite(dense=Rule("epsilon", 1e-12)))
    product = explainers.get("gradient_x_input")(network, inputs, FIRST)
    assert np.linalg.norm(maps - product) < 1e-6 * np.linalg.norm(product)


@pytest.mark.parametrize("name", [name for name in COMPOSITES if name != "epsilon_gamma_box"])
def test_without_biases_relevance_is_kept(name):
    network = dense_network((8, 8, 3), bias=False)
    inputs = np.abs(drawn(network, 3))
    maps = explainers.get("lrp")(network, inputs, FIRST, composite=name)
    assert np.allclose(sums(maps), routines.scores(network, inputs, FIRST), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_relevance_reaches_the_inputs_of_every_kind(kinds, name):
    network = kinds[name]
    for composite in ("epsilon", "epsilon_plus"):
        maps = explainers.get("lrp")(network, drawn(network), FIRST, composite=composite)
        assert np.isfinite(maps).all() and (np.abs(sums(maps)) > 0).all()


def test_first_rules_reach_inputs_behind_a_sign_and_beside_a_skip():
    numbers = keras.Input((2,))
    kernels = np.array([[1.0, 2.0], [-3.0, 0.5]], "float32"), np.array([[2.0, 0.0], [1.0, 0.0]], "float32")
    inputs = np.array([[1.0, 2.0], [3.0, 0.5]], "float32")
    sides = {"sign": lambda hidden: hidden(-numbers), "skip": lambda hidden: numbers + hidden(numbers)}
    for name, side in sides.items():
        hidden = layers.Dense(2, use_bias=False)
        network = lab.load(keras.Model(numbers, layers.Dense(2, use_bias=False)(side(hidden))))
        network.model.set_weights(kernels)
        maps = explainers.get("lrp")(network, inputs, FIRST, composite="w_square")
        shares = kernels[0] ** 2 / (kernels[0] ** 2).sum(axis=0)
        values = (-inputs if name == "sign" else inputs) @ kernels[0] * kernels[1][:, 0]
        around = 0 if name == "sign" else inputs * kernels[1][:, 0]
        assert np.allclose(maps, values @ shares.T + around, rtol=1e-4), name


def test_relevance_of_groups_and_dilation_is_that_of_the_same_plain_layer():
    pixels, rng = keras.Input((7, 7, 4)), np.random.default_rng(0)
    grouped, spread = (np.zeros(shape, "float32") for shape in ((3, 3, 4, 6), (5, 5, 4, 2)))
    groups, taps = (rng.normal(size=shape).astype("float32") for shape in ((3, 3, 2, 6), (3, 3, 4, 2)))
    grouped[:, :, :2, :3], grouped[:, :, 2:, 3:], spread[::2, ::2] = groups[..., :3], groups[..., 3:], taps
    pairs = [
        (layers.Conv2D(6, 3, groups=2, activation="relu"), groups, layers.Conv2D(6, 3, activation="relu"), grouped),
        (
            layers.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2, activation="relu"),
            taps,
            layers.DepthwiseConv2D(5, depth_multiplier=2, activation="relu"),
            spread,
        ),
    ]
    for one, kernel, other, plain in pairs:
        networks = []
        for layer, values in ((one, kernel), (other, plain)):
            keras.utils.set_random_seed(6)
            network = lab.load(keras.Model(pixels, layers.Dense(2)(layers.Flatten()(layer(pixels)))))
            layer.set_weights([values, np.linspace(-1, 1, layer.bias.shape[0])])
            networks.append(network)
        inputs, rule = drawn(networks[0]), Rule("alpha_beta", 2.0)
        maps, expected = (relevance(network, inputs, FIRST, Composite(rule, rule)) for network in networks)
        assert np.linalg.norm(maps - expected) < 1e-5 * np.linalg.norm(expected)
        assert gap(networks[0], inputs, drawn(networks[0], seed=1)) < 1e-4


def test_volumes_with_channels_first_have_relevance():
    volume = keras.Input((4, 5, 5, 5))
    values = layers.Flatten()(layers.Conv3D(4, 3, groups=2, data_format="channels_first")(volume))
    network = lab.load(keras.Model(volume, layers.Dense(2)(values)))
    inputs = drawn(network)
    product = explainers.get("gradient_x_input")(network, inputs, FIRST)
    assert np.allclose(relevance(network, inputs, FIRST, "epsilon"), product, atol=1e-4)
    assert gap(network, inputs, drawn(network, seed=1)) < 1e-4


def test_relevance_through_channels_adds_up_to_the_whole(kinds):
    network, layer = kinds["convolutional"], "max_pooling2d"
    layer = next(path for path in network.tree if path.startswith(layer))
    inputs = drawn(network)
    whole, read = relevance(network, inputs, FIRST, "epsilon", layers=[layer])
    parts = [relevance(network, inputs, FIRST, "epsilon", channels={layer: [place]}) for place in range(6)]
    assert np.allclose(sum(parts), whole, atol=1e-6) and read[layer].shape == (2, 5, 4, 6)
    assert np.abs(parts[0] - whole).max() > 1e-5


def test_relevance_is_read_before_a_normalization_too(kinds):
    network = kinds["convolutional"]
    before = next(path for path in network.tree if path.startswith("conv2d"))
    _, read = relevance(network, drawn(network), FIRST, "epsilon", layers=[before])
    assert read[before].dtype == np.float32 and (np.abs(sums(read[before])) > 1e-4).all()


def test_excitation_is_a_share_of_one():
    network = dense_network(bias=False)
    maps = explainers.get("excitation_backprop")(network, np.abs(drawn(network)), FIRST)
    assert (maps >= 0).all() and np.allclose(sums(maps), 1, atol=1e-3)


def test_a_rule_of_a_layer_changes_that_layer_alone(kinds):
    network = dense_network()
    first = network.model.layers[0].name
    inputs = drawn(network)
    plain, changed, same = (
        relevance(network, inputs, FIRST, composite)
        for composite in (
            "epsilon",
            Composite(paths=((first, Rule("gamma", 5.0)),)),
            Composite(paths=((first, Rule()),)),
        )
    )
    assert np.allclose(plain, same) and np.abs(plain - changed).max() > 1e-4


def test_a_rule_of_a_layer_goes_before_that_of_first_layers():
    network = dense_network()
    inputs, named = drawn(network), ((network.model.layers[0].name, Rule()),)
    maps, plain = (
        relevance(network, inputs, FIRST, rules) for rules in (Composite(first="flat", paths=named), "epsilon")
    )
    assert np.allclose(maps, plain)


def test_a_square_root_at_zero_is_no_hole_in_a_map():
    numbers = keras.Input((3, 2))
    norms = keras.ops.sqrt(keras.ops.sum(numbers * numbers, axis=-1, keepdims=True))
    network = lab.load(keras.Model(numbers, layers.Dense(2)(layers.Flatten()(numbers * norms))))
    inputs = drawn(network)
    inputs[:, 1] = 0
    for method in ("deeplift", "lrp"):
        assert np.isfinite(explainers.get(method)(network, inputs, FIRST)).all()
    assert gap(network, inputs, np.zeros_like(inputs)) < 1e-4


def test_classes_and_rows_trace_nothing_anew(kinds):
    network = kinds["convolutional"]
    for method in ("lrp", "deeplift"):
        explainers.get(method)(network, drawn(network), FIRST)
        traces = network.traces
        explainers.get(method)(network, drawn(network, 5), lab.logit([0, 1, 2, 1, 0]))
        assert network.traces <= traces + 1
        traces = network.traces
        explainers.get(method)(network, drawn(network, 3), lab.logit([2, 1, 2]))
        assert network.traces == traces


class Squashed(layers.Layer):
    def call(self, values):
        return keras.ops.tanh(values) * keras.ops.sigmoid(values)


class Sorted(layers.Layer):
    def call(self, values):
        return keras.ops.cumprod(values, axis=-1) if hasattr(keras.ops, "cumprod") else keras.ops.sort(values)


class Stopped(layers.Layer):
    def call(self, values):
        return values + keras.ops.stop_gradient(values)


class Largest(layers.Layer):
    def call(self, values):
        return values * keras.ops.one_hot(keras.ops.argmax(values, axis=-1), 4)


class Peaks(layers.Layer):
    def call(self, values):
        return values * keras.ops.cast(values == keras.ops.max(values, axis=-1, keepdims=True), "float32")


class Ordered(layers.Layer):
    def call(self, values):
        return keras.ops.take_along_axis(values, keras.ops.argsort(values), axis=1)


class Truncated(layers.Layer):
    def call(self, values):
        return values * keras.ops.cast(keras.ops.cast(3 * values, "int32"), "float32")


class Powered(layers.Layer):
    def call(self, values):
        return keras.ops.power(keras.ops.abs(values) + 0.5, values)


class Chosen(layers.Layer):
    def call(self, values):
        return keras.ops.where(values > 0.1, values, 0.5 * values)


def custom(layer):
    numbers = keras.Input((4,))
    return lab.load(keras.Model(numbers, layers.Dense(2)(layer(layers.Dense(4)(numbers)))))


def test_a_custom_layer_is_looked_through():
    network = custom(Squashed())
    inputs = drawn(network)
    maps = explainers.get("deeplift")(network, inputs, FIRST)
    difference = routines.scores(network, inputs, FIRST) - routines.scores(network, 0 * inputs, FIRST)
    assert np.allclose(sums(maps), difference, atol=1e-5)
    assert np.isfinite(explainers.get("lrp")(network, inputs, FIRST)).all()


def test_a_layer_that_is_called_twice_is_one_rule_twice():
    numbers, shared = keras.Input((4,)), layers.Dense(4, activation="relu")
    network = lab.load(keras.Model(numbers, layers.Dense(2)(shared(shared(numbers)))))
    inputs = drawn(network)
    difference = routines.scores(network, inputs, FIRST) - routines.scores(network, 0 * inputs, FIRST)
    assert np.allclose(sums(explainers.get("deeplift")(network, inputs, FIRST)), difference, atol=1e-5)


@pytest.mark.parametrize(
    "layer, words",
    [
        (Sorted(name="sorted"), "sorted"),
        (Powered(name="powered"), "powered"),
        *((kind(), "choice among values") for kind in (Chosen, Largest, Peaks, Ordered, Truncated)),
    ],
)
@pytest.mark.parametrize("method", ["deeplift", "lrp"])
def test_what_has_no_rule_is_named(layer, words, method):
    network = custom(layer)
    with pytest.raises(Refused, match=words):
        explainers.get(method)(network, drawn(network), FIRST)


def test_steps_of_unknown_number_are_refused_or_written_out():
    steps = keras.Input((None, 3))
    network = lab.load(keras.Model(steps, layers.Dense(2)(layers.LSTM(4)(steps))))
    maps = explainers.get("lrp")(network, np.ones((2, 5, 3), "float32"), FIRST)
    assert maps.shape == (2, 5, 3) and not network.model.layers[1].unroll


@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU])
def test_padding_before_a_layer_of_two_directions_changes_nothing(layer):
    steps = keras.Input((3, 3))
    values = layers.Bidirectional(layer(3, return_sequences=True))(layers.Masking(9.0)(steps))
    network = lab.load(keras.Model(steps, layers.Dense(2)(layers.GlobalAveragePooling1D()(values))))
    inputs, base = drawn(network), drawn(network, seed=1)
    inputs[1, 2:], base[1, 2:] = 9, 9
    assert gap(network, inputs, base) < 1e-4


@pytest.mark.parametrize(
    "options, words",
    [
        ({"composite": "epsilon_plas"}, "epsilon_plus"),
        ({"composite": ["epsilon"]}, "or a `Composite`"),
        ({"low": 0.0}, "both low= and high="),
        ({"low": 0.0, "high": 1.0}, "are for the rule z_box"),
        ({"low": 1.0, "high": 0.0, "composite": "epsilon_gamma_box"}, "less than high="),
        ({"composite": "epsilon_gamma_box"}, "least and largest"),
    ],
)
def test_wrong_options_say_what_to_type(options, words):
    network = dense_network()
    with pytest.raises(Refused, match=words):
        explainers.get("lrp")(network, drawn(network), FIRST, **options)


def test_rules_are_of_layers_and_channels_that_exist():
    network = dense_network()
    with pytest.raises(Refused, match="fits none"):
        relevance(network, drawn(network), FIRST, Composite(paths=(("dence", Rule()),)))
    flat = keras.Input((2, 3))
    without = lab.load(keras.Model(flat, layers.Dense(2)(layers.Flatten(name="flat")(flat))))
    with pytest.raises(Refused, match="with weights"):
        relevance(without, drawn(without), FIRST, Composite(paths=(("flat", Rule("gamma")),)))
    with pytest.raises(Refused, match="from 0 to 5"):
        relevance(network, drawn(network), FIRST, "epsilon", channels={network.model.layers[0].name: [6]})
    with pytest.raises(Refused, match="score or one"):
        relevance(network, drawn(network), FIRST, "epsilon", start="two")
    named = [[network.model.layers[0].name, Rule()]]
    assert relevance(network, drawn(network), FIRST, Composite(paths=named)).shape == (2, 7)
    with pytest.raises(Refused, match="alpha_beta"):
        Composite(dense=Rule("alpha_betta"))
    for name, number in (("alpha_beta", 0.5), ("epsilon", 0.0), ("gamma", -1.0), ("epsilon", float("nan"))):
        with pytest.raises(Refused, match=f"number of the rule {name}"):
            Rule(name, number)
    assert Rule("alpha_beta").value == 2 and Rule("gamma").value == 0.25 and Rule().value == 1e-6
    with pytest.raises(Refused, match="first layers"):
        Composite(first="z_bax")


# Conservation -------------------------------------------------------------------------------------------------------------


def test_relevance_by_layer_is_that_of_each_layer_alone(kinds):
    """Layers beside which relevance has another way are left out."""
    network = kinds["convolutional"]
    inputs = drawn(network)
    sums_by_layer = conservation(network, inputs, FIRST, "epsilon_plus")
    gates = [path for path in network.tree if "global_average" in path or path.startswith("dense")]
    assert not set(gates[:-1]).intersection(sums_by_layer)
    names = [address for address in sums_by_layer if address != "inputs"]
    at_inputs, read = relevance(network, inputs, FIRST, "epsilon_plus", layers=names)
    assert len(names) > 4
    for address in names:
        assert np.allclose(sums(read[address]), sums_by_layer[address], atol=1e-6), address
    assert np.allclose(sums(at_inputs), sums_by_layer["inputs"], atol=1e-6)


def test_what_is_positive_and_has_no_bias_is_conserved_in_every_layer():
    network = dense_network(bias=False)
    inputs = np.abs(drawn(network))
    record = lab.explain(network, inputs, FIRST, method="lrp", composite="z_plus")
    for values in record.conservation.values():
        assert np.allclose(values, record.scores, rtol=1e-4)
    assert lab.explain(network, inputs, FIRST, method="gradient").conservation is None


def test_a_bottleneck_is_what_every_path_goes_through():
    def names(inputs):
        graph = tf.compat.v1.get_default_graph()
        one = tf.nn.relu(inputs, name="one")
        left, right = tf.sin(one, name="left"), tf.cos(one, name="right")
        tf.exp(left, name="unused")
        both = tf.add(left, right, name="both")
        end = tf.multiply(both, both, name="end")
        operations = [op for op in graph.get_operations() if op.type != "Placeholder"]
        names.read = bottlenecks(operations, [inputs], end)
        return end

    tf.function(names, autograph=False).get_concrete_function(tf.TensorSpec([2]))
    assert [name.partition(":")[0] for name in names.read] == ["inputs", "one", "both"]


def test_shaps_deep_explainer_says_the_same_where_it_runs():
    network = dense_network()
    inputs, references = drawn(network, 3), drawn(network, 5, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        theirs = shap.DeepExplainer(network.model, references).shap_values(inputs, check_additivity=False)
    assert np.allclose(
        explainers.get("deep_shap")(network, inputs, FIRST, references=references), theirs[..., 0], atol=1e-5
    )


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_gamma_box"])
def test_relevance_before_a_first_layer_is_that_of_the_inputs(composite):
    """The rule of a first layer keeps relevance for what stands before it, which was read as none."""
    keras.utils.set_random_seed(0)
    stack = [keras.Input((4,)), layers.Rescaling(2.0, name="scaled"), layers.Dense(5, activation="relu")]
    network = lab.load(keras.Sequential([*stack, layers.Dense(2)]))
    inputs, bounds = drawn(network), {"bounds": (-9, 9)} if composite.endswith("box") else {}
    maps, read = relevance(network, inputs, FIRST, composite, layers=["scaled"], **bounds)
    assert np.allclose(read["scaled"], maps, atol=1e-6) and (np.abs(sums(maps)) > 1e-4).all()
    by_layer = conservation(network, inputs, FIRST, composite, **bounds)
    assert np.allclose(by_layer["scaled"], by_layer["inputs"], atol=1e-5)


def test_reveal_cancel_goes_through_the_shapes_of_a_series_convolution():
    """One window as long as the series is a dense layer, whose rule is known; Keras squeezes an axis before its bias."""
    keras.utils.set_random_seed(0)
    steps = keras.Input((3, 2))
    windows = layers.Conv1D(4, 3, activation="relu", bias_initializer="random_normal")(steps)
    series = keras.Model(steps, layers.Dense(2)(layers.Flatten()(windows)))
    flat = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(2)])
    kernel, *others = series.get_weights()
    flat.set_weights([kernel.reshape(6, 4), *others])
    inputs = rng.normal(size=(5, 3, 2)).astype("float32")
    by_rule = {
        rule: explainers.get("deeplift")(lab.load(series), inputs, FIRST, rule=rule)
        for rule in ("rescale", "reveal_cancel")
    }
    expected = explainers.get("deeplift")(lab.load(flat), inputs.reshape(5, 6), FIRST, rule="reveal_cancel")
    assert np.allclose(by_rule["reveal_cancel"].reshape(5, 6), expected, atol=1e-6)
    assert np.abs(by_rule["rescale"] - by_rule["reveal_cancel"]).max() > 1e-3


def test_reveal_cancel_leaves_a_number_that_is_repeated_before_activations():
    class Thresholds(layers.Layer):
        def call(self, inputs):
            return tf.nn.relu(inputs + tf.constant([0.1, -0.2, 0.3]))

    network = lab.load(keras.Sequential([keras.Input((4,)), layers.Dense(1), Thresholds(), layers.Dense(2)]))
    inputs = drawn(network)
    by_rule = [explainers.get("deeplift")(network, inputs, FIRST, rule=rule) for rule in ("rescale", "reveal_cancel")]
    assert all(np.allclose(maps, by_rule[0], atol=1e-6) for maps in by_rule)
