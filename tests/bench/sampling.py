"""Sampling: methods that average many gradients, a gradient of theirs beside a bare one."""

import lab
from lab.environment import keras
from tests.bench import clock
from tests.bench.gradients import BARE, BATCH, bare
from tests.bench.table import Figure, Row, benchmarks

SAMPLES = 50
SMOOTHGRAD, PATH = f"SmoothGrad, {SAMPLES} samples", f"integrated gradients, {SAMPLES} steps"
NETWORKS = {"ResNet50": keras.applications.ResNet50, "MobileNetV2": keras.applications.MobileNetV2}
ALONE = Row(f"{SMOOTHGRAD}, one photograph", "the same of eight, a gradient", 1.0)


def photographs(network, count=8):
    """Inputs of photographs, each twice: float32 [count, rows, columns, 3]."""
    images = [image for image in lab.photographs().images for _ in range(2)]
    return network.preprocess(images[:count])


def sampled(network, inputs):
    """SmoothGrad and integrated gradients of some inputs: dict of name to callable."""
    objective = lab.logit(3)
    return {
        SMOOTHGRAD: lambda: lab.smoothgrad(network, inputs, objective, samples=SAMPLES, seed=0),
        PATH: lambda: lab.integrated_gradients(network, inputs, objective, steps=SAMPLES),
    }


def beside_bare(network, inputs, repeats, tasks=None):
    """Seconds a gradient of both methods, of others, and of a bare one: dict of name to float, others whole."""
    seconds = clock.interleaved({BARE: bare(network), **sampled(network, inputs), **(tasks or {})}, repeats)
    passes = {BARE: BATCH, SMOOTHGRAD: SAMPLES * len(inputs), PATH: SAMPLES * len(inputs)}
    return {name: value / passes.get(name, 1) for name, value in seconds.items()}


def as_figures(seconds, prefix=""):
    """Both methods as shares of the bare gradient: dict of name to `Figure`."""
    note = f"{1e3 * seconds[BARE]:.1f} ms a bare gradient"
    return {f"{prefix}{name} / {BARE}": Figure(seconds[name] / seconds[BARE], note) for name in (SMOOTHGRAD, PATH)}


@benchmarks.register(rows=(Row(SMOOTHGRAD, BARE, 0.68), Row(PATH, BARE, 0.68), ALONE), repeats=5)
def sampling(network, repeats):
    """Methods that average gradients: a gradient of theirs on eight photographs and EfficientNet-Lite0."""
    inputs = photographs(network)
    alone = {ALONE.measured: sampled(network, inputs[:1])[SMOOTHGRAD]}
    seconds = beside_bare(network, inputs, repeats, alone)
    share = seconds[ALONE.measured] / SAMPLES / seconds[SMOOTHGRAD]
    return as_figures(seconds) | {ALONE.name: Figure(share)}


@benchmarks.register(
    rows=tuple(Row(f"{name}, {method}", BARE, 0.75) for name in NETWORKS for method in (SMOOTHGRAD, PATH)),
    repeats=3,
    by_name=True,
)
def sampling_networks(network, repeats):
    """Methods that average gradients, other networks: two photographs, random weights."""
    figures = {}
    for name, make in NETWORKS.items():
        keras.utils.set_random_seed(0)
        other = lab.load(make(weights=None, classifier_activation=None), input_range=(-1, 1))
        figures |= as_figures(beside_bare(other, photographs(other, 2), repeats), f"{name}, ")
    return figures
