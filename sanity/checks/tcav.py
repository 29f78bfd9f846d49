"""TCAV: does the score of a class change along the direction of a concept more than along those of random sets?

Kim et al. 2018, https://arxiv.org/abs/1711.11279. There, a t test compares runs that share one concept set, and rejects a
third to two thirds of concepts that are none. Here the set is the unit: the concept's own set stands among random sets of as
many inputs, all fitted against the same negative sets, and its rank among them decides, max-T over concepts, layers and targets.
"""

import numpy as np
from scipy import stats

from lab.concepts import cav, held_out_scores, random_directions
from sanity.checks import checks
from sanity.concepts.sets import FEWEST_PANELS, FEWEST_SETS, draw_sets
from sanity.concepts.study import concept_row
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval, group_interval, without_interval

RESAMPLES = 10


@checks.register(claim="concepts")
def tcav(study, *, seed, sets=FEWEST_SETS, panel=FEWEST_PANELS, size=None, fit="ridge"):
    """Is the score of a class more sensitive to a concept than to random sets of inputs?

    The number is the mean over inputs of the cosine between the gradient and the concept's vector, averaged over the negative
    sets. Beside it stands the share of inputs with a positive derivative, TCAV's own number.

    Args:
        study: `sanity.concepts.Study`.
        seed: int, of the sets.
        sets: int, random sets, 30 or more.
        panel: int, negative sets, 5 or more.
        size: int, inputs of a set; None: as many as concepts and pool allow.
        fit: how vectors are fitted, as of `lab.concepts.cav`.

    Returns:
        list of `Evidence`, one a concept, layer and target, with samples sensitivity and positive, float64 [1 + sets], the
            concept first, by image, float64 [inputs], accuracy, float64 [1 + sets], and untrained, float64 [networks].
    """
    fewest = min((len(rows) for layers in study.concepts.values() for rows in layers.values()), default=None)
    pool = len(next(iter(study.pool.values())))
    fewest = pool // (sets + panel) if fewest is None else fewest
    names = [*study.concepts, *study.vectors]
    drawn = draw_sets(pool, names, fewest, seed=derive_seed(seed, "sets"), sets=sets, panel=panel, size=size)
    measured = _measure(study, drawn, seed, fit)
    untrained = [_measure(other, drawn, seed, fit) for other in study.untrained]
    settings = {"seed": seed, "sets": sets, "panel": panel, "size": drawn.size, "fit": fit, **study.settings}
    return [
        _evidence(study, row, values, [network[row] for network in untrained], drawn, settings)
        for row, values in measured.items()
    ]


def _measure(study, drawn, seed, fit):
    """Samples of every question: dict of (concept, layer, target) to dict of arrays."""
    fitted = {
        (concept, layer): _fit(study, concept, layer, drawn, seed, fit)
        for concept, layer in dict.fromkeys((concept, layer) for concept, layer, _ in study.rows)
    }
    return {
        (concept, layer, target): {
            **_sensitivities(study.targets[target][layer], fitted[concept, layer][0]),
            **fitted[concept, layer][1],
        }
        for concept, layer, target in study.rows
    }


def _fit(study, concept, layer, drawn, seed, fit):
    """-> vectors of a concept and of its random sets [1 + sets, panels, channels], and how well they tell held-out inputs."""
    pool, sets = study.pool[layer], drawn.sets[concept]
    if concept in study.vectors:
        vector = np.asarray(study.vectors[concept][layer], "float64")
        others = random_directions(pool, len(sets), seed=derive_seed(seed, f"directions {concept} {layer}"))
        directions = np.stack([vector / np.linalg.norm(vector), *others])
        unknown = np.full(1 + len(sets), np.nan)
        known = {"accuracy": unknown, "separation": unknown, "stability": np.array(np.nan)}
        return np.repeat(directions[:, None], len(drawn.panel), axis=1), known
    rows, vectors, stability = _concept_vectors(study, concept, layer, drawn, seed, fit)
    separations = np.column_stack(
        [_separation(rows, pool[drawn.panel[0]]), _random_separations(pool, sets, drawn.panel[0])]
    )
    random_vectors = _random_vectors(pool, sets, drawn.panel, fit)
    known = {"accuracy": separations[0], "separation": separations[1], "stability": np.array(stability)}
    return np.concatenate([vectors[None], random_vectors]), known


def _random_vectors(pool, sets, panel, fit):
    """Vectors of the random sets: float64 [sets, panels, channels]."""
    return np.stack([[cav(pool[places], pool[others], fit=fit) for others in panel] for places in sets])


def _random_separations(pool, sets, others):
    """How well each random set is told from a negative set: accuracy and separation, two float64 [sets]."""
    return np.transpose([_separation(pool[places], pool[others]) for places in sets])


def _separation(rows, others):
    """-> accuracy on inputs that were left out, and the distance of both sides in deviations, which has no ties."""
    scores = held_out_scores(rows, others)
    sides = scores[: len(rows)], scores[len(rows) :]
    deviation = np.sqrt(np.mean([side.var() for side in sides]))
    accuracy = np.mean([np.mean(sides[0] > 0), np.mean(sides[1] < 0)])
    return accuracy, (sides[0].mean() - sides[1].mean()) / max(deviation, 1e-300)


def _concept_vectors(study, concept, layer, drawn, seed, fit):
    """-> a concept's set, its vectors [panels, channels], and the agreement of vectors of resampled inputs."""
    pool, rng = study.pool[layer], np.random.default_rng(derive_seed(seed, f"concept {concept}"))
    rows = study.concepts[concept][layer]
    rows = rows[rng.permutation(len(rows))[: drawn.size]]
    vectors = np.stack([cav(rows, pool[others], fit=fit) for others in drawn.panel])
    draws = rng.integers(len(rows), size=[RESAMPLES, len(rows)])
    resampled = np.stack([cav(rows[places], pool[drawn.panel[0]], fit=fit) for places in draws])
    agreement = resampled @ resampled.T
    return rows, vectors, agreement[np.triu_indices(RESAMPLES, 1)].mean()


def _sensitivities(slopes, vectors):
    """Cosines of gradients [inputs, channels] and vectors [1 + sets, panels, channels], and the shares that are positive."""
    lengths = np.linalg.norm(slopes.astype("float64"), axis=1, keepdims=True)
    alive = lengths[:, 0] > 0
    cosines = np.einsum("ic,spc->isp", slopes[alive] / lengths[alive], vectors)
    unit = slopes[alive] / lengths[alive]
    return {
        "by image": cosines[:, 0].mean(axis=1),
        "alive": alive,
        "sensitivity": cosines.mean(axis=(0, 2)) if alive.any() else np.full(len(vectors), np.nan),
        "positive": (cosines > 0).mean(axis=(0, 2)) if alive.any() else np.full(len(vectors), np.nan),
        "shared t test": np.array(_shared_t_test(cosines) if alive.any() else np.nan),
        "reach": np.array(np.linalg.norm(unit.mean(axis=0)) if alive.any() else np.nan),
    }


def _shared_t_test(cosines):
    """p of the test that ships with TCAV: one concept set against every negative set, beside random sets. It is shown, and not used."""
    counts = (cosines > 0).mean(axis=0)
    concept, others = counts[0], counts[1:, 0]
    difference, freedom = others.mean() - concept.mean(), len(concept) + len(others) - 2
    variance = (len(concept) * concept.var() + len(others) * others.var()) / freedom
    if variance < 1e-12:
        return float(abs(difference) < 1e-12)
    return float(2 * stats.t.sf(abs(difference) / np.sqrt(variance * (1 / len(concept) + 1 / len(others))), freedom))


def _evidence(study, row, values, untrained, drawn, settings):
    concept, layer, target = row
    samples = {**values, "groups": np.asarray(study.groups)[values["alive"]]}
    samples["untrained"] = np.array([standardized(other["sensitivity"])[0] for other in untrained])
    sizes = {
        "pictures": drawn.size,
        "sets": len(values["sensitivity"]) - 1,
        "panel": len(drawn.panel),
        "images": int(values["alive"].sum()),
    }
    gates = (_gradient_gate(values["alive"]), _learnable_gate(values["accuracy"], values["separation"]))
    about = {"concept": concept, "layer": layer, "target": target}
    return Evidence("tcav", concept_row(*row), study.title, sizes, samples, gates, settings={**settings, **about})


def _gradient_gate(alive):
    words = f"the score has a gradient at {alive.sum()} of {len(alive)} inputs"
    return Gate("gradient reaches the layer", "passed" if alive.mean() >= 0.8 else "failed", words)


def _learnable_gate(accuracy, separation):
    """A concept is learnable where it lies further from a negative set than all but one of twenty random sets."""
    concept, others = separation[0], separation[1:]
    if np.isnan(concept):
        return Gate("concept is learnable", "not measured", "the direction was given")
    share = (1 + (others >= concept).sum()) / (1 + len(others))
    words = f"told from other inputs at {accuracy[0]:.2f}, {concept:.1f} deviations apart; random sets at {accuracy[1:].mean():.2f}, at most {others.max():.1f}"
    return Gate("concept is learnable", "passed" if share <= 0.05 else "failed", words)


def standardized(values):
    """How many deviations each set lies from the mean of all sets, the concept's among them: float64 [1 + sets].

    Args:
        values: float [1 + sets].

    Returns:
        float64 [1 + sets], zeros where all are equal.
    """
    deviation = values.std()
    return np.abs(values - values.mean()) / deviation if deviation > 0 else np.zeros(len(values))


@rules.register(
    name="tcav",
    about=About(
        "Sensitive to the concept",
        "concept",
        {
            "SUPPORTED": "along the concept the score changes more than along random sets of inputs; {why}",
            "NOT SUPPORTED": "{why}",
        },
        number="mean cosine of gradient and vector",
        similarity="mean over inputs of the cosine between the score's gradient and a concept's vector, averaged over negative sets",
        ceiling="any one direction",
        null="random sets",
        sampled=False,
        counted={"pictures": "inputs a set", "sets": "random sets", "panel": "negative sets", "images": "inputs"},
        cannot="Cannot conclude: that the network uses the concept (see erasure), that it does so by nothing else, or anything about other networks, layers, pools or targets.",
    ),
)
def judge_tcav(family, margins, seed):
    """Supported where the concept's number is as extreme as the largest of a random set over the whole family in one of twenty.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap over inputs.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    statistics = np.stack([standardized(evidence.samples["sensitivity"]) for evidence in family])
    largest = statistics.max(axis=0)
    return [_ruling(evidence, row, largest, margins, seed) for evidence, row in zip(family, statistics)]


def _ruling(evidence, statistics, largest, margins, seed):
    values = evidence.samples["sensitivity"]
    p = (1 + (largest[1:] >= statistics[0] - 1e-12).sum()) / len(largest)
    finding, why = _decide(values, statistics[0], p, evidence.samples["untrained"], margins)
    others = values[1:]
    null = Interval(float(others.mean()), *map(float, np.quantile(others, [0.025, 0.975])))
    return Ruling(
        "PASS" if finding == "SUPPORTED" else "INCONCLUSIVE",
        finding,
        group_interval(evidence.samples["by image"], evidence.samples["groups"], seed=seed),
        without_interval(float(evidence.samples["reach"])),
        null,
        p=float(p),
        why=why,
        also=_also(evidence.samples, statistics[0]),
    )


def _decide(values, statistic, p, untrained, margins):
    if p > margins.alpha:
        return "NOT SUPPORTED", "random sets of inputs do as much, in one concept, layer and target or another"
    if len(untrained) and statistic <= untrained.max():
        return "NOT SUPPORTED", "in a network with random weights the concept stands out as much"
    return "SUPPORTED", "it rises" if values[0] > values.mean() else "it falls"


def _also(samples, statistic):
    positive, accuracy = samples["positive"], samples["accuracy"]
    rows = [
        ("TCAV", f"{positive[0]:.2f} of inputs rise along the concept, {positive[1:].mean():.2f} along random sets"),
        (
            "t test of runs that share the concept's set",
            f"p = {float(samples['shared t test']):.2g}: it rejects too often, and decides nothing",
        ),
        ("distance", f"{statistic:.1f} deviations of random sets"),
    ]
    if np.isfinite(accuracy[0]):
        rows += [
            ("held-out accuracy", f"{accuracy[0]:.2f}; random sets {accuracy[1:].mean():.2f}"),
            ("stability", f"vectors of resampled inputs agree at {samples['stability']:.2f}"),
        ]
    if len(samples["untrained"]):
        distances = ", ".join(f"{value:.1f}" for value in samples["untrained"])
        rows.append(("untrained networks", f"{distances} deviations of random sets"))
    return tuple(rows)
