"""Relevance beside the bare compiled gradient, on EfficientNet-Lite0: `python -m tests.bench.relevance`."""

import lab
from lab.attribution import explainers
from lab.composites import COMPOSITES
from tests.bench import clock

# Goals as shares of a bare gradient: LRP by a composite, and DeepLIFT with one reference.
GOALS = {"lrp": 3.0, "deeplift": 2.2}
ROWS = 16


def relevance(network, bare):
    """Seconds of each composite and of DeepLIFT on 16 photographs, as shares of a bare gradient of 16.

    Args:
        network: a `Network`.
        bare: callable, the bare gradient of 16.
    """
    images = [image for image in lab.photographs().images for _ in range(2)][:ROWS]
    inputs, objective = network.preprocess(images), lab.logit(3)
    tasks = {"bare": bare, "gradient": lambda: explainers.get("gradient")(network, inputs, objective)}
    tasks |= {"deeplift": lambda: explainers.get("deeplift")(network, inputs, objective)}
    for name in COMPOSITES:
        tasks[f"lrp {name}"] = lambda name=name: explainers.get("lrp")(network, inputs, objective, composite=name)
    seconds = clock.interleaved(tasks, 5)
    for name, value in seconds.items():
        if name != "bare":
            clock.row(name, value / seconds["bare"], GOALS.get(name.partition(" ")[0]), "of a bare gradient")


if __name__ == "__main__":
    from tests.bench.__main__ import bare

    loaded = lab.load()
    relevance(loaded, bare(loaded))
