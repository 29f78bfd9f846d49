"""Transfer: do other networks recognize the class in pictures that were not made on them?"""

import numpy as np
from scipy.ndimage import gaussian_filter

from lab import routines
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.pictures.rulings import FAILING, rule
from sanity.pictures.units import CANNOT, COUNTED, by_unit, count_words, judge_rows, unit_samples
from sanity.ruling import About, rules
from sanity.statistics import t_interval, wilson_interval

FINDINGS = ("RECOGNIZED", "NOT RECOGNIZED")


@checks.register(claim="pictures")
def transfer(study, *, seed, others=(), blur=2.0):
    """Whether other networks with the same classes rank the picture's class first, as it is and after a Gaussian blur.

    Pictures that live on fine noise collapse under the blur.

    Args:
        study: a `Study`.
        seed: unused, nothing is drawn.
        others: `Network`s.
        blur: float, standard deviation in pixels.

    Returns:
        list of `Evidence`, of each unit and of all, with samples plain/NAME and blurred/NAME, 0 or 1, [units, pictures].
    """
    del seed
    applies = study.layer is None and len(others) > 0
    words = ", ".join(other.name for other in others) or "none was given"
    gates = [Gate("classes and other networks", "passed" if applies else "not applicable", words)]
    if applies:
        gates.append(_class_gate(study.network, others))
    samples = {"units": study.unit_numbers}
    blurred = gaussian_filter(study.pictures.astype("float32"), (0, 0, blur, blur, 0))
    for other in others if all(gate.status == "passed" for gate in gates) else ():
        samples[f"plain/{other.name}"] = _recognized(study, other, study.pictures)
        samples[f"blurred/{other.name}"] = _recognized(study, other, blurred)
    settings = {"others": [other.name for other in others], "blur": blur, **study.settings}
    evidence = Evidence("transfer", study.name, study.title, study.sizes, samples, tuple(gates), settings=settings)
    return by_unit(evidence, _axes(samples))


def _axes(samples):
    """The axis of units in the looks of other networks: dict of sample to axis."""
    return {name: 0 for name in samples if "/" in name}


def _class_gate(network, others):
    """Whether other networks have as many classes, so that a class has one number in all: `Gate`."""
    classes = network.classes_in()
    counts = {other.name: other.classes_in() for other in others}
    words = "; ".join(f"{name} tells {count} classes apart" for name, count in counts.items() if count != classes)
    return Gate(
        "the same classes",
        "failed" if words else "passed",
        f"{words}, {network.name} {classes}" if words else f"{classes}",
    )


def _recognized(study, network, pictures):
    flat = pictures.reshape(-1, *pictures.shape[2:])
    logits = routines.logits(network, network.preprocess(list(flat)))
    wanted = np.repeat(study.units, pictures.shape[1])
    return (logits.argmax(axis=1) == wanted).reshape(pictures.shape[:2]).astype("float64")


@rules.register(
    name="transfer",
    about=About(
        "Other networks agree",
        FAILING,
        {
            "RECOGNIZED": "other networks see the class in the pictures, which may still mislead; {why}",
            "NOT RECOGNIZED": "other networks do not see the class in the pictures; {why}",
        },
        similarity="whether the class of the picture ranks first in another network, as it is and blurred",
        sampled=False,
        cannot=CANNOT,
        of_part="share of looks that see the class",
        better="lower",
        counted=COUNTED,
    ),
)
def judge_transfer(family, margins, seed):
    """By the share of looks that recognize a unit's class; all units together by how many fail.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return judge_rows(
        family,
        lambda samples: _judge_looks(samples, margins.recognized),
        lambda samples: _judge_units(samples, margins.recognized),
    )


def _judge_looks(samples, recognized):
    """By picture, since verdicts of several networks on one picture are not independent samples."""
    value = t_interval(np.mean(list(samples.values()), axis=0))
    is_below = value.mean < recognized
    why = f"in {'fewer than' if is_below else 'at least'} {recognized} of looks"
    return rule("FAIL" if is_below else "PASS", FINDINGS, value, why=why)


def _judge_units(samples, recognized):
    units = [_judge_looks(unit, recognized) for unit in unit_samples(samples, _axes(samples))]
    failing = sum(ruling.outcome == "FAIL" for ruling in units)
    outcome = "FAIL" if failing >= len(units) / 2 else "PASS"
    return rule(outcome, FINDINGS, wilson_interval(failing, len(units)), why=count_words(units))
