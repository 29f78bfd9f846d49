"""Shelf: trained networks of worlds, kept by the hash of all they depend on, for every run under one folder to share."""

import os
import pathlib

import numpy as np

from recipes.store import pack


class Shelf:
    """`root/networks/<hash>.npz`; safe to delete: what is missing is trained again, to the same bytes."""

    def __init__(self, root):
        self.path = pathlib.Path(root) / "networks"

    def keep(self, key, make):
        """The arrays under a key, made and put there if they are not: dict of name to array."""
        file = self.path / f"{key[:32]}.npz"
        if file.is_file():
            with np.load(file, allow_pickle=False) as found:
                return {name.replace("|", "/"): found[name] for name in found.files}
        made = make()
        self.path.mkdir(parents=True, exist_ok=True)
        part = self.path / f".{file.name}-{os.getpid()}"
        part.write_bytes(pack({name.replace("/", "|"): value for name, value in made.items()}))
        os.replace(part, file)
        return made
