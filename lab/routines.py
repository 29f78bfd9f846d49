"""Routines: computations on a network, compiled once and run many times.

A routine's trace depends on structure alone (layer paths, kinds of objective, method). Class and unit indices, weights,
seeds and counts are tensors. Gradients flow to inputs and activations, never to weights.
"""

import numpy as np
from scipy import special

from lab import chunks, first_layer, taps
from lab.activation_rules import ruled_gradient
from lab.environment import keras, tf
from lab.host import HostModel, raise_fault
from lab.objectives import CLASSES
from lab.propagation import Owners, pair_operations, propagate, stands_for_all
from lab.refusal import Refused
from lab.scoring import KnownOutputs, is_class_score, is_linear_score, mean_over_positions, score

# Samples of a row that a turn takes where there are many rows: their sum goes through the first layer at once.
TOGETHER = 4
# The share of samples that may lie beyond the last one, where turns are larger for it.
IN_VAIN = 0.02


def scores(network, inputs, objective, *, computed=None):
    """The objective's score of each sample.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        computed: the network's outputs, as `outputs` returns them, where they are known: the score of one class is taken from
            them, without another trace; None: computed here.

    Returns:
        float32 [batch].
    """
    if computed is not None and is_class_score(objective):
        (_, numbers), weights = prepare(network, inputs, objective)
        return score(objective.structure, weights, numbers, KnownOutputs(network, computed)).numpy()

    def body(batched, weights):
        inputs, numbers = batched
        trace = network.trace(inputs, objective.paths)
        return score(objective.structure, weights, numbers, trace)

    return run(network, ("scores", objective.structure), body, *prepare(network, inputs, objective))


def outputs(network, inputs, *, logits=True):
    """The network's outputs by name, but for those that are text or one number for all samples.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        logits: whether softmax and sigmoid are taken off; False: the outputs as the model returns them.

    Returns:
        dict of str to float32 array.
    """

    def body(batched, _):
        trace = network.trace(batched[0])
        return {
            name: tf.cast(trace.logits(name) if logits else trace.outputs[name], tf.float32) for name in trace.numeric
        }

    def surveyed(batched):
        call = network.surveyed_logits(batched[0]) if logits else None
        return call and (lambda batched, _: call(tf.nest.map_structure(tf.constant, batched[0])))

    return run(network, ("outputs", logits), body, (network.inputs(inputs),), (), ready=surveyed)


def logits(network, inputs):
    """The first output before softmax and sigmoid.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.

    Returns:
        float32 [batch, classes].
    """
    return next(iter(outputs(network, inputs).values()))


def class_logits(network, inputs, output=None, *, computed=None):
    """The logit of every class of an output, so that argmax is the predicted class.

    For exclusive classes softmax of the logits is their probabilities. One unit stands for two classes, with logits (0, unit).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        output: the output's name; None: the first.
        computed: the network's outputs, as `outputs` returns them, where they are known; None: computed here.

    Returns:
        float32 [batch, classes].

    Raises:
        Refused: for an output of another shape.
    """
    name = network.output_name(output)
    if len(network.outputs[name]) not in (1, 2):
        raise Refused(f"Classes have one score each, [batch, classes]. Received: {name!r} of {network.outputs[name]}.")
    values = (outputs(network, inputs) if computed is None else computed)[name]
    values = values.reshape(len(values), -1)
    probable = network.closed[name] and _returns_probabilities(network, values)
    if values.shape[1] == 1:
        values = np.concatenate([1 - values if probable else np.zeros_like(values), values], axis=1)
    return np.log(np.maximum(values, np.finfo("float32").tiny)) if probable else values


def _returns_probabilities(network, values):
    """Whether a closed model returns probabilities. Of a function it is decided once, so that no row depends on those beside it."""
    return network.model.are_probabilities if isinstance(network.model, HostModel) else are_probabilities(values)


def are_probabilities(values):
    """Whether the outputs of a model read as probabilities.

    Args:
        values: float [rows, units].

    Returns:
        bool.
    """
    summed = values.shape[1] == 1 or np.allclose(values.sum(axis=1), 1, atol=1e-3)
    return bool(((values >= 0) & (values <= 1)).all() and summed)


def probabilities(network, inputs, output=None, *, computed=None):
    """The probability of every class of an output.

    They add up to one, except where a sigmoid decides about each of several classes by itself.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        output: the output's name; None: the first.
        computed: the network's outputs, as `outputs` returns them, where they are known; None: computed here.

    Returns:
        float32 [batch, classes], two columns for one unit.

    Raises:
        Refused: as `class_logits`.
    """
    name = network.output_name(output)
    values = class_logits(network, inputs, name, computed=computed)
    independent = network.heads[name] == "Sigmoid" and network.outputs[name][-1] != 1 and len(network.outputs[name]) > 1
    return special.expit(values) if independent else special.softmax(values, axis=1)


def class_probability(network, inputs, objective, *, computed=None):
    """The probability of the class that an objective's first logit or class score names.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        computed: as of `class_logits`.

    Returns:
        float32 [batch].
    """
    batch = len(tf.nest.flatten(inputs)[0])
    place, term = next((place, term) for place, (_, term) in enumerate(objective.terms) if term.kind in CLASSES)
    values = probabilities(network, inputs, term.where, computed=computed)
    index = objective.numbers(batch)[place][0]
    one_unit = values.shape[1] == 2 and network.outputs[network.output_name(term.where)][1:] in ((), (1,))
    # logit(0) of one unit is the unit itself, and supports the second class.
    return values[np.arange(batch), np.ones(batch, int) if one_unit and term.kind == "logit" else index]


def mean_activations(network, inputs, path=None):
    """Each unit's mean over positions for each sample, or the logits where no path is given.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        path: the address of a layer; None for the logits.

    Returns:
        float32 [batch, units].
    """
    return logits(network, inputs) if path is None else activations(network, inputs, path, pool=True)


def activations(network, inputs, path, *, pool=False):
    """A layer's output for each sample, or with `pool` its mean over positions.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        path: the address of a layer.
        pool: bool.

    Returns:
        float32 [batch, ...] or [batch, channels].
    """

    def body(batched, _):
        activation = tf.cast(network.trace(batched[0], [path]).activations[path], tf.float32)
        return mean_over_positions(activation) if pool else activation

    return run(network, ("activations", path, pool), body, (network.inputs(inputs),), ())


def peaks(network, inputs, path):
    """Each channel's mean over positions, and the place where it is largest.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        path: the address of a layer.

    Returns:
        float32 and int32 [batch, channels]. The place is an index into the flattened positions, 0 for layers without any.
    """

    def body(batched, _):
        activation = tf.cast(network.trace(batched[0], [path]).activations[path], tf.float32)
        flat = tf.reshape(activation, [tf.shape(activation)[0], -1, activation.shape[-1]])
        return tf.reduce_mean(flat, 1), tf.argmax(flat, 1, tf.int32)

    return run(network, ("peaks", path), body, (network.inputs(inputs),), ())


def receptive_field(network, inputs, path):
    """The mean magnitude of the gradient of a layer's centre at every input position.

    Args:
        network: a `Network` of one image input.
        inputs: images as it takes them [batch, rows, columns, channels].
        path: the address of a layer [batch, rows, columns, channels].

    Returns:
        float32 [batch, rows, columns].
    """

    def body(batched, _):
        activation = network.trace(batched[0], [path]).activations[path]
        centre = activation[:, activation.shape[1] // 2, activation.shape[2] // 2]
        return tf.reduce_sum(tf.abs(tf.cast(tf.gradients(centre, batched[0])[0], tf.float32)), axis=-1)

    return run(network, ("receptive_field", path), body, (network.inputs(inputs),), ())


def gradient(network, inputs, objective):
    """The score, and its gradient at the inputs.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        float32 [batch], and arrays of the inputs' structure and dtype.
    """

    def body(batched, weights):
        return score_and_gradient(network, objective, weights, *batched)

    refuse_integers(network)
    return run(network, ("gradient", objective.structure), body, *prepare(network, inputs, objective))


def propagate_by_rule(network, inputs, objective, rule):
    """What comes back to the inputs where the gradient passes ReLU-like activations by another rule.

    The score itself is not returned: some rules need no forward pass.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        rule: str, one of `lab.activation_rules`.

    Returns:
        arrays of the inputs' structure and dtype.

    Raises:
        Refused: where the rule applies to no activation.
    """

    def body(batched, weights):
        inputs, numbers = batched
        scores, operations, owners = trace_operations(network, objective, weights, inputs, numbers)
        leaves = [leaf for leaf in tf.nest.flatten(inputs) if leaf.dtype.is_floating]
        slopes = ruled_gradient(scores, leaves, rule, operations=operations, owners=owners)
        return of_leaves(inputs, slopes, objective)

    refuse_integers(network)
    return run(network, ("by rule", objective.structure, rule), body, *prepare(network, inputs, objective))


def difference_multipliers(network, inputs, references, objective, rule_of):
    """Multipliers of the inputs' differences from references, by a rule for each operation.

    The network is traced on the inputs and on the references, and each operation stands beside the one that does the same. Where
    all rows have one reference, it is computed once.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        references: arrays in their structure and shape.
        objective: an `Objective`.
        rule_of: as of `lab.propagation.propagate`.

    Returns:
        arrays in the structure of the inputs, in score per unit of input.

    Raises:
        Refused: for an operation without a rule, and where no input reaches the score.
    """

    def body(batched, shared):
        (inputs, numbers, of_rows), (weights, of_all) = batched, shared

        def trace_scores(values, numbers):
            return trace_operations(network, objective, weights, values, numbers)

        scores, operations, owners = trace_scores(inputs, numbers)
        others = trace_scores(of_all, _take_first(numbers))[1] if is_shared else []
        if is_shared and not stands_for_all(operations, others):
            of_rows, others = tf.nest.map_structure(lambda leaf: tf.repeat(leaf, tf.size(scores), 0), of_all), []
        twins = pair_operations(operations, others or trace_scores(of_rows, numbers)[1])
        leaves = tf.nest.flatten(inputs)
        sources = [leaf for leaf in leaves if leaf.dtype.is_floating]
        seeds = {scores.name: tf.ones_like(scores)}
        values = propagate(seeds, sources, rule_of, operations=operations, twins=twins, owners=owners)
        return of_leaves(inputs, values, objective)

    refuse_integers(network)
    (arrays, numbers), weights = prepare(network, inputs, objective)
    is_shared = is_linear_score(objective) and _has_equal_rows(references)
    key = ("differences", objective.structure, rule_of, is_shared)
    batched = (arrays, numbers, () if is_shared else references)
    shared = (weights, _take_first(references) if is_shared else ())
    # Of both passes the activations are kept, and multipliers beside them: four times the memory of a gradient.
    return run(network, key, body, batched, shared, most=chunks.size(network, 4))


def _take_first(structure):
    return tf.nest.map_structure(lambda array: array[:1], structure)


def _has_equal_rows(structure):
    return all((leaf == leaf[:1]).all() for leaf in tf.nest.flatten(structure))


def trace_operations(network, objective, weights, inputs, numbers, *, reads=(), exempt=frozenset(), interceptors=()):
    """Inside a trace: the score of each sample, the operations between inputs and scores, and the layers that made them.

    Args:
        network: a `Network`.
        objective: an `Objective`.
        weights: tensor, the objective's weights.
        inputs: tensors that the network takes.
        numbers: the objective's numbers by row.
        reads: addresses of layers whose outputs are kept.
        exempt: ids of layers that BatchNormalization is not folded into.
        interceptors: those of `lab.taps` that stand around each layer besides.

    Returns:
        tensor [batch], list of graph operations in the order in which they were made, and dict of an operation's name to the
        path of its layer; with reads also dict of address to tensor.
    """
    graph = tf.compat.v1.get_default_graph()
    start = len(graph.get_operations())
    owners = Owners({id(layer): path for path, layer in network.tree.items()})
    interceptors = [owners, *interceptors, *([taps.Folder(exempt)] if network.fold else [])]
    with taps.visible(network.tree.values()):
        trace = network.trace(inputs, [*objective.paths, *reads], interceptors=interceptors)
    scores = score(objective.structure, weights, numbers, trace)
    # What a graph takes from outside is a placeholder, made when it is first used.
    operations = [op for op in graph.get_operations()[start:] if op.type != "Placeholder"]
    values = (scores, operations, owners.owners)
    return (*values, {address: trace.activations[address] for address in reads}) if reads else values


def of_leaves(inputs, values, objective):
    """Values in the structure of the inputs, zeros for leaves that have none.

    Args:
        inputs: tensors that a network takes.
        values: list of tensors or None, one for each floating leaf.
        objective: the `Objective`, for errors.

    Returns:
        tensors in the structure of the inputs.

    Raises:
        Refused: where nothing connects the score to any input.
    """
    if all(value is None for value in values):
        raise Refused(
            f"Relevance needs a score that depends on the inputs. Received: {objective}, which nothing connects to them."
        )
    values = iter(values)
    leaves = [next(values) if leaf.dtype.is_floating else None for leaf in tf.nest.flatten(inputs)]
    leaves = [_zeros(leaf) if value is None else value for leaf, value in zip(tf.nest.flatten(inputs), leaves)]
    return tf.nest.pack_sequence_as(inputs, leaves)


def layer_gradient(network, inputs, objective, path, rule, **options):
    """A function of a layer's activation and of the score's gradient there, computed in the graph.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        path: the address of the layer.
        rule: `(activation, gradient, **options)`, both float32 [batch, ...] -> tensor of one row a sample.
        options: keyword arguments of the rule.

    Returns:
        array of one row a sample, what the rule returns.

    Raises:
        Refused: where no gradient reaches the layer.
    """

    def body(batched, weights):
        inputs, numbers = batched
        trace = network.trace(inputs, [*objective.paths, path])
        activation = trace.activations[path]
        slope = gradient_at(score(objective.structure, weights, numbers, trace), activation, path, objective)
        return rule(tf.cast(activation, tf.float32), tf.cast(slope, tf.float32), **options)

    network.check(objective)
    key = ("layer", objective.structure, path, rule, tuple(sorted(options.items())))
    return run(network, key, body, *prepare(network, inputs, objective))


def replace_activations(network, inputs, objective, path, activations, *, slope=False):
    """The score of each sample when a layer's output is replaced, or the score's gradient there.

    What lies before the layer is not computed, unless another path leads around it.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        path: the address of the layer.
        activations: [batch, ...], in place of the layer's output.
        slope: whether the gradient at the activations is returned, and not the score.

    Returns:
        float32 [batch], or with `slope` float32 in the shape of the activations.

    Raises:
        Refused: where the score does not depend on the layer.
    """

    def body(batched, weights):
        inputs, numbers, activation = batched
        trace = network.trace(inputs, objective.paths, replaced={path: activation})
        scores = score(objective.structure, weights, numbers, trace)
        slopes = gradient_at(scores, activation, path, objective)
        return tf.cast(slopes if slope else scores, tf.float32)

    (arrays, numbers), weights = prepare(network, inputs, objective)
    key = ("replaced", objective.structure, path, slope)
    return run(network, key, body, (arrays, numbers, activations), weights)


def sampled_gradient(network, inputs, objective, draw, options, samples, *, beside=None, squares=False):
    """Weighted sums of the gradient over samples drawn around each input, computed by a loop inside the graph.

    A sample depends on its index alone, never on its place in a batch. So neither chunking nor the rest of the
    batch changes a map. Leaves of whole numbers are not changed.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        draw: traceable `(leaf [batch, ...], beside, options, indices [width], number of the leaf) ->
            (samples [batch, width, ...], weights [width], factors)`. Each gradient is multiplied by its factors
            ([batch, width, ...], or None for one).
        options: dict of arrays for `draw`.
        samples: how many samples are drawn.
        beside: one array per leaf and row for `draw`; None: the inputs.
        squares: whether squared gradients are summed too.

    Returns:
        arrays in the structure of the inputs, or with `squares` a pair of them.
    """

    def body(batched, shared):
        inputs, numbers, beside = batched
        weights, options, samples, width = shared

        def step(indices, sums):
            drawn, shares, factors = _draw_samples(network, draw, inputs, beside, options, indices, samples)
            scores, merged = _scores_at(network, objective, weights, drawn, numbers, width)
            powers = None if squares else _sum_before(inputs, merged, scores, shares, factors)
            if powers is None:
                slopes = _unmerge(slopes_of(scores, merged, objective), drawn)
                powers = _power_sums(_multiply_factors(slopes, factors), shares, squares)
            return tf.nest.map_structure(lambda total, power: total + power, sums, powers)

        sums = tuple(tf.nest.map_structure(_zeros, inputs) for _ in range(1 + squares))
        with network.weights_before_loop():
            return over_samples(network, samples, width, step, sums)

    refuse_integers(network)
    (arrays, numbers), weights = prepare(network, inputs, objective)
    batched = (arrays, numbers, arrays if beside is None else beside)
    most = max(1, turn_size(network) // min(samples, TOGETHER))
    shared = (weights, options, np.int32(samples), np.int32(sample_width(network, arrays, samples, most)))
    sums = run(network, ("sampled", objective.structure, draw, squares), body, batched, shared, most=most)
    return sums if squares else sums[0]


def _scores_at(network, objective, weights, drawn, numbers, width):
    """The scores of drawn samples [batch, width, ...], and the samples as inputs [batch * width, ...]."""
    repeated = tf.nest.map_structure(lambda array: tf.repeat(array, width, axis=0), numbers)
    merged = tf.nest.map_structure(_merge_samples, drawn)
    trace = network.trace(merged, objective.paths)
    return score(objective.structure, weights, repeated, trace), merged


def _unmerge(slopes, drawn):
    """Slopes [batch * width, ...] in the structure and shape of drawn samples [batch, width, ...]."""
    return tf.nest.map_structure(lambda slope, leaf: tf.reshape(slope, tf.shape(leaf)), slopes, drawn)


def _sum_before(inputs, merged, scores, shares, factors):
    """The weighted sum of slopes over samples, taken behind the first layer, whose own gradient is that of the sum.

    A convolution's gradient is linear. At three colours it takes a fourteenth of ResNet50's time.

    Returns:
        tuple of one structure in that of the inputs; None where the first layer is another, or slopes have factors.
    """
    leaf, *others = tf.nest.flatten(merged)
    is_plain = not others and leaf.dtype == scores.dtype == tf.float32 and factors == [None]
    operations = first_layer.first_operations(leaf, scores) if is_plain else []
    row_weights = tf.tile(shares, tf.shape(tf.nest.flatten(inputs)[0])[:1])
    slopes = tf.gradients(scores, operations[-1].outputs, grad_ys=row_weights)[0] if operations else None
    if slopes is None:
        return None
    by_sample = tf.reshape(slopes, tf.concat([[-1, tf.size(shares)], tf.shape(slopes)[1:]], 0))
    sums = first_layer.slope_before(operations, tf.nest.flatten(inputs)[0], tf.reduce_sum(by_sample, axis=1))
    return (tf.nest.pack_sequence_as(inputs, [sums]),)


def batch_statistics(network, inputs, paths):
    """The statistics that BatchNormalizations would have on one batch of inputs, each fed by the layers before it.

    Args:
        network: a `Network`.
        inputs: one batch.
        paths: the paths of the BatchNormalizations.

    Returns:
        dict of path to (mean, variance), float32 [channels], and the first output's logits under these
        statistics, float32 [batch, classes].
    """
    norms = [path for path, layer in network.tree.items() if isinstance(layer, keras.layers.BatchNormalization)]

    def body(inputs, selected):
        calibrator = taps.Calibrator(
            {id(network.tree[path]): selected[position] for position, path in enumerate(norms)}
        )
        trace = network.trace(inputs, interceptors=[calibrator])
        return [calibrator.moments[id(network.tree[path])] for path in norms], tf.cast(trace.logits(), tf.float32)

    arrays, selected = network.inputs(inputs), np.array([path in set(paths) for path in norms], bool)
    with network.exclusive():
        moments, logits = _compile(network, ("statistics",), body, arrays, selected)(arrays, selected)
    return {
        path: tuple(moment.numpy() for moment in pair) for path, pair in zip(norms, moments) if path in set(paths)
    }, logits.numpy()


def score_and_gradient(network, objective, weights, inputs, numbers):
    """Inside a trace: the score of each sample, and its gradient in the structure of the inputs (zeros for unused leaves).

    Args:
        network: a `Network`.
        objective: an `Objective`.
        weights: tensor, the objective's weights.
        inputs: tensors that the network takes [batch, ...].
        numbers: the objective's numbers by row, as of `Objective.numbers`.

    Returns:
        float32 [batch], and tensors in the structure and shape of the inputs.

    Raises:
        Refused: where no gradient reaches any input.
    """
    trace = network.trace(inputs, objective.paths)
    scores = score(objective.structure, weights, numbers, trace)
    return tf.cast(scores, tf.float32), slopes_of(scores, inputs, objective)


def slopes_of(scores, inputs, objective):
    """Inside a trace: the gradient of scores in the structure of the inputs (zeros for unused leaves).

    Args:
        scores: tensor [batch].
        inputs: tensors that a network takes [batch, ...].
        objective: the `Objective` of the scores, for errors.

    Returns:
        tensors in the structure and shape of the inputs.

    Raises:
        Refused: where no gradient reaches any input.
    """
    leaves = tf.nest.flatten(inputs)
    floating = [leaf for leaf in leaves if leaf.dtype.is_floating]
    gradients = iter(tf.gradients(scores, floating))
    slopes = [next(gradients) if leaf.dtype.is_floating else None for leaf in leaves]
    if all(slope is None for slope in slopes):
        raise Refused(
            f"A gradient needs a score that depends on the inputs. Received: {objective}, which no gradient connects to them."
        )
    # Rows of an input that are gathered have a sparse gradient.
    slopes = [_zeros(leaf) if slope is None else tf.convert_to_tensor(slope) for slope, leaf in zip(slopes, leaves)]
    return tf.nest.pack_sequence_as(inputs, slopes)


def run(network, key, body, batched, shared, *, most=None, pad=None, ready=None):
    """Run `body(batched, shared)` as a graph over chunks of rows.

    It is traced once per key and array signature, and cached on the network.

    Args:
        network: a `Network`.
        key: what the trace depends on.
        body: traceable `(batched, shared) -> structure of tensors [rows, ...]`.
        batched: structure of arrays [rows, ...].
        shared: structure of arrays that all rows share.
        most: rows of a chunk; None: what the memory budget allows.
        pad: whether the last chunk is filled up; None: where XLA needs it.
        ready: `specs of batched -> callable` that was traced before and does what the body does, or None where it does not
            fit; None: there is none.

    Returns:
        the structure that the body returns, as numpy arrays [rows, ...].
    """
    most = chunks.size(network) if most is None else most
    with network.exclusive():
        function = _compile(network, key, body, batched, shared, ready)
        pad = network.jit if pad is None else pad
        try:
            return chunks.map_rows(function, batched, shared, most, pad=pad, halved=network.halved)
        except tf.errors.OpError as error:
            raise_fault(network.model, error)


def over_samples(network, samples, width, step, state):
    """The loop of all methods that draw around an input, noise, masks and coalitions alike, inside the graph.

    Args:
        network: a `Network`.
        samples: int tensor, samples in all. Indices of the last turn may lie beyond them.
        width: int tensor, samples of a turn.
        step: `(indices [width], state) -> state`.
        state: tensors that a turn hands to the next.

    Returns:
        the state after all samples.
    """

    def turn(start, state):
        return start + width, step(start + tf.range(width), state)

    return tf.while_loop(
        lambda start, _: start < samples, turn, (tf.constant(0), state), parallel_iterations=network.turns_at_once
    )[1]


def turn_size(network):
    """Rows of a turn, so that all turns that are under way at once fit into memory: int of 1 or more."""
    return max(1, chunks.size(network) // network.turns_at_once)


def sample_width(network, arrays, samples, most_rows=None):
    """How many samples of every row a turn takes: as fit into memory, with few beyond the last sample.

    Args:
        network: a `Network`.
        arrays: the inputs, all rows.
        samples: int, samples of a row in all.
        most_rows: int, rows of a chunk at most; None: as many as fit.

    Returns:
        int of 1 or more.
    """
    most = turn_size(network)
    rows = chunks.even_size(len(tf.nest.flatten(arrays)[0]), most_rows or most)
    width = min(max(1, most // rows), samples)
    drawn = {taken: -(-samples // taken) * taken for taken in range(max(1, width // 2), width + 1)}
    fewest = max(min(drawn.values()), samples * (1 + IN_VAIN))
    return max(taken for taken, total in drawn.items() if total <= fewest)


def _compile(network, key, body, batched, shared, ready=None):
    signature = (
        tf.nest.map_structure(lambda array: _tensor_spec(array, rows=True), batched),
        tf.nest.map_structure(_tensor_spec, shared),
    )
    key = (key, network.fold, network.jit, network.wiring, str(signature))
    if key not in network.compiled:

        def traced(batched, shared):
            network.traces += 1
            return body(batched, shared)

        network.compiled[key] = (ready and ready(signature[0])) or tf.function(
            traced, input_signature=signature, autograph=False, jit_compile=network.jit or None
        )
    return network.compiled[key]


def _tensor_spec(array, rows=False):
    """Rows are counted at run time, and so is a list of numbers that all rows share (a path's nodes, say)."""
    array = np.asarray(array)
    return tf.TensorSpec([None, *array.shape[1:]] if rows or array.ndim == 1 else array.shape, array.dtype)


def prepare(network, inputs, objective):
    """Check an objective and inputs.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        (inputs, numbers) by row, and the objective's weights.

    Raises:
        Refused: for an objective or inputs that do not fit the network.
    """
    network.check(objective)
    arrays = network.inputs(inputs)
    return (arrays, objective.numbers(len(tf.nest.flatten(arrays)[0]))), objective.weights


def refuse_integers(network):
    """Raise Refused for a network that takes integers alone, because they have no gradient."""
    if not any(leaf.dtype.is_floating for leaf in tf.nest.flatten(network.spec)):
        behind = (
            "it was called in front of its Embedding layer; the lab's own methods, such as gradient, start behind it"
            if network.accepted.known
            else "no Embedding layer that the lab can see embeds them"
        )
        raise Refused(
            f"A gradient at the inputs needs inputs of floating numbers. Received: a network that takes {tf.nest.flatten(network.spec)[0].dtype.name}: {behind}."
        )


def gradient_at(scores, activation, path, objective):
    """The gradient of scores at a layer's activation, inside a trace.

    Args:
        scores: tensor [batch].
        activation: tensor [batch, ...], read in the same trace.
        path: the address of the layer.
        objective: the `Objective` of the scores.

    Returns:
        tensor in the shape of the activation.

    Raises:
        Refused: where no gradient reaches the layer.
    """
    slope = tf.gradients(scores, activation)[0]
    if slope is None:
        raise Refused(
            f"A map at a layer needs a layer that the score depends on. Received: {path!r}, which no gradient of {objective} reaches."
        )
    return slope


def _draw_samples(network, draw, inputs, beside, options, indices, samples):
    """-> structure of [batch, width, ...], weights [width] that are zero beyond the last sample, and each leaf's factors or None.

    Masked steps keep their values in every sample, and do not count for what is drawn for the others.
    """
    sample_indices, width = tf.minimum(indices, samples - 1), tf.shape(indices)[0]
    leaves, shares = [], None
    flat = zip(tf.nest.flatten(inputs), tf.nest.flatten(beside), network.masks(inputs))
    for number, (leaf, other, mask) in enumerate(flat):
        if leaf.dtype.is_floating:
            drawn, shares, factors = draw(fill_masked(leaf, mask), other, options, sample_indices, number)
            if mask is not None:
                drawn = tf.where(mask[:, None], leaf[:, None], drawn)
                factors = None if factors is None else tf.where(mask[:, None], tf.zeros_like(factors), factors)
        else:
            drawn, factors = tf.repeat(leaf[:, None], width, axis=1), None
        leaves.append((drawn, factors))
    structure = tf.nest.pack_sequence_as(inputs, [drawn for drawn, _ in leaves])
    return structure, tf.where(indices < samples, shares, 0.0), [factors for _, factors in leaves]


def fill_masked(leaf, mask):
    """An input whose masked numbers are replaced by the mean of the sample's other numbers, so that its range is its own.

    Args:
        leaf: tensor [batch, ...], one of the inputs.
        mask: bool tensor in its shape, true where masked; None: nothing is masked.

    Returns:
        tensor in the shape of the leaf.
    """
    if mask is None:
        return leaf
    axes = list(range(1, len(leaf.shape)))
    open_ = tf.cast(~mask, leaf.dtype)
    mean = tf.math.divide_no_nan(
        tf.reduce_sum(leaf * open_, axes, keepdims=True), tf.reduce_sum(open_, axes, keepdims=True)
    )
    return tf.where(mask, mean, leaf)


def _multiply_factors(slopes, factors):
    flat = [slope if factor is None else slope * factor for slope, factor in zip(tf.nest.flatten(slopes), factors)]
    return tf.nest.pack_sequence_as(slopes, flat)


def _zeros(leaf):
    return tf.zeros_like(leaf, leaf.dtype if leaf.dtype.is_floating else tf.float32)


def _merge_samples(leaf):
    return tf.reshape(leaf, tf.concat([[-1], tf.shape(leaf)[2:]], 0))


def _power_sums(slopes, shares, squares):
    def total(power):
        return tf.nest.map_structure(lambda slope: _weighted_sum(slope**power, shares), slopes)

    return (total(1), total(2)) if squares else (total(1),)


def _weighted_sum(slopes, shares):
    """Sum over the second axis, weighted: [batch, width, ...] and [width] -> [batch, ...].

    Not by einsum: it becomes a product of matrices with one column, and oneDNN's (TensorFlow 2.21, CPU) writes beyond its
    memory for inputs of one dimension.
    """
    shaped = tf.reshape(tf.cast(shares, slopes.dtype), [1, -1, *[1] * (len(slopes.shape) - 2)])
    return tf.reduce_sum(slopes * shaped, axis=1)
