"""Checks: (explainer, subject, *, seed, options) -> Evidence, one check a file. A check never knows which method it measures.

The tag `prepare` names a function (subject, *, seed, ...) whose result all methods may share. One that takes `once` may share with
other checks of the same subject too.
"""

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


from sanity.checks import (  # noqa: E402, F401  (registering)
    class_crossing,
    classes,
    completeness,
    contract,
    cue,
    derivative,
    entropy,
    faithfulness,
    image_crossing,
    implementation,
    invariance,
    labels,
    measurements,
    parameters,
    place,
    retraining,
    sensitivity,
    truth,
)
