"""Text networks: small networks of token ids and their tokenizers, as their users have them."""

import json

import keras

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "good",
    "bad",
    "film",
    "un",
    "##aff",
    "##able",
    "a",
    ".",
    "not",
]
TEXTS = ["Unaffable good film.", "not a bad film"]
# What the tokenizer makes of them, written out.
IDS = [[2, 8, 9, 10, 5, 7, 12, 3], [2, 13, 11, 6, 7, 3, 0, 0]]
WORDS = [["[CLS]", "unaffable", "good", "film", ".", "[SEP]"], ["[CLS]", "not", "a", "bad", "film", "[SEP]"]]


def masked(length=None):
    """A network of ids and their mask, in which every token of a text changes the score."""
    ids, mask = (keras.Input((length,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    draw = keras.initializers.RandomNormal(0, 1, seed=3)
    vectors = keras.layers.Embedding(len(VOCABULARY), 8, embeddings_initializer=draw)(ids)
    attention = keras.layers.MultiHeadAttention(2, 4, kernel_initializer=keras.initializers.GlorotUniform(seed=4))
    vectors = attention(vectors, vectors, attention_mask=keras.ops.expand_dims(mask, 1))
    mean = keras.layers.GlobalAveragePooling1D()(vectors, mask=mask)
    dense = keras.layers.Dense(2, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed=5))
    return keras.Model({"token_ids": ids, "padding_mask": mask}, dense(mean))


def tokenizer_json(padding=None):
    """A tokenizer.json of BERT's kind, with special tokens at both ends."""
    special = [
        {"id": index, "content": VOCABULARY[index], "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for index in range(5)
    ]
    end = {name: {"id": name, "ids": [VOCABULARY.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    parts = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": padding,
            "added_tokens": special,
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing", "single": parts, "pair": parts, "special_tokens": end},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {piece: index for index, piece in enumerate(VOCABULARY)},
            },
        }
    )


def write(folder):
    """The network, its tokenizer and its texts as files, by the names of `docs/how-to/text.md`."""
    masked().save(folder / "ids.keras")
    (folder / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    (folder / "films.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
