"""Claims: which table of a recipe holds the checks of which kind of claim."""

from lab.refusal import Refused

# Claim -> table of a recipe.
TABLES = {"maps": "check", "attention": "check", "pictures": "features", "concepts": "concept", "data": "audit"}
# End of the name of a family of verdicts -> table of a recipe that asked for it, where the check does not say so.
HOMES = {"probe": "probe", "probe_use": "probe", "dictionary": "dictionary"}
HOMES |= dict.fromkeys(("shortcut_labels", "shortcut_swaps", "shortcut_maps"), "shortcuts")


def table_of(check):
    """The table of a recipe that holds a check: str, or None for a check that no table holds.

    Args:
        check: str, the name of the check.

    Raises:
        Refused: for an unknown one.
    """
    from sanity.check_names import claim_of, tag_of

    return tag_of(check, "table", TABLES.get(claim_of(check)))


def home_of(name, family):
    """The table of a recipe that a family of verdicts belongs to.

    Args:
        name: str, of the family.
        family: dict, as in verdicts.json.

    Returns:
        str, the key of the table; None for a check that no table holds.
    """
    return HOMES.get(name.partition("-")[2]) or table_of(family["check"])


def refuse_other_claims(check, table):
    """Refuse a check of a claim that a table does not hold.

    Args:
        check: str, the name of the check.
        table: str, the name of the table.

    Raises:
        Refused: for such a check, and for an unknown one.
    """
    from recipes.sections import sections
    from sanity.check_names import claim_of

    claim, home = claim_of(check), table_of(check)
    if home != table:
        claims = " and ".join(name for name, other in TABLES.items() if other == table)
        where = f"; put it into {sections.get(home).header}" if home else ""
        raise Refused(
            f"{sections.get(table).header} holds checks of {claims}. Received: {check!r}, a check of {claim}{where}."
        )


def family_table(recipe, name, family):
    """The table of a recipe that asked for a family of verdicts.

    The registry of checks is not read, because it takes TensorFlow: a [[check]] table names its check, any other holds all
    of a claim, or gives its name to its families.

    Args:
        recipe: dict, a recipe as plain values.
        name: str, of the family, which begins with the place of the table.
        family: dict, as in verdicts.json.

    Returns:
        dict, empty where the recipe has no such table.
    """
    check, number = family["check"], name.partition("-")[0]
    home = HOMES.get(name.partition("-")[2])
    for table in (home,) if home else ("check", TABLES.get(family.get("claim", "maps"), "check")):
        entries = recipe.get(table) or ()
        entries = [entries] if isinstance(entries, dict) else entries
        entry = entries[int(number)] if number.isdecimal() and int(number) < len(entries) else {}
        if entry and entry.get("check", check) == check:
            return entry
    return {}
