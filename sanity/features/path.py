"""Path: do pictures travel through the network as natural images of the same unit do?"""

import numpy as np
from scipy.stats import rankdata

from lab import routines
from lab.visualization.company import ancestors, ways
from sanity.evidence import Evidence, Gate
from sanity.features import features

# A layer where a unit's natural images are no more alike than this, above other units' images, cannot tell paths apart.
APART = 0.02
# A layer of fewer channels has too few ranks to compare.
FEWEST = 6


@features.register(about="Natural path")
def path(study, *, seed, layers=(), images=20, draws=500):
    """Do pictures travel through the layers before a unit as its natural images do (Geirhos et al. 2023, https://arxiv.org/abs/2306.04719)?

    Per layer: s(natural, picture) less s(natural, others), over s(natural, natural) less s(natural, others), s the mean
    Spearman correlation of the channels' means over positions: 1, the path of natural images; 0, that of an unrelated image. (By
    means, because a picture is full of what a photograph has in one place.) layers: addresses (empty:
    the layers of `followed`). images: natural images a unit. draws: of the bootstrap over images and pictures. -> Evidence
    with samples share, low, high [units, layers], nan where a layer cannot tell.
    """
    chosen = tuple(layers) or followed(study)
    top = study.survey.top[list(study.units), :images]
    others = _others(study, top, images, np.random.default_rng(seed))
    ranked = _ranks(study, chosen, np.unique([top, others]))
    shown = study.shown()
    drawn = _ranked(routines.means(study.network, shown.reshape(-1, *shown.shape[2:]), chosen))
    seeds = study.pictures.shape[1]
    found = np.full((3, len(study.units), len(chosen)), np.nan)
    for place in range(len(study.units)):
        for column, layer in enumerate(chosen):
            natural, other = (np.stack([ranked[layer][index] for index in row[place]]) for row in (top, others))
            made = drawn[layer][place * seeds : (place + 1) * seeds]
            rng = np.random.default_rng([seed, place, column])
            found[:, place, column] = share(natural, made, other, rng, draws)
    told = np.isfinite(found[0]).mean()
    gate = Gate(
        "layers tell units' images apart", "passed" if told > 0 else "failed", f"{told:.0%} of units and layers do"
    )
    samples = {"share": found[0], "low": found[1], "high": found[2], "units": np.array(study.units)}
    settings = {"layers": list(chosen), "images": images, **study.settings}
    return Evidence("path", study.name, study.subject, study.sizes, samples, (gate,), settings=settings)


def share(natural, made, other, rng, draws):
    """The share of the natural path, and its 95% interval: (float, float, float); nan where the layer cannot tell.

    natural, made, other: ranked activations [images, entries], each of length one.
    """
    within, to_made, to_other = natural @ natural.T, natural @ made.T, natural @ other.T
    apart = _mean_apart(within) - to_other.mean()
    if not apart > APART:
        return np.nan, np.nan, np.nan
    drawn = [_drawn(within, to_made, to_other, rng) for _ in range(draws)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return float((to_made.mean() - to_other.mean()) / apart), float(low), float(high)


def _drawn(within, to_made, to_other, rng):
    """One resample of natural images, pictures and others."""
    rows, made, other = (rng.integers(0, size, size) for size in (len(within), to_made.shape[1], to_other.shape[1]))
    base = to_other[np.ix_(rows, other)].mean()
    apart = _mean_apart(within[np.ix_(rows, rows)], rows) - base
    return (to_made[np.ix_(rows, made)].mean() - base) / apart if apart > APART / 4 else np.nan


def _mean_apart(square, drawn=None):
    """The mean over pairs of two different images."""
    drawn = np.arange(len(square)) if drawn is None else drawn
    different = drawn[:, None] != drawn[None]
    return square[different].mean() if different.any() else np.nan


def _others(study, top, images, rng):
    """For every unit, natural images that are the strongest of other units and not of its own: int [units, images]."""
    pool = np.unique(study.survey.top[:, :images])
    return np.stack([rng.choice(np.setdiff1d(pool, row), images, replace=True) for row in top])


def _ranks(study, layers, indices, batch=64):
    """Ranked activations of natural images: dict of layer to dict of image to row."""
    found = {layer: {} for layer in layers}
    for start in range(0, len(indices), batch):
        part = indices[start : start + batch]
        these = _ranked(routines.means(study.network, study.natural(part), layers))
        for layer in layers:
            found[layer].update(zip(part, these[layer]))
    return found


def _ranked(means):
    """Rows turned into ranks, centred, of length one: their products are Spearman correlations."""
    return {layer: _unit(rankdata(rows, axis=1)) for layer, rows in means.items()}


def _unit(ranks):
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def followed(study, count=4):
    """The last `count` groups of layers that the units are made from, fixed before anything is seen, a group being layers that do
    nothing but follow each other at one width (weights, normalization, activation), by its last layer. Of these the last
    two that tell a unit's natural images from others decide: earlier ones set honest pictures apart from photographs as well.
    """
    network, last = study.network, []
    before = ways(network)
    for address in ancestors(network, study.layer):
        width = network.shapes[address][-1]
        if width is None or width < FEWEST:
            continue
        if last and before.get(address) == [last[-1]] and network.shapes[last[-1]][-1] == width:
            last.pop()
        last.append(address)
    return tuple(last[-count:])
