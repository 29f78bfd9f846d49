"""Parameterizations: what is optimized instead of pixels.

Each is a frozen object with traceable methods. A picture's shape is (*extent, channels): rows and columns of an image, the
length of a series, the three sides of a volume.

constants(shape) -> tuple of arrays that are passed as tensors: a spectrum, the coordinates of positions.
encode(photographs) -> tuple of one array, the photographs [units, *shape] in the parameterization's coordinates; or Refused.
start(units, shape, seed, constants, encoded) -> parameters, a structure of tensors [units, ...], or [1, ...] where units share them.
picture(parameters, shape, constants) -> images [units, *shape] in 0..1.

All units start from the same draw, so that a unit's picture does not depend on the others in its batch. Where `coupled` is true, the
units of a batch share parameters, and a batch is never split.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from lab.environment import tf
from lab.refusal import Refused
from lab.registry import Registry
from lab.visualization import spectrum
from lab.visualization.colour import from_colours, to_colours

parameterizations = Registry("parameterization")


@dataclass(frozen=True)
class Parameterization:
    """What all parameterizations have.

    Args:
        decorrelate: whether colours are correlated as in photographs.
        deviation: the standard deviation of the first draw.
    """

    decorrelate: bool = True
    deviation: float = 0.01

    coupled = False

    transparent = False

    def constants(self, shape):
        """No constants."""
        del shape
        return ()

    def encode(self, photographs):
        """The photographs' coordinates."""
        return (from_colours(photographs, self.decorrelate),)

    def _refuse(self):
        raise Refused(
            f"start= needs a parameterization that can represent a photograph. Received: {self!r}. Nearest: fourier, pixels, pyramid, maco."
        )

    def _draw(self, units, shape, seed):
        return _tile(self.deviation * tf.random.stateless_normal([1, *shape], seed), units)


@dataclass(frozen=True)
class Pixels(Parameterization):
    """The picture's own pixels before a sigmoid."""

    def start(self, units, shape, seed, constants, encoded):
        """float32 [units, *shape].

        Args:
            units: int or int32 tensor, how many pictures.
            shape: (*extent, channels) of a picture.
            seed: int32 tensor [2].
            constants: tuple of tensors, as of `constants`.
            encoded: tuple of one tensor, the photographs as of `encode`; () for a random start.

        Returns:
            float32 [units, *shape].
        """
        drawn = self._draw(units, shape, seed)
        return drawn + encoded[0] if encoded else drawn

    def picture(self, parameters, shape, constants):
        """The image of the pixels.

        Args:
            parameters: float32 [units, *shape].
            shape: (*extent, channels) of a picture.
            constants: tuple of tensors, as of `constants`.

        Returns:
            float32 [units, *extent, channels] in 0..1.
        """
        del shape, constants  # The parameters have the picture's own shape.
        return to_colours(parameters, self.decorrelate)


@dataclass(frozen=True)
class Fourier(Parameterization):
    """Spectrum of the picture, every frequency given the same energy (Olah, Mordvintsev, Schubert 2017, https://distill.pub/2017/feature-visualization)."""

    def start(self, units, shape, seed, constants, encoded):
        """float32 [units, channels, *frequencies, 2]: real and imaginary parts.

        Args:
            units: int or int32 tensor, how many pictures.
            shape: (*extent, channels) of a picture.
            seed: int32 tensor [2].
            constants: tuple of tensors, as of `constants`.
            encoded: tuple of one tensor, the photographs as of `encode`; () for a random start.

        Returns:
            float32 [units, channels, *frequencies, 2].
        """
        *extent, channels = shape
        drawn = self._draw(units, [channels, *_frequencies(extent), 2], seed)
        return (
            drawn + _to_parts(_transform(encoded[0]) / _frequency_scale(tuple(extent)).astype("complex64"))
            if encoded
            else drawn
        )

    def picture(self, parameters, shape, constants):
        """The image of a spectrum: inverse transform, colours, sigmoid.

        Args:
            parameters: float32 [units, channels, *frequencies, 2].
            shape: (*extent, channels) of a picture.
            constants: tuple of tensors, as of `constants`.

        Returns:
            float32 [units, *extent, channels] in 0..1.
        """
        del constants
        return to_colours(_inverse_transform(_scaled_spectrum(parameters, shape[:-1]), shape), self.decorrelate)


@dataclass(frozen=True)
class Maco(Parameterization):
    """The phase of the spectrum alone, under the magnitude of natural photographs (Fel et al. 2023, https://arxiv.org/abs/2306.06805).

    Args:
        magnitude: nested tuples [channels, rows, columns // 2 + 1], as of `spectrum.magnitude(...).tolist()`; None:
            that of the photographs of the installed packages.
    """

    magnitude: tuple | None = None
    deviation: float = 1.0

    def constants(self, shape):
        """The magnitude."""
        if len(shape) != 3:
            raise Refused(f"MaCo needs pictures of rows and columns. Received: a picture of shape {tuple(shape)}.")
        magnitude = (
            _natural_spectrum(shape, self.decorrelate)
            if self.magnitude is None
            else np.array(self.magnitude, "float32")
        )
        if magnitude.shape != (shape[2], shape[0], shape[1] // 2 + 1):
            raise Refused(
                f"A magnitude has the shape [channels, rows, columns // 2 + 1] of its picture, {(shape[2], shape[0], shape[1] // 2 + 1)}. Received: {magnitude.shape}."
            )
        return (magnitude[None],)

    def start(self, units, shape, seed, constants, encoded):
        """Phases in radians, float32 [units, channels, rows, columns // 2 + 1].

        Args:
            units: int or int32 tensor, how many pictures.
            shape: (*extent, channels) of a picture.
            seed: int32 tensor [2].
            constants: tuple of tensors, as of `constants`.
            encoded: tuple of one tensor, the photographs as of `encode`; () for a random start.

        Returns:
            float32 [units, channels, rows, columns // 2 + 1], phases in radians.
        """
        *extent, channels = shape
        if encoded:
            return tf.math.angle(_transform(encoded[0]))
        return self._draw(units, [channels, *_frequencies(extent)], seed)

    def picture(self, parameters, shape, constants):
        """The image of these phases under the given magnitude.

        Args:
            parameters: float32 [units, channels, rows, columns // 2 + 1], phases in radians.
            shape: (*extent, channels) of a picture.
            constants: tuple of tensors, as of `constants`.

        Returns:
            float32 [units, *extent, channels] in 0..1.
        """
        spectrum = tf.complex(constants[0] * tf.cos(parameters), constants[0] * tf.sin(parameters))
        return to_colours(_inverse_transform(spectrum, shape), self.decorrelate)


@dataclass(frozen=True)
class Pyramid(Parameterization):
    """A sum of `levels` pictures, each of half the side of the one before (Laplacian pyramid; Mordvintsev, Olah, Tyka 2015)."""

    levels: int = 5

    def start(self, units, shape, seed, constants, encoded):
        """A tuple of float32 [units, *extent / 2^level, channels]; a photograph goes into the finest level.

        Args:
            units: int or int32 tensor, how many pictures.
            shape: (*extent, channels) of a picture.
            seed: int32 tensor [2].
            constants: tuple of tensors, as of `constants`.
            encoded: tuple of one tensor, the photographs as of `encode`; () for a random start.

        Returns:
            tuple of float32 [units, *extent / 2^level, channels], the finest level first.
        """
        drawn = tuple(
            self._draw(units, level, tf.random.experimental.stateless_fold_in(seed, number))
            for number, level in enumerate(_level_shapes(shape, self.levels))
        )
        return (drawn[0] + encoded[0], *drawn[1:]) if encoded else drawn

    def picture(self, parameters, shape, constants):
        """The image of the sum.

        Args:
            parameters: tuple of float32 [units, *extent / 2^level, channels].
            shape: (*extent, channels) of a picture.
            constants: tuple of tensors, as of `constants`.

        Returns:
            float32 [units, *extent, channels] in 0..1.
        """
        del constants
        return to_colours(functools.reduce(tf.add, [_enlarge(level, shape) for level in parameters]), self.decorrelate)


@dataclass(frozen=True)
class Shared(Parameterization):
    """Fourier pictures over coarse ones that all units of the batch share, so that their parts lie in the same places.

    Aligned batches: Mordvintsev et al. 2018, https://distill.pub/2018/differentiable-parameterizations.

    Args:
        factors: how much coarser each shared picture is than the full one.
    """

    factors: tuple = (4, 8, 16)

    coupled = True

    def encode(self, photographs):
        """Raises Refused: a shared picture belongs to no photograph."""
        self._refuse()

    def start(self, units, shape, seed, constants, encoded):
        """The units' own spectra, and a tuple of shared pictures [1, *extent / factor, channels].

        Args:
            units: int or int32 tensor, how many pictures.
            shape: (*extent, channels) of a picture.
            seed: int32 tensor [2].
            constants: tuple of tensors, as of `constants`.
            encoded: tuple of one tensor, the photographs as of `encode`; () for a random start.

        Returns:
            float32 [units, channels, *frequencies, 2], and a tuple of float32 [1, *extent / factor, channels].
        """
        coarse = tuple(
            self._draw(1, _coarser_shape(shape, factor), tf.random.experimental.stateless_fold_in(seed, factor))
            for factor in self.factors
        )
        return Fourier(self.decorrelate, self.deviation).start(units, shape, seed, constants, encoded), coarse

    def picture(self, parameters, shape, constants):
        """The image of each unit's own picture plus the shared ones.

        Args:
            parameters: (the units' spectra, tuple of shared pictures), as of `start`.
            shape: (*extent, channels) of a picture.
            constants: tuple of tensors, as of `constants`.

        Returns:
            float32 [units, *extent, channels] in 0..1.
        """
        del constants
        spectrum, coarse = parameters
        pixels = _inverse_transform(_scaled_spectrum(spectrum, shape[:-1]), shape)
        return to_colours(
            pixels + functools.reduce(tf.add, [_enlarge(level, shape) for level in coarse]), self.decorrelate
        )


@dataclass(frozen=True)
class Cppn(Parameterization):
    """A small network from coordinates to colours, whose weights are optimized: pictures without pixels.

    Stanley 2007; Mordvintsev et al. 2018, https://distill.pub/2018/differentiable-parameterizations.
    """

    width: int = 24
    depth: int = 6
    deviation: float = 1.0

    def encode(self, photographs):
        """Raises Refused: no weights are known that draw a photograph."""
        self._refuse()

    def constants(self, shape):
        """The coordinates of every position [1, positions, axes + 1]."""
        axes = [np.linspace(-math.sqrt(3), math.sqrt(3), side) for side in shape[:-1]]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
        radius = np.linalg.norm(grid, axis=1, keepdims=True)
        return (np.concatenate([grid, radius], 1)[None].astype("float32"),)

    def start(self, units, shape, seed, constants, encoded):
        """Weights of each layer, a tuple of float32 [units, in, out].

        Args:
            units: int or int32 tensor, how many pictures.
            shape: (*extent, channels) of a picture.
            seed: int32 tensor [2].
            constants: tuple of tensors, as of `constants`.
            encoded: tuple of one tensor, the photographs as of `encode`; () for a random start.

        Returns:
            tuple of float32 [units, in, out], one a layer.
        """
        sizes = [len(shape), *[2 * self.width] * self.depth]
        outs = [*[self.width] * self.depth, shape[-1]]
        # The last layer starts at almost nothing: a grey picture.
        scales = [*[self.deviation] * self.depth, 0.01]
        return tuple(
            _tile(
                scale
                / math.sqrt(size)
                * tf.random.stateless_normal([1, size, out], tf.random.experimental.stateless_fold_in(seed, number)),
                units,
            )
            for number, (size, out, scale) in enumerate(zip(sizes, outs, scales))
        )

    def picture(self, parameters, shape, constants):
        """The image that the small network draws.

        Args:
            parameters: tuple of float32 [units, in, out], one a layer.
            shape: (*extent, channels) of a picture.
            constants: tuple of tensors, as of `constants`.

        Returns:
            float32 [units, *extent, channels] in 0..1.
        """
        values = constants[0]
        for weights in parameters[:-1]:
            bent = tf.atan(values @ weights)
            values = tf.concat([bent / 0.67, tf.square(bent) / 0.6], axis=-1)
        return to_colours(tf.reshape(values @ parameters[-1], [-1, *shape]), self.decorrelate)


@dataclass(frozen=True)
class Alpha:
    """Pictures with transparency: opacity is a last channel beside the colours of an inner parameterization.

    During the ascent they lie over backgrounds that are drawn anew at each step, and opacity can be penalized
    (`regularizers.opacity`).
    """

    inner: Parameterization = Fourier()

    @property
    def coupled(self):
        """Whether units share parameters: bool."""
        return self.inner.coupled

    transparent = True

    def constants(self, shape):
        """The constants of the colours."""
        return self.inner.constants(shape)

    def encode(self, photographs):
        """The photographs' coordinates; the opacity starts from a random draw."""
        return self.inner.encode(photographs)

    def start(self, units, shape, seed, constants, encoded):
        """The parameters of the colours and of the opacity.

        Args:
            units: int or int32 tensor, how many pictures.
            shape: (*extent, channels) of a picture.
            seed: int32 tensor [2].
            constants: tuple of tensors, as of `constants`.
            encoded: tuple of one tensor, the photographs as of `encode`; () for a random start.

        Returns:
            (parameters of the colours, parameters of the opacity).
        """
        beside = tf.random.experimental.stateless_fold_in(seed, 7)
        return self.inner.start(units, shape, seed, constants, encoded), self._plane().start(
            units, (*shape[:-1], 1), beside, (), ()
        )

    def picture(self, parameters, shape, constants):
        """Colours and opacity: images [units, *extent, channels + 1].

        Args:
            parameters: (parameters of the colours, parameters of the opacity).
            shape: (*extent, channels) of a picture.
            constants: tuple of tensors, as of `constants`.

        Returns:
            float32 [units, *extent, channels + 1] in 0..1.
        """
        colours, opacity = parameters
        return tf.concat(
            [self.inner.picture(colours, shape, constants), self._plane().picture(opacity, (*shape[:-1], 1), ())],
            axis=-1,
        )

    def _plane(self):
        return Fourier(decorrelate=False, deviation=0.01)


@parameterizations.register
def fourier(*, decorrelate=True):
    """1/f-scaled spectrum: smooth pictures; `decorrelate` mixes colours as photographs do."""
    return Fourier(decorrelate)


@parameterizations.register
def pixels(*, decorrelate=True):
    """Pixels themselves: the honest, noisy baseline."""
    return Pixels(decorrelate)


@parameterizations.register
def maco(*, decorrelate=True, magnitude=None):
    """Phases under the magnitude spectrum of photographs (Fel et al. 2023, https://arxiv.org/abs/2306.06805).

    Args:
        decorrelate: bool, whether colours are mixed as in photographs.
        magnitude: float [channels, rows, columns], as of `spectrum.magnitude`; None: that of the installed packages' photographs.

    Returns:
        `Maco`.
    """
    constants = (
        None
        if magnitude is None
        else tuple(tuple(tuple(row) for row in plane) for plane in np.asarray(magnitude).tolist())
    )
    return Maco(decorrelate, magnitude=constants)


@parameterizations.register
def pyramid(*, decorrelate=True, levels=5):
    """A sum of pictures from fine to coarse.

    Args:
        decorrelate: bool, whether colours are mixed as in photographs.
        levels: int, how many pictures are summed.

    Returns:
        `Pyramid`.
    """
    return Pyramid(decorrelate, levels=levels)


@parameterizations.register
def shared(*, decorrelate=True, factors=(4, 8, 16)):
    """Pictures of one batch over coarse ones that they share: aligned.

    Args:
        decorrelate: bool, whether colours are mixed as in photographs.
        factors: tuple of int, how many times coarser each shared picture is.

    Returns:
        `Shared`.
    """
    return Shared(decorrelate, factors=tuple(factors))


@parameterizations.register
def cppn(*, decorrelate=False, width=24, depth=6):
    """A small network from coordinates to colours.

    Args:
        decorrelate: bool, whether colours are mixed as in photographs.
        width: int, units of a layer.
        depth: int, layers.

    Returns:
        `Cppn`.
    """
    return Cppn(decorrelate, width=width, depth=depth)


@parameterizations.register
def alpha(*, inner="fourier"):
    """Pictures with transparency, over another parameterization."""
    return Alpha(parameterizations.get(inner)())


def resolve_parameterization(parameterization):
    """A parameterization by its name, or the object itself."""
    return parameterizations.get(parameterization)() if isinstance(parameterization, str) else parameterization


@functools.lru_cache(maxsize=4)
def _natural_spectrum(shape, decorrelate):
    return spectrum.natural(*shape, decorrelate)


def _tile(drawn, units):
    return tf.tile(drawn, [units, *[1] * (len(drawn.shape) - 1)])


def _frequencies(extent):
    return [*extent[:-1], extent[-1] // 2 + 1]


@functools.lru_cache(maxsize=16)
def _frequency_scale(extent):
    """1/f, float32 [*frequencies]: with it white noise in the parameters has the spectrum of photographs."""
    axes = [*(np.fft.fftfreq(side) for side in extent[:-1]), np.fft.rfftfreq(extent[-1])]
    frequency = np.sqrt(functools.reduce(np.add.outer, [axis**2 for axis in axes]))
    # The mean has frequency 0: it is treated as the lowest frequency that the picture can hold.
    scale = 1.0 / np.maximum(frequency, 1.0 / max(extent))
    # A quarter, as in the paper's own code, keeps the first sigmoid away from its flat ends.
    return (scale * math.sqrt(math.prod(extent)) / 4.0).astype("float32")


def _scaled_spectrum(parts, extent):
    """Real and imaginary parts [..., *frequencies, 2] times 1/f, as complex64 [..., *frequencies]."""
    return _as_complex(parts * _frequency_scale(tuple(extent))[..., None])


@tf.custom_gradient
def _as_complex(parts):
    """Real and imaginary parts as complex numbers; TensorFlow's own gradient pads each part to all of them and adds both."""
    # A bitcast would spare the copy as well, but XLA has none between real and complex numbers.
    return tf.complex(parts[..., 0], parts[..., 1]), _to_parts


def _to_parts(spectrum):
    return tf.stack([tf.math.real(spectrum), tf.math.imag(spectrum)], axis=-1)


def _inverse_transform(spectrum, shape):
    """Spectra [units, channels, *frequencies] -> pixels [units, *extent, channels]."""
    *extent, _ = shape
    if len(extent) == 3:
        # TensorFlow's own inverse in three dimensions has no gradient.
        spectrum = tf.transpose(tf.signal.ifft(tf.transpose(spectrum, [0, 1, 3, 4, 2])), [0, 1, 4, 2, 3])
    inverse = tf.signal.irfft if len(extent) == 1 else tf.signal.irfft2d
    return _channels_last(inverse(spectrum, extent[-2:]))


def _transform(pixels):
    """Pixels [units, *extent, channels] -> spectra [units, channels, *frequencies]."""
    forward = {1: tf.signal.rfft, 2: tf.signal.rfft2d, 3: tf.signal.rfft3d}[len(pixels.shape) - 2]
    last = len(pixels.shape) - 1
    return forward(tf.transpose(pixels, [0, last, *range(1, last)]))


def _channels_last(planes):
    return tf.transpose(planes, [0, *range(2, len(planes.shape)), 1])


def _coarser_shape(shape, factor):
    return (*(max(1, -(-side // factor)) for side in shape[:-1]), shape[-1])


def _level_shapes(shape, levels):
    return [_coarser_shape(shape, 2**level) for level in range(levels)]


def _enlarge(images, shape):
    """Images [units, ...] at a picture's extent: each axis by linear interpolation, as a product with a matrix of weights."""
    for axis, side in enumerate(shape[:-1], start=1):
        if images.shape[axis] != side:
            weights = tf.constant(_interpolation(side, images.shape[axis]))
            moved = tf.tensordot(images, weights, [[axis], [1]])
            last = len(images.shape) - 1
            images = tf.transpose(moved, [*range(axis), last, *range(axis, last)])
    return images


def _interpolation(fine, coarse):
    """Weights [fine, coarse] of linear interpolation between the centres of cells, constant beyond the outer ones."""
    at = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(coarse)[None])).astype("float32")
