"""Truth: does a map lie on the cue that its network learned? Networks that learned one of two cues, at the same inputs, asked about the same class.

Each input holds two cues that say the same class. Some networks learned the one, some the other, as swaps prove. A map's rank on
the cue in use, less its rank on the other, is compared between the two groups of networks: what does not depend on the network
gives exactly zero, whatever it is, so that no list of controls is needed.
"""

from dataclasses import dataclass, replace

import numpy as np

from lab import routines
from lab.objectives import logit
from sanity import gates
from sanity.bound_explainer import BoundExplainer
from sanity.checks import checks
from sanity.controls import families
from sanity.evidence import Gate
from sanity.interventions import occlusion
from sanity.localisation import localisations, relevances
from sanity.ruling import About, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import between_means, finite_mean, role_permutations, sign_flips, two_way
from sanity.subject import FEWEST
from sanity.worlds.training import Trainer
from sanity.worlds.world import counterfactual_use, counterfactuals

# Decided by this one: it asks for places only, so neither the scale of a map nor a few extreme values matter.
DECIDES = "rank"
# Three networks of each kind allow no p below .05.
NETWORKS = 4
# How far apart the accuracies of the two kinds of networks may lie.
ALIKE = 0.1
# The network's own answer is measured on so many samples at most, and what fills its windows says nothing of one sample.
ANSWERED, FILL = 16, "typical"
# Swaps are looked at on so many samples at most.
SWAPPED = 200


@dataclass(frozen=True)
class Prepared:
    """on: the subject at samples whose cues agree, or as it is where a gate failed. networks: weights, first those that learned the cue, then those that learned the
    rival. masks: bool [2 cues, samples, ...]. gates: of the networks. oracle: float64 [networks, 2 cues, samples], or None where a
    gate failed. used: bool [samples, ...], where filling lowers the first network's score most.
    """

    on: object
    networks: list
    masks: np.ndarray
    gates: tuple
    oracle: np.ndarray | None = None
    used: np.ndarray | None = None


def prepare(subject, *, seed):
    """Networks that learned the rival cue, samples, and the networks' own answers, for all methods to share -> `Prepared`, or None
    where a world has no rival cue or too few networks.
    """
    del seed  # Networks and samples are the world's, the same for every seed of a check.
    if any(gate.status != "passed" for gate in _world_gates(subject)):
        return None
    pair, count = (subject.world, subject.world.rival), len(subject.replicates)
    networks = [*subject.replicates, *_train_rivals(subject, count)]
    factors = subject.world.factors(np.random.default_rng([subject.seed, 8]), 12 * len(subject.names))
    samples = [world.render(factors) for world in pair]
    right = _answers_right(subject.network, networks, samples, count)
    chosen = np.flatnonzero(right.all(axis=0) & (samples[0].cue_labels == samples[1].cue_labels))[: len(subject.names)]
    passed = (
        *_learning_gates(subject, right, count),
        *_use_gates(subject, networks, factors, pair),
        _samples_gate(chosen),
    )
    masks = np.stack([sample.masks[chosen] for sample in samples])
    if any(gate.status != "passed" for gate in passed):
        return Prepared(subject, networks, masks, passed)
    return _with_oracle(Prepared(_subject_at(subject, samples[0], chosen), networks, masks, passed))


def _world_gates(subject):
    """Whether networks can have learned another cue of the same inputs: list of `Gate`."""
    rival = subject.world is not None and subject.world.rival is not None
    words = "two in this world" if rival else "these data hold no two planted cues: name a world that does"
    return [
        Gate("two planted cues", "passed" if rival else "not applicable", words),
        gates.enough_networks("replicates", subject.replicates, NETWORKS),
    ]


def _train_rivals(subject, count):
    """Weights of networks that learn the rival cue: list of dict."""
    rival, trainer = subject.world.rival, Trainer(subject.network, subject.world.rival.training)
    training_data = rival.training_data(subject.seed)
    seeds = [derive_seed(subject.seed, "network that learns the rival cue", turn) for turn in range(count)]
    return [trainer.train(training_data.inputs, training_data.labels, seed, subject.cache) for seed in seeds]


def _logits(network):
    return lambda inputs: routines.class_logits(network, inputs)


def _answers_right(network, networks, samples, count):
    """Whether each network answers as its own cue says: bool [networks, samples]."""
    right = []
    for turn, state in enumerate(networks):
        cue = samples[turn >= count]
        with network.weights(state):
            right.append(_logits(network)(cue.inputs).argmax(axis=1) == cue.cue_labels)
    return np.stack(right)


def _learning_gates(subject, right, count):
    """Each network knows its cue, and neither cue is known better than the other: list of `Gate`."""
    groups = {"the cue": right[:count], "the rival cue": right[count:]}
    worst = {name: group[group.mean(axis=1).argmin()] for name, group in groups.items()}
    competent = {name: gates.competence(replace(subject, correct=group)) for name, group in worst.items()}
    shares = {name: group.mean() for name, group in groups.items()}
    words = "; ".join(f"{name} right on {share:.2f} of {right.shape[1]} samples" for name, share in shares.items())
    alike = abs(shares["the cue"] - shares["the rival cue"]) <= ALIKE
    learned = all(gate.status == "passed" for gate in competent.values())
    lowest = "; ".join(f"the lowest for {name}: {gate.words}" for name, gate in competent.items())
    return [
        Gate("both cues learned", "passed" if learned else "failed", words if learned else f"{words}; {lowest}"),
        Gate("cues equally learned", "passed" if alike else "failed", f"{words}; at most {ALIKE} apart"),
    ]


def _use_gates(subject, networks, factors, pair):
    """Each network uses its own cue and leaves the rest alone, the other cue first of all: list of `Gate`."""
    names, lowest = ("networks use the cue", "networks use the rival cue"), []
    for name, world, states in zip(names, pair, np.array_split(np.array(networks, object), 2)):
        swapped = counterfactuals(world, {key: values[:SWAPPED] for key, values in factors.items()})
        proofs = []
        for state in states:
            with subject.network.weights(state):
                proofs.append(counterfactual_use(swapped, _logits(subject.network)))
        proof = {key: min(proof[key] for proof in proofs) for key in proofs[0]}
        lowest.append(replace(gates.proven_use(proof), name=name))
    return lowest


def _samples_gate(chosen):
    words = f"{len(chosen)} samples whose cues agree and that all networks answer so; needed: {FEWEST}"
    return Gate("samples to ask about", "passed" if len(chosen) >= FEWEST else "failed", words)


def _subject_at(subject, samples, chosen):
    """The subject at other samples of its world."""
    cue_labels = samples.cue_labels[chosen]
    return replace(
        subject,
        inputs=samples.inputs[chosen],
        objective=logit([int(label) for label in cue_labels]),
        names=tuple(f"{subject.world.name}[{index}]" for index in chosen),
        labels=cue_labels,
        targets=cue_labels,
    )


def _with_oracle(prepared):
    """With every network's own answer: how its score falls where windows are filled."""
    few = slice(ANSWERED)
    masks, on = prepared.masks[:, few], replace(prepared.on, inputs=prepared.on.inputs[few])
    on = replace(on, names=on.names[few], objective=on.objective.rows(list(range(len(on.inputs)))))
    falls = []
    for state in prepared.networks:
        with on.network.weights(state):
            falls.append(np.maximum(occlusion(on, fill=FILL), 0))
    oracle = np.stack([_rank_on_cues(fall, masks) for fall in falls])
    return replace(prepared, oracle=oracle, used=_highest_places(falls[0], masks[0]))


def _rank_on_cues(relevance, masks):
    """Rank on both cues: relevance [samples, ...], masks [2, samples, ...] -> float64 [2, samples]; nan for an unusable map."""
    return np.stack([_scores(DECIDES, relevance, mask) for mask in masks])


def _scores(name, relevance, masks):
    score = localisations.get(name)
    return np.array([score(row, mask) if _varies(row) else np.nan for row, mask in zip(relevance, masks)])


def _varies(row):
    return bool(np.isfinite(row).all() and row.min() < row.max())


def _highest_places(values, masks):
    """As many highest places of each sample as its mask has: bool like the masks."""
    highest = np.zeros(masks.shape, bool)
    for row, mask, places in zip(values, masks, highest):
        places.flat[np.argsort(-row, axis=None, kind="stable")[: int(mask.sum())]] = True
    return highest


@checks.register(prepare=prepare)
def truth(explainer, subject, *, seed, prepared=None, **options):
    """Does the map lie on the cue that its network learned, more than maps of networks that learned the other cue do? -> `Evidence`.

    Needs a world with two cues and four replicates. Samples: `rank` and `oracle`, float64 [networks, 2 cues, samples], the networks
    that learned the first cue first; `data/NAME`, `rival/NAME` and `model/NAME`, measurements of the first network's maps against the
    cue's mask, the other cue's and the network's own answer. options: the explainer's own.
    """
    possible = _world_gates(subject)
    prepared = prepared or prepare(subject, seed=seed)
    passed = [*possible, *(prepared.gates if prepared else ())]
    bound = BoundExplainer(explainer, prepared.on if prepared else subject, seed, options)
    if any(gate.status != "passed" for gate in passed):
        return bound.evidence("truth", {}, passed)
    relevance = _network_relevances(bound, prepared)
    rank = np.stack([_rank_on_cues(maps, prepared.masks) for maps in relevance])
    samples = {"rank": rank, "oracle": prepared.oracle, **_localisations(relevance[0], prepared)}
    usable = [bool(fine) or None for fine in np.isfinite(rank[:, 0]).ravel()]
    passed += [gates.usable_maps(usable), gates.restored_weights()]
    sizes = {"replicates": len(subject.replicates), "rivals": len(prepared.networks) - len(subject.replicates)}
    return bound.evidence("truth", samples, passed, sizes=sizes, maps={"trained": relevance[0].astype("float32")})


def _network_relevances(bound, prepared):
    """Relevance of every network at the same samples: list of float64 [samples, ...].

    The two kinds take turns: what an explainer keeps from its last call is of the other kind, and what drifts is shared by both.
    """
    half, relevance = len(prepared.networks) // 2, [None] * len(prepared.networks)
    with bound.subject.network.intact():
        for turn in alternating_order(half):
            state = ("replicate", turn) if turn < half else ("network of the rival cue", turn - half)
            with bound.subject.network.weights(prepared.networks[turn]):
                relevance[turn] = relevances(bound.maps(state=state), prepared.masks[0].shape)
    return relevance


def alternating_order(half):
    """Places of networks, one of either kind in turn: list of int."""
    return np.arange(2 * half).reshape(2, half).T.ravel().tolist()


def _localisations(relevance, prepared):
    """Every localisation of the first network's maps: dict of name to float64 [samples]."""
    targets = {"data": prepared.masks[0], "rival": prepared.masks[1], "model": prepared.used}
    return {
        f"{target}/{name}": _scores(name, relevance, masks)
        for target, masks in targets.items()
        for name in localisations
    }


@rules.register(
    name="truth",
    about=About(
        "Follows the cue in use",
        "crossing",
        {
            "FOLLOWS THE CUE": "maps lie on the cue that the network learned, more than maps of networks that learned the other cue",
            "DOES NOT FOLLOW THE CUE": "maps lie no more on the cue that the network learned than maps of networks that did not learn it; {why}",
            "BARELY": "{why}",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "it is not shown that the networks' own answers tell the two cues apart; {why}",
        },
        similarity="rank = share of as many highest values as a cue has pixels that lie in it; on the cue in use less on the other, both ways",
        ceiling="the networks' own answer",
        cannot="Cannot conclude: that the maps are right elsewhere, that they are of this very sample where a cue lies in the same places always (tables, scenes), or anything about other networks or data. It is crossed: which of two cues the network learned.",
        counted={"images": "images", "replicates": "networks that learned the cue", "rivals": "that learned the other"},
    ),
)
def judge_truth(family, margins, seed):
    """Which network learned which cue is permuted exactly, the signs of images are flipped, and the larger p counts; max-T over methods."""
    oracle = family[0].samples["oracle"]
    ceiling, p = _by_networks(oracle), float(_adjusted_p([oracle], len(oracle) // 2, seed)[0])
    if not (p < margins.alpha and ceiling.mean >= margins.known):
        why = f"the networks' own answer by occlusion: {ceiling}, p = {p:.2g}"
        return [Ruling("INVALID", "ORACLE DOES NOT PASS", why=why) for _ in family]
    adjusted = {}
    for places in families(family):
        values = _adjusted_p([family[place].samples["rank"] for place in places], len(oracle) // 2, seed)
        adjusted |= dict(zip(places, map(float, values)))
    return [
        _judge_crossing(evidence.samples, adjusted[place], ceiling, margins, seed)
        for place, evidence in enumerate(family)
    ]


def preferences(rank):
    """How much more a map lies on the first cue than on the second: [networks, 2, samples] -> float64 [networks, samples].

    The lowest of an image is subtracted from all, which changes no difference between networks and leaves exactly zero where none is.
    """
    values = rank[:, 0] - rank[:, 1]
    return values - np.fmin.reduce(values, axis=0)


def crossing_contrast(rank):
    """The crossing of each sample, mean over networks: [networks, 2, samples] -> float64 [samples]."""
    values, half = preferences(rank), len(rank) // 2
    return finite_mean(values[:half], 0) - finite_mean(values[half:], 0)


def _by_networks(rank):
    """The crossing with networks for units: `Interval`."""
    values, half = finite_mean(preferences(rank), 1), len(rank) // 2
    return between_means(values[:half], values[half:])


def _adjusted_p(ranks, half, seed):
    """p of each member, the larger of two tests: float64 [members].

    Maps that do not come from the network's evidence can still differ between the groups by the luck of the images, the same for
    all networks of a group; maps of one lucky network can differ in all images.
    """
    networks = role_permutations([finite_mean(preferences(rank), 1) for rank in ranks], half)
    return np.maximum(networks, sign_flips([crossing_contrast(rank) for rank in ranks], seed=seed))


def _judge_crossing(samples, p, ceiling, margins, seed):
    effect, images = _by_networks(samples["rank"]), two_way(crossing_contrast(samples["rank"])[None], seed=seed)
    bar = margins.small * ceiling.mean
    numbers = {"effect": effect, "ceiling": ceiling, "p": p, "also": _extra_numbers(samples, images, seed)}
    small = max(effect.high, images.high) <= bar
    if p < margins.alpha and not small:
        return Ruling("PASS", "FOLLOWS THE CUE", **numbers, why=f"p is below {margins.alpha}")
    if p < margins.alpha:
        why = f"it shows, but by less than {margins.small} of what the networks' own answer reaches"
        return Ruling("INCONCLUSIVE", "BARELY", **numbers, why=why)
    if small:
        exact = "exactly zero" if not np.nan_to_num(crossing_contrast(samples["rank"])).any() else f"below {bar:.3f}"
        return Ruling("FAIL", "DOES NOT FOLLOW THE CUE", **numbers, why=f"the crossing is {exact}")
    why = f"the crossing is neither above zero at {margins.alpha} nor below {margins.small} of the networks' own answer"
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=why)


def mean_ranks(rank):
    """The four numbers of the crossing, mean over images: [networks, 2, samples] -> float64 [2 groups, 2 cues, networks of a group]."""
    means = finite_mean(rank, 2)
    return np.stack(np.split(means, 2)).transpose(0, 2, 1)


FOUR = ("first cue, used", "second cue, unused", "first cue, unused", "second cue, used")


def _extra_numbers(samples, images, seed):
    """The four numbers, the interval over images, and the measurements, in words: tuple of pairs."""
    means = mean_ranks(samples["rank"]).mean(axis=2).ravel()
    measured = [(name, values) for name, values in samples.items() if name.startswith(("data/", "rival/", "model/"))]
    return (
        ("crossing over images", str(images)),
        *((name, f"{mean:.2f}") for name, mean in zip(FOUR, means)),
        *((name, str(two_way(values[None], seed=seed))) for name, values in measured),
    )
