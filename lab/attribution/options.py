"""Options of explainers: their values are checked, and refused in one way."""

import math
import numbers

import numpy as np

from lab.environment import tf
from lab.refusal import Refused


def positive_integer(name, number):
    """Check that a value is a whole number of 1 or more.

    Args:
        name: str, of the option, for the error.
        number: the value.

    Returns:
        int.

    Raises:
        Refused: where it is not.
    """
    if not _is_finite_number(number) or not number >= 1 or int(number) != number:
        raise Refused(f"{name} is a whole number of 1 or more. Received: {number!r}.")
    return int(number)


def _is_finite_number(number):
    """Whether a value is one finite real number, and not True, text or an array: bool."""
    return isinstance(number, numbers.Real) and not isinstance(number, bool) and math.isfinite(number)


def check_at_least(name, number, low):
    """Raise Refused unless a value is a finite number of `low` or more.

    Args:
        name: str, of the option, for the error.
        number: the value.
        low: the smallest number that is allowed.

    Raises:
        Refused: for a lower number, or for what is no number.
    """
    if not _is_finite_number(number) or not number >= low:
        raise Refused(f"{name} is a number of {low} or more. Received: {number!r}.")


def check_above(name, number, low):
    """Raise Refused unless a value is a finite number above `low`.

    Args:
        name: str, of the option, for the error.
        number: the value.
        low: a number.

    Raises:
        Refused: for `low` or less, or for what is no number.
    """
    if not _is_finite_number(number) or not number > low:
        raise Refused(f"{name} is a number above {low}. Received: {number!r}.")


def check_fraction(name, number):
    """Raise Refused unless a value is a number above 0 and at most 1.

    Args:
        name: str, of the option, for the error.
        number: the value.

    Raises:
        Refused: for what is no such fraction.
    """
    if not _is_finite_number(number) or not 0 < number <= 1:
        raise Refused(f"{name} is a fraction, above 0 and at most 1. Received: {number!r}.")


def check_one_of(name, value, choices):
    """Raise Refused unless a value is one of the choices.

    Args:
        name: str, of the option, for the error.
        value: the value.
        choices: list of str.

    Raises:
        Refused: for any other value.
    """
    if value not in choices:
        raise Refused(f"{name} is one of {', '.join(choices)}. Received: {value!r}.")


def whole_seed(seed):
    """A seed as an int, for numpy's generators.

    Args:
        seed: a whole number of 0 or more.

    Returns:
        int.

    Raises:
        Refused: for anything else.
    """
    split_seed(seed)
    return int(seed)


def split_seed(seed):
    """A seed in the form that TensorFlow's stateless draws take: int32 [2].

    Raises:
        Refused: unless it is a whole number of 0 or more.
    """
    if not _is_finite_number(seed) or seed < 0 or int(seed) != seed:
        raise Refused(f"seed is a whole number of 0 or more. Received: {seed!r}.")
    return np.array([int(seed) & 0x7FFFFFFF, int(seed) >> 31 & 0x7FFFFFFF], "int32")


def as_float32(maps):
    """Maps as an explainer returns them: float32 arrays in their structure."""
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf, "float32"), maps)
