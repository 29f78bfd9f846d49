"""Gallery: pictures of what units respond to most, beside the natural images that excite them."""

import fnmatch
import math
import re
from typing import ClassVar, Literal

import click
from pydantic import Field, model_validator

from lab.refusal import Refused
from lab.registry import nearest
from recipes.fields import Table, Units
from recipes.help import PlainCommand
from recipes.job import Job, slug
from recipes.launch import launch_tables
from recipes.options import model_options, natural_images_table, picture_options, run_options, units_table
from recipes.section import Deferred, Piece, Section
from recipes.sections import register


class Gallery(Table):
    """Pictures of units: channels of a layer or of all matching block outputs, or classes by name or index."""

    former_names: ClassVar[dict[str, str]] = {"company": "connections"}
    layer: str | None = None
    layers: str | None = None
    units: Units = []
    top_for: str | None = None
    logits: list[int | str] = []
    steps: int = Field(256, ge=1)
    size: int | None = Field(None, ge=8)
    parameterization: str = "fourier"
    transforms: str = "robust"
    spectrum: Literal["packages", "images"] = "packages"
    facets: int = Field(1, ge=1)
    diversity: float = Field(0.0, ge=0)
    animate: bool = False
    natural: int = Field(8, ge=0, le=20)
    connections: bool = True
    relevant: bool = False
    batch: int = Field(16, ge=1)

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if sum(map(bool, (self.layer, self.layers, self.logits))) != 1:
            raise Refused("a gallery names one of layer, layers, logits. Received: none or several of them")
        if self.layer and bool(self.units) == bool(self.top_for):
            raise Refused("a gallery of a layer names either units or top_for. Received: both or neither")
        if self.spectrum == "images" and self.parameterization != "maco":
            raise Refused(
                "spectrum is an option of the parameterization maco alone. Received: another parameterization"
            )
        if self.relevant and (self.logits or not self.natural):
            raise Refused(
                "relevant shows natural images in which relevance goes through the units of a layer. Received: a gallery of logits, or natural = 0"
            )
        if self.diversity and self.facets < 2:
            raise Refused("diversity needs facets of two or more. Received: facets = 1")
        return self


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of all galleries: for every layer a survey of natural images, and its units in batches.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        iterator of `Job`.

    Raises:
        Refused: for a layer, unit, parameterization or transform that does not exist.
    """
    for number, gallery in enumerate(recipe.gallery):
        for layer, units in _checked_layers(gallery, session.network):
            yield from _survey_jobs(number, gallery, layer, units, session)
            yield from _picture_jobs(number, gallery, layer, units, recipe.seed, session)


def _checked_layers(gallery, network):
    """The layers of a gallery with their units, each checked against the network: iterator of (address or None, list of int)."""
    from lab.objectives import goal
    from lab.visualization.canvas import canvas
    from lab.visualization.parameterizations import resolve_parameterization
    from lab.visualization.transforms import transforms
    from recipes.galleries import refuse_several_outputs

    canvas(network, gallery.size)
    resolve_parameterization(gallery.parameterization)
    transforms.get(gallery.transforms)
    for layer, units in _layers(gallery, network):
        refuse_several_outputs(network, layer)
        network.check(goal(layer, units))
        yield layer, units


def _survey_jobs(number, gallery, layer, units, session):
    """The job that surveys natural images for the units of a layer, where natural images are wanted."""
    if not gallery.natural:
        return
    arguments = {"layer": layer, "units": units, "natural": gallery.natural, "connections": gallery.connections}
    arguments |= {"relevant": True} if gallery.relevant else {}
    cost = len(session.natural_images) * (0.4 + 2 * gallery.connections + 3 * gallery.relevant)
    reads = ("model", "natural images")
    yield Job(f"survey/{_name(number, layer)}", "survey", arguments, passes=cost, reads=reads)


# What decides how a unit is drawn.
DRAWING = ("steps", "size", "parameterization", "transforms", "spectrum", "facets", "diversity", "animate")


def _picture_jobs(number, gallery, layer, units, seed, session):
    """The jobs that draw the units of a layer, in batches."""
    settings = {name: getattr(gallery, name) for name in DRAWING}
    reads = ("model", "natural images") if gallery.spectrum == "images" else ("model",)
    gradient_cost = _gradient_cost(session.network, layer)
    for start in range(0, len(units), gallery.batch):
        batch = units[start : start + gallery.batch]
        arguments = {"layer": layer, "units": batch, "settings": settings, "seed": seed}
        cost = len(batch) * gallery.steps * gallery.facets * gradient_cost
        yield Job(f"gallery/{_name(number, layer)}/{start:05d}", "pictures", arguments, passes=cost, reads=reads)


def _name(number, layer):
    """The folder of a layer's jobs: the number of the gallery, and the layer."""
    return f"{number}-{slug(layer or 'logits')}"


def _layers(gallery, network):
    """The layers of a gallery with their units: list of (address, or None for logits; list of int)."""
    from lab.images import read
    from lab.visualization.examples import strongest_channels

    if gallery.top_for:
        image = read(gallery.top_for, channels=network.preprocessing.channels)
        return [(gallery.layer, strongest_channels(network, image, gallery.layer))]
    if gallery.logits:
        return [(None, [network.class_index(name) for name in gallery.logits])]
    if gallery.layer:
        return [(gallery.layer, gallery.units)]
    blocks = block_outputs(network)
    layers = [layer for layer in blocks if fnmatch.fnmatch(layer, gallery.layers)]
    if not layers:
        raise Refused(
            f"layers= is a pattern of block outputs. Received: {gallery.layers!r}. {nearest(gallery.layers, blocks)}"
        )
    return [(layer, list(range(network.shapes[layer][-1]))) for layer in layers]


def block_outputs(network):
    """The last layer with positions of every block of a network, in order; tokens that hold an image's patches count.

    Layers belong to one block if their addresses are the same up to the first number. What is inside another layer is not looked
    at.

    Returns:
        list of addresses.
    """
    from lab.defaults import is_public

    last = {}
    for address, shape in network.shapes.items():
        over_image = address in network.grids or (isinstance(shape, tuple) and len(shape) == 4)
        if over_image and address in network.tree and is_public(address, network.tree):
            last[_block(address)] = address
    return list(last.values())


def _block(address):
    match = re.match(r"(.*?\d+)(?=[_/]|$)", address)
    return match[1] if match else address.rpartition("_")[0] or address


def _gradient_cost(network, layer):
    """Rough cost of a layer's gradient, as a share of a whole one: the share of numbers computed before it."""
    sizes = {
        address: float(math.prod(side or 1 for side in shape[1:]))
        for address, shape in network.shapes.items()
        if isinstance(shape, tuple)
    }
    names = list(sizes)
    if layer not in sizes:
        return 1.0
    return sum(sizes[name] for name in names[: names.index(layer) + 1]) / sum(sizes.values())


def survey_messages(jobs, store):
    """Lines of text on the layers whose relevance was refused.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    surveys = [store.values(job.key, "about.json") for job in jobs if job.kind == "survey" and store.exists(job.key)]
    return [
        f"relevance through {about['layer']}  refused: {about['relevant_refused']}"
        for about in surveys
        if "relevant_refused" in about
    ]


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_pictures(recipe, jobs, store):
    """The pictures of all units, or None; beyond some hundreds of units, their shards are files beside the page."""
    from recipes.report.picture_checks import collect_studies, verdicts_by_unit
    from recipes.report.tiles import as_script_json, shard_file, tiles

    index, inline, shards = tiles(store, jobs, verdicts_by_unit(recipe, collect_studies(recipe, store, jobs)))
    if not index:
        return None
    return {
        "index": index,
        "units": as_script_json(index),
        "shards": [(kind, as_script_json(content)) for _, kind, content in shards] if inline else [],
        "files": () if inline else (shard_file(*shard) for shard in shards),
    }


# Command -----------------------------------------------------------------------------------------------------------------


@click.command(
    "gallery",
    cls=PlainCommand,
    headings={"Images": ("top_for", "relevant"), "Pictures": ("all_layers", "layers", "size", "facets", "animate")},
    examples=(
        ("lab gallery --layer conv2 --units 0-3 --steps 16 --model my.keras --input-range -1 1", "four units"),
        (
            "lab gallery --layer logits --units cat,cup --steps 16 --model my.keras --input-range -1 1 --classes names.txt",
            "two classes",
        ),
        (
            "lab gallery --layers 'conv*' --images photos/ --steps 16 --model my.keras --input-range -1 1",
            "whole layers, beside your own photographs",
        ),
    ),
)
@model_options
@run_options
@picture_options
@click.option("--all-layers", is_flag=True, help="Draw all channels of the last layer of every block.")
@click.option("--layers", metavar="PATTERN", help="Draw only block outputs that match, such as 'block_1*'.")
@click.option("--top-for", type=click.Path(), help="An image: draw the 16 channels that respond most to it.")
@click.option(
    "--facets",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of pictures of each unit, from different seeds.",
)
@click.option("--animate", is_flag=True, help="Keep an animation of the optimization.")
@click.option("--size", type=click.IntRange(8), help="Side of the pictures in pixels.  [default: the network's]")
@click.option(
    "--images",
    multiple=True,
    type=click.Path(),
    help="Folder of natural images to show beside the pictures, a file, a CSV list or a shard (.tar, .tfrecord). May be repeated.",
)
@click.option(
    "--relevant",
    is_flag=True,
    help="Show also the natural images in which the most relevance goes through a unit, for what the network answers.",
)
@click.pass_context
def command(
    context,
    layer,
    units,
    steps,
    parameterization,
    transforms,
    all_layers,
    layers,
    top_for,
    facets,
    animate,
    size,
    images,
    relevant,
    **shared_options,
):
    """Draw what the units of a layer, of all layers, or classes, respond to most.

    A run that was stopped continues when the same command is given again.
    """
    if bool(layer) == (all_layers or bool(layers)):
        raise click.UsageError("Give either --layer or --all-layers. Received: both or neither.")
    gallery_table = {
        "size": size,
        "parameterization": parameterization,
        "transforms": transforms,
        "facets": facets,
        "animate": animate,
        "relevant": relevant,
    }
    gallery_table |= {"steps": steps} if steps else {}
    if not layer:
        gallery_table["layers"] = layers or "*"
    else:
        gallery_table |= units_table(layer, units, "0-15", top_for)
    launch_tables(
        context, "gallery", shared_options, {"gallery": [gallery_table], "images": natural_images_table(images)}
    )


register(
    Section(
        name="gallery",
        table=Gallery,
        list_jobs=list_jobs,
        work={
            "survey": Deferred("recipes.galleries:survey"),
            "pictures": Deferred("recipes.galleries:draw_pictures"),
        },
        place=20,
        messages=survey_messages,
        pieces=(Piece("gallery", "Pictures of units", "gallery.html", _show_pictures, place=40, script="gallery.js"),),
    )
)
