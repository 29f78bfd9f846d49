"""Make a Keras network observable, ask it questions with compiled routines, and get the evidence with every answer.

Names are imported when they are first used, so that importing the package does not wake TensorFlow.
"""

import importlib

__version__ = "0.5.0"

_PLACES = {
    "lab.refusal": ("Refused",),
    "lab.models": ("load",),
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
    "lab.attribution.gradients": ("gradient", "gradient_x_input", "guided_backprop", "deconvnet"),
    "lab.attribution.noise": ("smoothgrad", "noise_tunnel"),
    "lab.attribution.paths": (
        "integrated_gradients",
        "gradient_shap",
        "guided_integrated_gradients",
        "blur_integrated_gradients",
    ),
    "lab.attribution.regions": ("xrai",),
    "lab.attribution.filters": ("guided_gradcam", "forgrad"),
    "lab.attribution.fullgrad": ("fullgrad",),
    "lab.attribution.cam": (
        "gradcam",
        "gradcam_plus_plus",
        "smooth_gradcam_plus_plus",
        "layercam",
        "hirescam",
        "elementwise_gradcam",
        "xgradcam",
        "scorecam",
        "ablationcam",
    ),
    "lab.attribution.eigen": ("eigencam", "eigengradcam", "kpca_cam"),
    "lab.attribution.inside": (
        "layer_gradient_x_activation",
        "layer_integrated_gradients",
        "layer_conductance",
        "internal_influence",
    ),
    "lab.attribution.controls": ("edges", "input_magnitude", "noise", "constant"),
    "lab.explanation": ("explain", "Explanation"),
    "lab.isolation": ("MethodFault",),
    "lab.visualization.maximize": ("maximize", "Pictures"),
    "lab.data": ("photographs", "folder", "Data"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}
__all__ = sorted(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
