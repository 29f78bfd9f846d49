"""Trials: one method, or pictures of units, under one check, as `lab check` does it, for a caller in Python."""

import os
import re
import sys

import lab
from lab.attribution import explainers
from lab.attribution.calls import refuse_options
from lab.data import Data
from lab.opening import open_data
from lab.refusal import Refused
from lab.remote import RemotePath
from lab.sources import source_kind
from recipes import schema
from recipes.errors import Gated
from recipes.evidence import is_judged
from recipes.gate import refuse_shortfall
from recipes.loaded import Loaded
from recipes.options import data_source, image_source
from recipes.progress import Progress
from recipes.runs import carry_out
from recipes.sections.planted import planted_tables
from sanity.checks import claim_of
from sanity.verdict import Verdict

# What [model] has of the keyword arguments of `lab.load`, for the manifest.
MODEL_KEYS = ("input_range", "classes", "size")
IN_MEMORY = "in memory"


def try_method(
    model,
    data,
    method,
    root,
    *,
    check="parameters",
    seed=0,
    target="top",
    output=None,
    region=None,
    labels=None,
    label=None,
    group=None,
    columns=None,
    fit="squash",
    most=48,
    settings=None,
    options=None,
    replicate=(),
    train=None,
    finetune=None,
    replicates=None,
    permuted_label_networks=None,
    planted=None,
    baseline=None,
    fail_on=None,
    allow_code=False,
    **load_options,
):
    """Check one method of a model, or pictures of its units, and say whether they fall short.

    Args:
        model, data, method: as of the fixture `recipes.plugin.lab_check`, and so are the others.
        root: folder of all runs.

    Returns:
        (`Verdict`, str that says what falls short, or None).

    Raises:
        Refused: for what `lab check` refuses.
    """
    if fail_on == "worse" and baseline is None:
        raise Refused("fail_on='worse' compares with an earlier run. Received: no baseline=.")
    if not is_judged(check):
        raise Refused(f"A verdict needs a check with verdicts. Received: {check}, of which there is none.")
    question = {"target": target, "output": output, "region": region}
    checked, methods = _ask(check, method, question, settings or {}, options or {})
    tables = {"name": "pytest", **checked}
    tables |= {"baseline": str(baseline)} if baseline else {}
    if planted is not None:
        _refuse_beside_planted(
            model=model, data=data, train=train, finetune=finetune, replicate=replicate or None, labels=labels
        )
        tables |= planted_tables(str(planted), None, allow_code)
        loaded = Loaded(methods=methods)
    else:
        details = {"label": label, "group": group, "columns": ",".join(columns or ())}
        source, rows = _data_tables(data, labels, details, most, fit)
        as_table = bool(rows and rows.kind == "table") or (source.get("data", {}).get("kind") == "table")
        network = _network(model, as_table, allow_code, load_options)
        others = {
            _replicate_name(other, place): _network(other, as_table, allow_code, load_options)
            for place, other in enumerate(replicate)
        }
        counts = {"replicates": replicates, "permuted_label_networks": permuted_label_networks}
        tables |= {
            "seed": seed,
            "model": _model_table(model, load_options),
            **source,
            **_training(train, finetune, others, counts, check),
        }
        loaded = Loaded(network, rows, others, methods)
    run = carry_out(schema.recipe(tables), root, Progress(quiet=True), fresh=True, allow_code=allow_code, loaded=loaded)
    return _result(run, fail_on or ("worse" if baseline else None))


def _ask(check, method, question, settings, options):
    """The table of a recipe that asks for a check, and methods in memory: (dict, dict of name to explainer)."""
    claim = claim_of(check)
    if claim == "pictures":
        return {"features": [{"checks": [check], "recovery": False, "parameterization": method, **settings}]}, {}
    if claim != "maps":
        raise Refused(
            f"A verdict is on one method, or on pictures. Received: {check}, a check of {claim}; run `lab check --check {check}`."
        )
    name, explainer = _named_method(method)
    refuse_options(explainer, options)
    table = {"check": check, "methods": [name], **question, "options": {name: options}, **settings}
    return {"check": [table]}, {name: explainer}


def _result(run, fail_on):
    """The verdict of a run, and what falls short in words, or None. Controls stand behind what is judged."""
    (family,) = run.families.values()
    verdict = Verdict.from_dict(family["verdicts"][0])
    shortfall = _shortfall(run, family, verdict, fail_on)
    return verdict, shortfall and f"{shortfall}\nThe report: {run.report}"


def _shortfall(run, family, verdict, fail_on):
    broken = [control for control in family["controls"] if not control["held"] and control["control"] != verdict.method]
    if verdict.finding == "FAULT":
        return f"{verdict.method}: {verdict.sentence}"
    if broken:
        return f"The check {verdict.check} is broken on this model: {broken[0]['control']} came out {broken[0]['outcome']}."
    try:
        refuse_shortfall(run, fail_on)
    except Gated as error:
        return (
            error.message
            if fail_on == "worse"
            else f"{verdict.method}, {verdict.check}: {verdict.outcome}: {verdict.sentence}"
        )
    return None


# Arguments -> tables of a recipe, and what is in memory -------------------------------------------------------------------


def _named_method(method):
    """A method with a name that a recipe may have: (str, explainer)."""
    explainer = explainers.get(method)
    name = explainers.name(explainer)
    if not re.fullmatch(r"[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?", name):
        name = re.sub(r"\W+", "_", getattr(explainer, "__name__", "")).strip("_") or "method"
    return name, explainer


def _refuse_beside_planted(**arguments):
    for name, value in arguments.items():
        if value is not None:
            raise Refused(f"A planted folder brings its own model and data. Received: planted= and {name}=.")


def _network(model, as_table, allow_code, load_options):
    if model is None:
        raise Refused("A model is what lab.load takes, or a Network. Received: None.")
    if isinstance(model, lab.Network):
        return model
    return lab.load(model, as_table=as_table, allow_code=allow_code, **load_options)


def _model_table(model, load_options):
    """The [model] table for the manifest; the network itself is in memory."""
    if not isinstance(model, (str, os.PathLike)):
        return {"source": f"{getattr(model, 'name', 'model')} {IN_MEMORY}"}
    known = {
        name: load_options[name] for name in MODEL_KEYS if isinstance(load_options.get(name), (str, int, tuple, list))
    }
    return {
        "source": str(model),
        **{name: value for name, value in known.items() if name != "classes" or isinstance(value, str)},
    }


def _data_tables(data, labels, details, most, fit):
    """The [images] or [data] table, and the data where they are in memory: (dict, `Data` or None)."""
    if isinstance(data, (str, os.PathLike, RemotePath)):
        if labels is not None:
            raise Refused(f"labels= are for data in memory. Received: labels= beside the path {data}.")
        table = data_source(str(data), None, details)
        if table is None:
            return {"images": {**image_source([str(data)]), "most": most, "fit": fit}}, None
        return {"data": {**table, "kind": source_kind(data), "most": most}}, None
    rows = _open(data, labels, {name: value or None for name, value in details.items()})
    if rows.kind == "image":
        return {"images": {"files": [IN_MEMORY], "most": most, "fit": fit}}, rows
    return {"data": {"source": IN_MEMORY, "most": most, "label": rows.label}}, rows


def _open(data, labels, details):
    """Data in memory: pictures of any size as a list of arrays, or whatever `lab.open_data` takes."""
    import numpy as np

    if data is None:
        raise Refused("Data are a path, arrays, a data frame, a dataset or texts. Received: None.")
    if isinstance(data, (list, tuple)) and data and not isinstance(data[0], str) and np.ndim(data[0]) in (2, 3):
        arrays = tuple(np.asarray(image) for image in data)
        names = tuple(str(place) for place in range(len(arrays)))
        return Data(names, arrays, None if labels is None else tuple(map(str, labels)))
    columns = details["columns"] and details["columns"].split(",")
    return open_data(data, labels, **{**details, "columns": columns})


def _replicate_name(model, place):
    """How a recipe names a replicate: its path, or its place among those in memory."""
    return str(model) if isinstance(model, (str, os.PathLike)) else f"replicate {place + 1} {IN_MEMORY}"


def _training(train, finetune, others, counts, check):
    """The [training] table, or nothing."""
    counts = {name: count for name, count in counts.items() if count is not None}
    sources = {"train": train, "finetune": finetune, "replicate": others or None}
    origins = [name for name, source in sources.items() if source is not None]
    if len(origins) > 1:
        raise Refused(f"Networks trained like the model come from one place. Received: {'= and '.join(origins)}=.")
    if not {"train", "finetune"} & set(origins):
        if counts:
            raise Refused(f"{next(iter(counts))}= counts networks that are trained. Received: no train= or finetune=.")
        return {"training": {"files": list(others)}} if others else {}
    if check == "labels":
        counts.setdefault("permuted_label_networks", counts.get("replicates", 4))
    origin = {"finetune": _layer_name(finetune)} if train is None else {"function": _function_name(train)}
    return {"training": {**origin, **counts}}


def _layer_name(finetune):
    if not isinstance(finetune, str) or not finetune:
        raise Refused(f"finetune= is the address of a layer, 'all' or 'auto'. Received: {finetune!r}.")
    return finetune


def _function_name(function):
    """A training function as "module:function", by which its source is hashed."""
    if isinstance(function, str):
        return function
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if getattr(sys.modules.get(module), name, None) is not function:
        raise Refused(
            f"train= is a function at the top of a module, so that its networks are trained again when its source changes. Received: {function!r}."
        )
    return f"{module}:{name}"
