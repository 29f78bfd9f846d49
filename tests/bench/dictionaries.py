"""Error rates of the check atom_effect, as a Markdown table: `python -m tests.bench.dictionaries`.

The network is a layer with a head behind it that reads some channels. Null dictionaries are those of random directions with
the codes of others, of random directions with their own codes, and of directions that the head does not read.
"""

import functools
import itertools

import keras
import numpy as np
from scipy import stats

import lab
from lab.concepts import Dictionary, random_directions
from sanity.checks.atom_effect import CHANGE, ORACLE, RANDOM, atom_effect
from sanity.evidence import Evidence
from sanity.subject import Subject
from sanity.verdict import judge
from tests.bench.shares import print_head, print_row, share

RUNS, ATOMS = 200, 8
CHANNELS, SIDE = 24, 6
# The channels that the head reads.
READ = tuple(range(8))


class Borrowed(Dictionary):
    """Directions with the codes of others: where an atom is active says nothing of its own direction."""

    def encode(self, activations):
        return np.maximum((activations - self.origin) @ self.encoder["others"].T, 0)


@functools.cache
def _network(kind):
    entry = keras.Input([SIDE, SIDE, 3])
    features = keras.layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name="features")(entry)
    if kind == "convolution":
        features = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="hidden")(features)
    x = keras.layers.GlobalAveragePooling2D()(features)
    if kind == "dense":
        x = keras.layers.Dense(16, activation="tanh", name="hidden")(x)
    return lab.load(keras.Model(entry, keras.layers.Dense(3, name="logits")(x)), input_range=(0, 1))


def head_network(kind="linear", seed=0):
    """A convolution whose channels 0 to 7 alone decide: means and a linear head, or one with a hidden layer."""
    network, rng = _network(kind), np.random.default_rng(seed)
    state = network.state()
    for name, value in state.items():
        if name.endswith("kernel"):
            state[name] = rng.normal(size=value.shape, scale=(2 / np.prod(value.shape[:-1])) ** 0.5).astype("float32")
    behind = state["logits/kernel" if kind == "linear" else "hidden/kernel"]
    behind[..., np.isin(np.arange(CHANNELS), READ, invert=True), :] = 0
    network.adopt(state)
    return network


def planted_subject(network, images, seed):
    inputs = np.random.default_rng(seed).random((images, SIDE, SIDE, 3)).astype("float32")
    return Subject(network, inputs, lab.logit(0), tuple(map(str, range(images))), classes=3)


def dictionary_of(arm, subject, seed):
    """A dictionary of one arm: its atoms, and how they encode."""
    rows = lab.routines.activations(subject.network, subject.inputs, "features").reshape(-1, CHANNELS)
    drawn, others = np.split(random_directions(rows, 2 * ATOMS, seed=seed), 2)
    if arm in ("unread", "read"):
        kept = np.isin(np.arange(CHANNELS), READ) == (arm == "read")
        drawn = drawn * kept
        if arm == "read":
            # The direction that the head reads, with some noise.
            slope = lab.concepts.directional_derivatives(
                subject.network, subject.inputs, subject.objective, ["features"]
            )
            slope = slope["features"].mean(axis=0)
            drawn = slope / np.linalg.norm(slope) + 0.3 * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")
    make = Dictionary if arm == "random, its own codes" else Borrowed
    return make(drawn, rows.mean(axis=0), "pca", {}, {"others": others})


def findings_of(arm, kind, images, seed):
    """What the check says of the atoms of one run: list of str."""
    subject = planted_subject(head_network(kind, seed), images, seed)
    evidence = atom_effect(subject, seed=seed, dictionary=dictionary_of(arm, subject, seed), layer="features")
    return [verdict.finding for verdict in judge(evidence)]


def simulated_family(seed, atoms, images):
    """What a check measures of random directions under linear heads, one an image: list of `Evidence`."""
    rng = np.random.default_rng(seed)
    heads, codes = rng.normal(size=(images, CHANNELS)) + 1, np.abs(rng.normal(size=(atoms, images)))
    family = []
    for atom in range(atoms):
        directions = rng.normal(size=(40, CHANNELS))
        changes = codes[atom] * (directions / np.linalg.norm(directions, axis=1, keepdims=True) @ heads.T)
        samples = {CHANGE: changes[0], RANDOM: np.abs(changes[1:])}
        samples[ORACLE] = codes[atom] * np.linalg.norm(heads, axis=1)
        family.append(Evidence("atom_effect", f"atom {atom}", "net", {"images": images, "draws": 39}, samples, ()))
    return family


def wrong_by_chance(runs, alpha=0.05):
    """The most wrong runs that a level allows, at 95%: int."""
    return int(stats.binom.ppf(0.95, runs, alpha))


def main():
    """Print the share of runs with an EFFECT, and of atoms by their findings."""
    findings = ("atoms: effect", "no more", "undecided", "invalid")
    print_head("network behind the layer", "dictionary", "images", "runs with an EFFECT (95%)", *findings)
    arms = ("random, codes of others", "random, its own codes", "unread", "read")
    for kind, arm, images in itertools.product(("linear", "dense", "convolution"), arms, (16,)):
        runs = [findings_of(arm, kind, images, seed) for seed in range(RUNS)]
        names = ("EFFECT", "NO MORE THAN RANDOM", "UNDECIDED", "ORACLE DOES NOT PASS")
        shares = [f"{np.mean([name == finding for run in runs for finding in run]):.3f}" for name in names]
        print_row(kind, arm, images, share("EFFECT" in run for run in runs), *shares)


if __name__ == "__main__":
    main()
