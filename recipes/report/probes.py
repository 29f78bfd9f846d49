"""Probes on the page: for each label a curve over layers, the verdict of each layer, and the units that tell it."""

import numpy as np

from recipes.report.figures import LINES, draw_curves

# Lines of the figure of accuracy and of that of selectivity, by the names of what was compared.
ACCURACY = {"probe": "probe", "control": "control task", "random": "untrained, the best", "inputs": "inputs alone"}
DIFFERENCES = {
    "selectivity": "above the control task",
    "lead over random": "above untrained networks",
    "lead over inputs": "above the inputs",
}
# Units that are listed for each label.
LISTED = 12


def collect_probes(rows, store, messages, summary):
    """What the page shows of probes.

    Args:
        rows: list of dict, as of `recipes.sections.probe.load_rows`.
        store: `Store` of the run.
        messages: list of str, what was left out or joined.
        summary: list of str, what was found.

    Returns:
        dict of label sets, messages and sentences of the summary; None without verdicts.
    """
    if not rows:
        return None
    about = store.values("probe/dissection", "dissection.json") if store.exists("probe/dissection") else None
    labels = list(dict.fromkeys(row["label"] for row in rows))
    sentences = [f"{line[:1].upper()}{line[1:]}." for line in summary]
    return {
        "labels": [_show_label(label, [row for row in rows if row["label"] == label], about) for label in labels],
        "notes": messages,
        "cannot": rows[0]["cannot"],
        "asks_use": any(row["use"] for row in rows),
        "sentences": {
            "What was looked at": sentences[:1],
            "What can be said": sentences[1:],
            "What cannot be said": ["A label that is encoded is not used for that reason."],
        },
    }


def _show_label(label, rows, about):
    measured = [row for row in rows if row["numbers"]]
    units = [] if about is None else [row for row in about["units"] if row["label"] == label]
    return {
        "name": label,
        "classes": rows[0]["classes"],
        "rows": [{**row, "calibration_words": _calibration_words(row)} for row in rows],
        "plots": _plots(measured) if measured else [],
        "units": units[:LISTED],
        "more": max(0, len(units) - LISTED),
        "dissected": about is not None,
        "best": _best(measured),
    }


def _best(rows):
    """The layer whose probe is the best: dict, or None where nothing was measured."""
    return max(rows, key=lambda row: row["numbers"]["probe"]["mean"], default=None)


def _plots(rows):
    """Figures over layers as (heading, SVG, legend), and the learning curve and reliability of the best layer."""
    ends = (rows[0]["layer"], rows[-1]["layer"])
    figures = [
        ("Accuracy", _numbers_over_layers(rows, ACCURACY), "balanced accuracy"),
        ("Selectivity and leads", _numbers_over_layers(rows, DIFFERENCES), "difference of balanced accuracy"),
        ("Length of the code", _codes(rows), "bits of the labels, as a share of a code that knows nothing"),
    ]
    layers = [row["layer"] for row in rows]
    drawn = [
        (heading, draw_curves(lines, layers, axes=("layers", axis, *ends)), _legend(lines))
        for heading, lines, axis in figures
    ]
    return [*drawn, *_plots_of_best(_best(rows))]


def _numbers_over_layers(rows, names):
    places = _spread(len(rows))
    return {
        words: (places, *(np.array([row["numbers"][name][bound] for row in rows]) for bound in ("mean", "low", "high")))
        for name, words in names.items()
    }


def _codes(rows):
    places, lines = _spread(len(rows)), {}
    for name, words in (("code", "trained"), ("code/random", "untrained")):
        shares = np.array([_code_share(row, name) for row in rows])
        lines[words] = (places, shares, shares, shares)
    return lines


def _code_share(row, name):
    """Bits of the code of the labels, as a share of those of a uniform one: float."""
    _, counts, bits, _ = np.array(row[name]).T
    return bits.sum() / (counts.sum() * np.log2(len(row["classes"])))


def _plots_of_best(row):
    """The learning curve and the reliability of one layer."""
    fitted, _, _, accuracy = np.array(row["code"]).T
    trained, _, _, random = np.array(row["code/random"]).T
    learning = {
        "trained": (fitted / fitted.max(), accuracy, accuracy, accuracy),
        "untrained": (trained / trained.max(), random, random, random),
    }
    confidence, share, _, low, high = np.array(row["reliability"]).T
    reliable = {"accuracy": (confidence, share, share, share), "expected": (confidence, confidence, low, high)}
    counts = [f"fitted to {int(count)} rows" for count in fitted]
    certain = [f"confidence {value:.2f}" for value in confidence]
    axes = ("rows that the probe was fitted to", "accuracy on those that follow", "0", str(int(fitted.max())))
    return [
        (f"Learning curve in {row['layer']}", draw_curves(learning, counts, axes=axes), _legend(learning)),
        (
            f"Reliability in {row['layer']}",
            draw_curves(reliable, certain, axes=("confidence of the probe", "share that is right", "0", "1")),
            _legend(reliable),
        ),
    ]


def _spread(count):
    return np.linspace(0, 1, count) if count > 1 else np.array([0.5])


def _legend(lines):
    return list(zip(LINES, lines))


def _calibration_words(row):
    error, _, expected = row["calibration"]
    return f"{error:.3f} (up to {expected:.3f} by chance)"
