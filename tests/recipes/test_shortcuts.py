"""Shortcuts, as users type them: pictures, tables, a network, groups, views of one's own, gates, and what is refused."""

import json
import pathlib
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from recipes import schema
from recipes.jobs import list_jobs
from recipes.session import Session
from recipes.sources import Sources
from sanity.shortcuts.regions import border_mask
from tests.shortcut_pictures import SIDE, noise, reader_of, save_pictures, two_cues

FAST = ["--permutations", 199, "--quiet"]


@pytest.fixture(scope="module")
def ruler(tmp_path_factory):
    """Pictures of two classes, those of one with a ruler in a corner."""
    return save_pictures(tmp_path_factory.mktemp("ruler"), "ruler", count=14)


def rows_of(output):
    return {(row["question"], row["view"]): row for row in json.loads(output)["shortcuts"]}


def test_a_folder_has_candidates_a_page_and_a_gate(command, ruler):
    words = ["shortcuts", ruler, "--view", "corners,resolution", *FAST]
    code, output, error = command(*words, "--json")
    rows, result = rows_of(output), json.loads(output)
    assert code == 0 and rows["labels", "corners"]["finding"] == "CANDIDATE", error
    assert rows["labels", "corners"]["p"] == pytest.approx(1 / 200)
    assert rows["labels", "resolution"]["outcome"] == "PASS"
    assert result["summary"] == ["2 views; candidates for shortcuts: corners"]
    page = pathlib.Path(result["report"]).read_text()
    assert "Is the data itself suspicious?" in page and page.count("an extreme by corners") == 6
    assert "top left" in page and "efficientnet-lite0 on" not in page
    code, _, error = command(*words, "--fail-on", "fail")
    assert code == 1 and "0-shortcut_labels: corners fell short" in error
    assert command("shortcuts", ruler, "--view", "resolution", *FAST, "--fail-on", "inconclusive")[0] == 0


def test_an_option_changes_what_it_says(command, ruler):
    def run(*words):
        return rows_of(command("shortcuts", ruler, *words, *FAST, "--json")[1])

    narrow, wide = run("--view", "border"), run("--view", "border", "--margin", 0.95)
    assert narrow["labels", "border"]["numbers"]["bound"] == pytest.approx(0.55)
    assert wide["labels", "border"]["numbers"]["bound"] == pytest.approx(0.975)
    assert wide["labels", "border"]["finding"] != "CANDIDATE"
    fewer = run("--view", "corners", "--most", 16)
    assert "Looked at: 16 samples" in fewer["labels", "corners"]["sentence"]


def test_a_network_is_asked_about_swaps_and_maps(command, tmp_path):
    rng, border = np.random.default_rng(0), border_mask(SIDE, SIDE)
    for place in range(80):
        path = tmp_path / "pictures" / ("cat", "dog")[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(two_cues(rng, place % 2, ~border)).save(path)
    reader_of(~border).save(tmp_path / "middle.keras")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    words = [
        "shortcuts",
        tmp_path / "pictures",
        "--input-range",
        -1,
        1,
        "--classes",
        tmp_path / "names.txt",
        "--view",
        "border",
        *FAST,
    ]
    asked = [
        "--model",
        tmp_path / "middle.keras",
        "--method",
        "gradient_x_input",
        "--swap",
        "border,mean_colour",
        "--json",
    ]
    code, output, error = command(*words, *asked)
    rows = rows_of(output)
    assert code == 0, error
    # The border tells the labels, and this network does not look at it.
    assert rows["labels", "border"]["finding"] == "CANDIDATE" and rows["swap", "border"]["finding"] == "NOT USED"
    assert rows["swap", "mean_colour"]["finding"] == "USED"
    # In a linear network of two classes, nothing speaks for the class that is not answered.
    assert rows["maps", "border"]["finding"] == "GATE FAILED"
    page = pathlib.Path(json.loads(output)["report"]).read_text()
    assert "What does it cost to swap it between classes?" in page and "middle.keras" in page


def test_every_answer_is_a_verdict_with_controls_a_table_and_junit(command, ruler):
    code, output, error = command("shortcuts", ruler, "--view", "corners,compression", *FAST, "--json")
    folder = pathlib.Path(json.loads(output)["report"]).parent / "jobs" / "verdicts"
    (family,) = json.loads((folder / "verdicts.json").read_text()).values()
    assert code == 0 and family["claim"] == "data" and family["check"] == "shortcut_labels", error
    assert family["blind"] == ["views of noise"] and [control["held"] for control in family["controls"]] == [True]
    assert {view for _, view in rows_of(output)} == {"corners", "compression"}, "controls are no answers"
    cases = {case.get("name"): case for case in ElementTree.parse(folder / "junit.xml").iter("testcase")}
    (failed,) = [name for name, case in cases.items() if case.find("failure") is not None]
    assert "corners" in failed and (folder / "verdicts.csv").read_text().count("shortcut_labels") >= 3


def test_a_view_that_does_not_see_these_files_fails_no_gate(command, tmp_path):
    """Files without a header have no tables of compression: that is no fault of the data."""
    folder = save_pictures(tmp_path / "bmp", "none", count=14)
    for path in list(folder.rglob("*.jpg")):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    code, output, error = command(
        "shortcuts", folder, "--view", "border,compression", *FAST, "--json", "--fail-on", "fail"
    )
    assert code == 0 and rows_of(output)["labels", "compression"]["finding"] in ("NOT APPLICABLE", "SAME EVERYWHERE"), (
        error
    )


def test_a_later_folder_is_compared_with_an_earlier_one_by_its_verdicts(command, ruler, tmp_path):
    words = ["shortcuts", ruler, "--view", "corners,resolution", *FAST]
    first = json.loads(command(*words, "--json")[1])["report"]
    code, output, error = command(*words, "--baseline", first, "--json", "--fail-on", "worse")
    rows = {row["method"]: row["change"] for row in json.loads(output)["baseline"]["rows"]}
    assert code == 0 and rows["corners"] == "same", (rows, error)
    shutil.copytree(ruler, tmp_path / "other")
    next((tmp_path / "other").rglob("*.jpg")).unlink()
    other = ["shortcuts", tmp_path / "other", "--view", "corners,resolution", *FAST]
    code, _, error = command(*other, "--baseline", first, "--fail-on", "worse")
    assert code == 1 and "no verdict can be compared with the baseline" in error and "other data" in error
    code, _, error = command(*words, "--margin", 0.3, "--baseline", first, "--fail-on", "worse")
    assert code == 1 and "another margin" in error


def test_a_view_of_ones_own_and_one_that_fails(command, ruler, tmp_path, monkeypatch):
    (tmp_path / "own_views.py").write_text(
        "def bright(picture):\n    return float(picture.image[1:6, 1:14].mean())\n\ndef broken(picture):\n    raise RuntimeError('no room')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ["shortcuts", ruler, *FAST, "--json", "--view"]
    code, output, _ = command(*words, "own_views:bright")
    assert code == 0 and rows_of(output)["labels", "own_views:bright"]["finding"] == "CANDIDATE"
    code, output, _ = command(*words, "own_views:bright,own_views:broken")
    rows = rows_of(output)
    assert code == 3 and rows["labels", "own_views:broken"]["finding"] == "FAULT"
    assert rows["labels", "own_views:bright"]["finding"] == "CANDIDATE", "the others are kept"
    recipe = tmp_path / "code.toml"
    recipe.write_text(f'name = "code"\n[images]\nfolder = "{ruler}"\n[shortcuts]\nviews = ["own_views:bright"]\n')
    code, _, error = command("run", recipe)
    assert code == 2 and "--allow-code" in error and "own_views:bright" in error


def test_a_view_without_a_value_is_not_green(command, ruler, tmp_path, monkeypatch):
    """Nan of every picture was the same everywhere, and passed. Where a view refuses too, the fault is told in its own words."""
    (tmp_path / "empty_views.py").write_text(
        "from lab.refusal import Refused\n\ndef nan(picture):\n    return float('nan')\n\ndef nothing(picture):\n    return {}\n\n"
        "def refuses(picture):\n    raise Refused('no such tags')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ["shortcuts", ruler, *FAST, "--fail-on", "fail", "--json", "--view"]
    code, output, error = command(*words, "resolution,empty_views:refuses,empty_views:nan")
    assert code == 3 and "finite number" in error + output and "no such tags" not in json.loads(output)["error"]
    code, output, _ = command(*words, "resolution,empty_views:nothing")
    assert code == 0 and rows_of(output)["labels", "empty_views:nothing"]["finding"] == "NOT APPLICABLE"
    assert command(*words, "empty_views:nothing")[0] == 1


def test_a_fault_shows_beside_too_few_groups(command, tmp_path, monkeypatch):
    (tmp_path / "fault_views.py").write_text("def broken(picture):\n    raise RuntimeError('no room')\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = save_pictures(tmp_path / "few", "none", count=14)
    paths = sorted(folder.rglob("*.jpg"))
    lines = [
        "path,label,day",
        *(f"{path},{path.parent.name},{path.parent.name}{k % 3}" for k, path in enumerate(paths)),
    ]
    (tmp_path / "few.csv").write_text("\n".join(lines))
    words = ["shortcuts", tmp_path / "few.csv", "--metadata", tmp_path / "few.csv", "--group", "day", *FAST, "--json"]
    rows = rows_of(command(*words, "--view", "border,fault_views:broken")[1])
    assert rows["labels", "border"]["finding"] == "NOT ENOUGH DATA"
    assert rows["labels", "fault_views:broken"]["finding"] == "FAULT"


def test_a_question_that_did_not_apply_to_the_network_is_not_green(command, tmp_path):
    """A judged view let a network pass that was named, and of which nothing was learned."""
    rng, border = np.random.default_rng(0), border_mask(SIDE, SIDE)
    for place in range(40):
        path = tmp_path / "pictures" / ("cat", "dog")[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(two_cues(rng, place % 2, ~border)).save(path)
    reader_of(~border).save(tmp_path / "middle.keras")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    words = ["shortcuts", tmp_path / "pictures", "--input-range", -1, 1, "--classes", tmp_path / "names.txt"]
    words += ["--model", tmp_path / "middle.keras", "--view", "resolution", "--swap", "compression", *FAST]
    code, output, error = command(*words, "--method", "attention_rollout", "--fail-on", "fail")
    assert code == 1 and "0-shortcut_maps, 0-shortcut_swaps: no check applied" in error, (output, error)


def test_groups_of_metadata_exchange_their_labels_whole(command, tmp_path):
    """Every day has one class and one brightness: rows alarm, days do not."""
    rng = np.random.default_rng(3)
    lines, levels = ["path,label,day"], rng.normal(0, 40, 14)
    for day, level in enumerate(levels):
        for place in range(6):
            image = np.clip(noise(rng).astype(int) + int(level), 0, 255).astype("uint8")
            Image.fromarray(image).save(tmp_path / f"{day}-{place}.png")
            lines.append(f"{day}-{place}.png,{'ab'[day % 2]},d{day}")
    listing = tmp_path / "list.csv"
    listing.write_text("\n".join(lines))
    words = ["shortcuts", listing, "--view", "mean_colour", *FAST, "--json"]
    rows, days = rows_of(command(*words)[1]), rows_of(command(*words, "--metadata", listing, "--group", "day")[1])
    assert "84 groups" in rows["labels", "mean_colour"]["sentence"]
    assert "14 groups" in days["labels", "mean_colour"]["sentence"]
    assert rows["labels", "mean_colour"]["finding"] == "CANDIDATE"
    assert days["labels", "mean_colour"]["finding"] != "CANDIDATE"


def test_copies_with_two_labels_are_named(command, ruler, tmp_path):
    folder = tmp_path / "copies"
    shutil.copytree(ruler, folder)
    shutil.copy(folder / "benign" / "03.jpg", folder / "malignant" / "again.jpg")
    code, output, error = command("shortcuts", folder, "--view", "corners", *FAST)
    page = pathlib.Path(output.strip().splitlines()[-1]).read_text()
    assert code == 0 and "benign/03.jpg = malignant/again.jpg" in page, error
    assert "1 group of copies with several labels" in page


TABLE = ["age,city,note,day,default"] + [
    f"{20 + place % 7},{('Ulm', 'Rome')[place % 2]},{'' if place % 3 == 0 and place % 2 else 'ok'},{place // 6},{('no', 'yes')[place % 2]}"
    for place in range(72)
]


def test_a_table_with_text_and_missing_cells(command, tmp_path):
    path = tmp_path / "loans.csv"
    path.write_text("\n".join(TABLE))
    words = ["shortcuts", "--table", path, "--target", "default", *FAST, "--json"]
    code, output, error = command(*words)
    rows = {view: row["finding"] for (_, view), row in rows_of(output).items()}
    assert code == 0 and rows["column city"] == "CANDIDATE" and rows["column age"] != "CANDIDATE", error
    assert set(rows) == {
        "column age",
        "column city",
        "column note",
        "column day",
        "missing cells",
        "row order",
        "equal rows",
    }
    some = rows_of(command(*words, "--view", "city,row order", "--group", "day")[1])
    assert {view for _, view in some} == {"column city", "row order"}
    assert "12 groups" in some["labels", "column city"]["sentence"]


def test_a_table_is_named_where_it_is_compared(command, tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{rng.normal():.3f},{'yes' if k % 2 else 'no'}" for k in range(60)]
    for name, rows in (("first", lines), ("second", lines[:50])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["size,target", *rows]))
    words = ["--target", "target", *FAST, "--json"]
    first = json.loads(command("shortcuts", "--table", tmp_path / "first.csv", *words)[1])["report"]
    output = command("shortcuts", "--table", tmp_path / "second.csv", *words, "--baseline", first)[1]
    comparison = json.loads(output)["baseline"]
    assert "first.csv" in comparison["data"][0] and "second.csv" in comparison["data"][0], comparison["data"]
    assert comparison["network"] == "No network was asked in one of the runs, or in both."


def test_what_decides_a_job_changes_it_and_nothing_else(ruler, tmp_path):
    text = f'name = "any"\n[images]\nfolder = "{ruler}"\n[shortcuts]\nviews = ["border"]\n'
    (tmp_path / "any.toml").write_text(text)

    def identities(*settings):
        recipe = schema.read(str(tmp_path / "any.toml"), settings)
        return {job.key: job.identity for job in list_jobs(recipe, Session(Sources.of(recipe), tmp_path))}

    before = identities()
    assert set(before) == {"shortcuts/features", "shortcuts/labels", "shortcuts/examples", "verdicts"}
    for setting, unchanged in (
        ("title=Another", set(before)),
        ("shortcuts.margin=0.2", {"shortcuts/features"}),
        ("shortcuts.permutations=499", {"shortcuts/features"}),
        ("shortcuts.views=['corners']", set()),
        ("shortcuts.most=20", set()),
    ):
        after = identities(setting)
        assert {key for key in before if before[key] == after[key]} == unchanged, setting
    image = next(pathlib.Path(ruler).rglob("*.jpg"))
    content = image.read_bytes()
    try:
        # The pixels stay, the file does not.
        image.write_bytes(content + b"\0")
        assert not set(identities().values()) & set(before.values())
    finally:
        image.write_bytes(content)


# Bad input ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad(ruler, tmp_path_factory):
    """A folder with data that are refused."""
    folder = tmp_path_factory.mktemp("bad")
    first = sorted((ruler / "benign").iterdir())
    shutil.copytree(ruler / "benign", folder / "flat")
    shutil.copytree(ruler / "benign", folder / "one" / "benign")
    for place in range(3):
        (folder / "single" / f"class{place}").mkdir(parents=True)
        shutil.copy(first[place], folder / "single" / f"class{place}")
    shutil.copytree(ruler, folder / "broken")
    (folder / "broken" / "benign" / "03.jpg").write_bytes(first[0].read_bytes()[:300])
    rows = [f"{path},{path.parent.name}" for path in sorted(ruler.rglob("*.jpg"))]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows, "nothing.jpg,benign"]))
    (folder / "meta.csv").write_text("name,day\n00.jpg,1\n")
    (folder / "files.csv").write_text("\n".join(["name,day", *(f"{place:02d}.jpg,1" for place in range(14))]))
    (folder / "loans.csv").write_text("\n".join(TABLE))
    (folder / "twice.csv").write_text("a,a,y\n1,2,x\n")
    (folder / "class.csv").write_text("a,y\n" + "1,x\n" * 20)
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["flat"], "photographs with labels"),
        (["one"], "two or more. Received: 1, 'benign'"),
        (["single"], "two classes have 6 samples each. Received: 3 classes, the largest with 1"),
        (["broken"], "An image file is whole. Received: 03.jpg"),
        (["list.csv"], "line 30: 'nothing.jpg' is no file"),
        ([], "IMAGES, or in a --table. Received: neither"),
        (["flat", "--table", "loans.csv"], "Received: both"),
        (["RULER", "--swap", "border"], "--swap does nothing here"),
        (["RULER", "--view", "bordr"], "Unknown view. Received: 'bordr'. Nearest: border"),
        (["RULER", "--group", "day"], "Received: group without either"),
        (["RULER", "--metadata", "meta.csv"], "meta.csv without 'benign/01.jpg'"),
        (["RULER", "--metadata", "files.csv"], "belongs to one image"),
        (["RULER", "--metadata", "none.csv"], "'none.csv', which is no file"),
        (["RULER", "--model", "MODEL", "--input-range", "-1", "1"], "class name, or an index"),
        (["--table", "loans.csv"], "--table needs --target"),
        (["--table", "loans.csv", "--target", "defalt"], "Nearest: default"),
        (["--table", "loans.csv", "--target", "default", "--group", "dya"], "Nearest: day"),
        (["--table", "loans.csv", "--target", "default", "--view", "border"], "'border'"),
        (["--table", "twice.csv", "--target", "y"], "'a' twice"),
        (["--table", "class.csv", "--target", "y"], "two or more. Received: 1, 'x'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    command, bad, ruler, small_file, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(bad)
    names = {"RULER": ruler, "MODEL": small_file}
    code, output, error = command("shortcuts", *(names.get(word, word) for word in words), *FAST)
    assert code == 2 and message in error.replace("\n", " "), error
    assert output == "" and not (tmp_path / "artifacts" / "shortcuts").exists()
