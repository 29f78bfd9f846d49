"""Study: some units of a network with their pictures, several a unit, and the natural images that they answer to."""

from dataclasses import dataclass, field

import numpy as np

from lab.objectives import goal
from lab.visualization.examples import Survey


@dataclass(frozen=True)
class Study:
    """Some units of a network with several pictures each, and the natural images that they respond to.

    Args:
        network: a `Network`.
        layer: str, the layer of the units; None: logits.
        units: tuple of int.
        data: the natural images.
        survey: `Survey`, the layer's responses to them.
        draw: the visualizer, `(network, objective, *, seed)` -> images [units, *extent, channels] in 0..1.
        pictures: uint8 [units, seeds, *extent, channels], what it drew.
        name: str, the visualizer's name.
        numbers: tuple of int, what the user calls the units; None: as the network does.
        fit: how images are brought to the network's size.
        settings: dict, of the visualizer.
    """

    network: object
    layer: str | None
    units: tuple
    data: object
    survey: Survey
    draw: object
    pictures: np.ndarray
    name: str = "maximize"
    numbers: tuple | None = None
    fit: str = "crop"
    settings: dict = field(default_factory=dict)

    def objective(self):
        """The objective that the pictures maximize: `Objective`."""
        return goal(self.layer, self.units)

    def network_inputs(self):
        """The pictures as inputs of the network: float32 [units, seeds, ...]."""
        inputs = self.network.preprocess(self.pictures.reshape(-1, *self.pictures.shape[2:]))
        return inputs.reshape(*self.pictures.shape[:2], *inputs.shape[1:])

    def natural_inputs(self, indices):
        """Natural images by their indices, as inputs of the network."""
        return self.network.preprocess([self.data.images[int(index)] for index in indices], fit=self.fit)

    @property
    def sizes(self):
        """How many units, pictures a unit, and natural images."""
        return {"units": len(self.units), "pictures": self.pictures.shape[1], "images": self.survey.count}

    @property
    def unit_numbers(self):
        """What the user calls the units: int [units]."""
        return np.array(self.units if self.numbers is None else self.numbers)

    @property
    def title(self):
        """The network and layer in words."""
        return f"{self.network.name}, {self.layer or 'logits'}"


def pictures(draw, network, layer, units, *, seed, count):
    """`count` pictures of each unit from as many seeds, in eight bits as they are stored: uint8 [units, count, ...].

    Args:
        draw: the visualizer, `(network, objective, *, seed)` -> images [units, *extent, channels] in 0..1.
        network: a `Network`.
        layer: str, the layer of the units; None: logits.
        units: list of int.
        seed: int, of the first picture of each unit; each further one has the next seed.
        count: int, pictures of each unit.

    Returns:
        uint8 [units, count, *extent, channels].
    """
    drawn = [np.asarray(draw(network, goal(layer, units), seed=seed + number)) for number in range(count)]
    return np.stack([np.round(255 * np.clip(images, 0, 1)).astype("uint8") for images in drawn], axis=1)
