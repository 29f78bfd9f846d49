"""The floors: imports run one way, the command's help is quick, names keep their promises."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = {"lab": 1, "sanity": 2, "recipes": 3}
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path):
    height = FLOORS[path.relative_to(ROOT).parts[0]]
    assert [name for name in imported(path) if FLOORS.get(name, 0) > height] == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if "recipes" not in path.parts], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_only_recipes_write_or_print(path):
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"print", "write_text", "write_bytes", "savefig", "set_seed", "set_random_seed"}


def imported_modules(path):
    """Modules of the house that a file imports when it is itself imported: set of str."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_needs_itself():
    """A circle of imports works until someone begins at another place of it."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    graph = {name: set(imported_modules(path)) & set(modules) - {name} for name, path in modules.items()}
    while leaves := {name for name, needs in graph.items() if not needs & set(graph)}:
        graph = {name: needs for name, needs in graph.items() if name not in leaves}
    assert not graph, {name: needs & set(graph) for name, needs in graph.items()}


# Words that say nothing of the value that they name.
PLACEHOLDERS = {"found", "given", "made", "chosen", "seen", "asked", "told", "own", "each", "it"}
# What users type: an option of the check `measurements`, and a way to draw weights.
TYPED = {("measurements.py", "chosen"), ("randomization.py", "own")}


def names(path):
    """Every name that a file gives to a value, a parameter or a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef):
            yield node.name


def test_names_say_what_a_value_is():
    placeholders = {(path.name, name) for path in FILES for name in names(path) if name in PLACEHOLDERS}
    assert placeholders <= TYPED, placeholders - TYPED


def test_sanity_names_no_explainer_but_the_controls():
    from lab.attribution import explainers

    words = set(explainers) - set(explainers.names(control=True))
    for path in (ROOT / "sanity").rglob("*.py"):
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & words, path


def test_help_does_not_wake_tensorflow():
    code = "import sys\nfrom recipes.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\nprint([name for name in ('tensorflow', 'keras', 'numpy', 'scipy', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout[-200:]


def test_no_noise_reaches_the_user():
    done = subprocess.run(
        [sys.executable, "-c", "import lab; lab.load"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stderr == "" and done.stdout == ""


def test_public_names_exist_and_are_documented():
    import lab
    from lab.attribution import explainers

    own = [name for name in explainers if "." not in name]
    for name in {*own, *lab._MODULES}:
        assert getattr(lab, name).__doc__, name
    assert all(getattr(lab, name) is explainers.get(name) for name in own)
    with pytest.raises(AttributeError):
        lab.nothing  # noqa: B018


def test_every_registered_function_says_what_it_is():
    from lab.attribution import explainers
    from lab.objectives import objectives
    from sanity.checks import checks

    for registry in (explainers, objectives, checks):
        for name in registry:
            assert registry.get(name).__doc__.strip(), name
    for name in explainers:
        if name not in explainers.names(control=True):
            assert "http" in explainers.get(name).__doc__, name


def public_definitions(body, prefix=""):
    """Public functions, classes and methods, by their qualified names."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, f"{prefix}{node.name}.")


def test_every_public_function_and_class_has_a_docstring():
    bare = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in FILES
        for name, node in public_definitions(ast.parse(path.read_text()).body)
        if not ast.get_docstring(node)
    ]
    assert bare == []
