"""Labels as data sets have them, against the matrix written by hand."""

import numpy as np
import pytest

import lab
from lab.labels import correct_classes

NAMES = ["cat", "dog", "Owl"]
EXPECTED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]], bool)
INDICES = [1, 0, 2, 1]


@pytest.mark.parametrize(
    "labels",
    [
        INDICES,
        np.array(INDICES, "uint8"),
        np.array(INDICES, "float32"),
        np.array(INDICES)[:, None],
        tuple(INDICES),
        ["1", "0", "2", "1"],
        ["1.0", "0.0", "2.0", "1.0"],
        ["dog", "cat", "owl", "DOG"],
        np.array(["dog", "cat", "Owl", "dog"]),
        np.array([["dog"], ["cat"], ["Owl"], ["dog"]], object),
        [b"dog", b"cat", b"Owl", b"dog"],
        ["dog", 0, 2.0, "1"],
        [["dog"], ["cat"], ["Owl"], ["dog"]],
        EXPECTED,
        EXPECTED.astype("float32"),
        EXPECTED.astype(int).tolist(),
    ],
)
def test_one_class_a_sample(labels):
    assert np.array_equal(correct_classes(labels, 3, NAMES), EXPECTED)


def test_several_right_classes_or_none():
    several = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
    for labels in (several.astype("float64"), [["cat", "dog"], [], ["owl"]], [("dog", "cat"), (), (2,)]):
        assert np.array_equal(correct_classes(labels, 3, NAMES), several)
    pairs = [["cat", "dog"], ["owl", "cat"]]
    assert np.array_equal(correct_classes(pairs, 3, NAMES), [[1, 1, 0], [1, 0, 1]])


def test_one_unit_is_two_classes():
    expected = [[1, 0], [0, 1]]
    for labels in ([0, 1], [0.0, 1.0], [[0], [1]], [[1, 0], [0, 1]], ["cat", "dog"], [False, True]):
        assert np.array_equal(correct_classes(labels, 2, ["cat", "dog"]), expected)


def test_a_name_that_is_a_number_is_a_name():
    assert np.array_equal(correct_classes(["8", "3"], 2, ["3", "8"]), [[0, 1], [1, 0]])
    assert np.array_equal(correct_classes(["a", "A"], 2, ["A", "a"]), [[0, 1], [1, 0]])


def test_other_containers():
    pandas = pytest.importorskip("pandas")
    tf = pytest.importorskip("tensorflow")
    for labels in (pandas.Series(INDICES), pandas.DataFrame({"y": INDICES}), tf.constant(INDICES)):
        assert np.array_equal(correct_classes(labels, 3), EXPECTED)
    assert np.array_equal(correct_classes(pandas.Series(["dog", "cat"]), 3, NAMES), EXPECTED[:2])


@pytest.mark.parametrize(
    "labels, words",
    [
        (["dgo"], "'dgo'.*dog"),
        ([3], "from 0 to 2.*3.*count from 0"),
        ([-1, 1], "from 0 to 2.*-1"),
        ([0.5], "0.5"),
        ([np.nan], "nan"),
        (["7"], "'7'"),
        ([None], "None"),
        ([[0.2, 0.8, 0.0]], "argmax"),
        ([[0, 1]], "one number a class, 3.*rows of 2"),
        (np.zeros((2, 4, 4)), r"\(2, 4, 4\)"),
        ([], "at least one"),
    ],
)
def test_what_is_no_label(labels, words):
    with pytest.raises(lab.Refused, match=words):
        correct_classes(labels, 3, NAMES)
    with pytest.raises(lab.Refused, match="no class names"):
        correct_classes(["dog"], 3)
