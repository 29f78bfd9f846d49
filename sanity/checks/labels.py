"""Labels: does a map change when the network learned wrong labels by heart?

Adebayo et al. 2018, https://arxiv.org/abs/1810.03292, section 4.2; with several networks on either side, so that chance can
be told from effect. The permuted networks draw their own seeds and permutations: pairing them by seed would allow sign flips
only, and four pairs could never decide.
"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.comparison import across, among, named
from sanity.evidence import Gate
from sanity.viewer import Viewer, stacked

MEMORIZED = 0.95


@checks.register
def labels(explainer, subject, *, seed, **options):
    """Do maps of networks trained on permuted labels differ from those of networks trained on true ones? -> `Evidence`.

    Needs a subject with twins and misled networks (`--world`). options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    enough = [gates.several("twins", subject.twins), gates.several("misled networks", subject.misled)]
    if any(gate.status != "passed" for gate in enough):
        return viewer.evidence("labels", {}, enough)
    with subject.network.intact():
        true = [_look(viewer, state, ("twin", turn)) for turn, state in enumerate(subject.twins)]
        wrong = [_look(viewer, state, ("permuted labels", turn)) for turn, state in enumerate(subject.misled)]
    samples = {
        **named("ceiling", among(true)),
        **named("between", across(true, wrong)),
        **named("random", among(wrong)),
    }
    passed = (
        gates.competent(subject),
        _memorized(subject),
        *enough,
        gates.usable(*true, *wrong),
        gates.frozen(subject, viewer),
        gates.restored(),
    )
    maps = {"trained": stacked(true[0]), "misled": stacked(wrong[0])}
    return viewer.evidence("labels", samples, passed, sizes={"networks": len(wrong), "twins": len(true)}, maps=maps)


def _look(viewer, weights, state):
    with viewer.subject.network.weights(weights):
        return viewer.planes(state=state)


def _memorized(subject):
    worst = float(np.min(subject.memorized))
    words = f"permuted labels remembered: {worst:.0%} at the least; needed: {MEMORIZED:.0%}"
    return Gate("permuted labels memorized", "passed" if worst >= MEMORIZED else "failed", words)
