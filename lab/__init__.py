"""Observe Keras networks: explain their scores, draw what maximizes their units, and get the evidence with every result.

Names are imported when they are first used, so that importing the package does not import TensorFlow. Every method is here
under its registered name: `lab.gradcam`.
"""

import importlib
import importlib.util

__version__ = "0.5.0"

_PLACES = {
    "lab.refusal": ("Refused",),
    "lab.models": ("load",),
    "lab.callables": ("function",),
    "lab.network": ("Network",),
    "lab.objectives": (
        "logit",
        "class_score",
        "region",
        "token",
        "channel",
        "neuron",
        "layer",
        "direction",
        "cosine",
        "weighted",
        "interpolation",
        "group",
        "likeness",
        "custom",
        "Objective",
        "objectives",
    ),
    "lab.attribution": ("explainers",),
    "lab.explanation": ("explain", "Explanation"),
    "lab.backgrounds": ("baseline_agreement",),
    "lab.importance": ("permutation_importance",),
    "lab.interactions": ("shapley_interactions",),
    "lab.isolation": ("MethodFault",),
    "lab.visualization.maximize": ("maximize", "Pictures"),
    "lab.data": ("photographs", "folder", "Data"),
    "lab.streams": ("open_images",),
    "lab.opening": ("open_data",),
}
# Packages whose functions are used under their name: `lab.attention.head_importance`.
_PACKAGES = ("attention", "concepts")
_MODULES = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name):
    if name in _MODULES:
        value = getattr(importlib.import_module(_MODULES[name]), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"lab.{name}")
    elif not name.startswith("_") and not _is_module(name) and name in _explainers():
        value = _explainers().get(name)
    else:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_MODULES, *_PACKAGES, *(name for name in _explainers() if "." not in name)})


def _is_module(name):
    # `from lab import network` asks for the name first, and imports the module when there is none.
    return importlib.util.find_spec(f"lab.{name}") is not None


def _explainers():
    return importlib.import_module("lab.attribution").explainers
