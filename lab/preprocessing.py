"""Preprocessing: RGB images in 0..255 <-> what a network takes.

The lab needs a network's preprocessing as an affine map of colours: inputs = images @ matrix + offset. Then it can be
inverted and run inside a graph. `probe_preprocessing` finds the map of a function, and refuses a function that is none.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lab.environment import tf
from lab.images import as_channels, from_pillow
from lab.refusal import Refused

FITS = ("squash", "crop")
# Inputs that lie this many times their range outside of it are taken for images that were not preprocessed.
FAR = 4


@dataclass(frozen=True)
class Preprocessing:
    """An affine map of colours.

    Args:
        matrix: nested tuples of float [channels, channels].
        offset: tuple of float [channels].
    """

    matrix: tuple
    offset: tuple

    @property
    def channels(self):
        """How many channels the network takes: int."""
        return len(self.offset)

    def preprocess(self, images, size, *, fit="squash"):
        """Images in 0..255 -> inputs, resized.

        Grey is repeated for three channels. RGB becomes its luma for one channel, with a warning where there were colours.

        Args:
            images: one, a list or a batch, Pillow images or arrays [rows, columns] or [rows, columns, channels].
            size: rows and columns of the inputs.
            fit: "squash", or "crop" for a centre crop.

        Returns:
            float32 [images, *size, channels].

        Raises:
            Refused: for another `fit`, and for no image.
        """
        if fit not in FITS:
            raise Refused(f"fit is one of {', '.join(FITS)}. Received: {fit!r}.")
        batch, tops = [], []
        for image in _as_list(images, self.channels):
            image = _check_image(image, self.channels)
            tops.append(float(image.max()) if image.dtype.kind == "f" else 255.0)
            batch.append(_resize(image, size, fit))
        if not batch:
            raise Refused("A batch holds at least one image. Received: none.")
        _warn_of_unit_range(max(tops))
        return self.apply(np.stack(batch))

    def apply(self, images):
        """Images in 0..255 [..., channels] -> inputs, array or tensor; no resizing."""
        matrix, offset = np.array(self.matrix, "float32"), np.array(self.offset, "float32")
        # A diagonal map is a product of numbers: inside a graph a matrix product over pixels costs much more.
        mixed = images * np.diag(matrix) if (matrix == np.diag(np.diag(matrix))).all() else images @ matrix
        return mixed + offset

    def deprocess(self, inputs):
        """Inputs -> images in 0..255, float32; the inverse of `apply`."""
        return (np.asarray(inputs, "float32") - np.array(self.offset, "float32")) @ np.linalg.inv(
            np.array(self.matrix)
        ).astype("float32")

    @property
    def range(self):
        """The least and the largest number of what black and white become: (float, float)."""
        ends = self.apply(np.array([[0.0], [255.0]]) * np.ones(self.channels))
        return float(ends.min()), float(ends.max())

    def refuse_raw(self, inputs):
        """Refuse images in whole numbers for a network that takes others.

        Args:
            inputs: array [batch, rows, columns, channels].

        Raises:
            Refused: for whole numbers, unless the network takes 0..255 as they are.
        """
        if inputs.dtype.kind not in "iu" or self._is_identity():
            return
        low, high = self.range
        if low <= inputs.min() and inputs.max() <= high and high - low < 200:
            raise Refused(
                f"The network takes images in {low:.4g}..{high:.4g}. Received: {inputs.dtype} in {inputs.min()}..{inputs.max()}. Where they are its inputs already, give them as float32."
            )
        raise Refused(self._advise(inputs))

    def warn_of_range(self, inputs):
        """Warn of inputs far outside of what black and white become, and of 0..1 where they are 0..255.

        Args:
            inputs: array [batch, rows, columns, channels].
        """
        low, high = self.range
        is_unit = self._is_identity() and inputs.min() >= 0 and 0 < inputs.max() <= 1
        if is_unit or max(inputs.max() - high, low - inputs.min()) > FAR * (high - low):
            warnings.warn(self._advise(inputs), stacklevel=4)

    def _is_identity(self):
        """Whether images in 0..255 are given to the network as they are: bool."""
        return np.allclose(self.matrix, np.eye(self.channels), atol=0.01) and np.allclose(self.offset, 0, atol=1)

    def _advise(self, inputs):
        low, high = self.range
        return (
            f"The network takes images in {low:.4g}..{high:.4g}. Received: {inputs.dtype} in {inputs.min():.4g}.."
            f"{inputs.max():.4g}. net.preprocess(images) makes its inputs of images in 0..255."
        )


def linear_preprocessing(low, high, channels=3):
    """Preprocessing that maps 0..255 linearly to low..high.

    Args:
        low: float, the input for 0.
        high: float, the input for 255.
        channels: int, channels of the inputs.

    Returns:
        `Preprocessing`.

    Raises:
        Refused: unless low is less than high.
    """
    if not high > low:
        raise Refused(f"input_range is (low, high) with low < high. Received: ({low}, {high}).")
    matrix = np.eye(channels) * (high - low) / 255.0
    return Preprocessing(tuple(map(tuple, matrix.tolist())), (float(low),) * channels)


def probe_preprocessing(function, channels=3):
    """The affine map of colours that a function on images is equal to.

    Args:
        function: takes images [images, rows, columns, channels] in 0..255.
        channels: how many the images have.

    Returns:
        `Preprocessing`.

    Raises:
        Refused: where the function is not such a map, which random images show.
    """
    corners = np.concatenate([np.zeros((1, channels)), 255.0 * np.eye(channels)])[:, None, None, :].astype("float32")
    responses = _call_checked(function, np.broadcast_to(corners, (channels + 1, 4, 4, channels)).copy())[
        :, 0, 0, :
    ].astype("float64")
    matrix = (responses[1:] - responses[0]) / 255.0
    preprocessing = Preprocessing(tuple(map(tuple, matrix.tolist())), tuple(responses[0].tolist()))
    trial = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, channels)).astype("float32")
    scale = np.abs(responses).max() + 1e-12
    if (
        np.abs(_call_checked(function, trial.copy()) - preprocessing.apply(trial)).max() > 1e-4 * scale
        or np.linalg.matrix_rank(matrix) < channels
    ):
        raise Refused(
            f"preprocess= maps each colour by itself, invertibly. Received: {function!r}, which does not; give input_range= instead."
        )
    return preprocessing


def _call_checked(function, images):
    result = np.asarray(function(images))
    if result.shape != images.shape:
        raise Refused(f"preprocess= keeps the shape of the images. Received: {images.shape} -> {result.shape}.")
    return result


def _as_list(images, channels):
    """The images of a list, of a batch, or of one."""
    if isinstance(images, Image.Image):
        return [images]
    # Nor are a tensor's rows images.
    images = np.asarray(images) if hasattr(images, "__array__") else images
    if not isinstance(images, np.ndarray):
        return images
    return [images] if images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in (1, 3, channels)) else images


def _check_image(image, channels):
    """An image as an array [rows, columns, channels], checked."""
    image = from_pillow(image, channels) if isinstance(image, Image.Image) else np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or 0 in image.shape or image.dtype.kind not in "uif":
        raise Refused(
            f"An image is an array [rows, columns, {channels}] or [rows, columns] of numbers in 0..255. Received: {image.dtype} {image.shape}."
        )
    if not np.isfinite(image).all() or image.min() < 0 or image.max() > 255:
        raise Refused(f"Image values lie in 0..255. Received: {image.min()} to {image.max()}.")
    return as_channels(image, channels)


def _warn_of_unit_range(top):
    """Warn where the largest value of all images is above 0 and at most 1, as for images in 0..1."""
    if 0 < top <= 1:
        warnings.warn(
            f"Images are given in 0..255. The largest value of these is {top:g}, as in images in 0..1: multiply such by 255.",
            stacklevel=4,
        )


def _resize(image, size, fit):
    if size is None:
        raise Refused(
            "Images are resized to the network's size. Received: a network without one; give size= to lab.load."
        )
    if fit == "crop":
        side = min(image.shape[0] / size[0], image.shape[1] / size[1])
        rows, columns = round(side * size[0]), round(side * size[1])
        top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
        image = image[top : top + rows, left : left + columns]
    image = image.astype("float32")
    if image.shape[:2] == tuple(size):
        return image
    return np.clip(tf.image.resize(image, size, method="bicubic", antialias=True).numpy(), 0, 255)
