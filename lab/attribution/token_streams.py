"""Token streams: which tokens each attention of a network reads, and to which tokens it adds.

A stream is a row of tokens that layers change one by one: the tokens of an input, or learned queries. Self-attention mixes the
tokens of a stream. Cross-attention adds tokens of one stream to those of another. The graph of a score says which is which:
values are computed from the stream of the keys, and what else decides the weights is the stream of the queries.
"""

from dataclasses import dataclass, replace

from lab import taps
from lab.address import parse
from lab.defaults import candidates
from lab.environment import tf
from lab.refusal import Refused
from lab.registry import nearest
from lab.scoring import score

# Samples of the trace that streams are looked for in.
SAMPLES = 2
# Operations that look rows up by ids. Elsewhere whole numbers that become floats are a mask.
_LOOKING = {"ResourceGather", "GatherV2", "OneHot"}
# Operations between the parts of attention logits and their softmax: sums, masks and scales.
_JOINING = {
    "AddV2",
    "Add",
    "AddN",
    "Sub",
    "BiasAdd",
    "Mul",
    "RealDiv",
    "SelectV2",
    "Identity",
    "Cast",
    "Neg",
    "Reshape",
}
_JOINING |= {"Transpose", "ExpandDims", "Squeeze", "StridedSlice", "BroadcastTo", "Tile", "Maximum", "Minimum"}
# A walk back from attention weights to their softmax takes few steps.
_STEPS = 12


@dataclass(frozen=True)
class Step:
    """One attention on the way to a score.

    A stream has a version before the first attention that adds to it, and one behind each of them. Two streams may read each
    other at once, so that neither reads what the other has become.

    Args:
        address: of its weights.
        queries: the stream of its queries, to which it adds.
        keys: the stream of its keys.
        queries_at: the version that it adds to, which makes the next one.
        keys_at: the version of the keys' stream that it reads.
    """

    address: str
    queries: int
    keys: int
    queries_at: int
    keys_at: int


@dataclass(frozen=True)
class TokenStreams:
    """The attention that a score depends on.

    Args:
        steps: tuple of `Step`, in the order in which they run.
        places: dict of a stream to the places of the inputs that its tokens come from, among the flattened inputs.
        ends: dict of each stream that the score reads to the address of the last attention that adds to it.
        merged: in words, where the number of tokens changes from one attention to the next; "" for nowhere.
    """

    steps: tuple
    places: dict
    ends: dict
    merged: str

    def refuse_merged(self):
        """Raise Refused where tokens are merged or split between attentions, so that no token can be followed."""
        if self.merged:
            raise Refused(
                f"Attention is followed through layers that keep their tokens. Received: {self.merged}. The method raw_attention shows one layer."
            )

    def end(self, stream):
        """A stream and the version of it that the score reads: (int, int)."""
        return stream, self.step(self.ends[stream]).queries_at + 1

    def step(self, layer):
        """The step of an attention, or the last one for None: `Step`.

        Raises:
            Refused: for an attention that the score does not depend on.
        """
        if layer is None:
            return self.steps[-1]
        steps = {step.address: step for step in self.steps}
        if layer not in steps:
            raise Refused(
                f"An attention map needs attention that the score depends on. Received: {layer!r}. {nearest(layer, steps)}"
            )
        return steps[layer]


def attention_address(network, layer):
    """The address of an attention's weights from that or from its layer's path: str, or None for None.

    Args:
        network: a `Network`.
        layer: str, such as "mha:weights" or "mha"; None.

    Returns:
        str, or None.

    Raises:
        Refused: for an attention that the network does not have; the nearest are named.
    """
    if layer is None:
        return None
    place = parse(layer) if isinstance(layer, str) else None
    address = layer if place is None else str(replace(place, port="weights"))
    if address not in network.attentions:
        raise Refused(f"Unknown attention. Received: {layer!r}. {nearest(layer, network.attentions)}")
    return address


def values_address(address):
    """The address of an attention's values, from that of its weights: str."""
    return str(replace(parse(address), port="values"))


def token_streams(network, objective):
    """The streams of tokens that lead to a score -> `TokenStreams`; traced once for each structure of an objective.

    Args:
        network: a `Network`.
        objective: an `Objective`.

    Returns:
        `TokenStreams`.

    Raises:
        Refused: for a network or a score without attention.
    """
    return _surveyed(network, objective, _ScoreGraph.streams)


def token_blocks(network, objective):
    """Where the tokens behind each attention are read, with all that is done to them before the next attention.

    It is the last layer that every way from the attention to the score runs through, so that no residual leads around it.

    Args:
        network: a `Network`.
        objective: an `Objective`.

    Returns:
        dict of the address of an attention's weights to the address of a layer, without those that have none.

    Raises:
        Refused: as `token_streams`.
    """
    return _surveyed(network, objective, _ScoreGraph.blocks)


def _surveyed(network, objective, look):
    network.refuse_without("attention", "A map of attention")
    network.check(objective)
    key = ("token streams", look.__name__, objective.structure)
    if key not in network.compiled:
        surveys = []

        def trace_call(inputs):
            surveys.append(look(_ScoreGraph(network, objective, inputs)))
            return ()

        spec = tf.nest.map_structure(lambda leaf: tf.TensorSpec([SAMPLES, *leaf.shape[1:]], leaf.dtype), network.spec)
        tf.function(trace_call, autograph=False).get_concrete_function(spec)
        network.compiled[key] = surveys[0]
    return network.compiled[key]


class _ScoreGraph:
    """The graph of a score. The sources of a tensor are what it is computed from, without another attention in between.

    A source is the place of an input, or the address of an attention's weights.
    """

    def __init__(self, network, objective, inputs):
        self.rows, self.objective = network.attentions, objective
        self.layers = [address for address in candidates(network) if len(network.shapes[address]) == 3]
        ports = {address: values_address(address) for address in self.rows}
        trace = network.trace(inputs, [*objective.paths, *ports, *ports.values(), *self.layers])
        numbers = objective.rows([0] * SAMPLES).numbers(SAMPLES)
        self.score = score(objective.structure, objective.weights, numbers, trace)
        self.tensors = trace.activations
        self.leaves = tf.nest.flatten(inputs)
        self.marks = {leaf.name: place for place, leaf in enumerate(self.leaves)}
        for address, port in ports.items():
            self.marks |= {self.tensors[address].name: address, self.tensors[port].name: address}
        factors = {address: (self.tensors[port], self.tensors[address]) for address, port in ports.items()}
        self.sources = {address: tuple(map(self.sources_of, pair)) for address, pair in factors.items()}
        self.read = self.sources_of(self.score)

    def sources_of(self, tensor):
        """The sources of a tensor: set of int and str. Those of an attention's own factor are what it is computed from."""
        if isinstance(self.marks.get(tensor.name), int):
            return {self.marks[tensor.name]}
        sources, visited, waiting = set(), set(), [(tensor, False)]
        while waiting:
            tensor, is_id = waiting.pop()
            origins = [pair for pair in _origins(tensor.op, is_id) if (pair[0].name, pair[1]) not in visited]
            visited |= {(origin.name, looks_up) for origin, looks_up in origins}
            sources |= {self.marks[origin.name] for origin, _ in origins if origin.name in self.marks}
            waiting += [pair for pair in origins if pair[0].name not in self.marks]
        return sources

    def streams(self):
        """All attention that the score depends on, with its streams: `TokenStreams`."""
        groups, addresses = _Groups(), self._needed()
        ends = {address: self._join(groups, address) for address in addresses}
        number = {group: place for place, group in enumerate(dict.fromkeys(map(groups.group, sum(ends.values(), ()))))}
        steps = self._steps({address: [number[groups.group(end)] for end in pair] for address, pair in ends.items()})
        places = {stream: [] for stream in number.values()}
        for place in range(len(self.leaves)):
            if groups.group(place) in number:
                places[number[groups.group(place)]].append(place)
        read = {step.queries: step.address for step in steps if step.address in self.read}
        return TokenStreams(steps, places, read, self._merged(steps))

    def blocks(self):
        """The layer behind each attention that all ways to the score run through: dict of address to address."""
        sources, needed = {layer: self.sources_of(self.tensors[layer]) for layer in self.layers}, self._needed()
        latest = {layer: max(ran & set(needed), key=needed.index, default=None) for layer, ran in sources.items()}
        blocks = {address: self._last_block(address, latest) for address in needed}
        return {address: block for address, block in blocks.items() if block is not None}

    def _steps(self, pairs):
        """The steps of attention, by address the streams of its queries and keys: tuple of `Step`."""
        steps, added = [], {stream: [] for pair in pairs.values() for stream in pair}
        for address, (queries, keys) in pairs.items():
            read = [version for version, source in enumerate(added[keys], 1) if source in self.sources[address][0]]
            steps.append(Step(address, queries, keys, len(added[queries]), max(read, default=0)))
            added[queries].append(address)
        return tuple(steps)

    def _needed(self):
        """The attention that the score depends on, in order: list of addresses."""
        needed, waiting = set(), set(self.read)
        while waiting:
            source = waiting.pop()
            if source in self.sources and source not in needed:
                needed.add(source)
                waiting |= set().union(*self.sources[source])
        if not needed:
            raise Refused(f"An attention map needs a score that attention leads to. Received: {self.objective}.")
        return [address for address in self.rows if address in needed]

    def _join(self, groups, address):
        """Join what an attention shows to be one stream: a pair of sources, one of its queries' stream and one of its keys'."""
        values, weights = self.sources[address]
        keys, content = sorted(values, key=str) or [("keys", address)], self._content(address)
        beside = [source for source in weights - values if source in content and not self._is_row(source)]
        row = self.rows[address]
        groups.join(keys)
        # Where nothing else decides the weights, queries are the keys' tokens, or learned ones of another number.
        groups.join([address, *(beside or (keys if row.queries == row.keys else []))])
        return address, keys[0]

    def _content(self, address):
        """The sources that an attention's weights compare with its keys: set.

        What is added to logits by itself, such as a bias or a mask for each pair of tokens, is neither query nor key.
        """
        values, weights = self.sources[address]
        softmax = self._softmax_of(self.tensors[address])
        parts = [self.sources_of(part) for part in _parts_of(softmax.inputs[0])] if softmax else []
        return set().union(*(part for part in parts if part & values)) or weights

    def _softmax_of(self, weights):
        """The operation that attention weights come from, or None where it is another one than Softmax."""
        waiting = [weights]
        for _ in range(_STEPS):
            operations = [tensor.op for tensor in waiting]
            softmax = next((op for op in operations if op.type == "Softmax"), None)
            if softmax or not waiting:
                return softmax
            waiting = [origin for op in operations for origin in op.inputs if origin.name not in self.marks]
        return None

    def _is_row(self, source):
        """Whether a source is an input of numbers [batch, numbers], such as a mask, which holds no queries: bool."""
        return isinstance(source, int) and self.leaves[source].dtype.is_floating and len(self.leaves[source].shape) < 3

    def _merged(self, steps):
        counts = {}
        for step in steps:
            row = self.rows[step.address]
            for stream, count in ((step.queries, row.queries), (step.keys, row.keys)):
                before = counts.setdefault(stream, count)
                if count != before:
                    return f"{step.address!r}, where {before} tokens have become {count}"
        return ""

    def _last_block(self, address, latest):
        """The last layer of as many tokens between an attention and the next one that all ways run through, or None.

        Args:
            address: of the attention.
            latest: dict of a layer to the last attention among its sources.
        """
        count = self.rows[address].queries
        behind = [layer for layer in self.layers if latest[layer] == address and self.tensors[layer].shape[1] == count]
        through = [layer for layer in behind if not self._leads_around(address, layer)]
        return max(through, key=lambda layer: len(taps.upstream_names(self.tensors[layer])), default=None)

    def _leads_around(self, address, layer):
        """Whether a way leads from an attention to the score that does not run through a layer: bool."""
        names = taps.upstream_names(self.score, without=self.tensors[layer].name)
        return self.tensors[address].name in names


class _Groups:
    """Elements that belong together, a representative of each group found by following `parents`."""

    def __init__(self):
        self.parents = {}

    def group(self, element):
        while self.parents.get(element, element) != element:
            element = self.parents[element]
        return element

    def join(self, elements):
        first, *others = map(self.group, elements)
        self.parents |= {other: first for other in others if other != first}


def _parts_of(logits):
    """The tensors that attention logits are a sum of, or are masked and scaled by: list."""
    parts, visited, waiting = [], set(), [logits]
    while waiting:
        tensor = waiting.pop()
        if tensor.op.type not in _JOINING:
            parts.append(tensor)
            continue
        origins = [origin for origin in tensor.op.inputs if origin.name not in visited]
        visited |= {origin.name for origin in origins}
        waiting += origins
    return parts


def _origins(operation, is_id):
    """The inputs of an operation that its numbers come from, and whether they are ids: list of (tensor, bool).

    A mask decides which tokens are read, and is no token.
    """
    if operation.type in taps.SHAPED:
        return []
    if is_id:
        return [(tensor, True) for tensor in operation.inputs]
    looking = operation.type in _LOOKING
    return [
        (tensor, looking and tensor.dtype.is_integer)
        for tensor in operation.inputs
        if not tensor.dtype.is_bool and (operation.type != "Cast" or tensor.dtype.is_floating)
    ]
