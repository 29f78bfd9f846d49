"""CAMs by principal components of a layer's positions: the class counts by the gradient, or not at all."""

import numpy as np

from lab import routines
from lab.attribution import explainers, rules
from lab.attribution.cam import fuse_layers, tokens_to_grid
from lab.attribution.options import check_one_of

KERNELS = ("sigmoid", "rbf", "poly", "cosine", "linear")


@explainers.register(resolution="layer")
def eigencam(network, inputs, objective, *, layer=None):
    """Eigen-CAM, positions along the first principal component of the activation (Muhammad, Yeasin 2020, https://arxiv.org/abs/2008.00299).

    The channels are centred over the positions before the component is computed, as in Gildenblat's pytorch-grad-cam.
    The objective has no influence: every class has the same map. The component has no sign of its own. It gets the
    sign with which the map correlates positively with the activation's sum over channels.

    Args:
        layer: as of `gradcam`.

    Returns:
        signed float32 [batch, ...] at the layer's resolution.
    """
    del objective  # By its definition.

    def map_at(address):
        return np.stack(
            [
                _first_component(sample)
                for sample in tokens_to_grid(network, address, routines.activations(network, inputs, address))
            ]
        )

    return fuse_layers(network, layer, map_at)


@explainers.register(resolution="layer")
def eigengradcam(network, inputs, objective, *, layer=None):
    """Eigen-Grad-CAM, the first principal component of activation times gradient (as in Gildenblat's pytorch-grad-cam, 2021, https://github.com/jacobgil/pytorch-grad-cam).

    Centring and sign are as of `eigencam`.

    Args:
        layer: as of `gradcam`.

    Returns:
        signed float32 [batch, ...] at the layer's resolution.
    """

    def map_at(address):
        values = routines.layer_gradient(network, inputs, objective, address, rules.product)
        return np.stack([_first_component(sample) for sample in tokens_to_grid(network, address, values)])

    return fuse_layers(network, layer, map_at)


@explainers.register(resolution="layer")
def kpca_cam(network, inputs, objective, *, layer=None, kernel="sigmoid", gamma=None):
    """KPCA-CAM, the first kernel principal component of the activation (Karmani, Sivakaran, Prasad, Ali, Yang, Tang 2024, https://arxiv.org/abs/2410.00267).

    The objective has no influence. The sign is as of `eigencam`.

    Args:
        layer: as of `gradcam`.
        kernel: "sigmoid", "rbf", "poly", "cosine" or "linear".
        gamma: of the kernel; None: one over the number of channels.

    Returns:
        signed float32 [batch, ...] at the layer's resolution.
    """
    del objective  # By its definition.
    check_one_of("kernel", kernel, KERNELS)

    def map_at(address):
        values = tokens_to_grid(network, address, routines.activations(network, inputs, address))
        return np.stack([_kernel_component(sample, kernel, gamma) for sample in values])

    return fuse_layers(network, layer, map_at)


def _first_component(values):
    """Positions [..., channels], centred and projected on their first principal component: float32 [...]."""
    flat = values.reshape(-1, values.shape[-1]).astype("float64")
    centred = flat - flat.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    return _orient(centred @ axis, flat).reshape(values.shape[:-1])


def _kernel_component(values, kernel, gamma):
    from sklearn.decomposition import KernelPCA

    flat = values.reshape(-1, values.shape[-1]).astype("float64")
    # A fixed start and the dense solver: the component does not depend on a draw.
    components = KernelPCA(n_components=1, kernel=kernel, gamma=gamma, eigen_solver="dense").fit_transform(flat)
    along = components[:, 0] if components.shape[1] else np.zeros(len(flat))
    return _orient(along, flat).reshape(values.shape[:-1])


def _orient(along, flat):
    together = (along - along.mean()) @ flat.sum(axis=1)
    return (along if together >= 0 else -along).astype("float32")
