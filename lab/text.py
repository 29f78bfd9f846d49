"""Text: lines of text as data."""

from dataclasses import replace

from lab.data import Data
from lab.lookup import read_lines
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path
from lab.sources import TEXT, header_of
from lab.tables import read_cells, refuse_repeated_columns

# Characters of the longest text. A longer one would fill the memory with its tokens.
LONGEST = 100_000
# Characters of a text that its name shows.
SHOWN = 32


def open_texts(path, *, label=None, group=None):
    """The lines of a text file, or the column text of a CSV file -> `Data` of the kind text.

    Args:
        path: of the file, in UTF-8, one text a line; or a .csv whose first line has the column text.
        label: str, the column of a .csv with the class of each text; None: no labels.
        group: str, the column of a .csv with the source of each text, such as its author; None: each is its own.

    Returns:
        `Data`, named by line and beginning.

    Raises:
        Refused: for a file that is no text, an empty line between others, a line that is too long, and for columns that are not
            there.
    """
    if as_path(path).suffix.lower() == ".csv" and TEXT in header_of(path):
        return _open_list(path, label, group)
    for name, column in (("label", label), ("group", group)):
        if column is not None:
            raise Refused(
                f"{name}= is a column of a .csv with a column text. Received: {path}, which has a text in each line. Write a .csv."
            )
    lines = read_lines(path, "A file of texts")
    while lines and not lines[-1].strip():
        lines.pop()
    return from_texts(lines, str(path))


def _open_list(path, label, group):
    header, *rows = read_cells(path)
    refuse_repeated_columns(header, path)
    columns = {name: [row[place].strip() for row in rows] for place, name in enumerate(header)}
    for name in (label, group):
        if name is not None and (name not in columns or name == TEXT):
            others = [column for column in columns if column != TEXT]
            raise Refused(
                f"A column beside the texts is named as in the first line of {path}. Received: {name!r}. {nearest(name, others)}"
            )
        if name is not None and "" in columns[name]:
            raise Refused(
                f"Every text has a {name}. Received: {path}, text {columns[name].index('') + 1}, without one. Write it, or remove the row."
            )
    data = from_texts(columns[TEXT], str(path), labels=label and tuple(columns[label]), place="text")
    return replace(data, label=label, groups=data.groups if group is None else tuple(columns[group]))


def are_texts(inputs):
    """Whether inputs are a list of texts: bool.

    Args:
        inputs: what may be a list, a tuple or an array of str.
    """
    listed = inputs.tolist() if getattr(inputs, "dtype", None) is not None and inputs.dtype.kind in "UO" else inputs
    return isinstance(listed, (list, tuple)) and bool(listed) and all(isinstance(text, str) for text in listed)


def from_texts(texts, source="the texts", labels=None, place="line"):
    """Texts -> `Data` of the kind text.

    Args:
        texts: list of str.
        source: str, where they come from, in errors.
        labels: one class a text, or None.
        place: str, what the number of a text counts, in errors.

    Returns:
        `Data`.

    Raises:
        Refused: for no text, an empty one, and one that is too long.
    """
    texts = tuple(texts)
    if not texts:
        raise Refused(f"Texts are one a line, at least one. Received: {source}, which has none.")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise Refused(
                f"A text has at least one word. Received: {source}, {place} {number}, which is empty. Remove it."
            )
        if _lone_surrogate(text):
            raise Refused(
                f"A text is Unicode, as files in UTF-8 hold it. Received: {source}, {place} {number}, with half of a pair (a surrogate). Read the file as UTF-8."
            )
        if len(text) > LONGEST:
            raise Refused(
                f"A text has at most {LONGEST:,} characters. Received: {source}, {place} {number}, with {len(text):,}. Write one text a line, or cut it."
            )
    if labels is not None and len(labels) != len(texts):
        raise Refused(f"Every text has one label. Received: {len(labels)} labels for {len(texts)} of {source}.")
    names = tuple(f"{line}: {_beginning(text)}" for line, text in enumerate(texts, 1))
    return Data(names, texts, labels, kind="text")


def _lone_surrogate(text):
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _beginning(text):
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()}..."
