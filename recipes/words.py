"""Words: numbers of things as they stand in a sentence."""

from lab.nouns import plural


def model_words(recipe):
    """The function, or the name or file of the model, that a stored recipe names.

    Args:
        recipe: dict, the plain values of a recipe. One of an earlier lab has no functions.

    Returns:
        str.
    """
    return recipe["model"].get("function") or recipe["model"]["source"]


def count_noun(number, noun):
    """A number of things in words: str.

    Args:
        number: int.
        noun: str, in the singular.

    Returns:
        str.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural(noun)}"
