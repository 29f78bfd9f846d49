"""Dictionary: what a layer's activations are made of: atoms, how stable they are, and whether the network uses them."""

from typing import Any

import click
from pydantic import Field

from lab.refusal import Refused
from recipes.fields import TargetTable
from recipes.help import PlainCommand
from recipes.job import Job
from recipes.launch import launch_tables
from recipes.options import model_options, natural_images_table, run_options, verdict_options
from recipes.section import Deferred, Piece, Section
from recipes.sections import register
from recipes.words import count_noun


class Dictionary(TargetTable):
    """Atoms of a layer by a learner, from several seeds, on the network as it is and on one that was never trained.

    `options` are those of the learner. Training is saved after every `save` steps. The effect on the target is measured of the
    `effects` atoms with most energy, on `images` images.
    """

    layer: str
    learner: str = "sparse_autoencoder"
    atoms: int = Field(64, ge=1)
    options: dict[str, Any] = {}
    seeds: int = Field(2, ge=1)
    untrained: bool = True
    most: int = Field(100_000, ge=2)
    save: int = Field(1000, ge=1)
    effects: int = Field(64, ge=1)
    images: int = Field(24, ge=2)
    draws: int = Field(39, ge=19)
    pictures: bool = False
    steps: int = Field(128, ge=1)
    names: str | None = None
    batch: int = Field(32, ge=1)


# Jobs ---------------------------------------------------------------------------------------------------------------------

READS = ("model", "natural images")
# What decides the rows that a dictionary is learned from.
ROWS = ("layer", "learner", "most", "images")


def list_jobs(recipe, session):
    """The jobs of the [dictionary] table: dictionaries of all seeds and networks, their effects, and the atoms over images.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for a layer, learner, option, class or atom that does not exist, and for activations that do not fit the learner.
    """
    table = recipe.dictionary
    _refuse_table(table, session)
    names = _names(table)
    networks = ("trained", "untrained") if table.untrained else ("trained",)
    jobs = [
        job
        for name in networks
        for number in range(table.seeds)
        for job in _learning_jobs(name, number, recipe, session)
    ]
    jobs += [_effects_job(name, recipe, session) for name in networks]
    dictionaries = tuple(job.key for job in jobs if job.kind in ("dictionary", "atom effects"))
    arguments = {"networks": list(networks), "names": names, "learner": table.learner, "seed": recipe.seed}
    summary = Job("dictionary/summary", "dictionary summary", arguments, dictionaries)
    return [*jobs, summary, *_atom_jobs(recipe, session)]


def _learning_jobs(network, number, recipe, session):
    """The jobs that learn one dictionary. An autoencoder is trained in parts, so that a run that was stopped goes on."""
    from lab.concepts import learners

    table, needs = recipe.dictionary, ()
    rows = {name: getattr(table, name) for name in ROWS}
    shared = {**rows, "network": network, "question": table.question, "seed": recipe.seed}
    settings = {"atoms": table.atoms, "seed": recipe.seed + number, **table.options}
    count, key = len(session.natural_images), f"dictionary/{network}-{number}"
    if learners.tag(learners.get(table.learner), "resumable"):
        from lab.concepts.sparse_autoencoder import Settings

        # What is asked about atoms does not change them: another class takes over the training.
        trained = {**shared, "question": {**table.question, "target": "top"}}
        steps = Settings(**settings).steps
        for start in range(0, steps, table.save):
            places = [start, min(start + table.save, steps)]
            arguments = {**trained, "settings": settings, "places": places}
            job = Job(
                f"dictionary/{network}-training-{number}/{start:06d}",
                "dictionary state",
                arguments,
                needs,
                table.save / 50,
                reads=READS,
            )
            needs = (job.key,)
            yield job
    yield Job(key, "dictionary", {**shared, "settings": settings}, needs, passes=count / 3, reads=READS)


def _effects_job(network, recipe, session):
    table = recipe.dictionary
    arguments = {name: getattr(table, name) for name in ("layer", "learner", "effects", "images", "draws", "most")}
    arguments |= {"network": network, "question": table.question, "seed": recipe.seed}
    arguments |= {"check": "atom_effect", "method": "all atoms"}
    # About a third of the atoms are active in an image, and an answer costs a third of a gradient.
    passes = min(table.effects, table.atoms) * table.images * table.draws / 9
    key, needs = f"dictionary/effects/{network}", (f"dictionary/{network}-0",)
    # An untrained network is what the trained one is compared with: no gate reads its verdicts.
    family = "0-dictionary" if network == "trained" else ""
    return Job(key, "atom effects", arguments, needs, passes, reads=READS, judged_in=family)


def _atom_jobs(recipe, session):
    """The jobs that show the atoms of the first dictionary over images, and those that draw them."""
    table, key = recipe.dictionary, "dictionary/trained-0"
    count, layer = len(session.natural_images), {"layer": table.layer}
    survey = Job("dictionary/examples", "atom examples", layer, (key,), passes=count / 3, reads=READS)
    yield survey
    for start in range(0, table.atoms, table.batch):
        places = [start, min(start + table.batch, table.atoms)]
        arguments = {**layer, "places": places}
        yield Job(
            f"dictionary/atoms/{start:05d}", "atoms", arguments, (key, survey.key), places[1] - places[0], reads=READS
        )
        if table.pictures:
            drawn = {**arguments, "steps": table.steps, "seed": recipe.seed}
            cost = table.steps * (places[1] - places[0])
            yield Job(f"dictionary/pictures/{start:05d}", "atom pictures", drawn, (key,), cost, reads=("model",))


def _names(table):
    from recipes.dictionaries import read_names

    return read_names(table.names, table.atoms) if table.names else {}


def _refuse_table(table, session):
    """Raise Refused for what can be known to fail before anything is learned."""
    from lab.concepts import learners
    from lab.concepts.dictionaries import refuse_options

    network = session.network
    network.refuse_without("layers", "A dictionary")
    network.refuse_unknown(table.layer)
    refuse_options(table.learner, table.options)
    if table.target != "top":
        network.class_index(table.target, table.output)
    data = session.natural_images
    if len(data) < 2:
        raise Refused(f"A dictionary is learned from two images or more. Received: {len(data)}. Give more images.")
    if learners.tag(learners.get(table.learner), "resumable"):
        from lab.concepts.sparse_autoencoder import Settings

        Settings(table.atoms, 0, **table.options)
    _refuse_rows(table, network, data.part(slice(8)), len(data), session.sources.images.fit)


def _refuse_rows(table, network, data, count, fit):
    """Raise Refused where the activations of the first images show that the learner cannot be used."""
    import numpy as np

    from lab.concepts import layer_batches, learners
    from lab.concepts.dictionaries import refuse_count

    values = np.concatenate([values for values, _ in layer_batches(network, data, table.layer, fit=fit)])
    learner = learners.get(table.learner)
    if learners.tag(learner, "nonnegative") and values.min() < 0:
        raise Refused(
            f"The learner {table.learner} needs activations of 0 or more. Received: {values.min():.3g} in {table.layer!r}. {_alternatives(network)}"
        )
    if not learners.tag(learner, "crops"):
        # Rows that are not read yet: their number alone is looked at.
        refuse_count(min(table.most, count * values.shape[1]), table.atoms)


def _alternatives(network):
    """The layers that end in a ReLU, and the learners that need none, in a sentence."""
    layers = [path for path in network.shapes if _is_rectified(network.tree.get(path))]
    first = (
        f"Layers behind a ReLU are {', '.join(layers[-4:])}. "
        if layers
        else "This network has no layer behind a ReLU. "
    )
    return f"{first}Or take the learner sparse_autoencoder, pca or kmeans."


def _is_rectified(layer):
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return type(layer).__name__ in ("ReLU", "ReLU6") or activation in ("relu", "relu6")


def _refuse_other_tables(recipe):
    if recipe.world or recipe.planted or recipe.data:
        raise Refused("A dictionary is learned from images of a [model]. Received: [dictionary] beside other data.")
    if recipe.gallery:
        raise Refused("A page has one gallery. Received: [dictionary] beside [[gallery]]. Leave one of them out.")


# Lines --------------------------------------------------------------------------------------------------------------------


def load_verdicts(store):
    """The verdicts on the atoms of the trained network: list of dict, or None where they were not judged.

    Args:
        store: `Store` of the run.
    """
    if not (store.exists("dictionary/effects/trained") and store.exists("verdicts")):
        return None
    return store.values("verdicts", "verdicts.json")["0-dictionary"]["verdicts"]


def load_networks(store):
    """The figures of the dictionaries of each network, with how many atoms have which finding.

    Args:
        store: `Store` of the run.

    Returns:
        list of dict, empty where nothing was judged.
    """
    trained = load_verdicts(store)
    if trained is None or not store.exists("dictionary/summary"):
        return []
    summary = store.values("dictionary/summary", "summary.json")
    verdicts = {"trained": trained, "untrained": summary["untrained"]}
    return [{**row, "findings": _count_findings(verdicts[row["network"]])} for row in summary["networks"]]


def _count_findings(verdicts):
    findings = [verdict["finding"] for verdict in verdicts]
    return {finding: findings.count(finding) for finding in dict.fromkeys(findings)}


def summarize(jobs, store):
    """How well the atoms rebuild the layer, how many move the score, and the same of a network that was never trained.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    return [f"{row['network']} network: {network_words(row)}" for row in load_networks(store)]


def network_words(row):
    """The figures of one network in words: str.

    Args:
        row: dict, one of `load_networks`.
    """
    quality = row["seeds"][0]
    words = [
        f"R2 {_number(quality['r2'])}",
        f"score recovered {_number(quality['score'])}",
        f"{quality['active']:.1f} active atoms a position",
        f"{quality['dead']} dead",
        _effect_words(row),
    ]
    return "; ".join([*words, *_stability_words(row)])


def _effect_words(row):
    return f"{row['findings'].get('EFFECT', 0)} of {count_noun(sum(row['findings'].values()), 'atom')} move the score"


def _stability_words(row):
    """How much alike the atoms of other seeds are: list of one text, or empty for one seed."""
    if not row["stability"]:
        return []
    learned, random = (_number(row["stability"][name]) for name in ("learned", "random"))
    return [f"atoms of other seeds {learned} alike, {random} by chance"]


def _page_lines(row):
    """The same as two short sentences: list of str."""
    quality, name = row["seeds"][0], row["network"].capitalize()
    first = f"{name} network: R2 {_number(quality['r2'])}, score recovered {_number(quality['score'])}, {_effect_words(row)}."
    return [first, *(f"{name} network: {words}." for words in _stability_words(row))]


def _number(value):
    return "unknown" if value is None else f"{value:.2f}"


def list_rows(jobs, store):
    """The figures of each network for JSON.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        dict of "dictionary" to list of dict.
    """
    rows = load_networks(store)
    return {"dictionary": rows} if rows else {}


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_quality(recipe, jobs, store):
    """The figures of the dictionaries, or None."""
    rows = load_networks(store)
    if not rows:
        return None
    from recipes.report.atoms import quality

    lines = [line for row in rows for line in _page_lines(row)]
    doubt = "An atom that moves the score need not mean what its pictures show."
    sentences = {"What was looked at": lines, "What cannot be said": [doubt]}
    return {**quality(recipe, store, load_verdicts(store)), "networks": rows, "sentences": sentences}


def _show_atoms(recipe, jobs, store):
    """The atoms as tiles, or None; beyond some hundreds their shards are files beside the page."""
    verdicts = load_verdicts(store)
    if verdicts is None:
        return None
    from recipes.report.atoms import tiles

    return tiles(recipe, store, [job for job in jobs if job.kind == "atoms"], verdicts)


# Command -----------------------------------------------------------------------------------------------------------------


@click.command(
    "dictionary",
    cls=PlainCommand,
    headings={
        "Dictionary": ("layer", "learner", "atoms", "active", "train_steps", "seeds"),
        "Atoms": ("target", "pictures", "names"),
    },
    examples=(
        (
            "lab dictionary --layer conv2 --images photos/ --atoms 12 --train-steps 200 --model my.keras --input-range -1 1",
            "a sparse autoencoder",
        ),
        (
            "lab dictionary --layer conv2 --images photos/ --learner nmf --atoms 6 --pictures --model my.keras --input-range -1 1",
            "parts, each with a picture of its own",
        ),
        (
            "lab dictionary --layer conv2 --images photos/ --learner pca --atoms 4 --class cup --json --model my.keras --input-range -1 1 --classes names.txt",
            "which components move the logit of a class",
        ),
    ),
)
@model_options
@run_options
@click.option("--layer", required=True, help="Path of a layer (`lab list layers`).")
@click.option(
    "--images",
    multiple=True,
    type=click.Path(),
    help="Folder of images to learn from, a file, a CSV list or a shard (.tar, .tfrecord). May be repeated.  [default: photographs of the installed packages]",
)
@click.option(
    "--learner",
    default="sparse_autoencoder",
    show_default=True,
    help="sparse_autoencoder, nmf, craft (of the images of a --class), kmeans or pca.",
)
@click.option("--atoms", type=click.IntRange(1), default=64, show_default=True, help="Number of atoms.")
@click.option(
    "--active",
    type=click.IntRange(1),
    help="For sparse_autoencoder: active atoms of each position.  [default: one in eight, 16 at most]",
)
@click.option(
    "--train-steps", type=click.IntRange(1), help="For sparse_autoencoder: steps of training.  [default: 4000]"
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Number of dictionaries from different seeds, whose atoms are compared.",
)
@click.option(
    "--class",
    "target",
    default="top",
    show_default=True,
    help="Class name or index whose logit atoms may move; top: the highest class of each image.",
)
@click.option("--pictures", is_flag=True, help="Draw what excites each atom most.")
@click.option("--names", type=click.Path(), metavar="FILE", help="CSV file with your own names: columns atom and name.")
@verdict_options
@click.pass_context
def command(context, images, active, train_steps, fail_on, baseline, **options):
    """Find what a layer's activations are made of: atoms, each with the images that excite it.

    Each atom is taken out of the layer, and so are random directions of the same energy: does it move the score more? The
    same is done on a network that was never trained. Atoms have numbers, and the names that you give them.
    """
    names = ("layer", "learner", "atoms", "seeds", "target", "pictures", "names")
    learner_options = {"active": active, "steps": train_steps}
    table = {name: options.pop(name) for name in names}
    table["options"] = {name: value for name, value in learner_options.items() if value is not None}
    tables = {"dictionary": table, "images": natural_images_table(images), "baseline": baseline}
    launch_tables(context, "dictionary", options, tables, fail_on)


register(
    Section(
        name="dictionary",
        table=Dictionary,
        list_jobs=list_jobs,
        work={
            "dictionary state": Deferred("recipes.dictionaries:train"),
            "dictionary": Deferred("recipes.dictionaries:learn_dictionary"),
            "atom effects": Deferred("recipes.dictionaries:measure_effects"),
            "dictionary summary": Deferred("recipes.dictionaries:gather"),
            "atom examples": Deferred("recipes.dictionaries:find_examples"),
            "atoms": Deferred("recipes.dictionaries:show_atoms"),
            "atom pictures": Deferred("recipes.dictionaries:draw_atoms"),
        },
        many=False,
        place=25,
        refuse=_refuse_other_tables,
        rows=list_rows,
        summary=summarize,
        judges=lambda recipe: True,
        pieces=(
            Piece("dictionary", "Dictionary", "dictionary.html", _show_quality, place=38),
            Piece("atoms", "Atoms", "gallery.html", _show_atoms, place=39, script="gallery.js"),
        ),
    )
)
