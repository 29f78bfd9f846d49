"""Address: where an activation of a network is, `path`, `path@call` or `path@call:port`."""

import re
from dataclasses import dataclass

# What can be read of an attention, wherever it is computed.
PORTS = ("weights", "values", "heads")
_PORT = re.compile(rf"(.*):({'|'.join(PORTS)})(?:#([2-9]|[1-9]\d+))?", re.DOTALL)

AXES_OF_PORTS = {
    "weights": ("batch", "heads", "queries", "keys"),
    "values": ("batch", "heads", "keys", "channels"),
    "heads": ("batch", "queries", "heads"),
}
_POSITIONS = {1: ("steps",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}


@dataclass(frozen=True)
class Address:
    """The place of an activation.

    Args:
        path: of a layer, "" for the model itself.
        call: which call of a shared layer, counted from 0.
        port: "" for the layer's output; of an attention inside the layer "weights", "values", or "heads", the length of what
            each head passes on at each query.
        number: which attention inside the layer, counted from 0, where it computes several.
    """

    path: str
    call: int = 0
    port: str = ""
    number: int = 0

    def __str__(self):
        call = f"@{self.call}" if self.call else ""
        number = f"#{self.number + 1}" if self.number else ""
        return self.path + call + (f":{self.port}{number}" if self.port else "")

    @property
    def layer(self):
        """The address of the layer's own output: `Address`."""
        return Address(self.path, self.call)


def parse(text):
    """An address from its text.

    Args:
        text: str, such as "encoder", "encoder@1" or "encoder/attention:weights".

    Returns:
        `Address`, or None for a text that is none.
    """
    match = _PORT.fullmatch(text)
    rest, port, number = match.groups() if match else (text, "", None)
    path, at, call = rest.partition("@")
    if at and not call.isdecimal():
        return None
    return Address(path, int(call or 0), port, int(number or 1) - 1)


def axes_of_rank(rank, tokens):
    """The kinds of the axes of a layer's output.

    Args:
        rank: int, how many axes it has.
        tokens: bool, whether the positions of one axis are tokens, of words or of patches, and no steps in time.

    Returns:
        tuple of str; () for a rank that no layer has.
    """
    if rank < 3:
        return ("batch", "channels")[:rank]
    positions = ("tokens",) if rank == 3 and tokens else _POSITIONS.get(rank - 2)
    return () if positions is None else ("batch", *positions, "channels")


def is_port(text):
    """Whether an address is of attention inside a layer, and not of a layer's output: bool."""
    place = parse(text)
    return place is not None and bool(place.port)


def layer_path(text):
    """The path of the layer that an address is of: str."""
    return parse(text).path


def addresses_of_calls(path, outputs):
    """The address of every call of a layer, with what it returned.

    Args:
        path: str, the path of the layer.
        outputs: list, one a call.

    Returns:
        iterator of (str, output).
    """
    for call, output in enumerate(outputs):
        yield str(Address(path, call)), output
