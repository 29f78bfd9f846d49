"""Gradients of a score at the inputs, plain and by other rules at each ReLU."""

import numpy as np

from lab import routines
from lab.attribution import explainers
from lab.attribution.options import as_float32
from lab.embeddings import at_embeddings
from lab.environment import tf


@explainers.register(derivative="slope")
@at_embeddings
def gradient(network, inputs, objective):
    """Gradient of the score at the inputs (Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034).

    Args:
        inputs: what the model takes.

    Returns:
        signed float32 in the structure and shape of the inputs, in score per unit of input. For token ids it is the
        gradient at their embeddings, summed for each token.
    """
    return as_float32(routines.gradient(network, inputs, objective)[1])


@explainers.register(derivative="slope times input")
@at_embeddings
def gradient_x_input(network, inputs, objective):
    """Gradient times input (Shrikumar, Greenside, Shcherbina, Kundaje 2016, https://arxiv.org/abs/1605.01713).

    Args:
        inputs: what the model takes.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. For token ids it is gradient
        times embedding, summed for each token.
    """
    slopes = routines.gradient(network, inputs, objective)[1]
    return as_float32(tf.nest.map_structure(np.multiply, slopes, network.inputs(inputs)))


@explainers.register(rule="guided", slope=True)
@at_embeddings
def guided_backprop(network, inputs, objective):
    """Guided backpropagation (Springenberg, Dosovitskiy, Brox, Riedmiller 2014, https://arxiv.org/abs/1412.6806).

    It is the gradient, but each ReLU passes only the positive part of the incoming gradient on. ReLUs are Relu, Relu6,
    LeakyRelu, Elu and Selu.

    Args:
        inputs: what the model takes.

    Returns:
        signed float32 in the structure and shape of the inputs.

    Raises:
        Refused: for a network without a ReLU.
    """
    return as_float32(routines.propagate_by_rule(network, inputs, objective, "guided"))


@explainers.register(rule="deconv", slope=True)
@at_embeddings
def deconvnet(network, inputs, objective):
    """Deconvolutional network (Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901).

    It is the gradient, but each ReLU passes the positive part of the incoming gradient, whatever the unit's state.
    ReLUs are Relu, Relu6, LeakyRelu, Elu and Selu.

    Args:
        inputs: what the model takes.

    Returns:
        signed float32 in the structure and shape of the inputs.

    Raises:
        Refused: for a network without a ReLU.
    """
    return as_float32(routines.propagate_by_rule(network, inputs, objective, "deconv"))
