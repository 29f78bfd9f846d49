"""Classes: does a map change when it is asked about another class? (Random Logit: Sixt, Granz, Landgraf 2020, https://arxiv.org/abs/1912.09818.)"""

import numpy as np

from sanity import crossing, gates
from sanity.bound_explainer import BoundExplainer, stacked
from sanity.checks import checks
from sanity.checks.class_crossing import CLASSES
from sanity.comparison import named, similar
from sanity.effects import EFFECTS, agreement
from sanity.evidence import Gate
from sanity.seeds import derive_seed

FEWEST = 3


def prepare(subject, *, seed, once=None):
    """The network's own answers about two classes, as of `class_crossing` -> `sanity.effects.Effects`, or None where they cannot be had."""
    return crossing.prepare(CLASSES, subject, seed=seed, once=once) if subject.classes >= FEWEST else None


@checks.register(prepare=prepare)
def classes(explainer, subject, *, seed, draws=3, prepared=None, **options):
    """Do maps for another class, drawn uniformly, differ from those for the class at hand? -> `Evidence`.

    draws: other classes for each sample. Signed maps decide. Two classes are refused: there one class's gradient is the
    other's with the sign turned, and absolute maps agree for any right method. options: the explainer's own. Where the inputs have
    cells, samples `oracle between/EFFECT` and `oracle itself/EFFECT` say how alike the network's own answers about two classes
    are, and one answer measured twice.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    enough = _enough(subject)
    if enough.status != "passed":
        return bound.evidence("classes", {}, [enough])
    own = bound.pooled_maps()
    drawn = _others(subject, seed, draws)
    others = [
        bound.pooled_maps(objective=subject.objective.for_classes(each), state=("other class", turn))
        for turn, each in enumerate(drawn)
    ]
    itself = similar(own, bound.pooled_maps(bound.with_noise(derive_seed(seed, "rounding noise")), state="itself"))
    between = [similar(own, pooled_maps) for pooled_maps in others]
    samples = named("between", {name: np.stack([row[name] for row in between]) for name in itself})
    samples |= named("itself", {name: row[None] for name, row in itself.items()})
    samples |= _own_answers(prepared or prepare(subject, seed=seed))
    passed = [enough, gates.competent(subject), gates.usable(own, *others)]
    maps = {"trained": stacked(own), "other": stacked(others[0])}
    return bound.evidence("classes", samples, passed, sizes={"draws": draws}, settings={"draws": draws}, maps=maps)


def _own_answers(prepared):
    """Agreement of the network's own answers: dict of name to float64 [1, samples]; nothing where they cannot be had."""
    samples = {}
    for name in EFFECTS if prepared else ():
        whole, halves = prepared.whole(name), prepared.halves[name]
        samples[f"oracle between/{name}"] = agreement(whole[0], whole[1])[None]
        samples[f"oracle itself/{name}"] = agreement(halves[0][0], halves[1][0])[None]
    return samples


def _enough(subject):
    words = f"{subject.classes} outputs; needed: {FEWEST}"
    return Gate("more than two classes", "passed" if subject.classes >= FEWEST else "not applicable", words)


def _others(subject, seed, draws):
    """Other classes for each sample: list of lists of int, one a draw."""
    own = np.array(subject.objective.numbers(len(subject.names))[0][0])
    rng = np.random.default_rng(derive_seed(seed, "other classes"))
    steps = rng.integers(1, subject.classes, (draws, len(own)))
    return [[int(each) for each in row] for row in (own + steps) % subject.classes]
