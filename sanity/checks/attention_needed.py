"""Needed: does a network that is trained with uniform attention, for good, answer as well?

Wiegreffe, Pinter 2019, https://arxiv.org/abs/1908.04626. Where it does, the task does not need attention, and nothing that
attention does is a reason of the answers to it.
"""

import functools
from dataclasses import replace

import numpy as np

from lab import routines
from lab.attention import uniform
from lab.environment import tf
from lab.taps import upstream_names
from sanity.checks import checks
from sanity.evidence import Gate
from sanity.finetuning import FinetunedNetworks, chance_of
from sanity.heads import ATTENTION, attention_gate, head_evidence
from sanity.pairs import NotUniform, UserPairs
from sanity.ruling import TRAINED_ALIKE, About, Margins, Ruling, rules
from sanity.seeds import derive_seed
from sanity.statistics import FEWEST, Interval, t_interval, wilson_interval
from sanity.worlds.trainable import UpperPart, WholeNetwork
from sanity.worlds.training import Trainer

REPEATS, HELD_OUT = 6, 300
# How often on each source held out one network of a pair alone is right.
ALONE = {"attention": "only with attention", "uniform": "only uniform"}
# Standard deviations of an interval of 95%.
WIDTH = 1.96


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


@checks.register(claim="attention", compares_networks=True, trains_pairs=True)
def attention_needed(subject, *, seed, repeats=REPEATS):
    """Does a network that is trained with uniform attention answer as well as one with attention of its own?

    Networks are trained in pairs, from the same initial weights on the same data. In a world data and weights differ between
    pairs. Of a user's data the samples are the same for all, so that the sources held out have a part in the interval.

    Args:
        subject: the `Subject` of a world whose networks are trained, of `sanity.finetuning.FinetunedNetworks`, or of
            `sanity.pairs.UserPairs`, which a user's function trains.
        seed: int, of data and networks; on a user's data that of the networks counts.
        repeats: int, pairs of networks.

    Returns:
        list of one `Evidence` with samples attention and uniform, the accuracies on held-out samples, float64 [repeats]; on a
            user's data also how often one of a pair alone is right on each source held out, float64 [sources].
    """
    gates = [attention_gate(subject.network), _training_gate(subject)]
    if any(gate.status != "passed" for gate in gates):
        return [head_evidence("attention_needed", ATTENTION, subject, {}, gates)]
    measure = next((way for kind, way in MEASURES if isinstance(subject.networks, kind)), _of_world)
    try:
        samples, competence = measure(subject, seed, repeats)
    except NotUniform as error:
        gates.append(Gate("attention made uniform", "not applicable", str(error)))
        return [head_evidence("attention_needed", ATTENTION, subject, {}, gates)]
    sizes, settings = {"repeats": repeats}, {"seed": seed, "repeats": repeats}
    settings |= _scope(subject)
    sizes |= {"held out": len(samples[ALONE["attention"]])} if ALONE["attention"] in samples else {}
    gates.append(competence)
    return [head_evidence("attention_needed", ATTENTION, subject, samples, gates, sizes=sizes, settings=settings)]


def _scope(subject):
    """What the verdict speaks of: dict with `scope`, empty for a world."""
    if isinstance(subject.networks, UserPairs):
        return {"scope": TRAINED_ALIKE}
    return {"scope": subject.part.scope} if subject.part else {}


def _training_gate(subject):
    """Whether networks can be trained with uniform attention: `Gate`."""
    world, networks = subject.world, subject.networks
    if isinstance(networks, FinetunedNetworks):
        count = len(_trained_attention(networks))
        words = f"{count} layers of attention behind {networks.part.layer or 'the inputs'}; needed: 1, name an earlier layer"
        return Gate("attention that is trained", "passed" if count else "not applicable", words)
    if isinstance(networks, UserPairs):
        return Gate("networks to train", "passed", "a function of the user")
    words = getattr(world, "name", "none: train on your labels with --train or --finetune all, or name a --world")
    if world is None and subject.replicates:
        words = "no file trains networks with uniform attention: give --train or --finetune all in its place"
    return Gate("networks to train", "passed" if world and world.training else "not applicable", words)


def _of_world(subject, seed, repeats):
    """Accuracies of pairs that are trained in a world, and the gate of their competence."""
    network = subject.world.network()
    trainers = {
        name: Trainer(network, subject.world.training, TappedNetwork(network, name == "uniform"))
        for name in ("attention", "uniform")
    }
    pairs = [_accuracies(subject, trainers, derive_seed(seed, "pair", turn)) for turn in range(repeats)]
    samples = {name: np.array([pair[name] for pair in pairs]) for name in trainers}
    return samples, _competence(samples["attention"], 1 / subject.classes, HELD_OUT * repeats)


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


def _of_finetuned(subject, _, repeats):
    """Accuracies of pairs that are trained on a user's labels from a layer on, who alone is right, and their gate."""
    networks = subject.networks
    layer, replaced = networks.part.layer, dict.fromkeys(_trained_attention(networks), _uniform)
    parts = {"attention": None, "uniform": UpperPart(networks.network, layer, replaced)}
    right = {name: np.stack([networks.correct(turn, part) for turn in range(repeats)]) for name, part in parts.items()}
    return _of_right(right, networks.held_out, subject.chance)


def _of_function(subject, _, repeats):
    """Accuracies of pairs that a user's function trains, who alone is right, and their gate."""
    pairs = subject.networks
    right = {
        name: np.stack([pairs.correct(turn, name) for turn in range(repeats)]) for name in ("uniform", "attention")
    }
    return _of_right(right, pairs.held_out, chance_of(pairs.held_out, subject.classes))


MEASURES = ((FinetunedNetworks, _of_finetuned), (UserPairs, _of_function))


def _of_right(right, held_out, chance):
    """Accuracies of pairs on a user's labels, how often one alone is right on each source, and the gate of their competence.

    Args:
        right: dict of "attention" and "uniform" to bool [pairs, samples held out].
        held_out: `sanity.finetuning.Labelled`.
        chance: float, accuracy of guessing.
    """
    samples = {name: right[name].mean(axis=1) for name in ("attention", "uniform")}
    for name, other in (("attention", "uniform"), ("uniform", "attention")):
        alone = (right[name] & ~right[other]).mean(axis=0)
        samples[ALONE[name]] = np.bincount(held_out.sources, alone) / np.bincount(held_out.sources)
    return samples, _competence(samples["attention"], chance, len(samples[ALONE["attention"]]))


def _trained_attention(networks):
    """Addresses of the attention that is behind the layer from which networks are trained: list of str."""
    network, part, addresses = networks.network, networks.part, []
    if part.layer is None:
        return list(network.attentions)

    def trace(inputs):
        read = network.trace(inputs, [part.layer, *network.attentions]).activations
        layer = read[part.layer].name
        addresses.extend(at for at in network.attentions if layer in upstream_names(read[at]))

    tf.function(trace, autograph=False).get_concrete_function(network.spec)
    return addresses


def _competence(accuracies, chance, count):
    """Networks with attention of their own are right so much more often than chance that the margin can be lost: `Gate`.

    Args:
        accuracies: float64 [networks].
        chance: float, accuracy of guessing.
        count: int, answers that are independent of each other.
    """
    share, least = wilson_interval(round(float(accuracies.mean() * count)), count), chance + Margins().equal
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
        counted={"repeats": "pairs of networks", "held out": "sources held out"},
        cannot="Cannot conclude: that the weights of attention say why an answer was given, or anything about other tasks.",
    ),
)
def judge_attention_needed(family, margins, seed):
    """Student's t over pairs of networks, against a margin of accuracy.

    On a user's data the interval is as much wider as the sources held out leave open (Agresti, Min 2005,
    https://doi.org/10.1002/sim.1781).

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return [
        replace(_judge_pairs(evidence.samples, margins), scope=evidence.settings.get("scope", ""))
        for evidence in family
    ]


def _judge_pairs(samples, margins):
    lost, margin = samples["attention"] - samples["uniform"], f"{margins.equal} of accuracy"
    interval = _widened(t_interval(lost), samples)
    also = tuple((name, f"{samples[name].mean():.2f}") for name in ("attention", "uniform"))
    if len(lost) < FEWEST:
        why = f"fewer than {FEWEST} pairs of networks decide nothing"
        remedy = f"Train {FEWEST} pairs or more."
        return Ruling("INCONCLUSIVE", "UNDECIDED", interval, why=why, also=also, remedy=remedy)
    if interval.low > margins.equal:
        return Ruling("PASS", "NEEDED", interval, why=f"more than {margin} is lost", also=also)
    if interval.high < margins.equal:
        return Ruling("INVALID", "NOT NEEDED", interval, why=f"less than {margin} is lost", also=also)
    why = f"it is not shown whether more than {margin} is lost"
    remedy = "Give more labelled inputs." if ALONE["attention"] in samples else ""
    return Ruling("INCONCLUSIVE", "UNDECIDED", interval, why=why, also=also, remedy=remedy)


def _widened(interval, samples):
    """An interval over pairs of networks, widened by what the sources held out leave open: `Interval`."""
    if ALONE["attention"] not in samples:
        return interval
    # Half a source is added to each way in which two networks may answer, so that no interval is empty.
    won, lost = (samples[ALONE[name]].sum() for name in ("attention", "uniform"))
    count = len(samples[ALONE["attention"]]) + 2
    difference = (won - lost) / count
    variance = (won + lost + 1 - count * difference**2) / count**2
    half = np.hypot((interval.high - interval.low) / 2, WIDTH * np.sqrt(variance))
    return Interval(
        interval.mean, float(min(interval.mean, difference) - half), float(max(interval.mean, difference) + half)
    )
