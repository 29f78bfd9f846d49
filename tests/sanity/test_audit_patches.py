"""Difference pictures: slow computations of what they hold, false alarms, and a mark that is outlined where it is."""

from dataclasses import replace

import numpy as np
import pytest

from recipes.report.audited.shift import figures
from sanity.audit.drift import block_margins, drift_size
from sanity.audit.encoding import encode_inputs
from sanity.audit.eyes import SCALING, Eyes
from sanity.audit.patches import (
    channel_names,
    compare_patches,
    differing,
    patch_rows,
    patch_words,
    picture_patches,
    planted_marks,
)
from sanity.audit.permutation import min_p
from sanity.audit.rows import Column, Rows
from sanity.checks.shift import patch_gaps, shift
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds import pictured

BRIEF = {"draws": 99, "tries": 4}
# Levels of 255 by which a mark is brighter.
BRIGHTER = 60


# What they hold -----------------------------------------------------------------------------------------------------------


def test_patches_are_means_of_their_pixels_also_where_these_lie_in_two():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (3, 28, 42, 2)).astype("float32")
    patches = picture_patches(images)
    assert patches.shape == (3, 9, 14, 2)
    across = images.reshape(3, 28, 14, 3, 2).mean(axis=3)
    np.testing.assert_allclose(patches[:, :, :, 1].mean(axis=1), across[..., 1].mean(axis=1), rtol=1e-5)
    fine = np.repeat(images[:, :, :, 0], 9, axis=1).reshape(3, 9, 28, 14, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(patches[..., 0], fine, rtol=1e-5)


def test_small_pictures_have_a_patch_for_each_pixel():
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 5, 4)).astype("float32")
    np.testing.assert_allclose(picture_patches(images), images, rtol=1e-6)


def test_deviations_and_p_are_those_of_loops_over_the_exchanges_of_the_eyes():
    subject = pictured.persons(0, sizes=(6, 5), each_has=3)
    eyes = Eyes(encode_inputs(subject.test, subject.current), seed=3)
    patches = np.concatenate([subject.test.patches, subject.current.patches])

    def differences(sides):
        return np.array([patches[side].mean(axis=0) - patches[~side].mean(axis=0) for side in sides], "float64")

    scaling = differences(np.concatenate(list(eyes.draw(SCALING, "scaling"))))
    exchanged_sides = np.concatenate(list(eyes.draw(39, "exchanged")))
    exchanged = differences(exchanged_sides)
    scale = np.sqrt((scaling**2).mean(axis=0))
    observed = differences(eyes.encoded.is_current[None])[0] / scale
    largest = np.abs(exchanged / scale).max(axis=(1, 2, 3))
    sight = eyes.look(39, copies=exchanged_sides[:5])
    gaps = compare_patches(eyes, sight, 0.05)
    np.testing.assert_allclose(gaps.deviations, observed, rtol=1e-3, atol=1e-3)
    p = np.array([1 + (largest >= abs(value)).sum() for value in observed.ravel()]) / 40
    assert np.abs(gaps.p.ravel() - p).max() <= 1 / 40 + 1e-9 and np.mean(gaps.p.ravel() == pytest.approx(p)) > 0.99
    np.testing.assert_allclose(gaps.current - gaps.reference, observed * scale, rtol=1e-3, atol=1e-3)
    assert ((np.abs(gaps.deviations) > gaps.threshold) == (gaps.p <= 0.05)).all()
    np.testing.assert_allclose(sight.statistics[:, 4], [np.abs(observed).max(), *largest], rtol=1e-3)
    np.testing.assert_allclose(sight.copies[:, 4], largest[:5], rtol=1e-3)


def test_planted_marks_are_those_of_patches_that_were_made_brighter():
    subject = pictured.pair(2, (30, 20))
    eyes = Eyes(encode_inputs(subject.test, subject.current), seed=0)
    sides = np.concatenate(list(eyes.draw(3, "planted")))
    sight, amounts = eyes.look(19, copies=sides), np.array([0.0, 3.0, 3.0])
    seen = planted_marks(eyes, sight, sides, amounts, seed=5)
    flat = eyes.encoded.patches.reshape(50, -1).astype("float64")
    places = np.random.default_rng(5).integers(588, size=3)
    for row, side, place, amount, before in zip(seen, sides, places, amounts, sight.copies):
        moved = flat[:, place] + np.where(side, amount * flat[:, place].std(), 0)
        distance = abs(moved[side].mean() - moved[~side].mean()) / eyes.scales[2][1][place]
        assert row[4] == pytest.approx(max(before[4], distance), rel=1e-4) and (row[:4] == before[:4]).all()
    assert seen[0, 4] == pytest.approx(sight.copies[0, 4]) and seen[1, 4] > sight.copies[1, 4]


def test_units_are_exchanged_as_wholes_for_the_eyes_and_for_patches():
    subject = pictured.persons(1, sizes=(6, 5), each_has=3)
    eyes = Eyes(encode_inputs(subject.test, subject.current), seed=0)
    for side in np.concatenate(list(eyes.draw(20, "exchanged"))):
        assert all(len(set(side[eyes.encoded.units == unit])) == 1 for unit in range(11))


def test_pixels_that_never_change_do_not_differ():
    subject = pictured.pair(0, (40, 40))
    for rows in (subject.test, subject.current):
        rows.patches[:, 3] = 255.0
    gaps = pictured.gaps_of(subject)
    assert np.abs(gaps.deviations[3]).max() < 0.5 and gaps.p[3].min() > 0.5


def test_draws_that_cannot_reach_the_level_mark_nothing():
    gaps = pictured.gaps_of(pictured.pair(0, (40, 40), brighter=BRIGHTER), draws=9)
    assert gaps.threshold == np.inf and not differing(gaps, 0.05).any()


# False alarms and power ---------------------------------------------------------------------------------------------------


def test_nothing_is_marked_where_nothing_is_and_each_patch_by_itself_alarms_always():
    marked, naive = [], []
    for seed in range(80):
        gaps = pictured.gaps_of(pictured.pair(seed, (60, 40)), seed=seed)
        marked.append(differing(gaps, 0.05).any())
        naive.append((np.abs(gaps.deviations) > 1.96).any())
    assert np.mean(marked) <= 0.12 and wilson_interval(sum(marked), 80).low <= 0.05
    assert wilson_interval(sum(naive), 80).low > 0.9


def test_pictures_of_persons_are_no_shift_and_pictures_as_units_say_that_they_are():
    right, naive = (
        [
            differing(pictured.gaps_of(pictured.persons(seed, are_units=are_units), seed=seed), 0.05).any()
            for seed in range(30)
        ]
        for are_units in (True, False)
    )
    assert wilson_interval(sum(right), 30).low <= 0.05 and wilson_interval(sum(naive), 30).low > 0.5


def test_a_mark_in_a_corner_is_marked_there_and_not_elsewhere():
    elsewhere = []
    for seed in range(20):
        marked = differing(pictured.gaps_of(pictured.pair(seed, brighter=BRIGHTER), seed=seed), 0.05)
        assert marked[pictured.MARKED].all()
        marked[pictured.MARKED] = False
        elsewhere.append(marked.any())
    assert wilson_interval(sum(elsewhere), 20).low <= 0.05


def five_and_four(subject, seed):
    """Whether five eyes alarm, and whether the four that look at numbers of whole pictures do."""
    statistics = Eyes(encode_inputs(subject.test, subject.current), seed=seed).look(99).statistics
    assert statistics.shape[1] == 5
    return min_p(statistics).min() <= 0.05, min_p(statistics[:, :4]).min() <= 0.05


def test_a_fifth_eye_sees_a_mark_that_no_number_of_a_picture_shows_and_keeps_the_level():
    marked = np.array([five_and_four(pictured.pair(seed, brighter=20), seed) for seed in range(20)]).sum(axis=0)
    assert marked[0] >= 17 and marked[1] <= 5
    nothing = [five_and_four(pictured.pair(seed, (60, 40)), seed)[0] for seed in range(80)]
    persons = [five_and_four(pictured.persons(seed), seed)[0] for seed in range(40)]
    assert wilson_interval(sum(nothing), 80).low <= 0.05 and wilson_interval(sum(persons), 40).low <= 0.05


def test_a_mark_that_is_found_is_not_within_the_margin_of_numbers_of_whole_pictures():
    subject = pictured.pair(0, (1500, 1000), brighter=10)
    encoded = encode_inputs(subject.test, subject.current)
    whole, linear = drift_size(Eyes(replace(encoded, patches=None), seed=0))
    size, same = drift_size(Eyes(encoded, seed=0))
    assert whole.high < 0.05 and size.low > 0.4 and same.mean == linear.mean


def test_blocks_of_time_whose_patches_differ_widen_the_margin():
    rng, marks = np.random.default_rng(0), np.repeat(np.random.default_rng(1).integers(0, 14, (8, 2)), 60, axis=0)
    patches = rng.normal(128, 20, (480, 14, 14, 1)).astype("float32")
    patches[np.arange(480), marks[:, 0], marks[:, 1], 0] += 60
    numbers = (Column("brightness", rng.standard_normal(480)),)
    rows = Rows(numbers, np.arange(480), has_units=True, patches=patches)
    encoded = encode_inputs(rows, rows.take(np.arange(0))).with_sides(np.arange(480) < 240)
    margins = [
        block_margins(Eyes(replace(encoded, patches=part), seed=0, by_side=False), np.arange(480.0))[0]
        for part in (None, encoded.patches)
    ]
    assert margins[0] < 0.15 and margins[1] > 0.3


# In the check -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def marked():
    (evidence,) = shift(pictured.pair(0, (150, 150), brighter=BRIGHTER), seed=0, **BRIEF)
    return evidence


def test_a_shift_of_pictures_names_statistics_and_patches(marked):
    assert marked.samples["p"][0] <= 0.05
    tables, also = marked.settings["tables"], dict(marked.settings["also"])
    names = [row["name"] for row in tables["Columns that differ most"]]
    assert {"brightness", "contrast", "sharpness", "colourfulness"} <= set(names)
    places = {row["name"] for row in tables["Patches of the picture that differ"]}
    assert places == {f"row {row}, column {column}" for row in (1, 2) for column in (13, 14)}
    assert also["patches of the picture"] == "4 of 196 differ, in rows 1 to 2 and columns 13 to 14, from the top left"
    row = tables["Patches of the picture that differ"][0]
    assert row["difference in levels of 255"] == pytest.approx(BRIGHTER, rel=0.3) and row["p"] == 0.01


def test_a_faint_mark_in_all_pictures_does_not_pass_and_is_named_by_its_place():
    (evidence,) = shift(pictured.pair(3, (300, 200), brighter=20), seed=0, **BRIEF)
    (verdict,) = judge([evidence])
    assert verdict.outcome == "FAIL" and verdict.finding == "SHIFT BEYOND THE MARGIN"
    assert {row["name"]: row["p"] for row in evidence.settings["tables"]["Eyes"]}["patches"] <= 0.05
    assert "patches: 4 of 196 differ, in rows 1 to 2 and columns 13 to 14" in verdict.why


def test_where_nothing_is_seen_no_difference_picture_is_shown():
    (evidence,) = shift(pictured.pair(1, (60, 40)), seed=0, **BRIEF)
    assert evidence.samples["p"][0] > 0.05 and patch_gaps(evidence) is None
    assert not any("picture" in title for title, _ in figures(evidence))
    assert "patches of the picture" not in dict(evidence.settings["also"])


def test_the_difference_picture_is_drawn_with_outlines_of_the_patches_that_differ(marked):
    (title, svg) = figures(marked)[-1]
    assert "exceed" in title and svg.count("<image") == 3 and svg.count("<rect") == 4
    assert "4 of 196 patches differ" in svg


def test_the_same_seed_gives_the_same_picture_and_other_patches_change_no_verdict(marked):
    subject = pictured.pair(0, (150, 150), brighter=BRIGHTER)
    (again,) = shift(subject, seed=0, **BRIEF)
    assert all(np.array_equal(again.samples[name], marked.samples[name]) for name in marked.samples)
    assert again.settings == marked.settings


def test_words_of_patches_and_of_channels():
    gaps = pictured.gaps_of(pictured.pair(2, (60, 40)))
    assert patch_words(gaps, 0.0) == "none of 196 patches differs by itself" and patch_rows(gaps, 0.0) == []
    single = replace(gaps, p=np.where(np.arange(588).reshape(14, 14, 3) == 0, 0.01, 1.0))
    assert patch_words(single, 0.05) == "1 of 196 differs, in row 1 and column 1, from the top left"
    assert channel_names(1) == ("brightness",) and channel_names(4)[3] == "band 4"
