"""Completeness: does a map add up to what it explains? (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365, axiom of completeness.)"""

import numpy as np
from scipy import stats

from lab.attribution import explainers
from lab.explanation import completeness_target, total
from lab.refusal import Refused
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.ruling import About, Ruling, rules
from sanity.statistics import two_way


def refuse(*, draws=8):
    """Raise Refused for draws that allow no error of their mean."""
    if int(draws) != draws or draws < 2:
        raise Refused(f"draws is a whole number of 2 or more: one draw says nothing of its error. Received: {draws!r}.")


@checks.register(refuse=refuse)
def completeness(explainer, subject, *, seed, draws=8, claimed=False, **options):
    """How far is the sum of the map from score(input) - score(baseline), in units of the mean difference? -> `Evidence`.

    The baseline is the explainer's own option of that name, zero where it has none. draws: of a method that draws, which may add
    up in expectation only: the gap is that of the mean over draws, and comes with its error. claimed: hold the explainer to
    completeness though it does not claim it by an attribute `complete`. options: the explainer's own.
    """
    refuse(draws=draws)
    bound = BoundExplainer(explainer, subject, seed, options)
    network, goal, count = subject.network, subject.objective, draws if bound.draws else 1
    drawn = [bound.maps(state=("draw", turn)) for turn in range(count)]
    rise = completeness_target(explainer, network, network.inputs(subject.inputs), goal, bound.resolved_options)
    added = np.stack([total(maps) for maps in drawn])
    scale = np.abs(rise).mean()
    samples = {"gap": np.abs(added.mean(axis=0) - rise) / scale, "error": _error(added) / scale}
    samples |= {"total": added.mean(axis=0), "risen": rise}
    promised = claimed or bool(explainers.tag(explainer, "complete") or getattr(explainer, "complete", False))
    passed = [gates.competence(subject), gates.usable_maps(pooled_maps(drawn[0]))]
    sizes = {"draws": count}
    return bound.evidence("completeness", samples, passed, sizes=sizes, settings={"promised": promised, "draws": draws})


def _error(added):
    """Half width of the 95% t interval of the mean over draws [draws, samples]: float64 [samples]; zero for a single one."""
    count = len(added)
    if count < 2:
        return np.zeros(added.shape[1])
    return stats.t.ppf(0.975, count - 1) * added.std(axis=0, ddof=1) / np.sqrt(count)


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
    ),
)
def judge_completeness(family, margins, seed):
    """The gap, for methods that promise completeness; for others it is reported and not held against them.

    Of a method that draws, the gap of its mean map has an error of its own, which must lie on the same side of the margin.
    """
    return [_judge_gap(evidence, margins, seed) for evidence in family]


def _judge_gap(evidence, margins, seed):
    effect, promised = two_way(evidence.samples["gap"][None], seed=seed), evidence.settings["promised"]
    error = float(np.mean(evidence.samples["error"]))
    known = f"the gap {effect}" + (f", known to {error:.2f} from {evidence.sizes['draws']} draws," if error else "")
    if effect.high + error <= margins.gap:
        return Ruling("PASS", "COMPLETE", effect, why=f"{known} is at most {margins.gap}")
    if effect.low - error > margins.gap:
        why = f"{known} is above {margins.gap}" + ("" if promised else "; the method does not promise otherwise")
        return Ruling("FAIL" if promised else "INCONCLUSIVE", "NOT COMPLETE", effect, why=why)
    return Ruling("INCONCLUSIVE", "UNDECIDED", effect, why=f"{known} holds {margins.gap}")
