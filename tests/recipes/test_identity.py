"""Identity: only what changed is done again, and every job names all that it reads."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest

from recipes import schema
from recipes.engines.attempt import attempt
from recipes.identity import ALL_LIBRARIES, identified, method_reads
from recipes.inputs import Inputs
from recipes.job import Job
from recipes.jobs import list_jobs
from recipes.runs import waiting_jobs
from recipes.session import Session
from recipes.sources import Sources
from recipes.store import SEAL, Store

# A recipe of every noun on a network and images, and one of a world.
PHOTOGRAPHS = """
name = "nouns"
[model]
source = "{model}"
input_range = [-1, 1]
[images]
photographs = ["chelsea", "coffee", "rocket"]
[[gallery]]
layer = "last"
units = "0-1"
steps = 2
natural = 2
[[atlas]]
layer = "last"
side = 2
steps = 2
[[atlas]]
layer = "last"
image = "{image}"
steps = 2
groups = 2
[[features]]
layer = "last"
units = "0-1"
steps = 2
pictures = 2
checks = ["reach", "stability", "transfer"]
[explain]
methods = ["gradient", "smoothgrad", "tf_explain.gradcam"]
[explain.options.smoothgrad]
samples = 2
[[check]]
methods = ["gradient"]
seeds = 2
controls = false
"""
WORLD = """
name = "planted"
[world]
name = "template"
replicates = 1
images = 8
[[check]]
check = "truth"
methods = ["gradient"]
controls = false
"""


def recipe_of(text, tmp_path, *settings):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return schema.read(str(path), settings)


@pytest.fixture
def nouns(small_file, photo):
    return PHOTOGRAPHS.format(model=small_file, image=photo)


def kinds_that_change(text, tmp_path, *settings):
    """The kinds of jobs that have other identities under some settings, without those that only gather."""
    before, after = (
        {job.key: job for job in list_jobs(recipe, Session(Sources.of(recipe), tmp_path))}
        for recipe in (recipe_of(text, tmp_path), recipe_of(text, tmp_path, *settings))
    )
    changed = [key for key in before if key not in after or before[key].identity != after[key].identity]
    return {before[key].kind for key in changed} - {"agreement", "judge"}


CHECKED = "evidence of pictures"
DRAWN = {"pictures", "drawn", CHECKED}
MAPS = {"maps", "photographs", "evidence"}


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        ("title=Another", set()),
        # Natural images are crops of packaged photographs here, whatever photographs are explained.
        ("images.most=2", MAPS),
        ("images.fit=crop", {*MAPS, "survey", "atlas", CHECKED}),
        ("seed=1", {"maps", "evidence", "pictures", "atlas", "blocks", *DRAWN}),
        ("threads=1", {*MAPS, *DRAWN, "survey", "atlas", "blocks"}),
        ("model.input_range=[0, 1]", {*MAPS, *DRAWN, "survey", "atlas", "blocks"}),
        ("model.memory_gib=1", {*MAPS, *DRAWN, "survey", "atlas", "blocks"}),
        ("gallery.0.steps=3", {"pictures"}),
        ("gallery.0.transforms=none", {"pictures"}),
        ("gallery.0.natural=3", {"survey"}),
        ("gallery.0.connections=false", {"survey"}),
        ("gallery.0.units=0-2", {"pictures", "survey"}),
        ("atlas.0.side=3", {"atlas"}),
        ("atlas.1.groups=3", {"blocks"}),
        ("features.0.steps=3", {"drawn", CHECKED}),
        ("features.0.pictures=3", {"drawn", CHECKED}),
        ("features.0.others=['efficientnet-lite1']", {CHECKED}),
        ("explain.options.smoothgrad.samples=3", {"maps"}),
        ("explain.target=1", {"maps", "photographs"}),
        ("check.0.seeds=3", {"evidence"}),
        ("check.0.target=1", {"evidence"}),
    ],
)
def test_a_setting_changes_the_jobs_whose_bytes_it_decides_and_no_others(nouns, setting, kinds, tmp_path):
    assert kinds_that_change(nouns, tmp_path, setting) == kinds


def test_only_a_check_that_asks_other_networks_depends_on_them(nouns, tmp_path):
    recipes = recipe_of(nouns, tmp_path), recipe_of(nouns, tmp_path, "features.0.others=['efficientnet-lite1']")
    before, after = (list_jobs(recipe, Session(Sources.of(recipe), tmp_path)) for recipe in recipes)
    changed = [job.key for job, other in zip(before, after) if job.identity != other.identity]
    assert changed == ["study/0/honest/transfer", "verdicts"]


def test_a_check_of_a_visualizer_does_not_depend_on_its_pictures(nouns, tmp_path):
    recipes = recipe_of(nouns, tmp_path), recipe_of(nouns, tmp_path, "features.0.pictures=3")
    jobs = [list_jobs(recipe, Session(Sources.of(recipe), tmp_path)) for recipe in recipes]
    identities = [{job.key: job.identity for job in listed}["study/0/honest/recovery"] for listed in jobs]
    assert identities[0] == identities[1]


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        ("title=Another", set()),
        ("world.images=9", {"networks", "answer", "evidence"}),
        ("check.0.options.gradient={}", set()),
        ("seed=1", {"networks", "answer", "evidence"}),
    ],
)
def test_a_setting_of_a_world_changes_the_jobs_whose_bytes_it_decides(setting, kinds, tmp_path):
    assert kinds_that_change(WORLD, tmp_path, setting) == kinds


def test_more_networks_of_a_world_leave_those_that_are_trained(tmp_path):
    text = WORLD.replace("template", "series").replace("replicates = 1", "replicates = 2")
    before, after = (
        {job.key: job.identity for job in list_jobs(recipe, Session(Sources.of(recipe), tmp_path))}
        for recipe in (recipe_of(text, tmp_path), recipe_of(text, tmp_path, "world.replicates=3"))
    )
    trained = [key for key in before if key.startswith("network/")]
    assert len(trained) == 4 and all(before[key] == after[key] for key in trained)
    assert before["networks"] != after["networks"]


class Watched(Session):
    """A session that notes what is asked of it."""

    asked = frozenset()

    def __getattribute__(self, name):
        names = {"network": "model", "images": "images", "natural_images": "natural images", "world": "world"}
        if name in names:
            self.asked = self.asked | {names[name]}
        return super().__getattribute__(name)


@pytest.mark.slow
@pytest.mark.parametrize("text", [PHOTOGRAPHS, WORLD], ids=["photographs", "world"])
def test_a_job_reads_nothing_that_it_does_not_name(text, small_file, photo, tmp_path):
    """Done alone, in a session that nothing was asked of before, with the files of the jobs that it needs."""
    text = text.format(model=small_file, image=photo) if "{model}" in text else text
    recipe = recipe_of(text, tmp_path)
    jobs, store = list_jobs(recipe, Session(Sources.of(recipe), tmp_path)), Store(tmp_path, "any", "0123")
    with store.open():
        for job in jobs:
            session = Watched(Sources.of(recipe), tmp_path)
            assert attempt(job, session, store) is None, job.key
            asked = session.asked - ({"images"} if "natural images" in job.reads else set())
            assert asked <= set(job.reads), (job.key, asked)


def test_a_job_reads_files_of_the_jobs_that_it_needs_alone(tmp_path):
    store = Store(tmp_path, "any", "0123")
    with store.open():
        store.put("first", {"values.json": b"1"})
        store.put("second", {"values.json": b"2"})
        inputs = Inputs(store, Job("third", "any", {}, needs=("first",)))
        assert inputs.values("first", "values.json") == 1
        with pytest.raises(ValueError, match="Received: 'second'"):
            inputs.values("second", "values.json")


# Earlier runs -------------------------------------------------------------------------------------------------------------

METHODS = """
import lab


def first(network, inputs, objective):
    return lab.gradient(network, inputs, objective)
"""


@pytest.fixture
def edited(small_file, tmp_path, monkeypatch):
    """A recipe with explainers of the user's own in two modules."""
    for name in ("mine_one", "mine_two"):
        (tmp_path / f"{name}.py").write_text(METHODS)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "edited.toml"
    path.write_text(
        f'name = "edited"\n[model]\nsource = "{small_file}"\ninput_range = [-1, 1]\n[images]\nphotographs = ["chelsea"]\n'
        '[explain]\nmethods = ["gradient", "mine_one:first", "mine_two:first"]\n'
        '[[check]]\nseeds = 2\nmethods = ["gradient", "mine_two:first"]\ncontrols = false\n'
    )
    return path


def run_files(output):
    """The files of a run, but for its times and its manifest: dict of name to bytes."""
    folder = pathlib.Path(output.strip().splitlines()[-1]).parent
    return folder, {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "jobs").rglob("*"))
        if path.is_file()
    }


def test_an_edited_explainer_is_asked_again_and_nothing_else(command, edited, tmp_path):
    code, output, error = command("run", edited, "--allow-code")
    assert code == 0 and "earlier" not in error, error
    before_folder, before = run_files(output)
    (tmp_path / "mine_two.py").write_text(METHODS.replace("return ", "return 2 * "))
    code, output, error = command("run", edited, "--allow-code")
    after_folder, after = run_files(output)
    assert code == 0 and after_folder != before_folder
    # Photographs, two methods, and the evidence about one of them.
    assert "4 jobs of earlier runs, the same as here, kept" in error
    changed = {name.rpartition("/")[0] for name in after if after[name] != before[name]}
    assert changed == {
        "jobs/explain/mine_two-first",
        "jobs/agreement",
        "jobs/check/0-parameters/mine_two-first",
        "jobs/verdicts",
    }
    code, output, _ = command("run", edited, "--allow-code", "--fresh")
    assert run_files(output)[1] == after, "what was kept is what is computed"


def test_a_job_is_kept_where_it_stands_at_another_place(command, edited):
    assert command("run", edited, "--allow-code")[0] == 0
    text = edited.read_text()
    edited.write_text(
        text.replace("[[check]]", '[[check]]\nmethods = ["gradcam"]\nseeds = 2\ncontrols = false\n[[check]]')
    )
    code, output, error = command("run", edited, "--allow-code")
    folder, files = run_files(output)
    assert code == 0 and "7 jobs of earlier runs" in error
    assert "jobs/check/1-parameters/gradient/evidence.npz" in files


def test_files_of_an_earlier_run_that_were_changed_or_removed_are_not_kept(command, edited):
    _, output, _ = command("run", edited, "--allow-code")
    folder, _ = run_files(output)
    maps = folder / "jobs" / "explain" / "gradient" / "maps.npz"
    maps.write_bytes(maps.read_bytes()[:-1])
    shutil.rmtree(folder / "jobs" / "photographs")
    _, _, error = command("run", edited, "--allow-code", "--set", "title=Another")
    # Eight jobs, without the two and the agreement, which needs one of them.
    assert "5 jobs of earlier runs" in error


def test_a_seal_of_another_job_or_with_a_fault_is_not_kept(tmp_path):
    store, other = Store(tmp_path, "one", "0123"), Store(tmp_path, "two", "4567")
    with store.open(), other.open():
        store.put("good", {"a.txt": b"a"}, identity="a" * 64)
        store.put("faulty", {"a.txt": b"b"}, fault="no room", identity="b" * 64)
        assert other.earlier("a" * 64) == {"a.txt": b"a"}
        assert other.earlier("b" * 64) is None and other.earlier("") is None
        seal = store.folder("good") / SEAL
        seal.write_text(json.dumps({**json.loads(seal.read_text()), "identity": "c" * 64}))
        assert other.earlier("a" * 64) is None


def test_what_was_gathered_without_a_job_that_failed_is_kept_by_nobody(tmp_path):
    first, second = Store(tmp_path, "one", "0123"), Store(tmp_path, "two", "4567")
    with first.open(), second.open():
        first.put("a", {"a.txt": b"a"}, identity="a" * 64)
        first.put("sum", {"sum.txt": b"a"}, needs=("a", "b"), identity="c" * 64)
        second.put("b", {"b.txt": b"b"}, identity="b" * 64)
        assert first.keep(Job("b", "any", {}, identity="b" * 64))
        jobs = [Job("a", "any", {}), Job("b", "any", {}), Job("sum", "any", {}, ("a", "b"), identity="c" * 64)]
        waiting, kept = waiting_jobs(jobs, first)
        assert [job.key for job in waiting] == ["sum"] and not kept


class Hashes:
    """A session that knows hashes alone."""

    def hash_of(self, name):
        return name


def identity_of(arguments, reads=()):
    return identified([Job("any", "kind", arguments, reads=reads)], Hashes())[0].identity


def test_every_number_of_an_array_counts():
    baseline = np.zeros((64, 64, 3))
    other = baseline.copy()
    other[32, 32] = 1
    assert identity_of({"baseline": baseline}) != identity_of({"baseline": other})
    assert identity_of({"baseline": baseline}) == identity_of({"baseline": baseline.copy()})
    assert identity_of({"value": float("nan")}) != identity_of({"value": float("inf")})


def test_what_a_method_wraps_and_what_a_check_looks_for_are_read():
    assert method_reads("noise_tunnel", {"explainer": "tf_explain.gradcam"}) == ("version:tf-explain",)
    assert method_reads("mine:first", {"explainer": "other:second"}) == ("code:mine", "code:other")
    assert set(ALL_LIBRARIES) > {"version:saliency", "version:xplique"}


def test_the_plan_says_what_earlier_runs_have_done(command, edited):
    assert command("run", edited, "--allow-code")[0] == 0
    code, output, _ = command("run", edited, "--allow-code", "--set", "title=Another", "--plan", "--json")
    planned = json.loads(output)
    assert code == 0 and {row["state"] for row in planned["jobs"]} == {"kept"} and planned["passes"] == 0
    _, output, _ = command("run", edited, "--allow-code", "--set", "title=Another", "--plan")
    assert "kept from earlier runs" in output and re.search(r": 0 of 8 jobs to do", output)
