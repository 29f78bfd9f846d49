"""World: factors are drawn, rendered to inputs, and one of them is the answer; swaps of factors show what a network uses."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lab.network import Network
from lab.preprocessing import linear_preprocessing


@dataclass(frozen=True)
class Samples:
    """inputs: float32 [samples, ...]. labels: int [samples], what a network is trained on. masks: bool [samples, ...] without
    channels, where the truth lies, or None. cue_labels: int [samples], what the planted cue says; None: the labels.
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


@dataclass(frozen=True)
class Training:
    """samples: how many to draw. goal: training accuracy at which to stop, looked at every five passes. passes: at most so
    many. batch: samples a step. rate: of Adam.
    """

    samples: int = 400
    goal: float = 0.98
    passes: int = 400
    batch: int = 40
    rate: float = 3e-3


@dataclass(frozen=True)
class World:
    """factors: (rng, count) -> dict of arrays [count, ...]. render: factors -> `Samples`. build: () -> Keras model. causal_factors:
    names of the factors that decide the answer together; distractor_factors: of those that must not matter. oracle: the truth in words.
    training: None where `build` gives a network whose weights are set by hand. fit: factors at training, where they differ.
    without_cue: factors -> `Samples` without the cue, and uninformative_cue: factors at training in which the cue says nothing, for cues that a
    tester does not know of. rival: the same inputs, decided by their second cue, which says nothing in this world; None where
    there is one cue. values: what stands for black and white where the inputs are images.
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

    def network(self):
        """The world's network as it is built, untrained: `Network`."""
        model = self.build()
        images = len(model.inputs) == 1 and len(model.inputs[0].shape) == 4
        preprocessing = linear_preprocessing(*self.values, model.inputs[0].shape[-1]) if images else None
        return Network(model, name=self.name, preprocessing=preprocessing)

    def draw(self, count, seed):
        """Samples to explain and to judge on, and their factors."""
        factors = self.factors(np.random.default_rng([seed, 1]), count)
        return self.render(factors), factors

    def training_data(self, seed):
        """Samples to train on."""
        rng = np.random.default_rng([seed, 2])
        return self.render((self.fit or self.factors)(rng, self.training.samples))

    def swap_factors(self, factors, names):
        """Samples whose named factors are those of their neighbour, all else as it was."""
        return self.render(
            {name: np.roll(value, 1, axis=0) if name in names else value for name, value in factors.items()}
        )


def counterfactuals(world, factors):
    """Samples as they are, under "before"; with their cue swapped, under "cue"; with each distractor swapped: dict of `Samples`."""
    swaps = {"before": (), "cue": world.causal_factors, **{name: (name,) for name in world.distractor_factors}}
    return {name: world.swap_factors(factors, names) for name, names in swaps.items()}


def counterfactual_use(swapped, logits):
    """Whether a network uses what was planted, by swaps between samples: dict of numbers.

    swapped: as `counterfactuals` gives them. logits: inputs -> float [samples, classes]. cue_flip_rate: share of the samples whose cue
    was swapped for a different one that are now answered as the new cue says. unchanged/FACTOR: share whose answer is the same after
    a distractor was swapped. relative_shift/FACTOR: how far the answer's logit moved then, in units of its move under a swap of the cue.
    """
    first, cue_labels = logits(swapped["before"].inputs), swapped["before"].cue_labels
    second, new = logits(swapped["cue"].inputs), swapped["cue"].cue_labels
    differs = new != cue_labels
    found = {"cue_flip_rate": float(np.mean((second.argmax(1) == new)[differs])) if differs.any() else float("nan")}
    rows = np.arange(len(cue_labels))
    moved = np.abs(second - first)[rows, cue_labels][differs].mean() if differs.any() else np.nan
    for name in [name for name in swapped if name not in ("before", "cue")]:
        other = logits(swapped[name].inputs)
        found[f"unchanged/{name}"] = float(np.mean(other.argmax(1) == first.argmax(1)))
        found[f"relative_shift/{name}"] = float(np.abs(other - first)[rows, cue_labels].mean() / moved)
    return found
