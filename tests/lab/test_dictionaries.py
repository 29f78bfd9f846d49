"""Dictionaries of a layer, against scikit-learn, planted atoms, and slow formulas in NumPy."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA

import lab
from lab import routines
from lab.concepts import (
    Dictionary,
    Removals,
    decompose,
    learn,
    learners,
    logits_after_removal,
    match,
    neighbours,
    random_directions,
    read_crops,
    read_positions,
    reconstruction,
    score_recovered,
    scores_after_removal,
    sobol_importance,
    stability,
)
from lab.concepts.positions import Rows
from lab.concepts.sparse_autoencoder import (
    BANDWIDTH,
    DEAD,
    THRESHOLD,
    Settings,
    _Trainer,
    active_count,
    advance,
    begin,
    finish,
    jump_relu,
)
from lab.data import Data
from lab.refusal import Refused

RNG = np.random.default_rng(0)
POSITIVE = RNG.gamma(0.5, size=(300, 12)).astype("float32")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    entry = keras.Input([12, 12, 3])
    features = keras.layers.Conv2D(8, 3, activation="relu", name="first")(entry)
    features = keras.layers.Conv2D(10, 3, activation="relu", name="second")(features)
    features = keras.layers.Conv2D(6, 1, name="signed")(features)
    means = keras.layers.GlobalAveragePooling2D(name="means")(features)
    return lab.load(keras.Model(entry, keras.layers.Dense(4, name="logits")(means)), input_range=(0, 1))


@pytest.fixture(scope="module")
def data():
    images = [RNG.integers(0, 256, (12, 12, 3), dtype="uint8") for _ in range(10)]
    return Data(tuple(map(str, range(10))), images)


@pytest.fixture(scope="module")
def planted():
    """Rows that are sums of three of forty directions in 24 channels: atoms and rows."""
    rng = np.random.default_rng(1)
    atoms = rng.normal(size=(40, 24))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((6000, 40))
    for row in codes:
        row[rng.choice(40, 3, replace=False)] = rng.uniform(0.5, 1.5, 3)
    return atoms, (codes @ atoms + 0.5).astype("float32")


# Learners -----------------------------------------------------------------------------------------------------------------


def test_components_and_codes_are_those_of_scikit_learn():
    dictionary, theirs = learn(POSITIVE, "pca", atoms=5, seed=0), PCA(5, random_state=0).fit(POSITIVE)
    np.testing.assert_array_equal(dictionary.atoms, theirs.components_)
    np.testing.assert_allclose(dictionary.encode(POSITIVE), theirs.transform(POSITIVE), atol=1e-5)
    np.testing.assert_allclose(
        dictionary.decode(dictionary.encode(POSITIVE)),
        theirs.inverse_transform(theirs.transform(POSITIVE)),
        atol=1e-5,
    )


def test_clusters_are_those_of_scikit_learn():
    dictionary = learn(POSITIVE, "kmeans", atoms=7, seed=3)
    theirs = KMeans(7, n_init=1, random_state=3).fit(POSITIVE)
    np.testing.assert_array_equal(dictionary.atoms, theirs.cluster_centers_.astype("float32"))
    np.testing.assert_array_equal(dictionary.encode(POSITIVE).argmax(axis=1), theirs.labels_)


@pytest.mark.parametrize("learner", ["nmf", "craft"])
def test_non_negative_factors_are_those_of_scikit_learn(learner):
    dictionary = learn(POSITIVE, learner, atoms=4, seed=1)
    theirs = NMF(4, init="random", random_state=1, max_iter=400).fit(POSITIVE)
    np.testing.assert_array_equal(dictionary.atoms, theirs.components_)
    np.testing.assert_allclose(dictionary.encode(POSITIVE), theirs.transform(POSITIVE), atol=1e-4)


def cosines(atoms, planted_atoms):
    unit = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    return np.abs(planted_atoms @ unit.T).max(axis=1).mean()


@pytest.mark.parametrize("activation", ["top_k", "jump_relu"])
def test_an_autoencoder_recovers_planted_atoms_where_components_do_not(planted, activation):
    atoms, rows = planted
    options = {"active": 3, "activation": activation, "steps": 1200, "batch": 256, "rate": 3e-3}
    dictionary = learn(rows, "sparse_autoencoder", atoms=40, seed=0, **options)
    assert cosines(dictionary.atoms, atoms) > 0.9
    assert cosines(learn(rows, "pca", atoms=24, seed=0).atoms, atoms) < 0.7
    quality = reconstruction(dictionary, rows)
    assert quality["r2"] > 0.9 and quality["dead"] <= 2
    np.testing.assert_allclose(np.linalg.norm(dictionary.atoms, axis=1), 1, atol=1e-5)
    if activation == "top_k":
        assert set((dictionary.encode(rows) != 0).sum(axis=1)) == {3}
    else:
        assert 2 < quality["active"] < 5


def test_codes_do_not_depend_on_scale_and_origin(planted):
    _, rows = planted
    options = {"active": 3, "steps": 30, "batch": 64}
    first = learn(rows, "sparse_autoencoder", atoms=40, seed=0, **options)
    second = learn(64 * rows, "sparse_autoencoder", atoms=40, seed=0, **options)
    np.testing.assert_allclose(second.encode(64 * rows), 64 * first.encode(rows), atol=1e-2)


@pytest.mark.parametrize("activation", ["top_k", "jump_relu"])
def test_training_that_goes_on_gives_the_same_bytes(planted, activation):
    _, rows = planted
    settings = Settings(40, 5, active=3, activation=activation, steps=40, batch=64)
    whole = advance(begin(rows, settings), rows, settings, 40)
    part = advance(begin(rows, settings), rows, settings, 17)
    kept = {name: value.copy() for name, value in part.items()}
    rest = advance(part, rows, settings, 23)
    assert all(whole[name].tobytes() == rest[name].tobytes() for name in whole)
    assert all(kept[name].tobytes() == part[name].tobytes() for name in kept)
    other = learn(rows, "sparse_autoencoder", atoms=40, seed=6, active=3, activation=activation, steps=40, batch=64)
    assert not np.array_equal(other.atoms, finish(whole, settings).atoms)


def test_gradients_of_thresholds_are_those_of_the_formula():
    values = tf.constant([[0.30, 0.9], [0.31, 0.2], [0.5, 0.41]])
    threshold = tf.Variable([0.3, 0.4])
    weights = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(weights * jump_relu(values, threshold))
    slopes = tape.gradient(total, [values, threshold])
    inside = np.abs(values.numpy() - threshold.numpy()) < BANDWIDTH / 2
    is_active = values.numpy() > threshold.numpy()
    np.testing.assert_allclose(slopes[0], weights.numpy() * is_active)
    expected = -(weights.numpy() * threshold.numpy() / BANDWIDTH * inside).sum(axis=0)
    np.testing.assert_allclose(slopes[1], expected, rtol=1e-5)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(active_count(values, threshold) * [1.0, 2.0, 3.0])
    expected = -(inside / BANDWIDTH * [[1], [2], [3]]).sum(axis=0)
    np.testing.assert_allclose(tape.gradient(total, threshold), expected, rtol=1e-5)


@pytest.mark.parametrize("activation", ["top_k", "jump_relu"])
def test_what_dead_atoms_miss_counts_in_the_loss_by_a_32th(activation):
    rows = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    settings = Settings(8, 0, active=2, activation=activation, steps=10, batch=64)
    state = begin(rows, settings)
    batch = (rows - state["mean"]) / state["scale"]

    def loss(step):
        fired = np.array([0, 0, 0, 1, 1, 1, 1, 1])
        trainer = _Trainer({**state, "step": np.int64(step), "fired": fired}, settings)
        return float(trainer._loss(tf.constant(batch))[0])

    values = batch @ state["encoder"]
    least = np.sort(values, axis=1)[:, -2:-1] if activation == "top_k" else np.full((64, 1), THRESHOLD + 1e-9)
    codes = np.where(values >= least, np.maximum(values, 0), 0)
    error = batch - codes @ state["decoder"]
    # Three atoms are dead after one step more, and as many may be active: half the channels.
    rebuilt = np.maximum(values[:, :3], 0) @ state["decoder"][:3]
    share = ((error - rebuilt) ** 2).sum(axis=1).mean() / (error**2).sum(axis=1).mean()
    assert loss(DEAD + 1) - loss(DEAD) == pytest.approx(share / 32, rel=1e-4)


def test_dead_atoms_come_back(planted):
    _, rows = planted
    settings = Settings(40, 0, active=3, steps=900, batch=128, rate=3e-3)
    state = begin(rows, settings)
    state["encoder"][:, :10] *= 0.05
    assert reconstruction(finish(state, settings), rows)["dead"] >= 10
    assert reconstruction(finish(advance(state, rows, settings, 900), settings), rows)["dead"] <= 2


def test_a_dictionary_is_kept_as_arrays(planted):
    _, rows = planted
    for learner in learners:
        options = {"steps": 3, "active": 2} if learner == "sparse_autoencoder" else {}
        dictionary = learn(np.abs(rows[:200]), learner, atoms=6, seed=0, **options)
        again = Dictionary.from_arrays(dictionary.as_arrays(), dictionary.kind, dictionary.settings)
        np.testing.assert_array_equal(again.encode(np.abs(rows[:9])), dictionary.encode(np.abs(rows[:9])))


# Activations --------------------------------------------------------------------------------------------------------------


def test_positions_are_those_of_the_layer_whatever_the_batch(network, data):
    whole = read_positions(network, data, "second", seed=0)
    activations = routines.activations(network, data.inputs_of(network), "second")
    np.testing.assert_allclose(whole.values, activations.reshape(-1, 10), atol=1e-6)
    np.testing.assert_array_equal(whole.inputs, np.repeat(range(10), 64))
    few = read_positions(network, data, "second", most=50, batch=3, seed=0)
    assert few.values.shape == (50, 10) and set(np.bincount(few.inputs)) == {5}
    same = read_positions(network, data, "second", most=50, batch=10, seed=0)
    np.testing.assert_allclose(same.values, few.values, atol=1e-6)


def test_rows_are_split_by_input():
    learned, held_out = Rows(np.arange(20.0)[:, None], np.repeat(range(10), 2)).split()
    assert set(held_out.inputs) == {4, 9} and not set(learned.inputs) & {4, 9}


def test_crops_cover_the_image(network, data):
    crops = read_crops(network, data, ["second", "first"], side=0.5)
    boxes = crops.boxes[crops.inputs == 0]
    assert boxes.min() == 0 and boxes.max() == 12 and len(crops.inputs) == len(boxes) * 10
    top, left, bottom, right = boxes[1]
    image = data.inputs_of(network)[:1, top:bottom, left:right]
    enlarged = tf.image.resize(image, (12, 12)).numpy()
    expected = routines.activations(network, enlarged, "second").mean(axis=(1, 2))[0]
    np.testing.assert_allclose(crops.values["second"][1], expected, atol=1e-5)
    craft = learn(crops.values["second"], "craft", atoms=3, seed=0)
    parts = decompose(craft, crops, "second", 1, "first", atoms=2, seed=0)
    assert parts.atoms.shape == (2, 8) and parts.kind == "craft"
    with pytest.raises(Refused, match="from 0 to 2. Received: 3"):
        decompose(craft, crops, "second", 3, "first", atoms=2, seed=0)


# Scores -------------------------------------------------------------------------------------------------------------------


def test_sobol_importance_of_a_linear_head_is_exact(network, data):
    inputs = data.inputs_of(network)
    rows = routines.activations(network, inputs, "second")
    dictionary = learn(rows.reshape(-1, 10), "nmf", atoms=4, seed=0)
    # From this layer on the network is linear: a product of codes and these weights.
    head, last = (network.variables[f"{name}/kernel"].numpy() for name in ("signed", "logits"))
    weights = dictionary.atoms @ head[0, 0] @ last[:, 2]
    parts = dictionary.encode(rows).mean(axis=(1, 2)) * weights
    exact = parts**2 / (parts**2).sum(axis=1, keepdims=True)
    estimate = sobol_importance(network, inputs, lab.logit(2), "second", dictionary, designs=256, seed=0)
    assert np.abs(estimate - exact).max() < 0.05


@pytest.fixture(scope="module")
def parts(data):
    """A network with a head that is not linear, four factors of its layer, and its inputs."""
    keras.utils.set_random_seed(5)
    entry = keras.Input([12, 12, 3])
    rows = keras.layers.Conv2D(10, 5, strides=3, activation="relu", name="rows")(entry)
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(16, 2, activation="relu", name="behind")(rows))
    hidden = keras.layers.Dense(12, activation="tanh", kernel_initializer="random_normal", name="bent")(8 * means)
    model = keras.Model(entry, keras.layers.Dense(4, name="logits")(hidden))
    network = lab.load(model, input_range=(0, 1))
    inputs = data.inputs_of(network)
    activations = routines.activations(network, inputs, "rows")
    return network, inputs, learn(activations.reshape(-1, 10), "craft", atoms=4, seed=0)


def test_sobol_importance_is_what_is_left_when_all_other_atoms_are_known(parts):
    """By its definition, the mean of Var(Y | all atoms but i) over Var(Y), with draws inside draws and a head in NumPy.

    Xplique's CRAFT is compared with below, where it is installed: it needs another TensorFlow. Everywhere else this slow formula and
    scikit-learn's NMF, above, stand for it.
    """
    network, inputs, dictionary = parts
    rng, codes = np.random.default_rng(0), dictionary.encode(routines.activations(network, inputs, "rows"))[0]
    head = head_in_numpy(network.model)

    def answers(masks):
        return head(masks[:, None, None] * codes @ dictionary.atoms + dictionary.origin)[:, 1]

    masks = rng.random((400, 4))
    variance, totals = answers(rng.random((20000, 4))).var(), []
    for atom in range(4):
        inner = np.repeat(masks, 60, axis=0)
        inner[:, atom] = rng.random(len(inner))
        totals.append(answers(inner).reshape(400, 60).var(axis=1, ddof=1).mean() / variance)
    estimate = sobol_importance(network, inputs, lab.logit(1), "rows", dictionary, designs=1024, seed=0)[0]
    assert max(totals) > 0.3 and np.abs(estimate - totals).max() < 0.06, (estimate, totals)


def head_in_numpy(model):
    """What follows the layer `rows`, without TensorFlow: float [n, 3, 3, channels] -> float [n, classes]."""
    kernel, bias, bent, bent_bias, last, last_bias = (
        weights for name in ("behind", "bent", "logits") for weights in model.get_layer(name).get_weights()
    )

    def head(rows):
        size = rows.shape[1] - 1
        windows = [rows[:, r : r + size, c : c + size] @ kernel[r, c] for r in (0, 1) for c in (0, 1)]
        means = np.maximum(sum(windows) + bias, 0).mean(axis=(1, 2))
        return np.tanh(8 * means @ bent + bent_bias) @ last + last_bias

    return head


def test_a_removal_takes_code_times_vector_at_every_position(network, data):
    inputs = data.inputs_of(network)
    rows = routines.activations(network, inputs, "first")
    dictionary = learn(rows.reshape(-1, 8), "nmf", atoms=3, seed=0)
    codes = dictionary.encode(rows)
    vectors = np.stack([dictionary.atoms[1], 2 * dictionary.atoms[0], dictionary.atoms[1]])
    removals = Removals(np.array([0, 3, 7], "int32"), np.array([1, 0, 1], "int32"), vectors)
    scores = scores_after_removal(network, inputs, lab.logit(1), "first", rows, codes, removals)
    logits = logits_after_removal(network, inputs, "first", rows, codes, removals)
    for place, atom, vector, score, row in zip(removals.inputs, removals.atoms, vectors, scores, logits):
        changed = rows[[place]] - codes[[place]][..., [atom]] * vector
        expected = routines.replace_activations(network, inputs[[place]], lab.logit(1), "first", changed)[0]
        assert abs(score - expected) < 1e-5 and abs(row[1] - expected) < 1e-5
    with pytest.raises(Refused, match="channels of its layer. Received: 8 for 'second'"):
        other = routines.activations(network, inputs, "second")
        scores_after_removal(network, inputs, lab.logit(1), "second", other, codes, removals)


def test_a_whole_dictionary_recovers_the_score_and_one_atom_less_of_it(network, data):
    inputs = data.inputs_of(network)
    rows = routines.activations(network, inputs, "signed").reshape(-1, 6)
    whole, less = (learn(rows, "pca", atoms=count, seed=0) for count in (6, 1))
    assert score_recovered(network, inputs, lab.logit(0), "signed", whole) > 0.999
    assert score_recovered(network, inputs, lab.logit(0), "signed", less) < 0.999
    assert reconstruction(whole, rows)["r2"] > 0.999 > reconstruction(less, rows)["r2"]


# Quality ------------------------------------------------------------------------------------------------------------------


def test_atoms_are_matched_in_any_order_and_random_ones_less_alike():
    atoms = RNG.normal(size=(20, 30))
    order = RNG.permutation(20)
    rows, columns, cosine = match(atoms, 3 * atoms[order])
    np.testing.assert_array_equal(order[columns], rows)
    np.testing.assert_allclose(cosine, 1)
    assert match(atoms, -atoms, signed=True)[2].min() > 0.999
    figures = stability([atoms, atoms[order] + 0.1 * RNG.normal(size=(20, 30))], seed=0)
    assert figures["learned"] > 0.9 > 0.5 > figures["random"]
    with pytest.raises(Refused, match="two seeds or more. Received: 1"):
        stability([atoms], seed=0)


def test_neighbours_are_the_most_alike():
    places, cosine = neighbours(np.array([[1.0, 0], [1, 0.1], [0, 1]]), 5)
    np.testing.assert_array_equal(places, [[1, 2], [0, 2], [1, 0]])
    assert cosine[0, 0] > 0.99


def test_random_directions_vary_as_activations_do():
    rows = RNG.normal(size=(500, 6)) * [10, 1, 1, 1, 1, 1]
    directions = random_directions(rows, 400, seed=0)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-5)
    assert np.abs(directions[:, 0]).mean() > 2 * np.abs(directions[:, 1]).mean()


# Refusals -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows, learner, options, words",
    [
        (POSITIVE[:4], "kmeans", {"atoms": 5}, "no more than rows. Received: 5 atoms for 4 rows"),
        (POSITIVE[:0], "pca", {"atoms": 3}, "no more than rows. Received: 3 atoms for 0 rows"),
        (POSITIVE, "pca", {"atoms": 13}, "as many as channels. Received: 13 for 12"),
        (POSITIVE - 1, "nmf", {"atoms": 2}, "Name a layer behind a ReLU, or the learner sparse_autoencoder"),
        (POSITIVE - 1, "craft", {"atoms": 2}, "need activations of 0 or more. Received: -1"),
        (np.full((9, 3), np.nan), "pca", {"atoms": 2}, "finite activations. Received: NaN"),
        (np.ones((9, 3)), "sparse_autoencoder", {"atoms": 2, "active": 1}, "activations that differ"),
        (POSITIVE, "sparse_autoencoder", {"atoms": 20, "active": 21}, "Received: active=21 for 20 atoms"),
        (POSITIVE, "sparse_autoencoder", {"atoms": 20, "activation": "topk"}, "top_k or jump_relu. Received: 'topk'"),
        (POSITIVE, "sparse_autoencoder", {"atoms": 20, "step": 3}, "Received: 'step'. Nearest: steps"),
        (
            POSITIVE,
            "autoencoder",
            {"atoms": 20},
            "Unknown dictionary learner. Received: 'autoencoder'. Nearest: sparse",
        ),
        (POSITIVE[0], "pca", {"atoms": 1}, r"\[rows, channels\]. Received: an array of shape \(12,\)"),
    ],
)
def test_what_cannot_be_learned_is_refused(rows, learner, options, words):
    with pytest.raises(Refused, match=words):
        learn(rows, learner, seed=0, **options)


def test_layers_and_inputs_that_cannot_be_read_are_refused(network, data):
    with pytest.raises(Refused, match="Unknown layer. Received: 'secnd'. Nearest: second"):
        read_positions(network, data, "secnd", seed=0)
    with pytest.raises(Refused, match="two inputs or more. Received: 1"):
        read_positions(network, data.part(slice(1)), "second", seed=0)
    with pytest.raises(Refused, match="shares above 0 and up to 1. Received: side=2"):
        read_crops(network, data, ["second"], side=2)
    with pytest.raises(Refused, match="6 channels encodes activations of as many. Received: 5"):
        learn(RNG.normal(size=(9, 6)), "pca", atoms=2, seed=0).encode(np.ones((2, 5)))
    broken = {"signed/kernel": np.full_like(network.state(["signed/kernel"])["signed/kernel"], np.nan)}
    words = "finite numbers. Received: NaN or infinity in 'signed' for '0'"
    with network.weights(broken), pytest.raises(Refused, match=words):
        read_positions(network, data, "signed", seed=0)
    with network.weights(broken), pytest.raises(Refused, match="NaN or infinity in 'signed' for a crop"):
        read_crops(network, data, ["signed"])


@pytest.mark.skipif(importlib.util.find_spec("xplique") is None, reason="Xplique (the extra opinions) is not installed")
def test_factors_and_importance_are_those_of_xplique_on_the_same_activations(parts):
    """Xplique shrinks codes by a penalty (alpha_W), which is left out here, so that both mask the same codes."""
    from xplique.concepts import CraftTf

    network, inputs, dictionary = parts
    model = network.model
    behind = keras.Input(model.get_layer("rows").output.shape[1:])
    means = keras.layers.GlobalAveragePooling2D()(model.get_layer("behind")(behind))
    head = keras.Model(behind, model.get_layer("logits")(model.get_layer("bent")(8 * means)))
    craft = CraftTf(keras.Model(model.input, model.get_layer("rows").output), head, 4, patch_size=12)
    _, _, bank = craft.fit(inputs, class_id=1)
    rows = routines.activations(network, inputs, "rows").mean(axis=(1, 2))
    assert match(learn(rows, "craft", atoms=4, seed=0).atoms, bank)[2].mean() > 0.9
    craft.factorization.reducer.components_ = dictionary.atoms
    craft.factorization.concept_bank_w = dictionary.atoms
    craft.factorization.reducer.set_params(alpha_W=0.0)
    theirs = craft.estimate_importance(inputs, nb_design=1024)
    ours = sobol_importance(network, inputs, lab.logit(1), "rows", dictionary, designs=1024, seed=0)
    np.testing.assert_allclose(ours.mean(axis=0), theirs, atol=0.03)


def test_a_dead_layer_is_refused():
    with pytest.raises(lab.Refused, match="the same in all rows, as of a dead layer"):
        learn(np.zeros([40, 6]), "nmf", atoms=3, seed=0)
