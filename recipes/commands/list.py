"""List: the names of what there is."""

import click

from recipes.errors import plain_errors, redirect_output
from recipes.help import Choice, PlainCommand
from recipes.launch import print_json
from recipes.options import json_option, model_options

KINDS = [
    "models",
    "layers",
    "attention",
    "methods",
    "checks",
    "features",
    "worlds",
    "cues",
    "metrics",
    "recipes",
    "objectives",
]
KINDS += ["views", "swaps", "textures", "learners", "parameterizations", "transforms", "regularizers"]
OF_MODELS = ("layers", "attention")


@click.command(
    "list",
    cls=PlainCommand,
    examples=(
        ("lab list layers --model my.keras", "layers of your own model"),
        ("lab list attention --model my.keras", "attention in it, with heads and lengths"),
        ("lab list checks --json", "checks, as JSON"),
    ),
)
@click.argument("kind", metavar="KIND", type=Choice(KINDS))
@model_options
@json_option
def command(kind, as_json, **model):
    """List names of a KIND, with a line on each.

    KIND is models, layers, attention, methods, checks, features, worlds, cues, metrics, recipes, objectives, views, swaps,
    textures, learners, parameterizations, transforms or regularizers.

    Attention is a softmax that is multiplied with values. Not listed are heads that are mixed behind the softmax, weights with
    something added there, and windows of an image.
    """
    from recipes import catalogue

    with plain_errors(), redirect_output():
        rows = getattr(catalogue, kind)(*([model] if kind in OF_MODELS else []))
    if as_json:
        print_json({"error": None, kind: rows})
    else:
        click.echo(catalogue.as_text(rows) or _no_rows(kind))


def _no_rows(kind):
    """What is said of a model that nothing of a kind was found in: str."""
    words = f"The model has no {kind}"
    if kind != "attention":
        return f"{words}."
    return f"{words} that is a softmax multiplied with values. Heads mixed behind the softmax, and weights with something added there, are not listed."
