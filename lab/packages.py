"""Packages: where installed packages keep the weights that they carry."""

import importlib.util
import pathlib

from lab.refusal import Refused


def folder_of(module, network, install):
    """The folder of an installed package, found without running its code.

    Args:
        module: str, the name by which Python imports it.
        network: str, the network whose weights it carries.
        install: str, the line that installs it.

    Returns:
        `pathlib.Path`.

    Raises:
        Refused: where the package is missing.
    """
    package = importlib.util.find_spec(module)
    if package is None:
        raise Refused(
            f"The weights of {network} come with the package {module.replace('_', '-')}. Received: it is not installed. Type: {install}"
        )
    return pathlib.Path(package.origin).parent
