"""Peak: resident memory at its highest, each piece of work in a process of its own.

python -m tests.bench.peak WORK COUNT
"""

import pathlib
import re
import resource
import subprocess
import sys

import numpy as np

# So many samples that eight images fill a chunk as 256 do.
SAMPLES = 12


def of(work, count):
    """Peak resident MiB of a piece of work on `count` images, in a fresh process, without the arrays that go in and come out: float."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.peak", work, str(count)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def highest():
    """Peak resident MiB of this program: float. What the system counts by process begins with the memory of the one that started it."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(re.search(r"VmHWM:\s+(\d+)", status.read_text()).group(1)) / 1024


def main(work, count):
    import lab
    from lab.attribution import explainers
    from sanity.checks import checks
    from sanity.subject import Subject

    network = lab.load()
    if work == "maximize":
        drawn = lab.maximize(network, lab.channel("block_2_add", [0] * count), steps=1, seed=0)
        print(highest() - 4 * drawn.images.nbytes / (1 << 20))
        return
    if work.startswith("row:"):
        from tests.bench import attribution

        name = work.partition(":")[2]
        inputs = network.preprocess(lab.photographs(attribution.FOUR[:count]).images)
        attribution.make_task(name, network, inputs, attribution.row_options(name))()
        print(highest())
        return
    inputs = np.zeros((count, 224, 224, 3), "float32")
    inputs[:] = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3))
    if work == "cascade":
        subject = Subject(network, inputs, lab.logit(0), tuple(map(str, range(count))))
        checks.get("parameters")(explainers.get("gradient"), subject, seed=0, mode="top_down", seeds=2)
    else:
        lab.explain(
            network, inputs, lab.logit(0), method=work, **({"samples": SAMPLES} if work == "smoothgrad" else {})
        )
    # In and out: the inputs, and the maps that came back.
    print(highest() - 2 * inputs.nbytes / (1 << 20))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
