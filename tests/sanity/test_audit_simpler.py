"""Simpler models beside a network: planted worlds, equal models, and what naive intervals would have said of them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import train_test_split

from lab.refusal import Refused
from sanity.audit import cross_validation, differences, ladder, worst_group
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.checks import checks
from sanity.checks import simpler as simpler_check
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import ladders as worlds

BRIEF = {"draws": 199, "budget": 1}


def audit(subject, **options):
    return {
        verdict.method: verdict for verdict in judge(checks.get("simpler")(subject, seed=0, **{**BRIEF, **options}))
    }


@pytest.fixture(autouse=True)
def without_pairs(monkeypatch):
    """Boosting machines take seconds each, and have a test of their own."""
    monkeypatch.setattr(ladder, "has_pairs", lambda: False)


# Planted worlds.


def test_a_network_that_knows_products_is_ahead_of_all_simple_models():
    verdicts = audit(worlds.make_subject(worlds.product_score, seed=1, columns=3))
    assert verdicts[ladder.ALL].finding == simpler_check.AHEAD and verdicts[ladder.ALL].passed
    assert verdicts[ladder.BOOSTED].finding == "MEASURED" and verdicts[ladder.BOOSTED].outcome == "INCONCLUSIVE"


def test_a_network_that_is_linear_where_the_truth_is_not_is_behind_an_additive_model():
    subject = worlds.make_subject(worlds.additive_score, seed=2, network=lambda x: x[:, 1])
    verdicts = audit(subject)
    assert verdicts[ladder.ADDITIVE].finding == verdicts[ladder.ALL].finding == simpler_check.BEHIND
    assert verdicts[ladder.ALL].outcome == "FAIL" and verdicts[ladder.ADDITIVE].effect.high < 0


def test_a_linear_regression_does_as_well_as_a_network_on_a_linear_world():
    verdicts = audit(worlds.make_subject(worlds.linear_score, seed=3, is_regression=True))
    assert verdicts[ladder.LINEAR].finding == simpler_check.AS_WELL and verdicts[ladder.LINEAR].outcome == "FAIL"
    assert verdicts[ladder.CONSTANT].finding == simpler_check.AHEAD


@pytest.mark.parametrize("test", [30, 100, 1000])
def test_a_linear_model_in_disguise_differs_by_exactly_zero_at_any_size(test):
    subject = worlds.make_subject(worlds.linear_score, seed=4, train=300, test=test)
    rung = ladder.train_ladder(subject.train, subject.test, seed=0, budget=1, names=[ladder.LINEAR])[0]
    logits = np.log(rung.answers)
    subject = replace(subject, test=replace(subject.test, logits=logits))
    verdict = audit(subject)[ladder.LINEAR]
    assert verdict.finding == simpler_check.AS_WELL and verdict.outcome == "FAIL"
    assert (verdict.effect.low, verdict.effect.high) == (0, 0)


def test_a_certain_network_is_ahead_in_accuracy_and_behind_in_log_loss():
    subject = worlds.make_subject(worlds.linear_score, seed=5, network=lambda x: 40 * worlds.linear_score(x))
    verdict = audit(subject)[ladder.CONSTANT]
    assert verdict.finding == simpler_check.DISAGREE and verdict.outcome == "INCONCLUSIVE"


def test_three_classes_of_which_the_training_rows_lack_one_and_training_rows_without_answers():
    rng = np.random.default_rng(0)
    number = rng.standard_normal(600)
    labels = np.digitize(number, [-0.5, 1.5])
    columns = (Column("number", number, kind="statistic"),)
    rows = Rows(columns, np.arange(600), True, labels, np.eye(3)[labels] * 5)
    few = (labels < 2) & (np.arange(600) >= 300)
    test, train = rows.take(np.arange(300)), replace(rows, logits=None).take(few)
    subject = AuditSubject("network", test, train=train, classes=("a", "b", "c"))
    verdicts = audit(subject)
    assert verdicts[ladder.CONSTANT].finding == simpler_check.AHEAD
    assert np.isfinite(verdicts[ladder.BOOSTED].effect.mean)


# Intervals.


def equal_losses(rng, rows, models):
    """Losses of a network and models that are right as often and independently of each other."""
    return (rng.random((rows, 1 + models)) < 0.2).astype("float64")


def rates(alarms):
    interval = wilson_interval(int(np.sum(alarms)), len(alarms))
    return interval.low, interval.mean, interval.high


@pytest.mark.parametrize("rows_of_a_unit", [1, 4])
def test_the_best_of_five_equal_models_is_called_ahead_at_the_level(rows_of_a_unit):
    """An unadjusted interval over the best, with rows for units, alarms beyond the level."""
    alarms, naive = [], []
    for run in range(300):
        rng = np.random.default_rng([run, rows_of_a_unit])
        losses = np.repeat(equal_losses(rng, 300, 5), rows_of_a_unit, axis=0)
        values, units = losses[:, 1:] - losses[:, :1], np.repeat(np.arange(300), rows_of_a_unit)
        result = differences.simultaneous_differences(values, units, seed=run, draws=199, counted=np.ones(5, bool))
        alarms.append((result.high < 0).any() or (result.low > 0).any())
        best = values.mean(axis=0).argmin()
        error = values[:, best].std() / len(values) ** 0.5
        naive.append(abs(values[:, best].mean()) > 1.96 * error)
    low, rate, _ = rates(alarms)
    assert low <= 0.05 and rate <= 0.08
    assert rates(naive)[0] > 0.05


def test_a_bootstrap_passes_a_model_that_errs_in_few_rows_and_the_interval_does_not():
    """With 40 rows and a true gap of .03, three times the margin, none of the rows shows it in .30 of the runs."""
    naive, adjusted = [], []
    for run in range(200):
        values = (np.random.default_rng(run).random((40, 1)) < 0.03).astype("float64")
        for alarms, counted in ((naive, None), (adjusted, np.array([True]))):
            result = differences.simultaneous_differences(values, np.arange(40), seed=run, draws=99, counted=counted)
            alarms.append(result.high[0] < 0.01)
    assert rates(naive)[0] > 0.05 and not any(adjusted)


def test_intervals_of_single_rows_are_those_of_bonett_and_price():
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 0, 0, 0, 1.0, 1.0], (50, 1))
    result = differences.simultaneous_differences(values, np.arange(50), seed=0, counted=np.array([True]))
    plus, minus = ((values == 1).sum() + 1) / 52, ((values == -1).sum() + 1) / 52
    variance = (plus + minus - (plus - minus) ** 2) / 52
    assert result.deviation[0] == pytest.approx(np.sqrt(variance * 52 / 51))
    assert (result.low[0] + result.high[0]) / 2 == pytest.approx(plus - minus)


def test_deviations_of_units_are_those_of_a_ratio():
    rng = np.random.default_rng(1)
    units = np.sort(rng.integers(0, 30, 200))
    values = rng.standard_normal((200, 2)) + rng.standard_normal((30, 2))[units]
    result = differences.simultaneous_differences(values, units, seed=0)
    drawn = []
    for _ in range(2000):
        counts = np.bincount(rng.integers(0, 30, 30), minlength=30)[units]
        drawn.append((values * counts[:, None]).sum(axis=0) / counts.sum())
    assert result.deviation == pytest.approx(np.std(drawn, axis=0), rel=0.1)
    assert result.quantile > stats.t.isf(0.025, 29)


def test_power_where_a_model_is_behind_by_twice_the_margin():
    leads = []
    for run in range(40):
        rng = np.random.default_rng(run)
        hard = rng.random((4000, 1)) < 0.15
        values = (hard & (rng.random((4000, 5)) < 0.1)) * 1.0 - (hard & (rng.random((4000, 5)) < 0.1))
        values[:, 0] += (~hard[:, 0]) * (rng.random(4000) < 0.02 / 0.85)
        result = differences.simultaneous_differences(values, np.arange(4000), seed=run, draws=199)
        leads.append(result.low[0] > 0)
    assert np.mean(leads) >= 0.9


def test_null_copies_alarm_where_neighbours_are_no_units():
    """Rows of stretches that are one unit, and are said to be many."""
    rng = np.random.default_rng(0)
    independent = rng.standard_normal((2000, 2))
    dependent = np.repeat(rng.standard_normal((40, 2)), 50, axis=0) + rng.standard_normal((2000, 2))
    statuses = []
    for values in (independent, dependent):
        result = differences.simultaneous_differences(values, np.arange(2000), seed=0, draws=199)
        tried = differences.try_differences(result, values, np.arange(2000), np.full(2, 0.1), seed=0)
        statuses.append(tried[0].gate.status)
    assert statuses == ["passed", "failed"]


def test_planted_leads_are_found_where_there_are_rows_enough():
    rng = np.random.default_rng(0)
    values = rng.choice([-1.0, 0, 1.0], (3000, 1), p=[0.02, 0.96, 0.02])
    counted = np.array([True])
    result = differences.simultaneous_differences(values, np.arange(3000), seed=0, draws=199, counted=counted)
    tried = differences.try_differences(result, values, np.arange(3000), [0.01], seed=0, counted=counted)[0]
    found = tried.planted.sum(axis=1)
    assert found[0] < found[2] and found[1] >= 10 and found[2] == 20


# The ladder.


def test_folds_keep_units_together_and_are_even():
    units = np.repeat(np.arange(23), 3)
    folds = ladder.unit_folds(units, 5, seed=0)
    assert all(len(np.unique(folds[units == unit])) == 1 for unit in range(23))
    assert set(np.bincount(folds) // 3) == {4, 5}
    assert set(ladder.unit_folds(np.zeros(4, int), 5, seed=0)) == {0}


def mixed_rows(seed, rows=200, missing=0.1):
    rng = np.random.default_rng(seed)
    number = rng.standard_normal(rows)
    number[rng.random(rows) < missing] = np.nan
    level = rng.integers(0, 3, rows).astype("float64")
    level[:3] = np.nan
    labels = (np.nan_to_num(number) + level.clip(0) > 1).astype(int) if missing < 1 else rng.integers(0, 2, rows)
    labels = np.where(np.isnan(level), 0, labels)
    columns = (Column("number", number), Column("level", level, ("a", "b", "c")), Column("same", np.ones(rows)))
    return Rows(columns, np.arange(rows), True, labels, rng.standard_normal((rows, 2)))


def test_missing_cells_constant_columns_and_unseen_categories_are_encoded():
    train, test = mixed_rows(0), mixed_rows(1)
    unseen = replace(test.columns[1], levels=("a", "c", "new"))
    test = replace(test, columns=(test.columns[0], unseen, test.columns[2]))
    matrix = ladder.Encoder(train, hinged=True).matrix(test)
    assert np.isfinite(matrix).all() and (matrix[:, -1] == 0).all()
    one_hot = ladder.Encoder(train).encode(test)[1]
    assert one_hot[unseen.values == 2].sum() == 0 and (one_hot[unseen.values == 1, 2] == 1).all()
    for rung in ladder.train_ladder(train, test, seed=0, budget=1):
        assert np.isfinite(rung.answers).all()


def test_the_additive_model_bends_and_the_linear_one_does_not():
    subject = worlds.make_subject(worlds.additive_score, seed=0)
    names = [ladder.LINEAR, ladder.ADDITIVE]
    linear, additive = ladder.train_ladder(subject.train, subject.test, seed=0, budget=2, names=names)
    assert (
        np.mean(ladder.losses(subject.test.labels, linear.answers)[1])
        > np.mean(ladder.losses(subject.test.labels, additive.answers)[1]) + 0.1
    )
    assert additive.candidates == linear.candidates == 2


@pytest.mark.slow
def test_an_additive_model_with_pairs_finds_products(monkeypatch):
    pytest.importorskip("interpret")
    monkeypatch.setattr(ladder, "has_pairs", lambda: True)
    subject = worlds.make_subject(worlds.product_score, seed=0, train=500, test=500, columns=3)
    assert ladder.PAIRS in ladder.rung_names(subject.test)
    names = [ladder.ADDITIVE, ladder.PAIRS]
    rungs = ladder.train_ladder(subject.train, subject.test, seed=0, budget=1, names=names)
    additive, pairs = (ladder.losses(subject.test.labels, rung.answers)[0].mean() for rung in rungs)
    assert pairs < additive - 0.15
    # Nothing tells these labels: where classes are told apart, boosting goes on to its last round.
    mixed = replace(mixed_rows(0), labels=np.random.default_rng(0).integers(0, 2, 200))
    answers = ladder.train_ladder(mixed, mixed, seed=0, budget=1, names=[ladder.PAIRS])[0].answers
    assert np.isfinite(answers).all()


def test_without_interpret_the_sentence_says_that_pairs_were_not_tried():
    verdicts = audit(worlds.make_subject(worlds.product_score, seed=0, train=200, test=100))
    assert "not tried" in verdicts[ladder.ALL].also[ladder.PAIRS]


def test_every_model_is_tuned_over_the_same_number_of_settings():
    train = mixed_rows(0, rows=120)
    rungs = ladder.train_ladder(train, train, seed=0, budget=3)
    tuned = {rung.name: rung.candidates for rung in rungs if rung.name not in (ladder.CONSTANT, ladder.COLUMN)}
    assert set(tuned.values()) == {3}


def test_the_network_s_activations_are_no_columns_of_a_simple_model():
    rows = replace(mixed_rows(0), features=np.ones((200, 4), "float32"))
    assert [column.name for column in ladder.model_columns(rows)] == ["number", "level", "same"]
    pictures = replace(rows, columns=tuple(replace(c, kind="statistic") for c in rows.columns))
    assert len(ladder.model_columns(pictures)) == 3
    others = replace(rows, columns=tuple(replace(c, kind="metadata") for c in rows.columns))
    assert ladder.model_columns(others) == []


# Hard cases: a verdict, or INVALID with a sentence.


def hard_subjects():
    rows = worlds.make_subject(worlds.linear_score, seed=0, train=200, test=100)
    test = rows.test
    yield "no training rows", replace(rows, train=None), "NOT APPLICABLE"
    yield "one class", replace(rows, train=replace(rows.train, labels=np.ones(200, int))), "GATE FAILED"
    yield "few rows", replace(rows, test=test.take(np.arange(10))), "GATE FAILED"
    yield "no labels", replace(rows, test=replace(test, labels=None)), "GATE FAILED"
    yield (
        "no columns",
        replace(rows, train=replace(rows.train, columns=()), test=replace(test, columns=())),
        "NOT APPLICABLE",
    )
    copies = replace(rows.train.take(np.arange(100)), has_units=False)
    yield "copies without units", replace(rows, test=copies, train=copies), "GATE FAILED"
    yield "one unit", replace(rows, test=replace(test, units=np.zeros(100, int))), None
    yield "no errors", replace(rows, test=replace(test, labels=test.predicted)), None
    yield "all errors", replace(rows, test=replace(test, labels=1 - test.predicted)), None
    empty = tuple(replace(column, values=np.full(100, np.nan)) for column in test.columns)
    yield "missing cells", replace(rows, test=replace(test, columns=empty)), None


@pytest.mark.parametrize(
    "name, subject, finding", list(hard_subjects()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_hard_cases_get_a_verdict(name, subject, finding):
    verdicts = audit(subject)
    first = verdicts[ladder.ALL]
    assert first.sentence and first.cannot
    assert finding is None or first.finding == finding
    if name == "one unit":
        assert {verdict.outcome for verdict in verdicts.values()} == {"INCONCLUSIVE"}


def test_the_same_seed_gives_the_same_bytes_and_order_and_scale_do_not_matter():
    subject = worlds.make_subject(worlds.product_score, seed=6, train=500, test=500, columns=2)
    first, again = (audit(subject) for _ in range(2))
    assert {name: verdict.as_dict() for name, verdict in first.items()} == {
        name: verdict.as_dict() for name, verdict in again.items()
    }
    order = np.random.default_rng(0).permutation(500)
    scaled = [
        replace(rows, columns=tuple(replace(c, values=1000 * c.values + 7) for c in rows.columns))
        for rows in (subject.train, subject.test)
    ]
    other = audit(replace(subject, train=scaled[0].take(order), test=scaled[1].take(order)))
    assert {name: v.finding for name, v in first.items()} == {name: v.finding for name, v in other.items()}


def test_the_network_and_the_models_are_shown_in_their_worst_group():
    rng = np.random.default_rng(0)
    subject = worlds.make_subject(worlds.linear_score, seed=0, train=300, test=600)
    group = rng.integers(0, 3, 600).astype("float64")
    group[:4], group[4:8] = 3, np.nan
    column = Column("origin", group, ("a", "b", "c", "few"))
    test = replace(subject.test, protected=(column,))
    evidence = checks.get("simpler")(replace(subject, test=test), seed=0, **BRIEF)
    table = evidence[0].settings["tables"]["Worst group of the network and of simple models"]
    assert {row["worst group"] for row in table} <= {"a", "b", "c"} and min(row["rows"] for row in table) >= 10
    row = table[0]
    errors = test.errors
    assert row["loss there"] == pytest.approx(max(errors[group == place].mean() for place in range(3)))
    assert row["loss there"] >= row["all rows"] and row["worst of equal groups"] > row["all rows"]
    assert worst_group.worst_groups({"network": errors}, subject.test, seed=0) == []


# Ways of training.


def test_equal_ways_of_training_are_called_different_at_the_level():
    alarms, naive, halves = [], [], []
    for run in range(200):
        result = cross_validation.compare_recipes(
            worlds.least_squares([0, 1, 2]),
            worlds.least_squares([3, 4, 5]),
            worlds.exchangeable(run),
            seed=run,
            repeats=5,
        )
        alarms.append(result.p < 0.05)
        halves.append(result.f_p < 0.05)
        folds = (result.losses[1] - result.losses[0]).ravel()
        naive.append(cross_validation.corrected_t(folds, 0.0)[1] < 0.05)
    assert rates(alarms)[0] <= 0.05 and np.mean(alarms) <= 0.08
    assert rates(halves)[0] <= 0.05
    assert rates(naive)[0] > 0.05


def test_a_better_way_of_training_is_ahead():
    result = cross_validation.compare_recipes(
        worlds.least_squares([0, 1, 2, 3, 4, 5]),
        worlds.least_squares([0]),
        worlds.exchangeable(0, rows=400),
        seed=0,
        repeats=2,
    )
    assert result.difference.low > 0 and result.p < 0.01 and result.f_p < 0.1
    same = cross_validation.compare_recipes(
        worlds.least_squares([0]), worlds.least_squares([0]), worlds.exchangeable(0), seed=0, repeats=1
    )
    assert same.difference.high == 0 and same.p == same.f_p == 1


def test_the_f_test_is_that_of_mlxtend():
    from mlxtend.evaluate import combined_ftest_5x2cv
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    data = worlds.exchangeable(1)
    models = (LogisticRegression(), DecisionTreeClassifier(max_depth=2, random_state=0))
    expected = combined_ftest_5x2cv(*models, data.inputs, data.labels, random_seed=3)
    rng, differences_of_halves = np.random.RandomState(3), np.empty((5, 2))
    for repeat in range(5):
        split = rng.randint(low=0, high=32767)
        first, second, labels, others = train_test_split(data.inputs, data.labels, test_size=0.5, random_state=split)
        halves = ((first, labels, second, others), (second, others, first, labels))
        for half, (x, y, held, held_labels) in enumerate(halves):
            scores = [model.fit(x, y).score(held, held_labels) for model in models]
            differences_of_halves[repeat, half] = scores[0] - scores[1]
    assert cross_validation.f_5x2(differences_of_halves) == pytest.approx(expected)


def test_the_corrected_t_test_is_the_formula():
    values = np.array([0.02, 0.05, -0.01, 0.03, 0.02, 0.0])
    interval, p = cross_validation.corrected_t(values, 1 / 9)
    error = np.sqrt((1 / 6 + 1 / 9) * values.var(ddof=1))
    assert p == pytest.approx(2 * stats.t.sf(values.mean() / error, 5))
    assert interval.high - interval.mean == pytest.approx(stats.t.isf(0.025, 5) * error)
    assert cross_validation.corrected_t(values, 0)[1] == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_ways_of_training_need_units_and_labels():
    with pytest.raises(Refused, match="20 units or more"):
        cross_validation.compare_recipes(
            worlds.least_squares([0]), worlds.least_squares([1]), worlds.exchangeable(0, rows=10), seed=0
        )


def test_a_subject_without_classes_needs_no_names():
    assert AuditSubject("network", mixed_rows(0)).sizes == {"rows": 200, "units": 200}
