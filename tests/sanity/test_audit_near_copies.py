"""Near copies: persons that no unit names are found in a shuffled file, and rows that were drawn alike are left alone."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from sanity.audit.chance import drawn_tables
from sanity.audit.gates import units_gate
from sanity.audit.near_copies import CHANCE, near_copies
from sanity.audit.rows import AuditSubject
from sanity.checks.slices import slices
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import failures
from tests.audit_worlds.belonging import KINDS, SURVEYS, alone, naive_share, persons, rows_of


def count_copies(table):
    """Rows that are like another one."""
    counts = np.unique(table, axis=0, return_counts=True)[1]
    return counts[counts > 1].sum()


def fails(values):
    return units_gate(rows_of(values)).status == "failed"


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_were_drawn_alike_pass(kind):
    alarms = sum(fails(alone(kind, seed, 300)) for seed in range(20))
    assert wilson_interval(alarms, 20).low <= 0.05, alarms


@pytest.mark.parametrize("columns", [1, 3, 12])
def test_leaps_of_rows_drawn_alike_have_the_law_of_exponentials(columns):
    near = [near_copies(np.random.default_rng(seed).random((1500, columns)), seed=seed) for seed in range(6)]
    share = sum(row.count for row in near) / sum(row.rows for row in near)
    assert abs(share - CHANCE) < 0.015 and not any(row.too_many for row in near)


def test_a_rule_of_distances_alone_alarms_where_columns_go_together():
    naive = sum(naive_share(alone("20 columns of three factors", seed, 300)) > 0.05 for seed in range(10))
    assert wilson_interval(naive, 10).low > 0.05


@pytest.mark.parametrize("count, columns, noise", [(200, 10, 0.2), (600, 3, 0.05), (600, 10, 0.2), (600, 30, 0.4)])
def test_persons_of_a_shuffled_file_are_found(count, columns, noise):
    found = [fails(persons(seed, count, columns=columns, noise=noise)[0]) for seed in range(10)]
    assert sum(found) >= 8


def test_rows_of_alike_persons_are_found_in_another_unit_and_beside_categories():
    values, _ = persons(0, 500)
    scaled = values * np.logspace(-6, 6, values.shape[1])
    assert near_copies(values) == near_copies(scaled) and near_copies(values).too_many
    rng = np.random.default_rng(0)
    assert fails(np.hstack([values, rng.integers(3, size=(500, 4))]))
    assert fails(np.where(rng.random(values.shape) < 0.02, np.nan, values))


def test_units_that_are_named_or_stated_are_no_near_copies():
    values, owner = persons(0, 400)
    assert units_gate(replace(rows_of(values), units=owner, has_units=True)).status == "passed"
    assert units_gate(replace(rows_of(values), has_units=True)).status == "passed"


def test_near_copies_of_either_set_are_seen():
    drawn, repeated = rows_of(alone("normal, 10 columns", 0, 300)), rows_of(persons(1, 300)[0])
    assert units_gate(drawn, rows_of(alone("normal, 10 columns", 1, 300))).status == "passed"
    assert units_gate(drawn, repeated).status == units_gate(repeated, drawn).status == "failed"
    assert units_gate(drawn, repeated, are_named=True).status == "passed"


def shuffled_persons(named):
    """A network that errs more with some persons, in a shuffled file: `AuditSubject`."""
    values, owner = persons(0, 600, columns=4, noise=0.05)
    rng = np.random.default_rng(1)
    labels = rng.integers(4, size=600)
    wrong = rng.random(600) < (rng.random(600) < 0.2)[owner]
    rows = replace(
        rows_of(values),
        units=owner if named else np.arange(600),
        has_units=named,
        labels=labels,
        logits=failures.answers(rng, labels, wrong, 4),
    )
    return AuditSubject("net", rows)


def test_a_check_of_persons_in_a_shuffled_file_is_invalid_and_says_what_to_type():
    verdict, named = (judge(slices(shuffled_persons(named), seed=0, draws=99))[0] for named in (False, True))
    assert verdict.outcome == "INVALID" and named.outcome != "INVALID"
    assert 'roles = ["unit"]' in verdict.sentence and "rows_are_units = true" in verdict.sentence


def test_rows_of_few_values_have_copies_by_chance_and_persons_have_more():
    gate = units_gate(rows_of(alone("6 columns of three categories", 0, 400)))
    assert gate.status == "passed" and "with the same dependence of columns" in gate.words
    owner = persons(0, 400)[1]
    assert fails(alone("6 columns of three categories", 0, 400)[owner])
    first, second = (rows_of(alone("6 columns of three categories", seed, 400)) for seed in (0, 1))
    assert units_gate(first, second).status == "passed"
    assert units_gate(first, first.take(np.arange(100))).status == "failed"


@pytest.mark.parametrize("kind", SURVEYS)
def test_answers_that_go_together_have_copies_by_chance_and_repeated_ones_have_more(kind):
    """Drawn independently, such answers have so few copies that each survey was taken for repeated rows."""
    surveys = [SURVEYS[kind](np.random.default_rng(seed), 600).astype("float64") for seed in range(8)]
    assert not any(fails(survey) for survey in surveys)
    assert all(fails(np.repeat(survey[:200], 3, axis=0)) for survey in surveys)


def test_missing_answers_are_answers():
    answers = SURVEYS["8 answers of one factor"](np.random.default_rng(0), 600)
    missing = np.where(np.random.default_rng(1).random(answers.shape) < 0.1, np.nan, answers)
    assert not fails(missing) and fails(np.repeat(missing[:200], 3, axis=0))


@pytest.mark.parametrize("levels, rho", [(2, 0.3), (4, 0.8), (7, 0.9)])
def test_drawn_tables_have_the_correlations_and_copies_of_tables_of_one_factor(levels, rho):
    rng = np.random.default_rng(levels)
    values = np.sqrt(rho) * rng.normal(size=(3000, 1)) + np.sqrt(1 - rho) * rng.normal(size=(3000, 8))
    table = np.digitize(values, np.linspace(-1.5, 1.5, levels + 1)[1:-1]).astype("float64")
    drawn = next(drawn_tables(table, table))
    assert np.abs(spearmanr(table).statistic - spearmanr(drawn).statistic).max() < 0.05
    copies, usual = (count_copies(rows) for rows in (table, drawn))
    assert abs(copies - usual) < 0.05 * len(table) and (np.sort(drawn, axis=0) == np.sort(table, axis=0)).all()


def test_a_column_that_goes_by_another_in_no_order_is_drawn_by_it():
    maker = np.random.default_rng(0).integers(5, size=2000)
    table = np.stack([maker, 3 * maker % 5, np.random.default_rng(1).integers(2, size=2000)], axis=1).astype("float64")
    _, drawn = itertools.islice(drawn_tables(table, table), 2)
    assert (drawn[:, 1] == 3 * drawn[:, 0] % 5).all() and not (drawn == table).all()


def test_no_table_is_drawn_where_a_column_tells_all_rows_apart():
    table = np.stack([np.arange(300), np.zeros(300)], axis=1)
    assert not list(drawn_tables(table, table))


def test_zeros_of_both_signs_are_one_number():
    values = np.random.default_rng(0).normal(size=(200, 3))
    values[:, 0] = 0
    assert fails(np.concatenate([values, values * [-1, 1, 1]]))


def test_a_pair_of_equal_rows_decides_nothing():
    values = np.random.default_rng(0).normal(size=(120, 3))
    assert not fails(values[[0, *range(119)]]) and fails(values[[0, 1, *range(118)]])


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((300, 2)),
        np.full((300, 2), np.nan),
        np.zeros((300, 0)),
        np.random.default_rng(0).normal(size=(60, 3)),
        np.array([[np.inf, 0.0]]),
    ],
)
def test_tables_without_neighbours_say_nothing(values):
    near = near_copies(values)
    assert near.rows == 0 and not near.too_many
