"""DeepLIFT: contributions of each input to the difference of a score from that of a reference, by a rule for each operation."""

import numpy as np

from lab import chunks, routines
from lab.attribution import explainers
from lab.attribution.options import as_float32
from lab.attribution.paths import baselines, broadcast_baseline, stack_baselines
from lab.difference_rules import RULES
from lab.embeddings import at_embeddings
from lab.environment import tf
from lab.refusal import Refused
from lab.registry import nearest


@explainers.register(complete=baselines)
@at_embeddings
def deeplift(network, inputs, objective, *, baseline=0.0, rule="rescale"):
    """DeepLIFT (Shrikumar, Greenside, Kundaje 2017, https://arxiv.org/abs/1704.02685).

    Products of two activations, as in attention and gates, are shared half and half. `lab.difference_rules` derives the rule
    of each operation.

    Args:
        baseline: the reference, as of `integrated_gradients`.
        rule: of activations. "rescale"; "reveal_cancel" behind layers with weights, where what raises a unit and what lowers it have
            contributions though they cancel; "reveal_cancel_dense": behind dense layers alone. Activations of several operations,
            such as GELU and gates, and those behind grouped convolutions have "rescale" under every rule.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. The maps sum to
        score(inputs) - score(baseline), up to rounding.

    Raises:
        Refused: for an operation without a rule, named with its layer, and for an unknown rule.
    """
    arrays = network.inputs(inputs)
    return as_float32(
        _contributions(network, arrays, network.keep(arrays, broadcast_baseline(arrays, baseline)), objective, rule)
    )


@explainers.register(complete=baselines)
@at_embeddings
def deep_shap(network, inputs, objective, *, references=0.0, rule="rescale"):
    """DeepSHAP: the mean of DeepLIFT over many references (Lundberg, Lee 2017, https://arxiv.org/abs/1705.07874).

    Args:
        references: a number, a list of numbers, or arrays [references, ...].
        rule: as of `deeplift`.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. The maps sum to
        score(inputs) - mean score(references), up to rounding.

    Raises:
        Refused: for an operation without a rule, named with its layer, and for an unknown rule.
    """
    arrays = network.inputs(inputs)
    bases, rows = stack_baselines(arrays, references), len(tf.nest.flatten(arrays)[0])
    count, total = len(tf.nest.flatten(bases)[0]), None
    for number in range(count):
        reference = network.keep(arrays, _with_ids(arrays, chunks.take(bases, [number] * rows)))
        maps = _contributions(network, arrays, reference, objective, rule)
        total = maps if total is None else tf.nest.map_structure(np.add, total, maps)
    return as_float32(tf.nest.map_structure(lambda leaf: leaf / count, total))


def _contributions(network, arrays, reference, objective, rule):
    if rule not in RULES:
        raise Refused(
            f"A rule of DeepLIFT is one of {', '.join(RULES)}. Received: {rule!r}. {nearest(str(rule), RULES)}"
        )
    multipliers = routines.difference_multipliers(network, arrays, reference, objective, RULES[rule])
    return tf.nest.map_structure(
        lambda value, leaf, base: value * (leaf - base if leaf.dtype.kind == "f" else 0), multipliers, arrays, reference
    )


def _with_ids(arrays, reference):
    """The reference with the ids of the inputs."""
    return tf.nest.map_structure(lambda leaf, base: base if leaf.dtype.kind == "f" else leaf, arrays, reference)
