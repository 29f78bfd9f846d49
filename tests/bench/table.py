"""Table: the rows that a benchmark fills, what it measured, and the lines of Markdown that say so.

benchmarks      functions (network, repeats) -> dict of a row's name to `Figure`, or to a str, why there is none
"""

import importlib.metadata
import importlib.util
from dataclasses import asdict, dataclass, field

from lab.registry import Registry
from tests.bench.load import ENOUGH

# The modules of all benchmarks, in the order of the tables.
MODULES = (
    "startup",
    "sampling",
    "attribution",
    "masking",
    "shapley",
    "attention",
    "relevance",
    "activations",
    "cascades",
    "audits",
    "audit_scale",
    "pictures",
    "engines",
    "memory",
    "beside_xplique",
    "gpu",
)
# Tags: rows, a tuple of `Row`; repeats, an int; by_name, whether a whole run leaves it out; timed, whether a busy machine matters.
benchmarks = Registry("benchmark", lambda: [f"tests.bench.{module}" for module in MODULES])

GPU = "GPU"
COLUMNS = ("measured", "beside", "ratio", "goal", "result", "note")


@dataclass(frozen=True)
class Row:
    """A ratio that a benchmark measures.

    Args:
        measured: str, what is divided.
        beside: str, by what.
        goal: float, the most that the ratio may be; None: it has no goal.
        needs: the module of a peer, or `GPU`; None: nothing.
    """

    measured: str
    beside: str
    goal: float | None = None
    needs: str | None = None

    @property
    def name(self):
        """Its key among figures: str."""
        return f"{self.measured} / {self.beside}"

    @property
    def missing(self):
        """Why it cannot be measured here: str, empty where it can."""
        if self.needs is None or (has_gpu() if self.needs == GPU else importlib.util.find_spec(self.needs)):
            return ""
        if self.needs == GPU:
            return "there was no GPU"
        why = "; it needs TensorFlow 2.20 or older" if self.needs == "xplique" else ""
        return f"{self.package} was not installed{why}"

    @property
    def package(self):
        """The name under which what it needs is installed: str, empty where that is no package."""
        if self.needs in (None, GPU):
            return ""
        return "scikit-learn" if self.needs == "sklearn" else self.needs.replace("_", "-")


@dataclass(frozen=True)
class Figure:
    """What was measured of a row: a ratio and a note, or a reason why there is none.

    Args:
        ratio: float, or None.
        note: str.
        reason: str.
    """

    ratio: float | None = None
    note: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """One run of a benchmark.

    Args:
        date: str, as 2026-11-27.
        processor: str.
        cores: int.
        free: float, cores that others left free.
        repeats: int.
        versions: dict of name to version.
        figures: dict of a row's name to `Figure`.
    """

    date: str
    processor: str
    cores: int
    free: float
    repeats: int
    versions: dict
    figures: dict = field(default_factory=dict)

    def as_json(self):
        """Plain values: dict, without what is empty."""
        figures = {
            name: {key: value for key, value in asdict(figure).items() if value not in (None, "")}
            for name, figure in self.figures.items()
        }
        return {**asdict(self), "figures": figures}

    @classmethod
    def from_json(cls, values):
        """A result from what `as_json` gave."""
        return cls(**{**values, "figures": {name: Figure(**figure) for name, figure in values["figures"].items()}})


def has_gpu():
    """Whether TensorFlow sees a GPU: bool."""
    from lab.environment import on_gpu

    return on_gpu()


def complete(name, figures):
    """The figures of all rows of a benchmark, those that need what is not here with the reason.

    Args:
        name: str, of the benchmark.
        figures: dict of a row's name to `Figure` or str.

    Returns:
        dict of a row's name to `Figure`, in the order of the rows.

    Raises:
        ValueError: where a row was left out that can be measured here, or another one was measured.
    """
    rows = rows_of(name)
    expected = {row.name for row in rows if not row.missing}
    if set(figures) != expected:
        raise ValueError(f"{name} measures {sorted(expected)}. Received: {sorted(figures)}.")
    known = {key: Figure(reason=value) if isinstance(value, str) else value for key, value in figures.items()}
    return {row.name: known.get(row.name) or Figure(reason=row.missing) for row in rows}


def rows_of(name):
    """The rows of a benchmark: tuple of `Row`."""
    return _tag(name, "rows")


def _tag(name, tag, default=None):
    return benchmarks.tag(benchmarks.get(name), tag, default)


def doubt(name, result):
    """Why ratios of a result do not count: str, empty where they do."""
    if _tag(name, "timed", True) and result.free < ENOUGH * result.cores:
        return "not counted: the machine was busy"
    if result.repeats < _tag(name, "repeats", 1):
        return f"not counted: {result.repeats} of {_tag(name, 'repeats', 1)} repeats"
    return ""


def verdict(row, figure, doubts):
    """What is said of one ratio: str.

    Args:
        row: `Row`.
        figure: `Figure`, or None where the row was never measured.
        doubts: str, why ratios do not count.

    Returns:
        str.
    """
    if figure is None:
        return "not measured yet"
    if figure.ratio is None:
        return f"not run: {figure.reason}"
    if doubts or row.goal is None:
        return doubts
    return "met" if figure.ratio <= row.goal else "missed"


def cells(name, row, result):
    """The cells of one row, in the order of `COLUMNS`: tuple of str."""
    figure = result.figures.get(row.name) if result else None
    ratio = "" if figure is None or figure.ratio is None else f"{figure.ratio:.2f}"
    goal = "" if row.goal is None else f"{row.goal:.2f}"
    words = verdict(row, figure, doubt(name, result) if result else "")
    return row.measured, row.beside, ratio, goal, words, figure.note if figure else ""


def version_of(row):
    """The version of what a row needs: dict of name to version, empty where it needs no package or has none here."""
    return {row.package: importlib.metadata.version(row.package)} if row.package and not row.missing else {}
