"""Checks: (explainer, subject, *, seed, options) -> Evidence, one check a file, found by being there.

A check never knows which method it measures. Its rule stands below it.

The tag `prepare` holds a function (subject, *, seed, ...) whose result all methods share. If it takes `once`, other
checks of the same subject share it too. The tag `answer` names what of that is measured of the network itself
(`sanity.answers`), which a run keeps. The tag `networks` names the kinds of networks of a world (`sanity.world_networks`)
that it trains beside the replicates. The tag `measure_runs` holds a function that measures some of the random networks of a
check apart from the others, and `count_runs` one that says how many there are by default; the check takes `runs`.

The tag `claim` says what kind of claim a check judges, one of CLAIMS; "maps" without it. A check of any other claim
measures no method: (subject, *, seed, options) -> list of Evidence, one for each head, unit or control. The tag `table` names
the table of a recipe that holds a check, where that is not the one of its claim. Of data the tag `question` names the question of
an audit that a check answers, and `families` says how many families of tests it has, each with a level of its own; 1 without it.
"""

from lab.registry import Registry, options
from sanity.check_names import CLAIMS, check_modules  # noqa: F401  (CLAIMS is a public name)

checks = Registry("check", check_modules)


def claim_of(check):
    """What kind of claim a check judges: str, one of CLAIMS.

    Args:
        check: str, a registered name.
    """
    return checks.tag(checks.get(check), "claim", "maps")


def names_of(*claims):
    """The names of the checks of some claims, in order: list of str."""
    return [name for name in checks if claim_of(name) in claims]


def prepare_shared(check, subject, seed, settings, once=None):
    """What all methods under a check share, as arguments of its call.

    Args:
        check: the check.
        subject: the `Subject`.
        seed: int.
        settings: dict, settings of the check.
        once: `(key, make)` -> the value of `make()`, computed once for this subject and seed, whatever the check; None:
            computed anew.

    Returns:
        {"prepared": ...}, or an empty dict where nothing is shared.
    """
    prepare = checks.tag(check, "prepare")
    if prepare is None:
        return {}
    known = options(prepare)
    arguments = {
        name: value for name, value in {**settings, "once": once}.items() if name in known and value is not None
    }
    prepared = prepare(subject, seed=seed, **arguments)
    return {} if prepared is None else {"prepared": prepared}
