"""Rulings: what several checks of pictures decide alike, of one unit and of all of them."""

import numpy as np

from sanity.pictures.crossing import OF_UNITS
from sanity.pictures.units import count_words, unit_name, unit_samples
from sanity.ruling import Ruling
from sanity.statistics import FEWEST, Interval, t_interval, wilson_interval

# The effect of a verdict on all units, where units are counted.
FAILING = "share of units that fail"


def rule(outcome, findings, effect, **rest):
    """A ruling with the finding of its outcome.

    Args:
        outcome: str.
        findings: (finding of PASS, finding of FAIL).
        effect: `Interval`.
        rest: other fields of a `Ruling`.

    Returns:
        `Ruling`, UNDECIDED where it is INCONCLUSIVE.
    """
    words = dict(zip(("PASS", "FAIL"), findings))
    return Ruling(outcome, words.get(outcome, "UNDECIDED"), effect, **rest)


def judge_crossed_unit(samples, findings, margins):
    """One unit by the crossing of units: the share of what held-out natural images reach, and the lead over its rival.

    Args:
        samples: dict of decided, lead (each float [3]) and rival of one unit.
        findings: (finding of PASS, finding of FAIL).
        margins: `Margins`.

    Returns:
        `Ruling`.
    """
    share, lead = (Interval(*map(float, samples[name])) for name in ("decided", "lead"))
    outcome, why = _judge_share(share, lead, unit_name(samples["rival"]), margins.natural)
    return rule(outcome, findings, share, why=why)


def _judge_share(share, lead, rival, natural):
    """-> outcome, why."""
    if np.isnan(share.low):
        return "INCONCLUSIVE", "its own natural images match each other no better than those of other units"
    better = f"the natural images of {rival} match better"
    if share.low > natural:
        # Pictures of a similar unit have a share as well, and honest ones may lean towards such a unit.
        return ("INCONCLUSIVE", better) if lead.high < 0 else ("PASS", f"the share is above {natural}")
    if lead.high < 0:
        return "FAIL", better
    if share.high < natural:
        return "FAIL", f"the share is below {natural}"
    return "INCONCLUSIVE", f"the interval of the share holds {natural}"


def judge_crossed_units(samples, findings, margins):
    """All units: FAIL where pictures that are dealt to other units do as well, or where half of the units or more fail.

    Nothing is decided where even held-out natural images in the pictures' place do no better than dealt ones, since
    then no picture could.

    Args:
        samples: dict of the samples of all units, with null and known.
        findings: (finding of PASS, finding of FAIL).
        margins: `Margins`.

    Returns:
        `Ruling`.
    """
    units = [judge_crossed_unit(unit, findings, margins) for unit in unit_samples(samples, OF_UNITS)]
    failing = sum(ruling.outcome == "FAIL" for ruling in units)
    share, why = wilson_interval(failing, len(units)), count_words(units)
    if len(units) < FEWEST:
        why = f"{why}; fewer than {FEWEST} allow no test"
        return rule("INCONCLUSIVE", findings, share, why=why, remedy=f"Name {FEWEST} units or more of the layer.")
    p, known = (_permutation_p(samples[name]) for name in ("null", "known"))
    if not known <= margins.alpha:
        why = f"{why}; their own natural images match them no better than others do, p = {known:.2g}"
        return rule("INCONCLUSIVE", findings, share, why=why, remedy="Name other units, or give more images.")
    if np.isnan(p):
        return rule("INCONCLUSIVE", findings, share, why=why)
    outcome = "FAIL" if p > margins.alpha or failing >= len(units) / 2 else "PASS"
    also = (("units", why), ("ways to deal pictures to units", str(len(samples["null"]))))
    why = "those of other units do as well" if p > margins.alpha else why
    return rule(outcome, findings, share, p=p, why=why, also=also)


def _permutation_p(null):
    """p of the first of some means, the observed one: float, nan where they are not finite."""
    return float(np.mean(null >= null[0] - 1e-12)) if np.isfinite(null).all() else float("nan")


def judge_above_zero(values, findings, counted):
    """Numbers that are expected above zero, by the interval of their mean.

    Args:
        values: float [counted].
        findings: (finding of PASS, finding of FAIL).
        counted: str, what the numbers are one for each of, plural.

    Returns:
        `Ruling`, UNDECIDED for a handful.
    """
    value = t_interval(values)
    if np.isnan(value.low):
        return rule("INCONCLUSIVE", findings, value, why=f"fewer than {FEWEST} {counted} allow no interval")
    outcome = "PASS" if value.low > 0 else "FAIL"
    return rule(
        outcome, findings, value, why=f"{'' if value.low > 0 else 'not '}above zero over {len(values)} {counted}"
    )


def range_of(values):
    """Mean, lowest and highest of some values, as an `Interval`."""
    return Interval(float(np.mean(values)), float(np.min(values)), float(np.max(values)))
