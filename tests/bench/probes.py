"""Probes: false alarms over null data, and power for planted labels, in Markdown: python -m tests.bench.probes [RUNS]

Null: rows that are their own sources, copies with one label each, and patients whose rows have labels of their own.
Planted: the last of three layers holds the label. Below stand labels that are held, and read by the score or not, and a toy on
which a large probe learns by heart.
"""

import sys
import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import lab
from sanity.evidence import Evidence
from sanity.probes.control_tasks import control_labels
from sanity.probes.encoding import EXCHANGES, balanced_accuracies, exchanged_accuracies, fit_and_tally
from sanity.probes.label_sets import label_set
from sanity.probes.use import measure_use
from sanity.statistics import exchange_p
from sanity.verdict import judge
from tests import probe_worlds
from tests.bench.concepts import NETWORK, SHARES, draw_head
from tests.bench.shares import print_head, print_row, share
from tests.sanity.concept_studies import CHANNELS, mixing_of

WORLDS = (probe_worlds.alone, probe_worlds.copies, probe_worlds.patients)
# How far the classes are apart in one channel each of the layer that holds the label, in deviations of the noise.
EFFECT = 3.0
# Rows of a run: those of copies and patients are of 60 sources, four of each.
ROWS = {"alone": 96, "copies": 240, "patients": 240}


def findings(world, seed, effect=0.0):
    """What is said of the three layers: list of str, the layer that may hold the label last.

    Where exchanged labels are told as well from all of them, nothing else is fitted.
    """
    labelled, layers, *_ = probe_worlds.draw(world, seed, effect, ROWS[world.__name__])
    accuracies = [exchanged_accuracies(rows[labelled.rows], labelled, seed, EXCHANGES) for rows in layers]
    if exchange_p(np.stack(accuracies)).min() > 0.05:
        return ["NOT SHOWN"] * len(layers)
    return [
        verdict.finding for verdict in judge(probe_worlds.evidence(world, seed, effect, count=ROWS[world.__name__]))
    ]


def rates(runs):
    """False alarms and power of every world, a line each."""
    print_head("world", "question", "share (95%) of runs")
    for world in WORLDS:
        null = [findings(world, seed) for seed in range(runs)]
        planted = [findings(world, seed, EFFECT) for seed in range(max(20, runs // 10))]
        questions = {
            "ENCODED without a relation, any of three layers": ["ENCODED" in words for words in null],
            "ENCODED in the layer that holds the label": [words[-1] == "ENCODED" for words in planted],
            "ENCODED in a layer that does not": ["ENCODED" in words[:-1] for words in planted],
        }
        for question, hits in questions.items():
            print_row(world.__name__, question, share(hits))


def use_rates(runs):
    """How often a label that a layer holds is called USED, where the score reads it and where it does not."""
    print_head("channels", "score", "share and 95% interval")
    for world in ("mixed", "even", "rectified"):
        for words, part in SHARES.items():
            said = [use_finding(seed, part, world) for seed in range(runs)]
            print_row(f"{world}: USED", words, share(finding == "USED" for finding in said))
            print_row(f"{world}: UNUSED", words, share(finding == "UNUSED" for finding in said))


def use_finding(seed, part, world, count=128):
    """What is said of the use of a label that lies along one direction of a layer."""
    rng = np.random.default_rng(seed)
    mixing, labels = mixing_of(rng, world), np.arange(count) % 2
    unit = np.linalg.qr(rng.normal(size=(CHANNELS, 1)))[0][:, 0]
    head = draw_head(rng, unit, part)
    rows = rng.normal(size=(count, CHANNELS)) @ mixing.T
    rows = np.maximum(rows, 0) if world == "rectified" else rows
    rows = rows + EFFECT * np.linalg.norm(mixing) / CHANNELS**0.5 * labels[:, None] * unit
    NETWORK.model.get_layer("logits").set_weights([head[:, None].astype("float32"), np.zeros(1, "float32")])
    labelled, score = label_set("label", labels.tolist(), range(count)), lab.neuron("logits", 0)
    samples = measure_use(NETWORK, rows.astype("float32"), score, "hidden", rows, labelled, seed=seed)
    return judge([Evidence("probe_use", "label in hidden", "net", {"images": count // 2}, samples, ())])[0].finding


def toy():
    """Accuracy and selectivity on tokens of 400 types, of a linear and of a large probe."""
    rows, labels, types = probe_worlds.types_and_labels(np.random.default_rng(0))
    labelled = label_set("label", labels, range(len(labels)))
    control = control_labels(types, labelled.labels, seed=0)
    large = MLPClassifier((256,), learning_rate_init=5e-3, max_iter=20, batch_size=100, random_state=0)
    print()
    print_head("probe", "accuracy", "control task", "selectivity")
    for name, estimator in (("linear", None), ("large", large)):
        accuracy, of_control = (
            balanced_accuracies(fit_and_tally(rows, labelled, 0, labels=task, estimator=estimator)[0], seed=0, draws=1)[
                0
            ]
            for task in (None, control)
        )
        print_row(name, *(f"{value:.3f}" for value in (accuracy, of_control, accuracy - of_control)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with threadpool_limits(limits=1):
        rates(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
        use_rates(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
        toy()
