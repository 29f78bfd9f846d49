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

    inputs: what the model takes. -> maps of the same structure and shape, signed float32, in score per unit of input; for token
    ids, the gradient at what embeds them, summed token by token.
    """
    return as_float32(routines.gradient(network, inputs, objective)[1])


@explainers.register(derivative="slope times input")
@at_embeddings
def gradient_x_input(network, inputs, objective):
    """Gradient times input (Shrikumar, Greenside, Shcherbina, Kundaje 2016, https://arxiv.org/abs/1605.01713).

    inputs: what the model takes. -> maps of the same structure and shape, signed float32, in units of the score; for token ids,
    gradient times embedding, summed token by token.
    """
    slopes = routines.gradient(network, inputs, objective)[1]
    return as_float32(tf.nest.map_structure(np.multiply, slopes, network.inputs(inputs)))


@explainers.register(rule="guided")
@at_embeddings
def guided_backprop(network, inputs, objective):
    """Guided backpropagation (Springenberg, Dosovitskiy, Brox, Riedmiller 2014, https://arxiv.org/abs/1412.6806).

    The gradient, but at each ReLU (Relu, Relu6, LeakyRelu, Elu, Selu) only what is positive of it flows on. inputs: what the
    model takes. -> maps of the same structure and shape, signed float32. Raises Refused for a network without a ReLU.
    """
    return as_float32(routines.gradient(network, inputs, objective, rule="guided")[1])


@explainers.register(rule="deconv")
@at_embeddings
def deconvnet(network, inputs, objective):
    """Deconvolutional network (Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901).

    The gradient, but each ReLU (Relu, Relu6, LeakyRelu, Elu, Selu) passes what is positive of it, whatever the unit's own
    state. inputs: what the model takes. -> maps of the same structure and shape, signed float32. Raises Refused as above.
    """
    return as_float32(routines.gradient(network, inputs, objective, rule="deconv")[1])
