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
from sanity.world_networks import WorldNetworks, logits_of_networks
from sanity.worlds.training import no_cache
from sanity.worlds.world import counterfactual_use, counterfactuals

# With fewer samples that all replicates get right, the competence gate fails anyway; the first ones are kept to show.
FEWEST = 8


@dataclass(frozen=True)
class Truth:
    """What is planted in the samples of a subject.

    Args:
        masks: bool [samples, ...] without channels, where the deciding part lies.
        proof: dict of numbers, as `worlds.world.counterfactual_use` gives them.
        oracle: str, what decides, in words.
    """

    masks: np.ndarray
    proof: dict
    oracle: str


@dataclass(frozen=True)
class Subject:
    """A network with the data and the target that it is explained for.

    Args:
        network: the `Network`.
        inputs: arrays, as the model takes them.
        objective: `Objective`, one target per sample, fixed before anything is changed.
        names: tuple of str, one a sample.
        correct: bool [held-out samples], whether the network was right; None without labels.
        labels: int [samples], or None.
        classes: int, how many classes there are.
        replicates: weights of networks trained alike from other seeds, the network's own first.
        permuted_label_networks: weights of networks trained on permuted labels.
        train_accuracy: the accuracy of each of these on its own permuted labels.
        truth: `Truth`, where something is planted.
        world: the `World` that the data come from, for checks that train anew.
        seed: int, of the world's draws.
        cache: where trained weights are kept, see `Trainer.train`.
        targets: int [samples], the class that each sample is explained for.
        output: str, the name of the explained output; None for the only one.
        chance: float, the mean share of classes that are right for a sample; None: one of all.
        true: bool [samples, classes], the true classes, or None without labels.
        references: int [samples], the class that each target is compared with; None where none is.
        replicate_accuracy: the accuracy of each replicate of a user's network, None where labels are not known.
        networks: what trained the networks, `sanity.world_networks.WorldNetworks` or `sanity.finetuning.FinetunedNetworks`; None:
            none of these did.
        part: `sanity.worlds.trainable.UpperPart`, what alone differs between replicates; None: everything may.
        groups: sequence, the source of each sample; None: each is its own.
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
    references: np.ndarray | None = None
    replicate_accuracy: tuple = ()
    networks: object = field(default=None, compare=False)
    part: object = field(default=None, compare=False)
    groups: object = field(default=None, compare=False)

    @property
    def title(self):
        """What it is called in a verdict: str."""
        return self.network.name

    @property
    def sizes(self):
        """How many samples there are: dict."""
        return {"images": len(self.names)}

    @property
    def tells_classes_apart(self):
        """Whether the output has one score a class, of two classes or more: bool."""
        return self.classes > 1 and len(self.network.outputs[self.network.output_name(self.output)]) < 3


def subject(network, data, *, target="top", output=None, region=None, fit="squash"):
    """The subject of a network and data.

    Args:
        network: a `Network`.
        data: `lab.data.Data`.
        target: "top", each sample's own highest class on the network as it is, or a class name or index; for a network of one
            unit also the name of the column of labels, which means class 1.
        output: str, the name of one of several outputs.
        region: for an output with positions: "all", the target's mean score over all of them, or "predicted", over
            those that predict it.
        fit: how images are brought to the network's size.

    Returns:
        `Subject`.

    Raises:
        Refused: for labels that are no classes, and for an output or region that does not fit the network.
    """
    inputs, name = data.inputs_of(network, fit), _output_name(network, output)
    _refuse_region(network, name, region)
    scores = _class_scores(network, inputs, name, data.labels is not None)
    _refuse_prediction(scores, name, region)
    means = scores.reshape(len(scores), -1, scores.shape[-1]).mean(axis=1)
    top = _predicted_classes(network, scores, name)
    targets = top if target == "top" else np.full(len(top), _class_index(network, target, name, data.label))
    objective = (_class_objective if scores.ndim == 2 else _region_objective)(network, targets, scores, name, region)
    network.check(objective)
    _warn_collapsed(network, inputs, means)
    return Subject(
        network,
        inputs,
        objective,
        tuple(data.names),
        classes=means.shape[1],
        groups=data.groups,
        targets=targets,
        output=name,
        **_label_fields(network, data.labels, scores, name, top),
    )


def _class_index(network, target, output, label):
    """The index of the class that a target names. A column of 0 and 1 is named after what 1 means."""
    names = network.names_in(output) or ()
    if target == label and target not in names:
        if _has_one_unit(network, output):
            return 1
        raise Refused(
            f"A target names a class, or the column of labels of a network with one unit. Received: {target!r}, a column, for {network.name} with several units. Give the column as the label, and a class by its name or index as the target."
        )
    return network.class_index(target, output)


def _predicted_classes(network, scores, name):
    """Each sample's own highest class; of an output with positions, that of most positions: int [samples]."""
    if scores.ndim == 2:
        return scores.argmax(axis=1)
    if scores.shape[-1] != network.outputs[name][-1]:
        # One unit at each position scores one class. The other class is the rest, which is most of most images.
        return np.ones(len(scores), int)
    return _majority_class(scores)


def _label_fields(network, labels, scores, name, top):
    """The fields `correct`, `labels`, `chance` and `true` of a `Subject`: dict, empty without labels or with positions."""
    if labels is None:
        return {}
    is_right = correct_classes(labels, scores.shape[-1], network.names_in(name))
    if scores.ndim > 2:
        return {}
    one_each = (is_right.sum(axis=1) == 1).all()
    return {
        "correct": is_right[np.arange(len(top)), top],
        "labels": is_right.argmax(axis=1) if one_each else None,
        "chance": float(is_right.mean()),
        "true": is_right,
    }


def _output_name(network, output):
    """The name of the explained output: the only one where none is named."""
    if output is None and len(network.outputs) == 1:
        return next(iter(network.outputs))
    if output is None:
        raise Refused(
            f"The network has several outputs: name one with output=. Received: none. {nearest('', network.outputs)}"
        )
    if output not in network.outputs:
        raise Refused(f"Unknown output. Received: {output!r}. {nearest(output, network.outputs)}")
    return output


def _class_scores(network, inputs, name, labelled):
    """The score of every class of an output: float32 [samples, ..., classes]; (0, unit) for one unit of two classes.

    One unit separates two classes in four cases: it is a sigmoid, it has two class names, labels are given, or a closed
    model's outputs read as probabilities. In any other case it is a number, such as a regression's, and no class.
    """
    if len(network.outputs[name]) < 3:
        scores = routines.class_logits(network, inputs, output=name)
        # In a closed model's probabilities neither column is all zero.
        number = _has_one_unit(network, name) and not (network.two_classes(name) or labelled or scores[:, 0].any())
        return scores[:, 1:] if number else scores
    scores = routines.outputs(network, inputs)[name]
    two = scores.shape[-1] == 1 and network.two_classes(name)
    return np.concatenate([np.zeros_like(scores), scores], axis=-1) if two else scores


def _has_one_unit(network, name):
    return network.outputs[name][1:] in ((), (1,))


def _class_objective(network, targets, scores, output, _):
    """Each sample's score for its class: its logit, or for one unit of two classes, that unit with either sign."""
    score = class_score if _has_one_unit(network, output) and scores.shape[1] == 2 else logit
    return score(targets.tolist(), output=output if len(network.outputs) > 1 else None)


def _refuse_region(network, name, region):
    shape = network.outputs[name]
    if len(shape) > 2 and region is None:
        raise Refused(
            f"An output with positions needs a region: region='all' or 'predicted'. Received: {name!r} of {network.name}, of shape {shape}, and no region=."
        )
    if len(shape) < 3 and region is not None:
        raise Refused(
            f"A region needs an output with positions. Received: region={region!r} for {name!r} of shape {shape}."
        )


def _refuse_prediction(scores, name, region):
    if region == "predicted" and scores.shape[-1] == 1:
        raise Refused(
            f"region='predicted' needs an output that separates classes. Received: one number at each position of {name!r}. Use region='all' to explain its mean."
        )


def _majority_class(scores):
    """The class that most positions of each sample predict: int [samples]."""
    flat = scores.reshape(len(scores), -1, scores.shape[-1]).argmax(axis=-1)
    return np.array([np.bincount(row).argmax() for row in flat])


def _region_objective(network, targets, scores, output, region_name):
    """The mean score of each sample's target over all positions, or over those that predict it where any does.

    For one unit at each position, which separates two classes, it is that unit for class 1 and minus it for class 0.
    """
    at_target = scores.argmax(axis=-1) == targets.reshape(-1, *[1] * (scores.ndim - 2))
    masks = [mask if region_name == "predicted" and mask.any() else np.ones_like(mask) for mask in at_target]
    if scores.shape[-1] == network.outputs[output][-1]:
        return region(targets.tolist(), masks, output=output)
    # All samples have one target: the first, or the one that was named.
    return region(0, masks, output=output) * (1 if targets.all() else -1)


def _warn_collapsed(network, inputs, means):
    """Warn of a network whose outputs are the same for different inputs, up to rounding."""
    alike = np.ptp(means, axis=0).max() <= 1e-6 * np.abs(means).max()
    if alike and any(
        not np.array_equal(leaf[:1], other) for leaf in tf.nest.flatten(inputs) for other in leaf[1:, None]
    ):
        warnings.warn(
            f"{network.name} has collapsed: its outputs are the same for all {len(means)} inputs. No explanation can depend on them.",
            stacklevel=3,
        )


def world_subject(world, *, seed, replicates=1, permuted_label_networks=0, images=48, cache=no_cache, networks=None):
    """The trained networks of a world, with samples of it to explain.

    Args:
        world: a `World`.
        seed: int, of the networks and the samples.
        replicates: int, networks trained on the true labels.
        permuted_label_networks: int, networks trained on permuted labels.
        images: int, samples kept: the first ones that every replicate answers as the cue says.
        cache: where trained weights are kept, see `Trainer.train`.
        networks: `WorldNetworks` of the same world, seed and cache, or `StoredNetworks`; None: made here.

    Returns:
        `Subject`.

    Raises:
        Refused: for replicates of a world without training.
    """
    networks = networks or WorldNetworks(world, seed, cache=cache)
    network = networks.network
    states, permuted, train_accuracy = _train_networks(networks, replicates, permuted_label_networks)
    if states:
        network.adopt(states[0])
    samples, factors = world.draw(8 * images, seed)
    correct = _logits(network, samples.inputs).argmax(1) == samples.cue_labels
    rows = _rows_answered_right(world, network, states, samples, images)
    cue_labels = samples.cue_labels[rows]
    return Subject(
        network,
        samples.inputs[rows],
        label_objective(network, cue_labels),
        tuple(f"{world.name}[{index}]" for index in rows),
        correct,
        cue_labels,
        world.classes or network.outputs[next(iter(network.outputs))][-1],
        tuple(states),
        tuple(permuted),
        tuple(train_accuracy),
        _planted_truth(world, network, samples, factors, rows),
        world,
        seed,
        cache,
        targets=cue_labels,
        networks=networks,
    )


def label_objective(network, labels):
    """The score of each sample's own class: its logit, or of one unit for two classes that unit with either sign.

    Args:
        network: a `Network` of one output.
        labels: int [samples].

    Returns:
        `Objective`.
    """
    score = class_score if _has_one_unit(network, network.output_name()) else logit
    return score([int(label) for label in labels])


def _rows_answered_right(world, network, states, samples, images):
    """Rows of samples that every replicate answers as the cue says; the first rows where that are too few."""
    answers = logits_of_networks(network, states or ({},), samples.inputs, world.part).argmax(axis=2)
    is_right = (answers == samples.cue_labels).all(axis=0)
    rows = np.flatnonzero(is_right)[:images]
    return rows if len(rows) >= FEWEST else np.arange(min(images, len(samples)))


def _planted_truth(world, network, samples, factors, rows):
    if samples.masks is None:
        return None
    proof = counterfactual_use(counterfactuals(world, factors), lambda inputs: _logits(network, inputs))
    return Truth(samples.masks[rows], proof, world.oracle)


def _train_networks(networks, replicates, permuted_label_networks):
    """-> weights on true labels, weights on permuted labels, and the training accuracy of the latter."""
    if networks.world.training is None and replicates <= 1 and not permuted_label_networks:
        return [], [], []
    states = [networks.train("replicate", index) for index in range(replicates)]
    permuted, train_accuracy = [], []
    for index in range(permuted_label_networks):
        permuted.append(networks.train("permuted_label_networks", index))
        with networks.network.weights(permuted[-1]):
            predicted = _logits(networks.network, networks.inputs()).argmax(1)
        train_accuracy.append(float(np.mean(predicted == networks.labels("permuted_label_networks", index))))
    return states, permuted, train_accuracy


def _logits(network, inputs):
    return routines.class_logits(network, inputs)
