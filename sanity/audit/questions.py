"""Questions: what an audit asks, which checks answer, and all of it in one call.

audit(network, test, ...) -> [Verdict]
"""

from dataclasses import replace
from os import PathLike

import numpy as np

from lab.refusal import Refused
from lab.registry import nearest, options
from sanity.audit.answers import (
    answer,
    can_be_untrained,
    components_of,
    predictor,
    reduce_channels,
    signature_of,
    stack_untrained,
    untrained_activations,
    untrained_state,
)
from sanity.audit.frames import read_frame, read_tables
from sanity.audit.layers import inner_layers, refuse_unknown_layer
from sanity.audit.rows import AuditSubject
from sanity.audit.sheet import open_sheet
from sanity.checks import checks
from sanity.examination import judge_with_controls, measure_rows, refuse_settings
from sanity.randomization import STATISTICS_IMAGES
from sanity.user_networks import refuse_replicates

# In the order of the report.
QUESTIONS = ("reasons", "failures", "shift", "proxies", "groups", "simpler", "record")


def checks_of(question):
    """The checks that answer a question.

    Args:
        question: str, a name in QUESTIONS.

    Returns:
        list of str.
    """
    return [name for name in checks if checks.tag(checks.get(name), "question") == question]


def is_answered(question):
    """Whether anything here answers a question: bool. The record is written of the answers to all others.

    Args:
        question: str, a name in QUESTIONS.
    """
    return question == "record" or bool(checks_of(question))


def unanswerable(sheet, sets, kind="table"):
    """The questions that data and sheet leave no room for.

    Args:
        sheet: `Sheet`.
        sets: collection of str, the sets that there are.
        kind: str, what the network takes.

    Returns:
        dict of question to str, what is lacking.
    """
    lacking = {} if "current" in sets else {"shift": "rows of a later time (current)"}
    if not sheet.with_role("protected"):
        lacking |= dict.fromkeys(("proxies", "groups"), 'a column with roles = ["protected"]')
    if "train" not in sets:
        lacking["simpler"] = "the training rows (train)"
    if kind != "table":
        lacking["reasons"] = "a network of tables"
    return lacking


def list_questions(names, sheet, sets, kind="table"):
    """The questions that are asked, in their order.

    Args:
        names: list of str; empty or None: all that data and sheet leave room for.
        sheet: `Sheet`.
        sets: collection of str, the sets that there are.
        kind: str, what the network takes.

    Returns:
        list of str, those that something answers.

    Raises:
        Refused: for a word that is no question, and where no question is left.
    """
    for name in names or ():
        if name not in QUESTIONS:
            raise Refused(
                f"Questions of an audit are {', '.join(QUESTIONS)}. Received: {name!r}. {nearest(name, QUESTIONS)}"
            )
        if not is_answered(name):
            raise Refused(f"No check answers this question. Received: {name!r}. Leave it out.")
    lacking = unanswerable(sheet, sets, kind)
    left = [name for name in QUESTIONS if (name in names if names else name not in lacking) and is_answered(name)]
    if not any(map(checks_of, left)):
        raise Refused("An audit asks at least one question. Received: data and a sheet that leave room for none.")
    return left


def known_settings(check, settings):
    """Those of some settings that a check has.

    Args:
        check: str, its name.
        settings: dict.

    Returns:
        dict.
    """
    known = options(checks.get(check))
    return {name: value for name, value in settings.items() if name in known}


def settings_at(check, settings, alpha):
    """Those of some settings that a check has, with draws enough for the level.

    Args:
        check: str, its name.
        settings: dict.
        alpha: float, the level. Of B draws the smallest p is 1 / (B + 1), and above the level nothing could be found.

    Returns:
        dict. A check whose own number of draws is too small gets two for each part of the level.

    Raises:
        Refused: for a number of draws that was asked for and is too small.
    """
    known, draws = known_settings(check, settings), options(checks.get(check)).get("draws")
    fewest = int(np.ceil(1 / alpha - 1e-9)) - 1
    if known.get("draws", fewest) < fewest:
        raise Refused(
            f"Draws give a p at the level, which is {alpha:.3g}. Received: {known['draws']:,} draws, whose smallest p is {1 / (known['draws'] + 1):.3g}. Give {fewest:,} draws or more."
        )
    if "draws" not in known and draws is not None and draws < fewest:
        known["draws"] = 2 * fewest
    return known


def refuse_unknown_settings(names, settings):
    """Refuse a setting that no check of some has, or whose value one does not know.

    Args:
        names: list of str, the checks.
        settings: dict.

    Raises:
        Refused: for the first of them.
    """
    known = {option for name in names for option in options(checks.get(name))} - {"seed"}
    for setting in settings:
        if setting not in known:
            raise Refused(f"Unknown setting of an audit. Received: {setting!r}. {nearest(setting, sorted(known))}")
    for name in names:
        refuse_settings(name, known_settings(name, settings))


def count_tests(questions):
    """How many families of tests some questions have, each of which has a level of its own: int.

    Args:
        questions: list of str.
    """
    functions = [checks.get(check) for question in questions for check in checks_of(question)]
    return sum(checks.tag(check, "families", 1) for check in functions)


def level(sheet, questions, strict):
    """The level of each family of tests: .05 over the looks of a year, and over all families where these share it.

    Args:
        sheet: `Sheet`.
        questions: list of str.
        strict: bool, whether they share it.

    Returns:
        float.
    """
    return sheet.alpha / (max(count_tests(questions), 1) if strict else 1)


def count_untrained(names, sheet, network):
    """How many untrained networks some checks compare with.

    Args:
        names: list of str, the checks.
        sheet: `Sheet`; without protected and legitimate columns there is nothing to compare.
        network: `lab.network.Network`.

    Returns:
        int, 0 where none can be made.
    """
    if not (sheet.with_role("protected") and sheet.with_role("legitimate") and can_be_untrained(network)):
        return 0
    return max((checks.tag(checks.get(name), "untrained", 0) for name in names), default=0)


def with_untrained(subject, network, count, *, seed):
    """The subject with activations of untrained networks on its tested rows.

    Args:
        subject: `AuditSubject` of a table.
        network: `lab.network.Network`.
        count: int, untrained networks.
        seed: int, of all of them.

    Returns:
        `AuditSubject`.
    """
    inputs, classes = subject.test.inputs, subject.test.logits.shape[1]
    states = [untrained_state(network, inputs[:STATISTICS_IMAGES], place, seed=seed) for place in range(count)]
    untrained = stack_untrained([untrained_activations(network, inputs, classes, state) for state in states])
    return replace(subject, test=replace(subject.test, untrained=untrained))


def refuse_idle_replicates(replicates, questions):
    """Refuse networks that no question asks.

    Args:
        replicates: list of networks or files.
        questions: list of str.

    Raises:
        Refused: where reasons are not asked for, which alone have to hold on several networks.
    """
    if replicates and "reasons" not in questions:
        raise Refused(
            f"Replicates are asked for reasons of a table, with a [decision] in the sheet. Received: replicates, and the questions {', '.join(questions)}. Ask reasons too, or leave them out."
        )


def refuse_costs(sheet, signature):
    """Refuse costs of errors that are not those of two classes.

    Args:
        sheet: `Sheet`.
        signature: `sanity.audit.signature.Signature`.

    Raises:
        Refused: for costs beside a network of several classes, or of a number.
    """
    if sheet.decision and sheet.decision.costs and signature.count != 2:
        answers = "a number" if signature.is_regression else f"{signature.count} classes"
        raise Refused(
            f"Costs are of the two errors between two classes. Received: costs, and {signature.name}, which tells {answers}. Leave false_positive_cost and false_negative_cost out of the sheet."
        )


def refuse_layer(name, layers, questions):
    """Refuse a layer that no question asks about, or that cannot be asked about.

    Args:
        name: str, its address.
        layers: tuple of `sanity.audit.layers.Layer`.
        questions: list of str.

    Raises:
        Refused: where proxies are not asked for, or none of the layers has this name.
    """
    if "proxies" not in questions:
        raise Refused(
            f"A layer is named for the question proxies. Received: {name!r}, and the questions {', '.join(questions)}. Ask proxies too, or leave it out."
        )
    refuse_unknown_layer(layers, name)


def refuse_idle_counterparts(sheet, signature):
    """Refuse counterparts of inputs whose columns are swapped.

    Args:
        sheet: `Sheet`.
        signature: `sanity.audit.signature.Signature`.

    Raises:
        Refused: for other networks than those of pictures and texts.
    """
    if sheet.counterparts and signature.kind not in ("image", "text"):
        raise Refused(
            f"counterpart_of is of photographs and texts; columns of a table are swapped. Received: {signature.name}, which takes a {signature.kind}. Leave it out of the sheet."
        )


def audit(
    network,
    test,
    *,
    train=None,
    current=None,
    sheet=None,
    questions=None,
    strict=False,
    seed=0,
    title=None,
    replicates=(),
    **settings,
):
    """Ask what can be known of a network of tables before it is used: `docs/how-to/audit.md`.

    Args:
        network: `lab.network.Network`, or a Keras model.
        test: data frame, or path of a CSV file: labelled rows that the network was not trained on.
        train: the same of its training rows, or None.
        current: the same of a later time, or None.
        sheet: `Sheet`, dict, or path of a TOML file: what is stated of the columns.
        questions: list of names in QUESTIONS; None: all that data and sheet leave room for.
        strict: bool, whether all checks share one level of .05.
        seed: int.
        title: str, the network in words; None: its name.
        replicates: networks trained like it from other seeds, as `network`, or files of such. Reasons and changes must hold on them.
        settings: of the checks, such as draws and tries; each check takes those that it has.

    Returns:
        list of `sanity.verdict.Verdict`, in the order of the questions.

    Raises:
        Refused: for data that cannot be read, and questions and settings that do not exist.
    """
    network = _as_network(network)
    subject = open_subject(
        network, {"test": test, "train": train, "current": current}, open_sheet(sheet), title, replicates
    )
    sets = [name for name in ("test", "train", "current") if getattr(subject, name) is not None]
    names = list_questions(questions, subject.sheet, sets)
    asked_checks = [check for name in names for check in checks_of(name)]
    if settings.get("layer"):
        refuse_layer(settings["layer"], subject.layers, names)
    refuse_unknown_settings(asked_checks, settings)
    refuse_idle_replicates(replicates, names)
    if "proxy_use" in asked_checks:
        refuse_idle_counterparts(subject.sheet, signature_of(network, subject.sheet))
    subject = replace(subject, alpha=level(subject.sheet, names, strict))
    subject = with_untrained(subject, network, count_untrained(asked_checks, subject.sheet, network), seed=seed)
    asked_settings = {check: settings_at(check, settings, subject.alpha) for check in asked_checks}
    verdicts = []
    for check in asked_checks:
        evidence, trace = measure_rows(check, subject, seed=seed, settings=asked_settings[check])
        if trace:
            raise RuntimeError(f"the check {check} failed:\n{trace}")
        verdicts += judge_with_controls(evidence, seed=seed).verdicts
    return verdicts


def _as_network(network):
    from lab.models import load
    from lab.network import Network

    return network if isinstance(network, Network) else load(network, as_table=True)


def open_subject(network, sources, sheet, title=None, replicates=()):
    """The network's answers on all sets.

    Args:
        network: `lab.network.Network` of a table.
        sources: dict of "test" and, where there are any, "train" and "current" to data frames or paths of CSV files.
        sheet: `Sheet`.
        title: str, the network in words; None: its name.
        replicates: networks trained like it, or files of such.

    Returns:
        `AuditSubject`.

    Raises:
        Refused: for another network, and for data that cannot be read.
    """
    signature = signature_of(network, sheet)
    refuse_costs(sheet, signature)
    if signature.kind != "table":
        raise Refused(
            f"This function audits networks of tables. Received: {network.name}, which was opened as one of the kind {signature.kind}. Use the command lab audit, or, for a network with an input for each column, lab.load(FILE, as_table=True)."
        )
    frames = {
        name: source if hasattr(source, "columns") else read_frame(source, sheet)
        for name, source in sources.items()
        if source is not None
    }
    paths = {name: "the data frame" if hasattr(source, "columns") else source for name, source in sources.items()}
    tables = read_tables(frames, sheet, signature, {name: paths[name] for name in frames})
    answered, components = {}, {}
    for name, rows in tables.rows.items():
        logits, hidden = answer(network, rows.inputs, signature.count)
        components = components_of(hidden) if name == "test" else components
        answered[name] = replace(
            rows, logits=logits, features=None if hidden is None else reduce_channels(hidden, components)
        )
    return AuditSubject(
        title or network.name,
        sheet=sheet,
        classes=tables.classes,
        input_places=tables.input_places,
        predict=predictor(network, signature.count),
        networks=predict_alike(network, replicates, signature.count),
        layers=inner_layers(network, signature.count),
        **answered,
    )


def predict_alike(network, replicates, count):
    """What networks that were trained alike give for inputs.

    Args:
        network: `lab.network.Network`.
        replicates: list of `Network`, of Keras models, or of files.
        count: int, how many classes they tell, 1 for a number.

    Returns:
        tuple of functions, as of `sanity.audit.answers.predictor`.

    Raises:
        Refused: for networks of another architecture, of other classes or columns, or of equal weights.
    """
    others = [_as_network(replicate) for replicate in replicates]
    names = [
        str(replicate) if isinstance(replicate, (str, PathLike)) else other.name
        for replicate, other in zip(replicates, others)
    ]
    refuse_replicates(network, others, names)
    return tuple(predictor(other, count) for other in others)
