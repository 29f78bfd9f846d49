"""Training: networks trained like the user's own, as replicates of it: from files, or trained here by a function or from a layer on."""

from pydantic import Field, model_validator

from lab.refusal import Refused
from recipes.fields import Table
from recipes.job import Job
from recipes.section import Piece, Section
from recipes.sections import register


class Training(Table):
    """Networks trained like the model, which counts as the first of them: files, or a function of the user that trains them.

    Or networks that are trained from a layer on: `finetune` is its address, "all", or "auto" for a late one of a large network.
    """

    files: list[str] = []
    function: str | None = Field(None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    finetune: str | None = None
    replicates: int = Field(4, ge=2)
    permuted_label_networks: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        sources = [name for name in ("files", "function", "finetune") if getattr(self, name)]
        if len(sources) != 1:
            raise Refused(
                f"training names either files, or a function, or a layer to finetune from. Received: {' and '.join(sources) or 'none'}"
            )
        if self.files and {"replicates", "permuted_label_networks"} & self.model_fields_set:
            raise Refused(
                "replicates and permuted_label_networks count networks that are trained here. Received: training.files"
            )
        return self

    @property
    def counts(self):
        """How many networks of each kind there are: list of (kind, int). The first replicate is the model, but with finetune."""
        replicates = 1 + len(self.files) if self.files else self.replicates
        return [("replicate", replicates), ("permuted_label_networks", self.permuted_label_networks)]


# Jobs ---------------------------------------------------------------------------------------------------------------------


def refuse(recipe):
    """Refuse networks beside those of a world, and networks that no check asks.

    Args:
        recipe: `Recipe` with a [training] table.

    Raises:
        Refused: for either.
    """
    if recipe.world:
        raise Refused("a world trains its own networks. Received: [training] beside [world]")
    if not recipe.check:
        raise Refused("networks trained like the model are for checks. Received: [training] without [[check]]")


def list_jobs(recipe, session):
    """The jobs that train networks, by the user's function or from a layer on, and the one that compares them.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for a function or layer that does not exist, and for images without labels.
    """
    networks, training = session.user_networks, recipe.training
    reads = ("model", "training")
    jobs = []
    if training.finetune:
        for check in recipe.check:
            session.refuse_untrained_target(check.target)
    if training.function or training.finetune:
        # The model itself was not trained from the layer on.
        known = [("replicate", 0)] if training.function else []
        # What lies before a layer is computed once.
        passes = (2.0 if training.finetune else 10.0) * len(networks.true_labels)
        jobs = [
            Job(
                f"network/{kind.replace('_', '-')}-{index}",
                "user network",
                {"kind": kind, "index": index},
                passes=passes,
                reads=reads,
            )
            for kind, count in training.counts
            for index in range(count)
            if (kind, index) not in known
        ]
    arguments = {"question": recipe.check[0].question}
    needs = tuple(job.key for job in jobs)
    return [*jobs, Job("replicates", "replicates", arguments, needs, reads=(*reads, session.sources.read))]


# Work ---------------------------------------------------------------------------------------------------------------------


def train_network(job, _, session):
    """Train one network, or load it from the cache.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    from recipes.store import encode

    kind, index = job.arguments["kind"], job.arguments["index"]
    return {"network.json": encode({**job.arguments, "accuracy": session.user_networks.accuracy(kind, index)})}


def describe_replicates(job, _, session):
    """Compare the networks with the model: how often each is right.

    Args:
        job: `Job`.
        _: the inputs, not used: the session finds the networks in its cache.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    from recipes.store import encode

    subject = session.checked_subject(job.arguments["question"])
    rows = [
        {"name": f"{kind} {index + 1}", "accuracy": accuracy}
        for kind, accuracies in (
            ("replicate", subject.replicate_accuracy),
            ("permuted labels", subject.train_accuracy),
        )
        for index, accuracy in enumerate(accuracies)
    ]
    return {"replicates.json": encode({"networks": rows, "words": _describe(session)})}


def _describe(session):
    """What the networks are, and what their accuracy is measured on: str."""
    networks, training = session.user_networks, session.sources.training
    if not training.finetune:
        return "The model is the first replicate. Accuracy is on what a network was trained on; of networks from files, on the inputs of this page where they have labels."
    return f"The result of {networks.part.scope}, on {len(networks.true_labels)} samples of {networks.classes} classes. Accuracy of replicates is on {len(networks.held_out.labels)} samples that were held out; of networks on permuted labels, on the labels that they were trained on."


# Page ---------------------------------------------------------------------------------------------------------------------

TEMPLATE = """<section id="replicates"><h2>Networks trained alike</h2>
<p class="soft">{{ words }}</p>
<div class="wide" role="region" aria-label="Networks trained alike"><table><tr><th scope="col">network</th><th scope="col">accuracy</th></tr>
{% for row in networks %}<tr><td>{{ row.name }}</td><td>{{ "%.0f%%"|format(100 * row.accuracy) if row.accuracy is not none else "unknown" }}</td></tr>
{% endfor %}</table></div></section>"""


def _show_replicates(recipe, jobs, store):
    """The accuracy of every network, or None without them."""
    if not store.exists("replicates"):
        return None
    return store.values("replicates", "replicates.json")


register(
    Section(
        name="training",
        table=Training,
        list_jobs=list_jobs,
        work={"user network": train_network, "replicates": describe_replicates},
        many=False,
        alone=False,
        place=55,
        refuse=refuse,
        pieces=(Piece("replicates", "Networks trained alike", TEMPLATE, _show_replicates, place=65),),
    )
)
