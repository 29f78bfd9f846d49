"""The record of an audit as a page to print or sign."""

from collections import Counter

from recipes.report.templates import template


def render_record(record, problems=()):
    """The record as one HTML file without scripts.

    Args:
        record: dict, as of `sanity.audit.record.record`.
        problems: list of str, as of `sanity.audit.record.lint_record`.

    Returns:
        str.
    """
    kinds = Counter(part["kind"] for section in record["sections"] for part in section["fields"])
    return template("record.html").render(record=record, kinds=kinds, problems=problems)
