"""Profile: what the cells of each column of a data frame are, without a guess of what they are for."""

from sanity.audit.cells import MOST_LEVELS, are_dates, cell_words, holds_numbers


def profile_columns(frame):
    """What is seen of each column.

    Args:
        frame: `pandas.DataFrame`.

    Returns:
        list of dict of name, kind, missing (share), distinct (values) and remark.
    """
    return [_profile(str(name), frame[name]) for name in frame.columns]


def _profile(name, cells):
    words = cell_words(cells)
    known = words.dropna()
    row = {"name": name, "missing": 1 - len(known) / max(len(cells), 1), "distinct": int(known.nunique())}
    return row | {"kind": _kind(cells, row["distinct"]), "remark": _remark(cells, row["distinct"])}


def _kind(cells, distinct):
    if holds_numbers(cells):
        return "number"
    return "category" if distinct <= MOST_LEVELS else "text"


def _remark(cells, distinct):
    """What a reader may miss: str."""
    if not distinct:
        return "; it holds nothing"
    if distinct == 1:
        return "; it is the same in every row"
    if distinct == len(cells):
        return "; every row has its own"
    if not holds_numbers(cells) and are_dates(cells):
        return "; its cells read as dates"
    return ""
