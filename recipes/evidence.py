"""Evidence: what a check measures about a method, and the verdicts on all methods of a recipe."""

import csv
import io
from dataclasses import asdict, replace

import numpy as np

from lab.refusal import Refused
from recipes.job import ANSWERS, Outcome
from recipes.junit import junit
from recipes.store import encode, pack
from sanity.checks import checks, claim_of
from sanity.evidence import Evidence, Gate
from sanity.examination import judge_with_controls, measure, measure_rows, measure_runs, stand_in
from sanity.network_run import from_arrays, to_arrays
from sanity.statistics import bootstrap_interval


def measure_answer(job, _, session):
    """Measure what the network itself shows by interventions, before any method is measured.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes. Where it is refused there are no arrays: each method is refused in its own check.
    """
    try:
        arrays = session.answer(**job.arguments)
    except Refused:
        arrays = {}
    return {"answer.npz": pack(arrays)}


def _answers(job, inputs):
    """(name) -> arrays of the answer that a job needs; None where it has none, as where that failed."""
    key = next((need for need in job.needs if need.startswith(ANSWERS)), None)

    def read(_):
        return inputs.arrays(key, "answer.npz") if key and inputs.exists(key) else None

    return read


def measure_shard(job, _, session):
    """Measure what a check measures about one method on some of its random networks.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments = job.arguments
    shared = {name: arguments[name] for name in ("check", "question", "seed")}
    settings, networks = arguments["settings"], arguments["networks"]
    runs, gate, trace = measure_runs(
        arguments["check"],
        session.method(arguments["method"]),
        session.checked_subject(arguments["question"], arguments["check"]),
        networks,
        seed=arguments["seed"],
        settings=settings,
        options=arguments["options"],
        prepare=lambda: session.prepare_check(**shared, settings={**settings, "networks": networks}),
    )
    arrays = {f"{turn}/{name}": value for turn, run in enumerate(runs or ()) for name, value in to_arrays(run).items()}
    stages = [run.stages for run in runs or ()]
    files = {"runs.npz": pack(arrays), "runs.json": encode({"stages": stages, "gate": gate and asdict(gate)})}
    return Outcome(files, gate.words if trace else None, trace)


def _load_runs(inputs, keys):
    """What the shards of a check measured: list of `NetworkRun`, and the gate of the first method that refused or failed, or None."""
    runs = []
    for key in keys:
        if not inputs.exists(key):
            return [], _gate_of_failure(key)
        about, arrays = inputs.values(key, "runs.json"), inputs.arrays(key, "runs.npz")
        if about["gate"]:
            return [], Gate(**about["gate"])
        for turn, stages in enumerate(about["stages"]):
            prefix = f"{turn}/"
            run = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            runs.append(from_arrays(stages, run))
    return runs, None


def measure_evidence(job, inputs, session):
    """Measure the evidence of one check about one method, or gather what its shards measured.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the shards, where there are any.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments = job.arguments
    shared = {name: arguments[name] for name in ("check", "question", "settings", "seed")}
    runs, gate = _load_runs(inputs, job.needs[len(job.needs) - arguments.get("shards", 0) :])
    if gate is not None:
        subject = session.checked_subject(arguments["question"], arguments["check"])
        settings = {**arguments["settings"], **arguments["options"]}
        return Outcome(_evidence_files(stand_in(arguments["check"], arguments["method"], subject, gate, settings)))
    evidence, trace = measure(
        arguments["check"],
        session.method(arguments["method"]),
        session.checked_subject(arguments["question"], arguments["check"]),
        seed=arguments["seed"],
        name=arguments["method"],
        settings=arguments["settings"],
        options=arguments["options"],
        prepare=lambda: {"runs": runs} if runs else session.prepare_check(**shared, answers=_answers(job, inputs)),
    )
    fault = evidence.failed[0].words if trace else None
    return Outcome(_evidence_files(replace(evidence, method=arguments["method"])), fault, trace)


def measure_heads(job, _, session):
    """Measure the evidence of a check about every head of the network.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    check, question = job.arguments["check"], job.arguments["question"]
    subject = session.checked_subject(question, check)
    return rows_outcome(*measure_rows(check, subject, seed=job.arguments["seed"], settings=job.arguments["settings"]))


def rows_outcome(rows, trace):
    """What `sanity.examination.measure_rows` measured, as files.

    Args:
        rows: list of `Evidence`.
        trace: traceback of a fault, or None.

    Returns:
        `Outcome`.
    """
    return Outcome(record_files(rows), rows[0].failed[0].words if trace else None, trace)


def record_files(rows):
    """Several records of evidence as files, to be read by `load_rows`.

    Args:
        rows: list of `Evidence`.

    Returns:
        dict of file name to bytes.
    """
    arrays = {
        f"{place}/{name}": value for place, evidence in enumerate(rows) for name, value in evidence.samples.items()
    }
    return {"rows.json": encode([_plain(evidence) for evidence in rows]), "rows.npz": pack(arrays)}


def load_measured(store, key, check):
    """What a job measured of a check.

    Args:
        store: `Store` of the run, or `recipes.inputs.Inputs`.
        key: str, the key of the job.
        check: str, the name of the check.

    Returns:
        list of `Evidence`, one of a method, or one for each head or unit.
    """
    return [load_evidence(store, key)] if claim_of(check) == "maps" else load_rows(store, key)


def load_rows(store, key):
    """The records that a job wrote by `record_files`.

    Args:
        store: `Store` of the run, or `recipes.inputs.Inputs`.
        key: str, the key of the job.

    Returns:
        list of `Evidence`.
    """
    arrays, records = store.arrays(key, "rows.npz"), []
    for place, plain in enumerate(store.values(key, "rows.json")):
        prefix = f"{place}/"
        samples = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        gates = tuple(Gate(**gate) for gate in plain["gates"])
        records.append(Evidence(**{**plain, "samples": samples, "maps": {}, "gates": gates, "stages": ()}))
    return records


def _plain(evidence):
    return {**asdict(replace(evidence, samples={}, maps={})), "samples": None, "maps": None}


def _evidence_files(evidence):
    plain = _plain(evidence)
    arrays = {f"samples/{name}": value for name, value in evidence.samples.items()}
    arrays |= {f"maps/{name}": value for name, value in evidence.maps.items()}
    return {"evidence.npz": pack(arrays), "evidence.json": encode(plain)}


def load_evidence(store, key):
    """The record that an evidence job wrote: `Evidence`.

    Args:
        store: `Store` of the run, or `recipes.inputs.Inputs`.
        key: str, the key of the job.

    Returns:
        `Evidence`.
    """
    plain, arrays = store.values(key, "evidence.json"), store.arrays(key, "evidence.npz")
    split = {
        kind: {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(kind)}
        for kind in ("samples", "maps")
    }
    return Evidence(
        **{**plain, **split, "gates": tuple(Gate(**gate) for gate in plain["gates"]), "stages": tuple(plain["stages"])}
    )


def judge_family(job, inputs, _):
    """Judge every check of the recipe, whatever its claim: each method or unit beside the others and beside its controls.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the evidence.
        _: the session, not used.

    Returns:
        dict of file name to bytes.
    """
    evidence, seed = {}, job.arguments["seed"]
    for key, family, check, method in job.arguments["rows"]:
        evidence.setdefault(family, []).extend(_evidence_or_stand_in(inputs, key, check, method))
    checks_of = {name: records[0].check for name, records in evidence.items()}
    rulings = {
        name: judge_with_controls(evidence[name], seed=seed) for name, check in checks_of.items() if is_judged(check)
    }
    families = {name: _family(ruling) for name, ruling in rulings.items()}
    measurements = {name: _means(evidence[name]) for name, check in checks_of.items() if not is_judged(check)}
    files = {
        "verdicts.json": encode(families),
        "verdicts.csv": _table({name: ruling.verdicts for name, ruling in rulings.items()}),
        "junit.xml": junit(job.arguments["name"], families),
    }
    return {**files, "measurements.json": encode(measurements)}


def _evidence_or_stand_in(inputs, key, check, method):
    """The evidence of a job, one or several; or a stand-in that says why it failed before it measured anything."""
    if not inputs.exists(key):
        return [stand_in(check, method, None, _gate_of_failure(key))]
    return load_measured(inputs, key, check)


def _gate_of_failure(key):
    return Gate("evidence was measured", "fault", f"the job {key} failed")


def _family(ruling):
    """The verdicts of one check as plain values: dict of check, claim, verdicts, controls, blind, parts."""
    check = ruling.verdicts[0].check
    return {
        "check": check,
        "claim": claim_of(check),
        "verdicts": [verdict.as_dict() for verdict in ruling.verdicts],
        "controls": [asdict(control) for control in ruling.controls],
        "blind": ruling.blind,
        "parts": [verdict.as_dict() for verdict in ruling.parts],
    }


def is_judged(check):
    """Whether a check leads to verdicts, and not to numbers alone: bool."""
    return checks.tag(checks.get(check), "judged", True)


def refused_measurements(jobs, store):
    """Methods that refused a check without verdicts, which no other place reports.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str, one line a method and check.
    """
    measured = [
        job
        for job in jobs
        if job.kind == "evidence" and not is_judged(job.arguments["check"]) and store.exists(job.key)
    ]
    gates = [(job, gate) for job in measured for gate in store.values(job.key, "evidence.json")["gates"]]
    return [
        f"{job.arguments['method']}  {job.arguments['check']}: {gate['status']}: {gate['words']}"
        for job, gate in gates
        if gate["status"] in ("failed", "not applicable", "fault")
    ]


def _means(records):
    """Mean and 95% interval of each metric, by method: dict of method to dict of metric to [mean, low, high]."""
    means = {}
    for evidence in records:
        spans = {name: bootstrap_interval(values[None], seed=0, draws=500) for name, values in evidence.samples.items()}
        means[evidence.method] = {name: [span.mean, span.low, span.high] for name, span in spans.items()}
    return means


COLUMNS = ["family", "method", "check", "outcome", "finding", "effect", "low", "high", "ceiling", "null", "p"]
COLUMNS += ["images", "replicates", "networks", "sentence"]


def _table(verdicts_by_family):
    """Every verdict as a line of CSV: bytes."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for family, verdicts in verdicts_by_family.items():
        rows.writerows(_line(family, verdict) for verdict in verdicts)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _line(family, verdict):
    effect, sizes = verdict.effect, verdict.sizes
    numbers = (effect.mean, effect.low, effect.high, verdict.ceiling.mean, verdict.null.mean)
    written = ["" if np.isnan(number) else f"{number:.4f}" for number in numbers]
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
