"""Head weights: where in the tensors of a network the queries, keys and values of one head of attention are computed."""

from dataclasses import dataclass

from lab.address import layer_path
from lab.attention import all_heads
from lab.environment import keras
from lab.refusal import Refused
from sanity.heads import head_name


@dataclass(frozen=True)
class Head:
    """The weights of one head.

    Args:
        name: str.
        parts: tuple of (path of a layer, index). The head's weights are those at the index of the last axis but one.
    """

    name: str
    parts: tuple

    @property
    def layers(self):
        """The paths of the layers that hold its weights: set of str."""
        return {path for path, _ in self.parts}


def heads_of(network):
    """Every head of a network with the weights of its queries, keys and values.

    Args:
        network: a `Network`.

    Returns:
        list of `Head`, in the order in which attention runs.

    Raises:
        Refused: for a network without attention, and for attention whose queries, keys and values no layers of its own compute.
    """
    return [_head(network, address, head) for address, head in all_heads(network)]


def _head(network, address, head):
    heads = network.attentions[address].heads
    inside = f"{layer_path(address)}/"
    projections = {path: _head_count(layer) for path, layer in network.tree.items() if path.startswith(inside)}
    # Where fewer heads of keys and values serve several queries each, those of one group share them.
    parts = tuple((path, head * count // heads) for path, count in projections.items() if count)
    if not parts:
        raise Refused(
            f"The weights of a head are drawn where the attention layer projects queries, keys and values itself. Received: {address!r} of {network.attentions[address].type}. Give unit = 'layer'."
        )
    return Head(head_name(address, head), parts)


def _head_count(layer):
    """How many heads a layer projects its inputs to: int, None for a layer that does something else."""
    if not isinstance(layer, keras.layers.EinsumDense):
        return None
    inputs, kernel = layer.equation.split("->")[0].split(",")
    outputs = [label for label in kernel if label not in inputs]
    return layer.kernel.shape[-2] if len(outputs) == 2 and kernel.endswith("".join(outputs)) else None
