"""Subject: a network with the data it is to be explained on, the target frozen before anything is touched."""

from dataclasses import dataclass, field

import numpy as np

from lab import routines
from lab.objectives import Objective, logit
from lab.refusal import Refused
from sanity.worlds.training import Trainer, make_anew
from sanity.worlds.world import uses

# With fewer samples that all twins get right, the competence gate fails anyway; some are kept to show.
FEWEST = 8


@dataclass(frozen=True)
class Truth:
    """masks: bool [samples, ...] without channels, what decides; decoys: what does not, or None; proof: numbers of `worlds.world.uses`;
    oracle: in words.
    """

    masks: np.ndarray
    decoys: np.ndarray | None
    proof: dict
    oracle: str


@dataclass(frozen=True)
class Subject:
    """network; inputs as the model takes them; objective, one target per sample, frozen; names of the samples; correct: bool of
    a held-out set, whether the network was right, or None where there are no labels; labels: int [samples] or None; classes:
    how many there are. twins: weights of networks trained alike from other seeds, the network's own first; misled: of those
    trained on permuted labels, and `memorized`, their training accuracies. truth: where it is planted. world: where it comes
    from, for checks that train anew.
    """

    network: object
    inputs: object
    objective: Objective
    names: tuple
    correct: np.ndarray | None = None
    labels: np.ndarray | None = None
    classes: int = 2
    twins: tuple = ()
    misled: tuple = ()
    memorized: tuple = ()
    truth: Truth | None = None
    world: object = None
    seed: int = 0
    keep: object = field(default=make_anew, compare=False)


def subject(network, data, *, target="top", fit="squash"):
    """A network and images -> `Subject`. target: "top", each image's own highest class on the network as it is, or a class name or index."""
    inputs = network.preprocess(data.images, fit=fit)
    scores = routines.logits(network, inputs)
    top = [int(each) for each in scores.argmax(axis=1)]
    index = top if target == "top" else network.class_index(target)
    network.check(logit(index))
    labels = None if data.labels is None else np.array([network.class_index(label) for label in data.labels])
    correct = None if labels is None else labels == top
    return Subject(network, inputs, logit(index), tuple(data.names), correct, labels, scores.shape[1])


def planted(world, *, seed, twins=1, misled=0, images=48, keep=make_anew):
    """A world's networks, trained, with samples of it to explain -> `Subject`.

    twins, misled: how many networks to train on the true labels, and on permuted ones. images: samples kept, those that
    every twin answers as the cue says. keep: see `Trainer.train`. Raises Refused for twins of a world without training.
    """
    network = world.network()
    if world.training is None and (twins > 1 or misled):
        raise Refused(f"Twins are trained from other seeds. Received: {world.name}, whose weights are set by hand.")
    states, wrong, memorized = _trained(world, network, seed, twins, misled, keep)
    if states:
        network.adopt(states[0])
    samples, factors = world.draw(8 * images, seed)
    correct = _logits(network, samples.inputs).argmax(1) == samples.told
    chosen = _answered(network, states, samples, images)
    told = samples.told[chosen]
    return Subject(
        network,
        samples.inputs[chosen],
        logit([int(each) for each in told]),
        tuple(f"{world.name}[{index}]" for index in chosen),
        correct,
        told,
        network.outputs[next(iter(network.outputs))][-1],
        tuple(states),
        tuple(wrong),
        tuple(memorized),
        _truth(world, network, samples, factors, chosen),
        world,
        seed,
        keep,
    )


def _answered(network, states, samples, images):
    """Rows of samples that every twin answers as the cue says; the first ones where there are too few of these to look at."""
    right = np.ones(len(samples), bool)
    for state in states or ({},):
        with network.weights(state):
            right &= _logits(network, samples.inputs).argmax(1) == samples.told
    found = np.flatnonzero(right)[:images]
    return found if len(found) >= FEWEST else np.arange(min(images, len(samples)))


def _truth(world, network, samples, factors, chosen):
    if samples.masks is None:
        return None
    proof = uses(world, factors, lambda inputs: _logits(network, inputs))
    decoys = None if samples.decoys is None else samples.decoys[chosen]
    return Truth(samples.masks[chosen], decoys, proof, world.oracle)


def _trained(world, network, seed, twins, misled, keep):
    """-> weights on true labels, weights on permuted ones, and how well these remember them."""
    if world.training is None:
        return [], [], []
    trainer, lessons = Trainer(network, world.training), world.lessons(seed)
    states = [trainer.train(lessons.inputs, lessons.labels, _seed(seed, "twin", turn), keep) for turn in range(twins)]
    wrong, memorized = [], []
    for turn in range(misled):
        # A permutation for each network: what they had in common would otherwise pass for what they learned.
        labels = np.random.default_rng([seed, 4, turn]).permutation(lessons.labels)
        wrong.append(trainer.train(lessons.inputs, labels, _seed(seed, "misled", turn), keep))
        with network.weights(wrong[-1]):
            memorized.append(float(np.mean(_logits(network, lessons.inputs).argmax(1) == labels)))
    return states, wrong, memorized


def _logits(network, inputs):
    return routines.logits(network, inputs)


def _seed(seed, kind, turn):
    return int(np.random.SeedSequence([seed, {"twin": 5, "misled": 6}[kind], turn]).generate_state(1)[0] >> 1)
