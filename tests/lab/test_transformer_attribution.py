"""Transformer attribution against the paper's rules of relevance, written out in numpy for an encoder of two layers."""

import keras
import numpy as np
import pytest

import lab
from lab.attribution.attention_maps import token_relevance
from lab.environment import tf
from lab.transformer_rules import trace_relevance
from tests import attention_networks as nets
from tests.lab.test_attention import inside
from tests.networks import distance, filled, network

GOAL = lab.logit([0, 1, 2])


def divided(a, b):
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def of_linear(x, kernel, relevance):
    """Relevance of x by what raises x @ kernel (equations 4 and 5)."""
    rising, falling = np.maximum(kernel, 0), np.minimum(kernel, 0)
    positive, negative = np.maximum(x, 0), np.minimum(x, 0)
    share = divided(relevance, positive @ rising + negative @ falling)
    return positive * (share @ rising.T) + negative * (share @ falling.T)


def of_sum(a, b, relevance):
    """Relevance of the two parts of a sum, sample by sample (equations 9 and 10)."""
    share = divided(relevance, a + b)
    parts = []
    for row in range(len(a)):
        pair = [part[row] * share[row] for part in (a, b)]
        sums = [part.sum() for part in pair]
        shares = [abs(value) / (abs(sums[0]) + abs(sums[1])) * relevance[row].sum() / value for value in sums]
        parts.append([part * factor for part, factor in zip(pair, shares)])
    return [np.stack(rows) for rows in zip(*parts)]


def of_product(a, b, relevance):
    """Relevance of the two factors of a product of matrices, half each (Lemma 1 and equation 10)."""
    share = divided(relevance, a @ b)
    return a * (share @ b.swapaxes(-1, -2)) / 2, b * (a.swapaxes(-1, -2) @ share) / 2


def weights_of(layer):
    return [np.asarray(variable, "float64") for variable in layer.weights]


def normalized(x, layer):
    gamma, beta = weights_of(layer)
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + layer.epsilon)
    return (x - x.mean(axis=-1, keepdims=True)) / deviation * gamma + beta


def heads_of(x, kernel, bias):
    """A projection of each head: [batch, heads, tokens, size]."""
    return np.einsum("btc,chd->bhtd", x, kernel) + bias[:, None]


def merged(x):
    """[batch, heads, tokens, size] as [batch, tokens, heads * size]."""
    return x.transpose(0, 2, 1, 3).reshape(len(x), x.shape[2], -1)


def split(x, heads):
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


class Layer:
    """A layer of the encoder, which keeps what its parts are computed from, and passes relevance back."""

    def __init__(self, net, name, x):
        query, q_bias, key, k_bias, value, v_bias, output, o_bias = weights_of(net.tree[name])
        self.x, h = x, normalized(x, net.tree[f"{name}_norm"])
        self.h, self.kernels, self.output = h, (query, key, value), output.reshape(-1, output.shape[-1])
        scaled = heads_of(h, query, q_bias) / np.sqrt(nets.WIDTH)
        self.q, self.k, self.v = scaled, heads_of(h, key, k_bias).swapaxes(-1, -2), heads_of(h, value, v_bias)
        self.logits = self.q @ self.k
        exponents = np.exp(self.logits - self.logits.max(axis=-1, keepdims=True))
        self.weights = exponents / exponents.sum(axis=-1, keepdims=True)
        self.passed = merged(self.weights @ self.v)
        self.attended = self.passed @ self.output + o_bias
        self.y = x + self.attended
        (self.wide, wide_bias), (self.narrow, narrow_bias) = (
            weights_of(net.tree[f"{name}_{k}"]) for k in ("wide", "narrow")
        )
        self.hidden = np.asarray(keras.activations.gelu((self.y @ self.wide + wide_bias).astype("float32")), "float64")
        self.added = self.hidden @ self.narrow + narrow_bias
        self.out = self.y + self.added

    def back(self, relevance):
        """-> relevance of the attention weights, and of the layer's input."""
        kept, added = of_sum(self.y, self.added, relevance)
        # GELU keeps relevance, as do softmax and LayerNormalization.
        kept = kept + of_linear(self.y, self.wide, of_linear(self.hidden, self.narrow, added))
        residual, attended = of_sum(self.x, self.attended, kept)
        passed = split(of_linear(self.passed, self.output, attended), nets.HEADS)
        of_weights, of_values = of_product(self.weights, self.v, passed)
        of_queries, of_keys = of_product(self.q, self.k, of_weights)
        parts = [merged(part) for part in (of_queries, of_keys.swapaxes(-1, -2), of_values)]
        kernels = np.concatenate([kernel.reshape(len(kernel), -1) for kernel in self.kernels], axis=1)
        return of_weights, residual + of_linear(self.h, kernels, np.concatenate(parts, axis=2))


def by_hand(net, inputs, classes):
    """Relevance of the weights of both layers by the paper's rules: list of [batch, heads, queries, keys]."""
    first = Layer(net, "one", inputs.astype("float64"))
    second = Layer(net, "two", first.out)
    kernel, bias = weights_of(net.tree["logits"])
    last = normalized(second.out, net.tree["last"])
    np.testing.assert_allclose(last[:, 0] @ kernel + bias, net.model(inputs), atol=1e-4)
    values = np.zeros_like(last)
    values[:, 0] = of_linear(last[:, 0], kernel, np.eye(3)[classes])
    of_second, values = second.back(values)
    return [first.back(values)[0], of_second]


def test_it_is_relevance_by_the_rules_of_the_paper_rolled_out():
    net, inputs = nets.encoder(), nets.series(3, 5)
    relevances, product = by_hand(net, inputs, [0, 1, 2]), np.eye(5)
    for values, (_, slopes) in zip(relevances, inside(net, inputs).values()):
        assert values.min() < 0 < values.max()
        product = (np.eye(5) + np.maximum(slopes * values, 0).mean(axis=1)) @ product
    maps = lab.transformer_attribution(net, inputs, GOAL)
    # The identity is most of the map.
    assert distance(maps - np.eye(5)[0], product[:, 0] - np.eye(5)[0]) < 1e-3
    assert (
        distance(lab.transformer_attribution(net, inputs, GOAL, query=2) - np.eye(5)[2], product[:, 2] - np.eye(5)[2])
        < 1e-3
    )
    assert distance(maps - np.eye(5)[0], lab.chefer(net, inputs, GOAL) - np.eye(5)[0]) > 0.1


def test_ids_are_explained_as_the_vectors_that_they_look_up():
    ids = keras.Input((5,), dtype="int32")
    embedding = keras.layers.Embedding(20, nets.SIZE)
    inner = nets.encoder().model
    net, rows = (
        network(filled(keras.Model(ids, inner(embedding(ids))))),
        np.random.default_rng(0).integers(0, 20, (3, 5)),
    )
    vectors = np.asarray(embedding(rows))
    maps = lab.transformer_attribution(net, rows, GOAL)
    assert (
        distance(maps - np.eye(5)[0], lab.transformer_attribution(network(inner), vectors, GOAL) - np.eye(5)[0]) < 1e-4
    )


@pytest.mark.parametrize("before", [True, False])
def test_rules_are_needed_behind_the_first_attention_alone(before):
    inputs = keras.Input((5, nets.SIZE))
    sort = keras.layers.Lambda(lambda x: keras.ops.sort(x, axis=-1))
    x = nets.attend(sort(inputs) if before else inputs, "one")
    net = network(filled(keras.Model(inputs, nets.head(x if before else sort(x), True))))
    if before:
        assert lab.transformer_attribution(net, nets.series(2, 5), lab.logit(0)).any()
    else:
        with pytest.raises(lab.Refused, match="rule for every operation. Received: .* in layer 'lambda"):
            lab.transformer_attribution(net, nets.series(2, 5), lab.logit(0))


def sum_of_relevance(attended):
    """The rule that gives the sum of relevance of each attention's weights: dict of address to [batch]."""
    relevance = attended.relevance(list(attended.factors.values()))
    return {address: tf.reduce_sum(part, axis=(1, 2, 3)) for address, part in zip(attended.factors, relevance)}


def sums_behind(scale, norm):
    """Sums of relevance of two attentions, between which tokens are scaled and normalized: dict of address to [batch].

    Everything is so wide that no linear layer gets numbers that all lower its output, whose relevance would end there.
    """
    inputs = keras.Input((5, 32))
    x = keras.layers.MultiHeadAttention(4, 8, name="one")(inputs, inputs)
    x = norm(name="norm")(keras.layers.Rescaling(scale.tolist(), name="scale")(x))
    x = keras.layers.MultiHeadAttention(4, 8, name="two")(x, x)
    net = network(filled(keras.Model(inputs, keras.layers.Dense(3, name="logits")(x[:, 0]))))
    series = np.random.default_rng(0).normal(size=(3, 5, 32)).astype("float32")
    return token_relevance(net, series, GOAL, sum_of_relevance, trace=trace_relevance)


@pytest.mark.parametrize("norm", [keras.layers.LayerNormalization, keras.layers.RMSNormalization])
def test_relevance_of_a_norm_is_kept_where_its_inputs_are_zero(norm):
    sums = sums_behind(np.r_[np.ones(29), 0, 0, 1e-8], norm)
    # The weights of a product take half, and values, queries and keys pass the other half on.
    np.testing.assert_allclose(sums["two:weights"], 0.5, atol=1e-4)
    np.testing.assert_allclose(sums["one:weights"], 0.5, atol=1e-4)


def test_relevance_of_a_token_of_zeros_ends_at_its_norm():
    sums = sums_behind(np.r_[1, 1, 1, 1, 0.0][:, None], keras.layers.LayerNormalization)
    np.testing.assert_allclose(sums["two:weights"], 0.5, atol=1e-4)
    assert np.isfinite(sums["one:weights"]).all() and np.abs(sums["one:weights"] - 0.5).max() > 0.01


def test_attention_to_another_input_is_refused():
    with pytest.raises(lab.Refused, match="follows self-attention. Received: 'decoder_cross:weights'.* Use chefer"):
        net = nets.translator()
        lab.transformer_attribution(net, {"source": nets.series(2, 6), "target": np.ones((2, 4), int)}, lab.logit(0))
