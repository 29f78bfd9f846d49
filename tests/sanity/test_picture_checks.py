"""Checks of pictures: each against arithmetic by hand, and against pictures that are known to be blind or to fool."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

import lab
from lab import routines
from lab.visualization.examples import survey
from sanity.checks import checks, names_of, path, predictivity, stability
from sanity.examination import examine, judge_with_controls, measure_rows
from sanity.pictures.embedding import descriptors, whiten
from sanity.pictures.fooling import circuit
from sanity.pictures.study import Study, pictures
from sanity.ruling import rules
from sanity.verdict import FORBIDDEN, judge
from tests import networks

SIDE, UNITS = 32, 6


def textures(count, seed, side=SIDE):
    """Natural images of this small world: stripes of one of six kinds over faint grain, their kind, uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    kinds = np.arange(count) % UNITS
    images = []
    for kind in kinds:
        angle, period = np.pi * (kind % 3) / 3, (4, 8)[kind // 3]
        wave = np.sin(2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / period + rng.uniform(0, 6))
        grain = gaussian_filter(rng.normal(size=(side, side)), 1)
        pooled_map = 128 + 60 * rng.uniform(0.5, 1) * wave + 20 * grain
        images.append(np.repeat(np.clip(pooled_map, 0, 255)[..., None], 3, -1).astype("uint8"))
    return lab.Data(tuple(f"{index}" for index in range(count)), tuple(images)), kinds


def stripes_network():
    """Filters for stripes of each kind in two phases, rectified, averaged: a unit a kind."""
    import keras

    rows, columns = np.mgrid[:8, :8]
    kernels = []
    for kind in range(UNITS):
        angle, period = np.pi * (kind % 3) / 3, (4, 8)[kind // 3]
        turned = 2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / period
        for phase in (0, np.pi / 2, np.pi, 3 * np.pi / 2):
            wave = np.sin(turned + phase)
            kernels.append(np.repeat((wave - wave.mean())[..., None], 3, -1) / 24)
    inputs = keras.Input((SIDE, SIDE, 3))
    edges = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="early")(inputs)
    phases = keras.layers.Conv2D(4 * UNITS, 8, name="phases")(inputs)
    phases = keras.layers.ReLU(name="phases_relu")(phases)
    units = keras.layers.Conv2D(UNITS, 1, use_bias=False, name="mix")(phases)
    units = keras.layers.ReLU(name="units")(units)
    joined = keras.layers.Concatenate()(
        [keras.layers.GlobalAveragePooling2D()(units), keras.layers.GlobalAveragePooling2D()(edges)]
    )
    model = networks.filled(keras.Model(inputs, keras.layers.Dense(UNITS, name="out")(joined)))
    # Natural images of this world are grey: differences of colours tell them from pictures.
    opponent = np.zeros((3, 3, 3, 8), "float32")
    for place, (first, second) in enumerate([(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]):
        opponent[1, 1, [first, second], place] = 1, -1
    model.get_layer("early").set_weights([opponent, np.zeros(8)])
    model.get_layer("phases").set_weights([np.stack(kernels, -1).astype("float32"), np.zeros(4 * UNITS)])
    model.get_layer("mix").set_weights([np.kron(np.eye(UNITS), np.ones((4, 1)))[None, None].astype("float32")])
    return networks.network(model)


def draw(network, objective, *, seed):
    return lab.maximize(network, objective, steps=80, rate=0.15, seed=seed, transforms="textbook").images


def blind(network, objective, *, seed):
    """Pictures of noise that know nothing of the unit or the network."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(objective.length, SIDE, SIDE, 3)), (0, 1, 1, 0))
    return np.clip(0.5 + 0.5 * noise, 0, 1).astype("float32")


@pytest.fixture(scope="module")
def small():
    return stripes_network()


@pytest.fixture(scope="module")
def natural_images():
    return textures(120, 0)[0]


def draw_study(network, natural_images, visualizer, layer="units", seeds=4):
    drawn = pictures(visualizer, network, layer, range(UNITS), seed=0, count=seeds)
    responses = survey(network, natural_images, layer=layer, count=20)
    return Study(network, layer, tuple(range(UNITS)), natural_images, responses, visualizer, drawn)


@pytest.fixture(scope="module")
def honest(small, natural_images):
    return draw_study(small, natural_images, draw)


@pytest.fixture(scope="module")
def noise(small, natural_images):
    return draw_study(small, natural_images, blind)


@pytest.fixture(scope="module")
def dealt(honest):
    """Every unit with the pictures of the next one."""
    return dataclasses.replace(honest, pictures=np.roll(honest.pictures, 1, axis=0))


@pytest.mark.parametrize(
    "name, control",
    [("path", "dealt"), ("path", "noise"), ("predictivity", "dealt"), ("stability", "noise"), ("prior", "noise")],
)
def test_every_check_fails_blind_pictures_and_not_seeing_ones(honest, request, name, control):
    seeing, unseeing = (judge_all(name, study) for study in (honest, request.getfixturevalue(control)))
    assert seeing.outcome == "PASS" and "may still mislead" in seeing.sentence, seeing
    assert unseeing.outcome == "FAIL", unseeing


def judge_all(name, study, **settings):
    """The verdict of a check on all units of a study."""
    (verdict,) = examine(name, {}, study, seed=0, settings=settings).verdicts
    return verdict


def test_the_fooling_circuit_fails_and_the_honest_network_does_not(small, natural_images):
    natural = small.preprocess(natural_images.images)
    climbed = lab.maximize(
        small,
        lab.channel("units", range(UNITS)),
        steps=80,
        rate=0.15,
        seed=9,
        transforms="textbook",
        snapshots=(3, 10, 20, 40),
    )
    shown = np.concatenate([climbed.snapshots.reshape(-1, SIDE, SIDE, 3), blind(small, lab.logit([0] * 12), seed=3)])
    fooled = circuit(small, "units", range(UNITS), natural, 2 * shown - 1, "early")
    assert fooled.gap == 0.0 and fooled.detection_rate > 0.95
    answers = [routines.logits(network, natural) for network in (fooled.honest, fooled.fooled)]
    assert np.array_equal(*answers) and answers[0].std() > 0
    families = {"path": [], "predictivity": []}
    for network in (fooled.honest, fooled.fooled):
        study = draw_study(network, natural_images, draw, layer=None)
        study = study if network is fooled.honest else dataclasses.replace(study, name="fooled network")
        for name, family in families.items():
            family += measure_rows(name, study, seed=0)[0]
        scores = [routines.outputs(fooled.honest, row)["output"] for row in study.network_inputs()]
        shown_units = [int(row.mean(0).argmax()) for row in scores]
        expected = list(range(UNITS)) if network is fooled.honest else list(fooled.decoys)
        assert shown_units == expected, "the pictures show the decoys, and only on the fooled network"
    for name, family in families.items():
        judged = judge_with_controls(family, seed=0)
        assert [verdict.outcome for verdict in judged.verdicts] == ["PASS", "FAIL"]
        assert judged.blind == ["fooled network"] and len(judged.parts) == 2 * UNITS
        assert [control.held for control in judged.controls] == ([True] if name == "path" else [])


def test_a_circuit_needs_a_layer_that_tells(small, natural_images):
    natural = small.preprocess(natural_images.images)
    with pytest.raises(ValueError, match="tell natural from synthetic"):
        circuit(small, "units", range(UNITS), natural[:60], natural[60:], "early")


def test_the_layers_before_a_unit_are_not_its_own():
    """In its own layer every picture that was climbed goes with its unit; two layers of weights at one width are two."""
    import keras

    inputs = keras.Input((16, 16, 3))
    hidden = keras.layers.Conv2D(8, 3, name="first")(inputs)
    hidden = keras.layers.ReLU(name="first_relu")(keras.layers.BatchNormalization(name="first_bn")(hidden))
    hidden = keras.layers.ReLU(name="second_relu")(keras.layers.Conv2D(8, 3, name="second")(hidden))
    hidden = keras.layers.GlobalAveragePooling2D(name="pool")(hidden)
    outputs = keras.layers.Softmax(name="shares")(keras.layers.Dense(8, name="classes")(hidden))
    network = networks.network(keras.Model(inputs, outputs))
    layers = {
        layer: path.layers_before_units(before(network, layer))
        for layer in ("second_relu", "second", "first_relu", None)
    }
    assert layers["second_relu"] == layers["second"] == ("first_relu",) and layers["first_relu"] == ()
    assert layers[None] == ("first_relu", "pool")


def before(network, layer):
    return Study(network, layer, (0,), None, None, None, None)


def test_rows_of_ranks_multiply_to_spearmans_correlation():
    first, second = np.random.default_rng(0).integers(0, 9, (2, 3, 40)).astype("float32")
    products = path._to_unit_ranks({"x": first})["x"] @ path._to_unit_ranks({"x": second})["x"].T
    assert np.allclose(products, [[spearmanr(one, other)[0] for other in second] for one in first])


def test_silhouettes_of_two_units_are_rousseeuws():
    """With one rival, all other units are the nearest one."""
    from sklearn.metrics import silhouette_samples

    points = np.random.default_rng(0).normal(size=(2, 5, 3)) + 3 * np.random.default_rng(1).normal(size=(2, 1, 3))
    flat = points.reshape(10, 3)
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    expected = silhouette_samples(apart, np.repeat(range(2), 5), metric="precomputed")
    assert np.allclose(stability.silhouettes(apart.reshape(2, 5, 2, 5)).ravel(), expected)


def test_ties_are_half_a_right_choice():
    assert predictivity._choice_rate([3, 2], [1, 2]) == pytest.approx(3.5 / 4)


def test_reach_is_measured_and_never_judged(honest):
    rows = checks.get("reach")(honest, seed=0)
    scores = routines.scores(honest.network, honest.network_inputs()[:, 0], lab.channel("units", range(UNITS)))
    assert np.allclose(rows[-1].samples["ratio"][:, 0], scores / honest.survey.top_scores[:, 0], rtol=1e-4)
    assert {(verdict.outcome, verdict.finding) for verdict in judge(rows)} == {("INCONCLUSIVE", "MEASURED")}


def test_transfer_needs_classes_and_other_networks(honest, small, natural_images):
    assert judge_all("transfer", honest).finding == "NOT APPLICABLE"
    study = draw_study(small, natural_images, draw, layer=None, seeds=2)
    evidence = checks.get("transfer")(study, seed=0, others=(small,))[-1]
    recognized = routines.outputs(small, study.network_inputs()[:, 0])["out"].argmax(1) == np.arange(UNITS)
    assert np.array_equal(evidence.samples[f"plain/{small.name}"][:, 0], recognized)
    assert set(evidence.samples) == {"units", f"plain/{small.name}", f"blurred/{small.name}"}


def test_transfer_asks_no_network_of_other_classes(small, natural_images):
    """By its number a class is another one there: recognized or not, it says nothing."""
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    classes = keras.layers.Dense(UNITS + 1)(keras.layers.GlobalAveragePooling2D()(inputs))
    other = networks.network(keras.Model(inputs, classes))
    study = draw_study(small, natural_images, blind, layer=None, seeds=2)
    verdict = judge_all("transfer", study, others=(small, other))
    assert verdict.outcome == "INVALID" and "classes apart" in verdict.why


@pytest.mark.parametrize(
    "options, least",
    [
        ({"parameterization": "fourier"}, 0.7),
        ({"parameterization": "pixels"}, 0.7),
        ({"parameterization": "maco"}, 0.6),
    ],
)
def test_templates_set_by_hand_are_recovered(options, least):
    def visualizer(network, objective, *, seed):
        kind = options["parameterization"]
        return lab.maximize(
            network, objective, steps=150, seed=seed, parameterization=kind, transforms="none", rate=0.1
        ).images

    (evidence,) = checks.get("recovery")(visualizer_alone(visualizer), seed=0)
    (verdict,) = judge([evidence])
    assert verdict.passed and verdict.effect.mean > least and "of 2 templates" in verdict.why
    assert (evidence.samples["attained"] > 0.3).all() and (evidence.samples["attained"] <= 1).all()


def test_blind_pictures_recover_no_template():
    assert judge_all("recovery", visualizer_alone(blind)).outcome == "FAIL"


def visualizer_alone(visualizer):
    return Study(None, None, (), None, None, visualizer, None)


def test_descriptors_see_texture_and_colour_wherever_they_lie(natural_images):
    image = np.asarray(natural_images.images[0])
    moved, turned = np.roll(image, 7, axis=1), np.rot90(image)
    red = (image * [1, 0.6, 0.6]).astype("uint8")
    rows = whiten([descriptors(np.stack([image, moved, turned, red, *natural_images.images[1:9]]))])[0]
    near = rows @ rows[0]
    assert near[1] > near[2] and near[1] > near[3]


def test_too_few_units_or_seeds_are_not_measured(small, natural_images):
    one = Study(
        small,
        "units",
        (0,),
        natural_images,
        survey(small, natural_images, layer="units", count=20),
        draw,
        draw_study(small, natural_images, draw, seeds=1).pictures[:1],
    )
    for name in ("stability", "prior", "predictivity", "path"):
        assert {verdict.outcome for verdict in judge(checks.get(name)(one, seed=0))} <= {"INVALID", "INCONCLUSIVE"}


def test_the_network_is_as_it_was(small, honest):
    before = small.fingerprint()
    checks.get("prior")(honest, seed=0, networks=1)
    assert small.fingerprint() == before


@pytest.mark.parametrize("name", [name for name in names_of("pictures") if name != "recovery"])
def test_every_registered_check_of_pictures_keeps_the_contract(honest, name):
    """Same seed, same numbers; a verdict on every unit; the network and the study as they were; a question for the report."""
    check, network = checks.get(name), honest.network
    before, drawn = network.fingerprint(), honest.pictures.copy()
    settings = {"networks": 1} if name == "prior" else {}
    rows, others = (check(honest, seed=3, **settings) for _ in range(2))
    assert network.fingerprint() == before and np.array_equal(honest.pictures, drawn)
    for first, again in zip(rows, others):
        assert all(np.array_equal(first.samples[key], again.samples[key], equal_nan=True) for key in first.samples)
    verdicts, about = judge(rows), rules.tag(rules.get(name), "about")
    assert [verdict.scope for verdict in verdicts] == [*(f"unit {unit}" for unit in honest.units), ""]
    assert about.question and {verdict.finding for verdict in verdicts} <= {*about.findings, "NOT APPLICABLE"}
    for verdict in verdicts:
        assert not any(word in verdict.sentence.lower() for word in FORBIDDEN)
