"""Every way of making a picture: parameterizations, transforms, regularizers, objectives and optimizers against what is known of them."""

import functools

import keras
import numpy as np
import pytest
from scipy import ndimage

import lab
from lab import routines
from lab.environment import tf
from lab.visualization import parameterizations as parameterizations_module
from lab.visualization import regularizers as penalties
from lab.visualization import spectrum
from lab.visualization import transforms as views
from lab.visualization.colour import from_colours, to_colours
from lab.visualization.parameterizations import Alpha, Cppn, Fourier, Maco, Pixels, Pyramid, Shared, parameterizations
from tests import networks
from tests.networks import distance

HOLDING = [Pixels(), Fourier(), Pyramid(), Maco()]
SIDE = 12


@pytest.fixture(scope="module")
def small():
    return networks.network(networks.flat())


def correlation(picture, template):
    return float(np.corrcoef(picture.ravel(), template.ravel())[0, 1])


def hand_built(kernels):
    """One filter a kernel [rows, columns, 3]; the first layer's answer at the only position, and an OR of all of them."""
    side = len(kernels[0])
    inputs = keras.Input((side, side, 3))
    responses = keras.layers.Conv2D(len(kernels), side, use_bias=False, name="templates")(inputs)
    either = keras.layers.Flatten(name="either")(
        keras.layers.MaxPooling3D((1, 1, 2))(keras.layers.Reshape((1, 1, -1, 1))(responses))
    )
    model = keras.Model(inputs, either)
    model.get_layer("templates").set_weights([np.stack(kernels, -1).astype("float32")])
    return networks.network(model)


@pytest.fixture(scope="module")
def templates():
    rng = np.random.default_rng(2)
    return [ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE, 3)), (1, 1, 0)) for _ in range(4)]


@pytest.mark.parametrize("kind", [Fourier(decorrelate=False), Pixels(decorrelate=False)])
def test_templates_are_recovered_under_an_l2_ball(templates, kind):
    network = hand_built(templates)
    pictures = lab.maximize(
        network,
        lab.channel("templates", range(4)),
        steps=300,
        seed=0,
        parameterization=kind,
        transforms="none",
        rate=0.1,
        regularizers=[penalties.l2(2000.0)],
    )
    for unit, image in enumerate(pictures.images):
        assert correlation(image, templates[unit]) > 0.95


def test_maco_finds_what_phases_alone_can_say(templates):
    """Its magnitudes are those of photographs, so it cannot be the template; its phases must still be close."""
    network = hand_built(templates)
    kind = Maco(decorrelate=False)
    pictures = lab.maximize(
        network,
        lab.channel("templates", range(4)),
        steps=200,
        seed=0,
        parameterization=kind,
        transforms="none",
        rate=0.1,
    )
    magnitude = spectrum.natural(SIDE, SIDE, 3, decorrelate=False)
    for unit, image in enumerate(pictures.images):
        spectra = np.fft.rfft2(templates[unit], axes=(0, 1)).transpose(2, 0, 1)
        best = np.fft.irfft2(magnitude * np.exp(1j * np.angle(spectra)), (SIDE, SIDE)).transpose(1, 2, 0)
        analytic = ((2 / (1 + np.exp(-best)) - 1) * templates[unit]).sum()
        attained = ((2 * image - 1) * templates[unit]).sum()
        assert correlation(image, templates[unit]) > 0.6 and attained > 0.9 * analytic
        magnitudes = np.abs(np.fft.rfft2(from_colours(image, False), axes=(0, 1))).transpose(2, 0, 1)
        inner = (image > 0.03).all() and (image < 0.97).all()
        # But for the columns whose coefficients come in pairs.
        assert not inner or distance(magnitudes[..., 1:-1], magnitude[..., 1:-1]) < 1e-2


def test_a_spectrum_is_the_mean_of_photographs_read_one_by_one():
    rng = np.random.default_rng(0)
    photographs = [rng.integers(20, 230, (16, 16, 3)).astype("uint8") for _ in range(3)]
    slow = np.mean(
        [np.abs(np.fft.rfft2(from_colours(photograph / 255.0, True), axes=(0, 1))) for photograph in photographs],
        axis=0,
    )
    assert distance(spectrum.magnitude(iter(photographs), 16, 16), slow.transpose(2, 0, 1)) < 1e-6
    with pytest.raises(ValueError, match="at least one photograph"):
        spectrum.magnitude([], 16, 16)


@pytest.mark.parametrize("decorrelate", [True, False])
def test_colours_go_there_and_back(decorrelate):
    images = np.random.default_rng(0).uniform(0.05, 0.95, (2, 4, 4, 3)).astype("float32")
    assert distance(to_colours(tf.constant(from_colours(images, decorrelate)), decorrelate).numpy(), images) < 1e-5


@pytest.mark.parametrize("kind", HOLDING, ids=lambda kind: type(kind).__name__)
def test_a_climb_from_a_photograph_begins_with_it(small, kind):
    photograph = ndimage.gaussian_filter(np.random.default_rng(0).uniform(0.2, 0.8, (1, 16, 16, 3)), (0, 1, 1, 0))
    pictures = lab.maximize(
        small,
        lab.channel("last", [0, 1]),
        steps=1,
        rate=1e-6,
        seed=0,
        start=photograph,
        parameterization=kind,
        transforms="none",
    )
    alike = [correlation(image, photograph[0]) for image in pictures.images]
    # MaCo keeps a photograph's phases and gives it the mean photograph's magnitudes.
    assert min(alike) > (0.3 if isinstance(kind, Maco) else 0.98)
    with pytest.raises(ValueError, match="start= holds"):
        lab.maximize(small, lab.channel("last", 0), steps=1, seed=0, start=photograph[:, :8])
    with pytest.raises(ValueError, match=r"in 0\.\.1"):
        lab.maximize(small, lab.channel("last", 0), steps=1, seed=0, start=255 * photograph)


@pytest.mark.parametrize("kind", [Shared(), Cppn()], ids=lambda kind: type(kind).__name__)
def test_what_cannot_hold_a_photograph_says_so(small, kind):
    with pytest.raises(ValueError, match="represent a photograph"):
        lab.maximize(small, lab.logit(0), steps=1, seed=0, start=np.full((1, 16, 16, 3), 0.5), parameterization=kind)


@pytest.mark.parametrize("name", list(parameterizations))
def test_every_parameterization_climbs_and_is_its_own(small, name):
    goal = lab.channel("last", [1, 2])
    pictures = lab.maximize(small, goal, steps=40, seed=0, parameterization=name, transforms="none", rate=0.1)
    assert (pictures.curves[:, -1] > pictures.curves[:, 0]).all()
    assert (
        pictures.images.shape == (2, 16, 16, 3 + (name == "alpha"))
        and 0 <= pictures.images.min() <= pictures.images.max() <= 1
    )
    again = lab.maximize(small, goal, steps=40, seed=0, parameterization=name, transforms="none", rate=0.1)
    other = lab.maximize(small, goal, steps=40, seed=1, parameterization=name, transforms="none", rate=0.1)
    assert np.array_equal(pictures.images, again.images) and distance(other.images, pictures.images) > 1e-4
    if name not in ("fourier", "alpha"):
        plain = lab.maximize(small, goal, steps=40, seed=0, transforms="none", rate=0.1)
        assert distance(plain.images, pictures.images) > 1e-3


def test_shared_pictures_are_aligned(small):
    """What units share makes their pictures more alike than pictures of their own."""

    def agreement(name):
        goal = lab.channel("last", [1, 2, 3, 4])
        images = lab.maximize(small, goal, steps=40, seed=0, parameterization=name, transforms="none").images
        return np.mean(np.corrcoef(images.reshape(4, -1))[np.triu_indices(4, 1)])

    assert agreement("shared") > agreement("fourier")


def test_alpha_shows_what_is_needed_and_no_more(templates):
    """A template that fills one corner: opacity stays there and goes elsewhere."""
    corner = np.zeros((SIDE, SIDE, 3))
    corner[:6, :6] = 3 * templates[0][:6, :6]
    network = hand_built([corner, corner])
    pictures = lab.maximize(
        network,
        lab.channel("templates", 0),
        steps=200,
        seed=0,
        parameterization=Alpha(Pixels(decorrelate=False)),
        transforms="none",
        rate=0.1,
        regularizers=[penalties.opacity(4.0)],
    )
    opacity = pictures.images[0, ..., 3]
    assert opacity[:5, :5].mean() > opacity[7:, 7:].mean() + 0.3


def test_facets_find_both_templates_of_an_or_unit():
    rng = np.random.default_rng(3)
    pair = [ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE, 3)), (1, 1, 0)) for _ in range(2)]
    network = hand_built(pair)
    pictures = lab.maximize(
        network,
        lab.logit(0),
        steps=200,
        seed=0,
        facets=4,
        parameterization=Fourier(decorrelate=False, deviation=0.1),
        transforms="none",
        regularizers=[penalties.diversity(1000.0, "templates"), penalties.l2(1000.0)],
    )
    assert pictures.images.shape == (4, SIDE, SIDE, 3)
    best = np.array([[correlation(image, template) for template in pair] for image in pictures.images]).max(axis=0)
    assert (best > 0.8).all()


def test_diversity_sets_facets_apart(small):
    def apart(weight):
        pictures = lab.maximize(
            small,
            lab.channel("last", [0, 1]),
            steps=40,
            seed=0,
            facets=3,
            transforms="none",
            regularizers=[penalties.diversity(weight, "last")],
        )
        assert pictures.images.shape == (6, 16, 16, 3) and pictures.scores.shape == (6,)
        return np.mean([distance(pictures.images[3 * unit], pictures.images[3 * unit + 1]) for unit in (0, 1)])

    assert apart(100.0) > 1.5 * apart(0.0) > 0


def test_facets_of_a_unit_do_not_depend_on_other_units(small):
    kwargs = {"steps": 8, "seed": 0, "facets": 2, "regularizers": [penalties.diversity(1.0, "last")]}
    together = lab.maximize(small, lab.channel("last", [3, 4]), **kwargs)
    assert distance(together.images[2:], lab.maximize(small, lab.channel("last", 4), **kwargs).images) < 1e-4


IMAGE = [
    penalties.total_variation(20.0),
    penalties.l1(20.0),
    penalties.l2(20.0),
    penalties.linf(20.0),
    penalties.blur(200.0),
]


def measured(kind, images):
    """The penalty by numpy."""
    away = np.abs(images - 0.5)
    name = str(kind.structure)
    if "TotalVariation" in name:
        return sum(np.abs(np.diff(images, axis=axis)).mean(axis=(1, 2, 3)) for axis in (1, 2))
    if "Roughness" in name:
        return np.mean([(image - ndimage.gaussian_filter(image, (1, 1, 0))) ** 2 for image in images], axis=(1, 2, 3))
    return away.max(axis=(1, 2, 3)) if kind.order == float("inf") else (away**kind.order).mean(axis=(1, 2, 3))


@pytest.mark.parametrize("penalty", IMAGE, ids=lambda value: repr(value)[:24])
def test_penalties_are_what_they_say_and_lower_what_they_penalize(small, penalty):
    goal = lab.channel("last", [1, 2])
    free = lab.maximize(small, goal, steps=40, seed=0, transforms="none")
    held = lab.maximize(small, goal, steps=40, seed=0, transforms="none", regularizers=[penalty])
    scene = penalties.Scene(tf.constant(free.images), {}, 1, ())
    costs = np.asarray(penalty(scene))
    assert distance(costs, measured(penalty, free.images)) < (0.15 if penalty is IMAGE[-1] else 1e-5)
    assert (measured(penalty, held.images) < costs).all()


def test_a_picture_can_be_held_near_another_or_its_activations(small):
    rng = np.random.default_rng(0)
    other = rng.uniform(0.3, 0.7, (1, 16, 16, 3)).astype("float32")
    held = lab.maximize(
        small, lab.logit(0), steps=150, seed=0, transforms="none", regularizers=[penalties.near(1e4, other)]
    )
    assert distance(held.images, other) < 0.1
    activation = routines.activations(small, small.preprocess(255 * other), "last")
    near = penalties.near(1e4, activation, "last")
    held = lab.maximize(small, lab.logit(0), steps=80, seed=0, transforms="none", regularizers=[near])
    free = lab.maximize(small, lab.logit(0), steps=80, seed=0, transforms="none")

    def away(pictures):
        return distance(routines.activations(small, pictures.inputs, "last"), activation)

    assert away(held) < 0.5 * away(free)
    with pytest.raises(ValueError, match="one goal, or one a picture"):
        lab.maximize(
            small, lab.logit([0, 1]), steps=1, seed=0, regularizers=[penalties.near(1.0, np.repeat(other, 3, 0))]
        )


def test_alignment_brings_neighbours_together(small):
    def apart(weight):
        goal = lab.interpolation("last", 1, 5, 4)
        pictures = lab.maximize(
            small, goal, steps=40, seed=0, transforms="none", regularizers=[penalties.alignment(weight)]
        )
        return np.mean(np.square(np.diff(pictures.images, axis=0)))

    assert apart(200.0) < 0.5 * apart(0.0)


def test_what_is_coupled_is_never_split(small):
    few = lab.Network(small.model, preprocessing=small.preprocessing, memory=2 * small.sample_bytes())
    with pytest.raises(ValueError, match="one batch, at most 2 here"):
        lab.maximize(few, lab.channel("last", range(5)), steps=1, seed=0, parameterization="shared")
    apart = lab.maximize(few, lab.channel("last", range(5)), steps=2, seed=0, transforms="none")
    assert apart.images.shape[0] == 5


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(5.0, momentum=0.9),
        keras.optimizers.Nadam(0.05),
        keras.optimizers.Lamb(0.05),
        keras.optimizers.Adam(0.05, clipnorm=0.1),
    ],
    ids=lambda value: value.name,
)
def test_any_keras_optimizer_climbs_and_no_picture_depends_on_the_others(small, optimizer):
    goal = lab.channel("last", [1, 2, 3])
    pictures = lab.maximize(small, goal, steps=30, seed=0, optimizer=optimizer, transforms="none")
    alone = lab.maximize(small, lab.channel("last", 2), steps=30, seed=0, optimizer=optimizer, transforms="none")
    assert (pictures.curves[:, -1] > pictures.curves[:, 0]).all() and distance(
        pictures.images[1], alone.images[0]
    ) < 1e-3
    assert not optimizer.built, "the caller's optimizer was touched"
    assert " object at 0x" not in str(pictures.settings)
    if isinstance(optimizer, keras.optimizers.Lamb) or optimizer.clipnorm:
        with pytest.raises(ValueError, match="one picture a unit"):
            lab.maximize(small, goal, steps=2, seed=0, optimizer=optimizer, facets=2)


def test_our_adam_is_adam(small):
    """On a constant rate: the schedule is undone by asking Keras for the same one."""
    steps = 20
    rates = keras.optimizers.schedules.CosineDecay(0.05, steps, alpha=0.05)
    goal = lab.channel("last", [1, 2])
    options = {"steps": steps, "seed": 0, "transforms": "none"}
    ours = lab.maximize(small, goal, **options)
    theirs = lab.maximize(small, goal, **options, optimizer=keras.optimizers.Adam(rates, epsilon=1e-8))
    assert distance(ours.images, theirs.images) < 1e-2


OPTIONS = [
    {"normalize": True, "optimizer": keras.optimizers.SGD(1.0)},
    {"transforms": "textbook"},
    {"transforms": "crops"},
    {"transforms": "tiled"},
    {"transforms": (views.Pad(4), views.Jitter(8))},
    {"transforms": (views.Pad(4, 0.0), views.Jitter(8))},
    {"transforms": (views.Zoom(0.5, 0.6),)},
    {"transforms": (views.Rotate(40.0),)},
    {"transforms": (views.Flip(1.0),)},
    {"transforms": (views.Crop(0.3, 0.5),)},
    {"transforms": (views.Noise(0.1, 0.2),)},
    {"transforms": (lambda images, seed: 1 - images,)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda value: str(value)[:40])
def test_every_option_does_something_and_keeps_units_apart(small, options):
    goal = lab.channel("last", [1, 2])
    plain = {"steps": 6, "seed": 0, "transforms": "none", "parameterization": "pixels"}
    base, pictures = (lab.maximize(small, goal, **settings) for settings in (plain, {**plain, **options}))
    assert distance(pictures.images, base.images) > 1e-4
    alone = lab.maximize(small, lab.channel("last", 2), **{**plain, **options})
    assert distance(pictures.images[1], alone.images[0]) < 1e-4


def test_views_are_averaged(small):
    goal, options = lab.channel("last", [1, 2]), {"steps": 6, "seed": 0, "transforms": (views.Pad(4), views.Jitter(8))}
    one, two = (lab.maximize(small, goal, views=count, **options) for count in (1, 2))
    assert distance(one.images, two.images) > 1e-3 and one.curves.shape == two.curves.shape


def test_transforms_do_to_a_picture_what_they_say():
    image = tf.constant(np.random.default_rng(0).uniform(0, 1, (1, 20, 20, 3)), tf.float32)
    seed = tf.constant([3, 4])
    assert np.array_equal(views.Flip(1.0)(image, seed), image[:, :, ::-1]) and np.array_equal(
        views.Flip(0.0)(image, seed), image
    )
    padded = views.Pad(2, 0.25)(image, seed).numpy()
    assert (
        padded.shape == (1, 24, 24, 3)
        and (padded[:, :2] == 0.25).all()
        and np.array_equal(padded[:, 2:-2, 2:-2], image)
    )
    window = views.Jitter(5)(image, seed).numpy()[0]
    places = [(r, c) for r in range(6) for c in range(6) if np.array_equal(image[0, r : r + 15, c : c + 15], window)]
    assert len(places) == 1
    wrapped = views.Wrap(7)(image, seed).numpy()
    assert np.array_equal(wrapped, np.pad(image, [(0, 0), (7, 7), (7, 7), (0, 0)], mode="wrap"))
    noise = (views.Noise(0.1, 0.1)(image, seed) - image).numpy()
    assert abs(noise.std() - 0.1) < 0.01
    half = views.Crop(0.5, 0.5)(
        tf.constant(np.arange(20, dtype="float32")[None, :, None, None] * np.ones((1, 20, 20, 3), "float32")), seed
    ).numpy()[0, 2:-2, 10, 0]
    assert np.allclose(np.diff(half), 0.5, atol=1e-3)  # enlarged twice


@pytest.fixture(scope="module")
def filters():
    return functools.cache(one_filter)


def one_filter(extent):
    """A network of filters as large as its input, and the filters."""
    layer = {1: keras.layers.Conv1D, 3: keras.layers.Conv3D}[len(extent)]
    inputs = keras.Input((*extent, 2))
    convolution = layer(2, extent, name="templates")
    model = keras.Model(inputs, keras.layers.Flatten()(convolution(inputs)))
    kernel = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=(*extent, 2, 2)), (*[1.5] * len(extent), 0, 0)
    )
    convolution.set_weights([kernel.astype("float32"), np.zeros(2)])
    return lab.load(model, input_range=(-1, 1)), kernel


@pytest.mark.parametrize("extent", [(24,), (10, 12, 8)], ids=["series", "volume"])
@pytest.mark.parametrize("kind", ["fourier", "pixels", "pyramid", "cppn"])
def test_series_and_volumes_are_drawn_too(filters, extent, kind):
    """The picture of a filter as large as the input is the filter."""
    network, kernel = filters(extent)
    pictures = lab.maximize(
        network, lab.channel("templates", [0, 1]), steps=150, seed=0, parameterization=kind, transforms="none", rate=0.1
    )
    assert pictures.images.shape == (2, *extent, 2)
    assert (pictures.curves[:, -1] > pictures.curves[:, 0]).all()
    if kind != "cppn":
        assert min(correlation(image, kernel[..., unit]) for unit, image in enumerate(pictures.images)) > 0.7
    assert lab.maximize(network, lab.channel("templates", 0), steps=2, seed=0).images.shape == (1, *extent, 2)


def test_grey_pictures():
    inputs = keras.Input((16, 16, 1))
    network = lab.load(
        keras.Model(inputs, keras.layers.Flatten(name="flat")(keras.layers.Conv2D(3, 5, name="c")(inputs))),
        input_range=(0, 1),
    )
    assert lab.maximize(network, lab.channel("c", [0, 2]), steps=4, seed=0).images.shape == (2, 16, 16, 1)


def test_a_network_of_several_inputs_and_outputs():
    image, other = keras.Input((16, 16, 3), name="image"), keras.Input((4,), name="other")
    convolved = keras.layers.Conv2D(6, 3, activation="relu", name="conv")(image)
    joined = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(convolved), other])
    model = keras.Model(
        {"image": image, "other": other},
        {"a": keras.layers.Dense(3, name="a")(joined), "b": keras.layers.Dense(2, name="b")(joined)},
    )
    network = lab.load(model, input_range=(0, 1))
    goal = lab.logit([0, 1], output="b") + 0.5 * lab.channel("conv", 3)
    pictures = lab.maximize(network, goal, steps=20, seed=0, beside={"other": np.ones((1, 4))}, transforms="none")
    assert (pictures.curves[:, -1] > pictures.curves[:, 0]).all() and set(pictures.inputs) == {"image", "other"}
    with pytest.raises(ValueError, match="every input that is not drawn"):
        lab.maximize(network, goal, steps=1, seed=0)
    with pytest.raises(ValueError, match="Unknown input.*image"):
        lab.maximize(network, goal, steps=1, seed=0, of="images", beside={})


def test_snapshots_are_the_way_to_the_picture(small):
    goal, moved = lab.channel("last", [1, 2]), (views.Pad(2), views.Jitter(4))
    pictures = lab.maximize(small, goal, steps=12, seed=0, snapshots=(3, 6), transforms=moved)
    plain = lab.maximize(small, goal, steps=12, seed=0, transforms=moved)
    assert pictures.settings["stops"] == [3, 6, 12] and pictures.snapshots.shape == (2, 3, 16, 16, 3)
    assert np.array_equal(pictures.snapshots[:, -1], pictures.images) and distance(pictures.images, plain.images) < 1e-6
    assert pictures.curves.shape == (2, 12) and distance(pictures.snapshots[:, 0], pictures.images) > distance(
        pictures.snapshots[:, 1], pictures.images
    )
    with pytest.raises(ValueError, match="between 1 and 12"):
        lab.maximize(small, goal, steps=12, seed=0, snapshots=(20,))


def test_transparency_is_where_the_gradient_fell(templates):
    corner = np.zeros((SIDE, SIDE, 3))
    corner[:6, :6] = templates[0][:6, :6]
    pictures = lab.maximize(
        hand_built([corner, corner]), lab.channel("templates", 0), steps=5, seed=0, transforms="none", transparency=True
    )
    assert pictures.transparency.shape == (1, SIDE, SIDE) and pictures.transparency.max() == 1
    assert not pictures.transparency[0, 6:].any() and pictures.transparency[0, :6, :6].all()


def test_a_dead_network_is_woken_up_by_redirected_gradients():
    """A ReLU inside that is far below zero on grey: no gradient gets through it, until it is redirected."""
    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.ReLU(name="relu")(keras.layers.Conv2D(4, 5, name="first")(inputs))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 1, name="second")(hidden)))
    networks.filled(model)
    kernel, _ = model.get_layer("first").get_weights()
    model.get_layer("first").set_weights([kernel, np.full(4, -2.0)])
    model.get_layer("second").set_weights([np.abs(model.get_layer("second").get_weights()[0]), np.zeros(2)])
    network = networks.network(model)
    dead, woken = (
        lab.maximize(network, lab.channel("second", [0, 1]), steps=200, seed=0, redirect=redirect, transforms="none")
        for redirect in (False, True)
    )
    assert not dead.curves.any() and (woken.curves[:, -1] > 0).all()


@pytest.mark.parametrize("kind", ["groups", "recurrent"])
def test_redirected_gradients_go_through_grouped_convolutions_and_recurrent_layers(kind):
    """Keras makes a graph of its own of either, in which no rule sees an operation."""
    pixels = keras.Input((12, 12, 3))
    values = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(pixels)
    if kind == "groups":
        values = keras.layers.Flatten()(keras.layers.Conv2D(6, 3, groups=2, activation="relu")(values))
    else:
        values = keras.layers.LSTM(3)(keras.layers.Reshape((5, 20))(values))
    network = networks.network(networks.filled(keras.Model(pixels, keras.layers.Dense(2)(values))))
    plain, redirected = (
        lab.maximize(network, lab.logit([0, 1]), steps=4, seed=0, redirect=redirect, transforms="none")
        for redirect in (False, True)
    )
    assert distance(plain.images, redirected.images) < 1e-4


def test_redirected_gradients_change_nothing_where_there_is_one(small):
    goal, moved = lab.channel("last", [1, 2]), (views.Pad(2), views.Jitter(4))
    plain, redirected = (
        lab.maximize(small, goal, steps=5, seed=0, redirect=redirect, transforms=moved) for redirect in (False, True)
    )
    assert distance(plain.images, redirected.images) < 1e-4


# Objectives ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read(small):
    inputs = networks.images(3)
    return inputs, routines.activations(small, inputs, "last")


def test_new_objectives_are_their_formulas(small, read):
    inputs, activations = read
    rng = np.random.default_rng(0)
    vector = rng.normal(size=activations.shape[-1])
    means = activations.mean((1, 2))
    other_activation = rng.normal(size=activations.shape[1:])
    dots = (means @ vector) * np.maximum(
        means @ vector / np.linalg.norm(means, axis=1) / np.linalg.norm(vector), 0.1
    ) ** 2
    expected = {
        lab.direction("last", vector, power=2.0): dots,
        lab.direction("last", vector, row=1, column=2): activations[:, 1, 2] @ vector,
        lab.weighted("last", [1, 4], [0.5, -2.0]): 0.5 * means[:, 1] - 2 * means[:, 4],
        lab.weighted("last", [[1], [2], [3]], [[1.0], [2.0], [3.0]]): np.diag(means[:, 1:4]) * [1, 2, 3],
        lab.interpolation("last", 1, 4, 3): [means[0, 1], (means[1, 1] + means[1, 4]) / 2, means[2, 4]],
        lab.group("last", [2, 3, 4], rows=(1, 2), columns=(0, 1)): [
            activations[i, 1:3, 0:2, i + 2].mean() for i in range(3)
        ],
        lab.likeness("last", other_activation): (activations * other_activation).sum((1, 2, 3)),
        lab.custom(lambda read: tf.reduce_max(read["last"], axis=(1, 2, 3)), "last"): activations.max((1, 2, 3)),
        lab.custom(lambda read: tf.reduce_sum(read["last"], (1, 2, 3)) + read["first"][:, 0, 0, 0], ["last", "first"])
        - lab.channel("last", 1): activations.sum((1, 2, 3))
        + routines.activations(small, inputs, "first")[:, 0, 0, 0]
        - means[:, 1],
    }
    for objective, value in expected.items():
        assert distance(routines.scores(small, inputs, objective), np.asarray(value)) < 1e-4, str(objective)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: lab.weighted("last", [1, 2], [1.0]), "Every channel has its weight"),
        (lambda: lab.direction("last", [1.0] * 12, row=1), "a row and a column"),
        (lambda: lab.group("last", 1, (3, 1), (0, 1)), "first <= last"),
        (lambda: lab.group("last", 1, (0, 99), (0, 1)), "A row of last is between"),
        (lambda: lab.direction("last", [1.0] * 12, row=1, column=77), "A column of last is between"),
        (lambda: lab.weighted("last", [99], [1.0]), "A channel of last"),
        (lambda: lab.likeness("last", np.ones((2, 2, 2))), "whole activations"),
        (lambda: lab.custom(lambda read: read["last"], "last"), "one score a sample"),
        (lambda: lab.custom(lambda read: read["last"], "lost"), "Unknown layer.*last"),
        (lambda: lab.custom(3, "last"), "takes a function"),
    ],
)
def test_objectives_refuse(small, make, expected):
    with pytest.raises(ValueError, match=expected):
        routines.scores(small, networks.images(1), make())


def test_feature_inversion_brings_an_activation_back(small):
    photograph = ndimage.gaussian_filter(np.random.default_rng(0).uniform(0, 1, (1, 16, 16, 3)), (0, 2, 2, 0))
    wanted = routines.activations(small, small.preprocess(255 * photograph), "first")
    pictures = lab.maximize(
        small, lab.likeness("first", wanted, power=2.0), steps=100, seed=0, transforms="none", linear=False
    )

    def cosine(inputs):
        activations = routines.activations(small, inputs, "first").ravel()
        return activations @ wanted.ravel() / np.linalg.norm(activations) / np.linalg.norm(wanted)

    start = lab.maximize(small, lab.likeness("first", wanted), steps=1, seed=0, transforms="none")
    assert cosine(pictures.inputs) > max(0.8, cosine(start.inputs))


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"facets": 0}, "facets is a whole number"),
        ({"views": 1.5}, "views is a whole number"),
        ({"transforms": "robst"}, "Unknown set of transforms.*robust"),
        ({"optimizer": "adam"}, "Keras optimizer"),
        ({"parameterization": Maco(magnitude=((1.0,),))}, "magnitude has the shape"),
        ({"parameterization": "shared", "facets": 2}, "one facet a unit"),
        ({"beside": {"x": [1]}}, "every input that is not drawn"),
    ],
)
def test_maximize_refuses_more(small, options, expected):
    with pytest.raises(ValueError, match=expected):
        lab.maximize(small, lab.channel("last", [0, 1]), steps=1, seed=0, **options)


def test_no_retrace_between_units_weights_of_penalties_and_facet_goals(small):
    def go(units, weight, goal):
        lab.maximize(
            small,
            lab.weighted("last", [[unit] for unit in units], [[1.0]] * len(units)),
            steps=2,
            seed=0,
            transforms="none",
            regularizers=[penalties.l2(weight), penalties.near(1.0, goal)],
        )

    go([0, 1], 1.0, np.full((1, 16, 16, 3), 0.3))
    before = small.traces
    go([4, 5, 6], 2.0, np.full((1, 16, 16, 3), 0.6))
    assert small.traces == before


@pytest.mark.parametrize("name", list(penalties.regularizers))
def test_every_registered_regularizer_keeps_the_contract(small, name):
    """Its weight is a number that travels as a tensor: another weight is no new trace, and it changes the picture."""
    make = penalties.regularizers.get(name)
    arguments = {"near": (np.full((1, 16, 16, 3), 0.4),), "diversity": ("last",)}.get(name, ())
    options = {"facets": 2} if name == "diversity" else {}
    options |= {"parameterization": "alpha" if name == "opacity" else "pixels", "steps": 8, "transforms": "none"}

    def go(weight):
        goal = lab.channel("last", [1, 2])
        return lab.maximize(small, goal, seed=0, regularizers=[make(weight, *arguments)], **options).images

    free = go(0.0)
    before = small.traces
    assert distance(go(300.0), free) > 1e-4 and small.traces == before
    with pytest.raises(ValueError, match="weight is a number"):
        make("much", *arguments)


def test_a_spectrum_of_parts_and_its_gradient_are_those_of_a_complex_product():
    rng = np.random.default_rng(0)
    parts, slope = (tf.constant(rng.normal(size=(2, 3, 8, 5, 2)), tf.float32) for _ in range(2))
    scale = parameterizations_module._frequency_scale((8, 8)).astype("complex64")

    def slow(parts):
        return tf.complex(parts[..., 0], parts[..., 1]) * scale

    def both(spectrum_of):
        @tf.function(autograph=False)
        def traced(parts):
            spectrum = spectrum_of(parts)
            return spectrum, tf.gradients(spectrum, parts, grad_ys=tf.complex(slope[..., 0], slope[..., 1]))[0]

        return [np.asarray(value) for value in traced(parts)]

    fast = both(lambda parts: parameterizations_module._scaled_spectrum(parts, (8, 8)))
    assert all(map(np.array_equal, fast, both(slow)))
