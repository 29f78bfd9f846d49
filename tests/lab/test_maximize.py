"""Activation maximization: transforms against scipy, hand-built units against their templates, options that do something."""

import keras
import numpy as np
import pytest
from scipy import ndimage

import lab
from lab import routines
from lab.environment import tf
from lab.visualization import transforms as views
from lab.visualization.examples import strongest_channels
from lab.visualization.parameterizations import Fourier, Pixels
from tests import networks
from tests.networks import distance

PLAIN = {"transforms": "none"}


def smooth(side=48):
    noise = np.random.default_rng(0).uniform(0, 1, (1, side, side, 3))
    return np.clip(0.5 + 3 * (ndimage.gaussian_filter(noise, (0, 3, 3, 0)) - 0.5), 0, 1).astype("float32")


@pytest.mark.parametrize(
    "zoom, shift, degrees", [(1.0, (0, 0), 0), (1.0, (3, -2), 0), (1.15, (0, 0), 12), (0.9, (2, 1), -15)]
)
def test_a_view_is_the_affine_map_it_says(zoom, shift, degrees):
    image, angle = smooth(), np.deg2rad(degrees)
    view = views.place_view(
        tf.constant(image), 40, 40, tf.constant(zoom), tf.constant(shift, tf.float32), tf.constant(angle, tf.float32)
    ).numpy()[0]
    scale = 48 / (40 * zoom)
    matrix = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    offset = np.array([23.5, 23.5]) - matrix @ (np.array([19.5, 19.5]) + shift)
    expected = np.stack(
        [
            ndimage.affine_transform(image[0, ..., channel], matrix, offset, (40, 40), order=1, cval=0.5)
            for channel in range(3)
        ],
        -1,
    )
    inner = np.s_[8:-8, 8:-8]
    # Where it shrinks, the view averages and scipy does not.
    assert np.abs(view[inner] - expected[inner]).max() < (0.03 if scale <= 1.2 else 0.05)


def test_a_small_view_is_grey_outside_and_keeps_the_mean_inside():
    image = np.ones((1, 48, 48, 3), "float32")
    view = views.place_view(tf.constant(image), 48, 48, tf.constant(0.5), tf.zeros(2), tf.constant(0.0)).numpy()[0]
    assert np.allclose(view[:8], 0.5) and np.abs(view[18:30, 18:30] - 1).max() < 0.02
    assert abs(view.mean() - (0.5 + 0.5 * 0.25)) < 0.01


def test_the_gradient_of_a_view_is_exact():
    """<view(a), b> is linear in a: its gradient dotted with any c is <view'(c), b>."""
    rng = np.random.default_rng(1)
    b, c = (tf.constant(rng.normal(size=(1, 24, 24, 3)), tf.float32) for _ in range(2))

    def weighted_sum(images):
        return tf.reduce_sum(
            b * (views.place_view(images, 24, 24, tf.constant(0.8), tf.constant([1.5, -2.0]), tf.constant(0.2)) - 0.5)
        )

    a = tf.Variable(tf.fill([1, 24, 24, 3], 0.5))
    with tf.GradientTape() as tape:
        value = weighted_sum(a)
    assert abs(float(tf.reduce_sum(tape.gradient(value, a) * c)) - float(weighted_sum(0.5 + c))) < 1e-3


def test_a_blur_is_gaussian():
    image = smooth()
    expected = ndimage.gaussian_filter(image[0], (2, 2, 0))
    assert (
        np.abs(views.gaussian_blur(tf.constant(image), tf.constant(2.0)).numpy()[0] - expected)[8:-8, 8:-8].max() < 5e-3
    )


def test_fourier_start_has_the_spectrum_of_photographs():
    shape = (64, 64, 3)
    start = Fourier(decorrelate=False).start(1, shape, tf.constant([0, 1]), (), ())
    power = np.abs(np.fft.fft2(Fourier(decorrelate=False).picture(start, shape, ()).numpy()[0, ..., 0] - 0.5))
    assert power[1:4, 1:4].mean() > 5 * power[20:30, 20:30].mean()
    assert not np.allclose(start, Fourier().start(1, shape, tf.constant([0, 2]), (), ()))


@pytest.fixture(scope="module")
def template():
    """One convolution whose filters are known, then ReLU: the picture that excites a filter most is 1 where it is positive."""
    side = 12
    kernel = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(side, side, 3, 4)), (1, 1, 0, 0)).astype(
        "float32"
    )
    inputs = keras.Input((side, side, 3))
    convolution = keras.layers.Conv2D(4, side, name="templates")
    outputs = keras.layers.Flatten()(keras.layers.ReLU(name="relu")(convolution(inputs)))
    model = keras.Model(inputs, outputs)
    convolution.set_weights([kernel, np.full(4, -500.0, "float32")])
    return networks.network(model), kernel


@pytest.mark.parametrize("kind", [Fourier(), Fourier(decorrelate=False), Pixels(), Pixels(decorrelate=False)])
def test_templates_are_found_even_behind_a_dead_relu(template, kind):
    network, kernel = template
    pictures = lab.maximize(
        network, lab.channel("relu", range(4)), steps=300, seed=0, parameterization=kind, rate=0.1, **PLAIN
    )
    for unit, image in enumerate(pictures.images):
        most = np.maximum(2 * kernel[..., unit], 0).sum() - kernel[..., unit].sum()  # inputs are 2 * image - 1
        attained = ((2 * image - 1) * kernel[..., unit]).sum() / most
        # Decorrelated pictures lean to the colours of photographs, which these templates do not have.
        assert attained > (0.7 if kind.decorrelate else 0.95), (unit, attained)
    assert (pictures.scores == 0).all()  # the bias keeps the unit dead; the climb went on before it
    with_dead = lab.maximize(network, lab.channel("relu", range(4)), steps=20, seed=0, linear=False, **PLAIN)
    assert not with_dead.curves.any()


def test_pictures_do_not_depend_on_the_batch_and_do_on_seed(small):
    together = lab.maximize(small, lab.channel("last", [1, 2, 3]), steps=8, seed=0)
    alone = lab.maximize(small, lab.channel("last", 2), steps=8, seed=0)
    assert distance(together.images[1], alone.images[0]) < 1e-4
    assert np.array_equal(lab.maximize(small, lab.channel("last", 2), steps=8, seed=0).images, alone.images)
    assert distance(lab.maximize(small, lab.channel("last", 2), steps=8, seed=1).images, alone.images) > 1e-2


def test_climbing_climbs_and_minimizing_sinks(small):
    up = lab.maximize(small, lab.logit([0, 1]), steps=64, seed=0, **PLAIN)
    down = lab.maximize(small, -lab.logit([0, 1]), steps=64, seed=0, **PLAIN)
    assert (up.curves[:, -1] > up.curves[:, 0]).all() and up.curves.shape == (2, 64)
    assert (
        routines.scores(small, down.inputs, lab.logit([0, 1])) < routines.scores(small, up.inputs, lab.logit([0, 1]))
    ).all()
    np.testing.assert_allclose(up.scores, routines.scores(small, up.inputs, lab.logit([0, 1])), rtol=1e-5)
    assert up.images.min() >= 0 and up.images.max() <= 1 and up.inputs.shape == (2, 16, 16, 3)
    assert up._repr_html_().count("<img") == 2


def test_every_option_changes_the_picture(small):
    goal = lab.channel("last", [1, 2])
    base = lab.maximize(small, goal, steps=6, seed=0)
    changed = [
        {"steps": 9},
        {"rate": 0.2},
        {"parameterization": "pixels"},
        {"parameterization": Fourier(decorrelate=False)},
        PLAIN,
        {"linear": False},
    ]
    changed += [
        {"transforms": (views.View(16, 16, **options), views.Blur())}
        for options in ({"zoom": (1, 1)}, {"jitter": 0}, {"rotate": 0})
    ]
    changed += [
        {"transforms": (views.View(16, 16), views.Blur(*options))}
        for options in ((2.0, 3.0, 0.5), (0.3, 3.0, 1.0), (0.3, 0.4, 0.5))
    ]
    for options in changed:
        assert distance(lab.maximize(small, goal, **{"steps": 6, "seed": 0, **options}).images, base.images) > 1e-5, (
            options
        )
    larger = lab.maximize(small, goal, steps=6, seed=0, size=(20, 28))
    assert larger.images.shape == (2, 20, 28, 3) and larger.inputs.shape == (2, 16, 16, 3)


def test_xla_draws_the_same_pictures(small):
    compiled = networks.network(networks.flat(), jit=True)
    # From a photograph, because XLA draws other numbers to start from.
    kind = Fourier(deviation=0.0)
    options = {"steps": 4, "seed": 0, "parameterization": kind, "start": smooth(16), "transparency": True, **PLAIN}
    plain, fast = (lab.maximize(network, lab.logit([0, 1]), **options) for network in (small, compiled))
    assert distance(fast.images, plain.images) < 1e-4 and distance(fast.curves, plain.curves) < 1e-3
    assert distance(fast.transparency, plain.transparency) < 1e-2
    assert distance(plain.images[0], plain.images[1]) > 1e-3


def test_no_retrace_between_units_seeds_steps_and_counts(small):
    lab.maximize(small, lab.channel("last", [0, 1]), steps=3, seed=0)
    before = small.traces
    lab.maximize(small, lab.channel("last", [5, 6, 7]), steps=5, seed=3, rate=0.01)
    assert small.traces == before


@pytest.mark.parametrize("options", [{"steps": 0}, {"size": 4}, {"parameterization": "fourrier"}])
def test_maximize_refuses(small, options):
    with pytest.raises(ValueError, match="Received"):
        lab.maximize(small, lab.channel("last", 0), seed=0, **options)


def test_maximize_needs_images(template):
    network = networks.network(networks.linear(np.zeros((3, 2), "float32"), np.zeros(2, "float32")))
    with pytest.raises(ValueError, match="takes images"):
        lab.maximize(network, lab.logit(0), seed=0)
    with pytest.raises(ValueError, match="input_range"):
        lab.maximize(lab.load(networks.flat()), lab.logit(0), seed=0)


def test_strongest_channels_of_an_image(small):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    means = routines.activations(small, small.preprocess(image), "last").mean((1, 2))
    assert strongest_channels(small, image, "last", 3) == list(np.argsort(-means[0], kind="stable")[:3])


def test_a_class_is_recognized_by_the_network_that_drew_it(lite0):
    pictures = lab.maximize(lite0, lab.logit([130, 967]), steps=48, seed=0)
    scores = routines.outputs(lite0, pictures.inputs)["logits"]
    assert list(scores.argmax(1)) == [130, 967]
