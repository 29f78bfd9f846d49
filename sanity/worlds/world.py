"""World: factors are drawn, rendered to inputs, and one of them is the answer; swaps of factors show what a network uses."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lab.network import Network
from lab.preprocessing import ranged


@dataclass(frozen=True)
class Samples:
    """inputs: float32 [samples, ...]. labels: int [samples], what a network is trained on. masks: bool [samples, ...] without
    channels, where the truth lies, or None. answers: int [samples], what the planted cue says; the labels unless cue and label
    may part.
    """

    inputs: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None
    answers: np.ndarray | None = None

    @property
    def told(self):
        """What the cue says: int [samples]."""
        return self.labels if self.answers is None else self.answers

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
    """factors: (rng, count) -> dict of arrays [count, ...]. render: factors -> `Samples`. build: () -> Keras model. causes:
    names of the factors that decide the answer together; idle: of those that must not matter. oracle: the truth in words.
    training: None where `build` gives a network whose weights are set by hand. fit: factors at training, where they differ.
    bare: factors -> `Samples` without the cue, and clean: factors at training in which the cue says nothing, for cues that a
    tester does not know of. rival: the same inputs, decided by their second cue, which says nothing in this world; None where
    there is one cue. values: what stands for black and white where the inputs are images.
    """

    name: str
    oracle: str
    factors: Callable
    render: Callable
    build: Callable
    causes: tuple
    idle: tuple = ()
    training: Training | None = field(default_factory=Training)
    fit: Callable | None = None
    bare: Callable | None = None
    clean: Callable | None = None
    rival: "World | None" = None
    values: tuple = (-1.0, 1.0)

    def network(self):
        """The world's network as it is built, untrained: `Network`."""
        model = self.build()
        images = len(model.inputs) == 1 and len(model.inputs[0].shape) == 4
        preprocessing = ranged(*self.values, model.inputs[0].shape[-1]) if images else None
        return Network(model, name=self.name, preprocessing=preprocessing)

    def draw(self, count, seed):
        """Samples to explain and to judge on, and their factors."""
        factors = self.factors(np.random.default_rng([seed, 1]), count)
        return self.render(factors), factors

    def lessons(self, seed):
        """Samples to train on."""
        rng = np.random.default_rng([seed, 2])
        return self.render((self.fit or self.factors)(rng, self.training.samples))

    def swapped(self, factors, names):
        """Samples whose named factors are those of their neighbour, all else as it was."""
        return self.render(
            {name: np.roll(value, 1, axis=0) if name in names else value for name, value in factors.items()}
        )


def counterfactuals(world, factors):
    """Samples as they are, under "before"; with their cue swapped, under "cue"; with each idle factor swapped: dict of `Samples`."""
    swaps = {"before": (), "cue": world.causes, **{name: (name,) for name in world.idle}}
    return {name: world.swapped(factors, names) for name, names in swaps.items()}


def uses(swapped, logits):
    """Whether a network uses what was planted, by swaps between samples: dict of numbers.

    swapped: as `counterfactuals` gives them. logits: inputs -> float [samples, classes]. follows: share of the samples whose cue
    was swapped for a different one that are now answered as the new cue says. stays/FACTOR: share whose answer is the same after
    an idle factor was swapped. moves/FACTOR: how far the answer's logit moved then, in units of its move under a swap of the cue.
    """
    first, told = logits(swapped["before"].inputs), swapped["before"].told
    second, new = logits(swapped["cue"].inputs), swapped["cue"].told
    differs = new != told
    found = {"follows": float(np.mean((second.argmax(1) == new)[differs])) if differs.any() else float("nan")}
    rows = np.arange(len(told))
    moved = np.abs(second - first)[rows, told][differs].mean() if differs.any() else np.nan
    for name in [name for name in swapped if name not in ("before", "cue")]:
        other = logits(swapped[name].inputs)
        found[f"stays/{name}"] = float(np.mean(other.argmax(1) == first.argmax(1)))
        found[f"moves/{name}"] = float(np.abs(other - first)[rows, told].mean() / moved)
    return found
