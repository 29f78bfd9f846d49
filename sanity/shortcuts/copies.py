"""Copies: pictures that are nearly the same are one group, because what a classifier saw of one tells it the label of the other."""

import numpy as np
from scipy import sparse
from skimage.transform import resize

# Side of the thumbnails that are compared, and the correlation from which two pictures are copies.
SIDE, ALIKE = 16, 0.95
# Thumbnails that are compared at once.
CHUNK = 2000


def thumbnail(image):
    """A small grey picture whose correlation with another says how alike they are.

    Args:
        image: uint8 [rows, columns, 3].

    Returns:
        float32 [SIDE * SIDE], centred and of length 1; zero for a picture of one colour.
    """
    grey = resize(image.mean(axis=-1), (SIDE, SIDE), anti_aliasing=True)
    # What is left after the broad gradients are taken away tells two skies apart.
    detail = grey - resize(resize(grey, (4, 4), anti_aliasing=True), (SIDE, SIDE))
    length = np.linalg.norm(detail - detail.mean())
    return ((detail - detail.mean()) / length if length > 1e-6 else np.zeros_like(detail)).ravel().astype("float32")


def join_copies(thumbnails, groups):
    """Groups in which near copies are together.

    Args:
        thumbnails: float32 [images, SIDE * SIDE], as of `thumbnail`.
        groups: sequence of hashable, one an image.

    Returns:
        int [images], from 0 on.
    """
    thumbnails, codes = np.asarray(thumbnails), np.unique([str(group) for group in groups], return_inverse=True)[1]
    first, second = _alike(thumbnails)
    count = codes.max() + 1
    graph = sparse.coo_matrix((np.ones(len(first)), (codes[first], codes[second])), (count, count))
    return sparse.csgraph.connected_components(graph, directed=False)[1][codes]


def join_groups(first, second):
    """Groups of either kind that share a row are one.

    Args:
        first: sequence of hashable, one a row.
        second: another.

    Returns:
        int [rows], from 0 on.
    """
    codes = [np.unique([str(group) for group in groups], return_inverse=True)[1] for groups in (first, second)]
    count = codes[0].max() + 1
    places = codes[0], count + codes[1]
    size = count + codes[1].max() + 1
    graph = sparse.coo_matrix((np.ones(len(codes[0])), places), (size, size))
    joined = sparse.csgraph.connected_components(graph, directed=False)[1][codes[0]]
    return np.unique(joined, return_inverse=True)[1]


def _alike(thumbnails):
    """Places of the two pictures of every pair of copies: int [pairs], int [pairs]."""
    pairs = [np.zeros((2, 0), int)]
    for start in range(0, len(thumbnails), CHUNK):
        rows, columns = np.nonzero(thumbnails[start : start + CHUNK] @ thumbnails.T > ALIKE)
        pairs.append(np.stack([rows + start, columns]))
    return np.concatenate(pairs, axis=1)
