"""Error rates of checks of concepts: `python -m tests.bench.concepts --runs 200` prints a table in Markdown.

Each run is a family of its own: pool, concepts, gradients or head are drawn anew. A run counts where any verdict of the family
is SUPPORTED or USED. Beside it stands the t test of runs that share one concept set, as it ships with TCAV, without a correction.

With `--networks 12`, networks are trained in the world of two planted concepts instead, so many on either, and asked about both.
"""

import argparse
from collections import Counter
from dataclasses import replace

import keras
import numpy as np

import lab
from lab.opening import open_data
from sanity.checks import checks
from sanity.concepts import measure_study
from sanity.verdict import judge
from sanity.world_networks import WorldNetworks
from tests import concept_worlds
from tests.bench.shares import print_head, print_row, share
from tests.sanity.concept_studies import CHANNELS, mixing_of, simulate

ARMS = {
    "random sets of the pool, 1 concept": ("random", {}),
    "random sets of the pool, 5 concepts": ("random", {"concepts": 5}),
    "encoded and unused, 1 concept": ("unused", {}),
    "encoded and unused, 5 concepts": ("unused", {"concepts": 5}),
    "used, a third of the gradient, 1 concept": ("used", {"strength": 0.33}),
    "used, half of the gradient, 1 concept": ("used", {"strength": 0.5}),
    "used, as long as the rest of the gradient, 1 concept": ("used", {"strength": 1.0}),
    "used, as long as the rest of the gradient, 5 concepts": ("used", {"strength": 1.0, "concepts": 5}),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--networks", type=int, default=0)
    parser.add_argument("--checks", default="tcav,erasure")
    parser.add_argument("--world", default="mixed", choices=["mixed", "even", "rectified"])
    arguments = parser.parse_args()
    check_names = arguments.checks.split(",")
    if arguments.networks:
        _print_planted(arguments.networks, check_names)
        return
    print_head("check", "arm", "any verdict", "each verdict", "shared t test", "learnable")
    for arm, (kind, settings) in ARMS.items() if "tcav" in check_names else ():
        rows = [_tcav(seed, kind, {**settings, "world": arguments.world}) for seed in range(arguments.runs)]
        print_row("tcav", arm, share(row[0] for row in rows), *_means(rows, (1, 2, 3)))
    for arm, part in SHARES.items() if "erasure" in check_names else ():
        rows = [_erasure(seed, part, arguments.world) for seed in range(arguments.runs)]
        print_row("erasure", arm, share(row[0] for row in rows), *_means(rows, (1,)), "", "")


def _tcav(seed, arm, settings):
    """Whether any gets the word whether or not it is learnable, the share that do, that the t test rejects, that are learnable."""
    evidence = checks.get("tcav")(simulate(seed, arm, **settings), seed=seed)
    # The gate would hide how the test itself behaves where no concept is learnable.
    ungated = [replace(row, gates=()) for row in evidence]
    passed = [verdict.passed for verdict in judge(ungated)]
    rejected = [row.samples["shared t test"] < 0.05 for row in evidence]
    learnable = [not row.failed for row in evidence]
    return any(passed), np.mean(passed), np.mean(rejected), np.mean(learnable)


def _network():
    entry = keras.Input([CHANNELS])
    hidden = keras.layers.Dense(CHANNELS, name="hidden")(entry)
    model = keras.Model(entry, keras.layers.Dense(1, name="logits")(hidden))
    model.get_layer("hidden").set_weights([np.eye(CHANNELS, dtype="float32"), np.zeros(CHANNELS, "float32")])
    return lab.load(model)


NETWORK = _network()


# How much of a head's weights lies along a concept's direction, beside all others together; None: as much as chance gives.
SHARES = {
    "no concept is read": 0.0,
    "the concept is read as any direction": None,
    "the concept is read like the rest": 1.0,
    "twice as much": 2.0,
}


def draw_head(rng, unit, part):
    """Weights of a score that read a direction by some share: float64 [channels].

    Args:
        rng: `numpy.random.Generator`.
        unit: float64 [channels], of length one.
        part: one of `SHARES`.
    """
    head = rng.normal(size=CHANNELS)
    if part is None:
        return head
    head = head - head @ unit * unit
    return head + part * np.linalg.norm(head) * unit


def _erasure(seed, part, world):
    """Whether a concept is USED whose direction a random head reads by `part`."""
    rng = np.random.default_rng(seed)
    mixing = mixing_of(rng, world)
    unit = np.linalg.qr(rng.normal(size=(CHANNELS, 1)))[0][:, 0]
    head = draw_head(rng, unit, part)
    size = np.linalg.norm(mixing) / CHANNELS**0.5

    def draw(count, shift=0.0):
        rows = rng.normal(size=(count, CHANNELS)) @ mixing.T
        rows = (np.maximum(rows, 0) if world == "rectified" else rows) + shift * size * unit
        return open_data(rows.astype("float32"))

    NETWORK.model.get_layer("logits").set_weights([head[:, None].astype("float32"), np.zeros(1, "float32")])
    study = measure_study(
        NETWORK, {"concept": draw(40, 4.0)}, draw(200), draw(30, 2.0), {"score": lab.neuron("logits", 0)}, ["hidden"]
    )
    passed = [verdict.passed for verdict in judge(checks.get("erasure")(study, seed=seed))]
    return any(passed), np.mean(passed)


# Random directions beside an erasure: those of the command, and as many as tell more.
DIRECTIONS = (19, 39, 99)


def _print_planted(count, check_names):
    """How often each check finds what networks learned, and what they did not, as a table."""
    print_head("check", "layer", "concept", "verdicts")
    settings = {"tcav": [{}], "erasure": [{"directions": number} for number in DIRECTIONS]}
    questions = [(name, options) for name in check_names for options in settings[name]]
    findings = [row for kind in ("replicate", "rival") for row in _planted_findings(kind, count, questions)]
    for title, layer, is_own in dict.fromkeys(row[:3] for row in findings):
        words = Counter(row[3] for row in findings if row[:3] == (title, layer, is_own))
        counted = ", ".join(f"{number} {finding}" for finding, number in words.most_common())
        print_row(title, layer, "learned" if is_own else "in every picture, and not learned", counted)


def _planted_findings(kind, count, questions):
    """The finding on either concept of every network of a kind: iterator of (check, layer, whether it was learned, finding)."""
    networks = WorldNetworks(concept_worlds.planted_concepts(), 0)
    own = {"replicate": "first", "rival": "second"}[kind]
    for index in range(count):
        with networks.network.weights(networks.train(kind, index)):
            study = concept_worlds.study(networks.network, ["hidden", "late"], seed=index)
            for name, options in questions:
                title = name + "".join(f", {value} {key}" for key, value in options.items())
                for verdict in judge(checks.get(name)(study, seed=index, **options)):
                    about = verdict.settings
                    yield title, about["layer"], about["concept"] == own, verdict.finding


def _means(rows, columns):
    return [f"{np.mean([row[column] for row in rows]):.3f}" for column in columns]


if __name__ == "__main__":
    main()
