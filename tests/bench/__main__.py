"""Benchmarks: `make bench` measures all that take minutes, `python -m tests.bench sampling climbing` some, and writes BENCHMARKS.md."""

import datetime
import importlib.metadata
import platform

import click

import lab
from lab.environment import tf
from recipes import machine
from tests.bench.load import Load
from tests.bench.page import load_results, save_results, table, write_page
from tests.bench.table import GPU, Result, benchmarks, complete, has_gpu, rows_of, version_of


def measure(name, network, repeats):
    """Run one benchmark.

    Args:
        name: str.
        network: a `Network`, the default one.
        repeats: int, or None for as many as it asks for.

    Returns:
        `Result`.
    """
    function = benchmarks.get(name)
    wanted = benchmarks.tag(function, "repeats", 1)
    repeats = min(repeats or wanted, wanted)
    with Load() as load:
        figures = {} if is_missing(name) else function(network, repeats)
    date = datetime.date.today().isoformat()
    return Result(
        date, device(), load.cores, round(load.free, 2), repeats, versions(rows_of(name)), complete(name, figures)
    )


def is_missing(name):
    """Whether what all rows of a benchmark need is not here: bool."""
    return all(row.missing for row in rows_of(name))


def figures_of(results, name):
    """What was measured by a benchmark before: list of `Figure`."""
    return list(results[name].figures.values()) if name in results else []


def device():
    """The name of the GPU, or of the processor where there is none: str."""
    if not has_gpu():
        return machine.processor()
    return tf.config.experimental.get_device_details(tf.config.list_physical_devices(GPU)[0])["device_name"]


def versions(rows):
    """Versions of Python, TensorFlow, Keras and of the peers of some rows: dict."""
    known = {"Python": platform.python_version()}
    known |= {name: importlib.metadata.version(name.lower()) for name in ("TensorFlow", "Keras")}
    return known | {name: version for row in rows for name, version in version_of(row).items()}


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--repeats", type=click.IntRange(1), help="Fewer repeats than a benchmark asks for. Its times do not count."
)
@click.option("--page", is_flag=True, help="Measure nothing, and write the page of what was measured before.")
def main(names, repeats, page):
    """Measure NAMES, or all that take minutes, and write BENCHMARKS.md."""
    unknown = set(names) - set(benchmarks)
    if unknown:
        raise click.UsageError(f"Benchmarks are {', '.join(benchmarks)}. Received: {', '.join(sorted(unknown))}.")
    for name in () if page else names or benchmarks.names(by_name=None):
        if is_missing(name) and any(figure.ratio for figure in figures_of(load_results(), name)):
            click.echo(f"{name} stays as it was measured before: {rows_of(name)[0].missing}.")
            continue
        result = measure(name, lab.load(), repeats)
        click.echo(table(name, result))
        # Read again, since another environment may have measured meanwhile.
        save_results(load_results() | {name: result})
        write_page(load_results())
    if page:
        write_page(load_results())


if __name__ == "__main__":
    main()
