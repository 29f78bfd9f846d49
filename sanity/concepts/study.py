"""Study: activations of concepts and of a pool in some layers of a network, and what the score of each target does there."""

from dataclasses import dataclass, field

import numpy as np

from lab import routines
from lab.concepts import directional_derivatives, read_activations

ALL = "all concepts"


@dataclass(frozen=True)
class Study:
    """Activations and derivatives of one network.

    Args:
        title: str, the network in words.
        concepts: dict of name to dict of layer to float [inputs, channels].
        pool: dict of layer to float [inputs, channels], of the inputs that random sets are drawn from.
        targets: dict of name to dict of layer to float [inputs, channels], derivatives of the target's score at the inputs that
            are explained, summed over positions.
        images: dict of layer to float [inputs, channels], activations of the inputs that are explained.
        groups: int [inputs], the source of each input that is explained.
        vectors: dict of name to dict of layer to float [channels], concepts that are directions of the user.
        untrained: tuple of `Study`, of the same data in networks with random weights.
        network: a `Network`; None for arrays alone.
        inputs: what is explained, as the network takes it.
        objectives: dict of target to `Objective`.
        settings: dict.
    """

    title: str
    concepts: dict
    pool: dict
    targets: dict
    images: dict
    groups: np.ndarray
    vectors: dict = field(default_factory=dict)
    untrained: tuple = ()
    network: object = None
    inputs: object = None
    objectives: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)

    @property
    def name(self):
        """The row of a check that could not be asked about any concept: str."""
        return ALL

    @property
    def sizes(self):
        """How many inputs are explained: dict."""
        return {"images": len(self.groups)}

    @property
    def layers(self):
        """The layers, in the order in which they were named: list of addresses."""
        return list(self.pool)

    @property
    def rows(self):
        """Every question: list of (concept, layer, target)."""
        names = [*self.concepts, *self.vectors]
        layers_of = {name: self.vectors.get(name, self.layers) for name in names}
        return [(name, layer, target) for name in names for layer in layers_of[name] for target in self.targets]


def measure_study(network, concepts, pool, images, targets, layers, *, vectors=None, masks=None, fit="squash"):
    """Read activations and derivatives of a network.

    Args:
        network: a `Network`.
        concepts: dict of name to `lab.Data`.
        pool: `lab.Data`, what random sets are drawn from.
        images: `lab.Data`, what is explained.
        targets: dict of name to `Objective`.
        layers: list of addresses.
        vectors: dict of name to dict of layer to float [channels], or None.
        masks: dict of concept to its masks, as of `lab.concepts.read_activations`, or None.
        fit: how images are brought to the network's size.

    Returns:
        `Study`.

    Raises:
        Refused: for layers that the network does not have, and for activations that are not finite.
    """
    inputs = images.inputs_of(network, fit)
    return Study(
        network.name,
        {
            name: read_activations(network, data, layers, masks=(masks or {}).get(name), fit=fit)
            for name, data in concepts.items()
        },
        read_activations(network, pool, layers, fit=fit),
        {name: directional_derivatives(network, inputs, goal, layers) for name, goal in targets.items()},
        read_activations(network, images, layers, fit=fit),
        np.unique(np.array([str(group) for group in images.groups]), return_inverse=True)[1],
        dict(vectors or {}),
        network=network,
        inputs=inputs,
        objectives=dict(targets),
    )


def scores(study, target):
    """The score of a target for every input that is explained: float32 [inputs]."""
    return routines.scores(study.network, study.inputs, study.objectives[target])


def concept_row(concept, layer, target):
    """What a row about a concept is called: str.

    Args:
        concept: str, its name.
        layer: str, the address of a layer.
        target: str, the name of the target.

    Returns:
        str.
    """
    return f"{concept} at {layer} for {target}"
