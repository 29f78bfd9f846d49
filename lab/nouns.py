"""Nouns: more than one of a thing."""


def plural(noun):
    """A noun in the plural: str."""
    return noun if noun.endswith("s") else f"{noun}s"
