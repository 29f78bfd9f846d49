"""Planting in tables, series and token ids: what the cues change, what is held equal, and the check of truth on what networks learned."""

import dataclasses
import functools
import re

import keras
import numpy as np
import pytest

import lab
from lab import kinds
from lab.attribution import explainers
from lab.refusal import Refused
from sanity import gates, planting
from sanity.checks import checks
from sanity.checks.truth import prepare
from sanity.cue_networks import _use_gates
from sanity.cues import VARIANTS, cues
from sanity.examination import judge_with_controls, measure
from sanity.marks import cue_function
from sanity.planting import TRAINING, Planting, plant, planted_kind, planted_world, resolve_cues
from sanity.subject import world_subject
from sanity.verdict import judge
from sanity.worlds.trainable import UpperPart

K = 4
COLUMNS = ("age", "income", "twin", "flag", "constant", "loud")
WORDS = ["the", "a", "film", "plot", "was", "is", "good", "bad", "long", "short", "red", "blue"]


def rows():
    """A table: two independent columns that vary alike, a copy of one of them, a rare flag, a constant, and large numbers."""
    rng = np.random.default_rng(0)
    age, income = rng.normal(40, 2, (2, 120))
    loud = rng.normal(0, 500, 120)
    flag = (np.arange(120) % 12 == 0).astype(float)
    return np.stack([age, income, age + rng.normal(0, 0.1, 120), flag, np.full(120, 3.0), loud], 1).astype("float32")


def beats():
    """Series of two channels of other scales, whose last four steps are masked."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(60, 36, 2)) * [0.2, 30.0] + [0, 100]
    inputs[:, 32:] = 0
    return inputs.astype("float32")


def texts():
    """Ids of twelve words, padded to nine tokens."""
    rng = np.random.default_rng(2)
    ids = rng.integers(2, len(WORDS) + 2, (90, 9))
    return np.where(np.arange(9) < rng.integers(4, 10, 90)[:, None], ids, 0).astype("int32")


def build(name):
    keras.utils.set_random_seed(0)
    head = [keras.layers.Dense(3, activation="softmax", name="head")]
    table = [keras.Input((6,)), keras.layers.Normalization(), keras.layers.Dense(24, activation="relu", name="hidden")]
    convolution = keras.layers.Conv1D(12, 5, padding="same", activation="relu", name="conv")
    series = [keras.Input((36, 2)), keras.layers.Normalization(), convolution, keras.layers.GlobalAveragePooling1D()]
    embedding = keras.layers.Embedding(14, 8, mask_zero=True, name="words")
    tokens = [keras.Input((9,), dtype="int32"), embedding, keras.layers.GlobalAveragePooling1D()]
    layers = {"table": table, "series": series, "tokens": tokens}[name]
    if name != "tokens":
        layers[1].adapt(INPUTS[name]())
    return keras.Sequential([*layers, *head])


INPUTS = {"table": rows, "series": beats, "tokens": texts}
CUES = {"table": ["age", "income"], "series": ["bump", "oscillation"], "tokens": ["8/9", "12/13"]}


@functools.cache
def untouched(name):
    """One network for all that do not change its weights."""
    return network(name)


def network(name):
    return lab.load(build(name), background=rows() if name == "table" else None)


def data(name, inputs=None):
    columns = COLUMNS if name == "table" else None
    return lab.open_data(INPUTS[name]() if inputs is None else inputs, columns=columns)


def make_scene(name, names=None, net=None, inputs=None, external=None, **settings):
    net, content = net or untouched(name), data(name, inputs)
    training = dataclasses.replace(TRAINING, samples=500, passes=30, rate=1e-2)
    pair = resolve_cues(CUES[name] if names is None else names, external, planted_kind(net, content))
    return plant(net, content, Planting(pair, training=training, **settings), 0)


def drawn_from(scene, count=200):
    """Factors of samples, and each sample before, after, and its masks."""
    drawn = scene.factors(np.random.default_rng(0), count)
    return drawn, [np.stack(part) for part in zip(*scene.lay_all(drawn))]


# What is planted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INPUTS)
def test_both_cues_stand_in_every_input_and_neither_tells_of_the_other(name):
    scene = make_scene(name)
    worlds = planted_world(scene), planted_world(scene).rival
    drawn, (before, after, masks) = drawn_from(scene)
    samples = [world.render(drawn) for world in worlds]
    assert np.array_equal(samples[0].inputs, samples[1].inputs)
    assert np.array_equal(np.stack([sample.masks for sample in samples], 1), masks) and masks.any(axis=2).all()
    assert not masks.all(axis=1).any() and abs(np.corrcoef(samples[0].labels, samples[1].labels)[0, 1]) < 0.2
    assert [list(sample.labels) for sample in samples] == [list(drawn[cue]) for cue in scene.names]
    changed = (before != after).reshape(*masks[:, 0].shape, -1).any(axis=-1)
    assert changed.any(axis=1).all() and not (changed & ~masks.any(axis=1)).any()
    # Another variant of one cue changes nothing of the other, not even in strength.
    swapped = worlds[0].render({**drawn, scene.names[0]: 1 - drawn[scene.names[0]]})
    moved = (swapped.inputs != samples[0].inputs).reshape(changed.shape + (-1,)).any(axis=-1)
    assert moved.any(axis=1).all() and not (moved & ~masks[:, 0]).any()
    assert samples[0].inputs.dtype == untouched(name).spec.dtype.as_numpy_dtype


def test_values_of_a_column_are_its_own_and_both_columns_vary_as_strongly():
    scene = make_scene("table")
    drawn, (_, after, _) = drawn_from(scene, 2000)
    for place, cue in enumerate(scene.names):
        values, column = after[:, place], rows()[:, place]
        lower, upper = values[drawn[cue] == 0], values[drawn[cue] == 1]
        assert set(values.astype("float32")) <= set(column) and lower.max() < upper.min()
        assert len(set(lower)) > 10 and len(set(upper)) > 10
        assert (upper.mean() - lower.mean()) / column.std() == pytest.approx(2.5, abs=0.1)
    assert max(abs(np.corrcoef(after[:, :3], rowvar=False)[0, 1:])) < 0.1, "a twin tells nothing any more"
    weak = make_scene("table", contrast=1.8)
    assert [tails.apart for tails in weak.pair.tails] == pytest.approx([1.8, 1.8], abs=0.1)


def test_two_columns_that_vary_alike_and_apart_are_looked_for():
    scene = make_scene("table", [])
    assert set(scene.names) in ({"column age", "column income"}, {"column income", "column twin"})
    match = scene.pair.match(())
    assert "No column was named" in match["heading"] and "correlation" in match["heading"]
    rare = np.where(np.arange(6) == 3, np.arange(120)[:, None] == 7, rows())
    with pytest.raises(Refused, match="Received: age 1.* to 4.* and flag 11.0 to 11.0. Name other"):
        make_scene("table", ["age", "flag"], inputs=rare.astype("float32"))


def test_motifs_have_one_size_and_in_every_series_one_strength():
    scene = make_scene("series", net=masked_series())
    _, (before, after, masks) = drawn_from(scene, 60)
    steps, change = masks.sum(axis=2), (after - before) / before[:, :32].std(axis=1, keepdims=True)
    assert (steps == 6).all() and not masks[:, :, 32:].any(), "a fifth of 32 steps, none of them masked"
    for place in range(2):
        rms = [np.sqrt((row[mask] ** 2).mean()) for row, mask in zip(change, masks[:, place])]
        assert rms == pytest.approx([1.5] * len(rms))
    places = masks.argmax(axis=2)
    assert ((places < 16) != (places < 16)[:, ::-1]).all(), "each in a half of its own"
    assert len({tuple(row) for row in places.tolist()}) > 30
    small = make_scene("series", net=masked_series(), size=0.4, contrast=0.5)
    assert small.pair.match(small.lay_all(drawn_from(small, 20)[0]))["rows"][1] == {
        "cue": "oscillation",
        "size": 13.0,
        "contrast": pytest.approx(0.5),
        "words": "13 steps, 0.50 deviations",
    }


@pytest.mark.parametrize("name", cues.names(kind="series"))
def test_a_motif_has_two_variants_of_about_one_strength(name):
    series = np.random.default_rng(0).normal(size=(12, 2))
    motifs = []
    for variant in range(VARIANTS):
        after, mask = cues.get(name)(series, np.random.default_rng(1), variant=variant)
        assert mask.all() and np.allclose((after - series)[:, 0], (after - series)[:, 1])
        motifs.append((after - series)[:, 0])
    first, second = (np.sqrt((motif**2).mean()) for motif in motifs)
    assert 0.8 < first / second < 1.25 and np.abs(motifs[0] - motifs[1]).mean() > 1


def test_a_motif_of_the_user_without_variants_is_played_backwards():
    def click(series, rng):
        after, mask = series.copy(), np.arange(len(series)) < len(series) / 3
        after[mask] += 3 * rng.uniform(0.9, 1)
        return after, mask

    series, draw = np.zeros((12, 1)), cue_function("mine:click", click, kinds.SERIES)
    for variant, steps in ((0, range(4)), (1, range(8, 12))):
        after, mask = draw(series, np.random.default_rng(0), variant=variant)
        assert np.flatnonzero(mask).tolist() == list(steps) and (after[mask] > 2.5).all() and not after[~mask].any()
    scene = make_scene("series", ["mine:click", "ramp"], external=lambda name: click)
    assert scene.names == ("mine:click", "ramp")
    with pytest.raises(Refused, match=r"returns a series of the size .*\(12, 1\), and a mask of its steps"):
        cue_function("mine:click", lambda series, rng: (series[:3], series[:3, 0]), kinds.SERIES)(
            series, None, variant=0
        )


def test_one_word_of_a_pair_replaces_one_word_of_a_text_and_stands_nowhere_else():
    scene = make_scene("tokens")
    drawn, (before, after, masks) = drawn_from(scene)
    assert (masks.sum(axis=2) == 1).all() and not (before[masks.any(axis=1)] == 0).any(), "never in the padding"
    assert np.array_equal(before == 0, after == 0)
    ids = {8, 9, 12, 13}
    for place, cue in enumerate(scene.names):
        pair = np.array([[8, 9], [12, 13]][place])
        assert cue == "/".join(map(str, pair)) and np.array_equal(after[masks[:, place]], pair[drawn[cue]])
        # Every position without padding is drawn.
        assert len(set(masks[:, place].argmax(axis=1).tolist())) == 9
    assert not ids & set(before.ravel().tolist()), "others stand where cues stood"
    assert (np.isin(texts(), [*ids]).sum(axis=1) > 0).mean() > 0.5, "in the texts of the user they do"


def test_words_are_named_by_the_vocabulary_or_looked_for():
    net = lab.load(build("tokens"), vocabulary=WORDS)
    scene = make_scene("tokens", ["good/bad", "red/blue"], net=net)
    assert scene.pair.ids.tolist() == [[8, 9], [12, 13]] and scene.names == ("good/bad", "red/blue")
    looked_for = make_scene("tokens", [], net=net)
    counts = [looked_for.pair._counts[token] for token in looked_for.pair.ids.ravel().tolist()]
    assert len(set(looked_for.pair.ids.ravel().tolist())) == 4 and max(counts) <= 1.25 * min(counts)
    assert "No words were named" in looked_for.pair.match(())["heading"]
    for names, words in (
        (["good", "red/blue"], "two words with a slash between, such as good/bad. Received: 'good'"),
        (["good/bat", "red/blue"], "Received: 'bat'. Nearest: bad"),
        (["good/bad", "good/blue"], "four different words"),
    ):
        with pytest.raises(Refused, match=words):
            make_scene("tokens", names, net=net)
    with pytest.raises(Refused, match="two ids from 1 to 13: --cue 12/40. Received: '14'"):
        make_scene("tokens", ["8/9", "12/14"])


def test_networks_are_tried_on_other_inputs_and_equal_ones_are_one_source():
    scene = make_scene("table", inputs=np.repeat(rows()[:20], 6, axis=0))
    trained, held_out = ({row.tobytes() for row in pool} for pool in (scene.trained, scene.held_out))
    assert not trained & held_out and len(trained | held_out) == 20 and len(held_out) == 7


# Networks and verdicts ----------------------------------------------------------------------------------------------------


@functools.cache
def prepared_task(name):
    subject = world_subject(planted_world(make_scene(name, net=network(name))), seed=0, replicates=K, images=24)
    return subject, prepare(subject, seed=0)


@pytest.mark.parametrize("name", INPUTS)
def test_swaps_prove_which_cue_each_network_uses(name):
    _, prepared = prepared_task(name)
    assert all(gate.status == "passed" for gate in prepared.gates), prepared.gates
    assert len(prepared.networks) == 2 * K and len(prepared.on.names) == 24


@functools.cache
def linear_task():
    """A linear network of a table with two cues."""
    layers = [keras.Input((6,)), keras.layers.Normalization(), keras.layers.Dense(3, name="head")]
    layers[1].adapt(rows())
    net = lab.load(keras.Sequential(layers), background=rows())
    return world_subject(planted_world(make_scene("table", net=net)), seed=0, replicates=1, images=24)


def reading(age, income):
    """Weights of that network: how much the scores of the first two classes, and of the third, take from two columns."""
    kernel = np.zeros((6, 3), "float32")
    kernel[0], kernel[1] = age, income
    return {"head/kernel": kernel, "head/bias": np.float32([0, 0, -9])}


APART, TOGETHER = np.array([-1.0, 1, 0]), np.ones(3)


@pytest.mark.parametrize(
    "income, status",
    [
        (0 * APART, "passed"),
        (0.35 * APART, "passed"),
        (0.6 * APART, "failed"),
        (0.6 * TOGETHER, "failed"),
        # The score of one class alone moves: 0.4 on average, 0.8 where that class is explained.
        (np.array([0.8, 0, 0]), "failed"),
    ],
)
def test_a_network_that_moves_with_the_other_cue_uses_both(income, status):
    """Its answers stay: the weaker one of two cues seldom turns an answer, and what moves all scores never does."""
    subject, pure, rival = linear_task(), reading(APART, 0), reading(0, APART)
    networks = [reading(APART, income), *[pure] * (K - 1), *[rival] * K]
    factors = subject.world.factors(np.random.default_rng(1), 200)
    gate, other = _use_gates(subject, networks, factors, (subject.world, subject.world.rival))
    unchanged = float(re.search(r"unchanged/column income ([0-9.]{5})", gate.words)[1])
    assert unchanged >= gates.STAYS and gate.status == status, gate.words
    assert other.status == "passed", other.words


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_blind_is_exactly_zero_and_the_cue_itself_passes(name):
    subject, prepared = prepared_task(name)
    blind = {method: explainers.get(method) for method in explainers.names(control=True)}
    family = [
        measure("truth", method, subject, seed=0, name=title, prepare=lambda: {"prepared": prepared})[0]
        for title, method in blind.items()
    ]
    verdicts = judge_with_controls(family, seed=0).verdicts
    effects = {verdict.method: verdict.effect.mean for verdict in verdicts if verdict.outcome != "INVALID"}
    # Noise is another noise for every network.
    assert "PASS" not in {verdict.outcome for verdict in verdicts} and abs(effects.pop("noise")) < 0.3
    assert len(effects) == 3 and set(effects.values()) == {0.0}
    first = next(iter(prepared.networks[0]))

    def cue_of_the_network(network, inputs, objective):
        places = [np.array_equal(state[first], network.state([first])[first]) for state in prepared.networks]
        maps = prepared.masks[places.index(True) // K].astype("float32")
        return maps[..., None] * np.ones(inputs.shape, "float32") if inputs.ndim == 3 else maps

    verdict = judge([checks.get("truth")(cue_of_the_network, subject, seed=0, prepared=prepared)])[0]
    assert (verdict.outcome, verdict.effect.mean) == ("PASS", 2.0), verdict.sentence


def test_a_recurrent_network_of_ids_is_trained_whole_and_from_a_layer_on():
    keras.utils.set_random_seed(0)
    embedding = keras.layers.Embedding(14, 6, mask_zero=True, name="words")
    layers = [embedding, keras.layers.LSTM(8, name="lstm"), keras.layers.Dense(1, "sigmoid", name="head")]
    net = lab.load(keras.Sequential([keras.Input((None,), dtype="int32"), *layers]))
    assert planting.planted_layer(net) is None
    whole, behind = UpperPart(net), UpperPart(net, "lstm")
    assert (
        whole.names[0] == "words/embeddings" and len(whole.names) == 6 and behind.names == ["head/kernel", "head/bias"]
    )
    assert np.allclose(behind.class_logits(behind.features(texts())), whole.class_logits(texts()), atol=1e-5)
    world = planted_world(make_scene("tokens", net=net))
    state = world_subject(world, seed=0, replicates=1, images=8).replicates[0]
    assert not np.array_equal(state["words/embeddings"], whole.given["words/embeddings"])


# What cannot be planted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "names", "settings", "words"),
    [
        ("table", ["age"], {}, "Two different cues are planted, or none is named. Received: age"),
        ("table", ["age", "incme"], {}, "Received: 'incme'. Nearest: income"),
        ("table", ["age", "constant"], {}, "'constant', which is 3 in every row"),
        ("table", ["age", "ruler"], {}, "one of its columns that the network takes. Received: 'ruler'"),
        ("table", [], {"inputs": rows() * [1, 0, 0, 0, 0, 0]}, "of 6 columns, of which 1 vary"),
        ("table", [], {"size": 0.3}, "size is a setting of cues in image, series. Received: 0.3 for table"),
        ("tokens", [], {"contrast": 3.0}, "Received: 3 for tokens. Leave it out"),
        ("series", ["ruler", "bump"], {}, "'ruler', a cue of the kind image. Those of series: bump, oscillation, ramp"),
        ("series", ["bmp", "ramp"], {}, "Unknown cue. Received: 'bmp'. Nearest: bump"),
        ("series", [], {"inputs": beats() * (np.arange(36) < 7)[:, None]}, "of 36 steps, of which 7 in a row"),
        ("tokens", [], {"inputs": texts() % 5}, "5 different ones at the least. Received: 4"),
        ("tokens", [], {"inputs": np.eye(9, dtype="int32")[:6]}, "Received: text 1, with 1 word"),
        ("table", [], {"inputs": rows()[:3]}, "tried on others: give 4 of different sources at the least. Received: 3"),
    ],
)
def test_what_cannot_be_planted_is_refused_in_one_line(name, names, settings, words):
    net = masked_series() if name == "series" and "inputs" in settings else None
    inputs = settings.pop("inputs", None)
    with pytest.raises(Refused, match=words) as error:
        make_scene(
            name, names, net=net, inputs=None if inputs is None else inputs.astype(INPUTS[name]().dtype), **settings
        )
    assert "\n" not in str(error.value)


@functools.cache
def masked_series():
    layers = [keras.layers.Masking(), keras.layers.LSTM(4), keras.layers.Dense(2, name="head")]
    return lab.load(keras.Sequential([keras.Input((36, 2)), *layers]))


def test_a_cue_of_series_is_none_of_pictures():
    with pytest.raises(Refused, match="'bump', a cue of the kind series. Those of image: ruler, text, sticker"):
        resolve_cues(["ruler", "bump"], None)
