"""Long jobs are split into parts whose size stands in the recipe, and gathered in order."""

import numpy as np
import pytest

from recipes import schema
from recipes.jobs import list_jobs
from recipes.progress import Progress
from recipes.runs import carry_out
from recipes.session import Session
from recipes.sources import Sources
from recipes.store import Store

# The method of this file's own fails on a network, and `gradcam` cannot be asked on a layer without rows and columns.
FAILING = """
def explain(network, inputs, objective):
    raise ValueError("a fault of the method")
"""
RECIPE = """
name = "split"
[model]
source = "{model}"
input_range = [-1, 1]
[images]
photographs = ["chelsea", "coffee"]
[[check]]
methods = ["smoothgrad", "gradcam", "failing:explain"]
mode = "top_down"
seeds = 3
[check.options.smoothgrad]
samples = 2
[check.options.gradcam]
layer = "logits"
"""


@pytest.fixture
def recipe_text(small_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failing.py").write_text(FAILING)
    return RECIPE.format(model=small_file)


def read(text, tmp_path, *settings):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return schema.read(str(path), settings)


def run(text, tmp_path, *settings):
    """Every job of a recipe in one process: the store of its run, and its jobs by key."""
    recipe, root = read(text, tmp_path, *settings), tmp_path / "runs"
    result = carry_out(recipe, root, Progress(quiet=True), allow_code=True)
    jobs = list_jobs(recipe, Session(Sources.of(recipe), root, allow_code=True))
    return Store(root, recipe.name, result.path.name), {job.key: job for job in jobs}


def test_random_networks_in_shards_give_the_bytes_of_all_in_one_job(recipe_text, tmp_path):
    whole, jobs = run(recipe_text, tmp_path)
    split, jobs_in_shards = run(recipe_text, tmp_path, "check.0.shard=2")
    evidence = [key for key, job in jobs.items() if job.kind == "evidence"]
    shards = [key for key, job in jobs_in_shards.items() if job.kind == "evidence shard"]
    assert len(shards) == 2 * len(evidence)
    for key in evidence:
        assert jobs_in_shards[key].needs == (f"{key}-0", f"{key}-2")
        for name in ("evidence.npz", "evidence.json"):
            assert (split.path / "jobs" / key / name).read_bytes() == (whole.path / "jobs" / key / name).read_bytes()
    gates = {
        method: split.values(f"check/0-parameters/{method}", "evidence.json")["gates"]
        for method in ("smoothgrad", "gradcam", "failing-explain")
    }
    assert [gate["status"] for gate in gates["gradcam"]] == ["not applicable"]
    assert [gate["status"] for gate in gates["failing-explain"]] == ["fault"]
    # The stages of the cascade are those of both shards.
    arrays = split.arrays("check/0-parameters/smoothgrad", "evidence.npz")
    assert arrays["samples/cascade/ssim"].shape[0] == 3 and np.isfinite(arrays["samples/cascade/abs_spearman"]).all()
    parts = [split.arrays(f"check/0-parameters/smoothgrad-{start}", "runs.npz") for start in (0, 2)]
    counts = [len({name.partition("/")[0] for name in arrays}) for arrays in parts]
    assert counts == [2, 1], "a shard measures its networks alone"
    assert not np.array_equal(parts[0]["0/maps/signed"], parts[1]["0/maps/signed"])


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 6), ("seeds = 5", 5), ("[world]\nname = 'series'\nreplicates = 5", 5), ("[world]\nname = 'template'", 6)],
)
def test_as_many_networks_are_split_as_the_check_draws(text, count, tmp_path, small_file):
    model = "" if "world" in text else f'[model]\nsource = "{small_file}"\ninput_range = [-1, 1]\n'
    settings, _, world = text.partition("[world]")
    world = world and f"[world]{world}"
    recipe = read(f"name = 'split'\n{model}[[check]]\nshard = 4\n{settings}\n{world}", tmp_path)
    jobs = list_jobs(recipe, Session(Sources.of(recipe), tmp_path))
    ends = [job.arguments["networks"] for job in jobs if job.kind == "evidence shard"]
    assert ends[:2] == [[0, 4], [4, count]]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "check.0.check=classes",
            "shard is for checks that compare random networks: parameters. Received: shard=2 for",
        ),
        ("check.0.shard=0", "greater than or equal to 1"),
        ("check.0.runs=[1]", "Unknown key of the check parameters. Received: 'runs'"),
    ],
)
def test_a_shard_is_of_random_networks(recipe_text, tmp_path, setting, words):
    text = recipe_text.replace("seeds = 3", "shard = 2").replace('mode = "top_down"', "")
    with pytest.raises(ValueError, match=words):
        recipe = read(text, tmp_path, setting)
        list_jobs(recipe, Session(Sources.of(recipe), tmp_path, allow_code=True))


STUDY = """
name = "study"
[model]
source = "{model}"
input_range = [-1, 1]
[images]
photographs = ["chelsea"]
[[features]]
layer = "last"
units = [3, 0, 2]
steps = 2
pictures = 2
checks = []
recovery = false
"""


def test_units_of_a_study_are_drawn_in_batches_and_gathered_in_their_order(small_file, tmp_path):
    text = STUDY.format(model=small_file)
    whole, _ = run(text, tmp_path)
    split, jobs = run(text, tmp_path, "features.0.batch=2")
    drawn = [job for job in jobs.values() if job.kind == "drawn units"]
    assert [job.arguments["places"] for job in drawn] == [[0, 2], [2, 3]]
    pictures = [store.arrays("study/0/honest/pictures", "pictures.npz")["images"] for store in (whole, split)]
    # Other sizes of a batch round otherwise, by a grey level.
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1
    assert pictures[1].std(axis=0).any(), "all units have one picture"
