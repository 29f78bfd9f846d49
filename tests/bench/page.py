"""Page: BENCHMARKS.md, written from what was measured and nothing else."""

import collections
import json
import pathlib

from tests.bench.counted import COUNTED
from tests.bench.load import ENOUGH
from tests.bench.table import COLUMNS, Result, benchmarks, cells, rows_of, verdict

ROOT = pathlib.Path(__file__).parents[2]
PAGE, RESULTS = ROOT / "BENCHMARKS.md", pathlib.Path(__file__).with_name("results.json")
# Tables of versions and machines that are not at hand.
EARLIER = pathlib.Path(__file__).with_name("earlier.md")

HEAD = f"""# Benchmarks

`make bench` measures these tables and writes this page. `python -m tests.bench sampling climbing` measures two of them and leaves the
others as they were. `python -m tests.bench --page` only writes the page. What was measured is kept in `tests/bench/results.json`.

A ratio divides the first column by the second; below one, the lab is faster or smaller. Times are medians of runs that take turns, so
milliseconds differ between machines and ratios hardly do. A ratio does not count where other work left less than {ENOUGH:.0%} of the
cores free. Rows beside Xplique need an environment of their own (`tests/bench/beside_xplique.py`), whose versions stand below them.

A bare gradient is one `tf.function` of the unmodified Keras model with TensorFlow's own gradient, 16 images at a time.
"""


def load_results(path=RESULTS):
    """What was measured: dict of benchmark to `Result`, empty where there is no file."""
    if not path.exists():
        return {}
    return {name: Result.from_json(values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}


def save_results(results, path=RESULTS):
    """Write what was measured, in the order of the benchmarks."""
    ordered = {name: results[name].as_json() for name in benchmarks if name in results}
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def write_page(results, path=PAGE):
    """Write the page."""
    path.write_text(page(results), encoding="utf-8")


def page(results):
    """BENCHMARKS.md: str.

    Args:
        results: dict of benchmark to `Result`.

    Returns:
        str.
    """
    tables = [table(name, results.get(name)) for name in benchmarks]
    parts = [HEAD, _not_run(results), *tables, _counted(), EARLIER.read_text(encoding="utf-8")]
    return "\n".join(parts)


def table(name, result):
    """The table of a benchmark with its title and its conditions: str.

    Args:
        name: str.
        result: `Result`, or None.

    Returns:
        str.
    """
    title, _, rest = benchmarks.get(name).__doc__.strip().partition(": ")
    lines = [f"## {title}", "", f"`{name}`: {rest}", "", *_rows(cells(name, row, result) for row in rows_of(name))]
    return "\n".join([*lines, "", conditions(result), ""])


def _rows(rows):
    return [_line(COLUMNS), "|" + "---|" * len(COLUMNS), *map(_line, rows)]


def _line(row):
    return f"| {' | '.join(row)} |"


def conditions(result):
    """When, where and with what a table was measured: str."""
    if result is None:
        return "Not measured yet."
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    repeats = "one repeat" if result.repeats == 1 else f"{result.repeats} repeats"
    return f"{result.date}, {result.processor}, {result.free:.2f} of {result.cores} cores free, {repeats}. {versions}."


def _not_run(results):
    """What has no ratio, by reason: str."""
    by_name = [name for name in benchmarks if benchmarks.tag(benchmarks.get(name), "by_name")]
    lines = [f"- By name only, since they take long: {', '.join(f'`{name}`' for name in by_name)}."]
    for words, counts in reasons(results).items():
        parts = ", ".join(_part_of(name, count) for name, count in counts.items())
        lines.append(f"- {words[0].upper()}{words[1:]}: {parts}.")
    return "\n".join(["## Not run", "", *lines, ""])


def _part_of(name, count):
    """A benchmark, and how many of its rows where it is not all of them: str."""
    rows = len(rows_of(name))
    return f"`{name}`" if count == rows else f"`{name}` ({count} of {rows} rows)"


def reasons(results):
    """Why rows have no ratio: dict of words to Counter of benchmarks, the number of their rows."""
    by_words = {}
    for name in benchmarks:
        for row in rows_of(name):
            figure = results[name].figures.get(row.name) if name in results else None
            if figure is None or figure.ratio is None:
                by_words.setdefault(verdict(row, figure, ""), collections.Counter())[name] += 1
    return by_words


def _counted():
    """What is counted and not timed: str."""
    lines = [f"- `python -m tests.bench.{module}`: {words}" for module, words in COUNTED.items()]
    return "\n".join(["## Counted, not timed", "", *lines, ""])
