"""Run: a recipe from a file."""

import json

import click

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.help import PlainCommand
from recipes.launch import launch
from recipes.options import run_options, verdict_options


@click.command(
    "run",
    cls=PlainCommand,
    headings={"Recipe": ("settings",)},
    examples=(
        ("lab run before.toml", "a recipe of your own"),
        ("lab run after.toml --set explain.target=cat", "with another value"),
        ("lab run after.toml --fresh --json", "from the start, as JSON"),
    ),
)
@click.argument("source", metavar="RECIPE")
@run_options
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe, such as gallery.0.steps=64. May be repeated.",
)
@click.option(
    "--allow-code", is_flag=True, help="Allow models and methods of the recipe to run Python code of their own."
)
@verdict_options
@click.pass_context
def command(context, source, settings, allow_code, fail_on, baseline, seed, **shared_options):
    """Run a RECIPE: a name of `lab list recipes`, or a TOML file as `lab init` writes it."""
    from recipes import schema

    if context.get_parameter_source("seed") == click.core.ParameterSource.COMMANDLINE:
        settings = (*settings, f"seed={seed}")
    if baseline:
        settings = (*settings, f"baseline={json.dumps(baseline, ensure_ascii=False)}")
    with plain_errors():
        recipe = schema.read(source, settings)
        code = [*(name for name in schema.method_names(recipe) if ":" in name), *recipe.model.modules]
        code += [recipe.model.function] if recipe.model.function else []
        code += [recipe.training.function] if recipe.training and recipe.training.function else []
        code += [name for name in recipe.planted.cues if ":" in name] if recipe.planted else []
        if code and not allow_code:
            raise Refused(f"This recipe runs code: add --allow-code if you trust it. Received: {code[0]!r}.")
    launch(context, recipe, shared_options, allow_code, fail_on)
