"""Features: pictures of units, and the evidence of checks on whether they show what their units do."""

import pathlib

import click
from pydantic import Field, model_validator

from lab.refusal import Refused
from lab.registry import nearest
from recipes.claims import refuse_other_claims
from recipes.fields import STUDIED, Table, Units
from recipes.job import Job
from recipes.options import natural_images_table, units_table
from recipes.section import Deferred, Piece, Section
from recipes.sections import register


class Features(Table):
    """Checks of the pictures of some units. With `fooled`, a network built to fool the checks is a positive control.

    With `batch`, a job draws so many of the units.
    """

    layer: str | None = None
    units: Units = []
    logits: list[int | str] = []
    steps: int = Field(128, ge=1)
    pictures: int = Field(4, ge=1)
    parameterization: str = "fourier"
    transforms: str = "robust"
    checks: list[str] = ["path", "reach", "stability", "prior", "predictivity", "transfer"]
    path_layers: list[str] = []
    networks: int = Field(2, ge=1)
    others: list[str] = []
    observer: str | None = None
    recovery: bool = True
    fooled: bool = False
    detector: str | None = None
    batch: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if bool(self.layer) == bool(self.logits) or bool(self.layer) != bool(self.units):
            raise Refused("features name either a layer with units, or logits. Received: both or neither")
        return self

    @property
    def check_names(self):
        """The names of all checks of these pictures: list of str."""
        return list(dict.fromkeys([*self.checks, *(["recovery"] if self.recovery else [])]))


# Jobs ---------------------------------------------------------------------------------------------------------------------


# What decides the pictures of a study, beside its units.
STUDY = ("layer", "steps", "pictures", "parameterization", "transforms", "fooled", "detector")


def list_jobs(recipe, session):
    """The jobs of all studies: pictures from every network in them, and every check of these pictures.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        iterator of `Job`.

    Raises:
        Refused: for a layer, unit, check or model that does not exist.
    """
    for number, features in enumerate(recipe.features):
        units = _checked_units(features, session)
        study = {name: getattr(features, name) for name in STUDY}
        for kind in STUDIED if features.fooled else STUDIED[:1]:
            arguments = {"study": study, "units": units, "kind": kind, "seed": recipe.seed}
            yield from _jobs_of_network(number, features, arguments)


def _checked_units(features, session):
    """The units of a study by their numbers, after all that it names was checked against the network: list of int."""
    from lab.objectives import goal
    from lab.visualization.canvas import canvas
    from lab.visualization.parameterizations import resolve_parameterization
    from lab.visualization.transforms import transforms
    from recipes.galleries import refuse_several_outputs

    network = session.network
    units = [network.class_index(name) for name in features.logits] or features.units
    refuse_several_outputs(network, features.layer)
    network.check(goal(features.layer, units))
    canvas(network)
    resolve_parameterization(features.parameterization)
    transforms.get(features.transforms)
    _check_names(features, network)
    return list(units)


def _check_names(features, network):
    """Raise Refused for checks, models and layers that do not exist."""
    for name in features.check_names:
        refuse_other_claims(name, "features")
    for name in _other_models(features):
        _refuse_unknown_model(name)
    if features.fooled:
        _refuse_detector(features, network)
        return
    for address in features.path_layers:
        network.refuse_unknown(address)


def _jobs_of_network(number, features, arguments):
    """Pictures of one of the networks of a study, and the checks of these pictures."""
    key = f"study/{number}/{arguments['kind']}"
    cost = len(arguments["units"]) * features.steps * features.pictures
    # A fooling circuit is built from natural images.
    reads = ("model", "natural images") if features.fooled else ("model",)
    yield from _drawing_jobs(f"{key}/pictures", features.batch, arguments, cost, reads)
    for check in features.check_names:
        if _needs_pictures(check):
            yield _check_job(f"{key}/{check}", f"{number}-{check}", check, features, arguments)
        elif arguments["kind"] == STUDIED[0]:
            yield _visualizer_job(f"{key}/{check}", f"{number}-{check}", check, features, arguments)


def _needs_pictures(check):
    """Whether a check looks at the pictures of a study, and not at its visualizer alone: bool."""
    from sanity.checks import checks

    return checks.tag(checks.get(check), "needs_pictures", True)


def _drawing_jobs(key, batch, arguments, cost, reads):
    """The job that draws the pictures of all units; with a batch, those that draw some of them, and the one that gathers them."""
    count = len(arguments["units"])
    starts = range(0, count, batch or count)
    places = [[start, min(start + starts.step, count)] for start in starts]
    if len(places) == 1:
        yield Job(key, "drawn", arguments, passes=cost, reads=reads)
        return
    keys = [f"{key}-{start:05d}" for start, _ in places]
    for part_key, part in zip(keys, places):
        share = cost * (part[1] - part[0]) / count
        yield Job(part_key, "drawn units", {**arguments, "places": part}, passes=share, reads=reads)
    yield Job(key, "drawn", arguments, tuple(keys), reads=reads)


def _check_job(key, family, check, features, arguments):
    """The job of one check of the pictures of one network, with those settings that the check takes."""
    settings = _settings(check, features)
    others = [*settings.get("others", ()), *([settings["observer"]] if settings.get("observer") else [])]
    method = _method(features, arguments["kind"])
    return Job(
        key,
        "evidence of pictures",
        {**arguments, "check": check, "method": method, "settings": settings},
        (f"{key.rpartition('/')[0]}/pictures",),
        passes=len(arguments["units"]) * features.steps * features.networks if check == "prior" else 0,
        reads=("model", "natural images", *(f"network:{name}" for name in others)),
        judged_in=family,
    )


def _visualizer_job(key, family, check, features, arguments):
    """The job of a check that asks a visualizer, whatever the network and its units."""
    study = {name: arguments["study"][name] for name in ("steps", "parameterization", "transforms")}
    about = {"check": check, "method": _method(features, STUDIED[0]), "settings": {}}
    return Job(
        key,
        "evidence of pictures",
        {"study": study, "seed": arguments["seed"], **about},
        passes=20,
        judged_in=family,
    )


def _method(features, kind):
    """What a verdict on the pictures of a network is on: its visualizer, or the network that was built to fool."""
    from recipes.studies import visualizer_name
    from sanity.controls import FOOLED

    return FOOLED if kind == "fooled" else visualizer_name(features)


def _settings(check, features):
    """The settings of a table that a check takes: dict."""
    from lab.registry import options
    from sanity.checks import checks

    settings = {
        "networks": features.networks,
        "others": features.others,
        "observer": features.observer,
        "layers": features.path_layers,
    }
    return {name: value for name, value in settings.items() if name in options(checks.get(check))}


def _other_models(features):
    """Names of networks beside the recipe's own: those that pictures are shown to, and the observer."""
    return [*features.others, *([features.observer] if features.observer else [])]


def _refuse_unknown_model(name):
    from lab.model_names import names

    if name not in names() and not pathlib.Path(name).exists():
        raise Refused(f"Unknown model. Received: {name!r}. {nearest(name, names())}")


def _refuse_detector(features, network):
    from lab.objectives import goal
    from recipes.studies import detector

    if features.layer is None:
        raise Refused("A fooling circuit needs channels of a layer. Received: a study of logits; remove fooled.")
    network.check(goal(detector(features, network), [0]))


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_checks(recipe, jobs, store):
    """All checks of pictures, or None."""
    from recipes.report.picture_checks import collect_studies

    return {"studies": collect_studies(recipe, store, jobs)} if recipe.features else None


# Command -----------------------------------------------------------------------------------------------------------------


def feature_tables(settings, check_names, images):
    """The tables of a recipe that checks pictures of units, from the options of `lab check`.

    Args:
        settings: dict of layer, units, steps, parameterization, transforms, fooled, detector and others.
        check_names: str, names of checks separated by commas; "all" or None: all.
        images: folders and files of natural images.

    Returns:
        dict of table to values.
    """
    if not settings["layer"]:
        raise click.UsageError("Features are units of a layer: add --layer. Received: no --layer.")
    features = {name: settings[name] for name in ("parameterization", "transforms", "fooled", "detector")}
    features |= {"steps": settings["steps"]} if settings["steps"] else {}
    if settings["others"]:
        features["others"] = [name.strip() for name in settings["others"].split(",")]
    if check_names and check_names != "all":
        features["checks"] = [name.strip() for name in check_names.split(",")]
    features |= units_table(settings["layer"], settings["units"], "0-7")
    return {"features": [features], "images": natural_images_table(images)}


register(
    Section(
        name="features",
        table=Features,
        list_jobs=list_jobs,
        work={
            "drawn": Deferred("recipes.studies:draw_features"),
            "drawn units": Deferred("recipes.studies:draw_units"),
            "evidence of pictures": Deferred("recipes.studies:measure_pictures"),
        },
        place=30,
        judges=lambda recipe: True,
        pieces=(Piece("features", "Pictures checked", "features.html", _show_checks, place=60),),
    )
)
