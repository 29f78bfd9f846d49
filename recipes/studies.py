"""Studies: pictures of units and checks of whether they show what their units do."""

import functools
from types import SimpleNamespace

import numpy as np

from lab.models import load
from lab.objectives import goal
from lab.visualization.examples import survey
from lab.visualization.maximize import maximize
from lab.visualization.transforms import transforms
from recipes.evidence import rows_outcome
from recipes.galleries import load_survey, png
from recipes.store import encode, pack
from sanity.examination import measure_rows
from sanity.pictures.fooling import circuit
from sanity.pictures.study import Study, pictures


def detector(features, network):
    """The layer whose means separate natural from synthetic images.

    Args:
        features: a [[features]] table, or what a job has of it.
        network: `Network`.

    Returns:
        address: the one of the table, or the layer at a third of the way to the layer of the units.
    """
    if features.detector:
        return features.detector
    network.check_positions(features.layer, axes=2)
    spatial = [address for address, shape in network.shapes.items() if isinstance(shape, tuple) and len(shape) == 4]
    return spatial[spatial.index(features.layer) // 3]


def visualizer(features):
    """`(network, objective, *, seed) -> images` with the settings of a [[features]] table."""

    def draw(network, objective, *, seed):
        pictures = maximize(
            network,
            objective,
            steps=features.steps,
            seed=seed,
            parameterization=features.parameterization,
            transforms=features.transforms,
        )
        return pictures.images

    return draw


def visualizer_name(features):
    """A visualizer in a word: str."""
    return (
        features.parameterization
        if features.transforms == "robust"
        else f"{features.parameterization}, {features.transforms}"
    )


def draw_units(job, _, session):
    """Draw several pictures of some of the units of a study.

    Args:
        job: `Job` with the places of these units.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    return {"pictures.npz": pack({"images": _draw(session, job.arguments, slice(*job.arguments["places"]))})}


def _draw(session, arguments, places=slice(None)):
    """Several pictures of every unit, or of those at some places: uint8 [units, pictures, ...]."""
    features = _features(arguments)
    network, layer, units = _network_of(session, arguments)
    options = {"seed": arguments["seed"], "count": features.pictures}
    return pictures(visualizer(features), network, layer, units[places], **options)


def draw_features(job, inputs, session):
    """Draw several pictures of every unit, or gather those that other jobs have drawn.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the pictures of some units each, where other jobs draw them.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    arguments = job.arguments
    network, layer, units = _network_of(session, arguments)
    parts = [inputs.arrays(key, "pictures.npz")["images"] for key in job.needs]
    images = np.concatenate(parts) if parts else _draw(session, arguments)
    about = {
        "kind": arguments["kind"],
        "network": network.name,
        "layer": layer,
        "units": list(units),
        "named": arguments["units"],
    }
    if arguments["kind"] == "fooled":
        fooling = _fooling_circuit(session, arguments)
        about |= {
            "gap": fooling.gap,
            "detector": fooling.detector,
            "told": fooling.detection_rate,
            "decoys": fooling.decoys,
        }
    files = {
        f"{unit:05d}-{seed}.png": png(image)
        for unit, row in zip(arguments["units"], images)
        for seed, image in enumerate(row)
    }
    return {"pictures.npz": pack({"images": images}), "about.json": encode(about), **files}


def _features(arguments):
    """What a job has of its [[features]] table, by names: SimpleNamespace."""
    return SimpleNamespace(**arguments["study"])


def _network_of(session, arguments):
    """The network of a job, the layer, and the units by their numbers in this network."""
    features = _features(arguments)
    if not features.fooled:
        return session.network, features.layer, tuple(arguments["units"])
    fooling = _fooling_circuit(session, arguments)
    network = fooling.honest if arguments["kind"] == "honest" else fooling.fooled
    return network, None, tuple(range(len(arguments["units"])))


def _fooling_circuit(session, arguments):
    """The fooling circuit of a study, built once in a process."""
    return session.build_once(
        ("fooled", _name_study(arguments)), functools.partial(_build_fooling_circuit, session, arguments)
    )


def _name_study(arguments):
    """A study as text, by which what its jobs share is kept."""
    return str([arguments[name] for name in ("study", "units", "seed")])


def _build_fooling_circuit(session, arguments):
    features, network, units = _features(arguments), session.network, arguments["units"]
    fit = session.sources.images.fit
    natural = network.preprocess(list(session.natural_images.images), fit=fit)
    stops = np.unique(np.geomspace(1, features.steps, 6).astype(int)).tolist()
    pictures_by_step = maximize(
        network,
        goal(features.layer, units),
        steps=features.steps,
        seed=arguments["seed"] + 1000,
        parameterization=features.parameterization,
        transforms=features.transforms,
        snapshots=stops,
    )
    images = pictures_by_step.snapshots.reshape(-1, *pictures_by_step.images.shape[1:])
    synthetic = _transformed_inputs(network, images, features.transforms)
    return circuit(network, features.layer, units, natural, synthetic, detector(features, network))


def _transformed_inputs(network, images, transforms_name):
    """Pictures as inputs, once as they are and in three draws of the transforms. The circuit must detect both."""
    views = [images]
    for draw in range(3):
        transformed = images
        for place, transform in enumerate(transforms.get(transforms_name)(*network.size)):
            transformed = np.asarray(transform(transformed, np.array([draw, place], "int32")))
        views.append(transformed)
    return network.preprocessing.apply(255.0 * np.concatenate(views)).astype("float32")


def load_study(job, inputs, session):
    """The `Study` that the checks of one network's pictures take; without pictures, its visualizer alone.

    Args:
        job: `Job`, with the pictures among its needs or without them.
        inputs: `recipes.inputs.Inputs` with the pictures.
        session: `Session`.

    Returns:
        `Study`.
    """
    features, arguments = _features(job.arguments), job.arguments
    settings = {name: getattr(features, name) for name in ("steps", "parameterization", "transforms")}
    visualizer_fields = {"draw": visualizer(features), "name": arguments["method"], "settings": settings}
    if not job.needs:
        return Study(None, None, (), None, None, pictures=None, **visualizer_fields)
    network, layer, units = _network_of(session, arguments)
    return Study(
        network,
        layer,
        units,
        session.natural_images,
        _load_survey(session, arguments, network, layer),
        pictures=inputs.arrays(job.needs[0], "pictures.npz")["images"],
        numbers=tuple(arguments["units"]),
        fit=session.sources.images.fit,
        **visualizer_fields,
    )


def _load_survey(session, arguments, network, layer):
    """The responses of a layer to natural images; behind a fooling circuit, of its own units."""
    if not _features(arguments).fooled:
        return load_survey(session, layer)
    key = ("survey", _name_study(arguments), arguments["kind"])
    return session.build_once(key, lambda: _survey(session, network))


def _survey(session, network):
    return survey(network, session.natural_images, count=20, fit=session.sources.images.fit)


def measure_pictures(job, inputs, session):
    """Measure the evidence of one check about the pictures of every unit.

    Args:
        job: `Job`.
        inputs: `recipes.inputs.Inputs` with the pictures.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    arguments = job.arguments
    loaders = {
        "networks": lambda count: count,
        "others": lambda names: [_load_network(session, name) for name in names],
        "observer": lambda name: None if name is None else _load_network(session, name),
        "layers": tuple,
    }
    settings = {name: loaders[name](value) for name, value in arguments["settings"].items()}
    study = load_study(job, inputs, session)
    return rows_outcome(*measure_rows(arguments["check"], study, seed=arguments["seed"], settings=settings))


def _load_network(session, name):
    return session.build_once(("network", name), lambda: load(name, allow_code=session.allow_code))
