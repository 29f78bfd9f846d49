"""Examination: a check asked of methods, with refusals and faults told apart: the one runner behind command, recipe and fixture.

measure(check, explainer, subject, ...) -> Evidence      whatever the method does: a refusal or a fault is a gate that failed
judged(family) -> Judged                                 verdicts of a family, and whether its controls came out as they must
examine(check, methods, subject, ...) -> Judged          both, controls added
"""

import traceback
from dataclasses import dataclass

from lab.attribution import explainers
from lab.attribution.calls import attribute, resolve_options
from lab.environment import tf
from lab.refusal import Refused, describe
from lab.registry import nearest
from lab.registry import options as known
from sanity.checks import checks, shared
from sanity.controls import audit
from sanity.evidence import Evidence, Gate
from sanity.verdict import judge


@dataclass(frozen=True)
class Judged:
    """verdicts: list of `Verdict`, in the order of the family. controls: list of `sanity.controls.Audit`. blind: names of the
    controls among the methods.
    """

    verdicts: list
    controls: list
    blind: list


def measure(check, explainer, subject, *, seed, name=None, settings=None, options=None, prepare=None):
    """Evidence of one check about one method -> (`Evidence`, traceback of a fault: str or None).

    check: a registered name. name: what the method is called, its registered name where None. settings: of the check; options: of
    the method. prepare: `() -> dict`, what all methods of the check share, as `sanity.checks.shared` gives it. A method that
    refuses has a gate "not applicable", a method or check that raises anything else one with the status "fault".
    """
    ask, options, settings = checks.get(check), dict(options or {}), dict(settings or {})
    prepare = prepare or (lambda: shared(ask, subject, seed, settings))
    refused = "method can be asked"
    try:
        refuse(explainer, subject, seed, options)
        refused = "check can be asked"
        return ask(explainer, subject, seed=seed, **prepare(), **settings, **options), None
    except Refused as error:
        gate, trace = Gate(refused, "not applicable", _one_line(error)), None
    except Exception as error:
        # Whatever a method, a model or a library raises costs this cell, and is told there.
        gate, trace = Gate("method ran", "fault", describe(error)), traceback.format_exc()
    return stand_in(check, name or explainers.name(explainer), subject, gate, {**settings, **options}), trace


def refuse(explainer, subject, seed, options):
    """Raise what a method raises when it is asked about the first sample, so that a refusal costs no more than that."""
    inputs = tf.nest.map_structure(lambda leaf: leaf[:1], subject.inputs)
    chosen = resolve_options(explainer, subject.network, seed, options)
    attribute(explainer, subject.network, inputs, subject.objective.rows([0]), **chosen)


def refuse_settings(check, settings):
    """Raise Refused for settings that a check does not have, or whose values it does not know."""
    ask = checks.get(check)
    allowed = [name for name in known(ask) if name not in ("seed", "prepared")]
    for name in settings:
        if name not in allowed:
            raise Refused(f"Unknown key of the check {check}. Received: {name!r}. {nearest(name, allowed)}")
    refuse = checks.tag(ask, "refuse")
    if refuse:
        refuse(**{name: value for name, value in settings.items() if name in known(refuse)})


def stand_in(check, name, subject, gate, settings=None):
    """Evidence of a check that measured nothing, for the reason that a gate says."""
    sizes = {} if subject is None else {"images": len(subject.names)}
    network = "a network that could not be had" if subject is None else subject.network.name
    return Evidence(check, name, network, sizes, {}, (gate,), settings=settings or {})


def judged(family, *, seed):
    """A family of `Evidence` under one check -> `Judged`."""
    verdicts = judge(family, seed=seed)
    blind = explainers.names(control=True)
    return Judged(verdicts, audit(verdicts), [each.method for each in verdicts if each.method in blind])


def examine(check, methods, subject, *, seed, settings=None, options=None):
    """One check of several methods, with every control beside them -> `Judged`.

    methods: dict of name to explainer. options: of the methods, dict of name to dict.
    """
    refuse_settings(check, settings or {})
    controls = {name: explainers.get(name) for name in explainers.names(control=True) if name not in methods}
    common = _once(lambda: shared(checks.get(check), subject, seed, settings or {}))
    return judged(
        [
            measure(
                check,
                method,
                subject,
                seed=seed,
                name=name,
                settings=settings,
                options=(options or {}).get(name),
                prepare=common,
            )[0]
            for name, method in {**methods, **controls}.items()
        ],
        seed=seed,
    )


def _one_line(error):
    return " ".join(str(error).split())


def _once(make):
    """`make`, whose value is made at the first call and kept."""
    kept = []

    def once():
        if not kept:
            kept.append(make())
        return kept[0]

    return once
