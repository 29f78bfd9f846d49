"""Signature: what a network takes and what it answers with, as far as an audit of data has to know it."""

from dataclasses import dataclass

from lab.refusal import Refused


@dataclass(frozen=True)
class Signature:
    """What a network takes and what it answers with.

    Args:
        kind: "table", "image", "text" or "series".
        width: int, the numbers of a row of a table; None: not known.
        columns: tuple of str, the columns of a table in the network's order, where it names them.
        count: int, how many classes it tells; 1 for a number.
        classes: tuple of str, their names where they are known.
        name: str, the network in words.
    """

    kind: str = "table"
    width: int | None = None
    columns: tuple = ()
    count: int = 2
    classes: tuple = ()
    name: str = "the network"

    @property
    def is_regression(self):
        """Whether it answers with a number and no classes: bool."""
        return self.count == 1

    def refuse_width(self, names, width):
        """Refuse a table with more or fewer numbers than the network takes.

        Args:
            names: list of str, the columns that would be given to it.
            width: int, the numbers that these are.

        Raises:
            Refused: where it takes another number of them.
        """
        if self.width in (None, width):
            return
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise Refused(
            f'A table has the columns that a network takes. Received: {width} numbers of {len(names)} columns ({listed}) for {self.name}, which takes {self.width}. State the inputs with roles = ["input"], or give other columns another role.'
        )
