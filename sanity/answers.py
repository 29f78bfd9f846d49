"""Answers: (subject, *, seed) -> dict of arrays, what a network itself shows by interventions, measured before any method.

Checks that share an answer name it by their tag `answer`, and a run keeps its arrays. It is empty where nothing can be asked. The
tag `passes` says how many gradients of one sample an image takes, about.
"""

import functools

from lab.registry import Registry

answers = Registry("answer", lambda: ("sanity.crossing", "sanity.cue_networks"))


def share(name, subject, seed, once=None):
    """An answer of a network, measured once for all that share it.

    Args:
        name: str, a registered answer.
        subject: the `Subject`.
        seed: int.
        once: as of `sanity.checks.prepare_shared`; None: it is measured anew.

    Returns:
        dict of arrays.
    """
    measure = functools.partial(answers.get(name), subject, seed=seed)
    return once(name, measure) if once else measure()


class _Asked(Exception):
    """A check has asked for its answer."""


def asks(check, subject, seed):
    """Whether a check asks for its answer, as one that does not apply to the subject does not. Nothing is measured for it.

    Args:
        check: str, a registered check with the tag `answer`.
        subject: the `Subject`.
        seed: int.

    Returns:
        bool.
    """
    from sanity.checks import checks

    try:
        checks.tag(checks.get(check), "prepare")(subject, seed=seed, once=_say_asked)
    except Exception:
        # It has asked. Or the model raised something where inputs are looked at, which the check reports for each method.
        return True
    return False


def _say_asked(name, measure):
    raise _Asked
