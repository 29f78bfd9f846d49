"""Checks: (explainer, subject, *, seed, options) -> Evidence, one check a file. A check never knows which method it measures.

The tag `prepare` names a function (subject, *, seed, ...) whose result all methods may share.
"""

from lab.registry import Registry

checks = Registry("check")

from sanity.checks import (  # noqa: E402, F401  (registering)
    classes,
    completeness,
    contract,
    cue,
    decoy,
    entropy,
    faithfulness,
    implementation,
    invariance,
    labels,
    measurements,
    parameters,
    retraining,
    sensitivity,
    truth,
)
