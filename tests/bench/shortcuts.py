"""Shortcuts: false alarms of views over null data, and power for planted shortcuts: python -m tests.bench.shortcuts

Null: rows with random labels; rows of days that have views and labels of their own; copies in groups; patients with a lesion of
each class, photographed four times; pictures of noise with random labels. Days, copies and patients are tried without groups
too, where a test has to alarm. Planted: `tests.shortcut_pictures`.
"""

import pathlib
import sys
import tempfile

import numpy as np

from lab.data import folder
from sanity.checks import shortcut_labels
from sanity.checks.shortcut_labels import CANDIDATE, UNCERTAIN
from sanity.shortcuts import separability, views
from sanity.shortcuts.copies import join_copies
from sanity.shortcuts.picture import measure_views, open_pictures
from sanity.verdict import judge
from tests.bench.shares import print_head, print_row, share
from tests.shortcut_pictures import save_pictures

WIDTHS = (1, 3, 12, 60, 1, 3, 12, 60)
PERMUTATIONS = 199


def rows(rng, count):
    """Random labels of single rows."""
    return np.arange(count), rng.integers(0, 2, count), 0.0, 1.0


def days(rng, count):
    """20 days, each with a share of labels and features of its own."""
    groups = rng.integers(0, 20, count)
    return groups, (rng.random(count) < rng.beta(0.7, 0.7, 20)[groups]).astype(int), 0.7, 1.0


def copies(rng, count):
    """Groups of one to five copies with one label each."""
    sizes = rng.integers(1, 6, count // 3)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return groups, rng.integers(0, 2, len(sizes))[groups], 1.0, 0.1


def patients(rng, count):
    """Patients with a lesion of each class, and four alike photographs of each lesion."""
    lesions = np.repeat(np.arange(count // 4), 4)
    return lesions // 2, lesions % 2, 1.0, 0.1, lesions


def draw(world, seed, count=100):
    """Eight views without a relation to the labels, labels and groups."""
    rng = np.random.default_rng(seed)
    groups, labels, between, within, *alike = world(rng, count)
    alike = alike[0] if alike else groups
    features = {
        f"view {place}": between * rng.standard_normal((alike.max() + 1, width))[alike]
        + within * rng.standard_normal((len(groups), width))
        for place, width in enumerate(WIDTHS)
    }
    return features, labels, groups


def smallest_p(features, labels, groups, seed):
    """The smallest adjusted p of a run."""
    measured, _, _ = separability.measure(features, labels, groups, seed=seed, permutations=PERMUTATIONS)
    return min(view.p for view in measured)


def print_share(name, hits, runs):
    """Print a row: how many of the runs are hits, with a Wilson interval."""
    print_row(name, share(np.arange(runs) < hits))


def null_rows(runs):
    """False alarms over null tables, with groups and without."""
    for world in (rows, days, copies, patients):
        data = [draw(world, seed) for seed in range(runs)]
        alarms = sum(smallest_p(*run, seed) <= separability.ALPHA for seed, run in enumerate(data))
        print_share(f"{world.__name__}, groups", alarms, runs)
        if world is not rows:
            alone = data[: runs // 4]
            naive = sum(
                smallest_p(x, y, np.arange(len(y)), seed) <= separability.ALPHA for seed, (x, y, _) in enumerate(alone)
            )
            print_share(f"{world.__name__}, rows alone", naive, len(alone))


def judge_pictures(kind, seed, count):
    """Findings of all views on pictures with a planted shortcut: dict of view to finding."""
    with tempfile.TemporaryDirectory() as place:
        data = folder(save_pictures(pathlib.Path(place), kind, count=count, seed=seed))
        functions = {name: views.get(name) for name in views}
        features, thumbnails = measure_views(open_pictures(data), functions)
        labels, groups = list(data.labels), join_copies(thumbnails, data.groups)
    matrices = {name: values for name, (values, _) in features.items()}
    measured, sizes, _ = separability.measure(matrices, labels, groups, seed=seed, permutations=PERMUTATIONS)
    return {row.method: row.finding for row in judge(shortcut_labels.label_evidence(measured, sizes))[:-1]}


def pictures(runs, count=24):
    """Candidates among pictures of noise, and among those with a shortcut."""
    for kind, view in (
        ("none", None),
        ("ruler", "corners"),
        ("jpeg", "compression"),
        ("brightness", "mean_colour"),
        ("camera", "resolution"),
    ):
        tries = runs if view is None else max(10, runs // 5)
        findings = [judge_pictures(kind, seed, count) for seed in range(tries)]
        flagged = [{name for name, finding in row.items() if finding in (CANDIDATE, UNCERTAIN)} for row in findings]
        hits = sum(bool(names) if view is None else view in names for names in flagged)
        print_share(f"pictures, {kind}" + (f": {view}" if view else ": any view"), hits, tries)


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    # Controls of a run are no part of what is counted here, and take most of its time.
    separability.NOISE_VIEWS, separability.STRENGTHS = 0, (0.9,)
    print_head("world", "share (95%) of runs")
    null_rows(runs)
    pictures(runs)
