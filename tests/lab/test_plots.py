"""Plots: maps beside what they explain, and targets in a user's words."""

import base64

import keras
import numpy as np
import pytest

import lab
from lab import plots
from lab.targets import as_objective
from tests import networks

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "inputs, maps, options",
    [
        (RNG.random((2, 12, 12, 3)), RNG.normal(size=(2, 12, 12, 3)), {}),
        (RNG.random((1, 12, 12, 1)), RNG.random((1, 3, 3)), {}),
        (RNG.normal(size=(1, 30, 2)), RNG.normal(size=(1, 30, 2)), {"columns": ["a", "b"]}),
        (RNG.normal(size=(1, 30, 2)), RNG.random((1, 10)), {}),
        (RNG.normal(size=(2, 25)), RNG.normal(size=(2, 25)), {"columns": [f"column {place}" for place in range(25)]}),
        (np.arange(40)[None], RNG.normal(size=(1, 40)), {"words": [["word"] * 40]}),
    ],
)
def test_every_kind_of_input_is_drawn_beside_its_map(inputs, maps, options):
    figure = plots.plot(maps, inputs, [f"sample {row}" for row in range(len(inputs))], unit="logit", **options)
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert {f"sample {row}" for row in range(len(inputs))} <= set(texts) and "logit" in texts
    for name in options.get("columns", [])[:2] if inputs.ndim == 3 else options.get("words", [[]])[0][:1]:
        assert name in texts
    shown, about = figure._repr_mimebundle_()
    assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG")
    assert about["image/png"]["alt"] == shown["text/plain"] and "sample 0" in shown["text/plain"]


def test_a_signed_map_has_zero_in_the_middle_and_another_starts_there():
    norm, colours = plots.scale(np.array([-1.0, 3.0]))
    assert norm.vmin == -norm.vmax and colours == plots.SIGNED
    norm, colours = plots.scale(np.array([0.0, 3.0, np.nan]))
    assert norm.vmin == 0 < norm.vmax and colours == plots.UNSIGNED


def test_the_largest_columns_of_a_wide_table_are_shown():
    maps = np.zeros((1, 100))
    maps[0, 7], maps[0, 93] = 2, -3
    figure = plots.plot(maps, RNG.normal(size=(1, 100)), ["row"])
    labels = [
        label.get_text()
        for label in figure.findobj(lambda artist: hasattr(artist, "get_yticklabels"))[0].get_yticklabels()
    ]
    assert len(labels) == plots.BARS and labels[-1].startswith("column 93") and labels[-2].startswith("column 7 ")


def test_volumes_and_maps_at_a_layer_have_no_plot(small):
    with pytest.raises(lab.Refused, match="shape \\(1, 2, 3, 4, 5\\)"):
        plots.plot(np.zeros((1, 2, 3, 4, 5)), np.zeros((1, 2, 3, 4, 5)), ["volume"])
    record = lab.explain(small, networks.images(), method="layer_gradient_x_activation", layer="pool")
    with pytest.raises(lab.Refused, match="record.maps"):
        record.plot()
    assert "record.maps" in record._repr_mimebundle_()["text/plain"]


def test_a_target_is_a_class_by_any_name_or_each_samples_own(small):
    inputs = networks.images()
    top = [int(index) for index in lab.routines.class_logits(small, inputs).argmax(axis=1)]
    for target, objective in (
        ("top", lab.class_score(top)),
        (3, lab.class_score(3)),
        ([0, 1, 2, 3], lab.class_score([0, 1, 2, 3])),
    ):
        record = lab.explain(small, inputs, target, method="gradient")
        assert np.array_equal(record.maps, lab.gradient(small, inputs, objective))
    assert np.array_equal(record.plot([1]).get_size_inches(), [7, 3])
    named = lab.Network(small.model, preprocessing=networks.GREY, classes=["a", "b", "c", "d", "e"])
    record = lab.explain(named, inputs, "b", method="gradient")
    assert record.captions[0].startswith("b (") and np.array_equal(
        record.maps, lab.gradient(named, inputs, lab.logit(1))
    )
    for target, words in (
        ("f", "Nearest"),
        ([1, 2], "2 classes for 4 samples"),
        (9, "between 0 and 4"),
        (1.5, "float"),
    ):
        with pytest.raises(lab.Refused, match=words):
            as_objective(named, inputs, target)


def test_a_number_is_asked_about_itself_and_positions_ask_for_an_objective():
    inputs = keras.Input((4,))
    number = lab.Network(networks.filled(keras.Model(inputs, keras.layers.Dense(1)(inputs))))
    rows = RNG.normal(size=(2, 4)).astype("float32")
    assert np.array_equal(lab.explain(number, rows, method="gradient").maps, lab.gradient(number, rows, lab.logit(0)))
    image = keras.Input((8, 8, 3))
    mask = networks.network(networks.filled(keras.Model(image, keras.layers.Conv2D(2, 1)(image))))
    with pytest.raises(lab.Refused, match="lab.region"):
        lab.explain(mask, networks.images(1, 8), method="gradient")


def test_one_sigmoid_unit_is_captioned_by_the_class_that_was_asked():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    network = lab.Network(networks.filled(model), classes=["no", "yes"])
    rows = RNG.normal(size=(3, 4)).astype("float32")
    chance = model.predict(rows, verbose=0)[:, 0]
    for index, name in enumerate(("no", "yes")):
        record = lab.explain(network, rows, name, method="gradient")
        share = chance if index else 1 - chance
        assert [caption.partition(",")[0] for caption in record.captions] == [
            f"{name} ({value:.0%}; {'no' if index else 'yes'} {1 - value:.0%})" for value in share
        ]


def test_a_record_asks_the_network_for_its_classes_once(small, monkeypatch):
    calls = []
    outputs = lab.routines.outputs
    monkeypatch.setattr(lab.routines, "outputs", lambda *args, **options: calls.append(1) or outputs(*args, **options))
    lab.explain(small, networks.images(), 3, method="gradient")
    assert len(calls) == 1
