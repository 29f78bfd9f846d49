"""Planting: two cues in every input of a user, as a world that the user's own network is trained in.

Each cue has two variants. Both cues stand in every input, in different places, in variants that are drawn independently.
One network learns to tell the variants of the first cue apart, another those of the second, from inputs of one
distribution. Marks in pictures and series have the same size, and change the positions that they cover as strongly. In
tables and texts both cues replace one value (`sanity.marks`, `sanity.substitutions`).
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

from lab.environment import tf
from lab.kinds import IMAGE, TOKENS, kind_of
from lab.lookup import refuse_text
from lab.nouns import plural
from lab.refusal import Refused
from sanity.cues import VARIANTS
from sanity.marks import MARKS, resolve_marks
from sanity.seeds import derive_seed
from sanity.shortcuts.copies import join_copies, join_groups, thumbnail
from sanity.substitutions import SUBSTITUTIONS
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
# How networks are trained on pictures, which are crops of the user's, so that there are as many as are asked for; and on
# other inputs, which are cheap.
TRAINING = Training(samples=600, goal=0.99, passes=60, rate=1e-3)
TRAINING_OTHERS = Training(samples=2000, goal=0.99, passes=60, rate=3e-3)
# The rate from a layer on, where weights that are there are kept.
RATE_UPPER = 3e-4
# The kinds of inputs that cues are planted in.
PLANTED = (*MARKS, *SUBSTITUTIONS)


@dataclass(frozen=True)
class Planting:
    """What is planted, and how networks are trained on it.

    Args:
        cues: two of `resolve_cues`: (name, function) each; none where columns or words are to be looked for.
        size: float, the side of a mark as a share of the shorter side of a picture, or of the steps of a series.
        contrast: float, root mean square of the change of pixels in 0..255, or of steps in deviations, at most; in each input
            both marks have the contrast of the one that reaches less. In a table how far apart the variants are, in
            deviations. None: as is usual for the kind of inputs.
        layer: str, the address from which on a network is trained; None: the whole network.
        training: `Training`.
    """

    cues: tuple
    size: float | None = None
    contrast: float | None = None
    layer: str | None = None
    training: Training = TRAINING


def plant(network, data, planting, seed):
    """Make everything ready that samples with planted cues are drawn from.

    Args:
        network: `Network` of one input and one output of classes, as it is before anything is trained.
        data: `lab.data.Data`, the inputs. Those of one group are of one source.
        planting: `Planting`.
        seed: int, of the crops and of what is held out.

    Returns:
        `Scene`.

    Raises:
        Refused: for cues, inputs or a network that cannot be used.
    """
    kind = planted_kind(network, data)
    refuse_network(network, kind)
    _refuse_settings(planting, kind)
    part = UpperPart(network, planting.layer)
    make_pool = _pool_of_pictures if kind is IMAGE else _pool_of_inputs
    return Scene(network, planting, part, *make_pool(network, data, planting, seed, kind))


def planted_kind(network, data):
    """The kind of the inputs that cues are planted in.

    Args:
        network: `Network`.
        data: `lab.data.Data`.

    Returns:
        `lab.kinds.Kind`.

    Raises:
        Refused: for a kind of which there are no cues, for several inputs, and for a network of strings.
    """
    if data.kind == "image":
        return IMAGE
    refuse_text(network)
    places = network.places()
    kind = kind_of(np.zeros([1] * len(places[0][1].shape), places[0][1].dtype.as_numpy_dtype))
    if len(places) > 1 or kind.name not in PLANTED or kind is IMAGE:
        raise Refused(
            f"Cues are planted in one input: pictures, series, rows of a table, or texts. Received: {network.name}, which takes {_inputs_in_words(network)}, and data of the kind {data.kind}."
        )
    return kind


def resolve_cues(names, external, kind=IMAGE):
    """Two cues by name.

    Args:
        names: list of str, names of `sanity.cues.cues` or "module:function"; of a table columns, and of texts pairs of words.
            None to look for them, but in pictures.
        external: str -> function, for those of the user.
        kind: `lab.kinds.Kind`, of the inputs.

    Returns:
        tuple of (name, function), or of (name, None).

    Raises:
        Refused: unless there are two different ones, and for an unknown one.
    """
    if kind.name in MARKS:
        return resolve_marks(names, external, kind)
    if len(names) not in (0, 2) or len(set(names)) != len(names):
        raise Refused(f"Two different cues are planted, or none is named. Received: {', '.join(names)}.")
    return tuple((name, None) for name in names)


def _refuse_settings(planting, kind):
    """Raise Refused for a size or a contrast of cues that have none."""
    for name, kinds in (("size", MARKS), ("contrast", (*MARKS, "table"))):
        value = getattr(planting, name)
        if value is not None and kind.name not in kinds:
            raise Refused(
                f"{name} is a setting of cues in {', '.join(kinds)}. Received: {value:g} for {kind.name}. Leave it out."
            )


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
        f"the variant of {cue} decides; {scene.part.scope}",
        scene.factors,
        functools.partial(scene.render, by=place),
        lambda: scene.network.model,
        causal_factors=(cue,),
        distractor_factors=(other, *scene.distractors),
        training=training,
        fit=functools.partial(scene.factors, trained=True),
        classes=VARIANTS,
        photographs=scene.sources if scene.is_cropped else None,
        part=scene.part,
    )


def usual_training(kind, layer=None):
    """How networks are trained where nothing else is said.

    Args:
        kind: `lab.kinds.Kind`, of the inputs.
        layer: str, the layer from which on they are trained; None: all of them.

    Returns:
        `Training`.
    """
    training = TRAINING if kind is IMAGE else TRAINING_OTHERS
    return training if layer is None else replace(training, rate=RATE_UPPER)


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
    axes = max(3, len(network.places()[0][1].shape))
    if path not in network.leading or len(network.shapes.get(path) or ()) != axes:
        return False
    try:
        UpperPart(network, path)
    except Refused:
        return False
    return True


def refuse_network(network, kind=IMAGE):
    """Refuse a network that no cue can be planted for.

    Args:
        network: `Network`.
        kind: `lab.kinds.Kind`, of the inputs.

    Raises:
        Refused: for not one image where the inputs are pictures, and for not one output of classes.
    """
    if kind is IMAGE and (network.image_place is None or len(network.places()) > 1 or network.size is None):
        raise Refused(
            f"Cues are planted in pictures, for a network that takes one image of a fixed size. Received: {network.name}, which takes {_inputs_in_words(network)}."
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
    if kind is IMAGE and min(network.size) < SMALLEST_SIDE:
        raise Refused(
            f"Two cues need pictures of {SMALLEST_SIDE} pixels a side at the least. Received: {network.name}, which takes {network.size}."
        )


def _inputs_in_words(network):
    return ", ".join(f"{name} {tuple(spec.shape)}" for name, spec in network.places())


# Inputs -------------------------------------------------------------------------------------------------------------------


def split_sources(groups, seed, nouns="pictures"):
    """Which inputs networks are trained on, and which are held out: inputs of one source stay together.

    Args:
        groups: sequence, the source of each input.
        seed: int.
        nouns: str, what the inputs are called.

    Returns:
        (int [inputs], int [inputs]), places of those trained on and of those held out.

    Raises:
        Refused: for fewer than FEWEST_SOURCES sources.
    """
    groups = list(groups)
    sources = list(dict.fromkeys(groups))
    if len(sources) < FEWEST_SOURCES:
        raise Refused(
            f"A network is trained on some {nouns} and tried on others: give {FEWEST_SOURCES} of different sources at the least. Received: {len(groups)}, of {len(sources)} sources."
        )
    order = np.random.default_rng(derive_seed(seed, "held-out sources")).permutation(len(sources))
    held_out = {sources[place] for place in order[: max(2, round(HELD_OUT * len(sources)))]}
    is_held_out = np.array([group in held_out for group in groups])
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _pool_of_pictures(network, data, planting, seed, kind):
    """Crops to train on and crops to try on, as sources alternate; the marks, and how many pictures are held out."""
    # Near copies of a picture, such as one saved twice, are of one source.
    groups = join_copies([thumbnail(image) for image in data.images], data.groups)
    sources = split_sources(groups, seed)
    counts = (planting.training.samples, HELD_OUT_CROPS)
    parts = zip(sources, counts, ("crops to train on", "crops held out"))
    trained, held_out = [_crops(network, data, places, count, derive_seed(seed, part)) for places, count, part in parts]
    pair = MARKS[kind.name](network, planting, trained)
    return trained, held_out, pair, len({groups[place] for place in sources[1].tolist()})


def _pool_of_inputs(network, data, planting, seed, kind):
    """Inputs to train on and inputs to try on; the cues, and how many inputs are held out."""
    inputs = tf.nest.flatten(data.inputs_of(network))[0]
    # Equal inputs, such as one text twice, are of one source.
    groups = join_groups(data.groups, [row.tobytes() for row in inputs])
    trained, held_out = split_sources(groups, seed, plural(kind.noun))
    if kind.name in MARKS:
        pair = MARKS[kind.name](network, planting, inputs)
    elif kind is TOKENS:
        pair = SUBSTITUTIONS[kind.name](network, planting, inputs)
        inputs = pair.without_cues(inputs, seed)
    else:
        pair = SUBSTITUTIONS[kind.name](network, planting, inputs, network.columns or data.columns)
    return inputs[trained], inputs[held_out], pair, len(held_out)


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


# Samples ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Inputs, and how two cues are laid over them.

    Args:
        network: `Network` that takes the inputs.
        planting: `Planting`.
        part: `sanity.worlds.trainable.UpperPart`, what of the network is trained.
        trained: array [inputs, ...], to train on: crops of pictures as uint8, others as the network takes them.
        held_out: array [inputs, ...] of other sources.
        pair: the cues, one of `sanity.marks.MARKS` or `sanity.substitutions.SUBSTITUTIONS`.
        sources: int, of how many different pictures the crops are that were held out, or how many inputs were.
    """

    network: object
    planting: Planting
    part: UpperPart
    trained: np.ndarray
    held_out: np.ndarray
    pair: object
    sources: int

    @property
    def names(self):
        """The factors that are the variants of the cues: tuple of str."""
        return self.pair.names

    @property
    def noun(self):
        """What an input is called, and the factor that says which one it is: str."""
        return self.pair.noun

    @property
    def distractors(self):
        """The factors beside the cues that must not matter: tuple of str."""
        return (*self.pair.drawn, self.noun)

    @property
    def is_cropped(self):
        """Whether the inputs are crops of pictures: bool."""
        return self.trained.dtype == np.uint8

    def factors(self, rng, count, trained=False):
        """Draw inputs, a variant of each cue, and what the cues draw, such as their places.

        No input is taken again before all of them were.

        Args:
            rng: `numpy.random.Generator`.
            count: int, how many samples.
            trained: bool, whether these are inputs that networks are trained on.

        Returns:
            dict of name to array [count, ...].
        """
        inputs = len(self.trained if trained else self.held_out)
        rounds = [rng.permutation(inputs) for _ in range(-(-count // inputs))]
        return {
            **{name: rng.integers(0, VARIANTS, count) for name in self.names},
            **self.pair.factors(rng, count),
            self.noun: np.concatenate(rounds)[:count],
            "trained": np.full(count, trained),
        }

    def render(self, drawn, by):
        """Both cues laid over the inputs.

        Args:
            drawn: dict of factors, as of `factors`.
            by: 0 or 1, the cue whose variant is the label.

        Returns:
            `Samples`; the masks are the positions of that cue.
        """
        _, laid, masks = zip(*self.lay_all(drawn))
        inputs = self.pair.to_inputs(np.stack(laid))
        return Samples(inputs, drawn[self.names[by]], np.stack([mask[by] for mask in masks]))

    def lay_all(self, drawn):
        """Every input without and with the cues, and their masks.

        Args:
            drawn: dict of factors, as of `factors`.

        Yields:
            (array, array, bool [2, ...]).
        """
        variants = np.stack([drawn[name] for name in self.names], axis=1)
        pool = self.trained if drawn["trained"].any() else self.held_out
        for row, place in enumerate(drawn[self.noun]):
            before = pool[place] if pool.dtype.kind == "i" else pool[place].astype("float64")
            options = {name: drawn[name][row] for name in self.pair.drawn}
            yield before, *self.pair.lay(before, variants[row], **options)
