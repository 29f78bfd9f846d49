"""`lab explain`: grids, tables, refusals, agreement, and what a second run is compared by."""

import csv
import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from recipes.explanations import passes
from recipes.report.maps import _changes
from recipes.store import Store


@pytest.fixture
def photos(tmp_path):
    paths = []
    for number in range(2):
        path = tmp_path / f"photo-{number}.png"
        noise = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def explained(command, small_file, photos):
    def run(*words):
        code, output, error = command("explain", *photos, "--model", small_file, "--input-range", -1, 1, *words)
        report = pathlib.Path(output.strip().splitlines()[-1]) if code == 0 and "--json" not in words else None
        return code, output, error, report

    return run


def store_of(report):
    return Store(report.parent.parent.parent, report.parent.parent.name, report.parent.name)


def rows_of(report, name):
    with open(report.parent / "jobs" / "agreement" / name) as file:
        return list(csv.DictReader(file))


def test_a_grid_of_images_and_methods(explained):
    methods = "gradient,gradcam,smoothgrad,integrated_gradients,layer_conductance"
    code, _, error, report = explained("--method", methods, "--option", "smoothgrad.samples=4")
    assert code == 0, error
    text, store = report.read_text(), store_of(report)
    assert text.count("data-method=") == 5 and text.count('class="over"') == 10
    assert "Which methods agree?" in text and "another seed:" in text and "gap " in text
    about = store.values("explain/smoothgrad", "about.json")
    assert about["options"]["samples"] == 4 and "again/0" in store.arrays("explain/smoothgrad", "maps.npz")
    lines = rows_of(report, "maps.csv")
    assert len(lines) == 10 and {line["method"] for line in lines} == set(methods.split(","))
    assert all(line["gap"] for line in lines if line["method"] == "integrated_gradients")
    assert all(line["seed_agreement"] for line in lines if line["method"] == "smoothgrad")
    agreed = rows_of(report, "agreement.csv")
    assert len(agreed) == 10 and all(-1 <= float(line["rank_correlation"]) <= 1 for line in agreed)
    views = rows_of(report, "overview.csv")
    assert {"red", "green", "blue", "all"} == {line["feature"] for line in views}


def test_a_refusal_is_told_and_costs_no_other_method(explained):
    code, output, _, report = explained("--method", "gradient,tf_explain.vanilla_gradients,xplain:no")
    assert code == 2
    code, output, _, report = explained("--method", "gradient,xrai", "--option", "xrai.steps=-1")
    assert code == 0 and "xrai  refused: steps is a whole number" in output
    assert "refused: steps" in report.read_text() and report.read_text().count("data-method=") == 1
    code, output, error, _ = explained("--method", "xrai", "--option", "xrai.steps=-1")
    assert code == 3 and "xrai  refused" in output and "Every method was refused" in error


def test_relevance_is_followed_through_layers_and_its_sums_are_shown(explained):
    words = ("--method", "lrp", "--graph", "first_relu,last", "--width", 2, "--option", "lrp.composite=z_plus")
    code, _, error, report = explained(*words)
    assert code == 0, error
    graphs, text = store_of(report).values("graph", "graphs.json"), report.read_text()
    assert graphs["composite"] == "z_plus" and len(graphs["graphs"]) == 2 == text.count('alt="Paths of relevance of')
    for graph in graphs["graphs"]:
        layers = [node["layer"] for node in graph["nodes"]]
        assert layers.count("last") == 2 and 2 <= layers.count("first_relu") <= 4 and len(graph["edges"]) == 4
    about = store_of(report).values("explain/lrp", "about.json")
    assert [about["conservation"][-1][0]] == ["inputs"] and "relevance by layer" in text
    code, _, error, _ = explained("--method", "lrp", "--graph", "last@2")
    assert code == 2 and "Received: 'last@2'" in error
    code, _, error, _ = explained("--method", "lrp", "--graph", "conv9")
    assert code == 2 and "Unknown layer. Received: 'conv9'" in error
    code, _, error, _ = explained("--method", "lrp", "--graph", "first", "--shard", 1)
    assert code == 2 and "graph" in error and "shard" in error
    code, _, error, _ = explained("--method", "lrp", "--width", 2)
    assert code == 2 and "how many channels" in error and "no graph" in error


def test_a_photograph_without_a_graph_leaves_those_of_the_others(command, photos, tmp_path):
    """Nothing goes through a network without biases where a photograph is black."""
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(photos[0])
    pixels = keras.Input((20, 20, 3))
    values = keras.layers.Conv2D(4, 3, activation="relu", use_bias=False, name="conv")(pixels)
    values = keras.layers.Dense(2, use_bias=False)(keras.layers.GlobalAveragePooling2D()(values))
    keras.Model(pixels, values).save(tmp_path / "plain.keras")
    model = ("--model", tmp_path / "plain.keras", "--input-range", 0, 1)
    code, output, error = command("explain", *photos, *model, "--method", "lrp", "--graph", "conv")
    assert code == 0, error
    report = pathlib.Path(output.strip().splitlines()[-1])
    first, second = store_of(report).values("graph", "graphs.json")["graphs"]
    assert "gets no relevance" in first["refused"] and second["refused"] is None and second["nodes"]
    assert "graph of photo-0.png  refused: Layers of a graph" in output
    assert report.read_text().count('alt="Paths of relevance of') == 1


def test_graphs_have_the_options_of_lrp_and_the_names_of_a_contrast(explained):
    box = ("lrp.composite=epsilon_gamma_box", "lrp.low=-2", "lrp.high=2")
    options = [word for option in box for word in ("--option", option)]
    code, _, error, report = explained("--method", "lrp", "--graph", "first_relu", "--contrast", *options)
    assert code == 0, error
    graphs = store_of(report).values("graph", "graphs.json")
    assert (graphs["low"], graphs["high"]) == (-2, 2)
    assert all(" against " in graph["target"] and ", score " in graph["target"] for graph in graphs["graphs"])


def test_many_small_losses_of_relevance_are_shown():
    sums = [["last", 1.0], ["fourth", 0.994], ["third", 0.988], ["second", 0.985], ["first", 0.97], ["inputs", 0.97]]
    assert _changes(sums) == [("last", 1.0), ("third", 0.988), ("first", 0.97), ("inputs", 0.97)]
    assert _changes([]) == []


def test_suspicious_maps_are_told(explained):
    code, output, _, report = explained("--method", "tests.recipes.external:broken,gradient", "--allow-code")
    assert code == 0 and "not finite" in output
    assert np.isnan(store_of(report).arrays("explain/tests.recipes.external-broken", "maps.npz")["maps/0"]).any()
    assert report.read_text().count('class="over"') == 3  # The map with a hole is not drawn.


def test_options_of_methods_are_checked(explained):
    for option, words in (
        ("smoothgrad.sample=3", "Unknown option of smoothgrad"),
        ("smoothgrad", "METHOD.NAME=VALUE"),
    ):
        code, _, error, _ = explained("--method", "smoothgrad", "--option", option)
        assert code == 2 and words in error


def test_the_second_draw_is_another_one_even_where_the_seed_is_given(explained):
    code, _, error, report = explained("--method", "smoothgrad", "--option", "smoothgrad.seed=5")
    arrays = store_of(report).arrays("explain/smoothgrad", "maps.npz")
    assert code == 0 and not np.array_equal(arrays["maps/0"], arrays["again/0"]), error


def test_several_layers_are_fused(explained):
    code, _, error, report = explained("--method", "gradcam", "--layer", "last,first_relu")
    assert code == 0, error
    assert store_of(report).arrays("explain/gradcam", "maps.npz")["maps/0"].shape == (2, 16, 16)
    assert "last, first_relu" in report.read_text()


def test_two_runs_are_compared_map_by_map(explained, command, tmp_path):
    first = explained("--method", "gradient,gradcam")[3]
    second = explained("--method", "gradient,gradcam", "--target", 1)[3]
    code, output, error = command("compare", first.parent, second.parent, out=False)
    text = pathlib.Path(output.strip()).read_text()
    assert code == 0 and text.count("<tr data-map") == 4, error
    assert "rank correlation" in text
    same = command("compare", first.parent, first.parent, "--out", tmp_path / "same.html", out=False)
    assert same[0] == 0 and "1.00" in (tmp_path / "same.html").read_text()


def test_a_comparison_as_json_has_every_row_of_the_page(explained, command):
    first = explained("--method", "gradient,gradcam")[3]
    second = explained("--method", "gradient,smoothgrad", "--target", 0, "--option", "smoothgrad.samples=2")[3]
    code, output, error = command("compare", first.parent, second.parent, "--json", out=False)
    compared = json.loads(output)
    assert code == 0 and compared["error"] is None, error
    assert compared["runs"] == [str(first.parent), str(second.parent)]
    settings = {row["name"]: (row["first"], row["second"]) for row in compared["settings"]}
    assert settings["explain.target"][0] == "top" and str(settings["explain.target"][1]) == "0"
    assert settings["explain.methods.1"] == ("gradcam", "smoothgrad")
    assert settings["explain.options.smoothgrad.samples"] == (None, 2) and "digest" not in settings
    assert not any(name.startswith(("hashes", "versions", "code")) for name in settings), settings
    jobs = {row["key"]: row for row in compared["jobs"]}
    assert (jobs["explain/gradcam"]["first"], jobs["explain/gradcam"]["second"]) == ("done", None)
    assert not jobs["explain/gradient"]["same"] and jobs["photographs"]["second"] == "done"
    assert {(row["method"], row["image"]) for row in compared["maps"]} == {
        ("gradient", f"photo-{number}.png") for number in range(2)
    }
    assert all(set(row) == {"method", "image", "classes", "rank"} for row in compared["maps"])
    assert compared["units"] == [] and compared["verdicts"] == []
    text = pathlib.Path(compared["report"]).read_text()
    assert text.count("<tr data-setting") == len(settings) and text.count("<tr data-map") == len(compared["maps"])
    assert text.count("<tr data-job") == sum(not row["same"] for row in compared["jobs"])
    same = json.loads(command("compare", first.parent, first.parent, "--json", out=False)[1])
    assert same["settings"] == [] and all(row["same"] for row in same["jobs"])
    assert all(row["rank"] == pytest.approx(1) for row in same["maps"])


def test_costs_are_counted_before_anything_runs(small):
    from lab.attribution import explainers

    def cost(name, **options):
        return passes(explainers.get(name), options, small)

    assert cost("gradient") == 1 and cost("smoothgrad", samples=7) == 7 and cost("guided_integrated_gradients") == 200
    assert cost("scorecam") == 0.4 * 12 and cost("scorecam", channels=5) == 2 and cost("xrai", steps=30) == 100


def test_the_report_of_json(explained):
    code, output, _, _ = explained("--method", "gradient", "--json")
    assert code == 0 and json.loads(output)["maps"] == []
