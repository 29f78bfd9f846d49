"""Pictures: activation maximization against peers, in batches of any size, and what other networks see in the result.

python -m tests.bench pictures batches transfer
"""

import contextlib
import time

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

import lab
from lab import routines
from tests.bench import clock, peak

UNITS, STEPS = 16, 24


def pictures(network):
    """A whole climb of 16 units, tracing included, by us and by each peer that is installed: time per image and step."""
    tasks = {"lab": lambda: lab.maximize(lab.load(), lab.logit(range(UNITS)), steps=STEPS, seed=0)}
    tasks |= peers(network)
    seconds = {name: np.median([_seconds(task) for _ in range(3)]) for name, task in tasks.items()}
    for name, limit in (("xplique", 0.85), ("tf-keras-vis", 0.4)):
        if name in seconds:
            clock.row(
                f"maximize, {UNITS} units, {STEPS} steps, first call / {name}",
                seconds["lab"] / seconds[name],
                limit,
                f"{1e3 * seconds['lab'] / UNITS / STEPS:.1f} ms an image and step",
            )


def peers(network):
    """The same climb by each peer that is installed: dict of name to callable."""
    tasks = {}
    with contextlib.suppress(ImportError):
        from tf_keras_vis.activation_maximization import ActivationMaximization
        from tf_keras_vis.utils.scores import CategoricalScore

        def vis():
            start = np.random.default_rng(0).uniform(0, 1, (UNITS, 224, 224, 3)).astype("float32")
            climb = ActivationMaximization(network.model, clone=False)
            return climb(CategoricalScore(list(range(UNITS))), seed_input=start, steps=STEPS)

        tasks["tf-keras-vis"] = vis
    with contextlib.suppress(ImportError):
        from xplique.features_visualizations import Objective, optimize

        def xplique():
            objective = Objective.neuron(network.model, -1, list(range(UNITS)))
            return optimize(objective, nb_steps=STEPS, custom_shape=(224, 224), save_every=STEPS)

        tasks["xplique"] = xplique
    return tasks


def _seconds(task):
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def batches(network):
    """Time per image and step from 1 to 64 units in a batch, and peak memory of many units against few."""
    steps = 6

    def climb(units, count):
        return lambda: lab.maximize(network, lab.logit(range(units)), steps=count, seed=0)

    sizes = (1, 4, 16, 64)
    tasks = {f"{units} {count}": climb(units, count) for units in sizes for count in (1, 1 + steps)}
    seconds = clock.interleaved(tasks, 3)
    seconds_per_image = {
        units: (seconds[f"{units} {1 + steps}"] - seconds[f"{units} 1"]) / steps / units for units in sizes
    }
    for units in sizes[1:]:
        clock.row(
            f"an image and step, {units} units / 1 unit",
            seconds_per_image[units] / seconds_per_image[1],
            1.05,
            f"{1e3 * seconds_per_image[units]:.1f} ms",
        )
    before = network.traces
    climb(5, 2)()
    clock.row("traces for five other units", network.traces - before, 0)
    clock.row("peak memory, 256 / 32 units", peak.of("maximize", 256) / peak.of("maximize", 32), 1.1)


# What other networks see ----------------------------------------------------------------------------------------------------


def transfer(network, classes=20, seeds=1, steps=256):
    """Logit pictures of the default network shown to EfficientNet-Lite1 and -Lite2, as they are and distorted (the extra `transfer`)."""
    classes_drawn = np.arange(classes) * (1000 // classes) + 7
    others = [lab.load(name) for name in ("efficientnet-lite1", "efficientnet-lite2")]
    start, images = time.perf_counter(), []
    for seed in range(seeds):
        images.append(lab.maximize(network, lab.logit(classes_drawn.tolist()), steps=steps, seed=seed).images)
    seconds = (time.perf_counter() - start) / classes / seeds
    drawn_images = np.round(255 * np.concatenate(images))
    print(f"{classes} classes, {seeds} seeds, {steps} steps: {seconds:.1f} s a unit")
    for name, distort in DISTORTIONS.items():
        shares = [_accuracy(other, distort(drawn_images), np.tile(classes_drawn, seeds)) for other in others]
        print(f"  {name:<14}" + "  ".join(f"{other.name} {share:.2f}" for other, share in zip(others, shares)))
    return drawn_images


def _accuracy(network, images, classes):
    logits = routines.logits(network, network.preprocess(list(images)))
    return float((logits.argmax(axis=1) == classes).mean())


def _pixelate(images, side=75):
    small = [Image.fromarray(image.astype("uint8")).resize((side, side), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image.resize(images.shape[2:0:-1], Image.Resampling.NEAREST)) for image in small])


DISTORTIONS = {
    "plain": lambda images: images,
    "blurred 2 px": lambda images: gaussian_filter(images, (0, 2, 2, 0)),
    "pixelated 75": _pixelate,
    "grey": lambda images: np.repeat((images @ [0.299, 0.587, 0.114])[..., None], 3, axis=-1),
    "half contrast": lambda images: 127.5 + 0.5 * (images - 127.5),
    "noise .1": lambda images: np.clip(images + 25.5 * np.random.default_rng(0).normal(size=images.shape), 0, 255),
}

ALL = (pictures, batches)
BY_NAME = (transfer,)
