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
# More channels than any layer has. A larger number is a typing error, and its list would fill the memory.
MAX_UNITS = 1_000_000


def parse_units(value):
    """Units of a layer as a list of numbers.

    Args:
        value: list of int, int, or text of numbers and ranges such as "0-15,20".

    Returns:
        list of int.

    Raises:
        Refused: for anything else, for an empty list of numbers, and for more than MAX_UNITS of them.
    """
    if isinstance(value, int):
        return [value]
    if isinstance(value, list) and all(isinstance(unit, int) for unit in value):
        return value
    units = []
    for part in str(value).split(","):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not ends:
            raise Refused(f'units are numbers and ranges, such as "0-15,20". Received: {value!r}.')
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last - first + len(units) >= MAX_UNITS:
            raise Refused(f"units name at most {MAX_UNITS:,} channels of a layer. Received: {value!r}.")
        units += range(first, last + 1)
    if not units:
        raise Refused(f"units name at least one channel. Received: {value!r}, which is empty.")
    return units


def _check_method_name(name):
    if not re.fullmatch(r"[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?", str(name)):
        raise Refused(f'a method is a name, or "module:function". Received: {name!r}.')
    return name


def _remove_duplicates(names):
    """Names without repetitions, in their order. Raises Refused where there is none."""
    if not names:
        raise Refused("methods name at least one method. Received: none.")
    return list(dict.fromkeys(names))


Units = Annotated[list[int], BeforeValidator(parse_units)]
Method = Annotated[str, BeforeValidator(_check_method_name)]
Methods = Annotated[list[Method], AfterValidator(_remove_duplicates)]


class Table(BaseModel):
    """A table of a recipe. An unknown key is an error; a key by its former name is a warning."""

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
                raise Refused(f"{new!r} was formerly called {old!r}: give it once. Received: both")
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
    """The photographs: a folder, files, or names of photographs in the installed packages."""

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


class Gallery(Table):
    """Pictures of units: channels of a layer or of all matching block outputs, or classes by name or index."""

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
    def _refuse_contradictions(self):
        if sum(map(bool, (self.layer, self.layers, self.logits))) != 1:
            raise Refused("a gallery names one of layer, layers, logits. Received: none or several of them")
        if self.layer and bool(self.units) == bool(self.top_for):
            raise Refused("a gallery of a layer names either units or top_for. Received: both or neither")
        if self.spectrum == "images" and self.parameterization != "maco":
            raise Refused(
                "spectrum is an option of the parameterization maco alone. Received: another parameterization"
            )
        if self.diversity and self.facets < 2:
            raise Refused("diversity needs facets of two or more. Received: facets = 1")
        return self


class Features(Table):
    """Checks of the pictures of some units. With `fooled`, a network built to fool the checks is a positive control."""

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
    def _refuse_contradictions(self):
        if bool(self.layer) == bool(self.logits) or bool(self.layer) != bool(self.units):
            raise Refused("features name either a layer with units, or logits. Received: both or neither")
        return self


class Atlas(Table):
    """What a layer represents: over one photograph (grid, groups, dictionary), or over all images (a map)."""

    layer: str
    image: str | None = None
    steps: int = Field(64, ge=1)
    side: int = Field(8, ge=2)
    groups: int = Field(4, ge=1)
    layout: str = "tsne"


class TargetTable(Table):
    """A table that names what is explained.

    A target is a class, an output where the network has several, and a region where that output has positions.
    """

    target: str | int = "top"
    output: str | None = None
    region: Literal["all", "predicted"] | None = None

    @property
    def question(self):
        """Target, output and region: dict, the keyword arguments of `sanity.subject.subject`."""
        return {"target": self.target, "output": self.output, "region": self.region}


class Explain(TargetTable):
    """Maps of every image by every method, with options by method.

    With `only`, of the images that are answered wrong, or right. With `contrast`, of the predicted class against the true
    one, and of both.
    """

    methods: Methods = ["gradient", "gradcam"]
    layer: str | list[str] | None = None
    options: dict[str, dict[str, Any]] = {}
    only: Literal["wrong", "right", "all"] = "all"
    contrast: bool = False

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if self.contrast and self.target != "top":
            raise Refused(
                f"contrast=True explains the predicted class against another: leave the target at top. Received: {self.target!r}"
            )
        if self.contrast and self.region is not None:
            raise Refused(
                f"contrast=True compares the scores of two classes, not of positions. Received: region={self.region!r}"
            )
        return self


class World(Table):
    """A data set with planted truth, in the place of a model and images. Its networks are trained here."""

    former_names: ClassVar[dict[str, str]] = {"twins": "replicates", "misled": "permuted_label_networks"}

    name: str
    replicates: int = Field(4, ge=1)
    permuted_label_networks: int = Field(0, ge=0)
    images: int = Field(48, ge=8)


class Check(TargetTable):
    """One check of some methods, beside its controls. Any other key is an option of the check itself."""

    model_config = ConfigDict(extra="allow", frozen=True)

    check: str = "parameters"
    methods: Methods = ["gradient", "gradcam"]
    controls: bool = True
    options: dict[str, dict[str, Any]] = {}

    @property
    def settings(self):
        """The options of the check itself: dict of name to value."""
        return dict(self.model_extra)


class Recipe(Table):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    title: str = ""
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, ge=1)
    model: Model = Model()
    images: Images = Images()
    world: World | None = None
    gallery: list[Gallery] = []
    features: list[Features] = []
    atlas: list[Atlas] = []
    explain: Explain | None = None
    check: list[Check] = []

    @model_validator(mode="after")
    def _refuse_two_subjects(self):
        if self.world and {"model", "images"} & self.model_fields_set - self._default_tables():
            raise Refused("a recipe has either a world, or a model and images. Received: both")
        if self.world and (self.gallery or self.features or self.atlas or self.explain):
            raise Refused("a recipe with a world holds only [[check]] tables. Received: another table")
        return self

    def _default_tables(self):
        return {name for name, default in (("model", Model()), ("images", Images())) if getattr(self, name) == default}

    @model_validator(mode="after")
    def _refuse_empty_recipe(self):
        if not (self.gallery or self.features or self.atlas or self.explain or self.check):
            raise Refused(
                "a recipe holds at least one of [[gallery]], [[features]], [[atlas]], [explain], [[check]]. Received: none"
            )
        return self


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
    tables = [*recipe.check, *([recipe.explain] if recipe.explain else [])]
    return list(dict.fromkeys(name for table in tables for name in table.methods))


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


def _known_keys(location):
    """The keys that the table at a location may have."""
    names = [part for part in location if isinstance(part, str)]
    return list((_TABLES[names[0]] if names else Recipe).model_fields)
