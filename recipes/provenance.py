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

# Libraries that the numbers of every run depend on.
LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "scikit-image", "scikit-learn", "Pillow", "matplotlib")
LAB = "interpretability-lab"
# Package of the lab's registry -> the distribution behind its adapters.
ADAPTED = {
    "tf_explain": "tf-explain",
    "saliency": "saliency",
    "tf_keras_vis": "tf-keras-vis",
    "xplique": "xplique",
    "shap": "shap",
}


def versions(methods=()):
    """Versions of the lab and of all libraries that a run with these methods depends on.

    Returns:
        dict of name to str, None where not installed.
    """
    adapted = {ADAPTED[name.partition(".")[0]] for name in methods if name.partition(".")[0] in ADAPTED}
    return {
        LAB: lab.__version__,
        **{name: version(name) for name in (*LIBRARIES, *sorted(adapted))},
    }


@functools.cache
def lab_hash():
    """SHA-256 of the lab's own code, so that no result outlives the code that computed it: str."""
    root = pathlib.Path(lab.__file__).parent.parent
    files = [path for floor in ("lab", "sanity", "recipes") for path in sorted((root / floor).rglob("*.py"))]
    # The look of a page decides none of the bytes that it shows.
    return _digest((path.relative_to(root).as_posix(), path) for path in files if path.parent.name != "report")


def module_hash(module):
    """SHA-256 of a module's file and of all modules of the user that it imports, directly or not.

    Returns:
        str. Counted are its own package and modules outside of the installed ones.
    """
    return _digest(sorted(_imported_files(module).items()))


# Module -> the SHA-256 and the files of what this process last imported it from.
_imported = {}


def look_here_first():
    """Have imports look into the current folder first, where modules of the user lie that are not installed."""
    if str(pathlib.Path.cwd()) not in sys.path[:1]:
        sys.path.insert(0, str(pathlib.Path.cwd()))


def refresh(module):
    """Have the next import of a module read its files again where they have changed, or where others come first now."""
    importlib.invalidate_caches()
    files = _imported_files(module)
    current = _digest(sorted(files.items())), files
    if _imported.get(module, current) != current:
        for name in files:
            sys.modules.pop(name, None)
    _imported[module] = current


def imported_hash(module):
    """SHA-256 of the files that a module was imported from (`module_hash`), whatever became of them since: str."""
    return _imported[module][0] if module in _imported else module_hash(module)


def file_hash(path):
    """SHA-256 of a file's bytes, or of all files of a folder: str."""
    path = pathlib.Path(path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return _digest((file.relative_to(path.parent).as_posix(), file) for file in files)


def version(name):
    """The version of an installed distribution: str, or None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def current_version(name):
    """The version of the lab, or of an installed distribution, as `versions` tells it: str, or None where not installed."""
    return lab.__version__ if name == LAB else version(name)


def _digest(named_paths):
    digest = hashlib.sha256()
    for name, path in named_paths:
        digest.update(name.encode() + hashlib.sha256(pathlib.Path(path).read_bytes()).digest())
    return digest.hexdigest()


def _imported_files(module):
    """Files of a module and of what it imports, except the standard library and the installed packages.

    Returns:
        dict of module name to path. Its own package counts even where it is installed.
    """
    waiting, files, top_package = [module], {}, module.partition(".")[0]
    while waiting:
        name = waiting.pop()
        package = name.partition(".")[0]
        followed = name not in files and (package == top_package or _is_users(package))
        path = _module_file(name) if followed else None
        if path is not None:
            files[name] = path
            waiting += _imports(path, name)
    return files


def _is_users(package):
    """Whether a top-level package is neither installed nor a part of the lab, which has its own hash: bool."""
    spec = _spec(package)
    if spec is None or package in ("lab", "sanity", "recipes"):
        return False
    paths = [spec.origin] if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    return not any(_is_installed(path) for path in paths if path)


def _spec(name):
    """Where an import of a module would find it now, whatever was imported before: a spec or None. No code runs."""
    package = name.rpartition(".")[0]
    parent = _spec(package) if package else None
    if package and (parent is None or parent.submodule_search_locations is None):
        # The name is an attribute of a module.
        return None
    path = parent and list(parent.submodule_search_locations)
    # Packages that are installed to be edited have finders of their own.
    try:
        finders = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        return next((spec for spec in finders if spec is not None), None)
    except KeyError:
        # A folder without __init__.py, inside a package that is not imported yet, has no file of its own.
        return None


def _module_file(name):
    """The Python file of a module, or None where it has none. Of a running script it is the script."""
    spec = _spec(name)
    path = spec.origin if spec else getattr(sys.modules.get(name), "__file__", None)
    return pathlib.Path(path) if path and path.endswith(".py") and pathlib.Path(path).is_file() else None


def _is_installed(path):
    return path in ("built-in", "frozen") or any(
        pathlib.Path(path).resolve().is_relative_to(folder) for folder in installed_folders()
    )


@functools.cache
def installed_folders():
    """The folders of the standard library and of installed packages: tuple of Path."""
    paths = sysconfig.get_paths()
    folders = {paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {entry for entry in sys.path if pathlib.Path(entry).name in ("site-packages", "dist-packages")}
    return tuple(pathlib.Path(folder).resolve() for folder in folders)


def _imports(path, name):
    """Every module that a file's import statements may mean, with the packages around it: list of str."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    modules = [name.rpartition(".")[0]]
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            modules += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [part for module in modules if module for part in _prefixes(module)]


def _parse(path):
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        # A file that does not parse imports nothing. Whoever imports it reports the error.
        return ast.Module([], [])


def _prefixes(module):
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
