"""Probes: what the jobs of a [probe] table do: labels and baselines, activations, fits of a layer, verdicts, dissection."""

import csv
import functools
import hashlib
import io
import math
from dataclasses import asdict, replace

import numpy as np

from lab.concepts import default_layers, draw_positions, read_activations
from lab.concepts.activations import refuse_layers
from lab.data import choose
from lab.defaults import candidates
from lab.environment import tf
from lab.refusal import Refused
from lab.registry import nearest
from lab.tables import spellings
from recipes import metadata
from recipes.evidence import load_rows, record_files
from recipes.store import encode, pack
from sanity.checks.probe import compare, compression, probe_evidence
from sanity.checks.probe_use import use_evidence
from sanity.probes.baselines import input_features, position_features, position_types
from sanity.probes.control_tasks import input_types
from sanity.probes.dissection import dissect
from sanity.probes.encoding import fit_and_tally, measure_layer
from sanity.probes.label_sets import label_set
from sanity.probes.use import measure_use
from sanity.randomization import STATISTICS_IMAGES
from sanity.seeds import derive_seed
from sanity.shortcuts.copies import join_copies, join_groups, thumbnail
from sanity.subject import subject
from sanity.untrained import untrained_weights

# Names of unlabelled inputs and of copies that are listed.
LISTED = 6


# Input --------------------------------------------------------------------------------------------------------------------


def layers_of(session, layers):
    """The layers that are probed.

    Args:
        session: `Session`.
        layers: list of addresses, ["all"] for all that lead to the output, or empty for some at equal distances.

    Returns:
        list of addresses, in the order of the network.

    Raises:
        Refused: for a layer that the network does not have, with the nearest.
    """
    network = session.network
    if layers == ["all"]:
        layers = [address for address in candidates(network) if network.shapes[address][-1]]
    layers = layers or default_layers(network, 8)
    refuse_layers(network, layers)
    return list(layers)


def read_inputs(session, arguments):
    """The inputs that are probed, their label columns and their groups.

    Args:
        session: `Session`.
        arguments: dict of labels, columns, groups and most.

    Returns:
        `lab.data.Data`; dict of column to list of str or None, one an input; list of groups.

    Raises:
        Refused: for a table that does not fit the inputs, and without labels.
    """
    key = ("probed", str(sorted(arguments.items(), key=str)))
    return session.build_once(key, functools.partial(_read_inputs, session, **arguments))


def _read_inputs(session, labels, columns, groups, most):
    data = session.data if session.sources.data else session.photographs
    known = {} if data.labels is None else {data.label or "label": list(data.labels)}
    sources = list(data.groups)
    if labels:
        table, group_column = _label_table(labels, list(data.names), groups)
        known |= _named_columns(table, columns, labels)
        sources = sources if group_column is None else group_column
    if not known:
        raise Refused(
            "A probe needs labels. Received: none. Give --labels labels.csv, folders named by their class, or --label COLUMN of a table."
        )
    places = _draw_places(len(data), most, session.sources.seed)
    drawn = choose(data, places)
    drawn = replace(drawn, names=tuple(drawn.names), labels=None)
    return (
        drawn,
        {name: [cells[place] for place in places] for name, cells in known.items()},
        [sources[place] for place in places],
    )


def _draw_places(count, most, seed):
    """Which inputs are read, at most so many: list of int, in their order."""
    if count <= most:
        return list(range(count))
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False)).tolist()


def _label_table(path, names, groups):
    """The columns of a table of labels in the order of the inputs, and its column of groups, or None."""
    columns = metadata.read_columns(path)
    if groups is not None and groups not in columns:
        raise Refused(f"--groups is a column of {path}. Received: {groups!r}. {nearest(groups, columns)}")
    key = next((name for name in ("path", "name") if name in columns), next(iter(columns)))
    places = _row_places(columns, key, names, path)
    hidden = {groups} if places == list(range(len(names))) and not _names_inputs(columns[key], names) else {key, groups}
    aligned = {
        name: [None if place is None else _class_text(cells[place]) for place in places]
        for name, cells in columns.items()
        if name not in hidden
    }
    if groups is None:
        return aligned, None
    rows = [None if place is None else columns[groups][place] for place in places]
    return aligned, [f"no group, input {place}" if cell is None else f"group {cell}" for place, cell in enumerate(rows)]


def _row_places(columns, key, names, path):
    """The row of each input: list of int or None. Raises Refused for a name that is no input, and for one that is there twice."""
    cells = [_class_text(cell) or "" for cell in columns[key]]
    if not _names_inputs(cells, names) and key not in ("path", "name") and len(cells) == len(names):
        return list(range(len(names)))
    place_of = _places_by_spelling(names)
    owners = [place_of.get(cell) for cell in cells]
    for cell, owner in zip(cells, owners):
        if owner is None:
            raise Refused(
                f"Each row of labels names an input, under {key!r}. Received: {cell!r} in {path}, which is none of {len(names)}. {nearest(cell, names)}"
            )
    row_of = {}
    for row, owner in enumerate(owners):
        if row_of.setdefault(owner, row) != row:
            raise Refused(
                f"An input has one row of labels. Received: {cells[row]!r} in {path}, which names {names[owner]!r} a second time. Remove one of them, or write names with their folders."
            )
    return [row_of.get(place) for place in range(len(names))]


def _places_by_spelling(names):
    """The place of an input by every way to write its name: dict."""
    places = {spelling: place for place, name in enumerate(names) for spelling in spellings(name)}
    return places | {name: place for place, name in enumerate(names)}


def _names_inputs(cells, names):
    """Whether some cell of a column names an input: bool."""
    return bool(_places_by_spelling(names).keys() & {_class_text(cell) for cell in cells})


def _named_columns(table, columns, path):
    for name in columns:
        if name not in table:
            raise Refused(f"--label-columns names columns of {path}. Received: {name!r}. {nearest(name, table)}")
    return {name: cells for name, cells in table.items() if not columns or name in columns}


def _class_text(cell):
    """A cell as the name of a class, a whole number without its point: str, or None."""
    if cell is None:
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def label_sets_of(columns, groups, names=()):
    """The label sets of all columns. Columns that cannot be told apart are left out where they were not named.

    Args:
        columns: dict of name to list of str or None.
        groups: sequence, the source of each input.
        names: list of str, the columns that the user named.

    Returns:
        list of `LabelSet`, and dict of name to why a column was left out.

    Raises:
        Refused: for a named column, and where none is left.
    """
    usable, left_out = [], {}
    for name, labels in columns.items():
        try:
            usable.append(label_set(name, labels, groups))
        except Refused as error:
            if name in names or len(columns) == 1:
                raise
            left_out[name] = str(error)
    if not usable:
        raise Refused(next(iter(left_out.values())))
    return usable, left_out


# Work ---------------------------------------------------------------------------------------------------------------------


def measure_inputs(job, _, session):
    """Labels, groups without copies on both sides, and what the probe tells from the inputs themselves.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, seed = job.arguments, job.arguments["seed"]
    data, columns, sources = read_inputs(session, arguments["read"])
    features, groups = _joined_inputs(session, arguments["read"])
    label_sets, left_out = label_sets_of(columns, groups, arguments["read"]["columns"])
    tallies = {
        f"tally/{place}": fit_and_tally(features[labelled.rows], labelled, seed)[0]
        for place, labelled in enumerate(label_sets)
    }
    about = {
        "names": list(data.names),
        "columns": columns,
        "left_out": left_out,
        "copies": _copies(groups, sources, data.names),
    }
    about["label_sets"] = [
        {"name": row.name, "classes": row.classes, "left_out": row.left_out, "unlabelled": row.unlabelled}
        for row in label_sets
    ]
    types = input_types(features, seed=derive_seed(seed, "types"))
    arrays = {"groups": groups, "types": types, "features": features, **tallies}
    return {"inputs.json": encode(about), "inputs.npz": pack(arrays)}


def refuse_copies(session, arguments, names):
    """Refuse labels that cannot be told apart where copies of an input, and near copies of a picture, count once.

    Args:
        session: `Session`.
        arguments: dict of labels, columns, groups and most, as of `read_inputs`.
        names: list of str, the columns that the user named.

    Raises:
        Refused: for labels in too few inputs that differ; the message says how many are copies.
    """
    data, columns, sources = read_inputs(session, arguments)
    groups = _joined_inputs(session, arguments)[1]
    try:
        label_sets_of(columns, groups, names)
    except Refused as error:
        copies = _copies(groups, sources, data.names)
        such = f", such as {' = '.join(copies['listed'][0])}" if copies["listed"] else ""
        raise Refused(
            f"{error} Copies count as one source, and so do pictures that differ by little: {len(data)} inputs are of {len(set(groups.tolist()))} sources{such}."
        ) from None


def _joined_inputs(session, arguments):
    """Inputs as numbers, and their groups with copies joined, kept for the job: float32 [inputs, features], int [inputs]."""

    def join():
        data, _, sources = read_inputs(session, arguments)
        features, marks = _features_and_marks(session, data)
        return features, _join_equal(data, sources, marks)

    return session.build_once(("joined inputs of probes", repr(sorted(arguments.items()))), join)


def _features_and_marks(session, data, batch=64):
    """Inputs as numbers, and a mark of each that equal ones share: float32 [inputs, features], list of str."""
    features, marks = [], []
    if data.kind != "image":
        arrays = data.inputs_of(session.network)
        return input_features(arrays), _marks(arrays)
    for start in range(0, len(data), batch):
        arrays = data.part(slice(start, start + batch)).inputs_of(session.network, session.sources.images.fit)
        features.append(input_features(arrays))
        marks += _marks(arrays)
    return np.concatenate(features), marks


def _marks(arrays):
    leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(arrays)]
    return [
        hashlib.sha256(b"".join(np.ascontiguousarray(leaf[row]).tobytes() for leaf in leaves)).hexdigest()
        for row in range(len(leaves[0]))
    ]


def _join_equal(data, sources, marks):
    """Groups in which equal inputs are together, and near copies of pictures: int [inputs]."""
    groups = join_groups(sources, marks)
    return (
        join_copies([thumbnail(np.asarray(image)) for image in data.images], groups) if data.kind == "image" else groups
    )


def _copies(groups, sources, names):
    """Inputs that share a group although their sources differ: dict of count and listed names."""
    by_group = {}
    for place, group in enumerate(groups):
        by_group.setdefault(group, {}).setdefault(str(sources[place]), names[place])
    joined = [list(owners.values()) for owners in by_group.values() if len(owners) > 1]
    return {"groups": len(joined), "listed": [list(row)[:LISTED] for row in joined[:LISTED]]}


def read_layers(job, _, session):
    """The activations of all layers in one pass over the data, of the network or of an untrained one.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, network, fit = job.arguments, session.network, session.sources.images.fit
    data, _, _ = read_inputs(session, arguments["read"])
    first, seed = data.part(slice(STATISTICS_IMAGES)).inputs_of(network, fit), arguments["seed"]
    with network.weights(untrained_weights(network, first, arguments["untrained"], seed=seed)):
        if not arguments["positions"]:
            values = read_activations(network, data, arguments["layers"], fit=fit)
            return {f"{place}.npz": pack({"rows": rows}) for place, rows in enumerate(values.values())}
        options = {"seed": derive_seed(seed, "positions"), "most": arguments["positions"], "fit": fit}
        values = draw_positions(network, data, arguments["layers"], **options)
    names = ("rows", "inputs", "positions")
    return {f"{place}.npz": pack(dict(zip(names, columns))) for place, columns in enumerate(values.values())}


def fit_layer(job, inputs, session):
    """What one layer holds of all label sets, and what the score does when that is erased.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with labels and activations.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, (start, trained, *random) = job.arguments, job.needs
    known, name = _load_inputs(inputs, start), f"{arguments['place']}.npz"
    values, random_values = inputs.arrays(trained, name), [inputs.arrays(key, name)["rows"] for key in random]
    settings = {name: arguments[name] for name in ("seed", "exchanges")}
    records = []
    for place, whole in enumerate(known["label_sets"]):
        labelled, tally, types = _rows_of_layer(session, arguments, known, values, place)
        random_rows = [rows[labelled.rows] for rows in random_values]
        samples = measure_layer(values["rows"][labelled.rows], random_rows, tally, types, labelled, **settings)
        if arguments["question"]:
            samples |= _use_samples(session, arguments, values["rows"], whole)
        kind = {"kind": _kind_name(session), "networks": len(random)}
        records.append(probe_evidence(session.network.name, arguments["layer"], labelled, samples, settings | kind))
    return record_files(records)


def _load_inputs(inputs, key):
    """What the first job wrote: dict, with label sets."""
    about, arrays = inputs.values(key, "inputs.json"), inputs.arrays(key, "inputs.npz")
    return {**about, **arrays, "label_sets": label_sets_of(about["columns"], arrays["groups"])[0]}


def _kind_name(session):
    """The kind of the inputs, for the words of a verdict: str."""
    kind = session.data.kind if session.sources.data else "image"
    return "tokens" if kind == "text" else kind


def _rows_of_layer(session, arguments, known, values, place):
    """A label set as rows of a layer's activations, what is told of it from the inputs, and the types of its control task."""
    labelled = known["label_sets"][place]
    if "inputs" not in values:
        return labelled, known[f"tally/{place}"], known["types"][labelled.rows]
    labelled = labelled.of_positions(values["inputs"])
    where = values["inputs"][labelled.rows], values["positions"][labelled.rows]
    arrays = _network_inputs(session, arguments)
    count = _position_count(session.network.shapes[arguments["layer"]])
    types, features = position_types(arrays, *where, count), position_features(arrays, *where, count)
    tally, _ = fit_and_tally(features, labelled, arguments["seed"])
    return labelled, tally, known["types"][where[0]] if types is None else types


def _position_count(shape):
    """How many positions a layer has: int, None where the length is free."""
    return None if None in shape[1:-1] else math.prod(shape[1:-1])


def _network_inputs(session, arguments):
    """All inputs as the network takes them, kept for the jobs of other layers."""
    data, _, _ = read_inputs(session, arguments["read"])
    return session.keep_last("inputs of probes", lambda: data.inputs_of(session.network, session.sources.images.fit))


def probed_subject(session, arguments):
    """The network with the inputs that are probed, and the score that is asked about.

    Args:
        session: `Session`.
        arguments: dict of read and question.

    Returns:
        `sanity.subject.Subject`.

    Raises:
        Refused: for an output or a class that does not exist.
    """
    data, _, _ = read_inputs(session, arguments["read"])
    options = {"fit": session.sources.images.fit, **arguments["question"]}
    return session.build_once("subject of probes", lambda: subject(session.network, data, **options))


def _use_samples(session, arguments, rows, labelled):
    probed, kept = probed_subject(session, arguments), labelled.rows
    inputs = tf.nest.map_structure(lambda leaf: leaf[kept], probed.inputs)
    goal = probed.objective.rows(kept.tolist())
    return measure_use(session.network, inputs, goal, arguments["layer"], rows[kept], labelled, seed=arguments["seed"])


def compare_layers(job, inputs, _):
    """The numbers of every layer and label set beside their baselines; and, where that was asked, evidence of use.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the evidence of all layers.
        _: the session, not used.

    Returns:
        dict of file name to bytes.
    """
    arguments, seed = job.arguments, job.arguments["seed"]
    records = [record for key in job.needs if inputs.exists(key) for record in load_rows(inputs, key)]
    if not records:
        raise Refused("A comparison of layers needs the evidence of one. Received: none, since all jobs failed.")
    rows = {record.method: _row(record, seed) for record in records}
    evidence = record_files(use_evidence(records, seed)) if arguments["asks_use"] else {}
    return {**evidence, "numbers.json": encode(rows), "numbers.csv": _table(rows.values())}


def _row(record, seed):
    numbers = {} if record.failed else {name: asdict(interval) for name, interval in compare(record, seed).items()}
    measured = {name: record.samples[name].tolist() for name in ("code", "code/random", "calibration", "reliability")}
    about = {name: record.settings[name] for name in ("label", "layer", "classes")}
    shorter = None if record.failed else compression(record)
    return {**about, "numbers": numbers, **measured, "compression": shorter}


COMPARED = ("probe", "control", "random", "inputs", "selectivity", "lead over random", "lead over inputs")


def _table(rows):
    """The numbers of every layer and label set as a line of CSV: bytes."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    bounds = [f"{name} {bound}" for name in COMPARED for bound in ("mean", "low", "high")]
    lines.writerow(["label", "layer", *bounds, "compression"])
    for row in rows:
        numbers = [
            row["numbers"].get(name, {}).get(bound, "") for name in COMPARED for bound in ("mean", "low", "high")
        ]
        lines.writerow([row["label"], row["layer"], *numbers, row["compression"]])
    return text.getvalue().encode("utf-8", "backslashreplace")


def dissect_layers(job, inputs, session):
    """How well every unit of every layer alone tells each class: the whole matrix, and the units above the null.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with labels and activations.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, (start, *networks) = job.arguments, job.needs
    layers, known = arguments["layers"], _load_inputs(inputs, start)
    stacks = [[inputs.arrays(key, f"{place}.npz")["rows"] for place in range(len(layers))] for key in networks]
    units = np.array([(place, unit) for place, rows in enumerate(stacks[0]) for unit in range(rows.shape[1])])
    trained, *random = (np.concatenate(stack, axis=1) for stack in stacks)
    arrays, rows = {"units": units}, []
    for place, labelled in enumerate(known["label_sets"]):
        kept, settings = labelled.rows, {name: arguments[name] for name in ("seed", "exchanges")}
        result = dissect(trained[kept], [values[kept] for values in random], units[:, 0], labelled, **settings)
        arrays |= {f"auc/{place}": result.auc, f"p/{place}": result.p}
        rows += _unit_rows(result, labelled, units, layers)
    about = {"layers": layers, "labels": [[row.name, row.classes] for row in known["label_sets"]], "units": rows}
    return {"dissection.npz": pack(arrays), "dissection.json": encode(about), "units.csv": _unit_table(rows)}


def _unit_rows(result, labelled, units, layers):
    """The units that tell a class by more than the null, the best first: list of dict."""
    classes, places = np.nonzero(result.above())
    order = np.argsort(-np.abs(result.auc[classes, places] - 0.5), kind="stable")
    return [
        {
            "label": labelled.name,
            "class": labelled.classes[label],
            "layer": layers[units[place, 0]],
            "unit": int(units[place, 1]),
            "auc": float(result.auc[label, place]),
            "p": float(result.p[label, place]),
            "chance": result.bound,
            "untrained": float(result.untrained[label, place]),
        }
        for label, place in zip(classes[order], places[order])
    ]


def _unit_table(rows):
    text = io.StringIO()
    lines = csv.DictWriter(
        text, ("label", "class", "layer", "unit", "auc", "p", "chance", "untrained"), lineterminator="\n"
    )
    lines.writeheader()
    lines.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
