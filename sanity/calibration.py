"""Calibration: how often each check raises a false alarm, and how often it misses, by simulation over seeds.

One pool of networks is trained per world and resampled; nothing is trained again for a simulated run. A simulated run draws networks and
samples from the pool, or makes the maps of an explainer whose faults are known. Then the rules judge it.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lab.attribution import explainers
from sanity.bound_explainer import BoundExplainer
from sanity.checks import checks, faithfulness
from sanity.evidence import Evidence
from sanity.randomization import randomize, stages
from sanity.ruling import MEASURE, SIGNED, Margins, rules
from sanity.seeds import derive_seed
from sanity.similarity import measures
from sanity.statistics import wilson_interval


@dataclass(frozen=True)
class Pool:
    """Networks of one world, compared all with all.

    Args:
        subject: the `Subject`.
        trained: tuple of weights.
        permuted_label_networks: tuple of weights.
        random: tuple of weights.
        similarity: dict of method to dict of measure to float [networks, networks, samples], networks in that order.
    """

    subject: object
    trained: tuple
    permuted_label_networks: tuple
    random: tuple
    similarity: dict

    def group(self, name):
        """Rows of a group of networks in `similarity`: int array."""
        sizes = {
            "trained": len(self.trained),
            "permuted_label_networks": len(self.permuted_label_networks),
            "random": len(self.random),
        }
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()])))
        return np.arange(starts[name], starts[name] + sizes[name])


@dataclass(frozen=True)
class Rate:
    """How often a simulated run had an outcome.

    Args:
        check: str.
        world: str.
        simulated: str, what was simulated, in words.
        outcome: str, the outcome counted.
        count: int, runs with that outcome.
        runs: int.
        wanted: "low" or "high".
    """

    check: str
    world: str
    simulated: str
    outcome: str
    count: int
    runs: int
    wanted: str

    @property
    def share(self):
        """The rate with its 95% Wilson interval: `Interval`."""
        return wilson_interval(self.count, self.runs)


def build_pool(subject, methods, *, seed, random=12):
    """Maps of replicates, of networks on permuted labels and of random ones, compared all with all.

    Args:
        subject: the `Subject`.
        methods: names of methods.
        seed: int.
        random: int, how many random networks.

    Returns:
        `Pool`.
    """
    runs = randomize(
        subject, stages(subject.network), [derive_seed(seed, "random network", turn) for turn in range(random)]
    )
    random_states = tuple(run[-1].state for run in runs)
    similarity = {}
    for name in methods:
        bound, pooled_maps = BoundExplainer(explainers.get(name), subject, seed, {}), []
        for turn, state in enumerate((*subject.replicates, *subject.permuted_label_networks, *random_states)):
            with subject.network.weights(state):
                pooled_maps.append(bound.pooled_maps(state=("network", turn)))
        similarity[name] = {
            MEASURE: _pairwise_similarity(pooled_maps, "unsigned_ranks"),
            SIGNED: _pairwise_similarity(pooled_maps, "signed_ranks"),
        }
    return Pool(subject, subject.replicates, subject.permuted_label_networks, random_states, similarity)


def simulate_networks(pool, check, first, second, *, runs, size, seed):
    """Simulated runs of a check between two groups of a pool, all methods judged together.

    Args:
        pool: a `Pool`.
        check: str, the name of the check.
        first: str, a group of the pool.
        second: str, another group; the same one where nothing is to be detected.
        runs: int.
        size: int, networks of each group a run.
        seed: int.

    Returns:
        dict of method to Counter of outcomes; and in how many runs the smallest adjusted p of the family was below
            alpha.
    """
    outcomes, alarms = {name: Counter() for name in pool.similarity}, 0
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        if first == second:
            both = rng.choice(pool.group(first), 2 * size, replace=False)
            rows, others = both[:size], both[size:]
        else:
            rows, others = (rng.choice(pool.group(name), size, replace=False) for name in (first, second))
        images = rng.integers(0, len(pool.subject.names), len(pool.subject.names))
        family = [
            _evidence(check, name, _group_samples(similarity, rows, others, images))
            for name, similarity in pool.similarity.items()
        ]
        rulings = rules.get(check)(family, Margins(), run)
        for name, ruling in zip(outcomes, rulings):
            outcomes[name][ruling.outcome] += 1
        alarms += min(ruling.p for ruling in rulings) < Margins().alpha
    return outcomes, alarms


def simulate_blind(subject, check, *, runs, size, seed, noise=1.0):
    """Simulated runs with a method that shows the input's edges under fresh noise, whatever the network.

    Args:
        subject: the `Subject`.
        check: str, the name of the check.
        runs: int.
        size: int, networks of each group a run.
        seed: int.
        noise: float, standard deviation of the noise where that of the edges is 1.

    Returns:
        Counter of outcomes.
    """
    edges = np.stack(
        [
            pooled_map.unsigned.ravel()
            for pooled_map in BoundExplainer(explainers.get("edges"), subject, 0, {}).pooled_maps()
        ]
    )
    edges = stats.zscore(edges, axis=1)
    outcomes = Counter()
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        maps = edges + noise * rng.standard_normal((2 * size, *edges.shape))
        both = np.einsum("anp,bnp->abn", *[stats.zscore(stats.rankdata(maps, axis=-1), axis=-1)] * 2) / edges.shape[1]
        samples = _group_samples(
            {MEASURE: both, SIGNED: both}, np.arange(size), np.arange(size, 2 * size), np.arange(len(edges))
        )
        outcomes[rules.get(check)([_evidence(check, "blind", samples)], Margins(), run)[0].outcome] += 1
    return outcomes


def simulate_truth(ranks, oracle, *, runs, size, seed, null=False):
    """Simulated runs of truth over networks and images drawn from a pool, all methods judged together.

    Args:
        ranks: dict of method to float64 [networks, 2 cues, samples]; the first half of the networks learned the first
            cue.
        oracle: float64 [networks, 2 cues, samples], of the networks' own answers.
        runs: int.
        size: int, networks of each kind a run.
        seed: int.
        null: bool, whether both kinds are drawn from all networks alike.

    Returns:
        dict of method to Counter of outcomes.
    """
    outcomes, count = {name: Counter() for name in ranks}, len(oracle)
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        halves = np.split(rng.permutation(count) if null else np.arange(count), 2)
        rows = np.concatenate([rng.choice(half, size, replace=False) for half in halves])
        oracle_rows = np.concatenate([rng.choice(half, size, replace=False) for half in np.split(np.arange(count), 2)])
        images = rng.integers(0, oracle.shape[-1], oracle.shape[-1])
        oracle_drawn = oracle[oracle_rows][..., images]
        family = [
            _evidence(
                "truth", name, {"rank": values[rows][..., : oracle.shape[-1]][..., images], "oracle": oracle_drawn}
            )
            for name, values in ranks.items()
        ]
        for name, ruling in zip(outcomes, rules.get("truth")(family, Margins(), run)):
            outcomes[name][ruling.outcome] += 1
    return outcomes


def simulate_crossing(family, *, runs, size, seed):
    """Simulated runs of a crossing over images drawn with replacement, all methods judged together.

    Args:
        family: list of `Evidence` of one check, whose samples end in an axis of images.
        runs: int.
        size: int, images a run.
        seed: int.

    Returns:
        dict of method to Counter of outcomes.
    """
    outcomes = {evidence.method: Counter() for evidence in family}
    for run in range(runs):
        count = next(iter(family[0].samples.values())).shape[-1]
        images = np.random.default_rng([seed, run]).integers(0, count, size)
        drawn = [
            _evidence(
                evidence.check,
                evidence.method,
                {name: rows[..., images] for name, rows in evidence.samples.items()},
                {
                    name: [rows[row] for row in images]
                    for name, rows in evidence.settings.items()
                    if name == "class_pairs"
                },
            )
            for evidence in family
        ]
        for name, ruling in zip(outcomes, rules.get(family[0].check)(drawn, Margins(), run)):
            outcomes[name][ruling.outcome] += 1
    return outcomes


def simulate_one_network(family, *, runs, networks, images, seed):
    """Simulated runs of `parameters` with one trained network: untrained networks and images are drawn again.

    Args:
        family: list of `Evidence` of `parameters` on one trained network, with many untrained networks and images.
        runs: int.
        networks: int, untrained networks a run, drawn without replacement.
        images: int, images a run, drawn with replacement.
        seed: int.

    Returns:
        dict of method to Counter of outcomes.
    """
    outcomes = {evidence.method: Counter() for evidence in family}
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        untrained, count = family[0].samples[f"between/{MEASURE}"].shape[1:]
        rows, columns = rng.permutation(untrained)[:networks], rng.integers(0, count, images)
        drawn = [
            _evidence("parameters", evidence.method, _one_network_samples(evidence.samples, rows, columns))
            for evidence in family
        ]
        for name, ruling in zip(outcomes, rules.get("parameters")(drawn, Margins(), run)):
            outcomes[name][ruling.outcome] += 1
    return outcomes


def _one_network_samples(samples, rows, images):
    drawn = {}
    for measure in (MEASURE, SIGNED):
        drawn[f"between/{measure}"] = samples[f"between/{measure}"][:, rows][..., images]
        drawn[f"random/{measure}"] = samples[f"random/{measure}"][np.ix_(rows, rows, images)]
        drawn[f"itself/{measure}"] = samples[f"itself/{measure}"][..., images]
    return drawn


def simulate_faithfulness(prepared, areas, *, runs, seed):
    """Simulated runs of faithfulness.

    Args:
        prepared: `sanity.checks.faithfulness.Prepared`.
        areas: dict of metric to float [draws, samples]; each run takes one draw.
        runs: int.
        seed: int.

    Returns:
        Counter of findings.
    """
    findings = Counter()
    for run in range(runs):
        rng, samples = np.random.default_rng([seed, run]), {}
        draw = rng.integers(0, len(next(iter(areas.values()))))
        count = next(iter(prepared.null.values())).shape[1]
        images = rng.integers(0, count, count)
        for name in areas:
            for kind, reached in (("", areas[name][draw]), ("oracle ", prepared.oracle[name])):
                z, above = faithfulness.advantages_over_controls(reached, prepared, name)
                samples[f"{kind}z/{name}"], samples[f"{kind}above/{name}"] = z[images], above[images]
        ruling = rules.get("faithfulness")([_evidence("faithfulness", "any", samples)], Margins(), run)[0]
        findings[ruling.finding] += 1
    return findings


def simulate_classes(subject, method, *, runs, seed):
    """Simulated runs of classes over resampled images, for a registered method.

    Args:
        subject: the `Subject`.
        method: str, the name of the method.
        runs: int.
        seed: int.

    Returns:
        Counter of outcomes.
    """
    samples_of_all = checks.get("classes")(explainers.get(method), subject, seed=seed).samples
    outcomes = Counter()
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        images = rng.integers(0, len(subject.names), len(subject.names))
        samples = {name: values[:, images] for name, values in samples_of_all.items()}
        outcomes[rules.get("classes")([_evidence("classes", method, samples)], Margins(), run)[0].outcome] += 1
    return outcomes


def _evidence(check, method, samples, settings=None):
    return Evidence(check, method, "simulated", {}, samples, (), settings=settings or {})


def _group_samples(similarity, rows, others, images):
    samples = {}
    for measure, values in similarity.items():
        for name, (a, b) in {"ceiling": (rows, rows), "between": (rows, others), "random": (others, others)}.items():
            samples[f"{name}/{measure}"] = values[np.ix_(a, b, images)]
    return samples


def _pairwise_similarity(pooled_maps, ranks):
    """Rank correlation of all networks with all: float64 [networks, networks, samples]; on the joint support where maps hold zeros."""
    measure = measures.get(MEASURE if ranks == "unsigned_ranks" else SIGNED)
    count, images = len(pooled_maps), len(pooled_maps[0])
    similarity = np.full((count, count, images), np.nan)
    for a in range(count):
        for b in range(a):
            row = [np.nan if None in pair else measure(*pair) for pair in zip(pooled_maps[a], pooled_maps[b])]
            similarity[a, b] = similarity[b, a] = row
    return similarity
