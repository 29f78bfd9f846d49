"""Invariance: is the map the same when the same function is implemented in another way?

Implementation invariance (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365) and input invariance
(Kindermans et al. 2019, https://arxiv.org/abs/1711.00867). Exact and deterministic: no random network is needed.
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

# Names of options that hold baselines. These are points of the input space and shift with the inputs.
POINTS = ("baseline", "baselines", "reference", "references", "background")


def prepare(subject, *, seed):
    """The rewrites that this network allows, verified, for all methods to share.

    Args:
        subject: the `Subject`.
        seed: not used.

    Returns:
        dict of name to `Rewrite`.
    """
    del seed  # Rewrites are exact; nothing is drawn.
    rewrites_by_name = {name: rewrites.get(name)(subject) for name in rewrites}
    return {name: rewrite for name, rewrite in rewrites_by_name.items() if rewrite is not None}


@checks.register(prepare=prepare)
def invariance(explainer, subject, /, *, seed, prepared=None, **options):
    """Does the map stay when the function is rewritten and computes the same?

    The seed stays too. Under a shift of the inputs the method's baselines (options named in `POINTS`) shift with them.
    A method without such an option is judged without, and the words say so. A baseline of None may be zero or made of
    the inputs: the reading that keeps its map counts.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `distance/REWRITE` [samples].
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    prepared = prepare(subject, seed=seed) if prepared is None else prepared
    maps, samples, refused = bound.maps(), {}, []
    for name, rewrite in prepared.items():
        try:
            with rewrite.network.weights(rewrite.state):
                others = [
                    bound.maps(rewrite.inputs, network=rewrite.network, **rewrite_options)
                    for rewrite_options in _rewrite_options(bound, rewrite)
                ]
        except Refused as error:
            # A method may refuse a network that is built in another way; that is reported, not judged.
            refused.append(f"{name} refused: {str(error)[:120]}")
            continue
        samples[f"distance/{name}"] = min((distances(maps, other) for other in others), key=np.nanmean)
    without_option = _rewrites_without_option(bound, prepared)
    words = "; ".join([*_verified_words(subject, prepared), *refused, *_shift_words(without_option)])
    status = "passed" if samples else "not applicable"
    enough = Gate("function preserved", status, words or "no rewrite applies to this network")
    passed = [enough, gates.competence(subject), gates.usable_maps(pooled_maps(maps))]
    return bound.evidence("invariance", samples, passed, settings={"untold": without_option})


def _verified_words(subject, prepared):
    return [
        f"{name} (outputs differ by {output_difference(subject, rewrite):.0e})" for name, rewrite in prepared.items()
    ]


def _shift_words(names):
    return [f"{name}: no option {', '.join(POINTS)} to tell it of the shift" for name in names]


def _rewrites_without_option(bound, prepared):
    """The rewrites that shift the inputs while the method has no option for its baseline: list of str."""
    return [name for name, rewrite in prepared.items() if rewrite.shift and not _shift_baselines(bound, rewrite.shift)]


def _rewrite_options(bound, rewrite):
    """The options to try on the rewritten network, with its layer and baselines: list of dict."""
    layer_option, layer = {}, bound.resolved_options.get("layer")
    if rewrite.inside and layer:
        inside = rewrite.inside
        layer_option["layer"] = inside + layer if isinstance(layer, str) else [inside + address for address in layer]
    shifted = _shift_baselines(bound, rewrite.shift) if rewrite.shift else {}
    unset = shifted and all(value is None for value in _baseline_options(bound).values())
    return [{**layer_option, **shifted}, *([layer_option] if unset else [])]


def _shift_baselines(bound, shift):
    """The method's baseline options, shifted: dict. Where all are None, which is zero, the first of them."""
    options = _baseline_options(bound)
    if not all(_is_numeric(value) for value in options.values()):
        return {}
    baselines = {name: value for name, value in options.items() if value is not None} or dict(list(options.items())[:1])
    return {name: _shift(value, shift) for name, value in baselines.items()}


def _baseline_options(bound):
    """The method's options that hold baselines, with their values: dict."""
    parameters = list(inspect.signature(bound.explainer).parameters.values())[3:]
    defaults = {
        parameter.name: parameter.default for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD
    }
    return {
        name: bound.resolved_options.get(name, defaults.get(name))
        for name in POINTS
        if name in {**defaults, **bound.resolved_options}
    }


def _is_numeric(value):
    """Whether a value is numbers or None. A named baseline, such as "blur", is made of the inputs themselves."""
    return all(leaf is None or np.asarray(leaf).dtype.kind in "fiu" for leaf in tf.nest.flatten(value))


def _shift(value, shift):
    return tf.nest.map_structure(lambda leaf: (0.0 if leaf is None else leaf) + np.float32(shift), value)


@rules.register(
    name="invariance",
    about=About(
        "Invariant to rewrites",
        "distance",
        {
            "INVARIANT": "maps stay the same when the same function is implemented in another way",
            "NOT INVARIANT": "{why}",
            "UNDECIDED": "{why}",
        },
        similarity="relative L2 of raw maps, the worst rewrite",
        counted={"images": "images"},
        better="lower",
    ),
)
def judge_invariance(family, margins, seed):
    """The worst rewrite decides.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_judge_rewrites(evidence, margins, seed) for evidence in family]


def _judge_rewrites(evidence, margins, seed):
    distances, without_option = distance_intervals(evidence.samples, seed), evidence.settings.get("untold", [])
    worst = max(distances, key=lambda name: distances[name].mean)
    also = tuple(
        (name, f"{distance.mean:.1e} [{distance.low:.1e}, {distance.high:.1e}]") for name, distance in distances.items()
    )
    changed = [name for name, distance in distances.items() if distance.low > margins.same]
    if changed:
        unshifted = [name for name in changed if name in without_option]
        note = f"; of {', '.join(unshifted)} it could not be told: it has no option for a baseline" if unshifted else ""
        why = f"they change under {', '.join(changed)}{note}"
        return Ruling("FAIL", "NOT INVARIANT", distances[worst], why=why, also=also)
    if all(distance.high <= margins.same for distance in distances.values()):
        return Ruling("PASS", "INVARIANT", distances[worst], why=f"every distance is below {margins.same}", also=also)
    return Ruling("INCONCLUSIVE", "UNDECIDED", distances[worst], why=f"{worst} is near {margins.same}", also=also)
