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
from tests.lab.test_resampling import smooth
from tests.networks import distance

PLAIN = {"transforms": "none"}
# The first, and those that differ from it in one option.
VIEWS = [
    (views.View(16, 16, **{"jitter": 3.0, **options}), views.Blur(*blur))
    for options, blur in (
        ({}, (0.3, 3.0, 1.0)),
        ({"zoom": (1, 1)}, (0.3, 3.0, 1.0)),
        ({"jitter": 0}, (0.3, 3.0, 1.0)),
        ({"rotate": 0}, (0.3, 3.0, 1.0)),
        ({}, (2.0, 3.0, 1.0)),
        ({}, (0.3, 0.4, 1.0)),
        ({}, (0.3, 3.0, 0.0)),
    )
]


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
    plain, base = ({"steps": 6, "seed": 0, **options} for options in (PLAIN, {}))
    changed = [
        {"steps": 9},
        {"rate": 0.2},
        {"parameterization": "pixels"},
        {"parameterization": Fourier(decorrelate=False)},
        {"linear": False},
        {"transforms": "robust"},
    ]
    for start, ways in ((plain, changed), (base, [{"transforms": VIEWS[1]}, {"transforms": VIEWS[-1]}, PLAIN])):
        images = lab.maximize(small, goal, **start).images
        for options in ways:
            assert distance(lab.maximize(small, goal, **{**start, **options}).images, images) > 1e-5, options
    larger = lab.maximize(small, goal, **plain, size=(20, 28))
    assert larger.images.shape == (2, 20, 28, 3) and larger.inputs.shape == (2, 16, 16, 3)


def transformed(image, steps):
    for number, step in enumerate(steps):
        image = step(image, tf.constant([3, number]))
    return image


def test_every_option_of_a_view_and_of_blur_changes_what_is_seen():
    """And what was compiled for one of them is not taken for another, since they are not equal."""
    image = tf.constant(np.random.default_rng(0).uniform(size=(1, 16, 16, 3)), tf.float32)
    base, *changed = (transformed(image, steps) for steps in VIEWS)
    assert all(distance(other, base) > 1e-3 for other in changed)
    assert len(set(VIEWS)) == len(VIEWS)


@pytest.mark.parametrize(
    "options",
    [{"facets": 2}, {"parameterization": "alpha"}, {"linear": True}, {"size": (20, 28)}, {"snapshots": [1, 2]}],
    ids=str,
)
def test_scores_are_those_of_the_pictures_that_come_back(small, options):
    goal = lab.channel("last", [1, 2]) + 0.1 * lab.logit([3, 4])
    pictures = lab.maximize(small, goal, steps=3, seed=0, transforms=(views.Pad(2), views.Jitter(4)), **options)
    rows = goal.rows(np.repeat([0, 1], options.get("facets", 1)))
    np.testing.assert_allclose(pictures.scores, routines.scores(small, pictures.inputs, rows), rtol=1e-5)


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
    pictures = lab.maximize(lite0, lab.logit([1, 967]), steps=24, seed=1)
    scores = routines.outputs(lite0, pictures.inputs)["logits"]
    assert list(scores.argmax(1)) == [1, 967]
