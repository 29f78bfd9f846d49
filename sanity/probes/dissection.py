"""Dissection: which single units tell a label, against labels that were exchanged between groups, and untrained networks."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from lab.concepts import unit_auc
from sanity.seeds import derive_seed
from sanity.shortcuts.exchange import Exchange


@dataclass(frozen=True)
class Dissection:
    """Units of several layers beside the classes of one label set.

    Args:
        auc: float64 [classes, units].
        p: float64 [classes, units], adjusted over all units and classes.
        bound: float, the distance from .5 that 1 of 20 exchanges reaches with any unit of any class.
        untrained: float64 [classes, units], that of the best unit of untrained networks in the layer of each unit.
    """

    auc: np.ndarray
    p: np.ndarray
    bound: float
    untrained: np.ndarray

    def above(self, alpha=0.05):
        """Units that tell a class by more than exchanges and untrained networks do.

        Args:
            alpha: float, the level of the adjusted p.

        Returns:
            bool [classes, units].
        """
        return (self.p <= alpha) & (np.abs(self.auc - 0.5) > self.untrained)


@threadpool_limits.wrap(limits=1)
def dissect(rows, random_rows, layers, label_set, *, seed, exchanges=199):
    """How well each unit alone tells each class.

    Args:
        rows: float [rows, units], activations of the rows of the label set, of all layers side by side.
        random_rows: list of float [rows, units], of untrained networks.
        layers: int [units], the layer of each unit, from 0 on.
        label_set: `sanity.probes.label_sets.LabelSet`.
        seed: int, of the exchanges.
        exchanges: int.

    Returns:
        `Dissection`.
    """
    generator = np.random.default_rng(derive_seed(seed, f"exchange of {label_set.name}"))
    exchange, classes = Exchange(label_set.labels, label_set.groups), np.arange(len(label_set.classes))[:, None]
    auc = unit_auc(rows, label_set.labels == classes)
    drawn = np.stack([exchange.draw(generator) for _ in range(exchanges)])
    largest = np.abs(unit_auc(rows, drawn[:, None] == classes) - 0.5).max(axis=1).max(axis=1)
    p = (1 + (largest[:, None, None] >= np.abs(auc - 0.5) - 1e-12).sum(axis=0)) / (1 + exchanges)
    best = np.zeros((len(classes), layers.max() + 1))
    for values in random_rows:
        distances = np.abs(unit_auc(values, label_set.labels == classes) - 0.5)
        np.maximum.at(best, (slice(None), layers), distances)
    return Dissection(auc, p, float(np.quantile(largest, 0.95)), best[:, layers])
