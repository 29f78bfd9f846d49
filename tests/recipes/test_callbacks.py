"""Maps during training, in a folder and as TensorBoard reads them."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import lab
from recipes.callbacks import AttributionLogger
from tests import networks


def fitted(callback, epochs=3):
    model = networks.flat()
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = networks.images(8)
    model.fit(inputs, np.arange(8) % 5, epochs=epochs, batch_size=4, verbose=0, callbacks=[callback])
    return model, inputs


@pytest.mark.parametrize(
    "method, options", [("gradcam", {}), ("smoothgrad", {"samples": 3}), ("tf_explain.gradcam", {})]
)
def test_maps_are_logged_with_training(tmp_path, method, options):
    some = networks.images(2)
    logger = AttributionLogger(
        method, (some, [1, 3]), every=2, folder=tmp_path / "run", tensorboard=tmp_path / "tb", **options
    )
    model, _ = fitted(logger, 4)
    names = sorted(path.name for path in (tmp_path / "run").glob("*.npz"))
    assert names == ["epoch-00000.npz", "epoch-00002.npz", "epoch-00004.npz"]
    last = np.load(tmp_path / "run" / "epoch-00004.npz")
    now = lab.explain(lab.load(model), some, lab.logit([1, 3]), method=method, **options)
    assert networks.distance(last["maps"], now.maps) < 1e-5
    assert networks.distance(np.load(tmp_path / "run" / "epoch-00000.npz")["maps"], last["maps"]) > 1e-3
    rows = list(csv.DictReader((tmp_path / "run" / "maps.csv").read_text().splitlines()))
    assert len(rows) == 6 and rows[0]["agreement_with_last"] == "" and float(rows[-1]["agreement_with_last"]) < 1
    assert len(list((tmp_path / "run").glob("*.png"))) == 6
    seen = events(tmp_path / "tb")
    maps = [value for value in seen if value[0].endswith("/maps")]
    assert (
        len(maps) == 3 and maps[0][1] == "images" and tf.io.decode_png(maps[0][2].string_val[2]).shape == (160, 160, 3)
    )
    assert sum(value[1] == "scalars" for value in seen) == 6


def events(folder):
    found = []
    for path in folder.glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(each.tag, each.metadata.plugin_data.plugin_name, each.tensor) for each in event.summary.value]
    return found


def test_without_classes_the_first_answer_is_explained_all_along(tmp_path):
    some = networks.images(3)
    top = np.asarray(networks.flat()(some)).argmax(1)
    logger = AttributionLogger("gradient", some, folder=tmp_path)
    fitted(logger, 2)
    assert list(logger.objective.numbers(3)[0][0]) == list(top)


def test_what_cannot_be_logged_is_refused_when_training_begins(tmp_path):
    with pytest.raises(ValueError, match="Unknown method"):
        fitted(AttributionLogger("gradcm", networks.images(1), folder=tmp_path))
    with pytest.raises(ValueError, match="counts epochs"):
        AttributionLogger("gradcam", networks.images(1), every=0)
