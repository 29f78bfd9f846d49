"""Fields: the tables that a recipe is made of, and the types of their keys."""

import re
import warnings
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from lab.refusal import Refused

# More channels than any layer has. A larger number is a typing error, and its list would fill the memory.
MAX_UNITS = 1_000_000
# Kinds of networks whose pictures are checked.
STUDIED = ("honest", "fooled")


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
