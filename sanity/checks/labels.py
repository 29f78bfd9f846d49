"""Labels: does a map change when the network memorized permuted labels?

Adebayo et al. 2018, https://arxiv.org/abs/1810.03292, section 4.2, with several networks on either side to separate
effect from chance. The permuted networks draw their own seeds and permutations. Paired by seed they would allow sign
flips only, and four pairs could never decide.
"""

import numpy as np

from sanity import gates
from sanity.bound_explainer import BoundExplainer, stack_signed
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.network_groups import (
    FOUR_NETWORKS,
    adjusted_p,
    group_similarities,
    intervals,
    maps_of_networks,
    no_signal,
    smallest_p,
)
from sanity.ruling import MEASURE, About, Ruling, rules
from sanity.statistics import within_across_interval

MEMORIZED = 0.95


@checks.register(compares_networks=True)
def labels(explainer, subject, /, *, seed, **options):
    """Do maps of networks trained on permuted labels differ from those of networks trained on true ones?

    It needs a subject with replicates and networks trained on permuted labels (`--world`, `--train` or `--finetune`).

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        options: options of the method.

    Returns:
        `Evidence` with samples `ceiling/`, `between/` and `random/MEASURE`.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    enough = [
        gates.enough_networks("replicates", subject.replicates),
        gates.enough_networks("networks trained on permuted labels", subject.permuted_label_networks),
    ]
    if any(gate.status != "passed" for gate in enough):
        return bound.evidence("labels", {}, enough)
    with subject.network.intact():
        true = maps_of_networks(bound, subject.replicates, "replicate")
        permuted = maps_of_networks(bound, subject.permuted_label_networks, "permuted labels")
    passed = (
        gates.enough_positions(subject, *true),
        gates.competence(subject),
        gates.alike(subject),
        _memorization_gate(subject),
        *enough,
        gates.usable_maps(*true, *permuted),
        gates.frozen_target(subject, bound),
        gates.restored_weights(),
    )
    maps = {"trained": stack_signed(true[0]), "permuted_label_networks": stack_signed(permuted[0])}
    sizes = {"networks": len(permuted), "replicates": len(true)}
    return bound.evidence("labels", group_similarities(true, permuted), passed, sizes=sizes, maps=maps)


def _memorization_gate(subject):
    worst = float(np.min(subject.train_accuracy))
    words = f"permuted labels remembered: {worst:.0%} at the least; needed: {MEMORIZED:.0%}"
    if worst >= MEMORIZED:
        return Gate("permuted labels memorized", "passed", words)
    remedy = gates.remedy(subject, "train from an earlier layer, or on fewer samples")
    return Gate("permuted labels memorized", "failed", words + remedy)


@rules.register(
    name="labels",
    about=About(
        "Responds to labels",
        "true with permuted",
        {
            "RESPONDED": "networks that memorized permuted labels give other maps",
            "DID NOT RESPOND": "networks that memorized permuted labels give the same maps",
            "UNDECIDED": "{why}",
            "NO REPRODUCIBLE SIGNAL": "maps that should agree do not: {why}",
        },
        number="Similarity of maps",
        ceiling="true with true",
        null="permuted with permuted",
        counted={
            "images": "images",
            "replicates": "networks on true labels",
            "networks": "networks on permuted labels",
        },
        better="lower",
    ),
)
def judge_labels(family, margins, seed):
    """True against permuted labels, by the same statistic as weights.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    adjusted = adjusted_p(family)
    return [_judge_labels(evidence, margins, seed, adjusted[place]) for place, evidence in enumerate(family)]


def _judge_labels(evidence, margins, seed, p):
    effect, ceiling, null, _ = intervals(evidence.samples, MEASURE, seed)
    within, across = evidence.samples[f"ceiling/{MEASURE}"], evidence.samples[f"between/{MEASURE}"]
    difference = within_across_interval(within, across, seed=seed, level=0.9)
    numbers = {
        "effect": effect,
        "ceiling": ceiling,
        "null": null,
        "p": p,
        "also": (("within less across, 90%", str(difference)),),
        "scope": evidence.settings.get("scope", ""),
    }
    if not ceiling.low > margins.floor:
        return no_signal(numbers, margins)
    if -margins.equal < difference.low and difference.high < margins.equal:
        why = f"the difference of the two similarities lies within {margins.equal} of zero: {difference}"
        return Ruling("FAIL", "DID NOT RESPOND", **numbers, why=why)
    if p < margins.alpha and effect.mean <= margins.label * ceiling.mean:
        why = f"the similarity is below {margins.label} of the ceiling, and p below {margins.alpha}"
        return Ruling("PASS", "RESPONDED", **numbers, why=why)
    why = (
        f"the similarity across the groups is {effect.mean / ceiling.mean:.2f} of that within (needed: {margins.label}), "
        f"and p is {p:.2g} (needed: below {margins.alpha})"
    )
    remedy = FOUR_NETWORKS if smallest_p(*across.shape[:2]) >= margins.alpha else ""
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why, remedy=remedy)
