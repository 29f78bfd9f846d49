"""Pictured: worlds of pictures in which it is known where current ones differ, and what tells their labels."""

import numpy as np

import lab
from sanity.audit.encoding import encode_inputs
from sanity.audit.eyes import Eyes
from sanity.audit.patches import compare_patches, picture_patches
from sanity.audit.pictures import picture_columns, picture_statistics
from sanity.audit.rows import AuditSubject, Rows

# Side of the pictures in pixels, and of a mark in one of their corners, which is two patches of two pixels each way.
SIDE, MARK = 28, 4
MARKED = np.s_[:2, -2:]
# Photographs of one living thing each, and of things.
LIVING, THINGS = ("chelsea", "astronaut", "grace_hopper", "flower"), ("coffee", "rocket", "motorcycle", "china")


def clouds(rng, count):
    """Pictures whose neighbouring pixels are alike: float32 [count, 28, 28, 3] in 0..255."""
    coarse = rng.normal(0, 30, (count, 4, 4, 3))
    pictures = 128 + np.kron(coarse, np.ones((1, 7, 7, 1))) + rng.normal(0, 10, (count, SIDE, SIDE, 3))
    return np.clip(pictures, 0, 255).astype("float32")


def rows_of(pictures, units=None):
    """Pictures as rows of an audit, each a unit where none are known: `Rows`."""
    statistics = {"all": picture_statistics(pictures)}
    columns = picture_columns(statistics, {"all": ["a.png"] * len(pictures)})["all"]
    units = np.arange(len(pictures)) if units is None else units
    return Rows(columns, units, has_units=True, patches=picture_patches(pictures))


def pair(seed, sizes=(120, 80), brighter=0):
    """Pictures of two times, of which the later ones have a corner at the top right that is brighter by some levels: `AuditSubject`."""
    rng = np.random.default_rng(seed)
    reference, current = clouds(rng, sizes[0]), clouds(rng, sizes[1])
    corner = np.s_[:, :MARK, -MARK:]
    current[corner] = np.minimum(current[corner] + brighter, 255)
    return AuditSubject("net", rows_of(reference), current=rows_of(current), kind="image")


def persons(seed, sizes=(14, 10), each_has=6, are_units=True):
    """Several pictures of each person, which are alike, and no shift: `AuditSubject`."""
    rng, parts = np.random.default_rng(seed), []
    for size in sizes:
        units = np.repeat(np.arange(size), each_has)
        pictures = 0.8 * clouds(rng, size)[units] + 0.2 * clouds(rng, len(units))
        parts.append(rows_of(pictures, units if are_units else None))
    return AuditSubject("net", parts[0], current=parts[1], kind="image")


def gaps_of(subject, seed=0, draws=99):
    """How far the patches of both times differ: `PatchGaps`."""
    eyes = Eyes(encode_inputs(subject.test, subject.current), seed=seed)
    return compare_patches(eyes, eyes.look(draws), 0.05)


def objects(seed, count=240):
    """Cut-outs of photographs in colours that say nothing, turned and mirrored: list of uint8 [64, 64, 3].

    Returns:
        the pictures, and whether each shows a living thing, int [count].
    """
    rng, names = np.random.default_rng(seed), (*THINGS, *LIVING)
    photographs = dict(zip(names, lab.photographs(names).images))
    places = rng.integers(len(names), size=count)
    pictures = [_cut_out(rng, photographs[names[place]]) for place in places]
    return pictures, (places >= len(THINGS)).astype(int)


def _cut_out(rng, photograph):
    rows, columns = photograph.shape[:2]
    side = int(min(rows, columns) * rng.uniform(0.6, 0.95))
    top, left = rng.integers(rows - side + 1), rng.integers(columns - side + 1)
    places = np.linspace(0, side - 1, 64).round().astype(int)
    small = photograph[top : top + side, left : left + side][places][:, places].astype("float64")
    coloured = small[..., rng.permutation(3)] * rng.uniform(0.5, 1.2, 3) + rng.uniform(-30, 30, 3)
    mirrored = coloured[:, ::-1] if rng.random() < 0.5 else coloured
    return np.clip(np.rot90(mirrored, rng.integers(4)), 0, 255).astype("uint8")
