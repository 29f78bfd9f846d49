"""Changes: what is different between the verdicts of two runs."""

import json
import pathlib

from lab.refusal import Refused


def verdicts(report):
    """The verdicts of a run by the path of its report: plain values. Raises Refused where the run has none."""
    path = pathlib.Path(report).parent / "jobs" / "verdicts" / "verdicts.json"
    if not path.is_file():
        raise Refused(f"A baseline is a run with verdicts. Received: {report}, which has none.")
    return json.loads(path.read_text(encoding="utf-8"))


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
    return {(family, each["method"]): each for family, found in judged.items() for each in found["verdicts"]}


def _words(verdict):
    effect = verdict["effect"]["mean"]
    return f"{verdict['outcome']} {verdict['finding']}" + ("" if effect is None else f" ({effect:.2f})")
