"""Launch: the options of a command become a recipe, which is carried out, and its results are printed."""

import gc
import json
import os
import sys

import click

from recipes.errors import Failed, Gated, error_values, plain_errors, redirect_output, report_full_disk
from recipes.gate import refuse_idle_gate, refuse_shortfall
from recipes.options import model_table


def launch_tables(context, name, shared_options, tables, fail_on=None):
    """Carry out the recipe that a command's tables are.

    Args:
        context: `click.Context` of the command.
        name: str, of the recipe.
        shared_options: dict, the values of `model_options` and `run_options`.
        tables: dict, the other tables of the recipe. Beside a world there is no model, and a planted folder brings its own.
        fail_on: the gate, "fail", "inconclusive" or "worse"; None: none.
    """
    from recipes import schema

    with plain_errors():
        model = {} if {"world", "model"} & set(tables) else {"model": model_table(shared_options)}
        recipe = schema.recipe({"name": name, "seed": shared_options["seed"], **model, **tables})
    launch(context, recipe, shared_options, shared_options["allow_code"], fail_on)


def launch(context, recipe, shared_options, allow_code, fail_on=None):
    """Carry out a recipe, and print what was found.

    Args:
        context: `click.Context` of the command.
        recipe: `Recipe`.
        shared_options: dict, the values of `run_options`.
        allow_code: whether model files may run Python code of their own.
        fail_on: the gate, "fail", "inconclusive" or "worse"; None: none.

    Raises:
        click.ClickException: with the exit code that the run ends with, where it is not 0.
    """
    from recipes.progress import JsonProgress, Progress

    with plain_errors():
        refuse_idle_gate(recipe, fail_on)
    if shared_options["plan"]:
        _print_plan(context, recipe, shared_options, allow_code)
        return

    with plain_errors(), report_full_disk(), redirect_output():
        from recipes.runs import carry_out

        if context.obj["deterministic"]:
            from lab.environment import tf

            tf.config.experimental.enable_op_determinism()
        progress = (JsonProgress if shared_options["as_json"] else Progress)(quiet=shared_options["quiet"])
        choices = {
            "fresh": not shared_options["resume"],
            "allow_code": allow_code,
            "engine": _engine(context, shared_options),
        }
        # A command has its process to itself: later collections need not look through what was imported, which stays.
        result = carry_out(recipe, shared_options["out"], progress, after_imports=gc.freeze, **choices)
    _print_result(result, _failure(result, fail_on), shared_options["as_json"])


def _engine(context, shared_options):
    from recipes.engines import engine

    choices = (shared_options[name] for name in ("engine_name", "workers", "address"))
    return engine(*choices, deterministic=context.obj["deterministic"])


def _print_plan(context, recipe, shared_options, allow_code):
    with plain_errors(), redirect_output():
        from recipes.plan import as_lines, plan

        choices = {"workers": _engine(context, shared_options).workers, "fresh": not shared_options["resume"]}
        planned = plan(recipe, shared_options["out"], allow_code=allow_code, **choices)
    if shared_options["as_json"]:
        print_json({"error": None, **planned})
    else:
        click.echo("\n".join(as_lines(planned)))


def _print_result(result, error, as_json):
    """Print a finished run, then raise the error that it ends with, if any."""
    from recipes import results

    if as_json:
        print_json(results.as_values(result, error_values(error)))
    else:
        click.echo("\n".join(results.as_lines(result, coloured=_shows_colours())))
    if error is not None:
        error.is_printed = True
        raise error


def _shows_colours():
    """Whether standard output is a terminal whose user has not turned colours off (https://no-color.org): bool."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _failure(result, fail_on):
    """Why the command ends with another code than 0: ClickException, or None."""
    if result.failed:
        return Failed(f"{len(result.failed)} of the jobs failed: {result.failed[0][0]}: {result.failed[0][1]}")
    missing = [key for key, done in result.jobs if not done]
    if missing:
        return Failed(
            f"{len(missing)} of the jobs are not done any more: {missing[0]}. Files of the run were removed or changed: run it again to go on."
        )
    try:
        refuse_shortfall(result, fail_on)
    except Gated as error:
        return error
    return None


def print_json(values):
    """Print plain values as JSON."""
    click.echo(json.dumps(values, indent=1, ensure_ascii=False))
