"""Galleries: the jobs that draw units and look for the natural images beside them."""

import fnmatch
import functools
import hashlib
import io
import re

import numpy as np
from PIL import Image
from sklearn.cluster import AgglomerativeClustering

from lab.images import read, to_viewable
from lab.objectives import goal
from lab.refusal import Refused
from lab.registry import nearest
from lab.visualization import examples, spectrum
from lab.visualization.canvas import canvas
from lab.visualization.connections import ancestors, links, usage
from lab.visualization.maximize import maximize
from lab.visualization.parameterizations import parameterizations, resolve_parameterization
from lab.visualization.regularizers import diversity
from lab.visualization.transforms import transforms
from recipes import provenance
from recipes.job import Job
from recipes.store import encode, pack
from sanity.features.embedding import descriptors, whiten

# Crops of the best natural images are kept at this side.
THUMBNAIL = 96
# Images that excite a unit least, beside those that do most.
BOTTOM = 4
# How many of the highest and lowest images a survey keeps of every unit.
COUNT = 20


def jobs(number, gallery, session):
    """The jobs of one gallery: for every layer a survey of natural images, and its units in batches."""
    network = session.network
    canvas(network, gallery.size)
    resolve_parameterization(gallery.parameterization)
    transforms.get(gallery.transforms)
    for layer, units in _layers(gallery, network):
        refuse_several_outputs(network, layer)
        network.check(goal(layer, units))
        name = f"{number}-{slug(layer or 'logits')}"
        if gallery.natural:
            given = {
                "gallery": number,
                "layer": layer,
                "units": units,
                "natural": gallery.natural,
                "connections": gallery.connections,
            }
            yield Job(
                f"survey/{name}", "survey", given, passes=len(session.natural_images) * (0.4 + 2 * gallery.connections)
            )
        for start in range(0, len(units), gallery.batch):
            part = units[start : start + gallery.batch]
            given = {"gallery": number, "layer": layer, "units": part}
            cost = len(part) * gallery.steps * gallery.facets * _depth(network, layer)
            yield Job(f"gallery/{name}/{start:05d}", "pictures", given, passes=cost)


def refuse_several_outputs(network, layer):
    """Raise Refused for logits of a network that has several outputs: the layer that makes one says which."""
    if layer is None and len(network.outputs) > 1:
        raise Refused(
            f"Classes are drawn of a network with one output. Received: {network.name} with {', '.join(network.outputs)}. Name the layer that makes the output, and its channels, in the place of logits; the last layers are {', '.join(list(network.shapes)[-4:])}."
        )


def _layers(gallery, network):
    """The layers of a gallery with their units: (address, or None for logits; list of int)."""
    if gallery.top_for:
        return [
            (
                gallery.layer,
                examples.strongest_channels(
                    network, read(gallery.top_for, channels=network.preprocessing.channels), gallery.layer
                ),
            )
        ]
    if gallery.logits:
        return [(None, [network.class_index(each) for each in gallery.logits])]
    if gallery.layer:
        return [(gallery.layer, gallery.units)]
    found = [each for each in block_outputs(network) if fnmatch.fnmatch(each, gallery.layers)]
    if not found:
        raise Refused(
            f"layers= is a pattern of block outputs. Received: {gallery.layers!r}. {nearest(gallery.layers, block_outputs(network))}"
        )
    return [(each, list(range(network.shapes[each][-1]))) for each in found]


def block_outputs(network):
    """The last layer with positions of every block of a network, in order: list of addresses. A block is what shares a name up to its number."""
    last = {}
    for address, shape in network.shapes.items():
        if isinstance(shape, tuple) and len(shape) == 4 and "@" not in address and address in network.tree:
            last[_block(address)] = address
    return list(last.values())


def _block(address):
    found = re.match(r"(.*?\d+)(?=[_/]|$)", address)
    return found[1] if found else address.rpartition("_")[0] or address


def _depth(network, layer):
    """Roughly the share of a whole gradient that a layer's takes: that of the numbers put out before it."""
    sizes = {
        address: float(np.prod([side or 1 for side in shape[1:]]))
        for address, shape in network.shapes.items()
        if isinstance(shape, tuple)
    }
    names = list(sizes)
    if layer not in sizes:
        return 1.0
    return sum(sizes[each] for each in names[: names.index(layer) + 1]) / sum(sizes.values())


# Natural images -----------------------------------------------------------------------------------------------------------


def survey(session, _, job):
    """One pass over the natural images: the natural images of each unit asked for, its neighbours, and the classes that use it."""
    given, network, natural_images = job.given, session.network, session.natural_images
    found = surveyed(session, given["layer"])
    units = np.array(given["units"])
    shown = [found.top[units, : given["natural"]], found.bottom[units, :BOTTOM], found.strip()[0][units]]
    box = examples.receptive_box(network, given["layer"])
    places = found.top_places[units, : given["natural"]]
    arrays = {
        "units": units,
        "top": _crops(network, natural_images, given["layer"], shown[0], places, box),
        "bottom": _thumbnails(natural_images, shown[1]),
        "strip": _thumbnails(natural_images, shown[2]),
        "top_scores": found.top_scores[units, : given["natural"]],
        "bottom_scores": found.bottom_scores[units, :BOTTOM],
        "strip_scores": found.strip()[1][units],
        "kept_scores": found.kept_scores[:, units].T,
    }
    about = {
        "layer": given["layer"],
        "count": found.count,
        "field": box,
        "top": [[natural_images.names[index] for index in row] for row in shown[0]],
        "bottom": [[natural_images.names[index] for index in row] for row in shown[1]],
        "links": _links(network, given["layer"], units) if given["layer"] else {},
        "classes": _classes(session, given["layer"], units) if given["layer"] and given["connections"] else {},
    }
    return {"survey.npz": pack(arrays), "about.json": encode(about)}


def surveyed(session, layer):
    """The survey of a layer over the run's natural images, kept in the cache for every run to share."""
    network, natural_images = session.network, session.natural_images
    # What a survey finds depends on the network as it is built and fed, and not on its weights alone.
    built = [(each.path, each.type, each.shape) for each in network.layers()]
    seen = (
        network.fingerprint(),
        built,
        network.preprocessing,
        session.natural_images_hash,
        layer,
        session.recipe.images.fit,
    )
    named = f"{seen}{examples.KEPT}{COUNT}{provenance.own_source()}"

    def make():
        return examples.survey(
            network, natural_images, layer=layer, count=COUNT, fit=session.recipe.images.fit
        ).as_arrays()

    arrays = session.surveys.get(hashlib.sha256(named.encode()).hexdigest(), make)
    return examples.Survey(**{**arrays, "count": int(arrays["count"])})


def _links(network, layer, units):
    """The strongest neighbours of each unit before and after: dict of unit to two lists of [layer, unit, strength]."""
    before, after = links(network, layer)

    def row(unit, found):
        listed = [(link.layer, *each) for link in found for each in link.strongest(unit)]
        return sorted(listed, key=lambda each: -abs(each[2]))[:6]

    return {int(unit): [row(unit, before), row(unit, after)] for unit in units}


def _classes(session, layer, units):
    """The classes that draw most on each unit: dict of unit to list of [class, contribution]."""
    network = session.network
    if len(network.outputs) != 1 or len(next(iter(network.outputs.values()))) != 2 or layer not in ancestors(network):
        return {}
    classes, drawn = usage(network, session.natural_images, layer, count=1, fit=session.recipe.images.fit)
    order = np.argsort(-drawn[:, units], axis=0, kind="stable")[:4]
    return {
        int(unit): [[network.class_name(int(classes[row])), float(drawn[row, unit])] for row in order[:, place]]
        for place, unit in enumerate(units)
    }


def _crops(network, natural_images, layer, indices, places, box):
    """What drove the unit in each image: the window of its receptive field around the strongest position, or the whole: uint8."""
    return _cut(natural_images, indices, lambda image, row, at: _crop(network, image, layer, places[row, at], box))


def _thumbnails(natural_images, indices):
    return _cut(natural_images, indices, lambda image, row, at: thumbnail(image))


def _cut(natural_images, indices, make):
    """`make(image, row, place)` of every image named in a table, each image read once: uint8 [rows, places, side, side, 3]."""
    found = np.empty((*indices.shape, THUMBNAIL, THUMBNAIL, 3), "uint8")
    for index in np.unique(indices):
        image = natural_images.images[int(index)]
        for row, at in np.argwhere(indices == index):
            found[row, at] = make(image, row, at)
    return found


def _crop(network, image, layer, place, box):
    seen = square(image)
    if box is None:
        return thumbnail(seen)
    top, left, bottom, right = examples.window(network, layer, int(place), box)
    down, across = len(seen) / network.size[0], seen.shape[1] / network.size[1]
    rows = slice(int(top * down), max(int(top * down) + 1, int(np.ceil(bottom * down))))
    columns = slice(int(left * across), max(int(left * across) + 1, int(np.ceil(right * across))))
    return thumbnail(seen[rows, columns])


def square(image):
    """The centre square of an image."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def thumbnail(image, side=THUMBNAIL):
    """The centre square of an image at a small size: uint8 [side, side, 3]."""
    return np.asarray(Image.fromarray(to_viewable(square(image))).resize((side, side), Image.Resampling.BICUBIC))


# Pictures -----------------------------------------------------------------------------------------------------------------


def draw_pictures(session, _, job):
    """A batch of units drawn: their pictures as PNG, which are the arrays in eight bits, and what is known of the climb."""
    given, network = job.given, session.network
    gallery, units = session.recipe.gallery[given["gallery"]], given["units"]
    pictures = maximize(
        network,
        goal(given["layer"], units),
        steps=gallery.steps,
        size=gallery.size,
        seed=session.recipe.seed,
        parameterization=_parameterization(session, gallery),
        regularizers=_regularizers(network, gallery, given["layer"]),
        transforms=gallery.transforms,
        facets=gallery.facets,
        snapshots=_snapshots(gallery),
    )
    about = {
        "layer": given["layer"],
        "names": [network.class_name(unit) if not given["layer"] else f"{given['layer']} {unit}" for unit in units],
        "facets": gallery.facets,
        "modes": _modes(pictures, gallery.facets),
        "settings": pictures.settings,
        "objective": pictures.objective,
    }
    arrays = {"units": np.array(units), "curves": pictures.curves, "scores": pictures.scores}
    return {"pictures.npz": pack(arrays), "about.json": encode(about), **_image_files(gallery, units, pictures)}


def _parameterization(session, gallery):
    """The parameterization as it is named; with `spectrum = "images"` MaCo's is measured on the run's own images."""
    if gallery.spectrum == "packages":
        return gallery.parameterization
    rows, columns, channels = canvas(session.network, gallery.size).shape
    if channels != 3:
        raise Refused(f"A spectrum of images is measured in colours. Received: a network of {channels} channels.")
    measure = functools.partial(spectrum.magnitude, session.natural_images.images, rows, columns)
    return parameterizations.get("maco")(magnitude=session.once(("spectrum", rows, columns), measure))


def _regularizers(network, gallery, layer):
    """What sets the facets of a unit apart, where that was asked for: at the unit's layer, or the last one with positions."""
    return [diversity(gallery.diversity, layer or network.last_spatial())] if gallery.diversity else []


def _modes(pictures, facets):
    """How many distinct pictures each unit's facets are: those nearer to each other than half the median distance between units
    are one; list of int, None for a single unit or facet.
    """
    units = len(pictures.images) // facets
    if facets == 1 or units == 1:
        return [None] * units
    flat = np.round(255 * pictures.images).astype("uint8")
    (rows,) = whiten([descriptors(flat)])
    apart = 1.0 - rows @ rows.T
    own = np.arange(len(flat)) // facets
    limit = 0.5 * np.median(apart[own[:, None] != own[None]])
    join = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=max(limit, 1e-9))
    return [int(join.fit(np.maximum(apart[np.ix_(own == unit, own == unit)], 0)).n_clusters_) for unit in range(units)]


def _image_files(gallery, units, pictures):
    """Every picture as a PNG, and the climb of the first facet as an animated one: dict of name to bytes."""
    facets = gallery.facets
    rows = [(unit, facet) for unit in units for facet in range(facets)]
    files = {picture_name(*row): png(image) for row, image in zip(rows, pictures.images)}
    if gallery.animate:
        moving = pictures.snapshots[::facets]
        files |= {f"{unit:05d}.anim.png": animation(frames) for unit, frames in zip(units, moving)}
    return files


def picture_name(unit, facet=0):
    """The file of a unit's picture: str."""
    return f"{unit:05d}.png" if facet == 0 else f"{unit:05d}-{facet}.png"


def _snapshots(gallery):
    """The steps of an animation, closer together at the beginning, where most happens."""
    if not gallery.animate:
        return ()
    return np.unique(np.geomspace(1, gallery.steps, min(24, gallery.steps)).round().astype(int)).tolist()


def png(image):
    """An image in 0..1, or uint8, as PNG bytes."""
    buffer = io.BytesIO()
    as_image(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def animation(images):
    """Images in 0..1 as an animated PNG, the last one held: bytes."""
    frames = [as_image(each) for each in images]
    buffer = io.BytesIO()
    times = [120] * (len(frames) - 1) + [1500]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()


def as_image(image):
    """An array in 0..1, or uint8, as a Pillow image: grey, RGB, or RGB with opacity. Other numbers of channels are shown as their mean."""
    array = image if image.dtype == np.uint8 else np.round(255 * np.clip(image, 0, 1)).astype("uint8")
    array = array if array.ndim == 3 else _flattened(array)
    if array.shape[-1] not in (1, 3, 4):
        array = array.mean(axis=-1, keepdims=True).astype("uint8")
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def _flattened(array):
    """A series as a strip of 32 rows, a volume as its slices side by side."""
    if array.ndim == 2:
        return np.repeat(array[None], 32, axis=0)
    return np.concatenate(list(array), axis=1)


def slug(text):
    """Text as a part of a file's name: str."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-") or "unnamed"
