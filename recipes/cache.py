"""Cache: expensive results (trained networks, surveys of many images), kept by the hash of all they depend on, shared by every run."""

import pathlib

import numpy as np

from recipes.store import pack, replace, sweep


class Cache:
    """`root/<noun>/<hash>.npz`; safe to delete: what is missing is made again, to the same bytes."""

    def __init__(self, root, noun="networks"):
        self.path = pathlib.Path(root) / noun

    def get(self, key, make):
        """The arrays under a key, made and put there if they are not: dict of name to array."""
        file = self.path / f"{key[:32]}.npz"
        if file.is_file():
            with np.load(file, allow_pickle=False) as kept:
                return {name.replace("|", "/"): kept[name] for name in kept.files}
        arrays = make()
        self.path.mkdir(parents=True, exist_ok=True)
        sweep(self.path)
        replace(file, pack({name.replace("/", "|"): value for name, value in arrays.items()}))
        return arrays
