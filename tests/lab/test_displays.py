"""Displays: what a network, an objective and data show of themselves, however unusual they are."""

import keras
import numpy as np
import pytest

import lab
from lab import displays
from lab.data import Data, Files
from lab.objectives import objectives
from tests import networks

RNG = np.random.default_rng(0)


# Explanations -------------------------------------------------------------------------------------------------------------


def test_an_explanation_says_what_was_explained():
    network = lab.Network(networks.flat(), classes=list("abcde"))
    record = lab.explain(network, RNG.normal(size=[10, 16, 16, 3]).astype("float32"), "b", method="gradient")
    lines = repr(record).splitlines()
    assert lines[0].startswith("Explanation of class_score(") and lines[0].endswith(" by gradient")
    assert len(lines) == 10 and record.captions[7] in lines[8] and lines[9].endswith("and 2 more")


# Networks -----------------------------------------------------------------------------------------------------------------


def test_a_network_says_what_it_takes_and_gives():
    network = lab.Network(networks.flat(), name="small", preprocessing=networks.GREY, classes=list("abcd<"))
    lines = repr(network).splitlines()
    assert lines[0] == f"Network small: {len(network.layers())} layers, {network.model.count_params():,} parameters"
    assert [line.split()[0] for line in lines[1:]] == ["input", "output", "images"]
    assert lines[1].endswith("(any, 16, 16, 3) float32") and lines[2].endswith("(any, 5): 5 classes (a, b, c, d, <)")
    assert lines[3].endswith("0 to 255 becomes -1 to 1, 3 channels")
    assert "d, &lt;" in network._repr_html_() and network._repr_html_().count("<tr>") == 3


def test_channels_of_other_ranges_are_said_one_by_one():
    mean = lab.preprocessing.Preprocessing(((1.0, 0.0), (0.0, 1.0)), (0.0, -100.0))
    model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Flatten(), keras.layers.Dense(1)])
    text = repr(lab.Network(model, preprocessing=mean))
    assert "[0, -100] to [255, 155], 2 channels" in text and "1 class" in text and "1 classes" not in text


def test_a_network_of_several_inputs_and_outputs_names_each():
    image, table = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="table")
    both = keras.layers.Concatenate()([keras.layers.Flatten()(image), table])
    heads = {name: keras.layers.Dense(count, name=name)(both) for name, count in (("kind", 3), ("age", 1))}
    text = repr(lab.Network(keras.Model({"image": image, "table": table}, heads)))
    for words in ("image (any, 8, 8, 3)", "table (any, 4)", "kind (any, 3): 3 classes", "age (any, 1)"):
        assert words in text, text
    assert "given ready-made" in text


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_subclassed_model_is_shown_too_and_a_table_has_no_colours():
    model = Subclassed()
    model(np.zeros((1, 4), "float32"))
    text = repr(lab.load(model))
    assert "3 classes" in text and "float32" in text and "images" not in text


def test_a_subclassed_model_of_grey_images_takes_one_channel_and_its_maps_are_plotted():
    """Its inputs are known from its first call alone."""
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])

    class Wrapped(keras.Model):
        def call(self, inputs):
            return model(inputs)

    wrapped = Wrapped()
    wrapped(np.zeros((1, 8, 8, 1), "float32"))
    network = lab.load(wrapped, input_range=(0, 1))
    assert "1 channel" in repr(network) and network.preprocessing.channels == 1
    inputs = network.preprocess([np.arange(64.0).reshape(8, 8)])
    assert inputs.shape == (1, 8, 8, 1)
    lab.explain(network, inputs, method="gradient").plot()


def test_token_ids_are_whole_numbers():
    tokens = keras.Input((None,), dtype="int32")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(10, 4)(tokens))
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(pooled))
    text = repr(lab.Network(model, classes=["no", "yes"]))
    assert "(any, any) int32" in text and "2 classes (no, yes)" in text


# Objectives ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "lab.logit(3) - lab.logit(8)",
        "-lab.logit(3) + 0.1 * lab.class_score([1, 2], output='kind')",
        "2 * lab.channel('block_6_add', 5)",
        "lab.channel('block_6_add', 5).linear",
        "lab.region(3)",
        "lab.region(3, mask=[[1.0, 0.0]])",
        "lab.token(3, 1)",
        "lab.neuron('last', [3, 4])",
        "lab.neuron('last', 3, row=1, column=2)",
        "lab.layer('last')",
        "lab.direction('last', [1.0, 2.0])",
        "lab.direction('last', [[1.0, 2.0], [0.0, 1.0]], power=2.0)",
        "lab.direction('last', [1.0, 2.0], row=0, column=1)",
        "lab.cosine('last', [1.0, 2.0])",
        "lab.weighted('last', [1, 2], [0.5, 0.25])",
        "lab.group('last', 3, [0, 1], [2, 4])",
        "lab.likeness('last', [1.0, 2.0])",
    ],
)
def test_an_objective_is_shown_as_it_is_typed(text):
    objective = eval(text)
    assert repr(objective) == text and eval(repr(objective)) == objective


def test_every_registered_objective_is_shown_by_its_name():
    arguments = {
        "interpolation": ("last", 1, 2),
        "region": (3,),
        "layer": ("last",),
        "logit": (3,),
        "class_score": (3,),
    }
    arguments |= {"weighted": ("last", [1], [1.0]), "group": ("last", 1, (0, 1), (0, 1)), "token": (1, 2)}
    arguments |= {"direction": ("last", [1.0]), "cosine": ("last", [1.0]), "likeness": ("last", [1.0])}
    for name in objectives:
        objective = objectives.get(name)(*arguments.get(name, ("last", 1)))
        assert repr(objective).startswith("lab."), name


def test_long_lists_are_cut_and_functions_are_named():
    assert repr(lab.logit(list(range(100)))) == "lab.logit([0, 1, 2, 3, ...])"
    assert len(repr(lab.direction("last", RNG.normal(size=(64, 64))))) < 1000

    def brightness(activations):
        return activations["last"]

    assert repr(lab.custom(brightness, "last")) == "lab.custom(brightness, 'last')"
    assert repr(lab.custom(brightness, ["first", "last"])) == "lab.custom(brightness, ['first', 'last'])"


# Data ---------------------------------------------------------------------------------------------------------------------


def pictures(*shapes, dtype="uint8"):
    return tuple((255 * RNG.random(shape)).astype(dtype) for shape in shapes)


def test_data_say_how_many_how_large_and_of_what_source():
    data = Data(
        ("a", "b", "<c>"), pictures((4, 6, 3), (4, 6, 3), (8, 300, 3)), labels=("x", "y", "x"), groups=(0, 0, 1)
    )
    assert repr(data).splitlines() == [
        "Data: 3 images of 2 sources",
        "  names   a, b, <c>",
        "  sizes   4 x 6 to 8 x 300, uint8",
        "  labels  x (2), y (1)",
    ]
    shown = data._repr_html_()
    assert shown.count("<img") == 3 and "&lt;c&gt; (8 x 300)" in shown and "<c>" not in shown


def test_no_image_and_one_image_are_shown():
    empty = Data((), ())
    assert repr(empty) == "Data: no images" and "<img" not in empty._repr_html_()
    one = Data(("a",), pictures((5, 5, 1), dtype="float32"))
    assert repr(one).startswith("Data: 1 image\n") and "5 x 5, float32" in repr(one)
    assert one._repr_html_().count("<img") == 1


def test_a_table_masks_and_other_channels_are_shown():
    images = pictures(*[(4, 4, 5)] * 8)
    table = np.zeros((8, 2), "float32")
    data = Data(tuple("abcdefgh"), images, masks=np.zeros((8, 4, 4), bool), table=table, columns=("age", "dose"))
    assert "a, b, c, d, e, f and 2 more" in repr(data) and "(8, 2): age, dose" in repr(data)
    assert "(8, 4, 4)" in repr(data) and data._repr_html_().count("<img") == 6


def test_files_are_not_read_to_be_named_and_a_damaged_one_is_said(tmp_path, monkeypatch):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    keras.utils.save_img(good, pictures((6, 6, 3))[0])
    bad.write_bytes(b"no image")
    data = Data(("good.png", "bad.png"), Files((good, bad)))
    shown = data._repr_html_()
    assert shown.count("<img") == 1 and "cannot be read: bad.png" in shown
    monkeypatch.setattr("lab.data.read", lambda *args, **options: pytest.fail("a file was read"))
    assert "in files" in repr(data)


def test_a_thumbnail_has_the_proportions_of_its_image():
    image, _ = displays._thumbnail(Data(("wide",), [np.zeros((300, 451, 3), "uint8")]), 0)
    assert (
        image.shape[1] / image.shape[0] == pytest.approx(451 / 300, rel=0.02) and max(image.shape) < 2 * displays.SIDE
    )
