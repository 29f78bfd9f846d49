"""Recipe: what to run, as a TOML file; parsed and validated, never executed."""

import math
import pathlib
import re
import tomllib
import warnings
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lab.refusal import Refused
from lab.registry import nearest

HERE = pathlib.Path(__file__).parent
# More channels than any layer has: what is beyond is a slip of the finger, and would fill the memory.
MOST_UNITS = 1_000_000


def numbers(value):
    """Whole numbers from a list, a number, or text such as "0-15,20": list of int. Raises Refused for anything else."""
    if isinstance(value, int):
        return [value]
    if isinstance(value, list) and all(isinstance(each, int) for each in value):
        return value
    found = []
    for part in str(value).split(","):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not ends:
            raise Refused(f'units are numbers and ranges, such as "0-15,20". Received: {value!r}.')
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last - first + len(found) >= MOST_UNITS:
            raise Refused(f"units are at most {MOST_UNITS:,} of a layer. Received: {value!r}.")
        found += range(first, last + 1)
    if not found:
        raise Refused(f"units name at least one. Received: {value!r}, which is empty.")
    return found


def _method(name):
    if not re.fullmatch(r"[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?", str(name)):
        raise Refused(f'a method is a name, or "module:function". Received: {name!r}.')
    return name


def _distinct(names):
    """Names, each once, in their order. Raises Refused where there is none."""
    if not names:
        raise Refused("methods name at least one. Received: none.")
    return list(dict.fromkeys(names))


Units = Annotated[list[int], BeforeValidator(numbers)]
Method = Annotated[str, BeforeValidator(_method)]
Methods = Annotated[list[Method], AfterValidator(_distinct)]


class Table(BaseModel):
    """A table of a recipe: unknown keys are errors, and a key by its former name is a warning."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    former_names: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _rename_keys(cls, values):
        if not isinstance(values, dict):
            return values
        former = {key: cls.former_names[key] for key in values if key in cls.former_names}
        for old, new in former.items():
            if new in values:
                raise Refused(f"{new!r} was called {old!r}: give it once. Received: both")
            warnings.warn(f"the key {old!r} of a recipe is now called {new!r}", DeprecationWarning, stacklevel=2)
        return {former.get(key, key): value for key, value in values.items()}


class Model(Table):
    """The network: a name, or a .keras or .h5 file."""

    source: str = "efficientnet-lite0"
    weights: Literal["imagenet", "random"] = "imagenet"
    input_range: tuple[float, float] | None = None
    classes: str | None = None
    size: int | None = Field(None, ge=8)
    modules: list[str] = []
    memory_gib: float = Field(2.0, gt=0, le=1_000_000, allow_inf_nan=False)


class Images(Table):
    """The photographs: a folder, files, or names of those that come with the installed packages."""

    folder: str | None = None
    files: list[str] = []
    photographs: list[str] = []
    most: int = Field(48, ge=1)
    levels: int | None = Field(None, ge=1)
    labels: Literal["folders", "where known"] = "folders"
    table: str | None = None
    fit: Literal["squash", "crop"] = "squash"

    @model_validator(mode="after")
    def _one_source(self):
        if sum(map(bool, (self.folder, self.files, self.photographs))) > 1:
            raise Refused("images come from one of folder, files, photographs. Received: several")
        return self


class Gallery(Table):
    """Pictures of units: channels of a layer, of every block output that fits a pattern, or classes by name or index."""

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
    batch: int = Field(16, ge=1)

    @model_validator(mode="after")
    def _one_kind(self):
        if sum(map(bool, (self.layer, self.layers, self.logits))) != 1:
            raise Refused("a gallery shows units of a layer, of layers, or logits. Received: none or several of them")
        if self.layer and bool(self.units) == bool(self.top_for):
            raise Refused("a gallery of a layer names units or top_for. Received: both or neither")
        if self.spectrum == "images" and self.parameterization != "maco":
            raise Refused("a spectrum is held by maco alone. Received: spectrum of another parameterization")
        if self.diversity and self.facets < 2:
            raise Refused("diversity sets facets apart: it asks for two or more. Received: one")
        return self


class Features(Table):
    """Checks of the pictures of some units; with `fooled` on a network built to fool them as well, as a positive control."""

    layer: str | None = None
    units: Units = []
    logits: list[int | str] = []
    steps: int = Field(128, ge=1)
    pictures: int = Field(4, ge=1)
    parameterization: str = "fourier"
    transforms: str = "robust"
    checks: list[str] = ["path", "reach", "stability", "prior", "predictivity", "transfer"]
    path_layers: list[str] = []
    networks: int = Field(2, ge=1)
    others: list[str] = []
    observer: str | None = None
    recovery: bool = True
    fooled: bool = False
    detector: str | None = None

    @model_validator(mode="after")
    def _one_kind(self):
        if bool(self.layer) == bool(self.logits) or bool(self.layer) != bool(self.units):
            raise Refused("features are units of a layer, or logits. Received: both or neither")
        return self


class Atlas(Table):
    """What a layer holds: over one photograph (grid, groups, dictionary), or over all images (a map)."""

    layer: str
    image: str | None = None
    steps: int = Field(64, ge=1)
    side: int = Field(8, ge=2)
    groups: int = Field(4, ge=1)
    layout: str = "tsne"


class Asking(Table):
    """What is asked of the network: a class, of which output, and over which positions where the output has some."""

    target: str | int = "top"
    output: str | None = None
    region: Literal["all", "predicted"] | None = None

    @property
    def question(self):
        """Target, output and region: dict, the arguments of `sanity.subject.subject`."""
        return {"target": self.target, "output": self.output, "region": self.region}


class Explain(Asking):
    """Maps of every image by every method; options by method."""

    methods: Methods = ["gradient", "gradcam"]
    layer: str | list[str] | None = None
    options: dict[str, dict[str, Any]] = {}


class World(Table):
    """A world with planted truth, instead of a model and images; its networks are trained here."""

    former_names: ClassVar[dict[str, str]] = {"twins": "replicates", "misled": "permuted_label_networks"}

    name: str
    replicates: int = Field(4, ge=1)
    permuted_label_networks: int = Field(0, ge=0)
    images: int = Field(48, ge=8)


class Check(Asking):
    """One check of some methods; controls are always added. Any other key is an option of the check itself."""

    model_config = ConfigDict(extra="allow", frozen=True)

    check: str = "parameters"
    methods: Methods = ["gradient", "gradcam"]
    controls: bool = True
    options: dict[str, dict[str, Any]] = {}

    @property
    def settings(self):
        """The options of the check itself: dict."""
        return dict(self.model_extra)


class Recipe(Table):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    title: str = ""
    seed: int = Field(0, ge=0)
    model: Model = Model()
    images: Images = Images()
    world: World | None = None
    gallery: list[Gallery] = []
    features: list[Features] = []
    atlas: list[Atlas] = []
    explain: Explain | None = None
    check: list[Check] = []

    @model_validator(mode="after")
    def _one_subject(self):
        if self.world and {"model", "images"} & self.model_fields_set - self._defaulted():
            raise Refused("a recipe is about a world, or about a model and images. Received: both")
        if self.world and (self.gallery or self.features or self.atlas or self.explain):
            raise Refused("a world is checked. Received: a gallery or explanations of one")
        return self

    def _defaulted(self):
        return {name for name, default in (("model", Model()), ("images", Images())) if getattr(self, name) == default}

    @model_validator(mode="after")
    def _something_to_do(self):
        if not (self.gallery or self.features or self.atlas or self.explain or self.check):
            raise Refused(
                "a recipe holds at least one of [[gallery]], [[features]], [[atlas]], [explain], [[check]]. Received: none"
            )
        return self


def shipped():
    """Names of the recipes that come with the lab: list of str."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def read(source, settings=()):
    """A recipe by the name of a shipped one or the path of a TOML file, with "key=value" settings over it -> `Recipe`.

    Raises Refused for an unknown recipe, TOML that does not parse, and keys or values that a recipe does not have.
    """
    path = HERE / f"{source}.toml" if source in shipped() else pathlib.Path(source)
    if not path.is_file():
        raise Refused(f"Unknown recipe. Received: {source!r}. {nearest(source, shipped())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"A recipe is a TOML file in UTF-8. Received: {path.name}: {error}.") from error
    except RecursionError as error:
        raise Refused(
            f"A recipe's tables lie a few levels deep. Received: {path.name}, which is nested too deep."
        ) from error
    for setting in settings:
        _set(table, setting)
    return recipe(table)


def recipe(table):
    """A recipe from plain values -> `Recipe`. Raises Refused in one line for what does not fit."""
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise Refused(_one_line(error.errors()[0])) from error


def canonical(recipe):
    """The recipe as plain values with every default filled in, for digests and manifests: dict."""
    return _told_apart(recipe.model_dump())


def _told_apart(value):
    """Plain values in which nan, inf and -inf, which JSON does not know, are words of their own."""
    if isinstance(value, dict):
        return {key: _told_apart(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_told_apart(each) for each in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def method_names(recipe):
    """Every method that a recipe names, "module:function" included: list of str."""
    tables = [*recipe.check, *([recipe.explain] if recipe.explain else [])]
    return list(dict.fromkeys(name for table in tables for name in table.methods))


def _set(table, setting):
    """Put one "a.b.0.c=value" into nested tables; the value is TOML, or text where it is none."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise Refused(f"A setting is key=value. Received: {setting!r}.")
    *parents, last = key.split(".")
    for parent in parents:
        table = _child(table, parent, key)
    table[_place(table, last, key)] = value(text)


def value(text):
    """What a text stands for: a TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _child(table, name, key):
    if isinstance(table, dict):
        table = table.setdefault(name, {})
    else:
        table = table[_place(table, name, key)]
    if not isinstance(table, (dict, list)):
        raise Refused(f"A setting names a key of a table. Received: {key!r}, where {name!r} holds a value.")
    return table


def _place(table, name, key):
    if isinstance(table, dict):
        return name
    if not name.isdigit() or int(name) >= len(table):
        raise Refused(f"A setting inside a list names one of its entries, 0 to {len(table) - 1}. Received: {key!r}.")
    return int(name)


def _one_line(error):
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"Unknown key in a recipe. Received: {where!r}. {nearest(error['loc'][-1], _keys(error['loc'][:-1]))}"
    said = error["msg"].removeprefix("Value error, ")
    received = "" if "Received" in said or error["type"] == "missing" else f" Received: {error['input']!r}"
    return f"{where or 'recipe'}: {said}.{received}".replace("..", ".")


_TABLES = {
    "model": Model,
    "images": Images,
    "world": World,
    "gallery": Gallery,
    "features": Features,
    "atlas": Atlas,
    "explain": Explain,
    "check": Check,
}


def _keys(location):
    """The keys that the table at a location may have."""
    names = [part for part in location if isinstance(part, str)]
    return list((_TABLES[names[0]] if names else Recipe).model_fields)
