"""Pictures: activation maximization beside the bare gradient and peers, and in batches of any size."""

import numpy as np

import lab
from tests.bench import clock
from tests.bench.gradients import BARE, bare
from tests.bench.table import Figure, Row, benchmarks

UNITS, STEPS = 16, 24
# Steps that are timed after the first one.
TIMED = 8
CLIMB = Row(f"maximize, {UNITS} units, a step", BARE, 1.05)
FIRST = f"maximize, {UNITS} units, {STEPS} steps, first call"
VIS = Row(FIRST, "ActivationMaximization of tf-keras-vis", 0.4, "tf_keras_vis")
SIZES = (1, 4, 16, 64)
ONE = "one unit, an image and step"


def step_seconds(network, repeats):
    """Seconds of a step on 16 units, and of a bare gradient of 16: tuple of float."""

    def climb(count):
        return lambda: lab.maximize(network, lab.logit(range(UNITS)), steps=count, seed=0)

    # What is not a step (start, last evaluation) is in both and cancels in the difference.
    seconds = clock.interleaved({BARE: bare(network), "short": climb(1), "long": climb(1 + TIMED)}, repeats)
    return (seconds["long"] - seconds["short"]) / TIMED, seconds[BARE]


@benchmarks.register(rows=(CLIMB,), repeats=7)
def climbing(network, repeats):
    """Activation maximization: a step on 16 logits beside a bare gradient of 16 images."""
    step, gradient = step_seconds(network, repeats)
    return {CLIMB.name: Figure(step / gradient, f"{1e3 * step / UNITS:.1f} ms an image and step")}


def first_call(units, steps, repeats):
    """The first climb of networks that were loaded before, a new one for each repeat: callable."""
    networks = iter([lab.load() for _ in range(repeats)])
    return lambda: lab.maximize(next(networks), lab.logit(range(units)), steps=steps, seed=0)


@benchmarks.register(rows=(VIS,), repeats=3)
def pictures(network, repeats):
    """A first picture, beside peers: 16 logits in 24 steps, tracing included and loading not."""
    tasks = {FIRST: first_call(UNITS, STEPS, repeats), VIS.beside: lambda: climb_by_vis(network)}
    seconds = clock.interleaved(tasks, repeats, warm=False)
    note = f"{1e3 * seconds[FIRST] / UNITS / STEPS:.1f} ms an image and step"
    return {VIS.name: Figure(seconds[FIRST] / seconds[VIS.beside], note)}


def climb_by_vis(network):
    """The same climb by tf-keras-vis, with an object of its own as its users make it."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    start = np.random.default_rng(0).uniform(0, 1, (UNITS, 224, 224, 3)).astype("float32")
    climb = ActivationMaximization(network.model, clone=False)
    return climb(CategoricalScore(list(range(UNITS))), seed_input=start, steps=STEPS)


@benchmarks.register(rows=tuple(Row(f"{units} units, an image and step", ONE, 1.05) for units in SIZES[1:]), repeats=3)
def batches(network, repeats):
    """Batches: an image and step of activation maximization, by how many units are drawn together."""
    steps = 6

    def climb(units, count):
        return lambda: lab.maximize(network, lab.logit(range(units)), steps=count, seed=0)

    tasks = {(units, count): climb(units, count) for units in SIZES for count in (1, 1 + steps)}
    seconds = clock.interleaved(tasks, repeats)
    of_image = {units: (seconds[units, 1 + steps] - seconds[units, 1]) / steps / units for units in SIZES}
    return {
        f"{units} units, an image and step / {ONE}": Figure(
            of_image[units] / of_image[1], f"{1e3 * of_image[units]:.1f} ms"
        )
        for units in SIZES[1:]
    }
