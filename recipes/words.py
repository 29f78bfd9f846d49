"""Words: numbers of things as they stand in a sentence."""

from lab.nouns import plural


def count_noun(number, noun):
    """A number of things in words: str.

    Args:
        number: int.
        noun: str, in the singular.

    Returns:
        str.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural(noun)}"
