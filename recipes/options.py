"""Options: what several commands share, and the tables of a recipe that their values are."""

import itertools

import click

from lab.refusal import Refused
from lab.remote import as_path, is_folder
from recipes.errors import plain_errors
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
function_options = compose_options(
    click.option(
        "--function",
        metavar="MODULE:FUNCTION",
        help="A Python function in the place of a model: inputs in, scores out. It is imported and run, and explained by methods that need scores alone.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="Seconds that a call of the function may take.  [default: any number]",
    ),
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
method_option = click.option(
    "--option",
    "method_options",
    multiple=True,
    metavar="METHOD.NAME=VALUE",
    help="An option of a method, such as smoothgrad.samples=20. May be repeated.",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the result, or the error, as JSON; a run also writes each event as a line of JSON to the error stream.",
)
run_options = compose_options(
    click.option(
        "--out",
        type=click.Path(),
        default="artifacts",
        show_default=True,
        help="Folder of all runs, or an address such as s3://bucket/runs.",
    ),
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
        metavar="N",
        help="Number of processes that do the jobs; each computes with twice its share of the cores.  [default: 1; with --engine processes 2, with ray as many as there are cores]",
    ),
    click.option(
        "--engine",
        "engine_name",
        type=Choice(["local", "processes", "ray"]),
        help="What does the jobs.  [default: local, or processes for several --workers]",
    ),
    click.option("--address", help="Of a running Ray cluster, such as auto.  [default: one of this machine]"),
    click.option("--plan", is_flag=True, help="List the jobs with what they need and cost, and run nothing."),
    click.option("--quiet", is_flag=True, help="Print only the result."),
    json_option,
)


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


fail_on_option = click.option(
    "--fail-on",
    type=Choice(["fail", "inconclusive"]),
    help="Exit with 1 if a method, controls apart, or a view has this outcome or a worse one. NOT APPLICABLE is passed over.",
)
data_options = compose_options(
    click.option(
        "--data",
        "data_path",
        type=click.Path(),
        metavar="PATH",
        help="Inputs of any kind: a folder of photographs, a CSV list of them (column path) or of texts (column text), a CSV table, a .txt file with one text a line, or arrays in an .npz file.",
    ),
    click.option(
        "--label",
        metavar="COLUMN",
        help="Column of a table or list of texts with the true classes, or the array of an .npz file.  [default: none; labels or y of an .npz file]",
    ),
    click.option(
        "--group",
        metavar="COLUMN",
        help="Column of a table or list of texts with the source of each row, such as a customer, or the array of an .npz file. One row of each source counts.",
    ),
    click.option(
        "--columns",
        metavar="NAMES",
        help="Columns of a table that the network takes, in its order, separated by commas; or names of channels.  [default: all others, in the order of the file; those that the network names, by name]",
    ),
    click.option(
        "--vocabulary",
        type=click.Path(),
        metavar="FILE",
        help="Words of a network that takes token ids, one a line: the first has the id 2. A network with its TextVectorization needs none.",
    ),
    click.option(
        "--tokenizer",
        type=click.Path(),
        metavar="FILE",
        help="The tokenizer.json of a network that takes token ids, in place of a vocabulary. A KerasHub task has its own preprocessor.",
    ),
)
# The names of these options, but for --data itself.
DATA_DETAILS = ("label", "group", "columns", "vocabulary", "tokenizer")


verdict_options = compose_options(
    click.option(
        "--fail-on",
        type=Choice(["fail", "inconclusive", "worse"]),
        help="Exit with 1 if a method, controls apart, or a view has this outcome or a worse one; worse: if a verdict is worse than in the --baseline. NOT APPLICABLE is passed over.",
    ),
    click.option(
        "--baseline",
        metavar="RUN",
        type=click.Path(),
        help="The folder or the page of an earlier run, such as that of the last version of the network: what got worse, what got better, and what cannot be compared.",
    ),
)


# Values -> tables of a recipe ---------------------------------------------------------------------------------------------


# What a function is asked by where no method or check is named: methods that need scores alone, and checks that swap no weights.
FUNCTION_METHODS, FUNCTION_CHECKS = "kernel_shap,lime", "class_crossing,image_crossing"


def typed_or(context, name, value, function, default):
    """The value of an option, or another default where a function stands in the place of a model and the option was not typed.

    Args:
        context: `click.Context` of the command.
        name: str, the option's parameter.
        value: what the option holds.
        function: what --function names, or None.
        default: the value for a function.

    Returns:
        the value.
    """
    is_typed = context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
    return default if function and not is_typed else value


def model_table(options):
    """The model that the values of `model_options` name, as a recipe's table.

    Args:
        options: dict of option to value.

    Returns:
        dict.
    """
    table = {
        "source": options["source"],
        "weights": options["weights"],
        "classes": options["classes"],
        "size": options["model_size"],
        "modules": list(options["modules"]),
    }
    table |= {name: options[name] for name in ("function", "timeout") if options.get(name) is not None}
    return {**table, "input_range": list(options["input_range"])} if options["input_range"] else table


def units_table(layer, units, default, top_for=None):
    """The units of a layer, or the classes, as keys of a recipe's table.

    Args:
        layer: str, the path of a layer, or "logits".
        units: str, numbers and ranges of channels, or names of classes; None: the default.
        default: str, the channels where none are named.
        top_for: path of an image, whose strongest channels are taken instead; None: none.

    Returns:
        dict.
    """
    if layer == "logits":
        return {"logits": split_names(units or "")}
    return {"layer": layer, **({"top_for": top_for} if top_for else {"units": units or default})}


def image_source(paths, alternate=False):
    """Where images come from: one folder, list, shard or pattern, or files and the images of several folders.

    Args:
        paths: folders, files, lists, shards and patterns, str.
        alternate: whether to take one image of each path in turn, so that every folder is there among the first.

    Returns:
        dict of folder, or of files.
    """
    from lab.sources import is_stream

    if len(paths) == 1 and (is_folder(as_path(paths[0])) or is_stream(paths[0])):
        return {"folder": paths[0]}
    lists = [_image_files(path) for path in paths]
    turns = itertools.zip_longest(*lists) if alternate else lists
    return {"files": [file for files in turns for file in files if file is not None]}


def _image_files(path):
    """The images of a folder and below it, or the file itself: list of str."""
    if not is_folder(as_path(path)):
        return [path]
    from lab import data

    return [str(file) for file in data.folder(path).images.paths]


def data_source(paths, kind=None, details=(), target="top", classes=None):
    """A path of --data, --table or --text as a recipe's table of data, or None for photographs.

    Args:
        paths: the path, str.
        kind: "table" or "text" where the option says it; None: by its ending.
        details: dict of `DATA_DETAILS` to what was typed.
        target: str, the target. Where it is a column of a table, that is the column of labels.
        classes: path of the file with the names of classes, or None.

    Returns:
        dict, or None.

    Raises:
        Refused: for details of photographs, and for a target that is both a class and a column.
    """
    from lab.sources import source_kind

    known = source_kind(paths)
    details = {name: value for name, value in dict(details).items() if value}
    if (kind or known) == "images":
        refuse_details(details, paths)
        return None
    if "columns" in details:
        details["columns"] = split_names(details["columns"])
    if (kind or known) == "table" and "label" not in details:
        details |= _label_of_target(paths, target, classes, details.get("columns", ()))
    return {"source": str(paths), **({"kind": kind} if kind and kind != known else {}), **details}


def refuse_details(details, path):
    """Raise Refused for an option of tables beside photographs.

    Args:
        details: dict of `DATA_DETAILS` to what was typed.
        path: str, where the photographs are.
    """
    for name, value in dict(details).items():
        if value:
            raise Refused(f"--{name} is an option of tables, texts and arrays (--data). Received: {path}, photographs.")


def _label_of_target(path, target, classes, columns):
    """The column of labels that a target names: dict, empty where it names none."""
    from lab.sources import header_of

    # A number is the index of a class, also where a column is called so.
    if target == "top" or str(target).isdecimal() or target not in header_of(path):
        return {}
    if target in columns or (classes and target in as_path(classes).read_text(encoding="utf-8").splitlines()):
        raise Refused(
            f"A target is a class, or the column of labels of a network with one unit. Received: {target!r}, which is also another column or class. Give --label COLUMN, and --target by index."
        )
    return {"label": target}


def natural_images_table(paths):
    """Any number of natural images, or none, as a recipe's table of images."""
    with plain_errors():
        return {**image_source(paths), "most": ANY_NUMBER} if paths else {}


def split_names(text):
    """The names in a text, separated by commas: list of str."""
    return [name.strip() for name in text.split(",") if name.strip()]


def method_settings(texts):
    """Texts "method.name=value" as the options of a recipe.

    Args:
        texts: sequence of str, as of `--option`.

    Returns:
        dict of method to dict of name to value.

    Raises:
        Refused: for a text of another form.
    """
    from recipes import schema

    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        method, dot, name = key.rpartition(".")
        if not (equals and dot and method and name):
            raise Refused(f"An option of a method is METHOD.NAME=VALUE. Received: {text!r}.")
        settings.setdefault(method, {})[name] = schema.parse_value(value)
    return settings


def method_names(text):
    """Names in a --method option. "all" is every method except controls, and except wrappers, which need a method."""
    if text != "all":
        names = split_names(text)
        if not names:
            raise Refused(f"--method names at least one method. Received: {text!r}; see `lab list methods`.")
        return names
    from lab.method_modules import method_modules
    from lab.registrations import read_registrations

    rows = read_registrations("explainers", method_modules())
    return [row.name for row in rows if not (row.tags.get("control") or row.tags.get("wrapper"))]
