"""Seeds: one for every purpose, derived by name, so that no two purposes share a draw."""

import zlib

import numpy as np


def derive_seed(seed, kind, index=0):
    """A seed for one purpose, derived from that of the whole check.

    Args:
        seed: int, 0 or more, of the whole check.
        kind: str, the purpose in words.
        index: int, 0 or more, which of several of its kind.

    Returns:
        int, not negative.
    """
    return int(np.random.SeedSequence([seed, zlib.crc32(kind.encode()), index]).generate_state(1)[0] >> 1)
