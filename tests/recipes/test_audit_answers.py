"""Answers of the audit that need more than one pass: untrained networks beside a layer, and simple models of pictures and texts."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lab.refusal import Refused
from sanity.audit import ladder
from tests import audit_files, own_data

PICTURES = 120
FAST = ["--draws", 99, "--tries", 4, "--quiet", "--json"]
SHEET = 'rows_are_units = true\n[columns.camera]\nroles = ["protected"]\n[columns.hour]\nroles = ["legitimate"]\nkind = "number"\n'


@pytest.fixture(autouse=True)
def without_pairs(monkeypatch):
    """Boosting machines of hundreds of words take minutes."""
    monkeypatch.setattr(ladder, "has_pairs", lambda: False)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Photographs to test and of training, by two cameras that differ in hue, and a sheet."""
    folder = tmp_path_factory.mktemp("photographs")
    cameras = pd.read_csv(audit_files.write_pictures(folder / "photos", PICTURES))
    audit_files.write_pictures(folder / "training" / "photos", PICTURES, seed=1)
    frame = cameras.assign(hour=np.random.default_rng(0).integers(24, size=len(cameras)))
    frame.to_csv(folder / "photos.csv", index=False)
    (folder / "photos.toml").write_text(SHEET)
    audit_files.reds().save(folder / "reds.keras")
    return folder


def run_of(command, words):
    code, output, error = command(*words, *FAST)
    assert code == 0, error
    folder = pathlib.Path(json.loads(output)["report"]).parent
    families = json.loads((folder / "jobs/verdicts/verdicts.json").read_text())
    return folder, {name.partition("-")[2]: family["verdicts"] for name, family in families.items()}


def words_of(folder, *words):
    model = ["--model", folder / "reds.keras", "--input-range", -1, 1]
    files = ["--test", folder / "photos", "--metadata", folder / "photos.csv", "--sheet", folder / "photos.toml"]
    return ["audit", *model, *files, *words]


def test_photographs_are_compared_with_untrained_networks_and_simple_models(command, photographs):
    training = ["--train", photographs / "training" / "photos"]
    folder, verdicts = run_of(command, words_of(photographs, "--questions", "proxies,simpler", *training))
    test, train = (np.load(folder / f"jobs/audit/rows/{name}.npz") for name in ("test", "train"))
    assert test["untrained"].shape == (PICTURES, 3, 3) and "untrained" not in train.files
    assert test["oriented gradients"].shape == train["oriented gradients"].shape == (PICTURES, 900)
    (decodable,) = verdicts["decodable"]
    table = next(iter(decodable["settings"]["tables"].values()))
    assert {"untrained network 3", "inputs", "random labels of clusters of inputs, from the layer"} <= {
        row["told from"] for row in table
    }
    methods = {row["method"] for row in verdicts["simpler"]}
    assert {"linear model of colours", "linear model of oriented gradients"} <= methods
    page = (folder / "index.html").read_text()
    assert "untrained network 1" in page and "linear model of oriented gradients" in page
    assert "area under the ROC curve" in page


def test_untrained_networks_without_weights_of_the_layer_give_the_features_of_the_trained_one(command, photographs):
    """This network averages pixels before its only weights, so that training changes nothing of its layer."""
    folder, _ = run_of(command, words_of(photographs, "--questions", "proxies"))
    test = np.load(folder / "jobs/audit/rows/test.npz")
    for place in range(3):
        np.testing.assert_allclose(test["untrained"][:, place], test["features"], atol=1e-5)


def test_neither_is_computed_where_no_check_needs_it(command, photographs):
    folder, _ = run_of(command, words_of(photographs, "--questions", "failures"))
    assert not {"untrained", "oriented gradients"} & set(np.load(folder / "jobs/audit/rows/test.npz").files)
    assert not (folder / "jobs/audit/untrained").exists()


def test_texts_are_compared_with_a_model_of_their_words(command, tmp_path):
    audit_files.write(tmp_path)
    own_data.write(tmp_path)
    for name, part in (("test", slice(0, 120)), ("train", slice(120, None))):
        texts = enumerate(own_data.reviews(240))
        rows = [(number, f"{text} {number % 7} {name}", ("bad", "good")[number % 2]) for number, text in texts]
        frame = pd.DataFrame(rows[part], columns=["number", "text", "mood"])
        frame.to_csv(tmp_path / f"{name}-reviews.csv", index=False)
    words = ["audit", "--model", tmp_path / "sentiment.keras", "--test", tmp_path / "test-reviews.csv"]
    words += ["--train", tmp_path / "train-reviews.csv", "--sheet", tmp_path / "reviews.toml"]
    folder, verdicts = run_of(command, [*words, "--questions", "simpler"])
    assert "linear model of words" in {row["method"] for row in verdicts["simpler"]}
    assert not any(b"oriented gradients" in path.read_bytes() for path in folder.rglob("*.json"))


# Networks trained alike ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lenders(tmp_path_factory):
    """The files of an audit, and a network that decides by the opposite of what the lender does."""
    folder = audit_files.write(tmp_path_factory.mktemp("lenders"))
    audit_files.with_activations([2, 0, 1], sign=-1).save(folder / "opposite.keras")
    return folder


def audit_words(folder, *words):
    files = ["--test", folder / "test.csv", "--sheet", folder / "lending.toml"]
    return ["audit", "--model", folder / "net.keras", *files, *words]


def reason_words(folder, *words):
    frame = audit_files.many(1500)
    frame.to_csv(folder / "many.csv", index=False)
    row = int(frame["mean_radius"].argmax()) + 1
    start = ["explain", "--table", folder / "many.csv", "--row", row, "--reasons", "--sheet", folder / "lending.toml"]
    return [*start, "--model", folder / "net.keras", "--json", *words]


def test_reasons_of_an_audit_are_about_networks_trained_alike(command, lenders):
    words = audit_words(lenders, "--questions", "reasons", "--tries", 4, "--quiet", "--json")
    sizes = []
    for more in ([], ["--replicate", lenders / "second.keras"]):
        code, output, error = command(*words, *more)
        assert code == 0, error
        folder = pathlib.Path(json.loads(output)["report"]).parent
        families = json.loads((folder / "jobs/verdicts/verdicts.json").read_text())
        (family,) = [family for name, family in families.items() if name.endswith("reason_codes")]
        sizes.append((family["verdicts"][0]["sizes"]["networks"], family["verdicts"][0]["scope"]))
    assert [count for count, _ in sizes] == [1, 2] and sizes[0][1] != sizes[1][1]
    assert "trained" in sizes[1][1] or "alike" in sizes[1][1]


def test_a_reason_stays_on_a_network_that_agrees_and_not_on_one_that_decides_otherwise(command, lenders):
    records = []
    for name in (None, "second.keras", "opposite.keras"):
        code, output, error = command(*reason_words(lenders, *(["--replicate", lenders / name] if name else [])))
        assert code == 0, error
        records.append(json.loads(output))
    assert [record["networks"] for record in records] == [1, 2, 2]
    assert {record["decision"] for record in records} == {"refused"}
    alone, agreeing, opposite = (record["stable"] for record in records)
    assert alone and agreeing == alone and not opposite
    assert "This holds for 2 networks trained alike." in records[1]["sentences"]
    assert any("not for another trained alike" in sentence for sentence in records[0]["sentences"])


@pytest.mark.parametrize(
    "replicate, questions, words",
    [
        ("net.keras", "reasons", "trained again, from another seed"),
        ("net.keras", "reasons,failures", "the same weights"),
        ("lender.keras", "reasons", "architecture"),
        ("missing.keras", "reasons", "missing.keras"),
        ("second.keras", "failures", "Ask reasons too"),
    ],
)
def test_replicates_that_say_nothing_are_refused(command, lenders, replicate, questions, words):
    options = ["--questions", questions, "--replicate", lenders / replicate, "--tries", 4, "--quiet"]
    code, output, error = command(*audit_words(lenders, *options))
    assert code == 2 and words in error, error
    assert "jobs failed" not in error, "nothing is computed before, and no verdict is lost"


def test_replicates_without_reasons_are_refused_before_anything_is_read(command, lenders):
    code, _, error = command("explain", "--replicate", lenders / "second.keras", "--table", lenders / "test.csv")
    assert code == 2 and "--replicate" in error and "--reasons" in error


def test_python_takes_networks_and_files_trained_alike(lenders):
    from sanity.audit import audit

    replicates = [str(lenders / "second.keras"), audit_files.with_activations([2, 0, 1])]
    options = {"sheet": str(lenders / "lending.toml"), "questions": ["reasons"], "tries": 4, "replicates": replicates}
    verdicts = audit(audit_files.with_activations(), str(lenders / "test.csv"), **options)
    assert [row.sizes["networks"] for row in verdicts if row.check == "reason_codes"][0] == 3


# Counterparts -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hues(tmp_path_factory):
    """Photographs whose sex is their hue, which the network reads, each with an edited one of the other hue; and idle edits."""
    folder, rng = tmp_path_factory.mktemp("hues"), np.random.default_rng(0)
    rows = ["path,sex,edited,same"]
    for number in range(240):
        pixels, sex, name = rng.integers(40, 200, (8, 8, 3)), number % 2, f"{number}.png"
        pixels[..., 0] = np.clip(pixels[..., 0] + 8 * sex, 0, 255)
        edited = pixels.copy()
        edited[..., 0] = np.clip(pixels[..., 0] + (-8 if sex else 8), 0, 255)
        same = pixels.copy()
        same[..., 1] = 255 - pixels[..., 1]
        for place, picture in (("photos", pixels), ("edited", edited), ("same", same)):
            (folder / place).mkdir(exist_ok=True)
            Image.fromarray(picture.astype("uint8")).save(folder / place / name)
        rows.append(f"{name},{'fm'[sex]},{f'edited/{name}' if number % 8 else ''},same/{name}")
    (folder / "photos.csv").write_text("\n".join(rows))
    for column, other in (("edited", "same"), ("same", "edited")):
        text = (
            f'rows_are_units = true\n[columns.sex]\nroles = ["protected"]\n[columns.{column}]\ncounterpart_of = "sex"\n'
        )
        (folder / f"{column}.toml").write_text(f'{text}[columns.{other}]\nroles = ["id"]\n')
    audit_files.reds().save(folder / "reds.keras")
    return folder


def hue_words(folder, column, *words):
    model = ["--model", folder / "reds.keras", "--input-range", -1, 1, "--test", folder / "photos"]
    return ["audit", *model, "--metadata", folder / "photos.csv", "--sheet", folder / f"{column}.toml", *words]


def test_edited_photographs_show_use_and_idle_edits_show_none(command, hues):
    folder, verdicts = run_of(command, hue_words(hues, "edited", "--questions", "proxies"))
    (row,) = verdicts["proxy_use"]
    assert (row["finding"], row["outcome"]) == ("USED BEYOND THE MARGIN", "FAIL") and row["sizes"]["rows"] == 210
    assert "counterparts" in (folder / "index.html").read_text()
    arrays = np.load(folder / "jobs/audit/rows/counterparts.npz")
    assert np.isnan(arrays["sex"]).any(axis=1).sum() == 30
    (row,) = run_of(command, hue_words(hues, "same", "--questions", "proxies"))[1]["proxy_use"]
    assert row["finding"] != "USED BEYOND THE MARGIN" and row["effect"]["mean"] == 0


def test_names_of_counterparts_are_cells_that_are_not_written_and_an_edited_one_is_asked_anew(command, hues):
    words = hue_words(hues, "edited", "--questions", "proxies")
    folder, before = run_of(command, words)
    for path in (*folder.rglob("*.json"), *folder.rglob("*.html")):
        assert "edited/1.png" not in path.read_text(), path
    pixels = np.array(Image.open(hues / "edited" / "1.png"))
    Image.fromarray(255 - pixels).save(hues / "edited" / "1.png")
    again, after = run_of(command, words)
    Image.fromarray(pixels).save(hues / "edited" / "1.png")
    logits = [np.load(place / "jobs/audit/counterparts/0-00000000/answers.npz")["logits"] for place in (folder, again)]
    differs = (np.nan_to_num(logits[0]) != np.nan_to_num(logits[1])).any(axis=1)
    assert again != folder and before.keys() == after.keys() and differs.sum() == 1


def test_photographs_that_are_no_edits_are_left_out_and_other_sizes_are_read(command, hues):
    """Paths of the photographs themselves turn nothing, and made a PASS."""
    frame = pd.read_csv(hues / "photos.csv")
    frame.assign(same="photos/" + frame["path"]).to_csv(hues / "idle.csv", index=False)
    (hues / "large").mkdir()
    for name in frame["path"]:
        pixels = np.asarray(Image.open(hues / "edited" / name))
        Image.fromarray(np.repeat(np.repeat(pixels, 2, axis=0), 3, axis=1)).save(hues / "large" / name)
    frame.assign(edited="large/" + frame["path"]).to_csv(hues / "large.csv", index=False)
    words = hue_words(hues, "same", "--questions", "proxies", "--metadata", hues / "idle.csv", *FAST)
    _, output, error = command(*words)
    folder = pathlib.Path(json.loads(output)["report"]).parent
    families = json.loads((folder / "jobs/verdicts/verdicts.json").read_text())
    (row,) = families["0-proxy_use"]["verdicts"]
    assert row["outcome"] == "INVALID" and "whose counterpart is the input itself" in row["sentence"], error
    words = hue_words(hues, "edited", "--questions", "proxies", "--metadata", hues / "large.csv")
    (row,) = run_of(command, words)[1]["proxy_use"]
    assert row["finding"] == "USED BEYOND THE MARGIN" and row["sizes"]["rows"] == 240


def test_a_protected_column_has_one_column_of_counterparts(command, hues):
    text = (hues / "edited.toml").read_text().replace('roles = ["id"]', 'counterpart_of = "sex"')
    (hues / "twice.toml").write_text(text)
    code, _, error = command(*hue_words(hues, "twice", "--questions", "proxies", "--quiet"))
    assert code == 2 and "has one column of counterparts" in error and "edited and same" in error


def test_python_refuses_counterparts_of_a_table(lenders):
    from sanity.audit import audit

    sheet = f'{audit_files.SHEET}[columns.note]\ncounterpart_of = "site"\n'
    (lenders / "python.toml").write_text(sheet)
    frame = pd.read_csv(lenders / "test.csv").assign(note="x")
    with pytest.raises(Refused, match="columns of a table are swapped"):
        audit(audit_files.with_activations(), frame, sheet=str(lenders / "python.toml"), questions=["proxies"])


def test_texts_have_counterparts_in_a_column(command, tmp_path):
    audit_files.write(tmp_path)
    own_data.write(tmp_path)
    texts = own_data.reviews(240)
    sexes = ["fm"[number % 3 % 2] for number in range(240)]
    frame = pd.DataFrame({"text": texts, "sex": sexes, "edited": [f"{text} nice" for text in texts]})
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    sheet = 'rows_are_units = true\n[columns.text]\nkind = "text"\nroles = ["input"]\n[columns.sex]\nroles = ["protected"]\n'
    (tmp_path / "pairs.toml").write_text(f'{sheet}[columns.edited]\nkind = "text"\ncounterpart_of = "sex"\n')
    words = ["audit", "--model", tmp_path / "sentiment.keras", "--test", tmp_path / "pairs.csv"]
    _, verdicts = run_of(command, [*words, "--sheet", tmp_path / "pairs.toml", "--questions", "proxies"])
    (row,) = verdicts["proxy_use"]
    assert row["sizes"]["rows"] == 240 and row["finding"] != "NOT APPLICABLE"


def test_counterparts_that_cannot_be_read_are_refused(command, hues, lenders):
    (hues / "edited" / "1.png").rename(hues / "edited" / "moved.png")
    code, _, error = command(*hue_words(hues, "edited", "--questions", "proxies", "--quiet"))
    assert code == 2 and "1.png" in error and "which is no file" in error
    (hues / "edited" / "moved.png").rename(hues / "edited" / "1.png")
    (hues / "other.toml").write_text(
        '[columns.sex]\nroles = ["protected"]\n[columns.edited]\ncounterpart_of = "sexx"\n'
    )
    code, _, error = command(*hue_words(hues, "other", "--questions", "proxies", "--quiet"))
    assert code == 2 and "counterpart_of names a protected column" in error and "Nearest: sex" in error
    (lenders / "table.toml").write_text(audit_files.SHEET + '[columns.note]\ncounterpart_of = "site"\n')
    frame = pd.read_csv(lenders / "test.csv").assign(note="x")
    frame.to_csv(lenders / "noted.csv", index=False)
    words = [
        "audit",
        "--model",
        lenders / "lender.keras",
        "--test",
        lenders / "noted.csv",
        "--sheet",
        lenders / "table.toml",
    ]
    code, _, error = command(*words, "--questions", "proxies", "--quiet")
    assert code == 2 and "columns of a table are swapped" in error
