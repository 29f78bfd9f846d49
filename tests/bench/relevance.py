"""Relevance beside the bare compiled gradient, on EfficientNet-Lite0: `python -m tests.bench relevance`."""

import lab
from lab.attribution import explainers
from lab.composites import COMPOSITES
from tests.bench import clock, peak
from tests.bench.gradients import BATCH, bare

# Goals as shares of a bare gradient: LRP by a composite, and DeepLIFT with one reference.
GOALS = {"lrp": 3.0, "deeplift": 2.2}


def relevance(network):
    """Each composite and DeepLIFT on 16 photographs as shares of a bare gradient of 16, and their peaks of memory."""
    images = [image for image in lab.photographs().images for _ in range(2)][:BATCH]
    inputs, objective = network.preprocess(images), lab.logit(3)
    tasks = {"bare": bare(network), "gradient": lambda: explainers.get("gradient")(network, inputs, objective)}
    tasks |= {"deeplift": lambda: explainers.get("deeplift")(network, inputs, objective)}
    for name in COMPOSITES:
        tasks[f"lrp {name}"] = lambda name=name: explainers.get("lrp")(network, inputs, objective, composite=name)
    seconds = clock.interleaved(tasks, 5)
    for name, value in seconds.items():
        if name != "bare":
            clock.row(name, value / seconds["bare"], GOALS.get(name.partition(" ")[0]), "of a bare gradient")
    of_gradient = peak.of("gradient", BATCH)
    for name in ("deeplift", "lrp"):
        clock.row(f"peak memory, {name} / gradient, {BATCH} images", peak.of(name, BATCH) / of_gradient, None)


ALL = (relevance,)
