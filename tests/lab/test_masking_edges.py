"""Methods that take parts away at their edges: few samples, ids, padding, parts of one's own, memory, estimates."""

import contextlib
import os
import pathlib
import re
import time
import tracemalloc

import keras
import numpy as np
import pytest

import lab
from lab import routines, shapley
from lab.attribution import explainers
from lab.attribution.lime import local_weights
from recipes.explanations import passes
from recipes.store import Store

L = keras.layers
ROOT = pathlib.Path(lab.__file__).parent.parent


# 1 -- KernelSHAP at the number of samples that the refusal itself recommends
@pytest.mark.parametrize("count", [5, 8, 12, 16])
def test_kernel_shap_is_exact_for_an_additive_game_at_the_smallest_number_of_samples(count):
    """An additive game is fitted without error by any design of full rank; a rank-deficient one gives the least norm."""
    wrong = []
    for seed in range(60):
        weights = np.random.default_rng(1000 + seed).normal(size=count)
        rng = np.random.default_rng(seed)
        values = shapley.kernel_values(
            lambda coalitions, weights=weights: np.atleast_2d(coalitions @ weights), count, 2 * count, rng
        )
        wrong += [] if np.allclose(values.values[0], weights, atol=1e-6) else [seed]
    assert not wrong


def test_kernel_shap_of_a_linear_network_in_the_public_call():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), L.Dense(3)])
    network, rows = lab.load(model), np.random.default_rng(0).normal(size=(1, 8)).astype("float32")
    expected = rows * model.layers[-1].kernel.numpy()[:, 1]
    for seed in range(20):
        maps = lab.explain(network, rows, lab.logit(1), method="kernel_shap", samples=16, seed=seed).maps
        np.testing.assert_allclose(maps, expected, atol=1e-4, err_msg=f"seed {seed}")


# 2 -- ids that no Embedding embeds are never replaced, and the map is zero without a word
@pytest.mark.parametrize("method", ["exact_shapley", "kernel_shap", "feature_ablation", "occlusion", "lime"])
def test_ids_without_an_embedding_are_replaced_by_other_ids_or_refused(method):
    model = keras.Sequential(
        [keras.Input((6,), dtype="int32"), L.CategoryEncoding(20, output_mode="count"), L.Dense(2)]
    )
    network, ids = lab.load(model), np.array([[1, 2, 3, 4, 5, 6]], "int32")
    try:
        record = lab.explain(network, ids, lab.logit(1), method=method, baseline=np.zeros(6, "int32"))
    except lab.Refused:
        return
    assert np.abs(record.maps).max() > 1e-3, "a network of ids, all of whose parts count for nothing"


# 3 -- the gap of several baselines at a network that masks ids
def masked_tokens(steps=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((steps,), dtype="int32")
    return lab.load(keras.Sequential([inputs, L.Embedding(20, 4, mask_zero=True), L.LSTM(4), L.Dense(2)]))


@pytest.mark.parametrize("method", ["exact_shapley", "integrated_gradients"])
def test_the_gap_of_several_baselines_is_that_of_the_vectors_alone(method):
    network, ids = masked_tokens(8), np.array([[3, 4, 5, 6, 7, 8, 0, 0]], "int32")
    one = lab.explain(network, ids, lab.logit(1), method=method, baseline=0.5)
    several = lab.explain(network, ids, lab.logit(1), method=method, baselines=[0.5])
    np.testing.assert_allclose(several.maps, one.maps, atol=1e-6)
    np.testing.assert_allclose(several.gap, one.gap, atol=1e-5)


# 4 -- `baselines` of ids, which the docs name beside `baseline` of ids
def test_several_baselines_of_ids():
    network, ids = masked_tokens(8), np.array([[3, 4, 5, 6, 7, 8, 1, 2]], "int32")
    fills = np.array([[1] * 8, [2] * 8], "int32")
    alone = [lab.explain(network, ids, lab.logit(1), method="exact_shapley", baseline=fill).maps for fill in fills]
    several = lab.explain(network, ids, lab.logit(1), method="exact_shapley", baselines=fills).maps
    np.testing.assert_allclose(several, np.mean(alone, axis=0), atol=1e-6)


# 5 -- padding is a player
def test_padding_is_no_player():
    network, ids = masked_tokens(), np.array([[3, 4, 5, 6]], "int32")
    padded = np.pad(ids, ((0, 0), (0, 16)))
    short = lab.explain(network, ids, lab.logit(1), method="exact_shapley").maps
    long = lab.explain(network, padded, lab.logit(1), method="exact_shapley").maps  # refused: 20 players
    np.testing.assert_allclose(long[:, :4], short, atol=1e-5)
    lime = lab.explain(network, padded, lab.logit(1), method="lime").maps
    assert not lime[:, 4:].any()


# 6 -- a map of players with a sample that has none
@pytest.fixture(scope="module")
def images():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    hidden = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu")(inputs))
    return lab.load(keras.Model(inputs, L.Dense(2)(hidden))), np.random.default_rng(0).random((2, 12, 12, 3)).astype(
        "float32"
    )


@pytest.mark.parametrize("method", ["kernel_shap", "lime", "exact_shapley"])
def test_a_sample_without_players_is_treated_alike_by_all(images, method):
    network, inputs = images
    numbers = np.full((2, 12, 12), -1)
    numbers[0, :6], numbers[0, 6:] = 0, 1
    try:
        record = lab.explain(network, inputs, lab.logit(0), method=method, players=numbers)
    except lab.Refused:
        return
    assert not record.maps[1].any()


# 7 -- the gap where something is never taken away
def test_the_gap_compares_with_what_is_taken_away(images):
    network, inputs = images
    numbers = np.full((12, 12), -1)
    numbers[:4], numbers[4:8] = 0, 1
    record = lab.explain(network, inputs, lab.logit(0), method="exact_shapley", players=numbers)
    without = inputs.copy()
    without[:, :8] = 0
    fall = routines.scores(network, inputs, lab.logit(0)) - routines.scores(network, without, lab.logit(0))
    np.testing.assert_allclose(record.maps.sum(axis=(1, 2, 3)), fall, atol=1e-5)  # holds: the map is right
    assert np.abs(record.gap).max() < 1e-5


# 8 -- the default baseline is the value that marks masked steps
@pytest.mark.parametrize("method", ["exact_shapley", "kernel_shap", "lime"])
def test_all_steps_masked_is_refused_in_words(method):
    model = keras.Sequential([keras.Input((5, 3)), L.Masking(0.0), L.GlobalAveragePooling1D(), L.Dense(2)])
    inputs = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    try:
        record = lab.explain(lab.load(model), inputs, lab.logit(1), method=method)
    except lab.Refused as refusal:
        assert "baseline" in str(refusal)
        return
    assert np.isfinite(record.maps).all()


# 9 -- LIME's fit where the score does not vary
def test_a_constant_score_is_explained_by_a_constant():
    coalitions = np.random.default_rng(0).random((1000, 5)) < 0.5
    for constant in np.random.default_rng(1).normal(size=60).astype("float32") * 10:
        _, fit = local_weights(coalitions, np.full((1, 1000), constant, "float64"), 0.25, 1.0)
        assert fit[0] >= 0.5, f"warns of {fit[0]:.0%} for the constant {constant}"


# 10 -- whole numbers as floats pass the check of the option, and raise TypeError behind it
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("kernel_shap", {"samples": 100.0, "count": 9}),
        ("permutation_shap", {"permutations": 2.0, "count": 9}),
        ("lime", {"samples": 100.0}),
        ("rise", {"samples": 20.0, "cells": 3}),
        ("sobol", {"designs": 4.0, "cells": 3}),
        ("hsic", {"cells": 3.0}),
        ("kernel_shap", {"seed": 3.0, "count": 9}),
    ],
)
def test_whole_numbers_that_pass_the_check_work(images, method, options):
    network, inputs = images
    lab.explain(network, inputs, lab.logit(0), method=method, **options)


@pytest.mark.parametrize(("method", "options"), [("hsic", {"samples": 1, "cells": 3}), ("occlusion", {"patch": "3"})])
def test_options_without_an_answer_are_refused(images, method, options):
    network, inputs = images
    with pytest.raises(lab.Refused):
        lab.explain(network, inputs, lab.logit(0), method=method, **options)


# 11 -- one image in a dict
@pytest.fixture(scope="module")
def in_a_dict():
    inputs = keras.Input((12, 12, 3), name="image")
    hidden = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu")(inputs))
    return lab.load(keras.Model({"image": inputs}, L.Dense(2)(hidden)))


@pytest.mark.parametrize("method", ["rise", "sobol", "hsic"])
def test_grids_lie_over_the_one_image_of_a_dict(in_a_dict, method):
    inputs = {"image": np.random.default_rng(0).random((2, 12, 12, 3)).astype("float32")}
    lab.explain(in_a_dict, inputs, lab.logit(0), method=method, cells=3)


def test_lime_takes_superpixels_of_the_one_image_of_a_dict(in_a_dict):
    image = np.random.default_rng(0).random((1, 12, 12, 3)).astype("float32")
    default = lab.explain(in_a_dict, {"image": image}, lab.logit(0), method="lime", count=9).maps["image"]
    chosen = lab.explain(in_a_dict, {"image": image}, lab.logit(0), method="lime", count=9, players="superpixels").maps
    np.testing.assert_allclose(default, chosen["image"], atol=1e-6)


# 12 -- several inputs of other shapes have no way to name players
def test_players_of_several_inputs():
    image, table = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="table")
    joined = L.Concatenate()([L.GlobalAveragePooling2D()(image), table])
    network, rng = lab.load(keras.Model([image, table], L.Dense(2)(joined))), np.random.default_rng(0)
    inputs = [rng.random((1, 8, 8, 3)).astype("float32"), rng.random((1, 4)).astype("float32")]
    lab.explain(network, inputs, lab.logit(0), method="kernel_shap", players="superpixels", count=4)
    halves = np.repeat([0, 1], 4)[:, None].repeat(8, axis=1)
    lab.explain(network, inputs, lab.logit(0), method="exact_shapley", players=[halves, np.arange(4)])


def test_a_window_over_a_scalar_is_refused_in_words():
    scalar = keras.Input(())
    network = lab.load(keras.Model(scalar, L.Dense(2)(L.Reshape((1,))(scalar))))
    with contextlib.suppress(lab.Refused):
        lab.explain(network, np.ones(2, "float32"), lab.logit(1), method="occlusion")


# 13 -- the estimate is within a factor of two
@pytest.mark.parametrize(
    ("shape", "method", "options", "forward_passes"),
    [
        ((16,), "exact_shapley", {}, 2**16),
        ((5, 3), "occlusion", {}, 6),
        ((30,), "occlusion", {}, 31),
        ((64, 64, 1), "occlusion", {"patch": 4, "stride": 1}, 61 * 61),
        ((64, 64, 1), "feature_ablation", {"players": "positions"}, 4097),
        ((64, 64, 1), "kernel_shap", {"baselines": [0.0, 1.0, 2.0, 3.0]}, 4 * 514),
    ],
)
def test_the_estimate_is_within_a_factor_of_two(shape, method, options, forward_passes):
    inputs = keras.Input(shape)
    network = lab.load(keras.Model(inputs, L.Dense(2)(L.Flatten()(inputs))))
    ratio = passes(explainers.get(method), options, network) / (forward_passes / 3)
    assert 0.5 < ratio < 2


# 14 -- memory of a window that moves by one position is windows x positions, twice as float64
def test_occlusion_keeps_to_the_memory(monkeypatch):
    from lab import games

    inputs = keras.Input((96, 96, 1))
    network = lab.load(keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(inputs))), memory=50_000_000)
    monkeypatch.setattr(games, "coalition_scores", lambda *arguments: np.zeros((1, len(arguments[4]), 1), "float32"))
    tracemalloc.start()
    lab.explain(network, np.ones((1, 96, 96, 1), "float32"), lab.logit(0), method="occlusion", patch=8, stride=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6, f"{peak / 1e6:.0f} MB for an image of 96 pixels; about 30 times that for one of 224"


# 15 -- the gallery's word for a signed method
def test_the_gallery_says_that_shapley_values_have_signs():
    text = (ROOT / "docs/gallery.md").read_text()
    for name in ("exact_shapley", "kernel_shap", "permutation_shap", "lime", "occlusion", "feature_ablation", "rise"):
        assert re.search(rf"\*\*`{name}`\*\*.*\*Signed\.\*", text), name


# 16 -- seeds = 3.0 is accepted by the check and raises TypeError, bare where there are shards
def test_whole_seeds_in_shards(tmp_path, small_file):
    from recipes import schema
    from recipes.jobs import list_jobs
    from recipes.session import Session
    from recipes.sources import Sources

    path = tmp_path / "recipe.toml"
    path.write_text(
        f'name = "s"\n[model]\nsource = "{small_file}"\ninput_range = [-1, 1]\n[[check]]\nseeds = 3.0\nshard = 2\n'
    )
    recipe = schema.read(str(path), ())
    with contextlib.suppress(lab.Refused):
        list_jobs(recipe, Session(Sources.of(recipe), tmp_path))


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    from tests import networks

    path = tmp_path_factory.mktemp("models") / "small.keras"
    networks.flat(head="softmax").save(path)
    return path


# 17 -- a file that is written in place and given its old time (rsync -t, cp -p, touch -r) is taken for the sealed one
def test_a_file_with_its_old_time_is_compared_again(tmp_path):
    store = Store(tmp_path, "recipe", "digest")
    with store.open():
        store.put("a", {"x": b"1"})
        path = store.folder("a") / "x"
        os.utime(path, (time.time() - 60, time.time() - 60))
        assert store.exists("a")
        stat = path.stat()
        path.write_bytes(b"2")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert not store.exists("a")


# 18 -- leverage: every coalition of one size is as likely, every size alike, half the players' size too
def test_half_the_players_are_as_many_as_any_other_size():
    """`paired_coalitions` says "as many of each size"; the leverage of a size is the same for all (Musco, Witter 2025)."""
    coalitions, _ = shapley.paired_coalitions(12, 600, np.random.default_rng(0))
    counts = np.bincount(coalitions.sum(axis=1))[3:10]
    assert counts.max() <= 1.2 * counts.min(), counts


# 19 -- an error whose remedy is none
def test_two_embeddings_of_one_input_are_one_input():
    initializer = keras.initializers.RandomNormal(stddev=3.0, seed=0)
    ids = keras.Input((6,), dtype="int32")
    hidden = L.GlobalAveragePooling1D()(
        L.Add()(
            [
                L.Embedding(20, 4, embeddings_initializer=initializer)(ids),
                L.Embedding(20, 4, embeddings_initializer=initializer)(ids),
            ]
        )
    )
    network = lab.load(keras.Model(ids, L.Dense(2)(L.Activation("tanh")(hidden))))
    rows = np.array([[1, 2, 3, 4, 5, 6]], "int32")
    fill = np.zeros(6, "int32")
    expected = []
    for token in range(6):
        without = rows.copy()
        without[0, token] = 0
        expected.append(
            routines.scores(network, rows, lab.logit(1))[0] - routines.scores(network, without, lab.logit(1))[0]
        )
    maps = lab.explain(network, rows, lab.logit(1), method="feature_ablation", baseline=fill).maps[0]
    np.testing.assert_allclose(
        maps, expected, atol=1e-6
    )  # the fall when one token is replaced, not the sum of two falls
