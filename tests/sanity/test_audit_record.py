"""The record: a golden one of a planted world, and a linter that finds each fault that is put into it."""

import copy
import json
import pathlib
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from lab.refusal import Refused
from recipes.report.audited.record import render_record
from recipes.report.audited.simpler import figures
from sanity.audit import facts, ladder, record
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import Sheet
from sanity.audit.sources import SOURCES
from sanity.checks import checks
from sanity.evidence import Evidence
from sanity.verdict import judge
from tests.audit_worlds import ladders as worlds
from tests.readability import sentences

GOLDEN = pathlib.Path(__file__).parent / "golden_record.json"
SCHEMA = pathlib.Path(record.__file__).with_name("record.schema.json")
PURPOSE = "Rank applications for a second look by a clerk."
SHEET = Sheet(title="Applications", looks=4, record={"purpose": PURPOSE})


@pytest.fixture(autouse=True)
def without_pairs(monkeypatch):
    """Boosting machines take seconds each."""
    monkeypatch.setattr(ladder, "has_pairs", lambda: False)


def planted_subject():
    """120 rows in 60 units, 20 missing cells in one column, 3 in another, and groups of 80, 33, 5 and 2."""
    age = np.arange(120.0)
    income = np.linspace(0, 1, 120)
    age[:20], income[:3] = np.nan, np.nan
    origin = np.repeat([0.0, 1, 2, np.nan], [80, 33, 5, 2])
    columns = (Column("age", age), Column("income", income))
    rows = Rows(
        columns,
        np.arange(120) // 2,
        True,
        np.arange(120) % 2,
        np.zeros((120, 2)),
        protected=(Column("origin", origin, ("north", "south", "west")),),
    )
    return AuditSubject("the network", rows, sheet=SHEET, classes=("no", "yes"))


def planted_verdicts(rows=120):
    """A simple model that does as well, by numbers that are written here."""
    effects = np.array([[[0.001, -0.004, 0.006], [0.002, -0.005, 0.009]]])
    samples = {"effects": effects, "margins": np.array([0.01, 0.02]), "planted": np.ones((3, 20), bool)}
    evidence = Evidence(
        "simpler",
        "linear model",
        "the network",
        {"rows": rows, "units": rows // 2},
        {**samples, "simple": np.array([True])},
        (),
        settings={"seed": 7},
    )
    return judge([evidence])


@pytest.fixture
def golden():
    subject = planted_subject()
    known = facts.subject_facts(
        subject, model={"digest": "0123", "layers": 3, "parameters": 42}, audited_on="2026-11-27"
    )
    return record.record(planted_verdicts(), {**known, "versions": {"numpy": "2"}}, SHEET)


def field(values, name, source=0):
    return next(
        part
        for section in values["sections"][source:]
        for part in section["fields"]
        if name in (part["name"], part.get("key"))
    )


def test_the_record_of_a_planted_world_is_the_golden_one(golden):
    assert golden == json.loads(GOLDEN.read_text())
    assert record.lint_record(golden, SHEET) == []


def test_every_field_of_the_golden_record_is_true(golden):
    counts = {count["name"]: count["value"] for count in field(golden, "Composition of the data")["counts"]}
    assert counts["test: rows"] == 120 and counts["test: units"] == 60
    assert counts["test: missing cells of age"] == 20 and counts["test: missing cells of income"] is None
    groups = [counts[f"test: rows with origin {name}"] for name in ("north", "south", "west", "missing")]
    assert groups == [80, None, None, None], "33 = 120 - 80 - 7 would tell the sum of the small ones"
    finding = field(golden, "Simpler models")["findings"][0]
    assert finding["estimate"] == {"value": 0.1, "low": -0.4, "high": 0.6} and finding["n"] == 120
    assert (finding["finding"], finding["outcome"], finding["seed"]) == ("SIMPLER DOES AS WELL", "FAIL", 7)
    assert field(golden, "purpose")["text"] == PURPOSE and field(golden, "Title of the data")["text"] == "Applications"
    assert (
        "4 a year, each at the level 0.0125"
        in field(golden, "Plan of monitoring: audits a year and the level of each")["text"]
    )
    persons = [p for s in golden["sections"] for p in s["fields"] if p["kind"] == "to be written by a person"]
    assert golden["to_be_written"] == len(persons) - 1 == sum(not part["text"] for part in persons)


def test_the_schema_in_the_repository_is_that_of_the_models(golden):
    assert json.loads(SCHEMA.read_text()) == json.loads(json.dumps(record.record_schema()))
    jsonschema.validate(golden, json.loads(SCHEMA.read_text()))


def test_the_record_is_the_same_bytes_again_and_another_one_for_other_data(golden):
    subject = planted_subject()
    known = facts.subject_facts(subject)
    first, again = (json.dumps(record.record(planted_verdicts(), known, SHEET)) for _ in range(2))
    assert first == again
    labels = subject.test.labels.copy()
    labels[0] = 1 - labels[0]
    other = facts.rows_digest(Rows(**{**vars(subject.test), "labels": labels}))
    assert other != known["sets"]["test"]["digest"]


def faults():
    def at(part, name, value):
        return lambda values: field(values, part).__setitem__(name, value)

    def in_finding(name, value):
        return lambda values: field(values, "Simpler models")["findings"][0].__setitem__(name, value)

    yield "forbidden word", in_finding("sentence", "The network is fair."), "the word 'fair'"
    yield "forbidden words", in_finding("cannot", "An error caused by noise."), "the word 'caused by'"
    yield "no n", in_finding("n", None), "without n"
    yield "no seed", in_finding("seed", None), "without seed"
    yield "no digest", in_finding("digest", ""), "without digest"
    yield "no interval", in_finding("estimate", None), "without an interval"
    yield "outside", in_finding("estimate", {"value": 9, "low": 0, "high": 1}), "outside its interval"
    yield "invented", at("provider", "text", "The provider is a bank."), "no person gave"
    yield "changed", at("purpose", "text", "Another purpose."), "no person gave"
    yield "sheet", at("Title of the data", "text", "Other data"), "the sheet does not hold"
    yield "notice", lambda values: values.__setitem__("notice", "The system conforms."), "notice"
    yield "counted", lambda values: values.__setitem__("to_be_written", 0), "are counted"
    yield "no status", lambda values: values["sections"][0].__setitem__("status", []), "no status"
    yield "schema", lambda values: values.__setitem__("score", 9), "score"
    small = {"name": "test: rows with origin west", "value": 5, "digest": "a"}
    yield "small", lambda values: field(values, "Composition of the data")["counts"].append(small), "may name a person"


@pytest.mark.parametrize(
    "name, spoil, words", list(faults()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_linter_finds_each_fault(golden, name, spoil, words):
    values = copy.deepcopy(golden)
    spoil(values)
    problems = record.lint_record(values, SHEET)
    assert any(words in problem for problem in problems), problems


def test_text_of_no_person_is_found_without_the_sheet(golden):
    field(golden, "provider")["text"] = "A bank."
    assert any("no person gave" in problem for problem in record.lint_record(golden))


def test_a_person_may_not_promise_more_than_an_audit_can():
    sheet = Sheet(record={"ethics": "The system is unbiased."})
    values = record.record([], facts.subject_facts(planted_subject()), sheet)
    assert [problem for problem in record.lint_record(values, sheet) if "as a person wrote it" in problem]


def test_text_for_a_field_that_does_not_exist_is_refused():
    sheet = Sheet(record={"purpos": "x"})
    with pytest.raises(Refused, match="purpose"):
        record.record([], facts.subject_facts(planted_subject()), sheet)


@pytest.mark.parametrize(
    "sentence, shown",
    [
        ("TOO FEW (n = 4; about 300 needed)", "TOO FEW (n under 10; about 300 needed)"),
        ("Looked at: 8 rows, 3 units.", "Looked at: under 10 rows, under 10 units."),
        ("Looked at: 1,008 rows; n = 40; 0.5 people", "Looked at: 1,008 rows; n = 40; 0.5 people"),
        ("found in 3 of 20 tries", "found in 3 of 20 tries"),
    ],
)
def test_counts_of_a_few_persons_are_left_out_of_sentences(sentence, shown):
    assert record.hide_small_counts(sentence) == shown


def test_numbers_of_a_few_rows_are_not_on_record():
    values = record.record(planted_verdicts(rows=8), facts.subject_facts(planted_subject()), SHEET)
    finding = field(values, "Simpler models")["findings"][0]
    assert finding["n"] is None and finding["estimate"] is None and "0.10" not in finding["sentence"]
    assert record.lint_record(values, SHEET) == []


def test_a_network_that_cannot_be_judged_is_on_record_without_a_fault():
    whole = worlds.make_subject(worlds.linear_score, seed=0, train=200, test=100)
    one_unit = replace(whole, test=replace(whole.test, units=np.zeros(100, int)))
    for subject in (one_unit, replace(whole, train=None)):
        verdicts = judge(checks.get("simpler")(subject, seed=0, draws=99, budget=1))
        values = record.record(verdicts, facts.subject_facts(subject), subject.sheet)
        assert record.lint_record(values) == []


@pytest.mark.parametrize(
    "counts, shown",
    [
        ([80, 33, 5, 2], [80, None, None, None]),
        ([80, 30, 10], [80, 30, 10]),
        ([60, 9, 9], [60, None, None]),
        ([5], [None]),
    ],
)
def test_one_small_group_is_not_told_by_the_sum(counts, shown):
    names = tuple("abcd"[: len(counts)])
    column = Column("group", np.repeat(np.arange(len(counts), dtype=float), counts), names)
    assert list(facts.group_counts(column).values()) == shown


def test_a_real_audit_gives_a_record_without_faults():
    subject = worlds.make_subject(worlds.product_score, seed=0, train=300, test=400)
    verdicts = [
        verdict
        for check, options in (("simpler", {"budget": 1}), ("slices", {}))
        for verdict in judge(checks.get(check)(subject, seed=0, draws=99, **options))
    ]
    values = record.record(verdicts, facts.subject_facts(subject), subject.sheet)
    assert record.lint_record(values, subject.sheet) == []
    everything = field(values, "All that was measured")["findings"]
    assert {finding["check"] for finding in everything} == {"simpler", "slices"}
    page = render_record(values)
    assert "TO BE WRITTEN BY A PERSON" in page and "Must not be claimed" in page and "<script" not in page


def test_words_of_a_person_are_escaped_on_the_page():
    sheet = Sheet(record={"purpose": "<script>alert(1)</script>"})
    page = render_record(record.record([], facts.subject_facts(planted_subject()), sheet))
    assert "<script" not in page and "&lt;script&gt;" in page


def test_the_sources_are_dated_and_can_be_read():
    keys = [part["key"] for source in SOURCES for part in source["fields"] if part["kind"] == "person"]
    assert len(keys) == len(set(keys)) == len(record.person_keys())
    for source in SOURCES:
        assert source["not_claimed"] and all(status["read_by"] for status in source["status"])
        assert max(len(words) for words in sentences(source["asks"])) <= 45


def test_the_ladder_is_drawn_with_its_margin():
    subject = worlds.make_subject(worlds.linear_score, seed=0, train=200, test=200)
    evidence = checks.get("simpler")(subject, seed=0, draws=99, budget=1)
    titles, pictures = zip(*figures(evidence[0]))
    assert [title.rpartition(" in ")[2] for title in titles] == ["accuracy", "log loss"]
    assert all("margin" in picture and picture.count("<circle") == 6 for picture in pictures)
    assert figures(evidence[1]) == []
