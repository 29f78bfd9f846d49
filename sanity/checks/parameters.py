"""Parameters: does a map change when the network forgets what it learned?

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, https://arxiv.org/abs/1810.03292. The weights are replaced stage by
stage or all at once. Three numbers are needed to read the result: `between`, trained against random; `ceiling`, what can be
hoped for; `random`, random networks among themselves. With replicates (networks trained alike from other seeds) the ceiling is
their agreement, and an exact permutation decides; with one network it is the agreement with itself under half a grey level
of noise and another seed, and nothing is decided but failure.
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
from sanity.network_groups import adjusted_p, intervals, no_signal
from sanity.randomization import ORDERS, initializations, randomize, stages
from sanity.ruling import MEASURE, SIGNED, About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.similarity import tie_fraction, tie_null

REPEATS = 2


@dataclass(frozen=True)
class Prepared:
    """The random networks of a check, reached through their stages, for all methods to share; `settings` says how they were made."""

    runs: list
    settings: dict


def prepare(subject, *, seed, mode="full", seeds=None, unit="block", initialization="own", statistics="estimate"):
    """Draw the random networks of this check for a subject -> `Prepared`. Options as in `parameters`."""
    seeds = seeds or max(3, len(subject.replicates))
    refuse(mode=mode, seeds=seeds, unit=unit, initialization=initialization, statistics=statistics)
    drawn = [derive_seed(seed, "random network", turn) for turn in range(seeds)]
    steps = stages(subject.network, mode, unit)
    runs = randomize(subject, steps, drawn, way=initialization, statistics=statistics)
    settings = {"seed": seed, "mode": mode, "seeds": seeds, "unit": unit}
    return Prepared(runs, {**settings, "initialization": initialization, "statistics": statistics})


def refuse(*, mode="full", seeds=None, unit="block", initialization="own", statistics="estimate"):
    """Raise Refused for options that this check does not know."""
    initializations.get(initialization)
    for name, value, allowed in (
        ("mode", mode, ORDERS),
        ("statistics", statistics, ("estimate", "reset")),
        ("unit", unit, ("block", "layer")),
    ):
        if value not in allowed:
            raise Refused(f"{name} is one of {', '.join(allowed)}. Received: {value!r}.")
    if seeds is not None and (int(seeds) != seeds or seeds < 2):
        raise Refused(
            f"seeds is a whole number of 2 or more: random networks are compared with each other. Received: {seeds!r}."
        )


@checks.register(prepare=prepare, refuse=refuse)
def parameters(
    explainer,
    subject,
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
    **options,
):
    """Do the maps respond when the weights are replaced by untrained ones? -> `Evidence`.

    mode: "full" (all weights at once), "top_down" (from the output, cumulative), "bottom_up" (from the input), "independent"
    (one stage at a time, then all). seeds: random networks; None: as many as replicates, or 3. unit: stages by "block" or "layer".
    initialization: "own", "normal" or "permutation". statistics: "estimate" BatchNormalization statistics again, or "reset"
    them. smooth: 0, or how many noisy inputs each map is averaged over (Smooth MPRT: Hedstrom et al. 2024,
    https://arxiv.org/abs/2401.06465), their noise being smooth_noise of each input's range. prepared: what `prepare` made with
    the same options, to share among methods. options: the explainer's own.
    """
    asked = {"seed": seed, "mode": mode, "seeds": seeds or max(3, len(subject.replicates)), "unit": unit}
    asked |= {"initialization": initialization, "statistics": statistics}
    if prepared is not None and prepared.settings != asked:
        raise Refused(f"prepared= was made with the options of this check. Received: {prepared.settings} for {asked}.")
    bound = BoundExplainer(explainer, subject, seed, options)

    def look(state, inputs=None):
        if smooth:
            return bound.smoothed_maps(smooth, smooth_noise, inputs, state=state)
        return bound.pooled_maps(inputs, state=state)

    with subject.network.intact():
        prepared = prepared or prepare(subject, **asked)
        trained = _trained_maps(subject, look)
        runs = [
            _run_stages(look, subject, trained[0], run, ("random network", turn))
            for turn, run in enumerate(prepared.runs)
        ]
        samples = _ceiling_samples(bound, look, trained)
    samples |= _samples(trained, runs)
    last = [pooled_maps for _, pooled_maps, _ in runs]
    passed = (
        gates.competence(subject),
        _effect_gate(prepared.runs),
        gates.usable_maps(*trained, *last),
        gates.frozen_target(subject, bound),
        gates.restored_weights(),
    )
    maps = {
        "trained": stack_signed(trained[0]),
        "random": np.stack([stack_signed(pooled_maps) for pooled_maps in last]),
    }
    return bound.evidence(
        "parameters",
        samples,
        passed,
        sizes={"networks": len(runs), "replicates": len(trained), "repeats": REPEATS},
        settings={**asked, "smooth": smooth, **({"smooth_noise": smooth_noise} if smooth else {})},
        stages=_stage_rows(prepared.runs),
        maps=maps | {"stages": stack_signed(runs[0][2])},
    )


def _trained_maps(subject, look):
    """Pooled maps on the trained network and on each of its replicates: list by network."""
    found = [look("own")]
    for turn, state in enumerate(subject.replicates[1:]):
        with subject.network.weights(state):
            found.append(look(("replicate", 1 + turn)))
    return found


def _ceiling_samples(bound, look, trained):
    """How alike maps are that ought to be: of replicates, and of one network with itself under noise and another seed."""
    seeds = [derive_seed(bound.seed, "rounding noise", turn) for turn in range(REPEATS)]
    itself = [
        similarities(trained[0], look(("itself", turn), bound.noisy_inputs(each))) for turn, each in enumerate(seeds)
    ]
    found = prefix_keys("itself", {name: np.stack([row[name] for row in itself]) for name in itself[0]})
    return found | (prefix_keys("ceiling", similarities_within(trained)) if len(trained) > 1 else {})


def _run_stages(look, subject, trained, run, state):
    """One random network through its stages: similarities [stages] of dicts, the last maps, and the first sample's maps all along."""
    rows, path = [], []
    for stage in run:
        with subject.network.weights(stage.state):
            pooled_maps = look(state)
        rows.append(similarities(trained, pooled_maps))
        path.append(pooled_maps[0])
    return rows, pooled_maps, path


def _samples(trained, runs):
    last = [pooled_maps for _, pooled_maps, _ in runs]
    found = {
        **prefix_keys("random", similarities_within(last)),
        **prefix_keys("between", similarities_between(trained, last)),
    }
    rows = [rows for rows, _, _ in runs]
    found |= {f"cascade/{name}": np.array([[stage[name] for stage in run] for run in rows]) for name in rows[0][0]}
    found["ties"] = np.array([np.nan if each is None else tie_fraction(each.unsigned) for each in trained[0]])
    pairs = [zip(trained[0], pooled_maps) for pooled_maps in last]
    found["tie_null"] = np.array(
        [[np.nan if None in pair else tie_null(pair[0].unsigned, pair[1].unsigned) for pair in row] for row in pairs]
    )
    return found


def _stage_rows(runs):
    """What was done at each stage, over all random networks; changes of the variables that were new at that stage."""
    found, seen = [], set()
    for steps in zip(*runs):
        row = {"stage": steps[0].name, **_mean_stage([step.done for step in steps])}
        row["changes"] = {name: value for name, value in row["changes"].items() if name not in seen}
        seen |= set(row["changes"])
        found.append(row)
    return tuple(found)


def _mean_stage(done):
    """What was done at one stage, over all random networks: numbers averaged, names joined."""
    numbers = {
        key: float(np.mean([each[key] for each in done]))
        for key in ("median_change", "same_top", "kl", "accuracy")
        if key in done[0]
    }
    return {**done[0], **numbers, "unchanged": sorted({name for each in done for name in each["unchanged"]})}


def _effect_gate(runs):
    name = "randomization took effect"
    stuck = sorted({variable for run in runs for stage in run for variable in stage.done["unchanged"]})
    if stuck:
        return Gate(name, "failed", f"unchanged: {', '.join(stuck[:4])}")
    last = runs[0][-1].done
    if not set(last["ways"]) & {"redrawn", "permuted"}:
        return Gate(name, "failed", "nothing was drawn: every initializer of the network is a constant")
    ways = ", ".join(f"{count} {way}" for way, count in last["ways"].items())
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
            "SIGN RESPONDS": "the signs of maps change with the weights; whether their strengths do is open; {why}",
            "DID NOT RESPOND": "maps stay much the same when the weights are replaced",
            "INPUT-DOMINATED": "the input decides most of the map; {why}",
            "UNDECIDED": "{why}",
            "NO REPRODUCIBLE SIGNAL": "maps that should agree do not: {why}",
        },
        number="Similarity of maps",
        ceiling="trained with trained",
        null="untrained with untrained",
        cannot="Cannot conclude: that the maps are right, that one method is better than another, or anything about other networks, data or targets. Noise responds too.",
    ),
)
def judge_parameters(family, margins, seed):
    """Trained against random networks: with replicates an exact permutation decides, with one network nothing but failure."""
    adjusted = adjusted_p(family)
    return [_judge_response(evidence, margins, seed, adjusted[place]) for place, evidence in enumerate(family)]


def _judge_response(evidence, margins, seed, p):
    effect, ceiling, null, excess = intervals(evidence.samples, MEASURE, seed)
    numbers = {"effect": effect, "ceiling": ceiling, "null": null, "p": p}
    one, dominated = p is None, margins.high * ceiling.mean
    if not ceiling.low > margins.floor:
        return no_signal(numbers, margins)
    if excess.low >= 0 or (not one and null.mean >= ceiling.mean and null.low >= dominated):
        return Ruling(
            "FAIL",
            "INPUT-DOMINATED",
            **numbers,
            why="untrained networks agree with each other as well as trained ones do",
        )
    if effect.low >= dominated and null.mean >= dominated:
        # A test that tells the groups apart forbids to say that nothing responded; most of the map is the input's all the same.
        finding = "DID NOT RESPOND" if one or p >= margins.alpha else "INPUT-DOMINATED"
        return Ruling(
            "FAIL",
            finding,
            **numbers,
            why=f"with and among untrained networks, maps agree at {margins.high} or more of what trained ones reach",
        )
    if (
        effect.high <= margins.low * ceiling.mean
        and null.high <= margins.high * ceiling.mean
        and (one or p < margins.alpha)
    ):
        why = f"trained with untrained is below {margins.low} of trained with trained" + (
            "; one network allows no PASS" if one else ""
        )
        return Ruling("INCONCLUSIVE" if one else "PASS", "RESPONDED", **numbers, why=why)
    signed = intervals(evidence.samples, SIGNED, seed)
    if signed[0].high <= margins.low * signed[1].mean and signed[1].low > margins.floor:
        why = f"with signs, similarity fell below {margins.low} of what trained networks reach; without, {_undecided(evidence.samples, effect, ceiling, null, p, margins)}"
        return Ruling("INCONCLUSIVE", "SIGN RESPONDS", **numbers, why=why)
    return Ruling(
        "INCONCLUSIVE", "UNDECIDED", **numbers, why=_undecided(evidence.samples, effect, ceiling, null, p, margins)
    )


def _undecided(samples, effect, ceiling, null, p, margins):
    """Which clause left the question open, and about how many random networks would close it."""
    count = samples[f"random/{MEASURE}"].shape[0]
    if np.isnan(effect.mean) or np.isnan(null.mean):
        return "similarity is undefined: too few pixels where both maps are non-zero"
    for name, found, share in (
        ("trained with untrained", effect, margins.low),
        ("untrained with untrained", null, margins.high),
    ):
        bound = share * ceiling.mean
        if found.high > bound:
            words = (
                f"the upper bound of {name}, {found.high:.2f}, is above {share} of trained with trained, {bound:.2f}"
            )
            return words + _needed(count, found.high - found.mean, bound - found.mean)
    least = 2 / math.comb(2 * count, count)
    more = (
        f": {count} against {count} networks allow no less than {least:.2g}, four would"
        if least >= margins.alpha
        else ""
    )
    return f"p = {p:.2g} is not below {margins.alpha}{more}"


def _needed(count, width, room):
    """How many networks would bring an interval of this half width under its bound, its width falling with their root: str."""
    networks = math.ceil(count * (width / room) ** 2) if room > 0 else None
    return f"; about {networks} networks might bring it down" if networks and count < networks <= 100 else ""
