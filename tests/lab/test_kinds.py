"""Every kind of Keras model and input: a method explains it, or says why not; never something else in silence."""

import functools

import keras
import numpy as np
import pytest

import lab
from lab import registry, routines
from lab.attribution import explainers
from lab.environment import tf
from tests import attention_networks, networks
from tests.networks import distance, filled, needs_channels_first, network

rng = np.random.default_rng(5)


def series():
    inputs = keras.Input((20, 2))
    x = keras.layers.Conv1D(6, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv1D(5, 3, strides=2, activation="relu", name="last")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))


def volume():
    inputs = keras.Input((6, 8, 8, 1))
    x = keras.layers.Conv3D(4, 3, padding="same", activation="relu", name="last")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling3D()(x)))


def recurrent():
    """A layer that runs as a loop, and one whose steps are written out."""
    inputs = keras.Input((3, 3))
    x = keras.layers.LSTM(6, return_sequences=True, name="lstm")(inputs)
    x = keras.layers.GRU(5, unroll=True)(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def attention():
    inputs = keras.Input((9, 8))
    x = keras.layers.LayerNormalization()(inputs)
    x = inputs + keras.layers.MultiHeadAttention(2, 4, name="mha")(x, x)
    x = x + keras.layers.Dense(8)(keras.layers.Dense(16, activation="gelu", name="wide")(x))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))


def table():
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(9, activation="relu", name="wide")(inputs)))


class Placed(keras.layers.Layer):
    """Adds to each token an embedding of its place, which no id is looked up by."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.places = keras.layers.Embedding(11, 6)

    def call(self, x):
        return x + self.places(keras.ops.arange(11))


def tokens(mask=False):
    inputs = keras.Input((11,), dtype="int32")
    x = keras.layers.Embedding(30, 6, mask_zero=mask, name="words")(inputs)
    x = Placed(name="placed")(x)
    x = x + keras.layers.MultiHeadAttention(2, 3)(x, x)
    x = keras.layers.Dense(8, activation="relu", name="wide")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))


def lines(model, *sizes):
    return network(filled(model)), rng.normal(size=(3, *sizes)).astype("float32")


KINDS = {
    "image": lambda: (network(networks.flat()), networks.images(3)),
    "series": lambda: lines(series(), 20, 2),
    "volume": lambda: lines(volume(), 6, 8, 8, 1),
    "recurrent": lambda: lines(recurrent(), 3, 3),
    "attention": lambda: lines(attention(), 9, 8),
    "table": lambda: (network(filled(table()), background=rng.normal(size=(20, 6))), rng.normal(size=(3, 6))),
    "tokens": lambda: (network(filled(tokens())), rng.integers(1, 30, (3, 11))),
    "patches": lambda: (attention_networks.vit(layers=1), rng.uniform(-1, 1, (3, 12, 16, 3)).astype("float32")),
    "two inputs": lambda: (
        network(networks.shared()),
        {"left": networks.images(3), "right": networks.images(3, seed=1)},
    ),
}

# What each kind is refused by, in the words of the error; whatever is not here is explained.
GRIDS = {"rise", "sobol", "hsic"}
IMAGES_ONLY = {"xrai", "scorecam", "fullgrad", "guided_gradcam", "blur_integrated_gradients", *GRIDS}
REFUSED = {
    "series": {"xrai", *GRIDS},
    "volume": {"xrai", *GRIDS},
    "recurrent": {"xrai", "guided_backprop", "deconvnet", "guided_gradcam", *GRIDS},
    "attention": {"xrai", "guided_backprop", "deconvnet", "guided_gradcam", *GRIDS},
    "table": {*IMAGES_ONLY, "forgrad", *explainers.names(resolution="layer")},
    "tokens": IMAGES_ONLY,
    "patches": {"guided_backprop", "deconvnet", "guided_gradcam"},
    "two inputs": {"xrai", "scorecam", "fullgrad", "guided_gradcam", "occlusion", *GRIDS},
}
for _kind in KINDS:
    if _kind not in ("attention", "tokens", "patches"):
        REFUSED.setdefault(_kind, set()).update(explainers.names(needs="attention"))
OWN = [name for name in explainers if "." not in name]


@pytest.fixture(scope="module")
def kinds():
    return functools.cache(lambda kind: KINDS[kind]())


@pytest.fixture(scope="module")
def maps_of(kinds):
    """The maps of a kind by a method, computed once."""

    @functools.cache
    def explain(kind, name):
        net, inputs = kinds(kind)
        return lab.explain(net, inputs, goal(kind), method=name, **method_options(name, kind)).maps

    return explain


def method_options(name, kind):
    known = registry.options(explainers.get(name))
    options = {key: 4 for key in ("steps", "samples") if key in known}
    # A regression needs more samples than there are parts.
    options |= {"kernel_shap": {"samples": 200}, "lime": {"samples": 200}, "exact_shapley": {"count": 4}}.get(name, {})
    if "relu" in known:
        options["relu"] = False
    if kind == "table" and "layer" in known:
        options["layer"] = "wide"
    return options


def goal(kind):
    return lab.logit([0, 1, 2], output="kind") if kind == "two inputs" else lab.logit([0, 1, 1])


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", OWN)
def test_every_method_explains_every_kind_or_says_why_not(maps_of, kind, name):
    try:
        maps = maps_of(kind, name)
    except ValueError as error:
        assert name in REFUSED.get(kind, ()) and "Received" in str(error), error
        return
    assert name not in REFUSED.get(kind, ())
    leaves = tf.nest.flatten(maps)
    assert all(leaf.dtype == np.float32 and len(leaf) == 3 and np.isfinite(leaf).all() for leaf in leaves)
    assert all(leaf.any() for leaf in leaves)


# Against the plain gradient -----------------------------------------------------------------------------------------------


def by_tape(model, inputs, index, output=None):
    inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model(inputs, training=False)
        scores = tf.gather(outputs if output is None else outputs[output], index, axis=1, batch_dims=1)
        scores = (
            tf.math.log(scores) if output or "softmax" in str(getattr(model.layers[-1], "activation", "")) else scores
        )
    return tape.gradient(scores, inputs)


@pytest.mark.parametrize("kind", ["series", "volume", "attention", "table"])
def test_gradients_are_the_plain_ones(kinds, kind):
    net, inputs = kinds(kind)
    assert distance(lab.gradient(net, inputs, goal(kind)), by_tape(net.model, inputs, [0, 1, 1])) < 1e-4


def test_a_cam_of_a_series_is_the_formula(kinds):
    net, inputs = kinds("series")
    cut = keras.Model(net.model.inputs[0], [net.model.get_layer("last").output, net.model.output])
    with tf.GradientTape() as tape:
        activation, scores = cut(inputs)
        picked = tf.gather(scores, [0, 1, 1], axis=1, batch_dims=1)
    slope = tape.gradient(picked, activation).numpy()
    slow = (slope.mean(1, keepdims=True) * activation.numpy()).sum(-1)
    record = lab.explain(net, inputs, goal("series"), method="gradcam", relu=False)
    assert record.layer == "last" and record.maps.shape == (3, 9) and distance(record.maps, slow) < 1e-4


def test_a_cam_of_a_volume_has_its_depth(kinds):
    net, inputs = kinds("volume")
    assert lab.gradcam(net, inputs, goal("volume")).shape == (3, 6, 8, 8)
    assert lab.guided_gradcam(net, inputs, goal("volume")).shape == inputs.shape


# Tokens -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [False, True])
def test_ids_are_explained_at_what_embeds_them(mask):
    net = network(filled(tokens(mask)))
    ids = rng.integers(0, 30, (3, 11))
    words = net.tree["words"].embeddings.numpy()

    def scores(vectors):
        """The rest of the model, on vectors in place of the looked-up ones."""
        x = vectors + net.tree["placed"].places.embeddings.value
        hidden = [layer for layer in net.model.layers if isinstance(layer, keras.layers.MultiHeadAttention)][0]
        masked = {"attention_mask": (ids != 0)[:, None, :]} if mask else {}
        x = x + hidden(x, x, **masked)
        x = net.tree["wide"](x)
        weights = (ids != 0).astype("float32") if mask else np.ones((3, 11), "float32")
        pooled = tf.reduce_sum(x * weights[..., None], 1) / weights.sum(1, keepdims=True)
        return tf.gather(net.model.layers[-1](pooled), [0, 1, 1], axis=1, batch_dims=1)

    if not mask:
        vectors = tf.constant(words[ids])
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            picked = scores(vectors)
        slope = tape.gradient(picked, vectors).numpy()
        np.testing.assert_allclose(routines.scores(net, ids, goal("tokens")), picked, rtol=1e-4, atol=1e-5)
        assert distance(lab.gradient(net, ids, goal("tokens")), slope.sum(-1)) < 1e-4
        assert distance(lab.gradient_x_input(net, ids, goal("tokens")), (slope * words[ids]).sum(-1)) < 1e-4
    record = lab.explain(net, ids, goal("tokens"), method="integrated_gradients", steps=100)
    assert record.maps.shape == (3, 11) and np.abs(record.gap).max() < 2e-2 * np.abs(record.scores).max()
    of_ids = lab.explain(net, ids, goal("tokens"), method="integrated_gradients", steps=100, baseline=np.full(11, 7))
    assert np.abs(of_ids.gap).max() < 2e-2 * np.abs(of_ids.scores).max() and distance(of_ids.maps, record.maps) > 1e-3
    assert np.abs(of_ids.maps[ids == 7]).max(initial=0) < 1e-6


def test_masked_ids_have_nothing_to_say():
    inputs = keras.Input((11,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(30, 6, mask_zero=True)(inputs))
    net, ids = network(filled(keras.Model(inputs, keras.layers.Dense(3)(x)))), rng.integers(1, 30, (3, 11))
    ids[:, 7:] = 0
    for name in ("gradient", "integrated_gradients"):
        maps = lab.explain(net, ids, goal("tokens"), method=name).maps
        assert not maps[:, 7:].any() and (maps[:, :7] != 0).all()


def test_ids_that_no_layer_embeds_are_refused():
    inputs = keras.Input((4,), dtype="int32")
    one_hot = keras.ops.one_hot(inputs, 5)
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(one_hot)))))
    with pytest.raises(ValueError, match="floating numbers"):
        lab.gradient(net, np.ones((2, 4), "int32"), lab.logit(0))


# One function, many models ------------------------------------------------------------------------------------------------

SAME = [name for name in OWN if name not in (*explainers.names(control=True), *explainers.names(needs="attention"))]


@pytest.fixture(scope="module")
def builds():
    return [(network(networks.nested()), "backbone/last"), (network(networks.subclassed()), "blocks/6")]


@pytest.mark.parametrize("name", SAME)
def test_nested_and_subclassed_models_give_the_flat_map(maps_of, builds, name):
    options, inputs, expected = method_options(name, "image"), networks.images(3), maps_of("image", name)
    for other, layer in builds:
        there = {"layer": layer} if "layer" in registry.options(explainers.get(name)) else {}
        maps = lab.explain(other, inputs, goal("image"), method=name, **{**options, **there}).maps
        assert distance(maps, expected) < (0.05 if "guided_integrated" in name else 1e-3), other.name


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_comes_close(maps_of, policy):
    mixed, inputs = network(networks.flat(dtype=policy)), networks.images(3)
    for name in (
        "gradient",
        "integrated_gradients",
        "gradcam",
        "layercam",
        "gradient_shap",
        "layer_conductance",
        "fullgrad",
    ):
        options = method_options(name, "image")
        maps = lab.explain(mixed, inputs, goal("image"), method=name, **options).maps
        most = 0.02 if policy == "mixed_float16" else 0.1
        assert maps.dtype == np.float32 and distance(maps, maps_of("image", name)) < most, name


# Objectives at outputs with positions -------------------------------------------------------------------------------------


def segmenter():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="last")(inputs)
    return network(filled(keras.Model(inputs, keras.layers.Conv2D(4, 1, activation="softmax")(x))))


def test_a_region_of_a_segmentation_is_explained():
    net, inputs = segmenter(), networks.images(2, side=8)
    logits = routines.outputs(net, inputs)[next(iter(net.outputs))]
    mask = np.zeros((8, 8), bool)
    mask[2:4, 3:6] = True
    np.testing.assert_allclose(
        routines.scores(net, inputs, lab.region([1, 2], mask)),
        [logits[0, 2:4, 3:6, 1].mean(), logits[1, 2:4, 3:6, 2].mean()],
        rtol=1e-4,
    )
    np.testing.assert_allclose(routines.scores(net, inputs, lab.region(3)), logits[..., 3].mean((1, 2)), rtol=1e-4)
    record = lab.explain(net, inputs, lab.region(1, mask), method="gradient")
    assert record.head == "Softmax" and not record.maps[:, 6:].any() and record.maps[:, 2:4, 3:6].any()
    assert lab.gradcam(net, inputs, lab.region(1, [mask, ~mask])).shape == (2, 8, 8)
    for bad, words in (
        (lambda: lab.gradient(net, inputs, lab.logit(0)), "region"),
        (lambda: lab.gradient(net, inputs, lab.region(9)), "between 0 and 3"),
        (lambda: lab.gradient(net, inputs, lab.region(0, np.ones((3, 3)))), "covers"),
        (lambda: lab.region(0, np.zeros((8, 8))), "at least one"),
    ):
        with pytest.raises(ValueError, match=words):
            bad()


def test_one_token_of_a_sequence_is_explained():
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(12, 4)(inputs)
    net = network(filled(keras.Model(inputs, keras.layers.Dense(3)(x))))
    ids = rng.integers(0, 12, (2, 5))
    maps = lab.gradient_x_input(net, ids, lab.token(1, [3, 0]))
    assert np.flatnonzero(maps[0]).tolist() == [3] and np.flatnonzero(maps[1]).tolist() == [0]
    with pytest.raises(ValueError, match="A position"):
        lab.gradient(net, ids, lab.token(1, 9))


def test_contrasts_and_regression_are_objectives(kinds):
    net, inputs = kinds("two inputs")
    size = lab.explain(net, inputs, lab.logit(0, output="size"), method="gradient")
    assert size.head is None and set(size.maps) == {"left", "right"}
    a, b = (lab.gradient(net, inputs, lab.logit(index, output="kind"))["left"] for index in (0, 2))
    both = lab.gradient(net, inputs, lab.logit(0, output="kind") - lab.logit(2, output="kind"))["left"]
    assert distance(both, a - b) < 1e-5


# Channels first -----------------------------------------------------------------------------------------------------------


def channelled(first):
    """One function, with its channels first or last."""
    way = {"data_format": "channels_first"} if first else {}
    inputs = keras.Input((3, 12, 10) if first else (12, 10, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, **way)(inputs)
    x = keras.layers.BatchNormalization(axis=1 if first else -1)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="last", **way)(x)
    x = keras.layers.GlobalAveragePooling2D(**way)(x)
    return network(filled(keras.Model(inputs, keras.layers.Dense(4)(x))))


@pytest.fixture(scope="module")
def both_ways():
    needs_channels_first()
    return channelled(first=False), channelled(first=True)


@pytest.mark.parametrize("name", [name for name in SAME if name != "fullgrad"])
def test_channels_first_gives_the_same_map_with_channels_last(both_ways, name):
    inputs = rng.uniform(-1, 1, (3, 12, 10, 3)).astype("float32")
    last, first = (
        lab.explain(net, inputs, goal("image"), method=name, **method_options(name, "image")).maps for net in both_ways
    )
    assert distance(last, first) < (0.05 if "guided_integrated" in name else 1e-3)


def test_channels_first_is_read_everywhere(both_ways):
    inputs = rng.uniform(-1, 1, (3, 12, 10, 3)).astype("float32")
    last, first = both_ways
    assert first.size == (12, 10) and first.shapes["last"] == last.shapes["last"] == (None, 5, 4, 8)
    assert distance(*(routines.activations(net, inputs, "last") for net in both_ways)) < 1e-5
    for objective in (lab.channel("last", 3), lab.neuron("last", 2, 1, 3), lab.direction("last", np.arange(8.0))):
        assert distance(*(routines.scores(net, inputs, objective) for net in both_ways)) < 1e-5
    drawn = [lab.maximize(net, lab.channel("last", 3), steps=3, seed=0).images for net in both_ways]
    assert distance(*drawn) < 0.05
    loaded = lab.load(first.model, input_range=(-1, 1))
    assert loaded.preprocess(np.zeros((20, 20, 3), "uint8")).shape == (1, 12, 10, 3)
    for name in ("fullgrad", "tf_explain.vanilla_gradients"):
        with pytest.raises(ValueError, match="channels-first"):
            lab.explain(first, inputs, goal("image"), method=name)


# Closed models ------------------------------------------------------------------------------------------------------------


def test_a_saved_model_is_explained_through_its_signature(kinds, maps_of, tmp_path):
    net, inputs = kinds("image")
    net.model.export(tmp_path / "saved", verbose=False)
    with pytest.raises(ValueError, match="allow-code"):
        lab.load(tmp_path / "saved")
    closed = lab.load(tmp_path / "saved", allow_code=True)
    for name in ("gradient", "integrated_gradients", "smoothgrad"):
        options = method_options(name, "image")
        maps = lab.explain(closed, inputs, goal("image"), method=name, **options).maps
        assert distance(maps, maps_of("image", name)) < 1e-3
    for name in ("gradcam", "guided_backprop", "layer_conductance"):
        with pytest.raises(ValueError, match="Received"):
            lab.explain(closed, inputs, goal("image"), method=name)
    networks.flat(head="softmax").export(tmp_path / "softmax", verbose=False)
    hidden = lab.load(tmp_path / "softmax", allow_code=True)
    words = lab.explain(hidden, inputs, goal("image"), method="gradient").flags
    assert words == (("a softmax that could not be taken off",),) * 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="which is not a SavedModel"):
        lab.load(tmp_path / "empty")


# Double precision -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def double(kinds):
    """The network of images in double precision, where that is what Keras computes in."""
    # It is compared with this one, whose precision is the usual one.
    kinds("image")
    keras.config.set_floatx("float64")
    yield network(networks.flat(dtype="float64"))
    keras.config.set_floatx("float32")


@pytest.mark.parametrize("name", SAME)
def test_a_network_in_double_precision_gives_the_same_map(maps_of, double, name):
    maps = lab.explain(double, networks.images(3), goal("image"), method=name, **method_options(name, "image")).maps
    assert distance(maps_of("image", name), maps) < (0.05 if "guided_integrated" in name else 1e-3)


@pytest.mark.parametrize(
    "objective",
    [
        lab.class_score(1),
        lab.channel("last", 3),
        lab.neuron("last", 2),
        lab.layer("last"),
        lab.direction("last", np.ones(12)),
        lab.cosine("last", np.ones(12)),
        lab.weighted("last", [0, 3], [0.5, 2]),
        lab.group("last", 3, (1, 2), (0, 3)),
        lab.logit(1) + 0.5 * lab.channel("last", 3),
    ],
    ids=str,
)
def test_every_objective_is_scored_in_double_precision(kinds, double, objective):
    one, two = (routines.scores(net, networks.images(3), objective) for net in (kinds("image")[0], double))
    assert distance(one, two) < 1e-4


@pytest.mark.parametrize("method", ["gradient", "gradient_x_input", "integrated_gradients"])
def test_rows_that_a_model_gathers_are_explained(method):
    """Their gradient is sparse, and on a linear model it is the weights."""
    inputs = keras.Input((4,))
    rows = keras.layers.Lambda(lambda x: tf.gather(x, tf.range(tf.shape(x)[0])))(inputs)
    model = networks.filled(keras.Model(inputs, keras.layers.Dense(3)(rows)))
    maps = lab.explain(lab.load(model), np.ones((2, 4), "float32"), lab.logit(1), method=method).maps
    np.testing.assert_allclose(maps, np.tile(model.layers[-1].get_weights()[0][:, 1], (2, 1)), rtol=1e-5, atol=1e-7)
