"""Texts: the tokens of a run's texts as its files hold them, and their maps by word: on the page and in a terminal."""

import click

# Below this opacity a word has no colour in a terminal.
LEAST = 0.05
# Texts that a terminal shows; the page and tokens.csv have all of them.
SHOWN = 5


def describe_tokens(network, inputs):
    """The tokens of texts as plain values.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.

    Returns:
        dict: `words`, the text of each token, empty for padding; `word_numbers`, the number of its word, None for special
        tokens and padding; `special`, whether it is a special token.
    """
    from lab.environment import tf

    tokens = network.tokens(inputs)
    if tokens is None:
        ids = tf.nest.flatten(inputs)[network.main_place].tolist()
        numbers = [list(range(len(row))) for row in ids]
        return {
            "words": [list(map(str, row)) for row in ids],
            "word_numbers": numbers,
            "special": [[False] * len(row) for row in ids],
        }
    return {
        "words": [[token.text for token in row] for row in tokens],
        "word_numbers": [[token.word for token in row] for row in tokens],
        "special": [[token.is_special for token in row] for row in tokens],
    }


def tokens_of(about, place):
    """The tokens of one text.

    Args:
        about: dict, the about.json of maps or of inputs.
        place: int, of the text.

    Returns:
        tuple of `lab.tokenizer.Token`.
    """
    from lab.tokenizer import Token

    texts = about["words"][place]
    # Runs of an earlier release knew of words alone.
    numbers = (
        about["word_numbers"][place]
        if "word_numbers" in about
        else [row if text else None for row, text in enumerate(texts)]
    )
    special = about["special"][place] if "special" in about else [False] * len(texts)
    rows = zip(texts, numbers, special)
    return tuple(Token(text, word, is_special, word is None and not is_special) for text, word, is_special in rows)


def coloured_lines(about, maps):
    """The first texts in a terminal's colours, one a line, with special tokens in brackets behind them.

    Args:
        about: dict, the about.json of maps of texts.
        maps: float [texts, tokens].

    Returns:
        list of str.
    """
    from lab.words import strongest, words_of

    lines = []
    for place in range(min(SHOWN, len(maps))):
        words = words_of(tokens_of(about, place), maps[place])
        top = strongest(words)
        texts = " ".join(_coloured(word, top) for word in words if not word.is_special)
        special = ", ".join(f"{word.text} {word.value:+.2g}" for word in words if word.is_special)
        lines.append(f"{about['method']}  {about['classes'][place]}: {texts}" + (f"  ({special})" if special else ""))
    return lines


def _coloured(word, top):
    from lab.words import shade

    colour, opacity = shade(word.value, top)
    if opacity < LEAST:
        return word.text
    blend = tuple(round(255 + (part - 255) * opacity) for part in colour)
    return click.style(word.text, fg="black", bg=blend)
