"""Error rates of the check attention_use on trained networks with a decoy head: `python -m tests.bench.heads`.

Networks of the tokens world are trained from 20 seeds. The second head becomes a decoy: its values are zero, its queries five
times as large. The values of the first head are made smaller, so that what it does comes near to the margin. What it does is
measured on 400 other inputs, and the check is asked about few.
"""

import collections
import itertools

import numpy as np

from sanity.checks.attention_use import DECIDING, OTHER, attention_use
from sanity.ruling import Margins
from sanity.subject import world_subject
from sanity.verdict import judge
from sanity.worlds import worlds

SEEDS, COUNTS, DRAWS, MANY = 20, (12, 24, 48), 20, 400
# By how much the values of the first head are multiplied.
FACTORS = (1.0, 0.01, 0.003)
HEADS = ("attention:weights head 0", "attention:weights head 1")


def plant_decoy(network, factor):
    """Make the second head of a network a decoy, and the values of the first head smaller."""
    state = network.state()
    for part, head, times in (("value", 1, 0), ("query", 1, 5), ("value", 0, factor)):
        for name in (f"attention/_{part}_dense/kernel", f"attention/_{part}_dense/bias"):
            state[name][..., head, :] *= times
    network.adopt(state)


def share(evidence):
    """The larger change of a head as a share of that between two inputs: float."""
    return max(evidence.samples[name].mean() for name in DECIDING) / evidence.samples[OTHER].mean()


def _kept(key, make, states={}):  # noqa: B006
    if key not in states:
        states[key] = make()
    return states[key]


def measure(seed, count, factor):
    """Evidence about the heads of one network: list of `Evidence`, controls among them."""
    subject = world_subject(worlds.get("tokens")(), seed=seed, replicates=1, images=count, cache=_kept)
    plant_decoy(subject.network, factor)
    return attention_use(subject, seed=seed, draws=DRAWS)


def main():
    """Print what the check said of every network, and how often it was wrong."""
    counts = collections.Counter()
    for seed, factor in itertools.product(range(SEEDS), FACTORS):
        many = {evidence.method: evidence for evidence in measure(seed, MANY, factor)}
        truth = share(many[HEADS[0]])
        for count in COUNTS:
            verdicts = {verdict.method: verdict.finding for verdict in judge(measure(seed, count, factor))}
            counts[count, "head above the margin" if truth > Margins().small else "head below", verdicts[HEADS[0]]] += 1
            counts[count, "decoy", verdicts[HEADS[1]]] += 1
            print(seed, factor, count, np.round(truth, 3), [verdicts[name] for name in HEADS], flush=True)
    for key, number in sorted(counts.items()):
        print(*key, number)


if __name__ == "__main__":
    main()
