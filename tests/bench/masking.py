"""Methods that take parts away, per forward pass beside the bare compiled one, and per map beside Xplique where it is installed."""

import contextlib

import numpy as np

import lab
from lab.attribution import explainers
from lab.environment import tf
from tests.bench import clock

BATCH = 16
# Our method, its options and passes a map, and Xplique's method with options that take about as many passes.
ROWS = {
    "rise": ({"samples": 500, "seed": 0}, 500, "Rise", {"nb_samples": 500}),
    "kernel_shap": ({"samples": 200, "seed": 0}, 202, "KernelShap", {"nb_samples": 200}),
    "lime": ({"samples": 200, "seed": 0}, 200, "Lime", {"nb_samples": 200}),
    "sobol": ({"designs": 8, "seed": 0}, 408, "SobolAttributionMethod", {"grid_size": 7, "nb_design": 8}),
    "hsic": ({"samples": 200, "seed": 0}, 200, "HsicAttributionMethod", {"grid_size": 7, "nb_design": 200}),
    "occlusion": ({"patch": 32, "stride": 32}, 50, "Occlusion", {"patch_size": 32, "patch_stride": 32}),
}


def masking(network):
    """Seconds of a forward pass and of a map on four photographs, interleaved."""
    inputs, objective = network.preprocess(lab.photographs().images[:4]), lab.logit(3)
    for name, (options, passes, theirs, their_options) in ROWS.items():
        tasks = {"bare": _bare(network), name: _ours(name, network, inputs, objective, options)}
        tasks |= _xplique(network, inputs, theirs, their_options)
        seconds = clock.interleaved(tasks, 3)
        ratio = seconds[name] / len(inputs) / passes / (seconds["bare"] / BATCH)
        clock.row(f"{name}, a pass / bare forward pass", ratio, 1.1)
        if theirs in seconds:
            clock.row(f"   ... a map / Xplique's {theirs}", seconds[name] / seconds[theirs], 0.7)


def _ours(name, network, inputs, objective, options):
    return lambda: explainers.get(name)(network, inputs, objective, **options)


def _bare(network):
    """The bare compiled forward pass of a batch of 16: callable."""
    forward = tf.function(lambda inputs: network.model(inputs, training=False), jit_compile=network.jit or None)
    inputs = tf.random.stateless_uniform([BATCH, *network.size, 3], [0, 1], -1, 1)
    return lambda: forward(inputs).numpy()


def _xplique(network, inputs, name, options):
    with contextlib.suppress(ImportError):
        from xplique import attributions

        targets = np.eye(1000, dtype="float32")[[3] * len(inputs)]
        explainer = getattr(attributions, name)(network.model, batch_size=BATCH, **options)
        return {name: lambda: explainer(inputs, targets)}
    return {}


ALL = (masking,)
