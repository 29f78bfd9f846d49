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
from sanity.removal import extent, orders, scores, top_mask
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import krippendorff, two_way

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
        {name: _best_control(subject, blind, name, segments, seed) for name in metrics},
        oracle_areas(subject, metrics, segments, seed),
        segments,
        {"metrics": tuple(metrics), "draws": draws},
    )


def refuse(*, metrics=USUAL):
    """Raise Refused for metrics that there are not."""
    for name in metrics:
        if name not in METRICS:
            raise Refused(f"Unknown metric. Received: {name!r}. {nearest(name, METRICS)}")


def _best_control(subject, blind, metric, segments, seed):
    reached = {name: area(subject, relevance, metric, segments, seed) for name, relevance in blind.items()}
    name = max(reached, key=lambda each: reached[each].mean())
    return name, reached[name]


def oracle_areas(subject, metrics, segments, seed):
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
        samples[f"z/{name}"], samples[f"above/{name}"] = advantages_over_controls(reached, prepared, name)
        samples[f"oracle z/{name}"], samples[f"oracle above/{name}"] = advantages_over_controls(
            prepared.oracle[name], prepared, name
        )
    seen = pooled_maps(maps)
    samples["usable"] = np.array([pooled_map is not None for pooled_map in seen])
    passed = [gates.competence(subject), gates.usable_maps(seen)]
    best = {name: control for name, (control, _) in prepared.best.items()}
    settings = {"metrics": list(metrics), "draws": draws, "best_controls": best}
    return bound.evidence("faithfulness", samples, passed, sizes={"draws": draws}, settings=settings)


def advantages_over_controls(reached, prepared, name):
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
    reached = [scores(subject, top_mask(order, share, relevance.shape) ^ insert, fill, rng) for share in SHARES]
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


@rules.register(
    name="faithfulness",
    about=About(
        "Perturbation beats random order",
        "weakest z",
        {
            "BEATS RANDOM ORDER": "measured, not judged: the score moves faster in the map's order than in random order and in that of the best blind control, {why}",
            "NO BETTER THAN RANDOM ORDER": "measured, not judged: the score moves no faster in the map's order than in random order, {why}",
            "METRIC UNRELIABLE": "nothing is ranked, since metrics of two fills are needed that the network's own answer passes and whose images agree; {why}",
            "UNDECIDED": "measured, not judged: {why}",
            "ORACLE DOES NOT PASS": "these metrics cannot tell the network's own order from others; {why}",
        },
        similarity="z = (area - mean of random orders) / their deviation, by image",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the map is right or wrong. Filled inputs are new to the network, and another fill may rank otherwise. On your own network class_crossing, image_crossing and place decide.",
        counted={"images": "images", "draws": "random orders"},
    ),
)
def judge_faithfulness(family, margins, seed):
    """What was measured, never more than inconclusive: by every metric that the network's own answer passes and that is reliable.

    Of one method there is no order for images to agree on: its reliability is not measured, and it is read by its own intervals
    alone, against random order and the best blind control.
    """
    names = [name.partition("/")[2] for name in family[0].samples if name.startswith("z/")]
    oracle = {name: _advantages(family[0].samples, "oracle ", name, seed) for name in names}
    passing = [name for name in names if _beats_both(oracle[name])]
    if not passing:
        return [_oracle_fails(oracle) for _ in family]
    alphas = {name: _reliability(family, name) for name in names}
    read = [name for name in passing if not alphas[name] < margins.reliable]
    return [_judge_order(evidence.samples, oracle, alphas, read, margins, seed) for evidence in family]


def _advantages(samples, kind, name, seed):
    """-> z and what is above the best control, each `Interval`. kind: "" of the method, "oracle " of the network's own answer."""
    return tuple(two_way(samples[f"{kind}{number}/{name}"][None], seed=seed) for number in ("z", "above"))


def _beats_both(moved):
    return all(interval.low > 0 for interval in moved)


def _oracle_fails(oracle):
    words = "; ".join(f"{name} z {z}, above the best control {above}" for name, (z, above) in oracle.items())
    why = f"the network's own answer by occlusion, under another fill: {words}"
    return Ruling("INVALID", "ORACLE DOES NOT PASS", why=why)


def _reliability(family, name):
    """Krippendorff's alpha with images as raters of the judged methods, controls left out; nan for fewer than two methods.

    A method without any number is none, and an image on which a method has none rates nothing.
    """
    controls = explainers.names(control=True)
    columns = [evidence.samples[f"z/{name}"] for evidence in family if evidence.method not in controls]
    columns = [values for values in columns if np.isfinite(values).any()]
    if len(columns) < 2:
        return float("nan")
    ratings = np.stack(columns, axis=1)
    return krippendorff(ratings[np.isfinite(ratings).all(axis=1)])


def _judge_order(samples, oracle, alphas, read, margins, seed):
    moved = {name: _advantages(samples, "", name, seed) for name in alphas}
    weakest = min(read or alphas, key=lambda name: np.nan_to_num(moved[name][0].mean, nan=-np.inf))
    also = tuple((name, _by_metric(moved[name], oracle[name], alphas[name])) for name in alphas)
    numbers = {"effect": moved[weakest][0], "ceiling": oracle[weakest][0], "also": also}
    if len({METRICS[name][0] for name in read}) < 2:
        why = f"{_reliability_words(alphas)}; metrics that can be read: {', '.join(read) or 'none'}"
        return Ruling("INCONCLUSIVE", "METRIC UNRELIABLE", **numbers, why=why)
    unrated = "" if any(np.isfinite(alphas[name]) for name in read) else ONE_METHOD
    finding, why = _find(samples, moved, read, margins)
    return Ruling("INCONCLUSIVE", finding, **numbers, why=why + unrated)


def _reliability_words(alphas):
    """How well images agree by each metric, in words: str."""
    rated = [f"{name} {alpha:.2f}" for name, alpha in alphas.items() if np.isfinite(alpha)]
    return f"alpha by metric: {', '.join(rated)}" if rated else "agreement not measured: one method alone was judged"


def _by_metric(moved, oracle, alpha):
    rated = f"alpha {alpha:.2f}" if np.isfinite(alpha) else "alpha not measured"
    z, above = moved
    passed = "" if _beats_both(oracle) else ", does not pass"
    own = f"the network's own answer z {oracle[0]}, above the best control {oracle[1]}{passed}"
    return f"z {z}, above the best control {above}; {own}; {rated}"


def _find(samples, moved, read, margins):
    """Finding and why, by the metrics that are read."""
    if all(_beats_both(moved[name]) for name in read):
        count = min(int(np.isfinite(samples[f"z/{name}"]).sum()) for name in read)
        if count >= margins.images:
            return "BEATS RANDOM ORDER", f"in {', '.join(read)}"
        return "UNDECIDED", f"it moves on {count} images alone, and {margins.images} are needed"
    if all(moved[name][0].high <= 0 for name in read):
        return "NO BETTER THAN RANDOM ORDER", f"in {', '.join(read)}"
    short = [name for name in read if not _beats_both(moved[name])]
    return "UNDECIDED", f"not above random order and the best control in {', '.join(short)}"


ONE_METHOD = "; reliability not measured: it takes two judged methods that differ"
