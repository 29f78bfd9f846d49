"""Truth: does a map find what was planted, better than controls that never look at the network?

Two columns are kept apart: against the mask of the data (what the generator made informative) and against interventions on
the network (where its score falls when windows are emptied): a network may use a part of what it could.
"""

from dataclasses import dataclass

import numpy as np

from lab.attribution import explainers
from sanity import gates
from sanity.checks import checks
from sanity.interventions import occlusion
from sanity.localisation import lift, localisations, relevances
from sanity.viewer import Viewer

# Decided by this one: it asks for places only, so neither the scale of a map nor a few extreme values matter.
DECIDES = "rank"


@dataclass(frozen=True)
class Prepared:
    """used: bool like the masks, as many places as each mask has, those that matter most to the network. controls: scores by name."""

    used: np.ndarray
    controls: dict


def prepare(subject, *, seed):
    """Interventions and controls, for all methods to share -> `Prepared`, or None where no truth is planted."""
    if subject.truth is None:
        return None
    used = _highest(occlusion(subject), subject.truth.masks)
    controls = {}
    for name in explainers.names(control=True):
        relevance = relevances(Viewer(explainers.get(name), subject, seed, {}).maps(), subject.truth.masks.shape)
        controls[name] = np.array([localisations.get(DECIDES)(*pair) for pair in zip(relevance, subject.truth.masks)])
    return Prepared(used, controls)


@checks.register(prepare=prepare)
def truth(explainer, subject, *, seed, prepared=None, **options):
    """Does the map lie where the planted cue is, more than the best blind control's? -> `Evidence`.

    Needs a world with masks, and a network proven to use them. options: the explainer's own.
    """
    viewer, planted = Viewer(explainer, subject, seed, options), gates.planted(subject)
    if planted.status != "passed":
        return viewer.evidence("truth", {}, [planted])
    prepared = prepared or prepare(subject, seed=seed)
    masks, maps = subject.truth.masks, viewer.maps()
    relevance = relevances(maps, masks.shape)
    usable = np.array([np.isfinite(each).all() and each.min() < each.max() for each in relevance])
    samples = {f"data/{name}": _scores(name, relevance, masks, usable) for name in localisations}
    samples |= {f"model/{name}": _scores(name, relevance, prepared.used, usable) for name in localisations}
    samples |= {f"control/{name}": values for name, values in prepared.controls.items()}
    samples["agreement"] = np.array(
        [localisations.get(DECIDES)(used * 1.0, mask) for used, mask in zip(prepared.used, masks)]
    )
    if subject.truth.decoys is not None:
        pairs = zip(relevance, subject.truth.decoys)
        samples["decoy/lift"] = np.array([lift(one, mask) if mask.any() else np.nan for one, mask in pairs])
    passed = [planted, gates.competent(subject), gates.usable([bool(each) or None for each in usable])]
    return viewer.evidence("truth", samples, passed, maps={"trained": relevance.astype("float32")})


def _scores(name, relevance, masks, usable):
    score = localisations.get(name)
    return np.array([score(one, mask) if fine else np.nan for one, mask, fine in zip(relevance, masks, usable)])


def _highest(values, masks):
    """As many highest places of each sample as its mask has: bool like the masks."""
    found = np.zeros(masks.shape, bool)
    for row, mask, place in zip(values, masks, found):
        place.flat[np.argsort(-row, axis=None, kind="stable")[: int(mask.sum())]] = True
    return found
