"""Defaults: the layer that a method looks at where none is named.

A candidate leads to every output, runs once where it can be read, and is not a part of another layer. So of an attention, a
wrapper or a user's own block only the output is a candidate, and nothing inside.
"""

import math

from lab import taps, tokens
from lab.address import layer_path
from lab.environment import keras
from lab.layers import enclosing_loop
from lab.refusal import Refused

# Operations that only change the layout of a layer's output: their input still counts as an output.
_SHAPING = {"Reshape", "Squeeze", "ExpandDims", "Identity", "Cast", "Transpose", "StopGradient"}


def has_positions(shape, rank=None):
    """Whether an output has positions between batch and channels, of free or more than one in number: bool.

    Args:
        shape: tuple of int or None, (batch, ..., channels); what is no tuple has no positions.
        rank: int, how many axes the shape must have; None: three or more.

    Returns:
        bool.
    """
    if not isinstance(shape, tuple) or len(shape) < 3 or (rank is not None and len(shape) != rank):
        return False
    return None in shape[1:-1] or math.prod(shape[1:-1]) > 1


def addresses_leading_to(tensors, outputs, results):
    """The addresses whose tensor every output depends on, or else the first output: set of str.

    Args:
        tensors: dict of address to graph tensor.
        outputs: list of graph tensors.
        results: dict of the name of a tensor to the name of the one that took its place, as of `lab.taps.Folder`.

    Returns:
        set of str, empty where no output depends on any of the tensors.
    """
    ways = [_upstream_names(tensor, results) for tensor in outputs]
    for names in (set.intersection(*ways), ways[0]):
        addresses = {address for address, tensor in tensors.items() if tensor.name in names}
        if addresses:
            return addresses
    return set()


def _upstream_names(output, results):
    """The names of all tensors that an output depends on, without its own, and of those whose results are among them."""
    while output.op.type in _SHAPING and output.op.inputs:
        output = output.op.inputs[0]
    names = taps.upstream_names(output)
    return names | {name for name, result in results.items() if result in names or result == output.name}


def is_public(path, tree):
    """Whether a layer belongs to the model itself, and is neither an inner model nor a part of another layer: bool.

    Args:
        path: str, the path of the layer.
        tree: dict of path to layer, all layers of the model.

    Returns:
        bool.
    """
    parts = path.split("/")
    parents = [tree.get("/".join(parts[:length])) for length in range(1, len(parts))]
    inside = any(parent is not None and not isinstance(parent, keras.Model) for parent in parents)
    return not inside and not isinstance(tree[path], keras.Model)


def candidates(network):
    """The layers that a method may choose by itself, in the order of the calls: list of addresses."""
    return [
        address
        for address in network.shapes
        if address in network.leading and is_public(layer_path(address), network.tree)
    ]


def last_spatial(network):
    """The last candidate with positions as the input has them, or whose tokens hold an image's patches.

    Raises:
        Refused: if there is none.
    """
    rank = spatial_rank(network)
    patches = set(tokens.influential(network, network.grids)) if network.grids else set()
    for address in reversed(candidates(network)):
        if address in patches or has_positions(network.shapes[address], rank):
            return address
    axes = "rows and columns" if rank == 4 else "positions"
    raise Refused(
        f"A CAM needs a layer with {axes} of its own. Received: {network.name}, which has none. {describe_candidates(network)}"
    )


def last_hidden(network):
    """The last candidate, whatever its axes.

    Raises:
        Refused: if there is none.
    """
    for address in reversed(candidates(network)):
        if len(network.shapes[address]) > 1:
            return address
    raise Refused(f"This needs a layer before the outputs. Received: {network.name}, which has none.")


def describe_candidates(network):
    """The candidates that have positions of any kind, as the end of an error message: str."""
    names = [address for address in candidates(network) if has_positions(network.shapes[address])]
    if not names:
        return "No layer has positions: layer_gradient_x_activation and its like look at any layer."
    descriptions = ", ".join(f"{name!r} {network.shapes[name]}" for name in names[:-5:-1])
    return f"Layers with positions, for layer=: {descriptions}."


def spatial_rank(network):
    """The rank of a layer's output that lies over the first input: int, or None where no input has positions."""
    # Ids gain an axis when they are embedded.
    ranks = [len(leaf.shape) + (not leaf.dtype.is_floating and len(leaf.shape) < 3) for _, leaf in network.places()]
    return next((rank for rank in ranks if rank > 2), None)


def is_readable(path, tensor, reader, tree):
    """Whether a layer returns one array per call that can be read: bool.

    Args:
        path: str, the path of the layer.
        tensor: what the layer returned; an array is a graph tensor.
        reader: the `lab.taps.Reader` that saw the call.
        tree: dict of path to layer, all layers of the model.

    Returns:
        bool.
    """
    return reader.sees(tensor) and enclosing_loop(path, tree) is None
