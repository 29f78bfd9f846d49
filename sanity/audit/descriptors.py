"""Descriptors: what a linear model can take of pictures and texts without any network: oriented gradients, colours, and words.

Oriented gradients: Dalal, Triggs 2005 (https://doi.org/10.1109/CVPR.2005.177). Words are weighted by how rare they are:
Spärck Jones 1972 (https://doi.org/10.1108/eb026526).
"""

import numpy as np
from skimage.feature import hog
from skimage.transform import resize

from sanity.audit.pictures import LUMA
from sanity.audit.texts import words_of

GRADIENTS, COLOURS, WORDS = "oriented gradients", "colours", "words"
# Of pictures, in the order of the ladder.
OF_PICTURES = (COLOURS, GRADIENTS)
# Pixels of a side that gradients are counted in, of a cell, and cells of a block.
SIDE, CELL, BLOCK = 48, 8, 2
# Levels of a channel that colours are counted in, together with the other channels and alone.
TOGETHER, ALONE = 4, 16
# Words that a linear model takes at most.
MOST_WORDS = 20_000


def picture_descriptors(images):
    """Oriented gradients and colours of pictures.

    Args:
        images: sequence of arrays [rows, columns, channels] in 0..255.

    Returns:
        dict of `GRADIENTS` to float32 [images, 900] and `COLOURS` to float32 [images, 112].
    """
    colours = [_three_channels(np.asarray(image, "float32")) for image in images]
    return {
        GRADIENTS: np.stack([_gradients(image) for image in colours]).astype("float32"),
        COLOURS: np.stack([_colours(image) for image in colours]).astype("float32"),
    }


def _three_channels(image):
    # A fourth channel is how much of a pixel is seen, and two are grey with it.
    return image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)


def _gradients(image):
    grey = resize(image @ LUMA.astype("float32") / 255, (SIDE, SIDE), anti_aliasing=True)
    return hog(grey, pixels_per_cell=(CELL, CELL), cells_per_block=(BLOCK, BLOCK), block_norm="L2-Hys")


def _colours(image):
    """Shares of 4 x 4 x 4 colours, and of 16 levels of each channel: float [112]."""
    pixels = np.clip(image.reshape(-1, 3), 0, 255)
    together = (pixels * TOGETHER / 256).astype(int) @ (TOGETHER**2, TOGETHER, 1)
    counts = [np.bincount(together, minlength=TOGETHER**3)]
    counts += [np.bincount(channel, minlength=ALONE) for channel in (pixels * ALONE / 256).astype(int).T]
    return np.concatenate(counts) / len(pixels)


def count_words():
    """A scikit-learn transformer of texts: how often each word occurs, weighted by how rare it is.

    Returns:
        `sklearn.feature_extraction.text.TfidfVectorizer`, of 20,000 words at most.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer=_words_or_none, sublinear_tf=True, max_features=MOST_WORDS)


def _words_or_none(text):
    """The words of a text; of one without any the empty word, so that there is a column."""
    return words_of(text) or [""]
