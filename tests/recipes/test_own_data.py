"""Own data: tables, series and texts at the command, from a file to a page and a verdict."""

import csv
import html
import json
import pathlib
import re

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import schema
from recipes.session import Session
from recipes.sources import Sources
from tests import own_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return own_data.write(tmp_path_factory.mktemp("own"))


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def jobs_of(printed):
    page = printed.strip().splitlines()[-1]
    return pathlib.Path(page).parent / "jobs", open(page, encoding="utf-8").read()


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# Explain ------------------------------------------------------------------------------------------------------------------


def test_a_column_is_no_target_of_a_network_of_several_units(here, command, tmp_path):
    columns = len(own_data.table()[0][0])
    keras.Sequential([keras.Input((columns,)), keras.layers.Dense(2)]).save(tmp_path / "two.keras")
    words = ("explain", "--model", tmp_path / "two.keras", "--table", "loans.csv", "--method", "gradient", "--most", 2)
    code, _, error = command(*words, "--target", "default")
    assert code == 2 and "Give the column as the label" in error
    assert command(*words, "--label", "default", "--target", 1)[0] == 0


def test_the_gradient_of_a_linear_table_is_its_weights_by_name(here, command):
    words = ("explain", "--model", "credit.keras", "--table", "loans.csv", "--target", "default", "--most", 6)
    code, out, err = command(*words, "--method", "gradient,integrated_gradients,smoothgrad", "--quiet")
    assert code == 0, err
    jobs, page = jobs_of(out)
    rows, names, _ = own_data.table()
    maps = np.load(jobs / "explain" / "gradient" / "maps.npz")["maps/0"]
    np.testing.assert_allclose(maps, np.tile(-own_data.slopes(), (6, 1)), rtol=1e-3, atol=1e-6)
    # A linear network has the same gradient whatever the noise. Integrated gradients start at the mean row.
    noisy = np.load(jobs / "explain" / "smoothgrad" / "maps.npz")["maps/0"]
    np.testing.assert_allclose(noisy, maps, rtol=1e-3, atol=1e-6)
    places = np.linspace(0, len(rows) - 1, 6).round().astype(int)
    paths = np.load(jobs / "explain" / "integrated_gradients" / "maps.npz")["maps/0"]
    np.testing.assert_allclose(paths, -own_data.slopes() * (rows[places] - rows.mean(axis=0)), rtol=1e-2, atol=1e-3)
    columns = [row for row in rows_of(jobs / "agreement" / "columns.csv") if row["method"] == "gradient"]
    assert {row["column"] for row in columns if float(row["attribution"])} == set(own_data.WEIGHTS)
    overview = rows_of(jobs / "agreement" / "overview.csv")
    assert {row["feature"] for row in overview} == set(names)
    assert "mean_radius" in page and "Rows and maps" in page and "6 rows in loans.csv" in page
    section = re.search('<section id="maps">.*?</section>', page, re.S)[0]
    words = re.sub("<[^>]*>", " ", section)
    assert "hotograph" not in words and " image" not in words
    predictions = rows_of(jobs / "photographs" / "predictions.csv")
    assert [row["true"] for row in predictions] == [str(own_data.table()[2][place]) for place in places]
    check_columns(page, overview, np.load(jobs / "explain" / "integrated_gradients" / "maps.npz"), names)


def check_columns(page, overview, arrays, names):
    """The plots of columns come before the rows, in pictures whose words hold the numbers of the files."""
    section = re.search('<section id="columns">.*?</section>', page, re.S)[0]
    assert page.index('<section id="columns">') < page.index('<section id="maps">')
    pictures = [
        (html.unescape(alt), source) for source, alt in re.findall(r'<img src="([^"]+)" alt="([^"]+)">', section)
    ]
    assert all(source.startswith("data:image/png;base64,") for _, source in pictures)
    kinds = ["Bar plot", "Beeswarm", "Dependence plot", "Dependence plot", *["Waterfall"] * 3]
    assert [alt.partition(".")[0] for alt, _ in pictures] == kinds * 3
    assert section.count("<details") == 2 * 3 + 1
    paths = [alt for alt, _ in pictures if "integrated_gradients: 1" in alt or "integrated_gradients: row" in alt]
    spans = [row for row in overview if row["method"] == "integrated_gradients" and row["class"] == "all classes"]
    first = max(spans, key=lambda row: float(row["mean"]))
    mean, low, high = (float(first[name]) for name in ("mean", "low", "high"))
    assert f"{first['feature']}: {mean:.3g} [{low:.3g}, {high:.3g}]" in paths[0]
    assert paths[2].startswith(f"Dependence plot. integrated_gradients: 1. {first['feature']}")
    largest = np.argmax(np.abs(arrays["maps/0"][0]))
    assert f"{names[largest]} = " in paths[4] and f": {arrays['maps/0'][0][largest]:+.3g};" in paths[4]
    assert arrays["baseline_scores"] == pytest.approx(
        arrays["scores"] - arrays["maps/0"].sum(axis=1) + arrays["gap"], abs=1e-4
    )
    waterfalls = [alt for alt, _ in pictures if alt.startswith("Waterfall. gradient")]
    assert len(waterfalls) == 3 and all("gap:" in alt and "does not promise" in alt for alt in waterfalls)


def test_a_single_row_has_a_waterfall_alone(here, command):
    words = (
        "explain",
        "--model",
        "credit.keras",
        "--table",
        "loans.csv",
        "--target",
        "default",
        "--most",
        1,
        "--quiet",
    )
    code, out, err = command(*words, "--method", "gradient")
    assert code == 0, err
    section = re.search('<section id="columns">.*?</section>', jobs_of(out)[1], re.S)[0]
    assert re.findall('alt="([A-Z][a-z]+)', section) == ["Waterfall"] and "<details open>" in section


def test_whole_numbers_are_a_table_where_the_network_takes_one(here, command):
    rows, _, labels = own_data.table()
    np.savez(here / "whole.npz", x=rows[:6].astype(int), y=labels[:6])
    code, out, err = command(
        "explain", "--model", "credit.keras", "--data", "whole.npz", "--method", "gradient", "--quiet"
    )
    assert code == 0, err
    jobs, page = jobs_of(out)
    assert {row["column"] for row in rows_of(jobs / "agreement" / "columns.csv")} == {
        f"column {number}" for number in range(rows.shape[1])
    }


def test_words_are_coloured_by_what_they_say(here, command):
    code, out, err = command(
        "explain",
        "--model",
        "sentiment.keras",
        "--text",
        "reviews.txt",
        "--target",
        1,
        "--method",
        "gradient_x_input,smoothgrad",
        "--quiet",
    )
    assert code == 0, err
    jobs, page = jobs_of(out)
    tokens = [row for row in rows_of(jobs / "agreement" / "tokens.csv") if row["method"] == "gradient_x_input"]
    signs = {row["token"]: np.sign(float(row["attribution"])) for row in tokens}
    assert {word for word, sign in signs.items() if sign > 0} == set(own_data.GOOD)
    assert {word for word, sign in signs.items() if sign < 0} == set(own_data.BAD)
    assert "Texts and maps" in page and ">wonderful</span>" in page and 'id="columns"' not in page


def test_series_are_lines_over_the_steps_that_decide(here, command):
    code, out, err = command(
        "explain",
        "--model",
        "ecg.keras",
        "--data",
        "beats.npz",
        "--most",
        4,
        "--method",
        "gradient_x_input,gradcam",
        "--quiet",
    )
    assert code == 0, err
    jobs, page = jobs_of(out)
    maps = np.load(
        jobs / "explain" / "gradient-x-input" / "maps.npz"
        if (jobs / "explain" / "gradient-x-input").exists()
        else jobs / "explain" / "gradient_x_input" / "maps.npz"
    )["maps/0"]
    inputs = np.load(jobs / "photographs" / "inputs.npz")["inputs"]
    strongest = np.abs(inputs[..., 0]).argmax(axis=1)
    assert maps.shape == inputs.shape and not maps[..., 1].any()
    assert all(maps[row, step, 0] > 0 for row, step in enumerate(strongest))
    assert (
        "<polyline" in page
        and "lead" in page
        and {
            row["feature"]
            for row in rows_of(jobs / "agreement" / "overview.csv")
            if row["method"] == "gradient_x_input"
        }
        == {"lead", "sway"}
    )


def test_columns_that_a_network_names_are_taken_by_name(here, command):
    rows, names, labels = own_data.table()
    own_data.named(["worst_area", "mean_radius", "area_error"]).save("named.keras")
    code, out, err = command(
        "explain",
        "--model",
        "named.keras",
        "--table",
        "loans.csv",
        "--label",
        "default",
        "--target",
        1,
        "--most",
        3,
        "--method",
        "gradient",
        "--quiet",
    )
    assert code == 0, err
    columns = rows_of(jobs_of(out)[0] / "agreement" / "columns.csv")
    assert {row["column"]: float(row["attribution"]) for row in columns} == pytest.approx(
        {"worst_area": 1, "mean_radius": 2, "area_error": 3}
    )
    own_data.write_table("short.csv", rows[:4, :3], names[:3])
    code, out, err = command("explain", "--model", "named.keras", "--table", "short.csv", "--method", "gradient")
    assert code == 2 and "none called 'area_error'" in err


def test_the_order_of_columns_is_said(here, command):
    """A file with its columns turned around gives the same maps by name where the order is said."""
    rows, names, labels = own_data.table()
    own_data.write_table("turned.csv", rows[:, ::-1], names[::-1], labels)
    words = (
        "--model",
        "credit.keras",
        "--label",
        "default",
        "--most",
        3,
        "--method",
        "gradient",
        "--quiet",
        "--target",
        1,
    )
    code, out, err = command("explain", "--data", "turned.csv", "--columns", ",".join(names), *words)
    assert code == 0, err
    maps = np.load(jobs_of(out)[0] / "explain" / "gradient" / "maps.npz")["maps/0"]
    np.testing.assert_allclose(maps, np.tile(-own_data.slopes(), (3, 1)), rtol=1e-3, atol=1e-6)


def test_a_vocabulary_beside_a_network_of_ids(here, command):
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(5, 2),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2),
        ]
    )
    model.save("ids.keras")
    here.joinpath("words.txt").write_text("great\ndull\nfilm\n")
    words = ("explain", "--model", "ids.keras", "--text", "reviews.txt", "--method", "gradient")
    assert "--vocabulary FILE" in command(*words)[2]
    code, out, err = command(*words, "--vocabulary", "words.txt", "--quiet")
    assert code == 0, err
    tokens = rows_of(jobs_of(out)[0] / "agreement" / "tokens.csv")
    assert {"great", "dull", "film", "[UNK]"} == {row["token"] for row in tokens}


def test_photographs_are_data_too(command, user, photo, tmp_path):
    """The same run, whichever option names the file; and as an array of the same pixels, the same maps."""
    words = (*user, "--method", "gradient", "--quiet")
    first, second = (command("explain", *source, *words) for source in ([photo], ["--data", photo]))
    assert first[0] == second[0] == 0 and first[1] == second[1]
    pixels = np.asarray(Image.open(photo))
    np.savez(tmp_path / "pixels.npz", images=pixels[None])
    code, out, err = command("explain", "--data", tmp_path / "pixels.npz", *words)
    assert code == 0, err
    maps = [np.load(jobs_of(run)[0] / "explain" / "gradient" / "maps.npz")["maps/0"] for run in (first[1], out)]
    assert np.array_equal(*maps)


# Check --------------------------------------------------------------------------------------------------------------------


def verdict_pairs(result):
    """The name of a check and a verdict, for each of a printed result."""
    return [(verdict["check"], verdict) for verdict in result["verdicts"]]


def test_checks_decide_about_a_table(here, command):
    code, out, err = command(
        *("check", "--model", "credit.keras", "--data", "loans.csv", "--label", "default", "--json", "--quiet"),
        *("--method", "gradient_x_input,gradient", "--check", "image_crossing,derivative,place"),
    )
    assert code == 0, err
    verdicts = {
        (name, verdict["method"]): (verdict["outcome"], verdict["finding"])
        for name, verdict in verdict_pairs(json.loads(out))
    }
    assert verdicts["derivative", "gradient"] == ("PASS", "FORETELLS") and "Looked at: 48 rows" in out
    assert {finding for (name, _), (_, finding) in verdicts.items() if name == "place"} == {"NOT APPLICABLE"}


def test_checks_decide_about_texts(here, command):
    here.joinpath("many.txt").write_text("\n".join(own_data.reviews()), encoding="utf-8")
    code, out, err = command(
        *("check", "--model", "sentiment.keras", "--data", "many.txt", "--json", "--quiet"),
        *("--method", "gradient_x_input", "--check", "class_crossing,image_crossing"),
    )
    assert code == 0, err
    verdicts = {(name, row["method"]): row["outcome"] for name, row in verdict_pairs(json.loads(out))}
    assert {verdicts[name, "gradient_x_input"] for name in ("class_crossing", "image_crossing")} == {"PASS"}
    assert verdicts["class_crossing", "edges"] == "FAIL" and "Looked at: 32 texts" in out


TRAINING = """
import keras
import numpy as np


def build(seed):
    start = keras.initializers.GlorotUniform(seed)
    return keras.Sequential([keras.Input((30,)), keras.layers.Dense(1, "sigmoid", kernel_initializer=start)])


def train(inputs, labels, *, seed):
    # All 72 rows of the file, not those that are explained.
    if inputs.shape != (72, 30) or inputs.dtype != "float32" or set(labels) != {0, 1}:
        raise ValueError(f"{inputs.shape} {inputs.dtype} {set(labels)}")
    return build(seed)
"""


def test_networks_are_trained_on_all_rows_of_a_table(here, command):
    here.joinpath("my_rows.py").write_text(TRAINING)
    code, out, err = command(
        *("check", "--model", "credit.keras", "--data", "loans.csv", "--label", "default", "--most", 8, "--quiet"),
        *("--train", "my_rows:train", "--replicates", 3, "--method", "gradient", "--seeds", 3, "--json"),
    )
    assert code == 0, err
    (check, verdict), *_ = verdict_pairs(json.loads(out))
    assert check == "parameters" and verdict["sizes"]["replicates"] == 3


def test_a_replicate_of_a_table_comes_from_a_file(here, command):
    other = own_data.credit()
    other.layers[-1].set_weights([np.random.default_rng(0).normal(size=(30, 1)), np.zeros(1)])
    other.save("other.keras")
    words = (
        "check",
        "--model",
        "credit.keras",
        "--replicate",
        "other.keras",
        "--data",
        "loans.csv",
        "--label",
        "default",
    )
    code, out, err = command(*words, "--method", "gradient", "--seeds", 2, "--json", "--quiet")
    assert code == 0, err
    assert verdict_pairs(json.loads(out))[0][1]["sizes"]["replicates"] == 2


# Identity -----------------------------------------------------------------------------------------------------------------


def session_of(**data):
    return Session(
        Sources(model=schema.Model(source="credit.keras"), data=schema.Source(source="loans.csv", **data)), "artifacts"
    )


def test_every_row_decides_the_identity_of_a_job(here):
    """Rows that are not explained decide too: columns are measured by all."""
    first = session_of(label="default", most=4).hash_of("data")
    assert first == session_of(label="default", most=4).hash_of("data")
    assert (
        len(
            {
                first,
                session_of(label="default", most=5).hash_of("data"),
                session_of(label="default", group="mean_radius").hash_of("data"),
            }
        )
        == 3
    )
    text = here.joinpath("loans.csv").read_text()
    try:
        lines = text.splitlines()
        lines[30] = lines[31]
        here.joinpath("loans.csv").write_text("\n".join(lines))
        assert session_of(label="default", most=4).hash_of("data") != first
    finally:
        here.joinpath("loans.csv").write_text(text)


def test_sources_of_data_travel_as_plain_values():
    sources = Sources(data=schema.Source(source="loans.csv", label="default"))
    assert Sources.from_values(sources.as_values()) == sources and sources.read == "data"


# Bad input ----------------------------------------------------------------------------------------------------------------


def changed(path, line, column, cell):
    rows = list(csv.reader(pathlib.Path("loans.csv").read_text().splitlines()))
    rows[line - 1][column] = cell
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize(
    "make, words, expected",
    [
        (
            lambda: changed("bad.csv", 5, 2, ""),
            ["--table", "bad.csv", "--label", "default"],
            "mean_perimeter.*line 5.*Fill in",
        ),
        (
            lambda: changed("bad.csv", 7, 0, "Berlin"),
            ["--table", "bad.csv", "--label", "default"],
            "'Berlin'.*mean_radius.*line 7.*Encode text",
        ),
        (
            lambda: changed("bad.csv", 1, 0, "mean_texture"),
            ["--table", "bad.csv", "--label", "default"],
            "own name.*mean_texture",
        ),
        (lambda: changed("bad.csv", 3, 30, "7"), ["--table", "bad.csv", "--label", "default"], "0 to 1"),
        (lambda: changed("bad.csv", 3, 30, ""), ["--table", "bad.csv", "--label", "default"], "line 3.*default"),
        (None, ["--table", "loans.csv"], "31.*credit, which takes 30.*--columns NAMES.*--label COLUMN"),
        (None, ["--table", "loans.csv", "--label", "defult"], "Nearest: default"),
        (
            None,
            ["--table", "loans.csv", "--label", "default", "--columns", "mean_radius"],
            "1 .mean_radius. for credit",
        ),
        (None, ["--table", "none.csv"], "no file"),
        (None, ["--data", "loans.csv", "--text", "reviews.txt"], "--data and --text"),
        (None, [], "none"),
        (None, ["--text", "reviews.txt"], "--vocabulary FILE"),
        (None, ["photo.jpg", "--label", "default"], "--label is an option of tables"),
        (None, ["--table", "loans.csv", "--label", "default", "--shard", "2"], "shard"),
        (lambda: np.savez("bad.npz", x=np.array([{}, []], object)), ["--data", "bad.npz"], "pickled objects"),
        (lambda: np.savez("bad.npz", x=np.zeros((4, 30)), y=[0, 1]), ["--data", "bad.npz"], "2 for 4"),
        (lambda: np.savez("bad.npz", x=np.full((4, 30), np.nan)), ["--data", "bad.npz"], "NaN.*\\(0, 0\\)"),
        (lambda: np.savez("bad.npz", a=np.zeros((4, 30))), ["--data", "bad.npz"], "array inputs.*with a"),
        (lambda: np.savez("bad.npz", x=np.zeros((4, 8, 8, 3), "float32")), ["--data", "bad.npz"], "uint8"),
        (lambda: pathlib.Path("bad.npz").write_text("no zip"), ["--data", "bad.npz"], "numpy.savez"),
        (lambda: pathlib.Path("bad.txt").write_text("good\n\nbad\n"), ["--text", "bad.txt"], "line 2, which is empty"),
        (lambda: pathlib.Path("bad.txt").write_text("x" * 1_000_000), ["--text", "bad.txt"], "1,000,000"),
        (lambda: pathlib.Path("bad.txt").write_bytes(b"\xff\xfe"), ["--text", "bad.txt"], "UTF-8"),
    ],
)
def test_bad_data_are_one_clear_line(here, command, tmp_path, make, words, expected):
    if make:
        make()
    code, out, err = command("explain", "--model", "credit.keras", *words, "--method", "gradient")
    lines = [line for line in err.splitlines() if line and not line.startswith(("Usage", "Try", "Warning", "explain:"))]
    assert code == 2 and len(lines) == 1, err
    assert re.search(expected, lines[0]), lines[0]
    assert not list(tmp_path.glob("artifacts/*/*/jobs"))


def test_one_place_of_inputs_in_a_recipe():
    table = {"name": "x", "explain": {}, "data": {"source": "a.csv"}}
    assert schema.recipe(table).data.most == 48
    for other in ({"images": {"folder": "photos"}}, {"world": {"name": "ruler"}}):
        with pytest.raises(schema.Refused, match="one place"):
            schema.recipe(table | other)
