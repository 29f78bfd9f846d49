"""Swarm: numbers as dots along an axis that never lie upon each other, in an order and places that numbers alone decide."""

import heapq

import numpy as np


def swarm(values, diameter, lanes):
    """Dots for numbers; where more are close together than there is room, a dot stands for several neighbours.

    Args:
        values: float [samples], finite.
        diameter: float, of a dot, in units of the values.
        lanes: int, dots that fit side by side at one value.

    Returns:
        float64 [dots], where they lie, ascending; int [dots], their lanes: 0 in the middle, then 1, -1, 2, ...; int
        [samples], the dot of each sample; and int, for how many samples a dot stands at most.
    """
    order = np.argsort(values, kind="stable")
    ascending, share = np.asarray(values, "float64")[order], 1
    while True:
        dots = _merge(ascending, diameter, share)
        places = np.bincount(dots, ascending) / np.bincount(dots)
        needed = crowding(places, diameter)
        if needed <= lanes or share >= len(ascending):
            break
        share = max(share + 1, share * needed // lanes)
    members = np.empty(len(order), int)
    members[order] = dots
    return places, _lanes(places, diameter), members, share


def crowding(ascending, diameter):
    """How many dots overlap at most.

    Args:
        ascending: float [dots], sorted.
        diameter: float, of a dot.

    Returns:
        int.
    """
    if not len(ascending):
        return 0
    first = np.searchsorted(ascending, ascending - diameter, side="right")
    return int((np.arange(len(ascending)) - first).max()) + 1


def _merge(ascending, diameter, share):
    """The dot of each number: up to `share` neighbours of one cell, a diameter wide, are one: int [samples]."""
    if share == 1:
        return np.arange(len(ascending))
    cells = np.floor((ascending - ascending[0]) / diameter)
    first = np.searchsorted(cells, cells, side="left")
    part = (np.arange(len(cells)) - first) // share
    begins = np.concatenate([[True], (np.diff(cells) > 0) | (np.diff(part) > 0)])
    return np.cumsum(begins) - 1


def _lanes(places, diameter):
    """The free lane that is nearest to the middle, for each dot from the lowest on: int [dots]."""
    free, taken, lanes, opened = [], [], np.empty(len(places), int), 0
    for number, place in enumerate(places):
        while taken and taken[0][0] <= place - diameter:
            heapq.heappush(free, heapq.heappop(taken)[1])
        if not free:
            heapq.heappush(free, opened)
            opened += 1
        lane = heapq.heappop(free)
        heapq.heappush(taken, (place, lane))
        lanes[number] = (lane + 1) // 2 * (1 if lane % 2 else -1)
    return lanes
