"""Crossings of units against loops by hand, planted pictures, and natural images that come from too few sources."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import lab
from lab.visualization.examples import Survey
from sanity.checks import checks
from sanity.checks.path import path_samples
from sanity.checks.predictivity import choice_samples
from sanity.evidence import Evidence
from sanity.pictures import crossing, sources
from sanity.pictures.study import Study
from sanity.pictures.units import by_unit
from sanity.ruling import Margins
from sanity.statistics import jackknife, t_interval
from sanity.verdict import judge

UNITS, IMAGES, CHANNELS = 12, 16, 120


def normalize(rows):
    rows = rows - rows.mean(axis=-1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class World:
    """Units with a direction each; natural images lie along their unit's, pictures also along one that no photograph has."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.directions = self.rng.normal(size=(UNITS, CHANNELS))
        self.picture = 3 * self.rng.normal(size=CHANNELS)

    def images(self, owners, picture=0.0):
        noise = 2 * self.rng.normal(size=(len(owners), CHANNELS))
        return normalize(self.directions[owners] + noise + picture * self.picture)

    def natural_images(self):
        owners = np.repeat(np.arange(UNITS), IMAGES)
        return self.images(owners), (owners[None] == np.arange(UNITS)[:, None]).astype("float64")

    def drawn(self, owners, picture=1.0):
        rows = self.images(np.repeat(owners, 3), picture)
        return rows.reshape(len(owners), 3, -1).mean(axis=1)


def evidence(samples, check="path"):
    return Evidence(check, "maximize", "net", {}, {"units": np.arange(UNITS), **samples}, ())


def judge_units(evidence):
    """The verdicts on each unit, and the one on all of them."""
    *units, overall = judge(by_unit(evidence, crossing.OF_UNITS))
    return units, overall


def path_verdicts(world, drawn, natural=None):
    images, weights = world.natural_images() if natural is None else natural
    samples = path_samples([images], [drawn], weights, np.arange(len(images)), seed=0)
    return judge_units(evidence(samples))


def slow_crossings(rows, pictures, natural, line):
    """Crossings by loops over pairs of units: the row less a point that stands for other units' pictures, by the natural images' gap."""
    crossed = np.full((len(rows), len(rows)), np.nan)
    for first, second in np.ndindex(crossed.shape):
        if first != second:
            rest = [unit for unit in range(len(rows)) if unit not in (first, second)]
            point, base = pictures[rest].mean(axis=0), natural[rest].mean(axis=0)
            if line:
                along = point - base
                point = base + (rows[first] - base) @ along / (along @ along) * along
            crossed[first, second] = (rows[first] - point) @ (natural[first] - natural[second])
    return crossed


def test_crossings_are_the_sums_over_other_units():
    rows, pictures, natural = np.random.default_rng(0).normal(size=(3, 7, 11))
    plain = crossing.crossings(pictures @ natural.T, rows @ natural.T)
    assert np.allclose(plain, slow_crossings(rows, pictures, natural, line=False), equal_nan=True)
    crossed = crossing.vector_crossings(rows, pictures, natural)
    assert np.allclose(crossed, slow_crossings(rows, pictures, natural, line=True), equal_nan=True)


def test_what_a_picture_or_an_image_does_for_every_unit_alike_is_exactly_zero():
    rng = np.random.default_rng(1)
    effects = rng.integers(0, 9, (8, 1)) + rng.integers(0, 9, (1, 8))
    assert np.nanmax(np.abs(crossing.crossings(effects))) < 1e-12
    one = np.tile(rng.normal(size=20), (8, 1))
    assert np.nanmax(np.abs(crossing.vector_crossings(one, one, rng.normal(size=(8, 20))))) < 1e-9


def test_a_wrong_picture_gains_nothing_from_the_right_ones_of_other_units():
    """The plain double dissociation would give it half of what a right one gets."""
    likeness = np.eye(6)
    wrong = likeness * (np.arange(6) != 2)[:, None]
    assert np.allclose(np.nanmean(crossing.crossings(wrong)[2]), 0)
    assert np.allclose(np.nanmean(crossing.crossings(likeness)[2]), 1)


def test_the_jackknife_of_a_mean_is_students_interval():
    values = np.random.default_rng(0).normal(size=(9, 2))
    replicates = np.stack([np.delete(values, row, axis=0).mean(axis=0) for row in range(9)])
    mean, low, high = jackknife(values.mean(axis=0), replicates, 8)
    for column in range(2):
        expected = t_interval(values[:, column])
        assert (mean[column], low[column], high[column]) == pytest.approx((expected.mean, expected.low, expected.high))
    assert np.isnan(jackknife(values.mean(axis=0), replicates, 4)[1:]).all()


def test_own_pictures_and_held_out_images_pass_and_those_of_another_unit_fail():
    world, order = World(0), np.arange(UNITS)
    for picture in (1.0, 0.0):
        units, overall = path_verdicts(world, world.drawn(order, picture))
        assert {verdict.outcome for verdict in units} <= {"PASS", "INCONCLUSIVE"} and overall.outcome == "PASS", picture
        units, overall = path_verdicts(world, world.drawn(np.roll(order, 1), picture))
        assert {verdict.outcome for verdict in units} == {"FAIL"} and overall.outcome == "FAIL", picture


def test_one_units_wrong_picture_fails_alone():
    """Natural images of another unit among honest pictures: what all pictures have is taken out, whichever they are."""
    world, wrong = World(1), 4
    drawn = world.drawn(np.arange(UNITS))
    for picture in (1.0, 0.0):
        drawn[wrong] = world.drawn([5], picture)[0]
        units, overall = path_verdicts(world, drawn)
        assert [verdict.scope for verdict in units if verdict.outcome == "FAIL"] == [
            f"unit {wrong}"
        ] and overall.outcome == "PASS"
        assert "unit 5" in units[wrong].why
        drawn[wrong] = world.drawn([wrong], picture)[0]
        assert not any(verdict.outcome == "FAIL" for verdict in path_verdicts(world, drawn)[0])


def test_pictures_of_a_unit_that_looks_alike_are_not_cleared():
    """They have a share of what the unit's own reach, and still go better with the natural images of the other one."""
    world, wrong = World(5), 4
    world.directions[wrong] = 0.9 * world.directions[5] + 0.6 * world.directions[wrong]
    drawn = world.drawn(np.arange(UNITS))
    assert not any(verdict.outcome == "FAIL" for verdict in path_verdicts(world, drawn)[0])
    drawn[wrong] = world.drawn([5])[0]
    units, _ = path_verdicts(world, drawn)
    assert units[wrong].effect.low > Margins().natural
    assert units[wrong].outcome == "INCONCLUSIVE" and "unit 5" in units[wrong].why


def test_pictures_of_nothing_are_cleared_by_no_unit_nor_by_all():
    world = World(2)
    noise = normalize(world.rng.normal(size=(UNITS, CHANNELS)) + world.picture)
    units, overall = path_verdicts(world, noise)
    assert "PASS" not in {verdict.outcome for verdict in units} and overall.outcome == "FAIL"


def test_units_that_natural_images_do_not_tell_apart_are_not_measured():
    world = World(3)
    world.directions[:] = world.directions[0]
    units, overall = path_verdicts(world, world.drawn(np.arange(UNITS)))
    assert (
        sum(verdict.outcome == "INCONCLUSIVE" for verdict in units) >= UNITS - 1 and overall.outcome == "INCONCLUSIVE"
    )
    images, ends, samples = world_choices(world, world.drawn(np.arange(UNITS)))
    assert judge_units(evidence(samples, "predictivity"))[1].outcome == "INCONCLUSIVE"


def test_held_out_images_are_dealt_as_pictures_are():
    """By loops: each image with every unit's others, the unit's own image left out."""
    world = World(6)
    images, weights = world.natural_images()
    samples = path_samples([images], [world.drawn(np.arange(UNITS))], weights, np.arange(len(images)), seed=3)
    likeness = np.zeros((UNITS, UNITS))
    for first, second in np.ndindex(likeness.shape):
        own_images, other_images = np.flatnonzero(weights[first]), np.flatnonzero(weights[second])
        likeness[first, second] = np.mean(
            [images[a] @ images[[b for b in other_images if b != a]].mean(axis=0) for a in own_images]
        )
    null, expected = samples["known"], crossing.permutation_null(likeness, 3, len(samples["known"]) - 1)
    assert np.allclose(null / null[0], expected / expected[0])


def test_crops_of_one_photograph_do_not_narrow_an_interval():
    """Every image five times, as crops of it would be: told of their sources, the check says what it says of each once."""
    world = World(4)
    images, weights = world.natural_images()
    drawn = world.drawn(np.arange(UNITS))
    once = path_samples([images], [drawn], weights, np.arange(len(images)), seed=0)
    copies = [np.repeat(images, 5, axis=0)], [drawn], np.repeat(weights, 5, axis=1)
    numbered = np.repeat(np.arange(len(images)), 5)
    grouped = path_samples(*copies, numbered, seed=0)
    blind = path_samples(*copies, np.arange(5 * len(images)), seed=0)
    widths = [np.ptp(samples["lead"][1:], axis=0).mean() for samples in (once, grouped, blind)]
    assert np.allclose(once["share"], grouped["share"]) and np.allclose(once["decided"][0], grouped["decided"][0])
    assert widths[1] > 0.9 * widths[0] and widths[2] < 0.6 * widths[0]


def world_choices(world, drawn):
    """Choices between the natural images of each unit and as many of no unit."""
    images = np.concatenate([world.natural_images()[0], normalize(world.rng.normal(size=(UNITS * IMAGES, CHANNELS)))])
    ends = np.arange(len(images)).reshape(2, UNITS, IMAGES).swapaxes(0, 1)
    return images, ends, choice_samples(images, drawn, ends, np.arange(len(images)), seed=0)


def test_choices_are_how_often_strong_images_are_nearer():
    world = World(5)
    drawn = world.drawn(np.arange(UNITS), 0.0)
    images, ends, samples = world_choices(world, drawn)
    near = [[images[place] @ drawn[3] for place in end] for end in ends[7]]
    expected = np.mean([(strong > weak) + 0.5 * (strong == weak) for strong in near[0] for weak in near[1]])
    assert samples["choices"][7, 3] == pytest.approx(expected)
    wrong = world_choices(world, np.roll(drawn, 1, axis=0))[2]
    for choices, outcome, never in ((samples, "PASS", "FAIL"), (wrong, "FAIL", "PASS")):
        units, overall = judge_units(evidence(choices, "predictivity"))
        assert never not in {verdict.outcome for verdict in units} and overall.outcome == outcome


def test_leaving_a_source_out_of_the_choices_is_choosing_without_it():
    """The jackknife's shortcut against choices among the images that are left."""
    from sanity.checks.predictivity import _choice_crossings

    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 3, (2, 6, 6, 8, 8)) / 2
    parts = np.stack([pairs.sum(axis=-1), pairs.sum(axis=-2)], axis=-2)
    dropped = np.zeros((6, 2, 8), dtype=bool)
    dropped[1, 0, 3] = dropped[4, 1, 5] = True
    choices = pairs.mean(axis=(-1, -2))
    choices[:, :, 1] = np.delete(pairs[:, :, 1], 3, axis=-2).mean(axis=(-1, -2))
    choices[:, :, 4] = np.delete(pairs[:, :, 4], 5, axis=-1).mean(axis=(-1, -2))
    slow = [crossing.crossings(choices[0]), crossing.crossings(choices[0], choices[1])]
    assert np.allclose(_choice_crossings(parts, dropped), slow, equal_nan=True)


# Sources ------------------------------------------------------------------------------------------------------------------


def study_of_groups(groups):
    """A study of two units over images of these groups, the first unit's scores falling from image to image, the second's rising."""
    count = len(groups)
    images = tuple(np.zeros((4, 4, 3), "uint8") for _ in range(count))
    scores = np.stack([-np.arange(count), np.arange(count)], axis=1).astype("float32")
    order = np.argsort(-scores, axis=0)[:4].T
    none = np.zeros((2, 4))
    survey = Survey(order, none, none, order, none, np.arange(count), scores, count)
    data = lab.Data(tuple(map(str, range(count))), images, groups=groups)
    return Study(None, "units", (0, 1), data, survey, None, np.zeros((2, 1, 4, 4, 3), "uint8"))


def test_the_strongest_image_of_each_source_stands_for_it():
    study = study_of_groups(("a", "a", "b", "a", "c", "b", "d"))
    assert sources.strongest_images(study, 0, 3).tolist() == [0, 2, 4]
    assert sources.strongest_images(study, 1, 9).tolist() == [6, 5, 4, 3]
    high, low = sources.strongest_and_weakest(study, 0, 2)
    assert high.tolist() == [0, 2] and low.tolist() == [6, 4]


def test_copies_of_a_file_are_one_source(tmp_path):
    """A folder of six photographs ten times over is no folder of sixty."""
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 255, (4, 4, 3), "uint8")
        for copy in range(10):
            Image.fromarray(image).save(tmp_path / f"{copy}-{number}.png")
    (tmp_path / "other.png").write_bytes((tmp_path / "0-0.png").read_bytes() + b"0")
    data = lab.folder(tmp_path)
    assert [int(name[2]) for name in data.names[:-1]] == list(data.groups[:-1]) and data.groups[-1] == 60
    assert len(set(data.groups)) == 7


@pytest.mark.parametrize("count, status", [(6, "failed"), (11, "failed"), (12, "passed")])
def test_twelve_sources_are_needed_however_many_crops(count, status):
    gate = sources.gate(study_of_groups(tuple(index % count for index in range(60))))
    assert gate.status == status and f"{count} sources" in gate.words
    assert ("--images" in gate.words) == (status == "failed")


def test_a_unit_that_answers_alike_to_all_images_has_none_of_its_own():
    study = study_of_groups(tuple(range(12)))
    study.survey.kept_scores[:, 1] = 0.5
    assert sources.constant_units(study).tolist() == [False, True]


@pytest.mark.parametrize("check", ["path", "predictivity"])
def test_a_failed_gate_is_said_of_every_unit_and_of_all(check):
    study = dataclasses.replace(study_of_groups(tuple(range(6)) * 4), network=Named())
    options = {"layers": ("units",)} if check == "path" else {}
    verdicts = judge(checks.get(check)(study, seed=0, **options))
    assert [verdict.scope for verdict in verdicts] == ["unit 0", "unit 1", ""]
    for verdict in verdicts:
        assert (verdict.outcome, verdict.finding) == ("INVALID", "GATE FAILED")
        assert "too few" in verdict.why and "--images" in verdict.why


class Named:
    name = "net"


def test_a_path_through_narrow_layers_alone_is_not_measured(monkeypatch):
    from sanity.checks import path

    monkeypatch.setattr(path, "layers_before_units", lambda study: ())
    study = dataclasses.replace(study_of_groups(tuple(range(12))), network=Named(), units=(0, 1) * 3)
    assert {verdict.finding for verdict in judge(path.path(study, seed=0))} == {"GATE FAILED"}
