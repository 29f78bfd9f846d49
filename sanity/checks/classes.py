"""Classes: does a map change when it is asked about another class? (Random Logit: Sixt, Granz, Landgraf 2020, https://arxiv.org/abs/1912.09818.)"""

import numpy as np

from sanity import crossing, gates
from sanity.bound_explainer import BoundExplainer, stack_signed
from sanity.checks import checks
from sanity.checks.class_crossing import CLASSES
from sanity.comparison import prefix_keys, similarities
from sanity.effects import EFFECTS, agreement
from sanity.evidence import Gate
from sanity.network_groups import no_signal
from sanity.ruling import MEASURE, SIGNED, About, Ruling, images_remedy, rules
from sanity.seeds import derive_seed
from sanity.statistics import FEWEST, bootstrap_interval

CLASSES_NEEDED = 3
# Ends the name of an effect whose sign is left out.
MAGNITUDE = " magnitude"
# Maps with a smaller share of values below zero have no sign; rounding makes some.
UNSIGNED = 0.01


def prepare(subject, *, seed, once=None):
    """The network's own answers about two classes, as of `class_crossing`.

    Args:
        subject: the `Subject`.
        seed: int.
        once: as of `sanity.checks.prepare_shared`; crossings of one subject share their effects.

    Returns:
        `sanity.effects.Effects`, or None where there are too few classes or the inputs have no cells.
    """
    return crossing.prepare(CLASSES, subject, seed=seed, once=once) if subject.classes >= CLASSES_NEEDED else None


@checks.register(prepare=prepare, answer="effects")
def classes(explainer, subject, /, *, seed, draws=3, prepared=None, **options):
    """Do maps for another class, drawn uniformly, differ from those for the class at hand?

    Signed maps decide. Two classes are refused: the gradient of one is that of the other with the sign turned, so that
    absolute maps agree for any right method.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        draws: int, other classes for each sample.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence`. Where the inputs have cells it has more samples. `oracle between/EFFECT` says how alike the network's own
            answers about two classes are, `oracle itself/EFFECT` how alike one answer measured twice, and the same of their
            magnitudes under `EFFECT magnitude`. `negative` is the share of a map's values below zero.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    enough = _classes_gate(subject)
    if enough.status != "passed":
        return bound.evidence("classes", {}, [enough])
    maps_of_target = bound.pooled_maps()
    drawn = _draw_other_classes(subject, seed, draws)
    others = [
        bound.pooled_maps(objective=subject.objective.for_classes(classes_of_draw), state=("other class", turn))
        for turn, classes_of_draw in enumerate(drawn)
    ]
    itself = similarities(
        maps_of_target, bound.pooled_maps(bound.noisy_inputs(derive_seed(seed, "rounding noise")), state="itself")
    )
    between = [similarities(maps_of_target, pooled_maps) for pooled_maps in others]
    samples = prefix_keys("between", {name: np.stack([row[name] for row in between]) for name in itself})
    samples |= prefix_keys("itself", {name: row[None] for name, row in itself.items()})
    samples |= _oracle_samples(prepared or prepare(subject, seed=seed))
    samples["negative"] = _negative_shares(maps_of_target)
    passed = [
        enough,
        gates.enough_positions(subject),
        gates.competence(subject),
        gates.usable_maps(maps_of_target, *others),
    ]
    maps = {"trained": stack_signed(maps_of_target), "other": stack_signed(others[0])}
    return bound.evidence("classes", samples, passed, sizes={"draws": draws}, settings={"draws": draws}, maps=maps)


def _oracle_samples(prepared):
    """Agreement of the network's own answers: dict of name to float64 [1, samples]; nothing where they cannot be had."""
    samples = {}
    for name in prepared.halves if prepared else ():
        both_halves, halves = prepared.combine(name), prepared.halves[name]
        for form, change in (("", np.asarray), (MAGNITUDE, np.abs)):
            samples[f"oracle between/{name}{form}"] = agreement(change(both_halves[0]), change(both_halves[1]))[None]
            samples[f"oracle itself/{name}{form}"] = agreement(change(halves[0][0]), change(halves[1][0]))[None]
    return samples


def _negative_shares(maps):
    """The share of values below zero in each sample's map: float64 [1, samples]."""
    signed = stack_signed(maps)
    return (signed < 0).reshape(len(signed), -1).mean(axis=1)[None]


def _classes_gate(subject):
    words = f"{subject.classes} outputs; needed: {CLASSES_NEEDED}"
    return Gate("more than two classes", "passed" if subject.classes >= CLASSES_NEEDED else "not applicable", words)


def _draw_other_classes(subject, seed, draws):
    """Other classes for each sample: list of lists of int, one a draw."""
    targets = np.array(subject.objective.numbers(len(subject.names))[0][0])
    rng = np.random.default_rng(derive_seed(seed, "other classes"))
    steps = rng.integers(1, subject.classes, (draws, len(targets)))
    return [[int(index) for index in row] for row in (targets + steps) % subject.classes]


@rules.register(
    name="classes",
    about=About(
        "Responds to class",
        "another class",
        {
            "RESPONDED": "maps change with the class that is asked about",
            "CLASS-BLIND": "maps are much the same whatever class is asked about",
            "UNDECIDED": "{why}",
            "ANSWERS ALIKE": "a right map may be the same for both classes: by {why}",
            "ORACLE DOES NOT PASS": "the network's own evidence is much the same: by {why}",
            "NO REPRODUCIBLE SIGNAL": "maps of the same class do not agree under noise",
        },
        similarity=f"{SIGNED}: Spearman of signed maps, channels summed; no resize",
        number="Similarity of maps",
        ceiling="the same class under a little noise",
        counted={"images": "images", "draws": "other classes each"},
        better="lower",
    ),
)
def judge_classes(family, margins, seed):
    """Signed maps of another class against those of the same, if the network's own evidence separates the classes.

    A right map says what a removal does, or what a small change does. Maps that are much the same fail where the network's
    own answers differ under both; maps without negative values are held to the magnitudes of these answers alone.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_judge_class(evidence.samples, margins, seed) for evidence in family]


def _judge_class(samples, margins, seed):
    effect, ceiling = (
        bootstrap_interval(samples[f"between/{SIGNED}"], seed=seed),
        bootstrap_interval(samples[f"itself/{SIGNED}"], seed=seed),
    )
    numbers = {
        "effect": effect,
        "ceiling": ceiling,
        "also": (("absolute", str(bootstrap_interval(samples[f"between/{MEASURE}"], seed=seed))),),
    }
    if not ceiling.low > margins.floor:
        return no_signal(numbers, margins)
    measured, alike = _alike_effects(samples, margins, seed)
    if measured and len(alike) == measured:
        return Ruling("INVALID", "ORACLE DOES NOT PASS", **numbers, why=". By ".join(alike))
    if effect.low >= margins.blind * ceiling.mean:
        return _judge_equal_maps(samples, alike, numbers, margins)
    if effect.high <= margins.other * ceiling.mean:
        return Ruling("PASS", "RESPONDED", **numbers, why=f"at or below {margins.other} of what the same class reaches")
    why = f"between {margins.other} and {margins.blind} of what the same class reaches, or too wide an interval"
    bounds = margins.other * ceiling.mean, margins.blind * ceiling.mean
    remedy = images_remedy(samples[f"between/{SIGNED}"], bounds, margins)
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why, remedy=remedy)


def _judge_equal_maps(samples, alike, numbers, margins):
    """Maps of another class are those of the same: no right map's, unless the network's own answers are alike, too."""
    if samples[f"between/{SIGNED}"].shape[-1] < FEWEST:
        why = f"fewer than {FEWEST} images decide nothing"
        return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why, remedy=f"Give at least {FEWEST} images.")
    if alike:
        return Ruling("INCONCLUSIVE", "ANSWERS ALIKE", **numbers, why=alike[0], remedy="Give images of other classes.")
    return Ruling("FAIL", "CLASS-BLIND", **numbers, why=f"at or above {margins.blind} of what the same class reaches")


def _alike_effects(samples, margins, seed):
    """How many effects were measured, and in words those by which the network's own answers about two classes agree.

    Returns:
        (int, list of str).
    """
    is_unsigned = "negative" in samples and np.nanmean(samples["negative"]) < UNSIGNED
    form = MAGNITUDE if is_unsigned else ""
    names = [f"{name}{form}" for name in EFFECTS if f"oracle between/{name}{form}" in samples]
    words = []
    for name in names:
        between, itself = (
            bootstrap_interval(samples[f"oracle {kind}/{name}"], seed=seed) for kind in ("between", "itself")
        )
        if not (itself.low > margins.floor and between.high <= margins.other * itself.mean):
            words.append(f"{name} two classes agree at {between}, one with itself at {itself}")
    return len(names), words
