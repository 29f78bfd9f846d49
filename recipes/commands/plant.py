"""Plant: two cues in the user's own data, and networks that use one of them."""

import json

import click

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.help import PlainCommand
from recipes.launch import launch
from recipes.options import (
    DATA_DETAILS,
    data_options,
    data_source,
    image_source,
    model_options,
    model_table,
    refuse_details,
    run_options,
)


@click.command(
    "plant",
    cls=PlainCommand,
    headings={
        "Data": ("data_path", *DATA_DETAILS, "levels"),
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
            "lab plant --data loans.csv --label default --cue mean_radius --cue mean_texture --plan --json --model credit.keras",
            "two columns of a table, as JSON",
        ),
    ),
)
@click.argument("images", nargs=-1, type=click.Path())
@model_options
@run_options
@data_options
@click.option(
    "--cue",
    "cues",
    multiple=True,
    help="A name of `lab list cues`, a function of your own as module:function, a column of a table, or two words of texts as good/bad. Given twice, for two cues.  [default: looked for; of pictures none]",
)
@click.option(
    "--size",
    type=float,
    help="Side of a cue as a share of the picture's shorter side, or of the steps of a series.  [default: 0.25; of a series 0.2]",
)
@click.option(
    "--contrast",
    type=float,
    help="Root mean square of the change of pixels in 0..255, or of steps in deviations, at most; in a table how far apart both variants are, in deviations.  [default: 80; of a series 1.5, of a table 2.5]",
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
    "--pictures",
    type=click.IntRange(50),
    help="Number of crops, rows, series or texts that networks are trained on.  [default: 600 crops, 2000 others]",
)
@click.option("--passes", type=click.IntRange(5), help="Most passes over these.  [default: 60]")
@click.option(
    "--rate",
    type=float,
    help="Learning rate of Adam.  [default: 0.001, for others than pictures 0.003; from a layer on 0.0003]",
)
@click.option("--samples", type=click.IntRange(8), help="Number of inputs to explain later.  [default: 48]")
@click.option(
    "--levels",
    type=click.IntRange(1),
    metavar="N",
    help="Value of white in images of more than 8 bits, such as 4095 for 12.",
)
@click.pass_context
def command(
    context,
    images,
    data_path,
    cues,
    size,
    contrast,
    layer,
    replicates,
    pictures,
    passes,
    rate,
    samples,
    levels,
    **shared_options,
):
    """Plant two cues in your data, and train your network until it uses one of them, as swaps prove.

    IMAGES are files, folders, lists and shards. Other data, such as a table, are named by --data.

    Some networks learn the first cue, others the second, and both cues stand in every input.
    `lab check --planted FOLDER` then asks which methods find the cue.
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
    details = {name: shared_options.pop(name) for name in DATA_DETAILS}
    with plain_errors():
        source = _source(images, data_path, details, levels)
        recipe = _recipe(source, cues, settings, shared_options)
        _refuse_other_planting(shared_options["out"], recipe)
    launch(context, recipe, shared_options, shared_options["allow_code"])


def _source(images, data_path, details, levels):
    """A recipe's table of images or of data, by its name: dict."""
    if bool(images) == bool(data_path):
        both = f"both {images[0]} and --data {data_path}" if images else "none"
        raise Refused(f"Cues are planted in pictures, or in other data by --data. Received: {both}.")
    data = data_source(data_path, None, details) if data_path else None
    if data is None:
        refuse_details(details, ", ".join(images) or data_path)
        return {"images": {**image_source(images or [data_path]), "levels": levels}}
    if levels:
        raise Refused(f"--levels is an option of pictures. Received: --data {data_path}.")
    return {"data": data}


def _recipe(source, cues, settings, shared_options):
    """The options of the command as a recipe: `Recipe`."""
    from recipes import planted, schema

    table = {"cues": list(cues), **{name: value for name, value in settings.items() if value is not None}}
    return schema.recipe(
        {
            "name": planted.RECIPE,
            "seed": shared_options["seed"],
            "model": model_table(shared_options),
            "planted": table,
            **source,
        }
    )


# What may differ between two plantings of one folder.
FREE = ("replicates", "images")


def _refuse_other_planting(out, recipe):
    """Raise Refused where a folder holds what was planted in another model, in other data or by other settings."""
    from recipes.planted import find_plantings
    from recipes.schema import plain_values

    values = _compared(plain_values(recipe))
    for path, manifest in find_plantings(out):
        earlier = _compared(manifest["recipe"])
        different = [name for name in values if values[name] != earlier.get(name)]
        if different:
            raise Refused(
                f"One folder holds what was planted in one model and its data, by one set of options. Received: --out {out}, where {path} has another {different[0]}: {earlier.get(different[0])}. Name another folder."
            )


def _compared(values):
    """What two plantings of one folder have in common: dict of name to value."""
    planted = {name: value for name, value in values["planted"].items() if name not in FREE}
    tables = {"model": values["model"]["source"], "images": values["images"], "data": values.get("data")}
    tables |= {"seed": values["seed"], **planted}
    return json.loads(json.dumps({**tables, "model settings": values["model"]}))
