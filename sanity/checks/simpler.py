"""Simpler: would a simpler model do as well as the network on the rows that it was never trained on?

Models that people can read are often as good on tables (Rudin 2019, https://arxiv.org/abs/1811.10154). Here they learn from the
network's own training rows, and their losses are compared with its losses row by row, all of them at once.
"""

from dataclasses import dataclass, replace

import numpy as np

from sanity.audit.calibration import list_views, root_interval, view_bins
from sanity.audit.copies import SIZES, TRIES
from sanity.audit.differences import Differences, rows_needed, simultaneous_differences, try_differences
from sanity.audit.gates import answers_gate, trained_gates, units_gate
from sanity.audit.ladder import (
    ALL,
    BUDGET,
    LOWEST,
    class_places,
    left_out,
    loss_names,
    losses,
    model_columns,
    train_ladder,
    tuning_rows,
)
from sanity.audit.margin import FEWEST_UNITS
from sanity.audit.ranking import class_area_shares, log_odds
from sanity.audit.worst_group import worst_groups
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval

AHEAD, AS_WELL, BEHIND = "NETWORK AHEAD BEYOND THE MARGIN", "SIMPLER DOES AS WELL", "NETWORK BEHIND"
DISAGREE, UNDECIDED, MEASURED = "LOSSES DISAGREE", "UNDECIDED", "MEASURED"
# What is asked is whether the network is needed: only a lead beyond the margin answers it with yes.
OUTCOMES = {
    AHEAD: "PASS",
    AS_WELL: "FAIL",
    BEHIND: "FAIL",
    DISAGREE: "INCONCLUSIVE",
    UNDECIDED: "INCONCLUSIVE",
    MEASURED: "INCONCLUSIVE",
}
# Margins of accuracy and log loss, and of squared error as a share of the variance of labels.
MARGINS = {"accuracy": 0.01, "log loss": 0.02, "squared error": 0.01}
FEWEST_ROWS = 30
AREA = "area under the ROC curve"


@checks.register(claim="data", question="simpler", descriptors=True)
def simpler(subject, *, seed, draws=999, tries=TRIES, budget=BUDGET, margin=MARGINS["accuracy"]):
    """Would a simpler model, trained on the same rows, do as well as the network?

    Args:
        subject: `sanity.audit.rows.AuditSubject`, with the rows that the network was trained on.
        seed: int.
        draws: int, bootstrap samples of units.
        tries: int, null copies, and planted ones of each size.
        budget: int, settings of each model that are compared on folds of the training rows.
        margin: float, of accuracy, or of squared error in variances of the label. That of the log loss is twice as large.

    Returns:
        list of `Evidence`: of all simple models together, and of each.
    """
    if subject.train is None:
        words = "the rows that the network was trained on were not given; add them with --train"
        gates = (Gate("training rows are known", "not applicable", words),)
        return [Evidence("simpler", ALL, subject.title, subject.sizes, {}, gates)]
    train, test = (rows.take(rows.labelled) for rows in (subject.train, subject.test))
    gates = (*_gates(train, test), answers_gate(test), *trained_gates(subject))
    if any(gate.status in ("failed", "not applicable") for gate in gates):
        return [Evidence("simpler", ALL, subject.title, subject.sizes, {}, gates)]
    rungs = train_ladder(train, test, seed=derive_seed(seed, "ladder"), budget=budget)
    settings = {"seed": seed, "draws": draws, "tries": tries, "budget": budget, "alpha": subject.alpha}
    tuned = len(tuning_rows(train, seed=derive_seed(seed, "ladder")))
    settings |= {"tuned_on": [tuned, len(train)]} if tuned < len(train) else {}
    return ladder_evidence(subject, test, rungs, margin, settings, scale=label_variance(train), gates=gates)


def label_variance(train):
    """What losses are divided by: 1, or the variance of a regression's labels.

    Args:
        train: `Rows`, labelled.

    Returns:
        float.
    """
    return float(train.labels.var()) if train.labels.dtype.kind == "f" else 1.0


def _gates(train, test):
    units = [units_gate(test), units_gate(test, train)]
    if test.has_units:
        units = units[:1]
    counts = (
        ("rows are labelled", len(test), FEWEST_ROWS, "labelled test rows"),
        ("training rows are labelled", len(train), FEWEST_ROWS, "labelled training rows"),
    )
    enough = [
        Gate(name, "passed" if count >= fewest else "failed", f"{count:,} {what}; {fewest} are needed")
        for name, count, fewest, what in counts
    ]
    columns = len(model_columns(train)) if len(train) else 0
    words = f"{columns} columns that a simple model can take"
    enough.append(Gate("columns to learn from", "passed" if columns else "not applicable", words))
    if len(train):
        enough.append(_labels_gate(train))
    return (*enough, *units) if all(gate.status == "passed" for gate in enough) else tuple(enough)


def _labels_gate(train):
    values = len(class_places(train))
    return Gate("training labels differ", "passed" if values > 1 else "failed", f"{values} labels in the training rows")


def ladder_evidence(subject, test, rungs, margin, settings, *, scale=1.0, gates=()):
    """Compare the losses of trained models with those of the network.

    Args:
        subject: `AuditSubject`.
        test: `Rows`, labelled.
        rungs: list of `sanity.audit.ladder.Rung`.
        margin: float.
        settings: dict: seed, draws, tries, budget, alpha.
        scale: float, what squared errors are divided by.
        gates: tuple of `Gate`.

    Returns:
        list of `Evidence`, of all simple models together before each.
    """
    compared = _compare(test, rungs, margin, scale, settings)
    # The margin is shown beside the effect, which is in percent.
    settings = {
        **settings,
        "delta": 100 * margin,
        "losses": compared.losses,
        "left_out": {**left_out(test), **subject.untried},
    }
    sizes = {"rows": len(test), "units": test.unit_count}
    gates = (*gates, compared.tried[0].gate)

    def evidence(name, places, more, samples=None):
        decided = compared.samples(places, np.array([rung.is_simple for rung in rungs])[places].all())
        words = {
            **settings,
            "rungs": [rungs[place].name for place in places],
            "needed": compared.needed(places, len(test)),
        }
        return Evidence(
            "simpler", name, subject.title, sizes, {**(samples or {}), **decided}, gates, settings={**words, **more}
        )

    simple = [place for place, rung in enumerate(rungs) if rung.is_simple]
    tables = {"tables": _tables(compared, rungs, test, settings["seed"]), "ladder": compared.names}
    whole = evidence(ALL, simple, tables, {"ladder": compared.effects})
    single = [
        evidence(rung.name, [place], {"candidates": rung.candidates, "tuned": rung.settings})
        for place, rung in enumerate(rungs)
    ]
    return [whole, *single]


@dataclass(frozen=True)
class _Comparison:
    """Losses of rungs and the network, float64 [rungs, losses, rows], and their differences, float64 [rungs, losses, 3].

    Beside them areas under the ROC curve, of the network first, float64 [1 + rungs], and their differences, float64 [rungs, 3];
    both are empty where there are none.
    """

    names: list
    losses: tuple
    of_rungs: np.ndarray
    of_network: np.ndarray
    margins: np.ndarray
    differences: Differences
    tried: list
    areas: np.ndarray
    of_areas: np.ndarray

    @property
    def effects(self):
        return self.differences.intervals.reshape(len(self.names), len(self.losses), 3)

    def samples(self, places, is_simple):
        """What the rule decides by, of some rungs."""
        nearest = min(places, key=lambda place: self.effects[place, 0, 0])
        planted = self.tried[nearest * len(self.losses)].planted
        known = {"margins": self.margins, "null": self.tried[0].null, "simple": np.array([is_simple])}
        known |= {"areas": self.of_areas[places]} if len(self.of_areas) else {}
        return {"effects": self.effects[places], "planted": planted, **known}

    def needed(self, places, rows):
        """About how many rows would settle the accuracy of some rungs: int, 0 where that is not known."""
        every = self.differences.deviation.reshape(len(self.names), -1)[places, 0]
        quantile, margin = self.differences.quantile, self.margins[0]
        if not np.isfinite(every).all():
            return 0
        effects = self.effects[places, 0, 0]
        return max(rows_needed(effect, error, quantile, margin, rows) for effect, error in zip(effects, every))


def _compare(test, rungs, margin, scale, settings):
    names, answers = loss_names(test), test.logits[:, 0] if test.is_regression else test.probabilities
    of_network = np.stack(losses(test.labels, answers)) / scale
    of_rungs = np.stack([np.stack(losses(test.labels, rung.answers)) / scale for rung in rungs])
    flat = (of_rungs - of_network).reshape(-1, len(test)).T
    same = [np.abs(rung.answers - answers).max() <= LOWEST for rung in rungs]
    # Two that give the same answers are the same on other rows, too, and a tie of two that do not is luck.
    counted = np.array([name == "accuracy" and not equal for equal in same for name in names])
    flat[:, np.repeat(same, len(names))] = 0.0
    margins = np.array([margin, 2 * margin][: len(names)])
    shared = {"seed": settings["seed"], "counted": counted}
    level = {"draws": settings["draws"], "level": 1 - settings["alpha"]}
    differences = simultaneous_differences(flat, test.units, **shared, **level)
    planted = np.tile(margins, len(rungs))
    tried = try_differences(differences, flat, test.units, planted, tries=settings["tries"], **shared)
    areas = _compare_areas(test, rungs, same, settings["seed"], level)
    return _Comparison([rung.name for rung in rungs], names, of_rungs, of_network, margins, differences, tried, *areas)


def _compare_areas(test, rungs, same, seed, level):
    """Areas under the ROC curve of the network and all rungs, and by how much the network is ahead, with bounds at once."""
    if test.is_regression or len(np.unique(test.labels)) < 2:
        return np.zeros(0), np.zeros((0, 3))
    scores = (log_odds(test.logits), *(rung.answers for rung in rungs))
    shares = np.array([class_area_shares(values, test.labels) for values in scores])
    leads = (shares[0] - shares[1:]).T
    leads[:, same] = 0.0
    intervals = simultaneous_differences(leads, test.units, seed=seed, **level).intervals
    # Where every row adds the same, as of two areas of 1, these rows say nothing of the spread.
    silent = np.ptp(shares, axis=1) < 1e-12
    intervals[~np.array(same) & silent[0] & silent[1:], 1:] = np.nan
    return shares.mean(axis=1), intervals


def _tables(compared, rungs, test, seed):
    answers = test.logits[:, 0] if test.is_regression else test.probabilities
    rows = [{"model": "the network", **_mean_losses(compared.losses, compared.of_network)}]
    rows[0] |= _ranking_and_calibration(compared, 0, test, answers)
    for place, (rung, values, effects) in enumerate(zip(rungs, compared.of_rungs, compared.effects)):
        row = {"model": rung.name, **_mean_losses(compared.losses, values)}
        row |= _ranking_and_calibration(compared, place + 1, test, rung.answers)
        if len(compared.of_areas):
            row[f"network ahead in {AREA}"] = _bounded(compared.of_areas[place])
        for name, effect in zip(compared.losses, effects):
            row[f"network ahead in {name}"] = _bounded(effect)
        tuned = ", ".join(f"{name} {value}" for name, value in rung.settings.items())
        rows.append({**row, "settings": tuned, "settings compared": rung.candidates})
    models = {"the network": compared.of_network[0]}
    models |= {rung.name: values[0] for rung, values in zip(rungs, compared.of_rungs)}
    tables = {"Simple models beside the network": rows}
    groups = worst_groups(models, test, seed=derive_seed(seed, "groups"))
    return {**tables, **({"Worst group of the network and of simple models": groups} if groups else {})}


def _bounded(effect):
    mean, low, high = effect
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else f"{mean:+.3f}, bounds not known"


def _ranking_and_calibration(compared, place, test, answers):
    """How well a model ranks, and the root of its squared calibration error, freed of what sampling adds: dict."""
    numbers = {AREA: float(compared.areas[place])} if len(compared.areas) else {}
    if test.is_regression:
        return numbers
    answered = replace(test, logits=np.log(np.clip(answers, LOWEST, 1)), protected=())
    error = root_interval(view_bins(list_views(answered), 0, answered))
    return {**numbers, "calibration error": error.mean}


def _mean_losses(names, values):
    """Mean losses by their names, the share of right answers for accuracy: dict."""
    means = zip(names, values.mean(axis=1))
    return {name: float(1 - mean if name == "accuracy" else mean) for name, mean in means}


def finding_of(effect, margins):
    """What is found of one simple model.

    Args:
        effect: float [losses, 3], how far the network is ahead in each, with bounds; nan where there are none.
        margins: float [losses].

    Returns:
        str.
    """
    _, low, high = effect.T
    ahead, behind, as_well = low > margins, high < 0, high < margins
    if ahead.any():
        return DISAGREE if behind.any() else AHEAD
    if as_well.all():
        return BEHIND if behind.any() else AS_WELL
    return UNDECIDED


def finding_of_all(findings):
    """What is found of all simple models together.

    Args:
        findings: list of str, of each.

    Returns:
        str: that of the model that comes nearest to the network; NETWORK AHEAD only where it is ahead of each.
    """
    order = (BEHIND, AS_WELL, UNDECIDED, DISAGREE, AHEAD)
    return min(findings, key=order.index)


def _ruling(evidence):
    settings, samples = evidence.settings, evidence.samples
    findings = [finding_of(effect, samples["margins"]) for effect in samples["effects"]]
    finding = finding_of_all(findings) if len(findings) > 1 else findings[0]
    finding = finding if samples["simple"].all() else MEASURED
    names = settings.get("losses", ("accuracy", "log loss"))
    nearest = _nearest(findings, finding, samples["effects"])
    enough = evidence.sizes["units"] >= FEWEST_UNITS
    outcome = OUTCOMES[finding] if enough else "INCONCLUSIVE"
    name = settings.get("rungs", [evidence.method] * len(findings))[nearest]
    return Ruling(
        outcome,
        finding,
        Interval(*(100 * samples["effects"][nearest, 0])),
        why=_clause(finding, name, names, samples, len(findings)),
        also=(*_others(names, samples, nearest), *_untried(settings, len(findings)), *_tuned(settings)),
        remedy=_remedy(finding, settings, enough),
    )


def _nearest(findings, finding, effects):
    """The place of the model of a finding against which the network is least ahead: int."""
    places = [place for place, name in enumerate(findings) if name == finding] or range(len(findings))
    return min(places, key=lambda place: effects[place, 0, 0])


def _clause(finding, name, names, samples, count):
    margins = " and ".join(f"{value:.2g} of {loss}" for loss, value in zip(names, samples["margins"]))
    if finding == AHEAD:
        models = f"all {count} simple models" if count > 1 else name
        return f"it is ahead of {models} by more than {' or '.join(margins.split(' and '))}"
    if finding == UNDECIDED:
        planted = samples["planted"][SIZES.index(1.0)]
        tried = (
            f"a lead of {samples['margins'][0]:.2g} would have been found in {planted.sum()} of {len(planted)} tries"
        )
        return f"whether {name} does as well is open; {tried}"
    return {
        AS_WELL: f"{name} is behind by less than {margins}",
        BEHIND: f"{name} is ahead of it, and behind in nothing by {margins}",
        DISAGREE: f"it is ahead of {name} in one loss and behind in another, so that its probabilities are to be looked at",
        MEASURED: f"{name} is no simple model and says how much these rows allow",
    }[finding]


def _others(names, samples, place):
    for name, (mean, low, high) in zip(names, samples["effects"][place]):
        yield f"network ahead in {name}", f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
    if "areas" in samples:
        yield f"network ahead in {AREA}", f"{_bounded(samples['areas'][place])}, which decides nothing"
    sizes = ", ".join(f"{values.sum()} of {len(values)} at {size:g}" for size, values in zip(SIZES, samples["planted"]))
    yield "planted leads found, by their size in margins", sizes


def _untried(settings, count):
    if count > 1:
        yield from settings.get("left_out", {}).items()


def _tuned(settings):
    """How many training rows chose the settings of models, where these are not all."""
    if "tuned_on" in settings:
        few, every = settings["tuned_on"]
        yield (
            "rows that chose settings",
            f"{few:,} of {every:,} training rows, drawn by unit; models are trained on all",
        )


def _remedy(finding, settings, enough):
    if not enough:
        return f"Give at least {FEWEST_UNITS} units."
    needed = settings.get("needed")
    return f"About {needed:,} rows would settle it." if finding == UNDECIDED and needed else ""


@rules.register(
    name="simpler",
    about=About(
        "Is ahead of simple models",
        "lead",
        dict.fromkeys(OUTCOMES, "{why}"),
        number="share by which the network is ahead, in percent",
        similarity="right answers of the network less those of the simple model, in percent of the rows; of a regression squared errors, in percent of the labels' variance; intervals hold for all models and losses at once",
        sampled=False,
        better="higher",
        counted={"rows": "rows", "units": "units"},
        cannot="Cannot conclude: that no other simple model does as well, that a simple model is understood, or which one learns better from other rows.",
    ),
)
def rule(family, margins, seed):
    """A lead beyond the margin passes, and a simple model that does as well fails, by simultaneous intervals."""
    return [_ruling(evidence) for evidence in family]
