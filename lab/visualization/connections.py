"""Connections of a unit: units before and after it by weights, and the classes that use it."""

from dataclasses import dataclass

import numpy as np

from lab import routines, taps
from lab.address import is_port
from lab.environment import keras, tf
from lab.objectives import logit


@dataclass(frozen=True)
class Link:
    """A layer's neighbour through one layer of weights.

    Args:
        layer: the address of the neighbouring units.
        through: the path of the weights.
        strength: float32 [units, neighbouring units], signed sums over kernel positions.
    """

    layer: str
    through: str
    strength: np.ndarray

    def strongest(self, unit, count=6):
        """The neighbours with the largest magnitudes: list of (unit, strength).

        Args:
            unit: int, a channel of the layer.
            count: int, neighbours at most.

        Returns:
            list of (int, float), the largest magnitude first.
        """
        row = self.strength[unit]
        return [(int(channel), float(row[channel])) for channel in np.argsort(-np.abs(row), kind="stable")[:count]]


def links(network, layer):
    """The neighbours of a layer's channels through convolutions and dense layers.

    Depthwise convolutions, normalizations, activations and pooling keep channels apart and are passed through. Weights that
    reach a channel by several positions are summed. Heads of attention have no such neighbours.

    Args:
        network: a `Network`.
        layer: the address of a layer.

    Returns:
        (links before, links after), lists of `Link`.
    """
    if is_port(layer):
        return [], []
    graph = layer_graph(network)
    mixing = {path: _matrix(network.tree[path]) for path in graph if path and mixes(network.tree[path])}
    shape = network.shapes[layer]
    before = [
        Link(source, through, mixing[through].T)
        for through, source in _producing_weights(layer, graph, mixing)
        if mixing[through].shape[1] == shape[-1]
    ]
    after = [
        Link(_output_layer(through, graph, mixing), through, _fold_positions(mixing[through], shape))
        for through in mixing
        if layer in _unmixed_sources(through, graph, mixing) and _fold_positions(mixing[through], shape) is not None
    ]
    return before, after


def mixes(layer):
    """Whether each channel of a layer is made of all channels before it: bool."""
    return isinstance(layer, (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)) and (
        getattr(layer, "groups", 1) == 1
    )


def _matrix(layer):
    """A layer's weights from input channels to output channels, summed over kernel positions: float32 [in, out]."""
    kernel = layer.kernel.numpy().astype("float32")
    return kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0)


def _fold_positions(matrix, shape):
    """The weights from a layer's channels, [channels, out]; those of a flattened layer are summed over its positions."""
    if matrix.shape[0] % shape[-1]:
        return None
    return matrix.reshape(-1, shape[-1], matrix.shape[1]).sum(axis=0)


def layer_graph(network):
    """The layers whose outputs each layer takes directly; traced once a network.

    Returns:
        dict of path to list of paths, in the order of the calls; "" has the layers of the model's own outputs.
    """
    if "layer_graph" not in network.compiled:
        network.compiled["layer_graph"] = _trace_layer_graph(network)
    return network.compiled["layer_graph"]


def ancestors(network, layer=None):
    """The layers that a layer depends on, itself among them: list of paths, in the order of the calls.

    Where no layer is named, those that the outputs depend on.

    Args:
        network: a `Network`.
        layer: the address of a layer; None: the model's outputs.

    Returns:
        list of str.
    """
    graph, waiting, visited = layer_graph(network), [layer or ""], set()
    while waiting:
        path = waiting.pop()
        if path not in visited:
            visited.add(path)
            waiting += graph.get(path, [])
    return [path for path in graph if path in visited and path]


def _trace_layer_graph(network):
    graph = {}

    def trace_call(inputs):
        reader = taps.Reader()
        with taps.intercept(network.tree.values(), reader):
            outputs = tf.nest.flatten(network.call(inputs))
        producers = {}
        for path, layer in network.tree.items():
            if path and not isinstance(layer, keras.Model):
                for tensor in reader.outputs.get(id(layer), [])[:1]:
                    if reader.sees(tensor):
                        producers.setdefault(tensor.op, path)
        graph.update({path: _producers_of(op.inputs, producers) for op, path in producers.items()})
        graph[""] = _producers_of(outputs, producers)

    tf.function(trace_call, autograph=False).get_concrete_function(network.spec)
    return {path: graph[path] for path in ["", *network.shapes] if path in graph}


def _producers_of(tensors, producers):
    """The nearest tensors upstream that are outputs of layers: list of paths."""
    waiting, visited, paths = list(tensors), set(), []
    while waiting:
        source = waiting.pop().op
        if source in visited:
            continue
        visited.add(source)
        if source in producers:
            paths.append(producers[source])
        else:
            waiting += source.inputs
    return paths


def _producing_weights(layer, graph, mixing):
    """The weights that produce a layer's channels, and the layer that feeds them: list of (path, path)."""
    waiting, visited, makers = [layer], set(), []
    while waiting:
        path = waiting.pop()
        if path in visited:
            continue
        visited.add(path)
        if path in mixing:
            makers += [(path, source) for source in graph[path][:1]]
        else:
            waiting += graph.get(path, [])
    return makers


def _unmixed_sources(through, graph, mixing):
    """Every layer whose channels reach these weights without being mixed: set of paths."""
    waiting, visited = list(graph[through]), set()
    while waiting:
        path = waiting.pop()
        if path not in visited:
            visited.add(path)
            if path not in mixing:
                waiting += graph.get(path, [])
    return visited


def _output_layer(through, graph, mixing):
    """The last layer that passes on what these weights compute, without mixing or adding."""
    path = through
    while True:
        onward = [consumer for consumer, sources in graph.items() if consumer and path in sources]
        if len(onward) != 1 or onward[0] in mixing or graph[onward[0]] != [path]:
            return path
        path = onward[0]


def usage(network, data, layer, *, count=5, batch=32, fit="crop"):
    """How much each class uses each unit (Olah et al. 2018, https://distill.pub/2018/building-blocks).

    A contribution is gradient x activation of a class's logit, summed over positions and in units of the logit. It is
    averaged over the images where the class is among the `count` highest.

    Args:
        network: a `Network`.
        data: `lab.Data`.
        layer: the address of a layer.
        count: how many classes of each image.
        batch: images at a time.
        fit: "squash" or "crop", as of `Network.preprocess`.

    Returns:
        classes int [classes], and contributions float32 [classes, units].
    """
    totals, times = {}, {}
    for start in range(0, len(data), batch):
        inputs = network.preprocess(data.images[start : start + batch], fit=fit)
        highest = np.argsort(-routines.logits(network, inputs), axis=1)[:, :count]
        for rank in range(highest.shape[1]):
            drawn = routines.layer_gradient(network, inputs, logit(highest[:, rank]), layer, _contribution)
            for class_index, row in zip(highest[:, rank], drawn):
                totals[class_index] = totals.get(class_index, 0.0) + row
                times[class_index] = times.get(class_index, 0) + 1
    classes = np.array(sorted(totals), int)
    return classes, np.stack([totals[index] / times[index] for index in classes]).astype("float32")


def _contribution(activation, slope):
    product = activation * slope
    return tf.reduce_sum(tf.reshape(product, [tf.shape(product)[0], -1, product.shape[-1]]), axis=1)
