"""Beside Xplique, which needs TensorFlow 2.20 or older, in an environment of its own.

pip install -e . psutil xplique 'tensorflow==2.20.*'
python -m tests.bench xplique_maps xplique_masks xplique_pictures
"""

import numpy as np

import lab
from lab.attribution import explainers
from tests.bench import clock, masking
from tests.bench.gradients import BATCH
from tests.bench.pictures import UNITS, first_call
from tests.bench.sampling import PATH, SAMPLES, SMOOTHGRAD, sampled
from tests.bench.table import Figure, Row, benchmarks

NEEDS = "xplique"


def beside(pairs, goal):
    """A row for each of our methods and the name that Xplique has for it: tuple of `Row`."""
    return tuple(Row(ours, f"Xplique's {theirs}", goal, NEEDS) for ours, theirs in pairs.items())


def explain(network, inputs, name, **settings):
    """Maps by an explainer of Xplique's that was made once: callable."""
    from xplique import attributions

    targets = np.eye(1000, dtype="float32")[[3] * len(inputs)]
    explainer = getattr(attributions, name)(network.model, batch_size=BATCH, **settings)
    return lambda: explainer(inputs, targets)


def measure(rows, tasks, repeats, count):
    """Each row by itself, both sides in turn: dict of a row's name to `Figure`."""
    figures = {}
    for row in rows:
        seconds = clock.interleaved({name: tasks[name] for name in (row.measured, row.beside)}, repeats)
        note = f"{1e3 * seconds[row.measured] / count:.0f} ms each"
        figures[row.name] = Figure(seconds[row.measured] / seconds[row.beside], note)
    return figures


# Maps of gradients --------------------------------------------------------------------------------------------------------

SAMPLED = {SMOOTHGRAD: "SmoothGrad", PATH: "IntegratedGradients"}
PLAIN = {
    "gradient": "Saliency",
    "gradient_x_input": "GradientInput",
    "guided_backprop": "GuidedBackprop",
    "deconvnet": "DeconvNet",
    "gradcam": "GradCAM",
}
MAPS = (*beside(SAMPLED, 0.7), *beside(PLAIN, 1.0))


@benchmarks.register(rows=MAPS, repeats=5)
def xplique_maps(network, repeats):
    """Maps of gradients, beside Xplique: four photographs."""
    inputs, settings = (
        network.preprocess(lab.photographs().images[:4]),
        {
            "SmoothGrad": {"nb_samples": SAMPLES, "noise": 0.3},
            "IntegratedGradients": {"steps": SAMPLES},
        },
    )
    tasks = sampled(network, inputs)
    for name in PLAIN:
        tasks[name] = lambda name=name: explainers.get(name)(network, inputs, lab.logit(3))
    for name in (*SAMPLED.values(), *PLAIN.values()):
        tasks[f"Xplique's {name}"] = explain(network, inputs, name, **settings.get(name, {}))
    return measure(MAPS, tasks, repeats, len(inputs))


# Maps of masks ------------------------------------------------------------------------------------------------------------

# What Xplique calls our methods, with options that take about as many passes.
MASKED = {
    "rise": ("Rise", {"nb_samples": 500}),
    "kernel_shap": ("KernelShap", {"nb_samples": 200}),
    "lime": ("Lime", {"nb_samples": 200}),
    "sobol": ("SobolAttributionMethod", {"grid_size": 7, "nb_design": 8}),
    "hsic": ("HsicAttributionMethod", {"grid_size": 7, "nb_design": 200}),
    "occlusion": ("Occlusion", {"patch_size": 32, "patch_stride": 32}),
}
MASKS = beside({name: theirs for name, (theirs, _) in MASKED.items()}, 0.7)


@benchmarks.register(rows=MASKS, repeats=3)
def xplique_masks(network, repeats):
    """Methods that take parts away, beside Xplique: two photographs, about as many passes."""
    inputs = network.preprocess(lab.photographs().images[:2])
    tasks = {name: masking.make_task(network, inputs, name) for name in MASKED}
    for theirs, settings in MASKED.values():
        tasks[f"Xplique's {theirs}"] = explain(network, inputs, theirs, **settings)
    return measure(MASKS, tasks, repeats, len(inputs))


# Pictures -----------------------------------------------------------------------------------------------------------------

CLIMBS = {
    f"maximize, {units} units, {steps} steps, first call": (units, steps) for units, steps in ((4, 50), (UNITS, 24))
}
PICTURES = tuple(Row(name, f"Xplique's optimize of {units}", 0.85, NEEDS) for name, (units, _) in CLIMBS.items())


@benchmarks.register(rows=PICTURES, repeats=3)
def xplique_pictures(network, repeats):
    """A first picture, beside Xplique: logits of networks that were loaded before, tracing included."""
    figures = {}
    for row, (units, steps) in zip(PICTURES, CLIMBS.values()):
        tasks = {row.measured: first_call(units, steps, repeats), row.beside: climb(network, units, steps)}
        seconds = clock.interleaved(tasks, repeats, warm=False)
        note = f"{seconds[row.measured]:.1f} s"
        figures[row.name] = Figure(seconds[row.measured] / seconds[row.beside], note)
    return figures


def climb(network, units, steps):
    """The same climb by Xplique, from an objective that it makes anew: callable."""
    from xplique.features_visualizations import Objective, optimize

    def run():
        objective = Objective.neuron(network.model, -1, list(range(units)))
        return optimize(objective, nb_steps=steps, custom_shape=(224, 224), save_every=steps)

    return run
