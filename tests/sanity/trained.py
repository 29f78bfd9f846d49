"""Trained weights: kept while the tests run, since one world's networks are asked for again and again."""

_weights = {}


def kept(key, make):
    """The weights under a key that holds all that they depend on, trained where they are not yet kept: dict of arrays."""
    if key not in _weights:
        _weights[key] = make()
    return dict(_weights[key])
