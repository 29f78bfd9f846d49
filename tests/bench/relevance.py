"""Relevance: LRP by each composite and DeepLIFT beside the bare compiled gradient."""

import lab
from lab.attribution import explainers
from lab.composites import COMPOSITES
from tests.bench import clock
from tests.bench.gradients import BARE, BATCH, bare
from tests.bench.sampling import photographs
from tests.bench.table import Figure, Row, benchmarks

ROWS = (
    Row("gradient", BARE),
    Row("deeplift", BARE, 2.2),
    *(Row(f"lrp, composite {name}", BARE, 3.0) for name in COMPOSITES),
)


@benchmarks.register(rows=ROWS, repeats=5)
def relevance(network, repeats):
    """Relevance: maps of 16 photographs beside a bare gradient of 16, DeepLIFT with one reference."""
    inputs, objective = photographs(network, BATCH), lab.logit(3)
    tasks = {BARE: bare(network)}
    for name in ("gradient", "deeplift"):
        tasks[name] = lambda name=name: explainers.get(name)(network, inputs, objective)
    lrp = explainers.get("lrp")
    for name in COMPOSITES:
        tasks[f"lrp, composite {name}"] = lambda name=name: lrp(network, inputs, objective, composite=name)
    seconds = clock.interleaved(tasks, repeats)
    note = f"{1e3 * seconds[BARE] / BATCH:.1f} ms a bare gradient"
    return {row.name: Figure(seconds[row.measured] / seconds[BARE], note) for row in ROWS}
