"""Embeddings: a network of token ids called behind its Embedding layers, where it can be differentiated.

embedded, inputs = to_embeddings(network, ids)  the same network, taking {"ids": ..., "vectors": {address: ...}}
sum_vectors(embedded, maps)                    its maps, one number a token
"""

import functools

import numpy as np

from lab import routines, taps
from lab.address import Address, layer_path
from lab.environment import keras, tf
from lab.estimates import Estimate
from lab.network import Network
from lab.tokenizer import name_neutral


class Embedded(Network):
    """A network whose inputs are its ids and, beside them, the vectors of its Embedding layers."""

    def __init__(self, network, sources):
        self.__dict__.update(network.__dict__)
        self.network, self.sources, self.compiled = network, sources, {}
        vectors = {address: tf.TensorSpec([None, *network.shapes[address][1:]]) for address in sources}
        self.spec = {"ids": network.spec, "vectors": vectors}
        self.declared = {"ids": network.declared, "vectors": vectors}

    @property
    def attentions(self):
        """As `Network.attentions`."""
        return self.network.attentions

    def call(self, inputs):
        """As `Network.call`, of the ids alone."""
        return self.network.call(inputs)

    def masks(self, inputs):
        """As `Network.masks`; vectors are masked where their ids are."""
        ids = self.network.masks(inputs["ids"])
        of_vectors = [
            _vector_mask(self, ids, address, vectors) for address, vectors in sorted(inputs["vectors"].items())
        ]
        return [*ids, *of_vectors]

    def trace(self, inputs, reads=(), interceptors=None, replaced=None):
        """As `Network.trace`; the vectors replace the outputs of the Embedding layers."""
        return super().trace(inputs["ids"], reads, interceptors, {**inputs["vectors"], **(replaced or {})})


def _vector_mask(network, masks, address, vectors):
    mask = masks[network.sources[address]]
    has_mask_input = network.text_inputs is not None and network.text_inputs.mask is not None
    if mask is None or not (has_mask_input or network.tree[layer_path(address)].mask_zero):
        return None
    return mask[..., None] & tf.ones_like(vectors, tf.bool)


def embedding_network(network):
    """The network behind its Embedding layers, or the network itself where no layer embeds its ids; built once."""
    if isinstance(network, Embedded) or all(leaf.dtype.is_floating for leaf in tf.nest.flatten(network.spec)):
        return network
    if "embedded" not in network.compiled:
        sources = _sources(network)
        network.compiled["embedded"] = Embedded(network, sources) if sources else network
    return network.compiled["embedded"]


def to_embeddings(network, inputs):
    """-> the network behind its Embedding layers, and its inputs. Floating inputs are returned as they are.

    Args:
        network: a `Network`.
        inputs: arrays that it takes, token ids.

    Returns:
        (`Embedded`, dict of ids and vectors, float32 [batch, tokens, size] by address); or the network and its inputs.
    """
    embedded = embedding_network(network)
    if embedded is network:
        return network, network.inputs(inputs)
    arrays = network.inputs(inputs)
    vectors = {address: routines.activations(network, arrays, address) for address in embedded.sources}
    return embedded, {"ids": arrays, "vectors": vectors}


def sum_vectors(network, maps):
    """Sum the maps of embedding vectors for each token.

    Args:
        network: a network behind its Embedding layers.
        maps: its maps.

    Returns:
        float32 in the structure and shape of the ids.
    """
    leaves = [
        np.zeros(leaf.shape, "float32") if leaf.dtype.kind != "f" else leaf for leaf in tf.nest.flatten(maps["ids"])
    ]
    for address, place in network.sources.items():
        leaves[place] = leaves[place] + maps["vectors"][address].sum(axis=-1)
    return tf.nest.pack_sequence_as(maps["ids"], leaves)


def at_embeddings(explainer):
    """Decorator for an explainer of floating inputs: it then explains token ids at their embeddings, one number a token.

    A baseline of ids is embedded as the inputs are; a number is a vector of that number.
    """

    @functools.wraps(explainer)
    def explain_embedded(network, inputs, objective, **options):
        embedded, arrays = to_embeddings(network, inputs)
        options = name_neutral(network, options)
        if embedded is network:
            return explainer(network, arrays, objective, **options)
        maps = explainer(embedded, arrays, objective, **options_to_embeddings(network, options))
        if isinstance(maps, Estimate):
            # A token is one player, whose vector's numbers share value and error alike.
            return maps.convert(lambda leaves: sum_vectors(embedded, leaves))
        # A map at a layer is not a map of the vectors.
        return sum_vectors(embedded, maps) if isinstance(maps, dict) else maps

    return explain_embedded


def options_to_embeddings(network, options):
    """An explainer's options, with baselines of ids, [tokens] or [several, tokens], replaced by their embeddings.

    Args:
        network: the `Network` of token ids.
        options: dict of the explainer's options.

    Returns:
        dict; the options themselves where baselines are numbers or the network has no Embedding.
    """
    options = name_neutral(network, options)
    ids = {
        name: options[name] for name in ("baseline", "baselines", "references") if not are_numbers(options.get(name))
    }
    if not ids or isinstance(network, Embedded) or embedding_network(network) is network:
        return options
    return {**options, **{name: _embed_rows(network, rows) for name, rows in ids.items()}}


def are_numbers(baselines):
    """Whether baselines are none, a number, or a list of numbers, each one for all of an input: bool.

    Args:
        baselines: as explainers take them.
    """
    listed = baselines if isinstance(baselines, (list, tuple)) else [baselines]
    return baselines is None or all(np.isscalar(number) and not isinstance(number, str) for number in listed)


def _embed_rows(network, rows):
    rows = tf.nest.map_structure(
        lambda leaf, spec: np.atleast_1d(leaf)[None] if np.ndim(leaf) < len(spec.shape) else leaf, rows, network.spec
    )
    return to_embeddings(network, rows)[1]


def _sources(network):
    """The Embedding layers that the ids go into: dict of address to the number of the input, in flattened order."""
    sources, beside = {}, network.text_inputs.beside if network.text_inputs else []

    def trace_call(inputs):
        reader = taps.Reader()
        leaves = tf.nest.flatten(inputs)
        with taps.intercept(network.tree.values(), reader):
            network.call(inputs)
        for path, layer in network.tree.items():
            for call, tensor in enumerate(
                reader.outputs.get(id(layer), []) if isinstance(layer, keras.layers.Embedding) else []
            ):
                # An Embedding whose weights also give the scores of words is called backwards then.
                looks_up = reader.sees(tensor) and tensor.shape[-1] == layer.output_dim
                place = _lookup_input(tensor, leaves) if looks_up else None
                if place is not None and place not in beside:
                    sources[str(Address(path, call))] = place

    tf.function(trace_call, autograph=False).get_concrete_function(network.spec)
    return sources


def _lookup_input(tensor, leaves):
    """The number of the input of ids that a tensor is looked up by, or None.

    A tensor that depends on the ids' shape alone, such as that of positions, is not looked up by them.
    """
    waiting, visited = [tensor.op], set()
    places = {leaf.op: number for number, leaf in enumerate(leaves) if not leaf.dtype.is_floating}
    while waiting:
        op = waiting.pop()
        if op in places:
            return places[op]
        if op not in visited and op.type not in taps.SHAPED:
            visited.add(op)
            waiting += [source.op for source in op.inputs]
    return None
