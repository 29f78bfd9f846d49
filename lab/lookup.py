"""Lookup: the layer that turns text into token ids, inside a model of strings or beside a model of ids.

split_lookup(model)     -> (model of ids, lookup) or None    a model behind its TextVectorization
lookup_of(vocabulary)   -> lookup                            for a model that takes ids
read_lookup(lookup)     -> Tokenizer                         what it does with texts
"""

import os
import re
from collections import Counter

import numpy as np

from lab.environment import keras, tf
from lab.refusal import Refused
from lab.remote import as_path, is_file
from lab.tokenizer import Encoded, Tokenizer

# What `keras.layers.TextVectorization` takes away of texts, beside making small letters.
PUNCTUATION = r"""!"#$%&()*+,-./:;<=>?@[\]^_`{|}~'"""
# Its ids of what pads a text, and of what its vocabulary does not have.
PADDING, UNKNOWN = 0, 1
_LOOKUPS = tuple(
    getattr(keras.layers, name) for name in ("TextVectorization", "StringLookup", "Hashing", "HashedCrossing")
)


def refuse_text(network):
    """Raise Refused where an input of a network is text, which has no gradient and to which nothing can be added."""
    texts = [name for name, spec in network.places() if spec.dtype == tf.string]
    if not texts:
        return
    lookups = [path for path, layer in network.tree.items() if isinstance(layer, _LOOKUPS)]
    behind = f"behind {lookups[0]!r}" if lookups else "behind the layer that turns strings into numbers"
    raise Refused(
        f"Inputs are numbers. Received: {network.name}, which takes strings ({', '.join(texts)}). Cut the model {behind}: load "
        "a keras.Model that begins with what this layer gives (ids), and give it the ids of your texts."
    )


def split_lookup(model):
    """A model of strings as a model of ids, which shares its weights, and the TextVectorization before it.

    Args:
        model: a `keras.Model`.

    Returns:
        (`keras.Model`, `keras.layers.TextVectorization`), or None for a model that does not begin with one that gives ids.
    """
    lookups = [layer for layer in getattr(model, "layers", ()) if isinstance(layer, keras.layers.TextVectorization)]
    inputs = getattr(model, "inputs", None) or ()
    if len(lookups) != 1 or len(inputs) != 1 or lookups[0].get_config()["output_mode"] != "int":
        return None
    if not _reads_the_input(model, lookups[0]):
        return None
    try:
        return _cut_behind(model, lookups[0]), lookups[0]
    except ValueError:
        # Something else reads the strings, too.
        return None


def _reads_the_input(model, lookup):
    """Whether nothing lies between the model's input and its lookup: bool."""
    if isinstance(model, keras.Sequential):
        return model.layers.index(lookup) == 0
    return any(tensor is model.inputs[0] for node in lookup._inbound_nodes for tensor in node.input_tensors)


def _cut_behind(model, layer):
    """The part of a model behind one of its layers. Of the layer's calls, one alone leads to the outputs."""
    if isinstance(model, keras.Sequential):
        shape, rest = layer.compute_output_shape(model.inputs[0].shape), model.layers[model.layers.index(layer) + 1 :]
        return keras.Sequential([keras.Input(shape[1:], dtype="int64"), *rest], name=model.name)
    depths = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    node = next(node for node in layer._inbound_nodes if id(node) in depths)
    return keras.Model(node.output_tensors[0], model.outputs, name=model.name)


def lookup_of(vocabulary, length=None):
    """The lookup of a vocabulary, for a model that takes ids.

    Text is made small letters, without punctuation, and split at spaces, as `keras.layers.TextVectorization` does.

    Args:
        vocabulary: list of words, or a text file with one a line. The first has the id 2: 0 pads and 1 is unknown. These two
            may stand in the list, as in `get_vocabulary()`.
        length: int, tokens of every text; None: those of the longest.

    Returns:
        `keras.layers.TextVectorization`.

    Raises:
        Refused: for a file that is no text, and for a word that stands there twice.
    """
    words = _read_words(vocabulary)
    words = words[2:] if words[:2] == ["", "[UNK]"] else words[1:] if words[:1] == ["[UNK]"] else words
    _refuse_unmatched(words)
    repeated = [word for word, count in Counter(words).items() if count > 1]
    if not words or repeated:
        problem = f"{repeated[0]!r} more than once" if repeated else "no word"
        raise Refused(f"A vocabulary has each word once, one a line. Received: {problem}.")
    return keras.layers.TextVectorization(vocabulary=words, output_sequence_length=length)


def _refuse_unmatched(words):
    """Raise Refused for a word that no text would ever match, which shifts or loses the words of a network."""
    for place, word in enumerate(words):
        if not word:
            raise Refused(f"A vocabulary has a word in each line. Received: none at place {place}, between others.")
        if word != re.sub(f"[{re.escape(PUNCTUATION)}]", "", word.lower()) or len(word.split()) > 1:
            raise Refused(
                f"Text is made small letters without punctuation, and split at spaces. Received: {word!r} in the vocabulary, which no text would match. Write the words as the network was trained on, or give the model its TextVectorization."
            )


def _read_words(vocabulary):
    if not isinstance(vocabulary, (str, os.PathLike)):
        return [str(word) for word in vocabulary]
    return [line.strip() for line in read_lines(vocabulary, "A vocabulary")]


def read_lookup(lookup):
    """A lookup as a tokenizer, whose tokens are words.

    Args:
        lookup: `keras.layers.TextVectorization`.

    Returns:
        `lab.tokenizer.Tokenizer`.
    """

    def encode(texts, length):
        del length  # The lookup has its own.
        ids = np.asarray(lookup(tf.constant(list(texts))))
        mask = (ids != PADDING).astype("int32")
        return Encoded(ids, mask, np.zeros_like(mask), _count_lost(lookup, texts))

    return Tokenizer(encode, tuple(lookup.get_vocabulary()), padding=PADDING, unknown=UNKNOWN)


def _count_lost(lookup, texts):
    """How many words of each text a lookup cuts off: list of int, zeros where only the lookup knows what a word is."""
    config = lookup.get_config()
    length, splits = config["output_sequence_length"], config["split"] == "whitespace" and config["ngrams"] is None
    if length is None or not splits or config["standardize"] != "lower_and_strip_punctuation":
        return [0] * len(texts)
    plain = [re.sub(f"[{re.escape(PUNCTUATION)}]", "", text) for text in texts]
    return [max(0, len(text.split()) - length) for text in plain]


def read_lines(path, what):
    """The lines of a text file in UTF-8.

    Args:
        path: of the file.
        what: str, what the file is, in errors.

    Returns:
        list of str.

    Raises:
        Refused: for a file that is no text.
    """
    path = as_path(path)
    if not is_file(path):
        raise Refused(f"{what} is a text file in UTF-8. Received: {str(path)!r}, which is no file.")
    try:
        # Other ends of lines that `splitlines` knows may stand inside a text.
        content = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
        return content.split("\n") if content else []
    except UnicodeDecodeError as error:
        raise Refused(f"{what} is a text file in UTF-8. Received: {path}: {error}.") from error
