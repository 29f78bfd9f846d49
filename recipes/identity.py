"""Identity: a hash of all that decides the bytes of a job, by which a job that another run has done is known again."""

import hashlib
import json
from dataclasses import replace

from recipes.provenance import ADAPTED

# What every job depends on: the code of the lab, the versions of libraries, and the number of threads of the recipe.
ALL = ("lab", "versions", "threads", "gpus")


def identified(jobs, session):
    """Jobs with their identities.

    An identity covers a job's kind and arguments, the hashes of what it reads, and the identities of the jobs that it needs.
    The key is left out, so that a job is known again where it stands at another place of another recipe.

    Args:
        jobs: list of `Job`, each after those that it needs.
        session: `Session`.

    Returns:
        list of `Job`.
    """
    identities, result = {}, []
    for job in jobs:
        identities[job.key] = _identity(job, session, identities)
        result.append(replace(job, identity=identities[job.key]))
    return result


def _identity(job, session, identities):
    hashes = [(name, session.hash_of(name)) for name in (*ALL, *sorted(job.reads))]
    needs = [identities[need] for need in job.needs]
    text = json.dumps([job.kind, job.arguments, job.gathers, hashes, needs], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value):
    """What JSON has no form for: arrays as lists of all their numbers, anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def hashes(jobs, session):
    """The hashes of all that some jobs read.

    Args:
        jobs: list of `Job`.
        session: `Session`.

    Returns:
        dict of name to str.
    """
    names = {name for job in jobs for name in job.reads}
    return {name: session.hash_of(name) for name in (*ALL, *sorted(names))}


def method_reads(method, options):
    """What a job reads to have a method: its module, or the version of the library that it adapts.

    Args:
        method: str, a registered name or "module:function".
        options: dict, those of the method. Another method that it wraps is read, too.

    Returns:
        tuple of str.
    """
    wrapped = options.get("explainer")
    inner = method_reads(wrapped, {}) if isinstance(wrapped, str) else ()
    if ":" in method:
        return (f"code:{method.partition(':')[0]}", *inner)
    package = method.partition(".")[0]
    return ((f"version:{ADAPTED[package]}",) if package in ADAPTED else ()) + inner


# What a check reads that compares a method with those of all libraries at hand.
ALL_LIBRARIES = tuple(f"version:{name}" for name in ADAPTED.values())
