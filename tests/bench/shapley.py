"""Shapley: values of the columns of a table, beside shap on the same function, rows and numbers of calls."""

import numpy as np

import lab
from tests.bench import clock
from tests.bench.table import Figure, Row, benchmarks

ROWS, COLUMNS, SAMPLES, PERMUTATIONS = 16, 10, 1000, 10
PAIRS = {
    "exact_shapley": "shap.ExactExplainer",
    "kernel_shap": "shap.KernelExplainer",
    "permutation_shap": "shap.PermutationExplainer",
}


def score(rows):
    """A score with an interaction: float64 [rows, 1]."""
    rows = np.asarray(rows, "float64")
    return (rows @ np.arange(1.0, COLUMNS + 1) + 3 * rows[:, 0] * rows[:, 1] - rows[:, 2] ** 2)[:, None]


def our_tasks(inputs):
    """Our values of some rows, beside zeros: dict of name to callable."""
    network = lab.function(score, inputs)
    settings = {
        "exact_shapley": {},
        "kernel_shap": {"samples": SAMPLES, "seed": 0},
        "permutation_shap": {"permutations": PERMUTATIONS, "seed": 0},
    }
    return {
        name: lambda name=name: lab.explainers.get(name)(network, inputs, lab.logit(0), **settings[name])
        for name in PAIRS
    }


def tasks_of_shap(inputs):
    """The values of shap, beside zeros: dict of name to callable."""
    import shap

    background = np.zeros((1, COLUMNS))
    predict = lambda rows: score(rows)[:, 0]  # noqa: E731
    exact, permuted = (make(predict, background) for make in (shap.ExactExplainer, shap.PermutationExplainer))
    kernel = shap.KernelExplainer(predict, background)
    # Each of its orders is gone forwards and backwards, and takes 2 * COLUMNS + 1 calls.
    calls = PERMUTATIONS * (2 * COLUMNS + 1)
    return {
        "shap.ExactExplainer": lambda: exact(inputs, silent=True),
        "shap.KernelExplainer": lambda: kernel.shap_values(inputs, nsamples=SAMPLES, silent=True),
        "shap.PermutationExplainer": lambda: permuted(inputs, max_evals=calls, silent=True),
    }


@benchmarks.register(rows=tuple(Row(ours, peer, 1.0, "shap") for ours, peer in PAIRS.items()), repeats=7)
def shapley(network, repeats):
    """Shapley values of a table: 16 rows of ten columns, 1,000 coalitions or ten orders where they are drawn."""
    inputs = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype("float32")
    seconds = clock.interleaved({**our_tasks(inputs), **tasks_of_shap(inputs)}, repeats)
    return {
        f"{ours} / {peer}": Figure(seconds[ours] / seconds[peer], f"{1e3 * seconds[ours] / ROWS:.2f} ms a row")
        for ours, peer in PAIRS.items()
    }
