"""Heads: rows of evidence about the heads of a network, their names, and the gates that all checks of attention share."""

import numpy as np

from lab.attention import all_heads, select
from lab.environment import tf
from lab.kinds import kind_of
from sanity.evidence import Evidence, Gate

# The row of a check that could not be asked about any head.
ATTENTION = "all attention"


def attention_gate(network):
    """Whether the network computes attention: `Gate`."""
    count = len(network.attentions)
    return Gate("network has attention", "passed" if count else "not applicable", f"{count} layers of attention")


def selections(network, layers=()):
    """Every head, and all heads of every layer that has several.

    Args:
        network: a `Network` with attention.
        layers: addresses of the weights of some layers; empty: all layers.

    Returns:
        dict of name to (address, head), the head None for all of a layer.

    Raises:
        Refused: for an unknown address.
    """
    for address in layers:
        select(network, address)
    wanted = layers or network.attentions
    rows = {head_name(address, head): (address, head) for address, head in all_heads(network) if address in wanted}
    several = [address for address in wanted if network.attentions[address].heads > 1]
    return rows | {f"{address} all heads": (address, None) for address in several}


def head_name(address, head):
    """What a row about a head is called: str.

    Args:
        address: str, the address of the weights.
        head: int, counted from 0.

    Returns:
        str.
    """
    return f"{address} head {head}"


def head_evidence(check, name, subject, samples, gates, *, sizes=None, settings=None):
    """What a check of attention measured of one row.

    Args:
        check: str, the name of the check.
        name: str, of the head or control.
        subject: the `Subject`.
        samples: dict of name to array.
        gates: list of `Gate`.
        sizes: dict, counts besides that of the inputs; one of "images" replaces theirs.
        settings: dict, settings of the check.

    Returns:
        `Evidence`.
    """
    leaves = tf.nest.flatten(subject.inputs)
    kind = {"kind": kind_of(np.asarray(leaves[0])).name} if len(leaves) == 1 else {}
    counts = {"images": len(subject.names), **(sizes or {})}
    return Evidence(
        check, name, subject.network.name, counts, samples, tuple(gates), settings={**kind, **(settings or {})}
    )
