"""Calibration: whether what a network gives a probability of p happens in a share p, against labels drawn from its own numbers.

An error of calibration is never zero on a sample, even of a perfect network: ten classes and a hundred rows give .11. So labels are
drawn from the network's own probabilities (consistency resampling, Bröcker, Smith 2007, https://doi.org/10.1175/WAF993.1), and its
size is freed from what sampling adds (Kumar et al. 2019, https://arxiv.org/abs/1909.10155).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from sanity.audit.copies import SIZES
from sanity.audit.permutation import p_among
from sanity.seeds import derive_seed
from sanity.statistics import Interval

# Bins of equal mass, and rows of one at least.
BINS, ROWS = 15, 30
# Rows of a group, and labels that are expected of a class, for a view of its own.
FEWEST, EXPECTED = 60, 10
# Draws that the scale of each view is taken from.
SCALING = 200
# How alike the latent numbers of two rows of a unit may be, and draws that each is tried with.
LIKENESSES, TRIALS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 0.99), 20
# How many units that lie beside each other in the file may belong together, and how many units apart they are strangers.
NEIGHBOURS, FAR = (2, 4, 8, 16), (40, 80)
# Steps of a search for a temperature, and powers of e that it lies between.
STEPS, TEMPERATURES = 40, (-6.0, 3.0)
TOP = "top label"


def equal_mass_bins(confidence):
    """Bins of about as many rows each; equal numbers are never parted.

    Args:
        confidence: float64 [rows].

    Returns:
        int [rows], from 0 on; 15 bins at most, and one for thirty rows.
    """
    count = max(1, min(BINS, len(confidence) // ROWS))
    ranks = (stats.rankdata(confidence) - 0.5) / len(confidence)
    bins = np.unique((ranks * count).astype(int), return_inverse=True)[1]
    sizes = np.bincount(bins)
    # A bin that equal numbers left small joins the one before it.
    starts = np.cumsum([size >= ROWS / 2 or place == 0 for place, size in enumerate(sizes)]) - 1
    return starts[bins]


@dataclass(frozen=True)
class Views:
    """What is asked whether it happens as often as the network says: the top label, each class, and the top label of each group.

    Args:
        names: list of str.
        classes: int [views], the class of each; -1 for the top label.
        cells: int [views, rows], the bin of each row among those of all views; that after the last where a row is not in it.
        views: int [bins], the view of each bin.
        confidence: float64 [bins], mean probability.
        sizes: int [bins], rows.
        left_out: list of str, groups and classes with too few rows.
    """

    names: list
    classes: np.ndarray
    cells: np.ndarray
    views: np.ndarray
    confidence: np.ndarray
    sizes: np.ndarray
    left_out: list

    def __len__(self):
        return len(self.names)

    def happened(self, labels, predicted):
        """Rows of each bin in which it happened.

        Args:
            labels: int [rows].
            predicted: int [rows].

        Returns:
            int [bins].
        """
        right = labels == predicted
        top = self.cells[self.classes < 0][:, right].ravel()
        of_class = np.full(labels.max() + 1, -1)
        known = self.classes[(self.classes >= 0) & (self.classes <= labels.max())]
        of_class[known] = np.flatnonzero(self.classes >= 0)[: len(known)]
        view = of_class[labels]
        rows = np.flatnonzero(view >= 0)
        cells = np.concatenate([top, self.cells[view[rows], rows]])
        return np.bincount(cells, minlength=len(self.sizes) + 1)[: len(self.sizes)]

    def errors(self, happened):
        """The expected calibration error of each view: mean distance of the share from the probability.

        Args:
            happened: int [..., bins].

        Returns:
            float64 [..., views].
        """
        distance = np.abs(happened - self.confidence * self.sizes)
        starts = np.searchsorted(self.views, np.arange(len(self)))
        return np.add.reduceat(distance, starts, axis=-1) / np.add.reduceat(self.sizes, starts)


def list_views(rows):
    """The views of some rows. Which there are is a matter of the probabilities alone.

    Args:
        rows: `Rows` of classes.

    Returns:
        `Views`.
    """
    probabilities, everyone = rows.probabilities, np.ones(len(rows), bool)
    top, count = probabilities.max(axis=1), probabilities.shape[1]
    candidates, left_out = [(TOP, -1, top, everyone)], []
    # Of two classes one says all.
    for place in range(1 if count == 2 else 0, count):
        if min(probabilities[:, place].sum(), (1 - probabilities[:, place]).sum()) < EXPECTED:
            left_out.append(f"class {place}")
        else:
            candidates.append((f"class {place}", place, probabilities[:, place], everyone))
    for name, mask in _groups(rows):
        if mask.sum() < FEWEST:
            left_out.append(name)
        else:
            candidates.append((name, -1, top, mask))
    return _views(candidates, left_out, len(rows))


def _groups(rows):
    """Names and masks of the values of protected columns: iterator of (str, bool [rows])."""
    for column in rows.protected:
        if column.missing.any():
            yield f"{column.name} missing", column.missing
        for value in np.unique(column.values[~column.missing]):
            words = column.levels[int(value)] if column.is_category else f"{value:g}"
            yield f"{column.name} = {words}", column.values == value


def _views(candidates, left_out, count):
    cells, views, confidence, sizes = [], [], [], []
    for place, (_, _, numbers, mask) in enumerate(candidates):
        bins = equal_mass_bins(numbers[mask])
        cells.append(np.full(count, -1))
        cells[-1][mask] = bins + len(sizes)
        counts = np.bincount(bins)
        sizes += counts.tolist()
        confidence += (np.bincount(bins, numbers[mask]) / counts).tolist()
        views += [place] * len(counts)
    cells = np.where(np.array(cells) < 0, len(sizes), cells)
    names, classes = [name for name, *_ in candidates], np.array([place for _, place, *_ in candidates])
    return Views(names, classes, cells, np.array(views), np.array(confidence), np.array(sizes), left_out)


class LabelSampler:
    """Labels drawn from probabilities, alike within a unit or independent.

    The classes of a row lie on a line from 0 to 1, the likeliest first, and a label is where a uniform number falls. Those of
    one unit come of one normal number, so that the law of each row stays what it is.

    Args:
        probabilities: float64 [rows, classes].
        levels: tuple of (int [rows], float), units and the correlation of the normal numbers of two rows of one.
    """

    def __init__(self, probabilities, levels=()):
        self.order = np.argsort(-probabilities, axis=1, kind="stable")
        ends = np.cumsum(np.take_along_axis(probabilities, self.order, axis=1), axis=1)
        self.flat = (np.minimum(ends, 1.0) + np.arange(len(ends))[:, None]).ravel()
        self.levels = [(np.unique(units, return_inverse=True)[1], share) for units, share in levels if share > 0]

    def at(self, places):
        """The labels in which numbers fall.

        Args:
            places: float64 [rows], from 0 to 1.

        Returns:
            int [rows].
        """
        rows, classes = self.order.shape
        ends = np.searchsorted(self.flat, places + np.arange(rows), side="right")
        column = np.clip(ends - classes * np.arange(rows), 0, classes - 1)
        return self.order[np.arange(rows), column]

    def draw(self, rng):
        """Labels of all rows: int [rows].

        Args:
            rng: numpy generator.
        """
        count = len(self.order)
        if not self.levels:
            return self.at(rng.random(count))
        normal = np.sqrt(max(1 - sum(share for _, share in self.levels), 0.0)) * rng.standard_normal(count)
        for units, share in self.levels:
            normal += np.sqrt(share) * rng.standard_normal(units.max() + 1)[units]
        return self.at(special.ndtr(normal))


def list_levels(rows, *, seed):
    """How alike the labels of a unit are beyond its probabilities, and those of units that lie beside each other in the file.

    Args:
        rows: `Rows` of classes, all labelled.
        seed: int.

    Returns:
        (tuple, tuple): levels of `LabelSampler`, of units, and of units and neighbours.
    """
    residuals = _Residuals(rows)
    share = 0.0 if rows.unit_count == len(rows) else _likeness(residuals.within, rows, (), residuals.units, seed)
    levels = ((residuals.units, share),)
    rng, sampler = np.random.default_rng(derive_seed(seed, "blocks")), LabelSampler(rows.probabilities, levels)
    drawn = [sampler.draw(rng) for _ in range(TRIALS)]

    def distance(size):
        values = [residuals.beside(labels, size) for labels in drawn]
        return (residuals.beside(rows.labels, size) - np.mean(values)) / max(np.std(values), 1e-300)

    size = max(NEIGHBOURS, key=distance)
    block = residuals.block(size)[residuals.units]
    near = _likeness(lambda labels: residuals.beside(labels, size), rows, levels, block, derive_seed(seed, "beside"))
    return levels, (*levels, (block, min(near, 0.99 - share)))


class _Residuals:
    """Products of residuals of the top label, in a unit and beside it."""

    def __init__(self, rows):
        self.predicted, self.top = rows.predicted, rows.probabilities.max(axis=1)
        self.units, self.bins = np.unique(rows.units, return_inverse=True)[1], equal_mass_bins(self.top)
        first = np.unique(self.units, return_index=True)[1]
        # Where each unit comes in the file.
        self.rank = np.argsort(np.argsort(first, kind="stable"))

    def block(self, size):
        """Units by the block of the file that they lie in: int [units]."""
        return self.rank // size

    def of(self, labels):
        """Right or wrong less the probability: float64 [rows]. What a bin is off on the whole is no likeness."""
        residual = (labels == self.predicted) - self.top
        return residual - (np.bincount(self.bins, residual) / np.bincount(self.bins))[self.bins]

    def within(self, labels):
        """The sum of products of two rows of a unit: float."""
        residual = self.of(labels)
        return (np.bincount(self.units, residual) ** 2).sum() - (residual**2).sum()

    def beside(self, labels, size):
        """The sum of products of two units of a block, less that of blocks some way off: float.

        A file may be sorted, so that a part of it is off on the whole: what blocks share that lie apart is no likeness.
        """
        sums = np.bincount(self.units, self.of(labels))
        by_block = np.bincount(self.block(size), sums)
        lags = range(-(-FAR[0] // size), FAR[1] // size + 1)
        far = [np.mean(by_block[lag:] * by_block[:-lag]) for lag in lags if lag < len(by_block)]
        apart = np.mean(far) * len(by_block) * (1 - 1 / size) if far else 0.0
        return (by_block**2).sum() - (sums**2).sum() - apart


def _likeness(product, rows, levels, units, seed):
    """The likeness with which drawn labels have the product of residuals that is observed: float."""
    rng, means = np.random.default_rng(seed), []
    for likeness in LIKENESSES:
        share = min(likeness, 0.99 - sum(share for _, share in levels))
        sampler = LabelSampler(rows.probabilities, (*levels, (units, share)))
        means.append(np.mean([product(sampler.draw(rng)) for _ in range(TRIALS)]))
    return float(np.interp(product(rows.labels), np.maximum.accumulate(means), LIKENESSES))


@dataclass(frozen=True)
class Consistency:
    """Errors of calibration against those of labels drawn from the network's own probabilities.

    Args:
        errors: float64 [views], expected calibration errors.
        distance: float64 [views], in deviations of their null.
        p: float64 [views], adjusted by the largest over all views.
        centre: float64 [views], the mean error of drawn labels.
        deviation: float64 [views], its deviation.
        drawn: float64 [draws], the largest distance of each draw, in order.
        bands: float64 [2, bins], between which the share of a bin lies in 95% of the draws.
    """

    errors: np.ndarray
    distance: np.ndarray
    p: np.ndarray
    centre: np.ndarray
    deviation: np.ndarray
    drawn: np.ndarray
    bands: np.ndarray

    def scaled(self, errors):
        """Distances of errors of calibration: float64 [..., views], -inf for a view that is the same in every draw."""
        varies = self.deviation > 1e-12
        return np.where(varies, (errors - self.centre) / np.where(varies, self.deviation, 1), -np.inf)

    def p_of(self, distance):
        """p of distances, as of the largest of all: float64."""
        return p_among(self.drawn, distance)


def compare_with_draws(views, rows, sampler, *, draws, seed):
    """Compare the error of every view with that of labels drawn from the network's own probabilities.

    The scale of a view comes from draws of their own, so that no draw that is ranked has set it.

    Args:
        views: `Views` of the rows.
        rows: `Rows` of classes, all labelled.
        sampler: `LabelSampler`.
        draws: int.
        seed: int.

    Returns:
        `Consistency`.
    """
    rng = np.random.default_rng(seed)
    counts = np.array([views.happened(sampler.draw(rng), rows.predicted) for _ in range(SCALING + draws)], "float32")
    errors = np.array([views.errors(row) for row in counts])
    bands = np.quantile(counts[SCALING:], (0.025, 0.975), axis=0) / views.sizes
    observed = views.errors(views.happened(rows.labels, rows.predicted))
    scale = Consistency(
        observed, observed, observed, errors[:SCALING].mean(axis=0), errors[:SCALING].std(axis=0), observed, bands
    )
    distance = scale.scaled(observed)
    known = replace(scale, distance=distance, drawn=np.sort(scale.scaled(errors[SCALING:]).max(axis=1)))
    return replace(known, p=np.where(np.isfinite(distance), known.p_of(distance), 1.0))


@dataclass(frozen=True)
class Bins:
    """What happened in the bins of one view.

    Args:
        weights: float64 [bins], shares of rows.
        gap: float64 [bins], share in which it happened less the mean probability.
        share: float64 [bins], in which it happened.
        noise: float64 [bins], the part of each squared gap that sampling adds.
        covariance: float64 [bins, bins], of the gaps between units.
    """

    weights: np.ndarray
    gap: np.ndarray
    share: np.ndarray
    noise: np.ndarray
    covariance: np.ndarray

    @property
    def squared_error(self):
        """The squared error of calibration, freed from what sampling adds; it may be negative: float."""
        return float(self.weights @ (self.gap**2 - self.noise))

    @property
    def parts(self):
        """Brier's score in parts (Murphy 1973): calibration and resolution without sampling, and uncertainty: dict."""
        mean = self.weights @ self.share
        spread = self.weights @ (self.share - mean) ** 2 - self.weights @ self.noise
        whole = self.weights @ self.covariance @ self.weights
        return {
            "calibration": self.squared_error,
            "resolution": float(spread + whole),
            "uncertainty": float(mean * (1 - mean)),
        }


def view_bins(views, place, rows):
    """The bins of a view.

    Where each row is a unit the noise is that of Kumar et al. 2019, and else that between units.

    Args:
        views: `Views`.
        place: int, of the view.
        rows: `Rows` of classes, all labelled.

    Returns:
        `Bins`.
    """
    first = int(np.flatnonzero(views.views == place)[0])
    confidence, sizes = views.confidence[views.views == place], views.sizes[views.views == place]
    members = views.cells[place] < len(views.sizes)
    bins = views.cells[place][members] - first
    target = rows.predicted if views.classes[place] < 0 else views.classes[place]
    happened = (rows.labels == target)[members].astype("float64")
    share = np.bincount(bins, happened) / sizes
    noise = share * (1 - share) / np.maximum(sizes - 1, 1)
    covariance = np.diag(np.maximum(noise, confidence * (1 - confidence) / sizes))
    if rows.unit_count < len(rows):
        probability = rows.probabilities.max(axis=1) if views.classes[place] < 0 else rows.probabilities[:, target]
        residual = happened - probability[members]
        residual -= (np.bincount(bins, residual) / sizes)[bins]
        between = _covariance(residual / sizes[bins], bins, rows.units[members], len(sizes))
        noise = np.diag(between)
        covariance = between + np.diag(np.maximum(np.diag(covariance) - noise, 0))
    return Bins(sizes / sizes.sum(), share - confidence, share, noise, covariance)


def _covariance(influence, bins, units, count):
    """Covariance of the means of bins between units: float64 [bins, bins]."""
    numbers = np.unique(units, return_inverse=True)[1]
    table = np.bincount(numbers * count + bins, influence, minlength=(numbers.max() + 1) * count).reshape(-1, count)
    return table.T @ table * len(table) / max(len(table) - 1, 1)


def root_interval(bins, level=0.95):
    """The root of the squared error of calibration, with an interval that holds at zero too.

    The squared error is a quadratic form of the gaps: its variance is 2 tr(VV), and 4 times the error times V's largest
    direction beyond. The bounds are the errors from which the estimate is z deviations away, as Wilson's are of a share.

    Args:
        bins: `Bins`.
        level: float, coverage.

    Returns:
        `Interval`.
    """
    square = bins.squared_error
    low, high = _squared_bounds(bins, square, level)
    return Interval(*(float(np.sqrt(max(value, 0.0))) for value in (square, low if square > 0 else 0.0, high)))


def _squared_bounds(bins, square, level):
    """Squared errors from which an estimate is as many deviations away as a level says: (float, float)."""
    weights, z = np.sqrt(bins.weights), stats.norm.isf((1 - level) / 2)
    scaled = weights[:, None] * bins.covariance * weights
    middle, rest = square + 2 * z**2 * np.linalg.eigvalsh(scaled)[-1], 2 * z**2 * (scaled**2).sum()
    half = np.sqrt(max(middle**2 - square**2 + rest, 0.0))
    return middle - half, middle + half


def rows_needed(bins, rows, delta, level=0.95):
    """About how many rows leave an interval below the margin where there is no error.

    Args:
        bins: `Bins`.
        rows: int, in the view.
        delta: float, the margin.
        level: float, coverage.

    Returns:
        int, or None where there are as many.
    """
    count = int(np.ceil(rows * _squared_bounds(bins, 0.0, level)[1] / delta**2))
    return count if count > rows else None


def tempered(rows, size):
    """Probabilities of labels under which the root error of the top label is of a size.

    Args:
        rows: `Rows` of classes.
        size: float.

    Returns:
        float64 [rows, classes]: those of the logits times a number below 1, or above it where that does not reach so far.
    """
    top, bins = rows.probabilities.max(axis=1), equal_mass_bins(rows.probabilities.max(axis=1))
    weights = np.bincount(bins)

    def root(power):
        truth = special.softmax(rows.logits * np.exp(power), axis=1)[np.arange(len(rows)), rows.predicted]
        gaps = np.bincount(bins, truth - top) / weights
        return np.sqrt(weights @ gaps**2 / len(rows))

    far = TEMPERATURES[0] if root(TEMPERATURES[0]) >= size else TEMPERATURES[1]
    near = 0.0
    for _ in range(STEPS):
        middle = (near + far) / 2
        near, far = (middle, far) if root(middle) < size else (near, middle)
    return special.softmax(rows.logits * np.exp(far), axis=1)


def tempered_samplers(rows, delta, levels):
    """Samplers of labels under which the root error is of so many margins, one for each of SIZES: dict.

    Args:
        rows: `Rows` of classes.
        delta: float, the margin.
        levels: tuple, as of `LabelSampler`.

    Returns:
        dict of float to `LabelSampler`.
    """
    return {size: LabelSampler(tempered(rows, size * delta), levels) for size in SIZES}
