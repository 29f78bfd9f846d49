"""Plugin: the fixture `lab_check`, which gives a test suite a verdict on its own model.

    def test_my_maps_respond(lab_check):
        lab_check(model, images, "gradcam", input_range=(-1, 1), fail_on="fail")

pytest finds the fixture where the lab is installed. Nothing is imported before a test uses it.
"""

import functools

import pytest


@pytest.fixture(scope="session")
def lab_check(tmp_path_factory):
    """A function that returns the verdict on a method: (model, data, method, *, ...) -> `sanity.verdict.Verdict`.

    It is what `lab check` does, with a report of each call.

    Args:
        model: what `lab.load` takes, or a `Network`; None for a planted folder.
        data: a path as of `--data`, a list of arrays of RGB in 0..255, or what `lab.open_data` takes; None likewise.
        method: name or callable; for a check of pictures, a name of `lab list parameterizations`.
        check: name of `lab list checks`.
        seed: of the check.
        target, output, region: what is explained: class name, index, or "top"; an output; a region of it.
        labels: one for each input that is no path, or None.
        label, group, columns: names in a table.
        fit: "squash" or "crop", for images.
        most: int, how many inputs are explained at most.
        settings: dict, the check's own options; for a check of pictures the keys of [[features]], such as layer and units.
        options: dict, of the method.
        replicate: files, Keras models or `Network`s that were trained like the model.
        train: "module:function", or a function at the top of a module, that trains a network like the model.
        finetune: the address of a layer from which networks are trained on the labels, "all", or "auto" for a late layer
            of a large network.
        replicates, permuted_label_networks: int, how many networks `train` or `finetune` trains.
        planted: folder that `lab plant` wrote.
        baseline: an earlier run, such as that of the last version of the model.
        fail_on: "fail", "inconclusive" or "worse", as of `--fail-on`; "worse" where there is a baseline.
        out: folder of all runs, in which trained networks are kept; None: one that lasts as long as the tests.
        allow_code: whether model files, and cues of a planted folder, may run Python code of their own.
        load_options: keyword arguments of `lab.load`.

    Raises:
        AssertionError: where the verdict falls short of `fail_on`, and where the method raises, changes what it must not, or
            returns what is no map. Also where a control shows that the check is broken on this model, for then no verdict
            is valid.
        lab.Refused: for what `lab check` refuses.
    """
    return functools.partial(_verdict, tmp_path_factory.mktemp("lab"))


def _verdict(folder, model=None, data=None, method="gradcam", **arguments):
    # The frames of the lab say nothing about the user's test.
    __tracebackhide__ = True
    from lab.refusal import Refused
    from recipes.trials import try_method

    try:
        verdict, shortfall = try_method(model, data, method, arguments.pop("out", None) or folder, **arguments)
    except Refused as error:
        raise Refused(str(error)) from None
    if shortfall:
        raise AssertionError(shortfall)
    return verdict
