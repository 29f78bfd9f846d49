"""Check: whether maps respond to what a network learned: evidence of every method, and verdicts beside controls."""

from dataclasses import replace
from typing import Any

import click
from pydantic import ConfigDict, Field

from lab.refusal import Refused
from recipes.claims import home_of, refuse_other_claims
from recipes.errors import plain_errors
from recipes.fields import Methods, TargetTable
from recipes.help import Choice, PlainCommand
from recipes.identity import ALL_LIBRARIES, method_reads
from recipes.job import ANSWERS, Job, slug
from recipes.launch import launch_tables
from recipes.options import (
    DATA_DETAILS,
    FUNCTION_CHECKS,
    FUNCTION_METHODS,
    data_options,
    data_source,
    function_options,
    image_source,
    method_names,
    method_option,
    method_settings,
    model_options,
    picture_options,
    refuse_details,
    run_options,
    split_names,
    target_options,
    typed_or,
    verdict_options,
)
from recipes.rows import UNJUDGED, verdict_rows
from recipes.section import Deferred, Piece, Section
from recipes.sections import register
from recipes.sections.features import feature_tables
from recipes.sections.planted import planted_tables
from recipes.sections.world import question as world_question
from recipes.sections.world import world_table
from recipes.words import count_noun


class Check(TargetTable):
    """One check of some methods, beside its controls. Any other key is an option of the check itself.

    With `shard`, a job measures so many of the random networks of the check.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    check: str = "parameters"
    methods: Methods = ["gradient", "gradcam"]
    controls: bool = True
    options: dict[str, dict[str, Any]] = {}
    shard: int | None = Field(None, ge=1)

    @property
    def settings(self):
        """The options of the check itself: dict of name to value."""
        return dict(self.model_extra)


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs that measure every method and control under every check.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for a class, method, check or setting that does not exist.
    """
    evidence = [job for number in range(len(recipe.check)) for job in _evidence_jobs(number, recipe, session)]
    answers = _answer_jobs(evidence, session)
    return [*answers.values(), *(_after_answer(job, answers) for job in evidence)]


def _answer_jobs(evidence, session):
    """The jobs that measure what the network itself shows, one for all checks that share it: dict of what is asked to `Job`."""
    from sanity.check_names import tag_of

    checks, rows = {(job.arguments["check"], str(job.arguments["question"])): job for job in evidence}, {}
    for job in checks.values():
        if job.kind == "evidence" and tag_of(job.arguments["check"], "answer") and _asks(job, session):
            rows.setdefault(_asked(job), job)
    return {key: _answer_job(place, job, session) for place, (key, job) in enumerate(rows.items())}


def _asks(job, session):
    """Whether a check asks the network itself: bool. In a world, that is known when its networks are trained."""
    from sanity.answers import asks

    question, sources = job.arguments["question"], session.sources
    return sources.has_world or asks(job.arguments["check"], session.subject(question), job.arguments["seed"])


def _asked(job):
    """What tells one answer of the network from another: its name, and what is asked about."""
    from sanity.check_names import tag_of

    return tag_of(job.arguments["check"], "answer"), str(sorted((job.arguments["question"] or {}).items(), key=str))


def _answer_job(place, job, session):
    from sanity.answers import answers
    from sanity.check_names import tag_of

    name, question = tag_of(job.arguments["check"], "answer"), job.arguments["question"]
    images = question["images"] if session.sources.has_world else len(session.images)
    return Job(
        f"{ANSWERS}{place}-{name}",
        "answer",
        {"answer": name, "question": question, "seed": job.arguments["seed"]},
        _network_needs(session.sources),
        passes=images * answers.tag(answers.get(name), "passes"),
        reads=_subject_reads(session.sources),
    )


def _after_answer(job, answers):
    """A job of evidence that waits for what the network itself shows. Where that failed, it is measured once more there."""
    answer = answers.get(_asked(job)) if job.kind == "evidence" else None
    return replace(job, needs=(answer.key, *job.needs), optional=(answer.key,)) if answer else job


def _evidence_jobs(number, recipe, session):
    """The jobs that measure one check, of its methods and its controls; or of all heads: iterator of `Job`."""
    from recipes.explanations import refuse_unknown_options
    from sanity.checks import claim_of
    from sanity.examination import refuse_settings

    check = recipe.check[number]
    refuse_other_claims(check.check, "check")
    refuse_settings(check.check, check.settings)
    refuse_unknown_options(check)
    question = _question(recipe, check, session)
    if not recipe.has_world:
        session.subject(question)
    if claim_of(check.check) != "maps":
        yield _heads_job(f"{number}-{check.check}", check, question, recipe.seed, session)
        return
    shards = _shards(check, recipe, question) if check.shard else []
    for method in [*check.methods, *_controls(check)]:
        job = _evidence_job(f"{number}-{check.check}", check, method, question, recipe.seed, session)
        yield from _split(job, shards) if shards else [job]


def _shards(check, recipe, question):
    """The random networks of a check in shards: list of [start, stop]."""
    from sanity.checks import checks

    count_runs = checks.tag(checks.get(check.check), "count_runs")
    if count_runs is None:
        names = [name for name in checks if checks.tag(checks.get(name), "count_runs")]
        raise Refused(
            f"shard is for checks that compare random networks: {', '.join(names)}. Received: shard={check.shard} for {check.check}. Leave it out."
        )
    replicates = question.get("replicates") or (recipe.training.counts[0][1] if recipe.training else 1)
    count = int(check.settings.get("seeds") or count_runs(replicates))
    return [[start, min(start + check.shard, count)] for start in range(0, count, check.shard)]


def _split(job, shards):
    """A job of evidence as jobs of shards of its random networks, and the one that gathers them: list of `Job`."""
    jobs = [
        replace(
            job,
            key=f"{job.key}-{start}",
            kind="evidence shard",
            judged_in="",
            arguments={**job.arguments, "networks": [start, stop]},
            passes=job.passes / len(shards),
        )
        for start, stop in shards
    ]
    keys = [part.key for part in jobs]
    # The key of a job is not in its identity, so that the shards are its last needs, and not among its arguments.
    arguments = {**job.arguments, "shards": len(keys)}
    needs, passes = (*job.needs, *keys), job.passes / len(shards)
    return [*jobs, replace(job, arguments=arguments, needs=needs, gathers=True, passes=passes)]


def _question(recipe, check, session):
    """What a check asks about: dict, see `Session.subject`."""
    if recipe.planted:
        return recipe.planted.question
    return world_question(recipe, session) if recipe.world else check.question


def _controls(check):
    """Names of the explainers that are blind on purpose, those among the methods left out: list of str."""
    from lab.attribution import explainers

    return [name for name in explainers.names(control=True) if name not in check.methods] if check.controls else []


def _evidence_job(folder, check, method, question, seed, session):
    from lab.attribution.calls import refuse_options
    from recipes.explanations import passes

    explainer, options = session.method(method), check.options.get(method, {})
    refuse_options(explainer, options)
    images = question["images"] if session.sources.has_world else len(session.images)
    cost = images * passes(explainer, options, None if session.sources.world else session.network)
    arguments = {"check": check.check, "method": method, "question": question, "settings": check.settings}
    return Job(
        f"check/{folder}/{slug(method)}",
        "evidence",
        {**arguments, "options": options, "seed": seed},
        _network_needs(session.sources),
        passes=cost * _explanations_of_an_image(check),
        reads=(*_subject_reads(session.sources), *method_reads(method, options), *_libraries(check.check)),
        judged_in=folder,
    )


# Passes of every input that a check of heads takes for each head, about.
PASSES_OF_A_HEAD = 100


def _heads_job(folder, check, question, seed, session):
    images = question["images"] if session.sources.has_world else len(session.images)
    heads = 1 if session.sources.world else sum(row.heads or 1 for row in session.network.attentions.values())
    arguments = {"check": check.check, "method": "all attention", "question": question, "settings": check.settings}
    return Job(
        f"check/{folder}/heads",
        "evidence of heads",
        {**arguments, "seed": seed},
        _network_needs(session.sources),
        passes=images * heads * check.settings.get("draws", PASSES_OF_A_HEAD),
        reads=_subject_reads(session.sources),
        judged_in=folder,
    )


def _network_needs(sources):
    """The job that every check waits for where networks are trained: tuple of keys."""
    if sources.planted:
        return ("planted",)
    return ("networks",) if sources.world else ("replicates",) if sources.training else ()


def _subject_reads(sources):
    """What every check reads: tuple of str."""
    if sources.planted:
        return ("world", "model", "planting")
    if sources.world:
        return ("world",)
    return ("model", sources.read, "training") if sources.training else ("model", sources.read)


def _libraries(check):
    """The libraries that a check itself looks for: tuple of str."""
    return ALL_LIBRARIES if check == "implementation" else ()


def _explanations_of_an_image(check):
    """How often a check explains each image, roughly: int."""
    seeds = check.settings.get("seeds") or 6
    return 3 + seeds * (1 if check.settings.get("mode", "full") == "full" else 20)


def _leads_to_verdicts(recipe):
    """Whether any check of a recipe leads to verdicts, and not to numbers alone: bool."""
    from sanity.check_names import tag_of

    return any(tag_of(check.check, "judged", True) for check in recipe.check)


# Lines --------------------------------------------------------------------------------------------------------------------


def _load_families(store):
    """The verdicts of a run by check: dict, empty where nothing was judged."""
    return store.values("verdicts", "verdicts.json") if store.exists("verdicts") else {}


def verdict_lines(jobs, store):
    """One line a verdict.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    return [
        f"{family}  {verdict['method']:<22} {verdict['outcome']:<13} {verdict['sentence']}"
        for family, verdict in verdict_rows(_listed(_load_families(store)))
    ]


def _listed(families):
    """Families whose verdicts are lines: those on atoms are hundreds, and counted by their section."""
    return {name: family for name, family in families.items() if home_of(name, family) != "dictionary"}


def summarize(jobs, store):
    """How many methods were checked, their verdicts by outcome, and whether the controls held.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    # Sections of other claims say themselves what came out.
    families = {
        name: family for name, family in _load_families(store).items() if home_of(name, family) in ("check", "features")
    }
    return _summary_lines(families) if families else []


def _summary_lines(families):
    """How many methods were checked, their verdicts by outcome, and whether the controls held: three lines."""
    blind = {method for family in families.values() for method in family["blind"]}
    verdicts = [verdict for _, verdict in verdict_rows(families) if verdict["method"] not in blind]
    methods = {verdict["method"] for verdict in verdicts}
    by_outcome = {}
    for verdict in verdicts:
        outcome = verdict["finding"] if verdict["finding"] in UNJUDGED else verdict["outcome"]
        by_outcome.setdefault(outcome, []).append(verdict["method"])
    words = [f"{len(names)} {outcome} ({', '.join(dict.fromkeys(names))})" for outcome, names in by_outcome.items()]
    held = [control["held"] for family in families.values() for control in family["controls"]]
    return [
        f"{count_noun(len(methods), 'method')} checked by {count_noun(len(families), 'check')}",
        f"verdicts: {', '.join(words) or 'none'}",
        f"controls: {sum(map(bool, held))} of {len(held)} as they must be" if held else "no controls were run",
    ]


# Page ---------------------------------------------------------------------------------------------------------------------

# Tables of a recipe whose verdicts are cards.
CARDS = ("check", "features", "concept")


def _show_verdicts(recipe, jobs, store):
    """All verdicts, or None."""
    from recipes.report.cards import collect_families, report_card
    from recipes.report.findings import FINDINGS
    from sanity.verdict import FOOTER

    # The others have a part of the page of their own.
    homes = {name: home_of(name, family) for name, family in _load_families(store).items()}
    families = [family for family in collect_families(store, jobs) if homes[family["id"]] in CARDS]
    if not families:
        return None
    return {"families": families, "matrix": report_card(families), "findings": FINDINGS, "footer": FOOTER}


def _show_changes(recipe, jobs, store):
    """The verdicts beside those of the baseline, or None without one."""
    from recipes.baseline import load_changes
    from recipes.changes import brief_words, count_words, listed_rows

    comparison = load_changes(store)
    if comparison is None:
        return None
    listed = listed_rows(comparison)
    others = [row for row in comparison["rows"] if not row["control"] and row not in listed]
    words = {"brief_words": brief_words, "counted": count_words(comparison)}
    return {"changes": comparison, "listed": listed, "others": others, **words}


def _show_measurements(recipe, jobs, store):
    """Numbers without a verdict, or None."""
    from recipes.report.measurements import collect_measurements

    tables = collect_measurements(store)
    return {"measurements": tables} if tables else None


def _show_published(recipe, jobs, store):
    """Figures of papers beside those of the run, or None."""
    from recipes.evidence import load_evidence
    from recipes.report.published import compare_to_published

    published = compare_to_published(recipe, [load_evidence(store, job.key) for job in jobs if job.kind == "evidence"])
    return published and {"published": published}


# Command -----------------------------------------------------------------------------------------------------------------


@click.command(
    "check",
    cls=PlainCommand,
    headings={
        "Data": ("data_path", *DATA_DETAILS, "most"),
        "World": ("world", "planted", "samples"),
        "Networks": ("replicate", "train", "finetune", "replicates", "permuted_label_networks"),
        "Method": ("method_options",),
        "Check": ("subject", "check_names", "mode", "seeds", "fooled", "detector", "others"),
    },
    examples=(
        (
            "lab check --images photos/ --method gradient,gradcam --model my.keras --input-range -1 1 --classes names.txt",
            "do maps respond to the weights?",
        ),
        (
            "lab check --images photos/ --method gradient --seeds 2 --json --model my.keras --input-range -1 1 --classes names.txt",
            "as JSON",
        ),
        (
            "lab check --data loans.csv --label default --method gradient,integrated_gradients --check image_crossing --model credit.keras",
            "on the rows of a table",
        ),
    ),
)
@model_options
@function_options
@run_options
@data_options
@click.option(
    "--images",
    multiple=True,
    type=click.Path(),
    help="Folder of photographs, with a subfolder for each label; or a file. May be repeated; 48 images are used at most.  [default: photographs of the installed packages]",
)
@click.option(
    "--most",
    type=click.IntRange(1),
    metavar="N",
    help="Use so many photographs, rows or texts at most.  [default: 48; of a table from places at equal distances]",
)
@click.option("--world", help="A data set with planted truth (`lab list worlds`), instead of a model and images.")
@click.option(
    "--planted",
    metavar="FOLDER",
    type=click.Path(),
    help="A folder that lab plant wrote: its model and data, and networks that use one of two cues.",
)
@click.option(
    "--replicate",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    help="A network trained like the model from another seed. May be repeated; the verdict on weights is then about networks trained like these.",
)
@click.option(
    "--train",
    metavar="MODULE:FUNCTION",
    help="A function of your own, train(inputs, labels, *, seed) or train(dataset, *, seed), that trains a network like the model. It is imported and run.",
)
@click.option(
    "--finetune",
    is_flag=False,
    flag_value="auto",
    metavar="[LAYER]",
    help="Train networks on your labels from this layer on: all behind it is drawn anew. Without LAYER: all of a small network, a late layer of a large one.",
)
@click.option(
    "--replicates",
    type=click.IntRange(1),
    help="Number of networks to train in a world, by --train or by --finetune, from different seeds.  [default: 4]",
)
@click.option(
    "--permuted-label-networks",
    type=click.IntRange(0),
    help="Number of networks to train on permuted labels.  [default: as --replicates for the check labels, or 0]",
)
@click.option("--samples", type=click.IntRange(8), help="Number of samples of a world to explain.  [default: 48]")
@click.option(
    "--method",
    default="gradient,gradcam",
    show_default=True,
    help="Names of `lab list methods`, all, or module:function, separated by commas. For a --function the default is kernel_shap,lime.",
)
@method_option
@click.option(
    "--subject",
    type=Choice(["maps", "features"]),
    default="maps",
    show_default=True,
    help="Check maps of methods, or pictures of units (--layer, --units).",
)
@click.option(
    "--check",
    "check_names",
    help="Names of `lab list checks`, separated by commas, or all. Not in all: retraining, which trains 28 networks a method and 12 for all, and those of attention, which measure heads and no methods.  [default: parameters; for features all; for a --function class_crossing,image_crossing]",
)
@picture_options
@click.option(
    "--fooled",
    is_flag=True,
    help="For features: also check a network that was built to fool them. It is the control of path, and must fail.",
)
@click.option(
    "--detector",
    help="With --fooled: layer that tells natural from synthetic images.  [default: a third of the way to --layer]",
)
@click.option(
    "--others",
    metavar="MODELS",
    help="For features of logits: names of other networks that are shown the pictures, separated by commas.",
)
@click.option(
    "--mode",
    type=Choice(["full", "top_down", "bottom_up", "independent"]),
    help="For parameters: randomize all weights at once, or block by block.  [default: full]",
)
@click.option(
    "--seeds",
    type=click.IntRange(2),
    help="For parameters: number of random networks.  [default: as --replicates, 3 at the least; 6 for one network]",
)
@target_options
@verdict_options
@click.pass_context
def command(
    context,
    images,
    data_path,
    most,
    world,
    planted,
    replicate,
    train,
    finetune,
    replicates,
    permuted_label_networks,
    samples,
    method,
    subject,
    check_names,
    method_options,
    mode,
    seeds,
    target,
    output,
    region,
    levels,
    fail_on,
    baseline,
    **shared_options,
):
    """Check whether maps respond to weights, labels and classes, find planted truth, and stay where they must.

    With --subject features: check whether pictures of units show what the units do on natural images.

    A verdict says what was measured on this network and these images, and what cannot be concluded.
    """
    function = shared_options["function"]
    method = typed_or(context, "method", method, function, FUNCTION_METHODS)
    check_names = typed_or(context, "check_names", check_names, function, FUNCTION_CHECKS)
    picture_settings = {name: shared_options.pop(name) for name in PICTURE_OPTIONS}
    details = {name: shared_options.pop(name) for name in DATA_DETAILS}
    if subject == "features":
        _refuse_options(context, MAP_OPTIONS, "is an option of --subject maps. Received: --subject features.")
        tables = feature_tables(picture_settings, check_names, images)
        tables |= {"baseline": baseline} if baseline else {}
        launch_tables(context, "features", shared_options, tables, fail_on)
        return
    _refuse_options(
        context, PICTURE_OPTIONS, "is an option of pictures: add --subject features. Received: --subject maps."
    )
    with plain_errors():
        question = {"methods": method_names(method), "target": target, "output": output, "region": region}
        # What is planted is found by the check truth.
        names = _check_names(check_names or ("truth" if planted else "parameters"))
        question["options"] = method_settings(method_options)
        settings = {"mode": mode, "seeds": seeds}
        tables = {"check": [{"check": name, **question, **_known_settings(name, settings)} for name in names]}
        tables |= {"baseline": baseline} if baseline else {}
    world_settings = {"replicates": replicates, "permuted_label_networks": permuted_label_networks, "images": samples}
    if planted:
        _refuse_options(context, PLANTED_BRINGS, "is brought by --planted. Received: both of them.")
        with plain_errors():
            tables |= planted_tables(planted, samples, shared_options["allow_code"])
        launch_tables(context, "check", shared_options, tables, fail_on)
        return
    with plain_errors():
        data = _data_table(images, data_path, details, target, shared_options["classes"])
    images = images or ([data_path] if data_path and not data else [])
    tables |= _subject_tables(context, world, world_settings, names, images, levels, (replicate, train, finetune))
    tables |= {"data": data} if data else {}
    if most:
        tables |= {"data": data | {"most": most}} if data else {"images": tables.get("images", {}) | {"most": most}}
    launch_tables(context, "check", shared_options, tables, fail_on)


def _data_table(images, path, details, target, classes):
    """A recipe's table of data, or None for photographs. Raises Refused for photographs beside other data."""
    if path is None:
        refuse_details(details, ", ".join(images) or "no --data")
        return None
    if images:
        raise Refused(f"Inputs come from one place. Received: --images {images[0]} and --data {path}.")
    return data_source(path, None, details, target, classes)


def _subject_tables(context, world, settings, check_names, images, levels, training):
    """A recipe's tables of a world, or of images and networks. Raises UsageError for options of the other one."""
    if world:
        _refuse_model(context)
        return {"world": world_table(world, settings, check_names)}
    with plain_errors():
        source = image_source(images, alternate=True) if images else {}
    tables = {"images": {**source, "levels": levels}} if source or levels else {}
    table = _training_table(settings, check_names, *training)
    return tables | ({"training": table} if table else {})


def _training_table(settings, check_names, files, function, finetune):
    """A recipe's table of networks trained like the model, or nothing. Raises UsageError for options of others."""
    if finetune is not None and (files or function):
        raise click.UsageError(
            f"--finetune trains networks by itself. Received: --finetune and {'--train' if function else '--replicate'}. Leave one of them out."
        )
    if finetune == "":
        raise click.UsageError("--finetune names a layer of `lab list layers`, or none. Received: an empty name.")
    counts = {name: settings[name] for name in ("replicates", "permuted_label_networks") if settings[name] is not None}
    if settings["images"] is not None:
        raise click.UsageError("--samples is an option of a world. Received: no --world.")
    if function is None and finetune is None and counts:
        raise click.UsageError(
            "--replicates and --permuted-label-networks are options of a world, and of --train and --finetune. Received: none of them."
        )
    if (function or finetune) and "labels" in check_names:
        counts.setdefault("permuted_label_networks", counts.get("replicates", 4))
    table = {"function": function, "finetune": finetune, "files": list(files), **counts}
    return {name: value for name, value in table.items() if value}


# Options of `lab check` that belong to one subject alone, maps or pictures.
MAP_OPTIONS = (
    "world",
    "planted",
    "data_path",
    "most",
    *DATA_DETAILS,
    "replicate",
    "train",
    "finetune",
    "replicates",
    "permuted_label_networks",
    "samples",
    "method",
    "method_options",
    "mode",
    "seeds",
    "target",
    "output",
    "region",
)
PLANTED_BRINGS = (
    "world",
    "source",
    "function",
    "weights",
    "input_range",
    "classes",
    "model_size",
    "images",
    "data_path",
    "most",
    *DATA_DETAILS,
    "levels",
    "seed",
    "replicate",
    "train",
    "finetune",
    "replicates",
    "permuted_label_networks",
    "target",
    "output",
    "region",
)
PICTURE_OPTIONS = ("layer", "units", "steps", "parameterization", "transforms", "fooled", "detector", "others")


def _refuse_options(context, names, rule):
    """Raise UsageError where one of some options was typed; the rule completes the sentence after its name."""
    for name in names:
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            option = {"source": "model", "data_path": "data"}.get(name, name.replace("_", "-"))
            raise click.UsageError(f"--{option} {rule}")


def _check_names(text):
    """Names in a --check option. "all" is every check of maps except retraining."""
    from sanity.check_names import names_of

    if text == "all":
        return [name for name in names_of("maps") if name != "retraining"]
    names = split_names(text)
    if not names:
        raise Refused(f"--check names at least one check. Received: {text!r}; see `lab list checks`.")
    for name in names:
        refuse_other_claims(name, "check")
    return names


def _known_settings(check, settings):
    """Those of some settings that a check has, and that were typed: dict."""
    from sanity.check_names import settings_of

    return {name: value for name, value in settings.items() if value is not None and name in settings_of(check)}


def _refuse_model(context):
    """Raise UsageError where an option of a model or of images is typed beside a world, which has its own."""
    typed = click.core.ParameterSource.COMMANDLINE
    for name in (
        "source",
        "function",
        "images",
        "data_path",
        "weights",
        "input_range",
        "classes",
        "model_size",
        "replicate",
        "train",
        "finetune",
    ):
        if context.get_parameter_source(name) == typed:
            option = {"source": "--model", "data_path": "--data"}.get(name, "--" + name.replace("_", "-"))
            raise click.UsageError(f"A world brings its own networks and samples. Received: --world and {option}.")


register(
    Section(
        name="check",
        table=Check,
        list_jobs=list_jobs,
        work={
            "answer": Deferred("recipes.evidence:measure_answer"),
            "evidence": Deferred("recipes.evidence:measure_evidence"),
            "evidence shard": Deferred("recipes.evidence:measure_shard"),
            "evidence of heads": Deferred("recipes.evidence:measure_heads"),
            "judge": Deferred("recipes.evidence:judge_family"),
            "changes": Deferred("recipes.baseline:compare_with_baseline"),
        },
        place=60,
        messages=Deferred("recipes.evidence:refused_measurements"),
        lines=verdict_lines,
        summary=summarize,
        judges=_leads_to_verdicts,
        pieces=(
            Piece("changes", "Since the baseline", "changes.html", _show_changes, place=28),
            Piece("verdicts", "Verdicts", "verdicts.html", _show_verdicts, place=30),
            Piece("measured", "Measurements", "measurements.html", _show_measurements, place=70),
            Piece("published", "Published figures", "published.html", _show_published, place=80),
        ),
    )
)
