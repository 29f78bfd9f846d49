"""Refusal: what the lab's own rules do not allow, told apart from every fault by its type."""


class Refused(ValueError):
    """The lab was asked for something that its rules refuse: the message says the rule, what was received, and what to ask instead.

    Everything else that is raised (by a method, a model or a library, ValueErrors of theirs included) is a fault.
    """


def describe(error):
    """An exception in one line, its type and its text, whatever its text does: str."""
    try:
        text = " ".join(str(error).split())
    except Exception as other:
        text = f"its text raises {type(other).__name__}"
    return printable(f"{type(error).__name__}: {text or 'no message'}")


def printable(text):
    """Text in which every character that no file or terminal can show is written by its number: str."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
