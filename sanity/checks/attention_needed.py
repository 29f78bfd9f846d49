"""Needed: does a network that is trained with uniform attention, for good, answer as well?

Wiegreffe, Pinter 2019, https://arxiv.org/abs/1908.04626. Where it does, the task does not need attention, and nothing that
attention does is a reason of the answers to it.
"""

import functools

import numpy as np

from lab import routines
from lab.attention import uniform
from lab.environment import tf
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.heads import ATTENTION, attention_gate, head_evidence
from sanity.ruling import About, Margins, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import FEWEST, t_interval, wilson_interval
from sanity.worlds.trainable import WholeNetwork
from sanity.worlds.training import Trainer

REPEATS, HELD_OUT = 6, 300


class TappedNetwork(WholeNetwork):
    """All of a network, trained while its attention is as it is, or uniform.

    Args:
        network: `Network` of one output of classes.
        is_uniform: bool, whether all attention is uniform, in training and afterwards.
    """

    def __init__(self, network, is_uniform):
        super().__init__(network)
        self.is_uniform, self.origin = is_uniform, f"uniform attention: {is_uniform}"

    @functools.cached_property
    def variables(self):
        """The Keras variables that the outputs depend on: list. Under uniform attention queries and keys decide nothing."""
        variables, is_reached = super().variables, []

        def trace(inputs):
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(self.logits(inputs))
            is_reached.extend(slope is not None for slope in tape.gradient(total, variables))

        tf.function(trace, autograph=False).get_concrete_function(self.network.spec)
        return [variable for variable, reached in zip(variables, is_reached) if reached]

    def logits(self, features):
        """The outputs before softmax, with the attention in question: tensor [batch, classes]."""
        addresses = self.network.attentions if self.is_uniform else ()
        replaced = dict.fromkeys(addresses, _uniform)
        # Nothing is folded, since statistics of BatchNormalization are kept as they are.
        return self.network.trace(features, interceptors=[], replaced=replaced).logits()

    def predict(self, features):
        """The highest class of each sample: int [batch]."""

        def body(batched, _):
            return tf.argmax(self.logits(batched[0]), axis=-1)

        return routines.run(self.network, ("predict", self.origin), body, (np.asarray(features),), ())


def _uniform(weights):
    return uniform(weights, None)


@checks.register(claim="attention")
def attention_needed(subject, *, seed, repeats=REPEATS):
    """Does a network that is trained with uniform attention answer as well as one with attention of its own?

    Networks are trained in pairs, from the same initial weights on the same data. Data and weights differ between pairs.

    Args:
        subject: the `Subject` of a world whose networks are trained.
        seed: int, of data and networks.
        repeats: int, pairs of networks.

    Returns:
        list of one `Evidence` with samples attention and uniform, the accuracies on held-out samples, float64 [repeats].
    """
    gates = [attention_gate(subject.network), _world_gate(subject.world)]
    if any(gate.status != "passed" for gate in gates):
        return [head_evidence("attention_needed", ATTENTION, subject, {}, gates)]
    network = subject.world.network()
    trainers = {
        name: Trainer(network, subject.world.training, TappedNetwork(network, name == "uniform"))
        for name in ("attention", "uniform")
    }
    pairs = [_accuracies(subject, trainers, derive_seed(seed, "pair", turn)) for turn in range(repeats)]
    samples = {name: np.array([pair[name] for pair in pairs]) for name in trainers}
    gates.append(_competence(samples["attention"], subject.classes))
    settings = {"seed": seed, "repeats": repeats}
    return [
        head_evidence(
            "attention_needed", ATTENTION, subject, samples, gates, sizes={"repeats": repeats}, settings=settings
        )
    ]


def _world_gate(world):
    is_trainable = bool(world and world.training)
    return Gate("world to train in", "passed" if is_trainable else "not applicable", getattr(world, "name", "none"))


def _accuracies(subject, trainers, seed):
    """Accuracy of a pair of networks on samples held out: dict of name to float."""
    training, (held_out, _) = subject.world.training_data(seed), subject.world.draw(HELD_OUT, seed)
    return {
        name: _accuracy(trainer, trainer.train(training.inputs, training.labels, seed, subject.cache), held_out)
        for name, trainer in trainers.items()
    }


def _accuracy(trainer, state, samples):
    with trainer.network.weights(state):
        return float(np.mean(trainer.part.predict(samples.inputs) == samples.cue_labels))


def _competence(accuracies, classes):
    """Networks with attention of their own are right so much more often than chance that the margin can be lost: `Gate`."""
    count = HELD_OUT * len(accuracies)
    share = wilson_interval(round(float(accuracies.mean() * count)), count)
    least = 1 / classes + Margins().equal
    words = f"right on {share} of held-out samples; needed: above {least:.2f}"
    return Gate("network competent", "passed" if share.low > least else "failed", words)


@rules.register(
    name="attention_needed",
    about=About(
        "Attention is needed",
        "accuracy lost",
        {
            "NEEDED": "networks that are trained with uniform attention are right less often",
            "NOT NEEDED": "networks that are trained with uniform attention are right as often, so that nothing can be said of attention here",
            "UNDECIDED": "{why}",
        },
        number="with uniform attention in training",
        similarity="accuracy of a network with attention of its own, less that of one from the same weights with uniform attention",
        sampled=False,
        counted={"repeats": "pairs of networks"},
        cannot="Cannot conclude: that the weights of attention say why an answer was given, or anything about other tasks.",
    ),
)
def judge_attention_needed(family, margins, seed):
    """Student's t over pairs of networks, against a margin of accuracy.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return [
        _judge_pairs(evidence.samples["attention"] - evidence.samples["uniform"], margins, evidence)
        for evidence in family
    ]


def _judge_pairs(lost, margins, evidence):
    interval, margin = t_interval(lost), f"{margins.equal} of accuracy"
    also = tuple((name, f"{values.mean():.2f}") for name, values in evidence.samples.items())
    if len(lost) < FEWEST:
        why = f"fewer than {FEWEST} pairs of networks decide nothing"
        remedy = f"Train {FEWEST} pairs or more."
        return Ruling("INCONCLUSIVE", "UNDECIDED", interval, why=why, also=also, remedy=remedy)
    if interval.low > margins.equal:
        return Ruling("PASS", "NEEDED", interval, why=f"more than {margin} is lost", also=also)
    if interval.high < margins.equal:
        return Ruling("INVALID", "NOT NEEDED", interval, why=f"less than {margin} is lost", also=also)
    why = f"it is not shown whether more than {margin} is lost"
    return Ruling("INCONCLUSIVE", "UNDECIDED", interval, why=why, also=also)
