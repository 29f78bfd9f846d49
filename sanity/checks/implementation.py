"""Implementation: do two libraries' methods of one name give one map on one network?"""

import numpy as np

from lab.attribution import explainers
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.comparison import distance_intervals, distances, prefix_keys, rescale, scale_factors, similarities
from sanity.evidence import Gate
from sanity.ruling import About, Ruling, rules
from sanity.statistics import two_way


@checks.register
def implementation(explainer, subject, *, seed, against=None, **options):
    """Does the map agree with that of other libraries' method of the same name, on the same network and target? -> `Evidence`.

    Each counterpart says in its tags which of our methods it is (`same_as`) and with which options of both (`alike`, `ours`).
    Measured as maps are, and after the factor that brings a sample's other map nearest. against: a registered method to compare
    with, for a method that ought to be the same and says nothing of itself. options: the explainer's own.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    others = counterparts(explainer) if against is None else {against: ({}, {})}
    words = ", ".join(others) or "no other implementation of this name is at hand"
    enough = Gate("counterpart found", "passed" if others else "not applicable", words)
    if not others:
        return bound.evidence("implementation", {}, [enough])
    samples, seen = {}, []
    for name, (theirs, ours) in others.items():
        own = BoundExplainer(explainer, subject, seed, {**options, **ours}).maps()
        other = BoundExplainer(explainers.get(name), subject, seed, theirs).maps()
        factors = scale_factors(own, other)
        samples[f"distance/{name}"] = distances(own, other)
        samples[f"scale/{name}"] = factors
        samples[f"scaled/{name}"] = distances(own, rescale(other, factors))
        samples |= prefix_keys(f"similar/{name}", similarities(pooled_maps(own), pooled_maps(other)))
        seen += [pooled_maps(own), pooled_maps(other)]
    return bound.evidence("implementation", samples, [enough, gates.competence(subject), gates.usable_maps(*seen)])


def counterparts(explainer):
    """Other registered methods that are the same: dict of name to (their options, ours)."""
    name = explainers.name(explainer)
    found = {}
    for other in explainers:
        function = explainers.get(other)
        alike, ours = explainers.tag(function, "alike", {}), explainers.tag(function, "ours", {})
        if explainers.tag(function, "same_as") == name:
            found[other] = (alike, ours)
    if explainers.tag(explainer, "same_as"):
        found[explainers.tag(explainer, "same_as")] = (
            explainers.tag(explainer, "ours", {}),
            explainers.tag(explainer, "alike", {}),
        )
    return found


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
        similarity="relative L2 of raw maps, after the factor that brings each nearest where they differ without; the worst counterpart",
        counted={"images": "images"},
    ),
)
def judge_implementation(family, margins, seed):
    """Distance to the method of the same name in another library."""
    return [_judge_counterparts(evidence.samples, margins, seed) for evidence in family]


def _judge_counterparts(samples, margins, seed):
    """The worst counterpart decides."""
    compared = {name: _compare(samples, name, margins, seed) for name in distance_intervals(samples, seed)}
    worst = max(compared, key=lambda name: (_AGREEMENTS.index(compared[name][0]), compared[name][1].mean))
    finding, distance, _ = compared[worst]
    outcome = {"AGREES": "PASS", "DISAGREES": "FAIL"}.get(finding, "INCONCLUSIVE")
    why = "; ".join(words for _, _, words in compared.values()) if finding == "AGREES" else compared[worst][2]
    also = tuple((name, f"{words}, {each.mean:.1e}") for name, (_, each, words) in compared.items())
    return Ruling(outcome, finding, distance, why=why, also=also)


_AGREEMENTS = ("AGREES", "UNDECIDED", "OTHER SIGN", "DISAGREES")


def _compare(samples, name, margins, seed):
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
