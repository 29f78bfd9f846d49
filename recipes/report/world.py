"""World: what the networks of a planted data set are proven to use, with some samples and where the truth lies."""

import numpy as np

from recipes.galleries import png
from recipes.report.data_uri import png_uri

# Pixels of a sample's side, and how many samples are shown.
SIDE, SAMPLES = 72, 8


def describe_world(store, groups):
    """What the networks of a world are proven to use, with some samples and where the truth lies in them.

    Args:
        store: `Store` of the run.
        groups: dict of kind to the jobs of that kind that are done.

    Returns:
        dict of networks.json and the pictures of at most 8 samples; None where no networks were trained.
    """
    if not groups["networks"]:
        return None
    about = store.values("networks", "networks.json")
    arrays = store.arrays("networks", "samples.npz")
    images = arrays["images"]
    samples = []
    if images.ndim == 4:
        samples = [
            {
                "image": png_uri(png(_grey(image))),
                "mask": png_uri(png(_grey(arrays["masks"][place] * 1.0))) if "masks" in arrays else None,
            }
            for place, image in enumerate(images[:SAMPLES])
        ]
    return {**about, "pictures": samples}


def _grey(plane):
    """Values of any range as a small grey picture: uint8 [side, side, 1]."""
    flat = plane.mean(axis=-1) if plane.ndim == 3 else plane
    low, high = float(flat.min()), float(flat.max())
    scaled = np.round(255 * (flat - low) / ((high - low) or 1)).astype("uint8")
    times = max(1, SIDE // len(scaled))
    return np.kron(scaled, np.ones((times, times), "uint8"))[..., None]
