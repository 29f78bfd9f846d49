"""Sheet: what a user states of the columns of a table before a network is audited on it. Nothing is guessed in its place."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab.refusal import Refused

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
    """

    kind: Literal["number", "category", "text"] | None = None
    roles: tuple[Literal[ROLES], ...] = ()
    factor: str | None = None
    actionable: Literal["up", "down", "any"] | None = None
    levels: tuple[str, ...] = ()
    encoding: Literal["index", "one-hot"] = "index"

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
    """

    favourable: str
    threshold: float = Field(0.5, gt=0, lt=1)


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
