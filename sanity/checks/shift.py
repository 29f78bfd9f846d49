"""Shift: do current inputs, features and predictions differ from those of the reference, by more than the margin?

Four eyes share the same exchanges of units between the sets: Kolmogorov-Smirnov by column, the energy distance (Székely, Rizzo
2013), a classifier (Lopez-Paz, Oquab 2017, https://arxiv.org/abs/1610.06545), and squares and products of columns. Of pictures
patches are a fifth eye of inputs, without which a mark in a corner is seen by none. That families
of inputs, features and predictions see different shifts is the finding of Rabanser et al. 2019
(https://arxiv.org/abs/1810.11953).
"""

from dataclasses import replace

import numpy as np
from scipy import stats

from sanity.audit.copies import SIZES, TRIES, read_copies
from sanity.audit.drift import (
    block_margins,
    column_gaps,
    deal_blocks,
    drift_size,
    look_at_windows,
    planted_statistics,
    window_counts,
)
from sanity.audit.encoding import CONSTANT, encode_features, encode_inputs, encode_predictions, new_levels
from sanity.audit.eyes import CLASSIFIER_ROWS, ENERGY_ROWS, EYES, Eyes, subset_rows
from sanity.audit.gates import trained_gates, units_gate
from sanity.audit.margin import (
    BEYOND,
    NONE,
    TOO_FEW,
    UNCERTAIN,
    WITHIN,
    compare_with_margin,
    margin_evidence,
    margin_words,
    register_margin_rule,
)
from sanity.audit.patches import PatchGaps, compare_patches, differing, patch_rows, patch_words, planted_marks
from sanity.audit.permutation import level_rows, min_p
from sanity.audit.rows import joined_units
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About
from sanity.seeds import derive_seed
from sanity.statistics import Interval
from sanity.threads import in_threads

NOUN = "SHIFT"
# Area under the curve less a half, and distance of a column; the second shifts by about .13 deviations.
DELTA, COLUMN_DELTA = 0.05, 0.05
# Fewest rows of a set, and the most that are looked at, drawn by unit; exchanges of the copies, and columns that are listed.
ROWS, MOST_ROWS, DRAWS_OF_COPIES, LISTED = 30, 100_000, 199, 30
# How the samples of a difference picture begin, and what is said of windows, and of columns.
PICTURE, WINDOWS, LEFT_OUT = "picture ", "Windows of time", "Columns left out"
FAMILIES = {"inputs": encode_inputs, "features": encode_features, "predictions": encode_predictions}


@checks.register(claim="data", question="shift", families=3, patches=True)
def shift(subject, *, seed, draws=999, tries=TRIES):
    """Do current inputs, features and predictions differ from those that the network was tested on?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, exchanges of units between the sets.
        tries: int, null copies, and planted ones of each size.

    Returns:
        list of `Evidence`: of inputs, of features and of predictions, where there are any.
    """
    gates = comparison_gates(subject, ROWS)
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("shift", "inputs", subject.title, subject.sizes, {}, gates)]

    looked = _draw_rows(subject, derive_seed(seed, "looked"))
    if min(len(looked.test), len(looked.current)) < ROWS:
        words = f"{_counts(looked)} where units of both sets give about as many; {ROWS} are needed of each"
        gates = (*gates, Gate("units are of about one size", "failed", words))
        return [Evidence("shift", "inputs", subject.title, subject.sizes, {}, gates)]

    def measure(name):
        encoded = FAMILIES[name](looked.test, looked.current)
        if encoded is None:
            return None
        return _measure(looked, name, encoded, gates, derive_seed(seed, name), draws, tries)

    rows = [evidence for evidence in in_threads(measure, FAMILIES) if evidence is not None]
    is_seen = any(row.samples and row.samples["p"][0] <= subject.alpha for row in rows)
    rows = [_with_patches(row, subject.alpha) if is_seen else _without_patches(row) for row in rows]
    return [_with_whole(row, subject, looked) for row in rows]


def _draw_rows(subject, seed):
    """The subject with units of about one size in both sets, and so many rows of each set at most: `AuditSubject`."""
    test, current = subject.test, subject.current
    units = joined_units(test, current)
    is_current = np.arange(len(units)) >= len(test)
    kept = level_rows(units, is_current, seed=derive_seed(seed, "level"))
    kept[kept] = subset_rows(units[kept], is_current[kept], MOST_ROWS, seed=seed)
    if kept.all():
        return subject
    return replace(subject, test=test.take(kept[: len(test)]), current=current.take(kept[len(test) :]))


def _with_whole(evidence, subject, looked):
    """Evidence with what is said of all rows: new levels, and how many rows were not looked at."""
    settings = evidence.settings
    if not settings:
        return evidence
    tables, also = settings["tables"], settings["also"]
    if evidence.method == "inputs":
        shares = new_levels(subject.test, subject.current)
        levels = [{"name": key, "share": share} for key, share in shares.items()]
        tables = {**tables, **({"Levels that the reference lacks": levels} if levels else {})}
    if looked is not subject:
        tables = _of_drawn(tables, subject, looked)
        also = (*also, ("rows looked at", f"{_counts(looked)}, of {_counts(subject)}, drawn by unit"))
    return replace(evidence, settings={**settings, "tables": tables, "also": also})


def _of_drawn(tables, subject, looked):
    """Tables of drawn rows, that say what is true of all rows and what of these: dict."""
    tables = dict(tables)
    if WINDOWS in tables:
        counts = window_counts(looked.current, subject.current)
        tables[WINDOWS] = [_of_all(row, int(count)) for row, count in zip(tables[WINDOWS], counts)]
    if LEFT_OUT in tables:
        whys = {CONSTANT: f"{CONSTANT} in the rows that were looked at"}
        tables[LEFT_OUT] = [{**row, "why": whys.get(row["why"], row["why"])} for row in tables[LEFT_OUT]]
    return tables


def _of_all(row, count):
    """A listed window with how many of all rows lie in it."""
    looked = {"rows": count, "rows looked at": row.get("rows looked at", row["rows"])}
    return {"start": row["start"], **looked, **{name: row[name] for name in ("p", "distance", "column")}}


def _counts(subject):
    return f"{len(subject.test):,} reference rows and {len(subject.current):,} current ones"


def _patch_samples(eyes, sight, alpha):
    """How far patches of current pictures differ: dict of array, empty where there are none."""
    if eyes.patches is None:
        return {}
    return {f"{PICTURE}{name}": np.asarray(value) for name, value in vars(compare_patches(eyes, sight, alpha)).items()}


def patch_gaps(evidence):
    """How far patches of current pictures differ.

    Args:
        evidence: `Evidence` of this check.

    Returns:
        `sanity.audit.patches.PatchGaps`, or None where nothing differs, and for other data than pictures.
    """
    return _gaps_of(evidence.samples)


def _gaps_of(samples):
    samples = {name.removeprefix(PICTURE): value for name, value in samples.items() if name.startswith(PICTURE)}
    return PatchGaps(**{**samples, "threshold": float(samples["threshold"])}) if samples else None


def _with_patches(evidence, alpha):
    """Evidence that says where in the picture current ones differ."""
    gaps = patch_gaps(evidence)
    if gaps is None:
        return evidence
    settings, rows = evidence.settings, patch_rows(gaps, alpha)
    tables = {**settings["tables"], **({"Patches of the picture that differ": rows} if rows else {})}
    also = (*settings["also"], ("patches of the picture", patch_words(gaps, alpha)))
    return replace(evidence, settings={**settings, "tables": tables, "also": also})


def _without_patches(evidence):
    """Evidence without a difference picture, whose brightest place says nothing where no shift was seen."""
    samples = {name: value for name, value in evidence.samples.items() if not name.startswith(PICTURE)}
    return replace(evidence, samples=samples)


def comparison_gates(subject, fewest):
    """Whether there are current rows, enough of them, and no copies of the reference among them.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        fewest: int, rows of each set.

    Returns:
        tuple of `Gate`.
    """
    if subject.current is None:
        return (Gate("current data are there", "not applicable", "give rows of a later time with --current"),)
    counts = len(subject.test), len(subject.current)
    words = _counts(subject)
    if min(counts) < fewest:
        return (Gate("both sets are large enough", "failed", f"{words}; {fewest} are needed of each"),)
    enough = Gate("both sets are large enough", "passed", words)
    are_named = subject.sheet.one("unit") is not None
    return enough, units_gate(subject.test, subject.current, are_named=are_named), *trained_gates(subject)


def _measure(subject, name, encoded, gates, seed, draws, tries):
    if not encoded.names:
        gate = Gate("columns to compare", "failed", "all columns are constant or left out")
        return Evidence("shift", name, subject.title, subject.sizes, {}, (*gates, gate))
    # The reference and the eyes on it are gone before there are others, which take as much memory.
    null, margins = _look_at_reference(subject, encoded, min(draws, DRAWS_OF_COPIES), tries, seed)
    eyes = Eyes(encoded, seed=derive_seed(seed, "eyes"))
    sight, tried, marks = _look(subject, eyes, null, seed, draws, tries)
    effect, linear = drift_size(eyes, 1 - subject.alpha)
    delta = max(DELTA, margins[0]) if margins else DELTA
    p = min_p(sight.statistics)
    tables, names = _tables(subject, eyes, sight, _column_margins(margins, encoded), draws, seed)
    tables["Eyes"] = [{"name": eye, "p": float(value)} for eye, value in zip(EYES, p)]
    samples = _patch_samples(eyes, sight, subject.alpha)
    names = names or _marked(samples, subject.alpha)
    units = min(len(np.unique(encoded.units[side])) for side in (encoded.is_current, ~encoded.is_current))
    return margin_evidence(
        "shift",
        name,
        subject,
        p=float(p.min()),
        effect=effect,
        tries=tried,
        delta=delta,
        why=_clauses(name, names, eyes, delta, margins, tried),
        units=units,
        samples=samples,
        gates=(*gates, _order_gate(tried)),
        settings={"seed": seed, "draws": draws, "tries": tries, "left_out": encoded.left_out},
        needed=_rows_needed(len(encoded.names), encoded.is_current),
        also=(("linear classifier", str(linear)), *marks, *_drawn(eyes)),
        tables=tables,
        linear=[linear.mean, linear.low, linear.high],
    )


def _marked(samples, alpha):
    """Where patches differ that no column shows, in words: list of str, of one or none."""
    gaps = _gaps_of(samples)
    return [f"patches: {patch_words(gaps, alpha)}"] if gaps is not None and differing(gaps, alpha).any() else []


def _look(subject, eyes, null, seed, draws, tries):
    """What the eyes see of the data and of planted copies, beside alarms on null ones: (sight, `Tries`, what is said of marks)."""
    sides, columns, amounts = _planted_sides(eyes, tries, seed)
    sight = eyes.look(draws, copies=sides)
    planted = planted_statistics(eyes, sight, sides, columns, amounts, seed=seed)
    alarms = np.concatenate([null, _alarms(planted, sight.statistics[1:], subject.alpha)])
    return sight, read_copies(alarms, tries), _mark_words(subject, eyes, sight, sides, amounts, seed)


def _mark_words(subject, eyes, sight, sides, amounts, seed):
    """How many marks of pictures would have been found, of each size: tuple of (name, words), empty where there are no patches."""
    if eyes.patches is None:
        return ()
    marked = planted_marks(eyes, sight, sides, amounts, seed=derive_seed(seed, "marks"))
    counts = _alarms(marked, sight.statistics[1:], subject.alpha).reshape(len(SIZES), -1).sum(axis=1)
    of_size = [f"{size:.2g} deviations in {count}" for size, count in zip(np.unique(amounts), counts)]
    tries = len(amounts) // len(SIZES)
    return (("one patch in one colour, moved", f"would have been found at {', '.join(of_size)} of {tries} tries"),)


def _planted_sides(eyes, tries, seed):
    """Sides dealt at random for each size and try, the column that moves in each, and by how many deviations."""
    count = tries * len(SIZES)
    sides = np.concatenate(list(eyes.draw(count, "planted")))
    columns = np.random.default_rng(derive_seed(seed, "columns")).integers(len(eyes.steps), size=count)
    # A classifier of one normal column has this area under its curve.
    amounts = np.sqrt(2) * stats.norm.ppf(0.5 + DELTA * np.repeat(SIZES, tries))
    return sides, columns, amounts


def _look_at_reference(subject, encoded, draws, tries, seed):
    """Alarms on blocks of neighbouring units of the reference, and how far its blocks of time differ: as a whole, and by column."""
    reference = encoded.take(~encoded.is_current)
    if not reference.names:
        return np.zeros(tries, bool), None
    share = min(subject.current.unit_count / (subject.current.unit_count + subject.test.unit_count), 0.5)
    dealt = deal_blocks(reference.units, subject.test.times, share, seed=derive_seed(seed, "blocks"), count=tries)
    eyes = Eyes(reference.with_sides(dealt[0]), seed=derive_seed(seed, "reference"), by_side=False)
    sight = eyes.look(draws, copies=dealt)
    margins = block_margins(eyes, subject.test.times)
    by_name = margins and (margins[0], dict(zip(reference.names, margins[1])))
    return _alarms(sight.copies, sight.statistics[1:], subject.alpha), by_name


def _alarms(copies, exchanged, alpha):
    """Whether the eyes alarm on each copy among exchanges that all share: bool [copies]."""
    return np.array([min_p(np.concatenate([copy[None], exchanged])).min() <= alpha for copy in copies], bool)


def _order_gate(tried):
    """What a user may do where blocks of the reference differ from each other."""
    name = "neighbouring rows are no more alike than others"
    words = 'name units with roles = ["unit"], or shuffle a reference that was sorted'
    failed = tried.gate.status == "failed"
    return Gate(name, "failed", f"{tried.gate.words}; {words}") if failed else Gate(name, "passed", tried.gate.words)


def _column_margins(margins, encoded):
    """The margin of the distance of each column: float64 [columns]."""
    by_name = margins[1] if margins else {}
    return np.array([max(COLUMN_DELTA, by_name.get(name, 0.0)) for name in encoded.names])


def _tables(subject, eyes, sight, margins, draws, seed):
    """What the page shows, and the columns or pairs that stand out: dict, list of str."""
    columns, standing_out = _column_rows(eyes, sight, margins, subject.alpha)
    pairs = _pair_rows(eyes, sight, subject.alpha)
    tables = {"Columns that differ most": columns[:LISTED]}
    if pairs:
        tables["Squares and products of columns"] = pairs[:LISTED]
    windows = look_at_windows(eyes, subject.current.times, draws, seed=seed)
    if windows is not None:
        tables[WINDOWS] = _window_rows(windows)
    if eyes.encoded.left_out:
        tables[LEFT_OUT] = [{"name": key, "why": why} for key, why in eyes.encoded.left_out.items()]
    return tables, standing_out or [row["name"] for row in pairs]


def _window_rows(windows):
    """Each window as it is listed, with the rows that were looked at where these are not all: list of dict."""
    is_drawn = (windows.looked < windows.rows).any()
    return [
        {
            "start": float(start),
            "rows": int(rows),
            **({"rows looked at": int(looked)} if is_drawn else {}),
            "p": float(p),
            "distance": float(distance),
            "column": column,
        }
        for start, rows, looked, p, distance, column in zip(*vars(windows).values())
    ]


def _column_rows(eyes, sight, margins, alpha):
    """Each column with its distance, the largest first: list of dict; and the names of those that stand out."""
    gaps = column_gaps(eyes, 1 - alpha)
    largest = sight.distances.max(axis=1)
    p = (largest[None] >= sight.distances[0][:, None] - 1e-9).mean(axis=1)
    rows = []
    for place in np.argsort(-sight.distances[0], kind="stable"):
        interval = Interval(*(float(part[place]) for part in (gaps.distance, gaps.low, gaps.high)))
        rows.append(
            {
                "name": eyes.encoded.names[place],
                "distance": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "margin": float(margins[place]),
                "difference in deviations": float(gaps.shift[place]),
                "p": float(p[place]),
                "finding": compare_with_margin(p[place], interval, margins[place], alpha),
            }
        )
    return rows, [row["name"] for row in rows if row["p"] <= alpha]


def _pair_rows(eyes, sight, alpha):
    """Squares and products that stand out: list of dict."""
    rows, names = [], eyes.encoded.names
    for place in np.argsort(-sight.products, kind="stable")[:LISTED]:
        p = float((sight.statistics[:, 3] >= sight.products[place] - 1e-9).mean())
        first, second = eyes.pairs[place]
        name = f"spread of {names[first]}" if first == second else f"{names[first]} with {names[second]}"
        rows += [{"name": name, "p": p}] if p <= alpha else []
    return rows


def _drawn(eyes):
    """How many rows the eyes that are slow for many looked at, where these are not all."""
    counts = (
        ("energy distance", eyes.energy_rows, ENERGY_ROWS),
        ("classifiers", eyes.classifier_rows, CLASSIFIER_ROWS),
    )
    return [
        (f"rows of the {name}", f"{int(rows.sum()):,}, drawn by unit, at most {limit:,} of each set")
        for name, rows, limit in counts
        if not rows.all()
    ]


def _rows_needed(columns, is_current):
    """About how many rows in two equal sets show a shift of the margin in one column; None where there are as many."""
    distance = stats.norm.isf(0.025 / columns) + stats.norm.isf(0.2)
    # The Kolmogorov-Smirnov distance needs half as many again as a difference of means.
    needed = int(np.ceil(1.5 * 4 * (distance / (np.sqrt(2) * stats.norm.ppf(0.5 + DELTA))) ** 2))
    equal = 4 / (1 / is_current.sum() + 1 / (~is_current).sum())
    return needed if needed > equal else None


def _clauses(family, names, eyes, delta, margins, tried):
    """The clause of each finding: dict."""
    listed = "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    where = f"differences are found in {listed}" if names else "no single column stands out"
    present = f"current {family} differ from the reference: {where}"
    size = f"{delta:.2g} in area under the curve"
    above = "what one block of time in ten shows" if margins and delta > DELTA else "the margin"
    silent = f"{'four' if eyes.patches is None else 'five'} eyes see no difference of {family} in {_looked_at(eyes)}"
    planted = tried.words(f"{'one of them' if eyes.patches is None else 'a column'} moved by .18 deviations")
    return {
        BEYOND: f"{present}; by more than {above} of {size}",
        UNCERTAIN: f"{present}; whether by more than {size} is open",
        WITHIN: f"{present}; by less than {above} of {size}",
        NONE: f"{silent}; {planted}",
        TOO_FEW: f"{silent}, and {size} is not ruled out; {planted}",
    }


def _looked_at(eyes):
    """How many columns and patches are compared, in words: str."""
    count = len(eyes.steps)
    columns = "one column" if count == 1 else f"{count} columns"
    return columns if eyes.patches is None else f"{columns} and {eyes.patches.shape[1]} patches and colours"


register_margin_rule(
    "shift",
    NOUN,
    About(
        "Data are as they were",
        "current against reference",
        margin_words(NOUN),
        number="area under the curve less a half",
        similarity="area under the curve of the best of two ridge classifiers, of three for pictures, that tell current rows from the reference, on rows that they were not fitted to, less a half; bounds hold for all",
        sampled=False,
        better="lower",
        counted={"rows": "reference rows", "current": "current rows", "units": "units on the smaller side"},
        cannot="Cannot conclude: that errors rose or did not rise, why the data differ, or that labels still mean the same.",
    ),
)
