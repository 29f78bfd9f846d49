"""What stands beside a picture: natural examples, neighbours, classes, groups, grids and maps, against slow arithmetic."""

import keras
import numpy as np
import pytest
from PIL import Image

import lab
from lab import routines
from lab.environment import tf
from lab.relevance import relevance
from lab.visualization import atlas, connections, examples
from tests import networks
from tests.networks import distance


@pytest.fixture(scope="module")
def small():
    return networks.network(networks.flat())


@pytest.fixture(scope="module")
def natural_images():
    rng = np.random.default_rng(0)
    return lab.Data(
        tuple(map(str, range(23))), tuple(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(23))
    )


def test_a_survey_finds_the_highest_and_lowest_in_any_batches(small, natural_images):
    survey = examples.survey(small, natural_images, layer="last", count=4, batch=5)
    every = routines.activations(small, small.preprocess(natural_images.images), "last")
    means = every.mean((1, 2))
    for unit in range(means.shape[1]):
        order = np.argsort(-means[:, unit], kind="stable")
        assert distance(means[survey.top[unit], unit], means[order[:4], unit]) < 1e-5
        assert distance(means[survey.bottom[unit], unit], np.sort(means[:, unit])[:4]) < 1e-5
        assert distance(survey.top_scores[unit], means[order[:4], unit]) < 1e-5
        assert list(survey.top_places[unit]) == [int(every[image, ..., unit].argmax()) for image in survey.top[unit]]
    assert distance(survey.kept_scores, means) < 1e-5 and survey.count == 23
    again = examples.survey(small, natural_images, layer="last", count=4, batch=23)
    assert all(
        np.array_equal(value, again.as_arrays()[name])
        for name, value in survey.as_arrays().items()
        if "scores" not in name
    )
    logits = examples.survey(small, natural_images, count=2)
    assert list(logits.top[:, 0]) == list(
        routines.outputs(small, small.preprocess(natural_images.images))["logits"].argmax(0)
    )
    strip, scores = survey.strip((0, 50, 100))
    assert np.array_equal(scores[:, 2], survey.top_scores[:, 0]) and (np.diff(scores, axis=1) >= 0).all()
    assert np.array_equal(means[strip[:, 2]].max(0) > 0, means.max(0) > 0)


def test_a_survey_by_relevance_ranks_what_goes_through_a_unit_for_the_answer(small, natural_images):
    survey = examples.survey(small, natural_images, layer="last", count=4, batch=5, composite="epsilon_plus")
    inputs = small.preprocess(natural_images.images)
    answers = routines.outputs(small, inputs)["logits"].argmax(1).tolist()
    _, read = relevance(small, inputs, lab.logit(answers), "epsilon_plus", layers=["last"])
    sums = read["last"].sum((1, 2))
    for unit in range(sums.shape[1]):
        order = np.argsort(-sums[:, unit], kind="stable")[:4]
        assert distance(survey.top_scores[unit], sums[order, unit]) < 1e-5
        assert list(survey.top_places[unit]) == [
            int(read["last"][image, ..., unit].argmax()) for image in survey.top[unit]
        ]
    by_activation = examples.survey(small, natural_images, layer="last", count=4)
    assert not np.array_equal(survey.top, by_activation.top)


def test_many_images_keep_few_scores(small, natural_images, monkeypatch):
    monkeypatch.setattr(examples, "KEPT", 10)
    survey = examples.survey(small, natural_images, layer="last", batch=4)
    assert list(survey.kept) == list(range(0, 23, 3)) and len(survey.kept_scores) == 8


def test_images_of_a_folder_stay_in_their_files(tmp_path, small):
    for index in range(3):
        Image.fromarray(np.full((20, 20, 3), 40 * index, "uint8")).save(tmp_path / f"{index}.png")
    data = lab.folder(tmp_path)
    assert len(data) == 3 and data.images[2].mean() == 80 and len(data.images[1:]) == 2
    (tmp_path / "2.png").write_bytes(b"no")
    assert data.images[0].mean() == 0
    with pytest.raises(ValueError, match="does not recognize"):
        examples.survey(small, data, layer="last")


def test_a_receptive_field_is_the_kernels_sum():
    inputs = keras.Input((32, 32, 3))
    first = keras.layers.Conv2D(4, 5, padding="same", name="a")(inputs)
    second = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="b")(first)
    network = networks.network(networks.filled(keras.Model(inputs, keras.layers.Flatten()(second))))
    assert examples.receptive_box(network, "a") == (5, 5) and examples.receptive_box(network, "b") == (7, 7)
    assert examples.receptive_box(network, None) is None
    assert examples.window(network, "a", 10 * 32 + 20, (5, 5)) == (8, 18, 13, 23)
    assert examples.window(network, "a", 0, (5, 5)) == (0, 0, 5, 5)


def test_the_window_of_a_top_image_drives_the_unit():
    """One bright spot on black: the window of the strongest image is around the spot."""
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Conv2D(1, 5, padding="same", name="a")(inputs)))
    model.get_layer("a").set_weights([np.ones((5, 5, 3, 1), "float32"), np.zeros(1)])
    network = networks.network(model)
    image = np.zeros((32, 32, 3), "uint8")
    image[20:23, 8:11] = 255
    survey = examples.survey(network, lab.Data(("x",), (image,)), layer="a", count=1)
    top, left, bottom, right = examples.window(network, "a", survey.top_places[0, 0], (5, 5))
    assert top <= 20 and bottom >= 23 and left <= 8 and right >= 11


def test_links_follow_weights_past_what_keeps_channels_apart():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="one")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    start = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="deep")(start)
    x = keras.layers.Conv2D(4, 1, name="two")(x)
    x = keras.layers.Add(name="add")([x, start])
    x = keras.layers.MaxPooling2D(4, name="max")(x)
    outputs = keras.layers.Dense(5, name="dense")(keras.layers.Flatten(name="flatten")(x))
    network = networks.network(networks.filled(keras.Model(inputs, outputs)))
    weights = {path: network.tree[path].kernel.numpy() for path in ("one", "two", "dense")}
    before, after = connections.links(network, "relu")
    # Nothing comes before the first convolution but the input, which is no layer.
    assert not before
    assert {link.through for link in after} == {"two", "dense"}
    two = next(link for link in after if link.through == "two")
    assert two.layer == "two" and distance(two.strength, weights["two"].sum((0, 1))) < 1e-6
    dense = next(link for link in after if link.through == "dense")
    assert distance(dense.strength, weights["dense"].reshape(4, 4, 5).sum(0)) < 1e-6
    before, _ = connections.links(network, "add")
    assert [(link.layer, link.through) for link in before] == [("deep", "two")]
    assert distance(before[0].strength, weights["two"].sum((0, 1)).T) < 1e-6
    best = before[0].strongest(2, 2)
    assert best[0][0] == int(np.abs(weights["two"][0, 0, :, 2]).argmax()) and len(best) == 2


def test_links_of_the_default_network(lite0):
    before, after = connections.links(lite0, "block_2_expand_relu")
    assert [link.through for link in before] == ["block_2_expand_conv"] and before[0].layer == "block_1_project_bn"
    assert [link.through for link in after] == ["block_2_project_conv"]
    assert before[0].strength.shape == (144, 24) and after[0].strength.shape == (144, 24)


def test_usage_is_the_mean_of_gradient_times_activation(small, natural_images):
    classes, drawn = connections.usage(small, natural_images, "last", count=1, batch=6)
    inputs = small.preprocess(natural_images.images)
    activation = tf.constant(routines.activations(small, inputs, "last"))
    kernel, bias = small.tree["logits"].kernel.numpy(), small.tree["logits"].bias.numpy()
    top = (activation.numpy().mean((1, 2)) @ kernel + bias).argmax(1)
    assert list(classes) == sorted(set(top))
    for place, index in enumerate(classes):
        # Pooling and a dense layer: the contribution of a channel is its mean times its weight.
        slow = (activation.numpy().mean((1, 2))[top == index] * kernel[:, index]).mean(0)
        assert distance(drawn[place], slow) < 1e-4


def test_groups_are_factors(small, natural_images):
    inputs = small.preprocess(natural_images.images)
    positive = np.maximum(routines.activations(small, inputs, "last"), 0)
    six = atlas.groups(small, inputs, "last", 6, seed=0)
    assert six.shares.shape == (*positive.shape[:3], 6) and six.directions.min() >= 0 and six.shares.min() >= 0
    few = atlas.groups(small, inputs, "last", 1, seed=0)

    def gap(groups):
        return distance(groups.shares @ groups.directions, positive)

    assert gap(six) < 0.5 * gap(few)
    with pytest.raises(ValueError, match="between 1 and 12"):
        atlas.groups(small, inputs, "last", 99, seed=0)


def test_a_dictionary_and_a_grid_speak_of_every_position(small, natural_images):
    inputs = small.preprocess(natural_images.images[:1])
    activation = routines.activations(small, inputs, "last")[0]
    channels, shares = atlas.dictionary(small, inputs, "last", 3)
    assert np.array_equal(channels[..., 0], activation.argmax(-1)) and shares.max() == pytest.approx(1)
    images = atlas.grid(small, inputs, "last", seed=0, steps=30, transforms="none")
    assert images.shape == (*activation.shape[:2], 16, 16, 3)
    mean = routines.activations(small, small.preprocess(255 * images[2, 3][None]), "last").mean((1, 2))[0]
    aligned = [
        np.dot(mean, direction) / np.linalg.norm(mean) / np.linalg.norm(direction)
        for direction in (activation[2, 3], np.ones(12))
    ]
    assert aligned[0] > aligned[1]
    with pytest.raises(ValueError, match="rows and columns"):
        atlas.grid(small, inputs, "logits", seed=0)


def test_an_atlas_keeps_kinds_apart(small):
    """Dark and bright images: no cell of the map holds both."""
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 40, (16, 16, 3), dtype=np.uint8) + 215 * (index % 2) for index in range(40))
    drawn = atlas.atlas(
        small,
        lab.Data(tuple(map(str, range(40))), tuple(image.astype("uint8") for image in images)),
        "last",
        seed=0,
        side=4,
        fewest=1,
    )
    assert drawn.counts.sum() == 40 and drawn.vectors.shape == (len(drawn.cells), 12)
    cell = np.minimum((drawn.places * 4).astype(int), 3)
    kinds = {
        tuple(key): {int(image) % 2 for image, place in zip(drawn.images, cell) if tuple(place) == tuple(key)}
        for key in cell
    }
    assert sum(len(kinds_of_cell) == 1 for kinds_of_cell in kinds.values()) >= 0.9 * len(kinds)
    assert atlas.draw_vectors(small, drawn.vectors, "last", seed=0, steps=2).images.shape[0] == len(drawn.cells)


def test_layouts_can_be_ones_own_and_missing_extras_are_named(small, natural_images):
    flat = atlas.atlas(small, natural_images, "last", seed=0, layout=lambda vectors, *, seed: vectors[:, :2], side=3)
    assert flat.counts.min() >= 2
    with pytest.raises(ValueError, match="Unknown layout.*tsne"):
        atlas.atlas(small, natural_images, "last", seed=0, layout="tsn")
