"""Sensitivity: is a map much the same under a little noise, and under another seed? (Yeh et al. 2019, https://arxiv.org/abs/1901.09392.)"""

import numpy as np

from sanity import gates
from sanity.bound_explainer import BoundExplainer, stack_signed
from sanity.checks import checks
from sanity.comparison import prefix_keys, similarities
from sanity.ruling import MEASURE, About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import bootstrap_interval


@checks.register
def sensitivity(explainer, subject, /, *, seed, noise=0.01, repeats=3, **options):
    """Is the map stable to small noise and to the method's own seed?

    Under noise the seed is kept, so that the two do not mix.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        noise: float, standard deviation as a share of each input's range.
        repeats: int, noisy copies, and seeds.
        options: options of the method.

    Returns:
        `Evidence` with samples `noise/MEASURE` and `seed/MEASURE` [repeats, samples].
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    trained = bound.pooled_maps()
    with_noise = [
        bound.pooled_maps(bound.noisy_inputs(derive_seed(seed, "small noise", turn), noise)) for turn in range(repeats)
    ]
    redrawn = [bound.pooled_maps(state=("redrawn", turn)) for turn in range(repeats)] if bound.takes_seed else []
    samples = _stack_rows("noise", [similarities(trained, pooled_maps) for pooled_maps in with_noise])
    samples |= _stack_rows("seed", [similarities(trained, pooled_maps) for pooled_maps in redrawn])
    passed = [
        gates.enough_positions(subject, trained),
        gates.competence(subject),
        gates.usable_maps(trained, *with_noise, *redrawn),
    ]
    settings = {"noise": noise, "repeats": repeats}
    maps = {"trained": stack_signed(trained), "under noise": stack_signed(with_noise[0])}
    return bound.evidence("sensitivity", samples, passed, sizes={"repeats": repeats}, settings=settings, maps=maps)


def _stack_rows(prefix, rows):
    return prefix_keys(prefix, {name: np.stack([row[name] for row in rows]) for name in rows[0]}) if rows else {}


@rules.register(
    name="sensitivity",
    about=About(
        "Stable to noise and seeds",
        "similarity",
        {
            "STABLE": "maps stay under a little noise and another seed",
            "UNSTABLE": "{why}",
            "UNDECIDED": "{why}",
        },
        counted={"images": "images", "repeats": "repeats"},
        better="higher",
    ),
)
def judge_sensitivity(family, margins, seed):
    """The lower of the agreements under noise and under another seed decides.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_judge_stability(evidence.samples, margins, seed) for evidence in family]


def _judge_stability(samples, margins, seed):
    agreements = {
        name: bootstrap_interval(samples[f"{name}/{MEASURE}"], seed=seed)
        for name in ("noise", "seed")
        if f"{name}/{MEASURE}" in samples
    }
    least = min(agreements, key=lambda name: np.nan_to_num(agreements[name].mean, nan=-2))
    numbers = {
        "effect": agreements[least],
        "also": tuple((name, str(agreement)) for name, agreement in agreements.items()),
    }
    if np.isnan(agreements[least].mean):
        return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why="similarity is undefined: too few values")
    if agreements[least].low >= margins.stable:
        return Ruling("PASS", "STABLE", **numbers, why=f"at or above {margins.stable} under {' and '.join(agreements)}")
    if agreements[least].high < margins.unstable:
        return Ruling("FAIL", "UNSTABLE", **numbers, why=f"maps agree below {margins.unstable} under {least}")
    return Ruling(
        "INCONCLUSIVE", "UNDECIDED", **numbers, why=f"between {margins.unstable} and {margins.stable} under {least}"
    )
