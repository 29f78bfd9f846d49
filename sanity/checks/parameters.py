"""Parameters: does a map change when the network forgets what it learned?

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, https://arxiv.org/abs/1810.03292. The weights are replaced from the
output down, stage by stage or all at once, and the maps of the trained network compared with those of each stage.
Three numbers are needed to read the result: `between`, trained against random; `ceiling`, the trained network against
itself under half a grey level of noise and another seed; `random`, random networks among themselves.
"""

from dataclasses import dataclass

import numpy as np

from lab.attribution import explainers
from lab.environment import tf
from lab.explanation import attribute, flags, settled
from lab.maps import pooled
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.randomization import forget, stages
from sanity.similarity import Plane, measures, tie_fraction, tie_null

MODES = ("full", "cascade")
# Half a grey level of 255, a share of each input's own range: about what rounding to eight bits did to every photograph.
CEILING_NOISE = 0.5 / 255
REPEATS = 2
MOST_DROPPED = 0.2


@dataclass(frozen=True)
class Prepared:
    """The random networks of a check, reached through their stages, for all methods to share; `settings` says how they were made."""

    runs: list
    settings: dict


def prepare(subject, *, seed, mode="full", seeds=3, unit="block", initialization="own", statistics="estimate"):
    """Draw the random networks of this check for a subject -> `Prepared`. Options as in `parameters`."""
    settings = {
        "seed": seed,
        "mode": mode,
        "seeds": seeds,
        "unit": unit,
        "initialization": initialization,
        "statistics": statistics,
    }
    _check_options(mode, seeds, statistics)
    drawn = [_fold(seed, turn) for turn in range(seeds)]
    return Prepared(
        forget(
            subject.network,
            subject.inputs,
            stages(subject.network, mode, unit),
            drawn,
            way=initialization,
            statistics=statistics,
        ),
        settings,
    )


@checks.register
def parameters(
    explainer,
    subject,
    *,
    seed,
    mode="full",
    seeds=3,
    unit="block",
    initialization="own",
    statistics="estimate",
    prepared=None,
    **options,
):
    """Do the maps respond when the weights are replaced by untrained ones? -> `Evidence`.

    mode: "full" (all weights at once) or "cascade" (from the output down, cumulative, the last stage being all). seeds: random
    networks. unit: stages of a cascade, "block" or "layer". initialization: "own", "normal" or "permutation". statistics:
    "estimate" BatchNormalization statistics again, or "reset" them with the rest. prepared: what `prepare` made of the same
    subject and options, to share among methods. options: the explainer's own.
    """
    settings = {
        "seed": seed,
        "mode": mode,
        "seeds": seeds,
        "unit": unit,
        "initialization": initialization,
        "statistics": statistics,
    }
    if prepared is not None and prepared.settings != settings:
        raise ValueError(
            f"prepared= was made with the options of this check. Received: {prepared.settings} for {settings}."
        )
    explain = _explaining(explainer, subject, seed, options)
    with subject.network.intact():
        prepared = prepared or prepare(subject, **settings)
        trained = explain(subject.inputs, state=0)
        ceiling = [
            _similar(trained, explain(_nudged(subject.inputs, seed, repeat), state=-1 - repeat))
            for repeat in range(REPEATS)
        ]
        runs = [_run(explain, subject, trained, run, 1 + turn) for turn, run in enumerate(prepared.runs)]
    return _evidence(explainer, subject, trained, ceiling, prepared.runs, runs, {**settings, **options})


def _check_options(mode, seeds, statistics):
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}. Received: {mode!r}.")
    if statistics not in ("estimate", "reset"):
        raise ValueError(f"statistics is 'estimate' or 'reset'. Received: {statistics!r}.")
    if int(seeds) != seeds or seeds < 2:
        raise ValueError(
            f"seeds is a whole number of 2 or more: random networks are compared with each other. Received: {seeds!r}."
        )


def _explaining(explainer, subject, seed, options):
    """The explainer as (inputs, state) -> one Plane an image: the same target always, a fresh draw on every state of the weights."""
    chosen = settled(explainer, subject.network, seed, options)

    def explain(inputs, state):
        fresh = {**chosen, "seed": _fold(seed, state)} if "seed" in chosen else chosen
        return _planes(attribute(explainer, subject.network, inputs, subject.objective, **fresh))

    return explain


def _planes(maps):
    """Maps as one Plane an image, several inputs side by side; None where the map is not finite or constant."""
    leaves = tf.nest.flatten(maps)
    signed = [_flat(pooled(leaf), len(leaves) > 1) for leaf in leaves]
    unsigned = [_flat(np.abs(pooled(leaf, "l2")), len(leaves) > 1) for leaf in leaves]
    both = zip(np.concatenate(signed, axis=-1), np.concatenate(unsigned, axis=-1), flags(maps))
    return [Plane(one, other) if not words else None for one, other, words in both]


def _flat(maps, several):
    return maps if maps.ndim == 3 and not several else maps.reshape(len(maps), 1, -1)


def _nudged(inputs, seed, repeat):
    """Inputs with a little noise, drawn once and the same for every method."""
    rng = np.random.default_rng([seed, repeat])

    def nudge(leaf):
        if leaf.dtype.kind != "f":
            return leaf
        axes = tuple(range(1, leaf.ndim))
        spread = leaf.max(axis=axes, keepdims=True) - leaf.min(axis=axes, keepdims=True)
        return (leaf + CEILING_NOISE * spread * rng.standard_normal(leaf.shape[1:])).astype(leaf.dtype)

    return tf.nest.map_structure(nudge, inputs)


def _run(explain, subject, trained, run, state):
    """One random network through its stages: similarities [stages] of dicts, the last maps, and the first image's maps all along."""
    rows, path = [], []
    for stage in run:
        with subject.network.weights(stage.state):
            planes = explain(subject.inputs, state)
        rows.append(_similar(trained, planes))
        path.append(planes[0])
    return rows, planes, path


def _similar(first, second):
    """Every measure, image by image: dict of name to float64 [images]; nan where either map is unusable."""
    return {
        name: np.array([np.nan if a is None or b is None else measures.get(name)(a, b) for a, b in zip(first, second)])
        for name in measures
    }


def _evidence(explainer, subject, trained, ceiling, prepared, runs, settings):
    last = [planes for _, planes, _ in runs]
    samples = {
        **_among(last),
        "ties": np.array([np.nan if each is None else tie_fraction(each.unsigned) for each in trained]),
    }
    samples["tie_null"] = np.array(
        [
            [np.nan if None in (a, b) else tie_null(a.unsigned, b.unsigned) for a, b in zip(trained, planes)]
            for planes in last
        ]
    )
    for name in measures:
        samples[f"ceiling/{name}"] = np.stack([row[name] for row in ceiling])
        samples[f"between/{name}"] = np.stack([rows[-1][name] for rows, _, _ in runs])
        samples[f"cascade/{name}"] = np.stack([[row[name] for row in rows] for rows, _, _ in runs])
    maps = {
        "trained": _signed(trained),
        "random": np.stack([_signed(planes) for planes in last]),
        "stages": _signed(runs[0][2]),
    }
    sizes = {"images": len(subject.names), "networks": len(runs), "repeats": REPEATS}
    gates = (
        _competent(subject),
        _took_effect(prepared),
        _usable(trained, last),
        Gate("target frozen", "passed", f"{subject.objective} on every network"),
        Gate("weights restored", "passed", "hash equal before and after"),
    )
    done = tuple({"stage": steps[0].name, **_mean([step.done for step in steps])} for steps in zip(*prepared))
    return Evidence(
        "parameters", explainers.name(explainer), subject.network.name, sizes, samples, gates, done, maps, settings
    )


def _signed(planes):
    """[planes, rows, columns] float32; nan for an unusable map."""
    shape = next((plane.signed.shape for plane in planes if plane is not None), (1, 1))
    return np.stack([np.full(shape, np.nan, "float32") if plane is None else plane.signed for plane in planes])


def _among(last):
    """Similarity of random networks with each other: dict of 'random/measure' to [networks, networks, images]."""
    count, images = len(last), len(last[0])
    found = {f"random/{name}": np.full((count, count, images), np.nan) for name in measures}
    for a in range(count):
        for b in range(a):
            for name, row in _similar(last[a], last[b]).items():
                found[f"random/{name}"][a, b] = found[f"random/{name}"][b, a] = row
    return found


def _mean(done):
    """What was done at one stage, over all random networks: numbers averaged, names joined."""
    numbers = {
        key: float(np.mean([each[key] for each in done]))
        for key in ("median_change", "same_top", "kl")
        if key in done[0]
    }
    return {**done[0], **numbers, "unchanged": sorted({name for each in done for name in each["unchanged"]})}


def _competent(subject):
    if subject.correct is None:
        return Gate("network competent", "not measured", "no labels given")
    share = float(np.mean(subject.correct))
    return Gate(
        "network competent",
        "passed" if share > 0.5 else "failed",
        f"top class right on {share:.0%} of {len(subject.correct)} images",
    )


def _took_effect(runs):
    stuck = sorted({name for run in runs for stage in run for name in stage.done["unchanged"]})
    if stuck:
        return Gate("randomization took effect", "failed", f"unchanged: {', '.join(stuck[:4])}")
    last = runs[0][-1].done
    if not set(last["ways"]) & {"redrawn", "permuted"}:
        return Gate(
            "randomization took effect", "failed", "nothing was drawn: every initializer of the network is a constant"
        )
    ways = ", ".join(f"{count} {way}" for way, count in last["ways"].items())
    same = f"; same top class {last['same_top']:.0%}" if "same_top" in last else ""
    return Gate("randomization took effect", "passed", f"{last['parameters']:.0%} of parameters; tensors: {ways}{same}")


def _usable(trained, last):
    dropped = float(np.mean([plane is None for planes in (trained, *last) for plane in planes]))
    words = f"{dropped:.0%} of maps not finite, all zero or constant"
    return Gate("maps usable", "failed" if dropped > MOST_DROPPED else "passed", words)


def _fold(seed, state):
    """A seed of its own for each state of the weights, so that a method that draws draws afresh on every network."""
    return int(np.random.SeedSequence([seed, state + 1000]).generate_state(1)[0] >> 1)
