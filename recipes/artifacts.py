"""Artifacts: the folders of runs, found by their names."""

from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_remote, refuse_unreadable

# The page of a run, whose path a command prints last.
PAGE = "index.html"


def find_report(run_folder, root="artifacts"):
    """The index.html of a run.

    Args:
        run_folder: path or address of a folder or of its page, or what names a run.
        root: folder of all runs, where a name is looked for.

    Returns:
        path.
    """
    return find_file(run_folder, PAGE, root)


def find_file(run_folder, name, root="artifacts"):
    """A file of a run, by folder, digest or recipe name. The manifest is written first and the report last.

    Args:
        run_folder: path or address of a folder or of its page, or what names a run.
        name: str, name of the file.
        root: folder of all runs, where a digest or the name of a recipe is looked for.

    Returns:
        path.

    Raises:
        Refused: where there is no such run.
    """
    address = as_path(run_folder)
    file = (address.parent if address.name == PAGE else address) / name
    with refuse_unreadable("A run is a folder that can be read.", run_folder):
        if file.is_file():
            return file
    if is_remote(file):
        raise Refused(f"A run is a folder with {name}. Received: {str(run_folder)!r}, which has none.")
    reports = sorted(as_path(root).glob(f"*/*/{name}"), key=lambda report: report.stat().st_mtime)
    names = [(report.parent.name, report.parent.parent.name) for report in reports]
    word = str(run_folder)
    matches = [report for report, (digest, recipe) in zip(reports, names) if digest.startswith(word) or recipe == word]
    if not matches:
        known = sorted({name for pair in names for name in pair})
        raise Refused(
            f"A run is a folder with a report, its page, a digest, or a recipe's name. Received: {word!r}. {nearest(word, known)}"
        )
    return matches[-1]
