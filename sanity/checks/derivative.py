"""Derivative: does a map that claims to be a gradient predict how the score changes when the input changes a little?

Along random directions the score is measured at two points, and the difference is compared with what the map predicts.
No other network and no control is needed, and no margin but the measurement's own error. The map of another class
or a loss predicts something else. So does one with its sign turned, or of weights that were replaced.
"""

import numpy as np

from lab import routines
from lab.attribution import explainers
from lab.environment import tf
from lab.kinds import ranges
from lab.refusal import Refused
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.ruling import About, Ruling, images_remedy, rules
from sanity.seeds import derive_seed
from sanity.statistics import bootstrap_interval

# What a map may claim to be, and whether it must be divided by the input to give the score's gradient.
CLAIMS = {"slope": False, "slope times input": True}
# Steps as shares of each sample's own range, in a table of each column's deviation, from large to small. Few kinks may lie between the ends, and float32 must resolve the
# difference of their scores. A deep network of ReLUs needs a smaller step than a small one.
STEPS = (2e-3, 5e-4, 1.2e-4, 3e-5, 8e-6)


def refuse(*, directions=16, claimed=None):
    """Raise Refused for options that this check does not know.

    Args:
        directions: a whole number of 6 or more, for each sample.
        claimed: one of CLAIMS, or None.

    Raises:
        Refused: for the first option that is out of range.
    """
    if int(directions) != directions or directions < 6:
        raise Refused(f"directions is a whole number of 6 or more. Received: {directions!r}.")
    if claimed is not None and claimed not in CLAIMS:
        raise Refused(f"claimed is one of {', '.join(CLAIMS)}. Received: {claimed!r}.")


def prepare(subject, *, seed):
    """The step whose differences of the score agree best with those of twice the step, for all methods to share.

    It is chosen by the measurement alone, before any map is made.

    Args:
        subject: the `Subject`.
        seed: int, of the directions.

    Returns:
        float, or None where the inputs are not one array of floats.
    """
    if not _is_floating(subject):
        return None
    zeros = np.zeros(subject.inputs.shape)
    errors = [_mean_error(_compare_differences(subject, zeros, step, 4, seed)["rounding"]) for step in STEPS]
    return STEPS[int(np.argmin(errors))]


def _mean_error(errors):
    """The mean of the errors that are known: float; infinity where none is, as for a score that changes in steps."""
    finite = errors[np.isfinite(errors)]
    return float(finite.mean()) if finite.size else np.inf


@checks.register(prepare=prepare, refuse=refuse)
def derivative(explainer, subject, /, *, seed, directions=16, claimed=None, prepared=None, **options):
    """How far is what the map predicts from differences of the score along random directions?

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        directions: int, for each sample.
        claimed: one of CLAIMS, for a method without an attribute `derivative`; None: what the method claims.
        prepared: float, the step as `prepare` gives it; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples [samples] `error`, relative L2 distance of predicted from measured differences over the
            directions, and `rounding`, that of differences with twice the step.

    Raises:
        Refused: for options that the check does not know.
    """
    refuse(directions=directions, claimed=claimed)
    bound = BoundExplainer(explainer, subject, seed, options)
    claim = claimed or explainers.tag(explainer, "derivative") or getattr(explainer, "derivative", None)
    stated = Gate(
        "claims a derivative",
        "passed" if claim else "not applicable",
        claim or "the method does not claim one",
    )
    possible = Gate(
        "one floating input",
        "passed" if _is_floating(subject) else "not applicable",
        f"{tf.nest.map_structure(np.shape, subject.inputs)}",
    )
    if not claim or not _is_floating(subject):
        return bound.evidence("derivative", {}, [stated, possible])
    maps = bound.maps()
    if maps.shape != subject.inputs.shape:
        shaped = Gate("map has the inputs' shape", "failed", f"{maps.shape} for {subject.inputs.shape}")
        return bound.evidence("derivative", {}, [stated, possible, shaped])
    step = prepared or prepare(subject, seed=seed)
    samples = _compare_differences(subject, _claimed_gradient(maps, subject.inputs, claim), step, directions, seed)
    passed = [stated, possible, gates.usable_maps(pooled_maps(maps)), gates.frozen_target(subject, bound)]
    sizes, settings = {"directions": directions}, {"directions": directions, "claim": claim, "step": step}
    return bound.evidence("derivative", samples, passed, sizes=sizes, settings=settings)


def _is_floating(subject):
    return isinstance(subject.inputs, np.ndarray) and subject.inputs.dtype.kind == "f"


def _claimed_gradient(maps, inputs, claim):
    """The gradient that a map claims to hold: float64; nan where an input of zero hides it."""
    maps = maps.astype("float64")
    if not CLAIMS[claim]:
        return maps
    return np.divide(maps, inputs, out=np.full(maps.shape, np.nan), where=inputs != 0)


def _compare_differences(subject, slopes, step, directions, seed):
    """The two relative distances of each sample: dict of name to float64 [samples]."""
    axes = tuple(range(1, subject.inputs.ndim))
    step = step * ranges(subject.inputs, subject.network.background)
    known, rows = np.isfinite(slopes), []
    for turn in range(directions):
        rng = np.random.default_rng(derive_seed(seed, "direction", turn))
        # What the network masks stays as it is, and so does a place where the gradient is unknown.
        move = np.where(known, step * rng.standard_normal(subject.inputs.shape[1:]), 0).astype(subject.inputs.dtype)
        predicted = np.where(known, slopes * move, 0).sum(axes)
        rows.append((predicted, _score_difference(subject, move, 1), _score_difference(subject, move, 2)))
    predicted, measured, doubled = (np.stack(values) for values in zip(*rows))
    size = np.linalg.norm(measured, axis=0)
    size = np.where(size > 0, size, np.nan)
    return {
        "error": np.linalg.norm(predicted - measured, axis=0) / size,
        "rounding": np.linalg.norm(doubled - measured, axis=0) / size,
    }


def _score_difference(subject, move, times):
    """Half the difference of the scores at both ends of a move, for one move: float64 [samples]."""
    ends = [subject.network.keep(subject.inputs, subject.inputs + sign * times * move) for sign in (1, -1)]
    above, below = (routines.scores(subject.network, end, subject.objective).astype("float64") for end in ends)
    return (above - below) / (2 * times)


@rules.register(
    name="derivative",
    about=About(
        "Is the derivative it claims to be",
        "error",
        {
            "FORETELLS": "the map predicts how the score changes when the input changes a little",
            "FORETELLS ANOTHER SCORE": "the score does not change as the map says when the input changes a little",
            "SCORE TOO ROUGH": "the score changes differently under one step and under two, so that no map could predict it",
            "UNDECIDED": "{why}",
        },
        similarity="|predicted change - change of the score| / |change of the score|, L2 over random directions",
        null="the measurement's own error",
        cannot="Cannot conclude: that a gradient is what one wants to know. It says what a small change would do, and not what the network would lose.",
        counted={"images": "images", "directions": "directions each"},
        better="lower",
    ),
)
def judge_derivative(family, margins, seed):
    """What the map predicts against what was measured, beside the error of the measurement itself.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_judge_derivative(evidence.samples, margins, seed) for evidence in family]


def _judge_derivative(samples, margins, seed):
    effect, rounding = (bootstrap_interval(samples[name][None], seed=seed) for name in ("error", "rounding"))
    bound = max(margins.gap, margins.rough * rounding.mean)
    if not rounding.high < margins.unstable:
        return Ruling(
            "INVALID",
            "SCORE TOO ROUGH",
            effect,
            null=rounding,
            why=f"its own error {rounding} is not below {margins.unstable}",
        )
    if effect.high <= bound:
        return Ruling("PASS", "FORETELLS", effect, null=rounding, why=f"the error is at most {bound:.2f}")
    if effect.low > bound:
        return Ruling("FAIL", "FORETELLS ANOTHER SCORE", effect, null=rounding, why=f"the error is above {bound:.2f}")
    why, remedy = f"the error {effect} holds {bound:.2f}", images_remedy(samples["error"], [bound], margins)
    return Ruling("INCONCLUSIVE", "UNDECIDED", effect, null=rounding, why=why, remedy=remedy)
