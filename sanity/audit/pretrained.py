"""Pretrained: what a small network that was trained on other photographs makes of pictures, which a linear model learns from.

That activations of a network of ImageNet serve other questions: Donahue et al. 2014 (https://arxiv.org/abs/1310.1531).
"""

import hashlib

from lab import models
from lab.model_names import DEFAULT
from lab.refusal import Refused
from sanity.audit.answers import answer
from sanity.audit.pictures import COLOURED, GREY


def open_pretrained():
    """The lab's own network, with the weights of ImageNet that its package carries.

    Returns:
        `lab.network.Network`.

    Raises:
        Refused: where the package is missing.
    """
    return models.load(DEFAULT)


def embed_pictures(pretrained, images, fit="squash"):
    """Activations before the last layer.

    Args:
        pretrained: `lab.network.Network`, as of `open_pretrained`.
        images: list of arrays [rows, columns, 1 or 3] in 0..255, of any size.
        fit: str, how they are brought to its size, as of `lab.preprocessing.Preprocessing.preprocess`.

    Returns:
        float32 [images, 1280].
    """
    return answer(pretrained, pretrained.preprocess(images, fit=fit), pretrained.classes_in())[1]


def why_not_embedded(network, channels, open_network=open_pretrained):
    """Why a linear model of the pretrained network is not tried beside a network.

    It takes grey pictures and those in three colours, of any size. Where the network holds all of its convolutions, the linear
    model would be a part of the network itself.

    Args:
        network: `lab.network.Network` that is audited.
        channels: int, bands of the pictures.
        open_network: function without arguments that gives the pretrained network.

    Returns:
        str, "" where it is tried.
    """
    if channels not in (GREY, COLOURED):
        return (
            f"not tried; {DEFAULT} takes grey pictures and pictures in three colours, and these have {channels} bands"
        )
    try:
        pretrained = open_network()
    except Refused as error:
        return f"not tried; {str(error).rstrip('.')}"
    if holds_convolutions(network, pretrained):
        return (
            f"not tried; the network that is audited holds the convolutions of {DEFAULT}, so that it is no other model"
        )
    return ""


def holds_convolutions(network, other):
    """Whether all convolutions of another network are among the weights of a network.

    Args:
        network: `lab.network.Network`.
        other: `lab.network.Network`.

    Returns:
        bool; False for a network that shows no weights, and where the other one has no convolutions.
    """
    if "weights" not in network.capabilities:
        return False
    kernels = [name for name, variable in other.variables.items() if len(variable.shape) == 4]
    shapes = {tuple(other.variables[name].shape) for name in kernels}
    alike = [name for name, variable in network.variables.items() if tuple(variable.shape) in shapes]
    return bool(kernels) and _digests(other, kernels) <= _digests(network, alike)


def _digests(network, names):
    return {hashlib.sha256(values.tobytes()).hexdigest() for values in network.state(names).values()}
