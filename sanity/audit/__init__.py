"""Audit: may this network be used? Questions about its reasons, failures, data, proxies and groups, each with its own checks.

A check of an audit takes an `AuditSubject` and gives Evidence, one record for each thing that it speaks of. Its tag `question`
names the question that it belongs to.

`audit(network, test, ...)` asks all of them in Python.
"""


def __getattr__(name):
    # The checks import modules of this package, which the function would import too early.
    if name != "audit":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sanity.audit.questions import audit

    return audit
