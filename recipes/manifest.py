"""Manifest: what decides a run: its recipe, and the hashes of network, images, code and versions."""

from lab.remote import as_path, is_file
from recipes import provenance, schema
from recipes.identity import ALL, hashes
from recipes.model_file import content_hash
from recipes.store import digest


def describe_run(recipe, jobs, session):
    """What decides a run, as it is written to manifest.json.

    Args:
        recipe: `Recipe`.
        jobs: list of `Job`, those of the recipe.
        session: `Session`.

    Returns:
        dict of network (hashes of its file and of its weights, by which other runs of it are found), recipe, hashes, code,
        versions, seed, jobs (a hash of their identities), and the digest that names the run's folder.
    """
    read = hashes(jobs, session)
    shards = {name: value for name, value in read.items() if name.startswith("images:")}
    read = {name: value for name, value in read.items() if name not in shards}
    # There may be thousands of shards. The identity of each job has the hash of its own.
    read |= {"images in shards": digest(shards)} if shards else {}
    code = {name.partition(":")[2]: value for name, value in read.items() if name.startswith("code:")}
    versions = {name.partition(":")[2]: value for name, value in read.items() if name.startswith("version:")}
    manifest = {
        "network": _network(recipe, session) if "model" in read else None,
        "recipe": schema.plain_values(recipe),
        "hashes": {name: read[name] for name in read if name not in ALL and not name.startswith(("code:", "version:"))},
        "code": {"lab": read["lab"], **code, **{name: session.hash_of(f"code:{name}") for name in session.modules}},
        "versions": {**provenance.versions(schema.method_names(recipe)), **versions},
        "seed": recipe.seed,
        "jobs": digest([[job.key, job.identity] for job in jobs]),
    }
    return {**manifest, "digest": digest(manifest)[:12]}


def _network(recipe, session):
    """Hashes by which the network is known again, wherever its file lies: dict of file and weights."""
    source = recipe.model.reference
    # Weights that are drawn are none of the file's, and a network in memory may have none.
    has_file = recipe.model.weights != "random" and (session.loaded.network is None or is_file(as_path(source)))
    file = content_hash(source) if has_file else None
    return {"file": file, "weights": session.hash_of("weights")}
