"""Studies: pictures of units and checks of whether they show what their units do."""

import functools
from dataclasses import asdict, replace

import numpy as np

from lab.models import load
from lab.objectives import goal
from lab.registry import options
from lab.visualization.examples import survey
from lab.visualization.maximize import maximize
from lab.visualization.transforms import transforms
from recipes.galleries import load_survey, png
from recipes.store import encode, pack
from sanity.features import features as feature_checks
from sanity.features import recovery
from sanity.features.flags import Flag, flags, summary
from sanity.features.fooling import circuit
from sanity.features.study import Study, pictures


def detector(features, network):
    """The layer whose means separate natural from synthetic images.

    Args:
        features: `schema.Features`.
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


def draw_features(session, _, job):
    """Draw several pictures of every unit.

    Args:
        session: `Session`.
        _: the store, not used.
        job: `Job`.

    Returns:
        dict of file name to bytes.
    """
    arguments, features = job.arguments, session.recipe.features[job.arguments["study"]]
    network, layer, units = _network_of(session, arguments)
    images = pictures(visualizer(features), network, layer, units, seed=session.recipe.seed, count=features.pictures)
    about = {
        "kind": arguments["kind"],
        "network": network.name,
        "layer": layer,
        "units": list(units),
        "named": arguments["units"],
    }
    if arguments["kind"] == "fooled":
        fooling = _fooling_circuit(session, arguments["study"])
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


def _network_of(session, arguments):
    """The network of a job, the layer, and the units by their numbers in this network."""
    features = session.recipe.features[arguments["study"]]
    if not features.fooled:
        return session.network, features.layer, tuple(arguments["units"])
    fooling = _fooling_circuit(session, arguments["study"])
    network = fooling.honest if arguments["kind"] == "honest" else fooling.fooled
    return network, None, tuple(range(len(arguments["units"])))


def _fooling_circuit(session, number):
    """The fooling circuit of a study, built once in a process."""
    return session.build_once(("fooled", number), functools.partial(_build_fooling_circuit, session, number))


def _build_fooling_circuit(session, number):
    features, network = session.recipe.features[number], session.network
    units = features.units
    fit = session.recipe.images.fit
    natural = network.preprocess(list(session.natural_images.images), fit=fit)
    stops = np.unique(np.geomspace(1, features.steps, 6).astype(int)).tolist()
    pictures_by_step = maximize(
        network,
        goal(features.layer, units),
        steps=features.steps,
        seed=session.recipe.seed + 1000,
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


def load_study(session, store, arguments):
    """The `Study` that the checks of one network's pictures take.

    Args:
        session: `Session`.
        store: `Store` of the run, with the pictures.
        arguments: dict with study, kind and units, of a job.

    Returns:
        `Study`.
    """
    features = session.recipe.features[arguments["study"]]
    number, kind = arguments["study"], arguments["kind"]
    network, layer, units = _network_of(session, arguments)
    images = store.arrays(f"study/{number}/{kind}/pictures", "pictures.npz")["images"]
    if features.fooled:
        layer_survey = session.build_once(("survey", number, kind), lambda: _survey(session, network))
    else:
        layer_survey = load_survey(session, layer)
    settings = {name: getattr(features, name) for name in ("steps", "parameterization", "transforms")}
    return Study(
        network,
        layer,
        units,
        session.natural_images,
        layer_survey,
        visualizer(features),
        images,
        visualizer_name(features),
        session.recipe.images.fit,
        settings,
    )


def _survey(session, network):
    return survey(network, session.natural_images, count=20, fit=session.recipe.images.fit)


def measure_feature(session, store, job):
    """Measure one check of one network's pictures.

    Args:
        session: `Session`.
        store: `Store` of the run.
        job: `Job`.

    Returns:
        dict of file name to bytes.
    """
    arguments, features = job.arguments, session.recipe.features[job.arguments["study"]]
    check = feature_checks.get(arguments["check"])
    # Loaded only for a check that takes them: other networks take memory and time.
    loaders = {
        "networks": lambda: features.networks,
        "others": lambda: _load_others(session, features),
        "observer": lambda: _load_observer(session, features),
        "layers": lambda: tuple(features.path_layers),
    }
    settings = {name: load() for name, load in loaders.items() if name in options(check)}
    study = load_study(session, store, arguments)
    evidence = check(study, seed=session.recipe.seed, **settings)
    evidence = _with_users_units(evidence, dict(zip(study.units, arguments["units"])))
    return _files(evidence, flags(evidence), summary(evidence), arguments["units"])


def _with_users_units(evidence, numbers):
    """Evidence that numbers units as the user does. Behind a fooling circuit they have other numbers."""
    if "rival" not in evidence.samples:
        return evidence
    rivals = np.array([numbers[int(unit)] for unit in evidence.samples["rival"]])
    return replace(evidence, samples={**evidence.samples, "rival": rivals})


def measure_recovery(session, _, job):
    """Measure whether the same visualizer recovers templates that were set by hand.

    Args:
        session: `Session`.
        _: the store, not used.
        job: `Job`.

    Returns:
        dict of file name to bytes.
    """
    features = session.recipe.features[job.arguments["study"]]
    evidence = recovery.recovery(visualizer(features), seed=session.recipe.seed, name=visualizer_name(features))
    word, value, why = recovery.judge_recovery(evidence)
    return _files(evidence, [], Flag("recovery", -1, word, value, why), [])


def _files(evidence, unit_flags, summary_flag, units):
    """Evidence and flags as files, with the user's numbers of units."""
    flag_values = [{**asdict(flag), "unit": unit} for flag, unit in zip(unit_flags, units)]
    plain = {**asdict(evidence), "samples": None, "maps": None}
    arrays = {f"samples/{name.replace('/', '|')}": value for name, value in evidence.samples.items()}
    return {
        "evidence.npz": pack(arrays),
        "evidence.json": encode(plain),
        "flags.json": encode({"flags": flag_values, "summary": asdict(summary_flag)}),
    }


def _load_others(session, features):
    return [_load_network(session, name) for name in features.others]


def _load_observer(session, features):
    return None if features.observer is None else _load_network(session, features.observer)


def _load_network(session, name):
    return session.build_once(("network", name), lambda: load(name, allow_code=session.allow_code))
