"""Path: do pictures travel through the network as natural images of the same unit do?"""

import numpy as np
from scipy.stats import rankdata

from lab.concepts import pooled
from lab.visualization.connections import ancestors, layer_graph, mixes
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.pictures import crossing, sources
from sanity.pictures.rulings import FAILING, judge_crossed_unit, judge_crossed_units
from sanity.pictures.units import CANNOT, COUNTED, by_unit, judge_rows
from sanity.ruling import About, rules
from sanity.statistics import FEWEST

# A layer of fewer channels has too few ranks to compare.
NARROWEST = 6
# How many layers decide: the last ones that separate a unit's natural images from those of other units.
DECIDING = 2
PERMUTATIONS = 9999
FINDINGS = ("NATURAL PATH", "ANOTHER PATH")


@checks.register(claim="pictures")
def path(study, *, seed, layers=(), images=20):
    """Do pictures travel through the layers before a unit as its natural images do (Geirhos et al. 2023, https://arxiv.org/abs/2306.04719)?

    Per layer it measures how much better a unit's pictures match its own natural images than another unit's
    (`vector_crossings`). The likeness is Spearman's correlation of the channels' means over positions. It is divided by
    that of the unit's own natural images, each held out: 1 is the path of natural images, 0 that of any picture. Means
    are used because a picture is full of what a photograph has in one place.

    Args:
        study: a `Study`.
        seed: int, of the permutations.
        layers: addresses; empty: those of `layers_before_units`.
        images: int, natural images a unit, one of each source, and at most a quarter of the sources where these are
            many.

    Returns:
        list of `Evidence`, of each unit and of all. Samples of all units; nan where a layer does not separate units.
        share, low, high: [units, layers].
        decided: [3, units], share and interval in the layers that decide.
        rival: [units], the other unit whose natural images the pictures match best.
        lead: [3, units], over that unit.
        null, known: [permutations], mean likeness under permuted pictures, and under permuted held-out natural images.
    """
    addresses = tuple(layers) or layers_before_units(study)
    gates = (*crossing.gates(study), _layers_gate(addresses))
    settings = {"layers": list(addresses), "images": images, **study.settings}
    samples = {"units": study.unit_numbers}
    if all(gate.status == "passed" for gate in gates):
        samples |= path_samples(*_activations(study, addresses, images), seed=seed)
        samples["rival"] = samples["units"][samples["rival"]]
        samples["decided"][:, sources.constant_units(study)] = np.nan
        gates = (*gates, _separation_gate(samples["share"]))
    evidence = Evidence("path", study.name, study.title, sources.sizes(study), samples, gates, settings=settings)
    return by_unit(evidence, crossing.OF_UNITS)


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
    crossings_by_layer = [_layer_crossings(*rows, weights, numbered) for rows in zip(natural, drawn)]
    count = int(weights.sum(axis=1).min())
    by_layer = np.stack([crossing.judge_units(*numbers, count)[0] for numbers in crossings_by_layer], axis=-1)
    scales = np.array([np.nanmean(crossings[1]) for crossings, _ in crossings_by_layer])
    factors = _deciding_layers(np.isfinite(by_layer[0]) & (scales > 0)) / np.where(scales > 0, scales, 1)
    crossings_of_layers = [_add_layers(kinds, factors) for kinds in zip(*crossings_by_layer)]
    share, rival, lead = crossing.judge_units(*crossings_of_layers, count)
    means = [weights @ images / weights.sum(axis=1, keepdims=True) for images in natural]
    likeness = sum(column.mean() * rows @ mean.T for column, rows, mean in zip(factors.T, drawn, means))
    held_out = sum(
        column.mean()
        * _held_out_likeness(weights, *(weights @ products for products in _cross_source_products(rows, numbered)))
        for column, rows in zip(factors.T, natural)
    )
    samples = dict(zip(("share", "low", "high"), by_layer))
    return samples | {
        "decided": share,
        "rival": rival,
        "lead": lead,
        "null": crossing.permutation_null(likeness, seed, PERMUTATIONS),
        "known": crossing.permutation_null(held_out, seed, PERMUTATIONS),
    }


def _layer_crossings(natural, drawn, weights, numbered):
    """One layer's crossings of pictures and of held-out natural images: with all sources, and without each."""
    products, different = _cross_source_products(natural, numbered)
    sums = [weights @ values for values in (natural, products, different)]

    def measure(dropped):
        part = weights * ~dropped
        mean, likeness, count = (
            total - weights[:, dropped] @ values[dropped] for total, values in zip(sums, (natural, products, different))
        )
        mean = mean / part.sum(axis=1, keepdims=True)
        crossed = crossing.vector_crossings(drawn, drawn, mean)
        return np.stack(
            [crossed, crossing.vector_crossings(mean, drawn, mean, _held_out_likeness(part, likeness, count))]
        )

    return measure(numbered < 0), np.stack([measure(numbered == source) for source in np.unique(numbered)])


def _cross_source_products(natural, numbered):
    """Products of images of different sources, and whether they are different: float [images, images] twice."""
    different = (numbered[:, None] != numbered[None]).astype("float64")
    return (natural @ natural.T) * different, different


def _held_out_likeness(weights, likeness, count):
    """Mean likeness of each unit's held-out natural images with those of every unit: float [units, units]."""
    return weights / weights.sum(axis=1, keepdims=True) @ (likeness / np.maximum(count, 1)).T


def _add_layers(kinds, factors):
    """The layers' crossings, added with a factor for each unit and layer: float [..., units, units]."""
    return sum(values * column[:, None] for values, column in zip(kinds, factors.T))


def _deciding_layers(separated):
    """The last DECIDING layers that separate each unit from the others: bool [units, layers], as `separated`."""
    later = np.cumsum(separated[:, ::-1], axis=1)[:, ::-1]
    return separated & (later <= DECIDING)


def _layers_gate(layers):
    words = f"{len(layers)} layers of {NARROWEST} channels or more before the units"
    return Gate("layers to compare", "passed" if layers else "failed", words)


def _separation_gate(share):
    separated = np.isfinite(share).mean()
    status = "passed" if separated > 0 else "failed"
    return Gate("layers tell units' images apart", status, f"{separated:.0%} of units and layers do")


def _activations(study, layers, images):
    """The arguments of `path_samples`, from a study."""
    count = max(FEWEST, min(images, sources.count(study) // 4))
    strongest = [sources.strongest_images(study, unit, count) for unit in study.units]
    indices = np.unique(np.concatenate(strongest))
    natural = _natural_ranks(study, layers, indices)
    inputs = study.network_inputs()
    ranks_by_layer = _to_unit_ranks(pooled(study.network, inputs.reshape(-1, *inputs.shape[2:]), layers))
    pictures = [ranks_by_layer[layer].reshape(*inputs.shape[:2], -1).mean(axis=1) for layer in layers]
    weights = np.stack([np.isin(indices, row) for row in strongest]).astype("float64")
    return natural, pictures, weights, sources.numbers(study.data)[indices]


def _natural_ranks(study, layers, indices, batch=64):
    """Ranked activations of natural images: list of float [images, channels], one array a layer."""
    parts = [indices[start : start + batch] for start in range(0, len(indices), batch)]
    ranked = [_to_unit_ranks(pooled(study.network, study.natural_inputs(part), layers)) for part in parts]
    return [np.concatenate([rows[layer] for rows in ranked]) for layer in layers]


def _to_unit_ranks(means):
    """Rows turned into ranks, centred, of length one, so that products are Spearman correlations."""
    return {layer: _normalize(rankdata(rows, axis=1)) for layer, rows in means.items()}


def _normalize(ranks):
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def layers_before_units(study, count=4):
    """The layers before a study's units that are compared, fixed before any picture is measured.

    They are the last layers of the last `count` groups. A group is one layer of weights with what follows at its width
    (normalization, activation). The last two that separate a unit's natural images from others decide: earlier ones
    separate honest pictures from photographs as well. The units' own group is left out, where every optimized picture
    matches its unit.

    Args:
        study: a `Study`.
        count: int.

    Returns:
        tuple of addresses.
    """
    network, groups = study.network, []
    graph = layer_graph(network)
    own_layers = {study.layer} if study.layer else set(graph[""])
    for address in ancestors(network, study.layer):
        width = network.shapes[address][-1]
        if width is None or width < NARROWEST:
            continue
        if (
            groups
            and graph.get(address) == [groups[-1]]
            and network.shapes[groups[-1]][-1] == width
            and not mixes(network.tree[address])
        ):
            groups.pop()
        groups.append(address)
    return tuple([address for address in groups if address not in own_layers][-count:])


@rules.register(
    name="path",
    about=About(
        "Natural path",
        FAILING,
        {
            "NATURAL PATH": "pictures take the path of their own units' natural images, and may still mislead; {why}",
            "ANOTHER PATH": "pictures do not take the path of their own units' natural images; {why}",
            "UNDECIDED": "{why}",
        },
        similarity="Spearman of the channels' means in the last layers that tell the units' natural images apart",
        sampled=False,
        cannot=CANNOT,
        of_part="share of what held-out natural images reach",
        better="lower",
        counted=COUNTED,
    ),
)
def judge_path(family, margins, seed):
    """By the crossing of units; all units together by pictures that are dealt to other units.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return judge_rows(
        family,
        lambda samples: judge_crossed_unit(samples, FINDINGS, margins),
        lambda samples: judge_crossed_units(samples, FINDINGS, margins),
    )
