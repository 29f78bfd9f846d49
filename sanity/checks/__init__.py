"""Checks: (explainer, subject, *, seed, options) -> Evidence, one check a file, found by being there.

A check never knows which method it measures. Its rule stands below it.

The tag `prepare` names a function (subject, *, seed, ...) whose result all methods may share. One that takes `once` may share with
other checks of the same subject too.
"""

import importlib
import pkgutil

from lab.registry import Registry, options

checks = Registry("check")


def shared(check, subject, seed, settings, once=None):
    """What all methods under a check may share: {"prepared": ...} for its call, or nothing where it shares nothing.

    once: (key, make) -> what `make()` makes, made once for this subject and seed, whatever the check; None: made anew.
    """
    prepare = checks.tag(check, "prepare")
    if prepare is None:
        return {}
    known = options(prepare)
    chosen = {name: value for name, value in {**settings, "once": once}.items() if name in known and value is not None}
    made = prepare(subject, seed=seed, **chosen)
    return {} if made is None else {"prepared": made}


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"sanity.checks.{_module.name}")
