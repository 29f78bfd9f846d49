"""Method modules: the modules that register methods, in the order in which they are imported."""

import importlib.util
import inspect

from lab.registrations import modules_in

# Package that is imported -> the adapters' module.
_OPTIONAL = {"saliency": "saliency", "tf_keras_vis": "tf_keras_vis", "xplique": "xplique", "shap": "shap"}


def method_modules():
    """The modules of all methods: ours, then those of other libraries, and the controls last: list of str."""
    ours = [module for module in modules_in("lab.attribution") if module != "lab.attribution.controls"]
    return [*ours, *adapter_modules(), "lab.attribution.controls"]


def adapter_modules():
    """The modules of those libraries that are installed, and that of tf-explain always: list of str."""
    names = [name for package, name in _OPTIONAL.items() if importlib.util.find_spec(package)]
    names += ["saliency_guided"] if "saliency" in names and _has_interpolation() else []
    return [f"lab.adapters.{name}" for name in ("tf_explain", *names)]


def _has_interpolation():
    """Whether numpy still takes `np.quantile(interpolation=...)`, which saliency's GuidedIG calls: bool."""
    import numpy as np

    return "interpolation" in inspect.signature(np.quantile).parameters
