"""Completeness: does a map add up to what it explains? (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365, axiom of completeness.)"""

import numpy as np
from scipy import stats

from lab.attribution import explainers
from lab.explanation import completeness_target, total
from lab.refusal import Refused
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.ruling import About, Ruling, images_remedy, rules
from sanity.statistics import bootstrap_interval


def refuse(*, draws=8):
    """Raise Refused for too few draws to estimate the error of their mean."""
    if int(draws) != draws or draws < 2:
        raise Refused(f"draws is a whole number of 2 or more: one draw has no error estimate. Received: {draws!r}.")


@checks.register(refuse=refuse)
def completeness(explainer, subject, /, *, seed, draws=8, claimed=False, **options):
    """How far is the sum of the map from score(input) - score(baseline), in units of the mean difference?

    The baseline is the method's own option of that name, zero where it has none.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        draws: int, draws of a method that draws. The gap is that of their mean, with its error.
        claimed: bool, hold the method to completeness though it has no attribute `complete`.
        options: options of the method.

    Returns:
        `Evidence` with samples [samples] `gap`, its `error`, `total` of the map, and `risen`, the difference of the
            scores.

    Raises:
        Refused: for too few draws.
    """
    refuse(draws=draws)
    bound = BoundExplainer(explainer, subject, seed, options)
    network, objective, count = subject.network, subject.objective, draws if bound.takes_seed else 1
    drawn = [bound.maps(state=("draw", turn)) for turn in range(count)]
    target = completeness_target(explainer, network, network.inputs(subject.inputs), objective, bound.resolved_options)
    totals = np.stack([total(maps) for maps in drawn])
    scale = np.abs(target).mean()
    samples = {"gap": np.abs(totals.mean(axis=0) - target) / scale, "error": _error(totals) / scale}
    samples |= {"total": totals.mean(axis=0), "risen": target}
    promised = claimed or bool(explainers.tag(explainer, "complete") or getattr(explainer, "complete", False))
    passed = [gates.competence(subject), gates.usable_maps(pooled_maps(drawn[0]))]
    sizes = {"draws": count}
    return bound.evidence("completeness", samples, passed, sizes=sizes, settings={"promised": promised, "draws": draws})


def _error(totals):
    """Half width of the 95% t interval of the mean over draws [draws, samples]: float64 [samples]; zero for one."""
    count = len(totals)
    if count < 2:
        return np.zeros(totals.shape[1])
    return stats.t.ppf(0.975, count - 1) * totals.std(axis=0, ddof=1) / np.sqrt(count)


@rules.register(
    name="completeness",
    about=About(
        "Complete",
        "gap",
        {
            "COMPLETE": "maps add up to the difference of the scores",
            "NOT COMPLETE": "maps do not add up to the difference of the scores",
            "UNDECIDED": "{why}",
        },
        similarity="|sum of the map - (score - score of the baseline)| in units of the mean difference",
        counted={"images": "images"},
        better="lower",
    ),
)
def judge_completeness(family, margins, seed):
    """The gap, for methods that promise completeness; for others it is reported and not held against them.

    The gap of a method that draws has an error, and must lie on one side of the margin with it.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_judge_gap(evidence, margins, seed) for evidence in family]


def _judge_gap(evidence, margins, seed):
    effect, promised = bootstrap_interval(evidence.samples["gap"][None], seed=seed), evidence.settings["promised"]
    error = float(np.mean(evidence.samples["error"]))
    known = f"the gap {effect}" + (f", known to {error:.2f} from {evidence.sizes['draws']} draws," if error else "")
    if effect.high + error <= margins.gap:
        return Ruling("PASS", "COMPLETE", effect, why=f"{known} is at most {margins.gap}")
    if effect.low - error > margins.gap:
        why = f"{known} is above {margins.gap}" + ("" if promised else "; the method does not promise otherwise")
        return Ruling("FAIL" if promised else "INCONCLUSIVE", "NOT COMPLETE", effect, why=why)
    remedy = images_remedy(evidence.samples["gap"], (margins.gap - error, margins.gap + error), margins)
    return Ruling("INCONCLUSIVE", "UNDECIDED", effect, why=f"{known} holds {margins.gap}", remedy=remedy)
