"""Contract: what any explainer, ours or external, must keep before it is judged."""

import numpy as np

from lab.attribution.calls import attribute, resolve_options
from lab.environment import tf
from lab.isolation import MethodFault
from lab.refusal import Refused, describe

# Relative L2: ReLU kinks may flip under another batch size, and break pointwise maxima.
SAME = 1e-3


def violations(explainer, network, inputs, objective, /, *, seed=0, **options):
    """Every promise that an explainer breaks on some inputs.

    The promises: maps of the right structure and shape; float32; finite; the same for the same seed; an image's map the
    same alone as in a batch; nothing raised; weights and inputs left as they were. Maps of the lab's own methods have
    memory of their own besides; those of others are copied before.

    Args:
        explainer: the method.
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        seed: int.
        options: options of the method.

    Returns:
        list of str, empty if none is broken.
    """
    arrays = network.inputs(inputs)
    try:
        return _broken_promises(explainer, network, arrays, objective, seed, options)
    except Refused as error:
        return [f"refused: {error}"]
    except MethodFault as error:
        return [str(error)]
    except Exception as error:
        # Whatever external code raises is a broken promise.
        return [f"it raised {describe(error)}"]


def _broken_promises(explainer, network, arrays, objective, seed, options):
    def explain(inputs, rows_objective):
        return attribute(
            explainer, network, inputs, rows_objective, **resolve_options(explainer, network, seed, options)
        )

    maps = explain(arrays, objective)
    broken = []
    if any(leaf.dtype != np.float32 for leaf in tf.nest.flatten(maps)):
        broken.append(f"maps are float32; received {tf.nest.flatten(maps)[0].dtype}")
    if not all(np.isfinite(leaf).all() for leaf in tf.nest.flatten(maps)):
        broken.append("maps are finite")
    again = explain(arrays, objective)
    if not _are_equal(maps, again):
        broken.append("the same seed gives the same bytes")
    if _share_memory(maps, again) or _share_memory(maps, arrays):
        broken.append("maps have memory of their own")
    if not all(
        _are_near(_one_row(maps, index), explain(_one_row(arrays, index), objective.rows([index]))) for index in (0, -1)
    ):
        broken.append("an image's map is the same alone as in a batch")
    return broken


def _one_row(arrays, index):
    return tf.nest.map_structure(lambda leaf: leaf[index:][:1], arrays)


def _are_equal(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b)))


def _share_memory(a, b):
    return any(np.shares_memory(x, y) for x in tf.nest.flatten(a) for y in tf.nest.flatten(b))


def _are_near(a, b):
    return all(
        np.linalg.norm(x - y) <= SAME * max(np.linalg.norm(x), np.linalg.norm(y))
        for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b))
    )
