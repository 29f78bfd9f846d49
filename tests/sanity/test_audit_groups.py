"""Group gaps: rates, intervals and p of groups against libraries, slow formulas and planted worlds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from lab.refusal import Refused
from sanity.audit.groups import Comparison, Grouping, Metric, _look_at, _plant, group_by, list_metrics
from sanity.audit.questions import refuse_costs
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import ColumnSheet, Decision, Sheet, open_sheet
from sanity.audit.signature import Signature
from sanity.checks.group_gaps import group_gaps
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds.groups import people, subject_of
from tests.audit_worlds.measures import gaps_of, gaps_p, naive_gaps_p

SOME = (500, 250, 200, 50)


def verdicts(subject, **options):
    return judge(group_gaps(subject, seed=0, **{"draws": 99, "tries": 20} | options))


# Oracles ------------------------------------------------------------------------------------------------------------------


def test_rates_are_those_of_fairlearn():
    metrics = pytest.importorskip("fairlearn.metrics")
    from sklearn.metrics import accuracy_score

    rows = people(0, SOME).test
    groups = rows.protected[0].values
    frame = metrics.MetricFrame(
        metrics={
            "selection rate": metrics.selection_rate,
            "true positive rate": metrics.true_positive_rate,
            "false positive rate": metrics.false_positive_rate,
            "accuracy": accuracy_score,
        },
        y_true=rows.labels,
        y_pred=rows.predicted,
        sensitive_features=groups,
    )
    for gaps in gaps_of(people(0, SOME), draws=19):
        expected = frame.by_group[gaps.comparison.metric.name]
        np.testing.assert_allclose(gaps.rates[:, 0], expected, atol=1e-12)
        np.testing.assert_allclose(gaps.range, expected.max() - expected.min(), atol=1e-12)


@pytest.mark.parametrize("whole", (True, False), ids=["units of one group", "units of several groups"])
def test_exchanged_distances_are_those_of_the_rows_themselves(whole):
    rng = np.random.default_rng(3)
    units = rng.integers(60, size=200)
    codes = rng.integers(3, size=60)[units] if whole else rng.integers(3, size=200)
    groupings = [Grouping("three", tuple("abc"), codes, ("three",)), Grouping("two", tuple("ab"), codes % 2, ("two",))]
    metrics = [Metric("rate", (rng.random(200) < 0.4).astype("float64")), Metric("error", rng.random(200))]
    compared = [Comparison(metric, grouping, units) for grouping in groupings for metric in metrics]
    order = compared[0].order
    places = np.array(list(order.exchanged(5, seed=0)))
    for number, means, distances in _look_at(compared, places):
        metric, grouping = compared[number].metric, compared[number].grouping
        for draw, moved in enumerate(places):
            exchanged = Comparison(Metric("", metric.values[order.rows(moved)]), grouping, units)
            expected = exchanged.measure(exchanged.values[None])
            np.testing.assert_allclose(means[draw], expected[0][0])
            np.testing.assert_allclose(distances[draw], exchanged.standardize(*expected)[0])


def test_rates_and_distances_are_those_of_a_slow_formula():
    rng = np.random.default_rng(0)
    codes, units, values = rng.integers(3, size=90), rng.integers(30, size=90), rng.random(90).round()
    comparison = Comparison(Metric("any", values), Grouping("any", tuple("abc"), codes, ("any",)), units)
    mean, variance, other, other_variance = (part[0] for part in comparison.measure(comparison.values[None]))
    cells = [(unit, code) for unit in range(30) for code in range(3) if ((units == unit) & (codes == code)).any()]
    everything = sum(np.sum((values - values.mean())[(units == u) & (codes == c)]) ** 2 for u, c in cells) / len(cells)
    for code in range(3):
        for inside, rate, spread in ((codes == code, mean, variance), (codes != code, other, other_variance)):
            residuals = (values - values[inside].mean()) * inside
            sums = [residuals[(units == u) & (codes == c) & inside].sum() for u, c in cells]
            count = sum(bool((inside & (units == u) & (codes == c)).any()) for u, c in cells)
            expected = (np.square(sums).sum() + 200 * everything) * count / (count + 199) / inside.sum() ** 2
            assert rate[code] == pytest.approx(values[inside].mean())
            assert spread[code] == pytest.approx(expected)


def test_intervals_of_rows_are_wilsons_and_newcombes():
    subject = people(1, (400, 100))
    comparison = Comparison(list_metrics(subject.test, 1)[1], group_by(subject.test.protected[0]), subject.test.units)
    gaps, rates = comparison.intervals(0.95)
    counts = [(int(comparison.values[comparison.codes == k].sum()), int((comparison.codes == k).sum())) for k in (0, 1)]
    one, other = (wilson_interval(*count) for count in counts)
    np.testing.assert_allclose(rates, [[one.mean, one.low, one.high], [other.mean, other.low, other.high]])
    low = one.mean - other.mean - np.hypot(one.mean - one.low, other.high - other.mean)
    assert gaps[0, 1] == pytest.approx(low) and gaps[0, 0] == pytest.approx(one.mean - other.mean)
    assert gaps[0, 2] == pytest.approx(-gaps[1, 1])


def test_the_interval_of_a_small_group_covers_where_a_bootstrap_does_not():
    rng = np.random.default_rng(0)
    covered, of_bootstrap = [], []
    for _ in range(300):
        right = (rng.random(20) < 0.9).astype(float)
        values = np.concatenate([right, rng.random(200) < 0.9])
        codes = np.repeat([0, 1], [20, 200])
        comparison = Comparison(Metric("any", values), Grouping("any", ("a", "b"), codes, ("any",)), np.arange(220))
        _, low, high = comparison.intervals(0.95)[1][0]
        covered.append(low <= 0.9 <= high)
        means = rng.binomial(20, right.mean(), 400) / 20
        of_bootstrap.append(np.quantile(means, 0.025) <= 0.9 <= np.quantile(means, 0.975))
    assert np.mean(covered) >= 0.92 and np.mean(of_bootstrap) <= 0.92


def costs_drawn(uniform, members):
    """Costs 1 and 5 of errors, the dearer one in .07 of members and .01 of the rest, the other in .1: `Metric`."""
    dear = np.where(members, 0.07, 0.01)
    errors = (uniform >= dear) & (uniform < dear + 0.1), uniform < dear
    return Metric("error cost", errors[0] * 0.2 + errors[1], ((0.2, errors[0] * 1.0), (1.0, errors[1] * 1.0)))


def errors_drawn(uniform, members):
    """Residuals of twice the deviation among members: `Metric`."""
    return Metric("error in deviations", np.abs(norm.ppf(uniform)) * np.where(members, 2, 1))


def rates_drawn(uniform, members):
    """A rate of .1 among members and .01 among the rest: `Metric`."""
    return Metric("rate", (uniform < np.where(members, 0.1, 0.01)) * 1.0)


@pytest.mark.parametrize(
    "draw, truth, rows, persons",
    [
        (costs_drawn, 0.06, 60, 1),
        (costs_drawn, 0.06, 240, 4),
        (errors_drawn, np.sqrt(2 / np.pi), 100, 1),
        (errors_drawn, np.sqrt(2 / np.pi), 240, 4),
        (rates_drawn, 0.09, 400, 4),
    ],
    ids=["costs", "costs of persons", "a regression", "persons of a regression", "rates of persons"],
)
def test_intervals_hold_for_a_small_group_that_errs_more(draw, truth, rows, persons):
    """With the spread of all rows in the place of its own, a bound missed the truth in .09 to .15 of samples, not .025."""
    rng, codes, missed = np.random.default_rng(0), np.repeat([0, 1], [rows, 4000]), np.zeros(2)
    grouping, units = Grouping("any", ("a", "b"), codes, ("any",)), np.arange(rows + 4000) // persons
    for _ in range(300):
        uniform = np.repeat(rng.random(len(codes) // persons), persons)
        _, low, high = Comparison(draw(uniform, codes == 0), grouping, units).intervals(0.95)[0][0]
        missed += high < truth, low > truth
    assert missed.max() <= 0.05 * 300, missed


# Costs --------------------------------------------------------------------------------------------------------------------


def with_costs(subject, false_positive, false_negative):
    """The subject whose sheet states what errors cost."""
    costs = {"false_positive_cost": false_positive, "false_negative_cost": false_negative}
    decision = subject.sheet.decision.model_copy(update=costs)
    return replace(subject, sheet=subject.sheet.model_copy(update={"decision": decision}))


def test_error_costs_are_those_of_the_rates_of_fairlearn():
    metrics = pytest.importorskip("fairlearn.metrics")
    subject = with_costs(people(0, SOME), 2.0, 10.0)
    rows = subject.test
    frame = metrics.MetricFrame(
        metrics={"fpr": metrics.false_positive_rate, "fnr": metrics.false_negative_rate, "count": metrics.count},
        y_true=rows.labels,
        y_pred=rows.predicted,
        sensitive_features=rows.protected[0].values,
    )
    base = np.bincount(rows.protected[0].values.astype(int), rows.labels) / frame.by_group["count"]
    expected = (2 * frame.by_group["fpr"] * (1 - base) + 10 * frame.by_group["fnr"] * base) / 10
    (gaps,) = [gaps for gaps in gaps_of(subject, draws=19) if gaps.comparison.metric.name == "error cost"]
    np.testing.assert_allclose(gaps.rates[:, 0], expected, atol=1e-12)


def test_equal_costs_are_the_share_of_errors():
    measured = {gaps.comparison.metric.name: gaps for gaps in gaps_of(with_costs(people(0, SOME), 3, 3), draws=19)}
    np.testing.assert_allclose(measured["error cost"].gaps[:, 0], -measured["accuracy"].gaps[:, 0], atol=1e-12)
    np.testing.assert_allclose(measured["error cost"].gaps[:, 1], -measured["accuracy"].gaps[:, 2], atol=1e-12)


def test_dear_errors_of_one_group_are_found_where_accuracy_is_the_same():
    """One group has fewer false positives and more false negatives, which cost five times as much."""
    subject = with_costs(people(0, (3000, 1000), rates={1: 0.45}), 1, 5)
    rows = {row.method: row for row in verdicts(subject)}
    row = rows["error cost by group"]
    assert (row.outcome, row.finding) == (
        "FAIL",
        "GAP BEYOND THE MARGIN",
    ) and "0.05 of the dearer error" in row.sentence
    assert row.also["costs of the sheet"].startswith("a false positive 1, a false negative 5")
    table = rows["selection rate by group"].settings["tables"]["Selection, errors and calibration by group"]
    assert table[1]["error cost"] > table[0]["error cost"] + 0.1


def test_a_planted_cost_is_made_of_errors():
    """A constant that is added to all has no spread, so that of 60 rows it was found in .98 of tries, and errors in .69."""
    rng, codes = np.random.default_rng(0), np.repeat([0, 1], [2000, 2000])
    comparison = Comparison(
        costs_drawn(rng.random(4000), codes == 9), Grouping("any", ("a", "b"), codes, ("any",)), np.arange(4000)
    )
    planted = _plant(comparison, 0, comparison.values, 0.05, rng)
    assert set(np.unique(planted)) == {0.0, 0.2, 1.0} and (planted[2000:] == comparison.values[2000:]).all()
    assert (planted - comparison.values)[:2000].mean() == pytest.approx(0.05, abs=0.015)


def test_the_card_says_where_no_cost_is_stated():
    rows = {row.method: row for row in verdicts(people(0, (300, 300)), draws=19, tries=2)}
    assert "error cost by group" not in rows
    assert "false_positive_cost" in rows["accuracy by group"].also["error cost"]


def test_equal_groups_cost_the_same_and_intervals_hold():
    worlds = [with_costs(people(seed, (600, 300, 100)), 1, 5) for seed in range(60)]
    measured = [gaps_of(subject, seed, 49) for seed, subject in enumerate(worlds)]
    alarms = [min(gaps.p.min() for gaps in part) <= 0.05 for part in measured]
    costs = [part[-1].gaps for part in measured]
    covered = [(gaps[:, 1] <= 0).all() and (gaps[:, 2] >= 0).all() for gaps in costs]
    assert wilson_interval(sum(alarms), 60).low <= 0.05 and np.mean(covered) >= 0.95


@pytest.mark.parametrize("costs", [{"false_positive_cost": 1}, {"false_positive_cost": 0, "false_negative_cost": 0}])
def test_costs_are_of_both_errors(costs):
    with pytest.raises(Refused, match="costs are of both errors"):
        open_sheet({"decision": {"favourable": "granted", **costs}})
    with pytest.raises(Refused, match="greater than or equal to 0"):
        open_sheet({"decision": {"favourable": "granted", "false_positive_cost": -1, "false_negative_cost": 1}})


@pytest.mark.parametrize("cost", [True, "5", float("nan"), [1]])
def test_costs_are_numbers_and_no_words(cost):
    """`true` was a cost of 1, and a text was read as a number."""
    with pytest.raises(Refused, match="decision.false_positive_cost"):
        open_sheet({"decision": {"favourable": "a", "false_positive_cost": cost, "false_negative_cost": 1}})
    assert open_sheet(
        {"decision": {"favourable": "a", "false_positive_cost": 0, "false_negative_cost": 2}}
    ).decision.costs == (0, 2)


def test_costs_beside_several_classes_are_refused():
    sheet = open_sheet({"decision": {"favourable": "a", "false_positive_cost": 1, "false_negative_cost": 2}})
    refuse_costs(sheet, Signature(count=2))
    for count, words in ((3, "which tells 3 classes"), (1, "which tells a number")):
        with pytest.raises(Refused, match=words):
            refuse_costs(sheet, Signature(count=count))


# Error rates --------------------------------------------------------------------------------------------------------------


def test_equal_groups_are_found_equal_and_any_test_alone_is_not():
    alarms = [gaps_p(people(seed, SOME), seed) <= 0.05 for seed in range(100)]
    naive = [naive_gaps_p(people(seed, SOME)) <= 0.05 for seed in range(100)]
    rate, alone = wilson_interval(sum(alarms), 100), wilson_interval(sum(naive), 100)
    assert rate.low <= 0.05 and rate.mean <= 0.1, rate
    assert alone.low > 0.05, alone


def test_persons_are_units():
    """Four rows of a person have much the same decision: rows as units alarm."""
    worlds = [people(seed, (800, 400), persons=4) for seed in range(60)]
    alarms = [gaps_p(subject) <= 0.05 for subject in worlds]
    alone = [replace(subject, test=replace(subject.test, units=np.arange(1200))) for subject in worlds]
    naive = [gaps_p(subject) <= 0.05 for subject in alone]
    assert wilson_interval(sum(alarms), 60).low <= 0.05 < wilson_interval(sum(naive), 60).low


def test_a_gap_in_a_group_of_200_is_found():
    found = [gaps_of(people(seed, rates={3: 0.5}), seed)[1].p[3] <= 0.05 for seed in range(20)]
    assert np.mean(found) >= 0.55, np.mean(found)


def test_highest_less_lowest_is_shown_beside_what_equal_groups_have():
    """Of equal groups it is far above zero, so that alone it would look like a gap."""
    measured = [gaps_of(people(seed), seed)[1] for seed in range(5)]
    assert min(gaps.range for gaps in measured) > 0.1
    assert np.mean([gaps.range for gaps in measured]) == pytest.approx(
        np.mean([gaps.range_exchanged for gaps in measured]), abs=0.08
    )


# Verdicts -----------------------------------------------------------------------------------------------------------------


def test_large_equal_groups_pass_and_say_what_would_have_been_found():
    rows = verdicts(people(0, (7000, 7000)), draws=199)
    assert {row.finding for row in rows} == {"NONE ABOVE THE MARGIN"} and all(row.passed for row in rows)
    assert "would have been found in 20 of 20 tries" in rows[0].sentence


def test_a_gap_beyond_the_margin_fails_and_names_the_group():
    rows = {row.method: row for row in verdicts(people(0, (1000, 500, 500), rates={1: 0.4}))}
    row = rows["true positive rate by group"]
    assert (row.outcome, row.finding) == ("FAIL", "GAP BEYOND THE MARGIN") and "g1" in row.sentence
    assert rows["false positive rate by group"].outcome != "FAIL"


def test_small_groups_are_listed_and_never_pass():
    evidence = group_gaps(people(0, (4000, 4000, 60, 7)), seed=0, draws=49, tries=2)
    rows = judge(evidence)
    assert {row.outcome for row in rows} == {"INCONCLUSIVE"}
    table = rows[3].settings["tables"]["Groups: accuracy by group"]
    assert [row["group"] for row in table] == ["g0", "g1", "g2", "g3"]
    assert "TOO FEW (about" in table[2]["finding"] and table[3] == {
        "group": "g3",
        "rows": "under 10",
        "finding": "TOO FEW",
    }
    assert evidence[3].samples["counts"][3] == 0 and np.isnan(evidence[3].samples["rates"][3]).all()


def test_labels_that_are_wrong_in_one_group_are_not_called_good():
    """A fifth of one group's labels are turned, and decisions with them: no gap shows, and the words do not praise."""
    rows = verdicts(people(0, (7000, 7000), bias=1))
    errors = [row for row in rows if "positive rate" in row.method]
    assert not any(row.outcome == "FAIL" for row in errors)
    assert all("labels are right in every group" in row.cannot and "Cannot conclude" in row.cannot for row in rows)
    assert not any(word in row.sentence.lower() for row in rows for word in ("fair", "unbiased", "good"))


def test_base_rates_selection_errors_and_calibration_stand_together():
    row = verdicts(people(0, SOME))[0]
    table = row.settings["tables"]["Selection, errors and calibration by group"]
    assert {"base rate", "mean probability", "selection rate", "true positive rate", "accuracy"} <= set(table[0])


def test_a_protected_column_that_is_an_input_is_said_first():
    subject = people(0, (600, 600))
    words = verdicts(replace(subject, input_places={"group": (0,)}))[0].sentence
    assert words.index("group is an input of the network") < words.index("rate by group")


def test_two_columns_are_joined_where_every_group_is_large():
    rng = np.random.default_rng(0)
    labels, decided, one = (rng.integers(2, size=900) for _ in range(3))
    other, rare = rng.integers(2, size=900), (np.arange(900) < 20).astype(int)
    methods = [row.method for row in verdicts(subject_of(labels, decided == 1, {"a": one, "b": other}))]
    assert "accuracy by a and b" in methods
    rows = verdicts(subject_of(labels, decided == 1, {"a": one, "b": rare}))
    assert not any("a and b" in row.method for row in rows)
    assert rows[0].settings["left_out"] == ["a and b"]


def test_missing_values_are_a_group_and_numbers_are_cut():
    ages = np.r_[np.arange(20.0, 100.0), [np.nan] * 20]
    grouping = group_by(Column("age", ages))
    assert grouping.names[-1] == "missing" and grouping.counts.tolist() == [20] * 5
    assert group_by(Column("age", np.array([1.0, 2.0, np.nan]))).names == ("1", "2", "missing")


def test_figures_show_groups_and_name_those_that_are_not_shown():
    from recipes.report.audited import group_gaps as pictures

    evidence = group_gaps(people(0, (300, 200, 7)), seed=0, draws=19, tries=2)[3]
    ((title, svg),) = pictures.figures(evidence)
    assert "too few rows: g2" in title and "g2" not in svg and "g0 (300)" in svg and "nan" not in svg
    assert pictures.figures(replace(evidence, samples={})) == []


# Edges --------------------------------------------------------------------------------------------------------------------


def edge_cases():
    rng = np.random.default_rng(0)
    labels, decided = rng.integers(2, size=80), rng.random(80) < 0.5
    halves = np.arange(80) % 2
    yield "one label", subject_of(np.ones(80, int), decided, {"a": halves})
    yield "no label", subject_of(np.full(80, -1), decided, {"a": halves})
    yield "all right", subject_of(labels, labels == 1, {"a": halves})
    yield "all wrong", subject_of(labels, labels == 0, {"a": halves})
    yield "all granted", subject_of(labels, np.ones(80, bool), {"a": halves})
    yield "one group", subject_of(labels, decided, {"a": np.zeros(80)})
    yield "group of 1", subject_of(labels, decided, {"a": (np.arange(80) == 3).astype(float)})
    yield "all missing", subject_of(labels, decided, {"a": np.r_[[1.0], np.full(79, np.nan)]})
    yield "one unit", subject_of(labels, decided, {"a": halves}, units=np.zeros(80, int))
    yield "few units", subject_of(labels, decided, {"a": halves}, units=np.arange(80) // 20)
    yield "few rows", subject_of(labels[:8], decided[:8], {"a": halves[:8]})
    yield "no row", subject_of(labels[:0], decided[:0], {})
    yield "no column", subject_of(labels, decided, {})


@pytest.mark.parametrize("name, subject", list(edge_cases()), ids=lambda value: value if isinstance(value, str) else "")
def test_edges_end_in_a_verdict(name, subject):
    for row in verdicts(subject, draws=19, tries=2):
        assert row.outcome in ("INCONCLUSIVE", "INVALID") and row.sentence and (row.p is None or row.p > 0), name
    if name == "no column":
        assert 'roles = ["protected"]' in row.sentence and row.finding == "NOT APPLICABLE"


def test_three_classes_and_numbers_have_accuracy_alone():
    rng = np.random.default_rng(0)
    groups = (Column("a", rng.integers(2, size=400).astype(float), ("x", "y")),)
    sheet = Sheet(columns={"a": ColumnSheet(roles=("protected",))}, rows_are_units=True)
    classes = Rows((), np.arange(400), True, rng.integers(3, size=400), rng.normal(size=(400, 3)), protected=groups)
    assert [row.method for row in verdicts(AuditSubject("net", classes, sheet=sheet))] == ["accuracy by a"]
    decided = sheet.model_copy(update={"decision": Decision(favourable="2", threshold=0.4)})
    assert len(verdicts(AuditSubject("net", classes, sheet=decided, classes=("1", "2", "3")))) == 4
    numbers = rng.normal(size=(400, 1)) * (1 + 2 * (groups[0].values == 1))[:, None]
    regression = Rows((), np.arange(400), True, np.zeros(400), numbers, protected=groups)
    (row,) = verdicts(AuditSubject("net", regression, sheet=sheet))
    assert row.method == "error in deviations by a" and row.outcome == "FAIL"


def test_the_same_seed_gives_the_same_bytes_and_order_of_rows_does_not_matter():
    subject = people(0, (1000, 500, 500), rates={1: 0.4})
    first, again = (group_gaps(subject, seed=3, draws=49, tries=2) for _ in range(2))
    for one, other in zip(first, again):
        assert all(one.samples[name].tobytes() == other.samples[name].tobytes() for name in one.samples)
    order = np.random.default_rng(0).permutation(2000)
    shuffled = replace(subject, test=subject.test.take(order))
    findings = [row.finding for row in verdicts(subject)]
    assert findings == [row.finding for row in verdicts(shuffled)]


def test_a_file_sorted_by_group_does_not_break_the_null_copies():
    """A gap that is there must not be carried along when rows are rolled down a sorted file."""
    evidence = group_gaps(people(0, (1000, 500, 500), rates={1: 0.4}), seed=0, draws=99, tries=20)
    assert evidence[0].samples["null"].sum() <= 4


def test_neighbours_that_depend_on_each_other_break_the_check():
    rng = np.random.default_rng(0)
    days = np.repeat(rng.random(20) < 0.5, 100)
    groups = np.repeat(rng.integers(2, size=20), 100)
    evidence = group_gaps(subject_of(np.ones(2000, int), days, {"a": groups}), seed=0, draws=99, tries=20)
    assert judge(evidence)[0].outcome == "INVALID"
