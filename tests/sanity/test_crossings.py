"""Crossings: classes, images and places, on explainers that the checks have never met, and against answers in closed form."""

import dataclasses
import functools
import itertools
import re

import keras
import numpy as np
import pytest
from scipy import stats

import lab
from lab import routines
from lab.attribution import explainers
from lab.data import Data
from recipes.session import Session
from recipes.sources import Sources
from sanity import crossing
from sanity.checks import checks
from sanity.checks.class_crossing import CLASSES, flip_p
from sanity.checks.image_crossing import IMAGES
from sanity.checks.place import agreements_by_way, grid_symmetries, rotation_p
from sanity.class_pairs import class_groups
from sanity.crossing import agreement_table, crossing_contrast
from sanity.effects import CHANGE, EFFECTS, REMOVAL, agreement, cells_of, effects, reduce_to_cells, scores
from sanity.evidence import Evidence
from sanity.examination import judge_with_controls, measure
from sanity.questions import other_classes, partners
from sanity.statistics import rotations, sign_flips
from sanity.subject import Subject, world_subject
from sanity.subject import subject as photographed
from sanity.verdict import judge
from sanity.worlds import worlds
from sanity.worlds.canvas import convolutional_network
from sanity.worlds.patch import STAMPS
from tests import networks
from tests.sanity import bank
from tests.sanity.trained import kept

CROSSINGS = ("class_crossing", "image_crossing", "place")
# What a class-specific map of the wrong image, or of the weights alone, is caught by.
CLASS_PRIORS = (
    "bump_of_the_class",
    "smooth_noise_of_the_class",
    "smooth_noise_of_image_and_class",
    "white_noise_of_image_and_class",
    "contrast_under_the_bump_of_the_class",
    "filter_of_the_class",
)


@pytest.fixture(scope="module")
def patch():
    """The patch world with a narrower network than its own, since what is checked here are explainers of all kinds."""
    world = dataclasses.replace(worlds.get("patch")(), build=lambda: convolutional_network(len(STAMPS)))
    return world_subject(world, seed=0, images=32, cache=kept)


@pytest.fixture(scope="module")
def prepared(patch):
    return own_answers(patch)


def own_answers(subject):
    """What the network itself answers, the same for all three crossings."""
    return checks.tag(checks.get("class_crossing"), "prepare")(subject, seed=0)


@pytest.fixture(scope="module")
def verdicts(patch, prepared):
    """Verdicts on the whole bank: dict of (check, name) to `Verdict`."""
    listed = {name: memoize(method) for name, method in {**bank.BLIND, **bank.WRONG, **bank.RIGHT}.items()}
    return {
        (check, name): verdict
        for check in CROSSINGS
        for name, verdict in zip(listed, _judge_check(check, listed, patch, prepared))
    }


def memoize(method):
    """The method, asked once for each question about the same inputs."""
    maps = {}

    @functools.wraps(method)
    def explain(network, inputs, objective, **options):
        question = str([np.asarray(number).tolist() for number in objective.numbers(len(inputs))])
        key = (inputs.tobytes(), question, str(objective.terms[0][0]), str(options))
        if key not in maps:
            maps[key] = method(network, inputs, objective, **options)
        return maps[key]

    return explain


def _judge_check(check, methods, subject, prepared):
    family = [
        measure(check, method, subject, seed=0, name=name, prepare=lambda: {"prepared": prepared})[0]
        for name, method in methods.items()
    ]
    return judge_with_controls(family, seed=0).verdicts


def judge_one(check, method, subject, **options):
    return judge([checks.get(check)(explainers.get(method), subject, seed=0, **options)])[0]


@pytest.mark.parametrize("name", [name for name in bank.BLIND if name not in CLASS_PRIORS])
def test_what_does_not_know_the_class_is_exactly_zero(verdicts, name):
    verdict = verdicts["class_crossing", name]
    assert (verdict.outcome, verdict.finding) == ("FAIL", "NOT CLASS-SPECIFIC"), verdict.sentence
    assert (verdict.effect.mean, verdict.effect.low, verdict.effect.high, verdict.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("name", CLASS_PRIORS)
def test_what_knows_the_class_and_not_the_network_does_not_pass(verdicts, name):
    assert verdicts["class_crossing", name].outcome != "PASS", verdicts["class_crossing", name].sentence


@pytest.mark.parametrize("name", [*bank.BLIND, *bank.WRONG])
def test_nothing_wrong_passes_all_three(verdicts, patch, name):
    if not all(verdicts[check, name].passed for check in CROSSINGS):
        return

    def claimed_slope(network, inputs, objective):
        return bank.WRONG[name](network, inputs, objective)

    # The loss of a class tells it from others as its score does; that it is no slope of the score shows where it is said to be one.
    claimed_slope.derivative = "slope"
    evidence, _ = measure("derivative", claimed_slope, patch, seed=0)
    assert name == "of_the_loss" and judge([evidence])[0].outcome == "FAIL"


@pytest.mark.parametrize("name", bank.RIGHT)
def test_what_is_right_and_unusual_never_fails_and_is_seen(verdicts, name):
    outcomes = [verdicts[check, name].outcome for check in CROSSINGS]
    assert "FAIL" not in outcomes and "PASS" in outcomes, [verdicts[check, name].sentence for check in CROSSINGS]


@pytest.mark.parametrize("name", ["batch_mean", "upper_third", "gradient_at_zero", "of_the_previous_image"])
def test_maps_that_are_not_of_this_image_fail_by_the_image(verdicts, name):
    assert verdicts["image_crossing", name].outcome == "FAIL", verdicts["image_crossing", name].sentence


@pytest.mark.parametrize("name", ["mirrored", "upside_down", "shifted_by_a_quarter", "transposed", "pixels_shuffled"])
def test_maps_that_lie_elsewhere_do_not_pass_by_their_place(verdicts, name):
    assert verdicts["place", name].outcome != "PASS", verdicts["place", name].sentence


def soon_trained(world):
    """The world with a higher rate, at which its networks need fewer passes."""
    return dataclasses.replace(world, training=dataclasses.replace(world.training, rate=8e-3))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("world", ["tabular", "series", "tokens"])
def test_tables_series_and_tokens_are_crossed_too(world, seed):
    subject = world_subject(soon_trained(worlds.get(world)()), seed=seed, images=24, cache=kept)
    answers = own_answers(subject)
    for check in CROSSINGS[:2] if world == "tabular" else CROSSINGS:
        assert judge_one(check, "gradient_x_input", subject, prepared=answers).outcome == "PASS"
    assert judge_one("class_crossing", "edges", subject, prepared=answers).outcome == "FAIL"


# The evidence -------------------------------------------------------------------------------------------------------------


def linear(columns=6, classes=3):
    inputs = keras.Input((columns,))
    model = keras.Model(inputs, keras.layers.Dense(classes, use_bias=False, name="logits")(inputs))
    weights = np.random.default_rng(0).normal(size=(columns, classes)).astype("float32")
    model.set_weights([weights])
    table = np.random.default_rng(1).normal(size=(12, columns)).astype("float32") * np.arange(1, columns + 1)
    targets = [n % classes for n in range(12)]
    return (
        Subject(lab.load(model), table, lab.logit(targets), tuple(map(str, range(12))), classes=classes),
        weights,
        targets,
    )


def test_effects_of_a_linear_network_are_known_in_closed_form():
    subject, weights, targets = linear()
    evidence = effects(subject, [subject.objective], seed=0)
    typical = weights.T[targets] * (subject.inputs - subject.inputs.mean(axis=0))
    assert np.allclose(evidence.halves[REMOVAL][0, 0], typical, atol=1e-4)
    spread = subject.inputs.std(axis=0)
    size = evidence.combine(CHANGE)[0] / (0.05 * spread * np.abs(weights.T[targets]))
    assert np.allclose(size, size[0], rtol=1e-2), (
        "the same draws for every sample, so that only weights and the deviations of columns differ"
    )


def test_a_linear_network_is_answered_by_the_input_times_its_weights():
    subject, weights, targets = linear()
    evidence = checks.get("class_crossing")(lab.gradient_x_input, subject, seed=0)
    assert judge([evidence])[0].outcome == "PASS"

    def turned_sign(network, inputs, objective):
        return -lab.gradient_x_input(network, inputs, objective)

    other = checks.get("class_crossing")(turned_sign, subject, seed=0).samples
    assert np.allclose(
        crossing_contrast(other[f"maps/{REMOVAL}"]), -crossing_contrast(evidence.samples[f"maps/{REMOVAL}"])
    )
    assert np.allclose(other[f"maps/{CHANGE}"], evidence.samples[f"maps/{CHANGE}"]), "a small change has no sign"


def test_the_three_crossings_of_a_run_measure_the_network_once(tmp_path, monkeypatch):
    """A series, since a table has no places; what is shared is what each check would have measured by itself."""
    inputs = keras.Input((24, 2))
    outputs = keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(inputs))
    samples = np.random.default_rng(0).normal(size=(8, 24, 2)).astype("float32")
    network = lab.load(networks.filled(keras.Model(inputs, outputs)))
    subject = Subject(network, samples, lab.logit([0, 1, 2, 0, 1, 2, 0, 1]), tuple("abcdefgh"), classes=3)
    measured = []
    monkeypatch.setattr(crossing, "effects", lambda *args, **rest: measured.append(rest) or effects(*args, **rest))
    monkeypatch.setattr(Session, "subject", lambda session, question=None: subject)
    session = Session(Sources(world="series"), tmp_path)
    shared = [session.prepare_check(check, {}, {}, 0)["prepared"] for check in CROSSINGS]
    assert len(measured) == 1 and all(one.cells is shared[0].cells for one in shared)
    other = session.prepare_check("place", {"target": "another"}, {}, 0)["prepared"]
    assert len(measured) == 2 and other.cells is not shared[0].cells, "another question is another subject"
    for check in CROSSINGS:
        alone = checks.tag(checks.get(check), "prepare")(subject, seed=0)
        assert all(np.array_equal(alone.halves[name], shared[0].halves[name]) for name in EFFECTS)


def test_scores_of_several_questions_are_those_of_each():
    network, inputs = networks.network(networks.flat(head="softmax")), networks.images(4)
    objectives = [lab.logit([0, 1, 2, 3]), lab.logit([4, 3, 2, 1])]
    expected = np.stack([routines.scores(network, inputs, objective) for objective in objectives])
    assert np.allclose(scores(network, inputs, objectives), expected, atol=1e-6)


def test_cells_cover_every_position_and_maps_are_read_by_cell():
    cells = cells_of(np.zeros((2, 28, 28, 1)))
    assert sorted(np.bincount(cells.ravel())) == [16] * 49
    maps = np.random.default_rng(0).normal(size=(2, 28, 28, 3)).astype("float32")
    first = maps[:, :4, :4]
    assert np.allclose(reduce_to_cells(maps, cells, REMOVAL)[:, 0], first.sum(-1).mean((1, 2)), atol=1e-6)
    assert np.allclose(reduce_to_cells(maps, cells, CHANGE)[:, 0], np.sqrt((first**2).sum(-1).mean((1, 2))), atol=1e-5)


# The statistic ------------------------------------------------------------------------------------------------------------


def test_equal_maps_give_exactly_zero_and_the_own_answer_the_most():
    rng = np.random.default_rng(0)
    evidence, maps = rng.normal(size=(2, 5, 49)), rng.normal(size=(5, 49))
    assert (crossing_contrast(agreement_table([maps, maps], evidence)) == 0).all()
    assert (
        crossing_contrast(agreement_table(evidence, evidence))
        > crossing_contrast(agreement_table(rng.normal(size=(2, 5, 49)), evidence))
    ).all()
    assert np.isnan(agreement(np.ones((1, 4)), np.arange(4.0)[None]))


def test_sign_flips_are_those_of_all_flips():
    values = np.random.default_rng(1).normal(0.4, 1, (3, 8))
    size = np.sqrt((values**2).sum(1, keepdims=True))
    totals = np.array([(values / size * flip).sum(1) for flip in itertools.product((1, -1), repeat=8)])
    expected = [(totals.max(1) >= total - 1e-9).mean() for total in totals[0]]
    assert np.allclose(sign_flips(values, seed=0), expected)


def test_no_more_false_alarms_than_the_level_over_a_family():
    """Forty simulated methods without an effect that share their images, judged together, 200 times."""
    alarms = {"flips": 0, "ways": 0}
    for run in range(200):
        rng = np.random.default_rng([3, run])
        alarms["flips"] += (
            sign_flips(rng.normal(size=(8, 20)) + rng.normal(size=(1, 20)), seed=run, draws=400).min() < 0.05
        )
        alarms["ways"] += rotations(rng.normal(size=(8, 8, 20)), seed=run, draws=400).min() < 0.05
    assert max(alarms.values()) <= 19, alarms  # .05 of 200, and what sampling allows.


def test_the_eight_copies_of_a_grid_are_distinct_and_a_row_has_shifts():
    square = grid_symmetries(cells_of(np.zeros((1, 28, 28, 1))))
    assert len({tuple(way) for way in square}) == 8 and (square[0] == np.arange(49)).all()
    assert len(grid_symmetries(cells_of(np.zeros((1, 28, 3, 1))))) == 4
    assert len({tuple(way) for way in grid_symmetries(cells_of(np.zeros((1, 64, 1))))}) == 8


def test_a_mirrored_map_does_not_pass_where_evidence_lies_much_alike_mirrored():
    """Evidence in the upper half of all images: a map mirrored left to right is better than most of its copies, and worse than one."""
    rng, cells = np.random.default_rng(4), cells_of(np.zeros((1, 28, 28, 1)))
    evidence = (np.repeat(np.arange(7.0)[::-1], 7) + rng.normal(0, 1.5, (24, 49))).reshape(24, 7, 7)
    right, mirrored = (maps.reshape(24, 49) for maps in (evidence, evidence[:, :, ::-1]))
    agreements = [
        agreements_by_way(maps, right, grid_symmetries(cells))
        for maps in (right + rng.normal(0, 1, right.shape), mirrored)
    ]
    assert (rotations(np.stack(agreements), seed=0) < 0.01).all(), "against a way drawn at random both are better"
    p_right, p_mirrored = rotation_p(agreements, {}, 0)
    assert p_right < 0.01 and p_mirrored > 0.5


# Who can be asked ---------------------------------------------------------------------------------------------------------


def test_partners_give_each_other_their_class_and_no_image_is_its_own():
    subject, _, targets = linear()
    others = other_classes(subject)
    assert (partners(subject) == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]).all()
    assert (others != targets).all() and (others == np.array(targets)[partners(subject)]).all()


def test_images_sorted_by_class_have_partners_of_another_class():
    subject, _, _ = linear()

    def of_classes(*targets):
        rows = len(targets)
        return Subject(
            subject.network, subject.inputs[:rows], lab.logit(list(targets)), subject.names[:rows], classes=3
        )

    assert (partners(of_classes(0, 0, 0, 1, 1, 1)) == [4, 5, 3, 2, 0, 1]).all()
    assert (partners(of_classes(0, 1, 2, 2, 1, 1)) == [1, 0, 4, 5, 2, 3]).all(), "those that differ stay together"
    odd = partners(of_classes(0, 0, 0))
    assert sorted(odd) == [-1, 0, 1] and all(odd[mate] == row for row, mate in enumerate(odd) if mate >= 0)


def test_images_of_one_class_are_asked_about_their_own_second():
    subject, _, _ = linear()
    alike = Subject(subject.network, subject.inputs, lab.logit([0] * 12), subject.names, classes=3)
    assert (other_classes(alike) != 0).all()
    assert judge_one("class_crossing", "gradient_x_input", alike).outcome == "PASS"
    assert judge_one("image_crossing", "gradient_x_input", alike).outcome != "INVALID"


def test_a_network_of_one_class_is_not_asked_about_another():
    subject, _, _ = linear(classes=1)
    verdict = judge_one("class_crossing", "gradient", subject)
    assert verdict.finding == "NOT APPLICABLE" and "image_crossing and place" in verdict.sentence


SEEING_SIDE = 21


@functools.cache
def seeing_network(classes):
    """A linear network of images: every class has weights in places of its own."""
    inputs = keras.Input((SEEING_SIDE, SEEING_SIDE, 1))
    flat = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(classes, use_bias=False, name="logits")(flat))
    model.set_weights([in_cells(np.random.default_rng(0), classes).reshape(classes, -1).T])
    return lab.load(model)


def in_cells(rng, count):
    """Images of seven by seven cells, each of one value: float [count, rows, columns]."""
    width = SEEING_SIDE // 7
    return np.kron(rng.normal(size=(count, 7, 7)), np.ones((width, width)))


def seeing(classes=3, count=16, targets=None):
    """Images for a network whose classes have weights in places of their own."""
    rng = np.random.default_rng(1)
    cells = in_cells(rng, count)
    images = (cells + 0.1 * rng.normal(size=cells.shape))[..., None].astype("float32")
    targets = [n % classes for n in range(count)] if targets is None else list(targets)
    return Subject(seeing_network(classes), images, lab.logit(targets), tuple(map(str, range(count))), classes=classes)


@functools.cache
def answered(**settings):
    """Images for the network that sees, and what it answers itself: every check and method is asked with the same answers."""
    subject = seeing(**settings)
    return subject, checks.tag(checks.get("image_crossing"), "prepare")(subject, seed=0)


def judge_seeing(check, method, **settings):
    subject, answers = answered(**settings)
    return judge_one(check, method, subject, prepared=answers)


def test_a_network_of_one_class_is_crossed_by_image_and_place():
    for check in ("image_crossing", "place"):
        assert judge_seeing(check, "gradient_x_input", classes=1).outcome == "PASS"


@pytest.mark.parametrize("method", [lab.gradient, explainers.get("centre")], ids=["gradient", "centre"])
def test_the_gradient_of_a_linear_network_is_the_same_for_all_images_and_no_fault(method):
    """So is whatever is the same: where small changes say the same of all images, a map that says so is not failed."""
    for verdict in (
        judge_seeing("image_crossing", method, classes=1),
        judge_one("image_crossing", method, linear()[0]),
    ):
        assert (verdict.outcome, verdict.finding, verdict.effect.mean) == ("INCONCLUSIVE", "UNDECIDED", 0.0)
        assert (
            "exactly zero for all pairs; by small change the network's own answer is the same for both, too"
            in verdict.sentence
        )


@pytest.mark.parametrize("check", CROSSINGS)
def test_images_of_one_class_are_crossed(check):
    assert judge_seeing(check, "gradient_x_input", targets=(1,) * 16).outcome == "PASS"


@pytest.mark.parametrize("check", CROSSINGS)
def test_maps_at_the_resolution_of_a_layer_are_crossed(check):
    def coarse(network, inputs, objective):
        maps = lab.gradient_x_input(network, inputs, objective)[..., 0]
        return maps.reshape(len(maps), 7, 3, 7, 3).mean(axis=(2, 4))

    assert judge_seeing(check, coarse).outcome == "PASS"


@pytest.mark.parametrize("check", CROSSINGS)
def test_a_map_that_is_not_finite_costs_its_own_image_and_many_cost_the_check(check):
    def broken(share):
        def explain(network, inputs, objective):
            maps = lab.gradient_x_input(network, inputs, objective)
            maps[: int(share * len(maps))] = np.nan
            return maps

        return explain

    few = judge_seeing(check, broken(1 / 16))
    assert few.outcome == "PASS" and np.isfinite([few.effect.mean, few.effect.low, few.p]).all()
    many = judge_seeing(check, broken(0.5))
    assert (many.outcome, many.finding) == ("INVALID", "GATE FAILED") and "not finite" in many.sentence


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("check", CROSSINGS)
def test_fewer_than_eight_images_decide_nothing(check, count):
    for method in ("gradient_x_input", "edges", "centre"):
        verdict = judge_seeing(check, method, count=count)
        assert verdict.outcome in ("INCONCLUSIVE", "INVALID"), verdict.sentence
        assert verdict.finding != "FAULT", verdict.sentence
        unit = "pairs" if check == "image_crossing" else "images"
        needed = int(re.search(f"([0-9]+) {unit}", verdict.remedy)[1])
        assert needed >= (6 if unit == "pairs" else 8), verdict.sentence


@pytest.mark.parametrize("check", CROSSINGS)
def test_grids_of_ids_and_several_inputs_do_not_apply_and_it_is_said_what_to_do(check):
    ids = keras.Input((6, 2), dtype="int32")
    outputs = keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Embedding(9, 4)(ids)))
    names, goal = tuple("abcdefgh"), lab.logit([0, 1] * 4)
    pairs = np.random.default_rng(0).integers(0, 9, (8, 6, 2)).astype("int32")
    pair_subject = Subject(lab.load(networks.filled(keras.Model(ids, outputs))), pairs, goal, names, classes=3)
    pair = [keras.Input((4,), name="left"), keras.Input((4,), name="right")]
    both = keras.Model(pair, keras.layers.Dense(3)(keras.layers.Concatenate()(pair)))
    tables = [np.ones((8, 4), "float32"), np.ones((8, 4), "float32")]
    several = Subject(lab.load(networks.filled(both)), tables, goal, names, classes=3)
    for subject, words in ((pair_subject, "(8, 6, 2)"), (several, "holds the others fixed")):
        prepared = checks.tag(checks.get(check), "prepare")(subject, seed=0)
        verdict = judge_one(check, "gradient", subject)
        assert prepared is None and verdict.finding == "NOT APPLICABLE" and words in verdict.sentence, verdict.sentence


def sigmoid():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3, activation="relu")(inputs))
    return networks.filled(keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x)))


def test_one_sigmoid_tells_two_classes_apart():
    network = networks.network(sigmoid())
    subject = Subject(
        network, networks.images(16), lab.class_score([n % 2 for n in range(16)]), tuple(map(str, range(16)))
    )
    verdict = judge_one("class_crossing", "gradient_x_input", subject)
    assert verdict.finding not in ("FAULT", "NOT APPLICABLE"), verdict.sentence


@pytest.mark.parametrize("method", [lab.gradient, lab.gradient_x_input])
def test_magnitudes_are_the_same_for_both_classes_of_one_unit_and_do_not_fail(method):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", use_bias=False)(inputs))
    model.set_weights([np.random.default_rng(0).normal(size=(6, 1))])
    table = np.random.default_rng(1).normal(size=(16, 6)).astype("float32")
    goal = lab.class_score([n % 2 for n in range(16)])
    subject = Subject(lab.load(model), table, goal, tuple(map(str, range(16))))
    ask = functools.partial(judge_one, "class_crossing", subject=subject, prepared=own_answers(subject))
    magnitude = ask(lambda *question: np.abs(method(*question)))
    assert (magnitude.outcome, magnitude.effect.mean) == ("INCONCLUSIVE", 0.0), magnitude.sentence
    assert "by small change the network's own answer is the same for both" in magnitude.sentence
    assert ask(lab.gradient_x_input).outcome == "PASS"
    assert ask("edges").outcome != "PASS"


@pytest.mark.parametrize("region", ["all", "predicted"])
@pytest.mark.parametrize("classes", [1, 4])
def test_an_output_with_positions_is_crossed_over_its_region(classes, region):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    outputs = keras.layers.Conv2D(classes, 1, activation="sigmoid" if classes == 1 else None)(x)
    network = lab.load(networks.filled(keras.Model(inputs, outputs)), input_range=(-1, 1))
    images = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3)).astype("uint8")
    subject = photographed(network, Data(tuple(map(str, range(12))), list(images)), region=region)
    answers = own_answers(subject)
    samples = checks.get("class_crossing")(lab.gradient_x_input, subject, seed=0, prepared=answers).samples
    assert (
        crossing_contrast(samples[f"maps/{REMOVAL}"]).mean() > 0.05
        and crossing_contrast(samples[f"oracle/{REMOVAL}"]).mean() > 0.05
    )
    blind = checks.get("class_crossing")(explainers.get("edges"), subject, seed=0, prepared=answers).samples
    assert all((crossing_contrast(blind[f"maps/{name}"]) == 0).all() for name in (REMOVAL, CHANGE))


def test_a_table_has_no_places_and_a_handful_does_not_pass():
    subject, _, _ = linear()
    assert judge_one("place", "gradient", subject).finding == "NOT APPLICABLE"
    few = Subject(subject.network, subject.inputs[:6], subject.objective.rows(range(6)), subject.names[:6], classes=3)
    assert judge_one("class_crossing", "gradient_x_input", few).outcome != "PASS"


def test_maps_that_are_not_finite_or_flat_over_cells_are_gated(patch, prepared):
    def broken(network, inputs, objective):
        return np.full(inputs.shape, np.nan, "float32")

    def flat(network, inputs, objective):
        return np.tile(np.eye(2, dtype="float32"), (14, 14))[None, ..., None].repeat(len(inputs), axis=0)

    for check in CROSSINGS:
        assert judge_one(check, broken, patch, prepared=prepared).finding == "GATE FAILED"
        assert judge_one(check, flat, patch, prepared=prepared).finding == "GATE FAILED"


def test_where_the_network_answers_nothing_the_check_is_invalid():
    """A network that says the same of everything: its own answer cannot be told apart either."""
    inputs = keras.Input((28, 28, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(pooled))
    model.layers[-1].set_weights([np.zeros((4, 3)), np.arange(3.0)])
    samples = np.random.default_rng(0).normal(size=(12, 28, 28, 1)).astype("float32")
    subject = Subject(
        lab.load(model), samples, lab.logit([n % 3 for n in range(12)]), tuple(map(str, range(12))), classes=3
    )
    answers = own_answers(subject)
    for check in CROSSINGS:
        assert judge_one(check, "edges", subject, prepared=answers).finding == "ORACLE DOES NOT PASS"


def of_alike_classes(targets, alike):
    """A linear network of named classes, of which some have the same weights."""
    subject, weights, _ = linear(classes=4)
    model = subject.network.model
    model.set_weights([weights[:, alike]])
    inputs = np.resize(subject.inputs, (len(targets), 6)) + np.random.default_rng(2).normal(size=(len(targets), 6))
    network = lab.load(model, classes=["tabby", "tiger", "espresso", "mug"])
    names = tuple(map(str, range(len(targets))))
    return Subject(network, inputs.astype("float32"), lab.logit(targets), names, classes=4)


def test_classes_of_the_same_evidence_are_refused_and_better_pairs_are_named():
    verdict = judge_one("class_crossing", "gradient_x_input", of_alike_classes([0, 1] * 4 + [0, 2] * 2, [0, 0, 2, 3]))
    assert (verdict.outcome, verdict.finding) == ("INVALID", "ORACLE DOES NOT PASS")
    assert "best: espresso and tabby (" in verdict.sentence and "tiger" not in verdict.sentence
    assert "--data" in verdict.sentence and "--target" in verdict.sentence
    assert "rows in place of 12 would let the network's own answer pass" in verdict.sentence, verdict.sentence
    none = judge_one("class_crossing", "gradient_x_input", of_alike_classes([0, 1, 2, 3] * 3, [0, 0, 0, 0]))
    assert "of 2 pairs of classes none reaches 0.2" in none.sentence and "would let" not in none.sentence


# The verdict --------------------------------------------------------------------------------------------------------------


def judge_simulated(kind, maps, oracle, units=16):
    """A verdict on crossings of both effects whose means are given, under noise of deviation .1 that leaves the means alone."""
    noise = 0.1 * np.resize([1.0, -1.0], units)
    samples = {}
    for place, means in (("maps", maps), ("oracle", oracle)):
        for name, mean in zip(EFFECTS, means):
            samples[f"{place}/{name}"] = np.zeros((2, 2, units))
            samples[f"{place}/{name}"][0, 0] = mean + noise
    sizes = {"images": 2 * units, "pairs": units} if kind.unit == "pairs" else {"images": units}
    settings = {"class_pairs": [("cat", "dog")] * units}
    return judge([Evidence(kind.check, "any", "net", sizes, samples, (), settings=settings)])[0]


@pytest.mark.parametrize("kind", [CLASSES, IMAGES], ids=lambda kind: kind.check)
def test_a_verdict_names_the_effect_that_decided_and_the_unit_of_what_is_missing(kind):
    passed = judge_simulated(kind, (0.0, 0.5), (1.0, 1.0))
    assert passed.outcome == "PASS" and passed.also["effect"] == CHANGE and f"by {CHANGE}" in passed.why
    assert judge_simulated(kind, (0.5, 0.0), (1.0, 1.0)).also["effect"] == REMOVAL
    missing = judge_simulated(kind, (0.035, 0.0), (0.3, 0.1))
    assert (missing.outcome, missing.finding) == ("INCONCLUSIVE", "UNDECIDED")
    # (3.24 * 0.1033 / (0.035 - 0.05 * 0.3)) ** 2
    assert f"About 280 {kind.unit} in place of 16 would settle it." == missing.remedy, missing.sentence


def test_a_number_of_units_that_is_said_to_settle_it_would():
    """To fail takes both effects: the larger number counts, and none where the sign is turned under removal alone."""
    close = judge_simulated(CLASSES, (-0.02, 0.02), (1.0, 1.0))
    assert close.finding == "UNDECIDED"
    assert close.remedy == "About 125 images in place of 16 would settle it.", close.remedy
    turned = judge_simulated(CLASSES, (-0.06, 0.0), (1.0, 1.0), units=12)
    assert turned.finding == "UNDECIDED" and turned.remedy == "", turned.sentence


@pytest.mark.parametrize("units", [4, 6, 7])
def test_no_remedy_is_fewer_images_than_any_verdict_needs(units):
    for maps in ((0.0, 0.0), (0.05, 0.0), (0.2, 0.0)):
        verdict = judge_simulated(CLASSES, maps, (1.0, 1.0), units=units)
        assert verdict.outcome in ("INCONCLUSIVE", "INVALID"), verdict.sentence
        assert int(re.search("[0-9]+", verdict.remedy)[0]) >= 8, verdict.sentence
    assert judge_simulated(IMAGES, (0.3, 0.0), (1.0, 1.0), units=4).remedy == "Give at least 6 pairs."


@pytest.mark.parametrize(
    "share, reached", [(0.0, "FAIL"), (0.035, "INCONCLUSIVE"), (0.05, "INCONCLUSIVE"), (0.12, "PASS")]
)
def test_no_crossing_passes_on_some_images_and_fails_on_others(share, reached):
    """As SmoothGrad did on photographs, whose crossing is .035 of the network's own: one method, drawn a hundred times."""
    outcomes = set()
    for run in range(100):
        rng = np.random.default_rng([4, run])
        samples = {f"{kind}/{name}": np.zeros((2, 2, 64)) for kind in ("maps", "oracle") for name in EFFECTS}
        for name in EFFECTS:
            samples[f"maps/{name}"][0, 0] = share + rng.normal(0, 0.15, 64)
            samples[f"oracle/{name}"][0, 0] = 1 + rng.normal(0, 0.3, 64)
        outcomes.add(judge([Evidence(CLASSES.check, "any", "net", {"images": 64}, samples, ())])[0].outcome)
    assert reached in outcomes and not {"PASS", "FAIL"} <= outcomes


def test_what_is_below_the_bar_is_not_said_to_be_above_it():
    """Below zero under the one effect that is known: no number of images would settle it."""
    one = judge_simulated(CLASSES, (-0.3, 0.0), (1.0, 0.1))
    assert (one.outcome, one.finding) == ("INCONCLUSIVE", "UNDECIDED")
    assert "by removal it is below 0.05" in one.sentence and "settle" not in one.sentence, one.sentence
    turned_sign = judge_simulated(CLASSES, (-0.3, -0.02), (1.0, 1.0))
    assert turned_sign.finding == "UNDECIDED" and "below zero by removal" in turned_sign.sentence, turned_sign.sentence


# The luck of classes ------------------------------------------------------------------------------------------------------


def test_maps_of_the_class_alone_pass_no_oftener_than_they_may():
    """A map of the class goes with its evidence by luck, in all of its images alike: images alone would call that an effect."""
    alarms, naive = 0, 0
    for run in range(100):
        rng = np.random.default_rng([9, run])
        luck, pairs = rng.normal(size=(24, 24)), rng.permutation(24).reshape(12, 2).repeat(4, axis=0)
        numbers = np.zeros((2, 2, 48))
        numbers[0, 0] = [luck[a, a] + luck[b, b] - luck[a, b] - luck[b, a] for a, b in pairs] + rng.normal(size=48)
        alarms += flip_p([numbers], {"class_pairs": pairs.tolist()}, run)[0] < 0.05
        naive += flip_p([numbers], {}, run)[0] < 0.05
    assert stats.binomtest(alarms, 100, 0.05, alternative="greater").pvalue > 0.01, alarms
    assert naive > 10


def test_classes_that_are_crossed_through_others_are_one_group():
    assert class_groups([("a", "b"), ("c", "d"), ("b", "e"), ("d", "c")]).tolist() == [0, 1, 0, 1]


def test_too_few_groups_of_classes_to_test_their_luck_are_said(verdicts):
    numbers = np.zeros((2, 2, 24))
    numbers[0, 0] = np.random.default_rng(0).normal(1, 0.5, 24)
    assert flip_p([numbers], {"class_pairs": [(0, 1), (1, 2), (2, 0)] * 8}, 0) == flip_p([numbers], {}, 0)
    verdict = verdicts["class_crossing", "gradient_x_input_in_blocks"]
    assert "fewer than six groups" in verdict.cannot and "1 group of classes" in verdict.sentence


@functools.cache
def in_units(scales):
    """A table in other units, with a network of the same function, and what this answers itself."""
    rng = np.random.default_rng(3)
    scales = np.array(scales)
    rows, hidden = rng.normal(size=(16, len(scales))), rng.normal(size=(len(scales), 8))
    model = keras.Sequential(
        [keras.Input((len(scales),)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)],
    )
    model.set_weights([hidden / scales[:, None], np.zeros(8), rng.normal(size=(8, 3)), np.zeros(3)])
    inputs = (rows * scales).astype("float32")
    data = Data(tuple(map(str, range(16))), inputs, kind="table", columns=tuple("abcdef"))
    subject = photographed(lab.load(model, background=inputs), data)
    return subject, own_answers(subject)


PLAIN, SCALED = (1.0,) * 6, (1, 1000, 0.01, 30, 1, 5)


def measured_in_units(scales, method, **options):
    """A table in other units, crossed by class: dict of samples."""
    subject, answers = in_units(scales)
    shared = {"prepared": answers}
    return measure("class_crossing", method, subject, seed=0, options=options, prepare=lambda: shared)[0].samples


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (lab.gradient, {}),
        (lab.gradient_x_input, {}),
        (lab.smoothgrad, {"samples": 6}),
        (lab.smoothgrad, {"samples": 6, "variant": "variance"}),
        (lab.noise_tunnel, {"samples": 4, "explainer": "gradient_x_input"}),
        (lab.noise_tunnel, {"samples": 4, "explainer": "gradient", "variant": "squared"}),
        (lab.kernel_shap, {"samples": 62}),
    ],
)
def test_the_units_of_a_tables_columns_change_no_crossing(method, options):
    plain = measured_in_units(PLAIN, method, **options)
    scaled = measured_in_units(SCALED, method, **options)
    for name in plain:
        np.testing.assert_allclose(scaled[name], plain[name], atol=0.06, err_msg=name)
    assert np.ptp(plain["maps/small change"]) > 0


@pytest.mark.parametrize("name", ["constant", "centre"])
def test_controls_have_no_unit_that_a_table_could_stretch(name):
    """Scaled as a slope, a constant map varied with the columns, and the check was called broken."""
    plain = measured_in_units(PLAIN, explainers.get(name))
    scaled = measured_in_units(SCALED, explainers.get(name))
    if name == "constant":
        assert not any(np.isfinite(scaled[key]).any() for key in scaled if key.startswith("maps/"))
    else:
        for key in plain:
            np.testing.assert_allclose(scaled[key], plain[key], atol=0.06, err_msg=key)
