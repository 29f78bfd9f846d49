"""Checks of attention: a circuit set by hand, whose heads are known, trained networks, and the laws of every check."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers as L
from scipy import stats

import lab
from lab import routines
from lab.environment import tf
from sanity import finetuning, randomization
from sanity.checks import attention_needed as needed
from sanity.checks import attention_order as order
from sanity.checks import attention_use as use
from sanity.checks import checks, names_of
from sanity.controls import audit
from sanity.evidence import Evidence
from sanity.examination import judge_with_controls
from sanity.finetuning import FinetunedNetworks, Labelled, about_finetuned, hold_out
from sanity.head_weights import heads_of
from sanity.pairs import UserPairs
from sanity.randomization import randomize
from sanity.removal import fills
from sanity.ruling import Margins
from sanity.streamed import from_arrays
from sanity.subject import Subject, world_subject
from sanity.verdict import judge
from sanity.worlds.trainable import UpperPart
from sanity.worlds.world import Samples, Training, World
from tests.induction_networks import WORDS, induction_network, induction_samples

WORKING = ("first:weights head 0", "second:weights head 0")
DECOYS = ("first:weights head 1", "second:weights head 1")


def subject_of(network, inputs, classes):
    names = tuple(map(str, range(len(inputs))))
    return Subject(network, inputs, lab.logit(np.asarray(classes).tolist()), names, classes=WORDS, targets=classes)


@pytest.fixture(scope="module")
def induction():
    inputs, answers, _ = induction_samples(16)
    return subject_of(induction_network(), inputs, answers)


@pytest.fixture(scope="module")
def use_evidence(induction):
    return use.attention_use(induction, seed=0, draws=6)


@pytest.fixture(scope="module")
def order_evidence(induction):
    return order.attention_order(induction, seed=0)


def findings(evidence):
    return {verdict.method: verdict.finding for verdict in judge(evidence)}


def test_heads_of_the_circuit_are_used_and_decoys_are_not(use_evidence):
    words = findings(use_evidence)
    assert [words[name] for name in WORKING] == ["USED"] * 2
    assert [words[name] for name in DECOYS] == ["UNUSED"] * 2
    judged = judge_with_controls(use_evidence, seed=0)
    assert {control.control: control.held for control in judged.controls} == {
        "head of zero values": True,
        "another input": True,
    }
    assert judged.blind == ["head of zero values", "another input"]


def test_the_change_is_the_total_variation_of_probabilities(use_evidence, induction):
    """Without the second layer all classes have the same probability."""
    row = next(evidence for evidence in use_evidence if evidence.method == WORKING[1])
    before = routines.probabilities(induction.network, induction.inputs)
    np.testing.assert_allclose(row.samples["knocked out"], np.abs(before - 1 / WORDS).sum(axis=1) / 2, atol=1e-5)
    pairs = np.abs(before[:, None] - before[None]).sum(axis=-1) / 2
    np.testing.assert_allclose(row.samples["another input"], pairs.sum(axis=1) / (len(before) - 1), atol=1e-6)


def test_inputs_of_one_source_count_as_one(induction):
    rows = use.attention_use(induction, seed=0, draws=2, groups=np.repeat(range(4), 4))
    assert rows[0].sizes["images"] == 4 and all(len(values) == 4 for values in rows[0].samples.values())
    assert set(findings(rows).values()) == {"UNDECIDED"}


def test_sources_of_a_subject_are_those_of_its_data(induction):
    groups = [f"author {number // 4}" for number in range(16)]
    named = use.attention_use(induction, seed=0, draws=2, groups=groups)
    known = use.attention_use(replace(induction, groups=groups), seed=0, draws=2)
    assert known[0].sizes["images"] == 4
    assert all(np.array_equal(*(row.samples["permuted"] for row in rows)) for rows in zip(named, known))
    with pytest.raises(lab.Refused, match="3 groups for 16 inputs"):
        use.attention_use(induction, seed=0, draws=2, groups=[1, 2, 3])


def test_some_layers_alone_are_asked_about(induction):
    rows = use.attention_use(induction, seed=0, draws=2, layers=["second:weights"])
    heads = [f"second:weights {name}" for name in ("head 0", "head 1", "all heads")]
    assert [row.method for row in rows] == [*heads, "head of zero values", "another input"]
    with pytest.raises(lab.Refused, match="Unknown attention. Received: 'third:weights'"):
        use.attention_use(induction, seed=0, draws=2, layers=["third:weights"])


def test_a_network_that_gives_one_answer_tells_nothing(induction):
    network = induction.network
    with network.weights({"logits/kernel": np.zeros_like(network.state()["logits/kernel"])}):
        words = findings(use.attention_use(induction, seed=0, draws=2))
    assert set(words.values()) == {"GATE FAILED"}


def test_a_number_is_measured_by_its_deviation():
    keras.utils.set_random_seed(0)
    x = keras.Input((5, 6))
    y = L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 4, name="a")(x, x))
    network = lab.load(keras.Model(x, L.Dense(1)(y)))
    inputs = np.random.default_rng(0).normal(size=(8, 5, 6)).astype("float32")
    subject = Subject(network, inputs, lab.logit(0), tuple("abcdefgh"), classes=1)
    rows = {row.method: row.samples for row in use.attention_use(subject, seed=0, draws=2)}
    before = routines.logits(network, inputs)[:, 0]
    without = lab.attention.knock_out(network, inputs, lab.logit(0))["a:weights"][:, 1]
    expected = np.abs(without) / before.std() / 2
    np.testing.assert_allclose(rows["a:weights head 1"]["knocked out"], expected, rtol=1e-4)


def test_attention_of_the_circuit_is_in_the_order_of_effects(order_evidence):
    words = findings(order_evidence)
    assert words["second:weights head 0"] == words["second:weights mean of heads"] == "IN ORDER"
    assert words["gradient norm"] == "IN ORDER"
    assert {words[name] for name in (*DECOYS, "uniform weights")} == {"NOT IN ORDER"}
    assert all(control.held for control in audit(judge(order_evidence)))


def test_agreement_is_that_of_attention_with_scores_without_each_token():
    """Filled by hand with the sample's mean and its blur, one token at a time."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 6))
    y = L.MultiHeadAttention(2, 4, name="a")(x, x)
    network = lab.load(keras.Model(x, L.Dense(WORDS)(L.Flatten()(y))))
    inputs = np.random.default_rng(1).normal(size=(8, 8, 6)).astype("float32")
    subject = subject_of(network, inputs, [0] * 8)
    before, changes = routines.scores(network, inputs, subject.objective), np.zeros((2, 8, 8))
    for place, name in enumerate(("mean", "blur")):
        for token in range(8):
            removed = np.zeros((8, 8), bool)
            removed[:, token] = True
            filled = fills.get(name)(inputs, removed, None).astype("float32")
            changes[place, :, token] = np.abs(routines.scores(network, filled, subject.objective) - before)
    weights = dict(lab.attention.read(network, inputs))["a:weights"]
    rows = {row.method: row.samples["agreement"] for row in order.attention_order(subject, seed=0, query=3)}
    for head in range(2):
        pairs = zip(weights[:, head, 3], changes.mean(axis=0))
        expected = [stats.kendalltau(*pair).statistic for pair in pairs]
        np.testing.assert_allclose(rows[f"a:weights head {head}"], expected, atol=1e-6)
    others = np.stack([np.delete(weights[:, 0, 3], place, axis=0).mean(axis=0) for place in range(8)])
    expected = [stats.kendalltau(*pair).statistic for pair in zip(others, changes.mean(axis=0))]
    by_position = order.rank_agreement(order._of_others(weights[:, 0, 3]), changes.mean(axis=0), np.ones((8, 8), bool))
    np.testing.assert_allclose(by_position, expected, atol=1e-6)


def test_key_weights_are_the_row_that_the_score_reads(induction):
    """The circuit reads the last token alone, so that the row of its query and the row by gradients are the same."""
    network, inputs, objective = induction.network, induction.inputs, induction.objective
    rows = lab.attention.key_weights(network, inputs, objective)["second:weights"]
    last = lab.attention.key_weights(network, inputs, objective, query=7)["second:weights"]
    weights = dict(lab.attention.read(network, inputs))["second:weights"]
    np.testing.assert_allclose(last, weights[:, :, 7], atol=1e-6)
    np.testing.assert_allclose(rows, last, atol=1e-6)
    with pytest.raises(lab.Refused, match="below 8. Received: 8"):
        lab.attention.key_weights(network, inputs, objective, query=8)


# Random heads -------------------------------------------------------------------------------------------------------------


def test_a_random_head_leaves_all_other_heads_as_they_were(induction):
    network = induction.network
    ((*stages, last),) = randomize(induction, randomization.stages(network, "independent", "head"), [3])
    assert [stage.name for stage in stages] == [*use.selections(network)][:4] and last.name == "all"
    assert all(stage.done["parameters"] == pytest.approx(last.done["parameters"] / 4) for stage in stages)
    trained = network.state()
    for place, stage in enumerate(stages):
        layer, head = ("first", "second")[place // 2], place % 2
        assert set(stage.state) == {f"{layer}/_{part}_dense/kernel" for part in ("query", "key", "value")}
        for name, values in stage.state.items():
            assert (values[:, head] != trained[name][:, head]).any(axis=0).all()
            np.testing.assert_array_equal(values[:, 1 - head], trained[name][:, 1 - head])
            np.testing.assert_array_equal(values[:, head], last.state[name][:, head])


def test_keys_that_several_heads_share_belong_to_them_all():
    x = keras.Input((5, 6))
    network = lab.load(keras.Model(x, L.Dense(2)(L.Flatten()(L.GroupQueryAttention(4, 4, 2, name="a")(x, x)))))
    indices = [dict(head.parts) for head in heads_of(network)]
    assert [(row["a/_query_dense"], row["a/_key_dense"]) for row in indices] == [(0, 0), (1, 0), (2, 1), (3, 1)]


def test_heads_without_projections_of_their_own_are_refused():
    x = keras.Input((5, 6))
    network = lab.load(keras.Model(x, L.Dense(2)(L.Flatten()(L.Attention(name="a")([x, x])))))
    with pytest.raises(lab.Refused, match="'a:weights' of Attention. Give unit = 'layer'"):
        heads_of(network)


# Training -----------------------------------------------------------------------------------------------------------------

FLAG, TOKENS, CLASSES = 3, 6, 3


def flagged_factors(rng, count):
    return {"classes": rng.integers(0, CLASSES, (count, TOKENS)), "place": rng.integers(0, TOKENS, count)}


def flagged_samples(factors):
    """Tokens of a class each, one of them with a flag; its class is the label."""
    rows, tokens = np.arange(len(factors["place"])), np.eye(CLASSES + 1, dtype="float32")[factors["classes"]]
    tokens[rows, factors["place"], FLAG] = 1
    return Samples(tokens, factors["classes"][rows, factors["place"]])


def attentive_network():
    x = keras.Input((TOKENS, CLASSES + 1))
    y = L.GlobalAveragePooling1D(name="mean")(L.MultiHeadAttention(1, 8, name="attention")(x, x))
    return keras.Model(x, L.Dense(CLASSES, name="logits")(y))


def pooling_network():
    """A hidden layer sees class and flag together, so that the mean over tokens is enough."""
    x = keras.Input((TOKENS, CLASSES + 1))
    y = L.Dense(16, activation="relu")(L.Dense(16, activation="relu")(x))
    y = L.GlobalAveragePooling1D()(L.MultiHeadAttention(1, 8, name="attention")(y, y))
    return keras.Model(x, L.Dense(CLASSES)(y))


def test_networks_that_hardly_learned_have_nothing_to_lose():
    assert needed._competence(np.full(6, 0.29), 1 / 4, 1800).status == "failed"
    assert needed._competence(np.full(6, 0.4), 1 / 4, 1800).status == "passed"


def test_weights_of_a_head_are_not_guessed_where_positions_have_heads_of_their_own():
    x = keras.Input((3, 4, 6))
    mixed = L.MultiHeadAttention(2, 3, attention_axes=(2,))(x, x)
    with pytest.raises(lab.Refused, match="weights of a head"):
        heads_of(lab.Network(keras.Model(x, L.Dense(2)(L.Flatten()(mixed)))))


@pytest.mark.parametrize("build, finding", [(attentive_network, "NEEDED"), (pooling_network, "NOT NEEDED")])
def test_attention_is_needed_where_no_mean_over_tokens_tells(build, finding):
    training = Training(samples=300, passes=20, rate=3e-2)
    world = World(
        "flags",
        "the class of the token with a flag",
        flagged_factors,
        flagged_samples,
        build,
        ("place",),
        training=training,
    )
    subject = world_subject(world, seed=0, replicates=1, images=8)
    (evidence,) = needed.attention_needed(subject, seed=0)
    verdict = judge([evidence])[0]
    assert verdict.finding == finding, (verdict.sentence, evidence.samples)
    assert verdict.outcome == {"NEEDED": "PASS", "NOT NEEDED": "INVALID"}[finding]


def finetuned(build, layer=None, count=360):
    """Networks that are trained on flags from a layer on, and a subject that is asked about them."""
    samples = flagged_samples(flagged_factors(np.random.default_rng(0), count))
    # Two samples of each source.
    groups = np.arange(count) // 2
    parts = [
        Labelled(from_arrays(samples.inputs[places]), samples.cue_labels[places], groups[places])
        for places in hold_out(samples.cue_labels, groups, seed=0)
    ]
    keras.utils.set_random_seed(0)
    networks = FinetunedNetworks(lab.load(build()), layer, *parts, seed=0, key="flags")
    networks.network.adopt(networks.train("replicate", 0))
    inputs, labels = parts[1].inputs.load()[:8], parts[1].labels[:8]
    return about_finetuned(replace(subject_of(networks.network, inputs, labels), classes=CLASSES), networks)


@pytest.mark.parametrize("build, finding", [(attentive_network, "NEEDED"), (pooling_network, "NOT NEEDED")])
def test_attention_is_needed_on_labels_of_a_user(build, finding, monkeypatch):
    monkeypatch.setattr(finetuning, "TRAINING", Training(goal=0.99, passes=30, rate=3e-2))
    (evidence,) = needed.attention_needed(finetuned(build), seed=0)
    verdict = judge([evidence])[0]
    assert verdict.finding == finding, (verdict.sentence, evidence.samples)
    assert evidence.sizes["held out"] == 60 and verdict.scope == "training of the whole network"
    lost = evidence.samples["only with attention"].mean() - evidence.samples["only uniform"].mean()
    assert lost == pytest.approx((evidence.samples["attention"] - evidence.samples["uniform"]).mean())


def test_a_pair_begins_with_the_same_weights_and_attention_is_uniform_in_one(monkeypatch):
    monkeypatch.setattr(finetuning, "TRAINING", Training(passes=0))
    networks = finetuned(attentive_network).networks
    part = UpperPart(networks.network, None, dict.fromkeys(networks.network.attentions, needed._uniform))
    # Queries and keys decide nothing, so that nobody trains them.
    assert {name.split("/")[-2] for name in networks.part.names} - {name.split("/")[-2] for name in part.names} == {
        "_query_dense",
        "_key_dense",
    }
    states = [networks.train("replicate", 1, other) for other in (None, part)]
    assert all(np.array_equal(value, states[1][name]) for name, value in states[0].items())
    inputs = networks.held_out.inputs.load()
    with networks.network.weights(states[1]):
        layer = networks.network.tree["attention"]
        values = np.asarray(layer.value_dense(inputs)).mean(axis=1, keepdims=True)
        mean = np.asarray(layer.output_dense(values))[:, 0]
        np.testing.assert_allclose(part.class_logits(inputs), networks.network.tree["logits"](mean), atol=1e-5)
        assert np.abs(part.class_logits(inputs) - networks.part.class_logits(inputs)).max() > 1e-3


def test_networks_without_attention_to_train_are_told_what_to_type(monkeypatch):
    monkeypatch.setattr(finetuning, "TRAINING", Training(passes=0))
    behind = finetuned(attentive_network, layer="mean")
    plain = replace(behind, networks=None)
    trained = replace(plain, replicates=({}, {}))
    for subject, words in (
        (behind, "0 layers of attention behind mean"),
        (plain, "none: train on your labels with --train or --finetune all"),
        (trained, "no file trains networks with uniform attention"),
    ):
        (evidence,) = needed.attention_needed(subject, seed=0)
        assert evidence.failed[0].status == "not applicable" and words in evidence.failed[0].words


def fitted(model, inputs, labels, passes, **compiled):
    """Trains a network by `fit`, in one long pass, because every pass of Keras takes a while to begin."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-2), loss, jit_compile=False, **compiled)
    if passes:
        model.fit(np.tile(inputs, (passes, 1, 1)), np.tile(labels, passes), batch_size=64, verbose=0)


def descended(model, inputs, labels, passes):
    """Trains a network in a graph of the user's own, which is traced in a fraction of the time that `fit` takes."""

    @tf.function(autograph=False)
    def step(rows, rate):
        with tf.GradientTape() as tape:
            logits = model(tf.gather(inputs, rows))
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, rows), logits)
        variables = [variable.value for variable in model.trainable_variables]
        for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(rate * tf.sign(slope))

    rng = np.random.default_rng(0)
    for rate in np.linspace(3e-2, 0, 2 * passes, endpoint=False):
        step(tf.constant(rng.choice(len(labels), 64)), tf.constant(rate, "float32"))


def paired(build, passes=30, count=360, fit=fitted, **compiled):
    """A subject whose networks a user's function trains in pairs from the seed."""

    def train(inputs, labels, *, seed):
        keras.utils.set_random_seed(seed)
        model = build()
        fit(model, inputs, labels, passes, **compiled)
        return model

    subject = finetuned(build, count=count)
    held_out, trained = subject.networks.held_out, subject.networks.trained
    pairs = UserPairs(lab.load(build()), train, trained, held_out, seed=0, key="flags")
    return replace(subject, networks=pairs, part=None, chance=None)


@pytest.mark.parametrize("build, finding", [(attentive_network, "NEEDED"), (pooling_network, "NOT NEEDED")])
def test_attention_is_needed_on_labels_that_a_function_trains_on(build, finding):
    (evidence,) = needed.attention_needed(paired(build, fit=descended), seed=0)
    verdict = judge([evidence])[0]
    assert verdict.finding == finding, (verdict.sentence, evidence.samples)
    assert verdict.scope == "networks trained like this"
    assert evidence.sizes["held out"] == 60 and evidence.sizes["repeats"] == 6


def test_a_function_trains_a_pair_from_the_same_weights_and_no_queries_and_keys_of_one():
    pairs = {passes: paired(attentive_network, passes, count=60).networks for passes in (0, 1)}
    begun, plain = (pairs[passes]._networks["attention"].train("replicate", 1) for passes in (0, 1))
    uniform = pairs[1]._networks["uniform"].train("replicate", 1)
    moved = {
        name: (not np.allclose(plain[name], value), not np.allclose(uniform[name], value))
        for name, value in begun.items()
        if name.endswith("kernel")
    }
    assert len(moved) == 5
    for name, both in moved.items():
        assert both == ((True, False) if "query" in name or "key" in name else (True, True)), name


def two_headed(build):
    """A network with another output, in the first place, that says nothing of the classes."""
    model = build()
    return keras.Model(
        model.inputs, {"aside": L.Softmax(name="aside")(model.layers[-2].output), "logits": model.output}
    )


def test_a_function_of_a_dataset_trains_pairs_of_a_network_with_several_outputs():
    """Shown by the accuracy of the named output: attention learns what uniform attention cannot."""

    def train(dataset, *, seed):
        keras.utils.set_random_seed(seed)
        model = two_headed(attentive_network)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        losses = {"aside": None, "logits": loss}
        model.compile(keras.optimizers.Adam(3e-2), loss=losses, jit_compile=False)
        rows = dataset.cache().repeat(20).batch(32).map(lambda inputs, label: (inputs, {"logits": label}))
        model.fit(rows, shuffle=False, verbose=0)
        return model

    networks = finetuned(attentive_network).networks
    pairs = UserPairs(
        lab.load(two_headed(attentive_network)),
        train,
        networks.trained,
        networks.held_out,
        seed=0,
        key="flags",
        output="logits",
    )
    right = {name: pairs.correct(0, name).mean() for name in ("attention", "uniform")}
    assert right["attention"] > 0.9 and right["uniform"] < 0.6, right


def test_a_function_without_graphs_is_told_what_to_type():
    (evidence,) = needed.attention_needed(paired(attentive_network, 1, count=60, run_eagerly=True), seed=0)
    (gate,) = evidence.failed
    assert gate.status == "not applicable" and "uniform in 0 of 1 layers" in gate.words
    assert "give --finetune all in its place" in gate.words


def test_few_sources_held_out_decide_nothing():
    equal = {"attention": np.full(6, 0.9), "uniform": np.full(6, 0.9)}
    for count, findings_of in ((16, "UNDECIDED"), (100, "NOT NEEDED")):
        alone = {name: np.zeros(count) for name in needed.ALONE.values()}
        ruling = needed._judge_pairs(equal | alone, Margins())
        # Agresti and Min's interval of no difference at all.
        assert ruling.effect.high == pytest.approx(1.96 / (count + 2)) and ruling.finding == findings_of
    alone = {"only with attention": np.repeat([1.0, 0.0], [8, 32]), "only uniform": np.repeat([1.0, 0.0], [2, 38])}
    lost = {"attention": np.full(6, 0.9), "uniform": np.full(6, 0.75)}
    centre, width = 6 / 42, 1.96 * np.sqrt((11 - 36 / 42) / 42**2)
    effect = needed._judge_pairs(lost | alone, Margins()).effect
    assert (effect.low, effect.high) == pytest.approx((centre - width, 0.15 + width))


def test_without_attention_no_check_applies():
    keras.utils.set_random_seed(0)
    x = keras.Input((5, 6))
    network = lab.load(keras.Model(x, L.Dense(2)(L.Flatten()(x))))
    inputs = np.random.default_rng(0).normal(size=(8, 5, 6)).astype("float32")
    subject = Subject(network, inputs, lab.logit(0), tuple("abcdefgh"))
    for name in names_of("attention"):
        assert judge(checks.get(name)(subject, seed=0))[0].finding == "NOT APPLICABLE"


class SharpOrFlat(keras.layers.Layer):
    """One attention written by hand, whose scores are multiplied by a number: 0 is uniform, a large one leaves one key."""

    def __init__(self, sharpness, **options):
        super().__init__(**options)
        self.sharpness = sharpness

    def call(self, x):
        scores = self.sharpness * keras.ops.matmul(x, keras.ops.swapaxes(x, 1, 2))
        return keras.ops.matmul(keras.ops.softmax(scores), x[:, ::-1])


@pytest.mark.parametrize("sharpness", [0.0, 1e4])
def test_weights_that_cannot_be_moved_are_not_called_unused(sharpness):
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 4))
    y = keras.layers.Dense(2)(keras.layers.Flatten()(SharpOrFlat(sharpness, name="a")(x)))
    inputs = np.random.default_rng(0).normal(size=(16, 6, 4)).astype("float32")
    network = lab.load(keras.Model(x, y))
    classes = routines.logits(network, inputs).argmax(axis=1)
    subject = Subject(
        network, inputs, lab.logit(classes.tolist()), tuple(map(str, range(16))), classes=2, targets=classes
    )
    verdict = judge(use.attention_use(subject, seed=0, draws=5))[0]
    assert verdict.finding == "UNDECIDED" and "its weights cannot be moved" in verdict.sentence


def test_a_head_that_matters_to_one_input_is_not_called_unused():
    """Use by few inputs is skewed: its mean is small, and signs of it can be flipped as if it were nothing."""
    rows = {"permuted": np.array([0.3, *[0.0] * 23]), "uniform": np.zeros(24), "another input": np.full(24, 0.5)}
    moved = {"distance from uniform": np.ones(24)}
    verdicts = {
        name: judge([evidence_of({**rows, **moved, **other})])[0].finding
        for name, other in {"rare": {}, "never": {"permuted": np.zeros(24)}}.items()
    }
    assert verdicts == {"rare": "UNDECIDED", "never": "UNUSED"}


def evidence_of(samples):
    """What attention_use measured of one head, written out."""
    return Evidence("attention_use", "a:weights head 0", "network", {"images": 24, "draws": 5}, samples, ())
