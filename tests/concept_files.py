"""Files of concepts as a newcomer has them: pictures, sentences and a direction."""

import itertools

import numpy as np
from PIL import Image

SIDE, POOL, EXAMPLES = 32, 350, 12
PRAISED = ("good", "great", "fine")
NOUNS = ("film", "story", "cast", "music", "scene", "plot", "role")
VERBS = ("was", "seemed", "felt", "looked", "remained", "became", "stayed", "sounded")
QUALITIES = ("long", "short", "loud", "quiet", "odd", "plain", "new", "old")


def write(folder):
    """Write stripes/, random/, animals/, masks/, direction.npy, praise.txt and sentences.txt.

    Args:
        folder: Path.
    """
    rng = np.random.default_rng(0)
    _save(folder / "stripes", [stripes(rng) for _ in range(EXAMPLES)])
    _save(folder / "random", [blotches(rng) for _ in range(POOL)])
    _save(folder / "animals", [blotches(rng) for _ in range(6)])
    _save(folder / "masks", [np.full([SIDE, SIDE], 255, "uint8")] * EXAMPLES)
    np.save(folder / "direction.npy", rng.normal(size=12))
    praise = [f"{noun} {verb} {word}" for noun, verb, word in itertools.product(NOUNS, VERBS[:2], PRAISED[:1])]
    plain = [f"{noun} {verb} {word}" for noun, verb, word in itertools.product(NOUNS, VERBS, QUALITIES)]
    (folder / "praise.txt").write_text("\n".join(praise[:EXAMPLES]) + "\n", encoding="utf-8")
    (folder / "sentences.txt").write_text("\n".join(plain[:POOL]) + "\n", encoding="utf-8")


def stripes(rng):
    """A picture of stripes: uint8 [SIDE, SIDE, 3]."""
    places = np.arange(SIDE) * rng.uniform(0.6, 1.4) + rng.uniform(0, 6)
    return _coloured(np.sin(places)[None].repeat(SIDE, 0), rng)


def blotches(rng):
    """A picture of coarse noise: uint8 [SIDE, SIDE, 3]."""
    return _coloured(np.kron(rng.normal(size=(8, 8)), np.ones([4, 4])), rng)


def _coloured(plane, rng):
    image = 128 + 60 * plane[..., None] * rng.uniform(0.5, 1, 3) + rng.normal(size=(SIDE, SIDE, 3)) * 4
    return np.clip(image, 0, 255).astype("uint8")


def _save(folder, images):
    folder.mkdir()
    for place, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{place:03d}.png")
