"""Changes: what became of each verdict between two runs, and what differs between the runs beside the network."""

import contextlib
import json
import zipfile

from lab.refusal import Refused, describe
from lab.remote import as_path
from recipes.claims import family_table
from recipes.words import count_noun, model_words

# What may have become of a verdict, the most urgent first.
CHANGES = ("worse", "not comparable", "changed", "better", "new", "no longer asked", "within sampling", "same")
# Those that are listed one by one; the others are counted.
LISTED = CHANGES[:6]
# Hashes of what maps were computed of. Of planted cues it is the pictures and the cues, without the model.
DATA = ("data", "images", "planting", "audit")
# How the names of hashes of other files begin that a run was measured on: labels, concepts, pools, pictures.
FILES = ("file:", "set:", "pictures:", "counterparts:")
NUMBERS = ("effect", "ceiling", "null")
# A difference that no page shows is none.
DIGITS = 2
RANKS = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}


def load_run(report):
    """What a comparison needs of a run with verdicts.

    Args:
        report: path of the run's index.html.

    Returns:
        dict of run (str, its folder), manifest and families, as plain values.

    Raises:
        Refused: where the run has no verdicts, or where they are damaged.
    """
    folder = as_path(report).parent
    families = load_families(report)
    if not families:
        raise Refused(_without_verdicts(report))
    with refuse_damaged(folder / "manifest.json"):
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return {"run": str(folder), "manifest": {name: manifest[name] for name in _MANIFEST}, "families": families}


_MANIFEST = ("recipe", "hashes", "code", "versions", "digest")


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
        raise Refused(_without_verdicts(report))
    with refuse_damaged(path):
        from recipes.store import Store

        folder = as_path(report).resolve().parent
        if not Store(folder.parent.parent, folder.parent.name, folder.name).exists("verdicts"):
            raise ValueError("its verdicts differ from their checksum")
        families = json.loads(path.read_text(encoding="utf-8"))
        for family in families.values():
            for verdict in family["verdicts"]:
                _brief(verdict)
        return families


def _without_verdicts(report):
    return f"A baseline is a run with verdicts. Received: {report}, which has none; give a run of `lab check`, or of another command with --fail-on."


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


def compare_verdicts(before, after):
    """The verdicts of a run beside those of an earlier one.

    Verdicts on other data, or by other settings of a check, are not comparable, and neither worse nor better.

    Args:
        before, after: dict, as of `load_run`.

    Returns:
        dict. run: the earlier run. network: a sentence. data: list of sentences on what was measured on other data.
        causes: list of sentences on what else may be the cause of a change. rows: as of `verdict_changes`. counts: dict
            of each of `CHANGES` to how many methods and checks, controls apart.
    """
    rows = verdict_changes(before, after)
    methods = [row for row in rows if not row["control"]]
    return {
        "run": before["run"],
        "network": _network_words(before["manifest"], after["manifest"]),
        "data": data_differences(before["manifest"], after["manifest"]),
        "causes": other_causes(before["manifest"], after["manifest"]),
        "rows": rows,
        "counts": {word: sum(row["change"] == word for row in methods) for word in CHANGES},
    }


def verdict_changes(before, after):
    """What became of each verdict of either run.

    Args:
        before, after: dict, as of `load_run`.

    Returns:
        list of dict, one for each method and check of either run. check, family and method name it. first and second
            hold outcome, finding, scope, the mean of the effect with its low and high, and the sentence; None where a
            run lacks the verdict. change is one of `CHANGES` and reason says why. control: whether the method is blind
            on purpose. changed: whether outcome or finding differ.
    """
    data = data_differences(before["manifest"], after["manifest"])
    rows = []
    for old, new in _pair_families(before, after):
        methods = dict.fromkeys(verdict["method"] for family in (new, old) for verdict in family["verdicts"])
        rows += [_row(method, old, new, data) for method in methods]
    return rows


# Pairs of families --------------------------------------------------------------------------------------------------------

_NO_FAMILY = {"name": "", "check": "", "verdicts": [], "controls": [], "blind": [], "table": {}, "shared": {}}


def _pair_families(before, after):
    """The verdicts of each check in both runs: list of (family, family); of a check that one run lacks, with no verdicts.

    The number of a family is its place in its recipe. A check is known again by its name and settings.
    """
    old, new = _families(before), _families(after)
    pairs = {}
    for is_same in (lambda a, b: a["table"] == b["table"], lambda a, b: True):
        for name, family in new.items():
            if name not in pairs:
                match = next(
                    (key for key in old if old[key]["check"] == family["check"] and is_same(old[key], family)), ""
                )
                pairs |= {name: old.pop(match)} if match else {}
    return [
        *((pairs.get(name, _NO_FAMILY), family) for name, family in new.items()),
        *((family, _NO_FAMILY) for family in old.values()),
    ]


def _families(run):
    recipe = run["manifest"]["recipe"]
    return {name: _family(recipe, name, family) for name, family in run["families"].items()}


def _family(recipe, name, family):
    table, shared = family_table(recipe, name, family), _shared_settings(recipe, family["check"])
    settings = {"table": check_settings(table), "shared": shared, "options": table.get("options", {})}
    return {**family, "name": name, **settings}


# What a table of checks holds beside the settings of a check and what it asks about.
_NO_SETTINGS = ("check", "methods", "options", "controls", "shard", "checks", "recovery", "fooled", "batch")
# Files, which are compared by their content, and what is only shown.
_NO_SETTINGS += ("concepts", "pool", "masks", "labels", "names", "pictures", "steps", "save")
_NO_SETTINGS += ("table", "metadata", "network")


# What an audit reads and asks. Its data are compared by their content, and its later window is what is watched.
_OF_AUDITS = (
    "test",
    "train",
    "current",
    "sheet",
    "metadata",
    "label",
    "dataset",
    "questions",
    "vocabulary",
    "tokenizer",
)


def check_settings(table):
    """The settings of a check and what it asks about, without its methods.

    Args:
        table: dict, the table of a recipe that holds the check.

    Returns:
        dict.
    """
    left_out = _NO_SETTINGS + (_OF_AUDITS if "strict" in table else ())
    return {name: value for name, value in table.items() if name not in left_out}


def _shared_settings(recipe, check):
    """How many networks and samples the checks of a recipe have: dict."""
    tables = [recipe.get(name) or {} for name in ("world", "planted", "training")]
    names = ("name", "replicates", "images", *(["permuted_label_networks"] if check == "labels" else []))
    settings = {name: table[name] for table in tables for name in names if name in table}
    files = tables[-1].get("files")
    return {**settings, "replicates": 1 + len(files)} if files else settings


# One verdict --------------------------------------------------------------------------------------------------------------


def _row(method, old, new, data):
    first, second = (_verdict_of(method, family) for family in (old, new))
    change, reason = _describe_change(method, first, second, old, new, data)
    family = new if new["verdicts"] else old
    return {
        "check": family["check"],
        "family": family["name"],
        "method": method,
        "first": _brief(first),
        "second": _brief(second),
        "change": change,
        "reason": reason,
        "control": method in family["blind"],
        "changed": _decided(first) != _decided(second),
    }


def _verdict_of(method, family):
    return next((verdict for verdict in family["verdicts"] if verdict["method"] == method), None)


def _brief(verdict):
    if verdict is None:
        return None
    words = {name: verdict[name] for name in ("outcome", "finding", "sentence")}
    return {
        **words,
        "scope": verdict.get("scope", ""),
        "effect": verdict["effect"]["mean"],
        **{name: verdict["effect"].get(name) for name in ("low", "high")},
    }


def _decided(verdict):
    return verdict and (verdict["outcome"], verdict["finding"])


def _describe_change(method, first, second, old, new, data):
    """What became of a verdict, and why it is called so: (str, str)."""
    if first is None or second is None:
        return ("new", "") if first is None else ("no longer asked", "")
    reasons = [
        *(["other data"] if data else []),
        *_other_settings(method, first, second, old, new),
        *_broken(old, "the baseline"),
        *_broken(new, "this run"),
    ]
    if reasons:
        return "not comparable", "; ".join(reasons)
    return _compare(first, second, _direction(new["check"]))


def _other_settings(method, first, second, old, new):
    """Settings of a check, a method or the networks that differ: list of str."""
    settings = [
        {**family["shared"], **family["table"], **family.get("options", {}).get(method, {})} for family in (old, new)
    ]
    names = dict.fromkeys([*settings[0], *settings[1]])
    # What a recipe leaves out has its default, which the verdict names.
    values = {
        name: [
            part.get(name, verdict.get("settings", {}).get(name)) for part, verdict in zip(settings, (first, second))
        ]
        for name in names
    }
    words = [f"another {name}: {a} -> {b}" for name, (a, b) in values.items() if a != b]
    scope = scope_reason(first, second)
    return words + ([scope] if scope else [])


def scope_reason(first, second):
    """In which way two verdicts are about different things.

    Args:
        first, second: dict, verdicts as plain values.

    Returns:
        str, "" where they are about the same, or where one is about nothing.
    """
    scopes = [_scope_words(verdict) for verdict in (first, second)]
    return f"about {scopes[0]} -> {scopes[1]}" if scopes[0] != scopes[1] and all(scopes) else ""


def _scope_words(verdict):
    """What a verdict is about: str. Older runs do not say so; what could not be judged is about nothing, ""."""
    return verdict.get("scope") or ("" if verdict["outcome"] == "INVALID" else "an unknown scope")


def _broken(family, run):
    """What says that a check is broken in a run: list of str."""
    controls = [control for control in family["controls"] if not control["held"]]
    return [
        f"the check is broken in {run}: {control['control']} came out {control['outcome']}" for control in controls[:1]
    ]


def _direction(check):
    """Which effect of a check is the better one: "higher", "lower", or ""."""
    from sanity.checks import checks
    from sanity.ruling import rules

    return rules.tag(rules.get(check), "about").better if check in checks and check in rules else ""


def _compare(first, second, better):
    """What became of a verdict on the same data by the same settings: (str, str)."""
    outcomes = (first["outcome"], second["outcome"])
    apart = [name for name in NUMBERS if _are_apart(first[name], second[name])]
    if outcomes[0] != outcomes[1]:
        have_intervals = all(_has_interval(verdict["effect"]) for verdict in (first, second))
        return _compare_outcomes(outcomes, second["finding"], apart, have_intervals)
    if "effect" in apart:
        return _moved(first, second, better), "the intervals of its number do not overlap"
    if apart:
        return "changed", f"the intervals of its {' and its '.join(apart)} do not overlap"
    if _decided(first) == _decided(second) and all(_are_same(first[name], second[name]) for name in NUMBERS):
        return "same", ""
    if all(_has_interval(verdict["effect"]) for verdict in (first, second)):
        return "within sampling", "the intervals overlap"
    return ("same" if _decided(first) == _decided(second) else "changed"), "its number has no interval to compare by"


def _moved(first, second, better):
    """Whether a number became better or worse, itself and as a share of its ceiling; "changed" where these differ: str."""
    effects, ceilings = ([verdict[name]["mean"] for verdict in (first, second)] for name in ("effect", "ceiling"))
    rises = {effects[1] > effects[0]}
    if all(ceiling is not None and ceiling > 0 for ceiling in ceilings):
        rises.add(effects[1] / ceilings[1] > effects[0] / ceilings[0])
    if not better or len(rises) > 1:
        return "changed"
    return "better" if rises == {better == "higher"} else "worse"


# Findings of an INVALID verdict that say that something broke.
BROKEN = ("GATE FAILED", "FAULT")


def _compare_outcomes(outcomes, finding, apart, has_intervals):
    """What became of a verdict whose outcome is another one: (str, str)."""
    if outcomes[1] == "INVALID" and finding in BROKEN:
        return "worse", "it can no longer be judged"
    words = f"the intervals of its {' and its '.join(apart)} do not overlap" if apart else ""
    if not set(outcomes) <= set(RANKS):
        return ("worse" if outcomes[0] == "PASS" else "better" if outcomes[1] == "PASS" else "changed"), words
    first, second = (RANKS[outcome] for outcome in outcomes)
    if has_intervals and not apart and abs(first - second) == 1:
        return "within sampling", "the intervals overlap: what was sampled may make this difference"
    return ("worse" if second < first else "better"), words


def _has_interval(number):
    return number.get("low") is not None and number.get("high") is not None


def _are_apart(first, second):
    """Whether two numbers have intervals that do not overlap, to the digits that are printed: bool."""
    if not _has_interval(first) or not _has_interval(second):
        return False
    pairs = ((first["low"], second["high"]), (second["low"], first["high"]))
    return any(round(low, DIGITS) > round(high, DIGITS) for low, high in pairs)


def _are_same(first, second):
    """Whether two numbers and their intervals are the same, to the digits that are printed: bool."""
    pairs = ((first.get(key), second.get(key)) for key in ("mean", "low", "high"))
    return all(a == b if None in (a, b) else round(a, DIGITS) == round(b, DIGITS) for a, b in pairs)


# Runs ---------------------------------------------------------------------------------------------------------------------


def data_differences(before, after):
    """What two runs were measured on, where that differs.

    Args:
        before, after: dict, the manifests.

    Returns:
        list of str; empty where the data are the same.
    """
    first, second = data_hashes(before), data_hashes(after)
    if first == second:
        return []
    words = [data_words(manifest) for manifest in (before, after)]
    return [f"other data: {words[0]} -> {words[1]}" + (", with other content" if words[0] == words[1] else "")]


def data_hashes(manifest):
    """Hashes of what a run was measured on.

    Args:
        manifest: dict, as of `recipes.manifest.describe_run`.

    Returns:
        dict of name to str; of "files" to list of str, wherever they lie.
    """
    hashes = manifest["hashes"]
    known = {name: hashes[name] for name in DATA if name in hashes}
    files = sorted(value for name, value in hashes.items() if name.startswith(FILES))
    known |= {"files": files} if files else {}
    return known or {"world": hashes.get("world")}


def data_words(manifest):
    """Where the data of a run come from.

    Args:
        manifest: dict, as of `recipes.manifest.describe_run`.

    Returns:
        str.
    """
    recipe = manifest["recipe"]
    if recipe.get("world"):
        return f"the world {recipe['world']['name']}, seed {recipe['seed']}"
    if recipe.get("data"):
        return str(recipe["data"]["source"])
    if recipe.get("audit"):
        return str(recipe["audit"]["test"] or recipe["audit"]["dataset"])
    if (recipe.get("shortcuts") or {}).get("table"):
        return str(recipe["shortcuts"]["table"])
    images = recipe["images"]
    files = images["files"]
    place = images["folder"] or (files and f"{files[0]}{' and others' if files[1:] else ''}") or "packaged photographs"
    planted = recipe.get("planted")
    return f"{' and '.join(planted['cues'])} in {place}" if planted else place


def other_causes(before, after):
    """What beside the network may be the cause of a change: code, versions and the seed.

    Args:
        before, after: dict, the manifests.

    Returns:
        list of str.
    """
    causes = []
    for name in dict.fromkeys([*before["versions"], *after["versions"]]):
        first, second = before["versions"].get(name), after["versions"].get(name)
        if first != second:
            causes.append(f"{name} {first or 'not installed'} -> {second or 'not installed'}")
    for name in dict.fromkeys([*before["code"], *after["code"]]):
        pair = [manifest["code"].get(name) for manifest in (before, after)]
        if pair[0] != pair[1] and None not in pair:
            causes.append(f"the source of {name} is another one")
    seeds = [manifest["recipe"]["seed"] for manifest in (before, after)]
    return causes + ([f"seed {seeds[0]} -> {seeds[1]}"] if seeds[0] != seeds[1] else [])


def _network_words(before, after):
    """Whether two runs are about one network: a sentence."""
    sources = [model_words(manifest["recipe"]) for manifest in (before, after)]
    hashes = [manifest["hashes"].get("model") for manifest in (before, after)]
    if None in hashes:
        return _without_network_words([manifest["recipe"] for manifest in (before, after)])
    if hashes[0] == hashes[1]:
        return f"The network is the same: {sources[1]}."
    return f"The network is another one: {sources[0]} -> {sources[1]}."


def _without_network_words(recipes):
    """What there is in the place of a network of one or both runs: a sentence."""
    if all(any(recipe.get(name) for name in ("world", "planted", "training")) for recipe in recipes):
        return "Networks are those of a world."
    return "No network was asked in one of the runs, or in both."


# Lines --------------------------------------------------------------------------------------------------------------------


def as_lines(comparison):
    """A comparison with a baseline as lines of text; what makes runs not comparable comes first.

    Args:
        comparison: dict, as of `compare_verdicts`.

    Returns:
        list of str.
    """
    rows = listed_rows(comparison)
    widths = [max((len(text) for text in column), default=0) for column in zip(*map(_names, rows))]
    lines = [f"compared with the baseline {comparison['run']}", f"  {comparison['network']}"]
    lines += [f"  NOT COMPARABLE: {words}" for words in comparison["data"]]
    lines += [f"  may be the cause of a change: {words}" for words in comparison["causes"]]
    for row in rows:
        names = "  ".join(f"{text:<{width}}" for text, width in zip(_names(row), widths))
        lines.append(f"  {names}  {change_words(row)}")
    return [*lines, f"  {count_words(comparison)}"]


def _names(row):
    return row["change"].upper(), row["check"], row["method"]


def listed_rows(comparison):
    """The verdicts that are listed, controls apart, the most urgent first: list of dict."""
    rows = [row for row in comparison["rows"] if not row["control"] and _is_listed(row)]
    return sorted(rows, key=lambda row: CHANGES.index(row["change"]))


def _is_listed(row):
    return row["change"] in LISTED or row["changed"]


def change_words(row):
    """Both verdicts of a row with their numbers, and why the change is called so: str."""
    pair = [brief_words(brief) for brief in (row["first"], row["second"]) if brief]
    return " -> ".join(pair) + (f" ({row['reason']})" if row["reason"] else "")


def brief_words(brief):
    """The outcome, finding and number of a verdict.

    Args:
        brief: dict, first or second of a row of `verdict_changes`.

    Returns:
        str.
    """
    number = {"mean": brief["effect"], "low": brief["low"], "high": brief["high"]}
    return f"{brief['outcome']} {brief['finding']} {interval_words(number)}".rstrip()


def interval_words(number):
    """A number with its interval.

    Args:
        number: dict of mean, low and high, each a float or None.

    Returns:
        str, "" where it is not known.
    """
    if number["mean"] is None:
        return ""
    interval = f" [{number['low']:.2f}, {number['high']:.2f}]" if _has_interval(number) else ""
    return f"{number['mean']:.2f}{interval}"


def count_words(comparison):
    """How many verdicts became what: str."""
    counts = comparison["counts"]
    words = [f"{count} {word}" for word, count in counts.items() if count]
    return f"{count_noun(sum(counts.values()), 'verdict')}: {', '.join(words)}" if words else "no verdict to compare"
