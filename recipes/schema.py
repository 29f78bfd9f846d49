"""Recipe: what to run, as a TOML file; parsed and validated, never executed."""

import math
import pathlib
import tomllib
from typing import Literal

from pydantic import Field, ValidationError, create_model, model_validator

from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import refuse_credentials
from recipes.claims import HOMES, TABLES
from recipes.fields import Table
from recipes.sections import in_order

HERE = pathlib.Path(__file__).parent
# How a function of one's own is named.
FUNCTION = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


class Model(Table):
    """The network: a name, or a .keras or .h5 file; or a function of your own, which has scores alone.

    A call of the function has at most `batch` rows, and may take `timeout` seconds.
    """

    source: str = "efficientnet-lite0"
    function: str | None = Field(None, pattern=FUNCTION)
    timeout: float | None = Field(None, gt=0, allow_inf_nan=False)
    batch: int | None = Field(None, ge=1)
    weights: Literal["imagenet", "random"] = "imagenet"
    input_range: tuple[float, float] | None = None
    classes: str | None = None
    size: int | None = Field(None, ge=8)
    modules: list[str] = []
    memory_gib: float = Field(2.0, gt=0, le=1_000_000, allow_inf_nan=False)

    @property
    def reference(self):
        """The function, or the name or file of the model: str."""
        return self.function or self.source

    @model_validator(mode="after")
    def _refuse_two_models(self):
        name = type(self).model_fields["source"].default
        others = {
            "source": self.source != name,
            "weights": self.weights != "imagenet",
            "modules": bool(self.modules),
        }
        if self.function and any(others.values()):
            other = next(key for key, typed in others.items() if typed)
            raise Refused(f"a function stands in the place of a model. Received: function beside {other}")
        if not self.function and (self.timeout or self.batch):
            raise Refused("timeout and batch are of a function. Received: no function")
        return self


class Images(Table):
    """The photographs: a folder, files, or names of photographs in the installed packages.

    A folder, and each of the files, may be any address of `lab.streams`: a list in CSV, a shard, or a pattern of these.
    """

    folder: str | None = None
    files: list[str] = []
    photographs: list[str] = []
    most: int = Field(48, ge=1)
    levels: int | None = Field(None, ge=1)
    labels: Literal["folders", "where known", "none"] = "folders"
    table: str | None = None
    fit: Literal["squash", "crop"] = "squash"

    @model_validator(mode="after")
    def _refuse_several_sources(self):
        if sum(map(bool, (self.folder, self.files, self.photographs))) > 1:
            raise Refused("images come from one of folder, files, photographs. Received: several of them")
        return self


class Source(Table):
    """Data of another kind than photographs: a CSV table, a text file, or the arrays of an .npz file.

    At most `most` of them are explained and checked, from places at equal distances. What columns vary by is taken of all.
    """

    source: str
    kind: Literal["table", "arrays", "text"] | None = None
    label: str | None = None
    group: str | None = None
    columns: list[str] = []
    vocabulary: str | None = None
    tokenizer: str | None = None
    most: int = Field(48, ge=1)


class _Run(Table):
    """A whole run, without the tables of its sections."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    title: str = ""
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, ge=1)
    gpus: float = Field(0, ge=0, allow_inf_nan=False)
    # An earlier run, whose verdicts those of this one are compared with.
    baseline: str | None = None
    model: Model = Model()
    images: Images = Images()
    data: Source | None = None

    @property
    def has_world(self):
        """Whether networks are trained here, in a world or on planted cues: bool."""
        return bool(self.world or self.planted)

    @model_validator(mode="after")
    def _refuse_credentials(self):
        for address in (
            self.model.source,
            self.model.classes,
            self.images.folder,
            self.images.table,
            *self.images.files,
            *(self.training.files if self.training else ()),
            self.planted and self.planted.folder,
            self.baseline,
            *((getattr(self.audit, name) for name in ("test", "train", "current")) if self.audit else ()),
            *((self.data.source, self.data.vocabulary, self.data.tokenizer) if self.data else ()),
        ):
            refuse_credentials(address)
        return self

    @model_validator(mode="after")
    def _refuse_two_sources(self):
        images = self.images.folder or self.images.files or self.images.photographs
        other = "[images]" if images else "[world]" if self.world else None
        if self.data and other:
            raise Refused(f"inputs come from one place. Received: [data] beside {other}")
        return self

    @model_validator(mode="after")
    def _refuse_idle_baseline(self):
        if self.baseline is not None and not any(getattr(self, name) for name in (*TABLES.values(), *HOMES.values())):
            raise Refused(
                f"baseline is compared with verdicts: add [[check]], [audit], [concept], [probe], [dictionary] or [shortcuts]. Received: baseline = {self.baseline!r} without one"
            )
        return self

    @model_validator(mode="after")
    def _refuse_tables_that_do_not_fit(self):
        for section in in_order():
            if section.tables(self):
                section.refuse(self)
        return self

    @model_validator(mode="after")
    def _refuse_empty_recipe(self):
        choices = [section for section in in_order() if section.alone]
        if not any(section.tables(self) for section in choices):
            headers = ", ".join(section.header for section in choices)
            raise Refused(f"a recipe holds at least one of {headers}. Received: none")
        return self


def _field(section):
    """The field of a section in a recipe: (type, default)."""
    return (list[section.table], []) if section.many else (section.table | None, None)


Recipe = create_model(
    "Recipe",
    __base__=_Run,
    __module__=__name__,
    __doc__="A whole run.",
    **{section.name: _field(section) for section in in_order()},
)


def shipped_names():
    """Names of the recipes that come with the lab: list of str."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def read(source, settings=()):
    """Read a recipe and change some of its values.

    Args:
        source: name of a shipped recipe, or path of a TOML file.
        settings: "key=value" texts; keys are paths such as "gallery.0.steps".

    Returns:
        `Recipe`.

    Raises:
        Refused: for an unknown recipe, for TOML that does not parse, and for keys or values that no recipe has.
    """
    path = HERE / f"{source}.toml" if source in shipped_names() else pathlib.Path(source)
    if not path.is_file():
        raise Refused(f"Unknown recipe. Received: {source!r}. {nearest(source, shipped_names())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"A recipe is a TOML file in UTF-8. Received: {path.name}: {error}.") from error
    except RecursionError as error:
        raise Refused(
            f"The tables of a recipe are nested a few levels deep. Received: {path.name}, which is nested too deep."
        ) from error
    for setting in settings:
        _apply_setting(table, setting)
    return recipe(table)


def recipe(table):
    """Validate plain values as a recipe.

    Args:
        table: dict, as parsed from TOML.

    Returns:
        `Recipe`.

    Raises:
        Refused: in one line, for the first value that does not fit.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise Refused(_error_sentence(error.errors()[0])) from error


def plain_values(recipe):
    """The recipe as plain values with every default filled in, for digests and manifests: dict."""
    return _name_non_finite(recipe.model_dump())


def _name_non_finite(value):
    """Plain values in which nan, inf and -inf are text, because JSON has no numbers for them."""
    if isinstance(value, dict):
        return {key: _name_non_finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_name_non_finite(entry) for entry in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def method_names(recipe):
    """Names of all methods in a recipe, those as "module:function" included: list of str."""
    tables = [table for section in in_order() for table in section.tables(recipe)]
    return list(dict.fromkeys(name for table in tables for name in getattr(table, "methods", ())))


def _apply_setting(table, setting):
    """Put one "a.b.0.c=value" into nested tables. The value is parsed as TOML, and stays text where that fails."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise Refused(f"A setting is key=value. Received: {setting!r}.")
    *parents, last = key.split(".")
    for parent in parents:
        table = _inner_table(table, parent, key)
    table[_key_or_index(table, last, key)] = parse_value(text)


def parse_value(text):
    """The TOML value of a text, or the text itself where it is no TOML value."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _inner_table(table, name, key):
    if isinstance(table, dict):
        table = table.setdefault(name, {})
    else:
        table = table[_key_or_index(table, name, key)]
    if not isinstance(table, (dict, list)):
        raise Refused(f"A setting names a key of a table. Received: {key!r}, but {name!r} holds a value.")
    return table


def _key_or_index(table, name, key):
    if isinstance(table, dict):
        return name
    if not name.isdigit() or int(name) >= len(table):
        raise Refused(f"A setting inside a list names an entry, 0 to {len(table) - 1}. Received: {key!r}.")
    return int(name)


def _error_sentence(error):
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return (
            f"Unknown key in a recipe. Received: {where!r}. {nearest(error['loc'][-1], _known_keys(error['loc'][:-1]))}"
        )
    rule = error["msg"].removeprefix("Value error, ")
    received = "" if "Received" in rule or error["type"] == "missing" else f" Received: {error['input']!r}"
    return f"{where or 'recipe'}: {rule}.{received}".replace("..", ".")


_TABLES = {"model": Model, "images": Images, "data": Source, **{section.name: section.table for section in in_order()}}


def _known_keys(location):
    """The keys that the table at a location may have."""
    names = [part for part in location if isinstance(part, str)]
    return list((_TABLES[names[0]] if names else Recipe).model_fields)
