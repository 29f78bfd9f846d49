"""Refusal: the error type for what the lab's own rules do not allow, unlike every fault."""


class Refused(ValueError):
    """An error for what the lab's rules refuse: its message says the rule, what was received, and what to type instead.

    Every other exception (of a method, a model or a library, their ValueErrors included) is a fault.
    """


def describe(error):
    """An exception's type and text in one line, even if its text raises: str."""
    try:
        text = " ".join(str(error).split())
    except Exception as other:
        text = f"its text raises {type(other).__name__}"
    return printable(f"{type(error).__name__}: {text or 'no message'}")


def printable(text):
    """Text in which every character that a file or terminal cannot show is written as its escape code: str."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
