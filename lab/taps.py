"""Taps: interceptors around `layer.call`, in place only while a graph is being traced.

An interceptor is `(layer, call, args, kwargs) -> outputs`. `intercept(layers, *interceptors)` puts them around the
`call` of each layer, the first outermost, and removes them on leaving, whatever happens.
"""

import collections
import contextlib
import functools
import threading
import types

from lab import layout
from lab.environment import keras, tf

_tracing = threading.RLock()


@contextlib.contextmanager
def intercept(layers, *interceptors):
    """While open, calls of these layers by this thread pass through the interceptors.

    Args:
        layers: an iterable of Keras layers.
        interceptors: functions `(layer, call, args, kwargs) -> outputs`, the first outermost.

    Returns:
        context manager; the layers are restored when it is left.
    """
    with _tracing, contextlib.ExitStack() as taps:
        thread = threading.get_ident()
        for layer in layers:
            taps.enter_context(_tap(layer, interceptors, thread))
        yield


@contextlib.contextmanager
def _tap(layer, interceptors, thread):
    # Written to __dict__ because Keras's __setattr__ would track and convert it.
    plain = {name: function.__get__(layer) for name, function in _plain_methods(layer).items()}
    before = {name: layer.__dict__[name] for name in ("call", *plain) if name in layer.__dict__}
    original = layer.__dict__.get("call", layer.call)
    layer.__dict__.update(plain)
    layer.__dict__["call"] = _chain(layer, plain.get("call", original), original, interceptors, thread)
    try:
        yield
    finally:
        for name in ("call", *plain):
            layer.__dict__.pop(name, None)
        layer.__dict__.update(before)


def _plain_methods(layer):
    """Methods of a layer that are tf.functions, as plain functions: inside their own trace a tap would be blind."""
    functions = {}
    for base in reversed(type(layer).__mro__):
        for name, value in vars(base).items():
            # Nearly all are plain functions, and an abstract class is slow to ask.
            if type(value) is not types.FunctionType and isinstance(value, tf.types.experimental.PolymorphicFunction):
                functions[name] = value.python_function
            else:
                functions.pop(name, None)
    return functions


def _chain(layer, call, untouched, interceptors, thread):
    chained = call
    for interceptor in reversed(interceptors):
        chained = functools.partial(_intercept_call, interceptor, layer, chained)

    @functools.wraps(untouched)
    def tapped(*args, **kwargs):
        return (chained if threading.get_ident() == thread else untouched)(*args, **kwargs)

    return tapped


def _intercept_call(interceptor, layer, call, *args, **kwargs):
    return interceptor(layer, call, args, kwargs)


@contextlib.contextmanager
def stateless(layers):
    """While open, recurrent layers start from reset states, for any number of samples, and no assignment in a call is kept."""
    recurrent = [layer for layer in layers if isinstance(layer, _RECURRENT) and layer.stateful]
    with _tracing, keras.StatelessScope():
        for layer in recurrent:
            layer.__dict__["stateful"] = False
        try:
            yield
        finally:
            for layer in recurrent:
                layer.__dict__["stateful"] = True


@contextlib.contextmanager
def unrolled(layers):
    """While open, recurrent layers write their steps out one by one, where the number of steps is known."""
    recurrent = [layer for layer in layers if isinstance(layer, keras.layers.RNN) and not layer.unroll]
    with wrapped_function(keras.src.backend, "rnn", _recur_forwards):
        for layer in recurrent:
            layer.__dict__["unroll"] = True
        try:
            yield
        finally:
            for layer in recurrent:
                layer.__dict__["unroll"] = False


def _recur_forwards(recur, step, inputs, states, go_backwards=False, mask=None, **options):
    """The recurrence of a layer, of reversed steps where it goes backwards: written out, Keras 3.15 would not reverse their mask."""
    if go_backwards and mask is not None:
        inputs, mask = tf.reverse(inputs, [1]), tf.reverse(mask, [1])
        go_backwards = False
    return recur(step, inputs, states, go_backwards=go_backwards, mask=mask, **options)


@contextlib.contextmanager
def wrapped_function(module, name, function):
    """While open, a function of a module is called through another, which gets it first, by this thread alone.

    Args:
        module: the module, or a class.
        name: str, of its function.
        function: (the function, *args, **kwargs) -> what is returned in its place.

    Returns:
        context manager.
    """
    with _tracing:
        before, thread, is_inherited = getattr(module, name), threading.get_ident(), name not in vars(module)

        def wrapped(*args, **kwargs):
            is_other = threading.get_ident() != thread
            return before(*args, **kwargs) if is_other else function(before, *args, **kwargs)

        setattr(module, name, wrapped)
        try:
            yield
        finally:
            delattr(module, name) if is_inherited else setattr(module, name, before)


@contextlib.contextmanager
def first_values(values):
    """While open, variables of layers that are built begin with these values, and no initializer runs.

    Args:
        values: dict of (name of the layer, name of the variable) to array.

    Returns:
        context manager.
    """

    def add_weight(add, layer, *args, name=None, **options):
        options["initializer"] = lambda shape, dtype=None: values[layer.name, name]
        return add(layer, *args, name=name, **options)

    with wrapped_function(keras.layers.Layer, "add_weight", add_weight):
        yield


@contextlib.contextmanager
def plain_convolutions():
    """While open, Keras convolves group by group, and with channels last in three dimensions.

    Otherwise Keras compiles such a convolution to a graph of its own, since TensorFlow has none on CPUs.
    """
    with wrapped_function(keras.src.backend.nn, "conv", _convolve_groups):
        yield


@contextlib.contextmanager
def visible(layers):
    """While open, the operations of recurrent layers and of convolutions are in the graph itself, where they can be seen."""
    with unrolled(layers), plain_convolutions():
        yield


def _convolve_groups(convolve, inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    data_format = data_format or keras.config.image_data_format()
    if data_format == "channels_first" and len(inputs.shape) == 5:
        last = layout.to_channels_last(inputs)
        outputs = _convolve_groups(convolve, last, kernel, strides, padding, "channels_last", dilation_rate)
        return layout.to_channels_first(outputs)
    axis = 1 if data_format == "channels_first" else -1
    groups = inputs.shape[axis] // kernel.shape[-2]
    if groups == 1:
        return convolve(inputs, kernel, strides, padding, data_format, dilation_rate)
    if groups == inputs.shape[axis] and len(inputs.shape) == 4 and len(set(tf.nest.flatten(strides))) == 1:
        # As many groups as channels, of which there may be hundreds.
        depthwise = tf.reshape(kernel, [*kernel.shape[:-2], groups, kernel.shape[-1] // groups])
        step = tf.nest.flatten(strides)[0]
        return keras.ops.depthwise_conv(inputs, depthwise, step, padding, data_format, dilation_rate)
    pairs = zip(tf.split(inputs, groups, axis), tf.split(tf.convert_to_tensor(kernel), groups, -1))
    return tf.concat([convolve(*pair, strides, padding, data_format, dilation_rate) for pair in pairs], axis)


@contextlib.contextmanager
def without_flash(layers):
    """While open, attention is computed step by step: the fused kernel has no weights to read, and needs another backend."""
    fused = [layer for layer in layers if getattr(layer, "_flash_attention", None)]
    with _tracing:
        before = [layer._flash_attention for layer in fused]
        for layer in fused:
            layer.__dict__["_flash_attention"] = False
        try:
            yield
        finally:
            for layer, value in zip(fused, before):
                layer.__dict__["_flash_attention"] = value


_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)


class Reader:
    """Interceptor that keeps the outputs of every call of every layer: `outputs[id(layer)]`, a list by call.

    Args:
        turned: `(layer, tensor) -> bool`, whether channels are first in a layer's output. Such an output is kept with
            channels last, and the next layers get a tensor made from the one that is kept.
    """

    def __init__(self, turned=None):
        self.turned = turned
        self.graph = tf.compat.v1.get_default_graph()
        self.outputs = {}
        self.order = []
        # The layers that are running, the innermost last, each with the number of its call.
        self.running = []
        self._calls = collections.Counter()
        self._softmaxes = {}

    def __call__(self, layer, call, args, kwargs):
        self.running.append((id(layer), self._calls[id(layer)]))
        self._calls[id(layer)] += 1
        outputs = call(*args, **kwargs)
        self.running.pop()
        if isinstance(layer, keras.layers.Softmax):
            self._softmaxes[id(outputs)] = outputs
        turned = self.turned is not None and self.turned(layer, outputs)
        kept = layout.to_channels_last(outputs) if turned else outputs
        self.outputs.setdefault(id(layer), []).append(kept)
        self.order.append(id(layer))
        return layout.to_channels_first(kept) if turned else outputs

    def is_softmax(self, tensor):
        """Whether a tensor is what a Softmax layer returned, which may run over several axes at once: bool."""
        return id(tensor) in self._softmaxes

    def sees(self, tensor):
        """Whether a tensor belongs to the graph being traced, and not to a loop or an inner graph."""
        return tf.is_tensor(tensor) and getattr(tensor, "graph", None) is self.graph


class Replacer:
    """Interceptor that replaces the outputs of layers.

    Args:
        replaced: dict of (id(layer), number of the call) to a tensor with channels last.
        turned: as of `Reader`.
    """

    def __init__(self, replaced, turned=None):
        self.replaced, self.turned = replaced, turned
        self.calls = collections.Counter()

    def __call__(self, layer, call, args, kwargs):
        outputs = call(*args, **kwargs)
        number = self.calls[id(layer)]
        self.calls[id(layer)] += 1
        other = self.replaced.get((id(layer), number))
        if other is None:
            return outputs
        turned = self.turned is not None and self.turned(layer, outputs)
        return tf.cast(layout.to_channels_first(other) if turned else other, outputs.dtype)


class Folder:
    """Interceptor that computes BatchNormalization(convolution(x)) as one convolution with scaled weights.

    It folds where a BatchNormalization gets the direct output of a convolution or Dense layer. The unscaled convolution is
    then unused and pruned from the graph. Variables stay variables, so weights can be swapped. `layers` has the ids of the
    layers that were folded, one for each folding, and `results` what took the place of their outputs, by name.

    Args:
        exempt: set of ids of layers that are not folded.
    """

    def __init__(self, exempt=frozenset()):
        self.exempt = exempt
        self.convolved = {}
        self.layers, self.results = [], {}

    def __call__(self, layer, call, args, kwargs):
        if type(layer) in _KERNELS:
            return self._remember(layer, call, args, kwargs)
        source = self._source(args[0]) if type(layer) is keras.layers.BatchNormalization and args else None
        if source is None or not _can_fold(source[1], layer, kwargs):
            return call(*args, **kwargs)
        outputs = _fold(*source[1:], layer)
        self.layers.append(id(source[1]))
        self.results |= {tensor.name: outputs.name for tensor in (source[0], *_turned_from(args[0]))}
        return outputs

    def _source(self, tensor):
        """What was remembered of a tensor, also where a `Reader` turned its channels and turned them back; or None."""
        if id(tensor) not in self.convolved and _turned_from(tensor):
            turned = _turned_from(tensor)[0].op
            origin = turned.inputs[0].name if turned.type == "Transpose" else None
            return next((row for row in self.convolved.values() if row[0].name == origin), None)
        return self.convolved.get(id(tensor))

    def _remember(self, layer, call, args, kwargs):
        outputs = call(*args, **kwargs)
        if id(layer) not in self.exempt:
            # The outputs are kept with their id, so that no other tensor can get the id.
            self.convolved[id(outputs)] = (outputs, layer, call, args, kwargs)
        return outputs


def _turned_from(tensor):
    """The tensor whose axes were turned to make this one, in a list; an empty list where it is no such tensor."""
    return list(tensor.op.inputs[:1]) if getattr(getattr(tensor, "op", None), "type", "") == "Transpose" else []


def _scale_last_axis(kernel, scale):
    return kernel * scale


def _scale_depthwise(kernel, scale):
    return kernel * keras.ops.reshape(scale, kernel.shape[-2:])


_KERNELS = {
    keras.layers.Conv1D: _scale_last_axis,
    keras.layers.Conv2D: _scale_last_axis,
    keras.layers.Conv3D: _scale_last_axis,
    keras.layers.Dense: _scale_last_axis,
    keras.layers.DepthwiseConv1D: _scale_depthwise,
    keras.layers.DepthwiseConv2D: _scale_depthwise,
}


def _can_fold(source, norm, kwargs):
    linear = source.activation is None or source.activation is keras.activations.linear
    first = getattr(source, "data_format", "channels_last") == "channels_first"
    same = source.dtype_policy.name == norm.dtype_policy.name and getattr(source, "quantization_mode", None) is None
    plain = not getattr(source, "lora_enabled", False) and not kwargs.get("training")
    return (
        linear
        and same
        and plain
        and norm.axis in ((1,) if first else (-1, source.input_spec.ndim - 1 if source.input_spec.ndim else -1))
    )


def _fold(source, call, args, kwargs, norm):
    # Outside the scope of mixed precision weights are not cast. Inside it, the scaled ones are cast like any weight.
    with keras.src.backend.AutocastScope(None):
        scale, shift = affine(norm)
        kernel = source._kernel if hasattr(source, "_kernel") else source.kernel
        values = [(kernel, _KERNELS[type(source)](kernel.value, tf.cast(scale, kernel.value.dtype)))]
        if source.bias is not None:
            bias = source.bias.value
            values.append((source.bias, bias * tf.cast(scale, bias.dtype) + tf.cast(shift, bias.dtype)))
    with keras.StatelessScope(state_mapping=values):
        outputs = call(*args, **kwargs)
    if source.bias is not None:
        return outputs
    first = getattr(source, "data_format", "channels_last") == "channels_first"
    return tf.nn.bias_add(outputs, tf.cast(shift, outputs.dtype), "NC..." if first else "N...C")


def affine(norm):
    """A BatchNormalization at inference as y = x * scale + shift: two tensors [channels] of its variables' dtype."""
    scale = tf.math.rsqrt(norm.moving_variance.value + norm.epsilon)
    scale = scale * norm.gamma.value if norm.gamma is not None else scale
    shift = -norm.moving_mean.value * scale
    return scale, shift + norm.beta.value if norm.beta is not None else shift


class Calibrator:
    """Interceptor under which selected BatchNormalizations use, and report, the statistics of the current batch.

    Every layer gets what the layers before it computed on the same batch. So one pass gives the same as estimating layer
    by layer. `moments` maps id(layer) to (mean, variance), float32 [channels]: the batch's where selected, else the layer's own.

    Args:
        selected: dict of id(layer) to a bool tensor, so that one trace serves every selection.
    """

    def __init__(self, selected):
        self.selected = selected
        self.moments = {}

    def __call__(self, layer, call, args, kwargs):
        if id(layer) not in self.selected:
            return call(*args, **kwargs)
        inputs, moving = (
            tf.cast(args[0], tf.float32),
            [tf.cast(variable.value, tf.float32) for variable in (layer.moving_mean, layer.moving_variance)],
        )
        axes = [axis for axis in range(len(inputs.shape)) if axis != layer.axis % len(inputs.shape)]
        self.moments[id(layer)] = tf.cond(
            self.selected[id(layer)], lambda: list(tf.nn.moments(inputs, axes)), lambda: moving
        )
        with keras.StatelessScope(
            state_mapping=list(zip((layer.moving_mean, layer.moving_variance), self.moments[id(layer)]))
        ):
            return call(*args, **kwargs)


# Operations whose results depend on the shape of what they are given, and not on its numbers.
SHAPED = {"Shape", "OnesLike", "ZerosLike"}


def upstream_names(tensor, without=None):
    """The names of all tensors that a tensor is computed from.

    Args:
        tensor: a graph tensor.
        without: the name of a tensor that no way leads through; None: all ways count.

    Returns:
        set of str, without its own name.
    """
    names, waiting = set(), [tensor]
    while waiting:
        for origin in waiting.pop().op.inputs:
            if origin.name not in names and origin.name != without:
                names.add(origin.name)
                waiting.append(origin)
    return names


_ACTIVATIONS = {"Softmax", "LogSoftmax", "Sigmoid", "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Tanh"}
_HEADS = {"Softmax", "LogSoftmax", "Sigmoid"}
_PASSING = {"Identity", "Cast", "StopGradient", "ClipByValue", "Minimum"}


def preactivation(tensor, heads_only=False):
    """The tensor that an activation was applied to, and the name of the activation's operation; (tensor, None) if none.

    Only the operation that made the tensor is inspected, through casts. So it works in any model, however it is built.

    Args:
        tensor: graph tensor, such as an output of a model.
        heads_only: whether only softmax and sigmoid count as activations.

    Returns:
        (tensor, str), or (tensor, None).
    """
    names = _HEADS if heads_only else _ACTIVATIONS
    operation = tensor.op
    while operation.type in _PASSING and operation.inputs:
        operation = operation.inputs[0].op
    if operation.type not in names:
        return tensor, None
    return operation.inputs[0], operation.type
