"""Attention of a vision transformer: reading all heads beside a plain forward pass, and Chefer beside a bare gradient."""

import keras
import numpy as np

import lab
from lab import routines
from lab.environment import tf
from tests.bench import clock

BATCH, SIDE, PATCH, WIDTH, HEADS, LAYERS = 4, 224, 16, 384, 6, 12


def transformer():
    """A vision transformer of the size of ViT-S/16, untrained, read at the mean of its 196 patches."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(WIDTH, PATCH, strides=PATCH)(inputs)
    x = keras.layers.Reshape((-1, WIDTH))(x)
    for _ in range(LAYERS):
        h = keras.layers.LayerNormalization()(x)
        x = x + keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(h, h)
        h = keras.layers.Dense(4 * WIDTH, "gelu")(keras.layers.LayerNormalization()(x))
        x = x + keras.layers.Dense(WIDTH)(h)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(x))
    return lab.load(keras.Model(inputs, keras.layers.Dense(1000)(x)), input_range=(-1, 1))


def attention(_):
    """Seconds of a forward pass, of one that reads every head, of a gradient, and of maps, interleaved."""
    network, objective = transformer(), lab.logit(3)
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIDE, SIDE, 3)).astype("float32")
    tasks = {"forward": _bare(network, images, False), "gradient": _bare(network, images, True)}
    tasks["heads"] = lambda: _read_heads(network, images)
    for name in ("attention_rollout", "chefer", "transformer_attribution", "legrad"):
        method = lab.explainers.get(name)
        tasks[name] = lambda method=method: method(network, images, objective)
    seconds = clock.interleaved(tasks, 5)
    note = f"{1e3 * seconds['forward'] / BATCH:.0f} ms an image"
    clock.row("all heads / plain forward pass", seconds["heads"] / seconds["forward"], 1.3, note)
    clock.row("attention_rollout / plain forward pass", seconds["attention_rollout"] / seconds["forward"], None)
    clock.row("chefer / bare gradient", seconds["chefer"] / seconds["gradient"], 3)
    clock.row("transformer_attribution / bare gradient", seconds["transformer_attribution"] / seconds["gradient"], 3)
    clock.row("legrad / bare gradient", seconds["legrad"] / seconds["gradient"], None)


def _bare(network, images, slopes):
    """The bare compiled forward pass of all images, or its gradient: callable."""

    @tf.function(jit_compile=network.jit or None)
    def compute(inputs):
        scores = network.model(inputs, training=False)
        return tf.gradients(scores[:, 3], inputs)[0] if slopes else scores

    return lambda: compute(tf.constant(images)).numpy()


def _read_heads(network, images):
    addresses = list(network.attentions)

    def body(batched, _):
        trace = network.trace(batched[0], addresses)
        # With the outputs, so that both passes run to the end.
        return [trace.logits(), *trace.activations.values()]

    return routines.run(network, ("heads",), body, (images,), ())


ALL = (attention,)
