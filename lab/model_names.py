"""Model names: the models that can be loaded by name, and what they are, without importing what builds them."""

import ast
import importlib.util
import os
import pathlib

EFFICIENTNETS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
MINILM, DINOV2, DIABETES = "minilm", "dinov2-small-saliency", "diabetes-mlp"
DEFAULT = EFFICIENTNETS[0]
_SUMMARIES = {
    **dict.fromkeys(EFFICIENTNETS, "1,000 classes of ImageNet; the weights are in a package"),
    MINILM: "a sentence as 384 numbers, no classes; the weights are in a package",
    DIABETES: "two classes of a table, a small network that is trained when it is loaded; the data come with scikit-learn",
    DINOV2: "the architecture of DINOv2-small trained for saliency, no classes; the weights are in a package",
}


def names():
    """The models that can be loaded by name: list of str."""
    return [*EFFICIENTNETS, MINILM, DINOV2, DIABETES, *sorted(applications())]


def summary_of(name):
    """What a model by name is: str.

    Args:
        name: one of `names()`.
    """
    return _SUMMARIES.get(name, "1,000 classes of ImageNet; Keras downloads the weights")


def is_downloaded(source):
    """Whether a model by name has weights that Keras downloads and keeps outside of all packages: bool.

    Args:
        source: str, name or path of a model.
    """
    return not os.path.exists(source) and source.lower() in map(str.lower, applications())


def applications():
    """The functions of `keras.applications`, as its file of imports names them: list of str."""
    folder = pathlib.Path(importlib.util.find_spec("keras").origin).parent
    tree = ast.parse((folder / "applications" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    from_modules = [node for node in imports if (node.module or "").startswith("keras.src.applications.")]
    return [alias.asname or alias.name for node in from_modules for alias in node.names]
