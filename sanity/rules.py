"""Rules: (family of Evidence, margins, seed) -> one Ruling each, in order. Gates have been seen to before.

A rule is registered under its check's name with the tag `about`: the words of its sentences.
"""

import math

import numpy as np

from lab.attribution import explainers
from sanity.checks.faithfulness import METRICS
from sanity.controls import families
from sanity.effects import EFFECTS, REMOVAL
from sanity.ruling import MEASURE, SIGNED, About, Ruling, rules
from sanity.statistics import (
    FEWEST,
    Interval,
    between_groups,
    holm,
    krippendorff,
    max_t,
    pairs,
    sign_test,
    two_way,
    unmeasured,
    within_less_across,
)

# Networks against networks ------------------------------------------------------------------------------------------------


@rules.register(
    about=About(
        "Responds to weights",
        "between",
        {
            "RESPONDED": "maps change when the weights are replaced by untrained ones",
            "SIGN RESPONDS": "signed maps changed; of where they are strong, regardless of sign, that cannot be said",
            "DID NOT RESPOND": "maps stay much the same when the weights are replaced",
            "INPUT-DOMINATED": "{why}; most of the map is decided by the input",
            "UNDECIDED": "{why}",
            "NO REPRODUCIBLE SIGNAL": "maps that ought to agree do not",
        },
        ceiling="ceiling",
        null="random-random",
        cannot="Cannot conclude: that the maps are right, that one method is better than another, or anything about other networks, data or targets. Noise responds too.",
    )
)
def parameters(family, margins, seed):
    """Trained against random networks: with replicates an exact permutation decides, with one network nothing but failure."""
    adjusted = _adjusted(family)
    return [_respond(evidence, margins, seed, adjusted[place]) for place, evidence in enumerate(family)]


def _respond(evidence, margins, seed, p):
    effect, ceiling, null, excess = _three(evidence.samples, MEASURE, seed)
    numbers = {"effect": effect, "ceiling": ceiling, "null": null, "p": p}
    one, dominated = p is None, margins.high * ceiling.mean
    if not ceiling.low > margins.floor:
        return _no_signal(numbers, margins)
    if excess.low >= 0 or (not one and null.mean >= ceiling.mean and null.low >= dominated):
        return Ruling("FAIL", "INPUT-DOMINATED", **numbers, why="random-random is at or above the ceiling")
    if effect.low >= dominated and null.mean >= dominated:
        # A test that tells the groups apart forbids to say that nothing responded; most of the map is the input's all the same.
        finding = "DID NOT RESPOND" if one or p >= margins.alpha else "INPUT-DOMINATED"
        return Ruling(
            "FAIL", finding, **numbers, why=f"between and random-random are at or above {margins.high} of the ceiling"
        )
    if (
        effect.high <= margins.low * ceiling.mean
        and null.high <= margins.high * ceiling.mean
        and (one or p < margins.alpha)
    ):
        why = f"between is below {margins.low} of the ceiling" + ("; one network allows no more" if one else "")
        return Ruling("INCONCLUSIVE" if one else "PASS", "RESPONDED", **numbers, why=why)
    signed = _three(evidence.samples, SIGNED, seed)
    if signed[0].high <= margins.low * signed[1].mean and signed[1].low > margins.floor:
        why = f"signed maps fell below {margins.low} of their ceiling; for absolute ones {_open(evidence.samples, effect, ceiling, null, p, margins)}"
        return Ruling("INCONCLUSIVE", "SIGN RESPONDS", **numbers, why=why)
    return Ruling(
        "INCONCLUSIVE", "UNDECIDED", **numbers, why=_open(evidence.samples, effect, ceiling, null, p, margins)
    )


def _no_signal(numbers, margins):
    why = f"the ceiling's lower bound is not above {margins.floor}"
    return Ruling("INVALID", "NO REPRODUCIBLE SIGNAL", **numbers, why=why)


def _three(samples, measure, seed):
    """-> between, ceiling, random-random, and random-random less the ceiling; each `Interval`."""
    between, random = samples[f"between/{measure}"], samples[f"random/{measure}"]
    effect, null = two_way(between, seed=seed), pairs(random, seed=seed)
    if f"ceiling/{measure}" in samples:
        ceiling = samples[f"ceiling/{measure}"]
        return effect, pairs(ceiling, seed=seed), null, between_groups(random, ceiling, seed=seed)
    ceiling = two_way(samples[f"itself/{measure}"], seed=seed)
    # Of one network there are no pairs to resample beside the random ones': the bounds are compared as they stand.
    apart = Interval(null.mean - ceiling.mean, null.low - ceiling.high, null.high - ceiling.low)
    return effect, ceiling, null, apart


def _open(samples, effect, ceiling, null, p, margins):
    """Which clause left the question open, and about how many random networks would close it."""
    count = samples[f"random/{MEASURE}"].shape[0]
    if np.isnan(effect.mean) or np.isnan(null.mean):
        return "similarity is undefined: too few pixels where both maps are non-zero"
    for name, found, share in (("between", effect, margins.low), ("random-random", null, margins.high)):
        bound = share * ceiling.mean
        if found.high > bound:
            words = f"the upper bound of {name}, {found.high:.2f}, is above {share} of the ceiling, {bound:.2f}"
            return words + _needed(count, found.high - found.mean, bound - found.mean)
    least = 2 / math.comb(2 * count, count)
    more = (
        f": {count} against {count} networks allow no less than {least:.2g}, four would"
        if least >= margins.alpha
        else ""
    )
    return f"p = {p:.2g} is not below {margins.alpha}{more}"


def _needed(count, width, room):
    """How many networks would bring an interval of this half width under its bound, its width falling with their root: str."""
    networks = math.ceil(count * (width / room) ** 2) if room > 0 else None
    return f"; about {networks} networks might bring it down" if networks and count < networks <= 100 else ""


def _adjusted(family):
    """Exact p by max-T over the methods, controls each by themselves: list of float, None where there are no replicates."""
    found = [None] * len(family)
    tested = [place for place, each in enumerate(family) if f"ceiling/{MEASURE}" in each.samples]
    for group in [[tested[place] for place in places] for places in families([family[place] for place in tested])]:
        matrices = [_matrix(family[place].samples) for place in group]
        for place, p in zip(group, max_t(matrices, len(family[group[0]].samples[f"ceiling/{MEASURE}"]))):
            found[place] = float(p)
    return found


def _matrix(samples):
    """Similarity of all networks, trained ones first, mean over samples: float64 [networks, networks]."""
    ceiling, between, random = (
        np.nan_to_num(_over_images(samples[f"{name}/{MEASURE}"])) for name in ("ceiling", "between", "random")
    )
    return np.block([[ceiling, between], [between.T, random]])


def _over_images(values):
    finite = np.isfinite(values)
    return np.where(finite, values, 0).sum(-1) / np.maximum(finite.sum(-1), 1)


@rules.register(
    about=About(
        "Responds to labels",
        "between",
        {
            "RESPONDED": "networks that learned permuted labels by heart give other maps",
            "DID NOT RESPOND": "networks that learned permuted labels by heart give the same maps",
            "UNDECIDED": "{why}",
            "NO REPRODUCIBLE SIGNAL": "maps that ought to agree do not",
        },
        ceiling="ceiling",
        null="within permuted",
        counted={"images": "images", "replicates": "networks on true labels", "networks": "on permuted ones"},
    )
)
def labels(family, margins, seed):
    """True against permuted labels, by the same statistic as weights."""
    adjusted = _adjusted(family)
    return [_learned(evidence, margins, seed, adjusted[place]) for place, evidence in enumerate(family)]


def _learned(evidence, margins, seed, p):
    effect, ceiling, null, _ = _three(evidence.samples, MEASURE, seed)
    within, across = evidence.samples[f"ceiling/{MEASURE}"], evidence.samples[f"between/{MEASURE}"]
    apart = within_less_across(within, across, seed=seed, level=0.9)
    numbers = {
        "effect": effect,
        "ceiling": ceiling,
        "null": null,
        "p": p,
        "also": (("ceiling less between, 90%", str(apart)),),
    }
    if not ceiling.low > margins.floor:
        return _no_signal(numbers, margins)
    if -margins.equal < apart.low and apart.high < margins.equal:
        return Ruling(
            "FAIL",
            "DID NOT RESPOND",
            **numbers,
            why=f"ceiling less between lies within {margins.equal} of zero: {apart}",
        )
    if p < margins.alpha and effect.mean <= margins.label * ceiling.mean:
        return Ruling(
            "PASS",
            "RESPONDED",
            **numbers,
            why=f"between is below {margins.label} of the ceiling, and p below {margins.alpha}",
        )
    why = f"between is {effect.mean / ceiling.mean:.2f} of the ceiling (needed: {margins.label}), p = {p:.2g} (needed: below {margins.alpha})"
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why)


@rules.register(
    about=About(
        "Shows an unknown shortcut",
        "between",
        {
            "RESPONDED": "maps of networks with a shortcut differ from maps of networks without, even where the shortcut is absent",
            "DID NOT RESPOND": "maps of networks with a shortcut are like those of networks without, where the shortcut is absent",
            "UNDECIDED": "{why}",
            "NO REPRODUCIBLE SIGNAL": "maps that ought to agree do not",
        },
        ceiling="ceiling",
        null="among those without",
        cannot="Cannot conclude: that a person who looks at the maps would notice. That groups of networks differ does not say how one of them would look suspicious.",
        counted={"images": "images", "replicates": "networks with the shortcut", "networks": "without"},
    )
)
def cue(family, margins, seed):
    """Networks with the shortcut against networks without, by the rule of labels."""
    return labels(family, margins, seed)


# One network --------------------------------------------------------------------------------------------------------------


@rules.register(
    about=About(
        "Responds to class",
        "other class",
        {
            "RESPONDED": "maps change with the class that is asked about",
            "CLASS-BLIND": "maps are much the same whatever class is asked about",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "the network's own evidence for these classes is much the same; {why}",
            "NO REPRODUCIBLE SIGNAL": "maps of the same class do not agree under noise",
        },
        similarity=f"{SIGNED}: Spearman of signed maps, channels summed; no resize",
        ceiling="same class under noise",
        counted={"images": "images", "draws": "other classes each"},
    )
)
def classes(family, margins, seed):
    """Maps of another class against those of the same, signed; nothing where the network's own evidence does not tell classes apart."""
    return [_asked(evidence.samples, margins, seed) for evidence in family]


def _asked(samples, margins, seed):
    effect, ceiling = two_way(samples[f"between/{SIGNED}"], seed=seed), two_way(samples[f"itself/{SIGNED}"], seed=seed)
    numbers = {
        "effect": effect,
        "ceiling": ceiling,
        "also": (("absolute", str(two_way(samples[f"between/{MEASURE}"], seed=seed))),),
    }
    if not ceiling.low > margins.floor:
        return _no_signal(numbers, margins)
    if alike := _classes_alike(samples, margins, seed):
        return Ruling("INVALID", "ORACLE DOES NOT PASS", **numbers, why=alike)
    few = samples[f"between/{SIGNED}"].shape[-1] < FEWEST
    if effect.low >= margins.blind * ceiling.mean and few:
        return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=f"fewer than {FEWEST} images decide nothing")
    if effect.low >= margins.blind * ceiling.mean:
        return Ruling("FAIL", "CLASS-BLIND", **numbers, why=f"at or above {margins.blind} of the ceiling")
    if effect.high <= margins.other * ceiling.mean:
        return Ruling("PASS", "RESPONDED", **numbers, why=f"at or below {margins.other} of the ceiling")
    why = f"between {margins.other} and {margins.blind} of the ceiling, or too wide an interval"
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why)


def _classes_alike(samples, margins, seed):
    """That the network's own answers about two classes agree too well under either effect, in words; nothing where one tells them apart."""
    words = []
    for name in EFFECTS if f"oracle between/{REMOVAL}" in samples else ():
        between, itself = (two_way(samples[f"oracle {kind}/{name}"], seed=seed) for kind in ("between", "itself"))
        if itself.low > margins.floor and between.high <= margins.other * itself.mean:
            return ""
        words.append(f"by {name} two classes agree at {between}, one measured twice at {itself}")
    return "; ".join(words)


@rules.register(
    about=About(
        "Invariant to rewrites",
        "distance",
        {
            "INVARIANT": "maps stay when the same function is written down otherwise",
            "NOT INVARIANT": "{why}",
            "UNDECIDED": "{why}",
        },
        similarity="relative L2 of raw maps, the worst rewrite",
        counted={"images": "images"},
    )
)
def invariance(family, margins, seed):
    """The worst rewrite decides."""
    return [_rewritten(evidence, margins, seed) for evidence in family]


def _distances(samples, seed):
    """Every distance that was measured: dict of name to `Interval`."""
    named = {name.partition("/")[2]: values for name, values in samples.items() if name.startswith("distance/")}
    return {name: two_way(values[None], seed=seed) for name, values in named.items()}


def _rewritten(evidence, margins, seed):
    found, untold = _distances(evidence.samples, seed), evidence.settings.get("untold", [])
    worst = max(found, key=lambda name: found[name].mean)
    also = tuple((name, f"{each.mean:.1e} [{each.low:.1e}, {each.high:.1e}]") for name, each in found.items())
    moved = [name for name, each in found.items() if each.low > margins.same]
    if moved:
        without = [name for name in moved if name in untold]
        told = f"; of {', '.join(without)} it could not be told: it has no option for a baseline" if without else ""
        why = f"they change under {', '.join(moved)}{told}"
        return Ruling("FAIL", "NOT INVARIANT", found[worst], why=why, also=also)
    if all(each.high <= margins.same for each in found.values()):
        return Ruling("PASS", "INVARIANT", found[worst], why=f"every distance is below {margins.same}", also=also)
    return Ruling("INCONCLUSIVE", "UNDECIDED", found[worst], why=f"{worst} is near {margins.same}", also=also)


@rules.register(
    about=About(
        "Stable to noise and seeds",
        "similarity",
        {
            "STABLE": "maps stay under a little noise and another seed",
            "UNSTABLE": "{why}",
            "UNDECIDED": "{why}",
        },
        counted={"images": "images", "repeats": "repeats"},
    )
)
def sensitivity(family, margins, seed):
    """The lower of the agreements under noise and under another seed decides."""
    return [_steady(evidence.samples, margins, seed) for evidence in family]


def _steady(samples, margins, seed):
    found = {
        name: two_way(samples[f"{name}/{MEASURE}"], seed=seed)
        for name in ("noise", "seed")
        if f"{name}/{MEASURE}" in samples
    }
    least = min(found, key=lambda name: np.nan_to_num(found[name].mean, nan=-2))
    numbers = {"effect": found[least], "also": tuple((name, str(each)) for name, each in found.items())}
    if np.isnan(found[least].mean):
        return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why="similarity is undefined: too few values")
    if found[least].low >= margins.stable:
        return Ruling("PASS", "STABLE", **numbers, why=f"at or above {margins.stable} under {' and '.join(found)}")
    if found[least].high < margins.unstable:
        return Ruling("FAIL", "UNSTABLE", **numbers, why=f"maps agree below {margins.unstable} under {least}")
    return Ruling(
        "INCONCLUSIVE", "UNDECIDED", **numbers, why=f"between {margins.unstable} and {margins.stable} under {least}"
    )


@rules.register(
    about=About(
        "Complete",
        "gap",
        {
            "COMPLETE": "maps add up to the difference of the scores",
            "NOT COMPLETE": "maps do not add up to the difference of the scores",
            "UNDECIDED": "{why}",
        },
        similarity="|sum of the map - (score - score of the baseline)| in units of the mean difference",
        counted={"images": "images"},
    )
)
def completeness(family, margins, seed):
    """The gap, for methods that promise completeness; for others it is reported and not held against them.

    Of a method that draws, the gap of its mean map has an error of its own, which must lie on the same side of the margin.
    """
    return [_added_up(evidence, margins, seed) for evidence in family]


def _added_up(evidence, margins, seed):
    effect, promised = two_way(evidence.samples["gap"][None], seed=seed), evidence.settings["promised"]
    error = float(np.mean(evidence.samples["error"]))
    known = f"the gap {effect}" + (f", known to {error:.2f} from {evidence.sizes['draws']} draws," if error else "")
    if effect.high + error <= margins.gap:
        return Ruling("PASS", "COMPLETE", effect, why=f"{known} is at most {margins.gap}")
    if effect.low - error > margins.gap:
        why = f"{known} is above {margins.gap}" + ("" if promised else "; the method does not promise otherwise")
        return Ruling("FAIL" if promised else "INCONCLUSIVE", "NOT COMPLETE", effect, why=why)
    return Ruling("INCONCLUSIVE", "UNDECIDED", effect, why=f"{known} holds {margins.gap}")


@rules.register(
    about=About(
        "Is the derivative it claims to be",
        "error",
        {
            "FORETELLS": "the map foretells how the score moves when the input moves a little",
            "FORETELLS ANOTHER SCORE": "the score moves otherwise than the map says when the input moves a little",
            "SCORE TOO ROUGH": "the score moves otherwise under one step and under two: no map could foretell it",
            "UNDECIDED": "{why}",
        },
        similarity="|what the map foretells - what the score does| / |what the score does|, L2 over random directions",
        null="the measurement's own error",
        cannot="Cannot conclude: that a gradient is what one wants to know. It says what a small change would do, and not what the network would lose.",
        counted={"images": "images", "directions": "directions each"},
    )
)
def derivative(family, margins, seed):
    """What was foretold against what was measured, beside what measuring with twice the step makes of itself."""
    return [_foretold(evidence.samples, margins, seed) for evidence in family]


def _foretold(samples, margins, seed):
    effect, own = (two_way(samples[name][None], seed=seed) for name in ("error", "rounding"))
    bound = max(margins.gap, margins.rough * own.mean)
    if not own.high < margins.unstable:
        return Ruling(
            "INVALID", "SCORE TOO ROUGH", effect, null=own, why=f"its own error {own} is not below {margins.unstable}"
        )
    if effect.high <= bound:
        return Ruling("PASS", "FORETELLS", effect, null=own, why=f"the error is at most {bound:.2f}")
    if effect.low > bound:
        return Ruling("FAIL", "FORETELLS ANOTHER SCORE", effect, null=own, why=f"the error is above {bound:.2f}")
    return Ruling("INCONCLUSIVE", "UNDECIDED", effect, null=own, why=f"the error {effect} holds {bound:.2f}")


@rules.register(
    about=About(
        "Keeps the contract",
        "",
        {"KEPT": "every promise of an explainer was kept", "BROKEN": "{why}"},
        similarity="promises broken: shape, dtype, finite values, seeds, batches, weights, inputs",
        sampled=False,
        counted={"images": "images"},
    )
)
def contract(family, margins, seed):
    """A broken promise fails; there is nothing to estimate."""
    del margins, seed  # Nothing is estimated.
    broken = [evidence.settings["broken"] for evidence in family]
    return [
        Ruling("FAIL", "BROKEN", why="; ".join(each)) if each else Ruling("PASS", "KEPT", why="none broken")
        for each in broken
    ]


@rules.register(
    about=About(
        "Agrees with its namesakes",
        "distance",
        {
            "AGREES": "the same map as the other implementation's, {why}",
            "OTHER SIGN": "the other implementation's map with the sign turned, {why}",
            "DISAGREES": "another map than the other implementation's, {why}",
            "UNDECIDED": "{why}",
        },
        similarity="relative L2 of raw maps, after the factor that brings each nearest where they differ without; the worst counterpart",
        counted={"images": "images"},
    )
)
def implementation(family, margins, seed):
    """Distance to the method of the same name in another library."""
    return [_alike(evidence.samples, margins, seed) for evidence in family]


def _alike(samples, margins, seed):
    """The worst counterpart decides."""
    compared = {name: _compared(samples, name, margins, seed) for name in _distances(samples, seed)}
    worst = max(compared, key=lambda name: (_AGREEMENTS.index(compared[name][0]), compared[name][1].mean))
    finding, distance, _ = compared[worst]
    outcome = {"AGREES": "PASS", "DISAGREES": "FAIL"}.get(finding, "INCONCLUSIVE")
    why = "; ".join(words for _, _, words in compared.values()) if finding == "AGREES" else compared[worst][2]
    also = tuple((name, f"{words}, {each.mean:.1e}") for name, (_, each, words) in compared.items())
    return Ruling(outcome, finding, distance, why=why, also=also)


# From best to worst.
_AGREEMENTS = ("AGREES", "UNDECIDED", "OTHER SIGN", "DISAGREES")


def _compared(samples, name, margins, seed):
    """One counterpart: finding, the distance that decided, and words. A factor above zero for each map is no difference of kind."""
    plain, free = (two_way(samples[f"{kind}/{name}"][None], seed=seed) for kind in ("distance", "scaled"))
    factors = samples[f"scale/{name}"]
    if plain.high <= margins.same:
        return "AGREES", plain, f"with {name}"
    if free.low > margins.same:
        return "DISAGREES", free, f"with {name}, whatever the factor"
    if free.high > margins.same:
        return "UNDECIDED", free, f"{name} is near {margins.same}"
    low, high = np.nanmin(factors), np.nanmax(factors)
    said = (
        f"a factor of {low:.3g}" if np.isclose(low, high, rtol=margins.same) else f"factors of {low:.3g} to {high:.3g}"
    )
    if low < 0:
        return "OTHER SIGN", free, f"with {name} up to {said}"
    return "AGREES", free, f"with {name} up to {said}"


# Perturbation -------------------------------------------------------------------------------------------------------------


@rules.register(
    about=About(
        "Perturbation beats random order",
        "weakest z",
        {
            "BEATS RANDOM ORDER": "measured, not judged: the score moves faster in the map's order than in random order and in that of the best blind control, {why}",
            "NO BETTER THAN RANDOM ORDER": "measured, not judged: the score moves no faster in the map's order than in random order, {why}",
            "METRIC UNRELIABLE": "nothing is ranked, since metrics of two fills are needed that the network's own answer passes and whose images agree; {why}",
            "UNDECIDED": "measured, not judged: {why}",
            "ORACLE DOES NOT PASS": "these metrics cannot tell the network's own order from others; {why}",
        },
        similarity="z = (area - mean of random orders) / their deviation, by image",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the map is right or wrong. Filled inputs are new to the network, and another fill may rank otherwise. On your own network class_crossing, image_crossing and place decide.",
        counted={"images": "images", "draws": "random orders"},
    )
)
def faithfulness(family, margins, seed):
    """What was measured, never more than inconclusive: by every metric that the network's own answer passes and that is reliable.

    Of one method there is no order for images to agree on: its reliability is not measured, and it is read by its own intervals
    alone, against random order and the best blind control.
    """
    names = [name.partition("/")[2] for name in family[0].samples if name.startswith("z/")]
    oracle = {name: _moved(family[0].samples, "oracle ", name, seed) for name in names}
    passing = [name for name in names if _beats(oracle[name])]
    if not passing:
        return [_no_order(oracle) for _ in family]
    alphas = {name: _reliability(family, name) for name in names}
    read = [name for name in passing if not alphas[name] < margins.reliable]
    return [_perturbed(evidence.samples, oracle, alphas, read, margins, seed) for evidence in family]


def _moved(samples, kind, name, seed):
    """-> z and what is above the best control, each `Interval`. kind: "" of the method, "oracle " of the network's own answer."""
    return tuple(two_way(samples[f"{kind}{number}/{name}"][None], seed=seed) for number in ("z", "above"))


def _beats(moved):
    return all(interval.low > 0 for interval in moved)


def _no_order(oracle):
    words = "; ".join(f"{name} z {z}, above the best control {above}" for name, (z, above) in oracle.items())
    why = f"the network's own answer by occlusion, under another fill: {words}"
    return Ruling("INVALID", "ORACLE DOES NOT PASS", why=why)


def _reliability(family, name):
    """Krippendorff's alpha with images as raters of the judged methods, controls left out; nan for fewer than two methods.

    A method without any number is none, and an image on which a method has none rates nothing.
    """
    controls = explainers.names(control=True)
    columns = [evidence.samples[f"z/{name}"] for evidence in family if evidence.method not in controls]
    columns = [values for values in columns if np.isfinite(values).any()]
    if len(columns) < 2:
        return float("nan")
    ratings = np.stack(columns, axis=1)
    return krippendorff(ratings[np.isfinite(ratings).all(axis=1)])


def _perturbed(samples, oracle, alphas, read, margins, seed):
    moved = {name: _moved(samples, "", name, seed) for name in alphas}
    weakest = min(read or alphas, key=lambda name: np.nan_to_num(moved[name][0].mean, nan=-np.inf))
    also = tuple((name, _by_metric(moved[name], oracle[name], alphas[name])) for name in alphas)
    numbers = {"effect": moved[weakest][0], "ceiling": oracle[weakest][0], "also": also}
    if len({METRICS[name][0] for name in read}) < 2:
        why = f"{_rated(alphas)}; metrics that can be read: {', '.join(read) or 'none'}"
        return Ruling("INCONCLUSIVE", "METRIC UNRELIABLE", **numbers, why=why)
    unrated = "" if any(np.isfinite(alphas[name]) for name in read) else ONE_METHOD
    finding, why = _order(samples, moved, read, margins)
    return Ruling("INCONCLUSIVE", finding, **numbers, why=why + unrated)


def _rated(alphas):
    """How well images agree by each metric, in words: str."""
    rated = [f"{name} {alpha:.2f}" for name, alpha in alphas.items() if np.isfinite(alpha)]
    return f"alpha by metric: {', '.join(rated)}" if rated else "agreement not measured: one method alone was judged"


def _by_metric(moved, oracle, alpha):
    rated = f"alpha {alpha:.2f}" if np.isfinite(alpha) else "alpha not measured"
    z, above = moved
    passed = "" if _beats(oracle) else ", does not pass"
    own = f"the network's own answer z {oracle[0]}, above the best control {oracle[1]}{passed}"
    return f"z {z}, above the best control {above}; {own}; {rated}"


def _order(samples, moved, read, margins):
    """Finding and why, by the metrics that are read."""
    if all(_beats(moved[name]) for name in read):
        count = min(int(np.isfinite(samples[f"z/{name}"]).sum()) for name in read)
        if count >= margins.images:
            return "BEATS RANDOM ORDER", f"in {', '.join(read)}"
        return "UNDECIDED", f"it moves on {count} images alone, and {margins.images} are needed"
    if all(moved[name][0].high <= 0 for name in read):
        return "NO BETTER THAN RANDOM ORDER", f"in {', '.join(read)}"
    short = [name for name in read if not _beats(moved[name])]
    return "UNDECIDED", f"not above random order and the best control in {', '.join(short)}"


ONE_METHOD = "; reliability not measured: it takes two judged methods that differ"


@rules.register(
    about=About(
        "Retraining beats random order",
        "advantage",
        {
            "BEATS RANDOM ORDER": "a network trained anew loses more by the map's positions than by random ones",
            "NO BETTER THAN RANDOM ORDER": "a network trained anew loses no more by the map's positions than by random ones",
            "UNDECIDED": "{why}",
        },
        similarity="accuracy after removal in random order less accuracy after removal in the map's order (the other way round where positions are kept)",
        counted={"images": "images", "repeats": "repeats"},
    )
)
def retraining(family, margins, seed):
    """Accuracy lost by the map's order against random order."""
    return [_retrained(evidence, margins, seed) for evidence in family]


def _retrained(evidence, margins, seed):
    """The unit is the repeat, its shares averaged: of one repeat they share data, order and draw."""
    samples = {name: value.mean(axis=0) for name, value in evidence.samples.items()}
    lost = samples["accuracy/random"] - samples["accuracy/map"]
    gained = -lost if evidence.settings["keep"] else lost
    p = sign_test(gained)
    also = tuple((name, str(np.round(value.mean(axis=1), 2).tolist())) for name, value in evidence.samples.items())
    if len(gained) < FEWEST:
        why = f"{len(gained)} repeats; fewer than {FEWEST} decide nothing"
        return Ruling("INCONCLUSIVE", "UNDECIDED", unmeasured(gained.mean()), p=p, also=also, why=why)
    effect = two_way(gained[None], seed=seed)
    numbers = {"effect": effect, "p": p, "also": also}
    if p < margins.alpha and effect.low > 0:
        return Ruling("PASS", "BEATS RANDOM ORDER", **numbers, why=f"the sign test over {len(gained)} repeats")
    if effect.high <= 0 and gained.any():
        return Ruling("FAIL", "NO BETTER THAN RANDOM ORDER", **numbers, why="the upper bound is not above zero")
    why = f"the advantage {effect} of {len(gained)} repeats decides nothing"
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why)


@rules.register(
    about=About(
        "Complexity rises when weights are lost",
        "rise",
        {
            "ROSE": "entropy of the map rose",
            "FELL": "entropy of the map fell; for maps of few values that is no fault",
            "UNCHANGED": "entropy of the map did not clearly change",
        },
        similarity="(entropy of the random network's map - entropy of the trained one's) / the latter, 100 bins",
        counted={"images": "images", "networks": "random networks"},
    )
)
def entropy(family, margins, seed):
    """Rose, fell or unchanged, by a sign test over images, Holm over methods; never more than inconclusive."""
    raw = [sign_test(by_image(evidence.samples["rise"])) for evidence in family]
    return [_rose(evidence.samples["rise"], p, margins, seed) for evidence, p in zip(family, holm(raw))]


def by_image(values):
    """Mean over networks of values [networks, images], images without any left out: float64 [images]."""
    return np.nanmean(values[:, np.isfinite(values).any(axis=0)], axis=0)


def _rose(rise, p, margins, seed):
    """Direction and test are of the same image means: the sign that more of them have."""
    effect, means = two_way(rise, seed=seed), by_image(rise)
    higher = np.sum(means > 0) > np.sum(means < 0)
    finding = "UNCHANGED" if p >= margins.alpha else "ROSE" if higher else "FELL"
    return Ruling("INCONCLUSIVE", finding, effect, p=float(p), why="sign test over images, Holm over methods")
