"""Provenance: hashes of the code, files and library versions that decide a run's bytes."""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import pathlib
import sys
import sysconfig

import lab

# Whose numbers a run rests on, whatever it asks.
LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "scikit-image", "scikit-learn", "Pillow", "matplotlib")
# Package of the lab's registry -> the distribution behind its adapters.
ADAPTED = {"tf_explain": "tf-explain", "saliency": "saliency", "tf_keras_vis": "tf-keras-vis", "xplique": "xplique"}


def versions(methods=()):
    """Versions of the lab and of every library that a run with these methods rests on: dict of name to str, None where not installed."""
    behind = {ADAPTED[name.partition(".")[0]] for name in methods if name.partition(".")[0] in ADAPTED}
    return {"interpretability-lab": lab.__version__, **{name: _version(name) for name in (*LIBRARIES, *sorted(behind))}}


@functools.cache
def own_source():
    """SHA-256 of the lab's own code, so that no result outlives the code that made it: str."""
    root = pathlib.Path(lab.__file__).parent.parent
    files = [path for floor in ("lab", "sanity", "recipes") for path in sorted((root / floor).rglob("*.py"))]
    # What a page looks like decides none of the bytes that it shows.
    return _digest((path.relative_to(root).as_posix(), path) for path in files if path.parent.name != "report")


def source(module):
    """SHA-256 of a module's file and of all modules that it imports, directly or not, from its own package and from outside the
    installed ones: str.
    """
    return _digest(sorted(_closure(module).items()))


# Module -> the SHA-256 of what this process last imported it from.
_imported = {}


def renewed(module):
    """Have the next import of a module read its files again where they have changed since it was imported here; note their SHA-256."""
    found = source(module)
    if _imported.get(module, found) != found:
        for name in _closure(module):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
    _imported[module] = found


def imported(module):
    """SHA-256 of what a module was imported from (`source`), whatever its files have become since: str."""
    return _imported.get(module) or source(module)


def file(path):
    """SHA-256 of a file's bytes, or of all files of a folder: str."""
    path = pathlib.Path(path)
    inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return _digest((each.relative_to(path.parent).as_posix(), each) for each in inside)


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _digest(named):
    digest = hashlib.sha256()
    for name, path in named:
        digest.update(name.encode() + hashlib.sha256(pathlib.Path(path).read_bytes()).digest())
    return digest.hexdigest()


def _closure(module):
    """Files of a module and of what it imports from its own package and from outside the standard library and the installed packages:
    dict of module name to path.
    """
    waiting, files, own = [module], {}, module.partition(".")[0]
    while waiting:
        name = waiting.pop()
        package = name.partition(".")[0]
        path = _own_file(name) if name not in files and (package == own or _followed(package)) else None
        if path is not None:
            files[name] = path
            waiting += _imports(path, name)
    return files


@functools.cache
def _followed(package):
    """Whether a top-level package is neither installed nor the lab's own, which is hashed by itself: bool."""
    spec = _spec(package)
    if spec is None or package in ("lab", "sanity", "recipes"):
        return False
    places = [spec.origin] if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    return not any(_is_installed(place) for place in places if place)


def _spec(name):
    try:
        return importlib.util.find_spec(name)
    except (Exception, SystemExit):
        # A name that is imported and is no module: an attribute of one, or something that is not installed here. To find a module its
        # package is imported, which may raise anything.
        return None


def _own_file(name):
    """The Python file of a module, or None where it has none; of a script that runs, the script's."""
    spec = _spec(name)
    place = spec.origin if spec else getattr(sys.modules.get(name), "__file__", None)
    return pathlib.Path(place) if place and place.endswith(".py") and pathlib.Path(place).is_file() else None


def _is_installed(place):
    return place in ("built-in", "frozen") or any(
        pathlib.Path(place).resolve().is_relative_to(folder) for folder in _installed()
    )


@functools.cache
def _installed():
    paths = sysconfig.get_paths()
    named = {paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    named |= {entry for entry in sys.path if pathlib.Path(entry).name in ("site-packages", "dist-packages")}
    return tuple(pathlib.Path(each).resolve() for each in named)


def _imports(path, name):
    """Every module that a file's import statements may mean, the packages around it included: list of str."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    modules = [name.rpartition(".")[0]]
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            modules += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [part for module in modules if module for part in _prefixes(module)]


def _parsed(path):
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        # What cannot be read imports nothing; that it cannot is told by whoever imports it.
        return ast.Module([], [])


def _prefixes(module):
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
