"""Other libraries' explainers: their raw arrays, what they are, and where they are refused."""

import math

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.adapters.external import per_sample
from lab.adapters.silence import silence
from lab.attribution import explainers
from lab.environment import tf
from sanity.contract import violations
from tests import networks
from tests.networks import distance

INDEX = [0, 3, 4, 1]
GOAL = lab.logit(INDEX)
ADAPTED = [name for name in explainers if "." in name]


def test_tf_explain_agrees_where_it_should(small):
    inputs = networks.images()
    assert (
        distance(
            lab.explain(small, inputs, GOAL, method="tf_explain.vanilla_gradients").maps,
            lab.gradient(small, inputs, GOAL),
        )
        < 1e-5
    )
    theirs = lab.explain(small, inputs, GOAL, method="tf_explain.gradcam", use_guided_grads=False).maps
    assert distance(theirs, lab.gradcam(small, inputs, GOAL, relu=False)) < 1e-5
    guided = lab.explain(small, inputs, GOAL, method="tf_explain.gradcam").maps
    assert distance(guided, theirs) > 1e-2


def test_tf_explain_is_refused_where_it_would_explain_something_else(small):
    inputs = networks.images()
    softmax = networks.network(
        networks.filled(
            keras.Sequential(
                [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
            )
        )
    )
    with pytest.raises(ValueError, match="ends in Softmax"):
        lab.explain(softmax, inputs, lab.logit(0), method="tf_explain.vanilla_gradients")
    with pytest.raises(ValueError, match="one logit"):
        lab.explain(small, inputs, lab.channel("last", 0), method="tf_explain.vanilla_gradients")
    with pytest.raises(ValueError, match="Functional and Sequential"):
        lab.explain(
            networks.network(networks.subclassed()), inputs, lab.logit(0), method="tf_explain.gradcam", layer="blocks/6"
        )


def maps_of(network, method, **options):
    return lab.explain(network, networks.images(), GOAL, method=method, **options).maps


def test_all_seven_of_tf_explain_are_here():
    mine = {name.partition(".")[2] for name in explainers if name.startswith("tf_explain.")}
    theirs = {"vanilla_gradients", "gradients_inputs", "integrated_gradients", "smoothgrad", "gradcam"}
    assert mine == theirs | {"occlusion_sensitivity", "extract_activations"}


def test_tf_explains_gradients_are_what_their_words_say(small, reference):
    inputs = networks.images()
    assert distance(maps_of(small, "tf_explain.gradients_inputs"), lab.gradient_x_input(small, inputs, GOAL)) < 1e-4
    path = [reference(small.model, (place * inputs).astype("float32"), INDEX) for place in np.linspace(0, 1, 6)]
    assert distance(maps_of(small, "tf_explain.integrated_gradients", n_steps=6), np.mean(path, axis=0)) < 1e-4
    activations = routines.activations(small, inputs, "last")
    assert distance(maps_of(small, "tf_explain.extract_activations"), activations) < 1e-5


def test_tf_explains_smoothgrad_is_of_the_loss(small):
    inputs, slow = networks.images(), []
    for image, index in zip(inputs, INDEX):
        noise = np.random.RandomState(5).normal(0, 0.3, (4, *image.shape)).astype("float32")
        x = tf.constant(image[None] + noise)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = -tf.nn.log_softmax(small.model(x))[:, index]
        slow.append(tape.gradient(loss, x).numpy().mean(0))
    before = np.random.get_state()[1].copy()
    maps = maps_of(small, "tf_explain.smoothgrad", num_samples=4, noise=0.3, seed=5)
    assert distance(maps, slow) < 1e-3 and np.array_equal(np.random.get_state()[1], before)
    # Downhill in the loss is uphill in the score: the sign is the other way round.
    assert np.corrcoef(maps.ravel(), lab.smoothgrad(small, inputs, GOAL, noise=0.15, seed=0).ravel())[0, 1] < 0


def test_tf_explains_occlusion_is_one_minus_the_probability(small):
    inputs, size = networks.images(), 4
    slow = np.zeros((4, 4, 4))
    for row in range(4):
        for column in range(4):
            hidden = inputs.copy()
            hidden[:, size * row : size * row + size, size * column : size * column + size] = 0  # 127.5 in 0..255
            slow[:, row, column] = 1 - tf.nn.softmax(small.model(hidden)).numpy()[range(4), INDEX]
    maps = maps_of(small, "tf_explain.occlusion_sensitivity", patch_size=size)
    assert maps.shape == (4, 16, 16)
    assert distance(maps[:, 1::4, 1::4] + maps[:, 2::4, 2::4], 2 * slow) < 0.05


def test_tf_explains_pictures_are_refused_and_its_arrays_pass(small):
    from tf_explain.core.gradients_inputs import GradientsInputs

    def pictures(network, inputs, objective):
        with silence():
            return GradientsInputs().explain((inputs, None), network.model, class_index=0)

    assert any("Maps are numbers" in violation for violation in violations(pictures, small, networks.images(), GOAL))
    assert violations(explainers.get("tf_explain.gradients_inputs"), small, networks.images(), GOAL) == []


@pytest.mark.parametrize("name", [name for name in ADAPTED if name.startswith("tf_explain.")])
def test_what_tf_explain_cannot_do_is_refused_with_the_reason(name):
    inputs = networks.images(2)
    two = {"left": inputs, "right": inputs}
    with pytest.raises(ValueError, match="Received"):
        lab.explain(networks.network(networks.shared()), two, lab.logit(0, output="kind"), method=name, **drawn(name))
    with pytest.raises(ValueError, match="Functional and Sequential"):
        lab.explain(networks.network(networks.subclassed()), inputs, lab.logit(0), method=name, **drawn(name))


def drawn(name):
    return {"seed": 0} if "smoothgrad" in name else {}


# Others that are installed -------------------------------------------------------------------------------------------------


def test_tf_keras_vis_agrees(small):
    pytest.importorskip("tf_keras_vis")
    inputs = networks.images()
    assert distance(maps_of(small, "tf_keras_vis.saliency"), lab.gradient(small, inputs, GOAL)) < 1e-4
    for name in ("gradcam", "layercam"):
        assert distance(maps_of(small, f"tf_keras_vis.{name}"), maps_of(small, name)) < 1e-4, name
    softmax = networks.network(networks.flat(head="softmax"))
    assert distance(maps_of(softmax, "tf_keras_vis.gradcam"), maps_of(small, "gradcam")) < 1e-4


def test_pairs_saliency_agrees():
    """Without folding, whose rounding would decide the guided path otherwise."""
    pytest.importorskip("saliency")
    plain = networks.network(networks.flat(), fold=False)
    assert distance(maps_of(plain, "saliency.gradient"), maps_of(plain, "gradient")) < 1e-5
    ours = maps_of(plain, "integrated_gradients", steps=200)
    assert distance(maps_of(plain, "saliency.integrated_gradients", x_steps=400), ours) < 0.02
    if "saliency.guided_ig" in explainers:
        options = {"fraction": 0.25, "max_dist": 0.2}
        ours = maps_of(plain, "guided_integrated_gradients", steps=12, **options)
        assert distance(maps_of(plain, "saliency.guided_ig", x_steps=12, **options), ours) < 0.05
    ours = maps_of(plain, "blur_integrated_gradients", steps=60, max_sigma=5)
    assert distance(maps_of(plain, "saliency.blur_ig", steps=100, max_sigma=5), ours) < 0.2


def test_libraries_are_found_by_name_and_missing_ones_are_not(small):
    with pytest.raises(ValueError, match="Unknown method.*nothing.gradcam"):
        lab.explain(small, networks.images(), GOAL, method="nothing.gradcam")


# Callables ----------------------------------------------------------------------------------------------------------------


def shapley(question, sample):
    """Exact Shapley values of a table of few features, as shap's explainers are called."""
    count = len(sample)
    worth = {}
    for mask in range(1 << count):
        kept = [(mask >> feature) & 1 for feature in range(count)]
        worth[mask] = float(question.scores((sample * kept)[None].astype("float32"))[0])
    values = np.zeros(count)
    for mask, value in worth.items():
        size = mask.bit_count()
        for feature in range(count):
            if not mask >> feature & 1:
                weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
                values[feature] += weight * (worth[mask | 1 << feature] - value)
    return values


def test_a_callable_that_asks_for_scores_is_an_explainer():
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(5, 3)).astype("float32"), rng.normal(size=3).astype("float32")
    network, points = networks.network(networks.linear(w, b)), rng.normal(size=(4, 5)).astype("float32")
    explainer = per_sample(shapley)
    record = lab.explain(network, points, lab.logit([0, 1, 2, 0]), method=explainer)
    np.testing.assert_allclose(record.maps, w[:, [0, 1, 2, 0]].T * points, rtol=1e-3, atol=1e-5)
    assert record.options["asked"] == "one sample at a time" and record.method.endswith("shapley")
    assert violations(explainer, network, points, lab.logit([0, 1, 2, 0])) == []


def test_a_callable_that_asks_for_gradients_may_draw(small):
    def noisy(question, sample, *, scale=0.1, seed):
        points = sample + scale * np.random.default_rng(seed).normal(size=(5, *sample.shape))
        return question.gradients(points.astype("float32")).mean(axis=0)

    explainer = per_sample(noisy)
    assert violations(explainer, small, networks.images(), GOAL) == []
    assert distance(maps_of(small, explainer, scale=0.0), lab.gradient(small, networks.images(), GOAL)) < 1e-4
    with pytest.raises(ValueError, match="Unknown option"):
        maps_of(small, explainer, size=3)


def test_tf_explain_explains_a_sequential_model_as_the_functional_one():
    def layers():
        return [
            keras.layers.Conv2D(4, 3, activation="relu", name="last"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5),
        ]

    inputs = keras.Input((16, 16, 3))
    builds = [keras.Sequential([keras.Input((16, 16, 3)), *layers()])]
    builds.append(keras.Model(inputs, networks.through(layers(), inputs)))
    sequential, functional = (networks.network(networks.filled(model)) for model in builds)
    for name in (name for name in ADAPTED if name.startswith("tf_explain.")):
        assert distance(maps_of(sequential, name), maps_of(functional, name)) < 1e-5, name


def test_adapters_take_the_score_of_a_class_for_its_logit(small):
    for name in ("tf_explain.vanilla_gradients", "tf_keras_vis.saliency"):
        maps = lab.explain(small, networks.images(), lab.class_score(INDEX), method=name).maps
        assert np.array_equal(maps, maps_of(small, name))


def test_adapters_refuse_what_they_would_move_or_cast():
    inputs = keras.Input(batch_shape=(2, 6, 3))
    states = keras.layers.LSTM(4, stateful=True, return_sequences=True)(inputs)
    stateful = networks.network(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling1D()(states))))
    bytes_in = keras.Input((16, 16, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(bytes_in))
    bytes_ = networks.network(keras.Model(bytes_in, keras.layers.Dense(2)(pooled)))
    for net, shape, words in ((stateful, (2, 6, 3), "state"), (bytes_, (2, 16, 16, 3), "uint8")):
        for name in ("tf_explain.vanilla_gradients", "tf_keras_vis.saliency"):
            with pytest.raises(lab.Refused, match=words):
                lab.explain(net, np.ones(shape, "float32"), lab.logit(0), method=name)


def test_ids_given_as_floats_are_refused_for_what_they_are():
    inputs = keras.Input((6,))
    vectors = keras.layers.Embedding(9, 4)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(vectors)))
    network, ids = networks.network(model), np.arange(12.0).reshape(2, 6) % 9
    for name, words in (
        ("tf_explain.vanilla_gradients", "takes ids"),
        ("saliency.gradient", "in front of its Embedding"),
    ):
        with pytest.raises(lab.Refused, match=words):
            lab.explain(network, ids, lab.logit(1), method=name)
    assert lab.explain(network, ids, lab.logit(1), method="gradient").maps.any()


def test_a_model_that_keras_does_not_copy_is_refused_and_no_fault():
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Lambda(lambda tensor: 2 * tensor)(keras.layers.Conv2D(3, 3, activation="relu")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = networks.network(keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x)))
    with pytest.raises(lab.Refused, match="copies no layer"):
        lab.explain(network, np.ones((1, 12, 12, 3)), lab.logit(1), method="tf_keras_vis.gradcam")


def test_external_explainers_are_found_under_their_former_name():
    with pytest.warns(DeprecationWarning, match="is now called lab.adapters.external.per_sample"):
        from lab.adapters.strangers import one_by_one
    assert one_by_one is per_sample
