"""Parameterizations: what is optimized instead of pixels.

Each is a frozen pair of traceable functions: `start(units, rows, columns, channels, seed) -> parameters`, a tensor
[units, ...], and `picture(parameters, rows, columns, channels) -> images` [units, rows, columns, channels] in 0..1.
All units start from the same draw, so that a unit's picture does not depend on its company.
"""

import math
from dataclasses import dataclass

import numpy as np

from lab.environment import tf
from lab.registry import Registry

parameterizations = Registry("parameterization")

# Square root of the covariance of RGB colours in logit space, over the photographs of the installed packages
# (`python -m tests.bench.colour`), scaled to unit spectral norm: columns are what one decorrelated coordinate adds to R, G, B.
COLOUR = ((0.579, 0.232, 0.033), (0.585, -0.038, -0.086), (0.568, -0.198, 0.055))


@dataclass(frozen=True)
class Fourier:
    """Spectrum of the picture, every frequency given the same energy (Olah, Mordvintsev, Schubert 2017, https://distill.pub/2017/feature-visualization)."""

    decorrelate: bool = True
    deviation: float = 0.01

    def start(self, units, rows, columns, channels, seed):
        """float32 [units, channels, rows, columns // 2 + 1, 2]: real and imaginary parts."""
        drawn = self.deviation * tf.random.stateless_normal([1, channels, rows, columns // 2 + 1, 2], seed)
        return tf.tile(drawn, [units, 1, 1, 1, 1])

    def picture(self, parameters, rows, columns, channels):
        """The image of a spectrum: inverse transform, colours correlated as in photographs, sigmoid."""
        spectrum = tf.complex(parameters[..., 0], parameters[..., 1]) * _frequency_scale(rows, columns)
        pixels = tf.transpose(tf.signal.irfft2d(spectrum, [rows, columns]), [0, 2, 3, 1])
        return _coloured(pixels, channels, self.decorrelate)


@dataclass(frozen=True)
class Pixels:
    """The picture's own pixels before a sigmoid."""

    decorrelate: bool = True
    deviation: float = 0.01

    def start(self, units, rows, columns, channels, seed):
        """float32 [units, rows, columns, channels]."""
        return tf.tile(
            self.deviation * tf.random.stateless_normal([1, rows, columns, channels], seed), [units, 1, 1, 1]
        )

    def picture(self, parameters, rows, columns, channels):
        """The image of the pixels: colours correlated as in photographs, sigmoid."""
        del rows, columns  # The parameters have the picture's own shape.
        return _coloured(parameters, channels, self.decorrelate)


@parameterizations.register
def fourier(*, decorrelate=True):
    """1/f-scaled spectrum: smooth pictures; `decorrelate` mixes colours as photographs do."""
    return Fourier(decorrelate)


@parameterizations.register
def pixels(*, decorrelate=True):
    """Pixels themselves: the honest, noisy baseline; `decorrelate` mixes colours as photographs do."""
    return Pixels(decorrelate)


def _frequency_scale(rows, columns):
    """1/f, complex64 [rows, columns // 2 + 1]: with it white noise in the parameters has the spectrum of photographs."""
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    # The mean has frequency 0: it is treated as the lowest frequency that the picture can hold.
    scale = 1.0 / np.maximum(frequency, 1.0 / max(rows, columns))
    # A quarter, as in the paper's own code, keeps the first sigmoid away from its flat ends.
    return (scale * math.sqrt(rows * columns) / 4.0).astype("complex64")


def _coloured(pixels, channels, decorrelate):
    if decorrelate and channels == 3:
        pixels = tf.tensordot(pixels, tf.constant(COLOUR, pixels.dtype), [[3], [1]])
    return tf.sigmoid(pixels)
