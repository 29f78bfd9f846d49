"""Outputs: every output tensor of a model under a name."""

from lab.environment import tf
from lab.refusal import Refused


def name_outputs(outputs, names):
    """Every tensor of a structure of outputs under a name: dict.

    Parts of dicts are named by their keys, parts of parts as "box/xy"; what is no tensor is left out.

    Args:
        outputs: the structure.
        names: the model's names for the parts of a list.

    Returns:
        dict of str to tensor.

    Raises:
        Refused: where there is no tensor.
    """
    leaves = [(path, leaf) for path, leaf in _leaves(outputs) if isinstance(leaf, tf.Tensor)]
    if not leaves:
        raise Refused(f"A model returns at least one array. Received: {type(outputs).__name__}.")
    flat = not isinstance(outputs, dict) and all(len(path) < 2 for path, _ in leaves)
    if flat and len(leaves) == len(names) == len(set(names)):
        return dict(zip(names, (leaf for _, leaf in leaves)))
    if flat and len(leaves) == 1:
        return {"output": leaves[0][1]}
    return {"/".join(path): leaf for path, leaf in leaves}


def _leaves(structure, path=()):
    if isinstance(structure, dict):
        parts = structure.items()
    elif isinstance(structure, (list, tuple)):
        parts = enumerate(structure)
    else:
        yield path, structure
        return
    for name, part in parts:
        yield from _leaves(part, (*path, str(name)))
