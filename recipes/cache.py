"""Cache: expensive results (trained networks, surveys of images) by the hash of all they depend on, for all runs."""

import pathlib

import numpy as np

from recipes.store import pack, replace, sweep


class Cache:
    """The files `root/<noun>/<hash>.npz`, safe to delete: a missing one is computed again, to the same bytes."""

    def __init__(self, root, noun="networks"):
        self.path = pathlib.Path(root) / noun

    def get(self, key, compute):
        """The arrays under a key, computed and written where they are missing.

        Args:
            key: hash of all that the arrays depend on.
            compute: function without arguments -> dict of name to array.

        Returns:
            dict of name to array.
        """
        file = self.path / f"{key[:32]}.npz"
        if file.is_file():
            with np.load(file, allow_pickle=False) as arrays:
                return {name.replace("|", "/"): arrays[name] for name in arrays.files}
        arrays = compute()
        self.path.mkdir(parents=True, exist_ok=True)
        sweep(self.path)
        replace(file, pack({name.replace("/", "|"): value for name, value in arrays.items()}))
        return arrays
