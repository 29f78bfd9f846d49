"""Registrations: what a registry holds, read from the source of its modules, so that nothing has to be imported to list it.

A function is registered by a decorator above it: `@explainers.register`, or `@explainers.register(needs="scores")`.
"""

import ast
import inspect
import pathlib
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parent.parent


@dataclass(frozen=True)
class Registration:
    """A function that a module registers.

    Args:
        name: str, as of `lab.registry.Registry.register`.
        summary: str, the first line of its docstring.
        options: tuple of str, its keyword-only arguments.
        tags: dict of those tags whose values stand in the source.
    """

    name: str
    summary: str
    options: tuple
    tags: dict


def modules_in(package):
    """The modules of a package of the lab, in the order in which it imports them: list of str.

    Args:
        package: str, such as "sanity.checks".
    """
    stems = sorted(file.stem for folder in _folders(package) for file in folder.glob("*.py"))
    return [f"{package}.{stem}" for stem in stems if stem != "__init__"]


def _folders(package):
    """The folders of a package, to which a program that has imported it may have added some: list of path."""
    return list(map(pathlib.Path, getattr(sys.modules.get(package), "__path__", [ROOT.joinpath(*package.split("."))])))


def read_registrations(registry, modules):
    """What modules register, each after what the others of them that it imports register.

    Args:
        registry: str, the registry's variable, such as "explainers".
        modules: list of str, the modules in the order in which they are imported.

    Returns:
        list of `Registration`.
    """
    trees, ordered = _parse(modules)
    functions = [node for module in ordered for node in trees[module].body if isinstance(node, ast.FunctionDef)]
    return [_registration(node, tags) for node in functions if (tags := _tags(node, registry)) is not None]


def in_order(modules):
    """Modules in the order in which they end when they are imported one after another: list of str.

    Args:
        modules: list of str.
    """
    return list(_parse(modules)[1])


def _parse(modules):
    """The syntax tree of every module, and the modules in the order in which their imports end: two dicts."""
    trees = {module: ast.parse(_file(module).read_text(encoding="utf-8")) for module in modules}
    ordered = {}
    for module in modules:
        _visit(module, trees, ordered)
    return trees, ordered


def _file(module):
    package, _, name = module.rpartition(".")
    places = [folder / name for folder in _folders(package)]
    files = [path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in places]
    return next(file for file in files if file.is_file())


def _visit(module, trees, ordered):
    """Add a module to those that are ordered, after those that it imports. It counts as imported while it is visited."""
    if module in ordered or module not in trees:
        return
    ordered[module] = None
    for imported in _imports(trees[module]):
        _visit(imported, trees, ordered)
    ordered[module] = ordered.pop(module)


def _imports(tree):
    """The modules that a file imports by their whole names at its top: iterator of str."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _tags(function, registry):
    """The tags that a function is registered with: dict, or None where it is not registered."""
    for decorator in function.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if ast.unparse(call) == f"{registry}.register":
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            return {word.arg: word.value.value for word in keywords if isinstance(word.value, ast.Constant)}
    return None


def _registration(function, tags):
    name = ".".join([*([tags["library"]] if "library" in tags else []), tags.get("name") or function.name])
    summary = inspect.cleandoc(ast.get_docstring(function) or "").split("\n")[0]
    return Registration(name, summary, tuple(argument.arg for argument in function.args.kwonlyargs), tags)
