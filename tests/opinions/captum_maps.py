"""Captum's maps of the same weights and inputs, by a Python that has torch: python captum_maps.py IN.npz OUT.npz

IN: inputs [n, rows, columns, 3], classes [n], noisy [samples, n, ...], weights_path; and of a small ReLU network its points and
weights. It imports nothing of the lab's, so that TensorFlow and torch never meet in one process.
"""

import sys

import numpy as np
import torch
from captum import attr


def channels_first(array):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))


def channels_last(tensor):
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def lite0(path):
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).double().eval()


def of_lite0(given):
    model, classes = lite0(str(given["weights_path"])), torch.from_numpy(given["classes"])
    inputs = channels_first(given["inputs"])
    plain = attr.Saliency(model)
    slopes = [plain.attribute(channels_first(each), target=classes, abs=False) for each in given["noisy"]]
    paths = attr.IntegratedGradients(model)
    path = paths.attribute(
        inputs, target=classes, n_steps=int(given["steps"]), method="gausslegendre", internal_batch_size=8
    )
    cam = attr.LayerGradCam(model, model._conv_head).attribute(inputs, target=classes)
    return {
        "gradient": channels_last(plain.attribute(inputs, target=classes, abs=False)),
        "gradient_x_input": channels_last(attr.InputXGradient(model).attribute(inputs, target=classes)),
        "integrated_gradients": channels_last(path),
        "smoothgrad": np.mean([channels_last(each) for each in slopes], axis=0),
        "gradcam_before_norm": cam.detach().numpy()[:, 0],
    }


class Small(torch.nn.Module):
    """Convolution, ReLU, convolution, ReLU, mean, linear: the network that the test builds in Keras."""

    def __init__(self, given):
        super().__init__()
        self.first, self.second = (self.convolution(given[name], given[f"{name}_bias"]) for name in ("first", "second"))
        self.one, self.two = torch.nn.ReLU(), torch.nn.ReLU()
        self.last = torch.nn.Linear(*given["last"].shape)
        self.last.weight.data, self.last.bias.data = (
            torch.from_numpy(given["last"].T.copy()),
            torch.from_numpy(given["last_bias"]),
        )

    @staticmethod
    def convolution(kernel, bias):
        made = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
        made.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        made.bias.data = torch.from_numpy(bias)
        return made

    def forward(self, x):
        return self.last(self.two(self.second(self.one(self.first(x)))).mean((2, 3)))


def of_small(given):
    model, classes = Small(given).eval(), torch.from_numpy(given["small_classes"])
    inputs = channels_first(given["small_inputs"])
    asked = {"target": classes}
    path = {**asked, "n_steps": int(given["steps"]), "method": "gausslegendre"}
    layer = model.one
    return {
        "guided_backprop": channels_last(attr.GuidedBackprop(model).attribute(inputs, **asked)),
        "deconvnet": channels_last(attr.Deconvolution(model).attribute(inputs, **asked)),
        "guided_gradcam": channels_last(
            attr.GuidedGradCam(model, model.two).attribute(inputs, **asked, interpolate_mode="bilinear")
        ),
        "layer_gradient_x_activation": channels_last(
            attr.LayerGradientXActivation(model, layer).attribute(inputs, **asked)
        ),
        "layer_integrated_gradients": channels_last(
            attr.LayerIntegratedGradients(model, layer).attribute(inputs, **path)
        ),
        "internal_influence": channels_last(attr.InternalInfluence(model, layer).attribute(inputs, **path)),
        "layer_conductance": channels_last(
            attr.LayerConductance(model, layer).attribute(
                inputs, **{**path, "n_steps": 400, "method": "riemann_middle"}
            )
        ),
        "small_gradcam": attr.LayerGradCam(model, layer).attribute(inputs, **asked).detach().numpy()[:, 0],
    }


if __name__ == "__main__":
    asked = dict(np.load(sys.argv[1]))
    torch.manual_seed(0)
    np.savez(sys.argv[2], **of_lite0(asked), **of_small(asked))
