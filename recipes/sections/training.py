"""Training: networks trained like the user's own, as replicates of it: read from files, or trained here by a function."""

from pydantic import Field, model_validator

from lab.refusal import Refused
from recipes.fields import Table
from recipes.job import Job
from recipes.section import Piece, Section
from recipes.sections import register


class Training(Table):
    """Networks trained like the model, which counts as the first of them: files, or a function of the user that trains them."""

    files: list[str] = []
    function: str | None = Field(None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    replicates: int = Field(4, ge=2)
    permuted_label_networks: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if bool(self.files) == bool(self.function):
            raise Refused("training names either files, or a function. Received: both or neither")
        if self.files and {"replicates", "permuted_label_networks"} & self.model_fields_set:
            raise Refused(
                "replicates and permuted_label_networks count networks that a function trains. Received: training.files"
            )
        return self

    @property
    def counts(self):
        """How many networks of each kind there are: list of (kind, int). The first replicate is the model."""
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
    """The jobs that train networks by the user's function, and the one that compares them with the model.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for a function that does not exist, and for images without labels.
    """
    networks = session.user_networks
    reads = ("model", "training")
    jobs = []
    if recipe.training.function:
        passes = 10.0 * len(networks.true_labels)
        jobs = [
            Job(
                f"network/{kind.replace('_', '-')}-{index}",
                "user network",
                {"kind": kind, "index": index},
                passes=passes,
                reads=reads,
            )
            for kind, count in recipe.training.counts
            for index in range(count)
            if (kind, index) != ("replicate", 0)
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
    return {"replicates.json": encode({"networks": rows})}


# Page ---------------------------------------------------------------------------------------------------------------------

TEMPLATE = """<section id="replicates"><h2>Networks trained alike</h2>
<p class="soft">The model is the first replicate. Accuracy is on what a network was trained on; of networks from files, on the photographs of this page where they have labels.</p>
<div class="wide" role="region" aria-label="Networks trained alike"><table><tr><th scope="col">network</th><th scope="col">accuracy</th></tr>
{% for row in networks %}<tr><td>{{ row.name }}</td><td>{{ "%.0f%%"|format(100 * row.accuracy) if row.accuracy is not none else "unknown" }}</td></tr>
{% endfor %}</table></div></section>"""


def _show_replicates(recipe, jobs, store):
    """The accuracy of every network, or None without them."""
    if not store.exists("replicates"):
        return None
    return {"networks": store.values("replicates", "replicates.json")["networks"]}


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
