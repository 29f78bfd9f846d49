"""What is shown is what was asked: a run's digest holds everything that decides its bytes."""

import importlib
import importlib.util
import json
import pathlib
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import provenance
from tests import networks
from tests.processes import COMMAND, start_code

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder with an explainer in a module that imports another, and a package with relative imports."""
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nimport helper\nfrom pack.inner import k\ndef f(n, x, o):\n    return np.abs(x)\n"
    )
    (tmp_path / "helper.py").write_text("SCALE = 1\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "inner.py").write_text("from . import leaf\nfrom .leaf import other as k\n")
    (tmp_path / "pack" / "leaf.py").write_text("other = 1\n")
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    for name in ("mine", "helper", "my_layers", "pack", "pack.inner", "pack.leaf"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


@pytest.mark.parametrize("name", ["mine.py", "helper.py", "pack/__init__.py", "pack/inner.py", "pack/leaf.py"])
def test_editing_anything_that_a_method_imports_changes_its_hash(project, name):
    before = provenance.module_hash("mine")
    (project / name).write_text((project / name).read_text() + "# edited\n")
    assert provenance.module_hash("mine") != before


def test_what_a_method_does_not_import_and_what_is_installed_do_not_count(project):
    before = provenance.module_hash("mine")
    (project / "unrelated.py").write_text("x = 2\n")
    assert provenance.module_hash("mine") == before
    assert set(provenance._imported_files("mine")) == {"mine", "helper", "pack", "pack.inner", "pack.leaf"}


def test_a_module_is_imported_anew_where_anything_that_it_imports_was_edited(project):
    from recipes.session import external_method

    ones = np.ones(3)
    assert external_method("mine:f")(None, ones, None).sum() == 3
    first, same = provenance.imported_hash("mine"), sys.modules["mine"]
    assert external_method("mine:f") is same.f
    (project / "helper.py").write_text("SCALE = 7\n")
    (project / "mine.py").write_text((project / "mine.py").read_text().replace("np.abs(x)", "helper.SCALE * x"))
    assert provenance.imported_hash("mine") == first
    assert external_method("mine:f")(None, ones, None).sum() == 21 and provenance.imported_hash("mine") != first


def test_the_module_of_the_current_folder_is_imported_whatever_was_imported_before(tmp_path, monkeypatch):
    from recipes.session import external_method

    monkeypatch.syspath_prepend(tmp_path)
    hashes = []
    for place, value in (("first", 1), ("second", 2), ("first", 1)):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "moved.py").write_text(
            "from moved_part import VALUE\ndef f():\n    return VALUE, __file__\n"
        )
        (tmp_path / place / "moved_part.py").write_text(f"VALUE = {value}\n")
        monkeypatch.chdir(tmp_path / place)
        assert external_method("moved:f")() == (value, str(tmp_path / place / "moved.py"))
        hashes.append(provenance.imported_hash("moved"))
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_module_that_cannot_be_read_is_refused_and_a_script_has_a_source(project, monkeypatch):
    from lab.refusal import Refused
    from recipes.session import external_method

    (project / "unread.py").write_text("def f(:\n")
    with pytest.raises(Refused, match="SyntaxError"):
        external_method("unread:f")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(project / "mine.py"), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert "__main__" in provenance._imported_files("__main__") and "helper" in provenance._imported_files("__main__")


def test_the_code_of_a_models_layers_counts(command, project, tmp_path):
    source = """import keras
@keras.saving.register_keras_serializable("provenance")
class Scale(keras.layers.Layer):
    def call(self, inputs):
        return 1.0 * inputs
"""
    (tmp_path / "my_layers.py").write_text(source)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    layers = importlib.import_module("my_layers")
    tail = [keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential([keras.Input((16, 16, 3)), layers.Scale(), *tail]).save(tmp_path / "m.keras")
    words = ["explain", tmp_path / "a.png", "--model", tmp_path / "m.keras", "--input-range", -1, 1, "--json"]
    words += ["--import", "my_layers", "--allow-code", "--method", "gradient"]
    sums = []
    for scale in ("1.0", "0.5"):
        (tmp_path / "my_layers.py").write_text(source.replace("1.0", scale))
        code, output, error = command(*words)
        assert code == 0, error
        with np.load(pathlib.Path(json.loads(output)["run"]) / "jobs/explain/gradient/maps.npz") as maps:
            sums.append(np.abs(maps["maps/0"]).sum())
    assert np.isclose(sums[1], 0.5 * sums[0])


def test_versions_name_the_libraries_behind_adapters():
    assert "tf-explain" in provenance.versions(["tf_explain.gradcam"]) and "tf-explain" not in provenance.versions(
        ["gradcam"]
    )
    assert {"tensorflow", "keras", "interpretability-lab"} <= set(provenance.versions())


def lab(folder, *words):
    done = start_code(COMMAND, *words, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"})
    output, error = done.communicate()
    assert done.returncode == 0, error
    return json.loads(output)


@pytest.mark.slow
def test_the_same_command_after_an_edit_shows_the_new_verdict(tmp_path):
    """Edited within a second, to the same length: neither a kept verdict nor a compiled copy of the old source may answer."""
    networks.flat().save(tmp_path / "m.keras")
    source = "import lab\ndef f(network, inputs, objective):\n    return {}\n"
    (tmp_path / "mine.py").write_text(source.format("abs(inputs) + 0"))
    words = ["check", "--model", "m.keras", "--input-range", -1, 1, "--method", "mine:f", "--seeds", 2, "--json"]
    first = lab(tmp_path, *words)
    (tmp_path / "mine.py").write_text(source.format("0 * inputs + 1."))
    second = lab(tmp_path, *words)
    outcomes = [
        next(verdict["outcome"] for verdict in result["verdicts"] if verdict["method"] == "mine:f")
        for result in (first, second)
    ]
    assert outcomes == ["FAIL", "INVALID"]


@pytest.fixture
def digest(command, tmp_path):
    """The digest of a small explanation of a model file, by what is changed about it."""
    images = tmp_path / "photos"
    images.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(images / "a.png")

    def digest_of(*words):
        model = tmp_path / "m.keras"
        fixed_words = [
            "explain",
            images / "a.png",
            "--model",
            model,
            "--input-range",
            -1,
            1,
            "--json",
            *(() if "--method" in words else ("--method", "gradient")),
        ]
        code, output, error = command(*fixed_words, *words)
        assert code == 0, error
        return pathlib.Path(json.loads(output)["run"]).name

    return digest_of


def test_the_same_weights_in_another_network_are_another_run(digest, tmp_path):
    model = networks.flat()
    model.save(tmp_path / "m.keras")
    first = digest()
    assert digest() == first
    model.get_layer("last").activation = keras.activations.linear
    model.save(tmp_path / "m.keras")
    assert digest() != first


def test_other_class_names_and_other_options_are_other_runs(digest, tmp_path):
    networks.flat().save(tmp_path / "m.keras")
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\n")
    digests = [digest(), digest("--classes", names)]
    names.write_text("a\nb\nc\nd\nf\n")
    digests.append(digest("--classes", names))
    methods = ["--method", "integrated_gradients", "--option"]
    digests += [
        digest(*methods, "integrated_gradients.baseline=0.0"),
        digest(*methods, "integrated_gradients.baseline=0.5"),
    ]
    assert len(set(digests)) == 5


def test_pictures_are_checked_as_they_are_shown(command, small_file, tmp_path):
    """The picture of a tile is the first of those that the checks looked at, and where it is not no flag stands on it."""
    recipe = tmp_path / "shown.toml"

    def run(steps):
        recipe.write_text(f"""
name = "shown"
[model]
source = "{small_file}"
input_range = [-1, 1]
[[gallery]]
layer = "last"
units = "0-2"
steps = 3
[[features]]
layer = "last"
units = "0-2"
steps = {steps}
pictures = 2
checks = ["reach"]
recovery = false
""")
        code, output, error = command("run", recipe)
        assert code == 0, error
        return pathlib.Path(output.strip().splitlines()[-1]).parent

    folder = run(3)
    for unit in range(3):
        shown = (folder / "jobs/gallery/0-last/00000" / f"{unit:05d}.png").read_bytes()
        assert shown == (folder / "jobs/study/0/honest/pictures" / f"{unit:05d}-0.png").read_bytes()
    assert '["reach","INCONCLUSIVE","MEASURED"' in (folder / "index.html").read_text()
    assert '["reach","INCONCLUSIVE","MEASURED"' not in (run(2) / "index.html").read_text()


def test_a_package_with_a_finder_of_its_own_counts_as_one_in_the_path(project, tmp_path, monkeypatch):
    """As packages do that are installed to be edited."""
    package = tmp_path.parent / "edited" / "far_off.py"
    package.parent.mkdir()
    package.write_text("SCALE = 1\n")

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return importlib.util.spec_from_file_location(name, package) if name == "far_off" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    (project / "near.py").write_text("import far_off\n")
    before = provenance.module_hash("near")
    package.write_text("SCALE = 2\n")
    assert set(provenance._imported_files("near")) == {"near", "far_off"} and provenance.module_hash("near") != before


def test_a_folder_without_a_module_inside_a_package_is_passed_over(tmp_path, monkeypatch):
    inner = tmp_path / "outer_package" / "inner" / "loose"
    inner.mkdir(parents=True)
    (tmp_path / "outer_package" / "__init__.py").write_text("from outer_package.inner.loose import part\n")
    (tmp_path / "outer_package" / "inner" / "__init__.py").write_text("")
    (inner / "part.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = provenance.module_hash("outer_package")
    (tmp_path / "outer_package" / "inner" / "__init__.py").write_text("VALUE = 2\n")
    assert provenance.module_hash("outer_package") != before
