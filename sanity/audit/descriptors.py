"""Descriptors: what a linear model can take of pictures and texts: oriented gradients, colours, words, and a network's activations.

Oriented gradients: Dalal, Triggs 2005 (https://doi.org/10.1109/CVPR.2005.177). Words are weighted by how rare they are:
Spärck Jones 1972 (https://doi.org/10.1108/eb026526). Activations are in `sanity.audit.pretrained`.
"""

import numpy as np
from skimage.feature import hog
from skimage.transform import resize

from lab.model_names import DEFAULT
from sanity.audit.pictures import COLOURED, GREY, LUMA, three_channels
from sanity.audit.texts import words_of

GRADIENTS, COLOURS, WORDS, PRETRAINED = "oriented gradients", "colours", "words", DEFAULT
# Of pictures, in the order of the ladder.
OF_PICTURES = (COLOURS, GRADIENTS, PRETRAINED)
# Pixels of a side that gradients are counted in, of a cell, and cells of a block.
SIDE, CELL, BLOCK = 48, 8, 2
# Levels of a channel that colours are counted in, together with the other channels and alone.
TOGETHER, ALONE = 4, 16
# Words that a linear model takes at most.
MOST_WORDS = 20_000


def picture_descriptors(images):
    """Oriented gradients and colours of pictures.

    Args:
        images: sequence of arrays [rows, columns, channels] in 0..255. No one of two bands, or of more than three, is known to
            be a colour: gradients are then those of their mean, and levels are counted in each band alone.

    Returns:
        dict of `GRADIENTS` to float32 [images, 900], and `COLOURS` to float32 [images, 112], or 16 for each band.
    """
    pictures = [_as_colours(np.asarray(image, "float32")) for image in images]
    return {
        GRADIENTS: np.stack([_gradients(image) for image in pictures]).astype("float32"),
        COLOURS: np.stack([_colours(image) for image in pictures]).astype("float32"),
    }


def _as_colours(image):
    return three_channels(image) if image.shape[-1] in (GREY, COLOURED) else image


def _gradients(image):
    grey = image @ LUMA.astype("float32") if image.shape[-1] == COLOURED else image.mean(axis=-1)
    small = resize(grey / 255, (SIDE, SIDE), anti_aliasing=True)
    return hog(small, pixels_per_cell=(CELL, CELL), cells_per_block=(BLOCK, BLOCK), block_norm="L2-Hys")


def _colours(image):
    """Shares of 4 x 4 x 4 colours, and of 16 levels of each channel: float [112]; of other bands the levels alone."""
    pixels = np.clip(image.reshape(-1, image.shape[-1]), 0, 255)
    counts = [np.bincount(channel, minlength=ALONE) for channel in (pixels * ALONE / 256).astype(int).T]
    if image.shape[-1] == COLOURED:
        together = (pixels * TOGETHER / 256).astype(int) @ (TOGETHER**2, TOGETHER, 1)
        counts.insert(0, np.bincount(together, minlength=TOGETHER**3))
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
