"""Rules: functions of a layer's activation and the score's gradient there, computed inside a graph.

They are arguments of `routines.layer_gradient` and a part of its trace's key, so methods that share a rule share a trace.
"""

from lab.environment import tf


def slope(activation, gradient):
    """The gradient itself.

    Args:
        activation: not used.
        gradient: tensor [batch, ...], the score's gradient at the layer.

    Returns:
        tensor [batch, ...].
    """
    del activation  # Unused.
    return gradient


def product(activation, gradient):
    """Activation times gradient.

    Args:
        activation: tensor [batch, ...] of the layer.
        gradient: tensor [batch, ...], the score's gradient at the layer.

    Returns:
        tensor [batch, ...].
    """
    return activation * gradient


def both(activation, gradient):
    """Activation and gradient, stacked: [batch, 2, ...].

    Args:
        activation: tensor [batch, ...] of the layer.
        gradient: tensor [batch, ...], the score's gradient at the layer.

    Returns:
        tensor [batch, 2, ...].
    """
    return tf.stack([activation, gradient], axis=1)
