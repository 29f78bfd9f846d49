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


def off_manifold_sentences(abouts):
    """What is to be said of methods that ask a network about rows that do not occur.

    Args:
        abouts: list of dict, what is known of the maps of every method (about.json).

    Returns:
        list of one str, or an empty one.
    """
    separations = [(about["method"], about["off_manifold"]) for about in abouts if about.get("off_manifold")]
    shares = [f"{method} {separation['share']:.0%}" for method, separation in separations if separation["warned"]]
    if not shares:
        return []
    return [
        f"The score is asked for rows that do not occur. A classifier tells perturbed rows from rows of the data: {', '.join(shares)}. Where columns go together, baseline='conditional' or rows of the data as baselines= come closer."
    ]
