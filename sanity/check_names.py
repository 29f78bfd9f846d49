"""Check names: the checks with their claims, tags and settings, read from their files so that nothing is imported to list them."""

import functools

from lab.refusal import Refused
from lab.registrations import in_order, modules_in, read_registrations
from lab.registry import nearest

# What a check may judge: maps of methods, pictures of units, attention of the network, its concepts, or the data.
CLAIMS = ("maps", "pictures", "attention", "concepts", "data")


def check_modules():
    """The modules that hold a check and its rule: list of str, each after those of them that it imports."""
    return in_order(modules_in("sanity.checks"))


@functools.cache
def registered_checks():
    """The checks: dict of name to `lab.registrations.Registration`."""
    return {row.name: row for row in read_registrations("checks", modules_in("sanity.checks"))}


def tag_of(check, tag, default=None):
    """The value of a check's tag.

    Args:
        check: str, the name of the check.
        tag: str, a tag whose value stands in the source, such as "claim".
        default: the value where the check has no such tag.

    Returns:
        the value.

    Raises:
        Refused: for an unknown check, with the nearest ones.
    """
    if check not in registered_checks():
        raise Refused(f"Unknown check. Received: {check!r}. {nearest(check, registered_checks())}")
    return registered_checks()[check].tags.get(tag, default)


def claim_of(check):
    """What kind of claim a check judges: str, one of CLAIMS.

    Args:
        check: str, its name.
    """
    return tag_of(check, "claim", "maps")


def names_of(*claims):
    """The names of the checks of some claims, in order: list of str."""
    return [name for name in registered_checks() if claim_of(name) in claims]


def settings_of(check):
    """The names of a check's settings: tuple of str.

    Args:
        check: str, its name.
    """
    return registered_checks()[check].options
