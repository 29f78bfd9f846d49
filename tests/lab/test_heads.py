"""Attention: interventions and importance of heads, beside numpy by hand and a circuit whose every head is known."""

import keras
import numpy as np
import pytest
from keras import layers as L

import lab
from lab import attention, routines
from lab.environment import tf
from tests.induction_networks import DECOY, GAIN, LENGTH, WORKING, induction_network, induction_samples

FIRST, SECOND = "first:weights", "second:weights"


@pytest.fixture(scope="module")
def network():
    return induction_network()


@pytest.fixture(scope="module")
def samples():
    return induction_samples(6)


@pytest.fixture(scope="module")
def weights():
    """Causal weights of 2 samples, 3 heads and 5 positions."""
    raw = np.random.default_rng(0).random((2, 3, 5, 5)) * np.tril(np.ones((5, 5)))
    return (raw / raw.sum(axis=-1, keepdims=True)).astype("float32")


def test_uniform_weights_are_those_of_the_open_keys(weights):
    expected = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None]
    np.testing.assert_allclose(attention.uniform(weights, None), np.broadcast_to(expected, weights.shape), atol=1e-7)


def test_permuted_weights_are_the_same_numbers_at_open_keys(weights):
    draws = [attention.permuted(weights, [seed, 0]).numpy() for seed in range(40)]
    for dealt in draws:
        np.testing.assert_array_equal(np.sort(dealt, axis=-1), np.sort(weights, axis=-1))
        assert not np.triu(dealt, 1).any()
        np.testing.assert_array_equal(dealt[..., 0, :], weights[..., 0, :])
    # Every key gets every weight: over many draws the mean is that of uniform weights.
    np.testing.assert_allclose(np.mean(draws, axis=0)[..., -1, :], 0.2, atol=0.12)
    assert np.array_equal(draws[0], attention.permuted(weights, [0, 0]))
    assert not np.array_equal(draws[0], draws[1])


def test_a_sharp_head_is_not_taken_for_a_mask(weights):
    sharp = weights.copy()
    sharp[:, 0] = np.eye(5)
    dealt = attention.permuted(sharp, [3, 0]).numpy()
    assert not np.array_equal(dealt[:, 0], sharp[:, 0]) and not np.triu(dealt, 1).any()


def test_the_circuit_computes_what_it_should(network, samples):
    inputs, answers, places = samples
    scores = routines.logits(network, inputs)
    np.testing.assert_array_equal(scores.argmax(axis=1), answers)
    np.testing.assert_allclose(scores.max(axis=1), GAIN, atol=1e-4)
    rows = dict(attention.read(network, inputs))
    assert list(rows) == [FIRST, SECOND]
    np.testing.assert_array_equal(rows[SECOND][:, WORKING, -1].argmax(axis=-1), places)
    np.testing.assert_allclose(rows[SECOND][:, DECOY, :, 0], 1, atol=1e-6)


def test_knock_out_is_the_exact_change_without_each_head(network, samples):
    """Without the first layer the second looks everywhere alike, and without the second nothing is copied."""
    inputs, answers, _ = samples
    changed = attention.knock_out(network, inputs, lab.logit(answers.tolist()))
    share = inputs[np.arange(6), :, answers].sum(axis=1) / LENGTH
    np.testing.assert_allclose(changed[FIRST][:, WORKING], GAIN * (share - 1), atol=1e-4)
    np.testing.assert_allclose(changed[SECOND][:, WORKING], -GAIN, atol=1e-4)
    np.testing.assert_array_equal(changed[FIRST][:, DECOY], 0)
    np.testing.assert_array_equal(changed[SECOND][:, DECOY], 0)


def test_knock_out_of_some_layers_leaves_the_others_out(network, samples):
    inputs, answers, _ = samples
    goal = lab.logit(answers.tolist())
    changed = attention.knock_out(network, inputs, goal, [SECOND])
    assert list(changed) == [SECOND]
    np.testing.assert_array_equal(changed[SECOND], attention.knock_out(network, inputs, goal)[SECOND])
    with pytest.raises(lab.Refused, match="Unknown attention"):
        attention.knock_out(network, inputs, goal, ["no_such:weights"])


def test_importance_is_the_slope_of_a_factor_of_the_head(network, samples):
    """Of a head that the score is linear in, it is what the head adds: all of the score, or nothing."""
    inputs, answers, _ = samples
    importance = attention.head_importance(network, inputs, lab.logit(answers.tolist()))
    assert importance[SECOND].shape == (6, 2)
    np.testing.assert_allclose(importance[SECOND][:, WORKING], GAIN, atol=1e-4)
    assert not importance[SECOND][:, DECOY].any() and not importance[FIRST][:, DECOY].any()


def random_network():
    keras.utils.set_random_seed(1)
    x = keras.Input((5, 6))
    y = L.Add()([x, L.MultiHeadAttention(3, 4, name="one")(x, x, use_causal_mask=True)])
    y = L.LayerNormalization()(L.Add()([y, L.MultiHeadAttention(2, 4, name="two")(y, y)]))
    return lab.load(keras.Model(x, L.Dense(3)(L.Flatten()(y))))


@pytest.fixture(scope="module")
def random():
    return random_network(), np.random.default_rng(2).normal(size=(4, 5, 6)).astype("float32")


def test_importance_is_the_central_difference_of_a_factor(random):
    network, inputs = random
    importance = attention.head_importance(network, inputs, lab.logit(1))
    step = np.float32(1e-2)

    def at(factor, head):
        def turn(weights):
            factors = 1 + (factor - 1) * tf.one_hot(head, 3)
            return weights * factors[None, :, None, None]

        def body(batched, _):
            return network.trace(batched[0], replaced={"one:weights": turn}).logits()[:, 1]

        return routines.run(network, ("turned", factor, head), body, (inputs,), ())

    for head in range(3):
        expected = np.abs(at(1 + step, head) - at(1 - step, head)) / (2 * step)
        np.testing.assert_allclose(importance["one:weights"][:, head], expected, atol=2e-3)


def test_one_head_alone_is_changed_and_one_trace_serves_all(random):
    """Weights that are made uniform by hand and put in place give the same outputs."""
    network, inputs = random
    selections = [attention.select(network, address, head) for address, head in attention.all_heads(network)]
    attention.outputs_under(network, inputs, attention.uniform, selections[0], seed=0)
    traces, rows = network.traces, dict(attention.read(network, inputs))
    traces = network.traces
    for (address, head), selection in zip(attention.all_heads(network), selections):
        changed = next(iter(attention.outputs_under(network, inputs, attention.uniform, selection, seed=0).values()))
        by_hand = rows[address].copy()
        by_hand[:, head] = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None] if address == "one:weights" else 0.2
        expected = routines.replace_activations(network, inputs, lab.logit(1), address, by_hand)
        np.testing.assert_allclose(changed[:, 1], expected, atol=1e-5)
    assert network.traces - traces == 2  # Those of the two expected values.


def test_heads_that_share_their_values_are_silent_together():
    def shared(x):
        queries = tf.reshape(x, [-1, 5, 2, 3])
        weights = tf.nn.softmax(tf.einsum("bqhd,bkd->bhqk", queries, x[..., :3]))
        return tf.einsum("bhqk,bkd->bqhd", weights, x[..., 3:])

    x = keras.Input((5, 6))
    network = lab.Network(keras.Model(x, L.Dense(2)(L.Flatten()(L.Lambda(shared, name="a")(x)))))
    inputs = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")

    def outputs(*selection, intervention=attention.uniform):
        silent = attention.select(network, *selection)
        return attention.outputs_under(network, inputs, intervention, silent, seed=0, silent=silent)

    silent = outputs("a:weights")
    for name, values in outputs("a:weights", intervention=attention.knocked_out).items():
        np.testing.assert_allclose(silent[name], values, atol=1e-6)
    assert outputs("a:weights", 0).keys() == silent.keys()


def test_no_sample_depends_on_those_beside_it(random):
    network, inputs = random
    everything = attention.select(network)
    together = attention.scores_under(network, inputs, lab.logit(0), attention.permuted, everything, seed=5)
    alone = attention.scores_under(network, inputs[2:3], lab.logit(0), attention.permuted, everything, seed=5)
    np.testing.assert_allclose(alone, together[2:3], atol=1e-6)
    other = attention.scores_under(network, inputs, lab.logit(0), attention.permuted, everything, seed=6)
    assert np.abs(other - together).max() > 1e-4


def test_weights_are_read_within_the_budget(random):
    network, inputs = random
    before, network.memory = network.memory, 4 * 3 * 25 * 2
    try:
        with pytest.raises(lab.Refused, match="Give 2 inputs at most"):
            list(attention.read(network, inputs))
        rows = dict(attention.read(network, inputs[:2]))
    finally:
        network.memory = before
    np.testing.assert_allclose(rows["two:weights"], routines.activations(network, inputs[:2], "two:weights"), atol=1e-6)


def test_entropy_and_distance_by_hand():
    weights = np.array([[[[1, 0, 0, 0], [0.25] * 4]]], "float32")
    np.testing.assert_allclose(attention.entropy(weights), [[np.log(4) / 2]])
    np.testing.assert_allclose(attention.mean_distance(weights), [[(0 + (1 + 0 + 1 + 2) / 4) / 2]])
    np.testing.assert_allclose(attention.entropy(weights, [[False, True]]), [[np.log(4)]])


def test_half_precision_is_permuted_and_made_uniform_too(random):
    keras.utils.set_random_seed(3)
    x = keras.Input((5, 6))
    y = L.MultiHeadAttention(2, 4, name="a", dtype="mixed_float16")(x, x)
    network, inputs = lab.load(keras.Model(x, L.Dense(2, dtype="float32")(L.Flatten()(y)))), random[1]
    everything, before = attention.select(network), routines.logits(network, inputs)
    for change in (attention.uniform, attention.permuted, attention.knocked_out):
        scores = attention.scores_under(network, inputs, lab.logit(0), change, everything, seed=0)
        assert scores.dtype == np.float32 and np.abs(scores - before[:, 0]).max() > 1e-4
    importance = attention.head_importance(network, inputs, lab.logit(0))["a:weights"]
    exact = attention.knock_out(network, inputs, lab.logit(0))["a:weights"]
    np.testing.assert_allclose(importance, np.abs(exact), atol=5e-3)  # The score is linear in the heads.


def test_refusals_say_what_to_type(random):
    network, _ = random
    with pytest.raises(lab.Refused, match="Unknown attention. Received: 'three:weights'"):
        attention.select(network, "three:weights")
    with pytest.raises(lab.Refused, match="below the number of heads, 2. Received: 2"):
        attention.select(network, "two:weights", 2)
    x = keras.Input((3,))
    with pytest.raises(lab.Refused, match="computes none"):
        attention.all_heads(lab.load(keras.Model(x, L.Dense(2)(x))))


def test_attention_is_public():
    assert lab.attention is attention and "attention" in dir(lab)
