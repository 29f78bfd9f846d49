"""Truth: does a map lie on the cue that its network learned, more than maps of networks that learned another cue?

Each input holds two cues that say the same class. Some networks learned the one, some the other, as swaps prove. A
map's rank on the cue in use, less its rank on the other, is compared between the two groups of networks. A map that
does not depend on the network gives exactly zero, so that no list of controls is needed.
"""

from dataclasses import replace

import numpy as np

from sanity import gates
from sanity.bound_explainer import BoundExplainer
from sanity.checks import checks
from sanity.controls import families
from sanity.cue_networks import localisation_scores, prepare, rank_on_cues, world_gates
from sanity.localisation import localisations, relevances
from sanity.ruling import About, Ruling, rules
from sanity.statistics import (
    bootstrap_interval,
    finite_mean,
    role_permutations,
    sign_flips,
    units_needed,
    welch_interval,
)


@checks.register(prepare=prepare, answer="cues", networks=("rival",))
def truth(explainer, subject, /, *, seed, prepared=None, **options):
    """Does the map lie on the cue that its network learned, more than maps of networks that learned the other cue do?

    It needs a world with two cues and four replicates.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `rank` and `oracle`, float64 [networks, 2 cues, samples], networks that learned the
            first cue first; `data/NAME`, `rival/NAME` and `model/NAME`, localisations of the first network's maps in
            the cue's mask, in the other cue's, and in the network's own answer.
    """
    conditions = world_gates(subject)
    prepared = prepared or prepare(subject, seed=seed)
    passed = [*conditions, *(prepared.gates if prepared else ())]
    bound = BoundExplainer(explainer, prepared.on if prepared else subject, seed, options)
    if any(gate.status != "passed" for gate in passed):
        return bound.evidence("truth", {}, passed)
    relevance = _network_relevances(bound, prepared)
    rank = np.stack([rank_on_cues(maps, prepared.masks) for maps in relevance])
    samples = {"rank": rank, "oracle": prepared.oracle, **_localisations(relevance[0], prepared)}
    usable = [bool(is_finite) or None for is_finite in np.isfinite(rank[:, 0]).ravel()]
    passed += [gates.usable_maps(usable), gates.restored_weights()]
    sizes = {"replicates": len(subject.replicates), "rivals": len(prepared.networks) - len(subject.replicates)}
    sizes |= {"photographs": subject.world.photographs} if subject.world.photographs else {}
    part = subject.world.part
    settings, maps = {"scope": part.scope} if part else {}, {"trained": relevance[0].astype("float32")}
    return bound.evidence("truth", samples, passed, sizes=sizes, settings=settings, maps=maps)


def _network_relevances(bound, prepared):
    """Relevance of every network at the same samples: list of float64 [samples, ...].

    The two kinds take turns, so that drift is shared by both. What an explainer keeps from its last call is of the
    other kind.
    """
    half, relevance = len(prepared.networks) // 2, [None] * len(prepared.networks)
    with bound.subject.network.intact():
        for place in alternating_order(half):
            state = ("replicate", place) if place < half else ("network of the rival cue", place - half)
            with bound.subject.network.weights(prepared.networks[place]):
                relevance[place] = relevances(bound.scaled_maps(state=state), prepared.masks[0].shape)
    return relevance


def alternating_order(half):
    """Places of networks, one of either kind in turn: list of int."""
    return np.arange(2 * half).reshape(2, half).T.ravel().tolist()


def _localisations(relevance, prepared):
    """Every localisation of the first network's maps: dict of name to float64 [samples]."""
    targets = {"data": prepared.masks[0], "rival": prepared.masks[1], "model": prepared.used}
    return {
        f"{target}/{name}": localisation_scores(name, relevance, masks)
        for target, masks in targets.items()
        for name in localisations
    }


@rules.register(
    name="truth",
    about=About(
        "Follows the cue in use",
        "crossing",
        {
            "FOLLOWS THE CUE": "maps lie on the cue that the network learned, more than maps of networks that learned the other cue",
            "DOES NOT FOLLOW THE CUE": "maps lie no more on the cue that the network learned than maps of networks that did not learn it; {why}",
            "BARELY": "{why}",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "it is not shown that the networks' own answers tell the two cues apart; {why}",
        },
        similarity="rank = share of as many highest values as a cue has pixels that lie in it; on the cue in use less on the other, both ways",
        ceiling="the networks' own answer",
        cannot="Cannot conclude: that the maps are right elsewhere, or anything about other networks or data. Where a cue always lies in the same places (tables, scenes), maps need not be of this very sample. It is crossed: which of two cues the network learned.",
        counted={
            "images": "images",
            "photographs": "photographs that they are crops of",
            "replicates": "networks that learned the cue",
            "rivals": "that learned the other",
        },
        better="higher",
    ),
)
def judge_truth(family, margins, seed):
    """Roles of networks are permuted, signs of images flipped; the larger p counts, by max-T over methods.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of bootstrap and test.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    oracle = family[0].samples["oracle"]
    ceiling, p = _network_interval(oracle), float(_adjusted_p([oracle], len(oracle) // 2, seed)[0])
    if not (p < margins.alpha and ceiling.mean >= margins.known):
        why = f"the networks' own answer by occlusion: {ceiling}, p = {p:.2g}"
        return [Ruling("INVALID", "ORACLE DOES NOT PASS", why=why, scope=_scope(evidence)) for evidence in family]
    adjusted = {}
    for places in families(family):
        values = _adjusted_p([family[place].samples["rank"] for place in places], len(oracle) // 2, seed)
        adjusted |= dict(zip(places, map(float, values)))
    rulings = [
        _judge_crossing(evidence.samples, adjusted[place], ceiling, margins, seed)
        for place, evidence in enumerate(family)
    ]
    return [replace(ruling, scope=_scope(evidence)) for ruling, evidence in zip(rulings, family)]


def _scope(evidence):
    """What of a user's network was trained, where cues were planted for it: str, "" in a world."""
    return evidence.settings.get("scope", "")


def preferences(rank):
    """How much more a map lies on the first cue than on the second.

    The lowest of an image is subtracted from all. That changes no difference between networks, and leaves exactly zero
    where there is none.

    Args:
        rank: float [networks, 2, samples].

    Returns:
        float64 [networks, samples].
    """
    values = rank[:, 0] - rank[:, 1]
    return values - np.fmin.reduce(values, axis=0)


def crossing_contrast(rank):
    """The crossing of each sample, mean over networks: [networks, 2, samples] -> float64 [samples]."""
    values, half = preferences(rank), len(rank) // 2
    return finite_mean(values[:half], 0) - finite_mean(values[half:], 0)


def _network_interval(rank):
    """The crossing with networks for units: `Interval`."""
    values, half = finite_mean(preferences(rank), 1), len(rank) // 2
    return welch_interval(values[:half], values[half:])


def _adjusted_p(ranks, half, seed):
    """p of each member, the larger of two tests: float64 [members].

    By the luck of the images, maps can differ between the groups without the network's evidence, alike for all networks
    of a group. Maps of one lucky network can differ in all images.
    """
    networks = role_permutations([finite_mean(preferences(rank), 1) for rank in ranks], half)
    return np.maximum(networks, sign_flips([crossing_contrast(rank) for rank in ranks], seed=seed))


def _judge_crossing(samples, p, ceiling, margins, seed):
    effect, over_images = (
        _network_interval(samples["rank"]),
        bootstrap_interval(crossing_contrast(samples["rank"])[None], seed=seed),
    )
    bar = margins.small * ceiling.mean
    numbers = {"effect": effect, "ceiling": ceiling, "p": p, "also": _extra_numbers(samples, over_images, seed)}
    small = max(effect.high, over_images.high) <= bar
    if p < margins.alpha and min(effect.low, over_images.low) > bar:
        why = f"p is below {margins.alpha}, and it is above {margins.small} of the networks' own answer"
        return Ruling("PASS", "FOLLOWS THE CUE", **numbers, why=why)
    if p < margins.alpha:
        why = f"it shows, but by less than {margins.small} of what the networks' own answer reaches"
        return Ruling("INCONCLUSIVE", "BARELY", **numbers, why=why)
    if small:
        exact = "exactly zero" if not np.nan_to_num(crossing_contrast(samples["rank"])).any() else f"below {bar:.3f}"
        return Ruling("FAIL", "DOES NOT FOLLOW THE CUE", **numbers, why=f"the crossing is {exact}")
    why = f"neither above nor below {margins.small} of the networks' own answer by its intervals, at p below {margins.alpha}"
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why, remedy=_remedy(samples["rank"], bar))


def _remedy(rank, bar):
    """About how many networks and images would settle an open question: str, "" where that is not known."""
    half, images = len(rank) // 2, crossing_contrast(rank)
    groups = np.split(finite_mean(preferences(rank), 1), 2)
    deviations = np.concatenate([values - finite_mean(values, 0) for values in groups])
    room = abs(finite_mean(images, 0) - bar)
    networks, samples = units_needed(deviations, room, groups=2), units_needed(images, room)
    missing = [f"{networks} networks of each kind in place of {half}"] if networks else []
    missing += [f"{samples} images in place of {len(images)}"] if samples else []
    return f"About {' and '.join(missing)} would settle it." if missing else ""


def mean_ranks(rank):
    """The four numbers of the crossing, mean over images.

    Args:
        rank: float [networks, 2, samples].

    Returns:
        float64 [2 groups, 2 cues, networks of a group].
    """
    means = finite_mean(rank, 2)
    return np.stack(np.split(means, 2)).transpose(0, 2, 1)


FOUR = ("first cue, used", "second cue, unused", "first cue, unused", "second cue, used")


def _extra_numbers(samples, over_images, seed):
    """The four numbers, the interval over images, and the localisations, in words: tuple of pairs."""
    means = mean_ranks(samples["rank"]).mean(axis=2).ravel()
    localisation_samples = [
        (name, values) for name, values in samples.items() if name.startswith(("data/", "rival/", "model/"))
    ]
    return (
        ("crossing over images", str(over_images)),
        *((name, f"{mean:.2f}") for name, mean in zip(FOUR, means)),
        *((name, str(bootstrap_interval(values[None], seed=seed))) for name, values in localisation_samples),
    )
