"""Rules on numbers alone: what is the unit, what is the family, what is allowed to decide; nothing is trained here."""

import re

import numpy as np
import pytest
from scipy import stats

from sanity.checks.faithfulness import USUAL
from sanity.controls import EXPECTED, audit
from sanity.evidence import Evidence, Gate
from sanity.network_groups import smallest_p
from sanity.pictures.crossing import OF_UNITS
from sanity.pictures.units import by_unit
from sanity.ruling import Margins, images_remedy
from sanity.statistics import krippendorff_alpha, max_t, sign_test, t_interval, wilson_interval
from sanity.verdict import judge


def judge_one(check, samples, method="any", **rest):
    sizes, gates = {"images": 24, **rest.pop("sizes", {})}, rest.pop("gates", ())
    return judge([Evidence(check, method, "net", sizes, samples, gates, **rest)])[0]


# Retraining ---------------------------------------------------------------------------------------------------------------


def judge_retraining(gained, keep=False, oracle=0.3):
    """A verdict on advantages [shares, repeats], beside an order of the network's own that has its own advantage."""
    samples = {"accuracy/random": 0.5 + gained, "accuracy/map": np.full(gained.shape, 0.5)}
    samples["accuracy/oracle"] = samples["accuracy/random"] + (oracle if keep else -oracle)
    samples["accuracy/leak"] = np.full((len(gained), 1), 0.3)
    return judge_one("retraining", samples, settings={"keep": keep}, sizes={"repeats": gained.shape[1]})


def random_order_advantages(rng, shares, repeats):
    """Advantages of an order that is worth nothing: what a repeat's order gives by chance is in all of its shares."""
    return 0.05 * rng.standard_normal(repeats) + 0.005 * rng.standard_normal((shares, repeats))


def test_shares_of_one_repeat_are_no_repeats_and_chance_passes_no_oftener_than_it_may():
    outcomes = [
        judge_retraining(random_order_advantages(np.random.default_rng(seed), 3, 6)).outcome for seed in range(400)
    ]
    assert wilson_interval(outcomes.count("PASS"), 400).high <= 0.05
    # What went before: six numbers of two orders, tested as six.
    before = [
        sign_test(random_order_advantages(np.random.default_rng(seed), 3, 2).ravel()) < 0.05 for seed in range(400)
    ]
    assert wilson_interval(np.sum(before), 400).low > 0.2


def test_six_repeats_may_pass_and_five_never():
    clear = 0.2 + random_order_advantages(np.random.default_rng(0), 2, 8) / 10
    assert (
        judge_retraining(clear[:, :6]).outcome == "PASS"
        and judge_retraining(-clear[:, :6], keep=True).outcome == "PASS"
    )
    assert judge_retraining(-clear[:, :6]).outcome == "FAIL"
    few = judge_retraining(clear[:, :5])
    assert few.outcome == "INCONCLUSIVE" and "5 repeats; fewer than 6" in few.why
    assert few.effect.mean == pytest.approx(0.2, abs=0.02) and np.isnan(few.effect.low)


def test_accuracies_that_nothing_moves_decide_nothing():
    """Holes too small to cost anything, or so large that nothing is left: the right order loses no more than any other."""
    assert judge_retraining(np.zeros((2, 6))).outcome == "INCONCLUSIVE"


def test_where_the_networks_own_order_loses_nothing_no_method_is_judged():
    for gained in (np.zeros((2, 6)), np.full((2, 6), 0.2), np.full((2, 6), -0.2)):
        for oracle in (0.0, -0.1):
            verdict = judge_retraining(gained, oracle=oracle)
            assert (verdict.outcome, verdict.finding) == ("INVALID", "ORACLE DOES NOT PASS"), verdict.sentence


# Remedies -----------------------------------------------------------------------------------------------------------------


def judge_derivative(rng, images, mean=0.062):
    """A verdict on errors around a mean that is a little above the bound of .05."""
    samples = {"error": rng.normal(mean, 0.06, images).clip(0), "rounding": np.full(images, 0.001)}
    return judge_one("derivative", samples, sizes={"images": images})


def test_as_many_images_as_an_open_verdict_asks_for_settle_it():
    rng = np.random.default_rng(0)
    unsettled = [verdict for _ in range(40) if (verdict := judge_derivative(rng, 24)).finding == "UNDECIDED"]
    remedies = [verdict.remedy for verdict in unsettled if verdict.remedy]  # A mean on the bound has none.
    counts = [int(re.search(r"About (\d+) images in place of 24 ", remedy)[1]) for remedy in remedies]
    assert len(counts) > 10 and min(counts) > 24 and all(verdict.remedy in verdict.sentence for verdict in unsettled)
    settled = [judge_derivative(rng, int(np.median(counts))).outcome != "INCONCLUSIVE" for _ in range(40)]
    assert np.mean(settled) > 0.75, (np.median(counts), np.mean(settled))


def test_between_two_bounds_no_number_of_images_settles_it():
    values = np.random.default_rng(0).normal(0.8, 0.01, (2, 12))
    assert images_remedy(values, (0.7, 0.9), Margins()) == "" and images_remedy(values, (0.9, 1.0), Margins()) == ""
    assert images_remedy(np.full((1, 12), np.nan), (0.5,), Margins()) == ""
    assert "images in place of 12" in images_remedy(
        values * [[1], [0.7]] + 0.02 * (-1.0) ** np.arange(12), (0.69, 0.9), Margins()
    )


def test_a_control_of_retraining_is_as_it_must_be_where_the_networks_own_order_loses_nothing():
    samples = {f"accuracy/{name}": np.full((2, 6), 0.5) for name in ("map", "random", "oracle")}
    verdict = judge_one("retraining", samples, method="noise", settings={"keep": False}, sizes={"repeats": 6})
    assert verdict.finding == "ORACLE DOES NOT PASS" and audit([verdict])[0].held


def test_what_would_settle_it_is_no_fewer_images_than_a_pass_needs():
    assert images_remedy(np.array([[0.1, 0.3, 0.2, 0.2]]), (0.31, 0.5), Margins()).startswith(
        "About 8 images in place of 4"
    )


# Controls -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", ["parameters", "classes", "image_crossing", "retraining"])
def test_where_the_network_is_not_competent_no_control_says_that_the_check_is_broken(check):
    """Such a check said nothing of anyone: its controls did not come out wrong."""
    gates = (Gate("maps usable", "passed", "0%"), Gate("network competent", "failed", "right on 0.42 of 12"))
    for name in EXPECTED[check]:
        verdict = judge_one(check, {}, method=name, gates=gates)
        assert verdict.finding == "GATE FAILED" and audit([verdict]) == []
    gates = (Gate("maps usable", "failed", "100%"),)
    assert all(control.held for control in audit([judge_one(check, {}, method="constant", gates=gates)]))
    edges = judge_one("parameters", {}, method="edges", gates=gates)
    assert not audit([edges])[0].held


# Faithfulness -------------------------------------------------------------------------------------------------------------


def faithfulness_evidence(strength, seed, images=24, method="any", names=USUAL, oracle=8.0):
    """Evidence of a method whose order moves the score by `strength` deviations more than random order does, the network's own by `oracle`."""
    rng = np.random.default_rng(seed)
    samples = {}
    for kind, size in (("", strength), ("oracle ", oracle)):
        for name in names:
            samples[f"{kind}z/{name}"] = size + rng.standard_normal(images)
            samples[f"{kind}above/{name}"] = samples[f"{kind}z/{name}"] - 1
    return Evidence("faithfulness", method, "net", {"images": images}, samples, ())


BLIND = [faithfulness_evidence(0, 90 + turn, method=name) for turn, name in enumerate(("edges", "noise", "centre"))]
BEATS, NO_BETTER = "BEATS RANDOM ORDER", "NO BETTER THAN RANDOM ORDER"


def test_controls_and_zeros_are_no_methods_that_images_could_agree_on():
    """Four methods of which images do not know which is better; beside blind controls they would all look well told apart."""
    alike = [faithfulness_evidence(4, turn) for turn in range(4)]
    columns = [evidence.samples["z/deletion_mean"] for evidence in [*alike, *BLIND]]
    assert (
        krippendorff_alpha(np.stack([*columns, np.zeros(24)], axis=1))
        > 0.5
        > 0.2
        > krippendorff_alpha(np.stack(columns[:4], 1))
    )
    for family in (alike, [*alike, *BLIND]):
        verdicts = judge(family)[:4]
        assert {verdict.finding for verdict in verdicts} == {"METRIC UNRELIABLE"}, verdicts[0].why
        assert {verdict.also["deletion_mean"].rpartition(" ")[2] for verdict in verdicts} == {
            f"{krippendorff_alpha(np.stack(columns[:4], 1)):.2f}"
        }


def test_methods_that_images_tell_apart_are_read():
    good, bad = judge([faithfulness_evidence(6, 0), faithfulness_evidence(-3, 1), *BLIND])[:2]
    assert good.finding == BEATS and bad.finding == NO_BETTER and "not measured" not in good.why
    assert good.ceiling.mean == pytest.approx(8, abs=0.5) and "measured, not judged" in good.sentence


@pytest.mark.parametrize("oracle", [8.0, 0.0])
@pytest.mark.parametrize("strength", [6, 1, 0, -6])
def test_perturbation_is_a_measurement_and_passes_or_fails_nothing(strength, oracle):
    for family in (
        [faithfulness_evidence(strength, 0, oracle=oracle)],
        [faithfulness_evidence(strength, 0, oracle=oracle), faithfulness_evidence(3, 1)],
    ):
        verdicts = judge(family)
        assert {verdict.outcome for verdict in verdicts} == {"INCONCLUSIVE" if oracle else "INVALID"}, verdicts[0].why


def test_metrics_that_the_networks_own_answer_does_not_pass_are_not_read():
    blind = judge([faithfulness_evidence(6, 0, oracle=0.5)])[0]
    assert (blind.outcome, blind.finding) == ("INVALID", "ORACLE DOES NOT PASS")
    assert "the network's own answer" in blind.sentence and "as z: deletion_mean 0." in blind.sentence
    half = faithfulness_evidence(6, 0)
    for name in ("deletion_mean", "insertion_mean"):
        half.samples[f"oracle above/{name}"][:] -= 9
    verdict = judge([half])[0]
    assert verdict.finding == "METRIC UNRELIABLE", "one fill alone is left"
    assert "does not pass" in verdict.also["deletion_mean"] and "does not pass" not in verdict.also["deletion_blur"]
    half.samples["oracle above/insertion_mean"][:] += 9
    assert judge([half])[0].finding == BEATS and "deletion_mean" not in judge([half])[0].why


def test_images_on_which_no_order_moves_the_score_count_for_nothing():
    def judge_first_images(count):
        evidence = faithfulness_evidence(4, 0)
        for name in USUAL:
            evidence.samples[f"z/{name}"][count:] = np.nan
            evidence.samples[f"above/{name}"][count:] = np.nan
        return judge([evidence])[0]

    assert judge_first_images(8).finding == BEATS
    for count in (1, 2, 7):
        assert (
            judge_first_images(count).finding == "UNDECIDED"
            and f"moves on {count} images" in judge_first_images(count).why
        )


def test_a_method_without_numbers_is_none_that_images_could_agree_on():
    alone, empty = faithfulness_evidence(4, 0), faithfulness_evidence(4, 1, method="empty")
    for name in USUAL:
        empty.samples[f"z/{name}"][:] = np.nan
    assert "reliability not measured" in judge([alone, empty])[0].why


@pytest.mark.parametrize("beside", [[], BLIND])
def test_one_method_is_read_by_its_own_intervals_and_the_reliability_is_said_to_be_unmeasured(beside):
    good = judge([faithfulness_evidence(6, 0), *beside])[0]
    assert good.finding == BEATS and "reliability not measured" in good.why
    assert judge([faithfulness_evidence(0, 0), *beside])[0].finding in (NO_BETTER, "UNDECIDED")
    one_fill = faithfulness_evidence(6, 0, names=("deletion_mean", "insertion_mean"))
    assert judge([one_fill, *beside])[0].finding == "METRIC UNRELIABLE"


# Completeness -------------------------------------------------------------------------------------------------------------


def judge_completeness(gap, error, promised=True):
    samples = {"gap": np.full(24, gap), "error": np.full(24, error)}
    return judge_one("completeness", samples, settings={"promised": promised}, sizes={"draws": 8})


@pytest.mark.parametrize(
    "gap, error, outcome",
    [
        (0.01, 0.0, "PASS"),
        (0.01, 0.03, "PASS"),
        (0.01, 0.05, "INCONCLUSIVE"),
        (0.3, 0.1, "FAIL"),
        (0.3, 0.28, "INCONCLUSIVE"),
    ],
)
def test_a_gap_decides_only_beyond_its_own_error(gap, error, outcome):
    assert judge_completeness(gap, error).outcome == outcome
    assert judge_completeness(gap, error, promised=False).outcome == ("INCONCLUSIVE" if outcome == "FAIL" else outcome)


# Entropy ------------------------------------------------------------------------------------------------------------------


def test_the_direction_of_entropy_is_that_of_the_test():
    """One network of three falls far, two rise a little: by image the mean falls everywhere, though most numbers rise."""
    rise = np.stack([np.full(24, -0.5), np.full(24, 0.1), np.full(24, 0.1)])
    verdict = judge_one("entropy", {"increase": rise}, sizes={"networks": 3})
    assert verdict.finding == "FELL" and verdict.p < 0.05
    assert judge_one("entropy", {"increase": -rise}).finding == "ROSE"
    assert judge_one("entropy", {"increase": np.tile([1.0, -1.0], (3, 12))}).finding == "UNCHANGED"


# Implementation -----------------------------------------------------------------------------------------------------------


def judge_counterparts(*counterparts):
    samples = {}
    for turn, (distance, scaled, factor) in enumerate(counterparts):
        samples[f"distance/other_{turn}"] = np.full(24, distance)
        samples[f"scaled/other_{turn}"] = np.full(24, scaled)
        samples[f"scale/other_{turn}"] = np.broadcast_to(factor, 24)
    return judge_one("implementation", samples)


def test_a_factor_is_no_other_implementation_and_a_sign_is_said():
    same, other, turned = (0.0, 0.0, 1.0), (0.9, 0.8, 0.3), (2.0, 0.0, -1.0)
    assert judge_counterparts(same).outcome == "PASS" and judge_counterparts(same).why == "with other_0"
    free = judge_counterparts(same, (0.9, 0.0, np.linspace(2, 10, 24)))
    assert (free.outcome, free.finding) == ("PASS", "AGREES") and "factors of 2 to 10" in free.sentence
    sign = judge_counterparts(same, turned)
    assert (sign.outcome, sign.finding) == ("INCONCLUSIVE", "OTHER SIGN") and "-1" in sign.why
    assert (
        judge_counterparts(turned, other).finding == "DISAGREES" and judge_counterparts(same, other).outcome == "FAIL"
    )
    assert judge_counterparts((0.9, 0.0, np.resize([1.0, -1.0], 24))).finding == "OTHER SIGN"


# Pictures -----------------------------------------------------------------------------------------------------------------


def picture_evidence(check, name, values):
    samples = {name: np.asarray(values), "units": np.arange(len(values))}
    return by_unit(Evidence(check, "maximize", "net", {}, samples, ()), {name: 0})


def judge_units(rows):
    """The verdicts on each unit, and the one on all of them."""
    *units, overall = judge(rows)
    return units, overall


@pytest.mark.parametrize("check, name", [("stability", "silhouette"), ("prior", "excess")])
def test_no_word_rests_on_a_bootstrap_over_two(check, name):
    """Two pictures give one of three means, never an interval: units are judged together, of six or more."""
    rng = np.random.default_rng(0)
    honest, blind = 0.4 + 0.1 * rng.standard_normal((8, 2)), 0.2 * rng.standard_normal((8, 2))
    for values, outcome in ((honest, "PASS"), (blind, "FAIL")):
        units, overall = judge_units(picture_evidence(check, name, values))
        assert {verdict.outcome for verdict in units} == {"INCONCLUSIVE"}
        assert f"{values[0].mean():.2f}. " in units[0].sentence + " " and "fewer than 6" in units[0].why
        assert overall.outcome == outcome
        assert judge_units(picture_evidence(check, name, values[:5]))[1].outcome == "INCONCLUSIVE"
    many = 0.4 + 0.1 * rng.standard_normal((3, 6))
    assert {verdict.outcome for verdict in judge_units(picture_evidence(check, name, many))[0]} == {"PASS"}
    assert judge_units(picture_evidence(check, name, rng.standard_normal((6, 2))))[1].outcome == "FAIL"


def test_blind_pictures_are_cleared_no_oftener_than_an_interval_errs():
    blind = [np.random.default_rng(seed).standard_normal((6, 2)) for seed in range(400)]
    cleared = sum(
        judge_units(picture_evidence("stability", "silhouette", silhouettes))[1].passed for silhouettes in blind
    )
    assert wilson_interval(cleared, 400).low <= 0.025 and wilson_interval(cleared, 400).high < 0.06


def predictivity_evidence(units, null):
    """Evidence of `predictivity` where every unit's pictures go with its own natural images."""
    decided, lead = (np.stack([np.full(units, 1.0) + shift for shift in (0, -0.2, 0.2)]) for _ in range(2))
    samples = {"decided": decided, "lead": lead, "rival": np.zeros(units), "null": np.array(null)}
    known = np.array([0.5, *np.zeros(600)])
    samples |= {"known": known, "units": np.arange(units)}
    return Evidence("predictivity", "maximize", "net", {}, samples, ())


def judge_predictivity(evidence):
    return judge_units(by_unit(evidence, OF_UNITS))


def test_pictures_dealt_among_few_units_test_nothing():
    """Of three units there are six ways to deal: whatever the pictures, p is never below .05, and no FAIL follows from that."""
    three, six, dealt = [0.5, 0, 0, 0, 0, 0], np.zeros(600), [0.5, *np.zeros(9)]
    cases = ((3, np.resize(three, 600), "INCONCLUSIVE"), (6, six, "PASS"), (6, np.resize(dealt, 600), "FAIL"))
    for units, null, outcome in cases:
        overall = judge_predictivity(predictivity_evidence(units, [0.5, *null]))[1]
        assert overall.outcome == outcome and ("other units do as well" in overall.sentence) == (outcome == "FAIL")


@pytest.mark.parametrize(
    "share, lead, outcome",
    [
        ((0.9, 0.5, 1.3), (1, 0.5, 1.5), "PASS"),
        ((0.4, 0.1, 0.7), (0.1, -0.2, 0.4), "INCONCLUSIVE"),
        ((0.1, 0, 0.2), (0.1, -0.2, 0.4), "FAIL"),
        ((0.4, 0.1, 0.7), (-1, -1.5, -0.5), "FAIL"),
        ((0.9, 0.5, 1.3), (-1, -1.5, -0.5), "INCONCLUSIVE"),
        ((np.nan, np.nan, np.nan), (-1, -1.5, -0.5), "INCONCLUSIVE"),
    ],
)
def test_a_unit_gets_an_outcome_where_its_interval_allows(share, lead, outcome):
    evidence = predictivity_evidence(6, [0.5, *np.zeros(600)])
    evidence.samples["decided"][:, 2], evidence.samples["lead"][:, 2] = share, lead
    outcomes = [verdict.outcome for verdict in judge_predictivity(evidence)[0]]
    assert outcomes == ["PASS", "PASS", outcome, "PASS", "PASS", "PASS"]


@pytest.mark.parametrize("null", [[0.5, *np.zeros(600)], [0.5] * 601])
def test_pictures_are_not_judged_where_natural_images_do_no_better_than_dealt(null):
    evidence = predictivity_evidence(6, null)
    evidence.samples["known"][:] = 0.5
    overall = judge_predictivity(evidence)[1]
    assert overall.outcome == "INCONCLUSIVE" and "natural images" in overall.why and overall.p is None


def test_all_units_fail_where_half_of_them_do_however_small_p():
    evidence = predictivity_evidence(6, [0.5, *np.zeros(600)])
    evidence.samples["decided"][:, :3] = np.array([0.1, 0, 0.2])[:, None]
    assert judge_predictivity(evidence)[1].outcome == "FAIL"


def test_an_interval_over_fewer_than_six_units_is_refused():
    five = t_interval([1.0, 2, 3, 4, 5, np.nan])
    assert five.mean == 3 and np.isnan(five.low) and str(five) == "3.00"
    six = t_interval([1.0, 2, 3, 4, 5, 6])
    expected = stats.ttest_1samp([1, 2, 3, 4, 5, 6], 0).confidence_interval()
    assert (six.mean, six.low, six.high) == pytest.approx((3.5, expected.low, expected.high))


# Groups of networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first, second", [(2, 4), (3, 3), (4, 4)])
def test_the_smallest_p_is_that_of_the_clearest_split(first, second):
    similarity = np.full((first + second,) * 2, 0.1)
    similarity[:first, :first] = similarity[first:, first:] = 0.9
    assert max_t([similarity], first)[0] == pytest.approx(smallest_p(first, second))
