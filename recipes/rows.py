"""Rows: tables of a run's results, one dict a line."""


def verdict_rows(families):
    """Every verdict with the name of its family.

    Args:
        families: verdicts by check, as plain values.

    Returns:
        list of (str, dict).
    """
    return [(name, verdict) for name, family in families.items() for verdict in family["verdicts"]]


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
