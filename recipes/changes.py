"""Changes: what is different between the verdicts of two runs."""

import contextlib
import json
import pathlib
import zipfile

from lab.refusal import Refused, describe
from recipes.store import Store


def verdicts(report):
    """The verdicts of a run by the path of its report: plain values. Raises Refused where the run has none."""
    path = pathlib.Path(report).parent / "jobs" / "verdicts" / "verdicts.json"
    if not path.is_file():
        raise Refused(f"A baseline is a run with verdicts. Received: {report}, which has none.")
    with undamaged(path):
        folder = pathlib.Path(report).resolve().parent
        if not Store(folder.parent.parent, folder.parent.name, folder.name).there("verdicts"):
            raise ValueError("its verdicts are not those that were sealed")
        judged = json.loads(path.read_text(encoding="utf-8"))
        _rows(judged)
        return judged


@contextlib.contextmanager
def undamaged(path):
    """Raise Refused where what a run has left cannot be read as what it was written as."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"A run is read as it was written. Received: {path}, which is damaged ({describe(error)}); run it again."
        ) from error


def changes(before, after):
    """Lines of text, one for each method and check whose finding is another, that is new, or that is gone: list of str."""
    old, new = _rows(before), _rows(after)
    found = []
    for key in [*new, *(key for key in old if key not in new)]:
        was, now = old.get(key), new.get(key)
        if was is None or now is None:
            found.append(f"{' '.join(key)}: {'new' if was is None else 'gone'}, {_words(now or was)}")
        elif (was["outcome"], was["finding"]) != (now["outcome"], now["finding"]):
            found.append(f"{' '.join(key)}: {_words(was)} -> {_words(now)}")
    return found


def _rows(judged):
    rows = {(family, each["method"]): each for family, found in judged.items() for each in found["verdicts"]}
    for row in rows.values():
        _words(row)
    return rows


def _words(verdict):
    effect = verdict["effect"]["mean"]
    return f"{verdict['outcome']} {verdict['finding']}" + ("" if effect is None else f" ({effect:.2f})")
