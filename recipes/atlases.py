"""Atlases: the jobs that put a layer's activations in order, over one photograph or over all images."""

import numpy as np
from skimage.transform import resize

from lab.images import read
from lab.refusal import Refused
from lab.registry import nearest
from lab.visualization import atlas as maps
from lab.visualization.canvas import canvas
from recipes.galleries import png, square
from recipes.job import Job
from recipes.store import encode, pack

LARGEST, SHOWN = 112, 4


def list_jobs(number, asked, session):
    """One job for each atlas of a recipe; raises Refused for a layer without positions."""
    network = session.network
    canvas(network)
    if asked.layer not in network.shapes:
        raise Refused(f"Unknown layer. Received: {asked.layer!r}. {nearest(asked.layer, network.shapes)}")
    network.spatial(asked.layer, axes=2)
    maps.layouts.get(asked.layout)
    if asked.image:
        read(asked.image, channels=session.channels)
    rows, columns = network.shapes[asked.layer][1:3]
    cells = rows * columns + asked.groups if asked.image else asked.side**2
    kind = "blocks" if asked.image else "atlas"
    yield Job(f"atlas/{number}", kind, {"atlas": number}, passes=cells * asked.steps)


def draw_blocks(session, _, job):
    """Building blocks of one photograph: a picture at every position, groups of neurons, and the strongest channels at each."""
    asked, network = session.recipe.atlas[job.arguments["atlas"]], session.network
    image = read(asked.image, channels=session.channels)
    inputs = network.preprocess(image, fit="crop")
    seed = session.recipe.seed
    cells = maps.grid(network, inputs, asked.layer, seed=seed, steps=asked.steps)
    grouped = maps.groups(network, inputs, asked.layer, asked.groups, seed=seed)
    drawn = maps.pictured(network, grouped.directions, asked.layer, seed=seed, steps=asked.steps)
    channels, shares = maps.dictionary(network, inputs, asked.layer, SHOWN)
    about = {"layer": asked.layer, "image": asked.image, "rows": len(cells), "columns": cells.shape[1]}
    files = {f"group-{place}.png": png(each) for place, each in enumerate(drawn.images)}
    files |= {f"where-{place}.png": png(_over(grouped.shares[0, ..., place])) for place in range(asked.groups)}
    files |= {"grid.png": png(_joined(cells)), "image.png": png(resized(square(image), 224))}
    arrays = {"channels": channels, "shares": shares, "groups": grouped.directions, "where": grouped.shares[0]}
    return {"atlas.npz": pack(arrays), "about.json": encode(about), **files}


def lay_out_atlas(session, _, job):
    """A map of what a layer holds over all images."""
    asked, network = session.recipe.atlas[job.arguments["atlas"]], session.network
    seed = session.recipe.seed
    found = maps.atlas(network, session.natural_images, asked.layer, seed=seed, layout=asked.layout, side=asked.side)
    if not len(found.cells):
        raise Refused(
            f"An atlas needs cells with two images or more. Received: {len(session.natural_images)} images on {asked.side} x {asked.side} cells."
        )
    drawn = maps.pictured(network, found.vectors, asked.layer, seed=seed, steps=asked.steps)
    whole = np.full((asked.side, asked.side, *drawn.images.shape[1:]), 0.5, "float32")
    for (row, column), image in zip(found.cells, drawn.images):
        whole[row, column] = image
    about = {
        "layer": asked.layer,
        "image": None,
        "rows": asked.side,
        "columns": asked.side,
        "images": len(session.natural_images),
    }
    arrays = {"cells": found.cells, "counts": found.counts, "vectors": found.vectors, "places": found.places}
    return {"atlas.npz": pack(arrays), "about.json": encode(about), "grid.png": png(_joined(whole))}


def _joined(cells):
    """Pictures [rows, columns, r, c, channels] in 0..1 as one, each at most LARGEST pixels a side and 896 in all."""
    side = min(LARGEST, cells.shape[2], 896 // max(cells.shape[:2]))
    small = np.stack([np.stack([resized(each, side) for each in row]) for row in cells])
    return np.concatenate([np.concatenate(list(row), axis=1) for row in small], axis=0)


def _over(plane):
    """Where a group is active, from dark to bright."""
    return resize(plane / max(float(plane.max()), 1e-12), (224, 224), order=1)[..., None]


def resized(image, side):
    """An image at another size, in 0..1: float [side, side, channels]."""
    image = image / 255.0 if image.dtype == np.uint8 else image
    return resize(image, (side, side), anti_aliasing=True)
