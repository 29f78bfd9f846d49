"""Entropy: does a map become more complex when the weights are lost? (Efficient MPRT: Hedstrom et al. 2024, https://arxiv.org/abs/2401.06465.)"""

import numpy as np

from sanity import gates
from sanity.bound_explainer import BoundExplainer
from sanity.checks import checks
from sanity.checks.parameters import prepare
from sanity.ruling import About, Ruling, rules
from sanity.statistics import bootstrap_interval, holm, sign_test

BINS = 100


@checks.register(prepare=prepare)
def entropy(explainer, subject, /, *, seed, prepared=None, **options):
    """Relative rise of the map's histogram entropy from the trained to fully random networks.

    Only the two ends are compared. The finding is rose, fell or unchanged; for maps of few values a fall is no fault.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `increase` and `after` [networks, samples], and `before` [samples].
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    with subject.network.intact():
        prepared = prepared or prepare(subject, seed=seed)
        trained, random = bound.pooled_maps(), []
        for turn, run in enumerate(prepared.runs):
            with subject.network.weights(run[-1].state):
                random.append(bound.pooled_maps(state=("random network", turn)))
    before = np.array([histogram_entropy(pooled_map) for pooled_map in trained])
    after = np.array([[histogram_entropy(pooled_map) for pooled_map in pooled_maps] for pooled_maps in random])
    samples = {"increase": (after - before) / before, "before": before, "after": after}
    passed = [
        gates.competence(subject),
        gates.usable_maps(trained, *random),
        gates.frozen_target(subject, bound),
        gates.restored_weights(),
    ]
    return bound.evidence("entropy", samples, passed, sizes={"networks": len(random)})


def histogram_entropy(pooled_map):
    """Entropy in nats of the histogram of absolute values, 100 bins between their extremes: float; nan for None."""
    if pooled_map is None:
        return np.nan
    counts = np.histogram(pooled_map.unsigned, bins=BINS)[0]
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


@rules.register(
    name="entropy",
    about=About(
        "Complexity rises when weights are lost",
        "increase",
        {
            "ROSE": "entropy of the map rose",
            "FELL": "entropy of the map fell; for maps of few values that is no fault",
            "UNCHANGED": "entropy of the map did not clearly change",
        },
        similarity="(entropy of the random network's map - entropy of the trained one's) / the latter, 100 bins",
        counted={"images": "images", "networks": "random networks"},
    ),
)
def judge_entropy(family, margins, seed):
    """Rose, fell or unchanged, by a sign test over images, Holm over methods; never more than inconclusive.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    raw = [sign_test(image_means(evidence.samples["increase"])) for evidence in family]
    return [_judge_rise(evidence.samples["increase"], p, margins, seed) for evidence, p in zip(family, holm(raw))]


def image_means(values):
    """Mean over networks of values [networks, images]; images without any are left out: float64 [images]."""
    return np.nanmean(values[:, np.isfinite(values).any(axis=0)], axis=0)


def _judge_rise(rise, p, margins, seed):
    """Direction and test use the same image means: the direction is the sign that more of them have."""
    effect, means = bootstrap_interval(rise, seed=seed), image_means(rise)
    higher = np.sum(means > 0) > np.sum(means < 0)
    finding = "UNCHANGED" if p >= margins.alpha else "ROSE" if higher else "FELL"
    return Ruling("INCONCLUSIVE", finding, effect, p=float(p), why="sign test over images, Holm over methods")
