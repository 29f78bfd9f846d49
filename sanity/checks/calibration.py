"""Calibration: does what the network gives a probability of p happen in a share p, within the margin?

Labels drawn from the network's own probabilities say how large an error is on a sample where there is none (Bröcker, Smith 2007,
https://doi.org/10.1175/WAF993.1). Its size is freed from what sampling adds (Kumar et al. 2019, https://arxiv.org/abs/1909.10155).
"""

import functools
from dataclasses import dataclass

import numpy as np

from sanity.audit.calibration import (
    TOP,
    LabelSampler,
    compare_with_draws,
    list_levels,
    list_views,
    root_interval,
    rows_needed,
    tempered_samplers,
    view_bins,
)
from sanity.audit.copies import TRIES, list_copies, read_copies
from sanity.audit.gates import answers_gate, trained_gates, units_gate
from sanity.audit.margin import (
    BEYOND,
    NONE,
    TOO_FEW,
    UNCERTAIN,
    WITHIN,
    margin_evidence,
    margin_words,
    register_margin_rule,
)
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About
from sanity.seeds import derive_seed
from sanity.statistics import Interval

ALL = "probabilities"
# Root of the squared error of calibration; labelled rows that are needed; views that are drawn.
DELTA, FEWEST, DRAWN = 0.05, 60, 4


@checks.register(claim="data", question="failures")
def calibration(subject, *, seed, draws=999, tries=TRIES):
    """Does what the network gives a probability of p happen in a share p?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, draws of labels from the network's own probabilities.
        tries: int, null copies, and planted ones of each size.

    Returns:
        list of one `Evidence`, with the error of the top label, of every class and of every group in its settings.
    """
    rows = subject.test.take(subject.test.labelled)
    gates = _gates(rows)
    if gates[0].status == "passed":
        gates += trained_gates(subject)
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("calibration", ALL, subject.title, subject.sizes, {}, gates)]
    views, (levels, neighbours) = list_views(rows), list_levels(rows, seed=derive_seed(seed, "likeness"))
    sampler = LabelSampler(rows.probabilities, levels)
    test = compare_with_draws(views, rows, sampler, draws=draws, seed=derive_seed(seed, "drawn"))
    tested = _Tested(rows, views, test, _names(views, subject.classes), subject.alpha)
    tried = _tries(tested, levels, neighbours, seed, tries)
    return [
        margin_evidence(
            "calibration",
            ALL,
            subject,
            p=float(test.p.min()),
            effect=tested.effect,
            tries=tried,
            delta=DELTA,
            why=_clauses(tested, tried),
            units=rows.unit_count,
            gates=gates,
            samples=tested.diagrams,
            settings={"seed": seed, "draws": draws, "tries": tries, "likeness": [share for _, share in neighbours]},
            needed=tested.needed,
            diagrams=[tested.names[place] for place in tested.drawn],
            tables={"Calibration": tested.table(), "Too few rows": [{"name": name} for name in tested.left_out]},
        )
    ]


def _gates(rows):
    if rows.is_regression:
        words = "calibration is about probabilities of classes, and this network gives a number"
        return (Gate("the network gives probabilities", "not applicable", words),)
    words = f"{len(rows)} labelled rows; {FEWEST} are needed"
    enough = Gate("rows are labelled", "passed" if len(rows) >= FEWEST else "failed", words)
    return (enough, answers_gate(rows), units_gate(rows))


def _names(views, classes):
    """Names of the views, classes by their own: function of str."""
    known = {f"class {place}": str(name) for place, name in enumerate(classes)}
    return lambda name: known.get(name, name)


@dataclass(frozen=True)
class _Tested:
    """The views of some rows with what was measured of them."""

    rows: object
    views: object
    test: object
    rename: object
    alpha: float

    @property
    def names(self):
        """What each view is called: list of str."""
        return [self.rename(name) for name in self.views.names]

    @property
    def left_out(self):
        """Classes and groups with too few rows: list of str."""
        return [self.rename(name) for name in self.views.left_out]

    @property
    def order(self):
        """The views, that which stands out most first: int [views]."""
        return np.argsort(-self.test.distance, kind="stable")

    @property
    def present(self):
        """Views whose p is at most alpha: list of str."""
        return [self.names[place] for place in self.order if self.test.p[place] <= self.alpha]

    @property
    def drawn(self):
        """The top label, and the views that stand out most: list of int."""
        return [0, *[int(place) for place in self.order if place][: DRAWN - 1]]

    @functools.cached_property
    def bins(self):
        """What happened in every view: list of `sanity.audit.calibration.Bins`."""
        return [view_bins(self.views, place, self.rows) for place in range(len(self.views))]

    @property
    def level(self):
        """Coverage of each interval, so that all hold at once: float."""
        return 1 - 0.05 / len(self.views)

    @functools.cached_property
    def intervals(self):
        """The root error of every view: list of `Interval`."""
        return [root_interval(bins, self.level) for bins in self.bins]

    @property
    def needed(self):
        """About how many rows leave the interval of the top label below the margin: int, or None."""
        return rows_needed(self.bins[0], len(self.rows), DELTA, self.level)

    @property
    def effect(self):
        """The largest root error of all views: `Interval`.

        No bound is chosen by looking, since each holds for all views at once.
        """
        intervals = self.intervals
        # The view that is off by most for certain; where none is, the one that stands out most.
        furthest = max(self.order, key=lambda place: intervals[place].low)
        return Interval(intervals[furthest].mean, max(row.low for row in intervals), max(row.high for row in intervals))

    @property
    def diagrams(self):
        """Bins of the views that are drawn: probability, share, band and rows: dict of float64 [5, bins]."""
        diagrams = {}
        for number, place in enumerate(self.drawn):
            mask = self.views.views == place
            lines = [
                self.views.confidence[mask],
                self.bins[place].share,
                *self.test.bands[:, mask],
                self.views.sizes[mask],
            ]
            diagrams[f"bins/{number}"] = np.array(lines, "float64")
        return diagrams

    def table(self):
        """What was measured of every view: list of dict."""
        return [self._row(place, interval) for place, interval in enumerate(self.intervals)]

    def _row(self, place, interval):
        return {
            "name": self.names[place],
            "rows": int(self.views.sizes[self.views.views == place].sum()),
            "root error": interval.mean,
            "root error low": interval.low,
            "root error high": interval.high,
            "expected calibration error": float(self.test.errors[place]),
            "of drawn labels": float(self.test.centre[place]),
            "p": float(self.test.p[place]),
            **self.bins[place].parts,
        }


def _tries(tested, levels, neighbours, seed, tries):
    """Labels drawn from the probabilities, as alike as neighbours in the file are, and labels of another temperature: `Tries`.

    Where rows belong together though no unit says so, the first alarm.
    """
    rows, views, test = tested.rows, tested.views, tested.test
    calibrated, samplers = LabelSampler(rows.probabilities, neighbours), tempered_samplers(rows, DELTA, levels)
    copies = list_copies(
        lambda copy_seed: calibrated.draw(np.random.default_rng(copy_seed)),
        lambda size, copy_seed: samplers[size].draw(np.random.default_rng(copy_seed)),
        seed=derive_seed(seed, "copies"),
        tries=tries,
    )
    errors = np.array([views.errors(views.happened(labels, rows.predicted)) for labels in copies])
    return read_copies(test.p_of(test.scaled(errors).max(axis=1)) <= tested.alpha, tries)


def _clauses(tested, tried):
    """The clause of each finding: dict."""
    names = "; ".join(tested.present[:3])
    more = f" and {len(tested.present) - 3} more" if len(tested.present) > 3 else ""
    few = f". {len(tested.left_out)} classes or groups have too few rows" if tested.left_out else ""
    planted = tried.words(f"probabilities that are off by {DELTA:.2g}")
    tests = f"{len(tested.views)} views were tested{few}"
    present = f"{tests}. Probabilities are off for: {names}{more}."
    return {
        BEYOND: f"{present} The error is above {DELTA:.2g}",
        UNCERTAIN: f"{present} Whether the error is above {DELTA:.2g} is open",
        WITHIN: f"{present} The error is below {DELTA:.2g}",
        NONE: f"{tests}, and no error is above {DELTA:.2g}. Planted, {planted}",
        TOO_FEW: f"{tests}, and none stands out. An error of {DELTA:.2g} is not ruled out. Planted, {planted}",
    }


register_margin_rule(
    "calibration",
    "MISCALIBRATION",
    About(
        "Probabilities are shares",
        "largest root error",
        margin_words("MISCALIBRATION"),
        number="root of the squared error of calibration",
        similarity=f"root mean squared distance of a share from its probability, over bins of equal mass, freed from what sampling adds; the largest over the {TOP}, classes and groups, with bounds that hold for all at once",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units"},
        cannot="Cannot conclude: that a probability holds for a single row, or for groups that were not tested. Two groups of unequal size are not compared by their errors.",
    ),
)
