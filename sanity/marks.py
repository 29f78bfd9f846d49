"""Marks: two cues that are drawn into windows of a picture or of a series, of one size and in every input of one contrast.

PictureMarks    into squares, each in a quarter of its own
SeriesMarks     into stretches of steps, each in a half of its own
"""

import inspect

import numpy as np

from lab.kinds import IMAGE, SERIES
from lab.nouns import plural
from lab.refusal import Refused, describe
from lab.registry import nearest
from sanity.cues import VARIANTS, cues

# Positions along the shorter side of the smallest mark.
SMALLEST = 4
# How many times as many positions one cue may cover as the other.
ALIKE = 1.25
# On how many inputs a cue is tried before anything is trained.
TRIED = 4


class _Marks:
    """Two marks, each drawn into a window of its own.

    Args:
        network: `Network` that takes the inputs.
        planting: `sanity.planting.Planting`.
        samples: array [samples, ...], inputs that networks are trained on.
    """

    drawn = ("places", "draws")

    def __init__(self, network, planting, samples):
        self.network, self.cues = network, planting.cues
        self.size, self.contrast = planting.size or self.SIZE, planting.contrast or self.CONTRAST
        self.names = tuple(name for name, _ in planting.cues)
        self.start, self.extent = self._region(samples)
        self.sides = self._matched_sides(self._window(samples[0], min(self.extent)))
        self._refuse_equal_variants(samples[:TRIED])

    def factors(self, rng, count):
        """Draw places of both cues, and seeds of what they draw: dict of name to int [count, ...].

        Args:
            rng: `numpy.random.Generator`.
            count: int, how many samples.

        Returns:
            dict of the names in `drawn` to arrays.
        """
        return {"places": self._draw_places(rng, count), "draws": rng.integers(0, 1 << 31, (count, 2))}

    def lay(self, sample, variants, places, draws):
        """Lay both cues over one input.

        Args:
            sample: float64 [..., channels].
            variants: int [2].
            places: int [2, axes], the first position of each window.
            draws: int [2], seeds.

        Returns:
            float64 of the sample's shape, and bool [2, ...], where each cue lies.
        """
        values, unit = self.standardize(sample)
        windows = [tuple(slice(at, at + side) for at in corner) for corner, side in zip(places.tolist(), self.sides)]
        drawings = [
            [_change(function, values[window], seed, variant) for variant in range(VARIANTS)]
            for (_, function), window, seed in zip(self.cues, windows, draws)
        ]
        # The least of all variants, so that the contrast of one cue says nothing of the other.
        contrast = min(self.contrast, *(rms for drawing in drawings for _, _, rms in drawing))
        change, masks = np.zeros(values.shape), np.zeros((2, *values.shape[:-1]), bool)
        for place, window in enumerate(windows):
            drawing, mask, rms = drawings[place][variants[place]]
            change[window] = drawing * (contrast / rms if rms else 0)
            masks[place][window] = mask
        return sample + unit * change, masks

    def measure(self, laid):
        """How many positions the cues cover, and by how much they change them.

        Args:
            laid: iterable of (input without cues, input with cues, masks), as of `sanity.planting.Scene.lay_all`.

        Returns:
            float64 [samples, 2 cues, 2]: positions, and the root mean square of their change in the unit of the contrast.
        """
        return np.array(
            [
                [(mask.sum(), np.sqrt(np.mean(self._standard_change(before, after)[mask] ** 2))) for mask in masks]
                for before, after, masks in laid
            ]
        )

    def match(self, laid):
        """What both cues have alike: dict of a heading and a row for each cue.

        Args:
            laid: as of `measure`.

        Returns:
            dict.
        """
        measured = self.measure(laid)
        rows = [
            {
                "cue": name,
                "size": size,
                "contrast": change,
                "words": f"{size:.0f} {plural(self.unit)}, {self.shown(change)}",
            }
            for name, (size, change) in zip(self.names, measured.mean(axis=0).tolist())
        ]
        heading = f"{plural(self.unit).capitalize()} that a cue covers and the root mean square of its change"
        return {"heading": f"{heading}, means over {len(measured)} {plural(self.noun)}", "rows": rows}

    def _draw_places(self, rng, count):
        """The first positions of both windows, in different quarters or halves: int [count, 2 cues, axes]."""
        axes, half = len(self.extent), np.array(self.extent) // 2
        parts = rng.permuted(np.tile(np.arange(2**axes), (count, 1)), axis=1)[:, :2]
        corners = (parts[..., None] >> np.arange(axes)[::-1] & 1) * half
        room = half - np.array(self.sides)[:, None] + 1
        return np.array(self.start) + corners + rng.integers(0, room, (count, 2, axes))

    def _window(self, sample, side):
        """A part of an input in the unit of the contrast, from its first position on: float64 [side, ..., channels]."""
        values, _ = self.standardize(sample.astype("float64"))
        return values[tuple(slice(at, at + side) for at in self.start)]

    def _matched_sides(self, window):
        """Side of the window that each cue is drawn into, so that the cues cover as many positions each: list of int."""
        axes, longest = len(self.extent), min(self.extent)
        goal, largest = (self.size * longest) ** axes, longest // 2

        def inside(side):
            return window[(slice(side),) * axes]

        def closest(function):
            sides = range(min(SMALLEST, largest), largest + 1)
            return min(sides, key=lambda side: abs(covered(function, inside(side)) - goal))

        sides = [closest(function) for _, function in self.cues]
        areas = [covered(function, inside(side)) for (_, function), side in zip(self.cues, sides)]
        if max(areas) > ALIKE * min(areas):
            words = " and ".join(f"{name} {area:.0f}" for name, area in zip(self.names, areas))
            raise Refused(
                f"Two cues cover about as many {plural(self.unit)}, each in a {self.part} of the {self.noun}. Received: size {self.size:g}, at which they cover {words}. Give another size."
            )
        return sides

    def _refuse_equal_variants(self, samples):
        """Raise Refused for a cue whose two variants look alike in all of some inputs."""
        for (name, function), side in zip(self.cues, self.sides):
            windows = [self._window(sample, side) for sample in samples]
            if all(np.array_equal(*_both_variants(function, window)) for window in windows):
                raise Refused(
                    f"A cue has two variants, which carry the label. Received: {name!r}, which takes no variant= and looks the same {self.turned}. Give it an argument variant, 0 or 1."
                )


class PictureMarks(_Marks):
    """Two marks in pictures, each in a square in a quarter of its own."""

    noun, unit, part, turned = "picture", "pixel", "quarter", "upside down"
    SIZE, CONTRAST = 0.25, 80.0

    def _region(self, samples):
        return (0, 0), self.network.size

    def standardize(self, sample):
        """A picture in 0..255, as it is, and the unit of its changes."""
        return sample, 1.0

    def _standard_change(self, before, after):
        return after - before

    def shown(self, change):
        """A change in words: str."""
        return f"{change:.1f} of 255"

    def to_inputs(self, pictures):
        """Pictures in 0..255 as the network takes them: float32 [samples, rows, columns, channels]."""
        return self.network.preprocessing.apply(pictures.astype("float32")).astype("float32")


class SeriesMarks(_Marks):
    """Two motifs in series, each in a stretch of steps in a half of its own. Steps that some series masks are left as they are."""

    noun, unit, part, turned = "series", "step", "half", "backwards"
    SIZE, CONTRAST = 0.2, 1.5

    def _region(self, samples):
        """The longest stretch of steps that no series masks: ((first step,), (steps,))."""
        kept = self.network.kept_mask(samples)
        real = np.ones(samples.shape[1], bool) if kept is None else ~kept.any(axis=(0, 2))
        edges = np.flatnonzero(np.diff([0, *real, 0]))
        start, stop = max(edges.reshape(-1, 2), key=lambda pair: pair[1] - pair[0], default=(0, 0))
        if stop - start < 2 * SMALLEST:
            raise Refused(
                f"A series holds two motifs of {SMALLEST} steps at the least, one in each half. Received: series of {samples.shape[1]} steps, of which {stop - start} in a row are masked in none."
            )
        self.steps = slice(start, stop)
        self.deviations = samples[:, self.steps].std(axis=(0, 1), dtype="float64")
        return (int(start),), (int(stop - start),)

    def standardize(self, sample):
        """A series in deviations from its mean, by channel, and the deviation.

        Args:
            sample: float64 [steps, channels].

        Returns:
            float64 [steps, channels], and float64 [channels]. A channel that is constant here has the deviation of all series.
        """
        values = sample[self.steps]
        unit = values.std(axis=0)
        unit = np.where(unit > 1e-6 * np.abs(values).max(axis=0), unit, self.deviations)
        return (sample - values.mean(axis=0)) / np.where(unit > 0, unit, 1), unit

    def _standard_change(self, before, after):
        unit = self.standardize(before)[1]
        return (after - before)[:, unit > 0] / unit[unit > 0]

    def shown(self, change):
        """A change in words: str."""
        return f"{change:.2f} deviations"

    def to_inputs(self, series):
        """Series as the network takes them: float32 [samples, steps, channels]."""
        return series.astype("float32")


MARKS = {IMAGE.name: PictureMarks, SERIES.name: SeriesMarks}
# Cues where none are named.
USUAL = {SERIES.name: ("bump", "oscillation")}


# Cues by name -------------------------------------------------------------------------------------------------------------


def resolve_marks(names, external, kind=IMAGE):
    """Two cues of pictures or series by name.

    Args:
        names: list of str, names of `cues` or "module:function"; none for the usual ones of series.
        external: str -> function, for those of the user.
        kind: `lab.kinds.Kind`, of the inputs.

    Returns:
        tuple of (name, function).

    Raises:
        Refused: unless there are two different ones, for an unknown one, and for one of another kind.
    """
    names = names or USUAL.get(kind.name, ())
    if len(names) != 2 or len(set(names)) != 2:
        example = " ".join(f"--cue {name}" for name in USUAL.get(kind.name, ("ruler", "sticker")))
        raise Refused(f"Two different cues are planted: {example}. Received: {', '.join(names) or 'none'}.")
    functions = [external(name) if ":" in name else _cue_of(name, kind) for name in names]
    return tuple((name, cue_function(name, function, kind)) for name, function in zip(names, functions))


def _cue_of(name, kind):
    """A cue by name. Raises Refused for one of another kind."""
    fitting = cues.names(kind=kind.name)
    if name not in cues:
        raise Refused(f"Unknown cue. Received: {name!r}. {nearest(name, fitting)}")
    if name not in fitting:
        of = cues.tag(cues.get(name), "kind")
        raise Refused(
            f"A cue is of the kind of the inputs, {kind.name}. Received: {name!r}, a cue of the kind {of}. Those of {kind.name}: {', '.join(fitting)}."
        )
    return cues.get(name)


def cue_function(name, function, kind=IMAGE):
    """A cue of the user with two variants, whatever it takes, whose results are checked.

    A function without the argument `variant` is turned upside down for variant 1, or in a series backwards.

    Args:
        name: str, what errors call it.
        function: (image, rng) -> image, mask, which may take `variant`; or (series, rng) -> series, mask.
        kind: `lab.kinds.Kind`, of the inputs.

    Returns:
        function (image, rng, *, variant) -> float64 image, bool mask.
    """
    takes_variant, noun = "variant" in inspect.signature(function).parameters, kind.name

    def draw(values, rng, *, variant):
        turned = bool(variant) and not takes_variant
        before = np.ascontiguousarray(_turn(values, turned))
        options = {"variant": variant} if takes_variant else {}
        try:
            after, mask = function(before.copy(), rng, **options)
            after, mask = np.asarray(after, "float64"), np.asarray(mask, bool)
        except Exception as error:
            # Whatever a function of the user raises is told in one line.
            raise Refused(
                f"A cue is a function ({noun}, rng) -> {noun}, mask. Received: {name!r}, {describe(error)}"
            ) from error
        _refuse_drawing(name, before, after, mask, kind)
        after = np.clip(after, 0, 255) if kind is IMAGE else after
        return _turn(after, turned, before.ndim - 1), _turn(mask, turned, before.ndim - 1)

    return draw


def _turn(values, turned, axes=None):
    """The same from its other end along the axes of its positions."""
    return np.flip(values, tuple(range(axes or values.ndim - 1))) if turned else values


def _refuse_drawing(name, before, after, mask, kind):
    if after.shape != before.shape or mask.shape != before.shape[:-1]:
        positions = "its rows and columns" if kind is IMAGE else "its steps"
        article = "an" if kind is IMAGE else "a"
        raise Refused(
            f"A cue returns {article} {kind.name} of the size that it was given, {before.shape}, and a mask of {positions}. Received: {name!r}, which returned {after.shape} and {mask.shape}."
        )
    if not np.isfinite(after).all():
        numbers = "numbers in 0..255" if kind is IMAGE else "finite numbers"
        raise Refused(f"A cue returns {numbers}. Received: {name!r}, which returned NaN or infinity.")
    if not mask.any():
        raise Refused(
            f"The mask of a cue holds the {plural(kind.unit)} that it covers. Received: {name!r}, whose mask is empty."
        )


def covered(function, window):
    """How many positions of a window a cue covers, mean over its variants: float.

    Args:
        function: (image, rng, *, variant) -> image, mask.
        window: float64 [..., channels].

    Returns:
        float.
    """
    masks = [function(window, np.random.default_rng(0), variant=variant)[1] for variant in range(VARIANTS)]
    return float(np.mean([mask.sum() for mask in masks]))


def _both_variants(function, window):
    return [function(window, np.random.default_rng(0), variant=variant)[0] for variant in range(VARIANTS)]


def _change(function, window, seed, variant):
    """What a cue changes in its window: float64 change, bool mask, and the root mean square of the change within the mask."""
    after, mask = function(window, np.random.default_rng(int(seed)), variant=variant)
    change = np.where(mask[..., None], after - window, 0)
    return change, mask, float(np.sqrt(np.mean(change[mask] ** 2)))
