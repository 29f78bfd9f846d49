"""Gates: conditions without which a check says nothing. Each is a fact about the subject or its maps."""

import numpy as np

from lab.environment import tf
from lab.explanation import FIT
from lab.kinds import kind_of
from lab.nouns import plural
from sanity.evidence import Gate
from sanity.similarity import FEWEST
from sanity.statistics import wilson_interval

MOST_DROPPED = 0.2
ABOVE_CHANCE = 0.1
FOLLOWS, STAYS = 0.9, 0.85
# How far the other cue may move the score, as a share of how far the cue does. Answers of two classes stay up to 1.
MOVES = 0.5
TELLS_CLASSES = "network tells these classes apart"
# Gates about what is asked, and not about a method's maps. Where one of them failed, controls could not be asked either.
OF_SUBJECT = (
    "network competent",
    TELLS_CLASSES,
    "randomization took effect",
    "network uses the plant",
    "permuted labels memorized",
    "replicates alike",
    "both cues learned",
    "cues equally learned",
    "networks use the cue",
    "networks use the rival cue",
    "samples to ask about",
    "texts differ",
    "sources of natural images",
    "units to cross",
)


def competence(subject):
    """The network is right more often than chance plus a tenth, by the lower bound of its Wilson interval.

    Args:
        subject: the `Subject`.

    Returns:
        `Gate`, "not measured" without labels.
    """
    if subject.correct is None:
        return Gate("network competent", "not measured", "no labels given")
    share = wilson_interval(np.sum(subject.correct), len(subject.correct))
    # Where several classes are right for a sample, chance is higher.
    chance = 1 / subject.classes if subject.chance is None else subject.chance
    bar = chance + min(ABOVE_CHANCE, (1 - chance) / 2)
    words = f"right on {share} of {len(subject.correct)} held-out samples; needed: above {bar:.2f}"
    if share.low > bar:
        return Gate("network competent", "passed", words)
    return Gate(
        "network competent", "failed", words + remedy(subject, "give more samples, or train from another layer")
    )


def remedy(subject, words):
    """What a user can do about a gate of networks that were trained from a layer on: str, "" for other networks.

    Args:
        subject: the `Subject`.
        words: str, what to do.

    Returns:
        str, to be added to the words of a gate.
    """
    return f"; {words}" if subject.part else ""


# How much less often than the best a replicate may be right.
ALIKE = 0.1


def alike(subject):
    """Networks that were trained alike are right about equally often.

    Args:
        subject: the `Subject`.

    Returns:
        `Gate`, "not measured" without replicates of known accuracy.
    """
    known = [accuracy for accuracy in subject.replicate_accuracy if accuracy is not None]
    if not known:
        return Gate("replicates alike", "not measured", "no replicates whose accuracy is known")
    words = f"right on {min(known):.0%} to {max(known):.0%} of the samples; allowed difference: {ALIKE:.0%}"
    return Gate("replicates alike", "passed" if max(known) - min(known) <= ALIKE else "failed", words)


def usable_maps(*groups):
    """At most a fifth of the maps are not finite, all zero or constant.

    Args:
        groups: lists of pooled maps, None where unusable.

    Returns:
        `Gate`.
    """
    dropped = float(np.mean([pooled_map is None for pooled_maps in groups for pooled_map in pooled_maps]))
    words = f"{dropped:.0%} of maps not finite, all zero or constant"
    return Gate("maps usable", "failed" if dropped > MOST_DROPPED else "passed", words)


def enough_positions(subject, *groups):
    """Inputs have as many positions as a rank correlation needs, and most maps as many values that are not zero.

    A correlation where both maps are not zero is undefined for fewer. Off flags are zero in a map that multiplies by them.
    That is the inputs' doing, and the check does not apply. Where the inputs have enough, maps that are zero are the method's.

    Args:
        subject: the `Subject`.
        groups: lists of pooled maps, None where unusable.

    Returns:
        `Gate`, "passed", "failed" or "not applicable".
    """
    name, leaves = "enough positions to rank", [np.asarray(leaf) for leaf in tf.nest.flatten(subject.inputs)]
    count = sum(int(np.prod(kind_of(leaf).positions(leaf))) for leaf in leaves)
    unit = plural(kind_of(leaves[0]).unit)
    if count < FEWEST:
        return Gate(name, "not applicable", f"{count} {unit}; needed: {FEWEST}")
    maps = [pooled_map.unsigned for pooled_maps in groups for pooled_map in pooled_maps if pooled_map is not None]
    values = np.median([np.count_nonzero(unsigned) for unsigned in maps]) if maps else count
    if values >= FEWEST:
        return Gate(name, "passed", f"{count} {unit}; needed: {FEWEST}")
    return _sparse_gate(name, values, maps[0].size, _nonzero_positions(leaves), unit)


def _sparse_gate(name, values, size, in_inputs, unit):
    """The `Gate` of maps that are mostly zero: "not applicable" where the inputs are zero there too, else "failed"."""
    words = f"maps are zero but for {values:.0f} of {size} values; needed: {FEWEST}, since zeros agree by themselves"
    if in_inputs < FEWEST:
        words += f". The inputs are zero but for {in_inputs:.0f} {unit}, too"
        return Gate(name, "not applicable", f"{words}. The check image_crossing ranks zeros too")
    words += f". The inputs have {in_inputs:.0f} {unit} that are not zero, so that the zeros are the method's"
    return Gate(name, "failed", f"{words}. Ask a method that gives more values, or the check image_crossing")


def _nonzero_positions(leaves):
    """How many positions of a sample are not zero: the median over samples, float."""
    counts = []
    for leaf in leaves:
        features = tuple(range(1 + len(kind_of(leaf).positions(leaf)), leaf.ndim))
        counts.append((leaf != 0).any(axis=features).reshape(len(leaf), -1).sum(axis=1))
    return float(np.median(np.sum(counts, axis=0)))


# States of networks that no sensible score is left of, so that nothing need fit it.
UNTRAINED = ("random network", "permuted labels")


def local_fit(fits):
    """A method that fits a model around each sample describes the score there, on at least half of the samples.

    Args:
        fits: list of (state, R2 of each sample), as of `BoundExplainer.fits`. Untrained networks do not count.

    Returns:
        list of one `Gate`, none for a method that fits no model.
    """
    of_trained = [r2 for state, r2 in fits if not any(kind in str(state) for kind in UNTRAINED)]
    known = np.concatenate([*of_trained, []])
    known = known[np.isfinite(known)]
    if not len(known):
        return []
    median = float(np.median(known))
    words = (
        f"the fit explains {median:.0%} of the score around a sample (median of {len(known)} maps); needed: {FIT:.0%}"
    )
    return [Gate("local fit", "passed" if median >= FIT else "failed", words)]


def frozen_target(subject, bound):
    """A bound explainer always explained the target that was fixed before anything was changed.

    Args:
        subject: the `Subject`.
        bound: its `BoundExplainer`.

    Returns:
        `Gate`.
    """
    changed = [(state, objective) for state, objective in bound.calls if objective != subject.objective]
    if changed:
        state, objective = changed[0]
        return Gate("target frozen", "failed", f"{subject.objective} at first, {objective} on {state}")
    return Gate("target frozen", "passed", f"{subject.objective} in all questions")


def restored_weights():
    """A passed `Gate`, to be used after `Network.intact` has verified the weights; that raises otherwise."""
    return Gate("weights restored", "passed", "hash equal before and after")


def planted_truth(subject):
    """The network is proven, by swaps, to use what was planted and to ignore what was not.

    Args:
        subject: the `Subject`.

    Returns:
        `Gate`, "not applicable" where nothing is planted.
    """
    if subject.truth is None:
        return Gate("truth planted", "not applicable", "these data hold no planted truth")
    return proven_use(subject.truth.proof, subject.world.rival)


def proven_use(proof, rival=None):
    """Whether the numbers of `sanity.worlds.world.counterfactual_use` prove that a network uses the cue, and not another.

    Args:
        proof: dict of numbers.
        rival: the `World` of the other cue of the same inputs, or None.

    Returns:
        `Gate`.
    """
    names = [f"relative_shift/{factor}" for factor in rival.causal_factors] if rival else []
    shifts = {name: proof[name] for name in names if name in proof}
    unchanged = {name: value for name, value in proof.items() if name.startswith("unchanged/")}
    held = proof["cue_flip_rate"] >= FOLLOWS and all(value >= STAYS for value in unchanged.values())
    held = held and all(shift <= MOVES for shift in shifts.values())
    numbers = {"cue_flip_rate": proof["cue_flip_rate"], **unchanged, **shifts}
    values = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
    needed = f"{FOLLOWS} and {STAYS}" + (f", and a relative_shift of at most {MOVES}" if shifts else "")
    return Gate("network uses the plant", "passed" if held else "failed", f"{values}; needed: {needed}")


def enough_networks(name, states, fewest=3):
    """There are enough networks of a kind for a test among them.

    Args:
        name: str, the kind, plural.
        states: their weights.
        fewest: int, how many are needed.

    Returns:
        `Gate`, "passed" or "not applicable".
    """
    words = f"{len(states)} {name}; needed: {fewest}"
    return Gate(f"enough {name}", "passed" if len(states) >= fewest else "not applicable", words)
