"""Plant: two cues in the user's own pictures, and networks that use one of them."""

import json

import click

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.help import PlainCommand
from recipes.launch import launch
from recipes.options import image_source, model_options, model_table, run_options


@click.command(
    "plant",
    cls=PlainCommand,
    headings={
        "Images": ("levels",),
        "Cues": ("cues", "size", "contrast"),
        "Networks": ("layer", "replicates", "pictures", "passes", "rate", "samples"),
    },
    examples=(
        (
            "lab plant photos/ --cue ruler --cue chequers --out planted/ --model my.keras --input-range -1 1",
            "networks that use one of two cues, as swaps prove",
        ),
        (
            "lab plant photos/ --cue my_cues:stamp --cue ruler --plan --model my.keras --input-range -1 1",
            "a cue of your own, and what would be done",
        ),
        (
            "lab plant photos/ --cue text --cue border --from conv2 --plan --json --model my.keras --input-range -1 1",
            "trained from a layer on, as JSON",
        ),
    ),
)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@model_options
@run_options
@click.option(
    "--cue",
    "cues",
    multiple=True,
    help="A name of `lab list cues`, or a function of your own as module:function. Given twice, for two cues.",
)
@click.option("--size", type=float, help="Side of a cue as a share of the picture's shorter side.  [default: 0.25]")
@click.option(
    "--contrast", type=float, help="Root mean square of the change of pixels in 0..255, at most.  [default: 80]"
)
@click.option(
    "--from",
    "layer",
    metavar="LAYER",
    help="Layer from which on the network is trained, or all.  [default: all; for more than a million parameters a late layer]",
)
@click.option(
    "--replicates",
    type=click.IntRange(4),
    help="Number of networks that learn each cue, from different seeds.  [default: 4]",
)
@click.option(
    "--pictures", type=click.IntRange(50), help="Number of crops that networks are trained on.  [default: 600]"
)
@click.option("--passes", type=click.IntRange(5), help="Most passes over these crops.  [default: 60]")
@click.option("--rate", type=float, help="Learning rate of Adam.  [default: 0.001; from a layer on 0.0003]")
@click.option("--samples", type=click.IntRange(8), help="Number of pictures to explain later.  [default: 48]")
@click.option(
    "--levels",
    type=click.IntRange(1),
    metavar="N",
    help="Value of white in images of more than 8 bits, such as 4095 for 12.",
)
@click.pass_context
def command(
    context, images, cues, size, contrast, layer, replicates, pictures, passes, rate, samples, levels, **shared_options
):
    """Plant two cues in your pictures, and train your network until it uses one of them, as swaps prove.

    IMAGES are files, folders, lists and shards. `lab check --planted FOLDER` then asks which methods find the cue.

    Some networks learn the first cue, others the second, and both cues stand in every picture.
    """
    settings = {
        "size": size,
        "contrast": contrast,
        "layer": layer,
        "replicates": replicates,
        "samples": pictures,
        "passes": passes,
        "rate": rate,
        "images": samples,
    }
    with plain_errors():
        recipe = _recipe(images, levels, cues, settings, shared_options)
        _refuse_other_planting(shared_options["out"], recipe)
    launch(context, recipe, shared_options, shared_options["allow_code"])


def _recipe(images, levels, cues, settings, shared_options):
    """The options of the command as a recipe: `Recipe`."""
    from recipes import planted, schema

    table = {"cues": list(cues), **{name: value for name, value in settings.items() if value is not None}}
    return schema.recipe(
        {
            "name": planted.RECIPE,
            "seed": shared_options["seed"],
            "model": model_table(shared_options),
            "images": {**image_source(images), "levels": levels},
            "planted": table,
        }
    )


# What may differ between two plantings of one folder.
FREE = ("replicates", "images")


def _refuse_other_planting(out, recipe):
    """Raise Refused where a folder holds what was planted in another model, in other pictures or by other settings."""
    from recipes.planted import find_plantings
    from recipes.schema import plain_values

    values = _compared(plain_values(recipe))
    for path, manifest in find_plantings(out):
        earlier = _compared(manifest["recipe"])
        different = [name for name in values if values[name] != earlier.get(name)]
        if different:
            raise Refused(
                f"One folder holds what was planted in one model and its pictures, by one set of options. Received: --out {out}, where {path} has another {different[0]}: {earlier.get(different[0])}. Name another folder."
            )


def _compared(values):
    """What two plantings of one folder have in common: dict of name to value."""
    planted = {name: value for name, value in values["planted"].items() if name not in FREE}
    tables = {"model": values["model"]["source"], "images": values["images"], "seed": values["seed"], **planted}
    return json.loads(json.dumps({**tables, "model settings": values["model"]}))
