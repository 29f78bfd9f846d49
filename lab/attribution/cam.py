"""Class activation maps: one body, and a weight rule for each variant.

A rule turns a layer's activation and the score's gradient there, both [batch, rows, columns, channels], into weights that
broadcast against them; the map is their weighted sum over channels.
"""

from lab import routines
from lab.attribution import explainers
from lab.environment import tf


@explainers.register(resolution="layer")
def gradcam(network, inputs, objective, *, layer=None, relu=True):
    """Grad-CAM (Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra 2016, https://arxiv.org/abs/1610.02391).

    layer: address of a layer with rows and columns; None: the last such layer. relu: keep only what speaks for the score,
    as in the paper; False gives the signed map. -> float32 [batch, rows, columns] at the layer's own resolution.
    Raises ValueError for a layer without rows and columns, or one the score does not depend on.
    """
    return _cam(network, inputs, objective, layer, relu, _mean_gradient)


def _cam(network, inputs, objective, layer, relu, rule):
    address = network.last_spatial() if layer is None else network.spatial(layer)
    return routines.layer_gradient(network, inputs, objective, address, _weighted, weigh=rule, relu=bool(relu))


def _weighted(activation, gradient, weigh, relu):
    maps = tf.reduce_sum(weigh(activation, gradient) * activation, axis=-1)
    return tf.nn.relu(maps) if relu else maps


def _mean_gradient(activation, gradient):
    del activation  # Grad-CAM weighs by the gradient alone.
    return tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
