"""Knowledge: what all runs in a folder say about methods for one network, newest first.

Manifests are read, and the verdicts of those runs that are about the network. Nothing is loaded or computed again.
"""

import datetime
import json
import pathlib
import re
from dataclasses import dataclass, field

import lab
from lab.refusal import Refused, describe
from lab.registry import nearest
from lab.remote import RemotePath, as_path, is_file, is_folder, reason, refuse_unreadable
from recipes import provenance
from recipes.changes import check_settings, data_hashes, data_words, interval_words
from recipes.claims import family_table
from recipes.model_file import content_hash
from recipes.store import Store
from recipes.words import count_noun, model_words

# Digits of a hash that name a network, and the fewest that are looked for.
DIGITS, FEWEST = 12, 4
# Outcomes that contradict each other.
CONTRARY = {"PASS", "FAIL"}


@dataclass(frozen=True)
class StoredRun:
    """A run in a folder of runs.

    Args:
        path: its folder.
        manifest: dict; empty where it cannot be read.
        problem: str, why it is left out; "" where it is not.
    """

    path: pathlib.Path | RemotePath
    manifest: dict = field(default_factory=dict)
    problem: str = ""

    @property
    def name(self):
        """The recipe and the digest of the run: str."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def network(self):
        """The hash of its network's weights and layers: str, or None where it is not known."""
        return (self.manifest.get("network") or {}).get("weights")

    @property
    def file(self):
        """The hash of its model's file: str, or None where it is not known."""
        return (self.manifest.get("network") or {}).get("file")

    @property
    def source(self):
        """The model as it was named: str."""
        return model_words(self.manifest["recipe"])


# Runs ---------------------------------------------------------------------------------------------------------------------


def read_runs(root):
    """All runs in a folder of runs, with their manifests.

    Args:
        root: path or address of the folder.

    Returns:
        list of `StoredRun`.

    Raises:
        Refused: for a folder or an address that cannot be read.
    """
    root = as_path(root)
    with refuse_unreadable("A folder of runs is one that can be read.", root):
        return [_read_run(path) for path in sorted(root.glob("*/*/manifest.json"))]


def _read_run(path):
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        recipe = manifest["recipe"]
        missing = [name for name in ("hashes", "code", "versions") if not isinstance(manifest[name], dict)]
        if missing or not isinstance(recipe["model"]["source"], str) or not isinstance(recipe["check"], list):
            raise ValueError("it is none of a run")
    except (ValueError, KeyError, TypeError) as error:
        return StoredRun(path.parent, problem=f"its manifest is damaged: {describe(error)}")
    except OSError as error:
        return StoredRun(path.parent, problem=f"its manifest cannot be read: {reason(error)}")
    return StoredRun(path.parent, manifest)


def list_networks(root):
    """The networks that runs are about, the latest first.

    Args:
        root: path or address of the folder of runs.

    Returns:
        list of dict of network (digits of its hash), names, runs (how many) and finished.
    """
    networks = {}
    for run in read_runs(root):
        if run.network:
            networks.setdefault(run.network, []).append(run)
    rows = [
        {
            "network": network[:DIGITS],
            "names": list(dict.fromkeys(run.source for run in runs)),
            "runs": len(runs),
            "finished": max(map(_finished, runs)),
        }
        for network, runs in networks.items()
    ]
    return sorted(rows, key=lambda row: row["finished"], reverse=True)


def _finished(run):
    """When a run was finished, or begun where that is not known: str such as "2026-11-26T20:35:36Z"."""
    try:
        return str(json.loads((run.path / "timings.json").read_text(encoding="utf-8"))["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        changed = datetime.datetime.fromtimestamp((run.path / "manifest.json").stat().st_mtime, datetime.UTC)
        return changed.strftime("%Y-%m-%dT%H:%M:%SZ")


# One network --------------------------------------------------------------------------------------------------------------


def describe_network(root, model):
    """What the runs in a folder say about methods for one network.

    A network is known again by what its file holds, wherever it lies: a file of the same name with other weights is another
    network.

    Args:
        root: path or address of the folder of runs.
        model: path or address of a model's file, a model's name, or the first digits of a network's hash.

    Returns:
        dict. model: as it was named. network: digits of its hash, or None. names: how runs name it. checks and methods:
        those with verdicts. cells: list of dict of method, check, scope, verdicts (the newest first), conflict (bool) and
        why. runs: the runs with verdicts. others: other runs of this network. left_out: (run, why). unknown: runs that do
        not say which network they are about. elsewhere: how many runs are about other networks. namesakes: networks of
        the same name with other weights.

    Raises:
        Refused: for a file that does not exist, and for digits that several networks have.
    """
    runs = read_runs(root)
    readable = [run for run in runs if not run.problem]
    networks = _find_networks(model, readable)
    matches = sorted((run for run in readable if run.network in networks), key=_finished, reverse=True)
    judged = [(run, *_read_verdicts(run)) for run in matches if run.manifest["recipe"]["check"]]
    verdicts = [verdict for _, rows, _ in judged for verdict in rows]
    names = list(dict.fromkeys(run.source for run in matches)) or [str(model)]
    return {
        "model": str(model),
        "network": matches[0].network[:DIGITS] if matches else None,
        "names": names,
        "checks": list(dict.fromkeys(verdict["check"] for verdict in verdicts)),
        "methods": list(dict.fromkeys(verdict["method"] for verdict in verdicts)),
        "cells": _group(verdicts),
        "runs": [_describe_run(run) for run, rows, problem in judged if not problem],
        "others": [_describe_run(run) for run in matches if not run.manifest["recipe"]["check"]],
        "left_out": [
            *((run.name, run.problem) for run in runs if run.problem),
            *((run.name, problem) for run, _, problem in judged if problem),
        ],
        "unknown": [run.name for run in readable if run.network is None and "model" in run.manifest["hashes"]],
        "elsewhere": sum(run.network is not None and run.network not in networks for run in readable),
        "namesakes": sorted(
            {run.network[:DIGITS] for run in readable if run.source in names and run.network}
            - {n[:DIGITS] for n in networks}
        ),
    }


def _find_networks(model, runs):
    """Hashes of the networks that a file, a name or digits stand for: set of str, empty where no run is about it."""
    is_path = is_file(as_path(model)) or is_folder(as_path(model))
    digits = str(model).lower()
    if not is_path and len(digits) >= FEWEST and re.fullmatch("[0-9a-f]+", digits):
        matches = {run.network for run in runs if run.network and run.network.startswith(digits)}
        if len(matches) > 1:
            names = ", ".join(sorted(network[:DIGITS] for network in matches))
            raise Refused(f"Digits name one network. Received: {model}, which begins {names}. Give more of them.")
        if matches:
            return matches
    if not is_path and re.search(r"[/\\]|\.(keras|h5)$", str(model)):
        raise Refused(
            f"A network is a file, a model's name, or digits of a hash. Received: {str(model)!r}, which is no file. {nearest(str(model), _known(runs))}"
        )
    file = content_hash(model)
    return {run.network for run in runs if run.file == file and run.network}


def _known(runs):
    """What runs name networks by: list of str."""
    return sorted({run.source for run in runs if run.network} | {run.network[:DIGITS] for run in runs if run.network})


def _describe_run(run):
    recipe = run.manifest["recipe"]
    return {
        "run": run.name,
        "report": str(run.path / "index.html"),
        "finished": _finished(run),
        "source": run.source,
        "data": data_words(run.manifest),
        "settings": _settings_words(recipe),
        "lab": run.manifest["versions"].get("interpretability-lab"),
        "mark": _version_mark(run.manifest),
    }


def _settings_words(recipe):
    """How a run loads the model, and which networks it trains or reads beside it: str."""
    model, training = recipe["model"], recipe.get("training") or {}
    words = ["input range {:g} to {:g}".format(*model["input_range"])] if model.get("input_range") else []
    words += [f"size {model['size']}"] if model.get("size") else []
    words += [count_noun(len(training["files"]), "replicate")] if training.get("files") else []
    words += [f"{training['replicates']} networks by {training['function']}"] if training.get("function") else []
    return ", ".join(words)


def _version_mark(manifest):
    """What is said of a run that another lab made: str, "" for one that this lab made."""
    version = manifest["versions"].get("interpretability-lab")
    if version != lab.__version__:
        return f"lab {version}"
    return "" if manifest["code"].get("lab") == provenance.lab_hash() else f"lab {version} of another source"


# Verdicts -----------------------------------------------------------------------------------------------------------------


def _read_verdicts(run):
    """The verdicts of a run on methods, as rows, and why there are none: (list of dict, str)."""
    store = Store(run.path.parent.parent, run.path.parent.name, run.path.name)
    try:
        if not store.exists("verdicts"):
            return [], (
                "its verdicts are damaged"
                if (store.folder("verdicts") / "done.json").is_file()
                else "it is not finished"
            )
        families = store.values("verdicts", "verdicts.json")
        about = _describe_run(run)
        return [row for name, family in families.items() for row in _verdict_rows(run, about, name, family)], ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [], f"its verdicts are damaged: {describe(error)}"


def _verdict_rows(run, about, name, family):
    """The verdicts of one check: iterator of dict."""
    recipe = run.manifest["recipe"]
    table = family_table(recipe, name, family)
    broken = next((control["control"] for control in family["controls"] if not control["held"]), None)
    for verdict in family["verdicts"]:
        if verdict["method"] in family["blind"]:
            continue
        yield {
            **{key: verdict[key] for key in ("check", "method", "outcome", "finding", "sentence")},
            **{key: about[key] for key in ("run", "finished", "data", "mark")},
            "scope": _scope(verdict, recipe),
            "number": interval_words(verdict["effect"]),
            "report": f"{about['report']}#{name}-{verdict['method']}",
            "broken": broken,
            "data_hashes": data_hashes(run.manifest),
            "settings": {**check_settings(table), **table.get("options", {}).get(verdict["method"], {})},
        }


def _scope(verdict, recipe):
    """What a verdict is about: str."""
    planted = recipe.get("planted")
    if planted:
        return f"networks planted with {' and '.join(planted['cues'])}"
    return verdict.get("scope") or "this network alone"


def _group(verdicts):
    """Verdicts by method, check and scope, the newest first: list of dict. Equal ones of several runs are one."""
    groups = {}
    for verdict in verdicts:
        groups.setdefault((verdict["method"], verdict["check"], verdict["scope"]), []).append(verdict)
    return [
        {"method": method, "check": check, "scope": scope, "verdicts": _merge_equal(rows), **_conflict(rows)}
        for (method, check, scope), rows in groups.items()
    ]


def _merge_equal(rows):
    """Verdicts in their order; of those that several runs repeat, the newest with the number of runs."""
    counts = {}
    for row in rows:
        counts.setdefault((row["sentence"], row["outcome"], str(row["data_hashes"])), []).append(row)
    return [{**same[0], "repeats": len(same)} for same in counts.values()]


def _conflict(rows):
    """Whether runs contradict each other, and what differs between the newest two that do: dict of conflict and why."""
    decided = [row for row in rows if row["outcome"] in CONTRARY and not row["broken"]]
    contrary = [row for row in decided if row["outcome"] != decided[0]["outcome"]]
    if not contrary:
        return {"conflict": False, "why": ""}
    new, old = decided[0], contrary[0]
    reasons = [
        *(["other data"] if new["data_hashes"] != old["data_hashes"] else []),
        *_setting_reasons(old["settings"], new["settings"]),
        *(["another lab"] if new["mark"] != old["mark"] else []),
    ]
    return {"conflict": True, "why": ", ".join(reasons) or "the same data and settings"}


def _setting_reasons(old, new):
    return [f"another {name}" for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]


# Lines --------------------------------------------------------------------------------------------------------------------


def as_lines(knowledge):
    """What is known of a network as lines of text, one a verdict.

    Args:
        knowledge: dict, as of `describe_network`.

    Returns:
        list of str.
    """
    rows = [_line(cell, verdict) for cell in _in_order(knowledge) for verdict in shown_verdicts(cell)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths)).rstrip() for row in rows]
    return [title_words(knowledge), *lines, *remark_words(knowledge)]


def _in_order(knowledge):
    """The cells of one method after those of another: list of dict."""
    return sorted(knowledge["cells"], key=lambda cell: knowledge["methods"].index(cell["method"]))


def shown_verdicts(cell):
    """The verdicts of a cell that have to be seen: the newest, and with a conflict the newest that contradicts it.

    Args:
        cell: dict, one of `describe_network`.

    Returns:
        list of dict.
    """
    newest, *others = cell["verdicts"]
    if not cell["conflict"]:
        return [newest]
    decided = [row for row in reversed(cell["verdicts"]) if row["outcome"] in CONTRARY and not row["broken"]]
    latest = {row["outcome"]: row for row in decided}
    rows = {id(row): row for row in (newest, *latest.values())}
    return sorted(rows.values(), key=lambda row: row["finished"], reverse=True)


def _line(cell, verdict):
    marks = [f"in conflict: {cell['why']}"] if cell["conflict"] else []
    marks += [f"the check was broken: {verdict['broken']}"] if verdict["broken"] else []
    marks += [verdict["mark"]] if verdict["mark"] else []
    words = f"{verdict['outcome']} {verdict['finding']} {verdict['number']}".rstrip()
    names = (cell["method"], cell["check"], words, cell["scope"])
    return (*names, verdict["finished"][:10], verdict["data"], verdict["run"], "; ".join(marks))


def title_words(knowledge):
    """How much is known of a network: str."""
    name = f"{knowledge['names'][0]} (network {knowledge['network']})" if knowledge["network"] else knowledge["model"]
    if not knowledge["cells"]:
        return f"Nothing is known about methods for {name}."
    conflicts = sum(cell["conflict"] for cell in knowledge["cells"])
    counts = [
        (len(knowledge["methods"]), "method"),
        (len(knowledge["checks"]), "check"),
        (len(knowledge["runs"]), "run"),
    ]
    words = ", ".join(count_noun(number, noun) for number, noun in counts)
    return f"{name}: {words}" + (f", {count_noun(conflicts, 'conflict')} between runs" if conflicts else "")


def remark_words(knowledge):
    """What to type where nothing is known, and which runs are not counted: list of str."""
    words = []
    if not knowledge["cells"]:
        words.append(f"Type: lab check --model {knowledge['model']} --data photos/ --method gradient,gradcam")
    if knowledge["namesakes"]:
        words.append(
            f"Of the same name, with other weights, and not counted: network {', '.join(knowledge['namesakes'])}."
        )
    if not knowledge["cells"] and knowledge["elsewhere"]:
        words.append(f"Runs about other networks: {knowledge['elsewhere']}; `lab network` lists these.")
    words += [f"Left out: {run}, {why}." for run, why in knowledge["left_out"]]
    if knowledge["unknown"]:
        words.append(
            f"Runs of an earlier lab, which do not say what network they are about: {len(knowledge['unknown'])}, such as {knowledge['unknown'][0]}."
        )
    return words
