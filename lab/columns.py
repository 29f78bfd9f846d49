"""Columns: a model with one input for each column of a table, as a model that takes the whole table."""

from lab.environment import keras, tf


def join_columns(model):
    """A model that takes one table, in the place of a model with one number an input; it shares its weights.

    Args:
        model: a `keras.Model`.

    Returns:
        (`keras.Model` of a table [batch, columns], list of the columns' names); or None for a model with another kind of input.
    """
    struct = getattr(model, "_inputs_struct", None)
    tensors = tf.nest.flatten(struct) if struct is not None else []
    if len(tensors) < 2 or not all(map(_is_column, tensors)):
        return None
    names = list(struct) if isinstance(struct, dict) else [tensor.name for tensor in tensors]
    names = sorted(names) if isinstance(struct, dict) else names
    table = keras.Input((len(tensors),), name="table")
    parts = [
        table[:, place : place + 1] if len(tensor.shape) == 2 else table[:, place]
        for place, tensor in enumerate(tensors)
    ]
    outputs = model(tf.nest.pack_sequence_as(struct, parts))
    return keras.Model(table, outputs, name=model.name), names


def _is_column(tensor):
    """Whether an input is one floating number a sample."""
    return tuple(tensor.shape[1:]) in ((), (1,)) and tf.as_dtype(tensor.dtype).is_floating
