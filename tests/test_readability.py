"""Readability: the first page, every verdict and every summary can be read after ten years of school."""

import pathlib
import types

import pytest

from recipes import schema
from recipes.report import cards, summary
from sanity.ruling import rules
from tests.readability import grade, longest, markdown_prose, neutral, sentences, syllables
from tests.sanity.sentences import SAMPLES, verdicts_of

ROOT = pathlib.Path(__file__).parent.parent
HIGHEST, WORDS = 10, 25


def test_the_grade_is_that_of_the_formula():
    assert [syllables(word) for word in ("map", "network", "similarity", "class-specific")] == [1, 2, 5, 4]
    assert grade("The cat sat on the mat.") == pytest.approx(0.39 * 6 + 11.8 - 15.59)
    assert neutral("`lab.load` gives FAIL, 0.20 [0.10, 0.30] for integrated_gradients") == "name gives name for name"
    assert sentences(markdown_prose("# Title\n\n- A [link](x.md)\n- B\n\n```\ncode\n```\n")) == [["A", "link"], ["B"]]


def test_the_readme_can_be_read():
    text = markdown_prose((ROOT / "README.md").read_text(encoding="utf-8"))
    assert grade(text) <= HIGHEST and len(longest(text)) <= WORDS, longest(text)


@pytest.fixture(scope="module", params=sorted(SAMPLES))
def verdicts(request):
    return verdicts_of(request.param)


def test_every_rule_is_simulated():
    assert set(SAMPLES) == set(rules)


def test_verdicts_of_a_check_can_be_read(verdicts):
    about = rules.tag(rules.get(verdicts[0].check), "about")
    assert set(about.findings) <= {verdict.finding for verdict in verdicts}, "every finding is measured"
    texts = {neutral(verdict.sentence): verdict.sentence for verdict in verdicts} | {about.cannot: about.cannot}
    for text in texts.values():
        assert len(longest(text)) <= WORDS, text
    assert grade("\n".join(texts.values())) <= HIGHEST


def test_summaries_of_a_check_can_be_read(verdicts):
    about = rules.tag(rules.get(verdicts[0].check), "about")
    recipe = schema.recipe({"name": "any", "check": [{"check": verdicts[0].check}]})
    texts = {}
    for verdict in verdicts:
        card = {"outcome": verdict.outcome, "finding": verdict.finding, "why": verdict.why, "method": "gradcam"}
        card |= {"words": cards.finding_words(about, verdict.finding), "remedy": verdict.remedy, "is_control": False}
        family = {"about": types.SimpleNamespace(question=about.question), "controls": [], "cards": [card]}
        parts = summary.summarize(recipe, [family], None, [])
        texts |= {neutral(line): line for _, lines in parts for line in lines}
    for text in texts.values():
        assert len(longest(text)) <= WORDS, text
    assert grade("\n".join(texts.values())) <= HIGHEST
