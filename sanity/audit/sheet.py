"""Sheet: what a user states of the columns of a table before a network is audited on it. Nothing is guessed in its place."""

import tomllib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_file

# What a column may be for. Several may hold at once.
ROLES = (
    "input",
    "label",
    "unit",
    "time",
    "id",
    "legitimate",
    "protected",
    "immutable",
    "metadata",
)
# Roles of which a table has one column at most.
SINGLE = ("label", "unit", "time")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnSheet(_Part):
    """What is stated of one column.

    Args:
        kind: "number", "category" or "text"; None: as its cells are.
        roles: list of names in ROLES. A column without a role is an input where no column states that it is one and its
            cells are numbers or it has levels; else it is metadata.
        factor: the name that it shares with columns that are one reason with it; None: its own name.
        actionable: "up", "down" or "any", how a person can change it; None: not at all.
        levels: the values of a category in the order in which the network knows them.
        encoding: how the network takes a category: its place in levels as one number, or one number for each level.
        counterpart_of: the protected column whose other group this column has a counterpart of, for each row: of a text that text, of
            a photograph the path of an edited one, beside the file of metadata; None for any other column.
        fill: what the network takes where a cell is missing, a number or a level; None: missing cells are refused.
    """

    kind: Literal["number", "category", "text"] | None = None
    roles: tuple[Literal[ROLES], ...] = ()
    factor: str | None = None
    actionable: Literal["up", "down", "any"] | None = None
    levels: tuple[str, ...] = ()
    encoding: Literal["index", "one-hot"] = "index"
    fill: float | str | None = None
    counterpart_of: str | None = None

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if self.actionable and "immutable" in self.roles:
            raise Refused("a column is immutable or actionable. Received: both. Leave one of them out")
        if self.encoding == "one-hot" and not self.levels:
            raise Refused(
                'encoding="one-hot" needs levels, in the order in which the network knows them. Received: none'
            )
        if len(set(self.levels)) < len(self.levels):
            raise Refused("levels name each value once. Received: one of them twice")
        return self


class Decision(_Part):
    """How scores become decisions.

    Args:
        favourable: the class that is good for the person, by name.
        threshold: float, the probability of that class from which on the decision is favourable.
        false_positive_cost: float, what a favourable decision costs where the label is not, in any unit; None: costs are not known.
        false_negative_cost: float, what an unfavourable decision costs where the label is favourable, in the same unit.
    """

    favourable: str
    threshold: float = Field(0.5, gt=0, lt=1, strict=True)
    false_positive_cost: float | None = Field(None, ge=0, allow_inf_nan=False, strict=True)
    false_negative_cost: float | None = Field(None, ge=0, allow_inf_nan=False, strict=True)

    @model_validator(mode="after")
    def _refuse_one_cost(self):
        stated = [cost for cost in (self.false_positive_cost, self.false_negative_cost) if cost is not None]
        if len(stated) == 1 or (stated and not any(stated)):
            raise Refused(
                f"costs are of both errors, one of them above 0. Received: false_positive_cost = {self.false_positive_cost}, false_negative_cost = {self.false_negative_cost}"
            )
        return self

    @property
    def costs(self):
        """The costs of a false positive and of a false negative: tuple of two floats, or None where they are not stated."""
        if self.false_positive_cost is None:
            return None
        return self.false_positive_cost, self.false_negative_cost


class Sheet(_Part):
    """What a user states before a network is audited.

    Args:
        title: str, of the data.
        decision: `Decision`, or None where no decision is made.
        looks: int, audits a year; the level of each is .05 divided by it.
        rows_are_units: bool, the statement that no two rows belong together, where no column is the unit.
        columns: dict of name to `ColumnSheet`.
        record: dict of field to text that a person wrote for the record.
    """

    title: str = ""
    decision: Decision | None = None
    looks: int = Field(1, ge=1)
    rows_are_units: bool = False
    columns: dict[str, ColumnSheet] = {}
    record: dict[str, str] = {}

    @model_validator(mode="after")
    def _refuse_repeated_roles(self):
        for role in SINGLE:
            names = self.with_role(role)
            if len(names) > 1:
                raise Refused(f"one column is the {role}. Received: {' and '.join(names)}")
        return self

    @model_validator(mode="after")
    def _refuse_counterparts_of_others(self):
        protected = self.with_role("protected")
        for name, column in self.columns.items():
            if column.counterpart_of and column.counterpart_of not in protected:
                raise Refused(
                    f"counterpart_of names a protected column. Received: {column.counterpart_of!r} of the column {name}. {nearest(column.counterpart_of, protected)}"
                )
            first = self.counterparts.get(column.counterpart_of, name)
            if first != name:
                raise Refused(
                    f"A protected column has one column of counterparts. Received: {name} and {first}, both with counterpart_of = {column.counterpart_of!r}. Leave it out of one of them."
                )
        return self

    @property
    def alpha(self):
        """The level of one audit: float."""
        return 0.05 / self.looks

    def column(self, name):
        """What is stated of a column: `ColumnSheet`, an empty one where nothing is."""
        return self.columns.get(name, ColumnSheet())

    def with_role(self, role):
        """Names of the columns of a role: list of str."""
        return [name for name, column in self.columns.items() if role in column.roles]

    def one(self, role):
        """The name of the one column of a role: str, or None."""
        return next(iter(self.with_role(role)), None)

    def without_protected(self):
        """The same sheet in which protected columns are names of rows, which nothing looks at; inputs stay inputs: `Sheet`."""
        roles = {
            name: tuple("id" if role == "protected" else role for role in column.roles)
            for name, column in self.columns.items()
        }
        columns = {
            name: column.model_copy(
                update={"roles": ("id",), "counterpart_of": None} if column.counterpart_of else {"roles": roles[name]}
            )
            for name, column in self.columns.items()
        }
        return self.model_copy(update={"columns": columns})

    @property
    def counterparts(self):
        """The column with counterparts of each protected column that has one: dict of str to str."""
        return {column.counterpart_of: name for name, column in self.columns.items() if column.counterpart_of}

    def factors(self, names):
        """Columns that are one reason together.

        Args:
            names: list of str, columns.

        Returns:
            dict of factor to list of its columns, in their order.
        """
        grouped = {}
        for name in names:
            grouped.setdefault(self.column(name).factor or name, []).append(name)
        return grouped


def open_sheet(source):
    """A sheet from where it is.

    Args:
        source: the path of a TOML file, a dict as of one, a `Sheet`, or None for an empty one.

    Returns:
        `Sheet`.

    Raises:
        Refused: for a file that is no TOML, and for keys and values that no sheet has.
    """
    if source is None or isinstance(source, Sheet):
        return source or Sheet()
    values, where = (source, "the sheet") if isinstance(source, dict) else (_read_toml(source), str(source))
    try:
        return Sheet.model_validate(values)
    except ValidationError as error:
        raise Refused(_sheet_error(error.errors()[0], where)) from error


def _read_toml(source):
    path = as_path(source)
    if not is_file(path):
        raise Refused(
            f"A sheet is a TOML file; `lab init-sheet` writes one. Received: {str(source)!r}, which is no file."
        )
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"A sheet is a TOML file in UTF-8. Received: {path}: {error}.") from error


def _sheet_error(error, where):
    """One line on the first value that does not fit: str."""
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = (
            {1: Sheet, 2: Decision}.get(len(error["loc"]), ColumnSheet) if error["loc"][0] != "columns" else ColumnSheet
        )
        return f"Unknown key in {where}. Received: {place!r}. {nearest(error['loc'][-1], known.model_fields)}"
    rule = error["msg"].removeprefix("Value error, ")
    if "roles" in error["loc"]:
        return f"Roles in {where} are words of a list. Received: {error['input']!r} in {place!r}. {nearest(error['input'], ROLES)}"
    received = "" if "Received" in rule or error["type"] == "missing" else f" Received: {error['input']!r}."
    return f"{where}, {place or 'sheet'}: {rule}.{received}".replace("..", ".")
