"""Invariance: is the map the same when the same function is written down otherwise?

Implementation invariance (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365) and input invariance (Kindermans et
al. 2019, https://arxiv.org/abs/1711.00867). Exact and deterministic: no random network is needed.
"""

import numpy as np

from lab.environment import tf
from lab.refusal import Refused
from lab.registry import options as known
from sanity import gates
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.rewrites import holds, rewrites
from sanity.viewer import Viewer, planes


def prepare(subject, *, seed):
    """The rewrites that this network allows, verified, for all methods to share: dict of name to `Rewrite`."""
    del seed  # Rewrites are exact; nothing is drawn.
    found = {name: rewrites.get(name)(subject) for name in rewrites}
    return {name: each for name, each in found.items() if each is not None}


@checks.register(prepare=prepare)
def invariance(explainer, subject, *, seed, prepared=None, **options):
    """Does the map stay when the function is rewritten and computes the same? -> `Evidence`.

    The seed stays too. Under a shift of the inputs a baseline shifts with them. options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    prepared = prepare(subject, seed=seed) if prepared is None else prepared
    own, samples, refused = viewer.maps(), {}, []
    for name, rewrite in prepared.items():
        try:
            with rewrite.network.weights(rewrite.state):
                other = viewer.maps(rewrite.inputs, network=rewrite.network, **_options(viewer, rewrite))
        except Refused as error:
            # A method may refuse a network that is built otherwise; that is told, not judged.
            refused.append(f"{name} refused: {str(error)[:120]}")
            continue
        samples[f"distance/{name}"] = _distances(own, other)
    seen = [f"{name} (outputs differ by {holds(subject, each):.0e})" for name, each in prepared.items()]
    words = "; ".join([*seen, *refused]) or "no rewrite applies to this network"
    enough = Gate("function preserved", "passed" if samples else "not applicable", words)
    return viewer.evidence("invariance", samples, [enough, gates.competent(subject), gates.usable(planes(own))])


def _options(viewer, rewrite):
    """What the method must be told about the rewritten network: where its layer is now, and where its baseline."""
    found = {}
    if rewrite.inside and "layer" in viewer.chosen:
        layer = viewer.chosen["layer"]
        found["layer"] = rewrite.inside + layer if isinstance(layer, str) else [rewrite.inside + each for each in layer]
    for name in ("baseline", "references"):
        if rewrite.shift and name in known(viewer.explainer):
            found[name] = viewer.chosen.get(name, known(viewer.explainer)[name]) + rewrite.shift
    return found


def _distances(own, other):
    """Relative L2 by sample: float64 [samples]."""
    pairs = list(zip(tf.nest.flatten(own), tf.nest.flatten(other)))
    apart, size = (
        sum((each.astype("float64").reshape(len(each), -1) ** 2).sum(axis=1) for each in leaves)
        for leaves in ([a - b for a, b in pairs], [a for a, _ in pairs])
    )
    return np.sqrt(apart / np.maximum(size, 1e-300))
