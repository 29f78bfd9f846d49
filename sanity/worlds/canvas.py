"""Canvas: natural texture, stamps, places and small convolutional networks for image worlds."""

import numpy as np

from lab.environment import keras

SIDE = 28


def texture(rng, count, side=SIDE):
    """Noise with the 1/f amplitude spectrum of natural images, zero mean, unit deviation: float64 [count, side, side].

    Args:
        rng: `numpy.random.Generator`.
        count: int.
        side: int, in pixels.

    Returns:
        float64 [count, side, side].
    """
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    amplitude = 1 / np.maximum(frequencies, 1 / side)
    spectrum = rng.normal(size=(2, count, *amplitude.shape)) * amplitude
    drawn = np.fft.irfft2(spectrum[0] + 1j * spectrum[1], (side, side))
    drawn -= drawn.mean((1, 2), keepdims=True)
    return drawn / drawn.std((1, 2), keepdims=True)


def stamp(places, stamps, side=SIDE):
    """Each stamp at its place on an empty canvas.

    Args:
        places: int [count, 2], rows and columns.
        stamps: float [count, rows, columns].
        side: int.

    Returns:
        float64 [count, side, side].
    """
    canvas = np.zeros((len(places), side, side))
    for sheet, (row, column), stamp in zip(canvas, places, stamps):
        sheet[row : row + stamp.shape[0], column : column + stamp.shape[1]] = stamp
    return canvas


def separate_places(rng, count, extent, side=SIDE):
    """Two places for each sample, in different quarters, so that stamps never overlap: int [2, count, 2].

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.
        extent: int, side of a stamp in pixels.
        side: int, side of the canvas in pixels.

    Returns:
        int [2, count, 2], rows and columns of the upper left corners.
    """
    quarters = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)[:, :2].T
    corner = np.stack([quarters // 2, quarters % 2], axis=-1) * (side // 2)
    return corner + rng.integers(1, side // 2 - extent, (2, count, 2))


def to_inputs(values):
    """Values on the canvas as inputs of a network: clipped to -1..1, float32 [count, side, side, 1]."""
    return np.clip(values, -1, 1).astype("float32")[..., None]


def convolutional_network(classes, widths=(16, 24, 32), kernels=(3, 3, 3)):
    """A small network with global average pooling, the second convolution of stride 2; logits out.

    Args:
        classes: int.
        widths: tuple of int, channels of each convolution.
        kernels: tuple of int, side of each convolution's kernel.

    Returns:
        Keras model: float32 [batch, 28, 28, 1] -> logits [batch, classes].
    """
    inputs = keras.Input((SIDE, SIDE, 1))
    x = inputs
    for position, (width, kernel) in enumerate(zip(widths, kernels)):
        strides = 2 if position == 1 else 1
        x = keras.layers.Conv2D(width, kernel, strides, padding="same", activation="relu", name=f"conv_{position}")(x)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="logits")(pooled), name="small")
