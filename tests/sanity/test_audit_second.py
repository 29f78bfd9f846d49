"""Faults that a second reader found in the audit: copies, leaks, units that are few, levels that no p reaches, and small cells."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lab.refusal import Refused
from sanity.audit.copies import SIZES, Tries
from sanity.audit.frames import read_tables
from sanity.audit.gates import trained_gates, units_gate
from sanity.audit.layers import Layer
from sanity.audit.margin import BEYOND, NONE, TOO_FEW, UNCERTAIN, WITHIN, margin_evidence
from sanity.audit.questions import QUESTIONS, checks_of, count_tests, level, settings_at
from sanity.audit.reasons import reason_record
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import Sheet, open_sheet
from sanity.audit.signature import Signature
from sanity.audit.slices import predicates
from sanity.checks import checks
from sanity.checks.group_gaps import group_gaps
from sanity.checks.harm import harm
from sanity.checks.proxy_use import DEPENDS, UNUSED, proxy_use
from sanity.checks.reason_codes import reason_codes
from sanity.checks.shift import shift
from sanity.checks.unlikeness import unlikeness
from sanity.ruling import Margins, rules
from sanity.statistics import Interval
from sanity.verdict import judge
from tests.audit_worlds import reasons as reason_worlds
from tests.audit_worlds import shifts
from tests.audit_worlds.groups import people, subject_of

NUMBER = Signature(width=2, count=1)
NUMBERS = {"first": {"roles": ["input"]}, "second": {"roles": ["input"]}, "price": {"roles": ["label"]}}


def prices(**changes):
    rng = np.random.default_rng(0)
    columns = {name: rng.standard_normal(40) for name in NUMBERS}
    return pd.DataFrame(columns | {name: change(columns) for name, change in changes.items()})


def notes(frame, signature=NUMBER, columns=NUMBERS, **others):
    return read_tables({"test": frame, **others}, open_sheet({"columns": columns}), signature).notes


# Leaks --------------------------------------------------------------------------------------------------------------------


def test_columns_that_never_repeat_are_no_copies_of_a_label_that_never_repeats():
    assert not any("LEAK" in note for note in notes(prices()))


@pytest.mark.parametrize("copy", [lambda price: price, lambda price: 100 - 3 * price, np.exp])
def test_a_column_that_rises_or_falls_with_the_number_is_a_leak(copy):
    frame = prices(second=lambda columns: copy(columns["price"]))
    assert "LEAK: the column second is a copy of the label" in notes(frame)


def test_a_copy_with_missing_cells_is_a_leak():
    frame = prices().assign(late=lambda rows: np.where(rows["price"].rank() > 30, np.nan, rows["price"] * 2))
    assert "LEAK: the column late is a copy of the label" in notes(frame)


def test_one_label_in_the_current_rows_is_said():
    classes = Signature(width=2, classes=("no", "yes"))
    test = prices().assign(price=["no", "yes"] * 20)
    told = notes(test, classes, current=test.assign(price="yes"))
    assert "all labelled current rows have the same label" in told


FOUR = Signature(width=2, classes=("a", "b", "c", "d"))


@pytest.mark.parametrize(
    "copy, is_leak",
    [
        (lambda labels: labels, True),
        (lambda labels: 100 - 7 * labels, True),
        (lambda labels: np.array([3.0, 0, 9, 4])[labels], True),
        (lambda labels: np.where(np.arange(200) % 4 == 0, np.nan, labels), True),
        (lambda labels: np.where(np.arange(200) == 0, labels + 1, labels), False),
        (lambda labels: labels // 2, False),
        (lambda labels: labels + np.arange(200) / 1000, False),
    ],
)
def test_a_class_label_that_was_copied_into_an_input_is_a_leak(copy, is_leak):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(200) % 4)
    frame = pd.DataFrame(
        {"first": rng.standard_normal(200), "second": copy(labels), "price": np.array([*"abcd"])[labels]}
    )
    columns = NUMBERS | {"second": {"roles": ["input"], "fill": 0}}
    assert ("LEAK: the column second is a copy of the label" in notes(frame, FOUR, columns)) == is_leak


# Copies -------------------------------------------------------------------------------------------------------------------


def numbered(rows, start=0):
    """Rows with a saved index beside their columns."""
    index = Column("Unnamed: 0", np.arange(start, start + len(rows), dtype="float64"), kind="metadata")
    return replace(rows, columns=(*rows.columns, index))


def trained_on_test(subject):
    """The network was trained on some of the test rows; both files have an index."""
    train = subject.test.take(np.arange(0, len(subject.test), 4))
    return replace(subject, test=numbered(subject.test), train=numbered(train, 10_000))


def test_a_saved_index_hides_no_copy():
    subject = trained_on_test(shifts.answered("none", 0, (200, 150)))
    (gate,) = trained_gates(subject)
    assert gate.status == "failed" and gate.words.startswith("50 of 200 test rows are copies")
    twice = shifts.answered("none", 0, (200, 150)).test.take(np.repeat(np.arange(100), 2))
    assert units_gate(numbered(replace(twice, has_units=False))).status == "failed"


def test_a_column_that_the_training_rows_lack_hides_no_copy():
    subject = shifts.answered("none", 0, (200, 150))
    empty = Column("note", np.full(50, np.nan), kind="metadata")
    noted = Column("note", np.arange(200) % 7 / 2, kind="metadata")
    train = subject.test.take(np.arange(50))
    train = replace(train, columns=(*train.columns, empty))
    (gate,) = trained_gates(
        replace(subject, test=replace(subject.test, columns=(*subject.test.columns, noted)), train=train)
    )
    assert gate.status == "failed"


def every_role(seed=0, count=600):
    """A subject that every check applies to: a table with roles, a decision, training and current rows."""
    rng = np.random.default_rng(seed)
    values, weights = rng.standard_normal((count, 3)).round(6), np.array([1.0, -0.5, 0.25])
    group = (rng.random(count) < 0.5).astype("float64")

    def predict(inputs):
        scores = np.asarray(inputs, "float64") @ weights
        return np.stack([-scores / 2, scores / 2], axis=1)

    logits = predict(values)
    labels = (rng.random(count) < 1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0])))).astype(int)
    # Two clouds, of which each is a cluster.
    features = np.column_stack([values, 9 * (rng.random(count) < 0.4)])
    rows = Rows(
        tuple(Column(name, column) for name, column in zip("abc", values.T)),
        np.arange(count),
        True,
        labels,
        logits,
        features.astype("float32"),
        protected=(Column("group", group, ("one", "two"), "metadata"),),
        inputs=values.astype("float32"),
    )
    columns = {name: {"roles": ["input"]} for name in "abc"} | {"group": {"roles": ["protected"]}}
    columns["a"]["roles"].append("legitimate")
    sheet = Sheet(rows_are_units=True, columns=columns, decision={"favourable": "1"})
    places = {name: (place,) for place, name in enumerate("abc")}
    parts = [rows.take(np.arange(place, count, 3)) for place in range(3)]
    layer = Layer("bent", True, np.arcsinh, lambda _, hidden: predict(np.sinh(hidden)))
    return AuditSubject("net", *parts, sheet, ("0", "1"), places, predict, layers=(layer,))


# Settings of checks that take seconds.
QUICK = {"simpler": {"budget": 1, "draws": 99}, "reason_codes": {"rows": 40}}


@pytest.mark.parametrize("name", [check for question in QUESTIONS for check in checks_of(question)])
def test_test_rows_that_were_trained_on_make_every_question_invalid(name):
    subject = every_role()
    options = {"tries": 4, **QUICK.get(name, {})}
    alone = checks.get(name)(subject, seed=0, **options)
    assert not any("training rows" in gate.words for row in alone for gate in row.failed)
    copied = replace(subject, train=subject.test.take(np.arange(0, 200, 4)))
    verdicts = judge(checks.get(name)(copied, seed=0, **options))
    assert {verdict.outcome for verdict in verdicts} == {"INVALID"}
    assert "copies of training rows" in verdicts[0].sentence


def renamed(subject):
    """The subject with other names of all columns, in the opposite order of the alphabet."""
    names = {name: f"{'zyxw'[place]} renamed" for place, name in enumerate(subject.sheet.columns)}

    def rename(rows):
        parts = {
            part: tuple(replace(column, name=names[column.name]) for column in getattr(rows, part))
            for part in ("columns", "protected")
        }
        return replace(rows, **parts)

    sheet = subject.sheet.model_copy(
        update={"columns": {names[name]: column for name, column in subject.sheet.columns.items()}}
    )
    sets = {name: rename(getattr(subject, name)) for name in ("test", "train", "current")}
    places = {names[name]: places for name, places in subject.input_places.items()}
    return replace(subject, sheet=sheet, input_places=places, **sets)


@pytest.mark.parametrize("name", [check for question in QUESTIONS for check in checks_of(question)])
def test_other_names_of_columns_change_no_verdict(name):
    subject, options = every_role(1), {"tries": 4, **QUICK.get(name, {})}
    first, other = (judge(checks.get(name)(one, seed=0, **options)) for one in (subject, renamed(subject)))
    assert not any("renamed" in verdict.sentence for verdict in first)
    numbers = [[(row.outcome, row.finding, row.p, str(row.effect)) for row in verdicts] for verdicts in (first, other)]
    assert numbers[0] == numbers[1] and {row.outcome for row in first} != {"INVALID"}


def test_the_same_file_as_current_rows_is_invalid_though_rows_are_units():
    subject = shifts.answered("none", 0, (300, 150))
    subject = replace(subject, test=replace(subject.test, has_units=True), sheet=Sheet(rows_are_units=True))
    same = replace(subject, current=subject.test)
    assert [verdict.outcome for verdict in judge(shift(same, seed=0, draws=99))] == ["INVALID"]
    few = replace(subject, current=subject.test.take(np.arange(60)))
    assert [verdict.outcome for verdict in judge(shift(few, seed=0, draws=99))] == ["INVALID"]
    gates = {gate.name: gate.status for gate in shift(subject, seed=0, draws=99, tries=4)[0].gates}
    assert gates["rows are units"] == "passed"


def test_a_few_copies_among_many_rows_are_counted_in_the_smaller_set():
    rng = np.random.default_rng(0)
    many = Rows((Column("x", rng.standard_normal(20_000)),), np.arange(20_000))
    few = many.take(np.arange(100))
    assert units_gate(many, few).status == "failed"
    other = Rows((Column("x", rng.standard_normal(100)),), np.arange(100))
    assert units_gate(many, other).status == "passed"


def test_sets_without_a_column_in_common_are_no_copies():
    first = Rows((Column("x", np.zeros(40), kind="metadata"),), np.arange(40))
    second = Rows((Column("y", np.zeros(40), kind="metadata"),), np.arange(40))
    assert units_gate(first, second).status == "passed"


# Answers ------------------------------------------------------------------------------------------------------------------


def with_nan(rows, some=slice(0, 40)):
    logits = rows.logits.copy()
    logits[some] = np.nan
    return replace(rows, logits=logits)


def test_answers_that_are_no_numbers_are_no_refusals():
    """A probability that is not known is not below the threshold: groups would seem to be treated alike."""
    subject = people(0, (300, 300))
    verdicts = judge(group_gaps(replace(subject, test=with_nan(subject.test)), seed=0, draws=99, tries=4))
    assert [verdict.outcome for verdict in verdicts] == ["INVALID"] and "no finite numbers" in verdicts[0].sentence


@pytest.mark.parametrize("which", ["test", "current"])
def test_errors_of_answers_that_are_no_numbers_are_not_compared(which):
    subject = shifts.answered("none", 0, (300, 200))
    broken = replace(subject, **{which: with_nan(getattr(subject, which))})
    assert [verdict.outcome for verdict in judge(harm(broken, seed=0, tries=4))] == ["INVALID"]


# Margins ------------------------------------------------------------------------------------------------------------------


def test_use_within_the_margin_passes_only_where_planted_use_was_found():
    def outcome(times):
        planted = np.zeros((len(SIZES), 20), bool)
        planted[1, :times] = True
        subject = AuditSubject("net", Rows((), np.arange(200)))
        why = dict.fromkeys((BEYOND, NONE, TOO_FEW, UNCERTAIN, WITHIN, UNUSED, DEPENDS), "all")
        evidence = margin_evidence(
            "proxy_use",
            "sex = f",
            subject,
            p=0.01,
            effect=Interval(0.01, 0.005, 0.015),
            tries=Tries(np.zeros(20, bool), planted),
            delta=0.02,
            why=why,
            units=100,
            samples={"output p": np.array([0.5])},
            needed=0,
        )
        (ruling,) = rules.get("proxy_use")([evidence], Margins(), 0)
        return ruling.outcome, ruling.finding

    assert outcome(20) == ("PASS", UNUSED)
    assert outcome(3) == ("INCONCLUSIVE", DEPENDS)


@pytest.mark.parametrize("tries, alarms", [(4, 3), (5, 3), (10, 4), (20, 5), (40, 8)])
def test_chance_breaks_no_check_with_few_copies(tries, alarms):
    """One alarm of four copies broke it, which chance gives in .19 of all audits."""

    def status(count):
        return Tries(np.arange(tries) < count, np.zeros((3, tries), bool)).gate.status

    assert (status(alarms - 1), status(alarms)) == ("passed", "failed")


# Levels -------------------------------------------------------------------------------------------------------------------


def test_draws_that_cannot_reach_the_level_are_refused():
    with pytest.raises(Refused, match="Give 239 draws or more"):
        settings_at("slices", {"draws": 199}, 0.05 / 12)
    assert settings_at("slices", {"draws": 239}, 0.05 / 12) == {"draws": 239}
    assert settings_at("slices", {}, 0.05 / 12) == {}
    # Its own number of draws is 199.
    assert settings_at("decodable", {}, 0.05 / 12) == {"draws": 478}
    assert settings_at("slices", {"draws": 99}, 0.05) == {"draws": 99}


def test_all_families_of_tests_share_the_strict_level():
    questions = ["failures", "shift", "record"]
    assert count_tests(questions) == 8
    assert level(Sheet(), questions, True) * count_tests(questions) == pytest.approx(0.05)


# Sentences ----------------------------------------------------------------------------------------------------------------


def test_one_row_that_lies_far_off_is_not_denied():
    subject = shifts.answered("none", 2)
    features = subject.current.features.copy()
    features[0] += 1e4
    (verdict,) = judge(unlikeness(replace(subject, current=replace(subject.current, features=features)), seed=0))
    assert verdict.finding == "NO ROW STANDS OUT" and "no current row lies farther" not in verdict.sentence
    count = int(verdict.why.split(" of ")[0])
    assert count >= 1 and "too few to be told from chance" in verdict.sentence


def test_a_refusal_where_no_row_just_passed_has_a_record():
    subject = reason_worlds.additive(200)
    place = subject.favourable()
    logits = subject.test.logits.copy()
    logits[:, place] = logits.min() - 30
    refused = replace(subject, test=replace(subject.test, logits=logits))
    record = reason_record(refused, 3, recourse=False)
    assert record["decision"] == "refused" and record["reasons"] == []
    assert "No other row just passed, so that no reasons can be given." in record["sentences"]


# Personal data ------------------------------------------------------------------------------------------------------------


def test_the_number_of_a_small_group_is_told_by_nothing():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], [700, 493, 7])
    labels = rng.integers(0, 2, 1200)
    subject = subject_of(labels, rng.random(1200) < 0.5, {"sex": groups})
    evidence = group_gaps(subject, seed=0, draws=99, tries=4)
    for part, verdict in zip(evidence, judge(evidence)):
        rows = {row["group"]: row.get("rows") for row in part.settings["tables"][f"Groups: {part.method}"]}
        assert rows["g2"] == "under 10" and 7 not in part.samples["counts"]
        # The next smallest would tell it by the sum of all.
        assert part.samples["counts"][1] == 0
        assert part.sizes.get("units", 0) != 7 and " 7 units" not in verdict.sentence
        assert verdict.outcome == "INCONCLUSIVE"


def test_no_smallest_or_largest_value_is_a_name():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(400)
    words = " ".join(predicates(Rows((Column("age", values),), np.arange(400))).names)
    for edge in (values.min(), values.max()):
        assert f"{edge:.4g}" not in words
    assert "age up to " in words and "age above " in words
    from sanity.audit.groups import group_by

    words = " ".join(group_by(Column("age", values)).names)
    for edge in (values.min(), values.max()):
        assert f"{edge:.4g}" not in words


def test_points_of_reasons_are_no_rows():
    subject = reason_worlds.additive(400)
    evidence = reason_codes(subject, seed=0, tries=4, rows=60)[0]
    assert set(np.unique(evidence.samples["ranks"])) <= {0, 0.25, 0.5, 0.75, 1}


def test_proxies_do_not_ask_a_network_without_numbers():
    subject = people(0, (100, 100))
    verdicts = judge(proxy_use(replace(subject, test=with_nan(subject.test)), seed=0, draws=99, tries=4))
    assert {verdict.outcome for verdict in verdicts} == {"INVALID"}
