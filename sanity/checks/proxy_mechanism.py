"""Proxy mechanism: do groups differ less in decisions when what a layer holds of a protected column is erased?

Erased is what the layer holds beyond the legitimate columns, by the formula of Belrose et al. 2023
(https://arxiv.org/abs/2306.03819). Columns drawn anew from P(A | L) say what an erasure does where nothing is held, and their
directions what it does elsewhere in the layer.
"""

from dataclasses import replace

import numpy as np

from sanity.audit.copies import TRIES
from sanity.audit.layers import find_layer
from sanity.audit.legitimate import odds_gate, odds_on_half, smaller_side
from sanity.audit.margin import (
    BEYOND,
    NONE,
    TOO_FEW,
    UNCERTAIN,
    WITHIN,
    compare_with_margin,
    evidence_ruling,
    limit_finding,
    margin_evidence,
    outcome_of,
    remedy,
    rows_to_settle,
    without_sign,
)
from sanity.audit.mechanism import ROWS as LOOKED_AT
from sanity.audit.mechanism import Mechanism, bends, read_erased
from sanity.checks import checks
from sanity.checks.decodable import (
    all_contrasts,
    contrasts_gate,
    few_table,
    inputs_among,
    legitimate_names,
    sheet_gates,
)
from sanity.checks.proxy_use import DEPENDS, UNUSED, USED, answers_gates, decision_gate, decision_score
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval

ALL = "protected columns"
# The margin, a share of decisions, how often the column is drawn anew, and rows by which it is seen whether a layer's rest is linear.
DELTA, DRAWS, ROWS = 0.02, 199, 200
UNSETTLED = "USE OF UNCERTAIN SIZE"
FINDINGS = {
    BEYOND: USED,
    UNCERTAIN: UNSETTLED,
    WITHIN: UNUSED,
    NONE: UNUSED,
    TOO_FEW: TOO_FEW,
    DEPENDS: DEPENDS,
}


@checks.register(claim="data", question="proxies")
def proxy_mechanism(subject, *, seed, draws=DRAWS, tries=TRIES, layer=None):
    """Do groups differ less in decisions when what a layer holds of a protected column, beyond the legitimate ones, is erased?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, how often the column is drawn anew from P(A | L).
        tries: int, null copies, and planted ones of each size.
        layer: str, the address of a layer before the last hidden one; None: the first with weights that join inputs.

    Returns:
        list of `Evidence`, one for each group of a protected column against the rest.

    Raises:
        Refused: for a layer that the network does not have, or that cannot be asked about.
    """
    rows, place = subject.test, find_layer(subject.layers, layer)
    contrasts, few = all_contrasts(rows)
    gates = (*sheet_gates(subject), *_layer_gates(rows, place), decision_gate(subject))
    gates += (contrasts_gate(rows, contrasts), *answers_gates(subject))
    if all(gate.status == "passed" for gate in gates):
        gates += _bend_gates(rows, place)
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("proxy_mechanism", ALL, subject.title, subject.sizes, {}, gates)]
    mechanisms = _mechanisms(subject, contrasts, place, seed)
    level = 1 - subject.alpha / len(contrasts)
    erased = [_measure(mechanism, draws, tries, level) for mechanism in mechanisms]
    decided = zip(*read_erased([part for part in erased if part], subject.alpha, tries)) if any(erased) else iter(())
    settings = {"seed": seed, "draws": draws, "tries": tries, "layer": place.name, "left_out": few}
    return [
        _evidence(subject, contrast, mechanism, part, *next(decided), gates, settings)
        if part
        else Evidence(
            "proxy_mechanism", contrast.name, subject.title, subject.sizes, {}, (*gates, _numbers_gate(place))
        )
        for contrast, mechanism, part in zip(contrasts, mechanisms, erased)
    ]


def _mechanisms(subject, contrasts, layer, seed):
    """What is erased from a layer for each contrast: list of `Mechanism`."""
    return [
        Mechanism(
            contrast,
            subject.test,
            legitimate_names(subject, contrast.column),
            layer,
            decision_score(subject),
            seed=derive_seed(seed, "erased", number),
        )
        for number, contrast in enumerate(contrasts)
    ]


def _measure(mechanism, draws, tries, level):
    """What erasures did: `Erased`, or None where there are no numbers to compare."""
    erased = mechanism.measure(draws, tries, DELTA, level) if mechanism.varies else None
    return erased if erased and erased.is_finite else None


def _numbers_gate(layer):
    words = (
        f"activations of {layer.name} must differ on both halves of the units, and answers be finite after each erasure"
    )
    return Gate("erasures give numbers", "failed", words)


def _layer_gates(rows, layer):
    lacks = "erasures need the network of a table with two hidden layers or more; behind the last one they say what the answers say"
    is_there = layer is not None and rows.inputs is not None
    gates = (
        Gate("a layer to erase from", "passed" if is_there else "not applicable", layer.name if is_there else lacks),
    )
    if not is_there:
        return gates
    hidden = layer.read(_some(rows.inputs, LOOKED_AT))
    finite, varies = bool(np.isfinite(hidden).all()), bool(np.ptp(hidden, axis=0).any())
    words = f"{hidden.shape[1]} channels of {layer.name}, finite: {finite}, not all constant: {varies}"
    return (*gates, Gate("activations differ", "passed" if finite and varies else "failed", words))


def _some(inputs, count):
    """So many inputs at most, evenly from all."""
    return inputs[:: max(1, len(inputs) // count)][:count]


def _bend_gates(rows, layer):
    """Behind a linear rest an erasure follows from the answers, and is no evidence: tuple of `Gate`."""
    inputs = _some(rows.inputs, ROWS)
    hidden = np.asarray(layer.read(inputs), "float64")
    bent = bends(layer, inputs, hidden)
    words = f"what follows {layer.name} is {'more than' if bent else ''} a linear map".replace("  ", " ")
    lacks = f"{words}, so that an erasure there says what the answers say; name an earlier layer"
    return (Gate("more than a linear map follows", "passed" if bent else "not applicable", words if bent else lacks),)


def _evidence(subject, contrast, mechanism, erased, p, tried, gates, settings):
    """What was measured of one contrast: `Evidence`."""
    effect, layer = without_sign(erased.share), settings["layer"]
    evidence = margin_evidence(
        "proxy_mechanism",
        contrast.name,
        subject,
        p=float(p[0]),
        effect=effect,
        tries=tried,
        delta=DELTA,
        why=_clauses(subject, contrast, layer, tried),
        units=smaller_side(mechanism.members, mechanism.odds.units),
        gates=(*gates, _odds_gate(mechanism)),
        samples={
            "direction p": p[1:2],
            "output p": p[2:],
            "left": erased.left,
            "slopes": erased.slopes,
            "accuracy": erased.accuracy,
        },
        settings={**settings, "rows": len(mechanism.members)},
        needed=rows_to_settle(len(mechanism.members), effect, DELTA, LOOKED_AT),
        also=_also(erased, p),
        tables=few_table(settings["left_out"]),
    )
    return replace(evidence, sizes={**evidence.sizes, "rows": len(mechanism.members)})


def _odds_gate(mechanism):
    seed = derive_seed(mechanism.seed, "odds")
    odds = odds_on_half(mechanism.features, mechanism.members, mechanism.odds.units, mechanism.first)
    return odds_gate(mechanism.features, mechanism.members, odds, mechanism.first, seed=seed)


def _clauses(subject, contrast, layer, tried):
    start, name = inputs_among(subject, contrast.column), contrast.name
    planted = tried.words(f"Use that turns {DELTA:.0%} of decisions")
    erasing = f"{start}Erasing {name} from the layer {layer}"
    return {
        BEYOND: f"{erasing} moves the difference between groups by more than {DELTA:.0%} of decisions",
        UNCERTAIN: f"{erasing} moves decisions. Whether by more than {DELTA:.0%}, and more than other directions do, is open",
        WITHIN: f"{erasing} moves the difference between groups by less than {DELTA:.0%} of decisions. {planted}",
        NONE: f"{erasing} moves the difference between groups by less than {DELTA:.0%} of decisions. {planted}",
        DEPENDS: f"{erasing} moves the difference between groups by less than {DELTA:.0%} of decisions. Groups still differ by more than that given the legitimate columns. The layer may hold it in a way that is not linear, or another layer may",
        TOO_FEW: f"{start}Whether erasing {name} from the layer {layer} moves more than {DELTA:.0%} of decisions is open. {planted}",
    }


def _also(erased, p):
    """Numbers shown beside, of which p of directions and output are needed for use: tuple of (name, text)."""
    before, after = erased.slopes
    lines = [
        (
            "log odds by which groups differ given the legitimate columns",
            f"{before:+.2f}, and {after:+.2f} after the erasure",
        ),
        ("beside directions of columns drawn anew", f"p = {p[1]:.2g}"),
        ("output given the legitimate columns", f"p = {p[2]:.2g}"),
        ("share of decisions by which groups differ after the erasure", str(Interval(*map(float, erased.left)))),
    ]
    if np.isfinite(erased.accuracy).all():
        before, after, others = erased.accuracy
        words = f"{before:.3f}, {after:.3f} after the erasure, {others:.3f} after that of other directions"
        lines.append(("accuracy", words))
    return tuple(lines)


def _decide(evidence):
    """A finding of the table of margins, or DEPENDS: str.

    Use needs a change beyond that of other directions, and an output that goes with it. Nothing passes where groups still differ by
    more than the margin after the erasure, which leaves what is not linear.
    """
    samples, settings = evidence.samples, evidence.settings
    effect, alpha = Interval(*map(float, samples["effect"])), settings["alpha"]
    finding = compare_with_margin(float(samples["p"][0]), effect, settings["delta"], alpha)
    if finding == BEYOND and max(float(samples["direction p"][0]), float(samples["output p"][0])) > alpha:
        finding = UNCERTAIN
    finding = limit_finding(finding, samples["planted"], evidence.sizes.get("units", 0))
    stays = without_sign(samples["left"]).low > settings["delta"]
    return DEPENDS if stays and finding in (WITHIN, NONE) else finding


def _ruling(evidence):
    finding, units = _decide(evidence), evidence.sizes.get("units", 0)
    outcome = "INCONCLUSIVE" if finding == DEPENDS else outcome_of(finding, units)
    ruling = evidence_ruling(evidence, outcome, finding, remedy=remedy(finding, evidence))
    return replace(ruling, finding=FINDINGS[finding])


@rules.register(
    name="proxy_mechanism",
    about=About(
        "Decisions do not turn on what a layer holds of a protected column",
        "share of decisions by which groups differ less",
        dict.fromkeys(FINDINGS.values(), "{why}"),
        number="share of decisions",
        similarity="slope of favourable decisions on the column less P(A | L), less the same slope when the direction of the column is erased from a layer, by unit, at a level that holds for all groups",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units on the smaller side"},
        cannot="Cannot conclude: that the legitimate columns are rightly called so, that use is lawful, or what other layers do. Erasing a direction leaves what is not linear.",
    ),
)
def proxy_mechanism_rule(family, margins, seed):
    """Use by the interval of an erasure, where other directions do less and the output goes with the group.

    Args:
        family: list of `Evidence`.
        margins: `sanity.ruling.Margins`, which are not used.
        seed: int, which is not used.

    Returns:
        list of `Ruling`.
    """
    return [_ruling(evidence) for evidence in family]
