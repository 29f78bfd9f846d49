"""Adapters: other libraries' explainers as methods of the lab, by their raw arrays and never by their pictures.

Only installed libraries are registered, and tf-explain always. For callables of your own see `lab.adapters.external`.
"""

import importlib

from lab.method_modules import adapter_modules

for _module in adapter_modules():
    importlib.import_module(_module)
