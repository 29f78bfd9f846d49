"""Plugin: the fixture `lab_check`, which gives a test suite a verdict on its own model.

    def test_my_maps_respond(lab_check):
        verdict = lab_check(model, images, "gradcam", input_range=(-1, 1))
        assert verdict.outcome not in ("FAIL", "INVALID"), verdict.sentence

pytest finds the fixture where the lab is installed. Nothing is imported before a test uses it.
"""

import pytest


@pytest.fixture(scope="session")
def lab_check():
    """A function that returns the verdict on a method: (model, images, method, *, ...) -> `sanity.verdict.Verdict`.

    Args:
        model: what `lab.load` takes, or a `Network`.
        images: list of arrays of RGB in 0..255, or a folder.
        method: name or callable.
        check: name of `lab list checks`.
        seed: of the check.
        target: class name, index, or "top".
        labels: one for each image, or None.
        fit: "squash" or "crop".
        settings: the check's own options.
        options: of the method.
        load_options: keyword arguments of `lab.load`.

    Raises:
        AssertionError: where the method raises, changes what it must not, or returns what is no map. Also where a
            control shows that the check is broken on this model, for then no verdict is valid.
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
    **load_options,
):
    import lab
    from lab.attribution import explainers
    from lab.attribution.calls import refuse_options
    from sanity.examination import examine
    from sanity.subject import subject

    network = model if isinstance(model, lab.Network) else lab.load(model, **load_options)
    explainer, options = explainers.get(method), options or {}
    refuse_options(explainer, options)
    network_subject = subject(network, _load_data(images, labels, network), target=target, fit=fit)
    name = explainers.name(explainer)
    ruling = examine(check, {name: explainer}, network_subject, seed=seed, settings=settings, options={name: options})
    verdict = ruling.verdicts[0]
    broken = [control for control in ruling.controls if not control.held and control.control != name]
    if verdict.finding == "FAULT":
        raise AssertionError(verdict.sentence)
    if broken:
        raise AssertionError(
            f"The check {check} is broken on this model: {broken[0].control} came out {broken[0].outcome}."
        )
    return verdict


def _load_data(images, labels, network):
    import numpy as np

    import lab

    if isinstance(images, str) or hasattr(images, "joinpath"):
        return lab.folder(images, channels=network.preprocessing.channels if network.preprocessing else 3)
    arrays = tuple(np.asarray(image) for image in images)
    return lab.Data(
        tuple(str(place) for place in range(len(arrays))), arrays, None if labels is None else tuple(map(str, labels))
    )
