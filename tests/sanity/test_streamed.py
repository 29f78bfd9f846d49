"""Streamed: samples are read piece by piece, in an order that the seed draws, and functions say whether they take them so."""

import keras
import numpy as np
import pytest

import lab
from lab.refusal import Refused
from sanity.streamed import CHUNK, Streamed, from_arrays
from sanity.user_networks import UserNetworks, takes_dataset
from tests.sanity.test_user_networks import build

COUNT = 150


def numbered(reads=None, count=COUNT):
    """Samples whose values are their places; what is read is written down."""

    def read(places):
        if reads is not None:
            reads.extend(places)
        return np.array(places, "float32")[:, None] * np.ones((1, 4), "float32")

    return Streamed(read, count)


def test_a_dataset_has_every_sample_once_with_its_label_in_an_order_of_the_seed():
    labels = np.arange(COUNT) * 7
    orders = []
    for seed in (1, 1, 2):
        dataset, raised = numbered().dataset(labels, seed)
        assert int(dataset.cardinality()) == COUNT
        passes = [[(int(inputs[0]), int(label)) for inputs, label in dataset.as_numpy_iterator()] for _ in range(2)]
        assert passes[0] == passes[1] and raised() is None
        assert all(label == 7 * place for place, label in passes[0])
        orders.append([place for place, _ in passes[0]])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(COUNT)) != orders[0]


def test_no_more_is_read_than_is_asked_for():
    reads = []
    dataset, _ = numbered(reads, 100_000).dataset(np.zeros(100_000, int), 0)
    assert sum(len(inputs) for inputs, _ in dataset.batch(8).take(5)) == 40
    # Whatever TensorFlow reads ahead is some pieces, and no share of the samples.
    assert len(reads) <= 1 + 4 * CHUNK


def test_samples_have_the_structure_that_the_network_takes():
    inputs = {"image": np.arange(80, dtype="float32").reshape(40, 2), "row": np.arange(40, dtype="int32")[:, None]}
    samples = from_arrays(inputs)
    loaded = samples.load()
    assert all(np.array_equal(loaded[name], inputs[name]) for name in inputs)
    loaded["image"][...] = -1
    assert inputs["image"].min() == 0, "what is loaded is a copy"
    sample, label = next(iter(samples.dataset(np.arange(40), 0)[0]))
    assert int(sample["row"][0]) == int(label) == int(sample["image"][0]) / 2
    pair, label = next(iter(from_arrays(list(inputs.values())).dataset(np.arange(40), 0)[0]))
    assert isinstance(pair, tuple) and int(pair[1][0]) == int(label)
    doubled = samples.compute(lambda arrays: 2 * arrays["row"], [3, 1])
    assert doubled.ravel().tolist() == [6, 2]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda inputs, labels, *, seed: 0, False),
        (lambda inputs, labels, seed: 0, False),
        (lambda inputs, labels, epochs=5, *, seed: 0, False),
        (lambda *samples, seed: 0, False),
        (lambda dataset, *, seed: 0, True),
        (lambda dataset, epochs=5, *, seed=1: 0, True),
        (lambda dataset, **options: 0, True),
    ],
)
def test_the_signature_says_whether_a_function_takes_a_dataset(function, expected):
    assert takes_dataset(function) is expected


@pytest.mark.parametrize(
    "function",
    [
        lambda: 0,
        lambda inputs, labels: 0,
        lambda dataset: 0,
        lambda inputs, labels, weights, *, seed: 0,
        lambda dataset, *, seed, rate: 0,
    ],
)
def test_a_function_that_takes_neither_is_refused(function):
    with pytest.raises(Refused, match=r"train\(inputs, labels, \*, seed\), or train\(dataset, \*, seed\)"):
        takes_dataset(function)


def test_a_function_is_given_samples_with_their_own_or_with_permuted_labels():
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 6, 6, 1)).astype("float32"), np.arange(60) % 3
    seen = []

    def train(dataset, *, seed):
        seen.append([(image.tobytes(), int(label)) for image, label in dataset.as_numpy_iterator()])
        return build(seed)

    networks = UserNetworks(lab.load(build(0)), train, inputs, labels, seed=0, key="any")
    place = {image.tobytes(): number for number, image in enumerate(inputs)}
    for kind in ("replicate", "permuted_label_networks"):
        networks.train(kind, 1)
        expected = networks.labels(kind, 1)
        assert len(seen[-1]) == 60 and all(label == expected[place[image]] for image, label in seen[-1]), kind
    assert [label for _, label in seen[0]] != [label for _, label in seen[1]]


def test_a_picture_that_cannot_be_read_is_told_in_its_own_words():
    def read(places):
        if 9 in places:
            raise Refused("An image file is whole. Received: 9.png: truncated.")
        return np.zeros((len(places), 6, 6, 1), "float32")

    def train(dataset, *, seed):
        model = build(seed)
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(dataset.batch(10), shuffle=False, verbose=0)
        return model

    networks = UserNetworks(lab.load(build(0)), train, Streamed(read, 40), np.arange(40) % 3, seed=0, key="any")
    with pytest.raises(Refused, match=r"^An image file is whole. Received: 9.png: truncated.$"):
        networks.train("replicate", 1)
