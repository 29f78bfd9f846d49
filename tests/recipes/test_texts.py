"""Texts at the command: coloured words on the page, in tables and in a terminal."""

import csv
import importlib.util
import json
import pathlib

import click.testing
import numpy as np
import pytest

from lab.tokenizer import Tokenizer
from recipes import launch, texts
from recipes.cli import main
from tests import text_networks

needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="the extra text is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    text_networks.write(folder)
    return folder


def explain(*words):
    arguments = (
        "explain",
        "--model",
        "ids.keras",
        "--text",
        "films.txt",
        "--method",
        "gradient_x_input",
        "--quiet",
        *words,
    )
    return click.testing.CliRunner().invoke(main, arguments, color=True)


@needs_tokenizers
def test_a_page_has_words_and_special_tokens_apart(folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = explain("--tokenizer", "tokenizer.json")
    assert done.exit_code == 0, done.output
    report = pathlib.Path(done.stdout.strip().splitlines()[-1])
    page = report.read_text(encoding="utf-8")
    assert ">unaffable</span>" in page and "##aff" not in page and "Special tokens: <p" in page
    with open(report.parent / "jobs" / "agreement" / "tokens.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["token"] for row in rows if row["word"] == "0"] == ["un", "aff", "able", "not"]
    assert {row["token"] for row in rows if row["special"]} == {"[CLS]", "[SEP]"}
    # No escape of a terminal where there is none.
    assert "\x1b" not in done.stdout
    monkeypatch.setattr(launch, "_shows_colours", lambda: True)
    again = explain("--tokenizer", "tokenizer.json")
    assert "\x1b[" in again.stdout and "unaffable\x1b[0m" in again.stdout and "([CLS] " in again.stdout


@needs_tokenizers
def test_bad_tokenizers_are_one_line_in_the_words_of_the_command(folder, monkeypatch):
    monkeypatch.chdir(folder)
    other = json.loads(text_networks.tokenizer_json())
    other["model"]["vocab"]["more"] = 14
    pathlib.Path("other.json").write_text(json.dumps(other))
    for name, problem in (("other.json", "15 ids for ids, which embeds 14"), ("nothing.json", "which is no file")):
        done = explain("--tokenizer", name)
        assert done.exit_code == 2 and problem in done.output
    assert "--tokenizer FILE" in explain().output
    assert "One of them gives the ids" in explain("--tokenizer", "tokenizer.json", "--vocabulary", "films.txt").output


def test_colours_are_for_terminals_whose_user_wants_them(monkeypatch):
    monkeypatch.setattr(launch.sys, "stdout", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert launch._shows_colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not launch._shows_colours()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(launch.sys, "stdout", type("File", (), {"isatty": lambda self: False})())
    assert not launch._shows_colours()


def test_tokens_are_read_as_they_were_written():
    tokenizer = Tokenizer(
        None, tuple(text_networks.VOCABULARY), unknown=1, mask=4, special=frozenset([0, 2, 3, 4]), mark="##"
    )
    tokens = [tokenizer.tokens(row, np.array(row) > 0) for row in text_networks.IDS]
    network = type("Network", (), {"tokens": lambda self, inputs: tokens})()
    about = json.loads(json.dumps(texts.describe_tokens(network, None)))
    assert [texts.tokens_of(about, place) for place in range(2)] == tokens
    earlier = {"words": [["good", ""]]}
    assert [token.is_padding for token in texts.tokens_of(earlier, 0)] == [False, True]


def test_a_line_of_a_terminal_says_what_its_colours_say():
    about = {"method": "gradient", "classes": ["1", "0"], "words": [["good", "film"], ["bad", ""]]}
    first, second = texts.coloured_lines(about, np.array([[2.0, 0.0], [-1.0, 0.5]]))
    assert first == "gradient  1: \x1b[30m\x1b[48;2;213;128;138mgood\x1b[0m film"
    assert second.startswith("gradient  0: \x1b[30m\x1b[48;2;") and second.endswith("(padding +0.5)")
