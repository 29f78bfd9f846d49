"""Hierarchies: the players of a sample in nested groups, as tuples of their numbers: ((0, 1), (2, (3, 4))).

halved(members) -> hierarchy          parts of positions, cut in half again and again
from_levels(levels) -> hierarchy      groups that a user names
players_in(hierarchy) -> list of int  who is in it
"""

import numpy as np

from lab.refusal import Refused


def players_in(hierarchy):
    """The players of a hierarchy or of a group of it, from left to right: list of int."""
    if not isinstance(hierarchy, tuple):
        return [hierarchy]
    return [player for group in hierarchy for player in players_in(group)]


def halved(members):
    """Players cut in half along the longer side of where they lie, and each half again, down to single players.

    Args:
        members: int array of one sample's positions, the player of each; -1 for none.

    Returns:
        hierarchy.
    """
    names, places = np.unique(members, return_inverse=True)
    counts = np.bincount(places.ravel())
    where = np.indices(members.shape).reshape(members.ndim, -1)
    centres = np.stack([np.bincount(places.ravel(), axis) / counts for axis in where], axis=1)
    there = names >= 0
    return _halve(names[there].tolist(), centres[there])


def _halve(players, centres):
    if len(players) == 1:
        return players[0]
    axis = np.ptp(centres, axis=0).argmax()
    # Of a grid a cut leaves rows and columns whole.
    lines = np.unique(centres[:, axis])
    right = centres[:, axis] >= lines[len(lines) // 2]
    if right.all():
        # All lie at one place, as rings do.
        right = np.arange(len(players)) >= len(players) // 2
    return tuple(
        _halve([player for player, there in zip(players, half) if there], centres[half]) for half in (~right, right)
    )


def from_levels(levels, players):
    """Groups that a user names.

    Args:
        levels: int [players], the group of each player; or [levels, players], the largest groups first. The numbers of a finer level
            count within the group of the coarser one.
        players: list of int, those that the columns of the levels stand for.

    Returns:
        hierarchy.

    Raises:
        Refused: for what is no whole number for each player.
    """
    try:
        levels = np.asarray(levels)
    except ValueError as error:
        raise Refused(f"Levels of groups are of one length. Received: {error}.") from error
    if levels.dtype.kind not in "iu" or levels.ndim not in (1, 2) or levels.shape[-1] != len(players):
        raise Refused(
            f"groups holds the whole number of a group for each of {len(players)} players. Received: {levels.dtype} {levels.shape}. Give a list such as {[0, 0, 1, 1, 2][: len(players)]}."
        )
    return _nest(np.atleast_2d(levels), np.asarray(players))


def _nest(levels, players):
    if len(players) == 1:
        return int(players[0])
    if not len(levels):
        return tuple(players.tolist())
    groups = [_nest(levels[1:, levels[0] == name], players[levels[0] == name]) for name in np.unique(levels[0])]
    return groups[0] if len(groups) == 1 else tuple(groups)
