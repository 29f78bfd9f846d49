"""Dictionaries: the work of the [dictionary] table: atoms are learned, judged, atom_images over images, and compared over seeds."""

import csv
import io
from dataclasses import asdict, dataclass, replace

import numpy as np

from lab import routines
from lab.concepts import (
    Dictionary,
    Removals,
    atom_examples,
    learn,
    learners,
    logits_after_removal,
    neighbours,
    read_crops,
    read_positions,
    reconstruction,
    score_recovered,
    sobol_importance,
    stability,
)
from lab.concepts.activations import batches
from lab.concepts.positions import Rows, layer_batches
from lab.concepts.sparse_autoencoder import Settings, advance, begin, finish
from lab.data import choose
from lab.maps import resized
from lab.objectives import direction
from lab.refusal import Refused
from lab.remote import as_path, is_file
from lab.visualization.examples import receptive_box
from lab.visualization.maximize import maximize
from recipes.evidence import load_rows, record_files
from recipes.galleries import THUMBNAIL, crop_windows, map_images, picture_name, png, thumbnail
from recipes.store import encode, pack
from sanity import examination
from sanity.randomization import STATISTICS_IMAGES
from sanity.subject import subject
from sanity.untrained import untrained_weights

# Natural images of each atom; classes and neighbours that are listed; images that importance is measured on.
EXAMPLES, LISTED, IMPORTANT = 6, 4, 8
# How bright a photograph is where an atom is not active.
SHADE = 0.25


# What jobs share -----------------------------------------------------------------------------------------------------------


def images_of(session):
    """The images of a run without their labels, which no dictionary needs: `lab.Data`."""
    return replace(session.natural_images, labels=None)


def images_of_class(session, target, output=None):
    """The images that the network gives to a class; all of them for the target "top".

    Args:
        session: `Session`.
        target: str or int.
        output: str, the output whose classes they are; None: the first.

    Returns:
        `lab.Data`.

    Raises:
        Refused: for fewer than two images of the class.
    """
    data, network = images_of(session), session.network
    if target == "top":
        return data
    index = network.class_index(target, output)
    fit = session.sources.images.fit
    top = [
        routines.class_logits(network, part.inputs_of(network, fit), output).argmax(axis=1) for part in batches(data)
    ]
    places = np.flatnonzero(np.concatenate(top) == index)
    if len(places) < 2:
        raise Refused(
            f"Parts of a class are learned from two images or more that the network gives to it. Received: {len(places)} of {len(data)} for {target!r}. Give more of its images."
        )
    return choose(data, places.tolist())


def _subject(session, arguments):
    """The network with some of the images, and the score that atoms are to change: `Subject`."""
    data, question = images_of(session).spread(arguments["images"]), arguments["question"]
    return subject(session.network, data, fit=session.sources.images.fit, **question)


def _weights(session, arguments):
    """The weights of the trained network, or of one that was never trained, as a context."""
    first = images_of(session).part(slice(STATISTICS_IMAGES)).inputs_of(session.network, session.sources.images.fit)
    place = None if arguments["network"] == "trained" else 0
    return session.network.weights(untrained_weights(session.network, first, place, seed=arguments["seed"]))


def _rows(session, arguments):
    """The activations that a dictionary is learned from: `Rows`. Those of one network are in memory at a time."""
    fit, layer = session.sources.images.fit, arguments["layer"]

    def read():
        if learners.tag(learners.get(arguments["learner"]), "crops"):
            data = images_of_class(session, arguments["question"]["target"], arguments["question"]["output"])
            crops = read_crops(session.network, data, [layer], fit=fit)
            return Rows(crops.values[layer], crops.inputs)
        most, seed = arguments["most"], arguments["seed"]
        return read_positions(session.network, images_of(session), layer, most=most, fit=fit, seed=seed)

    key = (
        "dictionary rows",
        *(str(arguments[name]) for name in ("network", "layer", "learner", "question", "most", "seed")),
    )
    return session.keep_last(key, read)


def _split(rows):
    """Rows to learn from, and those of other images to measure on; of fewer than ten images all are both."""
    return rows.split() if rows.inputs.max() >= 9 else (rows, rows)


def load_dictionary(store, key):
    """The dictionary that a job wrote.

    Args:
        store: `Store` of the run, or `recipes.inputs.Inputs`.
        key: str, the key of the job.

    Returns:
        `lab.concepts.Dictionary`.
    """
    about = store.values(key, "about.json")
    return Dictionary.from_arrays(store.arrays(key, "dictionary.npz"), about["kind"], about["settings"])


# Learning ------------------------------------------------------------------------------------------------------------------


def train(job, inputs, session):
    """Go on with the training of a sparse autoencoder for some steps, and keep its state.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the state before, where there is one.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, (start, stop) = job.arguments, job.arguments["places"]
    settings = Settings(**arguments["settings"])
    with _weights(session, arguments):
        learned, _ = _split(_rows(session, arguments))
        state = inputs.arrays(job.needs[0], "state.npz") if job.needs else begin(learned.values, settings)
        return {"state.npz": pack(advance(state, learned.values, settings, stop - start))}


def learn_dictionary(job, inputs, session):
    """Learn a dictionary, or finish that of a trained autoencoder, and measure how well it rebuilds.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the state of an autoencoder.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, network = job.arguments, session.network
    with _weights(session, arguments):
        learned, held_out = _split(_rows(session, arguments))
        if job.needs:
            dictionary = finish(inputs.arrays(job.needs[0], "state.npz"), Settings(**arguments["settings"]))
        else:
            dictionary = learn(learned.values, arguments["learner"], **arguments["settings"])
        sample_subject = _subject(session, arguments)
        quality = reconstruction(dictionary, held_out.values)
        recovered = score_recovered(
            network, sample_subject.inputs, sample_subject.objective, arguments["layer"], dictionary
        )
    quality |= {"score": recovered, "rows": len(learned.values), "held_out": held_out is not learned}
    about = {"kind": dictionary.kind, "settings": dictionary.settings, "quality": quality}
    return {"dictionary.npz": pack(dictionary.as_arrays()), "about.json": encode(about)}


# Effects -------------------------------------------------------------------------------------------------------------------


def measure_effects(job, inputs, session):
    """Measure whether the atoms with most energy move the score, and what share of the score each takes part in.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the dictionary.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, layer = job.arguments, job.arguments["layer"]
    dictionary, fit = load_dictionary(inputs, job.needs[0]), session.sources.images.fit
    with _weights(session, arguments):
        sample_subject = _subject(session, arguments)
        data = images_of(session).spread(arguments["images"])
        energy = atom_examples(session.network, data, layer, dictionary, count=1, fit=fit).energy
        which = np.sort(np.argsort(-energy, kind="stable")[: arguments["effects"]]).tolist()
        settings = {"layer": layer, "dictionary": dictionary, "which": which, "draws": arguments["draws"]}
        rows, trace = examination.measure_rows("atom_effect", sample_subject, seed=arguments["seed"], settings=settings)
        importance = _importance(session, arguments, dictionary)
    about = {"atoms": which, "importance": importance, "target": _target_words(session, arguments)}
    if trace:
        # Without its effects no dictionary is shown: the job fails, and says why.
        raise RuntimeError(rows[0].failed[0].words)
    return {"about.json": encode(about), **record_files(rows)}


def _target_words(session, arguments):
    """The score that atoms are to change: str."""
    target, output = arguments["question"]["target"], arguments["question"]["output"]
    if target == "top":
        return "the score of each image's highest class"
    return f"the score of {session.network.class_name(session.network.class_index(target, output), output)}"


def _importance(session, arguments, dictionary):
    """Total Sobol indices of the atoms of CRAFT, means over images of the class: list of float, or None for others."""
    if not learners.tag(learners.get(arguments["learner"]), "crops"):
        return None
    data = images_of_class(session, arguments["question"]["target"], arguments["question"]["output"]).spread(IMPORTANT)
    sample_subject = subject(session.network, data, fit=session.sources.images.fit, **arguments["question"])
    return sobol_importance(
        session.network,
        sample_subject.inputs,
        sample_subject.objective,
        arguments["layer"],
        dictionary,
        seed=arguments["seed"],
    ).mean(axis=0)


# Atoms over images ---------------------------------------------------------------------------------------------------------


def find_examples(job, inputs, session):
    """Find the images in which each atom is most active, in one pass over all of them.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the dictionary.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    dictionary, fit = load_dictionary(inputs, job.needs[0]), session.sources.images.fit
    examples = atom_examples(
        session.network, images_of(session), job.arguments["layer"], dictionary, count=EXAMPLES, fit=fit
    )
    order, cosines = neighbours(dictionary.atoms, LISTED)
    return {"examples.npz": pack({**asdict(examples), "neighbours": order, "cosines": cosines})}


def show_atoms(job, inputs, session):
    """Cut out what excites some atoms, draw where they are active, and list the classes that they move.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the dictionary and its examples.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    network, data, layer = session.network, images_of(session), job.arguments["layer"]
    dictionary, examples = load_dictionary(inputs, job.needs[0]), inputs.arrays(job.needs[1], "examples.npz")
    atoms = np.arange(*job.arguments["places"])
    top, places = examples["top"][atoms], examples["places"][atoms]
    box = session.build_once(("receptive box", layer), lambda: receptive_box(network, layer))
    images = np.unique(top)
    top_images = choose(data, images.tolist())
    values = np.concatenate(
        [values for values, _ in layer_batches(network, top_images, layer, fit=session.sources.images.fit)]
    )
    codes = dictionary.encode(values)
    atom_images = _AtomImages(network, layer, images, top, atoms, codes)
    arrays = {
        "atoms": atoms,
        "crops": crop_windows(network, data, layer, top, places, box),
        "maps": _activation_maps(atom_images, data),
        "scores": examples["scores"][atoms],
    }
    about = {"field": box, "names": [[data.names[index] for index in row] for row in top]}
    about["classes"] = _classes(atom_images, top_images.inputs_of(network, session.sources.images.fit), dictionary)
    return {"atoms.npz": pack(arrays), "about.json": encode(about)}


@dataclass(frozen=True)
class _AtomImages:
    """Atoms with the images in which they are most active, and the codes of these."""

    network: object
    layer: str
    images: np.ndarray
    top: np.ndarray
    atoms: np.ndarray
    codes: np.ndarray

    def place(self, row, column):
        """Where an image of an atom is among the images whose codes are known: int."""
        return int(np.searchsorted(self.images, self.top[row, column]))


def _activation_maps(atom_images, data):
    """Photographs that are bright where an atom is active: uint8 [atoms, images, side, side, 3]."""
    shape = atom_images.network.shapes[atom_images.layer]

    def shade(image, row, column):
        small = thumbnail(image)
        if len(shape) != 4:
            return small
        plane = np.abs(atom_images.codes[atom_images.place(row, column), :, atom_images.atoms[row]]).reshape(
            1, *shape[1:3]
        )
        plane = resized(plane / (plane.max() or 1), THUMBNAIL, THUMBNAIL)[0].clip(0, 1)
        return np.round(small * (SHADE + (1 - SHADE) * plane[..., None])).astype("uint8")

    return map_images(data, atom_images.top, shade)


def _classes(atom_images, inputs, dictionary):
    """The classes whose logits fall most without each atom, means over its images: list of lists of [class, change]."""
    network = atom_images.network
    if len(network.outputs) != 1 or len(next(iter(network.outputs.values()))) != 2:
        return [[] for _ in atom_images.atoms]
    activations = routines.activations(network, inputs, atom_images.layer)
    codes = atom_images.codes.reshape(*activations.shape[:-1], len(dictionary))
    rows, columns = np.indices(atom_images.top.shape)
    places = np.array([atom_images.place(*pair) for pair in zip(rows.ravel(), columns.ravel())], "int32")
    which = np.repeat(atom_images.atoms, atom_images.top.shape[1]).astype("int32")
    removals = Removals(places, which, dictionary.atoms[which])
    after = logits_after_removal(network, inputs, atom_images.layer, activations, codes, removals)
    falls = (routines.logits(network, inputs)[places] - after).reshape(*atom_images.top.shape, -1).mean(axis=1)
    order = np.argsort(-falls, axis=1, kind="stable")[:, :LISTED]
    return [
        [[network.class_name(int(c)), float(row[c])] for c in largest if row[c] > 0]
        for row, largest in zip(falls, order)
    ]


def draw_atoms(job, inputs, session):
    """Draw what excites some atoms most: their directions are climbed.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the dictionary.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments, atoms = job.arguments, np.arange(*job.arguments["places"])
    vectors = load_dictionary(inputs, job.needs[0]).atoms[atoms]
    objective = direction(arguments["layer"], vectors)
    pictures = maximize(session.network, objective, steps=arguments["steps"], seed=arguments["seed"])
    return {picture_name(atom): png(image) for atom, image in zip(atoms, pictures.images)}


# Summary -------------------------------------------------------------------------------------------------------------------


def gather(job, inputs, session):
    """What was measured of all dictionaries: quality, stability over seeds, and verdicts on atoms of the untrained network.

    What an untrained network does is compared with, and no gate reads it.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with dictionaries and effects.
        session: `Session`, not used.

    Returns:
        dict of file name to bytes.
    """
    arguments = job.arguments
    rows = [_network_row(name, job, inputs) for name in arguments["networks"]]
    summary = {"networks": rows, "names": arguments["names"], "untrained": []}
    if "untrained" in arguments["networks"]:
        records = load_rows(inputs, "dictionary/effects/untrained")
        judged = examination.judge_with_controls(records, seed=arguments["seed"])
        summary["untrained"] = [verdict.as_dict() for verdict in judged.verdicts]
    return {"summary.json": encode(summary)}


def _network_row(name, job, inputs):
    """The figures of the dictionaries of one network: dict."""
    keys = [key for key in job.needs if key.startswith(f"dictionary/{name}-")]
    abouts = [inputs.values(key, "about.json")["quality"] for key in keys]
    signed = learners.tag(learners.get(job.arguments["learner"]), "signed", False)
    atoms = [inputs.arrays(key, "dictionary.npz")["atoms"] for key in keys]
    row = {"network": name, "seeds": abouts}
    row["stability"] = stability(atoms, signed=signed, seed=job.arguments["seed"]) if len(atoms) > 1 else None
    return row


def read_names(path, count):
    """The names that a user gave to atoms.

    Args:
        path: of a CSV file with the columns atom and name.
        count: int, how many atoms there are.

    Returns:
        dict of atom, as text, to name.

    Raises:
        Refused: for no such file or columns, and for an atom that does not exist or is named twice.
    """
    if not is_file(as_path(path)):
        raise Refused(f"Names of atoms come from a CSV file. Received: {path!r}, which is no file.")
    rows = csv.DictReader(io.StringIO(as_path(path).read_text(encoding="utf-8-sig")))
    if not {"atom", "name"} <= set(rows.fieldnames or ()):
        raise Refused(
            f"A file of names has the columns atom and name. Received: {', '.join(rows.fieldnames or ()) or 'none'}."
        )
    names = {}
    for row in rows:
        atom = (row["atom"] or "").strip()
        if not atom.isdecimal() or int(atom) >= count or str(int(atom)) in names:
            problem = "twice" if atom.isdecimal() and str(int(atom)) in names else f"in {path}"
            raise Refused(
                f"An atom is a number from 0 to {count - 1}, named once. Received: {row['atom']!r} {problem}."
            )
        names[str(int(atom))] = (row["name"] or "").strip()
    return {atom: name for atom, name in names.items() if name}
