"""Frames of an audit: what is read of data frames and files, and what is refused in one clear line."""

import numpy as np
import pandas as pd
import pytest

from lab.refusal import Refused
from sanity.audit.frames import read_frame, read_tables
from sanity.audit.gates import trained_gates
from sanity.audit.pictures import picture_statistics
from sanity.audit.profile import profile_columns
from sanity.audit.rows import AuditSubject
from sanity.audit.series import series_columns
from sanity.audit.sheet import Sheet, open_sheet
from sanity.audit.signature import Signature
from sanity.audit.texts import text_columns

TWO = Signature(width=3, classes=("no", "yes"))
COLUMNS = {
    "age": {"roles": ["input"]},
    "job": {"roles": ["input"], "levels": ["clerk", "nurse"], "encoding": "one-hot"},
    "day": {"roles": ["time"]},
    "who": {"roles": ["unit"]},
    "late": {"roles": ["label"]},
}


def frame(**changes):
    columns = {
        "who": ["p1", "p2", "p1", "p3"],
        "age": [30, 40, 50, 60],
        "job": ["clerk", "nurse", "nurse", "clerk"],
        "day": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"],
        "late": ["no", "yes", "no", "yes"],
        "site": ["a", "b", "a", None],
    }
    return pd.DataFrame({name: value for name, value in (columns | changes).items() if value is not None})


def read(test=None, signature=TWO, columns=COLUMNS, **others):
    frames = {"test": frame() if test is None else test, **others}
    return read_tables(frames, open_sheet({"columns": columns}), signature)


def refusal(*arguments, **named):
    with pytest.raises(Refused) as caught:
        read(*arguments, **named)
    words = str(caught.value)
    assert "\n" not in words and "Received" in words
    return words


# What is read -------------------------------------------------------------------------------------------------------------


def test_a_table_becomes_rows():
    tables = read()
    rows = tables.rows["test"]
    assert rows.inputs.tolist() == [[30, 1, 0], [40, 0, 1], [50, 0, 1], [60, 1, 0]]
    assert tables.input_places == {"age": (0,), "job": (1, 2)} and tables.classes == ("no", "yes")
    assert rows.units.tolist() == [0, 1, 0, 2] and rows.has_units
    assert rows.labels.tolist() == [0, 1, 0, 1]
    assert (np.diff(rows.times) == 86400).all() and rows.times[0] == pd.Timestamp("2026-01-01").timestamp()
    site = rows.column("site")
    assert (
        site.kind == "metadata" and site.levels == ("a", "b") and site.missing.tolist() == [False, False, False, True]
    )
    assert [column.name for column in rows.columns] == ["age", "job", "site"]


def test_columns_are_taken_by_name_and_cells_as_the_same_thing_in_all_files():
    current = frame(age=["30", "40", "50", "60"]).iloc[:, ::-1].drop(columns="late")
    tables = read(current=current, train=frame())
    assert tables.rows["current"].inputs.tolist() == tables.rows["test"].inputs.tolist()
    assert tables.rows["current"].labels is None


def test_numbers_without_a_role_are_the_inputs():
    columns = {"late": {"roles": ["label"]}, "site": {"roles": ["metadata"]}}
    tables = read(frame(who=None, day=None, job=[1, 2, 3, 4]), Signature(width=2, classes=("no", "yes")), columns)
    assert list(tables.input_places) == ["age", "job"] and not tables.rows["test"].has_units


def test_a_network_that_names_its_columns_has_them_in_its_order():
    columns = {"late": {"roles": ["label"]}, "site": {"roles": ["metadata"]}}
    signature = Signature(width=2, columns=("job", "age"), classes=("no", "yes"))
    assert read(frame(job=[1, 2, 3, 4]), signature, columns).rows["test"].inputs[0].tolist() == [1, 30]


def test_numbers_to_predict_are_kept_as_they_are():
    rows = read(frame(late=[0.5, 1.5, None, 2]), Signature(width=3, count=1)).rows["test"]
    assert rows.labels[:2].tolist() == [0.5, 1.5] and np.isnan(rows.labels[2])


def test_a_missing_input_is_filled_where_the_sheet_says_so_and_stays_missing_in_the_column():
    columns = COLUMNS | {"age": {"roles": ["input"], "fill": 45}}
    rows = read(frame(age=[30, None, 50, 60]), columns=columns).rows["test"]
    assert rows.inputs[1, 0] == 45 and np.isnan(rows.column("age").values[1])


def test_files_are_read_as_frames_are(tmp_path):
    path = tmp_path / "ä.csv"
    frame().to_csv(path, index=False)
    sheet = open_sheet({"columns": COLUMNS})
    ours, theirs = read_tables({"test": read_frame(path, sheet)}, sheet, TWO), read()
    for name in ("inputs", "labels", "units", "times"):
        assert getattr(ours.rows["test"], name).tolist() == getattr(theirs.rows["test"], name).tolist()


def test_a_level_that_reads_as_missing_is_a_level_where_the_sheet_names_it(tmp_path):
    (tmp_path / "t.csv").write_text("plan,late\nnone,0\ngold,1\n,1\n")
    sheet = open_sheet({"columns": {"plan": {"levels": ["none", "gold"], "roles": ["metadata"]}}})
    assert read_frame(tmp_path / "t.csv", sheet)["plan"].isna().tolist() == [False, False, True]


# What is said first -------------------------------------------------------------------------------------------------------


def test_a_protected_input_a_copy_of_the_label_and_an_empty_column_are_said():
    columns = COLUMNS | {"age": {"roles": ["input", "protected"]}}
    test = frame(copy=["x", "y", "x", "y"], empty=[None] * 4)
    tables = read(test.assign(empty=np.nan), columns=columns)
    assert tables.notes[0] == "the protected column age is an input of the network"
    assert "LEAK: the column copy is a copy of the label" in tables.notes
    assert "the column empty holds nothing in the test rows, and was left out" in tables.notes
    rows = tables.rows["test"]
    assert [column.name for column in rows.protected] == ["age"] and "age" in tables.input_places


def test_labels_of_one_class_and_none_at_all_are_said():
    assert "all labelled test rows have the same label" in read(frame(late=["no"] * 4)).notes
    assert "no label of the test rows is known" in read(frame(late=[None] * 4).assign(late=np.nan)).notes


def test_units_and_values_that_training_rows_share_or_lack_are_counted():
    notes = read(train=frame(job=["clerk"] * 4)).notes
    assert "3 of 3 units of the test rows are among the training rows too" in notes
    assert "2 test rows have a value of job that no training row has" in notes


def test_a_column_that_a_later_file_lacks_counts_as_missing():
    tables = read(current=frame(site=None))
    assert "the current rows have no column site: all of it counts as missing" in tables.notes
    assert tables.rows["current"].column("site").missing.all()


# What is refused ----------------------------------------------------------------------------------------------------------


def test_a_sheet_of_another_table_is_refused_with_the_nearest():
    assert "'agee'" in (words := refusal(columns=COLUMNS | {"agee": {}})) and "Nearest: age" in words


def test_what_no_network_can_take_is_refused_with_the_count():
    assert "'astronaut' and no level, 1 of 4 rows" in refusal(frame(job=["clerk", "nurse", "astronaut", "clerk"]))
    assert "1 of 4 cells of 'age' missing" in refusal(frame(age=[1, None, 3, 4]))
    assert "text in 1 of 4 rows" in refusal(current=frame(age=["1", "two", "3", "4"]))
    assert "Dates are no numbers" in refusal(
        frame(age=["2026-01-01"] * 4), columns=COLUMNS | {"age": {"roles": ["input"], "kind": "number"}}
    )
    assert "dates in the column 'age'" in refusal(frame(age=["2026-01-01"] * 4))
    assert "without it" in refusal(current=frame(age=None)) and "infinity in 1 rows" in refusal(
        frame(age=[1, 2, 3, np.inf])
    )
    assert "takes 5" in refusal(signature=Signature(width=5, classes=("no", "yes")))


def test_labels_units_and_times_that_cannot_be_read_are_refused():
    assert "'maybe' in 1 rows" in refusal(frame(late=["no", "yes", "maybe", "no"]))
    assert "and no names" in refusal(signature=Signature(width=3))
    assert "Every row belongs to a unit" in refusal(frame(who=["a", None, "b", "c"]))
    assert "without it" in refusal(current=frame(who=None))
    assert "Write dates as 2026-03-31" in refusal(frame(day=["2026-01-01", "soon", "2026-01-03", "2026-01-04"]))
    assert "3 levels for" in refusal(columns=COLUMNS | {"late": {"roles": ["label"], "levels": ["a", "b", "c"]}})


@pytest.mark.parametrize(
    "content, words",
    [
        (b"a,b\n1,2\n3,\xe4\n", "line 3 has a byte of another encoding"),
        (b"a,a\n1,2\n", "'a' more than once"),
        (b"", "which is empty"),
        (b"a,b\n", "without rows"),
        (b"a,b\n1,2\n1,2,3\n", "rows of the same length"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(Refused, match=words):
        read_frame(tmp_path / "t.csv", Sheet())


def test_sheets_with_a_slip_are_refused_with_the_nearest(tmp_path):
    (tmp_path / "s.toml").write_text('[columns.age]\nroles = ["lable"]\n')
    with pytest.raises(Refused, match="Nearest: label"):
        open_sheet(tmp_path / "s.toml")
    with pytest.raises(Refused, match="Nearest: .*levels"):
        open_sheet({"columns": {"age": {"level": ["a"]}}})
    with pytest.raises(Refused, match="which is no file"):
        open_sheet("nowhere.toml")


# Copies of training rows ---------------------------------------------------------------------------------------------------


def subject(test, train):
    columns = {"late": {"roles": ["label"]}}
    signature = Signature(width=test.shape[1] - 1, classes=("no", "yes"))
    rows = read_tables({"test": test, "train": train}, open_sheet({"columns": columns}), signature).rows
    return AuditSubject("a network", rows["test"], rows["train"])


def numbers(seed, count=200, levels=None):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 3)) if levels is None else rng.integers(levels, size=(count, 3))
    return pd.DataFrame(values, columns=list("abc")).assign(late=np.where(rng.random(count) < 0.5, "no", "yes"))


def test_test_rows_that_were_trained_on_are_counted_and_chance_copies_are_not_held_against_them():
    apart, train = numbers(1), numbers(2)
    assert trained_gates(subject(apart, train))[0].status == "passed"
    gate = trained_gates(subject(pd.concat([apart, train[:50]]), train))[0]
    assert gate.status == "failed" and gate.words.startswith("50 of 250 test rows are copies of training rows")
    assert trained_gates(subject(numbers(1, levels=2), numbers(2, levels=2)))[0].status == "passed"


# Pictures, texts and series -----------------------------------------------------------------------------------------------


def test_statistics_of_pictures_say_what_they_are_called():
    grey, red = np.full((4, 6, 3), 128, "uint8"), np.zeros((8, 8, 3), "uint8")
    red[..., 0] = 255
    stripes = np.zeros((8, 8, 3), "uint8")
    stripes[:, ::2] = 255
    numbers = picture_statistics([grey, red, stripes])
    assert numbers["brightness"] == pytest.approx([128 / 255, 0.299, 0.5])
    assert numbers["contrast"] == pytest.approx([0, 0, 0.5], abs=1e-6) and numbers["sharpness"].argmax() == 2
    assert numbers["colourfulness"][1] > 0.3 > numbers["colourfulness"][0] == pytest.approx(0, abs=1e-6)
    assert numbers["height"].tolist() == [4, 8, 8] and numbers["width"].tolist() == [6, 8, 8]


def test_columns_of_texts_are_words_of_the_test_texts():
    columns = text_columns({"test": ["A cat sat", "a dog"], "current": ["no cat"]}, lambda texts: [0.5] * len(texts))
    by_name = {column.name: column.values.tolist() for column in columns["test"]}
    assert by_name["length"] == [3, 2] and by_name["has “cat”"] == [1, 0] and by_name["unknown share"] == [0.5, 0.5]
    later = {column.name: column.values.tolist() for column in columns["current"]}
    assert later.keys() == by_name.keys() and later["has “cat”"] == [1] and later["has “a”"] == [0]


def test_columns_of_series_are_level_trend_spread_period_and_missing():
    steps = np.arange(64)
    waves = 2 + 0.5 * steps + 3 * np.sin(2 * np.pi * steps / 8)
    values = np.stack([waves, np.where(steps < 48, waves, 0)])[..., None]
    columns = {column.name: column.values for column in series_columns(values)}
    assert columns["trend"] == pytest.approx([0.5, 0.5], abs=0.03) and columns["strongest period"][0] == pytest.approx(
        8
    )
    assert columns["missing share"].tolist() == [0, 0.25] and columns["level"][0] == pytest.approx(waves.mean())
    assert np.isnan(
        {column.name: column.values for column in series_columns(np.full((1, 8, 1), np.nan))}["level"]
    ).all()


def test_a_profile_guesses_no_role():
    rows = {row["name"]: row for row in profile_columns(frame(empty=[None] * 4).assign(empty=np.nan))}
    assert rows["age"]["kind"] == "number" and rows["site"]["missing"] == 0.25
    assert "dates" in rows["day"]["remark"] or "its own" in rows["day"]["remark"]
    assert rows["empty"]["remark"] == "; it holds nothing" and "role" not in rows["age"]
