"""Maps during training, in a folder and as TensorBoard reads them."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import lab
from recipes.callbacks import AttributionLogger, Gallery, class_objective, split_data
from tests import networks


def fit(callback, epochs=3):
    model = networks.flat()
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = networks.images(8)
    model.fit(inputs, np.arange(8) % 5, epochs=epochs, batch_size=4, verbose=0, callbacks=[callback])
    return model, inputs


@pytest.mark.parametrize(
    "method, options", [("gradcam", {}), ("smoothgrad", {"samples": 3}), ("tf_explain.gradcam", {})]
)
def test_maps_are_logged_with_training(tmp_path, method, options):
    images = networks.images(2)
    logger = AttributionLogger(
        method, (images, [1, 3]), every=2, folder=tmp_path / "run", tensorboard=tmp_path / "tb", **options
    )
    model, _ = fit(logger, 4)
    names = sorted(path.name for path in (tmp_path / "run").glob("*.npz"))
    assert names == ["epoch-00000.npz", "epoch-00002.npz", "epoch-00004.npz"]
    last = np.load(tmp_path / "run" / "epoch-00004.npz")
    now = lab.explain(lab.load(model), images, lab.logit([1, 3]), method=method, **options)
    assert networks.distance(last["maps"], now.maps) < 1e-5
    assert networks.distance(np.load(tmp_path / "run" / "epoch-00000.npz")["maps"], last["maps"]) > 1e-3
    rows = list(csv.DictReader((tmp_path / "run" / "maps.csv").read_text().splitlines()))
    assert len(rows) == 6 and rows[0]["agreement_with_last"] == "" and float(rows[-1]["agreement_with_last"]) < 1
    assert len(list((tmp_path / "run").glob("*.png"))) == 6
    summaries = events(tmp_path / "tb")
    maps = [value for value in summaries if value[0].endswith("/maps")]
    assert (
        len(maps) == 3 and maps[0][1] == "images" and tf.io.decode_png(maps[0][2].string_val[2]).shape == (160, 160, 3)
    )
    assert sum(value[1] == "scalars" for value in summaries) == 6


def events(folder):
    summaries = []
    for path in folder.glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            summaries += [
                (value.tag, value.metadata.plugin_data.plugin_name, value.tensor) for value in event.summary.value
            ]
    return summaries


def test_without_classes_the_first_answer_is_explained_all_along(tmp_path):
    images = networks.images(3)
    top = np.asarray(networks.flat()(images)).argmax(1)
    logger = AttributionLogger("gradient", images, folder=tmp_path)
    fit(logger, 2)
    assert list(logger.objective.numbers(3)[0][0]) == list(top)


def test_what_cannot_be_logged_is_refused_when_training_begins(tmp_path):
    with pytest.raises(ValueError, match="Unknown method"):
        fit(AttributionLogger("gradcm", networks.images(1), folder=tmp_path))
    with pytest.raises(ValueError, match="counts epochs"):
        AttributionLogger("gradcam", networks.images(1), every=0)


class Batches(keras.utils.PyDataset):
    """Two batches with labels."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(3 * index, 3 * index + 3)
        return INPUTS[rows], LABELS[rows]


INPUTS, LABELS = networks.images(6), np.array([0, 1, 4, 2, 3, 1])


def maps_of(data, model, **options):
    """The classes and the first maps that a logger has of data, the weights standing still."""
    logger = AttributionLogger("gradient", data, folder=options.pop("folder"), **options)
    logger.set_model(model)
    logger.on_train_begin()
    return logger.objective, np.load(logger.folder / "epoch-00000.npz")["maps"]


@pytest.mark.parametrize(
    "data",
    [
        (INPUTS, np.eye(5)[LABELS]),
        (INPUTS, LABELS[:, None]),
        (INPUTS, LABELS, np.ones(6)),
        tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(4),
        tf.data.Dataset.from_tensor_slices((INPUTS, np.eye(5)[LABELS], np.ones(6))).batch(2),
        Batches(),
    ],
)
def test_data_as_fit_takes_it(tmp_path, data):
    model = networks.flat()
    objective, maps = maps_of(data, model, folder=tmp_path)
    assert list(objective.numbers(6)[0][0]) == list(LABELS)
    expected = lab.explain(lab.load(model), INPUTS, lab.logit(LABELS.tolist()), method="gradient").maps
    assert networks.distance(maps, expected) < 1e-6


def test_a_dataset_without_labels_is_explained_by_its_first_answers(tmp_path):
    model = networks.flat()
    objective, _ = maps_of(tf.data.Dataset.from_tensor_slices(INPUTS).batch(4), model, folder=tmp_path)
    assert list(objective.numbers(6)[0][0]) == list(np.asarray(model(INPUTS)).argmax(1))


@pytest.mark.parametrize(
    "labels", [[0, 1, 1, 0], [[0], [1], [1], [0]], [0.0, 1.0, 1.0, 0.0], ["no", "yes", "yes", "no"]]
)
def test_both_classes_of_one_sigmoid_unit(tmp_path, labels):
    rng = np.random.default_rng(0)
    model = networks.linear(rng.normal(size=(3, 1)), np.zeros(1))
    model = keras.Sequential([model, keras.layers.Activation("sigmoid")])
    inputs = rng.normal(size=(4, 3)).astype("float32")
    _, maps = maps_of((inputs, labels), model, folder=tmp_path, model_options={"classes": ["no", "yes"]})
    weights = model.get_weights()[0][:, 0]
    # The gradient of class 1 is the unit's, that of class 0 its opposite.
    np.testing.assert_allclose(maps, np.stack([-weights, weights, weights, -weights]), rtol=1e-5)


def test_of_several_right_classes_the_strongest_answer_and_of_none_the_answer(tmp_path):
    model = networks.flat()
    answers = np.asarray(model(INPUTS))
    rows = np.zeros((6, 5))
    rows[:, [1, 3]] = 1
    rows[5] = 0
    objective, _ = maps_of((INPUTS, rows), model, folder=tmp_path)
    expected = [1 if answer[1] > answer[3] else 3 for answer in answers[:5]] + [int(answers[5].argmax())]
    assert list(objective.numbers(6)[0][0]) == expected


def test_data_that_is_refused(tmp_path):
    endless = tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(2).repeat()
    for data, words in (
        (endless, r"take\(batches\)"),
        ((INPUTS, LABELS[:3]), "3 labels for 6"),
        ((INPUTS, LABELS + 4), "0 to 4"),
    ):
        with pytest.raises(lab.Refused, match=words):
            maps_of(data, networks.flat(), folder=tmp_path)


def test_a_gallery_notes_the_scores_of_a_dataset(tmp_path):
    data = tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(4)
    assert np.array_equal(split_data(data)[0], INPUTS)
    gallery = Gallery(tmp_path, None, [0, 2], steps=1, images=data, model_options={"input_range": (-1, 1)})
    model = networks.flat()
    gallery.set_model(model)
    gallery.on_train_begin()
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    np.testing.assert_allclose(
        [float(row["highest_natural"]) for row in rows], np.asarray(model(INPUTS))[:, [0, 2]].max(0), rtol=1e-3
    )


def test_what_a_regression_is_trained_on_are_no_classes():
    inputs = keras.Input((4,))
    network = lab.load(keras.Model(inputs, keras.layers.Dense(1)(inputs)))
    x = np.ones((3, 4), "float32")
    assert class_objective(network, x, np.array([[3.7], [-1.0], [0.0]])) == lab.logit(0)
    assert class_objective(network, x, np.array([0, 1, 1])) == lab.class_score([0, 1, 1])
    assert class_objective(network, x, None) == lab.logit(0)
