"""Plugin: the fixture `lab_check`, for a test suite to ask for a verdict on its own model.

    def test_my_maps_respond(lab_check):
        verdict = lab_check(model, images, "gradcam", input_range=(-1, 1))
        assert verdict.outcome not in ("FAIL", "INVALID"), verdict.sentence

pytest finds it by itself where the lab is installed. Nothing is imported before the fixture is used.
"""

import pytest


@pytest.fixture(scope="session")
def lab_check():
    """(model, images, method, *, check, seed, target, labels, fit, options, load options) -> `sanity.verdict.Verdict`.

    model: what `lab.load` takes, or a `Network`. images: arrays of RGB in 0..255, or a folder. method: a name or a callable.
    check: a name of `lab list checks`. settings: the check's own options; options: the method's. Raises AssertionError where the
    method raises, changes what is not its own or gives what is no map, and where a control shows that the check is broken on this
    model: a verdict would not be worth having.
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
    from lab.attribution.calls import refuse_options
    from sanity.examination import examine
    from sanity.subject import subject

    network = model if isinstance(model, lab.Network) else lab.load(model, **loading)
    explainer, options = explainers.get(method), options or {}
    refuse_options(explainer, options)
    on = subject(network, _data(images, labels, network), target=target, fit=fit)
    name = explainers.name(explainer)
    judged = examine(check, {name: explainer}, on, seed=seed, settings=settings, options={name: options})
    verdict = judged.verdicts[0]
    broken = [each for each in judged.controls if not each.held and each.control != name]
    if verdict.finding == "FAULT":
        raise AssertionError(verdict.sentence)
    if broken:
        raise AssertionError(
            f"The check {check} is broken on this model: {broken[0].control} came out {broken[0].outcome}."
        )
    return verdict


def _data(images, labels, network):
    import numpy as np

    import lab

    if isinstance(images, str) or hasattr(images, "joinpath"):
        return lab.folder(images, channels=network.preprocessing.channels if network.preprocessing else 3)
    arrays = tuple(np.asarray(each) for each in images)
    return lab.Data(
        tuple(str(place) for place in range(len(arrays))), arrays, None if labels is None else tuple(map(str, labels))
    )
