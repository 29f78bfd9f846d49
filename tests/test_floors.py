"""The floors: imports run one way, the command's help is quick, names keep their promises."""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = {"lab": 1, "sanity": 2, "recipes": 3}
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


@functools.cache
def parse(path):
    """A file's syntax tree, which every test reads and none changes."""
    return ast.parse(path.read_text())


@pytest.fixture(scope="module", autouse=True)
def forget_trees():
    """Syntax trees are a million objects, which the garbage collector would look through in all tests after these."""
    yield
    parse.cache_clear()


def imported(path):
    for node in ast.walk(parse(path)):
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
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"print", "write_text", "write_bytes", "savefig", "set_seed", "set_random_seed"}


def imported_modules(path):
    """Modules that a file imports, inside functions too: iterator of str."""
    for node in ast.walk(parse(path)):
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
    for node in ast.walk(parse(path)):
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
            for node in ast.walk(parse(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & words, path


def test_help_does_not_wake_tensorflow():
    code = "import sys\nfrom recipes.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\nprint([name for name in ('tensorflow', 'keras', 'numpy', 'scipy', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout[-200:]


# What the import made is not looked through again by each collection, and what a user froze before stays frozen.
COLLECTOR = """
import gc
{before}
import lab.environment
assert gc.isenabled() and bool(gc.get_freeze_count()) is {frozen}
young = sum(len(gc.get_objects(generation=generation)) for generation in (0, 1))
assert {frozen} or young < 0.1 * len(gc.get_objects()), (young, len(gc.get_objects()))
"""
LIGHT = """
import lab
lab.load
import sys, recipes.session, recipes.explanations, recipes.report.page, recipes.sections.explain
print([name for name in ('sklearn.linear_model', 'sanity.planting', 'lab.attribution_graph') if name in sys.modules])
"""


@pytest.fixture(scope="module")
def imported_once():
    """A process that imports, first with the collector as it is: `subprocess.CompletedProcess`."""
    script = COLLECTOR.format(before="", frozen=False) + LIGHT
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)


def test_no_noise_reaches_the_user(imported_once):
    assert imported_once.stderr == "" and imported_once.stdout.count("\n") == 1


def test_the_garbage_collector_is_left_as_it_was(imported_once):
    assert imported_once.returncode == 0, imported_once.stderr


def test_what_was_frozen_before_stays_frozen():
    script = COLLECTOR.format(before="gc.freeze()", frozen=True)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_what_a_map_does_not_need_is_not_imported(imported_once):
    assert imported_once.stdout.strip() == "[]"


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
        for name, node in public_definitions(parse(path).body)
        if not ast.get_docstring(node)
    ]
    assert bare == []


def arguments(name, node):
    """Names of a function's arguments, without the `self` or `cls` of a method: list of str."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
    return [argument.arg for argument in every if argument][1 if "." in name and not static else 0 :]


def returns_value(node):
    """Whether a function returns or yields a value: bool; functions inside it do not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(child, (ast.Yield, ast.YieldFrom)) or isinstance(child, ast.Return) and child.value is not None:
            return True
        if returns_value(child):
            return True
    return False


def is_command(node):
    """Whether a function is a command, whose docstring is the text of its `--help`: bool."""
    called = [ast.unparse(getattr(decorator, "func", decorator)) for decorator in node.decorator_list]
    return any(name in ("click.group", "click.command") for name in called)


def missing_sections(name, node):
    """Sections that a docstring lacks: list of str."""
    sections = ["Args:", "Returns:"] if returns_value(node) else ["Args:"]
    lines = [line.strip() for line in ast.get_docstring(node).splitlines()]
    return [section for section in sections if section not in lines] if len(arguments(name, node)) > 1 else []


def test_functions_of_several_arguments_say_what_they_take_and_return():
    definitions = [
        (path.relative_to(ROOT).as_posix(), name, node)
        for path in FILES
        for name, node in public_definitions(parse(path).body)
    ]
    bases = {
        name: [ast.unparse(base) for base in node.bases] for _, name, node in definitions if hasattr(node, "bases")
    }
    functions = [row for row in definitions if isinstance(row[2], ast.FunctionDef) and not is_command(row[2])]
    complete = {name for _, name, node in functions if not missing_sections(name, node)}

    def documented_by_base(name):
        owner, _, method = name.rpartition(".")
        return any(f"{base}.{method}" in complete for base in bases.get(owner, ()))

    lacking = {
        f"{path}: {name}": missing_sections(name, node)
        for path, name, node in functions
        if name not in complete and not documented_by_base(name)
    }
    assert lacking == {}
