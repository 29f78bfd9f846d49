"""Attribution graphs: which channels of each layer gave the channels behind them their relevance, for one input.

graph = attribution_graph(network, image[None], "Egyptian cat", layers=["block_10_add", "block_14_add"])
graph.plot()
"""

import itertools
import textwrap
from dataclasses import dataclass, field

import numpy as np
from matplotlib.lines import Line2D

from lab import routines
from lab.address import parse
from lab.embeddings import Embedded, sum_vectors, to_embeddings
from lab.environment import tf
from lab.kinds import IMAGE, kind_of
from lab.plots import NEGATIVE, POSITIVE, SIGNED, Plot, over_photograph, scale, shorten
from lab.record_plots import as_picture
from lab.refusal import Refused
from lab.registry import nearest
from lab.relevance import relevance
from lab.targets import as_objective, captions


@dataclass(frozen=True)
class Node:
    """A channel, and the relevance that goes through it from the score.

    Args:
        layer: str, the address of its layer.
        channel: int.
        relevance: float, in units of the score.
        maps: float32 in the structure and shape of one input, the relevance of the input through this channel alone.
    """

    layer: str
    channel: int
    relevance: float
    maps: object = field(repr=False, compare=False)

    @property
    def name(self):
        """The layer and the number of the channel: str."""
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True)
class AttributionGraph:
    """Channels and what they give each other.

    Args:
        nodes: tuple of `Node`, those of the last layer first.
        edges: dict of (place of a node, place of a node of the next layer towards the input) to float, the relevance that the
            second gets through the first.
        layers: tuple of addresses, the last layer first.
        score: float, what is explained.
        target: str, in words.
        picture: float [rows, columns, channels] in 0..1, the input as it is shown, or None for other inputs.
    """

    nodes: tuple
    edges: dict
    layers: tuple
    score: float
    target: str
    picture: object = field(default=None, repr=False, compare=False)

    def plot(self):
        """Draw the layers from left to right, each channel with its own map, and lines as wide as the relevance between two.

        Returns:
            `lab.plots.Plot`.
        """
        return _draw(self)


def attribution_graph(network, inputs, objective="top", *, layers, composite="epsilon_plus", width=3, bounds=None):
    """Follow relevance from a score back through the strongest channels of some layers (Achtibat et al. 2023, https://doi.org/10.1038/s42256-023-00711-8).

    What a channel gives the layer before is the relevance that goes through it alone (concept-conditional relevance).

    Args:
        network: a `Network`.
        inputs: one input [1, ...], as the network takes it.
        objective: as of `lab.explain`.
        layers: addresses of layers with channels last, in any order.
        composite: as of `lab.relevance.relevance`.
        width: int, channels that are followed from each node.
        bounds: as of `lab.relevance.relevance`.

    Returns:
        `AttributionGraph`.

    Raises:
        Refused: for several inputs, unknown layers, a width below 1, and as `lab.relevance.relevance`.
    """
    arrays = network.inputs(inputs)
    _refuse_rows(arrays, width)
    ordered, objective = from_the_score(network, layers), as_objective(network, arrays, objective)
    question = (*to_embeddings(network, arrays), objective, composite)
    _, whole = relevance(*question, layers=ordered, bounds=bounds)
    totals = {layer: _by_channel(values) for layer, values in whole.items()}
    nodes, edges, rows = [], {}, {None: totals[ordered[0]]}
    for layer, before in zip(ordered, [*ordered[1:], None]):
        strongest = {place: _strongest(row, width) for place, row in rows.items()}
        channels = sorted(set(itertools.chain(*strongest.values())))
        _refuse_empty(channels, layer, nodes)
        places = {channel: len(nodes) + number for number, channel in enumerate(channels)}
        edges |= _edges(rows, strongest, places)
        rows = {}
        for channel, place in places.items():
            maps, rows[place] = _follow(question, layer, channel, before, bounds)
            nodes.append(Node(layer, channel, float(totals[layer][channel]), maps))
    scores = routines.scores(network, arrays, objective)
    words = captions(network, arrays, objective, scores, ((),))[0]
    return AttributionGraph(tuple(nodes), edges, ordered, float(scores[0]), words, _picture(network, arrays))


def _follow(question, layer, channel, before, bounds):
    """Relevance through one channel: at the input, and of the channels of the layer before, None where there is no such layer."""
    options = {"channels": {layer: [channel]}, "alone": True, "bounds": bounds}
    if before is None:
        return _first_row(question[0], relevance(*question, **options)), None
    maps, read = relevance(*question, layers=[before], **options)
    return _first_row(question[0], maps), _by_channel(read[before])


def _first_row(network, maps):
    """The maps of the one row; of ids one number a token."""
    maps = sum_vectors(network, maps) if isinstance(network, Embedded) else maps
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf[0], "float32"), maps)


def _by_channel(values):
    """The sum over positions of one row: float64 [channels]."""
    return values[0].reshape(-1, values.shape[-1]).sum(axis=0, dtype="float64")


def _strongest(row, width):
    """The channels with the largest magnitudes, without those that get nothing: list of int."""
    order = np.argsort(-np.abs(row), kind="stable")[:width]
    return [int(channel) for channel in order if row[channel]]


def _edges(rows, strongest, places):
    return {
        (place, places[channel]): float(rows[place][channel])
        for place, channels in strongest.items()
        if place is not None
        for channel in channels
    }


def from_the_score(network, layers):
    """Layers in the order in which relevance goes through them.

    Args:
        network: a `Network`.
        layers: list of addresses.

    Returns:
        tuple of addresses, the last layer first.

    Raises:
        Refused: for no list, for unknown layers, and for what is no output of a layer, such as the weights of attention.
    """
    if isinstance(layers, str) or not layers:
        raise Refused(
            f"layers= is a list of addresses. Received: {layers!r}. Type layers=[...] with one or more of them."
        )
    return tuple(sorted({_readable(network, layer) for layer in layers}, key=network.readable.index, reverse=True))


def _readable(network, layer):
    """The address of a layer's output as the network lists it."""
    network.refuse_unknown(layer)
    address = str(parse(layer))
    if address not in network.readable:
        raise Refused(
            f"A graph goes through the outputs of layers. Received: {layer!r}. {nearest(layer, network.readable)}"
        )
    return address


def _refuse_empty(channels, layer, nodes):
    """Raise Refused for a layer that gets no relevance from the score, or from the layer behind it."""
    if channels:
        return
    source = f"the channels of {nodes[-1].layer!r}" if nodes else "the score"
    raise Refused(
        f"Layers of a graph lie one behind the other on the way to the score. Received: {layer!r}, which gets no relevance from {source}. Leave it out."
    )


def _refuse_rows(arrays, width):
    rows = len(tf.nest.flatten(arrays)[0])
    if rows != 1:
        raise Refused(f"A graph is of one input. Received: {rows}. Give one of them, such as inputs[:1].")
    if not isinstance(width, int) or width < 1:
        raise Refused(f"width is a number of channels, 1 or more. Received: {width!r}.")


def _picture(network, arrays):
    """The input as it is shown: float [rows, columns, channels] in 0..1, or None."""
    leaves = tf.nest.flatten(arrays)
    if len(leaves) > 1 or kind_of(leaves[0]) is not IMAGE:
        return None
    return as_picture(network, leaves[0])[0]


# Drawing ------------------------------------------------------------------------------------------------------------------

# Inches of a node and of the space between layers.
SIDE, GAP = 1.3, 1.0


def _draw(graph):
    columns = [[place for place, node in enumerate(graph.nodes) if node.layer == layer] for layer in graph.layers[::-1]]
    height = (SIDE + 0.35) * max(map(len, columns)) + 0.6
    width = (SIDE + GAP) * (len(columns) + 1)
    words = ", ".join(f"{node.name} {node.relevance:+.2g}" for node in graph.nodes)
    figure = Plot(figsize=(width, height), alt=f"{graph.target}: {words}")
    centres = {
        place: ((number + 0.5) * (SIDE + GAP) / width, 1 - (row + 0.5) / len(places))
        for number, places in enumerate(columns)
        for row, place in enumerate(places)
    }
    end = ((len(columns) + 0.4) * (SIDE + GAP) / width, 0.5)
    # Lines end at the sides of pictures, and below names.
    half = SIDE / width / 2 if graph.picture is not None else 0
    _draw_links(figure, [(end, centres[place], graph.nodes[place].relevance) for place in columns[-1]], half)
    for places in columns[1:]:
        links = [(centres[one], centres[two], value) for (one, two), value in graph.edges.items() if one in places]
        _draw_links(figure, links, half)
    for place, centre in centres.items():
        _draw_node(figure, graph, graph.nodes[place], centre, (width, height))
    figure.text(
        *end,
        textwrap.fill(graph.target, 20),
        ha="center",
        va="center",
        fontsize=9,
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "none"},
        parse_math=False,
    )
    return figure


def _draw_links(figure, links, half):
    """Lines from the right side of what gets relevance to the left side of what gives it, the widest for the most between two layers."""
    strongest = max((abs(value) for *_, value in links), default=1) or 1
    for giver, getter, value in links:
        colour, strength = (POSITIVE if value > 0 else NEGATIVE), abs(value) / strongest
        ends = [getter[0] + half, giver[0] - half], [getter[1], giver[1]]
        figure.add_artist(Line2D(*ends, color=colour, lw=0.5 + 5 * strength, alpha=0.35 + 0.5 * strength))


def _draw_node(figure, graph, node, centre, size):
    """A channel's own map over the pale picture, with its name and relevance; of inputs that are no picture the name alone."""
    words = f"{shorten(node.name, 24)}\n{node.relevance:+.2g}"
    if graph.picture is None:
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "#999999"}
        figure.text(*centre, words, ha="center", va="center", fontsize=8, bbox=box, parse_math=False)
        return
    width, height = SIDE / size[0], SIDE / size[1]
    axes = figure.add_axes((centre[0] - width / 2, centre[1] - height / 2, width, height))
    axes.imshow(0.4 + 0.6 * graph.picture.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
    values = node.maps.sum(axis=-1)
    axes.imshow(over_photograph(values, scale(values)[0], SIGNED))
    axes.set_axis_off()
    axes.set_title(words, fontsize=7, pad=2, parse_math=False)
