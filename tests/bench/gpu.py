"""GPU: the same ratios where XLA compiles both sides."""

import lab
from lab.attribution import explainers
from tests.bench import clock
from tests.bench.gradients import BARE, BATCH, bare
from tests.bench.pictures import CLIMB, step_seconds
from tests.bench.sampling import PATH, SMOOTHGRAD, as_figures, beside_bare, photographs
from tests.bench.table import GPU, Figure, Row, benchmarks

GRADIENT = Row(f"gradient of {BATCH} photographs", BARE, 1.1, GPU)
ROWS = (*(Row(name, BARE, 1.1, GPU) for name in (SMOOTHGRAD, PATH, CLIMB.measured)), GRADIENT)


@benchmarks.register(rows=ROWS, repeats=5)
def gpu(network, repeats):
    """On a GPU: a gradient of methods that average them on eight photographs, a step of a picture, and one gradient."""
    inputs = photographs(network, BATCH)
    method = explainers.get("gradient")
    tasks = {BARE: bare(network), "gradient": lambda: method(network, inputs, lab.logit(3))}
    seconds = clock.interleaved(tasks, repeats)
    step, gradient = step_seconds(network, repeats)
    figures = as_figures(beside_bare(network, photographs(network), repeats))
    figures[f"{CLIMB.measured} / {BARE}"] = Figure(step / gradient)
    note = f"{1e3 * seconds['gradient']:.0f} ms"
    return figures | {GRADIENT.name: Figure(seconds["gradient"] / seconds[BARE], note)}
