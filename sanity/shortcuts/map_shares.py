"""Map shares: does the map of the true class lie in a region more than the map of another class, on the same picture?

What speaks for a class is the positive part of its map. A map that is the same for every class gives exactly zero, wherever it
lies; so pictures whose two maps are the same are not read.
"""

from dataclasses import dataclass, replace

import numpy as np

from lab.maps import resized
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.questions import class_scores
from sanity.shortcuts.regions import REGIONS
from sanity.statistics import Interval, group_interval

# Of two maps of sum 1, the summed difference up to which they are the same.
SAME = 1e-6


@dataclass(frozen=True)
class MapShare:
    """How much of a map lies in a region.

    Args:
        region: str.
        difference: `Interval` of the true class's share less the other class's.
        true: float, mean share of the true class's map.
        other: float, mean share of the other class's map.
        area: float, the region's share of the picture.
        usable: float, the share of pictures whose two maps have a positive part and differ.
        values: float [pictures], the difference of each.
    """

    region: str
    difference: Interval
    true: float
    other: float
    area: float
    usable: float
    values: np.ndarray


def measure(explainer, subject, groups, *, seed, options=None):
    """The shares of each region of `REGIONS`.

    Args:
        explainer: the method.
        subject: the `Subject` of a network and pictures with one true class each.
        groups: int [pictures], from 0 on.
        seed: int.
        options: dict, options of the method.

    Returns:
        list of `MapShare`.
    """
    true = replace(subject, objective=subject.objective.for_classes(subject.labels.tolist()), targets=subject.labels)
    other = subject.objective.for_classes(_other_classes(true).tolist())
    bound = BoundExplainer(explainer, true, seed, options or {})
    planes = [_planes(bound.maps(objective=objective), subject.network.size) for objective in (true.objective, other)]
    return [_share(name, mask_of, planes, groups, seed) for name, mask_of in REGIONS.items()]


def _other_classes(subject):
    """The highest class of each picture, among the true classes of all pictures but its own: int [pictures]."""
    scores = class_scores(subject)
    allowed = np.isin(np.arange(scores.shape[1]), subject.labels)
    scores = np.where(allowed, scores, -np.inf)
    scores[np.arange(len(scores)), subject.labels] = -np.inf
    return scores.argmax(axis=1)


def _planes(maps, size):
    """Positive parts of maps at the network's size, each of sum 1: float [pictures, rows, columns]; nan for one without any."""
    pooled = pooled_maps(maps)
    planes = np.full((len(pooled), *size), np.nan)
    for place, pooled_map in enumerate(pooled):
        if pooled_map is not None:
            plane = resized(np.maximum(pooled_map.signed, 0)[None], *size)[0]
            planes[place] = plane / plane.sum() if plane.any() else np.nan
    return planes


def _share(name, mask_of, planes, groups, seed):
    mask = mask_of(*planes[0].shape[1:])
    true, other = (plane[:, mask].sum(axis=1) for plane in planes)
    differ = np.abs(planes[0] - planes[1]).sum(axis=(1, 2)) > SAME
    values = np.where(differ, true - other, np.nan)
    level = 1 - 0.05 / len(REGIONS)
    usable = np.isfinite(values)
    means = [float(part[usable].mean()) if usable.any() else float("nan") for part in (true, other)]
    interval = group_interval(values, groups, seed=seed, level=level)
    return MapShare(name, interval, *means, float(mask.mean()), float(usable.mean()), values)
