"""Cue networks: networks that learned one of two cues at the same inputs, and samples to ask them about."""

import functools
from dataclasses import dataclass, replace

import numpy as np

from lab import routines
from sanity import gates
from sanity.answers import answers, share
from sanity.evidence import Gate
from sanity.interventions import occlusion
from sanity.localisation import localisations
from sanity.subject import FEWEST, label_objective
from sanity.world_networks import WorldNetworks, logits_of_networks
from sanity.worlds.world import counterfactual_use, counterfactuals

# The localisation that decides. It depends on places only: neither the scale of a map nor a few extreme values matter.
DECIDES = "rank"
# Three networks of each kind allow no p below .05.
NETWORKS = 4
# How far apart the accuracies of the two kinds of networks may lie.
ALIKE = 0.1
# The network's own answer is measured on at most so many samples. The fill of its windows says nothing of one sample.
ANSWERED, FILL = 32, "typical"
# Swaps are made on at most so many samples.
SWAPPED = 200


@dataclass(frozen=True)
class Prepared:
    """Networks of two cues with samples to ask them about, for all methods to share.

    Args:
        on: the `Subject` at samples whose cues agree, or as it is where a gate failed.
        networks: list of weights, first of networks that learned the cue, then of those that learned the rival cue.
        masks: bool [2 cues, samples, ...].
        gates: tuple of `Gate`, about the networks.
        oracle: float64 [networks, 2 cues, samples], rank of the networks' own answers; None where a gate failed.
        used: bool [samples, ...], where filling lowers the first network's score most; None where a gate failed.
    """

    on: object
    networks: list
    masks: np.ndarray
    gates: tuple
    oracle: np.ndarray | None = None
    used: np.ndarray | None = None


def prepare(subject, *, seed, once=None):
    """Train networks on the rival cue, choose samples, and measure the networks' own answers.

    Args:
        subject: the `Subject`.
        seed: unused; networks and samples are the world's, the same for every seed of a check.
        once: as of `sanity.checks.prepare_shared`.

    Returns:
        `Prepared`, or None where a world has no rival cue or too few networks.
    """
    if _refuses(subject):
        return None
    answer = share("cues", subject, seed, once)
    samples = [world.render(_draw_factors(subject)) for world in (subject.world, subject.world.rival)]
    rows, masks = answer["rows"], np.stack([sample.masks[answer["rows"]] for sample in samples])
    network_gates = tuple(Gate(*map(str, gate)) for gate in answer["gates"])
    on = _subject_at(subject, samples[0], rows) if _passed(network_gates) else subject
    return Prepared(on, _both_kinds(subject), masks, network_gates, answer.get("oracle"), answer.get("used"))


def _refuses(subject):
    return not _passed(world_gates(subject))


def _passed(gates_of_networks):
    return all(gate.status == "passed" for gate in gates_of_networks)


def _draw_factors(subject):
    return subject.world.factors(np.random.default_rng([subject.seed, 8]), 12 * len(subject.names))


def _both_kinds(subject):
    """Weights of networks that learned the cue, and then of those that learned the rival cue: list of dict."""
    return [*subject.replicates, *_train_rivals(subject, len(subject.replicates))]


# Windows are filled, and samples are tried and swapped, in every network, by forward passes.
@answers.register(name="cues", passes=300)
def own_answers(subject, *, seed):
    """Which samples are asked about, what networks of two cues have learned and use, and their own answers.

    Args:
        subject: the `Subject`.
        seed: unused; networks and samples are the world's, the same for every seed of a check.

    Returns:
        dict of arrays: rows, int [samples], and gates, str [gates, 3]; oracle and used, as of `Prepared`, where no gate
        failed. Empty where a world has no rival cue or too few networks.
    """
    del seed  # Networks and samples are the world's, the same for every seed of a check.
    if _refuses(subject):
        return {}
    pair, count = (subject.world, subject.world.rival), len(subject.replicates)
    networks, factors = _both_kinds(subject), _draw_factors(subject)
    samples = [world.render(factors) for world in pair]
    is_right = _answers_right(subject, networks, samples, count)
    rows = np.flatnonzero(is_right.all(axis=0) & (samples[0].cue_labels == samples[1].cue_labels))[: len(subject.names)]
    network_gates = (
        *_learning_gates(subject, is_right, count),
        *_use_gates(subject, networks, factors, pair),
        _samples_gate(rows),
    )
    arrays = {"rows": rows, "gates": np.array([(gate.name, gate.status, gate.words) for gate in network_gates])}
    if not _passed(network_gates):
        return arrays
    masks = np.stack([sample.masks[rows] for sample in samples])
    return arrays | _answers_by_occlusion(_subject_at(subject, samples[0], rows), networks, masks)


def world_gates(subject):
    """Whether networks can have learned another cue of the same inputs: list of `Gate`."""
    rival = subject.world is not None and subject.world.rival is not None
    words = (
        "two in this world"
        if rival
        else "these data hold no two planted cues: plant two (lab plant), or name a world that has two"
    )
    return [
        Gate("two planted cues", "passed" if rival else "not applicable", words),
        gates.enough_networks("replicates", subject.replicates, NETWORKS),
    ]


def _train_rivals(subject, count):
    """Weights of networks that learn the rival cue: list of dict."""
    networks = subject.networks
    if networks is None or networks.world is not subject.world:
        networks = WorldNetworks(subject.world, subject.seed, subject.network, subject.cache)
    return [networks.train("rival", index) for index in range(count)]


def _answers_right(subject, networks, samples, count):
    """Whether each network answers as its own cue says: bool [networks, samples]."""
    part = subject.world.part
    groups = zip(np.split(np.array(networks, object), [count]), samples)
    return np.concatenate(
        [
            logits_of_networks(subject.network, states, cue.inputs, part).argmax(axis=2) == cue.cue_labels
            for states, cue in groups
        ]
    )


def uses(world, factors, network, states):
    """What swaps show of several networks of one world.

    Args:
        world: a `World`.
        factors: dict of factor to array [count, ...].
        network: `Network`.
        states: list of weights.

    Returns:
        list of dict, one a network, as of `sanity.worlds.world.counterfactual_use`.
    """
    swapped = counterfactuals(world, factors)
    answers = {
        id(sample.inputs): logits_of_networks(network, states, sample.inputs, world.part) for sample in swapped.values()
    }
    return [
        counterfactual_use(swapped, lambda inputs, place=place: answers[id(inputs)][place])
        for place in range(len(states))
    ]


def _learning_gates(subject, is_right, count):
    """Each network knows its cue, and neither cue is known better than the other: list of `Gate`."""
    groups = {"the cue": is_right[:count], "the rival cue": is_right[count:]}
    worst = {name: group[group.mean(axis=1).argmin()] for name, group in groups.items()}
    competent = {name: gates.competence(replace(subject, correct=group)) for name, group in worst.items()}
    shares = {name: group.mean() for name, group in groups.items()}
    words = "; ".join(f"{name} right on {share:.2f} of {is_right.shape[1]} samples" for name, share in shares.items())
    alike = abs(shares["the cue"] - shares["the rival cue"]) <= ALIKE
    learned = all(gate.status == "passed" for gate in competent.values())
    lowest = "; ".join(f"the lowest for {name}: {gate.words}" for name, gate in competent.items())
    return [
        Gate("both cues learned", "passed" if learned else "failed", words if learned else f"{words}; {lowest}"),
        Gate("cues equally learned", "passed" if alike else "failed", f"{words}; at most {ALIKE} apart"),
    ]


def _use_gates(subject, networks, factors, pair):
    """Each network uses its own cue and ignores the rest, above all the other cue: list of `Gate`."""
    names, lowest = ("networks use the cue", "networks use the rival cue"), []
    few = {key: values[:SWAPPED] for key, values in factors.items()}
    for name, world, rival, states in zip(names, pair, pair[::-1], np.array_split(np.array(networks, object), 2)):
        proofs = uses(world, few, subject.network, states)
        lowest.append(replace(gates.proven_use(_worst(proofs), rival), name=name))
    return lowest


def _worst(proofs):
    """The number of the worst network for each that swaps give: dict."""
    return {
        name: (max if name.startswith("relative_shift/") else min)(proof[name] for proof in proofs)
        for name in proofs[0]
    }


def _samples_gate(rows):
    words = f"{len(rows)} samples whose cues agree and that all networks answer so; needed: {FEWEST}"
    return Gate("samples to ask about", "passed" if len(rows) >= FEWEST else "failed", words)


def _subject_at(subject, samples, rows):
    """The subject at other samples of its world."""
    cue_labels = samples.cue_labels[rows]
    return replace(
        subject,
        inputs=samples.inputs[rows],
        objective=label_objective(subject.network, cue_labels),
        names=tuple(f"{subject.world.name}[{index}]" for index in rows),
        labels=cue_labels,
        targets=cue_labels,
    )


def _answers_by_occlusion(on, networks, masks):
    """Every network's own answer, how its score falls where windows are filled: dict of oracle and used, as of `Prepared`."""
    few = slice(ANSWERED)
    on = replace(on, inputs=on.inputs[few], names=on.names[few])
    on = replace(on, objective=on.objective.rows(list(range(len(on.inputs)))))
    falls = np.maximum(occlusion(on, fill=FILL, scores=functools.partial(_scores_of_networks, on, networks)), 0)
    oracle = np.stack([rank_on_cues(fall, masks[:, few]) for fall in falls])
    return {"oracle": oracle, "used": _highest_places(falls[0], masks[0, few])}


def _scores_of_networks(subject, states, inputs):
    """The subject's score by every network: float64 [networks, samples]."""
    part = subject.world.part
    if part is None or len(subject.network.outputs[subject.network.output_name()]) < 2:
        scores = []
        for state in states:
            with subject.network.weights(state):
                scores.append(routines.scores(subject.network, inputs, subject.objective))
        return np.array(scores, "float64")
    logits = logits_of_networks(subject.network, states, inputs, part).astype("float64")
    rows, targets = np.arange(len(inputs)), subject.targets[: len(inputs)]
    target_logits = logits[:, rows, targets]
    one_unit = subject.network.outputs[subject.network.output_name()][-1] == 1
    return target_logits - logits[:, rows, 1 - targets] if one_unit else target_logits


def rank_on_cues(relevance, masks):
    """Rank accuracy of maps on both cues.

    Args:
        relevance: float [samples, ...].
        masks: bool [2, samples, ...].

    Returns:
        float64 [2, samples]; nan for an unusable map.
    """
    return np.stack([localisation_scores(DECIDES, relevance, mask) for mask in masks])


def localisation_scores(name, relevance, masks):
    """A localisation of maps in masks.

    Args:
        name: str, a name of `localisations`.
        relevance: float [samples, ...].
        masks: bool [samples, ...].

    Returns:
        float64 [samples]; nan for an unusable map.
    """
    score = localisations.get(name)
    return np.array([score(row, mask) if _varies(row) else np.nan for row, mask in zip(relevance, masks)])


def _varies(row):
    return bool(np.isfinite(row).all() and row.min() < row.max())


def _highest_places(values, masks):
    """The highest places of each sample, as many as its mask has: bool like the masks."""
    highest = np.zeros(masks.shape, bool)
    for row, mask, places in zip(values, masks, highest):
        places.flat[np.argsort(-row, axis=None, kind="stable")[: int(mask.sum())]] = True
    return highest
