"""Implementation: do two libraries' methods of one name give one map on one network?"""

import numpy as np

from lab.attribution import explainers
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.comparison import distance_intervals, distances, prefix_keys, rescale, scale_factors, similarities
from sanity.evidence import Gate
from sanity.ruling import About, Ruling, rules
from sanity.statistics import bootstrap_interval


@checks.register
def implementation(explainer, subject, /, *, seed, against=None, **options):
    """Does the map agree with that of other libraries' method of the same name, on the same network and target?

    The tags of a counterpart name our method (`same_as`), and the options of both (`alike`, `ours`).

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        against: str, a registered method to compare with; None: the counterparts that are known.
        options: options of the method.

    Returns:
        `Evidence` with samples by counterpart: `distance/`, of maps as they are; `scaled/`, after the factor `scale/`
            that brings the other map nearest; `similar/`, similarities.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    others = counterparts(explainer) if against is None else {against: ({}, {})}
    words = ", ".join(others) or "no other implementation of this name is at hand"
    enough = Gate("counterpart found", "passed" if others else "not applicable", words)
    if not others:
        return bound.evidence("implementation", {}, [enough])
    samples, usable = {}, []
    for name, (other_options, own_options) in others.items():
        maps = BoundExplainer(explainer, subject, seed, {**options, **own_options}).maps()
        other_maps = BoundExplainer(explainers.get(name), subject, seed, other_options).maps()
        factors = scale_factors(maps, other_maps)
        samples[f"distance/{name}"] = distances(maps, other_maps)
        samples[f"scale/{name}"] = factors
        samples[f"scaled/{name}"] = distances(maps, rescale(other_maps, factors))
        samples |= prefix_keys(f"similar/{name}", similarities(pooled_maps(maps), pooled_maps(other_maps)))
        usable += [pooled_maps(maps), pooled_maps(other_maps)]
    return bound.evidence("implementation", samples, [enough, gates.competence(subject), gates.usable_maps(*usable)])


def counterparts(explainer):
    """Other registered methods that are the same.

    Returns:
        dict of name to (options of the other, options of this one).
    """
    name = explainers.name(explainer)
    matches = {}
    for other in explainers:
        function = explainers.get(other)
        alike, ours = explainers.tag(function, "alike", {}), explainers.tag(function, "ours", {})
        if explainers.tag(function, "same_as") == name:
            matches[other] = (alike, ours)
    if explainers.tag(explainer, "same_as"):
        matches[explainers.tag(explainer, "same_as")] = (
            explainers.tag(explainer, "ours", {}),
            explainers.tag(explainer, "alike", {}),
        )
    return matches


@rules.register(
    name="implementation",
    about=About(
        "Agrees with its namesakes",
        "distance",
        {
            "AGREES": "the same map as the other implementation's, {why}",
            "OTHER SIGN": "the other implementation's map with the sign turned, {why}",
            "DISAGREES": "another map than the other implementation's, {why}",
            "UNDECIDED": "{why}",
        },
        similarity="relative L2 of raw maps; where they differ, after the best factor for each; the worst counterpart",
        counted={"images": "images"},
        better="lower",
    ),
)
def judge_implementation(family, margins, seed):
    """Distance to the method of the same name in another library.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_judge_counterparts(evidence.samples, margins, seed) for evidence in family]


def _judge_counterparts(samples, margins, seed):
    """The worst counterpart decides."""
    compared = {name: _compare(samples, name, margins, seed) for name in distance_intervals(samples, seed)}
    worst = max(compared, key=lambda name: (_AGREEMENTS.index(compared[name][0]), compared[name][1].mean))
    finding, distance, _ = compared[worst]
    outcome = {"AGREES": "PASS", "DISAGREES": "FAIL"}.get(finding, "INCONCLUSIVE")
    why = "; ".join(words for _, _, words in compared.values()) if finding == "AGREES" else compared[worst][2]
    also = tuple((name, f"{words}, {other_distance.mean:.1e}") for name, (_, other_distance, words) in compared.items())
    return Ruling(outcome, finding, distance, why=why, also=also)


_AGREEMENTS = ("AGREES", "UNDECIDED", "OTHER SIGN", "DISAGREES")


def _compare(samples, name, margins, seed):
    """One counterpart: finding, the distance that decided, and words. A positive factor is no difference."""
    raw, scaled = (bootstrap_interval(samples[f"{kind}/{name}"][None], seed=seed) for kind in ("distance", "scaled"))
    factors = samples[f"scale/{name}"]
    if raw.high <= margins.same:
        return "AGREES", raw, f"with {name}"
    if scaled.low > margins.same:
        return "DISAGREES", scaled, f"with {name}, whatever the factor"
    if scaled.high > margins.same:
        return "UNDECIDED", scaled, f"{name} is near {margins.same}"
    low, high = np.nanmin(factors), np.nanmax(factors)
    factor_words = (
        f"a factor of {low:.3g}" if np.isclose(low, high, rtol=margins.same) else f"factors of {low:.3g} to {high:.3g}"
    )
    if low < 0:
        return "OTHER SIGN", scaled, f"with {name} up to {factor_words}"
    return "AGREES", scaled, f"with {name} up to {factor_words}"
