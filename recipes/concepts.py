"""Concepts: the work of the [concept] table: activations of every set, evidence, and examples to look at."""

import hashlib
import warnings
from dataclasses import dataclass, replace

import numpy as np

from lab.concepts import cav, concept_gradient, concept_map, held_out_accuracy
from lab.data import Data, choose
from lab.defaults import has_positions
from lab.environment import tf
from lab.images import read
from lab.objectives import direction, logit
from lab.opening import open_data
from lab.refusal import Refused
from lab.remote import as_path
from lab.sources import source_kind
from lab.streams import open_images
from lab.textures import draw as draw_textures
from lab.visualization.maximize import maximize
from recipes.evidence import rows_outcome
from recipes.explanations import as_pictures
from recipes.store import encode, pack
from recipes.words import count_noun
from sanity.concepts import Study, measure_study
from sanity.concepts.sets import FEWEST_INPUTS
from sanity.examination import measure_rows
from sanity.randomization import STATISTICS_IMAGES
from sanity.shortcuts.copies import join_copies, thumbnail
from sanity.untrained import untrained_weights

# How the address of pictures by formula begins.
TEXTURE = "texture:"
# Inputs at either end of a concept's direction that are shown, and examples of the concept.
SHOWN = 8
# Inputs whose maps are shown, and pictures that are drawn of a concept.
MAPPED, DRAWN = 4, 2


# Data ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InputSet:
    """Inputs of a concept or a pool, every source once and none equal to another.

    Args:
        data: `lab.data.Data`.
        keys: tuple of str, what tells each input apart, the same for equal inputs.
    """

    data: Data
    keys: tuple

    def __len__(self):
        return len(self.data)


def open_set(session, name, addresses):
    """Inputs of a concept or a pool, read for what tells them apart once in a process.

    Args:
        session: `Session`.
        name: str, of the set.
        addresses: list of paths: folders, lists and files of pictures, or one file of texts, rows or arrays.

    Returns:
        `InputSet`.
    """
    return session.build_once(("set", tuple(addresses)), lambda: _without_equal(name, _open_data(session, addresses)))


def _open_data(session, addresses):
    if addresses[0].startswith(TEXTURE):
        return _draw_textures(session, addresses)
    if all(source_kind(address) == "images" for address in addresses):
        data = open_images(addresses if len(addresses) > 1 else addresses[0], channels=session.channels)
    elif len(addresses) == 1:
        columns = session.network.columns
        data = open_data(addresses[0], **({"columns": list(columns)} if columns else {}))
    else:
        raise Refused(f"A set is pictures, or one file of texts, rows or arrays. Received: {', '.join(addresses)}.")
    return data.spread(len(data))


def _without_equal(name, data):
    """The first of equal inputs, with a warning where there are any: `InputSet`."""
    keys = [_key(value) for value in data.inputs]
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    if len(first) < len(data):
        warnings.warn(
            f"{name}: {len(data) - len(first)} of {len(data)} inputs are equal to others and left out", stacklevel=2
        )
    places = sorted(first.values())
    return InputSet(choose(data, places), tuple(keys[place] for place in places))


def _key(value):
    """What tells an input apart, equal for equal inputs: str."""
    array = np.asarray(value)
    content = str(value).encode() if array.dtype.kind in "US" else array.tobytes()
    return hashlib.sha256(f"{array.shape}{array.dtype}".encode() + content).hexdigest()


def _draw_textures(session, addresses):
    """Pictures of one pattern, by the address "texture:NAME:COUNT"."""
    _, name, count = (*addresses[0].split(":"), "")[:3]
    if len(addresses) > 1 or not count.isdecimal():
        raise Refused(
            f"Textures are one address texture:NAME:COUNT, such as texture:stripes:40. Received: {', '.join(addresses)}."
        )
    return draw_textures(name, int(count), seed=session.sources.seed)


def is_vector(addresses):
    """Whether a concept is a direction of the user, an .npy file: bool."""
    return as_path(addresses[0]).suffix == ".npy"


def read_vector(addresses, network, layers):
    """A direction of the user, for the one layer that it belongs to.

    Args:
        addresses: list of one path of an .npy file.
        network: a `Network`.
        layers: list of addresses of layers.

    Returns:
        dict of layer to float64 [channels].

    Raises:
        Refused: for several layers, and for a vector that is not one number a channel.
    """
    vector = np.load(addresses[0], allow_pickle=False)
    channels = network.shapes[layers[0]][-1]
    if len(layers) != 1 or vector.shape != (channels,) or not np.isfinite(vector).all() or not vector.any():
        raise Refused(
            f"A direction in an .npy file belongs to one layer, and has a finite number for each channel, not all zero. Received: an array {vector.shape} for {', '.join(layers)}, the first of {channels} channels. Name one layer with --layers. Arrays of inputs are .npz files."
        )
    return {layers[0]: vector.astype("float64")}


def refuse_equal(concepts, pool):
    """Refuse inputs that are in a concept and in the pool.

    Args:
        concepts: dict of name to `InputSet`.
        pool: `InputSet`.

    Raises:
        Refused: for equal inputs.
    """
    known = dict(zip(pool.keys, pool.data.names))
    for name, examples in concepts.items():
        shared = [(entry, known[key]) for entry, key in zip(examples.data.names, examples.keys) if key in known]
        if shared:
            raise Refused(
                f"Random sets hold no input of a concept. Received: {len(shared)} of {name!r} that are in the pool too, such as {shared[0][0]!r}, there {shared[0][1]!r}. Take them out of the pool."
            )


def _warn_of_near_copies(concepts, pool):
    """Warn of pictures of a concept that are nearly those of the pool, or nearly one another."""
    sets = [pool, *concepts.values()]
    thumbnails = [thumbnail(np.atleast_3d(image)) for data in sets for image in data.inputs]
    codes = np.split(join_copies(thumbnails, range(len(thumbnails))), np.cumsum([len(data) for data in sets])[:-1])
    for (name, data), codes_of_concept in zip(concepts.items(), codes[1:]):
        near = np.flatnonzero(np.isin(codes_of_concept, codes[0]))
        if len(near):
            warnings.warn(
                f"{count_noun(len(near), 'picture')} of {name!r} as good as in the pool, such as {data.names[near[0]]!r}. Take such copies out of it",
                stacklevel=2,
            )
        different = len(set(codes_of_concept.tolist()))
        if different < FEWEST_INPUTS:
            warnings.warn(
                f"{len(data)} pictures of {name!r} are copies of {different}, but for small changes. Give {FEWEST_INPUTS} or more that differ",
                stacklevel=2,
            )


# Work ---------------------------------------------------------------------------------------------------------------------


def _sets(session, arguments):
    """The concepts given by examples, the directions of the user, and the pool."""
    network, layers = session.network, arguments["layers"]
    paths = dict(arguments["concepts"])
    vectors = {name: read_vector(at, network, layers) for name, at in paths.items() if is_vector(at)}
    concepts = {name: open_set(session, name, at).data for name, at in paths.items() if name not in vectors}
    return concepts, vectors, open_set(session, "the pool", arguments["pool"]).data


def _masks_of(session, arguments, name, data):
    """The masks of a concept's pictures, in their order: list of bool [rows, columns], or None where it has none."""
    folder = dict(arguments["masks"]).get(name)
    if folder is None:
        return None
    paths = {path.stem: path for path in as_path(folder).iterdir() if path.is_file()}
    missing = [picture for picture in data.names if as_path(picture).stem not in paths]
    if missing:
        raise Refused(
            f"Every picture of a concept with masks has one of its name. Received: none for {missing[0]!r} in {folder}."
        )
    return [read(paths[as_path(picture).stem], channels=1)[..., 0] > 127 for picture in data.names]


def goals(session, arguments):
    """The score of each class.

    Args:
        session: `Session`.
        arguments: dict with targets, names or indices of classes, and output.

    Returns:
        dict of the class's name to `Objective`.
    """
    network, output = session.network, arguments["output"]
    indices = [network.class_index(name, output) for name in arguments["targets"]]
    objectives = {network.class_name(index, output): logit(index, output=output) for index in indices}
    for objective in objectives.values():
        network.check(objective)
    if output is None and len(network.outputs) > 1:
        raise Refused(
            f"A network with several outputs needs --output. Received: none; it has {', '.join(network.outputs)}."
        )
    return objectives


def read_study(job, _, session):
    """Write activations of every set, and derivatives at the inputs, in the network or in one with random weights.

    Args:
        job: `Job`. With `untrained`, the weights are drawn from the seed and that number.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    network, arguments = session.network, job.arguments
    concepts, vectors, pool = _sets(session, arguments)
    masks = {name: _masks_of(session, arguments, name, data) for name, data in concepts.items()}
    images = session.images
    if arguments["untrained"] is None and pool.kind == "image":
        _warn_of_near_copies(concepts, pool)
    first = images.part(slice(STATISTICS_IMAGES)).inputs_of(network, session.sources.images.fit)
    with network.weights(untrained_weights(network, first, arguments["untrained"], seed=arguments["seed"])):
        study = measure_study(
            network,
            concepts,
            pool,
            images,
            goals(session, arguments),
            arguments["layers"],
            vectors=vectors,
            masks=masks,
            fit=session.sources.images.fit,
        )
    arrays = {f"{part}/{number}/{layer}": rows for part, number, layer, rows in _flat(study)}
    about = {
        "concepts": list(study.concepts),
        "targets": list(study.targets),
        "counts": {name: len(data) for name, data in {**concepts, "the pool": pool, "the inputs": images}.items()},
    }
    return {"activations.npz": pack({**arrays, "groups": study.groups}), "about.json": encode(about)}


def _flat(study):
    """Every array of a study: iterator of (part, number, layer, array)."""
    for part in ("concepts", "targets"):
        for number, layers in enumerate(getattr(study, part).values()):
            yield from ((part, number, layer, rows) for layer, rows in layers.items())
    for part in ("pool", "images"):
        yield from ((part, 0, layer, rows) for layer, rows in getattr(study, part).items())


def load_study(inputs, key, session, arguments):
    """The study that a job of `read_study` wrote.

    Args:
        inputs: `recipes.inputs.Inputs`.
        key: str, the key of the job.
        session: `Session`.
        arguments: dict, of a job.

    Returns:
        `Study`.
    """
    arrays, about = inputs.arrays(key, "activations.npz"), inputs.values(key, "about.json")

    def part(name, number):
        return {layer: arrays[f"{name}/{number}/{layer}"] for layer in arguments["layers"]}

    vectors = {
        name: read_vector(at, session.network, arguments["layers"])
        for name, at in arguments["concepts"]
        if is_vector(at)
    }
    return Study(
        session.network.name,
        {name: part("concepts", number) for number, name in enumerate(about["concepts"])},
        part("pool", 0),
        {name: part("targets", number) for number, name in enumerate(about["targets"])},
        part("images", 0),
        arrays["groups"],
        vectors,
    )


def measure_concepts(job, inputs, session):
    """Measure the evidence of a check about every concept, layer and class.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the studies, the network's own first.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments = job.arguments
    studies = [load_study(inputs, key, session, arguments) for key in job.needs]
    study = replace(
        studies[0],
        untrained=tuple(studies[1:]),
        network=session.network,
        inputs=session.images.inputs_of(session.network, session.sources.images.fit),
        objectives=goals(session, arguments),
    )
    return rows_outcome(
        *measure_rows(arguments["check"], study, seed=arguments["seed"], settings=arguments["settings"])
    )


# Examples -----------------------------------------------------------------------------------------------------------------


def show_concept(job, inputs, session):
    """Write how well a concept is told in every layer, the inputs at either end of its vector, its maps and pictures of it.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the study of the network.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments = job.arguments
    name = arguments["concept"]
    study = load_study(inputs, job.needs[0], session, arguments)
    concepts, _, pool = _sets(session, arguments)
    accuracies = {layer: _accuracy(study, name, layer) for layer in study.layers}
    layer = max(accuracies, key=lambda address: (accuracies[address] or 0.0, study.layers.index(address)))
    vector = _vector(study, name, layer)
    sets = {"pool": pool, "inputs": session.images}
    order = np.argsort(-np.concatenate([study.pool[layer], study.images[layer]]) @ vector, kind="stable")
    ends = {"top": order[:SHOWN], "bottom": order[-SHOWN:][::-1]}
    places = {end: [_place(sets, int(index)) for index in indices] for end, indices in ends.items()}
    about = {
        "concept": name,
        "layer": layer,
        "accuracies": accuracies,
        **{end: [[part, sets[part].names[place]] for part, place in rows] for end, rows in places.items()},
    }
    arrays = {"vector": vector}
    if session.images.kind == "image" and session.network.image_place is not None:
        arrays |= {end: _pictures(session, sets, rows) for end, rows in places.items()}
        if name in concepts:
            arrays["examples"] = _pictures(
                session, concepts, [(name, place) for place in range(min(SHOWN, len(concepts[name])))]
            )
        arrays |= _maps(session, layer, vector)
        if arguments["steps"]:
            arrays["drawn"] = _draw(session, layer, vector, arguments)
    elif session.images.kind == "text":
        about["texts"] = {end: [str(sets[part].inputs[place]) for part, place in rows] for end, rows in places.items()}
    return {"examples.npz": pack(arrays), "about.json": encode(about)}


def _accuracy(study, name, layer):
    """How well a concept is told from the pool, or None for a direction of the user."""
    return None if name in study.vectors else held_out_accuracy(study.concepts[name][layer], study.pool[layer])


def _vector(study, name, layer):
    """A concept's vector against the whole pool: float64 [channels]."""
    if name in study.vectors:
        return study.vectors[name][layer] / np.linalg.norm(study.vectors[name][layer])
    return cav(study.concepts[name][layer], study.pool[layer])


def _place(sets, index):
    """The part and the place in it of an input of pool and inputs together."""
    count = len(sets["pool"])
    return ("pool", index) if index < count else ("inputs", index - count)


def _pictures(session, sets, rows):
    """Inputs as the network received them: uint8 [images, rows, columns, channels]."""
    images = [sets[part].inputs[place] for part, place in rows]
    return as_pictures(session.network, session.network.preprocess(images, fit=session.sources.images.fit))


def _maps(session, layer, vector):
    """The first inputs with the concept's map and the gradient through its vector: dict of arrays."""
    network, data = session.network, session.images.part(slice(MAPPED))
    inputs = data.inputs_of(network, session.sources.images.fit)
    leaf = tf.nest.flatten(concept_gradient(network, inputs, layer, vector))[network.image_place]
    arrays = {
        "inputs": as_pictures(network, tf.nest.flatten(inputs)[network.image_place]),
        "gradients": np.linalg.norm(leaf, axis=-1).astype("float32"),
    }
    if has_positions(network.shapes[layer], 4):
        arrays["maps"] = concept_map(network, inputs, layer, vector)
    return arrays


def _draw(session, layer, vector, arguments):
    """Pictures that climb the concept's direction: uint8 [pictures, rows, columns, channels]."""
    pictures = maximize(
        session.network, direction(layer, np.stack([vector] * DRAWN)), seed=arguments["seed"], steps=arguments["steps"]
    )
    return np.round(255 * np.clip(pictures.images, 0, 1)).astype("uint8")
