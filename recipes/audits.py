"""Audits: what the jobs of an [audit] table do: the network's answers of every set, its rows, and evidence of each check.

Of tables no cell is written, but the network's logits and activations of every row, by which a run is resumed.
"""

import functools
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lab.images import read
from lab.opening import open_data
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_file, is_folder
from lab.streams import open_images
from lab.tables import spellings
from recipes.claims import home_of
from recipes.evidence import rows_outcome
from recipes.machine import return_memory
from recipes.store import encode, pack
from sanity.audit.answers import (
    answer,
    components_of,
    predictor,
    reduce_channels,
    signature_of,
    stack_untrained,
    untrained_activations,
    untrained_state,
)
from sanity.audit.datasets import open_dataset
from sanity.audit.descriptors import OF_PICTURES, PRETRAINED, WORDS, picture_descriptors
from sanity.audit.frames import Tables, read_frame, read_tables
from sanity.audit.layers import inner_layers
from sanity.audit.patches import picture_patches
from sanity.audit.pictures import picture_columns, picture_statistics, statistic_names
from sanity.audit.pretrained import embed_pictures, why_not_embedded
from sanity.audit.questions import (
    checks_of,
    count_untrained,
    level,
    list_questions,
    predict_alike,
    refuse_costs,
    refuse_idle_counterparts,
    refuse_idle_replicates,
    refuse_layer,
    refuse_unknown_settings,
    settings_at,
    unanswerable,
)
from sanity.audit.rows import AuditSubject
from sanity.audit.series import series_columns
from sanity.audit.sheet import open_sheet
from sanity.audit.signature import Signature
from sanity.audit.texts import text_columns
from sanity.checks import checks
from sanity.examination import measure_rows
from sanity.heads import ATTENTION
from sanity.randomization import STATISTICS_IMAGES
from sanity.verdict import Verdict

SETS = ("test", "train", "current")
# Inputs that one job asks the network about. A run that was stopped goes on behind the last of them.
PART = {"table": 200_000, "series": 20_000, "text": 2_000, "image": 500}
# What is gathered of pictures under the name of their jobs.
PATCHES = "patches"
# Pictures that lie in memory at a time.
PICTURES = 32


# Reading ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sets:
    """The sets of an audit as they were read, before the network was asked.

    Args:
        tables: `sanity.audit.frames.Tables`.
        signature: `Signature` of the network.
        sheet: `Sheet`.
        data: dict of set to `lab.data.Data`, of pictures, texts and series.
    """

    tables: Tables
    signature: Signature
    sheet: object
    data: dict = field(default_factory=dict)

    def __iter__(self):
        return iter(self.tables.rows)


def paths_of(table):
    """Where each set of an audit is: dict of set to str.

    Args:
        table: `recipes.audit_table.Audit`.
    """
    return {name: getattr(table, name) for name in SETS if getattr(table, name)}


def read_sets(session):
    """All sets of the session's audit, read once in a process.

    Args:
        session: `Session`.

    Returns:
        `Sets`.

    Raises:
        Refused: for whatever cannot be read as the network or the sheet wants it.
    """
    return session.build_once("audit sets", functools.partial(_read_sets, session))


def _read_sets(session):
    table = session.sources.audit
    if table.dataset:
        frames, sheet = open_dataset(table.dataset)
        sheet = _as_asked(sheet, table)
        signature = signature_of(session.network, sheet)
        return Sets(read_tables(frames, sheet, signature), signature, sheet)
    sheet = sheet_of(table)
    signature = signature_of(session.network, sheet)
    paths = paths_of(table)
    if signature.kind == "table" or (signature.kind == "text" and _are_csv(paths)):
        if table.metadata:
            raise Refused(
                "metadata stand beside pictures, texts and series. Received: metadata of a table. Add its columns to the table."
            )
        frames = {name: read_frame(path, sheet) for name, path in paths.items()}
        return Sets(read_tables(frames, sheet, signature, paths), signature, sheet)
    data = {name: _open(path, signature, session) for name, path in paths.items()}
    return _beside_data(data, table, sheet, signature, paths)


def _as_asked(sheet, table):
    """A sheet without its protected columns, where an audit is not to read them."""
    return sheet.without_protected() if table.no_protected else sheet


def _are_csv(paths):
    return all(as_path(path).suffix.lower() == ".csv" for path in paths.values())


def sheet_of(table):
    """The sheet of an audit, with the column of labels that was named beside it, and without protected ones where it is so asked.

    Args:
        table: `recipes.audit_table.Audit`.

    Returns:
        `Sheet`.
    """
    sheet = _as_asked(open_sheet(table.sheet), table)
    stated = sheet.one("label")
    if table.label is None or table.label == stated:
        return sheet
    if stated:
        raise Refused(
            f"One column is the label. Received: {table.label!r}, and {stated!r} in the sheet. Leave one out."
        )
    return _with_role(sheet, table.label, "label")


def _with_role(sheet, name, role):
    column = sheet.column(name)
    return sheet.model_copy(
        update={"columns": {**sheet.columns, name: column.model_copy(update={"roles": (*column.roles, role)})}}
    )


def _open(path, signature, session):
    """Pictures, texts or series of a set: `lab.data.Data`."""
    if signature.kind == "image":
        # Each part would be refused by itself, after the run began.
        if session.network.size is None:
            raise Refused(
                "Images are resized to the network's size. Received: a network without one; give size= to lab.load."
            )
        return open_images(path, channels=session.channels)
    if is_folder(as_path(path)):
        raise Refused(f"{signature.name} takes {signature.kind}s. Received: {path!r}, a folder. Give a file.")
    return open_data(path)


def _beside_data(data, table, sheet, signature, paths):
    """Sets of pictures, texts or series, with metadata beside them."""
    frame = read_frame(table.metadata, sheet) if table.metadata else None
    frames = {name: _beside(part, frame, name == "test", table.metadata) for name, part in data.items()}
    if sheet.one("label") is None and all("folder" in beside for beside in frames.values()):
        classes = sheet.column("folder").levels or signature.classes or tuple(map(str, range(signature.count)))
        if set().union(*(beside["folder"] for beside in frames.values())) <= set(classes):
            sheet = _with_role(sheet, "folder", "label")
    tables = read_tables(frames, sheet, replace(signature, kind="data"), paths)
    texts = {name: list(part.inputs) for name, part in data.items()} if signature.kind == "text" else {}
    return Sets(replace(tables, texts=texts), signature, sheet, data)


def _beside(data, frame, is_test, path):
    """Metadata of the inputs of a set, and their labels under "folder" where there are any: `pandas.DataFrame`."""
    beside = pd.DataFrame(index=range(len(data))) if frame is None else _aligned(frame, data.names, is_test, path)
    if data.labels is not None and "folder" not in beside:
        beside["folder"] = [str(label) for label in data.labels]
    return beside


def _aligned(frame, names, is_test, path):
    """The rows of metadata in the order of the inputs, told by the column path or name, or else by the first one."""
    key = next((name for name in ("path", "name") if name in frame.columns), frame.columns[0])
    place_of = {spelling: place for place, cell in enumerate(frame[key].astype(str)) for spelling in spellings(cell)}
    places = [next((place_of[word] for word in spellings(name) if word in place_of), -1) for name in names]
    if all(place < 0 for place in places) and len(frame) == len(places) and key not in ("path", "name"):
        return frame.reset_index(drop=True)
    missing = [name for name, place in zip(names, places) if place < 0]
    if missing and is_test:
        raise Refused(
            f"Metadata have a row for each input, with its name under {key!r}. Received: {path} without {len(missing):,} of {len(places):,}, such as {missing[0]!r}. {nearest(missing[0], list(frame[key].astype(str))[:1000])}"
        )
    return frame.drop(columns=key).reindex(places).reset_index(drop=True)


# Plan ---------------------------------------------------------------------------------------------------------------------


def parts_of(session):
    """The inputs of every set in parts, one a job.

    Args:
        session: `Session`.

    Returns:
        list of (set, start, stop).
    """
    sets = read_sets(session)
    size = PART.get(sets.signature.kind, PART["series"])
    return [
        (name, start, min(start + size, len(rows)))
        for name, rows in sets.tables.rows.items()
        for start in range(0, len(rows), size)
    ]


def plan_questions(table, session):
    """The checks of the questions that are asked, and the level of each question.

    Args:
        table: `recipes.audit_table.Audit`.
        session: `Session`.

    Returns:
        dict. checks: list of (check, its settings). alpha: float. questions: list of str. lacking: dict of question that was
            not asked to str, what is lacking. untrained: int, untrained networks that are compared with. described: bool, whether
            descriptors of pictures are needed. pretrained: str, why no linear model of a pretrained network is tried, "" where it is,
            None where no check needs it. patches: bool, whether those of pictures are needed. counterparts: list of str, protected
            columns whose counterparts are asked about.
            replicates: int, networks that were trained alike.

    Raises:
        Refused: for questions and settings that do not exist, and networks that were not trained alike.
    """
    sets = read_sets(session)
    questions = list_questions(table.questions, sets.sheet, list(sets), sets.signature.kind)
    names = [check for question in questions for check in checks_of(question)]
    if table.check_settings.get("layer"):
        layers = inner_layers(session.network, sets.signature.count) if sets.signature.kind == "table" else ()
        refuse_layer(table.check_settings["layer"], layers, questions)
    refuse_unknown_settings(names, table.check_settings)
    refuse_idle_replicates(table.replicates, questions)
    refuse_costs(sets.sheet, sets.signature)
    lacking = unanswerable(sets.sheet, list(sets), sets.signature.kind)
    alpha = level(sets.sheet, questions, table.strict)
    return {
        "checks": [(name, settings_at(name, table.check_settings, alpha)) for name in names],
        "alpha": alpha,
        "questions": questions,
        "lacking": {} if table.questions else lacking,
        "untrained": count_untrained(names, sets.sheet, session.network),
        # They are opened before anything is computed, so that one that is no replicate takes no other verdict with it.
        "replicates": len(session.audit_replicates),
        "counterparts": _counterparts(table, sets) if "proxy_use" in names else [],
        **_plan_pictures(names, sets, session),
    }


def _plan_pictures(names, sets, session):
    """What some checks need of pictures beside their statistics: dict of described, pretrained and patches."""
    needed = {word for name in names for word in ("descriptors", "patches") if checks.tag(checks.get(name), word)}
    if sets.signature.kind != "image":
        return {"described": False, "pretrained": None, "patches": False}
    is_trained_on = "descriptors" in needed and "train" in sets
    pretrained = (
        why_not_embedded(session.network, session.channels, lambda: session.pretrained) if is_trained_on else None
    )
    return {
        "described": "descriptors" in needed,
        "pretrained": pretrained,
        "patches": "patches" in needed and "current" in sets,
    }


def _counterparts(table, sets):
    """Protected columns whose counterparts are asked about: list of str. Raises Refused for files that are missing."""
    kind, columns = sets.signature.kind, list(sets.tables.counterparts)
    refuse_idle_counterparts(sets.sheet, sets.signature)
    for column in columns if kind == "image" else ():
        for path in counterpart_paths(table, sets, column):
            if path is not None and not is_file(as_path(path)):
                raise Refused(
                    f"Counterparts are photographs, by paths from the folder of the metadata. Received: {path!r}, which is no file."
                )
    return columns


def counterpart_paths(table, sets, column):
    """Where the counterpart of each photograph to test lies.

    Args:
        table: `recipes.audit_table.Audit`.
        sets: `Sets`.
        column: str, the protected column.

    Returns:
        list of str, None where there is none.
    """
    folder = as_path(table.metadata).parent
    return [cell and str(folder / cell) for cell in sets.tables.counterparts[column]]


# Work ---------------------------------------------------------------------------------------------------------------------


def answer_part(job, _, session):
    """The network's logits and activations of some inputs of a set; of pictures their statistics too.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    sets, name = read_sets(session), job.arguments["set"]
    places = slice(job.arguments["start"], job.arguments["stop"])
    if sets.signature.kind == "image":
        described = job.arguments.get("described", False)
        return {"answers.npz": pack(_answer_pictures(session, sets, name, places, described))}
    inputs = _inputs_of(session, sets, name, places)
    return {"answers.npz": pack(_answered(session, inputs, sets.signature.count))}


def _inputs_of(session, sets, name, places):
    """Some inputs of a set, as `sanity.audit.answers.answer` takes them."""
    if sets.signature.kind == "table":
        return sets.tables.rows[name].inputs[places]
    if sets.tables.texts:
        return sets.tables.texts[name][places]
    fit = {"fit": session.sources.images.fit} if sets.signature.kind == "image" else {}
    return sets.data[name].part(places).inputs_of(session.network, **fit)


def answer_untrained(job, _, session):
    """The activations of an untrained network of the same architecture on some rows to test.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, sets, network = job.arguments, read_sets(session), session.network
    start, stop, place = (arguments[name] for name in ("start", "stop", "untrained"))
    first = slice(min(STATISTICS_IMAGES, len(sets.tables.rows["test"])))
    key = ("untrained network", place, arguments["seed"])
    state = session.build_once(
        key,
        lambda: untrained_state(network, _inputs_of(session, sets, "test", first), place, seed=arguments["seed"]),
    )
    step = PICTURES if sets.signature.kind == "image" else stop - start
    hidden = [
        untrained_activations(
            network, _inputs_of(session, sets, "test", slice(part, min(part + step, stop))), sets.signature.count, state
        )
        for part in range(start, stop, step)
    ]
    return {"answers.npz": pack({"hidden": np.concatenate(hidden).astype("float32")})}


def answer_counterparts(job, _, session):
    """The network's logits of the counterparts of some rows to test.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    sets, column = read_sets(session), job.arguments["column"]
    places = slice(job.arguments["start"], job.arguments["stop"])
    is_image = sets.signature.kind == "image"
    cells = (counterpart_paths(session.sources.audit, sets, column) if is_image else sets.tables.counterparts[column])[
        places
    ]
    known = [place for place, cell in enumerate(cells) if cell is not None]
    logits, unedited = np.full((len(cells), sets.signature.count), np.nan), np.zeros(len(cells), bool)
    for start in range(0, len(known), PICTURES):
        part = known[start : start + PICTURES]
        inputs = [cells[place] for place in part]
        if is_image:
            images = [read(path, channels=session.channels) for path in inputs]
            inputs = session.network.preprocess(images, fit=session.sources.images.fit)
        logits[part] = answer(session.network, inputs, sets.signature.count, activations=False)[0]
        originals = _inputs_before(sets, places.start + part[0], places.start + part[-1] + 1)
        others = images if is_image else inputs
        unedited[part] = [_is_same(originals[place - part[0]], other) for place, other in zip(part, others)]
    return {"answers.npz": pack({"logits": logits, "unedited": unedited})}


def _inputs_before(sets, start, stop):
    """Photographs or texts to test as they were read: list."""
    places = slice(start, stop)
    return sets.tables.texts["test"][places] if sets.tables.texts else list(sets.data["test"].part(places).images)


def _is_same(one, other):
    """Whether two texts or pictures are the same: bool."""
    return one.strip() == other.strip() if isinstance(one, str) else np.array_equal(one, other)


def _answered(session, inputs, count):
    logits, hidden = answer(session.network, inputs, count)
    return {"logits": logits} | ({} if hidden is None else {"hidden": hidden.astype("float32")})


def _answer_pictures(session, sets, name, places, described):
    """Pictures are read once, some at a time: dict of array."""
    data, parts = sets.data[name], []
    for start in range(places.start, places.stop, PICTURES):
        images = list(data.part(slice(start, min(start + PICTURES, places.stop))).images)
        inputs = session.network.preprocess(images, fit=session.sources.images.fit)
        parts.append(_answered(session, inputs, sets.signature.count) | picture_statistics(images))
        parts[-1] |= picture_descriptors(images) if described else {}
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def embed_part(job, _, session):
    """What the lab's own network makes of some pictures of a set, for a linear model.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    fit = session.sources.images.fit
    parts = [embed_pictures(session.pretrained, images, fit) for images in _pictures_of(job, session)]
    return {"answers.npz": pack({PRETRAINED: np.concatenate(parts)})}


def patch_part(job, _, session):
    """Means of the patches of some pictures of a set, at the size that the network takes.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    network, fit = session.network, session.sources.images.fit
    inputs = (network.preprocess(images, fit=fit) for images in _pictures_of(job, session))
    parts = [picture_patches(network.deprocess(values)) for values in inputs]
    return {"answers.npz": pack({PATCHES: np.concatenate(parts)})}


def _pictures_of(job, session):
    """The pictures of a job, some at a time: iterator of list of array."""
    data, stop = read_sets(session).data[job.arguments["set"]], job.arguments["stop"]
    for start in range(job.arguments["start"], stop, PICTURES):
        yield list(data.part(slice(start, min(start + PICTURES, stop))).images)


def gather_rows(job, inputs, session):
    """The answers of every set together, activations in the directions of the test rows; and what a reader has to know.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with all parts.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, sets, files, components = job.arguments, read_sets(session), {}, {}
    for name in sets:
        keys = [key for key, (part, *_) in zip(job.needs, arguments["parts"]) if part == name]
        parts = [inputs.arrays(key, "answers.npz") for key in keys]
        arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        hidden = arrays.pop("hidden", None)
        components = components_of(hidden) if name == "test" else components
        if hidden is not None:
            arrays["features"] = reduce_channels(hidden, components).astype("float32")
        arrays |= _untrained_arrays(job, inputs) if name == "test" else {}
        arrays |= _picture_arrays(job, inputs, name)
        files[f"{name}.npz"] = pack(arrays)
    for name, values in _counterpart_arrays(job, inputs).items() if sets.tables.counterparts else ():
        files[f"{name}.npz"] = pack(values)
    about = {
        "kind": sets.signature.kind,
        "sets": {name: {"rows": len(rows), "units": rows.unit_count} for name, rows in sets.tables.rows.items()},
        "has_units": sets.tables.rows["test"].has_units,
        "notes": list(sets.tables.notes),
        "looks": sets.sheet.looks,
        "untried": arguments["untried"],
        **{name: arguments[name] for name in ("questions", "lacking", "alpha", "strict")},
    }
    return {**files, "about.json": encode(about)}


def _untrained_arrays(job, inputs):
    """The activations of untrained networks, from the parts behind those of the trained one: dict of array."""
    networks = _later_parts(job)[: job.arguments["untrained"]]
    hidden = [np.concatenate([inputs.arrays(key, "answers.npz")["hidden"] for key in keys]) for keys in networks]
    untrained = stack_untrained(hidden)
    return {} if untrained is None else {"untrained": untrained}


def _picture_arrays(job, inputs, name):
    """What other jobs computed of the pictures of a set, beside the answers of the network: dict of array."""
    arrays = {}
    for folder, word in (("pretrained", PRETRAINED), (PATCHES, PATCHES)):
        keys = [key for key in job.needs if key.startswith(f"audit/{folder}/{name}-")]
        arrays |= {word: np.concatenate([inputs.arrays(key, "answers.npz")[word] for key in keys])} if keys else {}
    return arrays


def _counterpart_arrays(job, inputs):
    """The logits of counterparts, and which are the input itself, from the last parts: dict of name to dict of protected column to array."""
    columns = job.arguments["counterparts"]
    of_columns = _later_parts(job)[job.arguments["untrained"] :]
    parts = {column: [inputs.arrays(key, "answers.npz") for key in keys] for column, keys in zip(columns, of_columns)}
    return {
        name: {column: np.concatenate([part[array] for part in arrays]) for column, arrays in parts.items()}
        for name, array in (("counterparts", "logits"), ("unedited", "unedited"))
    }


def _later_parts(job):
    """The jobs behind the answers of the trained network, each list as many as the rows to test have parts: list of list of str."""
    parts = job.arguments["parts"]
    keys, size = job.needs[len(parts) :], sum(name == "test" for name, *_ in parts)
    return [keys[start : start + size] for start in range(0, len(keys), size)]


def load_subject(inputs, job, session):
    """The network's answers on the data, from the files of the job that gathered them.

    Args:
        inputs: `recipes.inputs.Inputs`, or the `Store` of the run.
        job: `Job` that needs it, first.
        session: `Session`.

    Returns:
        `AuditSubject`.
    """
    sets = read_sets(session)
    arrays = {name: inputs.arrays(job.needs[0], f"{name}.npz") for name in sets}
    beside = _statistics(sets, arrays, session)
    rows = {
        name: replace(
            sets.tables.rows[name],
            columns=(*sets.tables.rows[name].columns, *beside.get(name, ())),
            logits=arrays[name]["logits"],
            features=arrays[name].get("features"),
            untrained=arrays[name].get("untrained"),
            descriptors=_descriptors(sets, name, arrays[name]),
            patches=arrays[name].get(PATCHES),
        )
        for name in sets
    }
    if sets.tables.counterparts:
        names = ("counterparts", "unedited")
        arrays = {name: dict(inputs.arrays(job.needs[0], f"{name}.npz")) for name in names}
        rows["test"] = replace(rows["test"], **arrays)
    is_table, count = sets.signature.kind == "table", sets.signature.count
    return AuditSubject(
        session.network.name,
        sheet=sets.sheet,
        classes=sets.tables.classes,
        input_places=sets.tables.input_places,
        predict=predictor(session.network, count) if is_table else None,
        networks=predict_alike(session.network, session.audit_replicates, count) if is_table else (),
        layers=inner_layers(session.network, count) if is_table else (),
        kind="table" if is_table else sets.signature.kind,
        alpha=job.arguments["alpha"],
        untried=inputs.values(job.needs[0], "about.json")["untried"],
        **rows,
    )


def _descriptors(sets, name, arrays):
    """What linear models take of the pictures or texts of a set: dict of array."""
    if sets.tables.texts:
        return {WORDS: np.array(sets.tables.texts[name], object)}
    return {word: arrays[word] for word in OF_PICTURES if word in arrays}


def _statistics(sets, arrays, session):
    """What takes the place of columns in pictures, texts and series: dict of set to tuple of `Column`."""
    kind = sets.signature.kind
    if kind == "image":
        names = statistic_names(session.channels)
        numbers = {name: {word: arrays[name][word] for word in names} for name in sets}
        return picture_columns(numbers, {name: list(sets.data[name].names) for name in sets})
    if kind == "text":
        return text_columns(sets.tables.texts, _unknown_share(session.network))
    if kind == "series":
        return {name: series_columns(np.asarray(data.inputs), data.columns) for name, data in sets.data.items()}
    return {}


def _unknown_share(network):
    """A function that says which share of a text's tokens the network does not know, or None where that cannot be said."""
    tokenizer = network.tokenizer
    if tokenizer is None or tokenizer.unknown is None:
        return None

    def count_unknown(texts):
        encoded = tokenizer.encode(texts, None)
        present = np.asarray(encoded.mask, bool)
        return ((encoded.ids == tokenizer.unknown) & present).sum(axis=1) / np.maximum(present.sum(axis=1), 1)

    return count_unknown


def measure_check(job, inputs, session):
    """The evidence of one check of an audit.

    Args:
        job: `Job`. It needs the gathered rows.
        inputs: `recipes.inputs.Inputs` with them.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments = job.arguments
    key = ("audit subject", arguments["alpha"])
    subject = session.build_once(key, lambda: load_subject(inputs, job, session))
    rows, trace = measure_rows(arguments["check"], subject, seed=arguments["seed"], settings=arguments["settings"])
    # Of a large table the pieces that one check leaves are as much as the next one takes.
    return_memory()
    # What could not be asked at all is about the data.
    rows = [replace(row, method=arguments["method"]) if row.method == ATTENTION else row for row in rows]
    return rows_outcome(rows, trace)


def write_record(job, inputs, session):
    """What the audit measured in the order of the sources that ask for it: as JSON, and as a page to print or sign.

    Beside both, what is wrong with the record, such as a word in the sheet that says more than an audit can.

    Args:
        job: `Job`. It needs the gathered rows, and the verdicts.
        inputs: `recipes.inputs.Inputs` with them.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    from recipes.report.audited.record import render_record
    from sanity.audit.facts import subject_facts
    from sanity.audit.record import lint_record, record

    families = inputs.values("verdicts", "verdicts.json")
    of_audit = [family for name, family in families.items() if home_of(name, family) == "audit"]
    verdicts = [Verdict.from_dict(verdict) for family in of_audit for verdict in family["verdicts"]]
    key = ("audit subject", job.arguments["alpha"])
    subject = session.build_once(key, lambda: load_subject(inputs, job, session))
    known = {"digest": session.hash_of("weights"), "layers": len(session.network.layers())}
    values = record(verdicts, subject_facts(subject, model=known), subject.sheet)
    problems = lint_record(values, subject.sheet)
    page = render_record(values, problems).encode("utf-8", "backslashreplace")
    return {"record.json": encode(values), "record.html": page, "problems.json": encode(problems)}
