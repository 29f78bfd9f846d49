"""Faithfulness by perturbation: does the score fall faster when what a map calls important is taken away first?

Deletion and insertion (Petsiuk, Das, Saenko 2018, https://arxiv.org/abs/1806.07421), pixel flipping (Bach et al. 2015,
https://doi.org/10.1371/journal.pone.0130140), ROAD (Rong et al. 2022, https://arxiv.org/abs/2202.00449), IROF (Rieger,
Hansen 2020, https://arxiv.org/abs/2003.08747).

Such metrics disagree between images (Tomsett et al. 2020, https://arxiv.org/abs/1912.01451). So their reliability is
measured, and where it is low nothing is ranked. No verdict here passes or fails a map. The network's own answer, by
occlusion, goes through the same metrics, and a metric that it does not pass is not read.
"""

import functools
from dataclasses import dataclass

import numpy as np
from skimage.segmentation import slic

from lab.attribution import explainers
from lab.kinds import IMAGE, kind_of
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
from sanity.statistics import bootstrap_interval, krippendorff_alpha

SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)
# name: (the fill, whether the most relevant are inserted instead of removed, whether whole segments are).
METRICS = {
    "deletion_mean": ("mean", False, False),
    "deletion_blur": ("blur", False, False),
    "insertion_mean": ("mean", True, False),
    "insertion_blur": ("blur", True, False),
    "deletion_donor": ("donor", False, False),
    "insertion_donor": ("donor", True, False),
    "pixel_flipping": ("flip", False, False),
    "region_perturbation": ("uniform", False, True),
    "road": ("linear", False, False),
    "irof": ("mean", False, True),
}
USUAL = ("deletion_mean", "deletion_blur", "insertion_mean", "insertion_blur")
# Where positions have no neighbours, a blur means nothing: another sample's values take its place.
WITHOUT_NEIGHBOURS = ("deletion_mean", "deletion_donor", "insertion_mean", "insertion_donor")
SEGMENTS = 40


@dataclass(frozen=True)
class Prepared:
    """What orders other than a map's reach, for all methods to share.

    Args:
        null: dict of metric to float64 [draws, samples], of random orders.
        best: dict of metric to (name, float64 [samples]), of the best blind control.
        oracle: dict of metric to float64 [samples], of the network's own answer.
        segments: int [samples, ...], or None where no metric needs them.
        settings: dict, the options that these were measured with.
    """

    null: dict
    best: dict
    oracle: dict
    segments: np.ndarray | None
    settings: dict


def usual_metrics(subject):
    """The metrics of two fills that fit a subject's kind of inputs: tuple of names of METRICS."""
    return USUAL if kind_of(subject.inputs).has_neighbours else WITHOUT_NEIGHBOURS


def prepare(subject, *, seed, metrics=None, draws=20):
    """Measure what random orders, blind controls and the network's own answer reach. Options as of `faithfulness`.

    Args:
        subject: the `Subject`.
        seed: int.
        metrics: names of METRICS; None: `usual_metrics`.
        draws: int, random orders.

    Returns:
        `Prepared`.

    Raises:
        Refused: for an unknown metric.
    """
    metrics = usual_metrics(subject) if metrics is None else metrics
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


def refuse(*, metrics=None):
    """Raise Refused for an unknown metric."""
    for name in metrics or ():
        if name not in METRICS:
            raise Refused(f"Unknown metric. Received: {name!r}. {nearest(name, METRICS)}")


def _best_control(subject, blind, metric, segments, seed):
    areas = {best: area(subject, relevance, metric, segments, seed) for best, relevance in blind.items()}
    best = max(areas, key=lambda control: areas[control].mean())
    return best, areas[best]


def oracle_areas(subject, metrics, segments, seed):
    """What the network's own occlusion map reaches, made with another fill than the metric's.

    Args:
        subject: the `Subject`.
        metrics: names of METRICS.
        segments: int [samples, ...], or None where no metric needs them.
        seed: int, of ties and fills.

    Returns:
        dict of metric to float64 [samples].
    """
    mean, other = "mean", "blur" if kind_of(subject.inputs).has_neighbours else "flip"
    fills = {name: other if METRICS[name][0] == mean else mean for name in metrics}
    answers = {fill: occlusion(subject, fill=fill) for fill in sorted({*fills.values()})}
    return {name: area(subject, answers[fill], name, segments, seed) for name, fill in fills.items()}


@checks.register(prepare=prepare, refuse=refuse)
def faithfulness(explainer, subject, /, *, seed, metrics=None, draws=20, prepared=None, **options):
    """Does the score fall faster in the map's order than in random order, and than in that of the best blind control?

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        metrics: names of METRICS, of two fills at least, or nothing is read; None: `usual_metrics`.
        draws: int, random orders.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples by metric: `area/`; `z/` and `above/`, the area less that of random orders and of the
            best blind control, in deviations of random orders; `oracle z/` and `oracle above/`, the same of the
            network's own answer.

    Raises:
        Refused: for an unknown metric, or options other than those of `prepared`.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    metrics = usual_metrics(subject) if metrics is None else metrics
    prepared = prepared or prepare(subject, seed=seed, metrics=metrics, draws=draws)
    arguments = {"metrics": tuple(metrics), "draws": draws}
    if prepared.settings != arguments:
        raise Refused(
            f"prepared= needs the options that this check is run with. Received: {prepared.settings} for {arguments}."
        )
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
    pooled = pooled_maps(maps)
    samples["usable"] = np.array([pooled_map is not None for pooled_map in pooled])
    passed = [gates.competence(subject), gates.usable_maps(pooled)]
    best = {name: control for name, (control, _) in prepared.best.items()}
    settings = {"metrics": list(metrics), "draws": draws, "best_controls": best}
    return bound.evidence("faithfulness", samples, passed, sizes={"draws": draws}, settings=settings)


def advantages_over_controls(reached, prepared, name):
    """Areas less those of random orders, and less that of the best blind control, in deviations of random orders.

    Args:
        reached: float64 [samples], areas that a method or the network's own answer reaches.
        prepared: the `Prepared`.
        name: str, the name of the metric.

    Returns:
        float64 [samples] twice.
    """
    null, spread = prepared.null[name], deviation(prepared.null[name])
    return (reached - null.mean(axis=0)) / spread, (reached - prepared.best[name][1]) / spread


def deviation(null):
    """Deviation of random orders [draws, samples] by sample: float64 [samples]; nan where no order changes anything."""
    spread = null.std(axis=0)
    return np.where(spread > 0, spread, np.nan)


def area(subject, relevance, name, segments, seed):
    """Mean fall of the score over SHARES; for insertion, its mean rise.

    Args:
        subject: the `Subject`.
        relevance: float [samples, ...].
        name: str, a name of METRICS.
        segments: int [samples, ...], or None.
        seed: int, of ties and fills.

    Returns:
        float64 [samples].
    """
    fill, insert, grouped = METRICS[name]
    rng = np.random.default_rng(derive_seed(seed, "ties and fills"))
    order = orders(_segment_ranks(relevance, segments, rng) if grouped else relevance, rng)
    reached = [scores(subject, top_mask(order, share, relevance.shape) ^ insert, fill, rng) for share in SHARES]
    start = scores(subject, np.full(relevance.shape, insert), fill, rng)
    return (np.mean(reached, axis=0) - start) * (1 if insert else -1)


def _segment_ranks(relevance, segments, rng):
    """Every position with the rank of its segment's mean relevance, so that segments go whole.

    Ties are in random order.
    """
    ranked = np.empty_like(relevance)
    for row, labels, ranks_of_row in zip(relevance, segments, ranked):
        sizes = np.bincount(labels.ravel())
        means = np.bincount(labels.ravel(), row.ravel()) / np.maximum(sizes, 1)
        ranks = np.empty(len(means))
        ranks[np.lexsort((rng.random(len(means)), means))] = np.arange(len(means))
        ranks_of_row[...] = ranks[labels]
    return ranked


def _segments(inputs):
    if kind_of(inputs) is not IMAGE:
        raise Refused(f"Segments are for images. Received: inputs of shape {inputs.shape}. Choose other metrics.")
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
            "METRIC UNRELIABLE": "nothing is ranked: metrics of two fills are needed, which the network's own answer passes and on which images agree; {why}",
            "UNDECIDED": "measured, not judged: {why}",
            "ORACLE DOES NOT PASS": "these metrics cannot tell the network's own order from others; {why}",
        },
        similarity="z = (area - mean of random orders) / their deviation, by image",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the map is right or wrong. Filled inputs are new to the network, and another fill may rank otherwise. On your own network class_crossing, image_crossing and place decide.",
        counted={"images": "images", "draws": "random orders"},
        better="higher",
    ),
)
def judge_faithfulness(family, margins, seed):
    """What was measured, never more than inconclusive, by every reliable metric that the network's own answer passes.

    With one method images have no order to agree on. Its reliability is not measured, and its own intervals alone are
    read, against random order and the best blind control.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    names = [name.partition("/")[2] for name in family[0].samples if name.startswith("z/")]
    oracle = {name: _advantages(family[0].samples, "oracle ", name, seed) for name in names}
    passing = [name for name in names if _beats_both(oracle[name])]
    if not passing:
        return [_oracle_ruling(oracle) for _ in family]
    alphas = {name: _reliability(family, name) for name in names}
    readable = [name for name in passing if not alphas[name] < margins.reliable]
    return [_judge_order(evidence.samples, oracle, alphas, readable, margins, seed) for evidence in family]


def _advantages(samples, kind, name, seed):
    """-> z, and the advantage over the best control, each `Interval`.

    `kind` is "" for the method and "oracle " for the oracle.
    """
    return tuple(bootstrap_interval(samples[f"{kind}{number}/{name}"][None], seed=seed) for number in ("z", "above"))


def _beats_both(advantages):
    return all(interval.low > 0 for interval in advantages)


def _oracle_ruling(oracle):
    words = "; ".join(f"{name} {z}, above the best control {above}" for name, (z, above) in oracle.items())
    why = f"the network's own answer by occlusion, under another fill, as z: {words}"
    return Ruling("INVALID", "ORACLE DOES NOT PASS", why=why)


def _reliability(family, name):
    """Krippendorff's alpha with images as raters of the judged methods, without controls; nan for one method.

    A method without any number is left out, and so is an image on which a method has none.
    """
    controls = explainers.names(control=True)
    columns = [evidence.samples[f"z/{name}"] for evidence in family if evidence.method not in controls]
    columns = [values for values in columns if np.isfinite(values).any()]
    if len(columns) < 2:
        return float("nan")
    ratings = np.stack(columns, axis=1)
    return krippendorff_alpha(ratings[np.isfinite(ratings).all(axis=1)])


def _judge_order(samples, oracle, alphas, readable, margins, seed):
    advantages = {name: _advantages(samples, "", name, seed) for name in alphas}
    weakest = min(readable or alphas, key=lambda name: np.nan_to_num(advantages[name][0].mean, nan=-np.inf))
    also = tuple((name, _metric_words(advantages[name], oracle[name], alphas[name])) for name in alphas)
    numbers = {"effect": advantages[weakest][0], "ceiling": oracle[weakest][0], "also": also}
    if len({METRICS[name][0] for name in readable}) < 2:
        why = f"{_reliability_words(alphas)}; metrics that can be read: {', '.join(readable) or 'none'}"
        return Ruling("INCONCLUSIVE", "METRIC UNRELIABLE", **numbers, why=why)
    unrated = "" if any(np.isfinite(alphas[name]) for name in readable) else ONE_METHOD
    finding, why = _find_order(samples, advantages, readable, margins)
    return Ruling("INCONCLUSIVE", finding, **numbers, why=why + unrated)


def _reliability_words(alphas):
    """How well images agree by each metric, in words: str."""
    rated = [f"{name} {alpha:.2f}" for name, alpha in alphas.items() if np.isfinite(alpha)]
    return f"alpha by metric: {', '.join(rated)}" if rated else "agreement not measured: one method alone was judged"


def _metric_words(advantages, oracle, alpha):
    rated = f"alpha {alpha:.2f}" if np.isfinite(alpha) else "alpha not measured"
    z, above = advantages
    passed = "" if _beats_both(oracle) else ", does not pass"
    oracle_words = f"the network's own answer z {oracle[0]}, above the best control {oracle[1]}{passed}"
    return f"z {z}, above the best control {above}; {oracle_words}; {rated}"


def _find_order(samples, advantages, readable, margins):
    """Finding and why, by the metrics that are read."""
    if all(_beats_both(advantages[name]) for name in readable):
        count = min(int(np.isfinite(samples[f"z/{name}"]).sum()) for name in readable)
        if count >= margins.images:
            return "BEATS RANDOM ORDER", f"in {', '.join(readable)}"
        return "UNDECIDED", f"it moves on {count} images alone, and {margins.images} are needed"
    if all(advantages[name][0].high <= 0 for name in readable):
        return "NO BETTER THAN RANDOM ORDER", f"in {', '.join(readable)}"
    short = [name for name in readable if not _beats_both(advantages[name])]
    return "UNDECIDED", f"not above random order and the best control in {', '.join(short)}"


ONE_METHOD = "; reliability not measured: it takes two judged methods that differ"
