"""Implementation: do two libraries' methods of one name give one map on one network?"""

from lab.attribution import explainers
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.comparison import distances, named, scaled, scales, similar
from sanity.evidence import Gate


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
        factors = scales(own, other)
        samples[f"distance/{name}"] = distances(own, other)
        samples[f"scale/{name}"] = factors
        samples[f"scaled/{name}"] = distances(own, scaled(other, factors))
        samples |= named(f"similar/{name}", similar(pooled_maps(own), pooled_maps(other)))
        seen += [pooled_maps(own), pooled_maps(other)]
    return bound.evidence("implementation", samples, [enough, gates.competent(subject), gates.usable(*seen)])


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
