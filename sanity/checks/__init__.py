"""Checks: (explainer, subject, *, seed, options) -> Evidence, one check a file. A check never knows which method it measures.

The tag `prepare` names a function (subject, *, seed, ...) whose result all methods may share.
"""

from lab.registry import Registry, options

checks = Registry("check")


def shared(check, subject, seed, settings):
    """What all methods under a check may share: {"prepared": ...} for its call, or nothing where it shares nothing."""
    prepare = checks.tag(check, "prepare")
    if prepare is None:
        return {}
    made = prepare(subject, seed=seed, **{name: value for name, value in settings.items() if name in options(prepare)})
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
