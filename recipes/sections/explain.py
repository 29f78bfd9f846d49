"""Explain: maps of every image by every method, and how far the methods agree."""

from typing import Any, Literal

from pydantic import model_validator

from lab.refusal import Refused
from recipes.fields import Methods, TargetTable
from recipes.job import Job, slug
from recipes.section import Deferred, Section
from recipes.sections import register


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


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of the [explain] table, checked before anything runs.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`: photographs, maps of each method, agreement.

    Raises:
        Refused: for a layer, class, method or option that does not exist.
    """
    from recipes.explanations import refuse_unknown_options
    from recipes.mistakes import PARTS

    table = recipe.explain
    refuse_unknown_options(table)
    for layer in [table.layer] if isinstance(table.layer, str) else table.layer or []:
        session.network.check_positions(layer)
    parts = PARTS if table.contrast else (None,)
    map_jobs = [_map_job(table, method, part, session) for method in table.methods for part in parts]
    if not session.explained().names:
        # The methods are checked all the same: what is misspelt is refused whatever the photographs are.
        return [Job("photographs", "photographs", {})]
    return [
        Job("photographs", "photographs", {}),
        *map_jobs,
        Job("agreement", "agreement", {}, tuple(job.key for job in map_jobs), gathers=True),
    ]


def _map_job(table, method, part, session):
    """The job of one method's maps; of a contrast, of one of its `PARTS`."""
    from lab.attribution.calls import refuse_options
    from lab.registry import options as known_options
    from recipes.explanations import passes

    explainer, options = session.method(method), dict(table.options.get(method, {}))
    refuse_options(explainer, options)
    if table.layer is not None and "layer" in known_options(explainer):
        options.setdefault("layer", table.layer)
    arguments = {"method": method, "part": part, "options": options}
    draws = 2 if "seed" in known_options(explainer) else 1
    cost = len(session.explained().names) * draws * passes(explainer, options, session.network)
    suffix = "" if part in (None, "contrast") else f"-{part}"
    return Job(f"explain/{slug(method)}{suffix}", "maps", arguments, passes=cost)


# Lines --------------------------------------------------------------------------------------------------------------------


def map_messages(jobs, store):
    """Lines of text on the maps of a run: faults first, then refusals, then maps that look suspicious.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    abouts = [store.values(job.key, "about.json") for job in jobs if job.kind == "maps" and store.exists(job.key)]
    faults = [f"{about['method']}  failed: {about['fault']}" for about in abouts if about["fault"]]
    refused = [f"{about['method']}  refused: {about['refused']}" for about in abouts if about["refused"]]
    flagged = [
        f"{about['method']}  {name}: {', '.join(words)}"
        for about in abouts
        for name, words in zip(about["names"], about.get("flags", ()))
        if words
    ]
    return [*faults, *refused, *flagged]


register(
    Section(
        name="explain",
        table=Explain,
        list_jobs=list_jobs,
        work={
            "photographs": Deferred("recipes.explanations:show_photographs"),
            "maps": Deferred("recipes.explanations:compute_maps"),
            "agreement": Deferred("recipes.explanations:measure_agreement"),
        },
        many=False,
        place=50,
        messages=map_messages,
    )
)
