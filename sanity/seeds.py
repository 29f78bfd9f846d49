"""Seeds: one for every purpose, derived by name, so that no two purposes ever share a draw."""

import zlib

import numpy as np


def derive_seed(seed, kind, index=0):
    """A seed of its own for a purpose: int, not negative.

    seed: of the whole check, an int of 0 or more. kind: the purpose in words, str. index: which of several of its kind, 0 or more.
    """
    return int(np.random.SeedSequence([seed, zlib.crc32(kind.encode()), index]).generate_state(1)[0] >> 1)
