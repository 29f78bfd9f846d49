"""Checksum: the masked CRC-32C that guards the records of a TFRecord file.

A register takes in one byte after the other. Rows of bytes are taken in at the same time, each from zero, and joined: the
register of two rows is that of the first, after as many zeros as the second has bytes, and the second's (exclusive or).
"""

import functools

import numpy as np

# The polynomial of Castagnoli, its bits reversed.
_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_WIDTH = 128


def masked_crc32c(content):
    """The masked CRC-32C of some bytes.

    Args:
        content: bytes.

    Returns:
        int of 32 bits.
    """
    head = len(content) % _WIDTH
    register, rows = _take_in(_ONES, content[:head]), content[head:]
    for row in _registers_of_rows(rows) if rows else ():
        register = _take_in_zeros(register) ^ row
    inverted = register ^ _ONES
    return ((inverted >> 15 | inverted << 17) + 0xA282EAD8) & _ONES


def _take_in(register, content):
    for byte in content:
        register = _TABLE[(register ^ byte) & 255] ^ (register >> 8)
    return register


def _registers_of_rows(content):
    """The register of each row of some bytes, from zero: list of int."""
    columns = np.ascontiguousarray(np.frombuffer(content, "uint8").reshape(-1, _WIDTH).T)
    table, registers = np.array(_TABLE, "uint32"), np.zeros(columns.shape[1], "uint32")
    for column in columns:
        registers = table[(registers ^ column) & 255] ^ (registers >> 8)
    return registers.tolist()


def _take_in_zeros(register):
    """A register after as many zeros as a row has bytes."""
    first, second, third, fourth = _zero_tables()
    return first[register & 255] ^ second[register >> 8 & 255] ^ third[register >> 16 & 255] ^ fourth[register >> 24]


@functools.cache
def _zero_tables():
    """What the zeros make of each value of each byte of a register: four lists of int."""
    return [[_take_in(value << shift, bytes(_WIDTH)) for value in range(256)] for shift in (0, 8, 16, 24)]


def _make_table():
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ _POLYNOMIAL * (value & 1) for value in table]
    return table


_TABLE = _make_table()
