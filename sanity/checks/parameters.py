"""Parameters: does a map change when the network loses what it learned?

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, https://arxiv.org/abs/1810.03292. The weights are replaced stage
by stage or all at once. Three numbers are needed to read the result: `between`, trained against random; `ceiling`, the
best that can be reached; `random`, random networks among themselves.

With replicates (networks trained alike from other seeds) the ceiling is their agreement, and an exact permutation
decides; the verdict is about networks trained like this. Where these were trained from a layer on, untrained networks have
the same layers before it, and the verdict is about training from there on. With one network the ceiling is the agreement with itself under
half a grey level of noise and another seed, and the verdict is about this network: the bounds that decide are those of a
bootstrap over untrained networks and images.
"""

import math
from dataclasses import dataclass

import numpy as np

from lab.refusal import Refused
from sanity import gates
from sanity.bound_explainer import BoundExplainer, stack_signed
from sanity.checks import checks
from sanity.comparison import prefix_keys, similarities, similarities_between, similarities_within
from sanity.evidence import Gate
from sanity.network_groups import FOUR_NETWORKS, adjusted_p, intervals, no_signal, smallest_p
from sanity.network_run import NetworkRun
from sanity.randomization import ORDERS, UNITS, WAYS, initializations, randomize, stages
from sanity.ruling import MEASURE, SIGNED, THIS_NETWORK, TRAINED_ALIKE, About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.similarity import tie_fraction, tie_null
from sanity.statistics import bootstrap_interval, finite_mean

REPEATS = 2
# Options that decide how random networks are drawn.
DRAWING = ("mode", "seeds", "unit", "initialization", "statistics")
# Untrained networks that a PASS about one trained network needs, and that are drawn for one by default.
UNTRAINED = 6


@dataclass(frozen=True)
class Prepared:
    """The random networks of a check, for all methods to share.

    Args:
        runs: list over networks of lists of `sanity.randomization.Stage`.
        settings: dict, the options that they were drawn with.
    """

    runs: list
    settings: dict


def prepare(
    subject,
    *,
    seed,
    mode="full",
    seeds=None,
    unit="block",
    initialization="own",
    statistics="estimate",
    networks=None,
):
    """Draw the random networks of this check for a subject. Options as of `parameters`.

    Args:
        subject: the `Subject`.
        seed: int, from which the seed of each random network is derived.
        mode: as of `parameters`.
        seeds: int of 2 or more, random networks; None: see `count_untrained`.
        unit: stages by "block", "layer" or "head" of attention.
        initialization: a name of `sanity.randomization.initializations`.
        statistics: "estimate" or "reset", as of `parameters`.
        networks: (start, stop) of the random networks to draw; None: all of them.

    Returns:
        `Prepared`.

    Raises:
        Refused: for options that the check does not know.
    """
    refuse(mode=mode, seeds=seeds, unit=unit, initialization=initialization, statistics=statistics)
    seeds = int(seeds or count_untrained(len(subject.replicates)))
    network_seeds = [derive_seed(seed, "random network", turn) for turn in range(*(networks or (0, seeds)))]
    # Where replicates have some layers in common, untrained networks have them too.
    steps = stages(subject.network, mode, unit, subject.part and subject.part.layers)
    runs = randomize(subject, steps, network_seeds, way=initialization, statistics=statistics)
    settings = {"seed": seed, "mode": mode, "seeds": seeds, "unit": unit}
    return Prepared(runs, {**settings, "initialization": initialization, "statistics": statistics})


def count_untrained(replicates):
    """How many untrained networks are drawn by default: as many as replicates and 3 at the least; for one network 6."""
    return max(3, replicates) if replicates > 1 else UNTRAINED


def refuse(*, mode="full", seeds=None, unit="block", initialization="own", statistics="estimate"):
    """Raise Refused for options that this check does not know.

    Args:
        mode: str, a key of ORDERS.
        seeds: a whole number of 2 or more, or None.
        unit: "block", "layer" or "head".
        initialization: a name of `sanity.randomization.initializations`.
        statistics: "estimate" or "reset".

    Raises:
        Refused: for the first option that the check does not know.
    """
    initializations.get(initialization)
    for name, value, allowed in (
        ("mode", mode, ORDERS),
        ("statistics", statistics, ("estimate", "reset")),
        ("unit", unit, UNITS),
    ):
        if value not in allowed:
            raise Refused(f"{name} is one of {', '.join(allowed)}. Received: {value!r}.")
    if seeds is not None and (int(seeds) != seeds or seeds < 2):
        raise Refused(
            f"seeds is a whole number of 2 or more: random networks are compared with each other. Received: {seeds!r}."
        )


def measure_runs(explainer, subject, /, *, seed, networks, smooth=0, smooth_noise=0.1, prepared=None, **options):
    """Maps of some of the random networks of this check, apart from those of the others.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        networks: (start, stop) of the random networks.
        smooth: as of `parameters`.
        smooth_noise: as of `parameters`.
        prepared: what `prepare` gives for these networks; None: drawn here.
        options: of `prepare`, and of the method.

    Returns:
        list of `sanity.network_run.NetworkRun`.

    Raises:
        Refused: for options that the check does not know.
        RuntimeError: for a method that explains another target than the subject's.
    """
    drawing = {name: options.pop(name) for name in DRAWING if name in options}
    bound = BoundExplainer(explainer, subject, seed, options)
    explain = _smoothing(bound, smooth, smooth_noise)
    with subject.network.intact():
        prepared = prepared or prepare(subject, seed=seed, networks=networks, **drawing)
        runs = _measure_runs(explain, subject, explain("own"), prepared.runs, networks[0])
    frozen = gates.frozen_target(subject, bound)
    if frozen.status == "failed":
        raise RuntimeError(f"The target of a method must stay: {frozen.words}.")
    return runs


@checks.register(
    prepare=prepare, refuse=refuse, measure_runs=measure_runs, count_runs=count_untrained, compares_networks=True
)
def parameters(
    explainer,
    subject,
    /,
    *,
    seed,
    mode="full",
    seeds=None,
    unit="block",
    initialization="own",
    statistics="estimate",
    smooth=0,
    smooth_noise=0.1,
    prepared=None,
    runs=None,
    **options,
):
    """Do the maps respond when the weights are replaced by untrained ones?

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        mode: "full", all weights at once; "top_down", cumulative from the output; "bottom_up", from the input;
            "independent", one stage at a time, then all.
        seeds: int, random networks; None: as many as replicates, 3 at the least; 6 for one network.
        unit: stages by "block", "layer" or "head" of attention.
        initialization: "own", "normal" or "permutation".
        statistics: "estimate" BatchNormalization statistics again, or "reset" them.
        smooth: int, noisy inputs that each map is averaged over, 0 for none (Smooth MPRT: Hedstrom et al. 2024,
            https://arxiv.org/abs/2401.06465).
        smooth_noise: float, their noise as a share of each input's range.
        prepared: what `prepare` gives for the same options, to share among methods; None: drawn here.
        runs: list of `sanity.network_run.NetworkRun`, those of all random networks where `measure_runs` has measured
            them for the same options; None: measured here.
        options: options of the method.

    Returns:
        `Evidence`.

    Raises:
        Refused: for options that the check does not know, or others than those of `prepared`.
    """
    settings = {
        "seed": seed,
        "mode": mode,
        "seeds": int(seeds or count_untrained(len(subject.replicates))),
        "unit": unit,
    }
    settings |= {"initialization": initialization, "statistics": statistics}
    if prepared is not None and prepared.settings != settings:
        raise Refused(
            f"prepared= needs the options that this check is run with. Received: {prepared.settings} for {settings}."
        )
    bound = BoundExplainer(explainer, subject, seed, options)
    explain = _smoothing(bound, smooth, smooth_noise)
    with subject.network.intact():
        trained = _trained_maps(subject, explain)
        if runs is None:
            prepared = prepared or prepare(subject, **settings)
            runs = _measure_runs(explain, subject, trained[0], prepared.runs)
        ceiling = _ceiling_samples(bound, explain, trained)
    return bound.evidence(
        "parameters",
        ceiling | _samples(trained, runs),
        _gates(bound, trained, runs),
        sizes={"networks": len(runs), "replicates": len(trained), "repeats": REPEATS},
        settings={**settings, "smooth": smooth, **({"smooth_noise": smooth_noise} if smooth else {})},
        stages=_stage_rows(runs),
        maps=_display_maps(trained, runs),
    )


def _smoothing(bound, smooth, smooth_noise):
    """(state, inputs=None) -> pooled maps, averaged over noisy inputs where `smooth` is not 0."""

    def explain(state, inputs=None):
        if smooth:
            return bound.smoothed_maps(smooth, smooth_noise, inputs, state=state)
        return bound.pooled_maps(inputs, state=state)

    return explain


def _gates(bound, trained, runs):
    return (
        gates.enough_positions(bound.subject, *trained),
        gates.competence(bound.subject),
        gates.alike(bound.subject),
        _effect_gate(runs),
        gates.usable_maps(*trained, *(run.maps for run in runs)),
        gates.frozen_target(bound.subject, bound),
        gates.restored_weights(),
    )


def _display_maps(trained, runs):
    return {
        "trained": stack_signed(trained[0]),
        "random": np.stack([stack_signed(run.maps) for run in runs]),
        "stages": stack_signed(runs[0].first_sample),
    }


def _trained_maps(subject, explain):
    """Pooled maps on the trained network and on each of its replicates: list by network."""
    trained = [explain("own")]
    for turn, state in enumerate(subject.replicates[1:]):
        with subject.network.weights(state):
            trained.append(explain(("replicate", 1 + turn)))
    return trained


def _ceiling_samples(bound, explain, trained):
    """Similarity of maps that ought to agree: of replicates, and of one network with itself under noise.

    The noisy inputs are explained with another seed.
    """
    seeds = [derive_seed(bound.seed, "rounding noise", turn) for turn in range(REPEATS)]
    itself = [
        similarities(trained[0], explain(("itself", turn), bound.noisy_inputs(noise_seed)))
        for turn, noise_seed in enumerate(seeds)
    ]
    samples = prefix_keys("itself", {name: np.stack([row[name] for row in itself]) for name in itself[0]})
    if len(trained) == 1:
        others = similarities(trained[0], [*trained[0][1:], trained[0][0]])
        samples |= prefix_keys("images", {name: values[None] for name, values in others.items()})
    return samples | (prefix_keys("ceiling", similarities_within(trained)) if len(trained) > 1 else {})


def _measure_runs(explain, subject, trained, prepared_runs, start=0):
    """Random networks one after another, of which the first has the number `start`: list of `NetworkRun`."""
    return [
        _run_stages(explain, subject, trained, stages_of_run, ("random network", turn))
        for turn, stages_of_run in enumerate(prepared_runs, start)
    ]


def _run_stages(explain, subject, trained, stages_of_run, state):
    """The maps of one random network along its stages: `NetworkRun`."""
    rows, path = [], []
    for stage in stages_of_run:
        with subject.network.weights(stage.state):
            pooled_maps = explain(state)
        rows.append(similarities(trained, pooled_maps))
        path.append(pooled_maps[0] and pooled_maps[0].alone())
    return NetworkRun([(stage.name, stage.done) for stage in stages_of_run], rows, pooled_maps, path)


def _samples(trained, runs):
    """Similarities of random networks among themselves, to trained ones and along the stages: dict of name to array."""
    random = [run.maps for run in runs]
    cascades = [run.similarities for run in runs]
    samples = {
        **prefix_keys("random", similarities_within(random)),
        **prefix_keys("between", similarities_between(trained, random, [[run.similarities[-1] for run in runs]])),
    }
    for name in cascades[0][0]:
        samples[f"cascade/{name}"] = np.array([[stage[name] for stage in cascade] for cascade in cascades])
    samples["ties"] = np.array(
        [np.nan if pooled_map is None else tie_fraction(pooled_map.unsigned) for pooled_map in trained[0]]
    )
    pairs = [zip(trained[0], pooled_maps) for pooled_maps in random]
    samples["tie_null"] = np.array(
        [[np.nan if None in pair else tie_null(pair[0].unsigned, pair[1].unsigned) for pair in row] for row in pairs]
    )
    return samples


def _stage_rows(runs):
    """A summary of each stage over all random networks. Changes are of the variables that are new at that stage."""
    rows, earlier = [], set()
    for steps in zip(*(run.stages for run in runs)):
        row = {"stage": steps[0][0], **_mean_stage([done for _, done in steps])}
        row["changes"] = {name: value for name, value in row["changes"].items() if name not in earlier}
        earlier |= set(row["changes"])
        rows.append(row)
    return tuple(rows)


def _mean_stage(summaries):
    """The summary of one stage over all random networks: numbers averaged, names joined."""
    numbers = {
        key: float(np.mean([summary[key] for summary in summaries]))
        for key in ("median_change", "same_top", "kl", "accuracy")
        if key in summaries[0]
    }
    return {
        **summaries[0],
        **numbers,
        "unchanged": sorted({name for summary in summaries for name in summary["unchanged"]}),
    }


def _effect_gate(runs):
    name = "randomization took effect"
    stuck = sorted({variable for run in runs for _, done in run.stages for variable in done["unchanged"]})
    if stuck:
        return Gate(name, "failed", f"unchanged: {', '.join(stuck[:4])}")
    _, last = runs[0].stages[-1]
    if not set(last["ways"]) & {"redrawn", "permuted"}:
        return Gate(name, "failed", "nothing was drawn: every initializer of the network is a constant")
    ways = ", ".join(f"{last['ways'][way]} {way}" for way in WAYS if way in last["ways"])
    same = f"; same top class {last['same_top']:.0%}" if "same_top" in last else ""
    right = f"; accuracy {last['accuracy']:.0%}" if "accuracy" in last else ""
    return Gate(name, "passed", f"{last['parameters']:.0%} of parameters; tensors: {ways}{same}{right}")


@rules.register(
    name="parameters",
    about=About(
        "Responds to weights",
        "trained with untrained",
        {
            "RESPONDED": "maps change when the trained weights are replaced by untrained ones",
            "SIGN RESPONDS": "the signs of maps change with the weights; whether their strengths do is open: {why}",
            "DID NOT RESPOND": "maps stay much the same when the weights are replaced",
            "INPUT-DOMINATED": "the input decides most of the map; {why}",
            "UNDECIDED": "{why}",
            "NO REPRODUCIBLE SIGNAL": "maps that should agree do not: {why}",
        },
        number="Similarity of maps",
        ceiling="trained with trained",
        alone="trained with itself under noise",
        null="untrained with untrained",
        cannot="Cannot conclude: that the maps are right, that one method is better than another, or anything about other networks, data or targets. Noise responds too.",
        better="lower",
    ),
)
def judge_parameters(family, margins, seed):
    """Trained against random networks: an exact permutation decides with replicates, intervals for one network.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    adjusted = adjusted_p(family)
    return [_judge_response(evidence, margins, seed, adjusted[place]) for place, evidence in enumerate(family)]


def _judge_response(evidence, margins, seed, p):
    effect, ceiling, null, excess = intervals(evidence.samples, MEASURE, seed)
    scope = evidence.settings.get("scope") or scope_of(p)
    numbers = {"effect": effect, "ceiling": ceiling, "null": null, "p": p, "scope": scope}
    if not ceiling.low > margins.floor:
        return no_signal(numbers, margins)
    failure = _find_failure(effect, ceiling, null, excess, p, margins)
    if failure is not None:
        finding, why = failure
        return Ruling("FAIL", finding, **numbers, why=why)
    if _responds(effect, ceiling, null, p, margins):
        why = f"trained with untrained is below {margins.low} of trained with trained"
        # Maps of some untrained networks may have nothing in common with any other.
        measured = np.isfinite(evidence.samples[f"between/{MEASURE}"]).any(axis=(0, 2))
        untrained = int(measured.sum())
        if p is None and untrained < UNTRAINED:
            why = f"{why}; {untrained} measured untrained networks are too few for one trained network"
            remedy = f"Compare with {UNTRAINED} untrained networks or more: seeds={UNTRAINED}."
            return Ruling("INCONCLUSIVE", "RESPONDED", **numbers, why=why, remedy=remedy)
        if p is None and _ignores_images(evidence.samples, ceiling, margins, seed):
            why = f"{why}; maps of different images agree as much as those of one"
            return Ruling("INCONCLUSIVE", "RESPONDED", **numbers, why=why)
        return Ruling("PASS", "RESPONDED", **numbers, why=why)
    undecided, remedy = _undecided_why(evidence.samples, effect, ceiling, null, p, margins)
    if _sign_responds(evidence.samples, margins, seed):
        why = f"with signs: below {margins.low} of trained with trained; without, {undecided}"
        return Ruling("INCONCLUSIVE", "SIGN RESPONDS", **numbers, why=why, remedy=remedy)
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=undecided, remedy=remedy)


def _ignores_images(samples, ceiling, margins, seed):
    """Whether maps are much the same whatever the image: such a map may be a function of the weights alone."""
    if f"images/{MEASURE}" not in samples:
        return False
    return bootstrap_interval(samples[f"images/{MEASURE}"], seed=seed).low >= margins.blind * ceiling.mean


def scope_of(p):
    """What a verdict on weights is about: str. Without a p there is one trained network."""
    return THIS_NETWORK if p is None else TRAINED_ALIKE


def _find_failure(effect, ceiling, null, excess, p, margins):
    """-> finding and why, or None where maps do not fail."""
    high = margins.high * ceiling.mean
    if excess.low >= 0 or (p is not None and null.mean >= ceiling.mean and null.low >= high):
        return "INPUT-DOMINATED", "untrained networks agree with each other as well as trained ones do"
    if effect.low >= high and null.mean >= high:
        # Where the test tells the groups apart something responded, though most of the map is the input's.
        finding = "DID NOT RESPOND" if p is None or p >= margins.alpha else "INPUT-DOMINATED"
        return (
            finding,
            f"with and among untrained networks, maps agree at {margins.high} or more of what trained ones reach",
        )
    return None


def _responds(effect, ceiling, null, p, margins):
    low, high = margins.low * ceiling.mean, margins.high * ceiling.mean
    return effect.high <= low and null.high <= high and (p is None or p < margins.alpha)


def _sign_responds(samples, margins, seed):
    effect, ceiling, _, _ = intervals(samples, SIGNED, seed)
    return effect.high <= margins.low * ceiling.mean and ceiling.low > margins.floor


def _undecided_why(samples, effect, ceiling, null, p, margins):
    """Which clause left the question open, and what would close it: (str, str)."""
    if np.isnan(effect.mean) or np.isnan(null.mean):
        return "similarity is undefined: too few pixels where both maps are non-zero", ""
    between, random = samples[f"between/{MEASURE}"], samples[f"random/{MEASURE}"]
    for name, values, similarity, share in (
        ("trained with untrained", between, effect, margins.low),
        ("untrained with untrained", random, null, margins.high),
    ):
        bound = share * ceiling.mean
        if similarity.high > bound:
            words = f"the upper bound of {name}, {similarity.high:.2f}, is above {share} of trained with trained, {bound:.2f}"
            return words, _narrowing_remedy(values, similarity, bound, p)
    trained, untrained = between.shape[:2]
    least = smallest_p(trained, untrained)
    why = f"p = {p:.2g} is not below {margins.alpha}"
    if least < margins.alpha:
        return why, ""
    why = f"{why}: {trained} against {untrained} networks allow no less than {least:.2g}"
    return why, FOUR_NETWORKS


def _narrowing_remedy(values, similarity, bound, p):
    """What would bring the upper bound of a similarity below another bound: str, "" where nothing would.

    Its half width falls with the root of the networks, but for the part that is of the images.

    Args:
        values: float [networks, networks, images], the similarities.
        similarity: their `Interval`.
        bound: float.
        p: float; None with one trained network.
    """
    room = bound - similarity.mean
    if room <= 0:
        return ""
    by_image = bootstrap_interval(finite_mean(values.reshape(-1, values.shape[-1]), 0), seed=0)
    of_images = (by_image.high - by_image.mean) ** 2
    if of_images >= room**2:
        return "Give more images: their differences alone leave it open."
    count = max(values.shape[:2])
    width = (similarity.high - similarity.mean) ** 2
    networks = math.ceil(count * (width - of_images) / (room**2 - of_images))
    if not count < networks <= 100:
        return ""
    if p is None:
        return f"Compare with about {networks} untrained networks: seeds={networks} might decide it."
    return f"Compare about {networks} trained networks with {networks} untrained ones: that might decide it."
