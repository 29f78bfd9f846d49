"""Attribution graphs: what a channel gives is what goes through it, and nothing is lost on the way."""

import keras
import numpy as np
import pytest
from keras import layers

import lab
from lab.attribution_graph import attribution_graph
from lab.refusal import Refused
from lab.relevance import relevance
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


def test_what_goes_around_a_layer_does_not_go_through_its_channels():
    """Of a skip connection each channel has its own part, by hand: the score is (2 + 3 + 1) x for x = 1."""
    pixels = keras.Input((1,))
    branch = layers.Dense(2, use_bias=False, name="branch")(pixels)
    joined = layers.Concatenate()([branch, layers.Dense(1, use_bias=False, name="around")(pixels)])
    model = keras.Model(pixels, layers.Dense(1, use_bias=False)(joined))
    model.set_weights([np.float32([[2, 3]]), np.float32([[1]]), np.ones((3, 1), "float32")])
    network, inputs = lab.load(model), np.float32([[1]])
    graph = attribution_graph(network, inputs, 0, layers=["branch"], composite="z_plus")
    assert [(node.channel, round(float(node.maps.sum()), 3)) for node in graph.nodes] == [(0, 2), (1, 3)]
    with pytest.raises(Refused, match="'(branch|around)', which gets no relevance from the channels of"):
        attribution_graph(network, inputs, 0, layers=["branch", "around"], composite="z_plus")


@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon_plus_flat"])
def test_what_goes_through_each_channel_adds_up_before_a_normalization_and_a_bias(composite):
    """A second pass over a kernel finds the bias that the first one did."""
    network = networks.network(networks.flat())
    inputs, goal = networks.images(1), lab.logit([1])
    whole, read = relevance(network, inputs, goal, composite, layers=["last", "first_relu"])
    parts = [
        relevance(network, inputs, goal, composite, layers=["first_relu"], channels={"last": [channel]}, alone=True)
        for channel in range(12)
    ]
    assert np.allclose(sum(maps for maps, _ in parts), whole, atol=1e-6)
    assert np.allclose(sum(values["first_relu"] for _, values in parts), read["first_relu"], atol=1e-6)


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_gamma_box"])
def test_a_layer_before_the_first_ones_has_channels_too(composite):
    pixels = keras.Input((8, 8, 3))
    values = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(2.0, name="scaled")(pixels))
    network = networks.network(networks.filled(keras.Model(pixels, layers.Dense(2)(layers.Flatten()(values)))))
    question = (network, networks.images(2, side=8), lab.logit([0, 1]), composite)
    parts = [relevance(*question, channels={"scaled": [channel]}, alone=True) for channel in range(3)]
    assert np.allclose(sum(parts), relevance(*question), atol=1e-6)
    assert not parts[0][..., 1:].any() and np.abs(parts[0][..., 0]).max() > 1e-4


def test_a_channel_of_several_layers_alone_is_refused(positive):
    network, inputs = positive
    with pytest.raises(Refused, match="channels of one layer. Received: channels of first, second"):
        relevance(network, inputs, lab.logit(0), "z_plus", channels={"first": [0], "second": [0]}, alone=True)


def test_a_layer_that_does_not_lead_to_the_score_is_refused():
    table = keras.Input((3,))
    model = keras.Model(
        table, {name: layers.Dense(2, name=name)(layers.Dense(4, name=f"to_{name}")(table)) for name in ("one", "two")}
    )
    with pytest.raises(Refused, match="'to_two', which gets no relevance from the score. Leave it out"):
        goal = lab.logit(0, output="one")
        attribution_graph(lab.load(model), np.ones((1, 3), "float32"), goal, layers=["to_two"])


def test_addresses_are_those_of_outputs(positive):
    network, inputs = positive
    graph = attribution_graph(network, inputs, 0, layers=["first@0", "first"])
    assert graph.layers == ("first",)
    with pytest.raises(Refused, match="outputs of layers. Received: 'first@3'. Nearest: first"):
        attribution_graph(network, inputs, 0, layers=["first@3"])
    with pytest.raises(Refused, match="Received: 2.5"):
        attribution_graph(network, inputs, 0, layers=["first"], width=2.5)


def test_ids_are_followed_to_their_embeddings():
    ids = keras.Input((6,), dtype="int32")
    tokens = layers.Dense(5, activation="relu", name="tokens")(layers.Embedding(9, 4, name="embedding")(ids))
    network = networks.network(networks.filled(keras.Model(ids, layers.Dense(3)(layers.GlobalMaxPooling1D()(tokens)))))
    inputs = np.int32([[1, 4, 2, 8, 0, 3]])
    graph = attribution_graph(network, inputs, 0, layers=["tokens", "embedding"], width=9)
    maps = [node.maps for node in graph.nodes if node.layer == "tokens"]
    assert maps[0].shape == (6,) and np.allclose(
        sum(maps), lab.explain(network, inputs, lab.logit(0), method="lrp").maps[0], atol=1e-6
    )
