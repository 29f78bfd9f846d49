"""Jobs: a recipe expanded to small, picklable descriptions, each turned into files by a pure function.

jobs(recipe, workshop) -> [Job]          what there is to do, gathering steps last
work(job, workshop, store) -> {name: bytes}
"""

import csv
import io
from dataclasses import asdict

import numpy as np

from lab.attribution import explainers
from lab.environment import tf
from lab.explanation import attribute, refuse_options, settled
from lab.refusal import Refused
from lab.registry import nearest
from lab.registry import options as known
from recipes import atlases, explanations, galleries, studies
from recipes.galleries import slug
from recipes.job import Job
from recipes.junit import junit
from recipes.store import encode, pack
from sanity import controls
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.statistics import two_way
from sanity.verdict import judge


def jobs(recipe, workshop):
    """Every job of a recipe, checked against the network before anything runs: list of `Job`.

    Raises Refused for a layer, unit, class, method or check that does not exist.
    """
    pictures = [job for number, each in enumerate(recipe.gallery) for job in galleries.jobs(number, each, workshop)]
    laid = [job for number, each in enumerate(recipe.atlas) for job in atlases.jobs(number, each, workshop)]
    studied = [job for number, each in enumerate(recipe.features) for job in studies.jobs(number, each, workshop)]
    explained = explanations.jobs(recipe.explain, workshop) if recipe.explain else []
    if recipe.world:
        workshop.refuse_world()
    trained = [Job("networks", "networks", {})] if recipe.world else []
    evidence = [job for number, check in enumerate(recipe.check) for job in _evidence(number, check, workshop)]
    judged = [Job("verdicts", "judge", {}, tuple(job.key for job in evidence))] if evidence else []
    return [*pictures, *laid, *studied, *explained, *trained, *evidence, *judged]


def work(job, workshop, store):
    """The files of a job: dict of name to bytes."""
    return _KINDS[job.kind](workshop, store, job)


# Evidence and verdicts ----------------------------------------------------------------------------------------------------


def _evidence(number, chosen, workshop):
    check = checks.get(chosen.check)
    _refuse_settings(check, chosen)
    extra = [name for name in explainers.names(control=True) if name not in chosen.methods] if chosen.controls else []
    world = workshop.recipe.world
    if world is None:
        workshop.subject(chosen.target)
    for method in [*chosen.methods, *extra]:
        refuse_options(workshop.method(method), chosen.options.get(method, {}))
        given = {"check": chosen.check, "method": method, "target": chosen.target, "settings": chosen.settings}
        given["options"] = chosen.options.get(method, {})
        looks = explanations.passes(
            workshop.method(method), given["options"], None if world else workshop.network
        ) * _looks(chosen)
        yield Job(
            f"check/{number}-{chosen.check}/{slug(method)}",
            "evidence",
            given,
            ("networks",) if world else (),
            passes=(world.images if world else len(workshop.images)) * looks,
        )


def _looks(chosen):
    """How often a check looks at each image, roughly."""
    seeds = chosen.settings.get("seeds") or 3
    return 3 + seeds * (1 if chosen.settings.get("mode", "full") == "full" else 20)


def _refuse_settings(check, chosen):
    allowed = [name for name in known(check) if name not in ("seed", "prepared")]
    for name in chosen.settings:
        if name not in allowed:
            raise Refused(f"Unknown key of the check {chosen.check}. Received: {name!r}. {nearest(name, allowed)}")
    refuse = checks.tag(check, "refuse")
    if refuse:
        refuse(**{name: value for name, value in chosen.settings.items() if name in known(refuse)})


def _do_networks(workshop, *_):
    """Train a world's networks, or take them from the shelf, and say what they are."""
    subject = workshop.subject("top")
    about = {
        "world": workshop.world.name,
        "oracle": workshop.world.oracle,
        "right": None if subject.correct is None else float(np.mean(subject.correct)),
        "proof": subject.truth.proof if subject.truth else None,
        "memorized": list(subject.memorized),
        "twins": len(subject.twins),
        "samples": len(subject.names),
        "fingerprint": subject.network.fingerprint(),
    }
    shown = {"images": subject.inputs[:16]}
    if subject.truth:
        shown["masks"] = subject.truth.masks[:16]
    return {"networks.json": encode(about), "samples.npz": pack(shown)}


def _do_evidence(workshop, _, job):
    given = job.given
    check, explainer, on = (
        checks.get(given["check"]),
        workshop.method(given["method"]),
        workshop.subject(given["target"]),
    )
    shared = workshop.shared(given["check"], given["target"], given["settings"])
    settings = {**given["settings"], **given["options"]}
    refusal = _refusal(explainer, on, workshop.recipe.seed, given["options"])
    if refusal:
        sizes = {"images": len(on.names)}
        made = Evidence(given["check"], given["method"], on.network.name, sizes, {}, (refusal,), settings=settings)
    else:
        made = check(explainer, on, seed=workshop.recipe.seed, **shared, **settings)
    plain = {**asdict(made), "samples": None, "maps": None, "method": given["method"]}
    arrays = {f"samples/{name}": value for name, value in made.samples.items()} | {
        f"maps/{name}": value for name, value in made.maps.items()
    }
    return {"evidence.npz": pack(arrays), "evidence.json": encode(plain)}


def _refusal(explainer, subject, seed, given):
    """A gate with the words in which a method refuses one sample of a subject, or None where it does not.

    What a method cannot do on a model is an answer, and must not cost the other methods theirs. Only the method is asked
    here: an error inside a check is a fault, and fails its job.
    """
    inputs = tf.nest.map_structure(lambda leaf: leaf[:1], subject.inputs)
    try:
        attribute(
            explainer,
            subject.network,
            inputs,
            subject.objective.rows([0]),
            **settled(explainer, subject.network, seed, given),
        )
    except Refused as error:
        return Gate("method can be asked", "not applicable", " ".join(str(error).split()))
    return None


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


def _do_judge(workshop, store, job):
    """One family per check of the recipe, so that every method is judged beside the others and its controls."""
    families = {}
    for key in job.needs:
        families.setdefault(key.split("/")[1], []).append(evidence(store, key))
    judged = {name: judge(family, seed=workshop.recipe.seed) for name, family in families.items() if _judged(family)}
    plain = {
        name: {
            "check": verdicts[0].check,
            "verdicts": [verdict.as_dict() for verdict in verdicts],
            "controls": [asdict(each) for each in controls.audit(verdicts)],
            "blind": [each.method for each in verdicts if each.method in explainers.names(control=True)],
        }
        for name, verdicts in judged.items()
    }
    measured = {name: _means(family) for name, family in families.items() if not _judged(family)}
    files = {
        "verdicts.json": encode(plain),
        "verdicts.csv": _table(judged),
        "junit.xml": junit(workshop.recipe.name, plain),
    }
    return {**files, "measurements.json": encode(measured)}


def _judged(family):
    return checks.tag(checks.get(family[0].check), "judged", True)


def _means(family):
    """Mean and interval of every metric by method: dict of method to dict of metric to [mean, low, high]."""
    found = {}
    for each in family:
        spans = {name: two_way(values[None], seed=0, draws=500) for name, values in each.samples.items()}
        found[each.method] = {name: [span.mean, span.low, span.high] for name, span in spans.items()}
    return found


COLUMNS = ["family", "method", "check", "outcome", "finding", "effect", "low", "high", "ceiling", "null", "p"]
COLUMNS += ["images", "twins", "networks", "sentence"]


def _table(judged):
    """Every verdict as a line of CSV: bytes."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for family, verdicts in judged.items():
        rows.writerows(_line(family, each) for each in verdicts)
    return text.getvalue().encode()


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
        *(sizes.get(key, "") for key in ("images", "twins", "networks")),
        verdict.sentence,
    ]


_KINDS = {
    "survey": galleries.do_survey,
    "pictures": galleries.do_pictures,
    "blocks": atlases.do_blocks,
    "atlas": atlases.do_atlas,
    "drawn": studies.do_drawn,
    "feature": studies.do_feature,
    "recovery": studies.do_recovery,
    "photographs": explanations.do_photographs,
    "maps": explanations.do_maps,
    "agreement": explanations.do_agreement,
    "networks": _do_networks,
    "evidence": _do_evidence,
    "judge": _do_judge,
}
