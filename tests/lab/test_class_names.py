"""Class names as files and lists of users hold them."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import lab
from lab import class_names

NAMES = ["Katze", "Hund", "Möwe"]
TEXT = "Katze\nHund\nMöwe\n"


def model(units, activation=None, outputs=1):
    inputs = keras.Input((4,))
    heads = [keras.layers.Dense(units + turn, activation=activation)(inputs) for turn in range(outputs)]
    return keras.Model(inputs, heads)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        ("\ufeff" + TEXT).encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.encode("utf-16"),
        ("\ufeff" + TEXT).encode("utf-16-be"),
        TEXT.encode("utf-32"),
        (TEXT + "\n \n\n").encode(),
        TEXT.strip().encode(),
        TEXT.replace("\n", " \t\n").encode(),
    ],
)
def test_files_of_every_editor(tmp_path, content):
    (tmp_path / "Klassen, äöü.txt").write_bytes(content)
    network = lab.load(model(3), classes=tmp_path / "Klassen, äöü.txt")
    assert network.classes == NAMES and network.class_index("katze") == 0


@pytest.mark.parametrize(
    "content, words",
    [
        (TEXT.encode("cp1252"), r"names.txt with the invalid byte 0xf6 in line 3 \(byte 12\).*save it as UTF-8"),
        (TEXT.encode("utf-16-le"), "names.txt with zero bytes"),
        (b"a\n\nb\n", "names.txt, whose line 2 is blank"),
        (b"a\nb\na\n", "a more than once in names.txt"),
        (b"\n\n", "no names in names.txt"),
    ],
)
def test_files_that_are_refused(tmp_path, content, words):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(lab.Refused, match=words):
        class_names.read(tmp_path / "names.txt")


@pytest.mark.timeout(60)
def test_a_pipe_a_folder_and_nothing_are_no_class_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none.txt"):
        with pytest.raises(lab.Refused, match="which is not a file"):
            class_names.read(path)


def test_the_locale_does_not_decide(tmp_path):
    (tmp_path / "names.txt").write_bytes(TEXT.encode())
    code = f"from lab import class_names; print(ascii(class_names.read({str(tmp_path / 'names.txt')!r})))"
    settings = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=settings)
    assert done.stdout.strip() == ascii(NAMES), done.stderr


def test_lists_and_dicts():
    assert class_names.read(np.array(["a", "b"])) == ["a", "b"]
    assert class_names.read(range(3)) == ["0", "1", "2"]
    assert class_names.read({"dog": 1, "cat": 0}) == ["cat", "dog"] == class_names.read({1: "dog", 0: "cat"})
    assert class_names.read({"1": "dog", "0": "cat"}) == ["cat", "dog"]
    assert class_names.read(None) is None
    for bad, words in (
        ({"a", "b"}, "a set"),
        (["a", " "], "not blank"),
        (["a", None], "not blank"),
        ([], "no names"),
        (["a", "a"], "a more than once"),
        ({"a": 0, "b": 2}, "every index from 0"),
    ):
        with pytest.raises(lab.Refused, match=words):
            class_names.read(bad)


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_as_many_names_as_classes(count):
    with pytest.raises(lab.Refused, match=rf"one name a class. Received: {count} names? for 5 classes"):
        lab.load(model(5), classes=[str(number) for number in range(count)])


def test_any_output_may_have_the_names():
    assert lab.load(model(3, outputs=2), classes=list("abcd")).classes == list("abcd")
    with pytest.raises(lab.Refused, match="has 3; .* has 4"):
        lab.load(model(3, outputs=2), classes=list("abcde"))


def test_one_unit_is_two_classes():
    sigmoid = model(1, "sigmoid")
    assert lab.load(sigmoid, classes=["cat", "dog"]).class_index("dog") == 1
    assert lab.load(sigmoid, classes=["dog"]).classes == ["not dog", "dog"]
    with pytest.raises(lab.Refused, match="3 names for 2 classes"):
        lab.load(sigmoid, classes=list("abc"))
