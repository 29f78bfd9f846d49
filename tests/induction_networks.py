"""Networks whose attention is set by hand: an induction circuit of two layers, with a decoy head beside each working one.

The last token A occurs once before. The first layer copies to every position the token before it. The second layer looks
from the last token for the position whose token before is A, and copies the token there. The decoys look at the first
token with weight one, and copy nothing.
"""

import functools

import keras
import numpy as np
from keras import layers as L

import lab
from lab.environment import tf

LENGTH, WORDS, GAIN, SHARP = 8, 9, 10.0, 40.0
# Where token, position, the token before and the answer lie in the residual stream.
TOKEN, POSITION = np.arange(WORDS), WORDS + np.arange(LENGTH)
BEFORE, ANSWER = WORDS + LENGTH + np.arange(WORDS), 2 * WORDS + LENGTH + np.arange(WORDS)
WIDTH = 3 * WORDS + LENGTH
WORKING, DECOY = 0, 1


@keras.saving.register_keras_serializable("tests")
class Positions(L.Layer):
    """Tokens and their positions, each one-hot, in a residual stream."""

    def call(self, tokens):
        places = tf.tile(tf.eye(LENGTH)[None], [tf.shape(tokens)[0], 1, 1])
        return tf.concat([tokens, places, tf.zeros([tf.shape(tokens)[0], LENGTH, 2 * WORDS])], axis=-1)


def kernel(sources, targets, factor=1.0):
    """A matrix that moves numbers from some places of the stream to others."""
    matrix = np.zeros((WIDTH, WIDTH), "float32")
    matrix[sources, targets] = factor
    return matrix


def set_heads(layer, query, key, value):
    """Set a layer's working head by three matrices; the decoy looks at the first position, and its values are zero."""
    factor = SHARP * np.sqrt(WIDTH)
    everywhere, first = np.zeros((2, WIDTH, WIDTH), "float32")
    everywhere[POSITION, POSITION[0]], first[POSITION[0], POSITION[0]] = factor, 1
    none = np.zeros((WIDTH, WIDTH), "float32")
    heads = ((factor * query, everywhere), (key, first), (value, none))
    kernels = [np.stack(pair, axis=1) for pair in heads]
    layer.set_weights([*kernels, np.stack([np.eye(WIDTH, dtype="float32"), np.eye(WIDTH, dtype="float32")])])


def induction_model():
    """The circuit as a Keras model [batch, 8, 9] -> logits [batch, 9]."""
    tokens = keras.Input((LENGTH, WORDS))
    stream = Positions(name="stream")(tokens)
    for name in ("first", "second"):
        attention = L.MultiHeadAttention(2, WIDTH, use_bias=False, name=name)
        stream = L.Add(name=f"{name}_sum")([stream, attention(stream, stream)])
    head = L.Dense(WORDS, use_bias=False, name="logits")
    model = keras.Model(tokens, head(stream[:, -1]), name="induction")
    # Position p asks for position p - 1.
    set_heads(
        model.get_layer("first"),
        kernel(POSITION[1:], POSITION[:-1]),
        kernel(POSITION, POSITION),
        kernel(TOKEN, BEFORE),
    )
    set_heads(model.get_layer("second"), kernel(TOKEN, TOKEN), kernel(BEFORE, TOKEN), kernel(TOKEN, ANSWER))
    head.set_weights([GAIN * np.eye(WIDTH, dtype="float32")[:, ANSWER]])
    return model


@functools.cache
def induction_network():
    return lab.load(induction_model())


def induction_samples(count, seed=0):
    """Sentences [count, 8, 9] one-hot, their answers [count], and the position of the answer [count]."""
    rng = np.random.default_rng(seed)
    words = np.stack([rng.permutation(WORDS)[:LENGTH] for _ in range(count)])
    # The token at the place before the answer comes again at the end.
    places = rng.integers(1, LENGTH - 1, count)
    rows = np.arange(count)
    words[:, -1] = words[rows, places - 1]
    return np.eye(WORDS, dtype="float32")[words], words[rows, places], places
