"""Kills: a run that is killed at random moments, under each engine, gives the bytes of one that was not.

`python -m tests.bench.kills --engine processes --count 50`: about half a minute a kill.
"""

import pathlib
import random
import signal
import subprocess
import tempfile
import time

import click

from tests import networks
from tests.processes import contents, start_run
from tests.recipes.conftest import write_quick_recipe

WORDS = {"local": (), "processes": ("--workers", "2"), "ray": ("--engine", "ray")}


def start(recipe, out, words):
    return start_run(recipe, out, "--set", "threads=1", *words)


def undisturbed(recipe, out, words):
    """Seconds that a whole run takes."""
    begin = time.monotonic()
    run = start(recipe, out, words)
    run.communicate()
    if run.returncode:
        raise RuntimeError("the run without kills failed")
    return time.monotonic() - begin


def killed(recipe, out, words, moment):
    """Begin a run, kill it after so many seconds, and say whether it was running still."""
    run = start(recipe, out, words)
    try:
        run.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGKILL)
        run.communicate()
        return True
    return False


@click.command()
@click.option("--engine", type=click.Choice(list(WORDS)), default="local", show_default=True)
@click.option("--count", default=50, show_default=True, help="How many kills.")
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
def main(engine, count, seed):
    """Kill runs, each begun anew where one came to its end, and compare the bytes of each that did."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        model = pathlib.Path(root) / "small.keras"
        networks.flat(head="softmax").save(model)
        recipe = write_quick_recipe(model, pathlib.Path(root))
        seconds = undisturbed(recipe, f"{root}/undisturbed", WORDS["local"])
        files, kills, resumed = contents(f"{root}/undisturbed"), 0, 0
        while kills < count:
            kills += killed(recipe, f"{root}/{resumed}", WORDS[engine], moments.uniform(0.2, 1.0) * seconds)
            if moments.random() < 0.2 or kills == count:
                undisturbed(recipe, f"{root}/{resumed}", WORDS[engine])
                if contents(f"{root}/{resumed}") != files:
                    raise RuntimeError(f"other bytes after {kills} kills, seed {seed}")
                resumed += 1
        print(f"{engine}: {kills} kills, {resumed} runs that went on to the end, all with the same bytes")


if __name__ == "__main__":
    main()
