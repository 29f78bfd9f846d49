"""Checks: (explainer, subject, *, seed, options) -> Evidence, one check a file, found by being there.

A check never knows which method it measures. Its rule stands below it.

The tag `prepare` holds a function (subject, *, seed, ...) whose result all methods share. If it takes `once`, other
checks of the same subject share it too. The tag `networks` names the kinds of networks of a world (`sanity.world_networks`)
that it trains beside the replicates. The tag `measure_runs` holds a function that measures some of the random networks of a
check apart from the others, and `count_runs` one that says how many there are by default; the check takes `runs`.

A check with the tag `heads` measures the attention of the network itself, and no method: (subject, *, seed, options) -> list
of Evidence, one a head or control.
"""

import importlib
import pkgutil

from lab.registry import Registry, options

checks = Registry("check")


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


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"sanity.checks.{_module.name}")
