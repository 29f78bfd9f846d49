"""Cascades: checks that replace the weights of a network, beside the maps that they need."""

import time

import lab
from lab.attribution import explainers
from sanity.checks import checks
from sanity.checks.parameters import prepare
from sanity.subject import Subject
from tests.bench import clock
from tests.bench.sampling import photographs
from tests.bench.table import Figure, Row, benchmarks

# Stages of the default network's cascade by layer.
STAGES = 99
METHODS = ("gradient", "gradient_x_input", "gradcam")
BESIDE = "the same maps alone"
SWAPPED = Row(f"maps of {len(METHODS)} methods, {STAGES} stages", BESIDE, 1.15)
PREPARED = Row("... with drawing weights, their statistics and evidence", BESIDE)
CHECKED = Row("... with similarities, ceilings and nulls", BESIDE)
UNTRAINED, PASSES = 3, 6
WEIGHTS = Row(f"parameters, {UNTRAINED} untrained networks, gradient and Grad-CAM", f"{PASSES} maps by each", 2.5)


def eight_photographs(network):
    """Eight photographs with eight classes: `Subject`."""
    return Subject(network, photographs(network), lab.logit(list(range(8))), tuple("abcdefgh"))


@benchmarks.register(rows=(WEIGHTS,), repeats=3)
def checks_of_weights(network, repeats):
    """Checks of weights: eight photographs, with drawing the untrained networks once for both methods."""
    subject = eight_photographs(network)
    methods = [explainers.get(name) for name in ("gradient", "gradcam")]

    def check():
        prepared = prepare(subject, seed=0, seeds=UNTRAINED)
        for method in methods:
            checks.get("parameters")(method, subject, seed=0, seeds=UNTRAINED, prepared=prepared)

    def explain():
        return [method(network, subject.inputs, subject.objective) for method in methods for _ in range(PASSES)]

    seconds = clock.interleaved({"check": check, "maps": explain}, repeats)
    return {WEIGHTS.name: Figure(seconds["check"] / seconds["maps"], f"{seconds['check']:.1f} s")}


@benchmarks.register(rows=(SWAPPED, PREPARED, CHECKED), repeats=7, by_name=True)
def cascade(network, repeats):
    """A cascade of random weights: layer by layer on eight photographs, for gradient, gradient x input and Grad-CAM."""
    subject = eight_photographs(network)
    inputs = subject.inputs
    methods = [explainers.get(name) for name in METHODS]

    def explain():
        return [method(network, inputs, subject.objective) for method in methods]

    explain()
    prepare(subject, seed=0, mode="full", seeds=2)
    explaining = clock.interleaved({"maps": explain}, repeats)["maps"] * STAGES
    traces = network.traces
    prepared, preparing = time_of(lambda: prepare(subject, seed=0, mode="top_down", unit="layer", seeds=2))
    _, swapped = time_of(lambda: explain_stages(network, prepared.runs[0], explain))
    _, checking = time_of(lambda: check_methods(subject, methods, prepared))
    note = f"explainers alone {explaining:.0f} s; {network.traces - traces} traces after the first stage"
    return {
        SWAPPED.name: Figure(swapped / explaining, note),
        PREPARED.name: Figure(
            (swapped + preparing / 2) / explaining, f"{preparing / 2:.0f} s to prepare, once for all"
        ),
        CHECKED.name: Figure((checking + preparing) / 2 / explaining),
    }


def time_of(work):
    """The result of some work, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def explain_stages(network, run, explain):
    """Make maps under the weights of every stage of a run."""
    for stage in run:
        with network.weights(stage.state):
            explain()


def check_methods(subject, methods, prepared):
    """Run the check of the cascade for each method."""
    check = checks.get("parameters")
    for method in methods:
        check(method, subject, seed=0, mode="top_down", unit="layer", seeds=2, prepared=prepared)
