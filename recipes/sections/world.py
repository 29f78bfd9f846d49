"""World: networks trained on data with planted truth, in the place of a model and images."""

from typing import ClassVar

from pydantic import Field

from lab.refusal import Refused
from recipes.fields import Table
from recipes.job import Job
from recipes.section import Piece, Section
from recipes.sections import in_order, register

# Pixels of a sample's side, and how many samples are shown.
SIDE, SAMPLES = 72, 8


class World(Table):
    """A data set with planted truth, in the place of a model and images. Its networks are trained here."""

    former_names: ClassVar[dict[str, str]] = {"twins": "replicates", "misled": "permuted_label_networks"}

    name: str
    replicates: int = Field(4, ge=1)
    permuted_label_networks: int = Field(0, ge=0)
    images: int = Field(48, ge=8)


def refuse(recipe):
    """Refuse what a world brings itself, or what is not asked in a world.

    Args:
        recipe: `Recipe` with a world.

    Raises:
        Refused: for a model or images beside the world, and for tables other than [[check]].
    """
    if {"model", "images"} & recipe.model_fields_set - _default_tables(recipe):
        raise Refused("a recipe has either a world, or a model and images. Received: both")
    others = [section for section in in_order() if section.name not in ("world", "check")]
    if any(section.tables(recipe) for section in others):
        raise Refused("a recipe with a world holds only [[check]] tables. Received: another table")


def _default_tables(recipe):
    """Those of a recipe's tables of model and images that have nothing but defaults: set of str."""
    tables = {name: getattr(recipe, name) for name in ("model", "images")}
    return {name for name, table in tables.items() if table == type(table)()}


def list_jobs(recipe, session):
    """The jobs that train the networks of the world, and the one that tries them.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for replicates, permuted labels or targets that the world cannot have.
    """
    counts = question(recipe, session)
    _refuse_questions(recipe, session.world, counts)
    jobs = [
        _network_job(kind, index, session) for kind, count in _kinds(recipe, session, counts) for index in range(count)
    ]
    return [*jobs, Job("networks", "networks", {"question": counts}, tuple(job.key for job in jobs), reads=("world",))]


def question(recipe, session):
    """How many networks and samples of its world a recipe asks about.

    Args:
        recipe: `Recipe` with a world.
        session: `Session`.

    Returns:
        dict of replicates, permuted_label_networks and images, keyword arguments of `sanity.subject.world_subject`.
    """
    table = recipe.world
    # Weights that are set by hand have no replicates.
    alone = session.world.training is None and "replicates" not in table.model_fields_set
    return {
        "replicates": 1 if alone else table.replicates,
        "permuted_label_networks": table.permuted_label_networks,
        "images": table.images,
    }


def _refuse_questions(recipe, world, counts):
    """Raise Refused for replicates, permuted labels or targets that a world cannot have."""
    if world.training is None and (counts["replicates"] > 1 or counts["permuted_label_networks"]):
        raise Refused(
            f"Replicates are trained from other seeds. Received: the world {world.name}, whose weights are set by hand."
        )
    for check in recipe.check:
        targets = {name: value for name, value in check.question.items() if value not in (None, "top")}
        if targets:
            raise Refused(f"In a world the cue decides each sample's target. Received: {targets}; remove it.")


def _kinds(recipe, session, counts):
    """How many networks of each kind are trained: list of (kind, int)."""
    if session.world.training is None:
        return []
    kinds = [("replicate", counts["replicates"]), ("permuted_label_networks", counts["permuted_label_networks"])]
    has_rivals = "rival" in _kinds_of_checks(recipe) and bool(session.world.rival)
    return kinds + [("rival", counts["replicates"])] * has_rivals


def _kinds_of_checks(recipe):
    """The kinds of networks that the checks of a recipe train beside the replicates: set of str."""
    from sanity.checks import checks

    return {kind for table in recipe.check for kind in checks.tag(checks.get(table.check), "networks", ())}


def _network_job(kind, index, session):
    training = session.world.training
    key = f"network/{kind.replace('_', '-')}-{index}"
    passes = training.samples * training.passes / 10
    return Job(key, "network", {"kind": kind, "index": index}, passes=passes, reads=("world",))


def train_network(job, _, session):
    """Train one network of a world, or load it from the cache.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    from recipes.store import encode, pack

    state = session.world_networks.train(job.arguments["kind"], job.arguments["index"])
    return {
        "network.json": encode(job.arguments),
        "weights.npz": pack({name.replace("/", "|"): value for name, value in state.items()}),
    }


def describe_networks(job, _, session):
    """Try the networks of a world, and describe them.

    Args:
        job: `Job`.
        _: the inputs, not used: the session finds the networks in its cache.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    import numpy as np

    from recipes.store import encode, pack

    subject = session.subject(job.arguments["question"])
    about = {
        "world": session.world.name,
        "oracle": session.world.oracle,
        "right": None if subject.correct is None else float(np.mean(subject.correct)),
        "proof": subject.truth.proof if subject.truth else None,
        "train_accuracy": list(subject.train_accuracy),
        "replicates": len(subject.replicates),
        "samples": len(subject.names),
        "fingerprint": subject.network.fingerprint(),
    }
    samples = {"images": subject.inputs[:16]}
    if subject.truth:
        samples["masks"] = subject.truth.masks[:16]
    return {"networks.json": encode(about), "samples.npz": pack(samples)}


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_world(recipe, jobs, store):
    """What the networks are proven to use, with some samples and where the truth lies in them; None without networks."""
    if not store.exists("networks"):
        return None
    about, arrays = store.values("networks", "networks.json"), store.arrays("networks", "samples.npz")
    pictures = _show_samples(arrays["images"], arrays.get("masks")) if arrays["images"].ndim == 4 else []
    return {"world": {**about, "pictures": pictures}}


def _show_samples(images, masks):
    """Pictures of some samples, and of their masks where there are any: list of dict of image and mask, data URIs."""
    from recipes.galleries import png
    from recipes.report.data_uri import png_uri

    return [
        {
            "image": png_uri(png(_grey(image))),
            "mask": None if masks is None else png_uri(png(_grey(masks[place] * 1.0))),
        }
        for place, image in enumerate(images[:SAMPLES])
    ]


def _grey(plane):
    """Values of any range as a small grey picture: uint8 [side, side, 1]."""
    import numpy as np

    flat = plane.mean(axis=-1) if plane.ndim == 3 else plane
    low, high = float(flat.min()), float(flat.max())
    scaled = np.round(255 * (flat - low) / ((high - low) or 1)).astype("uint8")
    times = max(1, SIDE // len(scaled))
    return np.kron(scaled, np.ones((times, times), "uint8"))[..., None]


# Command -----------------------------------------------------------------------------------------------------------------


def world_table(name, settings, check_names):
    """A recipe's table of a world, from the options of `lab check`.

    The check labels needs as many networks on permuted labels as replicates.

    Args:
        name: str, of the world.
        settings: dict of replicates, permuted_label_networks and images, None where they were not typed.
        check_names: names of the checks.

    Returns:
        dict.
    """
    if settings["permuted_label_networks"] is None and "labels" in check_names:
        settings = {**settings, "permuted_label_networks": settings["replicates"] or 4}
    return {"name": name, **{key: value for key, value in settings.items() if value is not None}}


register(
    Section(
        name="world",
        table=World,
        list_jobs=list_jobs,
        work={"network": train_network, "networks": describe_networks},
        many=False,
        alone=False,
        place=10,
        refuse=refuse,
        pieces=(Piece("world", "World", "world.html", _show_world, place=20),),
    )
)
