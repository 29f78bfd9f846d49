"""Faithfulness by perturbation: does the score fall faster when what a map calls important is taken away first?

Deletion and insertion (Petsiuk, Das, Saenko 2018, https://arxiv.org/abs/1806.07421), pixel flipping (Bach et al. 2015,
https://doi.org/10.1371/journal.pone.0130140), ROAD (Rong et al. 2022, https://arxiv.org/abs/2202.00449), IROF (Rieger, Hansen
2020, https://arxiv.org/abs/2003.08747). Such metrics disagree between images (Tomsett et al. 2020,
https://arxiv.org/abs/1912.01451): their reliability is measured, and where it is low nothing is ranked.
"""

import functools
from dataclasses import dataclass

import numpy as np
from skimage.segmentation import slic

from lab.attribution import explainers
from lab.refusal import Refused
from lab.registry import nearest
from sanity import gates
from sanity.checks import checks
from sanity.localisation import relevances
from sanity.removal import extent, first, orders, scores
from sanity.seeds import derive_seed
from sanity.viewer import Viewer, planes

SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)
# name: (what fills the holes, whether the map's best are put in instead of taken away, whether whole segments go).
METRICS = {
    "deletion_mean": ("mean", False, False),
    "deletion_blur": ("blur", False, False),
    "insertion_mean": ("mean", True, False),
    "insertion_blur": ("blur", True, False),
    "pixel_flipping": ("flip", False, False),
    "region_perturbation": ("uniform", False, True),
    "road": ("linear", False, False),
    "irof": ("mean", False, True),
}
USUAL = ("deletion_mean", "deletion_blur", "insertion_mean", "insertion_blur")
SEGMENTS = 40


@dataclass(frozen=True)
class Prepared:
    """null: metric to float64 [draws, samples], of random orders; best: metric to (name, float64 [samples]) of the blind control
    that does best; segments: int [samples, ...] or None.
    """

    null: dict
    best: dict
    segments: np.ndarray | None
    settings: dict


def prepare(subject, *, seed, metrics=USUAL, draws=20):
    """What random orders and blind controls reach, for all methods to share -> `Prepared`."""
    refuse(metrics=metrics)
    shape = (len(subject.names), *extent(subject.inputs))
    segments = _segments(subject.inputs) if any(METRICS[name][2] for name in metrics) else None
    rng = np.random.default_rng(derive_seed(seed, "random orders"))
    null = {name: [] for name in metrics}
    for _ in range(draws):
        relevance = rng.random(shape)
        for name in metrics:
            null[name].append(area(subject, relevance, name, segments, seed))
    blind = {
        name: relevances(Viewer(explainers.get(name), subject, seed, {}).maps(), shape)
        for name in explainers.names(control=True)
    }
    return Prepared(
        {name: np.stack(rows) for name, rows in null.items()},
        {name: _best(subject, blind, name, segments, seed) for name in metrics},
        segments,
        {"metrics": tuple(metrics), "draws": draws},
    )


def refuse(*, metrics=USUAL):
    """Raise Refused for metrics that there are not."""
    for name in metrics:
        if name not in METRICS:
            raise Refused(f"Unknown metric. Received: {name!r}. {nearest(name, METRICS)}")


def _best(subject, blind, metric, segments, seed):
    reached = {name: area(subject, relevance, metric, segments, seed) for name, relevance in blind.items()}
    name = max(reached, key=lambda each: reached[each].mean())
    return name, reached[name]


@checks.register(prepare=prepare, refuse=refuse)
def faithfulness(explainer, subject, *, seed, metrics=USUAL, draws=20, prepared=None, **options):
    """Does the score fall faster in the map's order than in random order, and than in that of the best blind control? -> `Evidence`.

    metrics: names of METRICS, two baselines at least if a verdict is wanted. draws: random orders. options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    prepared = prepared or prepare(subject, seed=seed, metrics=metrics, draws=draws)
    asked = {"metrics": tuple(metrics), "draws": draws}
    if prepared.settings != asked:
        raise Refused(f"prepared= was made with the options of this check. Received: {prepared.settings} for {asked}.")
    maps = viewer.maps()
    relevance = relevances(maps, (len(subject.names), *extent(subject.inputs)))
    samples = {}
    for name in metrics:
        reached, null = area(subject, relevance, name, prepared.segments, seed), prepared.null[name]
        spread = deviation(null)
        samples[f"area/{name}"] = reached
        samples[f"z/{name}"] = (reached - null.mean(axis=0)) / spread
        samples[f"above/{name}"] = (reached - prepared.best[name][1]) / spread
    seen = planes(maps)
    samples["usable"] = np.array([plane is not None for plane in seen])
    passed = [gates.competent(subject), gates.usable(seen)]
    best = {name: control for name, (control, _) in prepared.best.items()}
    settings = {"metrics": list(metrics), "draws": draws, "best_controls": best}
    return viewer.evidence("faithfulness", samples, passed, sizes={"draws": draws}, settings=settings)


def deviation(null):
    """Deviation of random orders [draws, samples] by sample; nan where no order changes anything: float64 [samples]."""
    spread = null.std(axis=0)
    return np.where(spread > 0, spread, np.nan)


def area(subject, relevance, name, segments, seed):
    """Mean fall of the score over SHARES (for insertion: mean rise), by sample: float64 [samples]."""
    fill, insert, grouped = METRICS[name]
    rng = np.random.default_rng(derive_seed(seed, "ties and fills"))
    order = orders(_by_segment(relevance, segments, rng) if grouped else relevance, rng)
    reached = [scores(subject, first(order, share, relevance.shape) ^ insert, fill, rng) for share in SHARES]
    start = scores(subject, np.full(relevance.shape, insert), fill, rng)
    return (np.mean(reached, axis=0) - start) * (1 if insert else -1)


def _by_segment(relevance, segments, rng):
    """Every position with the rank of its segment's mean relevance, so that segments go whole; tied ones in random order."""
    found = np.empty_like(relevance)
    for row, labels, out in zip(relevance, segments, found):
        sizes = np.bincount(labels.ravel())
        means = np.bincount(labels.ravel(), row.ravel()) / np.maximum(sizes, 1)
        ranks = np.empty(len(means))
        ranks[np.lexsort((rng.random(len(means)), means))] = np.arange(len(means))
        out[...] = ranks[labels]
    return found


def _segments(inputs):
    if inputs.ndim != 4:
        raise Refused(f"Segments are for images. Received: inputs of shape {inputs.shape}; choose other metrics.")
    cut = functools.partial(slic, n_segments=SEGMENTS, compactness=0.1, start_label=0, channel_axis=-1)
    return np.stack([cut((image - image.min()) / max(np.ptp(image), 1e-12)) for image in inputs])
