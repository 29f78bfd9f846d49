"""Relevance by zennit and DeepLIFT by captum of a small network in torch: `python zennit_maps.py WEIGHTS.npz MAPS.npz`.

The weights are those of the Keras network of test_zennit.py, with its inputs.
"""

import sys

import numpy as np
import torch
from captum.attr import DeepLift
from torch import nn
from zennit import composites
from zennit.attribution import Gradient

CLASS = 1


class ChannelsLast(nn.Module):
    def forward(self, values):
        return values.permute(0, 2, 3, 1).reshape(len(values), -1)


def network(weights):
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(8, 8, 3), nn.ReLU(), ChannelsLast(), nn.Linear(200, 10), nn.ReLU(), nn.Linear(10, 4)]
    for layer, (kernel, bias) in zip(
        (one for one in layers if hasattr(one, "weight")), zip(weights[::2], weights[1::2])
    ):
        kernel = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        layer.weight.data, layer.bias.data = torch.tensor(kernel.copy()), torch.tensor(bias)
    return nn.Sequential(*layers)


def relevance(model, inputs, composite):
    with Gradient(model=model, composite=composite) as attributor:
        scores = model(inputs)
        start = torch.zeros_like(scores)
        start[:, CLASS] = scores[:, CLASS].detach()
        return attributor(inputs, start)[1].numpy()


def main(weights_file, maps_file):
    arrays = np.load(weights_file)
    model = network([arrays[f"weights/{number}"] for number in range(10)])
    inputs = torch.tensor(arrays["inputs"].transpose(0, 3, 1, 2).copy())
    box = composites.EpsilonGammaBox(low=-torch.ones_like(inputs), high=torch.ones_like(inputs))
    named = {
        "epsilon_plus": composites.EpsilonPlus(),
        "epsilon_plus_flat": composites.EpsilonPlusFlat(),
        "epsilon_alpha2_beta1": composites.EpsilonAlpha2Beta1(),
        "epsilon_alpha2_beta1_flat": composites.EpsilonAlpha2Beta1Flat(),
        "epsilon_gamma_box": box,
    }
    maps = {name: relevance(model, inputs, composite) for name, composite in named.items()}
    # Captum shares a maximum otherwise, so that its network has none.
    model[4] = nn.AvgPool2d(2)
    maps["deeplift"] = DeepLift(model).attribute(inputs, torch.zeros_like(inputs), target=CLASS).detach().numpy()
    np.savez(maps_file, **{name: values.transpose(0, 2, 3, 1) for name, values in maps.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
