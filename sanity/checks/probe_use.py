"""Use of a label: does the score move when a label that a layer holds is erased, more than under random erasures?

The label is erased in closed form (Belrose et al. 2023, https://arxiv.org/abs/2306.03819), at every position. Encoded is not used:
only this check says used.
"""

from dataclasses import replace

import numpy as np

from lab.refusal import Refused
from sanity.checks import checks
from sanity.checks.probe import ENCODED, NETWORKS, judge_probe, probe
from sanity.evidence import Gate
from sanity.probes.encoding import EXCHANGES
from sanity.probes.use import ERASURES
from sanity.ruling import About, Margins, Ruling, images_remedy, rules
from sanity.statistics import exchange_p, group_interval, without_interval

NAME = "probe_use"


@checks.register(claim="concepts", table="probe")
def probe_use(
    subject, *, seed, layers=(), labels=None, groups=None, networks=NETWORKS, exchanges=EXCHANGES, erasures=ERASURES
):
    """Does the score move when a label that a layer holds is erased from it, more than under random erasures?

    Args:
        subject: the `Subject`.
        seed: int.
        layers, labels, groups, networks, exchanges: as of the check `probe`.
        erasures: int, random ones that an erasure of the labels is compared with; 19 or more.

    Returns:
        list of `Evidence`, one a layer and label set. The question does not apply where the label is not shown to be encoded.

    Raises:
        Refused: for too few erasures, and for what `probe` refuses.
    """
    if erasures < 19:
        raise Refused(
            f"A label is compared with 19 random erasures or more, or no p is .05. Received: erasures={erasures}."
        )
    settings = {"layers": layers, "labels": labels, "groups": groups, "networks": networks, "exchanges": exchanges}
    return use_evidence(probe(subject, seed=seed, erasures=erasures, **settings), seed)


def use_evidence(records, seed):
    """Evidence of `probe_use` from that of `probe`, which decides whether the question applies.

    Args:
        records: list of `Evidence` of the check `probe`.
        seed: int, of the bootstrap.

    Returns:
        list of `Evidence`, in the order of the records.
    """
    measured = [record for record in records if not record.failed]
    rulings = judge_probe(measured, Margins(), seed) if measured else []
    findings = {id(record): ruling.finding for record, ruling in zip(measured, rulings)}
    return [_use_evidence(record, findings.get(id(record), "GATE FAILED")) for record in records]


def _use_evidence(record, finding):
    if finding != ENCODED:
        gate = Gate("the label is encoded", "not applicable", f"the probe came out {finding}")
        return replace(record, check=NAME, sizes={}, samples={}, gates=(gate,))
    samples = {name: values for name, values in record.samples.items() if name.startswith("use")}
    return replace(record, check=NAME, sizes={"images": len(samples["use/scores"])}, samples=samples, gates=())


@rules.register(
    name=NAME,
    about=About(
        "What is encoded is used",
        "erasure of the label",
        {
            "USED": "the score moves more when the label is erased than when as much of something else is",
            "UNUSED": "the score hardly moves when the label is erased",
            "UNDECIDED": "{why}",
        },
        number="change of the score, in deviations over the inputs",
        similarity="mean absolute change of the score, in deviations over the inputs",
        null="erasure of random directions",
        ceiling="",
        cannot="Cannot conclude: that the network uses the label as you mean it, or anything about other scores, layers or data. What goes with the label is erased too.",
        better="",
    ),
)
def judge_use(family, margins, seed):
    """Used where the score moves more than under random erasures of the same size, unused where it hardly moves.

    The erasure is ranked among the random ones, max-T over all layers and label sets.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    changes = [evidence.samples["use"] / _unit(evidence) for evidence in family]
    p_values = exchange_p(np.stack([change.mean(axis=1) for change in changes]))
    return [_use_ruling(*row, margins, seed) for row in zip(family, changes, p_values)]


def _unit(evidence):
    return max(float(evidence.samples["use/scores"].std()), 1e-300)


def _use_ruling(evidence, changes, p, margins, seed):
    groups, random = evidence.samples["use/groups"], changes[1:].mean(axis=0)
    excess, effect, null = (
        group_interval(values, groups, seed=seed) for values in (changes[0] - random, changes[0], random)
    )
    why = "the score moves, and not more than when as much of random directions is erased"
    outcome, finding = "INCONCLUSIVE", "UNDECIDED"
    if p <= margins.alpha and excess.low > 0:
        outcome, finding, why = "PASS", "USED", f"the difference is {excess}"
    elif effect.high < margins.small:
        outcome, finding, why = "FAIL", "UNUSED", f"the change is {effect}"
    remedy = images_remedy(changes[0] - random, (0.0,), margins) if finding == "UNDECIDED" and excess.mean > 0 else ""
    also = (("difference", str(excess)),)
    return Ruling(outcome, finding, effect, without_interval(), null, float(p), why, also, remedy)
