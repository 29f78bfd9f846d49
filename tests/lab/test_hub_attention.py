"""Attention of KerasHub's backbones, built small with random weights: read, replaced and explained."""

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.environment import tf

pytestmark = pytest.mark.filterwarnings("ignore:.*does not support masking")

TEXT = {"vocabulary_size": 50, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
GROUPED = {
    **{name: value for name, value in TEXT.items() if name != "num_heads"},
    "num_query_heads": 4,
    "num_key_value_heads": 2,
}
LONGEST = {"max_sequence_length": 12}
# Backbone, its arguments, heads, and how many attentions it computes.
BACKBONES = {
    "BertBackbone": (TEXT | LONGEST, 2, 1),
    "RobertaBackbone": (TEXT | LONGEST, 2, 1),
    "DistilBertBackbone": (TEXT | LONGEST, 2, 1),
    "GPT2Backbone": (TEXT | LONGEST, 2, 1),
    "GemmaBackbone": (GROUPED | {"head_dim": 4}, 4, 1),
    "LlamaBackbone": (GROUPED, 4, 1),
    "DebertaV3Backbone": (TEXT | LONGEST | {"bucket_size": 4}, 2, 1),
    "T5Backbone": (TEXT | {"key_value_dim": 4}, 2, 3),
    "ViTBackbone": (
        {"image_shape": (16, 16, 3), "patch_size": 4, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16},
        2,
        1,
    ),
}
CAUSAL = {"GPT2Backbone", "GemmaBackbone", "LlamaBackbone"}


def network_of(name):
    """A backbone under a mean over tokens and a linear head."""
    models = pytest.importorskip("keras_hub").models
    keras.utils.set_random_seed(0)
    backbone = getattr(models, name)(**BACKBONES[name][0])
    outputs = backbone.output
    if isinstance(outputs, dict):
        outputs = outputs["sequence_output" if "sequence_output" in outputs else "decoder_sequence_output"]
    pooled = keras.layers.GlobalAveragePooling1D(name="mean")(outputs)
    return lab.load(keras.Model(backbone.input, keras.layers.Dense(3, name="head")(pooled)))


def inputs_of(network):
    """Two samples; of a text the last two tokens of the first are padding."""
    ids, rng = np.array([[5, 6, 7, 8, 0, 0], [9, 8, 7, 6, 5, 4]]), np.random.default_rng(0)
    arrays = {
        name: rng.normal(size=(2, 16, 16, 3)).astype("float32")
        if len(spec.shape) == 4
        else (ids > 0).astype("int32")
        if "mask" in name
        else np.zeros_like(ids)
        if "segment" in name
        else ids
        for name, spec in network.places()
    }
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_is_read_replaced_and_explained(name):
    network = network_of(name)
    inputs, (_, heads, count) = inputs_of(network), BACKBONES[name]
    assert [row.heads for row in network.attentions.values()] == [heads] * count
    for address in list(network.attentions)[-1:]:
        weights = routines.activations(network, inputs, address)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
        assert weights.shape[:2] == (2, heads) and weights.shape[2] == weights.shape[3]
        if name in CAUSAL:
            assert not np.triu(weights, 1).any()
        same = routines.replace_activations(network, inputs, lab.logit(1), address, weights)
        np.testing.assert_allclose(same, routines.logits(network, inputs)[:, 1], atol=1e-5)
    if name not in (*CAUSAL, "ViTBackbone"):
        # The first of an encoder and decoder is the encoder's, which sees all tokens but padding.
        first = routines.activations(network, inputs, next(iter(network.attentions)))
        assert not first[0, ..., 4:].any() and first[1, ..., 4:].all()
    maps = lab.gradient(network, inputs, lab.logit(1))
    assert any(np.any(leaf) for leaf in tf.nest.flatten(maps))


def test_heads_that_share_their_values_are_told_apart():
    """Without its second head, the output of a layer changes by just what this head adds."""
    network = network_of("GemmaBackbone")
    inputs, address = inputs_of(network), next(iter(network.attentions))
    weights = routines.activations(network, inputs, address)
    values = routines.activations(network, inputs, address.replace("weights", "values"))
    assert weights.shape[1] == 4 and values.shape[1] == 2
    layer = network.tree[address.partition(":")[0]]
    added = np.einsum("bqk,bkc,cd->bqd", weights[:, 1], values[:, 0], np.asarray(layer.output_dense.kernel)[1])

    def body(batched, shared):
        without = {address: lambda tensor: tensor * shared[0][None, :, None, None]}
        return network.trace(batched[0], [address.partition(":")[0]], replaced=without).activations

    path = address.partition(":")[0]
    outputs = [
        routines.run(network, ("without",), body, (inputs,), (np.array(kept, "float32"),))[path]
        for kept in ([1, 1, 1, 1], [1, 0, 1, 1])
    ]
    np.testing.assert_allclose(outputs[0] - outputs[1], added, atol=1e-5)
