"""Explanations: photographs, maps of them by every method, and how far methods and seeds agree."""

import csv
import hashlib
import io
import traceback
import warnings
from dataclasses import asdict

import numpy as np

from lab.attribution import explainers
from lab.attribution.calls import attribute, needed_capability, resolve_options
from lab.environment import tf
from lab.explanation import explain
from lab.isolation import MethodFault
from lab.kinds import IMAGE, KINDS, SERIES, TABLE, TOKENS, kind_of
from lab.maps import pooled, resized
from lab.refusal import Refused, describe
from lab.registry import nearest
from lab.registry import options as known_options
from recipes.job import Outcome
from recipes.mistakes import PARTS, answers, count_sentence, note_on_contrast, part_classes, part_objective
from recipes.predictions import predictions, table_rows
from recipes.store import encode, pack
from recipes.texts import describe_tokens, tokens_of
from sanity.agreement import agreement, between_seeds
from sanity.manifold import FEWEST as FEWEST_ROWS
from sanity.manifold import off_manifold
from sanity.overview import overview


def refuse_unknown_options(table):
    """Refuse options of a method that does not exist, and warn of options of a method that is not used.

    Args:
        table: the [explain] table or a [[check]] table of a recipe.
    """
    for name in table.options:
        if name not in table.methods and name not in explainers:
            raise Refused(
                f"Options belong to a method of this run. Received: options of {name!r}. {nearest(name, table.methods)}"
            )
        if name not in table.methods:
            warnings.warn(f"the options of {name} are not used: it is not among the methods of this run", stacklevel=2)


# Options that count how many gradients a method takes of each sample.
COUNT_OPTIONS = ("samples", "steps", "n_steps", "num_samples", "x_steps")


def passes(explainer, options, network):
    """Rough number of gradients that a method takes of one sample.

    Args:
        explainer: the method's function.
        options: dict of its options.
        network: `Network`, or None in a world before training.

    Returns:
        float.
    """
    settings = {**known_options(explainer), **options}
    count = next((settings[name] for name in COUNT_OPTIONS if name in known_options(explainer)), 1)
    if not isinstance(count, (int, float)) or not np.isfinite(count):
        # The method itself will refuse this value.
        return 1
    cost = explainers.tag(explainer, "cost")
    return count if cost is None else cost(network, settings)


def show_photographs(job, _, session):
    """Write the photographs as the network received them, uint8 [images, rows, columns, 3], and what it answers to them.

    Inputs of another kind are written as they are, in inputs.npz.

    Args:
        job: `Job`. With `shown`, it writes so many photographs at most.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    network, subject = session.network, answers(session, **_selection(job))
    only, contrast = job.arguments["only"], job.arguments["contrast"]
    total = count_images(session, job.arguments.get("places"))
    leaf = _leaves(network, subject.inputs)[0][: job.arguments.get("shown")]
    predicted = predictions(subject)
    about = {**predicted, "only": only, "total": total, "contrast": contrast}
    about["note"] = note_on_contrast(subject) if contrast and subject.names else None
    noun = kind_of(leaf).noun
    about["sentence"] = None if only == "all" else count_sentence(len(subject.names), total, only, noun)
    about |= _inputs_hash(job, subject) | describe_kind(session, subject)
    rows = table_rows(predicted)
    if "kind" in about:
        rows[0] = ("name", *rows[0][1:])
        return {"inputs.npz": pack({"inputs": leaf}), "about.json": encode(about), "predictions.csv": table(rows)}
    return {
        "photographs.npz": pack({"images": as_pictures(network, leaf)}),
        "about.json": encode(about),
        "photographs.csv": table(rows),
    }


def as_pictures(network, inputs):
    """Inputs as pictures of what the network received.

    Args:
        network: a `Network`.
        inputs: its images, as it takes them.

    Returns:
        uint8 [images, rows, columns, channels].
    """
    return np.round(np.clip(network.deprocess(inputs), 0, 255)).astype("uint8")


def describe_kind(session, subject):
    """What inputs are that are no photographs, as plain values: the kind, names of columns, and tokens.

    Args:
        session: `Session`.
        subject: `sanity.subject.Subject`.

    Returns:
        dict, empty for photographs.
    """
    network, leaf = session.network, _leaves(session.network, subject.inputs)[0]
    kind = kind_of(leaf)
    if kind is IMAGE:
        return {}
    columns = list(network.columns or (session.data if session.sources.data else session.images).columns)
    if kind is TABLE and not columns:
        # Whole numbers in a file are ids until a network takes them as floats.
        columns = [f"column {number}" for number in range(leaf.shape[1])]
    tokens = describe_tokens(network, subject.inputs) if kind is TOKENS else {"words": None}
    return {"kind": kind.name, "columns": columns, **tokens}


def count_images(session, places):
    """How many photographs a job is about: int.

    Args:
        session: `Session`.
        places: [start, stop] of a shard, or None for all.

    Returns:
        int.
    """
    return len(session.images) if places is None else places[1] - places[0]


def _selection(job):
    """The photographs of a job, as arguments of `recipes.mistakes.answers`: dict."""
    return {name: job.arguments[name] for name in ("question", "only", "contrast", "places") if name in job.arguments}


def _inputs_hash(job, subject):
    """SHA-256 of what the network is given for a shard, of which no other job knows more than names, sizes and times: dict."""
    if "places" not in job.arguments:
        return {}
    digest = hashlib.sha256()
    for leaf in tf.nest.flatten(subject.inputs):
        digest.update(np.ascontiguousarray(leaf))
    return {"inputs": digest.hexdigest()}


def compute_maps(job, _, session):
    """Compute one method's maps of all images.

    A method with random draws gets second maps, under the next seed. Where a method refuses or fails, its words are
    written in the place of maps.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments = job.arguments
    subject, part = answers(session, **_selection(job)), arguments["part"]
    about = {"method": _row_name(arguments), "names": subject.names, "options": arguments["options"], "part": part}
    about |= {"refused": None, "fault": None, **_inputs_hash(job, subject), **describe_kind(session, subject)}
    if not subject.names:
        return Outcome({"about.json": encode(about)})
    try:
        explanation = _explain(session, subject, arguments)
        second_maps = _second_maps(session, subject, arguments)
        baseline_scores = _baseline_scores(explanation)
    except Refused as error:
        return Outcome({"about.json": encode({**about, "refused": " ".join(str(error).split())})})
    except Exception as error:
        # Whatever a method raises costs its own maps alone, and is reported there.
        fault = describe(error)
        return Outcome({"about.json": encode({**about, "fault": fault})}, fault, traceback.format_exc())
    arrays = {**_map_arrays(session, subject, explanation, second_maps), **baseline_scores}
    arrays = _over_positions(arrays, subject)
    if arrays is None:
        shapes = tf.nest.map_structure(np.shape, explanation.maps)
        words = f"Maps of tables and texts hold a number for every column or token. Received: maps of shape {shapes}, which are of a layer's units. Read them with lab.explain in Python."
        return Outcome({"about.json": encode({**about, "refused": words})})
    about |= {} if "kind" in about else {"columns": session.images.columns if "maps/1" in arrays else ()}
    about |= {name: getattr(explanation, name) for name in ("target", "layer", "head", "flags", "options")}
    about |= {"errors": explanation.error_words, "fits": _plain_fits(explanation)}
    about |= {"off_manifold": _off_manifold(session, explanation, arguments)}
    about |= {"conservation": _mean_relevance(explanation)}
    about |= {
        "classes": part_classes(subject, part),
        "correct": None if subject.correct is None else subject.correct.tolist(),
    }
    return Outcome({"maps.npz": pack(arrays), "about.json": encode(about)})


def _row_name(arguments):
    """The name of a row of maps: the method, and the part of a contrast."""
    part = arguments["part"]
    return arguments["method"] if part is None else f"{arguments['method']} ({PARTS[part]})"


def _map_arrays(session, subject, explanation, second_maps):
    arrays = {f"maps/{place}": leaf for place, leaf in enumerate(_leaves(session.network, explanation.maps))}
    arrays |= {f"again/{place}": leaf for place, leaf in enumerate(second_maps)}
    if explanation.errors is not None:
        leaves = _leaves(session.network, explanation.errors)
        arrays |= {f"errors/{place}": leaf for place, leaf in enumerate(leaves)}
    arrays |= {"scores": explanation.scores, "targets": subject.targets}
    return arrays if explanation.gap is None else {**arrays, "gap": explanation.gap}


def _baseline_scores(explanation):
    """The scores from which waterfalls of a table begin: dict, empty for other inputs."""
    inputs = tf.nest.flatten(explanation.inputs)
    is_table = len(inputs) == 1 and kind_of(inputs[0]) is TABLE
    return {"baseline_scores": explanation.baseline_scores} if is_table else {}


def _over_positions(arrays, subject):
    """Maps of tables and texts over their columns and tokens: dict, or None for maps of a layer's units.

    A class activation map over fewer places than a text has tokens is stretched to them, as over an image.
    """
    inputs = _leaves(subject.network, subject.inputs)
    kind = kind_of(inputs[0])
    if len(inputs) > 1 or kind not in (TABLE, TOKENS):
        return arrays
    names = [name for name in arrays if name.startswith(("maps/", "again/"))]
    if kind is TOKENS and all(arrays[name].ndim == 2 for name in names):
        arrays |= {name: resized(arrays[name], inputs[0].shape[1]) for name in names}
    return arrays if all(arrays[name].shape == inputs[0].shape for name in names) else None


def _plain_fits(explanation):
    """Which share of the score nearby a method's model explains: list of float, None where nothing is fitted; None for other methods."""
    fits = explanation.fits
    return None if fits is None else [float(fit) if np.isfinite(fit) else None for fit in fits]


def _mean_relevance(explanation):
    """The mean relevance at each layer that all of it goes through: list of (address, float); None for other methods."""
    sums = explanation.conservation
    return None if sums is None else [(address, float(values.mean())) for address, values in sums.items()]


def _off_manifold(session, explanation, arguments):
    """How well a method's perturbed rows are told from those of a table: dict, or None for what is no such method or data."""
    explainer, background = explanation.explainer, session.network.background
    asks_for_parts = needed_capability(explainer) == "scores" and explainers.tag(explainer, "resolution") == "parts"
    weighs_rows = explanation.options.get("baseline") == "conditional"
    if not asks_for_parts or weighs_rows or background is None or len(background) < FEWEST_ROWS:
        return None
    try:
        separation = off_manifold(
            session.network, method=explainer, **{"seed": arguments["seed"], **arguments["options"]}
        )
    except (Refused, MethodFault) as error:
        # Its maps are there all the same.
        return {
            "warned": False,
            "words": f"whether perturbed rows occur was not measured: {' '.join(str(error).split())}",
        }
    return {**asdict(separation), "warned": separation.is_warned_of, "words": str(separation)}


def _leaves(network, structure):
    """The arrays of maps or inputs as a list, the picture's first; of texts the tokens alone."""
    leaves = tf.nest.flatten(structure)
    place = network.main_place if len(leaves) > 1 else 0
    if network.text_inputs is not None:
        return [leaves[place]]
    return [leaves[place], *(leaf for number, leaf in enumerate(leaves) if number != place)]


def _explain(session, subject, arguments):
    options = {"seed": arguments["seed"], **arguments["options"]}
    explainer = session.method(arguments["method"])
    objective = part_objective(subject, arguments["part"])
    return explain(session.network, subject.inputs, objective, method=explainer, **options)


def _second_maps(session, subject, arguments):
    """The maps under the next seed, flattened; an empty list for a method without random draws."""
    network, explainer = session.network, session.method(arguments["method"])
    options = resolve_options(explainer, network, arguments["seed"], arguments["options"])
    if "seed" not in options:
        return []
    options["seed"] += 1
    objective = part_objective(subject, arguments["part"])
    return _leaves(network, attribute(explainer, network, subject.inputs, objective, **options))


def measure_agreement(job, inputs, _):
    """Measure how far the explanations of a run agree, and write tables of them.

    Measured is the rank agreement of every two methods with its null, and that of a method's maps under two seeds.
    A third table has the mean attribution by channel and class.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the maps.
        _: the session, not used.

    Returns:
        dict of file name to bytes.

    Raises:
        Refused: where every method was refused or failed.
    """
    outcomes = [load_outcome(inputs, key) for key in job.needs if inputs.exists(key)]
    records = [outcome for outcome in outcomes if outcome["arrays"]]
    if not records:
        raise Refused(f"Every method was refused or failed. Received: {first_problem(outcomes)}")
    seed = job.arguments["seed"]
    methods = _agreement_of_methods(records, seed)
    seeds = _agreement_of_seeds(records)
    views = [row for record in records for row in _views(record, seed)]
    return {
        "agreement.json": encode({**agreement_values(methods), "seeds": seeds, "views": views}),
        "maps.csv": table(map_rows(records, seeds)),
        "agreement.csv": table(agreement_rows(methods)),
        "overview.csv": table([("method", "class", "feature", "mean", "low", "high"), *views]),
        **_feature_tables(records),
    }


def _agreement_of_methods(records, seed):
    """`sanity.agreement.Agreement` of the methods with comparable maps, or None for fewer than two."""
    maps, kind = comparable_maps(records), record_kind(records[0])
    if len(maps) < 2:
        return None
    # What pads a text agrees in every method.
    kept = _without_padding(records[0]["about"]) if kind is TOKENS else None
    return agreement(maps, seed=seed, kind=kind, kept=kept)


def _without_padding(about):
    """Which positions of texts hold tokens: bool [texts, tokens]."""
    return np.array([[not token.is_padding for token in tokens_of(about, text)] for text in range(len(about["words"]))])


def record_kind(record):
    """The kind of the inputs that a record's maps are of: `lab.kinds.Kind`.

    Args:
        record: dict, as of `load_outcome`.
    """
    return KINDS[record["about"].get("kind", "image")]


def comparable_maps(records):
    """The maps over positions, of images those with rows and columns; of a contrast, not those of the single classes.

    Args:
        records: list of dict, as of `load_outcome`.

    Returns:
        dict of method to array.
    """
    maps = {
        record["about"]["method"]: record["arrays"]["maps/0"]
        for record in records
        if record["about"]["part"] in (None, "contrast")
    }
    ranks = RANKS[record_kind(records[0]).name] if records else ()
    return {method: values for method, values in maps.items() if values.ndim in ranks}


# The axes of maps that can be compared, by kind: with channels and without.
RANKS = {"image": (3, 4), "series": (2, 3), "table": (2,), "tokens": (2,), "volume": ()}


def _agreement_of_seeds(records):
    """Rank agreement of the maps under two seeds: dict of method to float, without methods that draw nothing."""
    return {
        record["about"]["method"]: between_seeds(record["arrays"]["maps/0"], record["arrays"]["again/0"])
        for record in records
        if "again/0" in record["arrays"]
    }


def agreement_values(methods):
    """The agreement of methods as plain values.

    Args:
        methods: `sanity.agreement.Agreement`, or None for fewer than two methods.

    Returns:
        dict.
    """
    if methods is None:
        return {"methods": [], "rank": [], "null": [], "side": None}
    return {"methods": methods.methods, "rank": methods.rank, "null": methods.null, "side": methods.side}


def first_problem(outcomes):
    """Why there are no maps: the refusal or the fault of the first method.

    Args:
        outcomes: list of dict, as of `load_outcome`.

    Returns:
        str.
    """
    about = outcomes[0]["about"] if outcomes else {"refused": "no method", "fault": None}
    return about["refused"] or about["fault"]


def load_outcome(inputs, key):
    """What a method left.

    Args:
        inputs: `recipes.inputs.Inputs`.
        key: str, of the job of its maps.

    Returns:
        dict of about, and of arrays, which are empty after a refusal or a fault, and without photographs.
    """
    about = inputs.values(key, "about.json")
    has_maps = about["names"] and not (about["refused"] or about["fault"])
    return {"about": about, "arrays": inputs.arrays(key, "maps.npz") if has_maps else {}}


def _views(record, seed):
    """Mean absolute attribution by channel, over all images and by class: list of (method, class, feature, mean, low, high)."""
    about = record["about"]
    names, values = feature_values(record["arrays"]["maps/0"], record_kind(record), about["columns"])
    if not np.isfinite(values).all():
        return []
    return [
        (about["method"], label or "all classes", name, span.mean, span.low, span.high)
        for label, spans in overview(values, about["classes"], seed=seed).items()
        for name, span in zip(names, spans)
    ]


def feature_values(maps, kind=IMAGE, columns=()):
    """Maps by what their means are taken of.

    Args:
        maps: [images, ...].
        kind: `lab.kinds.Kind` of the inputs.
        columns: names of a table's columns, or of a series' channels.

    Returns:
        list of names, and array [images, ..., names]: channels, the columns of a table, or one feature for maps without channels
        and for those of a layer, whose channels are too many to list.
    """
    if kind is TABLE or (kind is SERIES and maps.ndim == 3 and maps.shape[-1] <= SHOWN_CHANNELS):
        return list(columns) or _channel_names(maps.shape[-1]), maps
    if kind is not IMAGE:
        return ["all"], np.abs(maps.reshape(len(maps), -1))[..., None]
    if maps.ndim == 4 and maps.shape[-1] <= 4:
        return _channel_names(maps.shape[-1]), maps
    return ["all"], np.abs(pooled(maps, "l2"))[..., None]


# Channels of a series that are listed.
SHOWN_CHANNELS = 12


def _channel_names(count):
    return ["red", "green", "blue"] if count == 3 else [f"channel {number}" for number in range(count)]


def map_rows(records, seeds):
    """The numbers of every map, as rows of a table.

    Args:
        records: list of dict, as of `load_outcome`.
        seeds: dict of method to the agreement of its maps under two seeds.

    Returns:
        iterator of tuple, the first one with the names of the columns.
    """
    yield (
        _first_column(records),
        "class",
        "score",
        "method",
        "layer",
        "sum",
        "lowest",
        "highest",
        "gap",
        "flags",
        "seed_agreement",
    )
    for record in records:
        about, arrays = record["about"], record["arrays"]
        layer = about["layer"] if isinstance(about["layer"], str) else " ".join(about["layer"] or [])
        agreement_of_seeds = f"{seeds[about['method']]:.4f}" if about["method"] in seeds else ""
        for place, name in enumerate(about["names"]):
            values = arrays["maps/0"][place].astype("float64")
            score = f"{arrays['scores'][place]:.6g}"
            numbers = [f"{number:.6g}" for number in (values.sum(), values.min(), values.max())]
            gap = f"{arrays['gap'][place]:.6g}" if "gap" in arrays else ""
            flags = "; ".join(about["flags"][place])
            row = (name, about["classes"][place], score, about["method"], layer)
            yield (*row, *numbers, gap, flags, agreement_of_seeds)


def _first_column(records):
    """The header of the names: "image" for photographs, else "name"."""
    return "image" if all(record_kind(record) is IMAGE for record in records) else "name"


def _feature_tables(records):
    """The attribution of single features as tables: of columns, beside images too; and of tokens. dict of file name to bytes."""
    if record_kind(records[0]) is TOKENS:
        return {"tokens.csv": table(_token_rows(records))}
    return {"columns.csv": table(_column_rows(records))}


def _column_rows(records):
    """The attribution of every column, by each method; of a table, or of one beside images."""
    yield (_first_column(records), "method", "column", "attribution", "standard_error")
    for record in records:
        about, place = record["about"], 0 if record_kind(record) is TABLE else 1
        for name, row, errors in _with_errors(record, place):
            for column, value, error in zip(about["columns"], row, errors):
                yield (name, about["method"], column, f"{value:.6g}", error)


def _with_errors(record, place):
    """The rows of a map with their names and standard errors: iterator of (name, numbers, str for each number)."""
    maps, errors = (record["arrays"].get(f"{name}/{place}") for name in ("maps", "errors"))
    for row, name in enumerate(record["about"]["names"] if maps is not None else ()):
        unknown = [""] * len(maps[row])
        yield name, maps[row], unknown if errors is None else [f"{error:.2g}" for error in errors[row]]


def _token_rows(records):
    """The attribution of every token, by each method, without what pads a text."""
    yield ("name", "method", "place", "token", "attribution", "standard_error", "word", "special")
    for record in records:
        about = record["about"]
        for text, (name, row, errors) in enumerate(_with_errors(record, 0)):
            for place, (token, value, error) in enumerate(zip(tokens_of(about, text), row, errors)):
                if not token.is_padding:
                    word = "" if token.word is None else token.word
                    numbers = (f"{value:.6g}", error, word, "yes" if token.is_special else "")
                    yield (name, about["method"], place, token.text, *numbers)


def agreement_rows(methods):
    """Every two methods with their agreement, as rows of a table; methods: `sanity.agreement.Agreement` or None."""
    yield ("method", "other", "rank_correlation", "turned_95")
    for first, name in enumerate(methods.methods if methods else []):
        for second in range(first):
            numbers = f"{methods.rank[first, second]:.4f}", f"{methods.null[first, second]:.4f}"
            yield (name, methods.methods[second], *numbers)


def table(rows):
    """Rows as the bytes of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
