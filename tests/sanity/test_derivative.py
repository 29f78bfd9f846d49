"""A map that claims to be a derivative is held against differences of the score, on explainers that the check has never met."""

import keras
import numpy as np
import pytest
from scipy import ndimage

import lab
from lab.environment import tf
from sanity.examination import examine, judge_with_controls, measure
from sanity.subject import Subject
from tests import networks


def smooth_network():
    """A small network without a kink, so that the difference and the derivative agree to the second order of the step."""
    inputs = keras.Input((12, 12, 2))
    x = keras.layers.Conv2D(6, 3, activation="tanh", name="first")(inputs)
    x = keras.layers.Conv2D(8, 3, activation="gelu", name="second")(x)
    outputs = keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    return lab.load(networks.filled(keras.Model(inputs, outputs)))


@pytest.fixture(scope="module")
def subject():
    inputs = np.random.default_rng(0).normal(size=(12, 12, 12, 2)).astype("float32")
    return Subject(smooth_network(), inputs, lab.logit([n % 4 for n in range(12)]), tuple(map(str, range(12))))


def judge_method(method, subject, **settings):
    evidence, trace = measure("derivative", method, subject, seed=0, settings=settings)
    assert trace is None, trace
    return judge_with_controls([evidence], seed=0).verdicts[0]


def other_class(network, inputs, objective):
    classes = objective.numbers(len(inputs))[0][0]
    return lab.gradient(network, inputs, lab.logit([int(index + 1) % 4 for index in classes]))


def of_the_loss(network, inputs, objective):
    """The gradient of the cross-entropy, as some libraries have it."""
    classes, points = objective.numbers(len(inputs))[0][0], tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(points)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, network.model(points))
    return tape.gradient(loss, points).numpy()


def of_other_weights(network, inputs, objective):
    stale = {
        name: value + 0.3 * np.random.default_rng(1).normal(size=value.shape) for name, value in network.state().items()
    }
    with network.weights(stale):
        return lab.gradient(network, inputs, objective)


def of_the_last_image(network, inputs, objective):
    return lab.gradient(network, np.roll(inputs, 1, axis=0), objective)


def turned(change):
    def explainer(network, inputs, objective):
        return np.ascontiguousarray(change(lab.gradient(network, inputs, objective))).astype("float32")

    return explainer


WRONG = {
    "another class": other_class,
    "the loss": of_the_loss,
    "other weights": of_other_weights,
    "the last image": of_the_last_image,
    "another sign": turned(lambda maps: -maps),
    "half of it": turned(lambda maps: 0.5 * maps),
    "absolute": turned(np.abs),
    "mirrored": turned(lambda maps: maps[:, :, ::-1]),
    "transposed": turned(lambda maps: np.swapaxes(maps, 1, 2)),
    "shifted": turned(lambda maps: np.roll(maps, 3, axis=1)),
    "its channels exchanged": turned(lambda maps: maps[..., ::-1]),
    "rows of another sample": turned(lambda maps: maps[::-1]),
    "smoothed": turned(lambda maps: ndimage.gaussian_filter(maps, (0, 2, 2, 0))),
}
FILTERS = {
    "laplacian": lambda x: ndimage.laplace(x),
    "high pass": lambda x: x - ndimage.gaussian_filter(x, (0, 2, 2, 0)),
    "local contrast": lambda x: np.abs(x - ndimage.uniform_filter(x, (0, 3, 3, 0))),
    "max less x": lambda x: x.max((1, 2, 3), keepdims=True) - x,
    "squared": lambda x: x**2,
    "rank": lambda x: x.argsort(axis=1).argsort(axis=1) / 10,
    "the brightest alone": lambda x: 1.0 * (x == x.max((1, 2, 3), keepdims=True)),
    "noise by the image": lambda x: np.random.default_rng(int(1e6 * abs(float(x.sum())))).normal(size=x.shape),
}


def test_gradients_foretell_how_the_score_moves(subject):
    for method in (lab.gradient, lab.gradient_x_input):
        verdict = judge_method(method, subject)
        assert (verdict.outcome, verdict.finding) == ("PASS", "FORETELLS"), verdict.sentence
        assert verdict.effect.high < 0.02


@pytest.mark.parametrize("name", WRONG)
def test_a_derivative_of_something_else_fails(subject, name):
    verdict = judge_method(WRONG[name], subject, claimed="slope")
    assert (verdict.outcome, verdict.finding) == ("FAIL", "FORETELLS ANOTHER SCORE"), verdict.sentence


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_of_the_input_never_passes(subject, name):
    def explainer(network, inputs, objective):
        return FILTERS[name](inputs).astype("float32")

    assert judge_method(explainer, subject, claimed="slope").outcome == "FAIL"


def test_the_scale_of_scores_and_inputs_does_not_matter(subject):
    """The network of x / 1000 with answers times 1e-6: the same verdict, because nothing is absolute."""
    outer = keras.Input((12, 12, 2))
    small = keras.layers.Rescaling(1e-6)(subject.network.model(keras.layers.Rescaling(1e-3)(outer)))
    scaled = Subject(lab.load(keras.Model(outer, small)), 1000 * subject.inputs, subject.objective, subject.names)
    verdicts = [judge_method(lab.gradient, scale) for scale in (subject, scaled)]
    assert verdicts[1].outcome == "PASS" and abs(verdicts[0].effect.mean - verdicts[1].effect.mean) < 0.01
    assert judge_method(turned(lambda maps: -maps), scaled, claimed="slope").outcome == "FAIL"


def test_only_who_claims_is_held_to_it_and_anyone_may_claim(subject):
    def silent(network, inputs, objective):
        return lab.gradient(network, inputs, objective)

    assert judge_method(silent, subject).finding == "NOT APPLICABLE"
    silent.derivative = "slope"
    assert judge_method(silent, subject).outcome == "PASS"
    assert judge_method(lab.integrated_gradients, subject).finding == "NOT APPLICABLE"
    assert judge_method(lab.integrated_gradients, subject, claimed="slope").outcome == "FAIL"


def test_a_score_that_jumps_is_too_rough_to_be_foretold():
    inputs = keras.Input((8, 8, 1))
    weights = np.random.default_rng(1).normal(size=(8, 8, 1)).astype("float32")
    steps = keras.layers.Lambda(
        lambda x: (
            tf.random.stateless_uniform(tf.shape(x[:, 0, 0]), tf.cast(1e6 * x[0, 0, 0, :1], tf.int32) * [1, 0] + [0, 7])
            + 1e-3 * tf.reduce_sum(x * weights, (1, 2))
        )
    )(inputs)
    network = lab.load(keras.Model(inputs, keras.layers.Concatenate()([steps, -steps])))
    x = np.random.default_rng(0).normal(size=(10, 8, 8, 1)).astype("float32")
    verdict = judge_method(lab.gradient, Subject(network, x, lab.logit(0), tuple("abcdefghij")))
    assert (verdict.outcome, verdict.finding) == ("INVALID", "SCORE TOO ROUGH"), verdict.sentence


def test_controls_fail_in_every_run(subject):
    ruling = examine("derivative", {"gradient": lab.gradient}, subject, seed=0)
    assert ruling.verdicts[0].passed and all(audit.held for audit in ruling.controls) and len(ruling.controls) == 5


@pytest.mark.parametrize(
    "settings, words", [({"directions": 3}, "6 or more"), ({"claimed": "tangent"}, "one of slope")]
)
def test_settings_that_are_none(subject, settings, words):
    with pytest.raises(lab.Refused, match=words):
        examine("derivative", {"gradient": lab.gradient}, subject, seed=0, settings=settings)


def test_the_gradient_of_the_real_network_foretells_on_every_seed(lite0, photos):
    """On three photographs of 64 pixels, which allow no PASS: their number is all that is missing."""
    model = keras.models.clone_model(lite0.model, input_tensors=keras.Input((64, 64, 3)))
    model.set_weights(lite0.model.get_weights())
    network = lab.Network(model, preprocessing=lite0.preprocessing)
    inputs = network.preprocess(lab.photographs(["chelsea", "coffee", "grace_hopper"]).images)
    subject = Subject(network, inputs, lab.logit(photos[1]), tuple("abc"))
    few = {"directions": 8}
    for seed in range(3):
        evidence, _ = measure("derivative", lab.gradient, subject, seed=seed, settings=few)
        verdict = judge_with_controls([evidence], seed=seed).verdicts[0]
        assert verdict.finding == "FORETELLS" and "Fewer than" in verdict.why, verdict.sentence
    mirrored = turned(lambda maps: maps[:, :, ::-1])
    claimed, step = {"claimed": "slope", **few}, {"prepared": evidence.settings["step"]}
    wrong, _ = measure("derivative", mirrored, subject, seed=seed, settings=claimed, prepare=lambda: step)
    assert judge_with_controls([wrong], seed=seed).verdicts[0].outcome == "FAIL"
