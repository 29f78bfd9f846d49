"""Manifest: what decides a run: its recipe, and the hashes of network, images, code and versions."""

from recipes import provenance, schema
from recipes.store import digest


def describe_run(recipe, session):
    """What decides a run, as it is written to manifest.json.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        dict of recipe, hashes, code, versions, seed, and the digest that names the run's folder.
    """
    methods = schema.method_names(recipe)
    manifest = {
        "recipe": schema.plain_values(recipe),
        "hashes": session.hashes(),
        "code": {"lab": provenance.lab_hash(), **session.sources()},
        "versions": provenance.versions(methods),
        "seed": recipe.seed,
    }
    return {**manifest, "digest": digest(manifest)[:12]}
