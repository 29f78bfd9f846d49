"""Sources: what a session loads: a model and images, or a world."""

from dataclasses import dataclass

from recipes import schema
from recipes.audit_table import Audit
from recipes.sections.planted import Planted
from recipes.sections.training import Training


@dataclass(frozen=True)
class Sources:
    """The tables of a recipe that say what its jobs work on, without what they do.

    Args:
        model: `recipes.schema.Model`.
        images: `recipes.schema.Images`.
        world: the name of a world in the place of model and images, or None.
        output: the output of the network whose classes the labels are, or None.
        seed: int, from which random weights and the networks of a world are drawn.
        threads: int, how many threads compute a job; None: as many as there are.
        gpus: float, how many GPUs of a cluster a job takes, or which share of one.
        training: the [training] table of a recipe, or None.
        planted: the [planted] table of a recipe, or None.
        data: `recipes.schema.Source` in the place of images, or None.
        audit: the [audit] table of a recipe, which names its inputs itself, or None.
    """

    model: schema.Model = schema.Model()
    images: schema.Images = schema.Images()
    world: str | None = None
    output: str | None = None
    seed: int = 0
    threads: int | None = None
    gpus: float = 0
    training: Training | None = None
    planted: Planted | None = None
    data: schema.Source | None = None
    audit: Audit | None = None

    @property
    def has_world(self):
        """Whether networks are trained here, in a world or on planted cues: bool."""
        return bool(self.world or self.planted)

    @classmethod
    def of(cls, recipe):
        """The sources of a recipe.

        Args:
            recipe: `Recipe`.

        Returns:
            `Sources`.
        """
        world = recipe.world.name if recipe.world else None
        output = next((table.output for table in ([recipe.explain] if recipe.explain else recipe.check)), None)
        return cls(
            recipe.model,
            recipe.images,
            world,
            output,
            recipe.seed,
            recipe.threads,
            recipe.gpus,
            recipe.training,
            recipe.planted,
            recipe.data,
            recipe.audit,
        )

    @property
    def finetunes(self):
        """Whether networks are trained from a layer on, on samples of which some are held out: bool."""
        return bool(self.training and self.training.finetune)

    @property
    def read(self):
        """What jobs read that work on the inputs: "data", or "images"."""
        return "data" if self.data else "images"

    def as_values(self):
        """These sources as plain values: dict. What a recipe does not say itself is left out."""
        tables = {name: getattr(self, name).model_dump(exclude_unset=True) for name in ("model", "images")}
        tables |= {name: value and value.model_dump(exclude_unset=True) for name, value in self._optional().items()}
        return {**vars(self), **tables}

    def _optional(self):
        return {"training": self.training, "planted": self.planted, "data": self.data, "audit": self.audit}

    @classmethod
    def from_values(cls, values):
        """Sources from plain values.

        Args:
            values: dict, as of `as_values`.

        Returns:
            `Sources`.
        """
        tables = {"model": schema.Model(**values["model"]), "images": schema.Images(**values["images"])}
        tables["training"] = values["training"] and Training(**values["training"])
        tables["planted"] = values["planted"] and Planted(**values["planted"])
        tables["data"] = values["data"] and schema.Source(**values["data"])
        tables["audit"] = values["audit"] and Audit(**values["audit"])
        return cls(**{**values, **tables})
