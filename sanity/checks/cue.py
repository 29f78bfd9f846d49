"""Cue: would a tester who does not know of a shortcut see it, on inputs that do not hold it?

Adebayo, Muelly, Abelson, Kim 2022, https://openreview.net/forum?id=xNOVfCCvDpM. Networks that learned the shortcut are
compared with networks that had none to learn, on inputs without it. If their maps are as alike as maps of networks of
one kind, the method tells the tester nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from lab.objectives import logit
from sanity import gates
from sanity.bound_explainer import BoundExplainer, stack_signed
from sanity.checks import checks
from sanity.checks.labels import judge_labels
from sanity.evidence import Gate
from sanity.network_groups import group_similarities, maps_of_networks
from sanity.ruling import About, rules
from sanity.seeds import derive_seed
from sanity.worlds.training import Trainer

PASSES = 150


@dataclass(frozen=True)
class Prepared:
    """The networks without a shortcut, for all methods to share.

    Args:
        uncued: list of weights of networks that had no shortcut to learn.
        on: the `Subject` at inputs without the cue, asked about the label.
    """

    uncued: list
    on: object


def prepare(subject, *, seed):
    """Train the networks without a shortcut, for all methods to share.

    Args:
        subject: the `Subject`.
        seed: int, from which the seed of each network is derived.

    Returns:
        `Prepared`, or None where a world has no such arm.
    """
    world = subject.world
    if world is None or world.without_cue is None:
        return None
    trainer = Trainer(subject.network, replace(world.training, passes=PASSES))
    training_data = world.render(
        world.uninformative_cue(
            np.random.default_rng(derive_seed(subject.seed, "training data without the cue")), world.training.samples
        )
    )
    turns = range(max(3, len(subject.replicates)))
    uncued = [
        trainer.train(
            training_data.inputs,
            training_data.labels,
            derive_seed(seed, "network without the cue", turn),
            subject.cache,
        )
        for turn in turns
    ]
    _, factors = world.draw(len(subject.names), subject.seed + 1)
    without_cue = world.without_cue(factors)
    objective = logit([int(label) for label in without_cue.labels])
    return Prepared(uncued, replace(subject, inputs=without_cue.inputs, objective=objective, correct=None, truth=None))


@checks.register(prepare=prepare)
def cue(explainer, subject, /, *, seed, prepared=None, **options):
    """On inputs without the cue, do maps of networks that use it differ from maps of networks that do not?

    It needs replicates, and a world with an arm without the shortcut (`ruler`).

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `ceiling/`, `between/` and `random/MEASURE`.
    """
    enough = gates.enough_networks("replicates", subject.replicates)
    prepared = prepared or prepare(subject, seed=seed)
    arm = Gate(
        "arm without the shortcut",
        "passed" if prepared else "not applicable",
        "trained anew" if prepared else "none in this world",
    )
    bound = BoundExplainer(explainer, prepared.on if prepared else subject, seed, options)
    if {enough.status, arm.status} != {"passed"}:
        return bound.evidence("cue", {}, [arm, enough])
    with subject.network.intact():
        cued = maps_of_networks(bound, subject.replicates, "replicate")
        uncued = maps_of_networks(bound, prepared.uncued, "network without the cue")
    passed = [
        arm,
        enough,
        gates.planted_truth(subject),
        gates.usable_maps(*cued, *uncued),
        gates.frozen_target(bound.subject, bound),
        gates.restored_weights(),
    ]
    sizes = {"replicates": len(cued), "networks": len(uncued)}
    maps = {"trained": stack_signed(cued[0])}
    return bound.evidence("cue", group_similarities(cued, uncued), passed, sizes=sizes, maps=maps)


@rules.register(
    name="cue",
    about=About(
        "Shows an unknown shortcut",
        "shortcut with none",
        {
            "RESPONDED": "networks with and without a shortcut give other maps, even where the shortcut is absent",
            "DID NOT RESPOND": "networks with and without a shortcut give the same maps where the shortcut is absent",
            "UNDECIDED": "{why}",
            "NO REPRODUCIBLE SIGNAL": "maps that should agree do not: {why}",
        },
        number="Similarity of maps",
        ceiling="shortcut with shortcut",
        null="none with none",
        cannot="Cannot conclude: that a person who looks at the maps would notice. That groups of networks differ does not say how one of them would look suspicious.",
        counted={"images": "images", "replicates": "networks with the shortcut", "networks": "networks without"},
        better="lower",
    ),
)
def judge_cue(family, margins, seed):
    """Networks with the shortcut against networks without, by the rule of labels.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return judge_labels(family, margins, seed)
