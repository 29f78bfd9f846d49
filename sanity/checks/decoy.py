"""Decoy: does a map leave alone what catches the eye and means nothing to the network?"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.localisation import lift, relevances
from sanity.viewer import Viewer


@checks.register
def decoy(explainer, subject, *, seed, **options):
    """How much of the map lies on the decoy, as a multiple of the decoy's area? -> `Evidence`.

    Needs a world with decoys, and a network proven to leave them alone. options: the explainer's own.
    """
    viewer, planted = Viewer(explainer, subject, seed, options), gates.planted(subject)
    there = _there(subject)
    if {planted.status, there.status} != {"passed"}:
        return viewer.evidence("decoy", {}, [planted, there])
    decoys = subject.truth.decoys
    relevance = relevances(viewer.maps(), decoys.shape)
    usable = [np.isfinite(each).all() and each.min() < each.max() for each in relevance]
    pairs = zip(relevance, decoys, usable)
    samples = {"lift": np.array([lift(one, mask) if fine and mask.any() else np.nan for one, mask, fine in pairs])}
    passed = [planted, there, gates.competent(subject), gates.usable([fine or None for fine in usable])]
    return viewer.evidence("decoy", samples, passed, maps={"trained": relevance.astype("float32")})


def _there(subject):
    if subject.truth is None or subject.truth.decoys is None:
        return Gate("decoy planted", "not applicable", "these data hold no decoy")
    moves = {name: value for name, value in subject.truth.proof.items() if name.startswith("moves/")}
    words = ", ".join(f"{name} {value:.2f} of the cue" for name, value in moves.items())
    return Gate("decoy planted", "passed", words)
