"""Masking: methods that take parts of an image away, a forward pass of theirs beside the bare compiled one."""

import lab
from lab.attribution import explainers
from tests.bench import clock
from tests.bench.gradients import BATCH, FORWARD, bare_forward
from tests.bench.table import Figure, Row, benchmarks

# Our method, its options, and passes a map.
METHODS = {
    "rise": ({"samples": 500, "seed": 0}, 500),
    "kernel_shap": ({"samples": 200, "seed": 0}, 202),
    "lime": ({"samples": 200, "seed": 0}, 200),
    "sobol": ({"designs": 8, "seed": 0}, 408),
    "hsic": ({"samples": 200, "seed": 0}, 200),
    "occlusion": ({"patch": 32, "stride": 32}, 50),
}


def rows_of_passes():
    """A row for each method: tuple of `Row`."""
    return tuple(Row(f"{name}, {passes} passes, a pass", FORWARD, 1.1) for name, (_, passes) in METHODS.items())


def make_task(network, inputs, name):
    """A callable that makes maps by a method with the options of its row."""
    return lambda: explainers.get(name)(network, inputs, lab.logit(3), **METHODS[name][0])


@benchmarks.register(rows=rows_of_passes(), repeats=3)
def masking(network, repeats):
    """Methods that take parts away: a pass of theirs on four photographs, 16 at a time in the bare forward pass."""
    inputs = network.preprocess(lab.photographs().images[:4])
    figures = {}
    for row, (name, (_, passes)) in zip(rows_of_passes(), METHODS.items()):
        tasks = {FORWARD: bare_forward(network), name: make_task(network, inputs, name)}
        seconds = clock.interleaved(tasks, repeats)
        share = seconds[name] / len(inputs) / passes / (seconds[FORWARD] / BATCH)
        figures[row.name] = Figure(share, f"{seconds[name] / len(inputs):.2f} s a map")
    return figures
