"""Audit table: what an audit reads and asks, as a table of a recipe."""

from typing import Any

from pydantic import Field, model_validator

from lab.refusal import Refused
from recipes.fields import Table


class Audit(Table):
    """Questions about a network on the user's data. Without `questions` all are asked that data and sheet leave room for.

    `dataset` is the name of a table that comes with an installed package, with its sheet, in the place of files.

    `layer` is the address of the layer whose use of a protected column is asked about.

    `replicates` are files of networks that were trained like the model from other seeds, on which reasons and changes must hold too.

    With `strict` all checks share one level. With `no_protected` no protected column is looked at. `settings` are those of the checks that have them.
    """

    test: str | None = None
    dataset: str | None = None
    train: str | None = None
    current: str | None = None
    sheet: str | None = None
    metadata: str | None = None
    label: str | None = None
    questions: list[str] = []
    strict: bool = False
    no_protected: bool = False
    draws: int | None = Field(None, ge=99)
    tries: int | None = Field(None, ge=4)
    layer: str | None = None
    replicates: list[str] = []
    settings: dict[str, Any] = {}
    vocabulary: str | None = None
    tokenizer: str | None = None

    @model_validator(mode="after")
    def _refuse_several_sources(self):
        files = [name for name in ("test", "train", "current", "sheet", "metadata", "label") if getattr(self, name)]
        if bool(self.dataset) == bool(self.test) or (self.dataset and files):
            raise Refused(
                f"an audit reads files, test among them, or a dataset. Received: {', '.join(files) or 'no test'}{' beside a dataset' if self.dataset else ''}"
            )
        return self

    @model_validator(mode="after")
    def _refuse_unknown_questions(self):
        if len(set(self.questions)) < len(self.questions):
            raise Refused(f"questions name each question once. Received: {', '.join(self.questions)}")
        return self

    @property
    def check_settings(self):
        """The settings of all checks: dict."""
        named = {name: getattr(self, name) for name in ("draws", "tries", "layer") if getattr(self, name) is not None}
        return {**self.settings, **named}
