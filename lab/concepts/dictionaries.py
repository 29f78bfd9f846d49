"""Dictionaries: activations of a layer as sums of directions, the atoms.

learner(rows [rows, channels], *, atoms, seed, options) -> Dictionary        x  ~  origin + codes atoms
"""

import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA, non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from lab.refusal import Refused
from lab.registry import Registry, nearest
from lab.registry import options as known_options

learners = Registry("dictionary learner")
# What scikit-learn takes from a seed, and how often its coordinate descent goes around.
LARGEST_SEED, ROUNDS = 2**32, 400


@dataclass(frozen=True)
class Dictionary:
    """Directions of a layer, and how activations are written in them.

    Args:
        atoms: float32 [atoms, channels].
        origin: float32 [channels], what codes of zero stand for.
        kind: str, the name of its learner, which decides how it encodes.
        settings: dict of plain values, how it was learned.
        encoder: dict of name to array, what its encoder needs beside the atoms.
    """

    atoms: np.ndarray
    origin: np.ndarray
    kind: str
    settings: dict = field(default_factory=dict)
    encoder: dict = field(default_factory=dict)

    def __len__(self):
        return len(self.atoms)

    def encode(self, activations):
        """How much of each atom is in some activations.

        Args:
            activations: float [..., channels].

        Returns:
            float32 [..., atoms].
        """
        rows = np.asarray(activations, "float32")
        if rows.shape[-1] != self.atoms.shape[1]:
            raise Refused(
                f"A dictionary of {self.atoms.shape[1]} channels encodes activations of as many. Received: {rows.shape[-1]}."
            )
        encode = learners.tag(learners.get(self.kind), "encode")
        codes = encode(self, rows.reshape(-1, rows.shape[-1]))
        return np.asarray(codes, "float32").reshape(*rows.shape[:-1], len(self))

    def decode(self, codes):
        """Activations from codes.

        Args:
            codes: float [..., atoms].

        Returns:
            float32 [..., channels].
        """
        return np.asarray(codes, "float32") @ self.atoms + self.origin

    def as_arrays(self):
        """Arrays by name, for `from_arrays`; kind and settings are no part of them."""
        return {"atoms": self.atoms, "origin": self.origin, **{f"encoder/{k}": v for k, v in self.encoder.items()}}

    @classmethod
    def from_arrays(cls, arrays, kind, settings):
        """A dictionary from what `as_arrays` gave.

        Args:
            arrays: dict of name to array.
            kind: str.
            settings: dict.

        Returns:
            `Dictionary`.
        """
        encoder = {name.removeprefix("encoder/"): array for name, array in arrays.items() if "/" in name}
        return cls(arrays["atoms"], arrays["origin"], kind, settings, encoder)


def learn(rows, learner, *, atoms, seed, **options):
    """A dictionary of activations, by any learner.

    Args:
        rows: float [rows, channels].
        learner: a name of `learners`.
        atoms: int, how many.
        seed: int.
        options: of the learner.

    Returns:
        `Dictionary`.

    Raises:
        Refused: for an unknown learner or option, more atoms than rows, and rows that do not fit the learner.
    """
    function = learners.get(learner)
    refuse_options(learner, options)
    return function(rows, atoms=atoms, seed=seed, **options)


def refuse_options(learner, options):
    """Raise Refused for options that a learner does not have.

    Args:
        learner: str, its name.
        options: names of options.
    """
    known = [name for name in known_options(learners.get(learner)) if name not in ("atoms", "seed")]
    for name in options:
        if name not in known:
            raise Refused(f"Unknown option of {learner}. Received: {name!r}. {nearest(name, known)}")


def refuse_count(rows, atoms):
    """Raise Refused for no atom, and for fewer rows than atoms.

    Args:
        rows: int.
        atoms: int.
    """
    if not 1 <= atoms <= rows:
        raise Refused(
            f"A dictionary has one atom or more, and no more than rows. Received: {atoms} atoms for {rows} rows. Give fewer atoms, or more images."
        )


def check_rows(rows, atoms):
    """Activations to learn from, once they were checked.

    Args:
        rows: float [rows, channels].
        atoms: int.

    Returns:
        float32 [rows, channels].

    Raises:
        Refused: for another shape, NaN, and for fewer rows than atoms.
    """
    rows = np.asarray(rows, "float32")
    if rows.ndim != 2:
        raise Refused(f"A dictionary is learned from [rows, channels]. Received: an array of shape {rows.shape}.")
    refuse_count(len(rows), atoms)
    if not np.isfinite(rows).all():
        raise Refused(
            "A dictionary is learned from finite activations. Received: NaN or infinity. Leave those rows out."
        )
    if (rows == rows[0]).all():
        raise Refused(
            "A dictionary is learned from activations that differ. Received: the same in all rows, as of a dead layer. Name another layer."
        )
    return rows


def refuse_negative(rows):
    """Raise Refused for numbers below zero, which no sum of parts can give.

    Args:
        rows: float [rows, channels].
    """
    if rows.min() < 0:
        raise Refused(
            f"Non-negative factors need activations of 0 or more. Received: {rows.min():.3g}. Name a layer behind a ReLU, or the learner sparse_autoencoder, pca or kmeans."
        )


def _project(dictionary, rows):
    return (rows - dictionary.origin) @ dictionary.atoms.T


@learners.register(encode=_project, signed=True)
def pca(rows, *, atoms, seed):
    """Principal components, the directions of largest variance.

    Args:
        rows: float [rows, channels].
        atoms: int, at most the number of channels.
        seed: int, of the randomized solver of large matrices.

    Returns:
        `Dictionary`, whose codes are deviations from the mean and have either sign.

    Raises:
        Refused: for more atoms than rows or channels, and for activations that are not finite.
    """
    rows = check_rows(rows, atoms)
    if atoms > rows.shape[1]:
        raise Refused(
            f"Principal components are at most as many as channels. Received: {atoms} for {rows.shape[1]}. Give fewer atoms, or the learner sparse_autoencoder."
        )
    fitted = PCA(atoms, random_state=seed % LARGEST_SEED).fit(rows)
    return Dictionary(_float(fitted.components_), _float(fitted.mean_), "pca", {"atoms": atoms, "seed": seed})


def _nearest_centre(dictionary, rows):
    distances = (dictionary.atoms**2).sum(axis=1) - 2 * rows @ dictionary.atoms.T
    return np.eye(len(dictionary), dtype="float32")[distances.argmin(axis=1)]


@learners.register(encode=_nearest_centre)
def kmeans(rows, *, atoms, seed):
    """Centres of clusters: a code is 1 for the nearest centre, and 0 for the others.

    Args:
        rows: float [rows, channels].
        atoms: int.
        seed: int, of the first centres.

    Returns:
        `Dictionary`.

    Raises:
        Refused: for more atoms than rows, and for activations that are not finite.
    """
    rows = check_rows(rows, atoms)
    fitted = KMeans(atoms, n_init=1, random_state=seed % LARGEST_SEED).fit(rows)
    return Dictionary(_float(fitted.cluster_centers_), _zeros(rows), "kmeans", {"atoms": atoms, "seed": seed})


def encode_parts(dictionary, rows):
    """Codes of 0 or more whose sum of atoms lies nearest to each row, by scikit-learn's coordinate descent.

    Args:
        dictionary: `Dictionary` of atoms without negative numbers.
        rows: float32 [rows, channels].

    Returns:
        float32 [rows, atoms].
    """
    refuse_negative(rows)
    # Nothing starts from random numbers here, as the atoms do not move.
    options = {"n_components": len(dictionary), "update_H": False, "max_iter": ROUNDS}
    return non_negative_factorization(rows, H=dictionary.atoms.astype(rows.dtype), **options)[0]


@learners.register(encode=encode_parts, nonnegative=True)
def nmf(rows, *, atoms, seed):
    """Non-negative factors: activations as sums of parts (Lee, Seung 1999, https://doi.org/10.1038/44565).

    Args:
        rows: float [rows, channels], 0 or more.
        atoms: int.
        seed: int, of the start.

    Returns:
        `Dictionary`.

    Raises:
        Refused: for more atoms than rows, and for activations that are not finite or below zero.
    """
    return factorize(rows, atoms, seed, "nmf")


def factorize(rows, atoms, seed, kind):
    """Non-negative factors of activations by scikit-learn.

    Args:
        rows: float [rows, channels], 0 or more.
        atoms: int.
        seed: int.
        kind: str, the name of the learner.

    Returns:
        `Dictionary`.
    """
    rows = check_rows(rows, atoms)
    refuse_negative(rows)
    # A start that the seed does not change would call any dictionary stable.
    start = {"init": "random", "random_state": seed % LARGEST_SEED}
    with warnings.catch_warnings():
        # Coordinate descent that goes on would change little. How well rows are rebuilt is measured anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = NMF(atoms, max_iter=ROUNDS, **start).fit(rows)
    return Dictionary(_float(fitted.components_), _zeros(rows), kind, {"atoms": atoms, "seed": seed})


def _float(array):
    return np.asarray(array, "float32")


def _zeros(rows):
    return np.zeros(rows.shape[1], "float32")
