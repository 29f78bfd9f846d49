"""Inputs: what a model takes, and what the lab takes in its place.

Token ids are integers, even where a model declares them as floats. Images are floats, even where a model declares integers,
because integers have no gradient.
"""

import contextlib
from dataclasses import dataclass, field

import numpy as np

from lab import taps
from lab.environment import keras, tf
from lab.refusal import Refused

# The length of free sides in a trial run of a model.
_SIDE = 32


def declared_inputs(model):
    """TensorSpecs of the inputs that a model declares, in its own structure, with a free batch size.

    A list of one input becomes that input.

    Raises:
        Refused: where the model does not declare them.
    """
    inputs = (
        getattr(model, "_inputs_struct", None)
        if not isinstance(model, keras.Sequential)
        else (model.inputs or [None])[0]
    )
    if inputs is None:
        shape = (getattr(model, "_build_shapes_dict", None) or {}).get("input_shape")
        if shape is None or not all(side is None or isinstance(side, int) for side in shape):
            raise Refused(
                f"The model does not declare its inputs. Received: {model.name}. Give lab.load(..., spec=tf.TensorSpec([None, ...], dtype))."
            )
        return tf.TensorSpec([None, *shape[1:]], model.input_dtype)
    inputs = inputs[0] if isinstance(inputs, (list, tuple)) and len(inputs) == 1 else inputs
    return tf.nest.map_structure(lambda tensor: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype), inputs)


@dataclass(frozen=True)
class AcceptedInputs:
    """The inputs that the lab accepts for a model.

    Args:
        spec: TensorSpecs in the structure that the model declares.
        known: dict of an input's place to the number of ids that the Embedding behind it has.
        padding: dict of an input's place to the value of its masked steps.
    """

    spec: object
    known: dict = field(default_factory=dict)
    padding: dict = field(default_factory=dict)


def accept_inputs(run, layers, spec):
    """The inputs that the lab accepts in place of those that a model declares -> `AcceptedInputs`.

    Args:
        run: `inputs -> outputs` of the model in its own layout, which accepts floats.
        layers: the model's layers.
        spec: what the model declares.

    Returns:
        `AcceptedInputs`.
    """
    leaves = tf.nest.flatten(spec)
    if all(leaf.dtype.is_floating for leaf in leaves) and not any(isinstance(layer, _LOOKING) for layer in layers):
        return AcceptedInputs(spec)
    readers, reached = _trace_inputs(run, layers, spec, [leaf.dtype for leaf in leaves])
    embedded = [(place, layer) for place, layer in readers if isinstance(layer, keras.layers.Embedding)]
    known = {place: layer.input_dim for place, layer in embedded if place not in reached}
    padding = {place: 0 for place, layer in embedded if layer.mask_zero}
    padding |= {place: layer.mask_value for place, layer in readers if isinstance(layer, keras.layers.Masking)}
    spec = _with_dtypes(spec, {place: tf.int32 for place in known if leaves[place].dtype.is_floating})
    integer_places = [place for place, leaf in enumerate(leaves) if leaf.dtype.is_integer and place not in known]
    return AcceptedInputs(
        _as_float_images(run, layers, spec, integer_places, known) if integer_places else spec, known, padding
    )


# Layers that read the values of the inputs.
_LOOKING = (keras.layers.Embedding, keras.layers.Masking)


def _as_float_images(run, layers, spec, integer_places, known):
    """The spec, with integer inputs as floats where the model has a gradient and answers floats as it answers integers."""
    floats = {place: tf.as_dtype(keras.config.floatx()) for place in integer_places}
    dtypes = [leaf.dtype for leaf in tf.nest.flatten(_with_dtypes(spec, floats))]
    try:
        _, reached = _trace_inputs(run, layers, spec, dtypes)
    except (TypeError, ValueError, tf.errors.OpError):
        # The model needs integers.
        return spec
    pictured = _with_dtypes(spec, {place: floats[place] for place in integer_places if place in reached})
    return pictured if pictured != spec and _answers_alike(run, spec, pictured, known) else spec


def _trace_inputs(run, layers, spec, dtypes):
    """Trace a model once with inputs of these dtypes.

    Returns:
        list of (place of an input, layer) for the Embedding and Masking layers that get an input directly; and the
        set of the places of inputs that a gradient of the outputs reaches.
    """
    readers, reached = [], set()

    def trace_call(*leaves):
        def note_reader(layer, call, args, kwargs):
            place = _input_place(args[0], leaves) if args and isinstance(layer, _LOOKING) else None
            readers.extend([] if place is None else [(place, layer)])
            return call(*args, **kwargs)

        with taps.intercept(layers, note_reader):
            outputs = run(tf.nest.pack_sequence_as(spec, leaves))
        outputs = [output for output in tf.nest.flatten(outputs) if tf.is_tensor(output) and output.dtype.is_floating]
        floating = [place for place, leaf in enumerate(leaves) if leaf.dtype.is_floating]
        slopes = tf.gradients(outputs, [leaves[place] for place in floating]) if outputs and floating else []
        reached.update(place for place, slope in zip(floating, slopes) if slope is not None)
        return ()

    specs = [tf.TensorSpec(leaf.shape, dtype) for leaf, dtype in zip(tf.nest.flatten(spec), dtypes)]
    tf.function(trace_call, autograph=False).get_concrete_function(*specs)
    return readers, reached


def _input_place(tensor, leaves):
    """The place of the input that a tensor is, apart from its dtype: int, or None."""
    # A constant that a layer made when it was built, such as positions, is no tensor of this graph.
    if not hasattr(tensor, "op"):
        return None
    while tf.is_tensor(tensor) and tensor.op.type in ("Cast", "Identity", "Round"):
        tensor = tensor.op.inputs[0]
    return next((place for place, leaf in enumerate(leaves) if leaf is tensor or leaf.name == tensor.name), None)


def _answers_alike(run, spec, other, known):
    """Whether a model's outputs agree when random integers are given as they are and as floats; ids are drawn of those it knows."""
    if any(not (leaf.dtype.is_integer or leaf.dtype.is_floating) for leaf in tf.nest.flatten(spec)):
        return False
    rng = np.random.default_rng(0)
    drawn = [_draw_numbers(leaf, rng, known.get(place)) for place, leaf in enumerate(tf.nest.flatten(spec))]
    answers = []
    for variant in (spec, other):
        leaves = [tf.cast(array, leaf.dtype) for array, leaf in zip(drawn, tf.nest.flatten(variant))]
        outputs = tf.function(lambda inputs: run(inputs), autograph=False)(tf.nest.pack_sequence_as(spec, leaves))
        answers.append([np.asarray(output, "float64") for output in tf.nest.flatten(outputs) if tf.is_tensor(output)])
    return all(np.allclose(first, second, rtol=1e-3, atol=1e-5) for first, second in zip(*answers))


def _draw_numbers(leaf, rng, ids):
    shape = [2, *(side or _SIDE for side in leaf.shape[1:])]
    return rng.integers(0, min(ids or 256, leaf.dtype.max), shape) if leaf.dtype.is_integer else rng.normal(size=shape)


def _with_dtypes(spec, dtypes):
    leaves = [
        tf.TensorSpec(leaf.shape, dtypes.get(place, leaf.dtype)) for place, leaf in enumerate(tf.nest.flatten(spec))
    ]
    return tf.nest.pack_sequence_as(spec, leaves)


def masked_steps(leaf, value):
    """Which numbers of an input belong to masked steps: bool, in its shape.

    Masked ids equal the value; a masked step of floats has the value in all its numbers.

    Args:
        leaf: tensor [batch, ...], one of the inputs.
        value: number that marks a masked step.

    Returns:
        bool tensor in the shape of the leaf.
    """
    equal = tf.equal(leaf, tf.cast(value, leaf.dtype))
    return tf.reduce_all(equal, axis=-1, keepdims=True) & tf.ones_like(equal) if leaf.dtype.is_floating else equal


@contextlib.contextmanager
def allow_floats(layers):
    """While open, models do not convert floats to the integers that they declare."""
    models = [getattr(layer, "_functional", None) or layer for layer in layers]
    patches = [
        (model, "_convert_inputs_to_tensors", _convert_but_floats(model)) for model in models if _converts_inputs(model)
    ]
    # A Sequential casts floats (and only floats) to the dtype of its InputLayer before it is called.
    firsts = [layer._layers[0] for layer in layers if isinstance(layer, keras.Sequential) and layer._layers]
    patches += [
        (first, "_dtype", keras.config.floatx()) for first in firsts if isinstance(first, keras.layers.InputLayer)
    ]
    before = [(part, name, part.__dict__.get(name)) for part, name, _ in patches]
    for part, name, value in patches:
        part.__dict__[name] = value
    try:
        yield
    finally:
        for part, name, value in before:
            part.__dict__.pop(name) if value is None else part.__dict__.update({name: value})


def _converts_inputs(model):
    return hasattr(model, "_convert_inputs_to_tensors")


def _convert_but_floats(model):
    convert = type(model)._convert_inputs_to_tensors

    def convert_inputs(flat):
        pairs = zip(flat, convert(model, flat))
        return [original if _is_floating(original) and not _is_floating(cast) else cast for original, cast in pairs]

    return convert_inputs


def _is_floating(tensor):
    return tf.is_tensor(tensor) and tensor.dtype.is_floating


def zero_sample(spec):
    """One sample of zeros."""
    return tf.zeros([1, *(side or 1 for side in spec.shape[1:])], spec.dtype)


def check_input(array, spec, place, declared_spec, known=None):
    """An input as an array of the dtype that the lab takes.

    Args:
        array: the input.
        spec: what the lab takes.
        place: the input's name in errors.
        declared_spec: what the model declares.
        known: how many ids its Embedding has, or None.

    Returns:
        array of the dtype of `spec`.

    Raises:
        Refused: for a wrong shape or dtype, ids that are not whole numbers or out of range, an empty batch, NaN
            and infinity.
    """
    array = np.asarray(array)
    if declared_spec.dtype == tf.string or array.dtype.kind in "US" or _holds_text(array):
        raise Refused(
            f"Text is explained behind its lookup. Received: strings for {place}. Give network.tokenize(texts) where the model begins with a TextVectorization. Else make a model of the layers after its lookup, and give it the ids of the strings."
        )
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise Refused(f"Inputs are arrays of numbers. Received: {array.dtype} for {place}.")
    if not spec.shape.is_compatible_with(array.shape):
        raise Refused(
            f"Inputs have the shape that the {'lab' if declared_spec.shape != spec.shape else 'model'} takes, {tuple(spec.shape)}. Received: {array.shape} for {place}.{_layout_hint(array, spec, declared_spec)}"
        )
    if not len(array):
        raise Refused(f"A batch holds at least one sample. Received: none for {place}.")
    bad = [] if array.dtype.kind in "iub" else _rows_without_numbers(array)
    if bad:
        raise Refused(f"Inputs are finite numbers. Received: NaN or infinity in {place}, samples {bad[:8]}.")
    # Images that a model declares as integers may have values in between, on a path or with noise.
    if spec.dtype.is_integer or (declared_spec.dtype.is_integer and array.dtype.kind in "iu"):
        _refuse_out_of_range(array, declared_spec.dtype if declared_spec.dtype.is_integer else spec.dtype, place, known)
    return array.astype(spec.dtype.as_numpy_dtype, copy=False)


def _rows_without_numbers(array, most=1 << 20):
    """Places of samples with NaN or infinity, looked for in about so many values at a time: list of int."""
    axes, step = tuple(range(1, array.ndim)), max(1, most * len(array) // max(array.size, 1))
    parts = (np.isfinite(array[start : start + step]).all(axis=axes) for start in range(0, len(array), step))
    return np.flatnonzero(~np.concatenate(list(parts))).tolist()


def _holds_text(array):
    return array.dtype.kind == "O" and any(isinstance(entry, str) for entry in array.flat)


def _layout_hint(array, spec, declared_spec):
    """What to type for an image in a channels-first model's own layout."""
    if declared_spec.shape == spec.shape or not declared_spec.shape.is_compatible_with(array.shape):
        return ""
    axes = ", ".join(str(axis) for axis in (0, *range(2, array.ndim), 1))
    return (
        f" That is the model's own layout, channels first; the lab takes channels last: np.transpose(inputs, ({axes}))."
    )


def _refuse_out_of_range(array, dtype, place, known):
    """Raise Refused for numbers that an integer dtype would cut or wrap, and for ids that the Embedding does not have."""
    if array.dtype.kind not in "iub" and (array != np.round(array)).any():
        raise Refused(
            f"The model takes whole numbers, {dtype.name}. Received: {array[array != np.round(array)].flat[0]} in {place}."
        )
    low, high = (dtype.min, dtype.max) if known is None else (0, known - 1)
    if array.min() < low or array.max() > high:
        kind = dtype.name if known is None else "ids that the Embedding knows"
        raise Refused(f"{place} are {kind}, {low} to {high}. Received: {array.min()} to {array.max()}.")
