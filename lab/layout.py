"""Layout: where channels lie. Inside the lab they are last, and arrays of a channels-first model are transposed.

Tensors are transposed on their path through the network, so that gradients at tensors that were read are those of the model.
"""

from lab.environment import tf


def channels_first(layers):
    """Whether any layer of a model says that channels come before positions: bool."""
    return any(getattr(layer, "data_format", None) == "channels_first" for layer in layers)


def puts_channels_first(layer, tensor):
    """Whether a layer of a channels-first model has put channels first: it says so, or its output has four axes or more.

    Args:
        layer: Keras layer.
        tensor: an output of the layer; what is no tensor has no channels.

    Returns:
        bool.
    """
    data_format = getattr(layer, "data_format", None)
    rank = tensor.shape.rank if tf.is_tensor(tensor) else None
    return rank is not None and (
        rank > 3 and data_format != "channels_last" or rank == 3 and data_format == "channels_first"
    )


def to_channels_last(tensor):
    """Channels from the second axis to the last."""
    return tf.transpose(tensor, [0, *range(2, len(tensor.shape)), 1])


def to_channels_first(tensor):
    """Channels from the last axis to the second."""
    rank = len(tensor.shape)
    return tf.transpose(tensor, [0, rank - 1, *range(1, rank - 1)])


def spec_channels_last(spec):
    """The TensorSpec of a channels-first model's image or volume, with channels last; others as they are."""
    if len(spec.shape) < 4:
        return spec
    batch, channels, *positions = spec.shape
    return tf.TensorSpec([batch, *positions, channels], spec.dtype)
