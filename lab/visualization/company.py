"""Company: what a unit hangs together with: units before and after it by weights, and the classes that use it."""

from dataclasses import dataclass

import numpy as np

from lab import routines, taps
from lab.environment import keras, tf
from lab.objectives import logit


@dataclass(frozen=True)
class Link:
    """A layer's neighbour through one layer of weights: `layer`, where the neighbouring units are; `through`, the path of the
    weights; strength float32 [units of the layer asked for, neighbouring units], signed sums over kernel positions.
    """

    layer: str
    through: str
    strength: np.ndarray

    def strongest(self, unit, count=6):
        """The neighbours with the largest magnitudes: list of (unit, strength)."""
        row = self.strength[unit]
        return [(int(each), float(row[each])) for each in np.argsort(-np.abs(row), kind="stable")[:count]]


def links(network, layer):
    """The neighbours of a layer's channels through convolutions and dense layers -> (links before, links after), lists of `Link`.

    Depthwise convolutions, normalizations, activations and pooling keep channels apart and are passed through; a weight that
    reaches a channel by several positions is summed over them.
    """
    found = ways(network)
    mixing = {path: _matrix(network.tree[path]) for path in found if path and mixes(network.tree[path])}
    shape = network.shapes[layer]
    before = [
        Link(source, through, mixing[through].T)
        for through, source in _makers(layer, found, mixing)
        if mixing[through].shape[1] == shape[-1]
    ]
    after = [
        Link(_shown(through, found, mixing), through, _folded(mixing[through], shape))
        for through in mixing
        if layer in _sources(through, found, mixing) and _folded(mixing[through], shape) is not None
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


def _folded(matrix, shape):
    """The weights that leave a layer's channels, [channels, out]; those of a flattened layer are summed over its positions."""
    if matrix.shape[0] % shape[-1]:
        return None
    return matrix.reshape(-1, shape[-1], matrix.shape[1]).sum(axis=0)


def ways(network):
    """Which layers' outputs each layer's input is made of directly: dict of path to list of paths, in the order of the calls; under
    "", what the model's own outputs are made of. Traced once a network.
    """
    if "ways" not in network.compiled:
        network.compiled["ways"] = _ways(network)
    return network.compiled["ways"]


def ancestors(network, layer=None):
    """The layers that a layer is made from, itself among them, or all that the outputs are: list of paths, in the order of the calls."""
    found, waiting, seen = ways(network), [layer or ""], set()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += found.get(path, [])
    return [path for path in found if path in seen and path]


def _ways(network):
    found = {}

    def look(inputs):
        reader = taps.Reader()
        with taps.intercept(network.tree.values(), reader):
            outputs = tf.nest.flatten(network.call(inputs))
        made = {}
        for path, layer in network.tree.items():
            if path and not isinstance(layer, keras.Model):
                for tensor in reader.outputs.get(id(layer), [])[:1]:
                    if reader.sees(tensor):
                        made.setdefault(tensor.op, path)
        found.update({path: _behind(op.inputs, made) for op, path in made.items()})
        found[""] = _behind(outputs, made)

    tf.function(look, autograph=False).get_concrete_function(network.spec)
    return {path: found[path] for path in ["", *network.shapes] if path in found}


def _behind(tensors, made):
    """Walk back from tensors to the nearest ones that are outputs of layers: list of paths."""
    waiting, seen, found = list(tensors), set(), []
    while waiting:
        source = waiting.pop().op
        if source in seen:
            continue
        seen.add(source)
        if source in made:
            found.append(made[source])
        else:
            waiting += source.inputs
    return found


def _makers(layer, ways, mixing):
    """The weights that a layer's channels come out of, and the layer that feeds them: list of (path, path)."""
    waiting, seen, found = [layer], set(), []
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path in mixing:
            found += [(path, source) for source in ways[path][:1]]
        else:
            waiting += ways.get(path, [])
    return found


def _sources(through, ways, mixing):
    """Every layer whose channels reach these weights without being mixed on the way: set of paths."""
    waiting, seen = list(ways[through]), set()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            if path not in mixing:
                waiting += ways.get(path, [])
    return seen


def _shown(through, ways, mixing):
    """The layer that shows what these weights make: the last one that passes it on, neither mixed nor added to."""
    path = through
    while True:
        onward = [each for each, sources in ways.items() if each and path in sources]
        if len(onward) != 1 or onward[0] in mixing or ways[onward[0]] != [path]:
            return path
        path = onward[0]


def usage(network, data, layer, *, count=5, batch=32, fit="crop"):
    """How much each class draws on each unit: the mean of gradient x activation, summed over positions, of a class's logit, over
    the images where the class is among the `count` highest -> (classes int [seen], contributions float32 [seen, units]).

    A contribution is in units of the logit (Olah et al. 2018, https://distill.pub/2018/building-blocks).
    """
    totals, times = {}, {}
    for start in range(0, len(data), batch):
        inputs = network.preprocess(data.images[start : start + batch], fit=fit)
        highest = np.argsort(-routines.logits(network, inputs), axis=1)[:, :count]
        for rank in range(highest.shape[1]):
            drawn = routines.layer_gradient(network, inputs, logit(highest[:, rank]), layer, _contribution)
            for index, row in zip(highest[:, rank], drawn):
                totals[index] = totals.get(index, 0.0) + row
                times[index] = times.get(index, 0) + 1
    classes = np.array(sorted(totals), int)
    return classes, np.stack([totals[each] / times[each] for each in classes]).astype("float32")


def _contribution(activation, slope):
    product = activation * slope
    return tf.reduce_sum(tf.reshape(product, [tf.shape(product)[0], -1, product.shape[-1]]), axis=1)
