"""Shortcuts: what the jobs of a [shortcuts] table do: features of all views, evidence of labels, swaps and maps, examples."""

import functools
from dataclasses import replace

import numpy as np
from skimage.transform import resize

from lab.labels import correct_classes
from lab.refusal import Refused
from lab.registry import nearest
from recipes import metadata
from recipes.evidence import record_files
from recipes.galleries import png
from recipes.job import Outcome
from recipes.session import external_method
from recipes.store import encode, pack
from sanity.checks import shortcut_labels
from sanity.examination import measure_rows
from sanity.shortcuts import separability, views
from sanity.shortcuts.column_views import column_views, equal_rows
from sanity.shortcuts.copies import join_copies, join_groups
from sanity.shortcuts.exchange import mixed_groups
from sanity.shortcuts.extremes import extreme_rows, leading_feature
from sanity.shortcuts.picture import measure_views, open_pictures
from sanity.shortcuts.separability import STRENGTHS
from sanity.shortcuts.subject import ShortcutSubject
from sanity.subject import subject
from sanity.verdict import judge

# Pixels of the longer side of an example.
SIDE = 128
# Names of groups of copies with several labels that are listed.
LISTED = 8


# Input --------------------------------------------------------------------------------------------------------------------


def refuse_labels(labels):
    """Refuse labels of which nothing could be told: of one class, or of classes with a handful of rows.

    Args:
        labels: sequence of str.

    Raises:
        Refused: where there are not two classes with `separability.FEWEST_GROUPS` rows each.
    """
    names, counts = np.unique(np.array([str(label) for label in labels]), return_counts=True)
    if len(names) < 2:
        raise Refused(
            f"Shortcuts tell classes apart, so that there are two or more. Received: {len(names)}, {str(names[0])!r}."
        )
    enough = (counts >= separability.FEWEST_GROUPS).sum()
    if enough < 2:
        raise Refused(
            f"Shortcuts are looked for where two classes have {separability.FEWEST_GROUPS} samples each. Received: {len(names)} classes, the largest with {counts.max()}. Give more samples, or fewer classes."
        )


def _read_table(session, path):
    """A table, read once by a process."""
    return session.build_once(("table", path), functools.partial(metadata.read_columns, path))


def read_table(session, arguments):
    """The columns of a table without its target and groups, its labels and groups, and how many rows have no label or were not drawn.

    Args:
        session: `Session`.
        arguments: dict of table, target, group and most.

    Returns:
        dict of column to list of cells; list of str; list of str, equal rows or the column of groups; int, int.

    Raises:
        Refused: for a file that is no table, and for columns that it does not have.
    """
    path, target = arguments["table"], arguments["target"]
    columns = _read_table(session, path)
    labels = _take_column(columns, target, path, "target")
    known = [place for place, label in enumerate(labels) if label is not None]
    rng, unlabelled = np.random.default_rng(session.sources.seed), len(labels) - len(known)
    kept = known if len(known) <= arguments["most"] else np.sort(rng.choice(known, arguments["most"], replace=False))
    columns = {name: [cells[place] for place in kept] for name, cells in columns.items()}
    group = arguments["group"]
    groups = _take_column(columns, group, path, "group") if group else None
    features = {name: cells for name, cells in columns.items() if name not in (target, group)}
    if not features:
        raise Refused(f"A table has columns beside its target. Received: {path} with {target!r} alone.")
    labels = [_class_text(cell) for cell in columns[target]]
    groups = equal_rows(features) if groups is None else _group_names(groups)
    return features, labels, groups, (unlabelled, len(known) - len(kept))


def _group_names(cells):
    """The group of every row as text; a row without one is a group of its own: list of str."""
    return [f"no group, row {place}" if cell is None else f"group {cell}" for place, cell in enumerate(cells)]


def _class_text(cell):
    """A class as text; a whole number without its point."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _take_column(columns, name, path, role):
    if name not in columns:
        raise Refused(f"The {role} is a column of the table. Received: {name!r} of {path}. {nearest(name, columns)}")
    return columns[name]


def read_metadata(session, arguments, names):
    """Metadata of images, one row each, and their groups.

    Args:
        session: `Session`.
        arguments: dict of metadata (the path of a table, or None) and group (a column of it, or None).
        names: of the images.

    Returns:
        list of dict, empty without metadata; and list of str, or None without a column of groups.

    Raises:
        Refused: for an image without a row, and for a column that is not there.
    """
    path, group = arguments["metadata"], arguments["group"]
    if path is None:
        return [], None
    columns = _read_table(session, path)
    groups = None if group is None else _take_column(columns, group, path, "group")
    rows = metadata.rows_of_images(columns, names, path)
    if groups is not None:
        groups = _group_names([row[group] for row in rows])
    hidden = ("label", group)
    rows = [{name: cell for name, cell in row.items() if name not in hidden} for row in rows]
    return (rows if any(rows) else []), groups


def view_functions(session, names):
    """Views by their names, or as "module:function".

    Args:
        session: `Session`.
        names: list of str.

    Returns:
        dict of name to function.

    Raises:
        Refused: for a name that does not exist.
    """
    return {
        name: session.build_once(("view", name), functools.partial(external_method, name, noun="view"))
        if ":" in name
        else views.get(name)
        for name in names
    }


def class_numbers(session, labels):
    """Labels as classes of the network.

    Args:
        session: `Session`.
        labels: sequence of str.

    Returns:
        int [pictures].

    Raises:
        Refused: for labels that are no classes.
    """
    network = session.network
    return correct_classes(list(labels), network.classes_in(None), network.names_in(None)).argmax(axis=1)


# Work ---------------------------------------------------------------------------------------------------------------------


def measure_pictures(job, _, session):
    """What every view sees of pictures.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments, data = job.arguments, session.pictures(job.arguments["most"])
    names = list(data.names)
    metadata, groups = read_metadata(session, arguments, names)
    functions = view_functions(session, arguments["views"])
    if metadata:
        functions["metadata"] = lambda picture: picture.metadata
    measured, thumbnails = measure_views(open_pictures(data, metadata), functions)
    copies = join_copies(thumbnails, data.groups)
    labels = list(data.labels)
    about = {"names": names, "labels": labels, "copies": _describe_copies(copies, labels, names)}
    about |= {"unlabelled": 0, "undrawn": len(session.labelled_photographs) - len(names)}
    # Copies of a picture are one group, whatever the column says.
    groups = copies if groups is None else join_groups(copies, groups)
    faults = {name: value[0] for name, value in measured.items() if isinstance(value[0], str)}
    traces = [value[1] for name, value in measured.items() if name in faults and value[1]]
    features = {name: value for name, value in measured.items() if name not in faults}
    raised = [name for name, value in measured.items() if name in faults and value[1]]
    files = _feature_files(features, faults, groups, {**about, "kind": "pictures", "raised": raised})
    # A view that refuses is no fault, and its words are not those of one that is.
    return Outcome(files, faults[raised[0]] if raised else None, traces[0] if traces else None)


def _describe_copies(groups, labels, names):
    """How many groups of copies there are, and which of them have several labels: dict."""
    counts, codes = np.bincount(groups), np.unique(labels, return_inverse=True)[1]
    mixed = np.flatnonzero(mixed_groups(codes, groups))
    listed = [[names[place] for place in np.flatnonzero(groups == group)] for group in mixed[:LISTED]]
    return {"groups": int((counts > 1).sum()), "mixed": len(mixed), "listed": listed}


def measure_columns(job, _, session):
    """What every view sees of a table.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    columns, labels, groups, (unlabelled, undrawn) = read_table(session, job.arguments)
    features = _choose_views(column_views(columns), job.arguments["views"])
    names = [f"row {place + 1}" for place in range(len(labels))]
    groups = np.unique(groups, return_inverse=True)[1]
    equal = np.unique(equal_rows(columns), return_inverse=True)[1]
    about = {"names": names, "labels": labels, "copies": _describe_copies(equal, labels, names), "kind": "rows"}
    about |= {"unlabelled": unlabelled, "undrawn": undrawn, "raised": []}
    return _feature_files(features, {}, groups, about)


def _choose_views(features, names):
    """Those views of a table that are named, a column by its own name too; all where none is."""
    views_named = {f"column {name}" if f"column {name}" in features else name for name in names}
    return {name: value for name, value in features.items() if not views_named or name in views_named}


def refuse_unknown_views(columns, names):
    """Refuse views that a table does not have.

    Args:
        columns: dict of column to list of cells.
        names: list of str, columns or other views of a table.

    Raises:
        Refused: for the first that does not exist.
    """
    known = [*columns, *column_views(columns)]
    for name in names:
        if name not in known:
            raise Refused(
                f"A view of a table is one of its columns, or of missing cells, row order, equal rows. Received: {name!r}. {nearest(name, known)}"
            )


def _feature_files(features, faults, groups, about):
    """The files of a job that measured views."""
    order = list(features)
    arrays = {f"features/{place}": features[name][0] for place, name in enumerate(order)}
    described = {"views": order, "features": [features[name][1] for name in order], "faults": faults, **about}
    return {"features.npz": pack({**arrays, "groups": np.asarray(groups)}), "features.json": encode(described)}


def load_features(store, key):
    """What a job measured of all views.

    Args:
        store: `Store` of the run, or `recipes.inputs.Inputs`.
        key: str, the key of the job.

    Returns:
        dict of views (name to float [rows, features], or why there are none), feature names by view, labels, names, groups, copies and kind.
    """
    about, arrays = store.values(key, "features.json"), store.arrays(key, "features.npz")
    features = {name: arrays[f"features/{place}"] for place, name in enumerate(about["views"])}
    return {
        **about,
        "views": {**features, **about["faults"]},
        "features": dict(zip(about["views"], about["features"])),
        "groups": arrays["groups"],
    }


# The evidence with the strongest first: what fails, then what is open.
ORDER = {outcome: place for place, outcome in enumerate(("FAIL", "INCONCLUSIVE", "INVALID", "PASS"))}


def measure_labels(job, inputs, _):
    """How well labels are told from each view alone: evidence, the strongest first, and what the page shows beside it.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the features.
        _: the session, not used.

    Returns:
        `Outcome`.
    """
    arguments, known = job.arguments, load_features(inputs, job.needs[0])
    shortcut_subject = ShortcutSubject(
        _title(known), known["labels"], known["groups"], views=known["views"], faults=tuple(known["raised"])
    )
    settings = {name: arguments[name] for name in ("permutations", "margin")}
    rows, trace = measure_rows("shortcut_labels", shortcut_subject, seed=arguments["seed"], settings=settings)
    if trace:
        # Without evidence there is no example either: the job fails, and says why.
        raise RuntimeError(rows[0].failed[0].words)
    return Outcome({**record_files(sort_by_evidence(rows)), "about.json": encode(_about_labels(rows, known))})


def _about_labels(rows, known):
    """Sizes, planted relations, and the feature that carries each candidate: dict."""
    leading = {
        row.method: leading_feature(known["views"][row.method], known["features"][row.method], known["labels"])
        for row, verdict in zip(rows, judge(rows))
        if verdict.finding in (shortcut_labels.CANDIDATE, shortcut_labels.UNCERTAIN) and row.method in known["views"]
    }
    counts = {row.method: row.samples["planted"].tolist() for row in rows if "planted" in row.samples}
    planted = {name: list(zip(STRENGTHS, noticed)) if noticed else [] for name, noticed in counts.items()}
    return {"leading": leading, "planted": planted, "sizes": rows[-1].settings["sizes"]}


def sort_by_evidence(rows):
    """Evidence of one check with the strongest first.

    Args:
        rows: list of `Evidence`.

    Returns:
        list of `Evidence`.
    """
    keys = [(ORDER[verdict.outcome], -np.nan_to_num(verdict.effect.mean, nan=-np.inf)) for verdict in judge(rows)]
    return [rows[place] for place in sorted(range(len(rows)), key=keys.__getitem__)]


def _title(known):
    """The data in words: str."""
    noun = "pictures" if known["kind"] == "pictures" else "rows"
    return f"{len(known['labels'])} {noun}"


def swap_regions(job, inputs, session):
    """What it costs the network to have each region swapped between classes: evidence, and what the control says.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the groups.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments, data = job.arguments, session.pictures(job.arguments["most"])
    shortcut_subject = replace(
        _pictures_subject(inputs, job, session),
        network=session.network,
        pictures=tuple(open_pictures(data)),
        classes=class_numbers(session, data.labels),
        fit=session.sources.images.fit,
    )
    settings = {name: arguments[name] for name in ("swaps", "margin")}
    rows, trace = measure_rows("shortcut_swaps", shortcut_subject, seed=arguments["seed"], settings=settings)
    return _rows_outcome(rows, trace)


def share_maps(job, inputs, session):
    """How much of the network's maps lies in each region, for the true class and for another one: evidence.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the groups.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments, data = job.arguments, session.pictures(job.arguments["most"])
    in_memory = replace(data, names=tuple(data.names), labels=tuple(data.labels))
    shortcut_subject = replace(
        _pictures_subject(inputs, job, session),
        explained=subject(session.network, in_memory, fit=session.sources.images.fit),
        explainer=session.method(arguments["explained_by"]),
        method=arguments["explained_by"],
    )
    settings = {name: arguments[name] for name in ("options", "margin")}
    rows, trace = measure_rows("shortcut_maps", shortcut_subject, seed=arguments["seed"], settings=settings)
    return _rows_outcome(rows, trace)


def _pictures_subject(inputs, job, session):
    known = load_features(inputs, job.needs[0])
    title = f"{session.network.name} on {_title(known)}"
    return ShortcutSubject(title, known["labels"], known["groups"])


def _rows_outcome(rows, trace):
    return Outcome(record_files(sort_by_evidence(rows)), rows[0].failed[0].words if trace else None, trace)


def show_examples(job, inputs, session):
    """Pictures of each class that are most unlike the others by each candidate.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with features and answers.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    known = load_features(inputs, job.needs[0])
    flagged = inputs.values(job.needs[1], "about.json")["leading"]
    places = {view: extreme_rows(known["views"][view], known["labels"]) for view in flagged}
    examples = sorted({row for classes in places.values() for rows in classes.values() for row in rows})
    data = session.pictures(job.arguments["most"])
    files = {f"{row:05d}.png": png(_shrink(data.images[row])) for row in examples}
    return {**files, "examples.json": encode(places)}


def _shrink(image):
    scale = SIDE / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[:2]]
    return resize(image, size, anti_aliasing=scale < 1, order=1 if scale < 1 else 0)
