"""The `lab` command. Each command turns its options into a Recipe and carries it out; heavy imports wait until then."""

import dataclasses
import itertools
import json
import pathlib
import sys

import click

import lab
from lab.refusal import Refused
from recipes.errors import Failed, Gated, Group, error_values, plain_errors, redirect_output, report_full_disk
from recipes.help import Choice


def compose_options(*decorators):
    """Combine several click options into one decorator."""

    def decorate(function):
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


# Natural images of a gallery are streamed, so that a folder may hold any number of them.
ANY_NUMBER = 1_000_000_000

model_options = compose_options(
    click.option(
        "--model",
        "source",
        default="efficientnet-lite0",
        show_default=True,
        help="A name of `lab list models`, or a .keras or .h5 file.",
    ),
    click.option(
        "--weights",
        type=Choice(["imagenet", "random"]),
        default="imagenet",
        show_default=True,
        help="Weights of a model by name.",
    ),
    click.option(
        "--input-range",
        nargs=2,
        type=float,
        metavar="LOW HIGH",
        help="Values of black and white in the input of your own model.",
    ),
    click.option("--classes", type=click.Path(), help="Text file with the class names of your own model, one a line."),
    click.option("--model-size", type=int, help="Side of the images in pixels, for models that take any size."),
    click.option(
        "--import",
        "modules",
        multiple=True,
        metavar="MODULE",
        help="Module with the custom layers of a model file, imported first. Needs --allow-code. May be repeated.",
    ),
    click.option("--allow-code", is_flag=True, help="Allow model files to run Python code of their own."),
)
target_options = compose_options(
    click.option(
        "--target", default="top", show_default=True, help="Class name, index, or top: the highest class of each image."
    ),
    click.option("--output", metavar="NAME", help="Name of an output, for models with several."),
    click.option(
        "--region",
        type=Choice(["all", "predicted"]),
        help="For a segmentation: positions over which the score of the target is averaged.",
    ),
    click.option(
        "--levels",
        type=click.IntRange(1),
        metavar="N",
        help="Value of white in images of more than 8 bits, such as 4095 for 12.",
    ),
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result, or the error, as JSON.")
run_options = compose_options(
    click.option("--out", type=click.Path(), default="artifacts", show_default=True, help="Folder of all runs."),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Seed of all random draws; the manifest records it.",
    ),
    click.option(
        "--resume/--fresh",
        default=True,
        help="Continue an earlier run of the same recipe, or start over.  [default: resume]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Number of processes that do the jobs. The cores are divided among them.",
    ),
    click.option("--plan", is_flag=True, help="List the jobs with what they need and cost, and run nothing."),
    click.option("--quiet", is_flag=True, help="Print only the result."),
    json_option,
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(lab.__version__, prog_name="lab")
@click.option("--deterministic", is_flag=True, help="Compute bit-equal results on a GPU too, which is slower.")
@click.pass_context
def main(context, deterministic):
    """Look inside a Keras network, explain what it does, and check the explanations.

    \b
    Start here, with the network and the photographs that come with the lab:
      lab run first-look                                   a whole run, with a report
      lab list layers                                      layers of the network
      lab gallery --layer block_6_add --units 0-15         draw what units respond to
      lab gallery --all-layers                             the whole network (hours; stop and resume freely)
      lab check --subject features --layer block_9_add     do the pictures show what the units do?
      lab check --world ruler --method all --check truth   does it find a planted shortcut?

    Every command leaves a folder under artifacts/ with one HTML report, the raw arrays, and a manifest.
    """
    context.obj = {"deterministic": deterministic}


KINDS = ["models", "layers", "methods", "checks", "features", "worlds", "metrics", "recipes", "objectives"]
KINDS += ["parameterizations", "transforms", "regularizers"]


@main.command("list")
@click.argument("kind", metavar="KIND", type=Choice(KINDS))
@model_options
@json_option
def list_(kind, as_json, **model):
    """List names of a KIND, with a line on each.

    KIND is models, layers, methods, checks, features, worlds, metrics, recipes, objectives, parameterizations, transforms
    or regularizers.
    """
    from recipes import catalogue

    with plain_errors(), redirect_output():
        rows = catalogue.layers(model) if kind == "layers" else getattr(catalogue, kind)()
    if as_json:
        _print_json({"error": None, kind: rows})
    else:
        click.echo(catalogue.as_text(rows))


picture_options = compose_options(
    click.option("--layer", help="Path of a layer (`lab list layers`), or logits."),
    click.option(
        "--units", help='Channels such as "0-63,80". For logits: class names or indices, separated by commas.'
    ),
    click.option(
        "--steps", type=click.IntRange(1), help="Optimization steps of each picture.  [default: 256; 128 to check]"
    ),
    click.option(
        "--parameterization", default="fourier", show_default=True, help="A name of `lab list parameterizations`."
    ),
    click.option("--transforms", default="robust", show_default=True, help="A name of `lab list transforms`."),
)


@main.command()
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
    help="Folder of natural images to show beside the pictures, or a file. May be repeated.",
)
@click.pass_context
def gallery(
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
    }
    gallery_table |= {"steps": steps} if steps else {}
    if not layer:
        gallery_table["layers"] = layers or "*"
    else:
        gallery_table |= _units_table(layer, units, "0-15", top_for)
    _run(context, "gallery", shared_options, {"gallery": [gallery_table], "images": _natural_images_table(images)})


def _units_table(layer, units, default, top_for=None):
    """The units of a layer, or the classes, as keys of a recipe's table."""
    if layer == "logits":
        return {"logits": _split(units or "")}
    return {"layer": layer, **({"top_for": top_for} if top_for else {"units": units or default})}


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path())
@model_options
@run_options
@click.option(
    "--method",
    default="gradcam,smoothgrad",
    show_default=True,
    help="Names of `lab list methods`, separated by commas, or all. A module:function is imported and run.",
)
@target_options
@click.option(
    "--labels",
    type=Choice(["folders", "none"]),
    help="folders: the names of subfolders are the true classes; none: they are not.  [default: folders where they are classes]",
)
@click.option(
    "--only",
    type=Choice(["wrong", "right", "all"]),
    default="all",
    show_default=True,
    help="Explain only photographs that are answered wrong, or right, the most confident answer first.",
)
@click.option(
    "--contrast",
    is_flag=True,
    help="Explain the predicted class against the true one, and both; against the runner-up where the answer is right.",
)
@click.option("--table", type=click.Path(), help="CSV file with the other inputs of the network, one row an image.")
@click.option(
    "--layer",
    help="Layer of the CAM methods; several, separated by commas, are fused.  [default: the last with rows and columns]",
)
@click.option(
    "--option",
    "method_options",
    multiple=True,
    metavar="METHOD.NAME=VALUE",
    help="An option of a method, such as smoothgrad.samples=20. May be repeated.",
)
@click.pass_context
def explain(context, images, method, method_options, layer, labels, table, levels, **options):
    """Explain photographs: one map for each image and method, and how far the methods agree.

    IMAGES are files and folders. A method that cannot explain this model is listed as refused, with the reason.
    """
    explain_table = {name: options.pop(name) for name in ("target", "output", "region", "only", "contrast")}
    with plain_errors():
        explain_table["methods"] = _method_names(method)
        explain_table["options"] = _parse_method_options(method_options)
        images_table = {**_images_table(images, labels), "levels": levels, "table": table}
    layers = _split(layer or "")
    explain_table["layer"] = layers[0] if len(layers) == 1 else layers or None
    _run(context, "explain", options, {"explain": explain_table, "images": images_table})


def _images_table(paths, labels):
    """One folder of images, or files and the images of several folders, as a recipe's table of images."""
    source = _image_source(paths)
    if "folder" in source:
        return {**source, "most": ANY_NUMBER, "labels": labels or "where known"}
    if labels == "folders":
        raise Refused(
            f"Labels are the subfolders of one folder of photographs. Received: --labels folders with {', '.join(paths[:3])}. Give the folder that holds them."
        )
    return {**source, "most": ANY_NUMBER}


def _image_source(paths, alternate=False):
    """Where images come from: one folder, or files and the images of several folders.

    Where only the first of them will be used, `alternate` takes one of each path in turn, so that every folder is there.
    """
    if len(paths) == 1 and pathlib.Path(paths[0]).is_dir():
        return {"folder": paths[0]}
    lists = [_image_files(path) for path in paths]
    turns = itertools.zip_longest(*lists) if alternate else lists
    return {"files": [file for files in turns for file in files if file is not None]}


def _image_files(path):
    """The images of a folder and below it, or the file itself: list of str."""
    if not pathlib.Path(path).is_dir():
        return [path]
    from lab import data

    return [str(file) for file in data.folder(path).images.paths]


def _natural_images_table(paths):
    """Any number of natural images, or none, as a recipe's table of images."""
    with plain_errors():
        return {**_image_source(paths), "most": ANY_NUMBER} if paths else {}


def _split(text):
    """The names in a text, separated by commas: list of str."""
    return [name.strip() for name in text.split(",") if name.strip()]


@main.command()
@model_options
@run_options
@click.option("--layer", required=True, help="Path of a layer with rows and columns (`lab list layers`).")
@click.option(
    "--image", type=click.Path(), help="One photograph: draw a picture of every position, and groups of neurons."
)
@click.option(
    "--images",
    multiple=True,
    type=click.Path(),
    help="Folder: draw a map of the layer over all images in it; or a file. May be repeated.",
)
@click.option(
    "--steps", type=click.IntRange(1), default=64, show_default=True, help="Optimization steps of each picture."
)
@click.option(
    "--side", type=click.IntRange(2), default=8, show_default=True, help="Number of cells along each side of the map."
)
@click.option(
    "--groups",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Number of groups of neurons in a photograph.",
)
@click.option("--layout", default="tsne", show_default=True, help="tsne, or umap (an extra).")
@click.pass_context
def atlas(context, layer, image, images, steps, side, groups, layout, **shared_options):
    """Draw what a layer represents, over one photograph or over many images.

    Without --image and --images, the images are photographs of the installed packages.
    """
    if image and images:
        raise click.UsageError("Give either --image or --images. Received: both.")
    if image and pathlib.Path(image).is_dir():
        raise click.UsageError(f"--image is one photograph. Received: the folder {image!r}. Give --images {image}.")
    atlas_table = {"layer": layer, "image": image, "steps": steps, "side": side, "groups": groups, "layout": layout}
    _run(context, "atlas", shared_options, {"atlas": [atlas_table], "images": _natural_images_table(images)})


verdict_options = compose_options(
    click.option(
        "--fail-on",
        type=Choice(["fail", "inconclusive"]),
        help="Exit with 1 if a method, controls apart, has this outcome or a worse one. NOT APPLICABLE is passed over.",
    ),
    click.option("--baseline", metavar="RUN", help="An earlier run: list the verdicts that changed since."),
)


@main.command()
@model_options
@run_options
@click.option(
    "--images",
    multiple=True,
    type=click.Path(),
    help="Folder of photographs, with a subfolder for each label; or a file. May be repeated; 48 images are used at most.  [default: photographs of the installed packages]",
)
@click.option("--world", help="A data set with planted truth (`lab list worlds`), instead of a model and images.")
@click.option(
    "--replicates",
    type=click.IntRange(1),
    help="Number of networks to train in a world, from different seeds.  [default: 4]",
)
@click.option(
    "--permuted-label-networks",
    type=click.IntRange(0),
    help="Number of networks to train on permuted labels.  [default: as --replicates for the check labels, or 0]",
)
@click.option("--samples", type=click.IntRange(8), help="Number of samples of a world to explain.  [default: 48]")
@click.option(
    "--method",
    default="gradient,gradcam",
    show_default=True,
    help="Names of `lab list methods`, all, or module:function, separated by commas.",
)
@click.option(
    "--subject",
    type=Choice(["maps", "features"]),
    default="maps",
    show_default=True,
    help="Check maps of methods, or pictures of units (--layer, --units).",
)
@click.option(
    "--check",
    "check_names",
    help="Names of `lab list checks`, separated by commas, or all. Not in all: retraining, which trains 28 networks a method and 12 for all.  [default: parameters; for features all]",
)
@picture_options
@click.option(
    "--fooled", is_flag=True, help="For features: also check a network that was built to fool them. It must be flagged."
)
@click.option(
    "--detector",
    help="With --fooled: layer that tells natural from synthetic images.  [default: a third of the way to --layer]",
)
@click.option(
    "--others",
    metavar="MODELS",
    help="For features of logits: names of other networks that are shown the pictures, separated by commas.",
)
@click.option(
    "--mode",
    type=Choice(["full", "top_down", "bottom_up", "independent"]),
    help="For parameters: randomize all weights at once, or block by block.  [default: full]",
)
@click.option(
    "--seeds",
    type=click.IntRange(2),
    help="For parameters: number of random networks.  [default: as --replicates, or 3]",
)
@target_options
@verdict_options
@click.pass_context
def check(
    context,
    images,
    world,
    replicates,
    permuted_label_networks,
    samples,
    method,
    subject,
    check_names,
    mode,
    seeds,
    target,
    output,
    region,
    levels,
    fail_on,
    baseline,
    **shared_options,
):
    """Check whether maps respond to weights, labels and classes, find planted truth, and stay where they must.

    With --subject features: check whether pictures of units show what the units do on natural images.

    A verdict says what was measured on this network and these images, and what cannot be concluded.
    """
    picture_settings = {name: shared_options.pop(name) for name in PICTURE_OPTIONS}
    if subject == "features":
        _refuse(context, MAP_OPTIONS, "is an option of --subject maps. Received: --subject features.")
        tables = _feature_tables(picture_settings, check_names, images)
        _run(context, "features", shared_options, tables, fail_on, baseline)
        return
    _refuse(context, PICTURE_OPTIONS, "is an option of pictures: add --subject features. Received: --subject maps.")
    with plain_errors():
        question = {"methods": _method_names(method), "target": target, "output": output, "region": region}
        names, settings = _check_names(check_names or "parameters"), {"mode": mode, "seeds": seeds}
        tables = {"check": [{"check": name, **question, **_known_settings(name, settings)} for name in names]}
    world_settings = {"replicates": replicates, "permuted_label_networks": permuted_label_networks, "images": samples}
    tables |= _subject_tables(context, world, world_settings, names, images, levels)
    _run(context, "check", shared_options, tables, fail_on, baseline)


def _subject_tables(context, world, settings, check_names, images, levels):
    """A recipe's table of a world, or of images. Raises UsageError for options of the other one."""
    if world:
        _refuse_model(context)
        return {"world": _world_table(world, settings, check_names)}
    if any(value is not None for value in settings.values()):
        raise click.UsageError(
            "--replicates, --permuted-label-networks and --samples are options of a world. Received: no --world."
        )
    with plain_errors():
        source = _image_source(images, alternate=True) if images else {}
    return {"images": {**source, "levels": levels}} if source or levels else {}


def _world_table(name, settings, check_names):
    """A recipe's table of a world. The check labels needs as many networks on permuted labels as replicates."""
    if settings["permuted_label_networks"] is None and "labels" in check_names:
        settings = {**settings, "permuted_label_networks": settings["replicates"] or 4}
    return {"name": name, **{key: value for key, value in settings.items() if value is not None}}


def _feature_tables(settings, check_names, images):
    """The tables of a recipe that checks pictures of units."""
    if not settings["layer"]:
        raise click.UsageError("Features are units of a layer: add --layer. Received: no --layer.")
    features = {name: settings[name] for name in ("parameterization", "transforms", "fooled", "detector")}
    features |= {"steps": settings["steps"]} if settings["steps"] else {}
    if settings["others"]:
        features["others"] = [name.strip() for name in settings["others"].split(",")]
    if check_names and check_names != "all":
        features["checks"] = [name.strip() for name in check_names.split(",")]
    features |= _units_table(settings["layer"], settings["units"], "0-7")
    return {"features": [features], "images": _natural_images_table(images)}


# Options of `lab check` that belong to one subject alone, maps or pictures.
MAP_OPTIONS = (
    "world",
    "replicates",
    "permuted_label_networks",
    "samples",
    "method",
    "mode",
    "seeds",
    "target",
    "output",
    "region",
    "baseline",
)
PICTURE_OPTIONS = ("layer", "units", "steps", "parameterization", "transforms", "fooled", "detector", "others")


def _refuse(context, names, rule):
    """Raise UsageError where one of some options was typed; the rule completes the sentence after its name."""
    for name in names:
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {rule}")


@main.command()
@click.argument("first", metavar="RUN", type=click.Path())
@click.argument("second", metavar="RUN", type=click.Path())
@click.option(
    "--out", type=click.Path(), help="Path of the page.  [default: compare.html in the folder of the second run]"
)
@json_option
def compare(first, second, out, as_json):
    """Compare two RUNs, of two networks or two checkpoints: settings, jobs, verdicts, maps and units."""
    from recipes.report.comparison import as_values, compare_runs, write_comparison

    with plain_errors(), report_full_disk(), redirect_output():
        folders = [_find_report(pathlib.Path(run_folder)).parent for run_folder in (first, second)]
        comparison = compare_runs(*folders)
        page = write_comparison(comparison, pathlib.Path(out) if out else folders[1] / "compare.html")
    if as_json:
        _print_json({"error": None, **as_values(comparison), "report": str(page)})
    else:
        click.echo(page)


@main.command()
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
def run(context, source, settings, allow_code, fail_on, baseline, seed, **shared_options):
    """Run a RECIPE: a name of `lab list recipes`, or a TOML file as `lab init` writes it."""
    from recipes import schema

    if context.get_parameter_source("seed") == click.core.ParameterSource.COMMANDLINE:
        settings = (*settings, f"seed={seed}")
    with plain_errors():
        recipe = schema.read(source, settings)
        code = [*(name for name in schema.method_names(recipe) if ":" in name), *recipe.model.modules]
        if code and not allow_code:
            raise Refused(f"This recipe runs code: add --allow-code if you trust it. Received: {code[0]!r}.")
    _carry_out(context, recipe, shared_options, allow_code, fail_on, baseline)


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path())
@click.option("--print", "print_only", is_flag=True, help="Print the path and open nothing.")
@click.option("--follow", is_flag=True, help="Say what is running where, until the run has ended.")
def show(run_folder, print_only, follow):
    """Open the report of a RUN, or follow it while it is running.

    A RUN is a folder, a digest or the beginning of one, or the name of a recipe for its latest run.
    """
    if follow:
        with plain_errors():
            from recipes.follow import follow as follow_run

            follow_run(_find_run(pathlib.Path(run_folder), "manifest.json").parent, click.echo)
        return
    with plain_errors():
        report = _find_report(pathlib.Path(run_folder))
    click.echo(report)
    if not print_only and sys.stdout.isatty():
        click.launch(str(report))


@main.command()
@click.option("--out", type=click.Path(), default="artifacts", show_default=True, help="Folder of all runs.")
@click.option(
    "--remove", "kinds", metavar="KINDS", help="What to remove: networks, surveys, runs, separated by commas."
)
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(0),
    default=0.0,
    metavar="DAYS",
    help="Remove only what was last written so long ago.",
)
@json_option
def gc(out, kinds, days, as_json):
    """List runs, trained networks and surveys by size and age, and remove those that are asked for.

    Trained networks and surveys are computed again when a run needs them. A run that is being written is never removed.
    """
    from recipes import storage

    with plain_errors(), redirect_output():
        everything = storage.items(out)
        selected = storage.choose(everything, tuple(_split(kinds or "")), days)
        removed = storage.remove(selected)
    if as_json:
        _print_json({"error": None, "items": storage.as_values(everything), "removed": storage.as_values(removed)})
        return
    click.echo("\n".join(storage.as_lines(everything)))
    if kinds:
        click.echo(
            f"removed {len(removed)} of {len(selected)} selected, {sum(item.bytes for item in removed) / 1e6:,.1f} MB"
        )


@main.command()
@json_option
def doctor(as_json):
    """List versions, devices, memory and artifacts, and whether each part of the lab can be used here."""
    from recipes.doctor import findings

    with redirect_output():
        rows = findings()
    missing = [row.name for row in rows if row.state == "missing" and not row.optional]
    error = Failed(f"The lab needs parts that are missing: {', '.join(missing)}.") if missing else None
    if as_json:
        _print_json({"error": error_values(error), "parts": [dataclasses.asdict(row) for row in rows]})
    else:
        click.echo("\n".join(f"{row.state:<8} {row.name:<22} {row.words}" for row in rows))
    if error is not None:
        error.is_printed = True
        raise error


@main.command()
@click.argument("path", type=click.Path())
def init(path):
    """Write a commented RECIPE.toml to start from. An existing file is never overwritten."""
    from recipes import schema

    file = pathlib.Path(path)
    with plain_errors():
        if file.suffix != ".toml":
            raise Refused(f"A recipe is a .toml file. Received: {path!r}.")
        if file.exists():
            raise Refused(f"init only writes new files. Received: {path!r}, which exists.")
        template = (schema.HERE / "report" / "start.toml.txt").read_text(encoding="utf-8")
        try:
            file.write_text(template.replace("NAME", _recipe_name(file.stem)), encoding="utf-8")
        except OSError as error:
            raise Refused(f"The folder of a recipe must be writable. Received: {path!r}: {error.strerror}.") from error
    click.echo(file)


# What the commands share --------------------------------------------------------------------------------------------------


def _run(context, name, shared_options, tables, fail_on=None, baseline=None):
    """Build a recipe from a command's options and carry it out."""
    from recipes import schema

    model = {
        "source": shared_options["source"],
        "weights": shared_options["weights"],
        "classes": shared_options["classes"],
        "size": shared_options["model_size"],
        "modules": list(shared_options["modules"]),
    }
    if shared_options["input_range"]:
        model["input_range"] = list(shared_options["input_range"])
    with plain_errors():
        model_table = {} if "world" in tables else {"model": model}
        recipe = schema.recipe({"name": name, "seed": shared_options["seed"], **model_table, **tables})
    _carry_out(context, recipe, shared_options, shared_options["allow_code"], fail_on, baseline)


def _carry_out(context, recipe, shared_options, allow_code, fail_on, baseline=None):
    from recipes.changes import changes, load_families
    from recipes.progress import Progress

    with plain_errors():
        _refuse_idle_gate(recipe, fail_on)
        before = None if baseline is None else load_families(_find_report(pathlib.Path(baseline)))

    if shared_options["plan"]:
        _print_plan(recipe, shared_options, allow_code)
        return
    with plain_errors(), report_full_disk(), redirect_output():
        from recipes.engines import engine
        from recipes.runs import carry_out

        if context.obj["deterministic"]:
            from lab.environment import tf

            tf.config.experimental.enable_op_determinism()
        progress = Progress(quiet=shared_options["quiet"] or shared_options["as_json"])
        fresh = not shared_options["resume"]
        jobs_engine = engine(workers=shared_options["workers"])
        choices = {"fresh": fresh, "allow_code": allow_code, "engine": jobs_engine}
        result = carry_out(recipe, shared_options["out"], progress, **choices)
    changed = None if before is None else changes(before, result.families)
    _print_result(result, changed, _failure(result, fail_on), shared_options["as_json"])


def _print_plan(recipe, shared_options, allow_code):
    with plain_errors(), redirect_output():
        from recipes.plan import as_lines, plan

        planned = plan(recipe, shared_options["out"], allow_code=allow_code, workers=shared_options["workers"])
    if shared_options["as_json"]:
        _print_json({"error": None, **planned})
    else:
        click.echo("\n".join(as_lines(planned)))


def _print_result(result, changed, error, as_json):
    """Print a finished run, then raise the error that it ends with, if any."""
    from recipes import results

    if as_json:
        _print_json(results.as_values(result, changed, error_values(error)))
    else:
        click.echo("\n".join(results.as_lines(result, changed)))
    if error is not None:
        error.is_printed = True
        raise error


def _failure(result, fail_on):
    """Why the command ends with another code than 0: ClickException, or None."""
    if result.failed:
        return Failed(f"{len(result.failed)} of the jobs failed: {result.failed[0][0]}: {result.failed[0][1]}")
    try:
        _gate(result, fail_on)
    except Gated as error:
        return error
    return None


def _print_json(values):
    click.echo(json.dumps(values, indent=1, ensure_ascii=False))


def _gate(result, fail_on):
    """Exit with 1 where a method, controls apart, fell short, or where a control shows that the check is broken."""
    if not fail_on:
        return
    flagged = [flag for flag in result.flags if flag["word"] == "FLAGGED" and not flag["fooled"]]
    if flagged:
        raise Gated(f"{flagged[0]['check']}: the pictures of {flagged[0]['network']} are FLAGGED: {flagged[0]['why']}")
    _gate_unmeasured(result.flags, fail_on)
    bad = {"fail": ("FAIL", "INVALID"), "inconclusive": ("FAIL", "INVALID", "INCONCLUSIVE")}[fail_on]
    for name, family in result.families.items():
        broken = [control["control"] for control in family["controls"] if not control["held"]]
        short = [
            verdict["method"]
            for verdict in family["verdicts"]
            if verdict["method"] not in family["blind"]
            and verdict["outcome"] in bad
            and verdict["finding"] != "NOT APPLICABLE"
        ]
        if broken:
            raise Gated(f"{name}: the check is broken, control {broken[0]}")
        if short:
            raise Gated(f"{name}: {', '.join(short)} fell short of --fail-on {fail_on}")
    unjudged = _unjudged_methods(result.families)
    if unjudged:
        raise Gated(f"{', '.join(unjudged)}: no check applied, or all were refused, so that nothing was learned")


# Checks of pictures that apply to all units of a layer.
CHECKS_OF_ANY_UNIT = ("path", "predictivity", "stability", "prior")


def _gate_unmeasured(flags, fail_on):
    """Raise Gated where the path does not flag the network built to fool it, and where pictures were not measured."""
    for flag in flags:
        if flag["fooled"] and flag["check"] == "path" and flag["word"] != "FLAGGED":
            broken = "the check is broken, the network built to fool it is NOT FLAGGED"
            unmeasured = f"NOT MEASURED on the network built to fool it: {flag['why']}"
            raise Gated(f"path: {broken if flag['word'] == 'NOT FLAGGED' else unmeasured}")
    picture_flags = [flag for flag in flags if not flag["fooled"] and flag["check"] != "recovery"]
    if picture_flags and not any(flag["word"] in ("FLAGGED", "NOT FLAGGED") for flag in picture_flags):
        raise Gated(f"{', '.join(flag['check'] for flag in picture_flags)}: no check of pictures decided anything")
    for flag in picture_flags if fail_on == "inconclusive" else ():
        if flag["word"] == "NOT MEASURED" and flag["check"] in CHECKS_OF_ANY_UNIT:
            raise Gated(f"{flag['check']}: NOT MEASURED: {flag['why']}")


def _unjudged_methods(families):
    """Methods, controls apart, without any verdict: no check applied, or the method refused. They may not pass a gate."""
    findings = [
        (verdict["method"], verdict["finding"])
        for family in families.values()
        for verdict in family["verdicts"]
        if verdict["method"] not in family["blind"]
    ]
    judged = {method for method, finding in findings if finding != "NOT APPLICABLE"}
    return sorted({method for method, _ in findings} - judged)


def _refuse_idle_gate(recipe, fail_on):
    """Raise Refused for a gate that nothing could fail."""
    from recipes.evidence import is_judged

    if fail_on and not recipe.features and not any(is_judged(check.check) for check in recipe.check):
        names = ", ".join(check.check for check in recipe.check) or "no check"
        raise Refused(f"--fail-on needs a check with verdicts. Received: {names}, of which there is no verdict.")


def _method_names(text):
    """Names in a --method option. "all" is every method except controls, and except wrappers, which need a method."""
    if text != "all":
        names = _split(text)
        if not names:
            raise Refused(f"--method names at least one method. Received: {text!r}; see `lab list methods`.")
        return names
    from lab.attribution import explainers

    excluded = {*explainers.names(control=True), *explainers.names(wrapper=True)}
    return [name for name in explainers if name not in excluded]


def _parse_method_options(texts):
    """Texts "method.name=value" as the options of a recipe: dict of method to dict of name to value."""
    from recipes import schema

    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        method, dot, name = key.rpartition(".")
        if not (equals and dot and method and name):
            raise Refused(f"An option of a method is METHOD.NAME=VALUE. Received: {text!r}.")
        options.setdefault(method, {})[name] = schema.parse_value(value)
    return options


def _check_names(text):
    """Names in a --check option. "all" is every check except retraining."""
    from sanity.checks import checks

    if text == "all":
        return [name for name in checks if name != "retraining"]
    names = _split(text)
    if not names:
        raise Refused(f"--check names at least one check. Received: {text!r}; see `lab list checks`.")
    for name in names:
        checks.get(name)
    return names


def _known_settings(check, settings):
    """Those of some settings that a check has, and that were typed: dict."""
    from lab.registry import options
    from sanity.checks import checks

    known = options(checks.get(check))
    return {name: value for name, value in settings.items() if value is not None and name in known}


def _refuse_model(context):
    """Raise UsageError where an option of a model or of images is typed beside a world, which has its own."""
    typed = click.core.ParameterSource.COMMANDLINE
    for name in ("source", "images", "weights", "input_range", "classes", "model_size"):
        if context.get_parameter_source(name) == typed:
            option = {"source": "--model"}.get(name, "--" + name.replace("_", "-"))
            raise click.UsageError(f"A world brings its own networks and samples. Received: --world and {option}.")


def _find_report(run_folder):
    """The index.html of a run, by folder, digest or recipe name: Path."""
    return _find_run(run_folder, "index.html")


def _find_run(run_folder, file):
    """A file of a run, by folder, digest or recipe name: Path. A report is written last, a manifest first."""
    if (run_folder / file).is_file():
        return run_folder / file
    reports = sorted(pathlib.Path("artifacts").glob(f"*/*/{file}"), key=lambda report: report.stat().st_mtime)
    names = [(report.parent.name, report.parent.parent.name) for report in reports]
    word = str(run_folder)
    matches = [report for report, (digest, recipe) in zip(reports, names) if digest.startswith(word) or recipe == word]
    if not matches:
        from lab.registry import nearest

        known = sorted({name for pair in names for name in pair})
        raise Refused(
            f"A run is a folder with a report, a digest, or a recipe's name. Received: {word!r}. {nearest(word, known)}"
        )
    return matches[-1]


def _recipe_name(text):
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in text).strip("-_") or "my-recipe"
