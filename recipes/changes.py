"""Changes: the differences between the verdicts of two runs."""

import contextlib
import json
import zipfile

from lab.refusal import Refused, describe
from lab.remote import as_path
from recipes.store import Store


def load_families(report):
    """The verdicts of a run by check.

    Args:
        report: path of the run's index.html.

    Returns:
        dict of family name to its verdicts, controls and blind methods, as plain values.

    Raises:
        Refused: where the run has no verdicts, or where they are damaged.
    """
    path = as_path(report).parent / "jobs" / "verdicts" / "verdicts.json"
    if not path.is_file():
        raise Refused(
            f"A baseline is a run with verdicts. Received: {report}, which has none; give a run of `lab check`."
        )
    with refuse_damaged(path):
        folder = as_path(report).resolve().parent
        if not Store(folder.parent.parent, folder.parent.name, folder.name).exists("verdicts"):
            raise ValueError("its verdicts differ from their checksum")
        families = json.loads(path.read_text(encoding="utf-8"))
        _rows(families)
        return families


@contextlib.contextmanager
def refuse_damaged(path):
    """Raise Refused where the files of a run cannot be read as they were written."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"The files of a run must be unchanged. Received: {path}, which is damaged ({describe(error)}); run it again."
        ) from error


def verdict_changes(before, after):
    """The verdicts of two runs, one beside the other.

    Args:
        before, after: families of the two runs (`load_families`).

    Returns:
        list of dict of check, method, first, second and changed, one for each method and check of either run. first and
            second hold outcome, finding, the mean of the effect and the sentence; None where a run lacks the verdict.
    """
    old, new = _rows(before), _rows(after)
    rows = [(key, _brief(old.get(key)), _brief(new.get(key))) for key in dict.fromkeys([*new, *old])]
    return [
        {
            "check": check,
            "method": method,
            "first": first,
            "second": second,
            "changed": _decided(first) != _decided(second),
        }
        for (check, method), first, second in rows
    ]


def _brief(verdict):
    if verdict is None:
        return None
    return {
        **{name: verdict[name] for name in ("outcome", "finding", "sentence")},
        "effect": verdict["effect"]["mean"],
    }


def _decided(brief):
    return brief and (brief["outcome"], brief["finding"])


def changes(before, after):
    """Compare the verdicts of two runs.

    Args:
        before, after: families of the two runs (`load_families`).

    Returns:
        list of str, one line for each method and check whose finding changed, that is new, or that is gone.
    """
    old, new = _rows(before), _rows(after)
    lines = []
    for key in [*new, *(key for key in old if key not in new)]:
        old_verdict, new_verdict = old.get(key), new.get(key)
        if old_verdict is None or new_verdict is None:
            lines.append(
                f"{' '.join(key)}: {'new' if old_verdict is None else 'gone'}, {_words(new_verdict or old_verdict)}"
            )
        elif (old_verdict["outcome"], old_verdict["finding"]) != (new_verdict["outcome"], new_verdict["finding"]):
            lines.append(f"{' '.join(key)}: {_words(old_verdict)} -> {_words(new_verdict)}")
    return lines


def _rows(families):
    rows = {(name, verdict["method"]): verdict for name, family in families.items() for verdict in family["verdicts"]}
    for row in rows.values():
        _words(row)
    return rows


def _words(verdict):
    effect = verdict["effect"]["mean"]
    return f"{verdict['outcome']} {verdict['finding']}" + ("" if effect is None else f" ({effect:.2f})")
