"""`lab explain --shard`: photographs in jobs of some of them, with the maps, statistics and answers of one job."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import keras
import numpy as np
import pytest
from PIL import Image

import lab.images
from lab.environment import tf
from lab.remote import as_path
from recipes import schema
from recipes.inputs import Inputs
from recipes.jobs import list_jobs, work
from recipes.session import Session
from recipes.shards import SHOWN
from recipes.sources import Sources
from recipes.store import Store
from tests import s3_server
from tests.processes import ROOT, contents, start_run

# 30 photographs in shards of 8: four shards, the last one of 6.
COUNT, SIZE = 30, 8
SHARDS = [(0, 8), (8, 16), (16, 24), (24, 30)]
METHODS = "gradient,gradcam,smoothgrad,integrated_gradients"
FEW = ("--option", "smoothgrad.samples=2", "--option", "integrated_gradients.steps=4")


def save_photos(folder, count=COUNT, side=20):
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number:05}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture
def explained(command, small_file, tmp_path):
    """Run `lab explain` -> store of the run, standard output."""

    def run(images, *words, code=0):
        model = ("--model", small_file, "--input-range", -1, 1)
        end, output, error = command("explain", images, *model, *words)
        assert end == code, error
        path = pathlib.Path(output.strip().splitlines()[-1]).parent
        return Store(tmp_path / "artifacts", path.parent.name, path.name), output

    return run


def maps_of(store, method):
    """The maps of all shards, one after the other."""
    folders = sorted((store.path / "jobs" / "explain" / method).iterdir())
    arrays = [store.arrays(f"explain/{method}/{folder.name}", "maps.npz") for folder in folders]
    return {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}


def whole_by_method(store):
    """What is said of all maps of each method: dict of method to dict."""
    return {sums["method"]: sums for sums in store.values("agreement", "agreement.json")["whole"]["methods"]}


def test_shards_have_the_maps_and_statistics_of_one_job(explained, photos):
    whole, _ = explained(photos, "--method", METHODS, *FEW)
    shards, output = explained(photos, "--method", METHODS, *FEW, "--shard", SIZE)
    for method in METHODS.split(","):
        maps, expected = maps_of(shards, method), whole.arrays(f"explain/{method}", "maps.npz")
        assert maps.keys() == expected.keys() and len(maps["maps/0"]) == COUNT
        if method != "smoothgrad":
            for name in maps:
                np.testing.assert_allclose(maps[name], expected[name], rtol=1e-3, atol=1e-5)
    sums, numbers = shards.values("agreement", "agreement.json"), whole.values("agreement", "agreement.json")
    assert sums["methods"] == numbers["methods"] and sums["side"] == numbers["side"]
    plain = [sums["methods"].index(method) for method in METHODS.split(",") if method != "smoothgrad"]
    np.testing.assert_allclose(*(np.array(v["rank"])[np.ix_(plain, plain)] for v in (sums, numbers)), atol=1e-6)
    # The draws are others, and the 95th percentile of 500 of them is known to some hundredths.
    np.testing.assert_allclose(*(np.array(v["null"])[np.ix_(plain, plain)] for v in (sums, numbers)), atol=0.05)
    views, expected = ({tuple(row[:3]): row[3:] for row in v["views"]} for v in (sums, numbers))
    assert views.keys() == expected.keys() and ("gradient", "all classes", "red") in views
    for place in views:
        if place[0] != "smoothgrad":
            assert views[place][0] == pytest.approx(expected[place][0], rel=1e-3)
            # A normal interval is about as wide as that of the bootstrap, where there are some images.
            if place[1] == "all classes":
                assert views[place][2] - views[place][0] == pytest.approx(
                    expected[place][2] - expected[place][0], rel=0.3
                )
    assert (
        set(sums["seeds"]) == {"smoothgrad"} and abs(sums["seeds"]["smoothgrad"] - numbers["seeds"]["smoothgrad"]) < 0.1
    )
    gaps = np.abs(whole.arrays("explain/integrated_gradients", "maps.npz")["gap"])
    described = whole_by_method(shards)["integrated_gradients"]
    assert described["gap"]["mean"] == pytest.approx(gaps.mean(), rel=1e-3)
    assert described["gap"]["largest"] == pytest.approx(gaps.max(), rel=1e-3)
    assert [method["method"] for method in sums["whole"]["methods"]] == METHODS.split(",")
    assert {method["maps"] for method in sums["whole"]["methods"]} == {COUNT}
    assert f"{COUNT} photographs; {SHOWN} of them are shown" in output and f"none of {4 * COUNT} maps flagged" in output


def test_the_interval_of_means_is_that_of_a_normal_distribution(explained, photos):
    store, _ = explained(photos, "--method", "gradient", "--shard", SIZE)
    sizes = np.abs(maps_of(store, "gradient")["maps/0"]).astype("float64").mean(axis=(1, 2))
    half = 1.96 * sizes.std(axis=0, ddof=1) / np.sqrt(COUNT)
    rows = [row[3:] for row in store.values("agreement", "agreement.json")["views"] if row[1] == "all classes"]
    np.testing.assert_allclose(
        rows, np.stack([sizes.mean(0), sizes.mean(0) - half, sizes.mean(0) + half], 1), rtol=1e-6
    )


def test_the_page_shows_some_of_all_and_says_so(explained, photos):
    store, _ = explained(photos, "--method", "gradient,gradcam", "--shard", SIZE)
    about = store.values("photographs", "about.json")
    # Of four shards, the first six each.
    assert about["shown"] == [[shard, 6] for shard in range(4)] and len(about["names"]) == SHOWN
    assert about["names"] == [f"{start + place:05}.png" for start, _ in SHARDS for place in range(6)]
    text = (store.path / "index.html").read_text()
    assert f"{SHOWN} of {COUNT} photographs are shown" in text and f"was asked about {COUNT} photographs" in text
    assert text.count('class="photograph"') == SHOWN and text.count('class="over"') == 2 * SHOWN
    assert "95% normal interval" in text and "Which methods agree?" in text
    maps = store.arrays("shown/gradient", "maps.npz")["maps/0"]
    rows = [start + place for start, _ in SHARDS for place in range(6)]
    assert np.array_equal(maps, maps_of(store, "gradient")["maps/0"][rows])
    images = store.arrays("photographs", "photographs.npz")["images"]
    assert images.shape == (SHOWN, 16, 16, 3) and len({image.tobytes() for image in images}) == SHOWN


def test_runs_in_shards_are_compared_by_the_maps_that_are_shown(explained, photos, command):
    first, _ = explained(photos, "--method", "gradient", "--shard", SIZE)
    second, _ = explained(photos, "--method", "gradient", "--shard", SIZE, "--target", 1)
    code, output, error = command("compare", first.path, second.path, "--json", out=False)
    compared = json.loads(output)
    assert (
        code == 0 and len(compared["maps"]) == SHOWN and {row["method"] for row in compared["maps"]} == {"gradient"}
    ), error


def test_tables_of_shards_have_every_photograph_and_map(explained, photos):
    store, _ = explained(photos, "--method", "gradient,gradcam", "--shard", SIZE)
    rows = {name: [] for name in ("statistics/*/maps.csv", "predictions/*/photographs.csv")}
    for name, lines in rows.items():
        for path in sorted((store.path / "jobs").glob(name)):
            lines.extend(csv.DictReader(path.open()))
    maps, predictions = rows.values()
    assert [line["image"] for line in predictions] == [f"{number:05}.png" for number in range(COUNT)]
    assert len(maps) == 2 * COUNT and {line["method"] for line in maps} == {"gradient", "gradcam"}


def write_tars(photos, folder):
    for number, start in enumerate(range(0, COUNT, 10)):
        with tarfile.open(folder / f"part-{number:03}.tar", "w") as archive:
            for path in sorted(photos.iterdir())[start : start + 10]:
                archive.add(path, path.name)
    return f"{folder}/part-{{000..002}}.tar"


def write_records(photos, folder):
    for number, start in enumerate(range(0, COUNT, 10)):
        with tf.io.TFRecordWriter(f"{folder}/part-{number:05}-of-00003") as writer:
            for path in sorted(photos.iterdir())[start : start + 10]:
                value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[path.read_bytes()]))
                features = tf.train.Features(feature={"image/encoded": value})
                writer.write(tf.train.Example(features=features).SerializeToString())
    return f"{folder}/part-*-of-00003"


def test_shards_of_a_recipe_bring_their_labels(small_file, photos, tmp_path):
    """Of a list and a tar, whose labels the checks and the mistakes use; a label that is no class fails its shard by name."""
    paths = sorted(photos.iterdir())
    rows = [f"{path},{number % 5}" for number, path in enumerate(paths[:10])]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    with tarfile.open(tmp_path / "part.tar", "w") as archive:
        for number, path in enumerate(paths[10:]):
            archive.add(path, path.name)
            label = tmp_path / f"{path.stem}.cls"
            label.write_text(str(number % 5))
            archive.add(label, label.name)
    files = [str(tmp_path / "list.csv"), str(tmp_path / "part.tar")]
    recipe = recipe_of(small_file, {"files": files, "labels": "where known"}, shard=SIZE, only="right")
    session = Session(Sources.of(recipe), tmp_path)
    assert session.part(8, 12).labels == ("3", "4", "0", "1")
    right = session.subject({}, [8, 12]).true
    assert right.argmax(axis=1).tolist() == [3, 4, 0, 1] and right.sum() == 4
    assert session.images.labels == tuple(str(number % 5) for number in (*range(10), *range(20)))


def test_tars_and_lists_have_the_maps_of_the_folder(explained, photos, tmp_path):
    store, _ = explained(photos, "--method", "gradient", "--shard", SIZE)
    (tmp_path / "list.csv").write_text("path\n" + "".join(f"{path}\n" for path in sorted(photos.iterdir())))
    for address in (write_tars(photos, tmp_path), write_records(photos, tmp_path), tmp_path / "list.csv"):
        other, _ = explained(address, "--method", "gradient", "--shard", SIZE)
        for shard in range(4):
            name = f"jobs/explain/gradient/{shard:05}/maps.npz"
            assert (other.path / name).read_bytes() == (store.path / name).read_bytes()
    assert other.values("photographs", "about.json")["names"][0] == str(photos / "00000.png")
    # In the shell, a pattern without quotes becomes several addresses.
    whole, _ = explained(tmp_path / "part-000.tar", "--method", "gradient")
    assert whole.values("photographs", "about.json")["names"][:2] == ["00000.png", "00001.png"]


@pytest.mark.slow
@pytest.mark.skipif(bool(s3_server.MISSING), reason=f"needs {', '.join(s3_server.MISSING)}")
def test_shards_lie_in_a_bucket(explained, photos, tmp_path):
    words = ("--method", "gradient", "--shard", SIZE)
    store, _ = explained(write_tars(photos, tmp_path), *words)
    with s3_server.running() as url, s3_server.spoken_to(url):
        bucket = s3_server.make_bucket()
        for path in tmp_path.glob("part-*.tar"):
            (as_path(bucket) / path.name).write_bytes(path.read_bytes())
        other, _ = explained(f"{bucket}/part-{{000..002}}.tar", *words)
        assert f"{bucket}/part-*.tar" in (other.path / "manifest.json").read_text().replace("{000..002}", "*")
    for shard in range(4):
        name = f"jobs/explain/gradient/{shard:05}/maps.npz"
        assert (other.path / name).read_bytes() == (store.path / name).read_bytes()


def test_a_gallery_shows_natural_images_of_tars(command, user, photos, tmp_path):
    words = ("--layer", "last", "--units", "0-1", "--steps", 2)
    code, output, error = command("gallery", *user, *words, "--images", write_tars(photos, tmp_path))
    assert code == 0, error
    index = pathlib.Path(output.strip().splitlines()[-1]).read_text()
    assert any(f"part-{number:03}/{place:05}.png" in index for number in range(3) for place in range(COUNT))


def recipe_of(small_file, images, **explain):
    table = {"name": "any", "model": {"source": str(small_file), "input_range": [-1, 1]}}
    return schema.recipe(
        {**table, "images": {"most": 1_000_000, **images}, "explain": {"methods": ["gradient"], **explain}}
    )


def test_a_job_reads_the_photographs_of_its_shard_alone(small_file, photos, tmp_path, monkeypatch):
    recipe = recipe_of(small_file, {"folder": str(photos)}, shard=SIZE)
    session = Session(Sources.of(recipe), tmp_path)
    jobs = {job.key: job for job in list_jobs(recipe, session)}
    names, read = [], lab.images.read
    monkeypatch.setattr("lab.data.read", lambda path, **form: (names.append(path.name), read(path, **form))[1])
    for shard, (start, stop) in enumerate(SHARDS):
        for key in (f"predictions/{shard:05}", f"explain/gradient/{shard:05}"):
            fresh = Session(Sources.of(recipe), tmp_path)
            names.clear()
            work(jobs[key], Inputs(None, jobs[key]), fresh)
            assert sorted(names) == [f"{number:05}.png" for number in range(start, stop)]
    assert {key.partition("/")[0] for key in jobs} == {
        "predictions",
        "explain",
        "statistics",
        "photographs",
        "shown",
        "agreement",
    }


def test_planning_reads_the_first_shard_alone(small_file, photos, tmp_path, monkeypatch):
    names, read = set(), lab.images.read
    monkeypatch.setattr("lab.data.read", lambda path, **form: (names.add(path.name), read(path, **form))[1])
    recipe = recipe_of(small_file, {"folder": str(photos)}, shard=SIZE)
    jobs = list_jobs(recipe, Session(Sources.of(recipe), tmp_path))
    assert names == {f"{number:05}.png" for number in range(SIZE)}
    assert len(jobs) == 4 * 3 + 3 and sum(job.passes for job in jobs) == COUNT
    assert [job.key for job in jobs if job.kind == "shard maps"] == [
        f"explain/gradient/{shard:05}" for shard in range(4)
    ]


def test_a_photograph_that_changes_costs_its_shard_alone(small_file, tmp_path):
    photos = save_photos(tmp_path / "photos")
    recipe = recipe_of(small_file, {"folder": str(photos)}, shard=SIZE)

    def identities():
        return {job.key: job.identity for job in list_jobs(recipe, Session(Sources.of(recipe), tmp_path))}

    before = identities()
    assert identities() == before and len(set(before.values())) == len(before)
    Image.fromarray(np.zeros((9, 9, 3), "uint8")).save(photos / "00009.png")
    changed = {key for key, value in identities().items() if value != before[key]}
    shard = {"predictions/00001", "explain/gradient/00001", "statistics/00001"}
    assert changed == {*shard, "photographs", "shown/gradient", "agreement"}


RECIPE = """
name = "quick"
threads = 1
[model]
source = "{model}"
input_range = [-1, 1]
[images]
folder = "{photos}"
[explain]
methods = ["gradient", "smoothgrad"]
options.smoothgrad.samples = 2
shard = 8
"""


@pytest.mark.slow
def test_processes_give_the_bytes_of_one(small_file, photos, tmp_path):
    (tmp_path / "shards.toml").write_text(RECIPE.format(model=small_file, photos=photos))
    files = []
    counts = ("1", "2")
    started = [start_run(tmp_path / "shards.toml", tmp_path / count, "--workers", count) for count in counts]
    for count, run in zip(counts, started):
        _, error = run.communicate()
        assert run.returncode == 0, error
        files.append(contents(tmp_path / count))
    assert files[0].keys() == files[1].keys() and len(files[0]) > 40
    assert [name for name in files[0] if files[0][name] != files[1][name]] == []


def test_a_broken_photograph_fails_its_shard_and_no_other(explained, tmp_path):
    photos = save_photos(tmp_path / "photos")
    whole = (photos / "00017.png").read_bytes()
    (photos / "00017.png").write_bytes(whole[:200])
    store, output = explained(photos, "--method", "gradient", "--shard", SIZE, code=3)
    # Its four jobs fail.
    assert len(list(store.path.glob("failed-*00002.txt"))) == 3
    assert "1 of 4 shards have no statistics" in output
    text = (store.path / "index.html").read_text()
    assert "1 of 4 shards are missing" in text
    assert f"18 of {COUNT - SIZE} photographs are shown" in text
    assert store.values("photographs", "about.json")["shown"] == [[0, 6], [1, 6], [3, 6]]
    assert "00017.png" in (store.path / "failed-explain+gradient+00002.txt").read_text()
    (photos / "00017.png").write_bytes(whole)
    store, _ = explained(photos, "--method", "gradient", "--shard", SIZE)
    assert store.values("photographs", "about.json")["shown"] == [[shard, 6] for shard in range(4)]


def test_a_photograph_that_changes_in_secret_is_noticed_where_another_method_sees_it(explained, tmp_path):
    photos = save_photos(tmp_path / "photos")
    words = ("--shard", SIZE, "--method")
    explained(photos, *words, "gradient")
    path = photos / "00009.png"
    stat, content = path.stat(), path.read_bytes()
    other = np.random.default_rng(99).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(other).save(path)
    path.write_bytes(path.read_bytes().ljust(len(content), b"\0")[: len(content)])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    store, output = explained(photos, *words, "gradient,gradcam", code=3)
    assert "photographs for gradcam that are others" in (store.path / "failed-statistics+00001.txt").read_text()
    assert "1 of 4 shards have no statistics" in output
    explained(photos, *words, "gradient,gradcam", "--fresh")


@pytest.fixture
def two_classes(tmp_path):
    """Photographs in the folders of two classes of the small network, in shards of 8, with what it answers to them."""
    photos = save_photos(tmp_path / "flat")
    for number, path in enumerate(sorted(photos.iterdir())):
        folder = tmp_path / "labelled" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.name)
    return tmp_path / "labelled"


def test_mistakes_and_contrasts_in_shards(explained, two_classes):
    words = ("--method", "gradient", "--labels", "folders", "--only", "wrong", "--contrast")
    whole, output = explained(two_classes, *words)
    shards, sums = explained(two_classes, *words, "--shard", SIZE)
    names = whole.values("photographs", "about.json")["names"]
    sharded = [shards.values(f"predictions/{shard:05}", "about.json") for shard in range(4)]
    assert sorted(name for about in sharded for name in about["names"]) == sorted(names) and 0 < len(names) < COUNT
    for about in sharded:
        assert about["names"] == [name for name in names if name in about["names"]]
    assert f"{len(names)} of {COUNT} photographs are answered wrongly" in output and f"{len(names)} of {COUNT}" in sums
    with_maps = [shard for shard, about in enumerate(sharded) if about["names"]]
    for part in ("gradient", "gradient-predicted", "gradient-other"):
        maps = {}
        for shard in with_maps:
            rows = shards.arrays(f"explain/{part}/{shard:05}", "maps.npz")["maps/0"]
            maps |= zip(shards.values(f"explain/{part}/{shard:05}", "about.json")["names"], rows)
        expected = whole.arrays(f"explain/{part}", "maps.npz")["maps/0"]
        np.testing.assert_allclose([maps[name] for name in names], expected, rtol=1e-3, atol=1e-5)


def test_a_shard_without_a_mistake_and_a_run_without_one(explained, two_classes, tmp_path):
    labels = ("--method", "gradient", "--labels", "folders", "--shard")
    store, _ = explained(two_classes, *labels, SIZE)
    abouts = [store.values(f"predictions/{shard:05}", "about.json") for shard in range(4)]
    right = [correct for about in abouts for correct in about["correct"]]
    assert 0 < sum(right) < COUNT
    one_each, output = explained(two_classes, *labels, 1, "--only", "right")
    shown = one_each.values("photographs", "about.json")["shown"]
    assert (
        shown == [[shard, 1] for shard in range(COUNT) if right[shard]][:SHOWN] and f"{sum(right)} of {COUNT}" in output
    )
    for path, is_right in zip(sorted(two_classes.glob("*/*.png")), right):
        if not is_right:
            path.unlink()
    nothing, output = explained(two_classes, *labels, 4, "--only", "wrong")
    assert f"none of {sum(right)} photographs is answered wrongly" in output
    assert nothing.values("photographs", "about.json")["names"] == []


def test_a_method_that_is_refused_everywhere_is_told_once(explained, photos):
    words = ("--method", "gradient,xrai", "--option", "xrai.steps=-1", "--shard", SIZE)
    store, output = explained(photos, *words)
    assert output.count("xrai  refused: steps is a whole number") == 1
    assert (store.path / "index.html").read_text().count("refused: steps") == 1
    methods = whole_by_method(store)
    assert methods["xrai"]["maps"] == 0 and methods["gradient"]["maps"] == COUNT


def test_flags_are_counted_over_all(explained, photos):
    words = ("--method", "tests.recipes.external:broken,gradient", "--allow-code", "--shard", SIZE)
    store, output = explained(photos, *words)
    flags = whole_by_method(store)["tests.recipes.external:broken"]
    maps = maps_of(store, "tests.recipes.external-broken")["maps/0"]
    broken = int((~np.isfinite(maps).reshape(COUNT, -1).all(axis=1)).sum())
    assert flags["flags"]["not finite"] == broken > 0 and f"not finite: {broken} of {COUNT} maps" in output


def test_what_cannot_be_done_in_shards_is_refused_in_one_line(command, small_file, photos, tmp_path):
    (tmp_path / "table.csv").write_text("a\n1\n")
    model = ("--model", small_file, "--input-range", -1, 1)
    for words, message in (
        (("--shard", 8, "--table", tmp_path / "table.csv"), "shard explains networks of images alone"),
        (("--shard", 0), "--shard"),
        (("--shard", 8, "--target", "dragon"), "dragon"),
        (("--shard", 8, "--only", "wrong"), "without labels"),
    ):
        code, _, error = command("explain", photos, *model, "--method", "gradient", *words)
        assert code == 2 and message in error, error
        assert not list((tmp_path / "artifacts").rglob("maps.npz"))
    plan = command("explain", photos, *model, "--method", "gradient", "--most", 20, "--shard", 8, "--plan")
    assert plan[0] == 0 and "explain/gradient  3 jobs, about 20 gradients" in plan[1]


GROWTH = """
import resource, sys
from recipes.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def start_growth(*words):
    """Begin a command in a process of its own: `subprocess.Popen`."""
    return subprocess.Popen(
        [sys.executable, "-c", GROWTH, *map(str, words)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def peak(process):
    """The most memory that a command took: bytes."""
    output, _ = process.communicate()
    assert process.returncode == 0
    return 1024 * int(output.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is counted in other units")
def test_ten_times_as_many_photographs_take_the_same_memory(tmp_path):
    photos = save_photos(tmp_path / "photos", 500, side=128)
    layers = [keras.Input((128, 128, 3)), keras.layers.Conv2D(4, 3, strides=2), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential([*layers, keras.layers.Dense(5, activation="softmax")]).save(tmp_path / "net.keras")
    words = ("explain", photos, "--model", tmp_path / "net.keras", "--input-range", -1, 1, "--method", "gradient")
    words += ("--shard", 12, "--quiet")
    few, many = (start_growth(*words, "--most", most, "--out", tmp_path / f"{most}") for most in (50, 500))
    # As the network takes them, 450 photographs have 88 MB, and their maps as much again.
    assert peak(many) - peak(few) < 60e6
