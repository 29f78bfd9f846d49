"""Studies: the jobs that ask whether pictures show what their units do."""

import functools
import pathlib
from dataclasses import asdict, replace

import numpy as np

from lab.models import load, names
from lab.objectives import goal
from lab.refusal import Refused
from lab.registry import nearest, options
from lab.visualization.canvas import canvas
from lab.visualization.examples import survey
from lab.visualization.maximize import maximize
from lab.visualization.parameterizations import resolve_parameterization
from lab.visualization.transforms import transforms
from recipes.galleries import png, refuse_several_outputs, surveyed
from recipes.job import Job
from recipes.store import encode, pack
from sanity.features import features, recovery
from sanity.features.flags import Flag, flags, summary
from sanity.features.fooling import circuit
from sanity.features.study import Study, pictures

KINDS = ("honest", "fooled")


def jobs(number, asked, session):
    """The jobs of one study: pictures of every network under it, every check of them, and the words."""
    network = session.network
    units = [network.class_index(each) for each in asked.logits] or asked.units
    refuse_several_outputs(network, asked.layer)
    network.check(goal(asked.layer, units))
    canvas(network)
    resolve_parameterization(asked.parameterization)
    transforms.get(asked.transforms)
    for name in asked.checks:
        features.get(name)
    for name in [*asked.others, *([asked.observer] if asked.observer else [])]:
        _refuse_unknown_model(name)
    if asked.fooled:
        _refuse_detector(asked, session)
    else:
        for address in asked.path_layers:
            network.refuse_unknown(address)
    given = {"study": number, "units": list(units)}
    drawn = []
    for kind in KINDS if asked.fooled else KINDS[:1]:
        cost = len(units) * asked.steps * asked.pictures
        key = f"study/{number}/{kind}"
        drawn.append(f"{key}/pictures")
        yield Job(drawn[-1], "drawn", {**given, "kind": kind}, passes=cost)
        for check in asked.checks:
            more = cost * asked.networks / asked.pictures if check == "prior" else 0
            yield Job(f"{key}/{check}", "feature", {**given, "kind": kind, "check": check}, (drawn[-1],), passes=more)
    if asked.recovery:
        yield Job(f"study/{number}/recovery", "recovery", given, passes=20)


def _refuse_unknown_model(name):
    if name not in names() and not pathlib.Path(name).exists():
        raise Refused(f"Unknown model. Received: {name!r}. {nearest(name, names())}")


def _refuse_detector(asked, session):
    if asked.layer is None:
        raise Refused("A fooling circuit is built around channels of a layer. Received: a study of logits.")
    layer = detector(asked, session.network)
    session.network.check(goal(layer, [0]))


def detector(asked, network):
    """The layer whose means tell natural from synthetic images: as asked, or the one at a third of the way to the unit's."""
    if asked.detector:
        return asked.detector
    network.check_positions(asked.layer, axes=2)
    spatial = [each for each, shape in network.shapes.items() if isinstance(shape, tuple) and len(shape) == 4]
    return spatial[spatial.index(asked.layer) // 3]


def visualizer(asked):
    """`(network, objective, *, seed) -> images` as a study asks for it."""

    def draw(network, objective, *, seed):
        made = maximize(
            network,
            objective,
            steps=asked.steps,
            seed=seed,
            parameterization=asked.parameterization,
            transforms=asked.transforms,
        )
        return made.images

    return draw


def name_of(asked):
    """A visualizer in a word."""
    return asked.parameterization if asked.transforms == "robust" else f"{asked.parameterization}, {asked.transforms}"


def draw_features(session, _, job):
    """Several pictures of every unit."""
    given, asked = job.given, session.recipe.features[job.given["study"]]
    network, layer, units = _under(session, given)
    drawn = pictures(visualizer(asked), network, layer, units, seed=session.recipe.seed, count=asked.pictures)
    about = {
        "kind": given["kind"],
        "network": network.name,
        "layer": layer,
        "units": list(units),
        "named": given["units"],
    }
    if given["kind"] == "fooled":
        made = _fooled(session, given["study"])
        about |= {"gap": made.gap, "detector": made.detector, "told": made.detection_rate, "decoys": made.decoys}
    files = {
        f"{named:05d}-{seed}.png": png(each)
        for named, row in zip(given["units"], drawn)
        for seed, each in enumerate(row)
    }
    return {"pictures.npz": pack({"images": drawn}), "about.json": encode(about), **files}


def _under(session, given):
    """The network under study, the layer and the units as it knows them."""
    asked = session.recipe.features[given["study"]]
    if not asked.fooled:
        return session.network, asked.layer, tuple(given["units"])
    made = _fooled(session, given["study"])
    return (made.honest if given["kind"] == "honest" else made.fooled), None, tuple(range(len(given["units"])))


def _fooled(session, number):
    """The fooling circuit of a study, built once in a process."""
    return session.once(("fooled", number), functools.partial(_build, session, number))


def _build(session, number):
    asked, network = session.recipe.features[number], session.network
    units = asked.units
    fit = session.recipe.images.fit
    natural = network.preprocess(list(session.natural_images.images), fit=fit)
    stops = np.unique(np.geomspace(1, asked.steps, 6).astype(int)).tolist()
    climbed = maximize(
        network,
        goal(asked.layer, units),
        steps=asked.steps,
        seed=session.recipe.seed + 1000,
        parameterization=asked.parameterization,
        transforms=asked.transforms,
        snapshots=stops,
    )
    synthetic = _as_shown(network, climbed.snapshots.reshape(-1, *climbed.images.shape[1:]), asked.transforms)
    return circuit(network, asked.layer, units, natural, synthetic, detector(asked, network))


def _as_shown(network, images, transforms_name):
    """Pictures as they are and in three draws of the transforms, as inputs: the circuit meets them so, and must know them then too."""
    seen = [images]
    for turn in range(3):
        views = images
        for place, each in enumerate(transforms.get(transforms_name)(*network.size)):
            views = np.asarray(each(views, np.array([turn, place], "int32")))
        seen.append(views)
    return network.preprocessing.apply(255.0 * np.concatenate(seen)).astype("float32")


def study(session, store, given):
    """The `Study` that a study's checks look at."""
    asked = session.recipe.features[given["study"]]
    network, layer, units = _under(session, given)
    drawn = store.arrays(f"study/{given['study']}/{given['kind']}/pictures", "pictures.npz")["images"]
    if asked.fooled:
        made = session.once(("survey", given["study"], given["kind"]), lambda: _surveyed(session, network))
    else:
        made = surveyed(session, layer)
    settings = {"steps": asked.steps, "parameterization": asked.parameterization, "transforms": asked.transforms}
    fit = session.recipe.images.fit
    return Study(
        network, layer, units, session.natural_images, made, visualizer(asked), drawn, name_of(asked), fit, settings
    )


def _surveyed(session, network):
    return survey(network, session.natural_images, count=20, fit=session.recipe.images.fit)


def measure_feature(session, store, job):
    """One check of one network's pictures."""
    given, asked = job.given, session.recipe.features[job.given["study"]]
    check = features.get(given["check"])
    # Made only for a check that takes them: other networks take memory and time.
    known = {
        "networks": lambda: asked.networks,
        "others": lambda: _others(session, asked),
        "observer": lambda: _observer(session, asked),
        "layers": lambda: tuple(asked.path_layers),
    }
    chosen_options = {name: make() for name, make in known.items() if name in options(check)}
    pictured = study(session, store, given)
    made = _named(check(pictured, seed=session.recipe.seed, **chosen_options), pictured.units, given["units"])
    return _files(made, [asdict(each) for each in flags(made)], asdict(summary(made)), given["units"])


def _named(evidence, units, named):
    """Evidence whose words name other units as the user does: behind a fooling circuit they have other numbers."""
    if "rival" not in evidence.samples:
        return evidence
    names = dict(zip(units, named))
    rivals = np.array([names[int(unit)] for unit in evidence.samples["rival"]])
    return replace(evidence, samples={**evidence.samples, "rival": rivals})


def measure_recovery(session, _, job):
    """Templates set by hand, drawn by the same visualizer."""
    asked = session.recipe.features[job.given["study"]]
    made = recovery.recovery(visualizer(asked), seed=session.recipe.seed, name=name_of(asked))
    word, value, why = recovery.judge_recovery(made)
    return _files(made, [], asdict(Flag("recovery", -1, word, value, why)), [])


def _files(made, found, whole, named):
    """Evidence and flags as files; units by the names that the user gave them."""
    for flag, unit in zip(found, named):
        flag["unit"] = unit
    plain = {**asdict(made), "samples": None, "maps": None}
    arrays = {f"samples/{name.replace('/', '|')}": value for name, value in made.samples.items()}
    return {
        "evidence.npz": pack(arrays),
        "evidence.json": encode(plain),
        "flags.json": encode({"flags": found, "summary": whole}),
    }


def flagged(jobs, store):
    """What every check of pictures said of every network under it: yields dicts of network, fooled, check, word, why."""
    for job in jobs:
        if job.kind in ("feature", "recovery") and store.there(job.key):
            said = store.values(job.key, "flags.json")["summary"]
            fooled = job.given.get("kind") == "fooled"
            network = store.values(job.key, "evidence.json")["subject"]
            yield {"network": network, "fooled": fooled, **{name: said[name] for name in ("check", "word", "why")}}


def _others(session, asked):
    return [_loaded(session, each) for each in asked.others]


def _observer(session, asked):
    return None if asked.observer is None else _loaded(session, asked.observer)


def _loaded(session, name):
    return session.once(("network", name), lambda: load(name, allow_code=session.allow_code))
