"""Rows: tables of a run's results, one dict a line."""

# Findings of verdicts that judge nothing, and that no gate may fail by.
UNJUDGED = ("NOT APPLICABLE", "MEASURED")


def verdict_rows(families):
    """Every verdict with the name of its family.

    Args:
        families: verdicts by check, as plain values.

    Returns:
        list of (str, dict).
    """
    return [(name, verdict) for name, family in families.items() for verdict in family["verdicts"]]


def part_rows(families):
    """Every verdict on a part of a subject, such as a unit, with the name of its family.

    Args:
        families: verdicts by check, as plain values.

    Returns:
        list of (str, dict).
    """
    return [(name, verdict) for name, family in families.items() for verdict in family["parts"]]


def photograph_rows(about):
    """The table of photographs.

    Args:
        about: dict, the about.json of the photographs, or None.

    Returns:
        list of dict of name, true, predicted, probability, runner_up and so on.
    """
    from recipes.predictions import COLUMNS

    if about is None:
        return []
    return [dict(zip(("name", *COLUMNS[1:]), row)) for row in zip(*(about[name] for name in COLUMNS))]
