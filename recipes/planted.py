"""Planted: the folder that `lab plant` wrote: what was planted, and the networks that learned it."""

import json

from lab.refusal import Refused
from lab.remote import as_path
from recipes.store import Store

# The name of the recipe of `lab plant`, below whose folder its runs lie.
RECIPE = "plant"


def network_key(kind, index):
    """The key of the job that trains a network: str.

    Args:
        kind: "replicate" or "rival".
        index: int.

    Returns:
        str.
    """
    return f"network/{kind}-{index}"


class PlantedFolder:
    """What `lab plant` wrote into a folder, or the newest of what it wrote there.

    Args:
        address: the folder of `lab plant --out`, or that of its run.

    Raises:
        Refused: where there is none.
    """

    def __init__(self, address):
        root = as_path(address)
        runs = [root] if (root / "manifest.json").is_file() else _runs(root)
        if not runs:
            raise Refused(
                f"--planted names a folder that lab plant wrote. Received: {str(address)!r}, which holds no planted networks."
            )
        self.path = max(runs, key=lambda run: (run / "manifest.json").stat().st_mtime)
        self.manifest = _read_manifest(self.path)
        self._store = Store(self.path.parent.parent, self.path.parent.name, self.path.name)

    @property
    def recipe(self):
        """The recipe that the networks were planted by, as plain values: dict."""
        return self.manifest["recipe"]

    def weights(self, kind, index):
        """The weights of a network, as they were trained.

        Args:
            kind: "replicate" or "rival".
            index: int.

        Returns:
            dict of variable name to array.

        Raises:
            Refused: where the network is missing, or its files were changed.
        """
        key = network_key(kind, index)
        if not self._store.exists(key):
            raise Refused(
                f"A planted folder holds every network as it was trained. Received: {self.path}, where {key} is missing or was changed. Run lab plant again: it trains what is missing."
            )
        return self._store.arrays(key, "weights.npz")


def find_plantings(address):
    """What `lab plant` has written into a folder.

    Args:
        address: the folder of `lab plant --out`.

    Returns:
        list of (path, dict), the folder and the manifest of each run.
    """
    return [(path, _read_manifest(path)) for path in _runs(as_path(address))]


def _runs(root):
    """The runs of `lab plant` below a folder: list of Path."""
    return [file.parent for file in sorted((root / RECIPE).glob("*/manifest.json"))]


def _read_manifest(path):
    """The manifest of a run that planted networks: dict."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except ValueError:
        manifest = {}
    if not manifest.get("recipe", {}).get("planted"):
        raise Refused(
            f"--planted names a folder that lab plant wrote. Received: {str(path)!r}, which another command wrote."
        )
    return manifest
