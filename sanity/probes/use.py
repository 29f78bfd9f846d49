"""Use: how far scores move when what a layer holds of labels is erased, beside erasures of random directions of the same size."""

import numpy as np

from lab import routines
from lab.concepts import leace, random_erasures, scores_after
from lab.environment import tf
from sanity.seeds import derive_seed

# Random erasures, and inputs that are asked at most.
ERASURES, MOST_INPUTS = 39, 64


def measure_use(network, inputs, objective, layer, rows, label_set, *, seed, erasures=ERASURES, most=MOST_INPUTS):
    """How far the score of each input moves when labels are erased from a layer, at every position.

    The erasure is fitted to half of the groups, and the other half is asked.

    Args:
        network: a `Network`.
        inputs: arrays that it takes, those of the label set's rows.
        objective: an `Objective` of the same inputs.
        layer: the address of a layer.
        rows: float [rows, channels], its mean activations for them.
        label_set: `LabelSet`.
        seed: int.
        erasures: int, random ones.
        most: int, inputs that are asked at most.

    Returns:
        dict. use: float64 [1 + erasures, inputs], the change by the erasure, then by random ones. use/groups: int [inputs].
            use/scores: float64 [inputs], the scores before.
    """
    generator = np.random.default_rng(derive_seed(seed, f"halves of {label_set.name}"))
    half = generator.permutation(np.arange(label_set.groups.max() + 1) % 2)[label_set.groups] == 1
    erasure = leace(rows[half], label_set.labels[half])
    drawn = random_erasures(erasure, rows[half], erasures, seed=derive_seed(seed, f"random erasures in {layer}"))
    others = np.flatnonzero(~half)
    places = np.sort(generator.permutation(others)[:most])
    held_out, goal = tf.nest.map_structure(lambda leaf: leaf[places], inputs), objective.rows(places.tolist())
    before = routines.scores(network, held_out, goal).astype("float64")
    after = scores_after(network, held_out, goal, layer, [erasure, *drawn]).astype("float64")
    return {
        "use": np.abs(after - before[:, None]).T,
        "use/groups": np.unique(label_set.groups[places], return_inverse=True)[1],
        "use/scores": before,
    }
