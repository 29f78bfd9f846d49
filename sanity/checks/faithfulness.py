"""Faithfulness by perturbation: does the score fall faster when what a map calls important is taken away first?

Deletion and insertion (Petsiuk, Das, Saenko 2018, https://arxiv.org/abs/1806.07421), pixel flipping (Bach et al. 2015,
https://doi.org/10.1371/journal.pone.0130140), ROAD (Rong et al. 2022, https://arxiv.org/abs/2202.00449), IROF (Rieger, Hansen
2020, https://arxiv.org/abs/2003.08747). Such metrics disagree between images (Tomsett et al. 2020,
https://arxiv.org/abs/1912.01451): their reliability is measured, and where it is low nothing is ranked.

It is a measurement: no verdict here passes or fails a map. The network's own answer, by occlusion, goes through the same metrics; a
metric that it does not pass is not read.
"""

import functools
from dataclasses import dataclass

import numpy as np
from skimage.segmentation import slic

from lab.attribution import explainers
from lab.refusal import Refused
from lab.registry import nearest
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.interventions import occlusion
from sanity.localisation import relevances
from sanity.removal import extent, first, orders, scores
from sanity.seeds import derive_seed

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
    that does best; oracle: metric to float64 [samples], of the network's own answer; segments: int [samples, ...] or None.
    """

    null: dict
    best: dict
    oracle: dict
    segments: np.ndarray | None
    settings: dict


def prepare(subject, *, seed, metrics=USUAL, draws=20):
    """What random orders, blind controls and the network's own answer reach, for all methods to share -> `Prepared`."""
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
        name: relevances(BoundExplainer(explainers.get(name), subject, seed, {}).maps(), shape)
        for name in explainers.names(control=True)
    }
    return Prepared(
        {name: np.stack(rows) for name, rows in null.items()},
        {name: _best(subject, blind, name, segments, seed) for name in metrics},
        own_answer(subject, metrics, segments, seed),
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


def own_answer(subject, metrics, segments, seed):
    """What the network's own occlusion map reaches, found by another fill than the metric's: dict of metric to float64 [samples]."""
    fills = {name: "blur" if METRICS[name][0] == "mean" else "mean" for name in metrics}
    answers = {fill: occlusion(subject, fill=fill) for fill in sorted({*fills.values()})}
    return {name: area(subject, answers[fill], name, segments, seed) for name, fill in fills.items()}


@checks.register(prepare=prepare, refuse=refuse)
def faithfulness(explainer, subject, *, seed, metrics=USUAL, draws=20, prepared=None, **options):
    """Does the score fall faster in the map's order than in random order, and than in that of the best blind control? -> `Evidence`.

    metrics: names of METRICS, of two fills at least, or nothing is read. draws: random orders. options: the explainer's own.
    -> samples, by metric: `area/`; `z/` and `above/`, the area less that of random orders and of the best blind control, in deviations
    of random orders; `oracle z/` and `oracle above/`, the same of the network's own answer.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    prepared = prepared or prepare(subject, seed=seed, metrics=metrics, draws=draws)
    asked = {"metrics": tuple(metrics), "draws": draws}
    if prepared.settings != asked:
        raise Refused(f"prepared= was made with the options of this check. Received: {prepared.settings} for {asked}.")
    maps = bound.maps()
    relevance = relevances(maps, (len(subject.names), *extent(subject.inputs)))
    samples = {}
    for name in metrics:
        reached = area(subject, relevance, name, prepared.segments, seed)
        samples[f"area/{name}"] = reached
        samples[f"z/{name}"], samples[f"above/{name}"] = beside(reached, prepared, name)
        samples[f"oracle z/{name}"], samples[f"oracle above/{name}"] = beside(prepared.oracle[name], prepared, name)
    seen = pooled_maps(maps)
    samples["usable"] = np.array([pooled_map is not None for pooled_map in seen])
    passed = [gates.competent(subject), gates.usable(seen)]
    best = {name: control for name, (control, _) in prepared.best.items()}
    settings = {"metrics": list(metrics), "draws": draws, "best_controls": best}
    return bound.evidence("faithfulness", samples, passed, sizes={"draws": draws}, settings=settings)


def beside(reached, prepared, name):
    """Areas less those of random orders, and of the best blind control, in deviations of random orders: float64 [samples] twice."""
    null, spread = prepared.null[name], deviation(prepared.null[name])
    return (reached - null.mean(axis=0)) / spread, (reached - prepared.best[name][1]) / spread


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
