"""Relevance: the backward pass of layer-wise relevance propagation, by a composite of rules.

values = relevance(network, inputs, objective, composite)                     at the inputs
values = relevance(network, inputs, objective, composite, layers=["conv5"])   and at layers
"""

import fnmatch

import numpy as np

from lab import chunks, routines
from lab.address import layer_path
from lab.composites import composite_of
from lab.environment import tf
from lab.kernels import DENSE, KERNELS, Kernel
from lab.propagation import (
    LINEAR,
    add_to,
    bottlenecks,
    gradient_rule,
    pass_rule,
    propagate,
    reached_names,
    refuse_operation,
)
from lab.refusal import Refused
from lab.registry import nearest
from lab.relevance_rules import FIRST_RULES, KERNEL_RULES, plain_rule, stabilize

# How many times the memory of a gradient relevance takes, since rules with signs convolve twice.
PASSES = 3
# Operations that move numbers, and such that scale or shift each number, before a first layer.
_SUM = {"Sum", "Mean", "AvgPool", "AvgPool3D", "Cumsum", "UnsortedSegmentSum"}
_MOVE = LINEAR - _SUM - {"AddV2", "Add", "AddN", "Sub", "BiasAdd", "Neg"}
_SCALE = {"Mul", "RealDiv", "AddV2", "Add", "Sub", "BiasAdd", "Neg"}


def relevance(
    network, inputs, objective, composite, *, layers=(), channels=None, alone=False, start="score", bounds=None
):
    """Relevance of the inputs, and of layers' outputs.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        composite: a `lab.composites.Composite` or the name of one.
        layers: addresses of layers.
        channels: dict of an address to a list of int, the channels of a layer that relevance may go through; None: all.
        alone: whether relevance that goes around these channels is left out, as through a skip connection; for those of one layer.
        start: "score", or "one" for a relevance of 1 in all.
        bounds: (low, high), the least and largest inputs, for "z_box"; arrays that broadcast against the inputs.

    Returns:
        arrays in the structure of the inputs; with layers also dict of address to float32 in the shape of the layer's output.

    Raises:
        Refused: for an operation without a rule, a pattern that fits no layer, and missing bounds.
    """
    if start not in ("score", "one"):
        raise Refused(f"Relevance starts with score or one. Received: start={start!r}.")
    composite, channels = composite_of(composite), channels or {}
    if alone and len(channels) != 1:
        raise Refused(
            f"alone= is for the channels of one layer. Received: channels of {', '.join(channels) or 'none'}."
        )
    _refuse_patterns(composite, network.tree, "that exist")
    question, reads = (network, objective, composite, start), tuple(dict.fromkeys([*layers, *channels]))
    masks = {address: _mask(network, address, places) for address, places in channels.items()}

    def body(batched, shared):
        weights, masks = shared
        backward = _Backward(question, weights, batched, reads, _exempt(network, composite, reads))
        values, read = backward.relevance(masks, alone)
        return values, {address: read[address] for address in layers}

    key = ("relevance", tuple(layers), tuple(sorted(channels)), alone)
    values, read = _run(question, key, body, inputs, masks, bounds)
    return (values, read) if layers else values


def conservation(network, inputs, objective, composite, *, start="score", bounds=None):
    """How much relevance arrives at each layer that all of it goes through.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        composite: as of `relevance`.
        start: as of `relevance`.
        bounds: as of `relevance`.

    Returns:
        dict of address to float32 [batch], the sum of relevance there, in units of the score; the last layer first, and
        "inputs" last.

    Raises:
        Refused: as `relevance`.
    """
    composite = composite_of(composite)
    question, reads = (network, objective, composite, start), [address for address in network.readable if address]

    def body(batched, shared):
        weights, _ = shared
        backward = _Backward(question, weights, batched, reads, _exempt(network, composite, ()))
        at_inputs, read = backward.narrow().relevance()
        parts = [_sum_of_rows(leaf) for leaf in tf.nest.flatten(at_inputs)]
        return {**{address: _sum_of_rows(values) for address, values in read.items()}, "inputs": sum(parts)}

    sums = _run(question, ("conservation",), body, inputs, {}, bounds)
    return {address: sums[address] for address in [*reversed(network.readable), "inputs"] if address in sums}


def _run(question, key, body, inputs, masks, bounds):
    """`lab.routines.run` of a backward pass: what its body returns."""
    network, objective, composite, start = question
    routines.refuse_integers(network)
    (arrays, numbers), weights = routines.prepare(network, inputs, objective)
    batched = (arrays, _bounds(network, arrays, composite, bounds), numbers)
    key = (*key, objective.structure, composite, start)
    return routines.run(network, key, body, batched, (weights, masks), most=chunks.size(network, PASSES))


def _sum_of_rows(values):
    return tf.reduce_sum(tf.cast(values, tf.float32), list(range(1, len(values.shape))))


class _Backward:
    """A backward pass inside a trace: the operations between inputs and scores, and the rule of each.

    Args:
        question: (network, objective, composite, start).
        weights: tensor, the objective's weights.
        batched: (inputs, bounds, numbers), tensors of the rows; bounds are the least and largest inputs, or none.
        reads: addresses of the layers whose relevance is read.
        exempt: ids of layers that BatchNormalization is not folded into.
    """

    def __init__(self, question, weights, batched, reads, exempt):
        self.network, self.objective, self.composite, self.start = question
        self.weights, (self.inputs, self.bounds, self.numbers) = weights, batched
        traced = self._trace(self.inputs, reads=reads, exempt=exempt)
        self.scores, self.operations, self.owners, self.read = traced if reads else (*traced, {})
        self.names = {op.name for op in self.operations}
        self.leaves = [leaf for leaf in tf.nest.flatten(self.inputs) if leaf.dtype.is_floating]
        self.first = self._first_kernels() if self.composite.first else {}
        self.kernels, self.at_first, self.weighted = {}, {}, set()

    def _trace(self, inputs, **options):
        return routines.trace_operations(self.network, self.objective, self.weights, inputs, self.numbers, **options)

    def _first_kernels(self):
        """The first layers with weights that no rule is named for: dict of an operation's name to it."""
        kernels = _first_kernels(self.operations, self.leaves, self.owners).items()
        return {name: op for name, op in kernels if self.composite.named_rule(self.owners.get(name, "")) is None}

    def narrow(self):
        """The same pass, which reads those layers alone that all relevance goes through."""
        names = bottlenecks(self.operations, self.leaves, self.scores)
        read = {tensor.name: (address, tensor) for address, tensor in self.read.items() if tensor.name in names}
        self.read = dict(read.values())
        return self

    def relevance(self, masks=None, alone=False):
        """Relevance of the inputs, in their structure, and of what is read, by address.

        Args:
            masks: dict of an address to 1 for its channels that relevance may go through.
            alone: whether what goes around these channels is left out.
        """
        sources = [*self.leaves, *self.read.values()]
        masks = {self.read[address].name: mask for address, mask in (masks or {}).items()}
        through, seeds = masks, self._seeds()
        if alone:
            seeds, masks = self._arriving(through, seeds, sources, self._rule_of), {}
            if seeds:
                self.at_first.clear()
        values = self._propagate(seeds, sources, self._rule_of, masks=masks)
        _refuse_patterns(self.composite, self.weighted, "with weights that lead to the score")
        relevances = [None if value is None else value * source for value, source in zip(values, sources)]
        if self.first:
            boxed = self._seeds_of_first()
            if alone and not seeds:
                # The layer stands before the first ones.
                boxed = self._arriving(through, boxed, sources, _carry_rule)
            carried = self._propagate(boxed, sources, _carry_rule, masks=masks)
            # Beside what leads around the first layers, such as a skip connection.
            relevances = [_add(*pair) for pair in zip(carried, relevances)]
        return self._in_structure(relevances)

    def _seeds(self):
        start = tf.ones_like(self.scores) if self.start == "score" else 1 / stabilize(self.scores)
        return {self.scores.name: start}

    def _propagate(self, seeds, sources, rule_of, **options):
        return propagate(seeds, sources, rule_of, operations=self.operations, owners=self.owners, **options)

    def _arriving(self, masks, seeds, sources, rule_of):
        """What arrives at some of the sources: dict of name to multiplier, times the mask of that name."""
        values = zip(sources, self._propagate(seeds, sources, rule_of))
        return {
            source.name: value * masks[source.name]
            for source, value in values
            if source.name in masks and value is not None
        }

    def _in_structure(self, relevances):
        """Relevance in the structure of the inputs, and of layers by their addresses."""
        of_layers = {
            address: tf.zeros_like(source, tf.float32) if value is None else tf.cast(value, tf.float32)
            for (address, source), value in zip(self.read.items(), relevances[len(self.leaves) :])
        }
        return routines.of_leaves(self.inputs, relevances[: len(self.leaves)], self.objective), of_layers

    def _rule_of(self, operation):
        if operation.type not in KERNELS or sum(operation.depends) != 1:
            return plain_rule(operation)
        self.weighted.add(operation.owner)
        # Once, since a bias is found by what reads the kernel's output, and rules read it too.
        if operation.op.name not in self.kernels:
            self.kernels[operation.op.name] = Kernel(operation, self.names)
        return self._weighted

    def _weighted(self, operation, outputs):
        """Multipliers of the input of a layer with weights; of a first layer its relevance is kept instead."""
        name, kernel = operation.op.name, self.kernels[operation.op.name]
        if name in self.first:
            self.at_first[name] = (kernel, outputs[0] * kernel.with_bias(kernel.z, kernel.bias))
            return {}
        rule = self.composite.rule_of(operation.owner, operation.type in DENSE)
        return {kernel.x.name: KERNEL_RULES[rule.name](kernel, rule, outputs[0])}

    def _seeds_of_first(self):
        """Relevance of the inputs of first layers, by the name of each tensor: dict."""
        # What the first layer would get of the least and largest inputs.
        sides = [routines.pair_operations(self.operations, self._trace(bound)[1]) for bound in self.bounds]
        seeds = {}
        for name, (kernel, relevance) in self.at_first.items():
            ends = [side[name].inputs[kernel.place] for side in sides]
            value = FIRST_RULES[self.composite.first](kernel, relevance, _in_order(ends))
            add_to(seeds, kernel.x.name, value)
        return seeds


def _first_kernels(operations, leaves, owners):
    """Operations with weights that none stands before: dict of name to operation."""
    reached, behind, first = reached_names(operations, leaves, owners), set(), {}
    for op in operations:
        names = [tensor.name for tensor in op.inputs]
        varying = [name for name in names if name in reached]
        is_kernel = op.type in KERNELS and len(varying) == 1
        if is_kernel and not behind.intersection(varying):
            first[op.name] = op
        if is_kernel or behind.intersection(names):
            behind.update(tensor.name for tensor in op.outputs)
    return first


def _in_order(ends):
    """The smaller and the larger of two tensors, since a scale may be negative."""
    return (tf.minimum(*ends), tf.maximum(*ends)) if ends else None


def _carry_rule(operation):
    """Before a first layer numbers are moved, scaled and shifted; each keeps its relevance."""
    if operation.type in _MOVE:
        return gradient_rule
    if operation.type == "IdentityN":
        return pass_rule
    if operation.type in _SCALE and not operation.is_joint:
        return _keep
    return refuse_operation(operation, "the rule of a first layer")


def _keep(operation, outputs):
    """The relevance of each number, summed where it was repeated."""
    tensor = operation.variables[0]
    zeros = tf.zeros_like(tensor)
    return {tensor.name: tf.gradients(zeros + tf.zeros_like(outputs[0]), zeros, grad_ys=outputs[0])[0]}


def _add(first, second):
    """The sum of two tensors, either of which may be None."""
    return second if first is None else first if second is None else first + second


def _refuse_patterns(composite, paths, which):
    for pattern, _ in composite.paths:
        if not any(fnmatch.fnmatchcase(path, pattern) for path in paths):
            raise Refused(
                f"A rule is of layers {which}. Received: {pattern!r}, which fits none. {nearest(pattern, paths)}"
            )


def _exempt(network, composite, reads):
    """Layers that are read or have a rule of their own, which stay apart from the normalization behind them: frozenset of ids."""
    read = {layer_path(address) for address in reads}
    return frozenset(
        id(layer)
        for path, layer in network.tree.items()
        if path in read or any(fnmatch.fnmatchcase(path, pattern) for pattern, _ in composite.paths)
    )


def _mask(network, address, places):
    """1 for the channels that relevance may go through: float32 [channels]."""
    network.refuse_unknown(address)
    places = np.atleast_1d(places).tolist()
    count = network.shapes[address][-1]
    wrong = [place for place in places if not 0 <= place < count]
    if wrong or not places:
        raise Refused(
            f"Channels of {address!r} are numbers from 0 to {count - 1}. Received: {places!r}. Name one or more of them."
        )
    mask = np.zeros(count, "float32")
    mask[places] = 1
    return mask


def _bounds(network, arrays, composite, bounds):
    """The least and largest inputs, in the structure and shape of the inputs; an empty tuple where no rule needs them."""
    if composite.first != "z_box":
        return ()
    if bounds is None and network.preprocessing is not None and network.image_place is not None:
        shape = (1, *tf.nest.flatten(arrays)[network.image_place].shape[1:3], 3)
        ends = [network.preprocess(np.full(shape, level, "uint8")) for level in (0, 255)]
        bounds = [np.minimum(*ends), np.maximum(*ends)]
    if bounds is None or len(tf.nest.flatten(arrays)) > 1:
        raise Refused(
            f"The rule z_box needs the least and largest value of one input. Received: {network.name}, of which they are not known. Give low= and high=, or the composite epsilon_plus."
        )
    return tuple(
        tf.nest.map_structure(
            lambda leaf, bound=bound: np.ascontiguousarray(np.broadcast_to(np.asarray(bound, leaf.dtype), leaf.shape)),
            arrays,
        )
        for bound in bounds
    )
