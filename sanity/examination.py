"""Examination: runs a check on methods, for command, recipes and test fixture. Refusals and faults become gates.

measure(check, explainer, subject, ...) -> Evidence      whatever the method does: a refusal or a fault is a gate that
failed
measure_rows(check, subject, ...) -> [Evidence]          the same of a check that measures no method
measure_runs(check, ..., networks, ...) -> runs          the same of some of the random networks of a check
judge_with_controls(family) -> Judged                    verdicts of a family, and whether its controls came out as they
must
examine(check, methods, subject, ...) -> Judged          both, controls added
"""

import traceback
from dataclasses import dataclass, field

from lab.attribution import explainers
from lab.attribution.calls import attribute, resolve_options
from lab.environment import tf
from lab.refusal import Refused, describe
from lab.registry import nearest
from lab.registry import options as known
from sanity.checks import checks, claim_of, prepare_shared
from sanity.controls import audit, control_names
from sanity.evidence import Evidence, Gate
from sanity.heads import ATTENTION
from sanity.verdict import judge


@dataclass(frozen=True)
class Judged:
    """The verdicts on a family of methods, with the audit of its controls.

    Args:
        verdicts: list of `Verdict`, in the order of the family.
        controls: list of `sanity.controls.Audit`.
        blind: list of str, names of the controls among the methods.
        parts: list of `Verdict` on parts of the subject, such as units, which no control is held to.
    """

    verdicts: list
    controls: list
    blind: list
    parts: list = field(default_factory=list)


def measure(check, explainer, subject, *, seed, name=None, settings=None, options=None, prepare=None):
    """Evidence of one check about one method.

    A method that refuses has a gate "not applicable". A method or check that raises anything else has a gate "fault".

    Args:
        check: str, a registered name.
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        name: str, the method's name; None: its registered name.
        settings: dict, settings of the check.
        options: dict, options of the method.
        prepare: `() -> dict`, what all methods of the check share, as `sanity.checks.prepare_shared` gives it.

    Returns:
        (`Evidence`, the traceback of a fault as str, or None).
    """
    check_function, options, settings = checks.get(check), dict(options or {}), dict(settings or {})
    prepare = prepare or (lambda: prepare_shared(check_function, subject, seed, settings))

    def ask():
        _refuse_shared_names(check, check_function, options)
        return check_function(explainer, subject, seed=seed, **prepare(), **settings, **options)

    evidence, gate, trace = _attempt(explainer, subject, seed, options, ask)
    if gate is None:
        return evidence, None
    return stand_in(check, name or explainers.name(explainer), subject, gate, {**settings, **options}), trace


def _refuse_shared_names(check, check_function, options):
    """Raise Refused for an option of a method that the check would take for a setting of its own."""
    for name in options:
        if name in known(check_function):
            raise Refused(
                f"An option of a method has another name than a setting of the check. Received: {name!r}, which {check} has too. Ask it through a function of your own, with this value in it."
            )


def measure_runs(check, explainer, subject, networks, *, seed, settings, options, prepare):
    """What a check measures of one method on some of its random networks, to be gathered by `measure`.

    Args:
        check: str, the name of a check with the tag `measure_runs`.
        explainer: the method.
        subject: the `Subject`.
        networks: (start, stop) of the random networks.
        seed: int.
        settings: dict, settings of the check.
        options: dict, options of the method.
        prepare: `() -> dict`, what all methods share of these networks.

    Returns:
        list of `sanity.network_run.NetworkRun`, or None for a method that refuses or fails; then the `Gate` that says why, and the
        traceback of a fault, or None.
    """
    measure_part = checks.tag(checks.get(check), "measure_runs")

    def ask():
        return measure_part(explainer, subject, seed=seed, networks=networks, **prepare(), **settings, **options)

    return _attempt(explainer, subject, seed, options, ask)


def _attempt(explainer, subject, seed, options, ask):
    """-> the value of `ask()`, None, None; or None, the gate of a refusal or fault, and the traceback of a fault or None."""
    gate_name = "method can be asked"
    try:
        refuse(explainer, subject, seed, options)
        gate_name = "check can be asked"
        return ask(), None, None
    except Refused as error:
        return None, Gate(gate_name, "not applicable", _one_line(error)), None
    except Exception as error:
        # Whatever a method, a model or a library raises costs this cell alone, and is reported there.
        return None, Gate("method ran", "fault", describe(error)), traceback.format_exc()


def refuse(explainer, subject, seed, options):
    """Run a method on the first sample alone, so that a refusal costs no more than that.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int, of the method's draws.
        options: dict, options of the method.

    Raises:
        Exception: what the method raises.
    """
    inputs = tf.nest.map_structure(lambda leaf: leaf[:1], subject.inputs)
    resolved_options = resolve_options(explainer, subject.network, seed, options)
    attribute(explainer, subject.network, inputs, subject.objective.rows([0]), **resolved_options)


def refuse_settings(check, settings):
    """Refuse settings that a check does not have, or whose values it does not know.

    Args:
        check: str, the name of the check.
        settings: dict of setting to value.

    Raises:
        Refused: for the first of them.
    """
    check_function = checks.get(check)
    allowed = [name for name in known(check_function) if name not in ("seed", "prepared", "runs")]
    for name in settings:
        if name not in allowed:
            raise Refused(f"Unknown key of the check {check}. Received: {name!r}. {nearest(name, allowed)}")
    refuse = checks.tag(check_function, "refuse")
    if refuse:
        refuse(**{name: value for name, value in settings.items() if name in known(refuse)})


def measure_rows(check, subject, *, seed, settings=None):
    """Evidence of a check that measures no method. A refusal or a fault is a gate that failed.

    Args:
        check: str, the name of a check whose claim is not "maps".
        subject: what the check takes: a `Subject`, or a `Study` of pictures.
        seed: int.
        settings: dict, settings of the check.

    Returns:
        (list of `Evidence`, the traceback of a fault as str, or None).
    """
    try:
        return checks.get(check)(subject, seed=seed, **(settings or {})), None
    except Refused as error:
        gate, trace = Gate("check can be asked", "not applicable", _one_line(error)), None
    except Exception as error:
        # Whatever a model or a library raises costs this check alone, and is reported there.
        gate, trace = Gate("check ran", "fault", describe(error)), traceback.format_exc()
    return [stand_in(check, getattr(subject, "name", ATTENTION), subject, gate)], trace


def stand_in(check, name, subject, gate, settings=None):
    """Evidence of a check that measured nothing, for the reason that a gate gives.

    Args:
        check: str, the name of the check.
        name: str, the name of the method.
        subject: the `Subject` or `Study`, or None where there is none.
        gate: `Gate`, the reason.
        settings: dict, of the check and the method.

    Returns:
        `Evidence`.
    """
    sizes, title = ({}, "a network that was not asked") if subject is None else (subject.sizes, subject.title)
    return Evidence(check, name, title, sizes, {}, (gate,), settings=settings or {})


def judge_with_controls(family, *, seed):
    """Verdicts on a family of `Evidence` under one check.

    Args:
        family: list of `Evidence`.
        seed: int, of the bootstrap.

    Returns:
        `Judged`.
    """
    rows = list(zip(family, judge(family, seed=seed)))
    verdicts = [verdict for evidence, verdict in rows if not evidence.part]
    blind = [verdict.method for verdict in verdicts if verdict.method in control_names(verdict.check)]
    return Judged(verdicts, audit(verdicts), blind, [verdict for evidence, verdict in rows if evidence.part])


def examine(check, methods, subject, *, seed, settings=None, options=None):
    """Run one check on several methods, with every control beside them; or on what its claim is about.

    Args:
        check: str, a registered name.
        methods: dict of name to explainer; not used by a check whose claim is not "maps".
        subject: what the check takes: a `Subject`, or a `Study` of pictures.
        seed: int.
        settings: dict, settings of the check.
        options: dict of method name to dict, options of the methods.

    Returns:
        `Judged`.

    Raises:
        Refused: for settings that the check does not have.
    """
    refuse_settings(check, settings or {})
    if claim_of(check) != "maps":
        return judge_with_controls(measure_rows(check, subject, seed=seed, settings=settings)[0], seed=seed)
    controls = {name: explainers.get(name) for name in explainers.names(control=True) if name not in methods}
    prepare = _make_lazy(lambda: prepare_shared(checks.get(check), subject, seed, settings or {}))
    return judge_with_controls(
        [
            measure(
                check,
                method,
                subject,
                seed=seed,
                name=name,
                settings=settings,
                options=(options or {}).get(name),
                prepare=prepare,
            )[0]
            for name, method in {**methods, **controls}.items()
        ],
        seed=seed,
    )


def _one_line(error):
    return " ".join(str(error).split())


def _make_lazy(make):
    """`make`, whose value is computed at the first call and kept."""
    values = []

    def make_once():
        if not values:
            values.append(make())
        return values[0]

    return make_once
