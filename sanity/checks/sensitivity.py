"""Sensitivity: is a map much the same under a little noise, and under another seed? (Yeh et al. 2019, https://arxiv.org/abs/1901.09392.)"""

import numpy as np

from sanity import gates
from sanity.bound_explainer import BoundExplainer, stacked
from sanity.checks import checks
from sanity.comparison import named, similar
from sanity.seeds import derive_seed


@checks.register
def sensitivity(explainer, subject, *, seed, noise=0.01, repeats=3, **options):
    """Is the map stable to small noise and to the method's own seed? -> `Evidence`.

    noise: standard deviation as a share of each input's range. repeats: noisy copies, and seeds. Under noise the seed is kept,
    so that the two do not mix. options: the explainer's own.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    own = bound.pooled_maps()
    with_noise = [
        bound.pooled_maps(bound.with_noise(derive_seed(seed, "small noise", turn), noise)) for turn in range(repeats)
    ]
    redrawn = [bound.pooled_maps(state=("redrawn", turn)) for turn in range(repeats)] if bound.draws else []
    samples = _stacked("noise", [similar(own, pooled_maps) for pooled_maps in with_noise])
    samples |= _stacked("seed", [similar(own, pooled_maps) for pooled_maps in redrawn])
    passed = [gates.competent(subject), gates.usable(own, *with_noise, *redrawn)]
    settings = {"noise": noise, "repeats": repeats}
    maps = {"trained": stacked(own), "under noise": stacked(with_noise[0])}
    return bound.evidence("sensitivity", samples, passed, sizes={"repeats": repeats}, settings=settings, maps=maps)


def _stacked(prefix, rows):
    return named(prefix, {name: np.stack([row[name] for row in rows]) for name in rows[0]}) if rows else {}
