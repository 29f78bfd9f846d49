"""Changes that turn a refusal: in the columns and the direction that the sheet allows, written out, and tried on other networks."""

import dataclasses

import numpy as np
import pytest

from lab.refusal import Refused
from sanity.audit.counterfactuals import FOUND, FRAGILE, NONE, choose_margin, counterfactuals, levers, search
from sanity.audit.decisions import decision_rule
from sanity.audit.reasons import reason_record, sentences
from sanity.audit.rows import Column
from sanity.verdict import FORBIDDEN
from tests.audit_worlds import reasons as worlds
from tests.readability import longest

LEVERS = {
    "x1": {"actionable": "up"},
    "x2": {"actionable": "down"},
    "x4": {"actionable": "any"},
    "x5": {"roles": ("immutable",)},
}
TWINS = [worlds.WEIGHTS + 0.2 * row for row in worlds.gaussian(3, 8, 3)]


def refused(subject, most=40):
    scores = decision_rule(subject).scores(subject.test.logits)
    return np.flatnonzero(scores < decision_rule(subject).threshold)[:most]


def with_twins(**options):
    return worlds.additive(networks=[lambda x, weights=weights: x @ weights for weights in TWINS], **options)


def with_category(places):
    """x3 is a category of three levels, taken as one number or as three."""
    values = worlds.gaussian(600, 4, 0)
    levels = np.random.default_rng(1).integers(3, size=600)
    coded = levels[:, None] if len(places) == 1 else np.eye(3)[levels]
    inputs = np.concatenate([values[:, :2], coded], axis=1)
    effects = np.array([-1.0, 0.0, 1.5])

    def score(x):
        shown = effects[np.clip(x[:, 2].astype(int), 0, 2)] if len(places) == 1 else x[:, 2:5] @ effects
        return x[:, 0] + x[:, 1] + shown - 0.5

    sheets = {"x3": {"actionable": "any", "kind": "category", "levels": ("rent", "loan", "own")}}
    names = ["x1", "x2", "x3", *("more" + str(place) for place in range(inputs.shape[1] - 3))]
    subject = worlds.subject_of(inputs, score, sheets=sheets, names=names)
    columns = (*subject.test.columns[:2], Column("x3", levels.astype(float), ("rent", "loan", "own")))
    test = dataclasses.replace(subject.test, columns=columns)
    input_places = {"x1": (0,), "x2": (1,), "x3": tuple(places)}
    return dataclasses.replace(subject, test=test, input_places=input_places), effects


def test_only_what_can_change_changes_and_in_its_direction():
    subject = worlds.additive(sheets=LEVERS)
    rows = refused(subject)
    results = counterfactuals(subject, rows, seed=0)
    assert {result.word for result in results} == {FOUND} and results[0].margin == 1
    changes = [change for result in results for change in result.changes]
    moved = [(change["column"], np.sign(float(change["after"]) - float(change["before"]))) for change in changes]
    # To raise x4 is what the score wants; its direction is free.
    assert {("x1", 1), ("x2", -1)} <= set(moved) <= {("x1", 1), ("x2", -1), ("x4", 1)}


def test_the_row_that_is_written_out_passes_by_the_margin():
    subject = worlds.additive(sheets=LEVERS)
    rows = refused(subject)
    for row, result in zip(rows, counterfactuals(subject, rows, seed=0)):
        inputs = subject.test.inputs[[row]].copy()
        for change in result.changes:
            inputs[0, subject.input_places[change["column"]][0]] = float(change["after"])
        score = subject.predict(inputs)[0, 1]
        assert result.word == FOUND and score >= 1 - 1e-6
        assert 1 / (1 + np.exp(-score)) == pytest.approx(result.probability)


def test_the_cost_is_near_that_of_the_best_single_column_of_a_line():
    """Of a line the cheapest way is the column with the largest weight for its deviation, as far as it goes."""
    subject = worlds.additive(sheets={name: {"actionable": "any"} for name in ("x1", "x2", "x3")})
    rows = refused(subject, 100)
    scores = subject.test.logits[rows, 1]
    mads = [np.median(np.abs(v - np.median(v))) for v in subject.test.inputs.T]
    rates = np.abs(worlds.WEIGHTS) * mads
    costs = np.array([result.cost for result in counterfactuals(subject, rows, seed=0, margin=0.0)])
    # Columns end at their 99th percentile, after which the next one has to go on.
    np.testing.assert_array_less((0 - scores) / rates.max() - 1e-6, costs + 1e-3)
    assert np.median(costs / (-scores / rates.max())) < 1.05


def test_twins_choose_the_margin_and_what_fails_on_one_is_fragile():
    subject = with_twins(sheets=LEVERS)
    margin, rows = choose_margin(subject, seed=0), refused(subject)
    assert margin > 0.25

    def share(margin):
        words = [result.word for result in counterfactuals(subject, rows, seed=0, margin=margin)]
        return words.count(FOUND) / max(len(words) - words.count(NONE), 1)

    assert share(margin) >= 0.8 and share(0.0) < 0.5
    assert choose_margin(worlds.additive(sheets=LEVERS), seed=0) == 1


def test_none_is_found_where_nothing_helps_and_a_weak_one_is_fragile():
    weak = with_twins(sheets={"x7": {"actionable": "any"}, "x8": {"actionable": "any"}})
    words = [result.word for result in counterfactuals(weak, refused(weak), seed=0)]
    assert set(words) == {NONE, FRAGILE} and words.count(FRAGILE) >= 10
    subject = worlds.additive(sheets={"x1": {"actionable": "down"}})
    assert {result.word for result in counterfactuals(subject, refused(subject), seed=0)} == {NONE}
    subject = worlds.additive()
    assert levers(subject) == [] and counterfactuals(subject, refused(subject, 2), seed=0)[0].word == NONE


@pytest.mark.parametrize("places", [(2,), (2, 3, 4)])
def test_a_category_moves_whole(places):
    subject, effects = with_category(places)
    rows = refused(subject)
    results = counterfactuals(subject, rows, seed=0, margin=0.0)
    assert {result.word for result in results} == {FOUND, NONE}
    for row, result in zip(rows, results):
        score, level = subject.test.logits[row, 1], int(subject.test.column("x3").values[row])
        assert (result.word == FOUND) == (score - effects[level] + effects.max() >= 0)
        for change in result.changes:
            assert change["column"] == "x3" and change["after"] in ("loan", "own") and result.cost == 1


def test_whole_numbers_stay_whole():
    values = worlds.gaussian(500, 3, 0)
    values[:, 0] = np.round(10 * values[:, 0])
    subject = worlds.subject_of(values, lambda x: x @ [0.15, 1, 1], sheets={"x1": {"actionable": "up"}})
    changes = [change for result in counterfactuals(subject, refused(subject), seed=0) for change in result.changes]
    assert changes and all(change["after"].lstrip("-").isdigit() for change in changes)


def test_a_search_takes_back_what_is_not_needed():
    subject = worlds.additive(sheets=LEVERS)
    score = decision_rule(subject).scorer(subject.predict)
    inputs = subject.test.inputs[refused(subject)]
    state = search(score, inputs, levers(subject), 0.5)
    reached = score(state) >= 0.5
    assert reached.mean() > 0.8 and score(state)[reached].max() < 0.52


# Records ------------------------------------------------------------------------------------------------------------------


def test_the_record_of_a_line_is_that_of_its_weights():
    subject = worlds.additive(sheets=LEVERS)
    row = int(refused(subject)[3])
    record = reason_record(subject, row)
    from sanity.audit.codes import explain_denied

    passed = subject.test.inputs[explain_denied(subject, seed=0, rows=np.array([row])).passed]
    truth = worlds.WEIGHTS * (subject.test.inputs[row] - passed.mean(axis=0))
    named = [reason["factor"] for reason in record["reasons"]]
    assert named == [f"x{place + 1}" for place in np.argsort(truth)[:4] if truth[place] < 0]
    for reason in record["reasons"]:
        assert reason["contribution"] == pytest.approx(truth[int(reason["factor"][1:]) - 1], abs=1e-4)
    assert record["stable"] and set(record["stable"]) <= set(named) and record["decision"] == "refused"


def test_twins_that_disagree_leave_no_stable_reason():
    subject = worlds.disagreeing()
    record = reason_record(subject, int(refused(subject)[0]))
    assert not record["stable"] and len(record["cannot_be_told_apart"]) > 2
    assert any("cannot be told from each other" in line for line in record["sentences"])


def test_records_can_be_read_and_promise_nothing():
    texts = []
    for subject in (
        worlds.additive(sheets=LEVERS),
        with_twins(sheets=LEVERS),
        worlds.disagreeing(),
        worlds.additive(rows=60),
    ):
        for row in (*refused(subject, 3), int(np.flatnonzero(subject.test.logits[:, 1] > 0)[0])):
            record = reason_record(subject, int(row))
            texts += [*record["sentences"], record["cannot"]]
    words = " ".join(texts).lower()
    banned = (*FORBIDDEN, "fair", "unbiased", "compliant", "safe", "robust", "discriminates", "causes", "you will be")
    assert not [word for word in banned if f" {word}" in words]
    assert all(len(longest(text)) <= 25 for text in texts)


def test_few_reference_rows_settle_no_reason():
    record = reason_record(worlds.additive(rows=60), int(refused(worlds.additive(rows=60))[0]))
    assert record["references"] < 50 and not record["stable"] and record["reasons"]


def test_unknown_rows_and_sheets_without_a_decision_are_refused():
    subject = worlds.additive(rows=60)
    with pytest.raises(Refused, match="from 0 to 59"):
        reason_record(subject, 60)
    sheet = subject.sheet.model_copy(update={"decision": None})
    with pytest.raises(Refused, match="decision"):
        reason_record(dataclasses.replace(subject, sheet=sheet), 0)


def test_the_same_seed_gives_the_same_record():
    subject = with_twins(sheets=LEVERS)
    row = int(refused(subject)[0])
    assert reason_record(subject, row, seed=3) == reason_record(subject, row, seed=3)


def test_sentences_name_categories_and_one_unstable_reason():
    subject, _ = with_category((2,))
    record = reason_record(subject, int(refused(subject)[0]))
    record["cannot_be_told_apart"] = ["x1"]
    assert "x1 is a reason in a part of the draws only." in sentences(record)
