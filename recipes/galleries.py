"""Galleries: pictures of units, and surveys of natural images for them."""

import functools
import hashlib
import io
from types import SimpleNamespace

import numpy as np
from PIL import Image

from lab.images import to_viewable
from lab.objectives import goal
from lab.refusal import Refused
from lab.visualization import examples, spectrum
from lab.visualization.canvas import canvas
from lab.visualization.connections import ancestors, links, usage
from lab.visualization.maximize import maximize
from lab.visualization.parameterizations import parameterizations
from lab.visualization.regularizers import diversity
from recipes import provenance
from recipes.store import encode, pack
from sanity.pictures.embedding import descriptors, whiten

# Crops of the best natural images are kept at this side.
THUMBNAIL = 96
# Number of images that excite a unit least.
BOTTOM = 4
# How many of the highest and lowest images a survey keeps of every unit.
COUNT = 20
# The composite by which relevance through units is ranked.
RELEVANT = "epsilon_plus"


def refuse_several_outputs(network, layer):
    """Raise Refused for logits of a network that has several outputs.

    Args:
        network: a `Network`.
        layer: the address of a layer; None: the logits.

    Raises:
        Refused: for the logits of several outputs.
    """
    if layer is None and len(network.outputs) > 1:
        raise Refused(
            f"Logits belong to a network with one output. Received: {network.name} with {', '.join(network.outputs)}. "
            "Instead of logits, name the layer of the output, and its channels. "
            f"The last layers are {', '.join(list(network.shapes)[-4:])}."
        )


# Natural images -----------------------------------------------------------------------------------------------------------


def survey(job, _, session):
    """Write the natural images of some units, their neighbours, and the classes that use them.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    network, natural_images = session.network, session.natural_images
    layer, count, connections = (job.arguments[name] for name in ("layer", "natural", "connections"))
    units = np.array(job.arguments["units"])
    layer_survey = load_survey(session, layer)
    top, bottom = layer_survey.top[units, :count], layer_survey.bottom[units, :BOTTOM]
    strip, strip_scores = (values[units] for values in layer_survey.strip())
    box = examples.receptive_box(network, layer)
    arrays = {
        "units": units,
        "top": crop_windows(network, natural_images, layer, top, layer_survey.top_places[units, :count], box),
        "bottom": _thumbnails(natural_images, bottom),
        "strip": _thumbnails(natural_images, strip),
        "top_scores": layer_survey.top_scores[units, :count],
        "bottom_scores": layer_survey.bottom_scores[units, :BOTTOM],
        "strip_scores": strip_scores,
        "kept_scores": layer_survey.kept_scores[:, units].T,
    }
    about = {
        "layer": layer,
        "count": layer_survey.count,
        "field": box,
        "top": _image_names(natural_images, top),
        "bottom": _image_names(natural_images, bottom),
        "links": _links(network, layer, units) if layer else {},
        "classes": _classes(session, layer, units) if layer and connections else {},
    }
    if job.arguments.get("relevant"):
        more_arrays, more_about = _relevant_images(session, layer, units, count, box)
        arrays, about = arrays | more_arrays, about | more_about
    return {"survey.npz": pack(arrays), "about.json": encode(about)}


def _relevant_images(session, layer, units, count, box):
    """The natural images in which the most relevance goes through units: arrays and values, each a dict."""
    network, natural_images = session.network, session.natural_images
    try:
        by_relevance = load_survey(session, layer, composite=RELEVANT)
    except Refused as error:
        # The other natural images are there all the same.
        return {}, {"relevant_refused": " ".join(str(error).split())}
    images, places = by_relevance.top[units, :count], by_relevance.top_places[units, :count]
    crops = crop_windows(network, natural_images, layer, images, places, box)
    arrays = {"relevant": crops, "relevant_scores": by_relevance.top_scores[units, :count]}
    return arrays, {"relevant": _image_names(natural_images, images)}


def _image_names(natural_images, indices):
    return [[natural_images.names[index] for index in row] for row in indices]


def load_survey(session, layer, composite=None):
    """The survey of a layer over the run's natural images, from a cache that all runs share: `examples.Survey`.

    Args:
        session: `Session`.
        layer: the address of a layer; None: the logits.
        composite: as of `examples.survey`.

    Returns:
        `examples.Survey`.
    """
    network, natural_images, fit = session.network, session.natural_images, session.sources.images.fit
    # A survey depends on the network as it is built and fed, and not on its weights alone.
    layers = [(row.path, row.type, row.shape) for row in network.layers()]
    parts = (network.fingerprint(), layers, network.preprocessing, session.natural_images_hash, layer, fit, composite)
    depends_on = f"{parts}{examples.KEPT}{COUNT}{provenance.lab_hash()}"

    def compute():
        return examples.survey(
            network, natural_images, layer=layer, count=COUNT, fit=fit, composite=composite
        ).as_arrays()

    arrays = session.surveys.get(hashlib.sha256(depends_on.encode()).hexdigest(), compute)
    return examples.Survey(**{**arrays, "count": int(arrays["count"])})


def _links(network, layer, units):
    """The strongest neighbours of each unit before and after: dict of unit to two lists of [layer, unit, strength]."""
    before, after = links(network, layer)

    def strongest(unit, side):
        neighbours = [(link.layer, *neighbour) for link in side for neighbour in link.strongest(unit)]
        return sorted(neighbours, key=lambda neighbour: -abs(neighbour[2]))[:6]

    return {int(unit): [strongest(unit, before), strongest(unit, after)] for unit in units}


def _classes(session, layer, units):
    """The classes to which each unit contributes most: dict of unit to list of [class, contribution]."""
    network = session.network
    if len(network.outputs) != 1 or len(next(iter(network.outputs.values()))) != 2 or layer not in ancestors(network):
        return {}
    classes, contributions = usage(network, session.natural_images, layer, count=1, fit=session.sources.images.fit)
    order = np.argsort(-contributions[:, units], axis=0, kind="stable")[:4]
    return {
        int(unit): [[network.class_name(int(classes[row])), float(contributions[row, unit])] for row in order[:, place]]
        for place, unit in enumerate(units)
    }


def crop_windows(network, natural_images, layer, indices, places, box):
    """The part of each image that excited a unit: its receptive field at the strongest position, or all of it.

    Args:
        network: a `Network`.
        natural_images: `lab.data.Data`.
        layer: the address of a layer.
        indices: int [units, images], which images.
        places: int [units, images], the flat position of the highest activation there.
        box: rows and columns of the receptive field in pixels, or None.

    Returns:
        uint8 [units, images, side, side, 3].
    """
    return map_images(
        natural_images, indices, lambda image, row, column: _crop(network, image, layer, places[row, column], box)
    )


def _thumbnails(natural_images, indices):
    """A small picture of each image in a table: many units share one."""
    images, places = np.unique(indices, return_inverse=True)
    pictures = [thumbnail(natural_images.images[int(index)]) for index in images]
    return np.reshape(pictures, (-1, THUMBNAIL, THUMBNAIL, 3)).astype("uint8")[places.reshape(indices.shape)]


def map_images(natural_images, indices, cut):
    """A small picture of each image in a table. Each image is read once.

    Args:
        natural_images: `lab.data.Data`.
        indices: int [rows, columns], which images.
        cut: (image, row, column) -> uint8 [side, side, 3].

    Returns:
        uint8 [rows, columns, side, side, 3].
    """
    pictures = np.empty((*indices.shape, THUMBNAIL, THUMBNAIL, 3), "uint8")
    for index in np.unique(indices):
        image = natural_images.images[int(index)]
        for row, column in np.argwhere(indices == index):
            pictures[row, column] = cut(image, row, column)
    return pictures


def _crop(network, image, layer, place, box):
    centre = square(image)
    if box is None:
        return thumbnail(centre)
    top, left, bottom, right = examples.window(network, layer, int(place), box)
    down, across = len(centre) / network.size[0], centre.shape[1] / network.size[1]
    rows = slice(int(top * down), max(int(top * down) + 1, int(np.ceil(bottom * down))))
    columns = slice(int(left * across), max(int(left * across) + 1, int(np.ceil(right * across))))
    return thumbnail(centre[rows, columns])


def square(image):
    """The centre square of an image: [side, side, channels]."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def thumbnail(image, side=THUMBNAIL):
    """The centre square of an image at a small size: uint8 [side, side, 3].

    Args:
        image: [rows, columns, channels] in 0..255, of any size.
        side: int, in pixels.

    Returns:
        uint8 [side, side, 3].
    """
    return np.asarray(Image.fromarray(to_viewable(square(image))).resize((side, side), Image.Resampling.BICUBIC))


# Pictures -----------------------------------------------------------------------------------------------------------------


def draw_pictures(job, _, session):
    """Draw a batch of units: pictures as PNG, which are the arrays in eight bits, and how they were optimized.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    network, layer, units = session.network, job.arguments["layer"], job.arguments["units"]
    gallery = SimpleNamespace(**job.arguments["settings"])
    pictures = maximize(
        network,
        goal(layer, units),
        steps=gallery.steps,
        size=gallery.size,
        seed=job.arguments["seed"],
        parameterization=_parameterization(session, gallery),
        regularizers=_regularizers(network, gallery, layer),
        transforms=gallery.transforms,
        facets=gallery.facets,
        snapshots=_snapshot_steps(gallery),
    )
    about = {
        "layer": layer,
        "names": [f"{layer} {unit}" if layer else network.class_name(unit) for unit in units],
        "facets": gallery.facets,
        "modes": _mode_counts(pictures, gallery.facets),
        "settings": pictures.settings,
        "objective": pictures.objective,
    }
    arrays = {"units": np.array(units), "curves": pictures.curves, "scores": pictures.scores}
    return {"pictures.npz": pack(arrays), "about.json": encode(about), **_image_files(gallery, units, pictures)}


def _parameterization(session, gallery):
    """The parameterization by its name. With `spectrum = "images"` MaCo has the spectrum of the run's own images."""
    if gallery.spectrum == "packages":
        return gallery.parameterization
    rows, columns, channels = canvas(session.network, gallery.size).shape
    if channels != 3:
        raise Refused(f"A spectrum of images needs images in colour. Received: a network of {channels} channels.")
    measure = functools.partial(spectrum.magnitude, session.natural_images.images, rows, columns)
    return parameterizations.get("maco")(magnitude=session.build_once(("spectrum", rows, columns), measure))


def _regularizers(network, gallery, layer):
    """The regularizer that makes facets diverse, at the unit's layer or the last one with positions, if asked for."""
    return [diversity(gallery.diversity, layer or network.last_spatial())] if gallery.diversity else []


def _mode_counts(pictures, facets):
    """Number of distinct pictures among each unit's facets.

    Facets are one where they are nearer to each other than half the median distance between units.

    Returns:
        list of int, or of None for a single unit or facet.
    """
    units = len(pictures.images) // facets
    if facets == 1 or units == 1:
        return [None] * units
    from sklearn.cluster import AgglomerativeClustering

    flat = np.round(255 * pictures.images).astype("uint8")
    (rows,) = whiten([descriptors(flat)])
    distances = 1.0 - rows @ rows.T
    unit_of = np.arange(len(flat)) // facets
    limit = max(0.5 * np.median(distances[unit_of[:, None] != unit_of[None]]), 1e-9)
    clustering = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=limit)
    by_unit = [np.maximum(distances[np.ix_(unit_of == unit, unit_of == unit)], 0) for unit in range(units)]
    return [int(clustering.fit(within).n_clusters_) for within in by_unit]


def _image_files(gallery, units, pictures):
    """Every picture as a PNG, and snapshots of the first facet as an animated one: dict of name to bytes."""
    facets = gallery.facets
    rows = [(unit, facet) for unit in units for facet in range(facets)]
    files = {picture_name(*row): png(image) for row, image in zip(rows, pictures.images)}
    if gallery.animate:
        snapshots = pictures.snapshots[::facets]
        files |= {f"{unit:05d}.anim.png": animation(frames) for unit, frames in zip(units, snapshots)}
    return files


def picture_name(unit, facet=0):
    """File name of a unit's picture: str.

    Args:
        unit: int.
        facet: int, the number of the picture among those of the unit.

    Returns:
        str, such as "00007.png", or "00007-1.png" for facet 1.
    """
    return f"{unit:05d}.png" if facet == 0 else f"{unit:05d}-{facet}.png"


def _snapshot_steps(gallery):
    """The steps of an animation, closer together at the beginning, where most changes."""
    if not gallery.animate:
        return ()
    return np.unique(np.geomspace(1, gallery.steps, min(24, gallery.steps)).round().astype(int)).tolist()


def png(image):
    """An image as PNG bytes; float in 0..1, or uint8."""
    buffer = io.BytesIO()
    as_image(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def animation(images):
    """Images, float in 0..1, as an animated PNG that holds the last one: bytes."""
    frames = [as_image(image) for image in images]
    buffer = io.BytesIO()
    times = [120] * (len(frames) - 1) + [1500]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()


def as_image(image):
    """An array as a Pillow image: grey, RGB, or RGB with opacity.

    A series or a volume is flattened. Other numbers of channels than 1, 3 and 4 are shown as their mean.

    Args:
        image: float in 0..1, or uint8, [..., channels].
    """
    array = image if image.dtype == np.uint8 else np.round(255 * np.clip(image, 0, 1)).astype("uint8")
    array = array if array.ndim == 3 else _flatten(array)
    if array.shape[-1] not in (1, 3, 4):
        array = array.mean(axis=-1, keepdims=True).astype("uint8")
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def _flatten(array):
    """A series [positions, channels] as a strip of 32 rows, a volume as its slices side by side."""
    if array.ndim == 2:
        return np.repeat(array[None], 32, axis=0)
    return np.concatenate(list(array), axis=1)
