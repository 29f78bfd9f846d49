"""The `lab` command. Each command turns its words into a Recipe and hands it to the same engine; heavy imports wait until then."""

import json
import pathlib
import sys

import click

import lab
from lab.refusal import Refused
from recipes.errors import Failed, Gated, Group, full_disk, own_output, plain_errors


def compose_options(*decorators):
    """Several click options as one decorator."""

    def decorate(function):
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


# Natural images of a gallery are streamed: any number of them may be looked at.
MANY = 1_000_000_000

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
        type=click.Choice(["imagenet", "random"]),
        default="imagenet",
        show_default=True,
        help="For models by name.",
    ),
    click.option(
        "--input-range",
        nargs=2,
        type=float,
        metavar="LOW HIGH",
        help="What the model takes for black and white, for your own models.",
    ),
    click.option("--classes", type=click.Path(), help="Text file of class names, one a line, for your own models."),
    click.option("--model-size", type=int, help="Side in pixels, for models that take images of any size."),
    click.option(
        "--import",
        "modules",
        multiple=True,
        metavar="MODULE",
        help="Import this first, for model files with custom layers; needs --allow-code. May be repeated.",
    ),
    click.option("--allow-code", is_flag=True, help="Load model files that run Python code of their own."),
)
asking = compose_options(
    click.option(
        "--target", default="top", show_default=True, help="Class name, index, or top: each image's own highest class."
    ),
    click.option("--output", metavar="NAME", help="Which output of a model that has several."),
    click.option(
        "--region",
        type=click.Choice(["all", "predicted"]),
        help="Of a segmentation, or another output with positions: where the target's score is averaged.",
    ),
    click.option(
        "--levels", type=click.IntRange(1), metavar="N", help="The white of deep images, such as 4095 for 12 bits."
    ),
)
run_options = compose_options(
    click.option("--out", type=click.Path(), default="artifacts", show_default=True, help="Folder for the run."),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything drawn; recorded."
    ),
    click.option(
        "--resume/--fresh",
        default=True,
        help="Go on where an earlier run of the same recipe stopped, or start over.  [default: resume]",
    ),
    click.option("--quiet", is_flag=True, help="Say nothing but the result."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(lab.__version__, prog_name="lab")
@click.option("--deterministic", is_flag=True, help="Bit-equal results on a GPU too, slower.")
@click.pass_context
def main(context, deterministic):
    """Look inside a Keras network, explain what it does, and check the explanations.

    \b
    Start here:
      lab run first-look                                   a whole run, with a report
      lab list layers                                      what there is to look at
      lab gallery --layer block_5_add --units 0-15         draw what units answer to
      lab gallery --all-layers                             the whole network (hours; stop and go on at will)
      lab check --subject features --layer block_9_add     do the pictures show what the units do?
      lab compare RUN RUN                                  two runs side by side: which units and maps changed
      lab explain photo.jpg --method gradcam,smoothgrad    maps over a photograph
      lab check --images photos/ --method gradient         does a method respond to the weights?
      lab check --world ruler --method all --check truth   does it find a planted shortcut?

    Every command leaves a folder under artifacts/ with one HTML report, the raw arrays, and a manifest.
    """
    context.obj = {"deterministic": deterministic}


WHAT = ["models", "layers", "methods", "checks", "features", "worlds", "metrics", "recipes", "objectives"]
WHAT += ["parameterizations", "transforms", "regularizers"]


@main.command("list")
@click.argument("what", type=click.Choice(WHAT))
@model_options
def list_(what, **model):
    """List what there is: models, layers of a model, methods, checks, worlds, and all else that has a name."""
    with plain_errors():
        click.echo(_listing(what, model))


picturing = compose_options(
    click.option("--layer", help="Path of a layer (`lab list layers`), or logits."),
    click.option(
        "--units", help='Channels such as "0-63,80"; for logits, class names or indices, separated by commas.'
    ),
    click.option("--steps", type=click.IntRange(1), help="Steps of each climb.  [default: 256; 128 to check]"),
    click.option(
        "--parameterization", default="fourier", show_default=True, help="A name of `lab list parameterizations`."
    ),
    click.option("--transforms", default="robust", show_default=True, help="A name of `lab list transforms`."),
)


@main.command()
@model_options
@run_options
@picturing
@click.option("--all-layers", is_flag=True, help="Every channel of the last layer of every block: the whole network.")
@click.option("--layers", metavar="PATTERN", help="With --all-layers, only block outputs that fit, such as 'block_1*'.")
@click.option("--top-for", type=click.Path(), help="An image: draw the 16 channels that answer most to it.")
@click.option(
    "--facets", type=click.IntRange(1), default=1, show_default=True, help="Pictures a unit, from several starts."
)
@click.option("--animate", is_flag=True, help="Keep an animation of every climb.")
@click.option("--size", type=click.IntRange(8), help="Side of the pictures in pixels.  [default: the network's]")
@click.option(
    "--images", type=click.Path(), help="Folder of natural images to set beside the pictures, any number of them."
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
    **rest,
):
    """Draw what the units of a layer, of all layers, or classes, answer to most.

    A run that is stopped goes on where it was when the same command is given again.
    """
    if bool(layer) == (all_layers or bool(layers)):
        raise click.UsageError("A gallery is of one --layer, or of --all-layers. Received: both or neither.")
    shown = {
        "size": size,
        "parameterization": parameterization,
        "transforms": transforms,
        "facets": facets,
        "animate": animate,
    }
    shown |= {"steps": steps} if steps else {}
    if not layer:
        shown["layers"] = layers or "*"
    else:
        shown |= _units(layer, units, "0-15", top_for)
    _run(context, "gallery", rest, {"gallery": [shown], "images": {"folder": images, "most": MANY} if images else {}})


def _units(layer, units, default, top_for=None):
    """Which units of a layer, or which classes, as keys of a recipe's table."""
    if layer == "logits":
        return {"logits": [each.strip() for each in (units or "").split(",") if each.strip()]}
    return {"layer": layer, **({"top_for": top_for} if top_for else {"units": units or default})}


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path())
@model_options
@run_options
@click.option(
    "--method",
    default="gradcam,smoothgrad",
    show_default=True,
    help="Names of `lab list methods`, separated by commas; all; module:function, which is imported and run.",
)
@asking
@click.option("--table", type=click.Path(), help="CSV file of what a network takes beside each image, a row an image.")
@click.option(
    "--layer",
    help="Layer for the CAM methods, or several to fuse, separated by commas.  [default: the last with rows and columns]",
)
@click.option(
    "--option",
    "settings",
    multiple=True,
    metavar="METHOD.NAME=VALUE",
    help="An option of a method: --option smoothgrad.samples=20. May be repeated.",
)
@click.pass_context
def explain(context, images, method, target, output, region, levels, table, layer, settings, **rest):
    """Explain photographs: one map for each image and method, and how far the methods agree.

    What a method cannot do on this model is told as a refusal, with the reason.
    """
    with plain_errors():
        wanted = {"methods": _methods(method), "target": target, "output": output, "region": region}
        wanted["options"] = _options(settings)
    layers = [each.strip() for each in (layer or "").split(",") if each.strip()]
    wanted["layer"] = layers[0] if len(layers) == 1 else layers or None
    shown = {**_images(images, levels), "table": table}
    _run(context, "explain", rest, {"explain": wanted, "images": shown})


def _images(paths, levels):
    """Files, or one folder of them, as a recipe's table of images."""
    if len(paths) == 1 and pathlib.Path(paths[0]).is_dir():
        return {"folder": paths[0], "most": MANY, "levels": levels, "labels": "where known"}
    return {"files": list(paths), "most": max(1, len(paths)), "levels": levels}


@main.command()
@model_options
@run_options
@click.option("--layer", required=True, help="Path of a layer with rows and columns (`lab list layers`).")
@click.option("--image", type=click.Path(), help="One photograph: a picture of every position, and groups of neurons.")
@click.option("--images", type=click.Path(), help="A folder: a map of what the layer holds over all of its images.")
@click.option("--steps", type=click.IntRange(1), default=64, show_default=True)
@click.option("--side", type=click.IntRange(2), default=8, show_default=True, help="Cells of the map along each side.")
@click.option(
    "--groups", type=click.IntRange(1), default=4, show_default=True, help="Groups of neurons in a photograph."
)
@click.option("--layout", default="tsne", show_default=True, help="tsne, or umap (an extra).")
@click.pass_context
def atlas(context, layer, image, images, steps, side, groups, layout, **rest):
    """Lay out what a layer holds: over one photograph, or over many images.  [default: photographs of the installed packages]"""
    if image and images:
        raise click.UsageError("An atlas is of one --image or of a folder of --images. Received: both.")
    asked = {"layer": layer, "image": image, "steps": steps, "side": side, "groups": groups, "layout": layout}
    given = {"folder": images, "most": MANY} if images else {}
    _run(context, "atlas", rest, {"atlas": [asked], "images": given})


judging = compose_options(
    click.option(
        "--fail-on",
        type=click.Choice(["fail", "inconclusive"]),
        help="Exit with 1 if a method (not a control) comes out so, or worse; what does not apply is passed over.",
    ),
    click.option("--baseline", metavar="RUN", help="An earlier run: say which verdicts are other than there."),
)


@main.command()
@model_options
@run_options
@click.option(
    "--images",
    type=click.Path(),
    help="Folder of photographs; subfolders are labels.  [default: those of the installed packages]",
)
@click.option("--world", help="A world with planted truth (`lab list worlds`) instead of a model and images.")
@click.option(
    "--replicates", type=click.IntRange(1), help="Networks to train in a world, from as many seeds.  [default: 4]"
)
@click.option(
    "--permuted-label-networks",
    type=click.IntRange(0),
    help="Networks to train on permuted labels.  [default: as many as replicates for the check labels]",
)
@click.option("--samples", type=click.IntRange(8), help="Samples of a world to explain.  [default: 48]")
@click.option(
    "--method",
    default="gradient,gradcam",
    show_default=True,
    help="Names, all, or module:function, separated by commas.",
)
@click.option(
    "--subject",
    type=click.Choice(["maps", "features"]),
    default="maps",
    show_default=True,
    help="What is checked: maps of methods, or pictures of units (--layer, --units).",
)
@click.option(
    "--check",
    "check_names",
    help="Names of `lab list checks`, separated by commas, or all (but retraining, which trains 28 networks a method).  [default: parameters; for features all]",
)
@picturing
@click.option(
    "--fooled", is_flag=True, help="For features: also check a network built to fool them, which must be flagged."
)
@click.option(
    "--detector", help="With --fooled: the layer that tells natural from synthetic.  [default: a third of the way]"
)
@click.option(
    "--others",
    metavar="MODELS",
    help="For features of logits: other networks to show the pictures to, separated by commas.",
)
@click.option(
    "--mode",
    type=click.Choice(["full", "top_down", "bottom_up", "independent"]),
    help="For parameters: all weights at once, or block by block.  [default: full]",
)
@click.option(
    "--seeds", type=click.IntRange(2), help="For parameters: random networks.  [default: as many as replicates, or 3]"
)
@asking
@judging
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
    **rest,
):
    """Check methods: do their maps respond to weights, labels and classes, find planted truth, stay where they must?

    With --subject features: do pictures of units show what the units do on natural images?

    A verdict says what was seen on this network and these images, and what cannot be concluded.
    """
    picture = {name: rest.pop(name) for name in OF_PICTURES}
    if subject == "features":
        _refuse(context, OF_MAPS, "is of maps. Received: --subject features.")
        _run(context, "features", rest, _feature_tables(picture, check_names, images), fail_on, baseline)
        return
    _refuse(context, OF_PICTURES, "is of pictures: add --subject features. Received: --subject maps.")
    check_names = check_names or "parameters"
    given = {"mode": mode, "seeds": seeds}
    with plain_errors():
        asked = {"methods": _methods(method), "target": target, "output": output, "region": region}
        tables = {"check": [{"check": name, **asked, **_known(name, given)} for name in _checks(check_names)]}
    if world:
        _refuse_model(context)
        permuted = (
            (replicates or 4)
            if permuted_label_networks is None and any(each["check"] == "labels" for each in tables["check"])
            else permuted_label_networks
        )
        chosen = {"replicates": replicates, "permuted_label_networks": permuted, "images": samples}
        tables["world"] = {"name": world, **{name: value for name, value in chosen.items() if value is not None}}
    elif any(value is not None for value in (replicates, permuted_label_networks, samples)):
        raise click.UsageError(
            "--replicates, --permuted-label-networks and --samples are of a world. Received: no --world."
        )
    elif images or levels:
        tables["images"] = {"folder": images, "levels": levels}
    _run(context, "check", rest, tables, fail_on, baseline)


def _feature_tables(picture, names, images):
    """The tables of a recipe that checks pictures of units."""
    if not picture["layer"]:
        raise click.UsageError("Features are units of a layer. Received: no --layer.")
    chosen = {name: picture[name] for name in ("parameterization", "transforms", "fooled", "detector")}
    chosen |= {"steps": picture["steps"]} if picture["steps"] else {}
    chosen |= {"others": [each.strip() for each in picture["others"].split(",")]} if picture["others"] else {}
    chosen |= {"checks": [each.strip() for each in names.split(",")]} if names and names != "all" else {}
    chosen |= _units(picture["layer"], picture["units"], "0-7")
    return {"features": [chosen], "images": {"folder": images, "most": MANY} if images else {}}


# Options of `lab check` that belong to one subject alone: pictures of units are no maps.
OF_MAPS = (
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
OF_PICTURES = ("layer", "units", "steps", "parameterization", "transforms", "fooled", "detector", "others")


def _refuse(context, names, words):
    for name in names:
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} {words}")


@main.command()
@click.argument("first", metavar="RUN", type=click.Path())
@click.argument("second", metavar="RUN", type=click.Path())
@click.option("--out", type=click.Path(), help="The page to write.  [default: compare.html in the second run's folder]")
def compare(first, second, out):
    """Set two RUNs side by side, two networks or two checkpoints of one: which units and which maps changed."""
    from recipes.report.comparison import written

    with plain_errors(), full_disk():
        folders = [_report(pathlib.Path(each)).parent for each in (first, second)]
        click.echo(written(*folders, pathlib.Path(out) if out else folders[1] / "compare.html"))


@main.command()
@click.argument("recipe")
@run_options
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe: --set gallery.0.steps=64. May be repeated.",
)
@click.option(
    "--allow-code", is_flag=True, help="Let the recipe name models and methods that run Python code of their own."
)
@judging
@click.pass_context
def run(context, recipe, settings, allow_code, fail_on, baseline, seed, **rest):
    """Run a RECIPE: the name of one that ships (`lab list recipes`), or a TOML file (`lab init`)."""
    from recipes import schema

    if context.get_parameter_source("seed") == click.core.ParameterSource.COMMANDLINE:
        settings = (*settings, f"seed={seed}")
    with plain_errors():
        read = schema.read(recipe, settings)
        code = [*(name for name in schema.method_names(read) if ":" in name), *read.model.modules]
        if code and not allow_code:
            raise Refused(f"A recipe that names code runs it: add --allow-code if you trust it. Received: {code[0]!r}.")
    _carry_out(context, read, rest, allow_code, fail_on, baseline)


@main.command()
@click.argument("run_folder", metavar="RUN", type=click.Path())
@click.option("--print", "print_only", is_flag=True, help="Only print the path.")
def show(run_folder, print_only):
    """Open the report of a RUN: its folder, its digest or the beginning of it, or a recipe's name for the latest."""
    with plain_errors():
        report = _report(pathlib.Path(run_folder))
    click.echo(report)
    if not print_only and sys.stdout.isatty():
        click.launch(str(report))


@main.command()
@click.pass_context
def doctor(context):
    """Say what the lab finds here: versions, devices, memory, artifacts, and whether each part can be used."""
    from recipes.doctor import findings

    rows = findings()
    for row in rows:
        click.echo(f"{row.state:<8} {row.name:<22} {row.words}")
    context.exit(0 if all(row.state != "missing" or row.optional for row in rows) else 3)


@main.command()
@click.argument("path", type=click.Path())
def init(path):
    """Write a commented RECIPE.toml to start from; never over a file that exists."""
    from recipes import schema

    target = pathlib.Path(path)
    with plain_errors():
        if target.suffix != ".toml":
            raise Refused(f"A recipe is a .toml file. Received: {path!r}.")
        if target.exists():
            raise Refused(f"init writes new files only. Received: {path!r}, which exists.")
        try:
            target.write_text(
                (schema.HERE / "report" / "start.toml.txt")
                .read_text(encoding="utf-8")
                .replace("NAME", _slug(target.stem)),
                encoding="utf-8",
            )
        except OSError as error:
            raise Refused(
                f"A recipe is written to a folder that can be written. Received: {path!r}: {error.strerror}."
            ) from error
    click.echo(target)


# What the commands share --------------------------------------------------------------------------------------------------


def _run(context, name, rest, tables, fail_on=None, baseline=None):
    """Build a recipe from a command's words and carry it out."""
    from recipes import schema

    model = {
        "source": rest["source"],
        "weights": rest["weights"],
        "classes": rest["classes"],
        "size": rest["model_size"],
        "modules": list(rest["modules"]),
    }
    if rest["input_range"]:
        model["input_range"] = list(rest["input_range"])
    with plain_errors():
        named = {} if "world" in tables else {"model": model}
        built = schema.recipe({"name": name, "seed": rest["seed"], **named, **tables})
    _carry_out(context, built, rest, rest["allow_code"], fail_on, baseline)


def _carry_out(context, recipe, rest, allow_code, fail_on, baseline=None):
    from recipes.changes import changes, verdicts
    from recipes.progress import Progress

    with plain_errors():
        _refuse_idle(recipe, fail_on)
        before = None if baseline is None else verdicts(_report(pathlib.Path(baseline)))

    with plain_errors(), full_disk(), own_output():
        from recipes.runs import carry_out

        if context.obj["deterministic"]:
            from lab.environment import tf

            tf.config.experimental.enable_op_determinism()
        done = carry_out(
            recipe,
            rest["out"],
            Progress(quiet=rest["quiet"] or rest["as_json"]),
            fresh=not rest["resume"],
            allow_code=allow_code,
        )
    _print_result(done, rest["as_json"], None if before is None else changes(before, done.verdicts))
    if done.failed:
        raise Failed(f"{len(done.failed)} of the jobs failed: {done.failed[0][0]}: {done.failed[0][1]}")
    _gate(done, fail_on)


def _print_result(done, as_json, changed):
    cards = [(family, each) for family, judged in done.verdicts.items() for each in judged["verdicts"]]
    if as_json:
        verdicts = [
            {
                "family": family,
                "method": each["method"],
                "outcome": each["outcome"],
                "finding": each["finding"],
                "sentence": each["sentence"],
            }
            for family, each in cards
        ]
        told = {
            "run": str(done.path),
            "report": str(done.report),
            "failed": list(done.failed),
            "verdicts": verdicts,
            "flags": list(done.flags),
            "maps": list(done.told),
        }
        click.echo(json.dumps(told if changed is None else {**told, "changed": changed}, indent=1))
        return
    for line in done.told:
        click.echo(line)
    for line in done.flags:
        click.echo(f"{line['network']}  {line['check']:<14} {line['word']:<13} {line['why']}")
    for family, each in cards:
        click.echo(f"{family}  {each['method']:<22} {each['outcome']:<13} {each['sentence']}")
    if changed is not None:
        click.echo("\n".join(["changed since the baseline:", *(changed or ["nothing"])]))
    click.echo(done.report)


def _gate(done, fail_on):
    """Exit 1 where a judged method, controls apart, fell short; and where a control shows that the check itself is broken."""
    if not fail_on:
        return
    flagged = [line for line in done.flags if line["word"] == "FLAGGED" and not line["fooled"]]
    if flagged:
        raise Gated(f"{flagged[0]['check']}: the pictures of {flagged[0]['network']} are FLAGGED: {flagged[0]['why']}")
    _gate_unmeasured(done.flags, fail_on)
    bad = {"fail": ("FAIL", "INVALID"), "inconclusive": ("FAIL", "INVALID", "INCONCLUSIVE")}[fail_on]
    for family, judged in done.verdicts.items():
        controls = {each["control"]: each["held"] for each in judged["controls"]}
        broken = [name for name, held in controls.items() if not held]
        short = [
            each["method"]
            for each in judged["verdicts"]
            if each["method"] not in judged["blind"] and each["outcome"] in bad and each["finding"] != "NOT APPLICABLE"
        ]
        if broken or short:
            raise Gated(
                f"{family}: {'the check is broken, control ' + broken[0] if broken else ', '.join(short) + ' fell short of --fail-on ' + fail_on}"
            )
    unjudged = _never_judged(done.verdicts)
    if unjudged:
        raise Gated(f"{', '.join(unjudged)}: no check applied or all were refused, so that nothing was learned of it")


# Checks of pictures that any units of a layer can be asked about.
OF_ANY_UNITS = ("path", "predictivity", "stability", "prior")


def _gate_unmeasured(flags, fail_on):
    """Raise Gated where the path does not flag the network built to fool it, and where pictures were not measured."""
    for line in flags:
        if line["fooled"] and line["check"] == "path" and line["word"] != "FLAGGED":
            broken = "the check is broken, the network built to fool it is NOT FLAGGED"
            unmeasured = f"NOT MEASURED on the network built to fool it: {line['why']}"
            raise Gated(f"path: {broken if line['word'] == 'NOT FLAGGED' else unmeasured}")
    pictured = [line for line in flags if not line["fooled"] and line["check"] != "recovery"]
    if pictured and not any(line["word"] in ("FLAGGED", "NOT FLAGGED") for line in pictured):
        raise Gated(f"{', '.join(line['check'] for line in pictured)}: no check of pictures decided anything")
    for line in pictured if fail_on == "inconclusive" else ():
        if line["word"] == "NOT MEASURED" and line["check"] in OF_ANY_UNITS:
            raise Gated(f"{line['check']}: NOT MEASURED: {line['why']}")


def _never_judged(families):
    """Methods, controls apart, that no check applied to or that refused every one: no verdict on them may pass for a good one."""
    rows = [
        (verdict["method"], verdict["finding"])
        for family in families.values()
        for verdict in family["verdicts"]
        if verdict["method"] not in family["blind"]
    ]
    return sorted({method for method, _ in rows} - {method for method, found in rows if found != "NOT APPLICABLE"})


def _refuse_idle(recipe, fail_on):
    """Raise Refused for a gate that nothing could fail."""
    from recipes.jobs import is_judged

    if fail_on and not recipe.features and not any(is_judged(each.check) for each in recipe.check):
        asked = ", ".join(each.check for each in recipe.check) or "no check"
        raise Refused(f"--fail-on is of what is judged. Received: {asked}, of which there is no verdict.")


def _methods(text):
    """The methods of a --method option; "all" is every method but controls, and wrappers, which need a method of their own."""
    if text != "all":
        names = [name.strip() for name in text.split(",") if name.strip()]
        if not names:
            raise Refused(f"--method names at least one method. Received: {text!r}; `lab list methods` says which.")
        return names
    from lab.attribution import explainers

    passed_by = {*explainers.names(control=True), *explainers.names(wrapper=True)}
    return [name for name in explainers if name not in passed_by]


def _options(settings):
    """Options of methods, "method.name=value" each, as a recipe has them: dict of method to dict."""
    from recipes import schema

    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        method, dot, name = key.rpartition(".")
        if not (equals and dot and method and name):
            raise Refused(f"An option of a method is METHOD.NAME=VALUE. Received: {setting!r}.")
        found.setdefault(method, {})[name] = schema.parse_value(value)
    return found


def _checks(text):
    """The checks of a --check option; "all" is every one but retraining."""
    from sanity.checks import checks

    if text == "all":
        return [name for name in checks if name != "retraining"]
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise Refused(f"--check names at least one check. Received: {text!r}; `lab list checks` says which.")
    for name in names:
        checks.get(name)
    return names


def _known(check, given):
    """Those of the given settings that a check knows."""
    from lab.registry import options
    from sanity.checks import checks

    known = options(checks.get(check))
    return {name: value for name, value in given.items() if value is not None and name in known}


def _refuse_model(context):
    """A world brings its own networks and samples."""
    typed = click.core.ParameterSource.COMMANDLINE
    for name in ("source", "images", "weights", "input_range", "classes", "model_size"):
        if context.get_parameter_source(name) == typed:
            option = {"source": "--model"}.get(name, "--" + name.replace("_", "-"))
            raise click.UsageError(f"A world brings its own networks and samples. Received: --world and {option}.")


def _listing(what, model):
    from recipes import catalogue

    if what == "layers":
        return catalogue.layers(model)
    return getattr(catalogue, what)()


def _report(run):
    """The index.html of a run given by folder, digest or recipe name."""
    if (run / "index.html").is_file():
        return run / "index.html"
    reports = sorted(pathlib.Path("artifacts").glob("*/*/index.html"), key=lambda each: each.stat().st_mtime)
    found = [each for each in reports if each.parent.name.startswith(str(run)) or each.parent.parent.name == str(run)]
    if not found:
        from lab.registry import nearest

        names = sorted({name for each in reports for name in (each.parent.name, each.parent.parent.name)})
        raise Refused(
            f"A run is a folder with a report, a digest, or a recipe's name. Received: {str(run)!r}. {nearest(run, names)}"
        )
    return found[-1]


def _slug(text):
    return "".join(each if each.isalnum() or each in "-_" else "-" for each in text).strip("-_") or "my-recipe"
