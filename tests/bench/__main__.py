"""Every benchmark: `make bench`, or some: `python -m tests.bench sampling climbing`. Those that run by name only are listed.

A bare gradient is a tf.function that computes the input gradient of a logit of the unmodified Keras model, batch 16, no
folding; under XLA where the lab itself uses it, on a GPU.
"""

import contextlib
import os
import sys
import time

import numpy as np

import lab
from lab.attribution import explainers
from lab.environment import on_gpu, tf
from sanity.checks import checks
from sanity.checks.parameters import prepare
from sanity.subject import Subject
from tests.bench import attention, attribution, audits, clock, masking, peak, relevance
from tests.bench import pictures as picture_benchmarks
from tests.bench.gradients import BATCH, bare

SAMPLES = 50
# Stages of the default network's cascade by layer.
STAGES = 99
# tf-explain puts all samples of all images into one batch: eight photographs would take tens of GiB.
FEW = 2


def photographs(network, count=8):
    images = [image for image in lab.photographs().images for _ in range(2)]
    return network.preprocess(images[:count])


def sampling(network):
    """SmoothGrad(50) and IG(50) on 8 photographs against as many bare gradients, and against peers."""
    inputs, objective = photographs(network), lab.logit(3)
    tasks = {
        "bare": bare(network),
        "smoothgrad": lambda: lab.smoothgrad(network, inputs, objective, samples=SAMPLES, seed=0),
        "ig": lambda: lab.integrated_gradients(network, inputs, objective, steps=SAMPLES),
    }
    tasks |= peers(network, inputs)
    seconds = clock.interleaved(tasks, 5)
    seconds_per_sample = {
        name: value / (BATCH if name == "bare" else (FEW if "tf-explain" in name else len(inputs)) * SAMPLES)
        for name, value in seconds.items()
    }
    target = 1.1 if on_gpu() else 0.7
    clock.row(
        "SmoothGrad(50) / bare gradients",
        seconds_per_sample["smoothgrad"] / seconds_per_sample["bare"],
        target,
        f"{1e3 * seconds_per_sample['bare']:.1f} ms a bare gradient",
    )
    clock.row("IG(50) / bare gradients", seconds_per_sample["ig"] / seconds_per_sample["bare"], target)
    for name, ours, limit in (
        ("xplique smoothgrad", "smoothgrad", 0.7),
        ("xplique ig", "ig", 0.7),
        ("tf-explain smoothgrad", "smoothgrad", 0.5),
        ("tf-explain ig", "ig", 0.5),
        ("tf-keras-vis smoothgrad", "smoothgrad", 0.33),
    ):
        if name in seconds_per_sample:
            clock.row(f"{ours} / {name}", seconds_per_sample[ours] / seconds_per_sample[name], limit)


def peers(network, inputs):
    """The same work by each peer that is installed: dict of name to callable."""
    tasks = {}
    with contextlib.suppress(ImportError):
        from tf_explain.core.integrated_gradients import IntegratedGradients
        from tf_explain.core.smoothgrad import SmoothGrad

        tasks["tf-explain smoothgrad"] = lambda: SmoothGrad().explain(
            (inputs[:FEW], None), network.model, 3, num_samples=SAMPLES, noise=0.3
        )
        tasks["tf-explain ig"] = lambda: IntegratedGradients().explain(
            (inputs[:FEW], None), network.model, 3, n_steps=SAMPLES
        )
    with contextlib.suppress(ImportError):
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.utils.scores import CategoricalScore

        saliency = Saliency(network.model, clone=False)
        tasks["tf-keras-vis smoothgrad"] = lambda: saliency(
            CategoricalScore([3] * len(inputs)), inputs, smooth_samples=SAMPLES, smooth_noise=0.15
        )
    with contextlib.suppress(ImportError):
        from xplique.attributions import IntegratedGradients as XpliqueIG
        from xplique.attributions import SmoothGrad as XpliqueSmoothGrad

        targets = np.eye(1000, dtype="float32")[[3] * len(inputs)]
        smooth, path = (
            XpliqueSmoothGrad(network.model, nb_samples=SAMPLES, noise=0.3, batch_size=BATCH),
            XpliqueIG(network.model, steps=SAMPLES, batch_size=BATCH),
        )
        tasks |= {"xplique smoothgrad": lambda: smooth(inputs, targets), "xplique ig": lambda: path(inputs, targets)}
    return tasks


def climbing(network):
    """Activation maximization of 16 units, per image and step, against a bare gradient of the same batch."""
    objective, steps = lab.logit(range(16)), 8

    def climb(count):
        return lambda: lab.maximize(network, objective, steps=count, seed=0)

    # What is not a step (start, last evaluation) is in both and cancels in the difference.
    seconds = clock.interleaved({"bare": bare(network), "short": climb(1), "long": climb(1 + steps)}, 7)
    clock.row(
        "maximize, 16 units, a step / bare gradient",
        (seconds["long"] - seconds["short"]) / steps / seconds["bare"],
        1.1 if on_gpu() else 1.05,
    )


def cascade(network):
    """A whole cascade, layer by layer, for three methods, against the same maps without it."""
    inputs = photographs(network)
    subject = Subject(network, inputs, lab.logit(list(range(8))), tuple("abcdefgh"))
    methods = [explainers.get(name) for name in ("gradient", "gradient_x_input", "gradcam")]

    def explain():
        return [method(network, inputs, subject.objective) for method in methods]

    explain()
    before = network.traces
    prepare(subject, seed=0, mode="full", seeds=2)
    explaining = clock.interleaved({"three": explain}, 7)["three"] * STAGES
    traces = network.traces
    prepared, preparing = time_of(lambda: prepare(subject, seed=0, mode="top_down", unit="layer", seeds=2))
    _, swapped = time_of(lambda: explain_stages(network, prepared.runs[0], explain))
    _, checking = time_of(lambda: check_methods(subject, methods, prepared))
    clock.row(
        f"cascade, {STAGES} stages, 3 methods: maps under swapped weights",
        swapped / explaining,
        1.15,
        f"explainers alone {explaining:.0f} s; traces after the first stage: {network.traces - traces}",
    )
    clock.row(
        "   ... and drawing, estimating statistics, evidence",
        (swapped + preparing / 2) / explaining,
        None,
        f"{preparing / 2:.0f} s to prepare, shared by all methods; {traces - before} traces before",
    )
    clock.row("   ... and similarities, ceilings, nulls", (checking + preparing) / 2 / explaining, None)


def time_of(work):
    """The result of some work, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def explain_stages(network, run, explain):
    for stage in run:
        with network.weights(stage.state):
            explain()


def check_methods(subject, methods, prepared):
    check = checks.get("parameters")
    for method in methods:
        check(method, subject, seed=0, mode="top_down", unit="layer", seeds=2, prepared=prepared)


def memory(network):
    """Peak resident memory: 512 images against 8, a cascade against one explanation."""
    del network  # Each measurement loads its own, in its own process.
    clock.row("peak memory, SmoothGrad, 512 / 8 images", peak.of("smoothgrad", 512) / peak.of("smoothgrad", 8), 1.1)
    clock.row("peak memory, cascade / gradient, 8 images", peak.of("cascade", 8) / peak.of("gradient", 8), 1.1)


ALL = {
    benchmark.__name__: benchmark
    for benchmark in (
        sampling,
        climbing,
        cascade,
        memory,
        *attribution.ALL,
        *masking.ALL,
        *attention.ALL,
        *relevance.ALL,
        *picture_benchmarks.ALL,
    )
}
# Run by name only: they need the packages of the extra `transfer`, or take minutes to an hour.
BY_NAME = {benchmark.__name__: benchmark for benchmark in (*picture_benchmarks.BY_NAME, *audits.BY_NAME)}

if __name__ == "__main__":
    benchmarks = ALL | BY_NAME
    unknown = set(sys.argv[1:]) - set(benchmarks)
    if unknown:
        sys.exit(f"Benchmarks are {', '.join(benchmarks)}. Received: {', '.join(unknown)}.")
    network = lab.load()
    print(
        f"{network.name}, TensorFlow {tf.__version__}, {'GPU with XLA' if on_gpu() else f'{len(os.sched_getaffinity(0))} cores'}"
    )
    for name in sys.argv[1:] or ALL:
        benchmarks[name](network)
    if not sys.argv[1:]:
        print(f"By name only: {', '.join(BY_NAME)}.")
