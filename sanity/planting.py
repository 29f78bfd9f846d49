"""Planting: two cues in every picture of a user, as a world that the user's own network is trained in.

Each cue has two variants. Both cues stand in every picture, in different quarters, in variants that are drawn independently.
One network learns to tell the variants of the first cue apart, another those of the second, from pictures of one
distribution. Both marks have the same size, and change the pixels that they cover by the same root mean square.
"""

import functools
import inspect
from dataclasses import dataclass, replace

import numpy as np

from lab.refusal import Refused, describe
from sanity.cues import VARIANTS, cues
from sanity.seeds import derive_seed
from sanity.shortcuts.copies import join_copies, thumbnail
from sanity.worlds.trainable import UpperPart
from sanity.worlds.world import Samples, Training, World

# A network trained on some sources is tried on others.
FEWEST_SOURCES = 4
# The share of the sources that no network is trained on, and how many crops are taken of them.
HELD_OUT, HELD_OUT_CROPS = 1 / 3, 192
# The side of a crop, as a share of the largest one that fits into its picture.
SMALLEST_CROP = 0.6
# Sides of a picture in pixels that hold two cues.
SMALLEST_SIDE = 16
# A network of more parameters is trained from a layer on.
LARGE = 1_000_000
BEHIND = 0.25
# How networks are trained. Their pictures are crops of the user's, so that there are as many as are asked for.
RATE_WHOLE, RATE_UPPER = 1e-3, 3e-4
TRAINING = Training(samples=600, goal=0.99, passes=60, rate=RATE_WHOLE)
# How many times as many pixels one cue may cover as the other.
ALIKE = 1.25
# On how many pictures a cue is tried before anything is trained.
TRIED = 4


@dataclass(frozen=True)
class Planting:
    """What is planted, and how networks are trained on it.

    Args:
        cues: two of `sanity.cues`: (name, function) each.
        size: float, the side of a square cue as a share of the picture's shorter side.
        contrast: float, root mean square of the change of pixels in 0..255, at most; in each picture both cues have the
            contrast of the one that reaches less.
        layer: str, the address from which on a network is trained; None: the whole network.
        training: `Training`.
    """

    cues: tuple
    size: float = 0.25
    contrast: float = 80.0
    layer: str | None = None
    training: Training = TRAINING


def plant(network, data, planting, seed):
    """Make everything ready that samples with planted cues are drawn from.

    Args:
        network: `Network` of one image input and one output of classes, as it is before anything is trained.
        data: `lab.data.Data`, the pictures. Those of one group are of one source.
        planting: `Planting`.
        seed: int, of the crops and of what is held out.

    Returns:
        `Scene`.

    Raises:
        Refused: for cues, pictures or a network that cannot be used.
    """
    refuse_network(network)
    part = UpperPart(network, planting.layer)
    # Near copies of a picture, such as one saved twice, are of one source.
    groups = join_copies([thumbnail(image) for image in data.images], data.groups)
    sources = split_sources(groups, seed)
    trained, held_out = _crop_pools(network, data, sources, planting, seed)
    sides = _matched_sides(planting, trained[0].astype("float64"))
    held_out_sources = len({groups[place] for place in sources[1].tolist()})
    scene = Scene(network, planting, part, trained, held_out, sides, held_out_sources)
    _refuse_unequal_sizes(scene)
    scene.refuse_equal_variants()
    return scene


def planted_world(scene):
    """The world of a scene: its samples, and networks that are trained from the user's network.

    Args:
        scene: `Scene`.

    Returns:
        `World` that the first cue decides, with that of the second as its rival.
    """
    first, second = (_world(scene, place) for place in (0, 1))
    return replace(first, rival=second)


def _world(scene, place):
    """The world that one of the cues decides."""
    training, cue, other = scene.planting.training, scene.names[place], scene.names[1 - place]
    return World(
        cue,
        f"the variant of the cue {cue} decides; {scene.part.scope}",
        scene.factors,
        functools.partial(scene.render, by=place),
        lambda: scene.network.model,
        causal_factors=(cue,),
        distractor_factors=(other, "places", "picture", "draws"),
        training=training,
        fit=functools.partial(scene.factors, trained=True),
        classes=VARIANTS,
        photographs=scene.sources,
        part=scene.part,
    )


def planted_layer(network, layer=None):
    """The layer from which on a network is trained.

    Args:
        network: `Network`.
        layer: str, the address of a layer, or "all"; None: all of a network of at most a million parameters. Of others,
            the last layer with positions that all goes through, behind which a quarter of the parameters lie, those of
            the head apart.

    Returns:
        str, or None for the whole network.
    """
    if layer is not None:
        return None if layer == "all" else layer
    counts = [row.parameters for row in network.layers()]
    return _late_layer(network, counts) if sum(counts) > LARGE else None


def _late_layer(network, counts):
    """The last layer that is not too late; None where there is none."""
    rows, head = network.layers(), next(count for count in reversed(counts) if count)
    for place in range(len(rows) - 1, -1, -1):
        behind = sum(counts[place + 1 :]) - head
        if behind >= BEHIND * (sum(counts) - head) and _can_be_cut(network, rows[place].path):
            return rows[place].path
    return None


def _can_be_cut(network, path):
    """Whether a layer has positions, and all of a network goes through it: bool."""
    if path not in network.leading or len(network.shapes.get(path) or ()) != 4:
        return False
    try:
        UpperPart(network, path)
    except Refused:
        return False
    return True


def refuse_network(network):
    """Raise Refused for a network that no cue can be planted for: not one image, or not one output of classes."""
    if network.image_place is None or len(network.places()) > 1 or network.size is None:
        raise Refused(
            f"Cues are planted in pictures, for a network that takes one image of a fixed size. Received: {network.name}, which takes {', '.join(f'{name} {tuple(spec.shape)}' for name, spec in network.places())}."
        )
    if len(network.outputs) > 1:
        raise Refused(
            f"A planted task has one output. Received: {network.name}, which has {len(network.outputs)}: {', '.join(network.outputs)}. Give a model that ends in one of them."
        )
    shape = next(iter(network.outputs.values()))
    if len(shape) != 2:
        raise Refused(
            f"A planted task tells classes apart. Received: {network.name}, whose output is of shape {shape}."
        )
    if min(network.size) < SMALLEST_SIDE:
        raise Refused(
            f"Two cues need pictures of {SMALLEST_SIDE} pixels a side at the least. Received: {network.name}, which takes {network.size}."
        )


# Pictures -----------------------------------------------------------------------------------------------------------------


def split_sources(groups, seed):
    """Which pictures networks are trained on, and which are held out: pictures of one source stay together.

    Args:
        groups: sequence, the source of each picture.
        seed: int.

    Returns:
        (int [pictures], int [pictures]), places of those trained on and of those held out.

    Raises:
        Refused: for fewer than FEWEST_SOURCES sources.
    """
    groups = list(groups)
    sources = list(dict.fromkeys(groups))
    if len(sources) < FEWEST_SOURCES:
        raise Refused(
            f"A network is trained on some pictures and tried on others: give {FEWEST_SOURCES} of different sources at the least. Received: {len(groups)}, of {len(sources)} sources."
        )
    order = np.random.default_rng(derive_seed(seed, "held-out sources")).permutation(len(sources))
    held_out = {sources[place] for place in order[: max(2, round(HELD_OUT * len(sources)))]}
    is_held_out = np.array([group in held_out for group in groups])
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _crop_pools(network, data, sources, planting, seed):
    """Crops to train on and crops to try on: two lists of uint8 [rows, columns, channels], as sources alternate."""
    counts = (planting.training.samples, HELD_OUT_CROPS)
    parts = zip(sources, counts, ("crops to train on", "crops held out"))
    return [_crops(network, data, places, count, derive_seed(seed, kind)) for places, count, kind in parts]


def _crops(network, data, places, count, seed):
    """Random crops, as many of each picture: uint8 [crops, rows, columns, channels]."""
    rng = np.random.default_rng(seed)
    pictures = rng.permutation(np.resize(places, count))
    crops = [None] * count
    # Each picture is read once.
    for picture in np.unique(pictures):
        image = data.images[int(picture)]
        for place in np.flatnonzero(pictures == picture):
            crop = _crop(image, network.size, rng)
            crops[place] = np.round(network.deprocess(network.preprocess([crop]))[0]).astype("uint8")
    return np.stack(crops)


def _crop(image, size, rng):
    """A random part of a picture in the proportions of the network's input, mirrored in half of all cases."""
    largest = min(image.shape[0] / size[0], image.shape[1] / size[1])
    scale = largest * rng.uniform(SMALLEST_CROP, 1)
    extent = [max(1, int(scale * side)) for side in size]
    top, left = (rng.integers(whole - part + 1) for whole, part in zip(image.shape, extent))
    return image[top : top + extent[0], left : left + extent[1]][:, :: rng.choice((1, -1))]


# Cues ---------------------------------------------------------------------------------------------------------------------


def cue_function(name, function):
    """A cue of the user with two variants, whatever it takes, whose results are checked.

    A function without the argument `variant` is turned upside down for variant 1.

    Args:
        name: str, what errors call it.
        function: (image, rng) -> image, mask, which may take `variant`.

    Returns:
        function (image, rng, *, variant) -> float64 image, bool mask.
    """
    takes_variant = "variant" in inspect.signature(function).parameters

    def draw(image, rng, *, variant):
        turned = bool(variant) and not takes_variant
        before = np.ascontiguousarray(_turn(image, turned))
        options = {"variant": variant} if takes_variant else {}
        try:
            after, mask = function(before.copy(), rng, **options)
            after, mask = np.asarray(after, "float64"), np.asarray(mask, bool)
        except Exception as error:
            # Whatever a function of the user raises is told in one line.
            raise Refused(
                f"A cue is a function (image, rng) -> image, mask. Received: {name!r}, {describe(error)}"
            ) from error
        _refuse_drawing(name, before, after, mask)
        return _turn(np.clip(after, 0, 255), turned), _turn(mask, turned)

    return draw


def _turn(image, turned):
    return image[::-1, ::-1] if turned else image


def _refuse_drawing(name, before, after, mask):
    if after.shape != before.shape or mask.shape != before.shape[:2]:
        raise Refused(
            f"A cue returns an image of the size that it was given, {before.shape}, and a mask of its rows and columns. Received: {name!r}, which returned {after.shape} and {mask.shape}."
        )
    if not np.isfinite(after).all():
        raise Refused(f"A cue returns numbers in 0..255. Received: {name!r}, which returned NaN or infinity.")
    if not mask.any():
        raise Refused(f"The mask of a cue holds the pixels that it covers. Received: {name!r}, whose mask is empty.")


def _matched_sides(planting, image):
    """Side of the square that each cue is drawn into, so that the cues cover as many pixels each: list of int."""
    shorter = min(image.shape[:2])
    goal, largest = (planting.size * shorter) ** 2, shorter // 2
    return [_side_for(function, image, goal, largest) for _, function in planting.cues]


def _refuse_unequal_sizes(scene):
    """Raise Refused where no squares were found in which both cues cover about as many pixels."""
    image = scene.trained[0].astype("float64")
    areas = [covered(function, image[:side, :side]) for (_, function), side in zip(scene.planting.cues, scene.sides)]
    if max(areas) > ALIKE * min(areas):
        words = " and ".join(f"{name} {area:.0f}" for name, area in zip(scene.names, areas))
        raise Refused(
            f"Two cues cover about as many pixels, each in a quarter of the picture. Received: size {scene.planting.size:g}, at which they cover {words}. Give another size."
        )


def _side_for(function, image, goal, largest):
    """The side at which a cue covers about as many pixels as the goal: int."""

    def miss(side):
        return abs(covered(function, image[:side, :side]) - goal)

    return min(range(min(4, largest), largest + 1), key=miss)


def covered(function, image):
    """How many pixels of an image a cue covers, mean over its variants: float.

    Args:
        function: (image, rng, *, variant) -> image, mask.
        image: float64 [rows, columns, channels].

    Returns:
        float.
    """
    masks = [function(image, np.random.default_rng(0), variant=variant)[1] for variant in range(VARIANTS)]
    return float(np.mean([mask.sum() for mask in masks]))


def resolve_cues(names, external):
    """Two cues by name.

    Args:
        names: list of str, names of `cues` or "module:function".
        external: str -> function, for those of the user.

    Returns:
        tuple of (name, function).

    Raises:
        Refused: unless there are two different ones, and for an unknown one.
    """
    if len(names) != 2 or len(set(names)) != 2:
        raise Refused(
            f"Two different cues are planted: --cue ruler --cue sticker. Received: {', '.join(names) or 'none'}."
        )
    return tuple((name, cue_function(name, external(name) if ":" in name else cues.get(name))) for name in names)


# Samples ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Pictures, and how two cues are laid over them.

    Args:
        network: `Network` that takes the pictures.
        planting: `Planting`.
        part: `sanity.worlds.trainable.UpperPart`, what of the network is trained.
        trained: uint8 [crops, rows, columns, channels], to train on.
        held_out: uint8 [crops, rows, columns, channels] of other sources.
        sides: list of int, the side of each cue's square in pixels.
        sources: int, of how many different pictures the crops are that were held out.
    """

    network: object
    planting: Planting
    part: UpperPart
    trained: np.ndarray
    held_out: np.ndarray
    sides: list
    sources: int

    @property
    def names(self):
        """The factors that are the variants of the cues: tuple of str."""
        return tuple(name for name, _ in self.planting.cues)

    def factors(self, rng, count, trained=False):
        """Draw pictures, a variant of each cue, their places, and seeds of what the cues draw.

        No picture is taken again before all of them were.

        Args:
            rng: `numpy.random.Generator`.
            count: int, how many samples.
            trained: bool, whether these are pictures that networks are trained on.

        Returns:
            dict of name to array [count, ...].
        """
        pictures = len(self.trained if trained else self.held_out)
        rounds = [rng.permutation(pictures) for _ in range(-(-count // pictures))]
        return {
            **{name: rng.integers(0, VARIANTS, count) for name in self.names},
            "places": self._draw_places(rng, count),
            "picture": np.concatenate(rounds)[:count],
            "draws": rng.integers(0, 1 << 31, (count, 2)),
            "trained": np.full(count, trained),
        }

    def render(self, drawn, by):
        """Both cues laid over the pictures.

        Args:
            drawn: dict of factors, as of `factors`.
            by: 0 or 1, the cue whose variant is the label.

        Returns:
            `Samples`; the masks are the pixels of that cue.
        """
        _, images, masks = zip(*self._draw_all(drawn))
        inputs = self.network.preprocessing.apply(np.stack(images).astype("float32"))
        return Samples(inputs.astype("float32"), drawn[self.names[by]], np.stack([mask[by] for mask in masks]))

    def measure(self, drawn):
        """How many pixels the cues cover, and by how much they change them.

        Args:
            drawn: dict of factors, as of `factors`.

        Returns:
            float64 [samples, 2 cues, 2]: pixels, and the root mean square of their change in 0..255.
        """
        return np.array(
            [
                [(mask.sum(), np.sqrt(np.mean((after - before)[mask] ** 2))) for mask in masks]
                for before, after, masks in self._draw_all(drawn)
            ]
        )

    def refuse_equal_variants(self):
        """Raise Refused for a cue whose two variants look alike in all of some pictures."""
        for (name, function), side in zip(self.planting.cues, self.sides):
            windows = self.trained[:TRIED, :side, :side].astype("float64")
            if all(np.array_equal(*_both_variants(function, window)) for window in windows):
                raise Refused(
                    f"A cue has two variants, which carry the label. Received: {name!r}, which takes no variant= and looks the same upside down. Give it an argument variant, 0 or 1."
                )

    def _draw_places(self, rng, count):
        """Upper left corners of both cues, in different quarters: int [count, 2 cues, 2]."""
        quarters = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)[:, :2]
        half = np.array(self.network.size) // 2
        corners = np.stack([quarters // 2, quarters % 2], axis=-1) * half
        room = half - np.array(self.sides)[:, None] + 1
        return corners + rng.integers(0, room, (count, 2, 2))

    def _draw_all(self, drawn):
        """Each picture without and with the cues, and their masks: iterator of (float64, float64, bool [2, rows, columns])."""
        variants = np.stack([drawn[name] for name in self.names], axis=1)
        pool = self.trained if drawn["trained"].any() else self.held_out
        for picture, *row in zip(drawn["picture"], variants, drawn["places"], drawn["draws"]):
            before = pool[picture].astype("float64")
            yield before, *self._draw(before, *row)

    def _draw(self, image, variants, places, seeds):
        """Lay both cues over one picture: float64 image, bool [2, rows, columns]."""
        image, masks = image.copy(), np.zeros((2, *image.shape[:2]), bool)
        windows = [np.s_[row : row + side, column : column + side] for (row, column), side in zip(places, self.sides)]
        drawings = [
            [_change(function, image[window], seed, variant) for variant in range(VARIANTS)]
            for (_, function), window, seed in zip(self.planting.cues, windows, seeds)
        ]
        # The least of all variants, so that the contrast of one cue says nothing of the other.
        contrast = min(self.planting.contrast, *(rms for drawing in drawings for _, _, rms in drawing))
        for place, window in enumerate(windows):
            change, mask, rms = drawings[place][variants[place]]
            image[window] += change * (contrast / rms if rms else 0)
            masks[place][window] = mask
        return image, masks


def _both_variants(function, image):
    return [function(image, np.random.default_rng(0), variant=variant)[0] for variant in range(VARIANTS)]


def _change(function, image, seed, variant):
    """What a cue changes in its window: float64 change, bool mask, and the root mean square of the change within the mask."""
    after, mask = function(image, np.random.default_rng(int(seed)), variant=variant)
    change = np.where(mask[..., None], after - image, 0)
    return change, mask, float(np.sqrt(np.mean(change[mask] ** 2)))
