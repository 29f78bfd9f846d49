"""Limits: the models and objectives that libraries which cut Keras models can explain; all others are refused."""

import numpy as np

from lab.address import parse
from lab.environment import keras, tf
from lab.refusal import Refused


def refuse_uncuttable(network, library):
    """Raise Refused unless a model is Functional or Sequential, channels-last, of one floating input and one output.

    Args:
        network: a `Network`.
        library: str, its name in the error.

    Raises:
        Refused: for a network that the library cannot cut.
    """
    if not isinstance(network.model, (keras.src.models.Functional, keras.Sequential)):
        raise Refused(
            f"{library} cuts Functional and Sequential models only. Received: {type(network.model).__name__}."
        )
    if len(network.places()) > 1 or len(network.outputs) > 1:
        raise Refused(f"{library} explains models of one input and one output. Received: several.")
    if network.channels_first:
        raise Refused(f"{library} reads channels-last models. Received: {network.name}, which is channels-first.")
    declared, accepted = tf.nest.flatten(network.declared)[0].dtype, network.places()[0][1].dtype
    if not declared.is_floating or not accepted.is_floating:
        takes = f"ids, given as {declared.name}" if declared.is_floating else declared.name
        raise Refused(f"{library} takes gradients at floating inputs. Received: {network.name}, which takes {takes}.")
    stateful = [path for path, layer in network.tree.items() if getattr(layer, "stateful", False)]
    if stateful:
        raise Refused(f"{library} would change the state of a network. Received: {stateful[0]!r}, which is stateful.")


def refuse_head(network, library, taken_off=False):
    """Raise Refused where a model ends in a softmax or sigmoid that the library does not take off.

    Args:
        network: a `Network`.
        library: str, its name in the error.
        taken_off: bool, whether the library takes the softmax or sigmoid off.

    Raises:
        Refused: for a network that ends in softmax or sigmoid, unless the library takes it off.
    """
    if any(network.heads.values()) and not taken_off:
        raise Refused(
            f"{library} explains the model's outputs, and the lab explains logits. Received: {network.name}, which ends in {next(iter(network.heads.values()))}."
        )


def one_logit(network, inputs, objective, library):
    """The one input, and each sample's class.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        library: str, its name in the error.

    Returns:
        array [batch, ...], and int [batch].

    Raises:
        Refused: for any other objective or model.
    """
    refuse_uncuttable(network, library)
    (kind, where, *_), units = objective.structure[0], next(iter(network.outputs.values()))[-1]
    classes = kind == "logit" or (kind == "class_score" and units != 1)
    if len(objective.terms) > 1 or not classes or where is not None or objective.weights[0] != 1:
        raise Refused(f"{library} explains one logit. Received: {objective}.")
    arrays = network.inputs(inputs)
    return arrays, np.asarray(objective.numbers(len(arrays))[0][0])


def top_level(network, layer, library):
    """The name of a layer with rows and columns.

    Args:
        network: a `Network`.
        layer: the address of a layer; None: the last with rows and columns.
        library: str, its name in the error.

    Returns:
        str.

    Raises:
        Refused: for a layer without rows and columns, or inside another model.
    """
    address = network.check_positions(network.last_spatial() if layer is None else layer, axes=2)
    if "/" in address or parse(address).call:
        raise Refused(f"{library} reads top-level layers only. Received: {address!r}.")
    return address
