"""Counterparts: what a network does with inputs that were edited to the other group, in worlds whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from sanity.audit.counterparts import COUNTERPARTS, Counterparts, balanced_change, balanced_share
from sanity.audit.legitimate import list_contrasts
from sanity.audit.rows import Column
from sanity.audit.sheet import ColumnSheet, Sheet
from sanity.audit.swaps import read_swaps
from sanity.checks.proxy_use import UNUSED, USED, proxy_use
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds.counterparts import SHEET, subject_of


def score(logits):
    return logits[:, 1] - logits[:, 0]


def pairs_of(subject, seed=0, legitimate=("age",)):
    (contrast,), _ = list_contrasts(subject.test.protected[0])
    return Counterparts(contrast, subject.test, list(legitimate), score, seed=seed)


def verdict_of(subject, **options):
    (row,) = judge(proxy_use(subject, seed=0, **{"draws": 99, "tries": 20} | options))
    return row


def p_of(subject, seed, **options):
    (p,), _ = read_swaps([pairs_of(subject, seed, **options).measure(99, 1, 0.02, 0.95)], 0.05, 1)
    return p[0]


# Worlds -------------------------------------------------------------------------------------------------------------------


def test_a_network_that_reads_the_group_uses_it():
    row = verdict_of(subject_of(0, use=0.5))
    assert (row.outcome, row.finding) == ("FAIL", USED) and "counterparts of the other group" in row.sentence
    # Of normal scores of deviation 1.56, half a unit turns so many decisions.
    assert row.effect.mean == pytest.approx(0.128, abs=0.03)


def test_a_network_that_does_not_passes_and_planted_use_is_found():
    row = verdict_of(subject_of(0))
    assert (row.outcome, row.finding) == ("PASS", UNUSED) and row.effect.mean == 0 < row.effect.high < 0.02


def test_what_an_edit_does_by_itself_is_no_use():
    """Editing lowers every score, in groups of any size. A mean over all rows would call it use."""
    subject = subject_of(0, artefact=-0.6, share=0.75, rows=3000)
    row = verdict_of(subject)
    assert row.finding == UNUSED and abs(row.effect.mean) < 0.02
    problem = pairs_of(subject)
    turned = (problem.scores[:, 0] >= 0).astype(float) - (problem.scores[:, 1] >= 0)
    assert abs(np.where(problem.members == 1, turned, -turned).mean()) > 0.05


def test_use_and_artefact_are_told_apart():
    row = verdict_of(subject_of(1, use=0.5, artefact=-0.6, share=0.7))
    assert row.finding == USED and row.effect.mean == pytest.approx(0.12, abs=0.035)


# Oracles ------------------------------------------------------------------------------------------------------------------


def test_changes_are_those_of_a_slow_loop():
    rng = np.random.default_rng(0)
    members, changes = rng.integers(2, size=(3, 40)).astype(float), rng.normal(size=40)
    for row, value in zip(members, balanced_change(members, changes)):
        inside = [change for change, member in zip(changes, row) if member]
        outside = [-change for change, member in zip(changes, row) if not member]
        assert value == pytest.approx((np.mean(inside) + np.mean(outside)) / 2)
    assert balanced_change(np.ones((1, 4)), np.arange(4.0)).tolist() == [0]


def test_the_interval_covers_the_share_of_all_pairs_by_unit():
    """Persons of four pictures: those of rows would be half as wide."""
    large = pairs_of(subject_of(99, use=0.4, rows=200_000))._shares(0.95)[0][0]
    held, naive = 0, 0
    for seed in range(150):
        subject = subject_of(seed, use=0.4, rows=800, persons=4)
        rows = replace(subject, test=replace(subject.test, units=np.arange(800)))
        (_, low, high), (_, first, last) = (pairs_of(one)._shares(0.95)[0] for one in (subject, rows))
        held += low <= large <= high
        naive += first <= large <= last
    assert wilson_interval(150 - held, 150).low <= 0.05 < wilson_interval(150 - naive, 150).low


def test_noise_of_edits_alarms_at_the_level_and_use_is_found():
    worlds = [subject_of(seed, noise=0.8, artefact=0.3, rows=600) for seed in range(100)]
    alarms = [p_of(subject, seed) <= 0.05 for seed, subject in enumerate(worlds)]
    assert wilson_interval(sum(alarms), 100).low <= 0.05, np.mean(alarms)
    found = [p_of(subject_of(seed, use=0.2, noise=0.8, rows=600), seed) <= 0.05 for seed in range(30)]
    assert np.mean(found) >= 0.9


def test_bounds_hold_where_few_decisions_turn_and_one_group_is_small():
    """The upper bound was below the truth in .21 of samples of 30 members, since none of them turned or one did."""
    rng, missed, below = np.random.default_rng(0), 0, 0
    members = (np.arange(300) < 30).astype(float)
    for _ in range(600):
        turned = np.where(members == 1, 1.0, -1.0) * (rng.random(300) < np.where(members == 1, 0.05, 0.0))
        share, low, high = balanced_share(members, turned, np.arange(300), 0.95)
        missed, below = missed + (not low <= 0.025 <= high), below + (high < 0.02)
        assert low <= share <= high
    assert wilson_interval(missed, 600).low <= 0.05 and wilson_interval(below, 600).low <= 0.025
    none = balanced_share(members, np.zeros(300), np.arange(300), 0.95)
    assert none[0] == 0 and none[2] > 0.02, "none of 30 that turns is no share within the margin"
    assert balanced_share(np.arange(300) % 2.0, np.zeros(300), np.arange(300), 0.95)[2] < 0.02


def test_bounds_of_many_turned_decisions_are_those_of_leaving_units_out():
    rng = np.random.default_rng(1)
    members, units = (np.arange(2400) % 3 == 0).astype(float), np.repeat(np.arange(600), 4)
    turned = rng.integers(-1, 2, size=600)[units] * (rng.random(2400) < 0.8)
    share, low, high = balanced_share(members, turned, units, 0.95)
    left = [balanced_change(members[None, units != unit], turned[units != unit])[0] for unit in range(600)]
    error = np.sqrt(599 / 600 * ((left - np.mean(left)) ** 2).sum())
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.03) and (high + low) / 2 == pytest.approx(
        share, abs=0.003
    )


# Gates and edges ----------------------------------------------------------------------------------------------------------


def test_rows_without_a_counterpart_are_left_out_and_no_legitimate_column_is_needed():
    subject = subject_of(3, use=0.5)
    logits = subject.test.counterparts["sex"].copy()
    logits[::3] = np.nan
    sheet = Sheet(rows_are_units=True, columns={"sex": ColumnSheet(roles=("protected",))})
    row = verdict_of(replace(subject, sheet=sheet, test=replace(subject.test, counterparts={"sex": logits})))
    assert row.finding == USED and row.sizes["rows"] == 800
    assert (subject.test.take([4, 2]).counterparts["sex"] == subject.test.counterparts["sex"][[4, 2]]).all()


def with_race(subject, values, levels=("a", "b"), **counterparts):
    """The subject with a second protected column."""
    race = Column("race", values.astype(float), levels)
    columns = {**SHEET.columns, "race": ColumnSheet(roles=("protected",))}
    test = replace(subject.test, protected=(*subject.test.protected, race), counterparts=counterparts)
    return replace(subject, test=test, sheet=SHEET.model_copy(update={"columns": columns}))


def test_a_column_of_three_groups_has_no_single_other_one_and_takes_no_verdict_of_another():
    subject = subject_of(0, use=0.5)
    column, logits = Column("sex", np.arange(1200) % 3.0, ("f", "m", "x")), subject.test.counterparts["sex"]
    row = verdict_of(replace(subject, test=replace(subject.test, protected=(column,))))
    assert row.finding == "NOT APPLICABLE" and "two groups" in row.sentence
    row = verdict_of(with_race(subject, np.arange(1200) % 3, ("a", "b", "c"), sex=logits, race=logits))
    assert (row.method, row.finding) == ("sex = m", USED) and "it has 3" in row.also["use of race"]


def test_a_protected_column_without_counterparts_is_named():
    subject = subject_of(0, use=0.5)
    row = verdict_of(with_race(subject, np.arange(1200) // 2 % 2, sex=subject.test.counterparts["sex"]))
    assert row.finding == USED and "not asked about" in row.also["use of race"]


def test_each_column_has_the_rows_that_have_its_counterpart():
    subject = subject_of(0, use=0.8)
    first, second = (subject.test.counterparts["sex"].copy() for _ in range(2))
    first[:600], second[600:] = np.nan, np.nan
    both = with_race(subject, subject.test.protected[0].values, sex=first, race=second)
    rows = judge(proxy_use(both, seed=0, draws=99, tries=4))
    assert [(row.method, row.finding, row.sizes["rows"]) for row in rows] == [
        ("sex = m", USED, 600),
        ("race = b", USED, 600),
    ]


def test_counterparts_that_are_the_inputs_themselves_are_left_out():
    """They turn nothing, whatever the network reads."""
    subject = subject_of(0, use=0.5)
    idle = replace(subject.test, counterparts={"sex": subject.test.logits}, unedited={"sex": np.ones(1200, bool)})
    row = verdict_of(replace(subject, test=idle))
    assert row.outcome == "INVALID" and "the input itself" in row.sentence
    same = np.arange(1200) % 2 == 0
    logits = np.where(same[:, None], subject.test.logits, subject.test.counterparts["sex"])
    both = with_race(subject, np.arange(1200) // 2 % 2, sex=subject.test.counterparts["sex"], race=subject.test.logits)
    row = verdict_of(replace(both, test=replace(both.test, unedited={"race": np.ones(1200, bool)})))
    assert row.finding == USED and "no row has a counterpart that is another input" in row.also["use of race"]
    half = replace(subject.test, counterparts={"sex": logits}, unedited={"sex": same})
    row = verdict_of(replace(subject, test=half))
    assert row.finding == USED and row.sizes["rows"] == 600
    assert row.also["counterparts of sex that are the input itself"] == "600, left out."


def test_edges_end_in_a_verdict():
    subject = subject_of(0, rows=200)
    none = replace(subject.test, counterparts={"sex": np.full((200, 2), np.nan)})
    few = np.where(np.arange(200)[:, None] < 20, subject.test.counterparts["sex"], np.nan)
    constant = replace(subject.test, logits=np.zeros((200, 2)), counterparts={"sex": np.zeros((200, 2))})
    outcomes = {}
    for name, test in (("none", none), ("few", replace(none, counterparts={"sex": few})), ("constant", constant)):
        row = verdict_of(replace(subject, test=test), draws=19, tries=2)
        outcomes[name] = row.outcome
        assert row.p is None or row.p > 0
    assert outcomes["none"] == outcomes["few"] == "INVALID" and outcomes["constant"] in ("INCONCLUSIVE", "PASS")


def test_the_same_seed_gives_the_same_bytes_and_orders_do_not_matter():
    subject = subject_of(2, use=0.5, noise=0.3)
    first, again = (proxy_use(subject, seed=3, draws=49, tries=2)[0] for _ in range(2))
    assert all(first.samples[name].tobytes() == again.samples[name].tobytes() for name in first.samples)
    order = np.random.default_rng(0).permutation(1200)
    other = replace(subject, test=subject.test.take(order))
    assert verdict_of(other).finding == verdict_of(subject).finding == USED
    assert first.settings["candidates"] == [COUNTERPARTS]
