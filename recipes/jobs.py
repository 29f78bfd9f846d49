"""Jobs: a recipe expanded to small, picklable descriptions, each turned into files by a pure function.

jobs(recipe, session)  -> [Job]          what there is to do, gathering steps last
work(job, session, store)  -> Outcome        its files, and the fault that they tell of
"""

import csv
import io
from dataclasses import asdict, replace

import numpy as np

from lab.attribution import explainers
from lab.attribution.calls import refuse_options
from recipes import atlases, explanations, galleries, studies
from recipes.explanations import refuse_strangers
from recipes.galleries import slug
from recipes.job import Job, Outcome
from recipes.junit import junit
from recipes.store import encode, pack
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.examination import judge_with_controls, measure, refuse_settings, stand_in
from sanity.statistics import bootstrap_interval


def jobs(recipe, session):
    """Every job of a recipe, checked against the network before anything runs: list of `Job`.

    Raises Refused for a layer, unit, class, method or check that does not exist.
    """
    pictures = [job for number, each in enumerate(recipe.gallery) for job in galleries.jobs(number, each, session)]
    laid = [job for number, each in enumerate(recipe.atlas) for job in atlases.jobs(number, each, session)]
    studied = [job for number, each in enumerate(recipe.features) for job in studies.jobs(number, each, session)]
    explained = explanations.jobs(recipe.explain, session) if recipe.explain else []
    if recipe.world:
        session.refuse_world()
    trained = [Job("networks", "networks", {})] if recipe.world else []
    evidence = [job for number, check in enumerate(recipe.check) for job in _evidence(number, check, session)]
    verdicts = [_judging(evidence)] if evidence else []
    return [*pictures, *laid, *studied, *explained, *trained, *evidence, *verdicts]


def work(job, session, store):
    """What came of a job -> `Outcome`."""
    made = _KINDS[job.kind](session, store, job)
    return made if isinstance(made, Outcome) else Outcome(made)


# Evidence and verdicts ----------------------------------------------------------------------------------------------------


def _evidence(number, chosen, session):
    refuse_settings(chosen.check, chosen.settings)
    refuse_strangers(chosen)
    extra = [name for name in explainers.names(control=True) if name not in chosen.methods] if chosen.controls else []
    world = session.recipe.world
    if world is None:
        session.subject(chosen.question)
    for method in [*chosen.methods, *extra]:
        refuse_options(session.method(method), chosen.options.get(method, {}))
        given = {"check": chosen.check, "method": method, "question": chosen.question, "settings": chosen.settings}
        given["options"] = chosen.options.get(method, {})
        looks = explanations.passes(
            session.method(method), given["options"], None if world else session.network
        ) * _looks(chosen)
        yield Job(
            f"check/{number}-{chosen.check}/{slug(method)}",
            "evidence",
            given,
            ("networks",) if world else (),
            passes=(world.images if world else len(session.images)) * looks,
        )


def _judging(evidence):
    """The job that judges what the others measured, whatever became of them."""
    rows = [[job.key, job.given["check"], job.given["method"]] for job in evidence]
    return Job("verdicts", "judge", {"rows": rows}, tuple(job.key for job in evidence), gathers=True)


def _looks(chosen):
    """How often a check looks at each image, roughly."""
    seeds = chosen.settings.get("seeds") or 3
    return 3 + seeds * (1 if chosen.settings.get("mode", "full") == "full" else 20)


def train_networks(session, *_):
    """Train a world's networks, or take them from the cache, and say what they are."""
    subject = session.subject()
    about = {
        "world": session.world.name,
        "oracle": session.world.oracle,
        "right": None if subject.correct is None else float(np.mean(subject.correct)),
        "proof": subject.truth.proof if subject.truth else None,
        "train_accuracy": list(subject.train_accuracy),
        "replicates": len(subject.replicates),
        "samples": len(subject.names),
        "fingerprint": subject.network.fingerprint(),
    }
    shown = {"images": subject.inputs[:16]}
    if subject.truth:
        shown["masks"] = subject.truth.masks[:16]
    return {"networks.json": encode(about), "samples.npz": pack(shown)}


def measure_evidence(session, _, job):
    given = job.given
    made, trace = measure(
        given["check"],
        session.method(given["method"]),
        session.subject(given["question"]),
        seed=session.recipe.seed,
        name=given["method"],
        settings=given["settings"],
        options=given["options"],
        prepare=lambda: session.shared(given["check"], given["question"], given["settings"]),
    )
    fault = made.failed[0].words if trace else None
    return Outcome(_as_files(replace(made, method=given["method"])), fault, trace)


def _as_files(made):
    plain = {**asdict(replace(made, samples={}, maps={})), "samples": None, "maps": None}
    arrays = {f"samples/{name}": value for name, value in made.samples.items()} | {
        f"maps/{name}": value for name, value in made.maps.items()
    }
    return {"evidence.npz": pack(arrays), "evidence.json": encode(plain)}


def evidence(store, key):
    """The record that an evidence job left: `Evidence`."""
    plain, arrays = store.values(key, "evidence.json"), store.arrays(key, "evidence.npz")
    split = {
        kind: {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(kind)}
        for kind in ("samples", "maps")
    }
    return Evidence(
        **{**plain, **split, "gates": tuple(Gate(**gate) for gate in plain["gates"]), "stages": tuple(plain["stages"])}
    )


def judge_family(session, store, job):
    """One family per check of the recipe, so that every method is judged beside the others and its controls."""
    families, seed = {}, session.recipe.seed
    for key, check, method in job.given["rows"]:
        families.setdefault(key.split("/")[1], []).append(_measured(store, key, check, method))
    rulings = {name: judge_with_controls(family, seed=seed) for name, family in families.items() if _judged(family)}
    plain = {name: _plain(ruling) for name, ruling in rulings.items()}
    measured = {name: _means(family) for name, family in families.items() if not _judged(family)}
    files = {
        "verdicts.json": encode(plain),
        "verdicts.csv": _table({name: ruling.verdicts for name, ruling in rulings.items()}),
        "junit.xml": junit(session.recipe.name, plain),
    }
    return {**files, "measurements.json": encode(measured)}


def _measured(store, key, check, method):
    """The evidence of a job, or where that failed before it measured anything, a stand-in that says so."""
    if store.there(key):
        return evidence(store, key)
    gate = Gate("evidence was measured", "fault", f"the job {key} failed")
    return stand_in(check, method, None, gate)


def _plain(ruling):
    return {
        "check": ruling.verdicts[0].check,
        "verdicts": [verdict.as_dict() for verdict in ruling.verdicts],
        "controls": [asdict(each) for each in ruling.controls],
        "blind": ruling.blind,
    }


def _judged(family):
    return is_judged(family[0].check)


def is_judged(check):
    """Whether there are verdicts under a check, and not numbers alone: bool."""
    return checks.tag(checks.get(check), "judged", True)


def unmeasured(listed, store):
    """Methods that refused a check without verdicts, which would say so nowhere else: lines of text."""
    asked = [
        job for job in listed if job.kind == "evidence" and not is_judged(job.given["check"]) and store.there(job.key)
    ]
    gates = [(job, gate) for job in asked for gate in store.values(job.key, "evidence.json")["gates"]]
    return [
        f"{job.given['method']}  {job.given['check']}: {gate['status']}: {gate['words']}"
        for job, gate in gates
        if gate["status"] in ("failed", "not applicable", "fault")
    ]


def _means(family):
    """Mean and interval of every metric by method: dict of method to dict of metric to [mean, low, high]."""
    found = {}
    for each in family:
        spans = {name: bootstrap_interval(values[None], seed=0, draws=500) for name, values in each.samples.items()}
        found[each.method] = {name: [span.mean, span.low, span.high] for name, span in spans.items()}
    return found


COLUMNS = ["family", "method", "check", "outcome", "finding", "effect", "low", "high", "ceiling", "null", "p"]
COLUMNS += ["images", "replicates", "networks", "sentence"]


def _table(judge_with_controls):
    """Every verdict as a line of CSV: bytes."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for family, verdicts in judge_with_controls.items():
        rows.writerows(_line(family, each) for each in verdicts)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _line(family, verdict):
    effect, sizes = verdict.effect, verdict.sizes
    numbers = (effect.mean, effect.low, effect.high, verdict.ceiling.mean, verdict.null.mean)
    written = ["" if np.isnan(each) else f"{each:.4f}" for each in numbers]
    words = (verdict.method, verdict.check, verdict.outcome, verdict.finding)
    p = "" if verdict.p is None else f"{verdict.p:.4g}"
    return [
        family,
        *words,
        *written,
        p,
        *(sizes.get(key, "") for key in ("images", "replicates", "networks")),
        verdict.sentence,
    ]


_KINDS = {
    "survey": galleries.survey,
    "pictures": galleries.draw_pictures,
    "blocks": atlases.draw_blocks,
    "atlas": atlases.lay_out_atlas,
    "drawn": studies.draw_features,
    "feature": studies.measure_feature,
    "recovery": studies.measure_recovery,
    "photographs": explanations.show_photographs,
    "maps": explanations.compute_maps,
    "agreement": explanations.measure_agreement,
    "networks": train_networks,
    "evidence": measure_evidence,
    "judge": judge_family,
}
