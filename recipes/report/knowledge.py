"""Knowledge: the page of one network, which says what is known about which method for it. One file that opens offline."""

import os
import urllib.parse

from lab.remote import as_path, is_remote
from recipes.knowledge import remark_words, shown_verdicts, title_words
from recipes.report.templates import template
from recipes.store import replace


def write_network_page(knowledge, path):
    """Write the page of a network.

    Args:
        knowledge: dict, as of `recipes.knowledge.describe_network`, with verdicts.
        path: of the page.

    Returns:
        path.
    """
    path = as_path(path)
    cells = {}
    for cell in knowledge["cells"]:
        current = shown_verdicts(cell)
        older = [verdict for verdict in cell["verdicts"] if verdict not in current]
        cells.setdefault((cell["method"], cell["check"]), []).append({**cell, "shown": current, "older": older})
    words = {"title": title_words(knowledge), "remarks": remark_words(knowledge)}
    html = template("knowledge.html").render(
        **knowledge, **words, table=cells, link=lambda report: _link(report, path.parent)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, html.encode("utf-8", "backslashreplace"))
    return path


def _link(report, folder):
    """Where a report lies, as seen from the folder of the page: str, so that both can be moved together."""
    file, _, anchor = report.partition("#")
    if is_remote(file) or is_remote(folder):
        place = file
    else:
        place = urllib.parse.quote(os.path.relpath(file, folder).replace(os.sep, "/"))
    return f"{place}#{urllib.parse.quote(anchor)}" if anchor else place
