"""Factors, Shapley values against reference rows, and what a factor does to losses and decisions."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from sanity.audit.attributions import attribute, exchange_roles
from sanity.audit.effects import accumulated_effects, hide_ends, partial_dependence
from sanity.audit.factors import OTHERS, Factor, group_factors, spearman
from sanity.audit.importance import (
    REPEATS,
    _bounds,
    affected_rows,
    decisive_share,
    log_losses,
    loss_importance,
    partner_strata,
)
from sanity.audit.permutation import exchange_rows
from sanity.audit.plausibility import neighbourhood
from sanity.audit.rows import Column
from sanity.checks.factor_importance import factor_importance
from sanity.seeds import derive_seed
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import reasons as worlds


def singles(count):
    return [Factor(f"x{place}", (f"x{place}",), (place,)) for place in range(count)]


def bent(x):
    """A score with interactions of two and three columns."""
    return x[:, 0] * x[:, 1] + np.tanh(x[:, 2]) * x[:, 3] - x[:, 4] ** 2 + x[:, 5] * (x[:, 6] > 0) * x[:, 7]


def slow_values(score, row, references, count):
    """Shapley values by the formula, one subset at a time."""

    def worth(subset):
        mixed = references.copy()
        mixed[:, subset] = row[list(subset)]
        return score(mixed).mean()

    values = np.zeros(count)
    for player in range(count):
        others = [other for other in range(count) if other != player]
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for subset in itertools.combinations(others, size):
                values[player] += weight * (worth([*subset, player]) - worth(list(subset)))
    return values


# Factors ------------------------------------------------------------------------------------------------------------------


def test_columns_that_say_the_same_or_share_a_name_are_one_factor():
    factors = group_factors(worlds.duplicated())
    assert [factor.name for factor in factors] == ["x1 + x7 + x8", "x2", "x3", "x4", "x5", "x6"]
    assert factors[0].places == (0, 6, 7)
    named = worlds.additive(rows=50, sheets={"x2": {"factor": "debt"}, "x5": {"factor": "debt"}})
    assert group_factors(named)[1] == Factor("debt", ("x2", "x5"), (1, 4))


def test_inputs_of_no_column_are_a_factor_of_their_own():
    subject = worlds.additive(rows=50)
    places = {name: place for name, place in subject.input_places.items() if name != "x8"}
    assert group_factors(dataclasses.replace(subject, input_places=places))[-1] == Factor(OTHERS, (), (7,))


def test_rank_correlations_are_scipys_and_leave_out_what_is_missing():
    from scipy import stats

    subject = worlds.interaction(rows=80)
    x1, x2 = subject.test.columns[0].values.copy(), subject.test.columns[0].values + subject.test.columns[1].values
    x1[3] = np.nan
    rows = subject.test.with_values(x1=x1, x2=np.round(x2), x3=np.ones(80))
    kept = np.isfinite(x1)
    matrix = spearman(rows, ["x1", "x2", "x3"])
    assert matrix[0, 1] == pytest.approx(stats.spearmanr(x1[kept], np.round(x2)[kept]).statistic)
    assert matrix[0, 2] == 0


def test_rank_correlations_of_whole_columns_are_those_of_each_pair():
    from scipy import stats

    rows = worlds.interaction(rows=80).test
    x1, x2, x3 = (column.values for column in rows.columns[:3])
    rows = rows.with_values(x2=np.round(x1 + x2), x3=np.where(np.arange(80) == 5, np.nan, x1 + x3))
    names = [column.name for column in rows.columns]
    matrix, kept = spearman(rows, names), np.arange(80) != 5
    for first, one in enumerate(rows.columns):
        for second, other in enumerate(rows.columns):
            if not one.is_category and not other.is_category:
                expected = (
                    stats.spearmanr(one.values[kept], other.values[kept])
                    if "x3" in (one.name, other.name)
                    else stats.spearmanr(one.values, other.values)
                )
                assert matrix[first, second] == pytest.approx(expected.statistic)


# Shapley values -----------------------------------------------------------------------------------------------------------


def test_values_are_those_of_the_formula_and_of_shap():
    shap = pytest.importorskip("shap")
    values = worlds.gaussian(12, 8, 5).astype("float32")
    rows, references = values[:2], values[2:]
    result = attribute(bent, rows, references, singles(8), seed=0)
    assert result.is_exact and result.values.shape == (2, 10, 8) and not result.errors.any()
    np.testing.assert_allclose(result.means[0], slow_values(bent, rows[0], references.copy(), 8), atol=1e-6)
    explainer = shap.explainers.Exact(bent, shap.maskers.Independent(references, max_samples=100))
    np.testing.assert_allclose(result.means, explainer(rows).values, atol=1e-5)
    assert result.gaps.max() < 1e-6


def test_sampled_values_lie_within_their_errors_and_add_up():
    values = worlds.gaussian(60, 8, 6).astype("float32")
    exact = attribute(bent, values[:20], values[20:], singles(8), seed=0)
    drawn = attribute(bent, values[:20], values[20:], singles(8), seed=1, most=30_000)
    assert not drawn.is_exact and drawn.gaps.max() < 1e-6
    distance = (drawn.means - exact.means) / drawn.errors
    assert 0.85 < distance.std() < 1.3


def test_columns_of_a_factor_move_together():
    values = worlds.gaussian(30, 3, 7).astype("float32")
    factors = [Factor("a", ("x", "z"), (0, 2)), Factor("b", ("y",), (1,))]
    result = attribute(lambda x: x[:, 0] * x[:, 2] + x[:, 1], values[:2], values[2:], factors, seed=0)
    product = values[:, 0] * values[:, 2]
    np.testing.assert_allclose(result.means[:, 0], product[:2] - product[2:].mean(), atol=1e-6)


def test_exchanged_roles_show_the_network_values_of_the_usual_size():
    values = worlds.gaussian(200, 4, 8).astype("float32") * np.array([1, 10, 100, 1000], "float32")
    seen, moved = exchange_roles(values, singles(4), seed=3)
    assert sorted(factor.places for factor in moved) == [(0,), (1,), (2,), (3,)]
    np.testing.assert_allclose(seen(values).std(axis=0), values.std(axis=0), rtol=0.2)
    result = attribute(lambda x: x[:, 0], seen(values[:5]), seen(values[5:30]), moved, seed=0)
    used = next(place for place, factor in enumerate(moved) if factor.places == (0,))
    assert (np.abs(result.means).argmax(axis=1) == used).all()


# Losses and decisions -----------------------------------------------------------------------------------------------------


def test_losses_of_factors_are_those_of_their_exchanges_row_by_row():
    subject = worlds.additive(rows=120)
    rows, factors = subject.test, [Factor("both", ("x0", "x1"), (0, 1)), Factor("x2", ("x2",), (2,))]
    losses = loss_importance(subject.predict, rows, factors, seed=3, draws=99)
    unit = np.unique(rows.units, return_inverse=True)[1]
    before, rises, influences = log_losses(rows.logits, rows.labels), [], []
    for place, factor in enumerate(factors):
        own, passed_on = np.zeros(len(rows)), np.zeros(len(rows))
        for order in exchange_rows(unit, REPEATS, seed=derive_seed(3, "factor", place), strata=None):
            for row, donor in enumerate(order):
                mixed = rows.inputs[row].copy()
                for column in factor.places:
                    mixed[column] = rows.inputs[donor, column]
                change = log_losses(subject.predict(mixed[None]), rows.labels[row : row + 1])[0] - before[row]
                own[row] += change / REPEATS
                passed_on[donor] += change / REPEATS
        rises.append(own.mean())
        influences.append(np.bincount(unit, own + passed_on - 2 * own.mean()) / len(rows))
    expected = _bounds(np.array(rises), np.array(influences), 99, derive_seed(3, "signs"), 0.05)
    for name in ("rise", "low", "high", "p"):
        np.testing.assert_allclose(getattr(losses, name), getattr(expected, name), rtol=1e-4, atol=1e-6)


def test_the_rise_of_the_loss_is_that_of_sklearn():
    from sklearn.inspection import permutation_importance

    subject = worlds.additive(rows=1500)
    losses = loss_importance(subject.predict, subject.test, singles(8), seed=0, draws=99)

    class Network:
        def fit(self, x, y):
            return self

    def minus_log_loss(_, inputs, labels):
        logits = subject.predict(inputs)
        return -np.mean(np.logaddexp(0, np.where(labels == 1, -1, 1) * logits[:, 1]))

    reference = permutation_importance(
        Network(), subject.test.inputs, subject.test.labels, scoring=minus_log_loss, n_repeats=10, random_state=0
    )
    np.testing.assert_allclose(losses.rise, reference.importances_mean, atol=0.03)
    assert (losses.low < reference.importances_mean).all() and (losses.high > reference.importances_mean).all()


def test_a_column_of_no_use_has_no_rise_and_p_is_never_zero():
    subject = worlds.rare_flag(rows=600)
    losses = loss_importance(subject.predict, subject.test, singles(6), seed=0, draws=99)
    assert losses.rise[4] == 0 and losses.p[4] == 1 and losses.p.min() == 0.01


def test_no_use_is_found_where_there_is_none_and_rows_taken_for_units_alarm():
    alarms = {"units": 0, "rows": 0}
    runs = 60
    for seed in range(runs):
        subject = worlds.persons(seed)
        for name, units in (("units", subject.test.units), ("rows", np.arange(len(subject.test)))):
            rows = dataclasses.replace(subject.test, units=units)
            losses = loss_importance(subject.predict, rows, singles(4), seed=seed, draws=99)
            alarms[name] += losses.p.min() <= 0.05
    assert alarms["units"] / runs <= 0.1
    assert wilson_interval(alarms["rows"], runs).low > 0.05


def test_strata_keep_what_partners_say():
    rng = np.random.default_rng(0)
    first = rng.standard_normal(800)
    values = np.stack([first, 0.6 * first + 0.8 * rng.standard_normal(800), rng.standard_normal(800)], axis=1)
    subject = worlds.subject_of(values, lambda x: x.sum(axis=1))
    strata, has_partners = partner_strata(subject.test, singles_of(subject))
    assert has_partners.tolist() == [True, True, False]
    assert np.bincount(strata[0]).tolist() == [160] * 5 and not strata[2].any()


def singles_of(subject):
    return [Factor(name, (name,), places) for name, places in subject.input_places.items()]


def test_a_flag_affects_its_rows_and_a_usual_column_many():
    contributions = worlds.gaussian(2000, 2, 0)
    contributions[:, 1] = np.where(np.arange(2000) < 40, -2.9, 0.05)
    affected = affected_rows(contributions)
    assert affected[:, 1].sum() == 40 and affected[:, 0].mean() > 0.1
    share = decisive_share(affected[:, 1], np.ones(2000), np.arange(2000) // 2)
    assert share[1] == pytest.approx(wilson_interval(20, 20).low)


# Effects ------------------------------------------------------------------------------------------------------------------


def test_accumulated_effects_are_those_of_the_slow_formula():
    values = worlds.gaussian(300, 2, 1).astype("float32")
    effect = accumulated_effects(bent_of_two, values, 0, np.arange(300), seed=0, bins=10)
    edges = np.quantile(values[:, 0], np.linspace(0, 1, 11))
    heights = [0.0]
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (values[:, 0] > low) & (values[:, 0] <= high) | ((values[:, 0] == edges[0]) & (low == edges[0]))
        ends = [np.column_stack([np.full(inside.sum(), edge), values[inside, 1]]) for edge in (low, high)]
        heights.append(heights[-1] + np.mean(bent_of_two(ends[1]) - bent_of_two(ends[0])))
    np.testing.assert_allclose(np.diff(effect.effects), np.diff(heights), atol=1e-4)
    assert (effect.low <= effect.effects + 1e-9).all() and (effect.high >= effect.effects - 1e-9).all()


def test_the_smallest_and_the_largest_value_of_a_row_are_hidden_and_those_of_many_rows_are_not():
    values = worlds.gaussian(300, 2, 1).astype("float32")
    effect = accumulated_effects(bent_of_two, values, 0, np.arange(300), seed=0)
    cut = hide_ends(effect, values[:, 0])
    assert cut.values.tolist() == effect.values[1:-1].tolist() and cut.high.tolist() == effect.high[1:-1].tolist()
    values[:, 0] = np.arange(300) % 2
    effect = accumulated_effects(bent_of_two, values, 0, np.arange(300), seed=0)
    assert hide_ends(effect, values[:, 0]).values[[0, -1]].tolist() == [0, 1]


def bent_of_two(x):
    return x[:, 0] ** 2 + x[:, 0] * x[:, 1]


def test_partial_dependence_is_not_drawn_where_no_row_lies():
    rng = np.random.default_rng(0)
    first = rng.standard_normal(1000)
    values = np.stack([first, 0.98 * first + 0.2 * rng.standard_normal(1000)], axis=1).astype("float32")
    points = np.quantile(values[:, 0], np.linspace(0, 1, 11))
    for inputs, is_drawn in ((values, False), (worlds.gaussian(1000, 2, 0).astype("float32"), True)):
        neighbours = neighbourhood(inputs, np.arange(1000), seed=0)
        assert partial_dependence(bent_of_two, inputs, 0, points, neighbours, seed=0).is_drawn == is_drawn


def test_rows_that_others_are_compared_with_are_drawn_from_the_whole_file():
    """Of a file that is sorted by a column the first rows would be all alike, and the last ones far off."""
    values = np.sort(worlds.gaussian(9000, 2, 0), axis=0)
    neighbours = neighbourhood(values, np.arange(9000), seed=0)
    assert neighbours.is_plausible(values).mean() > 0.9


def test_a_constant_column_has_no_effect():
    assert accumulated_effects(bent_of_two, np.ones((20, 2), "float32"), 0, np.arange(20), seed=0) is None


# The check ----------------------------------------------------------------------------------------------------------------


def test_a_rare_decisive_flag_is_found_and_an_unused_column_is_of_no_use():
    (evidence,) = factor_importance(worlds.rare_flag(), seed=0, draws=99)
    (verdict,) = judge([evidence])
    assert verdict.finding == "RARE BUT DECISIVE" and verdict.outcome == "INCONCLUSIVE" and "x6" in verdict.why
    table = {row["factor"]: row for row in evidence.settings["tables"]["What each factor does"]}
    assert table["x5"]["use"] == "no use found" and table["x6"]["use"] == "of use"
    assert list(table).index("x6") == 4  # By the mean it comes last but one.


def test_usual_columns_are_not_called_rare_and_few_rows_say_nothing():
    (verdict,) = judge(factor_importance(worlds.additive(rows=1500), seed=0, draws=99))
    assert verdict.finding == "NO RARE DECISIVE FACTOR" and verdict.outcome == "PASS"
    (verdict,) = judge(factor_importance(worlds.additive(rows=200), seed=0, draws=99))
    assert verdict.finding == "NOT ENOUGH DATA" and verdict.remedy


def test_the_order_and_the_scale_of_rows_change_no_verdict():
    subject = worlds.rare_flag()
    order = np.random.default_rng(0).permutation(len(subject.test))
    scale = np.array([1, 1000, 0.001, 1, 1, 1], "float32")
    scaled = dataclasses.replace(
        subject,
        test=dataclasses.replace(subject.test.take(order), inputs=subject.test.inputs[order] * scale),
        predict=lambda x: subject.predict(x / scale),
    )
    assert judge(factor_importance(scaled, seed=0, draws=99))[0].finding == "RARE BUT DECISIVE"


@pytest.mark.parametrize("labels", ["none", "one class", "unknown"])
def test_rows_without_labels_have_no_losses_and_a_verdict(labels):
    subject = worlds.additive(rows=900)
    values = {"none": None, "one class": np.ones(900, int), "unknown": np.full(900, -1)}[labels]
    subject = dataclasses.replace(subject, test=dataclasses.replace(subject.test, labels=values))
    (evidence,) = factor_importance(subject, seed=0, draws=99)
    assert judge([evidence])[0].outcome == "PASS"
    uses = {row["use"] for row in evidence.settings["tables"]["What each factor does"]}
    assert labels == "one class" or uses == {"not measured: rows have no labels"}


def test_a_category_and_a_missing_cell_are_read():
    subject = worlds.interaction(rows=900)
    columns = list(subject.test.columns)
    columns[5] = Column("x6", (subject.test.inputs[:, 5] > 0).astype(float), ("low", "high"))
    columns[0] = dataclasses.replace(columns[0], values=np.where(np.arange(900) < 9, np.nan, columns[0].values))
    subject = dataclasses.replace(subject, test=dataclasses.replace(subject.test, columns=tuple(columns)))
    (evidence,) = factor_importance(subject, seed=0, draws=99)
    assert judge([evidence])[0].outcome == "PASS"
    assert "x6" not in {effect["column"] for effect in evidence.settings["effects"]}
