"""Class names: a list, a dict or a text file -> one name a class, checked against a network's outputs."""

import codecs
import collections
import os
import re

from lab.refusal import Refused
from lab.remote import as_path, is_file

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read(classes):
    """Class names in the order of the classes -> list of str, or None where none are given.

    Args:
        classes: names; a dict of name to index or of index to name; or a text file with one a line, in UTF-8 or with
            a byte order mark.

    Raises:
        Refused: for a missing file or one in another encoding, blank lines inside, and repeated names.
    """
    if classes is None:
        return None
    if isinstance(classes, (str, os.PathLike)):
        names, where = _read_lines(as_path(classes)), as_path(classes).name
    else:
        names, where = _as_list(classes), "classes="
    if not names:
        raise Refused(f"classes= has one name a class. Received: no names in {where}.")
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise Refused(f"Every class has a name of its own. Received: {', '.join(twice[:8])} more than once in {where}.")
    return names


def match_outputs(names, outputs):
    """The names of a network's classes, of which one output has as many -> list of str.

    One unit is two classes: two names, or one for class 1.

    Args:
        names: list of str.
        outputs: dict of name to shape.

    Returns:
        list of str, the names as they are; for one unit and one name two, "not NAME" and NAME.

    Raises:
        Refused: where no output has as many classes.
    """
    counts = {name: shape[-1] if len(shape) > 1 else 1 for name, shape in outputs.items()}
    if len(names) == 1 and 1 in counts.values():
        return [f"not {names[0]}", names[0]]
    classes = {name: 2 if count == 1 else count for name, count in counts.items()}
    if None in classes.values() or len(names) in classes.values():
        return names
    several = "; ".join(f"{name} has {count}" for name, count in classes.items()) if len(classes) > 1 else ""
    raise Refused(
        f"classes= has one name a class. Received: {len(names)} {'name' if len(names) == 1 else 'names'} "
        f"for {several or next(iter(classes.values()))} classes."
    )


def _as_list(classes):
    if isinstance(classes, dict):
        return _order_by_index(classes)
    if isinstance(classes, (set, frozenset, bytes)):
        raise Refused(
            f"classes= has names in the order of the classes. Received: a {type(classes).__name__}; give a list."
        )
    names = [str(name) if isinstance(name, int) or hasattr(name, "__index__") else name for name in classes]
    others = [name for name in names if not isinstance(name, str) or not name.strip()]
    if others:
        raise Refused(f"A class name is a text that is not blank. Received: {others[0]!r} in classes=.")
    return [str(name) for name in names]


def _order_by_index(classes):
    """A dict of name to index, such as Keras's `class_indices`, or of index to name, by its indices."""
    pairs = [
        (value, key) if isinstance(key, str) and not isinstance(value, str) else (key, value)
        for key, value in classes.items()
    ]
    try:
        names_by_index = {int(index): name for index, name in pairs}
    except (TypeError, ValueError):
        names_by_index = {}
    if sorted(names_by_index) != list(range(len(classes))):
        raise Refused(f"A dict of classes has every index from 0 once. Received: {dict(list(classes.items())[:4])!r}.")
    return _as_list([names_by_index[index] for index in range(len(names_by_index))])


def _read_lines(path):
    if not is_file(path):
        raise Refused(
            f"classes= is a list of names or a text file with one a line. Received: {str(path)!r}, which is not a file."
        )
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", _decode(path))]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise Refused(
            f"A class file has one name a line. Received: {path.name}, whose line {lines.index('') + 1} is blank: remove "
            "the line, or name the class."
        )
    return lines


def _decode(path):
    content = path.read_bytes()
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in content:
        raise Refused(
            f"A class file is text in UTF-8. Received: {path.name} with zero bytes, as in UTF-16 without its mark: save it as UTF-8."
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Refused(
            f"A class file is text in UTF-8. Received: {path.name} with the invalid byte 0x{content[error.start]:02x} in line {line} "
            f"(byte {error.start}): save it as UTF-8 in your editor."
        ) from None
