"""Invariance: is the map the same when the same function is written down otherwise?

Implementation invariance (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365) and input invariance (Kindermans et
al. 2019, https://arxiv.org/abs/1711.00867). Exact and deterministic: no random network is needed.
"""

import inspect

import numpy as np

from lab.environment import tf
from lab.refusal import Refused
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.comparison import distance_intervals, distances
from sanity.evidence import Gate
from sanity.rewrites import output_difference, rewrites
from sanity.ruling import About, Ruling, rules

# Names under which methods, ours and others', take baselines: points of the input space, which move when the inputs do.
POINTS = ("baseline", "baselines", "reference", "references", "background")


def prepare(subject, *, seed):
    """The rewrites that this network allows, verified, for all methods to share: dict of name to `Rewrite`."""
    del seed  # Rewrites are exact; nothing is drawn.
    found = {name: rewrites.get(name)(subject) for name in rewrites}
    return {name: each for name, each in found.items() if each is not None}


@checks.register(prepare=prepare)
def invariance(explainer, subject, *, seed, prepared=None, **options):
    """Does the map stay when the function is rewritten and computes the same? -> `Evidence`.

    The seed stays too. Under a shift of the inputs the method's baselines (options of the names `POINTS`) shift with them; a method
    that has none is judged without, and the words say so. One that is None, which may be zero or made of the inputs, is judged
    by the reading that keeps its map. options: the explainer's own.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    prepared = prepare(subject, seed=seed) if prepared is None else prepared
    own, samples, refused = bound.maps(), {}, []
    for name, rewrite in prepared.items():
        try:
            with rewrite.network.weights(rewrite.state):
                others = [
                    bound.maps(rewrite.inputs, network=rewrite.network, **given)
                    for given in _rewrite_options(bound, rewrite)
                ]
        except Refused as error:
            # A method may refuse a network that is built otherwise; that is told, not judged.
            refused.append(f"{name} refused: {str(error)[:120]}")
            continue
        samples[f"distance/{name}"] = min((distances(own, other) for other in others), key=np.nanmean)
    seen = [f"{name} (outputs differ by {output_difference(subject, each):.0e})" for name, each in prepared.items()]
    untold = [
        f"{name}: no option {', '.join(POINTS)} to tell it of the shift"
        for name in _without_shift_option(bound, prepared)
    ]
    words = "; ".join([*seen, *refused, *untold]) or "no rewrite applies to this network"
    enough = Gate("function preserved", "passed" if samples else "not applicable", words)
    passed = [enough, gates.competence(subject), gates.usable_maps(pooled_maps(own))]
    return bound.evidence("invariance", samples, passed, settings={"untold": _without_shift_option(bound, prepared)})


def _without_shift_option(bound, prepared):
    """The rewrites that move the inputs and of which the method has no option to be told: list of str."""
    return [name for name, rewrite in prepared.items() if rewrite.shift and not _shift_baselines(bound, rewrite.shift)]


def _rewrite_options(bound, rewrite):
    """What the method may be told about the rewritten network, where its layer is now and where its baselines: list of dicts."""
    placed, layer = {}, bound.resolved_options.get("layer")
    if rewrite.inside and layer:
        inside = rewrite.inside
        placed["layer"] = inside + layer if isinstance(layer, str) else [inside + each for each in layer]
    shifted = _shift_baselines(bound, rewrite.shift) if rewrite.shift else {}
    unsaid = shifted and all(value is None for value in _baseline_options(bound).values())
    return [{**placed, **shifted}, *([placed] if unsaid else [])]


def _shift_baselines(bound, shift):
    """The method's options that are points of the input space, shifted: dict; where all are None, which is zero, the first of them."""
    points = _baseline_options(bound)
    if not all(_is_numeric(value) for value in points.values()):
        return {}
    chosen = {name: value for name, value in points.items() if value is not None} or dict(list(points.items())[:1])
    return {name: _shift(value, shift) for name, value in chosen.items()}


def _baseline_options(bound):
    """Options of the method that say where its baselines lie, as they will be: dict of name to value."""
    parameters = list(inspect.signature(bound.explainer).parameters.values())[3:]
    defaults = {each.name: each.default for each in parameters if each.kind is not each.VAR_KEYWORD}
    return {
        name: bound.resolved_options.get(name, defaults.get(name))
        for name in POINTS
        if name in {**defaults, **bound.resolved_options}
    }


def _is_numeric(value):
    """Whether a value is numbers, or None: one that is named, such as "blur", is made of the inputs themselves."""
    return all(leaf is None or np.asarray(leaf).dtype.kind in "fiu" for leaf in tf.nest.flatten(value))


def _shift(value, shift):
    return tf.nest.map_structure(lambda leaf: (0.0 if leaf is None else leaf) + np.float32(shift), value)


@rules.register(
    name="invariance",
    about=About(
        "Invariant to rewrites",
        "distance",
        {
            "INVARIANT": "maps stay when the same function is written down otherwise",
            "NOT INVARIANT": "{why}",
            "UNDECIDED": "{why}",
        },
        similarity="relative L2 of raw maps, the worst rewrite",
        counted={"images": "images"},
    ),
)
def judge_invariance(family, margins, seed):
    """The worst rewrite decides."""
    return [_judge_rewrites(evidence, margins, seed) for evidence in family]


def _judge_rewrites(evidence, margins, seed):
    found, untold = distance_intervals(evidence.samples, seed), evidence.settings.get("untold", [])
    worst = max(found, key=lambda name: found[name].mean)
    also = tuple((name, f"{each.mean:.1e} [{each.low:.1e}, {each.high:.1e}]") for name, each in found.items())
    moved = [name for name, each in found.items() if each.low > margins.same]
    if moved:
        without = [name for name in moved if name in untold]
        told = f"; of {', '.join(without)} it could not be told: it has no option for a baseline" if without else ""
        why = f"they change under {', '.join(moved)}{told}"
        return Ruling("FAIL", "NOT INVARIANT", found[worst], why=why, also=also)
    if all(each.high <= margins.same for each in found.values()):
        return Ruling("PASS", "INVARIANT", found[worst], why=f"every distance is below {margins.same}", also=also)
    return Ruling("INCONCLUSIVE", "UNDECIDED", found[worst], why=f"{worst} is near {margins.same}", also=also)
