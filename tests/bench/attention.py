"""Attention of a vision transformer: reading all heads beside a plain forward pass, and maps beside a bare gradient."""

import numpy as np

import lab
from lab import routines
from lab.environment import keras
from tests.bench import clock
from tests.bench.gradients import BARE, FORWARD, bare, bare_forward
from tests.bench.table import Figure, Row, benchmarks

BATCH, SIDE, PATCH, WIDTH, HEADS, LAYERS = 4, 224, 16, 384, 6, 12
READ = "all heads of all layers"
# Methods come after the first row.
ROWS = (
    Row(READ, FORWARD, 1.3),
    Row("attention_rollout", FORWARD),
    Row("chefer", BARE, 3.0),
    Row("transformer_attribution", BARE, 3.0),
    Row("legrad", BARE),
)


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


@benchmarks.register(rows=ROWS, repeats=5)
def attention(network, repeats):
    """Attention: an untrained vision transformer of the size of ViT-S/16, four images at a time."""
    network, objective = transformer(), lab.logit(3)
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIDE, SIDE, 3)).astype("float32")
    tasks = {FORWARD: bare_forward(network, images), BARE: bare(network, images)}
    tasks[READ] = lambda: _read_heads(network, images)
    for name in (row.measured for row in ROWS[1:]):
        method = lab.explainers.get(name)
        tasks[name] = lambda method=method: method(network, images, objective)
    seconds = clock.interleaved(tasks, repeats)
    return {
        row.name: Figure(
            seconds[row.measured] / seconds[row.beside], f"{1e3 * seconds[row.measured] / BATCH:.0f} ms an image"
        )
        for row in ROWS
    }


def _read_heads(network, images):
    addresses = list(network.attentions)

    def body(batched, _):
        trace = network.trace(batched[0], addresses)
        # With the outputs, so that both passes run to the end.
        return [trace.logits(), *trace.activations.values()]

    return routines.run(network, ("heads",), body, (images,), ())
