"""Methods of attention against their papers' slow formulas, on encoders, decoders, two streams, texts and images."""

import keras
import numpy as np
import pytest
from scipy.optimize import linprog

import lab
from lab import routines
from lab.attribution import explainers
from lab.attribution.token_streams import token_blocks, token_streams
from lab.environment import tf
from lab.scoring import score
from tests import attention_networks as nets
from tests.networks import distance, filled, network

GOAL = lab.logit([0, 1, 2])
METHODS = explainers.names(needs="attention")


def inside(net, inputs, goal=GOAL):
    """Attention and the score's gradient there: dict of address to (float64, float64) [batch, heads, queries, keys]."""
    addresses = list(net.attentions)

    def body(batched, weights):
        trace = net.trace(batched[0], addresses)
        factors = [trace.activations[address] for address in addresses]
        slopes = tf.gradients(score(goal.structure, weights, batched[1], trace), factors, unconnected_gradients="zero")
        return dict(zip(addresses, zip(factors, slopes)))

    computed = routines.run(net, ("inside", goal.structure), body, *routines.prepare(net, inputs, goal))
    return {address: tuple(part.astype("float64") for part in pair) for address, pair in computed.items()}


@pytest.fixture(scope="module")
def cases():
    """Networks by name with their inputs, each built once."""
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (3, nets.SIDE * nets.ROWS, nets.SIDE * nets.COLUMNS, 3)).astype("float32")
    build = {
        "encoder": lambda: (nets.encoder(), nets.series(3, 5)),
        "mean": lambda: (nets.encoder(first=False), nets.series(3, 5)),
        "text": lambda: (nets.text(), np.array([[3, 4, 5, 6, 0, 0], [7, 8, 9, 1, 2, 3], [2, 2, 5, 0, 0, 0]], "int32")),
        "vit": lambda: (nets.vit(), images),
        "translator": lambda: (nets.translator(), {"source": nets.series(3, 6), "target": rng.integers(0, 20, (3, 4))}),
        "two streams": lambda: (nets.two_streams(), {"left": nets.series(3, 4), "right": nets.series(3, 3, 1)}),
        "detector": lambda: (nets.detector(), images),
        "pooled": lambda: (nets.pooled(), nets.series(3, 6)),
    }
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = build[name]()
        return cache[name]

    return get


def by_stream(maps, axis=-1):
    """Maps of series summed over their channels."""
    return {name: map_.sum(axis=axis) if map_.ndim == 3 else map_ for name, map_ in maps.items()}


# Which tokens attention reads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pairs", "ends"),
    [
        ("encoder", "aa aa", "a"),
        ("text", "aa aa", "a"),
        ("vit", "aa aa", "a"),
        ("translator", "aa bb ba bb ba", "b"),
        ("two streams", "aa bb ab ba aa bb ab", "a"),
        ("detector", "aa bb ba", "b"),
        ("pooled", "ab", "a"),
    ],
)
def test_queries_and_keys_belong_to_streams(cases, name, pairs, ends):
    streams = token_streams(cases(name)[0], GOAL)
    letters, text = {}, []
    for step in sorted(streams.steps, key=lambda step: list(cases(name)[0].attentions).index(step.address)):
        text.append("".join(letters.setdefault(stream, "abc"[len(letters)]) for stream in (step.queries, step.keys)))
    assert " ".join(text) == pairs and "".join(letters[stream] for stream in streams.ends) == ends


def test_blocks_end_behind_their_residual(cases):
    assert list(token_blocks(cases("encoder")[0], GOAL).values()) == ["one_out", "last"]


def test_attention_that_the_score_does_not_read_is_left_out(cases):
    net, inputs = cases("encoder")
    goal = lab.channel("one_out", 1)
    assert [step.address for step in token_streams(net, goal).steps] == ["one:weights"]
    assert lab.attention_rollout(net, inputs, goal).any()
    with pytest.raises(
        lab.Refused, match="attention that the score depends on. Received: 'two:weights'. .*one:weights"
    ):
        lab.raw_attention(net, inputs, goal, layer="two")
    with pytest.raises(lab.Refused, match="needs a score that attention leads to"):
        lab.chefer(net, inputs, lab.channel("one_norm", 1))


# One layer -------------------------------------------------------------------------------------------------------------------


def test_raw_attention_is_a_row_of_one_layer(cases):
    net, inputs = cases("encoder")
    weights = inside(net, inputs)["one:weights"][0]
    maps = lab.raw_attention(net, inputs, GOAL, layer="one", fusion="max")
    np.testing.assert_allclose(maps, weights.max(axis=1)[:, 0], atol=1e-6)
    head = lab.raw_attention(net, inputs, GOAL, layer="one:weights", head=1, query=3)
    np.testing.assert_allclose(head, weights[:, 1, 3], atol=1e-6)
    record = lab.explain(net, inputs, GOAL, method="raw_attention")
    assert record.layer == "two:weights" and not distance(record.maps, lab.raw_attention(net, inputs, GOAL)) > 1e-6
    mean, series = cases("mean")
    rows = inside(mean, series)["two:weights"][0].mean(axis=(1, 2))
    np.testing.assert_allclose(lab.raw_attention(mean, series, GOAL), rows, atol=1e-6)


def test_attention_gradcam_weighs_heads_by_their_mean_gradient(cases):
    net, inputs = cases("encoder")
    weights, slopes = inside(net, inputs)["two:weights"]
    slow = (slopes.mean(axis=(2, 3), keepdims=True) * weights).mean(axis=1)[:, 0]
    assert slow.min() < 0 < slow.max()
    assert distance(lab.attention_gradcam(net, inputs, GOAL, relu=False), slow) < 1e-4
    assert distance(lab.attention_gradcam(net, inputs, GOAL), np.maximum(slow, 0)) < 1e-4


def test_legrad_is_the_mean_positive_gradient_of_all_layers(cases):
    net, inputs = cases("mean")
    layers = [np.maximum(slopes, 0).mean(axis=(1, 2)) for _, slopes in inside(net, inputs).values()]
    assert distance(lab.legrad(net, inputs, GOAL), np.mean(layers, axis=0)) < 1e-4
    assert distance(lab.legrad(net, inputs, GOAL, last=1), layers[1]) < 1e-4


# Rolled out ------------------------------------------------------------------------------------------------------------------


def rolled(matrices, residual=0.5):
    """The product of all layers, written out: [batch, tokens, tokens]."""
    product = np.eye(matrices[0].shape[-1])
    for matrix in matrices:
        mixed = (1 - residual) * matrix + residual * np.eye(matrix.shape[-1])
        product = mixed / mixed.sum(axis=-1, keepdims=True) @ product
    return product


@pytest.mark.parametrize(("fusion", "residual"), [("mean", 0.5), ("max", 0.5), ("min", 0.2)])
def test_rollout_is_the_product_of_layers(cases, fusion, residual):
    net, inputs = cases("encoder")
    slow = rolled([getattr(weights, fusion)(axis=1) for weights, _ in inside(net, inputs).values()], residual)
    fast = lab.attention_rollout(net, inputs, GOAL, fusion=fusion, residual=residual)
    assert distance(fast, slow[:, 0]) < 1e-5
    assert (
        distance(lab.attention_rollout(net, inputs, GOAL, fusion=fusion, residual=residual, query=2), slow[:, 2]) < 1e-5
    )


def test_the_smallest_weights_are_discarded(cases):
    net, inputs = cases("encoder")
    matrices = [weights.mean(axis=1) for weights, _ in inside(net, inputs).values()]
    for matrix in matrices:
        for sample in matrix:
            sample.flat[np.argsort(sample, axis=None)[:10]] = 0
    assert distance(lab.attention_rollout(net, inputs, GOAL, discard=0.4), rolled(matrices)[:, 0]) < 1e-5


def test_rollout_runs_through_cross_attention(cases):
    net, inputs = cases("translator")
    half = {address.partition(":")[0]: pair[0].mean(axis=1) / 2 for address, pair in inside(net, inputs).items()}
    source, target = np.eye(6) / 2 + half["encoder"], np.eye(4)
    onto = np.zeros((3, 4, 6))
    for name in ("decoder", "decoder2"):
        own = np.eye(4) / 2 + half[name]
        target, onto = own @ target / 2, own @ onto / 2 + half[f"{name}_cross"] @ source
    maps = by_stream(lab.attention_rollout(net, inputs, GOAL))
    assert distance(maps["source"], onto[:, 0]) < 1e-5 and distance(maps["target"], target[:, 0]) < 1e-5
    np.testing.assert_allclose(maps["source"].sum(axis=1) + maps["target"].sum(axis=1), 1, atol=1e-5)


def test_streams_that_read_each_other_at_once_read_what_the_other_was(cases):
    net, inputs = cases("two streams")
    half = {address.partition(":")[0]: pair[0].mean(axis=1) / 2 for address, pair in inside(net, inputs).items()}
    # What the tokens of each stream come from: those of the left input, then those of the right one.
    x, y = np.eye(4, 7)[None], np.eye(3, 7, 4)[None]
    x, y = x / 2 + half["x1"] @ x, y / 2 + half["y1"] @ y
    x, y = x / 2 + half["xy"] @ y, y / 2 + half["yx"] @ x
    x, y = x / 2 + half["x2"] @ x, y / 2 + half["y2"] @ y
    x = x / 2 + half["last_cross"] @ y
    maps = by_stream(lab.attention_rollout(net, inputs, GOAL))
    assert distance(maps["left"], x[:, 0, :4]) < 1e-5 and distance(maps["right"], x[:, 0, 4:]) < 1e-5
    # The products of all ways to a token are a flow to it, so that the largest flow is no smaller.
    flows = by_stream(lab.attention_flow(net, inputs, GOAL))
    assert all((flows[side] >= maps[side] - 1e-4).all() for side in maps)


def largest_flow(matrices, top, bottom):
    """The largest flow through two layers by linear programming: the flows of all pairs of a token and one below it."""
    lower, upper = matrices
    count = len(lower)
    size = count * count
    keep = np.zeros((count, count + size))
    for token in range(count):
        keep[token, token], keep[token, count + token * count : count + (token + 1) * count] = 1, -1
    gain = np.zeros(count + size)
    gain[count + bottom :: count] = -1
    bounds = [(0, capacity) for capacity in (*upper[top], *lower.ravel())]
    # A flow ends at one token, and none at another.
    for token in range(count):
        for other in range(count):
            if other != bottom:
                bounds[count + token * count + other] = (0, 0)
    return -linprog(gain, A_eq=keep, b_eq=np.zeros(count), bounds=bounds).fun


def test_flow_is_the_largest_one(cases):
    net, inputs = cases("encoder")
    matrices = [weights.mean(axis=1) / 2 + np.eye(5) / 2 for weights, _ in inside(net, inputs).values()]
    maps = lab.attention_flow(net, inputs, GOAL)
    slow = [[largest_flow([matrix[row] for matrix in matrices], 0, token) for token in range(5)] for row in range(3)]
    np.testing.assert_allclose(maps, slow, atol=1e-5)
    assert distance(maps, lab.attention_rollout(net, inputs, GOAL)) > 1e-2


# Chefer, Gur, Wolf ----------------------------------------------------------------------------------------------------------


def raising(pair):
    return np.maximum(pair[0] * pair[1], 0).mean(axis=1)


def normalized(relevance):
    beside = relevance - np.eye(relevance.shape[-1])
    total = beside.sum(axis=-1, keepdims=True)
    return np.divide(beside, total, out=np.zeros_like(beside), where=total != 0) + np.eye(relevance.shape[-1])


def test_chefer_of_self_attention(cases):
    net, inputs = cases("encoder")
    relevance = np.eye(5)
    for pair in inside(net, inputs).values():
        relevance = relevance + raising(pair) @ relevance
    assert distance(lab.chefer(net, inputs, GOAL), relevance[:, 0]) < 1e-4


def test_chefer_of_an_encoder_and_a_decoder(cases):
    net, inputs = cases("translator")
    raised = {address.partition(":")[0]: raising(pair) for address, pair in inside(net, inputs).items()}
    source, target, onto = np.eye(6) + raised["encoder"], np.repeat(np.eye(4)[None], 3, axis=0), np.zeros((3, 4, 6))
    for name in ("decoder", "decoder2"):
        target, onto = target + raised[name] @ target, onto + raised[name] @ onto
        mixed = raised[f"{name}_cross"] @ normalized(source)
        onto = onto + normalized(target).transpose(0, 2, 1) @ mixed
    maps = by_stream(lab.chefer(net, inputs, GOAL))
    assert distance(maps["source"], onto[:, 0]) < 1e-4 and distance(maps["target"], target[:, 0]) < 1e-4


def test_chefer_of_two_streams_that_read_each_other(cases):
    net, inputs = cases("two streams")
    raised = {address.partition(":")[0]: raising(pair) for address, pair in inside(net, inputs).items()}
    relevance = {
        (s, q): np.zeros((3, m, n)) + (np.eye(m) if s == q else 0)
        for s, m in (("x", 4), ("y", 3))
        for q, n in (("x", 4), ("y", 3))
    }

    def of_itself(stream, matrix):
        for other in "xy":
            relevance[stream, other] = relevance[stream, other] + matrix @ relevance[stream, other]

    def of_other(stream, other, matrix, before):
        both = normalized(before[stream, stream]), normalized(before[other, other])
        across = both[0].transpose(0, 2, 1) @ matrix @ both[1]
        relevance[stream, stream] = relevance[stream, stream] + matrix @ before[other, stream]
        relevance[stream, other] = relevance[stream, other] + across

    of_itself("x", raised["x1"])
    of_itself("y", raised["y1"])
    # Both read what the other is before.
    before = dict(relevance)
    of_other("x", "y", raised["xy"], before)
    of_other("y", "x", raised["yx"], before)
    of_itself("x", raised["x2"])
    of_itself("y", raised["y2"])
    of_other("x", "y", raised["last_cross"], dict(relevance))
    maps = by_stream(lab.chefer(net, inputs, GOAL))
    assert distance(maps["left"], relevance["x", "x"][:, 0]) < 1e-4
    assert distance(maps["right"], relevance["x", "y"][:, 0]) < 1e-4


# With values -----------------------------------------------------------------------------------------------------------------


def test_norms_are_those_of_the_vectors_of_all_heads(cases):
    net, inputs = cases("encoder")
    weights, layer = inside(net, inputs)["two:weights"][0], net.tree["two"]
    values = routines.activations(net, inputs, "two:values").astype("float64")
    kernel = np.asarray(layer.output_dense.kernel, "float64")
    slow = np.zeros((3, 5))
    for row in range(3):
        for token in range(5):
            vectors = [weights[row, h, 0, token] * values[row, h, token] @ kernel[h] for h in range(nets.HEADS)]
            slow[row, token] = np.linalg.norm(np.sum(vectors, axis=0))
    assert distance(lab.value_norm_attention(net, inputs, GOAL), slow) < 1e-5
    moved = slow.copy()
    weights[:] = weights[:, ::-1]
    assert distance(moved, weights.mean(axis=1)[:, 0]) > 1e-2


def by_hand(net, name, x, zeroed=None):
    """A layer of the encoder, step by step, with the value of one token set to zero."""
    norm, layer = net.tree[f"{name}_norm"], net.tree[name]
    h = norm(x)
    query, key, value = (np.asarray(dense(h)) for dense in (layer.query_dense, layer.key_dense, layer.value_dense))
    if zeroed is not None:
        value = value.copy()
        value[:, zeroed] = 0
    weights = np.asarray(keras.ops.softmax(np.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(nets.WIDTH)))
    x = x + np.asarray(layer.output_dense(np.einsum("bhqk,bkhd->bqhd", weights, value)))
    return x + np.asarray(net.tree[f"{name}_narrow"](net.tree[f"{name}_wide"](x)))


def test_value_zeroing_is_the_turn_of_tokens_rolled_out(cases):
    net, inputs = cases("encoder")
    product, x = np.eye(5), inputs
    for name in ("one", "two"):
        finish = net.tree["last"] if name == "two" else lambda tokens: tokens
        plain = np.asarray(finish(by_hand(net, name, x)), "float64")
        turns = np.zeros((3, 5, 5))
        for token in range(5):
            other = np.asarray(finish(by_hand(net, name, x, token)), "float64")
            cosine = (plain * other).sum(-1) / np.linalg.norm(plain, axis=-1) / np.linalg.norm(other, axis=-1)
            turns[:, :, token] = 1 - cosine
        product, x = turns / turns.sum(axis=-1, keepdims=True) @ product, by_hand(net, name, x)
    assert distance(lab.value_zeroing(net, inputs, GOAL), product[:, 0]) < 1e-3


# Over inputs -----------------------------------------------------------------------------------------------------------------


def test_patches_of_an_image_are_its_rows_and_columns_without_the_class(cases):
    net, inputs = cases("vit")
    row = inside(net, inputs)["two:weights"][0].mean(axis=1)[:, 0, 1:]
    maps = lab.raw_attention(net, inputs, GOAL)
    np.testing.assert_allclose(maps, row.reshape(3, nets.ROWS, nets.COLUMNS), atol=1e-6)
    rolled_out = lab.explain(net, inputs, GOAL, method="attention_rollout").maps
    matrices = [weights.mean(axis=1) for weights, _ in inside(net, inputs).values()]
    assert distance(rolled_out, rolled(matrices)[:, 0, 1:].reshape(rolled_out.shape)) < 1e-5


@pytest.mark.parametrize("method", ["attention_rollout", "value_zeroing"])
def test_padding_has_no_part(cases, method):
    net, ids = cases("text")
    maps = lab.explain(net, ids, GOAL, method=method).maps
    assert maps.shape == ids.shape and not maps[ids == 0].any() and (maps[ids > 0] > 0).all()
    alone = lab.explain(net, ids[:1, :4], lab.logit(0), method=method).maps
    assert distance(maps[:1, :4], alone) < 1e-4


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("attention_gradcam", {"relu": False}),
        ("legrad", {}),
        ("chefer", {}),
        ("transformer_attribution", {}),
        ("attention_rollout", {"discard": 0.3}),
    ],
)
def test_a_text_has_the_same_map_alone_and_beside_longer_ones(cases, method, options):
    net, ids = cases("text")
    maps = lab.explain(net, ids, GOAL, method=method, **options).maps
    alone = lab.explain(net, ids[:1, :4], lab.logit(0), method=method, **options).maps
    assert alone.any() and distance(maps[:1, :4], alone) < 1e-4


@pytest.mark.parametrize(
    "method", ["legrad", "attention_gradcam", "chefer", "transformer_attribution", "attention_rollout"]
)
def test_tokens_behind_the_one_that_is_read_have_no_part_in_a_causal_network(method):
    inputs = keras.Input((5, 4))
    attended = keras.layers.MultiHeadAttention(2, 3)(inputs, inputs, use_causal_mask=True)
    hidden = keras.layers.Add()([inputs, attended])
    net = network(filled(keras.Model(inputs, keras.layers.Dense(3)(hidden[:, 2]))))
    maps = lab.explain(net, nets.series(3, 5)[..., :4], GOAL, method=method).maps
    assert maps[:, :3].any() and not maps[:, 3:].any()


def test_patches_that_learned_queries_read_are_rows_and_columns(cases):
    net, inputs = cases("detector")
    weights = inside(net, inputs)["decoder_cross:weights"][0].mean(axis=1)[:, 0]
    maps = lab.raw_attention(net, inputs, GOAL)
    np.testing.assert_allclose(maps, weights.reshape(3, nets.ROWS, nets.COLUMNS), atol=1e-6)
    assert lab.chefer(net, inputs, GOAL).any()


def test_attention_that_pools_is_read_at_its_steps(cases):
    net, inputs = cases("pooled")
    weights = inside(net, inputs)["pool:weights"][0]
    np.testing.assert_allclose(lab.raw_attention(net, inputs, GOAL), weights[:, 0, 0], atol=1e-6)
    rolled_out = lab.attention_rollout(net, inputs, GOAL)
    np.testing.assert_allclose(rolled_out, weights[:, 0, 0] / 2, atol=1e-6)


@pytest.mark.parametrize("features", [(), (4,)])
def test_what_is_added_to_the_logits_of_pairs_is_no_stream(features):
    net, rng = nets.biased(features), np.random.default_rng(0)
    inputs = {"x": nets.series(3, 5), "pairs": rng.normal(size=(3, 5, 5, *features)).astype("float32")}
    assert [(step.queries, step.keys) for step in token_streams(net, GOAL).steps] == [(0, 0)] * 2
    relevance = np.eye(5)
    for pair in inside(net, inputs).values():
        relevance = relevance + raising(pair) @ relevance
    maps = lab.chefer(net, inputs, GOAL)
    assert distance(by_stream(maps)["x"], relevance[:, 0]) < 1e-4 and not maps["pairs"].any()
    matrices = [weights.mean(axis=1) for weights, _ in inside(net, inputs).values()]
    assert distance(lab.attention_rollout(net, inputs, GOAL)["x"].sum(axis=-1), rolled(matrices)[:, 0]) < 1e-5


class Talking(keras.layers.Layer):
    """Attention whose two heads are mixed, before the softmax or behind it (Shazeer et al. 2020)."""

    def __init__(self, behind, **options):
        super().__init__(**options)
        self.behind = behind

    def build(self, shape):
        self.mix = self.add_weight(shape=(2, 2), name="mix")

    def call(self, x):
        logits, ops = keras.ops.stack([x @ keras.ops.transpose(x, (0, 2, 1))] * 2, axis=1), keras.ops
        if not self.behind:
            logits = ops.einsum("bhqk,hg->bgqk", logits, self.mix)
        weights = ops.softmax(logits)
        if self.behind:
            weights = ops.einsum("bhqk,hg->bgqk", weights, self.mix)
        return x + ops.einsum("bgqk,bkc->bqgc", weights, x)[:, :, 0]


@pytest.mark.parametrize("behind", [False, True])
def test_heads_that_are_mixed_before_the_softmax_are_read(behind):
    inputs = keras.Input((5, nets.SIZE))
    net = network(filled(keras.Model(inputs, nets.head(Talking(behind, name="talking")(inputs), True))))
    x = nets.series(2, 5)
    if behind:
        with pytest.raises(lab.Refused, match="needs attention"):
            lab.explain(net, x, lab.logit(0), method="raw_attention")
        return
    products = np.einsum("bqc,bkc->bqk", x, x)[..., None] * np.asarray(net.tree["talking"].mix).sum(axis=0)
    weights = np.asarray(keras.ops.softmax(products, axis=2))
    maps = lab.raw_attention(net, x, lab.logit(0), head=1)
    np.testing.assert_allclose(maps, weights[:, 0, :, 1], atol=1e-5)


def test_ids_with_segments_and_a_mask_are_one_stream():
    names = ("padding_mask", "segment_ids", "token_ids")
    mask, segments, ids = (keras.Input((None,), dtype="int32", name=name) for name in names)
    x = keras.layers.Embedding(20, 8)(ids) + keras.layers.Embedding(2, 8)(segments)
    layer = keras.layers.MultiHeadAttention(2, 4, name="mha")
    x = x + layer(x, x, attention_mask=keras.ops.cast(mask, "bool")[:, None])
    net = network(
        filled(
            keras.Model(
                {"padding_mask": mask, "segment_ids": segments, "token_ids": ids}, keras.layers.Dense(2)(x[:, 0])
            )
        )
    )
    arrays = {"token_ids": [[3, 4, 5, 0]], "segment_ids": [[0, 0, 1, 0]], "padding_mask": [[1, 1, 1, 0]]}
    arrays = {name: np.array(rows, "int32") for name, rows in arrays.items()}
    maps = lab.explain(net, arrays, lab.logit(1), method="attention_rollout").maps
    assert not maps["segment_ids"].any() and not maps["padding_mask"].any()
    np.testing.assert_allclose(maps["token_ids"].sum(), 1, atol=1e-6)
    assert maps["token_ids"][0, 3] == 0 and (maps["token_ids"][0, :3] > 0).all()


# Of classes, and traces -------------------------------------------------------------------------------------------------------


BLIND = ("raw_attention", "attention_rollout", "attention_flow", "value_norm_attention", "value_zeroing")


@pytest.mark.parametrize("method", METHODS)
def test_only_gradients_tell_classes_apart_and_no_class_is_traced_again(cases, method):
    net, inputs = cases("encoder")
    one = lab.explain(net, inputs, lab.logit(0), method=method).maps
    traces = net.traces
    two = lab.explain(net, inputs, lab.logit(2), method=method, **({} if method == "legrad" else {"query": 0})).maps
    assert net.traces == traces
    assert (distance(one, two) < 1e-6) == (method in BLIND)


# In other networks ----------------------------------------------------------------------------------------------------------


def test_a_query_is_named_in_any_layer(cases):
    net, inputs = cases("translator")
    weights = inside(net, inputs)["encoder:weights"][0].mean(axis=1)
    for query, row in ((5, weights[:, 5]), (None, weights.mean(axis=1))):
        maps = lab.raw_attention(net, inputs, GOAL, layer="encoder", query=query)
        np.testing.assert_allclose(by_stream(maps)["source"], row, atol=1e-6)
        assert not maps["target"].any()
    with pytest.raises(lab.Refused, match="a token, 0 to 3. Received: 5"):
        lab.chefer(net, inputs, GOAL, query=5)
    with pytest.raises(lab.Refused, match="a token, 0 to 5. Received: 6"):
        lab.chefer(*cases("text"), GOAL, query=6)


def test_nested_networks_and_xla_give_the_same_map(cases):
    net, inputs = cases("encoder")
    outer = keras.Input((5, nets.SIZE))
    nested = network(keras.Model(outer, net.model(outer)))
    assert list(nested.attentions)[0].endswith("/one:weights")
    assert distance(lab.chefer(nested, inputs, GOAL), lab.chefer(net, inputs, GOAL)) < 1e-4
    single = network(filled(keras.Model(outer, nets.head(nets.block(outer, "one"), True))))
    compiled = lab.value_zeroing(network(single.model, jit=True), inputs, GOAL)
    assert distance(compiled, lab.value_zeroing(single, inputs, GOAL)) < 1e-3


def test_wrappers_explain_ids_by_attention(cases):
    net, ids = cases("text")
    plain = lab.explain(net, ids, GOAL, method="attention_rollout").maps
    still = {"explainer": "attention_rollout", "samples": 2, "noise": 0.0}
    assert distance(lab.explain(net, ids, GOAL, method="noise_tunnel", **still).maps, plain) < 1e-4


# What is refused ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("raw_attention", {"layer": "tow"}, "Unknown attention. Received: 'tow'. Nearest: .*two:weights"),
        ("raw_attention", {"head": 2}, "'two:weights' has 2 heads, numbered from 0. Received: head=2. Nearest: 1."),
        ("raw_attention", {"head": True}, "numbered from 0. Received: head=True"),
        ("raw_attention", {"fusion": "sum"}, "fusion is one of mean, max, min. Received: 'sum'"),
        ("chefer", {"query": 5}, "query is the number of a token, 0 to 4. Received: 5"),
        ("attention_rollout", {"query": -1}, "query is the number of a token"),
        ("attention_rollout", {"residual": 1}, "residual is a share, 0 or more and below 1. Received: 1."),
        ("attention_flow", {"discard": "half"}, "discard is a share"),
    ],
)
def test_options_are_refused_with_what_was_received(cases, method, options, message):
    net, inputs = cases("encoder")
    with pytest.raises(lab.Refused, match=message):
        lab.explain(net, inputs, GOAL, method=method, **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_without_attention_is_refused(small, method):
    images = np.zeros((1, 16, 16, 3), "float32")
    with pytest.raises(lab.Refused, match=f"{method} needs attention, .* Received: flat, which has none"):
        lab.explain(small, images, method=method)


def test_values_of_another_input_and_of_an_unknown_layer_are_refused(cases):
    net, inputs = cases("translator")
    with pytest.raises(lab.Refused, match="Value zeroing follows self-attention. Received: 'decoder_cross:weights'"):
        lab.value_zeroing(net, inputs, GOAL)
    net, inputs = cases("pooled")
    with pytest.raises(lab.Refused, match="projection is known: MultiHeadAttention, .* Received: 'pool:weights', Dot"):
        lab.value_norm_attention(net, inputs, GOAL)


def test_tokens_that_are_merged_between_layers_are_refused():
    inputs = keras.Input((6, 8))
    x = keras.layers.AveragePooling1D(2)(nets.attend(inputs, "one"))
    net = network(filled(keras.Model(inputs, nets.head(nets.attend(x, "two"), True))))
    with pytest.raises(lab.Refused, match="keep their tokens. Received: 'two:weights', where 6 tokens have become 3"):
        lab.attention_rollout(net, nets.series(2, 6), lab.logit(0))
    assert lab.raw_attention(net, nets.series(2, 6), lab.logit(0), layer="one").shape == (2, 6)
    with pytest.raises(lab.Refused, match="3 tokens for an input of \\(6, 8\\)"):
        lab.raw_attention(net, nets.series(2, 6), lab.logit(0))


def test_tokens_of_no_position_are_refused():
    inputs = keras.Input((6, 8))
    x = nets.Learned(1, name="class")(inputs)
    net = network(filled(keras.Model(inputs, nets.head(nets.attend(x, "one"), True))))
    with pytest.raises(lab.Refused, match="7 tokens for an input of \\(6, 8\\)"):
        lab.chefer(net, nets.series(2, 6), lab.logit(0))
