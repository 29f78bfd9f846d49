"""Adapters: other libraries' explainers as methods of the lab, by their raw arrays and never by their pictures.

Only installed libraries are registered, and tf-explain always. For callables of your own see `lab.adapters.external`.
"""

import importlib.util

from lab.adapters import tf_explain  # noqa: F401  (registering)

# Package that is imported -> the adapters' module.
_OPTIONAL = {"saliency": "saliency", "tf_keras_vis": "tf_keras_vis", "xplique": "xplique", "shap": "shap"}

for _package, _module in _OPTIONAL.items():
    if importlib.util.find_spec(_package):
        importlib.import_module(f"lab.adapters.{_module}")
