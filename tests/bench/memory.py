"""Memory: the peak of a process, at few and at many images, each in a process of its own."""

from tests.bench import peak
from tests.bench.gradients import BATCH
from tests.bench.table import Figure, Row, benchmarks

# What is run, on how many images, beside what, on how many, and the goal.
PEAKS = (
    ("smoothgrad", 256, "smoothgrad", 8, 1.1),
    ("cascade", 8, "gradient", 8, 1.1),
    ("maximize", 256, "maximize", 52, 1.1),
    ("deeplift", BATCH, "gradient", BATCH, None),
    ("lrp", BATCH, "gradient", BATCH, None),
)
ROWS = tuple(
    Row(f"{work}, {count} images", f"{other}, {of_other} images", goal) for work, count, other, of_other, goal in PEAKS
)


@benchmarks.register(rows=ROWS, timed=False)
def memory(network, repeats):
    """Peak memory: resident memory of whole processes, without the arrays that go in and come out."""
    figures, peaks = {}, {}
    for row, (work, count, other, of_other, _) in zip(ROWS, PEAKS):
        for key in ((work, count), (other, of_other)):
            peaks[key] = peaks.get(key) or peak.of(*key)
        more = peaks[work, count] - peaks[other, of_other]
        note = f"{peaks[work, count]:.0f} MiB"
        note += f", {more / (count - of_other):.2f} MiB an image more" if count > of_other else ""
        figures[row.name] = Figure(peaks[work, count] / peaks[other, of_other], note)
    return figures
