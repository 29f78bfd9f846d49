"""Plugin: the fixture `lab_check`, for a test suite to ask for a verdict on its own model.

    def test_my_maps_respond(lab_check):
        verdict = lab_check(model, images, "gradcam", input_range=(-1, 1))
        assert verdict.outcome != "FAIL", verdict.sentence

pytest finds it by itself where the lab is installed. Nothing is imported before the fixture is used.
"""

import pytest


@pytest.fixture(scope="session")
def lab_check():
    """(model, images, method, *, check, seed, target, labels, fit, options, load options) -> `sanity.verdict.Verdict`.

    model: what `lab.load` takes, or a `Network`. images: arrays of RGB in 0..255, or a folder. method: a name or a callable.
    check: a name of `lab list checks`. settings: the check's own options; options: the method's. Raises AssertionError where a
    control shows that the check is broken on this model: its verdict would not be worth having.
    """
    return _verdict


def _verdict(
    model,
    images,
    method,
    *,
    check="parameters",
    seed=0,
    target="top",
    labels=None,
    fit="squash",
    settings=None,
    options=None,
    **loading,
):
    import lab
    from lab.attribution import explainers
    from sanity.checks import checks, shared
    from sanity.controls import audit
    from sanity.subject import subject
    from sanity.verdict import judge

    network = model if isinstance(model, lab.Network) else lab.load(model, **loading)
    on = subject(network, _data(images, labels, network), target=target, fit=fit)
    ask, own = checks.get(check), dict(settings or {})
    common = shared(ask, on, seed, own)
    family = [ask(explainers.get(method), on, seed=seed, **common, **own, **(options or {}))]
    family += [ask(explainers.get(name), on, seed=seed, **common, **own) for name in explainers.names(control=True)]
    verdicts = judge(family, seed=seed)
    broken = [each for each in audit(verdicts[1:]) if not each.held]
    if broken:
        raise AssertionError(
            f"The check {check} is broken on this model: {broken[0].control} came out {broken[0].outcome}."
        )
    return verdicts[0]


def _data(images, labels, network):
    import numpy as np

    import lab

    if isinstance(images, str) or hasattr(images, "joinpath"):
        return lab.folder(images, channels=network.preprocessing.channels if network.preprocessing else 3)
    arrays = tuple(np.asarray(each) for each in images)
    return lab.Data(
        tuple(str(place) for place in range(len(arrays))), arrays, None if labels is None else tuple(map(str, labels))
    )
