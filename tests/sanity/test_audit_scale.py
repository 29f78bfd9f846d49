"""Audits of many rows: what is computed at once is what is computed one by one, and what looks at some rows says so."""

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from recipes.report.audited import shift as figures
from sanity.audit import drift, excess, ladder, weak_slices
from sanity.audit.decoding import Problem
from sanity.audit.encoding import Encoded, _joined_places
from sanity.audit.excess import differences, excess_blocks, excess_errors
from sanity.audit.exchange import centred_errors
from sanity.audit.eyes import BinaryColumns, Eyes, Steps, area_under_curve, subset_rows
from sanity.audit.harm import estimate_rise
from sanity.audit.legitimate import Contrast, design
from sanity.audit.rows import Column
from sanity.audit.search import search_slices
from sanity.audit.slices import Predicates, Slices, list_slices, shares_of, shares_within
from sanity.audit.swaps import sample_units
from sanity.checks import checks, decodable, shift, simpler
from sanity.statistics import Interval
from sanity.verdict import judge
from tests.audit_worlds import failures, ladders, proxies, shifts


@pytest.fixture
def rows():
    return failures.table(1, 900, effect=0.2, columns=5).test


# Slices -------------------------------------------------------------------------------------------------------------------


def test_sums_of_slices_are_those_of_their_masks(rows):
    slices = list_slices(rows)
    masks, some = slices.masks(np.arange(len(slices))), np.arange(len(rows)) % 3 > 0
    values = np.random.default_rng(0).normal(size=len(rows))
    assert (slices.sums() == masks.sum(axis=1)).all()
    assert (slices.sums(rows=some) == masks[:, some].sum(axis=1)).all()
    assert np.allclose(slices.sums(values), masks @ values, atol=1e-10)
    assert np.allclose(slices.sums(values, some), masks[:, some] @ values[some], atol=1e-10)
    assert np.array_equal(shares_of(slices), masks.mean(axis=1))


def test_the_part_of_a_slice_within_groups_is_what_groups_leave_of_its_variance(rows):
    slices, groups = list_slices(rows), rows.labels
    masks = slices.masks(np.arange(len(slices))).astype("float64")
    left = [centred_errors(mask, groups).var() / mask.var() for mask in masks]
    assert np.allclose(shares_within(slices, groups), left)


def test_draws_a_few_at_a_time_give_what_each_gives_alone(rows, monkeypatch):
    slices, rng = list_slices(rows), np.random.default_rng(0)
    drawn = list(rng.normal(size=(11, len(rows))))
    masks = slices.masks(np.arange(len(slices)))
    slow = [[row[mask].mean() - row[~mask].mean() for mask in masks] for row in drawn]
    for block in (4, 11, 700):
        monkeypatch.setattr(excess, "BLOCK", block)
        assert np.allclose(excess_errors(slices, iter(drawn)), slow, atol=1e-6), block


def test_blocks_that_are_read_after_all_were_drawn_are_their_own(rows, monkeypatch):
    monkeypatch.setattr(excess, "BLOCK", 4)
    slices, drawn = list_slices(rows), np.random.default_rng(0).normal(size=(11, len(rows)))
    held = list(excess_blocks(slices, iter(drawn)))
    late = np.concatenate([np.hstack([values for _, values in block]) for block in held])
    assert np.array_equal(late, excess_errors(slices, iter(drawn)))


def test_one_block_of_draws_lies_in_memory_at_a_time(rows, monkeypatch):
    slices, size = list_slices(rows), 4 * 500 * len(rows)
    monkeypatch.setattr(excess, "BYTES", size)
    monkeypatch.setattr("sanity.audit.slices.CHUNK", 7)
    rng, counts = np.random.default_rng(0), []
    tracemalloc.start()
    try:
        for block in excess_blocks(slices, (rng.normal(size=len(rows)) for _ in range(1400))):
            counts.append([len(values) for _, values in block][0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counts == [500, 500, 400] and size < peak < 1.6 * size, peak / size


def test_the_largest_of_all_slices_does_not_depend_on_how_many_are_held_at_once(rows, monkeypatch):
    slices, groups = list_slices(rows), np.zeros(len(rows), int)
    errors = centred_errors(rows.errors, groups)
    whole = search_slices(slices, errors, rows.units, groups, draws=39, seed=0)
    masks = slices.masks(np.arange(len(slices)))
    one = differences(errors[None].astype("float32"), errors.sum(keepdims=True), masks, masks.sum(axis=1))[0]
    assert np.allclose(whole.distance, whole.scaled(one), atol=1e-3)
    monkeypatch.setattr("sanity.audit.slices.CHUNK", 7)
    monkeypatch.setattr(excess, "BLOCK", 5)
    parts = search_slices(slices, errors, rows.units, groups, draws=39, seed=0)
    assert np.allclose(whole.exchanged, parts.exchanged, atol=1e-3) and np.array_equal(whole.p, parts.p)


def test_many_rows_are_searched_in_part_and_measured_on_all(monkeypatch):
    subject = failures.table(3, 6000, effect=0.3, base=0.03, columns=5)
    (every,) = checks.get("slices")(subject, seed=0, draws=99, tries=2)
    monkeypatch.setattr(weak_slices, "SEARCHED", 3000)
    (part,) = checks.get("slices")(subject, seed=0, draws=99, tries=2)
    (told,) = [text for name, text in part.settings["also"] if name == "rows that were searched"]
    assert told == "3,000 of 6,000, drawn by unit; all rows tell how large an excess is"
    assert not every.settings["also"]
    # The same slice stands out, with the rows and the size that it has among all.
    assert np.array_equal(part.samples["members"][0], every.samples["members"][0])
    assert np.array_equal(part.samples["effect"], every.samples["effect"])
    assert part.samples["members"].shape[1] == 6000


def test_rows_that_would_miss_the_margin_are_not_left_out(monkeypatch):
    subject = failures.table(3, 6000, columns=5)
    monkeypatch.setattr(weak_slices, "SEARCHED", 500)
    (evidence,) = checks.get("slices")(subject, seed=0, draws=99, tries=2)
    assert not evidence.settings["also"]
    monkeypatch.undo()
    (every,) = checks.get("slices")(subject, seed=0, draws=99, tries=2)
    assert np.array_equal(evidence.samples["p"], every.samples["p"])


def searched_in_part(subject, monkeypatch, rows):
    """Whether some rows alone are searched, and the evidence of these and of all."""
    (every,) = checks.get("slices")(subject, seed=0, draws=99, tries=2)
    monkeypatch.setattr(weak_slices, "SEARCHED", rows)
    (evidence,) = checks.get("slices")(subject, seed=0, draws=99, tries=2)
    return bool(evidence.settings["also"]), evidence, every


def test_where_drawn_rows_hold_too_few_persons_of_a_slice_all_are_searched(monkeypatch):
    """A slice of two columns has fifteen of 240 persons, and six of those that are drawn."""
    subject = failures.table(3, 6000, base=0.03, columns=5, persons=25, shared=0.0)
    is_part, evidence, every = searched_in_part(subject, monkeypatch, 2000)
    assert not is_part and np.array_equal(evidence.samples["p"], every.samples["p"])
    assert evidence.settings["searched"] == every.settings["searched"]


def test_where_planted_copies_of_drawn_rows_are_missed_all_are_searched(monkeypatch):
    """What no count of rows foretold: the page would say that there is not enough data, and there is."""
    subject = failures.table(3, 6000, base=0.03, columns=5)
    assert searched_in_part(subject, monkeypatch, 3000)[0]
    monkeypatch.setattr(weak_slices, "would_find", lambda _: False)
    assert not searched_in_part(subject, monkeypatch, 3000)[0]


def test_a_slice_that_is_a_group_does_not_stand_out_by_what_float32_rounds():
    rng = np.random.default_rng(0)
    groups, chosen = rng.integers(3, size=20_000), rng.random((4, 20_000)) < 0.3
    errors = centred_errors((rng.random(20_000) < 0.1 * (1 + groups)).astype("float64"), groups)
    holds = np.vstack([groups == 0, groups == 1, chosen])
    slices = Slices(Predicates(list("abcdef"), np.arange(6), holds), np.repeat(np.arange(6), 2).reshape(-1, 2))
    search = search_slices(slices, errors, np.arange(20_000), groups, draws=99, seed=0)
    assert (search.p[:2] == 1).all() and (search.distance[:2] == -np.inf).all()
    assert np.isfinite(search.distance[2:]).all()


# Eyes ---------------------------------------------------------------------------------------------------------------------


def test_columns_of_two_values_are_compared_at_once_as_one_by_one():
    rng = np.random.default_rng(0)
    values = np.column_stack(
        [rng.random(300) < 0.3, rng.normal(size=300), np.where(rng.random(300) < 0.5, -1.5, 8), rng.random(300) < 0.02]
    ).astype("float64")
    values[0, 3] = np.nan
    sides = (rng.random((300, 9)) < 0.4).view("uint8")
    sides[:, 7], sides[:, 8] = 0, 1
    pairs = BinaryColumns(values)
    assert pairs.places.tolist() == [0, 2]
    one_by_one = np.stack([Steps(values[:, place]).distances(sides) for place in pairs.places], axis=1)
    assert np.allclose(pairs.distances(sides), one_by_one, atol=1e-6)


def test_counts_of_more_rows_than_are_multiplied_at_once_are_added(monkeypatch):
    rng = np.random.default_rng(0)
    values, sides = (rng.random((500, 2)) < 0.3).astype("float64"), (rng.random((500, 4)) < 0.4).view("uint8")
    whole = BinaryColumns(values).distances(sides)
    monkeypatch.setattr("sanity.audit.eyes.EXACT", 64)
    assert np.array_equal(BinaryColumns(values).distances(sides), whole)


@pytest.mark.parametrize("decimals", [8, 1])
def test_areas_are_those_of_mann_and_whitney(decimals):
    rng = np.random.default_rng(0)
    scores, sides = rng.normal(size=(80, 6)).round(decimals), rng.random((80, 6)) < 0.4
    sides[:, 5] = False
    slow = [stats.mannwhitneyu(s[m], s[~m]).statistic / m.sum() / (~m).sum() for s, m in zip(scores.T, sides.T[:5])]
    areas = area_under_curve(scores, sides.view("uint8"))
    assert np.allclose(areas[:5], slow) and np.isnan(areas[5])


def test_some_rows_of_a_column_are_read_at_the_values_of_all():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=400), rng.integers(5, size=400).astype("float64")):
        values[:9] = np.nan
        rows, sides = rng.permutation(400)[:90], (rng.random((400, 7)) < 0.4).view("uint8")
        sides[:, 6] = 0
        some = np.zeros_like(sides)
        some[rows] = sides[rows]
        steps = Steps(values)
        assert np.allclose(steps.take(rows).shares(sides[rows]), steps.shares(some))


def test_windows_of_time_are_seen_as_each_alone():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(size=600), rng.random(600) < 0.4, rng.integers(7, size=600)]).astype("float64")
    values[3, 0] = np.nan
    names = ["a", "b", "c"]
    encoded = Encoded(names, names, values, np.arange(600) >= 300, np.arange(600), {})
    eyes = Eyes(encoded, seed=0)
    rows, dealt = np.sort(rng.permutation(600)[:420]), rng.integers(3, size=(4, 420)).astype("int8")
    seen, first = drift._see_windows(eyes, rows, dealt, 2)
    for draw, labels in enumerate(dealt):
        for window in (1, 2):
            sides = [values[rows[labels == label]] for label in (window, 0)]
            known = [[side[np.isfinite(side[:, place]), place] for side in sides] for place in range(3)]
            distances = [stats.ks_2samp(*pair).statistic for pair in known]
            assert np.isclose(seen[draw, window - 1, 0], max(distances))
            assert draw or np.allclose(first[window - 1], distances)


def test_windows_of_few_current_rows_are_seen_beside_a_large_reference(monkeypatch):
    monkeypatch.setattr(drift, "WINDOW_ROWS", 2000)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_600, 2))
    values[20_300:, 0] += 1
    encoded = Encoded(["a", "b"], ["a", "b"], values, np.arange(20_600) >= 20_000, np.arange(20_600), {})
    windows = drift.look_at_windows(Eyes(encoded, seed=0), np.arange(600.0), 499, seed=0)
    assert windows.looked.tolist() == windows.rows.tolist() == [50] * 12
    assert (windows.p[6:] <= 0.05).all() and (windows.p[:6] > 0.05).all()


def test_windows_say_how_many_rows_were_looked_at(monkeypatch):
    rng = np.random.default_rng(0)
    encoded = Encoded(["a"], ["a"], rng.normal(size=(4000, 1)), np.arange(4000) >= 2000, np.arange(4000), {})
    eyes, times = Eyes(encoded, seed=0), np.arange(2000.0)
    assert "rows looked at" not in shift._window_rows(drift.look_at_windows(eyes, times, 19, seed=0))[0]
    monkeypatch.setattr(drift, "WINDOW_ROWS", 1000)
    listed = shift._window_rows(drift.look_at_windows(eyes, times, 19, seed=0))
    assert sum(row["rows looked at"] for row in listed) == 500 and sum(row["rows"] for row in listed) == 2000
    assert "of 167 rows" in figures._counted(next(row for row in listed if row["rows"] == 167))


def test_scores_that_are_no_numbers_have_no_area():
    scores, sides = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50)[:, None] < [20, 20]
    scores[3, 0] = np.nan
    areas = area_under_curve(scores, sides.view("uint8"))
    assert np.isnan(areas[0]) and np.isfinite(areas[1])


@pytest.mark.parametrize("equal", [255, 256, 257, 511, 70_000])
def test_many_equal_values_are_counted_without_overflow(equal):
    values = np.concatenate([np.zeros(equal), np.ones(5), np.full(3, np.nan), [2.0]])
    sides = np.ones((len(values), 2), "uint8")
    sides[::2, 1] = 0
    counts = [[sides[values <= value, side].sum() for side in range(2)] for value in range(3)]
    assert np.allclose(Steps(values).shares(sides), np.array(counts) / counts[-1])


def test_zeros_of_either_sign_are_one_word_beside_a_column_of_words():
    numbers, words = Column("a", np.array([0.0, -0.0, 1.0, np.nan])), Column("a", np.array([0.0, 1.0]), ("0", "1"))
    levels, places = _joined_places(numbers, words)
    assert [levels[place] for place in places] == ["0", "0", "1", "", "0", "1"]


# Rows that are drawn ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_one_very_large_unit_leaves_room_for_the_others(seed):
    units = np.concatenate([np.zeros(1500, int), np.arange(1, 3301)])
    drawn = sample_units(units, seed=seed, rows=1000)
    assert len(drawn) == 1000 and len(np.unique(units[drawn])) > 980
    is_current = np.arange(len(units)) >= 4500
    kept = subset_rows(units, is_current, 1000, seed=seed)
    assert kept[is_current].all() and 900 <= kept[~is_current].sum() <= 1000


def test_units_that_are_larger_than_a_draw_are_drawn_from():
    few, many = np.repeat(np.arange(3), 5000), np.repeat(np.arange(25), 600)
    for units in (few, many):
        drawn = sample_units(units, seed=0, rows=1000)
        assert 990 <= len(drawn) <= 1000 and len(np.unique(units[drawn])) == units.max() + 1


def test_probes_of_many_rows_look_at_whole_units_and_say_how_many(monkeypatch):
    subject = proxies.world(0, "used", rows=900, persons=3)
    (evidence, *_) = decodable.decodable(subject, seed=0, draws=19, tries=4)
    assert evidence.sizes["rows"] == 900 and "rows of the probes" not in dict(evidence.settings["also"])
    monkeypatch.setattr(decodable, "MOST", 600)
    (evidence, *_) = decodable.decodable(subject, seed=0, draws=19, tries=4)
    assert 597 < evidence.sizes["rows"] <= 600
    words = dict(evidence.settings["also"])["rows of the probes"]
    counted, inside = words.split(", drawn by unit, ")
    assert counted == f"{evidence.sizes['rows']:,} of 900"
    assert 297 <= int(inside.removesuffix(" in the group")) <= 303


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_copies_of_which_too_many_redraws_lie_above_are_told_early_and_alike(alpha):
    subject = proxies.world(0, "used", rows=600)
    (contrast, *_), _ = decodable.all_contrasts(subject.test)
    features = design(subject.test.take(contrast.places), decodable.legitimate_names(subject, contrast.column))
    problem = Problem(contrast, subject.test, features, seed=0)
    told = []
    for number, members in enumerate((contrast.members, *problem.odds.draw(40, seed=1))):
        areas = problem._areas(members, problem.values, problem.odds, 99, number)
        told.append(problem._is_rare(members, problem.values, problem.odds, 99, alpha, number))
        assert told[-1] == ((areas >= areas[0] - 1e-12).mean() <= alpha)
    assert told[0] and not all(told)


def test_redraws_that_are_the_members_have_their_area_where_rows_are_alike():
    """Alone, members were solved for by operations that round otherwise, and rows that are alike were ranked by that."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        count, problem = int(rng.integers(200, 900)), object.__new__(Problem)
        kinds = rng.normal(size=(int(rng.integers(4, 40)), 8))
        values, members = kinds[rng.integers(len(kinds), size=count)], (rng.random(count) < 0.4).astype("float64")
        problem.fitted = rng.random(count) < 0.5
        odds = SimpleNamespace(draw=lambda draws, seed, members=members: np.tile(members, (draws, 1)))
        odds.chance = np.full(count, 0.4)
        assert not problem._is_rare(members, values, odds, 99, 0.5, 0), seed


def test_a_small_side_keeps_the_rows_that_a_contrast_needs(monkeypatch):
    subject = proxies.world(0, "used", rows=2000)
    contrasts, _ = decodable.all_contrasts(subject.test)
    members = np.arange(2000) < 60
    monkeypatch.setattr(decodable, "MOST", 100)
    few = replace(contrasts[0], places=np.arange(2000), members=members.astype("float64"))
    assert decodable._drawn(few, subject.test.units, 0).members.sum() >= decodable.ROWS


def test_a_small_group_is_kept_whole_where_units_are_on_one_side(monkeypatch):
    monkeypatch.setattr(decodable, "MOST", 1000)
    members, units = (np.arange(9000) % 30 == 0).astype("float64"), np.arange(9000)
    drawn = decodable._drawn(Contrast("a", "a", units, members), units, 0)
    assert len(drawn.places) == 1000 and drawn.members.sum() == 300
    assert np.array_equal(drawn.members, members[drawn.places]) and (np.diff(drawn.places) > 0).all()


def test_units_with_rows_on_both_sides_are_kept_whole(monkeypatch):
    monkeypatch.setattr(decodable, "MOST", 1000)
    members, units = (np.random.default_rng(0).random(9000) < 0.2).astype("float64"), np.arange(9000) // 9
    drawn = decodable._drawn(Contrast("a", "a", np.arange(9000), members), units, 0)
    assert 990 < len(drawn.places) <= 1000 and set(np.bincount(units[drawn.places])) == {0, 9}


@pytest.mark.parametrize("members, known", [(300, True), (4500, False)])
def test_more_rows_are_named_only_where_probes_would_look_at_more(members, known, monkeypatch):
    monkeypatch.setattr(decodable, "MOST", 1000)
    subject = proxies.world(0, "none", rows=9000)
    contrast = replace(
        decodable.all_contrasts(subject.test)[0][0], members=(np.arange(9000) < members).astype("float64")
    )
    needed = decodable._needed(subject, decodable._drawn(contrast, subject.test.units, 0), Interval(0.0, -0.04, 0.04))
    assert needed == (9000 * 4 if known else None)


def test_settings_are_chosen_on_rows_of_units_larger_than_the_draw(monkeypatch):
    monkeypatch.setattr(ladder, "MOST_TUNED", 150)
    monkeypatch.setattr(ladder, "OTHER_LABELS", 10)
    subject = ladders.make_subject(ladders.linear_score, seed=0, train=800, test=300, columns=3)
    train = replace(subject.train, units=np.arange(800) // 200)
    tuned = ladder.tuning_rows(train, seed=0)
    assert 140 < len(tuned) <= 150 and len(np.unique(train.units[tuned])) == 4


def test_settings_of_simple_models_are_chosen_on_some_rows_and_models_are_trained_on_all(monkeypatch):
    # Boosting machines take seconds each.
    monkeypatch.setattr(ladder, "has_pairs", lambda: False)
    subject = ladders.make_subject(ladders.linear_score, seed=0, train=400, test=300, columns=3)
    (whole, *_) = simpler.simpler(subject, seed=0, draws=99, tries=4, budget=2)
    assert "tuned_on" not in whole.settings
    monkeypatch.setattr(ladder, "MOST_TUNED", 150)
    monkeypatch.setattr(ladder, "OTHER_LABELS", 10)
    sizes = []
    fit = ladder._Data.answers
    monkeypatch.setattr(ladder._Data, "answers", lambda *args: sizes.append(len(args[2])) or fit(*args))
    (evidence, *_) = simpler.simpler(subject, seed=0, draws=99, tries=4, budget=2)
    assert evidence.settings["tuned_on"] == [150, 400]
    # Two thirds of the rows that were drawn, once for each of two settings of four models and for three columns.
    assert sizes.count(100) == 2 * 4 + 3 and sizes.count(400) == 6 and len(sizes) == 17
    words = judge([evidence])[0].also
    assert "150 of 400 training rows" in dict(words)["rows that chose settings"]


def test_beside_one_very_large_unit_no_handful_of_rows_chooses_settings(monkeypatch):
    monkeypatch.setattr(ladder, "MOST_TUNED", 600)
    taken, sizes = [], [1450, *[1] * 50]
    for seed in range(6):
        subject = ladders.make_subject(lambda x: 2 * x[:, 2], seed=seed, train=1500, test=30, columns=4)
        train = replace(subject.train, units=np.repeat(np.arange(len(sizes)), sizes))
        (rung,) = ladder.train_ladder(train, subject.test, seed=seed, names=[ladder.COLUMN])
        taken.append(rung.settings["column"])
    assert taken.count(subject.train.columns[2].name) == 6, taken


def test_every_label_is_held_out_where_settings_are_chosen(monkeypatch):
    """Two persons of thirty have the other label, so that one third of all persons may have none."""
    monkeypatch.setattr(ladder, "MOST_TUNED", 600)
    monkeypatch.setattr(ladder, "OTHER_LABELS", 10)
    labels, held = (np.arange(1500) // 50 < 2).astype(int), []
    subject = ladders.make_subject(ladders.linear_score, seed=0, train=1500, test=30, columns=3)
    train = replace(subject.train, units=np.arange(1500) // 50, labels=labels)
    losses = ladder.losses
    monkeypatch.setattr(ladder, "losses", lambda labels, answers: held.append(set(labels)) or losses(labels, answers))
    for seed in range(12):
        held.clear()
        ladder.train_ladder(train, subject.test, seed=seed, budget=2, names=[ladder.TREE])
        assert set().union(*held) == {0, 1}, seed


@pytest.mark.parametrize("rare, drawn", [(5000, 15_000), (200, 37_500), (50, 50_000)])
def test_settings_are_chosen_on_more_rows_where_nearly_all_have_one_label(rare, drawn):
    subject = ladders.make_subject(ladders.linear_score, seed=0, train=50, test=30, columns=3)
    train = subject.train.take(np.arange(50_000) % 50)
    train = replace(train, units=np.arange(50_000), labels=(np.arange(50_000) < rare).astype(int))
    tuned = ladder.tuning_rows(train, seed=0)
    assert len(tuned) == drawn and (train.labels[tuned] > 0).sum() >= 50


def test_drawn_rows_without_an_error_are_no_certainty(monkeypatch):
    monkeypatch.setattr("sanity.audit.harm.ROWS", 300)
    subject = shifts.answered("noisy", 0)
    logits = np.tile([5.0, 0.0], (len(subject.test), 1))
    labels = np.zeros(len(logits), int)
    right = replace(subject.test, logits=logits, labels=labels)
    estimate = estimate_rise(right, subject.current, seed=0, resamples=5)
    assert estimate.drawn == (300, 300) and estimate.weighted.mean == 0
    assert estimate.weighted.high == pytest.approx(1.96 / (estimate.effective * 300))
    assert estimate.weighted.low == -estimate.weighted.high
