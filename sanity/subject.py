"""Subject: a network with the data it is to be explained on, the target frozen before anything is touched."""

import warnings
from dataclasses import dataclass, field

import numpy as np

from lab import routines
from lab.environment import tf
from lab.labels import correct_classes
from lab.objectives import Objective, class_score, logit, region
from lab.refusal import Refused
from lab.registry import nearest
from sanity.worlds.training import Trainer, no_cache
from sanity.worlds.world import counterfactual_use, counterfactuals

# With fewer samples that all replicates get right, the competence gate fails anyway; some are kept to show.
FEWEST = 8


@dataclass(frozen=True)
class Truth:
    """masks: bool [samples, ...] without channels, what decides; proof: numbers of `worlds.world.counterfactual_use`; oracle: in words."""

    masks: np.ndarray
    proof: dict
    oracle: str


@dataclass(frozen=True)
class Subject:
    """network; inputs as the model takes them; objective, one target per sample, frozen; names of the samples; correct: bool of
    a held-out set, whether the network was right, or None where there are no labels; labels: int [samples] or None; classes:
    how many there are; chance: the share of them that is right for a sample, None: one of all. replicates: weights of networks trained alike from other seeds, the network's own first; permuted_label_networks: of those
    trained on permuted labels, and `train_accuracy`, how well they remember them. truth: where it is planted. world: where it comes
    from, for checks that train anew. targets: int [samples], the class each sample is asked about. output: the name of the output
    that is asked, or None for the only one. true: bool [samples, classes], the true classes, or None where there are no labels.
    """

    network: object
    inputs: object
    objective: Objective
    names: tuple
    correct: np.ndarray | None = None
    labels: np.ndarray | None = None
    classes: int = 2
    replicates: tuple = ()
    permuted_label_networks: tuple = ()
    train_accuracy: tuple = ()
    truth: Truth | None = None
    world: object = None
    seed: int = 0
    cache: object = field(default=no_cache, compare=False)
    targets: np.ndarray | None = None
    output: str | None = None
    chance: float | None = None
    true: np.ndarray | None = None

    @property
    def tells_classes_apart(self):
        """Whether the output has one score a class, of two classes or more: bool."""
        return self.classes > 1 and len(self.network.outputs[self.network.output_name(self.output)]) < 3


def subject(network, data, *, target="top", output=None, region=None, fit="squash"):
    """A network and images -> `Subject`.

    target: "top", each image's own highest class on the network as it is, or a class name or index. output: the name of one of
    several outputs. region: for an output with positions, whether the target's score is averaged over "all" of them or over those
    where it is "predicted". Raises Refused for labels that are no classes, and for an output that cannot be asked so.
    """
    inputs, name = _inputs(network, data, fit), _output(network, output)
    _refuse_region(network, name, region)
    scores = _scores(network, inputs, name, data.labels is not None)
    _refuse_prediction(scores, name, region)
    means = scores.reshape(len(scores), -1, scores.shape[-1]).mean(axis=1)
    top = _top(network, scores, name)
    targets = top if target == "top" else np.full(len(top), network.class_index(target, name))
    objective = (_of_class if scores.ndim == 2 else _regional)(network, targets, scores, name, region)
    network.check(objective)
    _warn_collapsed(network, inputs, means)
    return Subject(
        network,
        inputs,
        objective,
        tuple(data.names),
        classes=means.shape[1],
        targets=targets,
        output=name,
        **_graded(network, data.labels, scores, name, top),
    )


def _top(network, scores, name):
    """Each sample's own highest class, of an output with positions the one that most of them are given: int [samples]."""
    if scores.ndim == 2:
        return scores.argmax(axis=1)
    if scores.shape[-1] != network.outputs[name][-1]:
        # Of one unit at each position, a map of its own class: the other is what is left, most of most images.
        return np.ones(len(scores), int)
    return _predicted(scores)


def _graded(network, labels, scores, name, top):
    """What labels say of the answers: dict of `correct`, `labels`, `chance` and `true` of a `Subject`; empty where there are none to ask."""
    if labels is None:
        return {}
    right = correct_classes(labels, scores.shape[-1], network.names_in(name))
    if scores.ndim > 2:
        return {}
    one_each = (right.sum(axis=1) == 1).all()
    return {
        "correct": right[np.arange(len(top)), top],
        "labels": right.argmax(axis=1) if one_each else None,
        "chance": float(right.mean()),
        "true": right,
    }


def _inputs(network, data, fit):
    """What the network takes for each image, with what lies beside it where it takes more than one input."""
    pictures = network.preprocess(data.images, fit=fit)
    if data.table is not None:
        return network.with_table(pictures, data.table)
    if len(network.places()) > 1:
        raise Refused(
            f"A network of several inputs is given all of them: what it takes beside images with table=. Received: {network.name}, which takes {', '.join(name for name, _ in network.places())}, and images alone."
        )
    return pictures


def _output(network, output):
    """The output that is asked, by name: the only one, where none is named."""
    if output is None and len(network.outputs) == 1:
        return next(iter(network.outputs))
    if output is None:
        raise Refused(
            f"The network has several outputs: name one with output=. Received: none. {nearest('', network.outputs)}"
        )
    if output not in network.outputs:
        raise Refused(f"Unknown output. Received: {output!r}. {nearest(output, network.outputs)}")
    return output


def _scores(network, inputs, name, labelled):
    """What an output says of every class: float32 [samples, ..., classes]; (0, unit) of one unit that tells two classes apart.

    One unit does where it is a sigmoid, has two class names or is given labels, and where a closed model's answers read as
    probabilities; any other is a number, such as a regression's, and no class.
    """
    if len(network.outputs[name]) < 3:
        scores = routines.class_logits(network, inputs, output=name)
        # Of a closed model's probability both columns say something.
        number = _one_unit(network, name) and not (network.two_classes(name) or labelled or scores[:, 0].any())
        return scores[:, 1:] if number else scores
    scores = routines.outputs(network, inputs)[name]
    two = scores.shape[-1] == 1 and network.two_classes(name)
    return np.concatenate([np.zeros_like(scores), scores], axis=-1) if two else scores


def _one_unit(network, name):
    return network.outputs[name][1:] in ((), (1,))


def _of_class(network, targets, scores, output, _):
    """Each sample's score for its class: its own logit, or of one unit that stands for two classes, that unit with either sign."""
    score = class_score if _one_unit(network, output) and scores.shape[1] == 2 else logit
    return score(targets.tolist(), output=output if len(network.outputs) > 1 else None)


def _refuse_region(network, name, region):
    shape = network.outputs[name]
    if len(shape) > 2 and region is None:
        raise Refused(
            f"An output with positions is asked over a region: region='all' or 'predicted'. Received: {name!r} of {network.name}, of shape {shape}, and no region=."
        )
    if len(shape) < 3 and region is not None:
        raise Refused(
            f"A region is of an output with positions. Received: region={region!r} for {name!r} of shape {shape}."
        )


def _refuse_prediction(scores, name, region):
    if region == "predicted" and scores.shape[-1] == 1:
        raise Refused(
            f"A class is predicted where an output tells classes apart. Received: region='predicted' for the one number of {name!r} at each position; region='all' explains its mean."
        )


def _predicted(scores):
    """The class that most positions of each sample are given: int [samples]."""
    flat = scores.reshape(len(scores), -1, scores.shape[-1]).argmax(axis=-1)
    return np.array([np.bincount(row).argmax() for row in flat])


def _regional(network, targets, scores, output, place):
    """The mean score of each sample's target over all positions, or where it is predicted: all of them where it is nowhere.

    Of one unit at each position, which tells two classes apart, that unit for class 1 and minus it for class 0.
    """
    chosen = scores.argmax(axis=-1) == targets.reshape(-1, *[1] * (scores.ndim - 2))
    masks = [mask if place == "predicted" and mask.any() else np.ones_like(mask) for mask in chosen]
    if scores.shape[-1] == network.outputs[output][-1]:
        return region(targets.tolist(), masks, output=output)
    # All samples have one target: the first, or the one that was named.
    return region(0, masks, output=output) * (1 if targets.all() else -1)


def _warn_collapsed(network, inputs, means):
    """Warn of a network that gives the same answer to different inputs, up to rounding."""
    alike = np.ptp(means, axis=0).max() <= 1e-6 * np.abs(means).max()
    if alike and any(
        not np.array_equal(leaf[:1], other) for leaf in tf.nest.flatten(inputs) for other in leaf[1:, None]
    ):
        warnings.warn(
            f"{network.name} has collapsed: it answers all {len(means)} inputs alike. Nothing that is asked of it depends on them.",
            stacklevel=3,
        )


def planted(world, *, seed, replicates=1, permuted_label_networks=0, images=48, cache=no_cache):
    """A world's networks, trained, with samples of it to explain -> `Subject`.

    replicates, permuted_label_networks: how many networks to train on the true labels, and on permuted ones. images: samples kept, those that
    every replicate answers as the cue says. cache: see `Trainer.train`. Raises Refused for replicates of a world without training.
    """
    network = world.network()
    if world.training is None and (replicates > 1 or permuted_label_networks):
        raise Refused(
            f"Replicates are trained from other seeds. Received: {world.name}, whose weights are set by hand."
        )
    states, wrong, train_accuracy = _trained(world, network, seed, replicates, permuted_label_networks, cache)
    if states:
        network.adopt(states[0])
    samples, factors = world.draw(8 * images, seed)
    correct = _logits(network, samples.inputs).argmax(1) == samples.cue_labels
    chosen = _answered(network, states, samples, images)
    cue_labels = samples.cue_labels[chosen]
    return Subject(
        network,
        samples.inputs[chosen],
        logit([int(each) for each in cue_labels]),
        tuple(f"{world.name}[{index}]" for index in chosen),
        correct,
        cue_labels,
        network.outputs[next(iter(network.outputs))][-1],
        tuple(states),
        tuple(wrong),
        tuple(train_accuracy),
        _truth(world, network, samples, factors, chosen),
        world,
        seed,
        cache,
        targets=cue_labels,
    )


def _answered(network, states, samples, images):
    """Rows of samples that every replicate answers as the cue says; the first ones where there are too few of these to look at."""
    right = np.ones(len(samples), bool)
    for state in states or ({},):
        with network.weights(state):
            right &= _logits(network, samples.inputs).argmax(1) == samples.cue_labels
    found = np.flatnonzero(right)[:images]
    return found if len(found) >= FEWEST else np.arange(min(images, len(samples)))


def _truth(world, network, samples, factors, chosen):
    if samples.masks is None:
        return None
    proof = counterfactual_use(counterfactuals(world, factors), lambda inputs: _logits(network, inputs))
    return Truth(samples.masks[chosen], proof, world.oracle)


def _trained(world, network, seed, replicates, permuted_label_networks, cache):
    """-> weights on true labels, weights on permuted ones, and how well these remember them."""
    if world.training is None:
        return [], [], []
    trainer, training_data = Trainer(network, world.training), world.training_data(seed)
    states = [
        trainer.train(training_data.inputs, training_data.labels, _seed(seed, "replicate", turn), cache)
        for turn in range(replicates)
    ]
    wrong, train_accuracy = [], []
    for turn in range(permuted_label_networks):
        # A permutation for each network: what they had in common would otherwise pass for what they learned.
        labels = np.random.default_rng([seed, 4, turn]).permutation(training_data.labels)
        wrong.append(trainer.train(training_data.inputs, labels, _seed(seed, "permuted_label_networks", turn), cache))
        with network.weights(wrong[-1]):
            train_accuracy.append(float(np.mean(_logits(network, training_data.inputs).argmax(1) == labels)))
    return states, wrong, train_accuracy


def _logits(network, inputs):
    return routines.class_logits(network, inputs)


def _seed(seed, kind, turn):
    return int(
        np.random.SeedSequence([seed, {"replicate": 5, "permuted_label_networks": 6}[kind], turn]).generate_state(1)[0]
        >> 1
    )
