"""Classes: does a map change when it is asked about another class? (Random Logit: Sixt, Granz, Landgraf 2020, https://arxiv.org/abs/1912.09818.)"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.comparison import named, similar
from sanity.evidence import Gate
from sanity.seeds import derive_seed
from sanity.viewer import Viewer, stacked

FEWEST = 3


@checks.register
def classes(explainer, subject, *, seed, draws=3, **options):
    """Do maps for another class, drawn uniformly, differ from those for the class at hand? -> `Evidence`.

    draws: other classes for each sample. Signed maps decide. Two classes are refused: there one class's gradient is the
    other's with the sign turned, and absolute maps agree for any right method. options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    enough = _enough(subject)
    if enough.status != "passed":
        return viewer.evidence("classes", {}, [enough])
    own = viewer.planes()
    drawn = _others(subject, seed, draws)
    others = [
        viewer.planes(objective=subject.objective.about(each), state=("other class", turn))
        for turn, each in enumerate(drawn)
    ]
    itself = similar(own, viewer.planes(viewer.nudged(derive_seed(seed, "rounding noise")), state="itself"))
    between = [similar(own, planes) for planes in others]
    samples = named("between", {name: np.stack([row[name] for row in between]) for name in itself})
    samples |= named("itself", {name: row[None] for name, row in itself.items()})
    passed = [enough, gates.competent(subject), gates.usable(own, *others)]
    maps = {"trained": stacked(own), "other": stacked(others[0])}
    return viewer.evidence("classes", samples, passed, sizes={"draws": draws}, settings={"draws": draws}, maps=maps)


def _enough(subject):
    words = f"{subject.classes} outputs; needed: {FEWEST}"
    return Gate("more than two classes", "passed" if subject.classes >= FEWEST else "not applicable", words)


def _others(subject, seed, draws):
    """Other classes for each sample: list of lists of int, one a draw."""
    own = np.array(subject.objective.numbers(len(subject.names))[0][0])
    rng = np.random.default_rng(derive_seed(seed, "other classes"))
    steps = rng.integers(1, subject.classes, (draws, len(own)))
    return [[int(each) for each in row] for row in (own + steps) % subject.classes]
