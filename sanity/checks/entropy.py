"""Entropy: does a map become more complex when the network forgets? (Efficient MPRT: Hedstrom et al. 2024, https://arxiv.org/abs/2401.06465.)"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.checks.parameters import prepare
from sanity.viewer import Viewer

BINS = 100


@checks.register(prepare=prepare)
def entropy(explainer, subject, *, seed, prepared=None, **options):
    """Relative rise of the map's histogram entropy from the trained to fully random networks -> `Evidence`.

    Only the two ends are compared. Reported as rose, fell or unchanged; for maps of few values a fall is no fault. options:
    the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    with subject.network.intact():
        prepared = prepared or prepare(subject, seed=seed)
        trained, others = viewer.planes(), []
        for turn, run in enumerate(prepared.runs):
            with subject.network.weights(run[-1].state):
                others.append(viewer.planes(state=("random network", turn)))
    before = np.array([histogram(each) for each in trained])
    after = np.array([[histogram(each) for each in planes] for planes in others])
    samples = {"rise": (after - before) / before, "before": before, "after": after}
    passed = [gates.competent(subject), gates.usable(trained, *others), gates.frozen(subject, viewer), gates.restored()]
    return viewer.evidence("entropy", samples, passed, sizes={"networks": len(others)})


def histogram(plane):
    """Entropy in nats of the histogram, of 100 bins between its own extremes, of a plane's absolute values: float; nan for None."""
    if plane is None:
        return np.nan
    counts = np.histogram(plane.unsigned, bins=BINS)[0]
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
