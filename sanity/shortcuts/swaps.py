"""Swaps: does the network use a region? It is put over from a picture of another class, and from one of the same class.

What any swap costs, such as its seams, it costs both ways. Their difference is what the content for the other class costs.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from lab import routines
from lab.registry import Registry
from sanity.seeds import derive_seed
from sanity.shortcuts.picture import Picture
from sanity.shortcuts.regions import border_mask, corners_mask
from sanity.statistics import Interval, group_interval

swaps = Registry("swap")
# Donors of each class for a picture, and pictures in the memory at once.
DONORS, CHUNK = 2, 64
# Deviation of the low-pass filter, as a share of the side; about what 8 x 8 cells keep.
BLUR = 1 / 16
# The positive control: all of the picture is swapped.
EVERYTHING = "everything"


@dataclass(frozen=True)
class Sized:
    """A picture with its pixels at the network's size.

    Args:
        picture: `Picture`.
        pixels: float32 [rows, columns, 3] in 0..255.
    """

    picture: Picture
    pixels: np.ndarray


@dataclass(frozen=True)
class SwapEffect:
    """What a swap costs.

    Args:
        swap: str.
        drop: `Interval` of the accuracy with a donor of the same class, less that with one of another class.
        same: float, accuracy with donors of the same class.
        other: float, accuracy with donors of another class.
        donor: float, how often the answer is the other donor's class.
        values: float [pictures], the drop of each.
        changed: bool, whether donors of the two kinds give other pictures.
        classes: tuple of (class, `Interval` of its own drop), of classes in enough groups.
        unseen: int, classes in fewer groups, whose own drop is not known.
    """

    swap: str
    drop: Interval
    same: float
    other: float
    donor: float
    values: np.ndarray
    changed: bool = True
    classes: tuple = ()
    unseen: int = 0


@swaps.register
def border(receiver, donor):
    """The ring along the edge, an eighth of the picture wide.

    Args:
        receiver: `Sized`.
        donor: `Sized`.

    Returns:
        float32 [rows, columns, 3] in 0..255.
    """
    return _paste(receiver, donor, border_mask)


@swaps.register
def corners(receiver, donor):
    """The four corners, each a quarter of the shorter side.

    Args:
        receiver: `Sized`.
        donor: `Sized`.

    Returns:
        float32 [rows, columns, 3] in 0..255.
    """
    return _paste(receiver, donor, corners_mask)


@swaps.register
def mean_colour(receiver, donor):
    """The mean and the deviation of each colour.

    Args:
        receiver: `Sized`.
        donor: `Sized`.

    Returns:
        float32 [rows, columns, 3] in 0..255.
    """
    (mean, spread), (donor_mean, donor_spread) = (
        (image.mean(axis=(0, 1)), image.std(axis=(0, 1)) + 1e-3) for image in (receiver.pixels, donor.pixels)
    )
    return np.clip((receiver.pixels - mean) / spread * donor_spread + donor_mean, 0, 255).astype("float32")


@swaps.register
def low_pass(receiver, donor):
    """The low frequencies, about what 8 x 8 cells keep.

    Args:
        receiver: `Sized`.
        donor: `Sized`.

    Returns:
        float32 [rows, columns, 3] in 0..255.
    """
    deviation = min(receiver.pixels.shape[:2]) * BLUR
    low, donor_low = (gaussian_filter(image, (deviation, deviation, 0)) for image in (receiver.pixels, donor.pixels))
    return np.clip(receiver.pixels - low + donor_low, 0, 255).astype("float32")


@swaps.register
def compression(receiver, donor):
    """The JPEG tables: the picture is compressed once more, as the donor was. It is not changed where the donor is no JPEG.

    Args:
        receiver: `Sized`.
        donor: `Sized`.

    Returns:
        [rows, columns, 3] in 0..255, at the size of the picture's own file.
    """
    header = donor.picture.header
    if header is None or not header.quantization:
        return receiver.pixels
    buffer, tables = io.BytesIO(), [list(table) for table in header.quantization[:2]]
    Image.fromarray(receiver.picture.image).save(buffer, "JPEG", qtables=tables, subsampling=0)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def _paste(receiver, donor, mask_of):
    mask = mask_of(*receiver.pixels.shape[:2])[..., None]
    return np.where(mask, donor.pixels, receiver.pixels)


def _everything(receiver, donor):
    return donor.pixels


def measure(network, pictures, labels, groups, names, *, seed, output=None, fit="squash"):
    """What each swap costs the network, with all of the picture swapped as the positive control.

    Args:
        network: `Network`.
        pictures: list of `Picture`.
        labels: int [pictures], classes of the network.
        groups: int [pictures], from 0 on. A donor is of another group.
        names: names of swaps.
        seed: int.
        output: str, the output of the network; None: the only one.
        fit: as of `Network.preprocess`.

    Returns:
        list of `SwapEffect`, `EVERYTHING` first, and float, the accuracy without a swap.
    """
    pixels = network.deprocess(network.preprocess([picture.image for picture in pictures], fit=fit))
    sized = [Sized(picture, image) for picture, image in zip(pictures, pixels)]
    donors = _draw_donors(labels, groups, np.random.default_rng(derive_seed(seed, "donors", 0)))
    ask = _asker(network, output, fit)
    functions = {EVERYTHING: _everything, **{name: swaps.get(name) for name in names}}
    level = 1 - 0.05 / max(1, len(names))
    effects = [
        _effect(name, function, sized, labels, groups, donors, ask, derive_seed(seed, name, 2), level)
        for name, function in functions.items()
    ]
    return effects, float((ask(pixels) == labels).mean())


def _asker(network, output, fit):
    """-> function from images to the classes that are answered: int [images]."""

    def ask(images):
        inputs = network.preprocess(list(images), fit=fit)
        return np.asarray(routines.class_logits(network, inputs, output=output)).argmax(axis=1)

    return ask


def _draw_donors(labels, groups, rng):
    """Places of donors: of the same class, and of another one, each of another group: int [2, DONORS, pictures]; -1 for none."""
    donors = np.full((2, DONORS, len(labels)), -1)
    for place, (label, group) in enumerate(zip(labels, groups)):
        for row, condition in enumerate((labels == label, labels != label)):
            candidates = np.flatnonzero(condition & (groups != group))
            if len(candidates):
                donors[row, :, place] = rng.choice(candidates, DONORS, replace=len(candidates) < DONORS)
    return donors


def _effect(name, function, sized, labels, groups, donors, ask, seed, level):
    answers, changed = np.full(donors.shape, -1), False
    complete = (donors >= 0).all(axis=(0, 1))
    places = np.flatnonzero(complete)
    step = max(1, CHUNK // donors[:, :, 0].size)
    for start in range(0, len(places), step):
        part = places[start : start + step]
        swapped = [[function(sized[place], sized[donor]) for donor in donors[:, :, place].ravel()] for place in part]
        # Where the donors of both classes have the region alike, the swap asks nothing.
        changed = changed or any(not np.array_equal(images[0], images[DONORS]) for images in swapped)
        answered = ask([image for images in swapped for image in images])
        answers[:, :, part] = np.moveaxis(answered.reshape(len(part), *donors.shape[:2]), 0, -1)
    same, other = (np.where(complete, (answer == labels).mean(axis=0), np.nan) for answer in answers)
    to_donor = np.where(complete, (answers[1] == labels[donors[1]]).mean(axis=0), np.nan)
    interval = _never_certain(group_interval(same - other, groups, seed=seed, level=level), groups)
    of_classes, unseen = _class_intervals(same - other, labels, groups, seed, level)
    return SwapEffect(name, interval, *map(_mean, (same, other, to_donor)), same - other, changed, of_classes, unseen)


def _class_intervals(drops, labels, groups, seed, level):
    """The drop of each class that has enough groups, and how many have not: tuple of (int, `Interval`), int.

    A class that few pictures have would vanish in the mean over all. What is shown of one stands; that one shows nothing is
    no certainty, which the mean over all has to give.
    """
    classes = np.unique(labels[np.isfinite(drops)])
    intervals = {}
    for label in classes.tolist():
        rows = labels == label
        groups_of_class = np.unique(groups[rows], return_inverse=True)[1]
        interval = group_interval(drops[rows], groups_of_class, seed=seed, level=1 - (1 - level) / len(classes))
        if np.isfinite(interval.low):
            intervals[label] = interval
    return tuple(intervals.items()), len(classes) - len(intervals)


def _never_certain(interval, groups):
    """An interval at least as wide as three over the number of groups, which a bootstrap of equal values is not.

    Rule of three (Hanley, Lippman-Hand 1983, https://doi.org/10.1001/jama.1983.03330370053031).
    """
    half = 3 / len(set(groups.tolist()))
    return Interval(interval.mean, min(interval.low, interval.mean - half), max(interval.high, interval.mean + half))


def _mean(values):
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
