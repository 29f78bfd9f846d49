"""Attention is a softmax multiplied with values, whoever wrote it: read, differentiated and replaced where it runs."""

import keras
import numpy as np
import pytest
from keras import layers as L

import lab
from lab import attention, routines
from lab.address import Address, parse
from lab.environment import tf

TOKENS, SIZE = 5, 8


def model_of(layer):
    """A model of one attention and a linear head over its output."""
    keras.utils.set_random_seed(0)
    x = keras.Input((TOKENS, SIZE))
    return keras.Model(x, L.Dense(2, name="head")(L.Flatten()(layer(x))))


class ByHand(L.Layer):
    """Two attentions one after the other, without an attention layer."""

    def build(self, shape):
        self.wide = L.Dense(2 * SIZE)
        self.wide.build(shape)

    def call(self, x):
        for _ in range(2):
            q = tf.transpose(tf.reshape(self.wide(x), [-1, TOKENS, 2, SIZE]), [0, 2, 1, 3])
            weights = tf.nn.softmax(tf.matmul(q, q, transpose_b=True))
            x = tf.reduce_mean(weights @ q, axis=1)
        return x


class Pooling(L.Layer):
    """Additive pooling: a softmax over the tokens times the tokens, summed."""

    def build(self, shape):
        self.score = L.Dense(1)
        self.score.build(shape)

    def call(self, x):
        return keras.ops.sum(keras.ops.softmax(self.score(x), axis=1) * x, axis=1)


LAYERS = {
    "plain": lambda: L.MultiHeadAttention(2, 4, name="a"),
    "dropout": lambda: L.MultiHeadAttention(2, 4, dropout=0.1, name="a"),
    "flash": lambda: L.MultiHeadAttention(2, 4, flash_attention=True, name="a"),
    "grouped": lambda: L.GroupQueryAttention(4, 4, 2, name="a"),
    "dot": lambda: L.Attention(name="a"),
    "additive": lambda: L.AdditiveAttention(name="a"),
}


def called(layer, **options):
    """A function that calls an attention on one tensor as query, key and value."""
    if isinstance(layer, (L.Attention, L.AdditiveAttention)):
        return lambda x: layer([x, x], **options)
    return lambda x: layer(x, x, **options)


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).normal(size=(3, TOKENS, SIZE)).astype("float32")


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("causal", [False, True])
def test_weights_are_those_that_keras_returns(kind, causal, inputs):
    layer = LAYERS[kind]()
    net = lab.load(model_of(called(layer, use_causal_mask=causal)))
    before = routines.logits(net, inputs)
    weights = routines.activations(net, inputs, "a:weights")
    if kind == "flash":
        assert layer._flash_attention is True
        layer._flash_attention = False
    reference = called(layer, use_causal_mask=causal, return_attention_scores=True)(inputs)[1].numpy()
    np.testing.assert_allclose(weights, reference.reshape(weights.shape), atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_array_equal(routines.logits(net, inputs), before)
    heads = {"plain": 2, "dropout": 2, "flash": 2, "grouped": 4}.get(kind, 1)
    assert net.shape_of("a:weights") == (None, heads, TOKENS, TOKENS)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_cross_attention_has_queries_and_keys_of_its_own(policy):
    keras.utils.set_random_seed(0)
    one, two = keras.Input((3, SIZE), name="one"), keras.Input((TOKENS, SIZE), name="two")
    layer = L.MultiHeadAttention(2, 4, name="cross", dtype=policy)
    net = lab.load(keras.Model([one, two], L.Dense(2, dtype="float32")(L.Flatten()(layer(one, two)))))
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(2, count, SIZE)).astype("float32") for count in (3, TOKENS)]
    weights = routines.activations(net, arrays, "cross:weights")
    reference = np.asarray(layer(*arrays, return_attention_scores=True)[1], "float32")
    assert weights.shape == (2, 2, 3, TOKENS) and net.axes("cross:weights") == ("batch", "heads", "queries", "keys")
    np.testing.assert_allclose(weights, reference, atol=1e-6 if policy == "float32" else 2e-3)


def test_attention_over_two_axes_has_its_positions_in_one_row():
    keras.utils.set_random_seed(0)
    x, layer = keras.Input((4, 3, 6)), L.MultiHeadAttention(2, 3, attention_axes=(1, 2), name="a")
    net = lab.load(keras.Model(x, L.Dense(2)(L.Flatten()(layer(x, x)))))
    arrays = np.random.default_rng(0).normal(size=(2, 4, 3, 6)).astype("float32")
    reference = layer(arrays, arrays, return_attention_scores=True)[1].numpy().reshape(2, 2, 12, 12)
    np.testing.assert_allclose(routines.activations(net, arrays, "a:weights"), reference, atol=1e-6)
    same = routines.replace_activations(net, arrays, lab.logit(0), "a:weights", reference)
    np.testing.assert_allclose(same, routines.logits(net, arrays)[:, 0], atol=1e-5)


@pytest.mark.parametrize("name", ["written by hand", "pooling", "functional"])
def test_attention_without_an_attention_layer_is_met_where_it_runs(name, inputs):
    keras.utils.set_random_seed(0)
    x = keras.Input((TOKENS, SIZE))
    if name == "functional":
        middle = L.Dot((1, 1), name="dot")([L.Softmax(axis=1)(L.Dense(1)(x)), x])
        addresses = ["dot:weights"]
    else:
        middle = (ByHand if name == "written by hand" else Pooling)(name="a")(x)
        addresses = ["a:weights", "a:weights#2"] if name == "written by hand" else ["a:weights"]
    net = lab.load(keras.Model(x, L.Dense(2)(L.Flatten()(middle))))
    assert list(net.attentions) == addresses
    for address in addresses:
        weights, values = (
            routines.activations(net, inputs, at) for at in (address, address.replace("weights", "values"))
        )
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
        assert values.shape[:3] == (3, weights.shape[1], weights.shape[3])
        same = routines.replace_activations(net, inputs, lab.logit(0), address, weights)
        np.testing.assert_allclose(same, routines.logits(net, inputs)[:, 0], atol=1e-5)


def test_a_softmax_that_meets_no_values_is_no_attention(inputs):
    """Gates, hidden softmax layers and heads multiply weights of the network, or are not summed over keys."""
    x = keras.Input((TOKENS, SIZE))
    hidden = L.Dense(4, "softmax")(L.Dense(6, "softmax")(x))
    gate = L.Multiply()([L.Dense(SIZE, "softmax")(x), x])
    net = lab.load(keras.Model(x, L.Dense(3, "softmax")(L.Flatten()(L.Concatenate()([hidden, gate])))))
    assert net.attentions == {}
    with pytest.raises(lab.Refused, match="Unknown attention. Received: 'dense:weights'"):
        routines.activations(net, inputs, "dense:weights")


def test_a_mean_over_something_else_than_the_keys_is_no_attention(inputs):
    def gate(x):
        return keras.ops.mean(x * keras.ops.softmax(keras.ops.mean(x, axis=1, keepdims=True)), axis=1)

    def mask(x):
        return keras.ops.mean(x * keras.ops.softmax(keras.ops.sum(x, axis=2, keepdims=True), axis=1), axis=2)

    assert not lab.Network(model_of(L.Lambda(gate))).attentions
    assert not lab.Network(model_of(L.Lambda(mask))).attentions


def heads_first(x):
    heads = tf.transpose(tf.reshape(x, [-1, TOKENS, 2, SIZE // 2]), [2, 0, 1, 3])
    return tf.transpose(tf.nn.softmax(tf.matmul(heads, heads, transpose_b=True)) @ heads, [1, 2, 0, 3])


def heads_among_samples(x):
    length = tf.shape(x)[1]
    heads = tf.transpose(tf.reshape(x, [-1, length, 2, SIZE // 2]), [0, 2, 1, 3])
    merged = tf.reshape(heads, [-1, length, SIZE // 2])
    read = tf.nn.softmax(tf.matmul(merged, merged, transpose_b=True)) @ merged
    return tf.reshape(tf.transpose(tf.reshape(read, [-1, 2, length, SIZE // 2]), [0, 2, 1, 3]), [-1, length, SIZE])


def test_heads_are_never_taken_for_samples():
    assert not lab.Network(model_of(L.Lambda(heads_first))).attentions
    x = keras.Input((None, SIZE))
    free = keras.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(L.Lambda(heads_among_samples)(x))))
    assert not lab.Network(free).attentions
    free = keras.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 4, name="a")(x, x))))
    assert list(lab.Network(free).attentions) == ["a:weights"]


def test_what_does_not_run_is_not_replaced_in_silence():
    x = keras.Input((None, SIZE))
    summed = L.Lambda(lambda x: tf.reduce_sum(tf.nn.softmax(x[..., :1], axis=1) * x, axis=1), name="pool")(x)
    network, one_step = lab.Network(keras.Model(x, L.Dense(2)(summed))), np.ones((3, 1, SIZE), "float32")
    with pytest.raises(lab.Refused, match="does not run in this pass"):
        attention.outputs_under(network, one_step, attention.uniform, attention.select(network), seed=0)


def test_the_gradient_at_the_weights_is_that_of_the_score(inputs):
    """The network behind the weights is linear in them: the sum of weight times gradient is the score less the bias."""
    net = lab.load(model_of(called(LAYERS["plain"]())))
    parts = routines.layer_gradient(net, inputs, lab.logit(1), "a:weights", lambda weights, slope: weights * slope)
    assert parts.shape == (3, 2, TOKENS, TOKENS)
    np.testing.assert_allclose(parts.sum(axis=(1, 2, 3)), routines.logits(net, inputs)[:, 1], atol=1e-5)
    rng = np.random.default_rng(0)
    step = 1e-2 * rng.normal(size=parts.shape).astype("float32")
    weights = routines.activations(net, inputs, "a:weights")
    slope = routines.layer_gradient(net, inputs, lab.logit(1), "a:weights", lambda weights, slope: slope)
    ends = [
        routines.replace_activations(net, inputs, lab.logit(1), "a:weights", weights + sign * step) for sign in (1, -1)
    ]
    np.testing.assert_allclose((ends[0] - ends[1]) / 2, (slope * step).sum(axis=(1, 2, 3)), atol=1e-5)


def test_a_function_replaces_weights_where_they_are(inputs):
    """Uniform weights give the mean of the values, computed by hand from the layer's kernels."""
    layer = LAYERS["plain"]()
    net = lab.load(model_of(called(layer)))

    def body(batched, _):
        uniform = {"a:weights": lambda weights: tf.ones_like(weights) / TOKENS}
        return net.trace(batched[0], ["a"], replaced=uniform).activations["a"]

    outputs = routines.run(net, ("uniform",), body, (inputs,), ())
    kernel, bias, kernel_out, bias_out = (
        np.asarray(variable)
        for variable in (
            layer.value_dense.kernel,
            layer.value_dense.bias,
            layer.output_dense.kernel,
            layer.output_dense.bias,
        )
    )
    values = np.einsum("btc,chd->bthd", inputs, kernel) + bias
    expected = np.einsum("bhd,hdc->bc", values.mean(axis=1), kernel_out) + bias_out
    np.testing.assert_allclose(outputs, np.repeat(expected[:, None], TOKENS, axis=1), atol=1e-5)


def test_a_shared_layer_has_one_attention_a_call(inputs):
    layer = LAYERS["plain"]()
    net = lab.load(model_of(lambda x: layer(layer(x, x), x)))
    assert list(net.attentions) == ["a:weights", "a@1:weights"]
    one, two = (routines.activations(net, inputs, address) for address in net.attentions)
    assert np.abs(one - two).max() > 1e-3


def test_weights_are_an_objective_like_any_layer(inputs):
    net = lab.load(model_of(called(LAYERS["plain"]())))
    weights = routines.activations(net, inputs, "a:weights")
    goal = lab.neuron("a:weights", 2, row=1, column=3)
    np.testing.assert_allclose(routines.scores(net, inputs, goal), weights[:, 1, 3, 2], atol=1e-6)
    assert lab.explain(net, inputs, goal, method="gradient").maps.any()
    with pytest.raises(lab.Refused, match="Unknown attention. Received: 'b:weights'. .*a:weights"):
        routines.scores(net, inputs, lab.neuron("b:weights", 0, row=0, column=0))


@pytest.mark.parametrize("text", ["a", "a/b@2", "a:weights", ":values", "a@1:weights#3", "odd:name", "odd:weights#1"])
def test_addresses_are_read_as_they_are_written(text):
    assert str(parse(text)) == text


def test_what_is_no_address():
    assert parse("a@b") is None and parse("a:weights") == Address("a", 0, "weights", 0)


def test_heads_are_as_long_as_what_they_pass_on(inputs):
    """`path:heads` is the length of weights times values, a channel for each head, and a unit to draw like any other."""
    net = lab.load(model_of(called(LAYERS["plain"]())))
    weights, values, heads = (routines.activations(net, inputs, f"a:{port}") for port in ("weights", "values", "heads"))
    passed = np.einsum("bhqk,bhkc->bqhc", weights, values)
    np.testing.assert_allclose(heads, np.linalg.norm(passed, axis=-1), atol=1e-5)
    assert net.axes("a:heads") == ("batch", "queries", "heads") and net.shape_of("a:heads") == (None, TOKENS, 2)
    np.testing.assert_allclose(
        routines.scores(net, inputs, lab.channel("a:heads", 1)), heads[..., 1].mean(1), atol=1e-5
    )
    with pytest.raises(lab.Refused, match="only read"):
        routines.replace_activations(net, inputs, lab.logit(0), "a:heads", heads)


def test_scores_of_gated_features_are_no_attention(inputs):
    """Features times a softmax are features, of which the products are scores; a mask after the softmax leaves weights."""
    x = keras.Input((TOKENS, SIZE))
    gated = L.Multiply()([x, L.Softmax()(L.Dense(SIZE)(x))])
    net = lab.load(keras.Model(x, L.Dense(2)(L.Flatten()(L.Attention(name="a")([gated, gated])))))
    assert list(net.attentions) == ["a:weights"]
    np.testing.assert_allclose(routines.activations(net, inputs, "a:weights").sum(axis=-1), 1, atol=1e-5)

    class Masked(L.Layer):
        def call(self, x):
            weights = keras.ops.softmax(x @ keras.ops.swapaxes(x, 1, 2))
            return (weights * keras.ops.cast(weights > 0.1, "float32")) @ x

    net = lab.load(keras.Model(x, L.Dense(2)(L.Flatten()(Masked(name="m")(x)))))
    weights = routines.activations(net, inputs, "m:weights")
    assert weights.min() == 0 and weights.sum(axis=-1).max() > 0.5
    address = "m:weights"
    uniform = lab.attention.outputs_under(
        net, inputs, lab.attention.uniform, lab.attention.select(net, address), seed=0
    )
    assert np.isfinite(next(iter(uniform.values()))).all()
