"""Proxies: what a layer says of a protected column, and what swaps of other columns do, in worlds with hand-set weights."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sanity.audit.decoding import areas_of, components, probe_auc
from sanity.audit.legitimate import fit_odds, list_contrasts, odds_on_half
from sanity.audit.rows import Column
from sanity.audit.sheet import ColumnSheet
from sanity.audit.swaps import (
    donor_weights,
    influence_of_units,
    match_donors,
    mean_changes,
    read_swaps,
    swapped_scores,
)
from sanity.checks.decodable import ENCODED, NOT_DECODABLE, decodable
from sanity.checks.proxy_use import UNUSED, USED, proxy_use
from sanity.statistics import wilson_interval
from sanity.verdict import judge
from tests.audit_worlds.measures import decoded_p, is_above_chance, log_odds, swap_of
from tests.audit_worlds.proxies import LEGITIMATE, NOISE, PROXY, world
from tests.readability import longest


def verdict_of(check, subject, **options):
    return judge(check(subject, seed=0, **{"draws": 99, "tries": 20} | options))[0]


# Oracles ------------------------------------------------------------------------------------------------------------------


def test_odds_are_those_of_logistic_regression():
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(400), rng.normal(size=(400, 3))])
    members = (rng.random(400) < 1 / (1 + np.exp(-features[:, 1] + 0.5))).astype(float)
    model = LogisticRegression(C=1.0, tol=1e-8).fit(features[:, 1:], members)
    expected = model.predict_proba(features[:, 1:])[:, 1]
    np.testing.assert_allclose(fit_odds(features, members, np.ones(400, bool)), expected, atol=1e-4)


def test_the_area_is_that_of_sklearn_with_ties():
    rng = np.random.default_rng(0)
    scores, members = rng.integers(6, size=(5, 80)).astype(float), rng.integers(2, size=(5, 80)).astype(float)
    expected = [roc_auc_score(*pair) for pair in zip(members, scores)]
    np.testing.assert_allclose(areas_of(scores, members), expected)
    assert areas_of(scores, np.ones((5, 80))).tolist() == [0.5] * 5


def test_the_probe_is_a_ridge():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    values, members = components(rng.normal(size=(200, 6))), rng.integers(2, size=(1, 200)).astype(float)
    fitted = np.arange(200) < 100
    centred = members[0, fitted] - members[0, fitted].mean()
    model = Ridge(alpha=0.05 * 100, fit_intercept=False).fit(values[fitted], centred)
    expected = roc_auc_score(members[0, ~fitted], model.predict(values[~fitted]))
    assert probe_auc(values, members, fitted)[0] == pytest.approx(expected)


def test_swaps_are_those_of_a_slow_loop():
    subject, rng = world(0, "used", 60), np.random.default_rng(0)
    inputs, members = subject.test.inputs, rng.integers(2, size=60).astype(float)
    donors = match_donors(rng.random(60), seed=0, donors=5)
    scores = swapped_scores(subject.predict, inputs, (1,), donors, log_odds)
    differences = []
    for row in range(60):
        sides = {0: [], 1: []}
        for place, donor in enumerate(donors[row]):
            assert donor != row
            swapped = inputs[row].copy()
            swapped[1] = inputs[donor, 1]
            value = log_odds(subject.predict(swapped[None]))[0]
            assert value == pytest.approx(scores[row, place], rel=1e-6)
            sides[members[donor]].append(value)
        if sides[0] and sides[1]:
            differences.append(np.mean(sides[1]) - np.mean(sides[0]))
    assert (donor_weights(members[None], donors)[0] * scores).sum() == pytest.approx(np.mean(differences))
    assert mean_changes(members[None], scores[None], donors)[0, 0] == pytest.approx(np.mean(differences))


def test_the_influence_of_units_is_what_leaving_weight_out_does():
    """Of one donor whose weight is halved in the ratio, by finite differences."""
    rng = np.random.default_rng(0)
    donors, members, values = match_donors(rng.random(40), seed=0, donors=9), np.arange(40) % 2.0, rng.random((40, 9))
    weights = donor_weights(members[None], donors)[0]
    influence = influence_of_units(weights, values, donors, members, np.arange(40))

    def weighted(mass):
        inside = mass[donors] * (members[donors] == 1)
        outside = mass[donors] * (members[donors] == 0)
        means = (inside * values).sum(1) / inside.sum(1) - (outside * values).sum(1) / outside.sum(1)
        return (mass * means).sum() / mass.sum()

    for row in (0, 7, 20):
        mass = np.ones(40)
        mass[row] += 1e-5
        assert influence[row] == pytest.approx((weighted(mass) - weighted(np.ones(40))) / 1e-5, abs=1e-4)


# The three arms -----------------------------------------------------------------------------------------------------------


def test_no_stand_in_is_neither_encoded_nor_used():
    assert verdict_of(decodable, world(0, "none", 4000)).finding == NOT_DECODABLE
    row = verdict_of(proxy_use, world(0, "none", 4000))
    assert (row.outcome, row.finding) == ("PASS", UNUSED)


def test_a_stand_in_that_is_encoded_and_not_used():
    row = verdict_of(decodable, world(0, "encoded"))
    assert (row.outcome, row.finding) == ("INCONCLUSIVE", ENCODED)
    assert verdict_of(proxy_use, world(0, "encoded", 4000)).finding == UNUSED


def test_a_stand_in_that_is_used_is_named():
    row = verdict_of(proxy_use, world(0, "used"))
    assert (row.outcome, row.finding) == ("FAIL", USED) and PROXY in row.sentence
    from recipes.report.audited import proxy_use as pictures

    ((_, svg),) = pictures.figures(proxy_use(world(0, "used", 400), seed=0, draws=19, tries=2)[0])
    assert PROXY in svg and "margin" in svg
    table = next(iter(row.settings["tables"].values()))
    assert table[0]["share of decisions"] > 0.2 and table[-1]["column"] == NOISE


def test_a_protected_input_is_said_first():
    for check in (decodable, proxy_use):
        row = verdict_of(check, world(0, "input"))
        words = row.sentence.split(": ", 1)[1]
        assert words.startswith("sex is an input of the network"), words
    assert row.finding == USED


def test_sentences_are_short_and_promise_nothing():
    forbidden = ("fair", "unbiased", "compliant", "safe", "robust", "discriminates", "causes", "caused by")
    for check in (decodable, proxy_use):
        for arm in ("none", "used", "input"):
            row = verdict_of(check, world(1, arm, 400), draws=39)
            assert len(longest(row.sentence)) <= 25 and row.cannot.startswith("Cannot conclude"), row.sentence
            assert not any(word in row.sentence.lower() for word in forbidden)


# Error rates --------------------------------------------------------------------------------------------------------------


def test_a_column_that_says_nothing_beyond_is_not_found_and_a_probe_above_chance_is():
    worlds = [world(seed, "none", 600) for seed in range(100)]
    alarms = [decoded_p(subject, seed) <= 0.05 for seed, subject in enumerate(worlds)]
    naive = [is_above_chance(subject) for subject in worlds[:40]]
    assert wilson_interval(sum(alarms), 100).low <= 0.05, np.mean(alarms)
    assert wilson_interval(sum(naive), 40).low > 0.5


def swap_findings(arm, worlds, rows=1000, **options):
    """For each world p over columns, whether the interval of any column lies beyond the margin, and p of each alone."""
    smallest, beyond, alone = [], [], []
    for seed in range(worlds):
        swapped = swap_of(world(seed, arm, rows, **options), seed).measure(79, 1, 0.02, 1 - 0.05 / 3)
        (p,), _ = read_swaps([swapped], 0.05, 1)
        smallest.append(p[:-1].min())
        beyond.append(bool((p[:-1] <= 0.05).any() and (np.abs(swapped.shares) - 0.02)[:, 0].max() > 0))
        beyond[-1] &= bool((np.maximum(swapped.shares[:, 1], -swapped.shares[:, 2]) > 0.02).any())
        alone.append((swapped.distances >= swapped.distances[0] - 1e-9).mean(axis=0).min())
    return np.array(smallest), np.array(beyond), np.array(alone)


def test_swaps_are_silent_where_nothing_is_used():
    p, beyond, _ = swap_findings("none", 60, 600)
    assert wilson_interval(int((p <= 0.05).sum()), 60).low <= 0.05 and beyond.mean() <= 0.05


def test_a_little_use_is_found_by_p_and_is_not_called_use_beyond_the_margin():
    """What a network fitted to finite data does with a column that it does not need: p alone says that it is used."""
    p, beyond, alone = swap_findings("used", 15, 2000, use=0.02)
    assert (alone <= 0.05).mean() >= 0.8 and (p <= 0.05).mean() >= 0.6 and beyond.mean() <= 0.1


def test_use_of_a_tenth_of_decisions_is_found_beyond_the_margin():
    _, beyond, _ = swap_findings("used", 12, 2000, use=0.35)
    assert beyond.mean() >= 0.9


def test_persons_are_drawn_anew_as_a_whole():
    worlds = [world(seed, "none", 800, persons=4) for seed in range(60)]
    alarms = [decoded_p(subject) <= 0.05 for subject in worlds]
    alone = [replace(subject, test=replace(subject.test, units=np.arange(800))) for subject in worlds]
    naive = [decoded_p(subject) <= 0.05 for subject in alone]
    assert wilson_interval(sum(alarms), 60).low <= 0.05 < wilson_interval(sum(naive), 60).low


# Gates and edges ----------------------------------------------------------------------------------------------------------


def test_expectations_that_do_not_hold_make_it_invalid():
    """The group depends on a saw tooth of the legitimate column, which squares do not see."""
    subject = world(0, "none")
    values = subject.test.column(LEGITIMATE).values
    saw = (np.floor(2 * values) % 2 == 0) ^ (np.random.default_rng(0).random(2000) < 0.2)
    skewed = np.where(np.abs(values) > 1.2, values > 0, saw).astype(float)
    rows = replace(subject.test, protected=(Column("sex", skewed, ("f", "m")),))
    assert verdict_of(decodable, replace(subject, test=rows)).outcome == "INVALID"


def test_what_is_lacking_is_named():
    subject = world(0, "used", 400)
    sheet = subject.sheet.model_copy(update={"columns": {"sex": ColumnSheet(roles=("protected",))}})
    row = verdict_of(proxy_use, replace(subject, sheet=sheet))
    assert row.finding == "NOT APPLICABLE" and 'roles = ["legitimate"]' in row.sentence
    row = verdict_of(proxy_use, replace(subject, predict=None))
    assert row.finding == "NOT APPLICABLE" and "images and text need a column with counterpart_of" in row.sentence
    row = verdict_of(decodable, replace(subject, test=replace(subject.test, features=None)))
    assert row.finding == "NOT APPLICABLE"
    row = verdict_of(decodable, replace(subject, test=replace(subject.test, protected=())))
    assert row.finding == "NOT APPLICABLE" and 'roles = ["protected"]' in row.sentence


def test_a_protected_column_is_not_legitimate_for_itself_and_unknown_ones_are_left_out():
    subject = world(0, "encoded", 400)
    roles = {"sex": ColumnSheet(roles=("protected", "legitimate")), "gone": ColumnSheet(roles=("legitimate", "id"))}
    sheet = subject.sheet.model_copy(update={"columns": roles | {LEGITIMATE: ColumnSheet(roles=("legitimate",))}})
    assert verdict_of(decodable, replace(subject, sheet=sheet)).finding == ENCODED
    assert verdict_of(proxy_use, replace(subject, sheet=sheet)).outcome != "INVALID"


def test_rows_whose_group_is_missing_and_small_groups_are_said():
    subject = world(0, "used", 600)
    values = np.where(np.arange(600) < 100, np.nan, np.arange(600) % 2.0)
    values[[300, 301]] = 2
    rows = replace(subject.test, protected=(Column("sex", values, ("f", "m", "x")),))
    for check in (decodable, proxy_use):
        row = verdict_of(check, replace(subject, test=rows), draws=39, tries=5)
        assert row.sizes["rows"] == 500 and {"group": "sex = x"} in list(row.settings["tables"].values())[-1]


def edge_cases():
    subject = world(0, "used", 200)

    def protected(values):
        column = Column("sex", np.asarray(values, float), ("f", "m", "unseen"))
        return replace(subject, test=replace(subject.test, protected=(column,)))

    yield "one group", protected(np.zeros(200))
    yield "group of 1", protected(np.arange(200) == 0)
    yield "all missing", protected(np.full(200, np.nan))
    yield "half missing", protected(np.r_[np.full(100, np.nan), np.arange(100) % 2])
    yield "one unit", replace(subject, test=replace(subject.test, units=np.zeros(200, int)))
    yield "few units", replace(subject, test=replace(subject.test, units=np.arange(200) // 50))
    yield "constant features", replace(subject, test=replace(subject.test, features=np.ones((200, 3), "float32")))
    yield "nan features", replace(subject, test=replace(subject.test, features=np.full((200, 3), np.nan, "float32")))
    constant = replace(subject, predict=lambda inputs: np.zeros((len(inputs), 2)))
    yield "constant network", replace(constant, test=replace(subject.test, logits=np.zeros((200, 2))))
    columns = [replace(column, values=np.full(200, np.nan)) for column in subject.test.columns]
    yield "legitimate missing", replace(subject, test=replace(subject.test, columns=tuple(columns)))
    yield "few rows", replace(subject, test=subject.test.take(np.arange(9)))


# What each check says of an edge: INVALID where nothing is listed.
SAID = {
    "half missing": ("INCONCLUSIVE", "INCONCLUSIVE"),
    "constant features": ("INCONCLUSIVE", "FAIL"),
    "nan features": ("INVALID", "FAIL"),
    "constant network": ("INCONCLUSIVE", "INCONCLUSIVE"),
    "legitimate missing": ("INCONCLUSIVE", "FAIL"),
}


@pytest.mark.parametrize("name, subject", list(edge_cases()), ids=lambda value: value if isinstance(value, str) else "")
def test_edges_end_in_a_verdict(name, subject):
    for check, outcome in zip((decodable, proxy_use), SAID.get(name, ("INVALID", "INVALID"))):
        for row in judge(check(subject, seed=0, draws=19, tries=2)):
            assert row.outcome == outcome and row.sentence.endswith((".", ")")), row.sentence
            assert row.p is None or row.p > 0


def test_several_groups_are_compared_with_the_rest():
    rows = judge(proxy_use(world(0, "used", groups=3), seed=0, draws=99, tries=5))
    assert [row.method for row in rows] == ["sex = f", "sex = m", "sex = x"]
    findings = {row.method[-1]: row.finding for row in rows}
    # The group in the middle has the mean of both others in every column.
    assert findings["f"] == findings["x"] == USED != findings["m"]
    ages = Column("age", np.r_[np.arange(99.0), np.nan])
    (contrast,), few = list_contrasts(ages)
    assert contrast.name == "age = above 49" and contrast.members.sum() == 49 and few == []


def test_the_same_seed_gives_the_same_bytes_and_scales_and_orders_do_not_matter():
    subject = world(0, "used", 600)
    order = np.random.default_rng(1).permutation(600)
    for check in (decodable, proxy_use):
        first, again = (check(subject, seed=3, draws=49, tries=2)[0] for _ in range(2))
        assert all(first.samples[name].tobytes() == again.samples[name].tobytes() for name in first.samples)
        others = world(0, "used", 600, scale=1000.0), replace(subject, test=subject.test.take(order))
        finding = verdict_of(check, subject).finding
        assert [verdict_of(check, other).finding for other in others] == [finding] * 2


def test_persons_keep_one_draw_each():
    rng = np.random.default_rng(0)
    units, members = np.arange(400) // 4, np.repeat(rng.integers(2, size=100), 4).astype(float)
    odds = odds_on_half(np.column_stack([np.ones(400), rng.normal(size=400)]), members, units, np.ones(400, bool))
    for drawn in (*odds.draw(3, seed=0), odds.roll(members, seed=0)):
        assert (np.bincount(units, drawn) % 4 == 0).all()
    # Of a hundred persons, each drawn by its own chance.
    shares, chance = odds.draw(2000, seed=1).mean(axis=1), odds.chance[::4]
    spread = np.sqrt((chance * (1 - chance)).sum()) / 100
    assert stats.kstest((shares - chance.mean()) / spread, "norm").statistic < 0.08


def test_no_more_rows_are_named_than_swaps_look_at():
    """Of 100,000 rows 4,000 were looked at, and "about 22,315 rows would settle it"."""
    (evidence, *_) = proxy_use(world(0, "encoded", rows=5000), seed=0, draws=19, tries=20)
    effect = evidence.samples["effect"]
    assert evidence.settings["rows"] == 4000 and (effect[2] - effect[1]) / 2 > 0.6 * evidence.settings["delta"]
    assert evidence.settings["needed"] == 0
