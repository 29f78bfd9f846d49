"""Resampling: views and blurs against scipy and against whole matrices in float64, and gradients that are exact."""

import numpy as np
import pytest
from scipy import ndimage

from lab.environment import tf
from lab.refusal import Refused
from lab.visualization.resampling import gaussian_blur, place_view
from lab.visualization.transforms import Crop, Rotate, View

DRAWS = [(0.35, (20, -9), 30), (1.15, (0, 0), -30), (0.8, (1.5, -2), 11), (1.0, (0, 0), 0), (2.0, (-7, 3), 45)]


def view(images, rows, columns, zoom, shift, degrees, widest=45.0):
    return place_view(
        tf.convert_to_tensor(images),
        rows,
        columns,
        tf.convert_to_tensor(zoom),
        tf.constant(shift, tf.float32),
        tf.constant(np.deg2rad(degrees), tf.float32),
        zooms=(0.35, 2.0),
        widest=np.deg2rad(widest),
    )


def weights(targets, sources, step, begins):
    """Triangle weights of all sources: float64 [lines, targets, sources]."""
    reach = max(abs(step), 1.0)
    positions = begins[:, None] + step * np.arange(targets)
    return np.maximum(0, 1 - np.abs(positions[..., None] - np.arange(sources)) / reach) / reach


def whole_view(images, rows, columns, zoom, shift, degrees):
    """The same view by whole matrices in float64, as Catmull and Smith have it."""
    _, height, width, _ = images.shape
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    down, across = height / (rows * zoom), width / (columns * zoom)
    y0, x0 = (rows - 1) / 2 + shift[0], (columns - 1) / 2 + shift[1]
    top = (height - 1) / 2 - down * (cosine * y0 + sine * x0)
    # The column that lies under canvas column 0 in each source row, where y = ((row - top) / down - sine x) / cosine.
    y_of_row = (np.arange(height) - top) / down / cosine
    begins = across * (-cosine * x0 - sine * (y_of_row - y0)) + (width - 1) / 2
    first = np.einsum("rxs,ursc->urxc", weights(columns, width, across / cosine, begins), images - 0.5)
    second = weights(rows, height, down * cosine, down * sine * np.arange(columns) + top)
    return np.einsum("xyr,urxc->uyxc", second, first) + 0.5


def smooth(side=48):
    noise = np.random.default_rng(0).uniform(0, 1, (1, side, side, 3))
    return np.clip(0.5 + 3 * (ndimage.gaussian_filter(noise, (0, 3, 3, 0)) - 0.5), 0, 1).astype("float32")


@pytest.mark.parametrize(
    "zoom, shift, degrees", [(1.0, (0, 0), 0), (1.0, (3, -2), 0), (1.15, (0, 0), 12), (0.9, (2, 1), -15)]
)
def test_a_view_is_the_affine_map_it_says(zoom, shift, degrees):
    image, angle = smooth(), np.deg2rad(degrees)
    drawn = view(image, 40, 40, zoom, shift, degrees).numpy()[0]
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
    assert np.abs(drawn[inner] - expected[inner]).max() < (0.03 if scale <= 1.2 else 0.05)


@pytest.mark.parametrize("zoom, shift, degrees", DRAWS)
@pytest.mark.parametrize("size, canvas", [((48, 40), (37, 50)), ((7, 9), (100, 5)), ((64, 64), (64, 64))])
def test_a_view_is_that_of_whole_matrices(zoom, shift, degrees, size, canvas):
    images = np.random.default_rng(0).uniform(0, 1, (2, *size, 3)).astype("float32")
    expected = whole_view(images.astype("float64"), *canvas, zoom, shift, degrees)
    assert np.abs(view(images, *canvas, zoom, shift, degrees) - expected).max() < 2e-4


@pytest.mark.parametrize("zoom, shift, degrees", DRAWS)
def test_the_gradient_of_a_view_is_exact(zoom, shift, degrees):
    """<view(a), b> is linear in a: its gradient dotted with any a is that number."""
    rng = np.random.default_rng(1)
    a, b = (tf.constant(rng.normal(size=(2, *size, 3)), tf.float32) for size in ((48, 40), (37, 50)))
    with tf.GradientTape() as tape:
        tape.watch(a)
        product = tf.reduce_sum(b * (view(a + 0.5, 37, 50, zoom, shift, degrees) - 0.5))
    gradient = tape.gradient(product, a)
    scale = float(tf.norm(gradient) * tf.norm(a))
    assert abs(float(tf.reduce_sum(gradient * a)) - float(product)) < 1e-5 * scale


def test_xla_places_the_same_views():
    def slope(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            blurred = gaussian_blur(view(images, 37, 50, *DRAWS[0]), tf.constant(0.7), widest=2.0)
            total = tf.reduce_sum(blurred**2)
        return blurred, tape.gradient(total, images)

    images = tf.constant(smooth())
    for plain, compiled in zip(slope(images), tf.function(slope, jit_compile=True)(images)):
        assert np.abs(plain - compiled).max() < 1e-4


def test_a_small_view_is_grey_outside_and_keeps_the_mean_inside():
    drawn = view(np.ones((1, 48, 48, 3), "float32"), 48, 48, 0.5, (0, 0), 0).numpy()[0]
    assert np.allclose(drawn[:8], 0.5) and np.abs(drawn[18:30, 18:30] - 1).max() < 0.02
    assert abs(drawn.mean() - (0.5 + 0.5 * 0.25)) < 0.01


def test_a_view_upside_down_turns_the_picture():
    image = smooth()
    drawn = view(image, 48, 48, 1.0, (0, 0), 180, widest=180.0).numpy()
    assert np.abs(drawn - image[:, ::-1, ::-1]).max() < 1e-3
    assert np.isfinite(Rotate(180.0)(tf.constant(image), tf.constant([0, 1]))).all()


def test_draws_have_no_gradient():
    zoom = tf.constant(0.8)
    with tf.GradientTape() as tape:
        tape.watch(zoom)
        total = tf.reduce_sum(view(smooth(), 48, 48, zoom, (1, 2), 10) ** 2)
    assert tape.gradient(total, zoom) is None


def test_windows_of_any_size_are_whole_matrices_too():
    image = tf.constant(smooth())
    assert np.isfinite(Crop(0.0, 0.9)(image, tf.constant([0, 1]))).all()
    # The whole picture as a window.
    assert np.abs(Crop(1.0, 1.0)(image, tf.constant([0, 1])) - image).max() < 1e-5


def test_a_zoom_of_nothing_is_refused():
    with pytest.raises(Refused, match="above 0"):
        View(48, 48, zoom=(0.0, 1.0))(tf.constant(smooth()), tf.constant([0, 1]))


def test_a_blur_is_gaussian():
    image = smooth()
    expected = ndimage.gaussian_filter(image[0], (2, 2, 0))
    blurred = gaussian_blur(tf.constant(image), tf.constant(2.0), widest=2.0).numpy()[0]
    assert np.abs(blurred - expected)[8:-8, 8:-8].max() < 5e-3


@pytest.mark.parametrize("shape", [(2, 100, 3), (1, 75, 40, 2), (2, 11, 33, 9, 1)])
@pytest.mark.parametrize("deviation", [0.3, 1.0, 3.0])
def test_a_blur_is_that_of_whole_matrices(shape, deviation):
    images = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = images.astype("float64")
    for axis in range(1, len(shape) - 1):
        at = np.arange(shape[axis])
        matrix = np.exp(-0.5 * ((at[:, None] - at) / deviation) ** 2)
        matrix /= matrix.sum(axis=1, keepdims=True)
        expected = np.moveaxis(np.tensordot(matrix, expected, (1, axis)), 0, axis)
    with tf.GradientTape() as tape:
        watched = tf.constant(images)
        tape.watch(watched)
        blurred = gaussian_blur(watched, tf.constant(deviation), widest=3.0)
    assert np.abs(blurred - expected).max() < 1e-5
    # The matrix is no symmetric one at the edges, and its transpose is the gradient.
    other = np.random.default_rng(1).normal(size=shape).astype("float32")
    gradient = tape.gradient(blurred, watched, other)
    assert np.sum(gradient * images) == pytest.approx(np.sum(other * expected), abs=1e-3)
