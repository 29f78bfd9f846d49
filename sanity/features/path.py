"""Path: do pictures travel through the network as natural images of the same unit do?"""

import numpy as np
from scipy.stats import rankdata

from lab import routines
from lab.visualization.connections import ancestors, layer_graph, mixes
from sanity.evidence import Evidence, Gate
from sanity.features import crossing, features, sources
from sanity.statistics import FEWEST

# A layer of fewer channels has too few ranks to compare.
NARROWEST = 6
# The last layers that tell a unit's natural images from those of other units decide: this many.
DECIDING = 2
PERMUTATIONS = 9999


@features.register(about="Natural path")
def path(study, *, seed, layers=(), images=20):
    """Do pictures travel through the layers before a unit as its natural images do (Geirhos et al. 2023, https://arxiv.org/abs/2306.04719)?

    Per layer, how much better a unit's pictures go with its own natural images than with another unit's (`vector_crossings`), by
    Spearman's correlation of the channels' means over positions, over the same of its own natural images, each held out: 1, the
    path of natural images; 0, that of any picture. (By means, because a picture is full of what a photograph has in one place.)

    Args:
        layers: addresses; empty: the layers of `layers_before_units`.
        images: int, natural images a unit, one of each source, and at most a quarter of the sources where these are many.

    Returns:
        Evidence with samples share, low, high [units, layers]; decided [3, units], share and interval in the layers that decide; rival
        [units], the unit whose natural images the pictures go with best beside their own; lead [3, units], over that unit; null
        and known [permutations], mean likeness under pictures, and under held-out natural images, dealt to units at random. nan
        where a layer does not tell units apart.
    """
    chosen = tuple(layers) or layers_before_units(study)
    gates = (*crossing.gates(study), _layers_gate(chosen))
    settings = {"layers": list(chosen), "images": images, **study.settings}
    samples = {"units": np.array(study.units)}
    if all(gate.status == "passed" for gate in gates):
        samples |= path_samples(*_activations(study, chosen, images), seed=seed)
        samples["rival"] = samples["units"][samples["rival"]]
        samples["decided"][:, sources.constant_units(study)] = np.nan
        gates = (*gates, _separation_gate(samples["share"]))
    return Evidence("path", study.name, study.subject, sources.sizes(study), samples, gates, settings=settings)


def path_samples(natural, drawn, weights, numbered, *, seed):
    """The samples of `path` from activations.

    Args:
        natural: list of float [images, channels], one array a layer, rows of length one.
        drawn: list of float [units, channels], the means of such rows of each unit's pictures.
        weights: float [units, images], 1 for a unit's natural images, else 0.
        numbered: int [images], the source of each image.
        seed: int, of the permutations.

    Returns:
        Dict of name to array; rival: places of units.
    """
    measured = [_layer_crossings(*rows, weights, numbered) for rows in zip(natural, drawn)]
    count = int(weights.sum(axis=1).min())
    by_layer = np.stack([crossing.judge_units(*numbers, count)[0] for numbers in measured], axis=-1)
    scales = np.array([np.nanmean(whole[1]) for whole, _ in measured])
    factors = _deciding_layers(np.isfinite(by_layer[0]) & (scales > 0)) / np.where(scales > 0, scales, 1)
    joined = [_add_layers(kinds, factors) for kinds in zip(*measured)]
    share, rival, lead = crossing.judge_units(*joined, count)
    means = [weights @ images / weights.sum(axis=1, keepdims=True) for images in natural]
    likeness = sum(column.mean() * rows @ mean.T for column, rows, mean in zip(factors.T, drawn, means))
    own = sum(
        column.mean()
        * _held_out_likeness(weights, *(weights @ each for each in _cross_source_products(rows, numbered)))
        for column, rows in zip(factors.T, natural)
    )
    samples = dict(zip(("share", "low", "high"), by_layer))
    return samples | {
        "decided": share,
        "rival": rival,
        "lead": lead,
        "null": crossing.permutation_null(likeness, seed, PERMUTATIONS),
        "known": crossing.permutation_null(own, seed, PERMUTATIONS),
    }


def _layer_crossings(natural, drawn, weights, numbered):
    """One layer's crossings of pictures and of held-out natural images: whole, and without each source."""
    products, different = _cross_source_products(natural, numbered)
    sums = [weights @ each for each in (natural, products, different)]

    def measure(dropped):
        part = weights * ~dropped
        mean, likeness, count = (
            total - weights[:, dropped] @ each[dropped] for total, each in zip(sums, (natural, products, different))
        )
        mean = mean / part.sum(axis=1, keepdims=True)
        crossed = crossing.vector_crossings(drawn, drawn, mean)
        return np.stack(
            [crossed, crossing.vector_crossings(mean, drawn, mean, _held_out_likeness(part, likeness, count))]
        )

    return measure(numbered < 0), np.stack([measure(numbered == source) for source in np.unique(numbered)])


def _cross_source_products(natural, numbered):
    """Products of images of different sources, and whether they are: float [images, images] twice."""
    different = (numbered[:, None] != numbered[None]).astype("float64")
    return (natural @ natural.T) * different, different


def _held_out_likeness(weights, likeness, count):
    """Mean likeness of each unit's natural images with those of every unit, each held out: sums and how many, [units, images] -> [units, units]."""
    return weights / weights.sum(axis=1, keepdims=True) @ (likeness / np.maximum(count, 1)).T


def _add_layers(kinds, factors):
    """The layers' crossings, added with a factor for each unit and layer: float [..., units, units]."""
    return sum(values * column[:, None] for values, column in zip(kinds, factors.T))


def _deciding_layers(told):
    """The last DECIDING layers that tell each unit from the others: bool [units, layers] -> bool [units, layers]."""
    later = np.cumsum(told[:, ::-1], axis=1)[:, ::-1]
    return told & (later <= DECIDING)


def _layers_gate(layers):
    words = f"{len(layers)} layers of {NARROWEST} channels or more before the units"
    return Gate("layers to compare", "passed" if layers else "failed", words)


def _separation_gate(share):
    told = np.isfinite(share).mean()
    status = "passed" if told > 0 else "failed"
    return Gate("layers tell units' images apart", status, f"{told:.0%} of units and layers do")


def _activations(study, layers, images):
    """The activations that `path_samples` takes, of a study."""
    count = max(FEWEST, min(images, sources.count(study) // 4))
    top = [sources.strongest_images(study, unit, count) for unit in study.units]
    indices = np.unique(np.concatenate(top))
    natural = _natural_ranks(study, layers, indices)
    shown = study.network_inputs()
    drawn = _to_unit_ranks(routines.means(study.network, shown.reshape(-1, *shown.shape[2:]), layers))
    pictures = [drawn[layer].reshape(*shown.shape[:2], -1).mean(axis=1) for layer in layers]
    weights = np.stack([np.isin(indices, row) for row in top]).astype("float64")
    return natural, pictures, weights, sources.numbers(study.data)[indices]


def _natural_ranks(study, layers, indices, batch=64):
    """Ranked activations of natural images: list of float [images, channels], one array a layer."""
    parts = [indices[start : start + batch] for start in range(0, len(indices), batch)]
    ranked = [_to_unit_ranks(routines.means(study.network, study.natural(part), layers)) for part in parts]
    return [np.concatenate([rows[layer] for rows in ranked]) for layer in layers]


def _to_unit_ranks(means):
    """Rows turned into ranks, centred, of length one: their products are Spearman correlations."""
    return {layer: _normalize(rankdata(rows, axis=1)) for layer, rows in means.items()}


def _normalize(ranks):
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def layers_before_units(study, count=4):
    """The last `count` groups of layers before a unit, fixed before anything is seen, a group being one layer of weights with what
    follows it at its width (normalization, activation), by its last layer. Of these the last two that tell a unit's natural images
    from others decide: earlier ones set honest pictures apart from photographs as well.

    The units' own group is none of them: there every picture that was climbed goes with its unit.
    """
    network, last = study.network, []
    before = layer_graph(network)
    own = {study.layer} if study.layer else set(before[""])
    for address in ancestors(network, study.layer):
        width = network.shapes[address][-1]
        if width is None or width < NARROWEST:
            continue
        if (
            last
            and before.get(address) == [last[-1]]
            and network.shapes[last[-1]][-1] == width
            and not mixes(network.tree[address])
        ):
            last.pop()
        last.append(address)
    return tuple([address for address in last if address not in own][-count:])
