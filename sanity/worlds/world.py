"""World: factors are drawn and rendered to inputs, and some decide the label. Swaps of factors show what a network uses."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lab.network import Network
from lab.preprocessing import linear_preprocessing


@dataclass(frozen=True)
class Samples:
    """Rendered samples of a world.

    Args:
        inputs: float32 [samples, ...].
        labels: int [samples], what a network is trained on.
        masks: bool [samples, ...] without channels, where the truth lies, or None.
        cue_labels: int [samples], what the planted cue says; None: the labels.
    """

    inputs: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None
    cue_labels: np.ndarray | None = None

    def __post_init__(self):
        if self.cue_labels is None:
            object.__setattr__(self, "cue_labels", self.labels)

    def __len__(self):
        return len(self.inputs)


# Samples of a table, of which the mean and the deviation of each column are taken.
BACKGROUND = 256


@dataclass(frozen=True)
class Training:
    """How a world's networks are trained.

    Args:
        samples: int, how many to draw.
        goal: float, training accuracy at which to stop, checked every five passes.
        passes: int, at most so many.
        batch: int, samples a step.
        rate: float, learning rate of Adam.
    """

    samples: int = 400
    goal: float = 0.98
    passes: int = 400
    batch: int = 40
    rate: float = 3e-3


@dataclass(frozen=True)
class World:
    """A synthetic data set whose labels are decided by a planted cue, and the network trained on it.

    Args:
        name: str.
        oracle: str, the truth in words.
        factors: (rng, count) -> dict of arrays [count, ...].
        render: factors -> `Samples`.
        build: () -> Keras model.
        causal_factors: names of the factors that decide the label together.
        distractor_factors: names of the factors that must not matter.
        training: `Training`; None where `build` sets the weights by hand.
        fit: factors at training, where they differ.
        without_cue: factors -> `Samples` without the cue, for cues that a tester does not know of.
        uninformative_cue: factors at training in which the cue says nothing.
        rival: the `World` of the same inputs that their second cue decides, which says nothing in this world; or None.
        values: what stands for black and white where the inputs are images.
        classes: int, how many classes there are; None: as many as the network has outputs.
        photographs: int, how many photographs its samples are crops of; None: they are no crops.
        part: what of the network is trained, see `sanity.worlds.trainable`; None: all of it, anew.
    """

    name: str
    oracle: str
    factors: Callable
    render: Callable
    build: Callable
    causal_factors: tuple
    distractor_factors: tuple = ()
    training: Training | None = field(default_factory=Training)
    fit: Callable | None = None
    without_cue: Callable | None = None
    uninformative_cue: Callable | None = None
    rival: "World | None" = None
    values: tuple = (-1.0, 1.0)
    classes: int | None = None
    photographs: int | None = None
    part: object = None

    def network(self):
        """The world's network as it is built, untrained: `Network`."""
        model = self.build()
        images = len(model.inputs) == 1 and len(model.inputs[0].shape) == 4
        preprocessing = linear_preprocessing(*self.values, model.inputs[0].shape[-1]) if images else None
        network = Network(model, name=self.name, preprocessing=preprocessing)
        if network.table_place is not None:
            network.background = network.check_background(self.draw(BACKGROUND, 0)[0].inputs)
        return network

    def draw(self, count, seed):
        """Samples to explain and to judge on, and their factors: (`Samples`, dict).

        Args:
            count: int, how many samples.
            seed: int.

        Returns:
            (`Samples`, dict of factor to array [count, ...]).
        """
        factors = self.factors(np.random.default_rng([seed, 1]), count)
        return self.render(factors), factors

    def training_data(self, seed):
        """Samples to train on: `Samples`."""
        rng = np.random.default_rng([seed, 2])
        return self.render((self.fit or self.factors)(rng, self.training.samples))

    def swap_factors(self, factors, names):
        """Samples whose named factors are those of their neighbour, all else unchanged: `Samples`.

        Args:
            factors: dict of factor to array [count, ...].
            names: names of the factors that are swapped.

        Returns:
            `Samples`.
        """
        return self.render(
            {name: np.roll(value, 1, axis=0) if name in names else value for name, value in factors.items()}
        )


def counterfactuals(world, factors):
    """Samples with swapped factors: dict of `Samples`. Keys: "before" for none, "cue", and each distractor.

    Args:
        world: the `World`.
        factors: dict of factor to array [count, ...].

    Returns:
        dict of str to `Samples`.
    """
    swaps = {"before": (), "cue": world.causal_factors, **{name: (name,) for name in world.distractor_factors}}
    return {name: world.swap_factors(factors, names) for name, names in swaps.items()}


def counterfactual_use(swapped, logits):
    """Whether a network uses what was planted, by swaps between samples.

    Args:
        swapped: as `counterfactuals` gives them.
        logits: inputs -> float [samples, classes].

    Returns:
        dict of float. `cue_flip_rate`: of the samples whose cue was swapped for another, the share answered as the new
            cue says. `unchanged/FACTOR`: of the samples that change when a distractor is swapped, the share whose answer
            stays. `relative_shift/FACTOR`: the change of the logit of the sample's label then, of the label that changes
            most, in units of the mean change when the cue is swapped. A swap that changes no sample tells nothing, and has
            no number.
    """
    logits_before, cue_labels = logits(swapped["before"].inputs), swapped["before"].cue_labels
    logits_cue, new_labels = logits(swapped["cue"].inputs), swapped["cue"].cue_labels
    differs = new_labels != cue_labels
    numbers = {
        "cue_flip_rate": float(np.mean((logits_cue.argmax(1) == new_labels)[differs]))
        if differs.any()
        else float("nan")
    }
    rows = np.arange(len(cue_labels))
    cue_shift = np.abs(logits_cue - logits_before)[rows, cue_labels]
    for name in [name for name in swapped if name not in ("before", "cue")]:
        # A sample may be given the value that it has.
        moved = _differing_rows(swapped[name].inputs, swapped["before"].inputs)
        if not moved.any():
            continue
        logits_swapped = logits(swapped[name].inputs)
        stays, shift = logits_swapped.argmax(1) == logits_before.argmax(1), np.abs(logits_swapped - logits_before)
        numbers[f"unchanged/{name}"] = float(np.mean(stays[moved]))
        shifts = (shift[rows, cue_labels], moved), (cue_shift, differs)
        numbers[f"relative_shift/{name}"] = _relative_shift(*shifts, cue_labels)
    return numbers


def _relative_shift(swapped, cue, labels):
    """The mean shift by a swap, of the label that shifts most, in units of the mean shift over labels by the cue's swap: float.

    A softmax leaves open how a shift is shared among the scores of the classes, so that the cue may hardly move one of them.

    Args:
        swapped, cue: (float [samples], bool [samples], which of them count).
        labels: int [samples].
    """
    means = []
    for label in np.unique(labels):
        shifts = [shift[counts & (labels == label)] for shift, counts in (swapped, cue)]
        # The score of the first class of one unit is always zero, and no map explains it.
        if all(map(len, shifts)) and any(values.any() for values in shifts):
            means.append([values.mean() for values in shifts])
    by_swap, by_cue = np.array(means).reshape(-1, 2).T
    return float(by_swap.max() / max(by_cue.mean(), 1e-12)) if len(means) else float("nan")


def _differing_rows(inputs, others):
    return (inputs != others).reshape(len(inputs), -1).any(axis=1)
