"""Decoding: how well a linear probe tells a protected column from activations, beside the same column drawn anew given others."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sanity.audit.components import principal_axes
from sanity.audit.copies import list_copies, read_copies
from sanity.audit.descriptors import OF_PICTURES
from sanity.audit.eyes import area_under_curve, areas_under_curve
from sanity.audit.legitimate import odds_on_half
from sanity.audit.permutation import halves
from sanity.audit.ranking import area_shares, mean_by_unit
from sanity.probes.control_tasks import control_labels, input_types
from sanity.seeds import derive_seed
from sanity.statistics import Interval, without_interval

# Components of activations, ridge of the probe for each row, redraws for each copy, and for a mean that is shown.
COMPONENTS, RIDGE, OF_COPIES, OF_MEAN = 50, 0.05, 99, 50
# Parts in which redraws of a copy are looked at, and what two equal areas may differ by.
PARTS, SAME = 8, 1e-12
# Rows that are clustered for a control task, and such tasks.
CLUSTERED, TASKS = 4000, 3


def components(values):
    """Principal components of activations or inputs, each of deviation 1.

    Args:
        values: float [rows, channels].

    Returns:
        float64 [rows, components], 50 at most.
    """
    centred = np.asarray(values, "float64") - np.mean(values, axis=0)
    spread = centred.std(axis=0)
    centred = centred[:, spread > 1e-9] / spread[spread > 1e-9]
    if not centred.size:
        return np.zeros((len(values), 0))
    variances, axes = principal_axes(centred, COMPONENTS, floor=1e-6)
    return centred @ axes / np.sqrt(variances)


def probe_auc(values, members, fitted, chance=None):
    """How well a ridge probe, fitted on some rows, ranks the others.

    Args:
        values: float64 [rows, components].
        members: float64 [draws, rows], 0 or 1.
        fitted: bool [rows].
        chance: float64 [rows], what is expected of members and taken from what the probe learns; None: their mean.

    Returns:
        float64 [draws], the area under the ROC curve; .5 where one side is empty.
    """
    scores = probe_scores(values, members, fitted, chance)
    if chance is None:
        return areas_of(scores, members[:, ~fitted])
    # What scores have of the expectation alone is the same for all members, and is taken off.
    both = (members[:, ~fitted].T, np.broadcast_to(chance[~fitted], scores.shape).T)
    areas, expected = (np.nan_to_num(area, nan=0.5) for area in areas_under_curve(scores.T, both))
    return 0.5 + areas - expected


def probe_scores(values, members, fitted, chance=None):
    """What a ridge probe, fitted on some rows, says of the others.

    Args:
        values: float64 [rows, components].
        members: float64 [draws, rows], 0 or 1.
        fitted: bool [rows].
        chance: as of `probe_auc`.

    Returns:
        float64 [draws, rows that were not fitted].
    """
    known = values[fitted]
    centre = members[:, fitted].mean(axis=1, keepdims=True) if chance is None else chance[fitted]
    targets = members[:, fitted] - centre
    weights = np.linalg.solve(known.T @ known + RIDGE * len(known) * np.eye(known.shape[1]), known.T @ targets.T)
    return (values[~fitted] @ weights).T


def areas_of(scores, members):
    """The chance that a member has a higher score than another row, ties counted by half.

    Args:
        scores: float64 [draws, rows].
        members: float64 [draws, rows], 0 or 1.

    Returns:
        float64 [draws], .5 where one side is empty.
    """
    return np.nan_to_num(area_under_curve(scores.T, members.T), nan=0.5)


def without(values, features):
    """What is left of values when what features say of them, by least squares, is taken out.

    Args:
        values: float [rows, channels].
        features: float64 [rows, features].

    Returns:
        float64 [rows, channels]; a channel that features say all of is 0.
    """
    values = np.asarray(values, "float64")
    rest = values - features @ np.linalg.lstsq(features, values, rcond=1e-10)[0]
    return np.where(rest.std(axis=0) > 1e-6 * values.std(axis=0), rest, 0.0)


@dataclass(frozen=True)
class Decoded:
    """How well a contrast is told.

    Args:
        areas: float64 [1 + draws], of activations without what legitimate columns say of them, of the true members first,
            then of redrawn ones.
        layer: float, of the activations as they are.
        redrawn: float, the same of redrawn members, on average.
        legitimate: float, of legitimate columns alone.
        inputs: float, of the network's inputs, or of what is computed of them; nan where they are not known.
        untrained: float64 [networks, 2], of activations of untrained networks: as they are, and without what legitimate columns
            say of them.
        lead: `Interval`, by how much the area without what legitimate columns say is above the mean of untrained networks.
        control: float, of random labels of clusters of inputs, in the place of the column.
    """

    areas: np.ndarray
    layer: float
    redrawn: float
    legitimate: float
    inputs: float
    untrained: np.ndarray
    lead: Interval
    control: float

    @property
    def excess(self):
        """The area above that of redrawn members: `Interval`, by the deviation of redrawn ones."""
        redrawn = self.areas[1:]
        mean, half = float(self.areas[0] - redrawn.mean()), float(1.96 * redrawn.std(ddof=1))
        return Interval(mean, mean - half, mean + half)


class Problem:
    """A contrast, what is decoded, and the halves of the units that probes are fitted and judged on.

    What legitimate columns say of the activations is taken out first. With it, the area of redrawn members moves with every error of
    P(A | L), and of 200 networks without a stand-in 27 seemed to encode one; without it 8 did.

    Args:
        contrast: `sanity.audit.legitimate.Contrast`.
        rows: `Rows`.
        features: float64 [rows of the contrast, features], of legitimate columns, as of `sanity.audit.legitimate.design`.
        seed: int.
    """

    def __init__(self, contrast, rows, features, *, seed):
        self.contrast, self.features, self.seed = contrast, features, seed
        self.units = np.unique(rows.units[contrast.places], return_inverse=True)[1]
        self.fitted = halves(self.units, seed=derive_seed(seed, "halves"))
        self.plain = components(rows.features[contrast.places])
        self.values = components(without(rows.features[contrast.places], features))
        numbers = input_numbers(rows)
        self.inputs = None if numbers is None else components(numbers[contrast.places])
        self.untrained = [] if rows.untrained is None else list(np.moveaxis(rows.untrained[contrast.places], 1, 0))
        self.odds = odds_on_half(features, contrast.members, self.units, self.fitted)

    def decode(self, draws):
        """Compare the true members with redrawn ones.

        Args:
            draws: int.

        Returns:
            `Decoded`.
        """
        members = self.contrast.members[None]
        of_inputs = np.nan if self.inputs is None else probe_auc(self.inputs, members, self.fitted)[0]
        of_legitimate = areas_of(self.odds.chance[None, ~self.fitted], members[:, ~self.fitted])[0]
        areas = self._areas(self.contrast.members, self.values, self.odds, draws, derive_seed(self.seed, "redrawn"))
        redrawn = self.odds.draw(OF_MEAN, seed=derive_seed(self.seed, "of mean"))
        plain = probe_auc(self.plain, np.vstack([members, redrawn]), self.fitted)
        return Decoded(
            areas,
            float(plain[0]),
            float(plain[1:].mean()),
            float(of_legitimate),
            float(of_inputs),
            *self._beside_untrained(),
            self._control_area(),
        )

    def _beside_untrained(self):
        """The areas of untrained networks, and the lead of the trained one."""
        members = self.contrast.members[None]
        without_legitimate = [components(without(values, self.features)) for values in self.untrained]
        if not without_legitimate:
            return np.zeros((0, 2)), without_interval()
        plain = [probe_auc(components(values), members, self.fitted)[0] for values in self.untrained]
        shares = np.array([self._shares(values) for values in without_legitimate])
        lead = mean_by_unit(self._shares(self.values) - shares.mean(axis=0), self.units[~self.fitted])
        return np.stack([plain, 0.5 + shares.mean(axis=1)], axis=1), lead

    def _shares(self, values):
        """What each row that was not fitted adds to the area above that of the expectation: float64 [rows]."""
        members, chance = self.contrast.members, self.odds.chance
        scores = probe_scores(values, members[None], self.fitted, chance)[0]
        return area_shares(scores, members[~self.fitted]) - area_shares(scores, chance[~self.fitted])

    def _control_area(self):
        """How well the same probe learns random labels of clusters of inputs, on average: float, nan without inputs."""
        if self.inputs is None or not self.inputs.size:
            return float("nan")
        kept = np.random.default_rng(derive_seed(self.seed, "clustered")).permutation(len(self.inputs))[:CLUSTERED]
        types = input_types(self.inputs[kept], seed=derive_seed(self.seed, "types") % 2**31)
        labels = [
            control_labels(types, self.contrast.members[kept].astype(int), seed=derive_seed(self.seed, "task", task))
            for task in range(TASKS)
        ]
        return float(probe_auc(self.plain[kept], np.array(labels, "float64"), self.fitted[kept]).mean())

    def _areas(self, members, values, odds, draws, seed):
        return probe_auc(values, np.vstack([members, odds.draw(draws, seed=seed)]), self.fitted, odds.chance)

    def _is_rare(self, members, values, odds, draws, alpha, seed):
        """Whether few redrawn members have an area as large as these. No more are looked at once there are too many."""
        area, count = None, 0
        # The true members stand among the first ones: alone they would be solved for by operations that round otherwise.
        for drawn in np.array_split(np.vstack([members, odds.draw(draws, seed=seed)]), PARTS):
            areas = probe_auc(values, drawn, self.fitted, odds.chance)
            area = areas[0] if area is None else area
            count += (areas >= area - SAME).sum()
            if count / (draws + 1) > alpha:
                return False
        return True

    def copies(self, mean, delta, alpha, tries):
        """Ask the same of copies: rolled members, and redrawn ones with a channel that raises the area by so many margins.

        Args:
            mean: float, the area of redrawn members.
            delta: float.
            alpha: float, the level of one contrast.
            tries: int.

        Returns:
            `sanity.audit.copies.Tries`.
        """

        def rolled(seed):
            return self.odds.roll(self.contrast.members, seed=seed), self.values

        def plant(size, seed):
            members = self.odds.draw(1, seed=derive_seed(seed, "members"))[0]
            noise = np.random.default_rng(seed).normal(size=len(members))
            channel = noise + distance_of(mean, size * delta) * members
            return members, np.column_stack([self.values, (channel - channel.mean()) / channel.std()])

        copies = list_copies(rolled, plant, seed=derive_seed(self.seed, "copies"), tries=tries)
        return read_copies([self._alarm(*copy, alpha, number) for number, copy in enumerate(copies)], tries)

    def _alarm(self, members, values, alpha, number):
        odds = odds_on_half(self.features, members, self.units, self.fitted)
        draws = max(OF_COPIES, int(np.ceil(2 / alpha)))
        return self._is_rare(members, values, odds, draws, alpha, derive_seed(self.seed, "of copies", number))


def input_numbers(rows):
    """Inputs as numbers, without any network: those of a table, and of other data what is computed of them.

    Args:
        rows: `Rows`.

    Returns:
        float64 [rows, features], or None where nothing is known of the inputs.
    """
    if rows.inputs is not None:
        return np.asarray(rows.inputs, "float64")
    columns = [column.values for column in rows.columns if column.kind == "statistic" and not column.is_category]
    columns += [rows.descriptors[name] for name in OF_PICTURES if name in rows.descriptors]
    if not columns:
        return None
    values = np.column_stack(columns)
    known = np.isfinite(values)
    means = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, values, means)


def distance_of(area, more):
    """How far apart the two sides lie on a channel that raises an area under the curve, in deviations.

    Args:
        area: float.
        more: float.

    Returns:
        float.
    """
    before, after = (np.sqrt(2) * stats.norm.ppf(np.clip(value, 0.5, 0.999)) for value in (area, area + more))
    return float(np.sqrt(max(after**2 - before**2, 0)))
