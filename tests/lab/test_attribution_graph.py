"""Attribution graphs: what a channel gives is what goes through it, and nothing is lost on the way."""

import keras
import numpy as np
import pytest
from keras import layers

import lab
from lab.attribution_graph import attribution_graph
from lab.refusal import Refused
from tests import networks


@pytest.fixture(scope="module")
def positive():
    """A network without biases on positive inputs, where z+ loses nothing."""
    keras.utils.set_random_seed(0)
    stack = [keras.Input((6,))]
    for name, units in (("first", 5), ("second", 4)):
        stack.append(layers.Dense(units, activation="relu", use_bias=False, name=name))
    network = lab.load(keras.Sequential([*stack, layers.Dense(3, use_bias=False)]))
    return network, np.random.default_rng(0).uniform(0.1, 1, (1, 6)).astype("float32")


def test_what_goes_through_all_channels_is_the_score(positive):
    network, inputs = positive
    graph = attribution_graph(network, inputs, 0, layers=["first", "second"], composite="z_plus", width=9)
    assert graph.layers == ("second", "first")
    by_layer = {layer: [node for node in graph.nodes if node.layer == layer] for layer in graph.layers}
    for nodes in by_layer.values():
        assert np.isclose(sum(node.relevance for node in nodes), graph.score, rtol=1e-4)
    for place, node in enumerate(graph.nodes):
        assert np.isclose(node.maps.sum(), node.relevance, rtol=1e-4)
        given = sum(value for (first, _), value in graph.edges.items() if first == place)
        got = sum(value for (_, second), value in graph.edges.items() if second == place)
        assert np.isclose(given if node.layer == "second" else got, node.relevance, rtol=1e-4)


def test_an_edge_is_the_rule_written_out(positive):
    """z+ of one unit: its relevance times a w+ over the sum of these."""
    network, inputs = positive
    graph = attribution_graph(network, inputs, 0, layers=["second", "first"], composite="z_plus", width=9)
    first, second, _ = network.model.get_weights()
    hidden = np.maximum(inputs @ first, 0)[0]
    for (place, target), value in graph.edges.items():
        unit, source = graph.nodes[place], graph.nodes[target]
        parts = hidden * np.maximum(second[:, unit.channel], 0)
        assert np.isclose(value, unit.relevance * parts[source.channel] / parts.sum(), rtol=1e-3)


def test_the_strongest_channels_are_followed(positive):
    network, inputs = positive
    whole = attribution_graph(network, inputs, 0, layers=["second"], width=9)
    narrow = attribution_graph(network, inputs, 0, layers=["second"], width=1)
    assert [node.channel for node in narrow.nodes] == [max(whole.nodes, key=lambda node: abs(node.relevance)).channel]


@pytest.mark.parametrize("kind", ["pictures", "table"])
def test_a_graph_is_drawn_with_its_names(positive, kind):
    if kind == "table":
        graph = attribution_graph(*positive, 0, layers=["first", "second"])
    else:
        network = networks.network(networks.flat())
        graph = attribution_graph(network, networks.images(1), 0, layers=list(network.readable)[1:4:2], width=2)
    plot = graph.plot()
    assert all(node.name in plot.alt for node in graph.nodes)
    assert len(plot.axes) == (len(graph.nodes) if kind == "pictures" else 0)


def test_what_cannot_be_followed_is_refused(positive):
    network, inputs = positive
    for options, words in (
        ({"layers": ["third"]}, "Unknown layer.*'third'"),
        ({"layers": "first"}, r"list of addresses. Received: 'first'. Type layers=\[...\]"),
        ({"layers": []}, "list of addresses"),
        ({"layers": ["first"], "width": 0}, "1 or more. Received: 0"),
    ):
        with pytest.raises(Refused, match=words):
            attribution_graph(network, inputs, 0, **options)
    with pytest.raises(Refused, match=r"of one input. Received: 2.*inputs\[:1\]"):
        attribution_graph(network, np.repeat(inputs, 2, axis=0), 0, layers=["first"])
