"""Planting: what is planted in a user's pictures, the networks that learn it, and the check of truth on them."""

import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import lab
from lab import data, routines
from lab.refusal import Refused
from sanity import planting
from sanity.checks import checks
from sanity.checks.truth import prepare
from sanity.cue_networks import _scores_of_networks
from sanity.cues import DARK, VARIANTS, _packed_letters, cues
from sanity.examination import judge_with_controls, measure
from sanity.marks import cue_function
from sanity.planting import TRAINING, Planting, plant, planted_layer, planted_world, resolve_cues
from sanity.subject import world_subject
from sanity.verdict import judge
from sanity.world_networks import StoredNetworks, WorldNetworks, logits_of_networks
from sanity.worlds.canvas import texture
from sanity.worlds.trainable import UNLIKELY, UpperPart
from sanity.worlds.training import Trainer
from tests.sanity import bank
from tests.sanity.trained import kept

SIDE, PICTURES, K = 24, 8, 4


def build(units=4, activation="softmax", seed=0):
    keras.utils.set_random_seed(seed)
    convolutions = [
        keras.layers.Conv2D(width, 3, strides, padding="same", activation="relu", name=f"conv_{width}")
        for width, strides in ((8, 1), (12, 2), (16, 1))
    ]
    head = keras.layers.Dense(units, activation=activation, name="head")
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *convolutions, keras.layers.GlobalAveragePooling2D(), head])


def network(**options):
    return lab.load(build(**options), input_range=(-1, 1))


@functools.cache
def untouched():
    """One network for all that do not change its weights."""
    return network()


def test_a_label_that_is_drawn_once_is_the_same_each_time():
    image, text = np.full((30, 41, 3), 99.0), cues.get("text")

    def printed():
        return text(image, np.random.default_rng(3), variant=1)[0]

    first = printed()
    whole = first.copy()
    first[:] = 0
    assert np.array_equal(printed(), whole)
    label = Image.new("L", (41, 30), 0)
    place = (20.5, 15 + (np.random.default_rng(3).random() - 0.5) * 30 / 8)
    font = ImageFont.load_default(0.7 * 41)
    ImageDraw.Draw(label).text(place, "XY", 255, font, "mm", stroke_width=1)
    assert np.array_equal(whole[..., 0] == DARK, np.asarray(label) > 127) and (whole == DARK).any()
    assert len(_packed_letters(224, 224, 112.0, 0)) == 224 * 28


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    colours = 128 + 40 * texture(rng, PICTURES, 32)[..., None] + rng.normal(0, 20, (PICTURES, 1, 1, 3))
    images = tuple(np.clip(colours, 0, 255).astype("uint8"))
    return data.Data(tuple(f"{place}.png" for place in range(PICTURES)), images)


def make_scene(pictures, names=("ruler", "chequers"), net=None, **settings):
    training = dataclasses.replace(TRAINING, samples=settings.pop("samples", 60), passes=settings.pop("passes", 5))
    # All passes are made, so that every network learns its cue.
    training = dataclasses.replace(training, rate=5e-3, goal=2.0)
    settings = {"training": training, "size": 0.3, **settings}
    return plant(net or untouched(), pictures, Planting(resolve_cues(list(names), None), **settings), 0)


@pytest.fixture(scope="module")
def scene(pictures):
    return make_scene(pictures, net=network(), samples=200, passes=15)


@pytest.fixture(scope="module")
def subject(scene):
    return world_subject(planted_world(scene), seed=0, replicates=K, images=16, cache=kept)


@pytest.fixture(scope="module")
def prepared(subject):
    return prepare(subject, seed=0)


# Cues ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 30])
@pytest.mark.parametrize("name", cues.names(kind="image"))
def test_a_cue_has_two_variants_that_change_what_the_mask_says_and_nothing_else(name, side, channels):
    image = np.random.default_rng(1).uniform(60, 200, (side, side, channels))
    before, drawings = image.copy(), []
    for variant in range(VARIANTS):
        after, mask = cues.get(name)(image, np.random.default_rng(2), variant=variant)
        assert np.array_equal(image, before) and mask.dtype == bool and mask.shape == image.shape[:2]
        assert after.shape == image.shape and after.min() >= 0 and after.max() <= 255
        assert np.array_equal(after[~mask], image[~mask]) and mask.mean() > 0.5
        drawings.append(after)
    assert np.abs(drawings[0] - drawings[1]).mean() > 5


@pytest.mark.parametrize("pair", list(itertools.pairwise([*cues.names(kind="image"), "ruler"])))
def test_two_cues_have_one_size_and_in_every_picture_one_contrast(pictures, pair):
    scene = make_scene(pictures, pair)
    drawn = scene.factors(np.random.default_rng(0), 20)
    first, second = scene.pair.measure(scene.lay_all(drawn)).transpose(1, 2, 0)
    assert np.allclose(first[1], second[1], rtol=1e-9) and first[1].min() > 1
    assert max(first[1]) <= scene.pair.contrast + 1e-9
    assert 0.8 < first[0].mean() / second[0].mean() < 1.25, "pixels"
    assert 0.7 < first[0].mean() / (scene.planting.size * SIDE) ** 2 < 1.3


def test_size_and_contrast_are_what_was_asked(pictures):
    numbers = []
    for settings in ({}, {"size": 0.45}, {"contrast": 20.0}):
        scene = make_scene(pictures, **settings)
        laid = scene.lay_all(scene.factors(np.random.default_rng(0), 10))
        numbers.append(scene.pair.measure(laid).mean(axis=(0, 1)))
    (pixels, change), (more, _), (_, weak) = numbers
    assert more > 1.8 * pixels and weak == pytest.approx(20.0) and change > 40


# Samples ------------------------------------------------------------------------------------------------------------------


def test_both_cues_stand_in_every_picture_and_neither_tells_of_the_other(scene):
    worlds = planted_world(scene), planted_world(scene).rival
    drawn = scene.factors(np.random.default_rng(0), 200)
    samples = [world.render(drawn) for world in worlds]
    assert np.array_equal(samples[0].inputs, samples[1].inputs)
    assert all(sample.masks.any(axis=(1, 2)).all() for sample in samples)
    assert not (samples[0].masks & samples[1].masks).any()
    assert abs(np.corrcoef(samples[0].labels, samples[1].labels)[0, 1]) < 0.2
    assert [list(sample.labels) for sample in samples] == [list(drawn["ruler"]), list(drawn["chequers"])]
    # Another variant of one cue changes no pixel of the other, not even in strength.
    swapped = worlds[0].render({**drawn, "ruler": 1 - drawn["ruler"]})
    changed = (swapped.inputs != samples[0].inputs).any(axis=-1)
    assert changed.any(axis=(1, 2)).all() and not (changed & ~samples[0].masks).any()


def test_networks_are_tried_on_pictures_of_other_sources(pictures):
    groups = ("a", "a", "b", "b", "c", "c", "d", "e")
    trained, held_out = planting.split_sources(groups, 0)
    assert {groups[place] for place in trained}.isdisjoint(groups[place] for place in held_out)
    assert sorted([*trained, *held_out]) == list(range(8)) and len({groups[place] for place in held_out}) == 2
    assert any(not np.array_equal(planting.split_sources(groups, seed)[1], held_out) for seed in range(1, 6))
    # Each picture has a level of its own, by which its crops are known.
    levels = tuple(np.full((40, 40, 3), 20 * place + 30, "uint8") for place in range(8))
    flat = dataclasses.replace(pictures, inputs=levels, groups=groups)
    scene = make_scene(flat)
    for crops, places in ((scene.trained, trained), (scene.held_out, held_out)):
        assert {int(value) for value in np.unique(crops)} == {20 * place + 30 for place in places}


# Networks -----------------------------------------------------------------------------------------------------------------


def test_what_lies_before_the_layer_is_frozen_and_computed_once(pictures):
    scene = make_scene(pictures, layer="conv_12")
    part, net = scene.part, scene.network
    assert part.names == ["conv_16/kernel", "conv_16/bias", "head/kernel", "head/bias"]
    inputs = planted_world(scene).draw(6, 0)[0].inputs
    features = part.features(inputs)
    assert np.array_equal(features, routines.activations(net, inputs, "conv_12"))
    assert np.allclose(part.class_logits(features), routines.class_logits(net, inputs), atol=1e-5)
    before = net.state()
    networks = WorldNetworks(planted_world(scene), 0, net)
    state = networks.train("replicate", 0)
    assert list(state) == part.names and not np.array_equal(state["conv_16/kernel"], before["conv_16/kernel"])
    assert all(np.array_equal(net.state()[name], value) for name, value in before.items())
    slow = []
    for other in (state, networks.train("rival", 1)):
        with net.weights(other):
            slow.append(routines.class_logits(net, inputs))
    assert np.allclose(logits_of_networks(net, [state, networks.train("rival", 1)], inputs, part), slow, atol=1e-4)


def test_networks_begin_with_the_weights_of_the_user_and_a_head_of_their_own(pictures):
    part = make_scene(pictures).part
    first, again, second = part.start(1), part.start(1), part.start(2)
    given = part.network.state()
    for name, value in first.items():
        assert np.array_equal(value, again[name])
        assert np.array_equal(value, given[name]) == (not name.startswith("head"))
    assert not np.array_equal(first["head/kernel"], second["head/kernel"])
    assert list(first["head/bias"]) == [0, 0, UNLIKELY, UNLIKELY]


def test_a_network_trains_the_same_from_the_same_seed_alone(pictures):
    scene = make_scene(pictures)
    samples = planted_world(scene).training_data(0)
    trainer = Trainer(scene.network, scene.planting.training, scene.part)
    first, again, other = (trainer.train(samples.inputs, samples.labels, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(value, again[name]) for name, value in first.items())
    assert not np.array_equal(first["conv_8/kernel"], other["conv_8/kernel"])


def test_the_layer_is_one_that_all_goes_through_and_something_is_trained_behind():
    inputs = keras.Input((SIDE, SIDE, 3))
    first = keras.layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    second = keras.layers.Conv2D(4, 3, padding="same", name="second")(first)
    both = keras.layers.Add(name="both")([first, second])
    pooled = keras.layers.GlobalAveragePooling2D()(both)
    net = lab.load(keras.Model(inputs, keras.layers.Dense(2, name="head")(pooled)), input_range=(-1, 1))
    assert UpperPart(net, "both").names == ["head/kernel", "head/bias"]
    with pytest.raises(Refused, match="'second', which something leads around"):
        UpperPart(net, "second")
    with pytest.raises(Refused, match="and none behind it"):
        UpperPart(net, "head")
    with pytest.raises(Refused, match="Nearest: second"):
        UpperPart(net, "secnd")


def test_a_large_network_is_trained_from_a_late_layer_on():
    assert planted_layer(untouched()) is None and planted_layer(untouched(), "conv_12") == "conv_12"
    assert planted_layer(untouched(), "all") is None
    layers = [keras.layers.Conv2D(128, 3, padding="same", name=f"conv_{place}") for place in range(8)]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4, name="head")]
    large = lab.load(keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers]), input_range=(-1, 1))
    assert planted_layer(large) == "conv_5" and planted_layer(large, "all") is None


def test_one_unit_has_two_classes(pictures):
    scene = make_scene(pictures, net=network(units=1, activation="sigmoid"))
    world = planted_world(scene)
    task = world_subject(world, seed=0, replicates=1, images=8)
    task = dataclasses.replace(task, inputs=task.inputs[:8])
    assert task.classes == 2 and {term.kind for _, term in task.objective.terms} == {"class_score"}
    slow = []
    for state in task.replicates:
        with scene.network.weights(state):
            slow.append(routines.scores(scene.network, task.inputs, task.objective))
    assert np.allclose(_scores_of_networks(task, task.replicates, task.inputs), slow, atol=1e-4)


# Verdicts -----------------------------------------------------------------------------------------------------------------


def test_swaps_prove_which_cue_each_network_uses(prepared):
    assert all(gate.status == "passed" for gate in prepared.gates), prepared.gates
    assert len(prepared.networks) == 2 * K and len(prepared.on.names) == 16


@pytest.fixture(scope="module")
def verdicts(subject, prepared):
    listed = bank.BLIND | {"gradcam": lab.gradcam}
    family = [
        measure("truth", method, subject, seed=0, name=name, prepare=lambda: {"prepared": prepared})[0]
        for name, method in listed.items()
    ]
    return dict(zip(listed, judge_with_controls(family, seed=0).verdicts))


@pytest.mark.parametrize("name", list(bank.BLIND))
def test_what_never_looks_at_the_network_is_exactly_zero(verdicts, name):
    verdict = verdicts[name]
    assert verdict.outcome in ("FAIL", "INVALID"), verdict.sentence
    assert verdict.outcome == "INVALID" or verdict.effect.mean == 0.0


def test_a_method_that_shows_the_cue_passes_and_so_does_the_oracle(subject, prepared, verdicts):
    assert verdicts["gradcam"].outcome == "PASS", verdicts["gradcam"].sentence
    first = next(iter(prepared.networks[0]))

    def cue_of_the_network(network, inputs, objective):
        places = [np.array_equal(state[first], network.state([first])[first]) for state in prepared.networks]
        return prepared.masks[places.index(True) // K][..., None] * np.ones((1, 1, 1, 3), "float32")

    verdict = judge([checks.get("truth")(cue_of_the_network, subject, seed=0, prepared=prepared)])[0]
    assert (verdict.outcome, verdict.effect.mean) == ("PASS", 2.0)
    assert verdict.scope == "training of the whole network" and f", {verdict.scope}: " in verdict.sentence


def test_a_cue_that_a_network_does_not_use_is_invalid_with_the_numbers(subject):
    """Networks of the rival cue that in truth learned the first one."""
    stored = StoredNetworks(subject.world, 0, subject.network, lambda kind, index: subject.replicates[index])
    verdict = judge([checks.get("truth")(lab.gradcam, dataclasses.replace(subject, networks=stored), seed=0)])[0]
    gates = {gate["name"]: gate for gate in verdict.gates}
    assert verdict.outcome == "INVALID" and np.isnan(verdict.effect.mean)
    assert gates["networks use the rival cue"]["status"] == "failed"
    assert "cue_flip_rate 0." in gates["networks use the rival cue"]["words"]
    assert gates["networks use the cue"]["status"] == "passed"


def test_cues_that_are_not_equally_learned_are_invalid_with_both_accuracies(subject):
    untrained = subject.world.part.start(7)
    stored = StoredNetworks(subject.world, 0, subject.network, lambda kind, index: untrained)
    verdict = judge([checks.get("truth")(lab.gradcam, dataclasses.replace(subject, networks=stored), seed=0)])[0]
    gate = next(gate for gate in verdict.gates if gate["name"] == "cues equally learned")
    assert verdict.outcome == "INVALID" and gate["status"] == "failed"
    assert "the cue right on 0.9" in gate["words"] or "the cue right on 1.00" in gate["words"]
    assert "the rival cue right on 0." in gate["words"]


# What cannot be planted ---------------------------------------------------------------------------------------------------


def drawn_by(function):
    return cue_function("mine:cue", function)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda image, rng: 1 / 0, "'mine:cue', ZeroDivisionError"),
        (lambda image, rng: image, "'mine:cue', ValueError"),
        (lambda image, rng: (image[:4], image[..., 0] > 0), "returned \\(4, 8, 3\\) and \\(8, 8\\)"),
        (lambda image, rng: (image, np.ones((3, 3))), "and \\(3, 3\\)"),
        (lambda image, rng: (image, np.zeros((8, 8))), "whose mask is empty"),
        (lambda image, rng: (image * np.nan, np.ones((8, 8))), "NaN or infinity"),
    ],
)
def test_what_is_no_cue_is_refused_in_one_line(function, words):
    with pytest.raises(Refused, match=words) as error:
        drawn_by(function)(np.full((8, 8, 3), 9.0), np.random.default_rng(0), variant=1)
    assert "\n" not in str(error.value)


def corner(image, rng):
    image = image.copy()
    mask = np.zeros(image.shape[:2], bool)
    mask[: len(image) // 2] = True
    image[mask] = 255 * rng.random()
    return image, mask


def test_a_cue_without_variants_is_turned_upside_down(pictures):
    image = np.random.default_rng(0).uniform(0, 255, (8, 8, 3))
    first, second = (drawn_by(corner)(image, np.random.default_rng(1), variant=variant) for variant in (0, 1))
    assert first[1][:4].all() and second[1][4:].all() and not (first[1] & second[1]).any()
    assert np.array_equal(first[0][4:], image[4:]) and np.array_equal(second[0][:4], image[:4])
    own = (("mine:cue", drawn_by(corner)), ("ruler", cues.get("ruler")))
    scene = plant(untouched(), pictures, Planting(own, size=0.3, training=TRAINING), 0)
    assert scene.pair.sides[0] > scene.pair.sides[1], "half of its square is covered"
    same = (("mine:cue", drawn_by(lambda image, rng: (255 - image, np.ones(image.shape[:2])))), own[1])
    with pytest.raises(Refused, match="looks the same upside down. Give it an argument variant"):
        plant(untouched(), pictures, Planting(same, training=TRAINING), 0)


def two_outputs():
    inputs = keras.Input((SIDE, SIDE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, {name: keras.layers.Dense(2, name=name)(pooled) for name in ("kind", "size")})


def untrainable():
    model = build()
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (two_outputs, "has 2: kind, size"),
        (untrainable, "and none behind it"),
        (lambda: keras.Sequential([keras.Input((9,)), keras.layers.Dense(2)]), "takes one image of a fixed size"),
        (lambda: keras.Sequential([keras.Input((24, 24, 3)), keras.layers.Conv2D(2, 1)]), "whose output is of shape"),
        (
            lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]),
            "which takes \\(8, 8\\)",
        ),
    ],
)
def test_what_no_cue_can_be_planted_for_is_refused(pictures, model, words):
    net = lab.load(model(), **({"input_range": (-1, 1)} if len(model().inputs[0].shape) == 4 else {}))
    with pytest.raises(Refused, match=words):
        make_scene(pictures, net=net)


def test_sizes_that_cannot_be_matched_are_refused(pictures):
    with pytest.raises(
        Refused, match="Received: size 0.5, at which they cover ruler 144 and sticker 112. Give another"
    ):
        make_scene(pictures, ("ruler", "sticker"), size=0.5)


def test_few_pictures_and_wrong_cues_are_refused(pictures):
    with pytest.raises(Refused, match="of different sources at the least. Received: 1, of 1 sources"):
        make_scene(pictures.part(slice(1)))
    with pytest.raises(Refused, match="Received: 8, of 2 sources"):
        make_scene(dataclasses.replace(pictures, groups=("a",) * 7 + ("b",)))
    for names, words in (
        (["ruler", "ruler"], "Two different cues"),
        (["ruler"], "Two different cues"),
        (["rulr", "text"], "Unknown cue. Received: 'rulr'. Nearest: ruler"),
    ):
        with pytest.raises(Refused, match=words):
            resolve_cues(names, None)
