"""Sensitivity: is a map much the same under a little noise, and under another seed? (Yeh et al. 2019, https://arxiv.org/abs/1901.09392.)"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.comparison import named, similar
from sanity.seeds import derive_seed
from sanity.viewer import Viewer, stacked


@checks.register
def sensitivity(explainer, subject, *, seed, noise=0.01, repeats=3, **options):
    """Is the map stable to small noise and to the method's own seed? -> `Evidence`.

    noise: standard deviation as a share of each input's range. repeats: noisy copies, and seeds. Under noise the seed is kept,
    so that the two do not mix. options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    own = viewer.planes()
    nudged = [viewer.planes(viewer.nudged(derive_seed(seed, "small noise", turn), noise)) for turn in range(repeats)]
    redrawn = [viewer.planes(state=("redrawn", turn)) for turn in range(repeats)] if viewer.draws else []
    samples = _stacked("noise", [similar(own, planes) for planes in nudged])
    samples |= _stacked("seed", [similar(own, planes) for planes in redrawn])
    passed = [gates.competent(subject), gates.usable(own, *nudged, *redrawn)]
    settings = {"noise": noise, "repeats": repeats}
    maps = {"trained": stacked(own), "nudged": stacked(nudged[0])}
    return viewer.evidence("sensitivity", samples, passed, sizes={"repeats": repeats}, settings=settings, maps=maps)


def _stacked(prefix, rows):
    return named(prefix, {name: np.stack([row[name] for row in rows]) for name in rows[0]}) if rows else {}
