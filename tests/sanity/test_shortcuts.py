"""Shortcuts: exchanges keep their scheme, null data stay silent, planted relations are found, and swaps tell what a network uses."""

import keras
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import balanced_accuracy_score

from lab.attribution import explainers
from lab.data import Data
from lab.file_headers import read_header
from lab.network import Network
from lab.preprocessing import linear_preprocessing
from sanity.checks import shortcut_labels, shortcut_maps, shortcut_swaps
from sanity.controls import NOISE, audit
from sanity.shortcuts import classifier, map_shares, separability, swaps, views
from sanity.shortcuts.column_views import column_views
from sanity.shortcuts.copies import join_copies, join_groups, thumbnail
from sanity.shortcuts.encoding import encode_column, encode_rows
from sanity.shortcuts.exchange import Exchange, mixed_groups
from sanity.shortcuts.extremes import extreme_rows, leading_feature
from sanity.shortcuts.picture import Picture, measure_views, open_pictures
from sanity.shortcuts.regions import border_mask
from sanity.shortcuts.subject import ShortcutSubject
from sanity.statistics import group_interval
from sanity.subject import subject
from sanity.verdict import judge
from tests.shortcut_pictures import SIDE, noise, reader_of, save_pictures, two_cues

DATA = ShortcutSubject("the data", ("a", "b"), np.arange(2))


def judge_labels(measured, sizes, **settings):
    return judge(shortcut_labels.label_evidence(measured, sizes, **settings))[:-1]


def judge_swaps(effects, accuracy):
    return judge(shortcut_swaps.swap_evidence(effects, accuracy, subject=DATA))[:-1]


def judge_maps(shares):
    return judge([shortcut_maps.map_evidence(share, DATA) for share in shares])


# Exchanges ----------------------------------------------------------------------------------------------------------------


def test_whole_groups_exchange_their_label_and_stay_whole():
    groups = np.repeat(np.arange(12), [1, 2, 3] * 4)
    labels = (np.arange(12) % 3 == 0).astype(int)[groups]
    exchange, rng = Exchange(labels, groups), np.random.default_rng(0)
    draws = [exchange.draw(rng) for _ in range(200)]
    assert exchange.units == 12
    for draw in draws:
        assert not mixed_groups(draw, groups).any()
        assert draw[np.unique(groups, return_index=True)[1]].sum() == 4
    # Every group has the label as often as any other.
    assert np.abs(np.mean(draws, axis=0) - 4 / 12).max() < 0.12


def test_mixed_groups_exchange_the_names_of_their_classes_and_others_their_label():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(12), [4] * 8 + [7] * 4)
    labels = (rng.random(len(groups)) < rng.beta(0.5, 0.5, 12)[groups]).astype(int)
    exchange = Exchange(labels, groups)
    assert mixed_groups(labels, groups).any() and exchange.units == 12

    mixed = mixed_groups(labels, groups)
    whole = [groups == group for group in np.flatnonzero(~mixed)]
    for _ in range(50):
        drawn = exchange.draw(rng)
        for group in np.flatnonzero(mixed):
            rows = groups == group
            assert (drawn[rows] == labels[rows]).all() or (drawn[rows] == 1 - labels[rows]).all()
        assert sorted(drawn[rows][0] for rows in whole) == sorted(labels[rows][0] for rows in whole)
        assert all(len(set(drawn[rows])) == 1 for rows in whole)


def test_a_planted_relation_keeps_the_scheme_of_an_exchange():
    groups, rng = np.repeat(np.arange(40), 6), np.random.default_rng(2)
    labels = np.tile([0, 0, 0, 0, 1, 1], 40)
    labels[groups >= 20] = (np.arange(240) // 6 % 2)[groups >= 20]
    exchange = Exchange(labels, groups)
    assert exchange.units == 40
    keys = rng.standard_normal(exchange.blocks.max() + 1)
    planted = exchange.arrange(keys)
    assert all(len(set(planted[exchange.blocks == block])) == 1 for block in range(len(keys)))
    # Of the two blocks of a mixed group, the one with the higher key has the higher class.
    for group in range(20):
        low, high = sorted(set(exchange.blocks[groups == group]), key=lambda block: keys[block])
        assert (planted[exchange.blocks == low] == 0).all() and (planted[exchange.blocks == high] == 1).all()
    turned = exchange.arrange(keys, np.array([1, 0]))
    assert (turned[groups < 20] == 1 - planted[groups < 20]).all()


def test_keys_that_follow_a_view_plant_a_relation():
    groups = np.arange(400)
    exchange = Exchange(np.repeat([0, 1], 200), groups)
    direction, rng = np.random.default_rng(3).standard_normal(400), np.random.default_rng(4)
    for strength in (0.0, 0.4, 0.9):
        keys = strength * direction + np.sqrt(1 - strength**2) * rng.standard_normal(400)
        planted = exchange.arrange(keys)
        # A median split of normal keys keeps sqrt(2 / pi) of the correlation.
        expected = strength * np.sqrt(2 / np.pi)
        assert np.corrcoef(planted, direction)[0, 1] == pytest.approx(expected, abs=0.1)


# Classifier ---------------------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_kernel_ridge_fitted_anew():
    rng = np.random.default_rng(5)
    features, labels = rng.standard_normal((60, 3)), rng.integers(0, 3, (4, 60))
    folds = np.arange(60) % 5
    fast = classifier.predict(features, labels, folds, 3)
    for label_set, predicted in zip(labels, fast):
        for fold in range(5):
            test, train = folds == fold, folds != fold
            scaled = (features - features[train].mean(axis=0)) / features[train].std(axis=0)
            squares = ((scaled[:, None] - scaled[None]) ** 2).sum(axis=-1)
            width = np.median(squares[np.ix_(train, train)][np.triu_indices(train.sum(), 1)])
            kernel = scaled @ scaled.T / 3 + np.exp(-squares / width)
            # Centred by the training rows, as an intercept is.
            across = kernel - kernel[:, train].mean(axis=1, keepdims=True)
            centred = across - across[train].mean(axis=0)
            targets = (label_set[train][:, None] == np.arange(3)).astype(float)
            shares = targets.mean(axis=0)
            ridge = KernelRidge(alpha=1.0, kernel="precomputed").fit(centred[np.ix_(train, train)], targets - shares)
            slow = (ridge.predict(centred[np.ix_(test, train)]) / shares).argmax(axis=1)
            assert (predicted[test] == slow).all()
    shares = classifier.recalls(fast, labels, 3).mean(axis=1)
    assert shares == pytest.approx([balanced_accuracy_score(*pair) for pair in zip(labels, fast)])


def test_a_view_that_is_the_same_everywhere_is_at_chance():
    predicted = classifier.predict(np.ones((40, 2)), np.arange(40)[None] % 2, np.arange(40) % 5, 2)
    assert classifier.recalls(predicted, np.arange(40)[None] % 2, 2).mean() == 0.5


# Null and planted ---------------------------------------------------------------------------------------------------------


def days(seed, relation=0.0, count=90):
    """Rows of 15 days: labels and three views go with the day, and one view with the label by a relation."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 15, count)
    labels = (rng.random(count) < rng.beta(0.6, 0.6, 15)[groups]).astype(int)
    features = {
        f"view {place}": rng.standard_normal((15, width))[groups] + rng.standard_normal((count, width))
        for place, width in enumerate((1, 3, 8))
    }
    features["view 0"] = features["view 0"] + relation * labels[:, None]
    return features, labels, groups


def alarms(runs, naive, monkeypatch):
    """How many runs on null days have a view with p at most .05."""
    monkeypatch.setattr(separability, "_count_alarms", lambda *_: 0)
    monkeypatch.setattr(separability, "STRENGTHS", ())
    monkeypatch.setattr(separability, "_plant", lambda features, exchange, *_: np.zeros((0, len(exchange.groups)), int))
    count = 0
    for seed in range(runs):
        features, labels, groups = days(seed)
        groups = np.arange(len(labels)) if naive else groups
        measured, _, _ = separability.measure(features, labels, groups, seed=seed, permutations=199)
        count += min(view.p for view in measured if not np.isnan(view.p)) <= 0.05
    return count


def test_days_without_a_relation_stay_silent_and_alarm_a_test_of_rows(monkeypatch):
    original = separability._summarize

    def keep_p(name, result, exchange, largest, seed):
        planted = np.zeros((0, separability.PLANTED))
        view = original(name, separability._Scores(result.means, planted, result.predicted, 2), exchange, largest, seed)
        return separability.Separability(
            **{**vars(view), "p": float(separability._p(result.means[0], result, largest))}
        )

    monkeypatch.setattr(separability, "_summarize", keep_p)
    with monkeypatch.context() as patch:
        assert alarms(24, False, patch) <= 4  # 5 or more of 24 come with a probability of .006
    with monkeypatch.context() as patch:
        assert alarms(8, True, patch) >= 3  # .05 would give this many with a probability of .006


def test_a_relation_within_days_is_found_and_named():
    features, labels, groups = days(0, relation=2.5, count=150)
    measured, sizes, _ = separability.measure(features, labels, groups, seed=0, permutations=199)
    rows = {row.method: row for row in judge_labels(measured, sizes)}
    assert rows["view 0"].finding == shortcut_labels.CANDIDATE and rows["view 0"].outcome == "FAIL"
    assert {rows[name].finding for name in ("view 1", "view 2")} <= {shortcut_labels.UNKNOWN, shortcut_labels.WITHIN}
    assert sizes.straddling > 5 and sizes.alarms <= separability.MOST_ALARMS


def test_planted_relations_are_noticed_the_more_the_stronger_they_are():
    rng = np.random.default_rng(6)
    views_of_noise = {"a": rng.standard_normal((150, 1)), "b": rng.standard_normal((150, 2))}
    measured, sizes, _ = separability.measure(
        views_of_noise, np.arange(150) % 2, np.arange(150), seed=0, permutations=199
    )
    counts = [count for _, count in measured[0].planted]
    assert counts[0] <= 6 and counts[-1] == 20 and shortcut_labels.smallest_noticed(measured[0].planted) <= 0.6
    again, _, _ = separability.measure(views_of_noise, np.arange(150) % 2, np.arange(150), seed=0, permutations=199)
    assert again[0].planted == measured[0].planted and again[0].p == measured[0].p


def test_copies_with_their_labels_are_one_group_or_they_alarm():
    rng = np.random.default_rng(7)
    features = rng.standard_normal((20, 4))[np.repeat(np.arange(20), 4)] + 0.01 * rng.standard_normal((80, 4))
    labels = np.repeat(rng.permutation([0, 1] * 10), 4)
    rows = separability.measure({"v": features}, labels, np.arange(80), seed=0, permutations=199)[0]
    groups = separability.measure({"v": features}, labels, np.repeat(np.arange(20), 4), seed=0, permutations=199)[0]
    assert rows[0].p <= 0.05 < groups[0].p and rows[0].accuracy.mean > 0.7


@pytest.mark.parametrize(
    ("labels", "words"),
    [(["a"] * 20 + ["b"] * 5, "two classes are needed with 6 groups each"), (["a"] * 3 + ["b"] * 3, "there is none")],
)
def test_too_few_groups_are_said_to_be_too_few(labels, words):
    measured, sizes, _ = separability.measure({"v": np.ones((len(labels), 1))}, labels, range(len(labels)), seed=0)
    (row,) = judge_labels(measured, sizes)
    assert row.finding == shortcut_labels.UNKNOWN and row.outcome == "INCONCLUSIVE" and words in row.sentence


def verdict(p, low, high, planted=((0.5, 20),), alarms=0, margin=0.1, **fields):
    view = separability.Separability(
        "v", separability.Interval((low + high) / 2, low, high), 0.5, p, planted, None, **fields
    )
    sizes = separability.Sizes(100, 100, 100, (("a", 50), ("b", 50)), (), 0, 199, alarms)
    return judge_labels([view], sizes, margin=margin)[0].finding


def test_the_rule_is_the_table():
    assert verdict(0.01, 0.60, 0.80) == shortcut_labels.CANDIDATE
    assert verdict(0.01, 0.51, 0.60) == shortcut_labels.UNCERTAIN
    assert verdict(0.01, 0.51, 0.54) == shortcut_labels.WITHIN
    assert verdict(0.30, 0.46, 0.54) == shortcut_labels.WITHIN
    assert verdict(0.30, 0.46, 0.56) == shortcut_labels.UNKNOWN
    assert verdict(0.30, 0.60, 0.80) == shortcut_labels.UNKNOWN, "an interval alone is no finding"
    assert verdict(0.30, 0.46, 0.54, planted=((0.9, 17),)) == shortcut_labels.UNKNOWN, "nothing planted was noticed"
    assert verdict(0.01, 0.60, 0.80, alarms=5) == "GATE FAILED"
    assert verdict(0.01, 0.60, 0.80, margin=0.3) == shortcut_labels.UNCERTAIN
    assert verdict(1.00, 0.50, 0.50, constant=True) == shortcut_labels.CONSTANT
    assert verdict(1.00, 0.50, 0.50, fault="no file") == "NOT APPLICABLE"


# Views --------------------------------------------------------------------------------------------------------------------


def pictures_of(folder):
    from lab.data import folder as open_folder

    data = open_folder(folder)
    return list(open_pictures(data)), list(data.labels)


SEES = {"ruler": "corners", "jpeg": "compression", "brightness": "mean_colour", "camera": "resolution"}


@pytest.mark.parametrize("kind", ["none", *SEES])
def test_a_planted_shortcut_of_pictures_is_found_by_its_view(kind, tmp_path):
    pictures, labels = pictures_of(save_pictures(tmp_path, kind))
    names = ("corners", "compression", "mean_colour", "resolution")
    measured, _ = measure_views(pictures, {name: views.get(name) for name in names})
    features = {name: values for name, (values, _) in measured.items()}
    rows, sizes, _ = separability.measure(features, labels, range(len(labels)), seed=0, permutations=199)
    candidates = {row.method for row in judge_labels(rows, sizes) if row.finding == shortcut_labels.CANDIDATE}
    assert SEES[kind] in candidates if kind != "none" else not candidates, candidates


def test_views_of_a_known_picture():
    image = np.zeros((32, 64, 3), "uint8")
    image[:4, :, 0] = 255  # The upper edge is red.
    image[-8:, -8:] = 100
    known = Picture("a", image)
    border = views.get("border")(known)
    assert (
        border["top 0,3 red"] == 1
        and border["bottom 0,0 red"] == 0
        and border["bottom 0,7 green"] == pytest.approx(100 / 255)
    )
    corners = views.get("corners")(known)
    assert corners["top left 0,0 red"] == 1 and corners["bottom right 1,1 blue"] == pytest.approx(100 / 255)
    assert views.get("resolution")(known)["aspect"] == pytest.approx(np.log(2))
    assert views.get("low_pass")(known)["cell 0,0 red"] == 1
    flat = views.get("sharpness")(Picture("b", np.full((20, 20, 3), 9, "uint8")))
    assert all(value < sharp for value, sharp in zip(flat.values(), views.get("sharpness")(known).values()))
    assert border_mask(32, 64).mean() == pytest.approx(1 - 24 * 56 / (32 * 64))


def test_views_of_one_pixel_have_numbers():
    tiny = Picture("a", np.full((1, 1, 3), 7, "uint8"))
    for name in ("border", "corners", "mean_colour", "low_pass", "sharpness", "resolution"):
        assert np.isfinite(list(views.get(name)(tiny).values())).all(), name


def test_the_header_of_a_file_is_read(tmp_path):
    from PIL import Image

    image, exif = Image.fromarray(noise(np.random.default_rng(0))), Image.Exif()
    exif[0x0110], exif[0x0112] = "Camera One", 1
    image.save(tmp_path / "a.jpg", quality=50, exif=exif)
    image.save(tmp_path / "b.jpg", quality=95)
    image.save(tmp_path / "c.png")
    low, high, lossless = (read_header((tmp_path / name).read_bytes()) for name in ("a.jpg", "b.jpg", "c.png"))
    assert low.exif == {"Model": "Camera One", "Orientation": 1.0} and not high.exif
    assert sum(low.quantization[0]) > 4 * sum(high.quantization[0]) and lossless.quantization == ()
    assert lossless.format == "PNG" and low.bytes == (tmp_path / "a.jpg").stat().st_size
    assert read_header(b"nothing").format == "" and read_header(b"nothing").bytes == 7


def test_a_view_that_refuses_or_fails_costs_its_own_row_alone():
    def breaks(picture):
        raise RuntimeError("no room")

    functions = {"file_size": views.get("file_size"), "mine": breaks, "number": lambda picture: picture.image.mean()}
    measured, _ = measure_views([Picture("a", np.zeros((8, 8, 3), "uint8"))], functions)
    assert "files of their own" in measured["file_size"][0] and measured["file_size"][1] is None
    assert measured["mine"][0] == "RuntimeError: no room" and "breaks" in measured["mine"][1]
    assert measured["number"][0].shape == (1, 1)


def test_near_copies_are_one_group_and_other_pictures_are_not(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(8)
    images = [noise(rng) for _ in range(6)]
    Image.fromarray(images[0]).save(tmp_path / "again.jpg", quality=60)
    copy = np.asarray(Image.open(tmp_path / "again.jpg"))
    smaller = np.asarray(Image.fromarray(images[1]).resize((30, 30)))
    brighter = np.clip(images[2].astype(int) + 20, 0, 255).astype("uint8")
    flat = [np.full((9, 9, 3), value, "uint8") for value in (0, 255)]
    thumbnails = np.stack([thumbnail(image) for image in (*images, copy, smaller, brighter, *flat)])
    groups = join_copies(thumbnails, range(11))
    assert (groups[[6, 7, 8]] == groups[[0, 1, 2]]).all() and len(set(groups)) == 8


# Tables -------------------------------------------------------------------------------------------------------------------


def test_cells_of_any_kind_become_numbers():
    values, names = encode_rows([{"a": 1.0, "b": "x"}, {"a": None, "b": "y"}, {"a": 3.0, "b": None}])
    assert names == ["a", "a is missing", "b = x", "b = y", "b is missing"]
    assert values.tolist() == [[1, 0, 1, 0, 0], [2, 1, 0, 1, 0], [3, 0, 0, 0, 1]]
    _, names = encode_rows([{"id": f"{'k' if place % 2 else 'm'}{place}"} for place in range(60)])
    assert names[:3] == ["length of id", "first letter of id = m", "first letter of id = k"]
    assert names[3:] == ["'k' in id", "'m' in id"], "numbers are rarer than one in fifty rows"


def test_a_table_is_seen_by_column_missing_cells_order_and_copies():
    table = {"age": [1.0, None, 1.0, 4.0], "city": ["Ulm", "Rome", "Ulm", "Rome"]}
    seen = column_views(table)
    assert list(seen) == ["column age", "column city", "missing cells", "row order", "equal rows"]
    assert seen["missing cells"][0].tolist() == [[0, 0], [1, 0], [0, 0], [0, 0]]
    assert seen["equal rows"][0].ravel().tolist() == [2, 1, 2, 1] and seen["row order"][0][-1] == 1


def test_the_leading_feature_and_the_extremes_are_those_that_differ():
    features = np.array([[0.0, 5, 0], [0.1, 4, 1], [0.0, 1, 1], [0.1, 0, 0]])
    name, means = leading_feature(features, ["noise", "cue", "other"], ["a", "a", "b", "b"])
    assert name == "cue" and means == {"a": 4.5, "b": 0.5}
    assert extreme_rows(features, ["a", "a", "b", "b"])["a"][0] == 0


def test_an_interval_over_groups_is_wider_than_over_rows():
    values = np.repeat(np.random.default_rng(9).standard_normal(20), 10)
    rows, groups = (group_interval(values, codes, seed=0) for codes in (np.arange(200), np.repeat(np.arange(20), 10)))
    assert rows.mean == groups.mean and groups.high - groups.low > 2 * (rows.high - rows.low)
    assert np.isnan(group_interval(values[:50], np.repeat(np.arange(5), 10), seed=0).low)


# Networks -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cues():
    """Pictures with two cues, in the border and in the middle."""
    rng, inside = np.random.default_rng(10), ~border_mask(SIDE, SIDE)
    labels = np.arange(80) % 2
    return [Picture(str(place), two_cues(rng, label, inside)) for place, label in enumerate(labels)], labels


def read_by(mask):
    return Network(reader_of(mask), preprocessing=linear_preprocessing(-1, 1))


def test_a_swap_tells_what_a_network_uses(cues):
    pictures, labels = cues
    findings = {}
    for name, mask in (("border", border_mask(SIDE, SIDE)), ("middle", ~border_mask(SIDE, SIDE))):
        effects, accuracy = swaps.measure(
            read_by(mask), pictures, labels, np.arange(80), ["border", "compression"], seed=0
        )
        assert accuracy == 1 and effects[0].swap == swaps.EVERYTHING and effects[0].drop.mean == 1
        findings[name] = {row.method: row.finding for row in judge_swaps(effects, accuracy)}
    assert (
        findings["border"]["border"] == shortcut_swaps.USED and findings["middle"]["border"] == shortcut_swaps.NOT_USED
    )
    assert findings["border"]["compression"] == "NOT APPLICABLE", "none of these pictures is a JPEG"


def test_a_network_that_does_not_know_the_classes_gets_no_verdict(cues):
    pictures, labels = cues
    nothing = read_by(np.eye(SIDE, dtype=bool) & False | (np.arange(SIDE) == 0)[:, None] & (np.arange(SIDE) == 0))
    rng = np.random.default_rng(0)
    effects, accuracy = swaps.measure(nothing, pictures, rng.permutation(labels), np.arange(80), ["border"], seed=0)
    (row,) = judge_swaps(effects, accuracy)
    assert row.finding == "GATE FAILED" and row.outcome == "INVALID"


def test_equal_values_are_no_certainty():
    from sanity.statistics import Interval

    widened = swaps._never_certain(Interval(0.0, 0.0, 0.0), np.arange(40))
    assert (widened.low, widened.high) == (-0.075, 0.075)
    assert swaps._never_certain(Interval(0.5, 0.2, 0.8), np.arange(40)) == Interval(0.5, 0.2, 0.8)


def test_a_donor_is_of_another_group():
    labels, groups = np.repeat([0, 1], 8), np.repeat(np.arange(8), 2)
    donors = swaps._draw_donors(labels, groups, np.random.default_rng(0))
    places = np.arange(16)
    assert (groups[donors] != groups[places]).all()
    assert (labels[donors[0]] == labels).all() and (labels[donors[1]] != labels).all()


def test_compression_is_that_of_the_donor(tmp_path):
    pictures, labels = pictures_of(save_pictures(tmp_path, "jpeg", count=2))
    fine, coarse = (swaps.Sized(pictures[place], pictures[place].image.astype("float32")) for place in (0, 2))
    away = [np.abs(swaps.compression(fine, donor) - fine.pixels).mean() for donor in (fine, coarse)]
    assert away[1] > 2 * away[0] and labels[0] != labels[2]


def test_maps_of_the_true_class_in_the_border_are_told_from_others(cues):
    pictures, labels = cues
    data = Data(
        tuple(picture.name for picture in pictures),
        tuple(picture.image for picture in pictures),
        tuple(map(str, labels)),
    )
    asked, mask = subject(read_by(border_mask(SIDE, SIDE)), data), border_mask(SIDE, SIDE)

    def knows(network, inputs, objective):
        """Maps in the border for the true class, and in the middle for the other one."""
        numbers = objective.numbers(len(inputs))[0][0]
        return (
            np.stack([mask if number == label else ~mask for number, label in zip(numbers, labels)]).astype("float32")
            + 0.01
        )

    def blind(network, inputs, objective):
        return np.abs(inputs).sum(axis=-1).astype("float32")

    def elsewhere(network, inputs, objective):
        """Maps in the middle for both classes, but not the same."""
        number = objective.numbers(len(inputs))[0][0][0]
        return np.stack([np.where(mask, 0, 1.0 + (np.arange(SIDE) + number) % 2)] * len(inputs)).astype("float32")

    expected = ((knows, shortcut_maps.IN_REGION), (elsewhere, shortcut_maps.NOT_IN_REGION), (blind, "GATE FAILED"))
    for explainer, finding in expected:
        shares = map_shares.measure(explainer, asked, np.arange(80), seed=0)
        rows = {row.method: row for row in judge_maps(shares)}
        assert rows["border"].finding == finding
    assert all(share.usable == 0 for share in shares), "a blind map says nothing"


def test_views_of_noise_are_the_control_of_labels():
    sizes = separability.Sizes(100, 100, 100, (("a", 50), ("b", 50)), (), 0, 199, 0)
    for alarms, held in ((separability.MOST_ALARMS, True), (separability.MOST_ALARMS + 1, False)):
        rows = shortcut_labels.label_evidence([], separability.Sizes(**{**vars(sizes), "alarms": alarms}))
        (control,) = audit(judge(rows))
        assert control.control == NOISE and control.held is held


def test_all_of_a_picture_is_the_control_of_swaps(cues):
    pictures, labels = cues
    asked = ShortcutSubject(
        "net",
        tuple(map(str, labels)),
        np.arange(80),
        network=read_by(border_mask(SIDE, SIDE)),
        pictures=pictures,
        classes=labels,
    )
    (control,) = audit(judge(shortcut_swaps.shortcut_swaps(asked, seed=0, swaps=["corners"])))
    assert control.control == swaps.EVERYTHING and control.held


def test_blind_explainers_are_the_controls_of_maps(cues):
    pictures, labels = cues
    data = Data(*(tuple(part) for part in zip(*((p.name, p.image, str(label)) for p, label in zip(pictures, labels)))))
    explained = subject(read_by(border_mask(SIDE, SIDE)), data)
    asked = ShortcutSubject(
        "net", data.labels, np.arange(80), explained=explained, explainer=explainers.get("gradient"), method="gradient"
    )
    verdicts = judge(shortcut_maps.shortcut_maps(asked, seed=0))
    assert {row.control: row.held for row in audit(verdicts)} == {"edges": True, "noise": True}


# After a second reading ---------------------------------------------------------------------------------------------------


def test_a_number_of_numpy_that_is_none_is_missing_and_hides_nothing():
    labels = np.array([0, 1] * 20)
    cells = [np.float32("nan") if place % 4 == 0 else np.float32(label) for place, label in enumerate(labels)]
    values, names = encode_rows([{"leak": cell} for cell in cells])
    assert np.isfinite(values).all() and names == ["leak", "leak is missing"]


def test_a_text_that_spells_the_label_out_is_read_in_pieces():
    cells = [f"scan_{place:04}_{'pos' if place % 3 else 'neg'}.dcm" for place in range(60)]
    columns = dict(encode_column("file", cells))
    np.testing.assert_array_equal(columns["'pos' in file"], [bool(place % 3) for place in range(60)])
    assert not any("scan" in name for name in columns), "what all rows have tells nothing"


def test_groups_of_two_kinds_that_share_a_row_are_one():
    joined = join_groups([0, 0, 1, 2, 3], ["a", "b", "b", "c", "c"])
    assert joined[0] == joined[1] == joined[2] and joined[3] == joined[4] != joined[0]


def test_rows_of_one_group_and_label_keep_a_label_in_common():
    groups = np.repeat(np.arange(12), 8)
    labels = np.concatenate([np.repeat([0, 1], 4)] * 6 + [np.full(8, number % 2) for number in range(6)])
    exchange, rng = Exchange(labels, groups), np.random.default_rng(0)
    blocks = groups * 2 + labels
    swapped = 0
    for _ in range(200):
        drawn = exchange.draw(rng)
        assert all(len(set(drawn[blocks == block])) == 1 for block in np.unique(blocks))
        assert np.bincount(drawn).tolist() == np.bincount(labels).tolist()
        swapped += drawn[0] != labels[0]
    assert 60 < swapped < 140


def red_frame_of_dogs():
    """Pictures of 60 cats and 12 dogs; the network says dog only where border and centre are red."""
    pixels = np.full((72, SIDE, SIDE, 3), 60, "uint8")
    labels = np.repeat([0, 1], [60, 12])
    pixels[labels == 1] = (200, 60, 60)
    return pixels, labels


def test_what_one_class_alone_is_told_by_is_used():
    pixels, labels = red_frame_of_dogs()
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    frame = keras.layers.Lambda(lambda x: keras.ops.min(x[..., 0] - x[..., 1], axis=(1, 2))[:, None])(image)
    logits = keras.layers.Lambda(lambda x: keras.ops.concatenate([0 * x + 0.2, x], axis=1))(frame)
    network = Network(keras.Model(image, logits), preprocessing=linear_preprocessing(0, 1), classes=["cat", "dog"])
    pictures = [Picture(str(place), image, None, {}) for place, image in enumerate(pixels)]
    effects, _ = swaps.measure(network, pictures, labels, np.arange(72), ["border", "compression"], seed=0)
    _, border, compression = effects
    of_class = dict(border.classes)
    assert of_class[1].low > 0.5 and of_class[0].mean == 0 and border.drop.mean < 0.3
    judged = {answer.method: answer for answer in judge_swaps(effects, 1.0)}
    assert judged["border"].finding == "USED" and "Of classes, class 1 loses most" in judged["border"].sentence
    # All files are alike, so that their compression asks nothing.
    assert not compression.changed and judged["compression"].finding == "NOT APPLICABLE"


def test_a_view_that_returns_no_numbers_costs_itself_alone():
    pixels, _ = red_frame_of_dogs()
    pictures = [Picture(str(place), image, None, {}) for place, image in enumerate(pixels)]
    functions = {"lists": lambda picture: {"a": [1.0, 2.0]}, "mean": lambda picture: float(picture.image.mean())}
    measured, _ = measure_views(pictures, functions)
    assert "a number, a text or None" in measured["lists"][0] and measured["mean"][0].shape == (72, 1)
