"""Small networks of attention: encoders, a vision transformer, encoders with decoders, and two streams that read each other."""

import keras
import numpy as np
from keras import layers as L

from tests.networks import filled, network

SIZE, HEADS, WIDTH = 8, 2, 3
ROWS, COLUMNS, SIDE = 3, 4, 4


class Biased(L.Layer):
    """Self-attention of two heads written by hand, to whose logits an input for each pair of tokens is added."""

    def build(self, x_shape, pairs_shape):
        self.query, self.key, self.value = (L.EinsumDense("btc,chd->bhtd", (HEADS, None, WIDTH)) for _ in range(3))
        self.merge, self.by_head = L.EinsumDense("bhtd,hdc->btc", (None, x_shape[-1])), L.Dense(HEADS, use_bias=False)
        self.built = True

    def call(self, x, pairs):
        logits = keras.ops.einsum("bhqd,bhkd->bhqk", self.query(x), self.key(x)) / WIDTH**0.5
        bias = pairs[:, None] if len(pairs.shape) == 3 else keras.ops.transpose(self.by_head(pairs), (0, 3, 1, 2))
        weights = keras.ops.softmax(logits + bias)
        return x + self.merge(keras.ops.einsum("bhqk,bhkd->bhqd", weights, self.value(x)))


class Learned(L.Layer):
    """Tokens of its own: before those that it is given, or in their place."""

    def __init__(self, count, before=True, **options):
        super().__init__(**options)
        self.count, self.before = count, before

    def build(self, shape):
        self.tokens = self.add_weight(shape=(1, self.count, shape[-1]), initializer="normal")

    def call(self, x):
        tokens = keras.ops.repeat(self.tokens, keras.ops.shape(x)[0], axis=0)
        return keras.ops.concatenate([tokens, x], axis=1) if self.before else tokens


def attend(x, name, other=None):
    """A residual step of attention, to the tokens themselves or to others."""
    h = L.LayerNormalization(name=f"{name}_norm")(x)
    h = L.MultiHeadAttention(HEADS, WIDTH, name=name)(h, h if other is None else other)
    return L.Add(name=f"{name}_sum")([x, h])


def block(x, name, other=None):
    """A layer of an encoder, or of a decoder that reads others."""
    x = attend(x, name)
    x = x if other is None else attend(x, f"{name}_cross", other)
    h = L.Dense(SIZE, name=f"{name}_narrow")(L.Dense(12, "gelu", name=f"{name}_wide")(x))
    return L.Add(name=f"{name}_out")([x, h])


def head(x, first):
    x = L.LayerNormalization(name="last")(x)
    return L.Dense(3, name="logits")(x[:, 0] if first else L.GlobalAveragePooling1D()(x))


def encoder(first=True):
    """Two layers over a series of five steps, read at the first token or at all of them."""
    inputs = keras.Input((5, SIZE))
    return network(filled(keras.Model(inputs, head(block(block(inputs, "one"), "two"), first))))


def text():
    """An encoder of ids of any number, with padding."""
    ids = keras.Input((None,), dtype="int32")
    x = block(block(L.Embedding(20, SIZE, mask_zero=True, name="embedding")(ids), "one"), "two")
    return network(filled(keras.Model(ids, head(x, False))))


def vit(layers=2):
    """A class token before the patches of an image."""
    inputs = keras.Input((SIDE * ROWS, SIDE * COLUMNS, 3))
    x = L.Reshape((ROWS * COLUMNS, SIZE))(L.Conv2D(SIZE, SIDE, strides=SIDE, name="patches")(inputs))
    x = Learned(1, name="class")(x)
    for name in ("one", "two")[:layers]:
        x = block(x, name)
    return network(filled(keras.Model(inputs, head(x, True))))


def biased(features=()):
    """A series of five steps, and a number or features of each pair of them, which are added to the logits of attention."""
    x, pairs = keras.Input((5, SIZE), name="x"), keras.Input((5, 5, *features), name="pairs")
    y = Biased(name="two")(Biased(name="one")(x, pairs), pairs)
    return network(filled(keras.Model({"x": x, "pairs": pairs}, head(y, True))))


def translator():
    """An encoder of six steps, and a decoder of four ids that reads it."""
    source, target = keras.Input((6, SIZE), name="source"), keras.Input((4,), dtype="int32", name="target")
    memory = block(source, "encoder")
    x = L.Embedding(20, SIZE, name="embedding")(target)
    x = block(block(x, "decoder", memory), "decoder2", memory)
    return network(filled(keras.Model({"source": source, "target": target}, head(x, True))))


def two_streams():
    """Two series that read each other, of which the score reads the first."""
    left, right = keras.Input((4, SIZE), name="left"), keras.Input((3, SIZE), name="right")
    x, y = attend(left, "x1"), attend(right, "y1")
    x, y = attend(x, "xy", y), attend(y, "yx", x)
    x, y = attend(x, "x2"), attend(y, "y2")
    x = attend(x, "last_cross", y)
    return network(filled(keras.Model({"left": left, "right": right}, head(x, True))))


def detector():
    """Learned queries that read the patches of an image."""
    inputs = keras.Input((SIDE * ROWS, SIDE * COLUMNS, 3))
    x = L.Reshape((ROWS * COLUMNS, SIZE))(L.Conv2D(SIZE, SIDE, strides=SIDE, name="patches")(inputs))
    memory = block(x, "encoder")
    queries = Learned(5, before=False, name="queries")(memory)
    return network(filled(keras.Model(inputs, head(block(queries, "decoder", memory), True))))


def pooled():
    """Additive attention that pools the steps of a recurrent layer."""
    inputs = keras.Input((6, SIZE))
    x = L.GRU(5, return_sequences=True)(inputs)
    pool = L.Dot((1, 1), name="pool")([L.Softmax(axis=1)(L.Dense(1)(L.Dense(4, "tanh")(x))), x])
    return network(filled(keras.Model(inputs, L.Dense(3, name="logits")(L.Flatten()(pool)))))


def series(count, steps, seed=0):
    return np.random.default_rng(seed).normal(size=(count, steps, SIZE)).astype("float32")


def write(folder):
    """A vision transformer and a network of words with attention, as files.

    Args:
        folder: Path where vit.keras and transformer.keras are saved.
    """
    keras.utils.set_random_seed(0)
    images = keras.Input((32, 32, 3))
    x = L.Reshape((16, SIZE))(L.Conv2D(SIZE, 8, 8)(images))
    x = L.GlobalAveragePooling1D()(block(x, "block"))
    keras.Model(images, L.Dense(4, "softmax")(x)).save(folder / "vit.keras")
    lookup = L.TextVectorization(vocabulary=["good", "bad", "film", "the", "was"], output_sequence_length=8)
    texts = keras.Input((), dtype="string")
    x = L.GlobalAveragePooling1D()(block(L.Embedding(8, SIZE, mask_zero=True)(lookup(texts)), "block"))
    keras.Model(texts, L.Dense(2, "softmax")(x)).save(folder / "transformer.keras")
