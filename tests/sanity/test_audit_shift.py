"""Shift: what the eyes see is what slow formulas give, silence where nothing is, and shifts where they were planted."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from sanity.audit.drift import area_interval, column_gaps, deal_blocks, look_at_windows, time_blocks
from sanity.audit.encoding import encode_inputs, encode_predictions, new_levels
from sanity.audit.eyes import Energy, Eyes, Ridge, Steps, area_under_curve, subset_rows
from sanity.audit.permutation import min_p, unit_folds
from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.checks.shift import shift
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import shifts
from tests.audit_worlds.measures import eyes_of, naive_shift_p, shift_p


def verdict_of(subject, **options):
    return judge(shift(subject, **{"seed": 0, "draws": 99, "tries": 20, **options}))


# What the eyes compute ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", (0, 5))
def test_the_distance_of_a_column_is_that_of_scipy_with_ties_and_missing_cells(levels):
    rng = np.random.default_rng(0)
    values = rng.integers(levels, size=200).astype(float) if levels else rng.standard_normal(200)
    values[::17] = np.nan
    sides = rng.random((3, 200)) < 0.4
    expected = [
        stats.ks_2samp(values[side & ~np.isnan(values)], values[~side & ~np.isnan(values)]).statistic for side in sides
    ]
    assert Steps(values).distances(sides.T.astype("uint8")) == pytest.approx(expected, abs=1e-6)


def test_the_energy_distance_is_that_of_its_formula():
    rng = np.random.default_rng(1)
    rows, side = rng.standard_normal((60, 3)).astype("float32"), rng.random(60) < 0.4
    rows[side] += 0.5
    across, first, second = (
        cdist(a, b).mean() for a, b in ((rows[side], rows[~side]), (rows[side],) * 2, (rows[~side],) * 2)
    )
    energy = Energy(rows)
    assert energy.distances(side[:, None].astype("uint8"))[0] == pytest.approx(2 * across - first - second, rel=1e-3)
    single = np.array([stats.energy_distance(column[side], column[~side]) ** 2 for column in rows.T])
    ours = [Energy(column[:, None]).distances(side[:, None].astype("uint8"))[0] for column in rows.T]
    assert ours == pytest.approx(single, rel=1e-3)
    moved = rows + np.where(side, 0.3, 0)[:, None].astype("float32")
    change = Energy(moved).distances(side[:, None].astype("uint8")) - energy.distances(side[:, None].astype("uint8"))
    assert energy.gain(side, moved) == pytest.approx(change[0], rel=1e-2)


def test_the_area_is_that_of_sklearn_with_ties():
    rng = np.random.default_rng(2)
    for scores in (rng.standard_normal((50, 4)), rng.integers(4, size=(50, 4)).astype(float)):
        sides = rng.random((50, 4)) < 0.5
        expected = [roc_auc_score(side, score) for side, score in zip(sides.T, scores.T)]
        assert area_under_curve(scores, sides.view("uint8")) == pytest.approx(expected)
    assert np.isnan(area_under_curve(np.ones((3, 1)), np.zeros((3, 1), "uint8"))).all()


def test_every_exchange_is_fitted_again():
    rng = np.random.default_rng(3)
    columns, sides = rng.standard_normal((120, 3)).astype("float32"), rng.random((120, 2)) < 0.4
    folds = unit_folds(np.arange(120), 5, seed=0)
    for rows, predicted in Ridge([columns], folds, 1e-9).predictions(sides.view("uint8")):
        others = np.setdiff1d(np.arange(120), rows)
        for draw in range(2):
            fitted = LinearRegression().fit(columns[others], sides[others, draw].astype(float))
            assert predicted[:, draw] == pytest.approx(fitted.predict(columns[rows]), abs=1e-3)


def test_one_side_is_predicted_as_among_many():
    rng = np.random.default_rng(4)
    ridge = Ridge([rng.standard_normal((200, 8)).astype("float32")], unit_folds(np.arange(200), 5, seed=0))
    sides = (rng.random((200, 12)) < 0.4).view("uint8")
    for (_, many), (_, alone) in zip(ridge.predictions(sides), ridge.predictions(sides[:, :1])):
        assert alone[:, 0] == pytest.approx(many[:, 0], abs=1e-4)


def test_the_gain_of_energy_is_that_of_distances():
    rng = np.random.default_rng(5)
    rows, side = rng.standard_normal((80, 4)).astype("float32") + 3, rng.random(80) < 0.4
    moved = rows.copy()
    moved[side, 1] += rng.random(side.sum()).astype("float32")
    before, after = (
        2 * cdist(values[side], rows[~side]).mean() - cdist(values[side], values[side]).mean()
        for values in (rows, moved)
    )
    assert Energy(rows).gain(side, moved) == pytest.approx(after - before, rel=1e-3)


def test_an_interval_of_the_area_covers():
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        side = np.arange(200) >= 100
        values = (rng.standard_normal(200) + side)[:, None].astype("float32")
        interval = area_interval(Ridge([values], unit_folds(np.arange(200), 5, seed=seed)), side, np.arange(200))
        covered.append(interval.low <= stats.norm.cdf(1 / np.sqrt(2)) - 0.5 <= interval.high)
    assert wilson_interval(sum(covered), 60).high >= 0.95 and np.mean(covered) > 0.85


def test_rows_are_drawn_by_unit_and_folds_keep_units():
    units = np.repeat(np.arange(3000), 4)
    current = units >= 2000
    kept = subset_rows(units, current, 1000, seed=0)
    assert kept[~current].sum() == 1000 and kept[current].sum() == 1000
    assert set(np.bincount(units[kept])) <= {0, 4}
    large = np.repeat(np.arange(20), 1000)
    kept = subset_rows(large, large >= 10, 2000, seed=0)
    assert len(np.unique(large[kept])) == 20 and kept.sum() <= 4000
    folds = unit_folds(units, 5, seed=0)
    assert all(len(set(folds[units == unit])) == 1 for unit in range(50))


# Encoding -----------------------------------------------------------------------------------------------------------------


def category(name, words, levels):
    return Column(name, np.array([levels.index(word) for word in words], float), tuple(levels))


def test_columns_become_numbers_and_what_says_nothing_is_listed():
    rng, count = np.random.default_rng(4), 100
    columns = lambda start, levels: (  # noqa: E731
        Column("number", np.where(rng.random(count) < 0.1, np.nan, rng.standard_normal(count))),
        Column("constant", np.ones(count)),
        Column("row", start + np.arange(count, dtype=float)),
        category("level", rng.choice(levels, count), sorted(levels)),
    )
    first = Rows(columns(0, ["a", "b"]), np.arange(count), has_units=True)
    second = Rows(columns(count, ["b", "c"]), np.arange(count), has_units=True)
    encoded = encode_inputs(first, second)
    assert encoded.names == ["number", "number missing", "level = a", "level = b", "level = c"]
    assert encoded.left_out == {"row": "numbers the rows", "constant": "constant"}
    assert new_levels(first, second) == {"level": pytest.approx(np.mean(second.column("level").values == 1))}
    assert len(np.unique(encoded.units)) == 2 * count


def test_many_rare_levels_are_no_shift():
    """The naive column 'level not in the reference' alarms in every world."""
    alarms, naive = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sets = []
        for size in (200, 200):
            words = [f"l{value}" for value in rng.geometric(0.01, size)]
            sets.append(Rows((category("code", words, sorted(set(words))),), np.arange(size), has_units=True))
        unseen = [set(rows.columns[0].levels) for rows in sets]
        table = np.isin([*unseen[0]], [*unseen[1]])
        assert not table.all()
        count = round(200 * new_levels(*sets)["code"])
        naive.append(stats.fisher_exact([[count, 200 - count], [0, 200]])[1] <= 0.05)
        encoded = encode_inputs(*sets)
        alarms.append(bool(encoded.names) and min_p(Eyes(encoded, seed=seed).look(99).statistics).min() <= 0.05)
    assert np.mean(naive) == 1 and wilson_interval(sum(alarms), 20).low <= 0.05


# False alarms and power ---------------------------------------------------------------------------------------------------


def test_silence_where_nothing_is_and_the_naive_count_of_columns_is_not_silent():
    alarms, naive = [], []
    for seed in range(60):
        subject = shifts.pair("none", seed, (150, 100), columns=10)
        alarms.append(shift_p(subject, seed) <= 0.05)
        naive.append(naive_shift_p(subject).min() <= 0.05)
    assert np.mean(alarms) <= 0.12 and wilson_interval(sum(alarms), 60).low <= 0.05
    assert wilson_interval(sum(naive), 60).low > 0.05


def test_days_with_effects_are_no_shift_and_rows_as_units_say_that_they_are():
    right, naive = (
        [shift_p(shifts.days(seed, rows=15, between=0.1, are_units=are_units), seed) <= 0.05 for seed in range(30)]
        for are_units in (True, False)
    )
    assert wilson_interval(sum(right), 30).low <= 0.05 and wilson_interval(sum(naive), 30).low > 0.05


@pytest.mark.parametrize(
    ("kind", "sizes", "runs", "floor"),
    (("means", (2000, 500), 8, 0.95), ("means", (500, 300), 20, 0.8), ("correlation", (500, 300), 20, 0.75)),
)
def test_planted_shifts_are_seen(kind, sizes, runs, floor):
    powers = [shift_p(shifts.pair(kind, seed, sizes), seed) <= 0.05 for seed in range(runs)]
    assert np.mean(powers) >= floor


def test_no_eye_sees_all():
    means, correlation = (eyes_of(shifts.pair(kind, 0)).look(99).statistics for kind in ("means", "correlation"))
    p = [(values >= values[0]).mean(axis=0) for values in (means, correlation)]
    assert p[0][2] <= 0.05 < p[0][3] and p[1][3] <= 0.05 < p[1][0]


# Verdicts -----------------------------------------------------------------------------------------------------------------


def test_the_verdict_names_the_columns_and_a_pair_is_not_called_small():
    (verdict,) = verdict_of(shifts.pair("means", 0, (1500, 1000), columns=4))
    assert (verdict.outcome, verdict.finding) == ("FAIL", "SHIFT BEYOND THE MARGIN") and "c0" in verdict.why
    (verdict,) = verdict_of(shifts.pair("correlation", 0, (1500, 1000), columns=4))
    assert verdict.outcome == "FAIL" and "c0 with c1" in verdict.why
    linear = verdict.settings["linear"]
    assert linear[2] < verdict.settings["delta"], "by the linear classifier alone it were within the margin"


def test_brighter_pictures_are_seen_by_their_statistics():
    (evidence,) = shift(shifts.brightness(0), seed=0, draws=99, tries=4)
    assert evidence.settings["tables"]["Columns that differ most"][0]["name"] == "brightness"
    assert evidence.samples["p"][0] <= 0.05


def test_a_tiny_shift_of_many_rows_is_within_the_margin_and_what_was_drawn_is_said(monkeypatch):
    monkeypatch.setattr("sanity.audit.eyes.CLASSIFIER_ROWS", 2000)
    monkeypatch.setattr("sanity.audit.eyes.ENERGY_ROWS", 500)
    reference, current = shifts.gaussian("none", 0, (60_000, 60_000), 1)
    current[:, 0] += 0.04
    (verdict,) = verdict_of(shifts.subject_of(*map(shifts.rows_of, (reference, current))), tries=5)
    assert (verdict.outcome, verdict.finding) == ("PASS", "SHIFT WITHIN THE MARGIN")
    assert "at most 2,000" in verdict.also["rows of the energy distance"]


def test_of_very_many_rows_some_are_looked_at_and_new_levels_are_counted_in_all(monkeypatch):
    monkeypatch.setattr("sanity.checks.shift.MOST_ROWS", 400)
    rng = np.random.default_rng(0)

    def rows(count, levels, moved):
        kinds = Column("kind", rng.integers(levels, size=count).astype("float64"), ("a", "b", "new")[:levels])
        return Rows((Column("x", rng.standard_normal(count) + moved), kinds), np.arange(count) // 2)

    subject = shifts.subject_of(rows(3000, 2, 0.0), rows(1500, 3, 0.8))
    (evidence,) = shift(subject, seed=0, draws=99, tries=4)
    words = dict(evidence.settings["also"])["rows looked at"]
    assert (
        words
        == "400 reference rows and 400 current ones, of 3,000 reference rows and 1,500 current ones, drawn by unit"
    )
    assert evidence.sizes["rows"] == 400 and evidence.samples["p"][0] <= 0.05
    (level,) = evidence.settings["tables"]["Levels that the reference lacks"]
    assert level["share"] == (subject.current.column("kind").values == 2).mean()


def test_days_of_another_size_are_no_shift():
    """Few rows of a set differ more from all others than many do, and exchanged days had shown neither."""
    p = [shift(shifts.of_sizes(seed, (60, 6)), seed=0, draws=59, tries=1)[0].samples["p"][0] for seed in range(12)]
    assert (np.array(p) <= 0.05).sum() <= 2
    (moved,) = shift(shifts.of_sizes(0, (60, 6), 0.8), seed=0, draws=59, tries=1)
    assert moved.samples["p"][0] <= 0.05


def test_sets_whose_units_are_too_unlike_are_not_compared():
    values = np.random.default_rng(0).standard_normal((991, 2))
    units = np.append(np.repeat(np.arange(12), [1] * 11 + [500]), np.repeat(np.arange(12), 40))
    sides = np.arange(991) >= 511
    (verdict,) = verdict_of(shifts.subject_of(*(shifts.rows_of(values[side], units[side]) for side in (~sides, sides))))
    assert verdict.finding == "GATE FAILED" and "12 reference rows and 12 current ones" in verdict.why


def test_a_small_set_beside_a_very_large_one_is_looked_at_as_a_whole(monkeypatch):
    monkeypatch.setattr("sanity.checks.shift.MOST_ROWS", 400)
    (evidence,) = shift(shifts.of_sizes(0, (200, 3)), seed=0, draws=19, tries=1)
    assert dict(evidence.settings["also"])["rows looked at"].split(", of ")[0].endswith("and 60 current ones")


def test_a_column_that_varies_in_rows_that_were_not_looked_at_is_not_called_constant(monkeypatch):
    monkeypatch.setattr("sanity.checks.shift.MOST_ROWS", 300)
    values = np.random.default_rng(0).standard_normal((4000, 3))
    values[:, 2] = np.arange(4000) == 1700
    (evidence,) = shift(shifts.subject_of(*map(shifts.rows_of, np.split(values, [3000]))), seed=0, draws=19, tries=1)
    (column,) = evidence.settings["tables"]["Columns left out"]
    assert column == {"name": "c2", "why": "constant in the rows that were looked at"}


def test_windows_say_how_many_of_all_rows_lie_in_them(monkeypatch):
    monkeypatch.setattr("sanity.checks.shift.MOST_ROWS", 600)
    (evidence,) = shift(shifts.days(0, days=120, current=60), seed=0, draws=19, tries=1)
    windows = evidence.settings["tables"]["Windows of time"]
    assert sum(window["rows"] for window in windows) == 60 * 25
    drawn = sum(window["rows looked at"] for window in windows)
    assert f" and {drawn} current ones, of" in dict(evidence.settings["also"])["rows looked at"] and drawn <= 600
    later = [window["start"] for window in windows[1:]] + [120]
    assert [window["rows"] for window in windows[1:-1]] == [25 * (b - a) for a, b in zip(later[:-2], later[1:-1])]


def test_families_are_reported_apart():
    subject = shifts.answered("ignored", 0, (800, 500))
    verdicts = {verdict.method: verdict for verdict in verdict_of(subject)}
    assert verdicts["inputs"].finding == "SHIFT BEYOND THE MARGIN"
    assert verdicts["features"].p > 0.05 and verdicts["predictions"].p > 0.05
    thinned = encode_predictions(*(getattr(shifts.answered("thinned", 0), name) for name in ("test", "current")))
    assert min_p(Eyes(thinned, seed=0).look(99).statistics).min() <= 0.05


def test_rows_that_belong_together_without_a_unit_break_the_check():
    verdicts = [verdict_of(shifts.days(seed, between=0.3, are_units=False))[0] for seed in range(2)]
    assert {verdict.finding for verdict in verdicts} == {"GATE FAILED"} and 'roles = ["unit"]' in verdicts[0].why


def test_blocks_of_time_set_the_margin_and_windows_are_a_family():
    subject = shifts.days(0, between=0.2)
    (evidence,) = shift(subject, seed=0, draws=99, tries=4)
    margins = [row["margin"] for row in evidence.settings["tables"]["Columns that differ most"]]
    assert max(margins) > 0.05 and evidence.settings["delta"] >= 0.05
    assert min(row["p"] for row in evidence.settings["tables"]["Windows of time"]) > 0.05
    values = subject.current.columns[0].values + 2.0 * (subject.current.times >= 55)
    moved = dataclasses.replace(subject, current=subject.current.with_values(c0=values))
    encoded = encode_inputs(moved.test, moved.current)
    windows = look_at_windows(Eyes(encoded, seed=0), moved.current.times, 199, seed=0)
    late = windows.starts >= 54
    assert windows.p[late].min() <= 0.05 < windows.p[~late].min() and windows.column[-1] == "c0"
    assert time_blocks(None, np.arange(3)) is None and time_blocks(np.zeros(900), np.arange(900)) is None


def test_dealt_blocks_keep_neighbours_together():
    units = np.repeat(np.arange(400), 3)
    for side in deal_blocks(units, None, 0.25, seed=0, count=5):
        assert side.sum() == 300 and all(len(set(side[units == unit])) == 1 for unit in range(400))
        assert (np.diff(side.astype(int)) == 1).sum() <= 11


# Silence, order, scale ----------------------------------------------------------------------------------------------------


def test_without_current_rows_it_does_not_apply():
    (verdict,) = judge(shift(AuditSubject("net", shifts.pair("none", 0).test), seed=0))
    assert verdict.finding == "NOT APPLICABLE" and "--current" in verdict.why


def test_edges_give_a_verdict_and_never_p_of_zero():
    rng = np.random.default_rng(5)
    plain = shifts.pair("none", 0, (60, 40), columns=3)
    constant = shifts.subject_of(*(shifts.rows_of(np.ones((40, 2))) for _ in range(2)))
    missing = plain.current.with_values(c0=np.full(40, np.nan))
    one_unit = dataclasses.replace(plain.current, units=np.zeros(40, int))
    far = plain.current.with_values(c1=np.full(40, 1e12), c2=np.full(40, np.inf))
    tied = shifts.subject_of(*(shifts.rows_of(rng.integers(2, size=(80, 3)).astype(float)) for _ in range(2)))
    subjects = [constant, tied, shifts.subject_of(plain.test, plain.current.take(np.arange(5)))]
    subjects += [dataclasses.replace(plain, current=current) for current in (missing, one_unit, far)]
    for subject in subjects:
        (verdict,) = verdict_of(subject, draws=39, tries=4)
        assert verdict.sentence and (verdict.p is None or verdict.p > 0)
    assert verdict_of(subjects[0])[0].finding == "GATE FAILED"
    assert verdict_of(dataclasses.replace(plain, current=one_unit), tries=4)[0].outcome in ("INCONCLUSIVE", "INVALID")


def test_copies_of_the_reference_among_current_rows_need_units():
    rows = dataclasses.replace(shifts.pair("none", 0, (60, 40), columns=3).test, has_units=False)
    (verdict,) = verdict_of(shifts.subject_of(rows, rows.take(np.arange(40))))
    assert verdict.finding == "GATE FAILED" and "exact copy" in verdict.why


def test_the_same_seed_gives_the_same_and_order_and_scale_change_no_verdict():
    subject = shifts.pair("means", 1, (600, 400), columns=5, amount=0.4)
    first, again = (shift(subject, seed=0, draws=99, tries=4)[0] for _ in range(2))
    assert all(np.array_equal(first.samples[name], again.samples[name]) for name in first.samples)
    assert first.settings == again.settings
    mixed = dataclasses.replace(
        subject,
        test=subject.test.take(np.random.default_rng(0).permutation(600)),
        current=subject.current.take(np.random.default_rng(1).permutation(400)),
    )
    scaled = shifts.subject_of(
        *(
            rows.with_values(**{column.name: 1000 * column.values - 5 for column in rows.columns})
            for rows in (subject.test, subject.current)
        )
    )
    findings = {verdict_of(other)[0].finding for other in (subject, mixed, scaled)}
    assert len(findings) == 1


def test_gaps_of_columns_have_bounds_for_all_together():
    covered = []
    for seed in range(30):
        eyes = eyes_of(shifts.pair("means", seed, (1000, 600), columns=5))
        gaps = column_gaps(eyes)
        truth = 2 * stats.norm.cdf(0.15) - 1
        covered.append((gaps.low[:2] <= truth).all() and (gaps.high[:2] >= truth).all())
    assert np.mean(covered) >= 0.85 and gaps.shift[0] == pytest.approx(0.3, abs=0.15)


# Figures ------------------------------------------------------------------------------------------------------------------


def test_columns_and_windows_are_drawn():
    from recipes.report.audited.shift import figures

    (evidence,) = shift(shifts.days(1), seed=0, draws=19, tries=2)
    drawn = figures(evidence)
    assert [title for title, _ in drawn] == ["Distances of inputs", "Inputs by window of time"]
    assert all(svg.startswith("<svg") and svg.endswith("</svg>") for _, svg in drawn)
    assert drawn[0][1].count("<circle") == 6 and drawn[1][1].count("<circle") == 10
    assert figures(shift(AuditSubject("net", shifts.days(1).test), seed=0)[0]) == []
