"""Subject: a network with the data it is to be explained on, the target frozen before anything is touched."""

from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.objectives import Objective, logit


@dataclass(frozen=True)
class Subject:
    """network; inputs as the model takes them; objective, one target per sample, frozen; names of the samples; correct: bool
    [samples], whether the network's top class is the label, or None where there are no labels.
    """

    network: object
    inputs: object
    objective: Objective
    names: tuple
    correct: np.ndarray | None = None


def subject(network, data, *, target="top", fit="squash"):
    """A network and images -> `Subject`. target: "top", each image's own highest class on the network as it is, or a class name or index."""
    inputs = network.preprocess(data.images, fit=fit)
    scores = next(iter(routines.outputs(network, inputs).values()))
    top = [int(each) for each in scores.argmax(axis=1)]
    index = top if target == "top" else network.class_index(target)
    network.check(logit(index))
    correct = (
        None
        if data.labels is None
        else np.array([network.class_index(label) == best for label, best in zip(data.labels, top)])
    )
    return Subject(network, inputs, logit(index), tuple(data.names), correct)
