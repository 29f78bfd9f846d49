"""XRAI: the segments of an image, ranked by the attributions inside them."""

import numpy as np
from skimage.morphology import dilation, disk
from skimage.segmentation import felzenszwalb

from lab.attribution import explainers
from lab.attribution.options import positive_integer
from lab.attribution.paths import integrated_gradients
from lab.environment import tf
from lab.maps import pooled
from lab.refusal import Refused

# Felzenszwalb's scales, smoothing and smallest segment, and the widening in pixels, as in the authors' code.
SCALES, SIGMA, SMALLEST, WIDENED = (50, 100, 150, 250, 500, 1200), 0.8, 150, 5


# Two paths; segmenting costs about as much as forty gradients.
@explainers.register(cost=lambda network, options: 2 * options["steps"] + 40)
def xrai(network, inputs, objective, *, steps=50):
    """XRAI, regions ranked by the integrated gradients inside them (Kapishnikov, Bolukbasi, Viegas, Terry 2019, https://arxiv.org/abs/1906.02825).

    Integrated gradients start from each image's own lowest and highest value, and are averaged. Segments have six scales and
    are widened by five pixels. The best region is added again and again; its pixels get the mean attribution of what it adds.

    Args:
        inputs: images [batch, rows, columns, channels].
        steps: gradients along each path.

    Returns:
        signed float32 [batch, rows, columns].

    Raises:
        Refused: for inputs that are not images.
    """
    arrays = network.inputs(inputs)
    if not isinstance(arrays, np.ndarray) or arrays.ndim != 4 or arrays.dtype.kind != "f":
        raise Refused(
            f"XRAI segments images, [batch, rows, columns, channels]. Received: {tf.nest.map_structure(np.shape, arrays)}."
        )
    positive_integer("steps", steps)
    ends = [pick(arrays, axis=(1, 2, 3), keepdims=True) for pick in (np.min, np.max)]
    maps = np.mean(
        [integrated_gradients(network, arrays, objective, steps=steps, baseline=end) for end in ends], axis=0
    )
    return np.stack([_rank_segments(plane, segments(image)) for plane, image in zip(pooled(maps), arrays)])


def segments(image):
    """Segments of an image at several scales, widened, no two alike.

    Args:
        image: [rows, columns, channels].

    Returns:
        bool [segments, rows * columns].
    """
    low, high = image.min(), image.max()
    scaled = (image - low) / ((high - low) or 1)
    masks = {}
    for scale in SCALES:
        labels = felzenszwalb(scaled, scale=scale, sigma=SIGMA, min_size=SMALLEST, channel_axis=-1)
        for label in np.unique(labels):
            mask = dilation(labels == label, disk(WIDENED)).ravel()
            masks.setdefault(mask.tobytes(), mask)
    return np.stack(list(masks.values()))


def _rank_segments(plane, masks):
    """The value of each pixel when regions are added from best to worst: float32 [rows, columns].

    The best region has the highest mean over the pixels that are not yet covered.
    """
    values, result = plane.ravel().astype("float64"), np.zeros(plane.size)
    left, sums, counts = np.ones(plane.size, bool), masks @ values, masks.sum(axis=1).astype("float64")
    while left.any() and (counts > 0).any():
        gains = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)
        best = int(np.argmax(gains))
        taken = masks[best] & left
        result[taken] = gains[best]
        left &= ~taken
        sums -= masks[:, taken] @ values[taken]
        counts -= masks[:, taken].sum(axis=1)
    return result.reshape(plane.shape).astype("float32")
